//! What is known image by image: the trees of containers that have stopped, merged; and how all trees of an image fold
//! into its profile.
//!
//! Both are bounded, and whatever does not fit is taken out of "applied" in the ledgers and counted as dropped.

use super::Recording;
use crate::ledger::{Dropped, Fate, Ledger};
use crate::profile::Profile;
use crate::tree::{Rules, Tree};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Images that one shard keeps stopped containers of.
pub(super) const IMAGES_MAX: usize = 16_384;

/// Where events went, by recording.
pub(super) type Ledgers = Vec<(u16, Ledger)>;

/// A tree of one image, and where the events of its containers went.
#[derive(Clone)]
pub(super) struct Part {
    pub tree: Tree,
    pub ledgers: Ledgers,
}

/// Applied events whose knowledge had to be given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    new: u64,
    known: u64,
}

impl Lost {
    /// Moves them from applied to dropped.
    pub fn settle(self, ledger: &mut Ledger, cause: Dropped) {
        ledger.applied_new -= self.new;
        ledger.applied_known -= self.known;
        ledger.settle(Fate::Dropped(cause), self.new + self.known);
    }

    /// Moves all applied events of these ledgers to dropped, or only those that told something new.
    fn of(ledgers: &mut Ledgers, cause: Dropped, known_too: bool) -> Self {
        let mut lost = Self::default();
        for (_, ledger) in ledgers {
            let own = Self { new: ledger.applied_new, known: if known_too { ledger.applied_known } else { 0 } };
            own.settle(ledger, cause);
            lost.new += own.new;
            lost.known += own.known;
        }
        lost
    }
}

/// The stopped containers of a shard, by image.
#[derive(Default)]
pub(super) struct Images {
    by_name: HashMap<Arc<str>, Part>,
}

impl Images {
    /// Adds what a stopped container did. What there is no room for is moved to dropped in the shard's ledger.
    pub fn retire(&mut self, image: &Arc<str>, rules: &Arc<Rules>, tree: &Tree, mut own: Ledgers, total: &mut Ledger) {
        let images = self.by_name.len();
        let part = match self.by_name.entry(image.clone()) {
            Entry::Vacant(_) if images >= IMAGES_MAX => {
                Lost::of(&mut own, Dropped::Containers, true).settle(total, Dropped::Containers);
                return;
            }
            Entry::Vacant(entry) => entry.insert(Part { tree: Tree::new(rules.clone()), ledgers: Vec::new() }),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        match part.tree.merge_within_budget(tree) {
            Ok(false) => {}
            // As with a container's own tree: what is known is refreshed, and of what is new only programs are taken.
            Ok(true) => Lost::of(&mut own, Dropped::TreeFull, false).settle(total, Dropped::TreeFull),
            Err(_) => Lost::of(&mut own, Dropped::TagsFull, true).settle(total, Dropped::TagsFull),
        }
        add_ledgers(&mut part.ledgers, &own);
    }

    /// A copy of all there is.
    pub fn view(&self) -> HashMap<Arc<str>, Vec<Part>> {
        self.by_name.iter().map(|(image, part)| (image.clone(), vec![part.clone()])).collect()
    }

    pub fn heap_bytes(&self) -> usize {
        self.by_name.values().map(|part| part.tree.heap_bytes()).sum()
    }
}

pub(super) fn add_ledgers(into: &mut Ledgers, from: &[(u16, Ledger)]) {
    for (recording, ledger) in from {
        match into.iter_mut().find(|(r, _)| r == recording) {
            Some((_, known)) => known.add(ledger),
            None => into.push((*recording, *ledger)),
        }
    }
}

/// One image's profile from what the shards know of it, and the events whose trees did not fit into it.
pub(super) fn fold_image(image: &str, parts: Vec<Part>, recordings: &[Recording]) -> (Profile, Vec<Lost>) {
    let rules = parts.first().map(|part| part.tree.rules().clone()).unwrap_or_default();
    let mut profile = Profile::new(image, rules);
    let (mut ledgers, mut lost) = (Vec::new(), Vec::new());
    for mut part in parts {
        if profile.add_tree(&part.tree).is_err() {
            tracing::warn!(image, "more tags than one tree can bear: some containers are left out of the profile");
            lost.push(Lost::of(&mut part.ledgers, Dropped::TagsFull, true));
        }
        add_ledgers(&mut ledgers, &part.ledgers);
    }
    for (recording, ledger) in ledgers {
        let Some(Recording { name: Some(name), partial }) = recordings.get(recording as usize) else { continue };
        profile.add_ledger(name, &ledger);
        if *partial {
            profile.set_partial();
        }
    }
    (profile, lost)
}
