//! What is known image by image: the trees of containers that have stopped, merged; and how all trees of an image fold
//! into its profile.
//!
//! Both are bounded, and whatever does not fit is taken out of "applied" in the ledgers and counted as dropped.

use super::Recording;
use super::counts::Counts;
use crate::event::RecordingId;
use crate::hash::Map;
use crate::ledger::{Dropped, Fate, Ledger};
use crate::profile::Profile;
use crate::tree::{Level, Sizes, Tree};
use std::sync::Arc;

/// What a recording that nobody named is called in profiles.
pub const UNNAMED_RECORDING: &str = "<unnamed>";

/// Where events went, by recording.
pub(super) type Ledgers = Vec<(RecordingId, Ledger)>;

/// A tree of one image, and where the events of its containers went.
#[derive(Clone)]
pub(super) struct Part {
    pub tree: Tree,
    pub ledgers: Ledgers,
}

/// What a tag takes beside its place in a tree: in the interner, and in a profile.
const TAG_BYTES: usize = 320;

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
    by_name: Map<Arc<str>, Part>,
    bytes: usize,
}

/// What an image takes beside its tree: here, and at the end its profile with a ledger, and the name of its file.
const IMAGE_BYTES: usize = size_of::<(Arc<str>, Part)>() * 2 + size_of::<Profile>() + size_of::<Ledger>() + 1024;

impl Part {
    /// Bytes of memory that it takes, and will when it is a profile. O(1).
    fn bytes(&self) -> usize {
        IMAGE_BYTES
            + self.tree.tag_count() * TAG_BYTES
            + self.tree.heap_bytes()
            + self.ledgers.capacity() * size_of::<(RecordingId, Ledger)>()
    }

    /// Adds another tree of the image. What does not fit is moved to dropped.
    fn add(&mut self, tree: &Tree, mut own: Ledgers, total: &mut Ledger) {
        if self.tree.merge(tree).is_err() {
            Lost::of(&mut own, Dropped::TagsFull, true).settle(total, Dropped::TagsFull);
        }
        add_ledgers(&mut self.ledgers, &own);
    }
}

impl Images {
    /// Adds what a stopped container did. What there is no room for is moved to dropped in the shard's ledger.
    pub fn retire(&mut self, image: &Arc<str>, tree: Tree, mut own: Ledgers, total: &mut Ledger, counts: &Counts) {
        let rules = tree.rules().clone();
        let Some(part) = self.by_name.get_mut(image) else {
            if !rules.room.is_left_for_programs() || !counts.admits(image) {
                Lost::of(&mut own, Dropped::Containers, true).settle(total, Dropped::Containers);
                return;
            }
            self.insert(image, tree, own);
            return;
        };
        self.bytes -= part.bytes();
        let left_out = match rules.room.level() {
            Level::Over => Ok(part.tree.refresh(&tree)),
            _ => part.tree.merge_within_budget(&tree),
        };
        match left_out {
            Ok(false) => {}
            // As with a container's own tree: what is known is refreshed, and of what is new only programs are taken.
            Ok(true) => Lost::of(&mut own, Dropped::TreeFull, false).settle(total, Dropped::TreeFull),
            Err(_) => Lost::of(&mut own, Dropped::TagsFull, true).settle(total, Dropped::TagsFull),
        }
        add_ledgers(&mut part.ledgers, &own);
        self.bytes += part.bytes();
    }

    /// Adds what a container did when everything is over: nothing is kept beside it any more, so it all fits. `all` is
    /// what all of its image need, and comes with the first of them. Bytes are not counted any more.
    pub fn fold(&mut self, image: &Arc<str>, tree: &Tree, own: Ledgers, total: &mut Ledger, all: Option<Sizes>) {
        let empty = || Part { tree: Tree::new(tree.rules().clone()), ledgers: Vec::new() };
        let part = self.by_name.entry(image.clone()).or_insert_with(empty);
        if let Some(sizes) = all {
            part.tree.reserve(sizes);
        }
        part.add(tree, own, total);
    }

    fn insert(&mut self, image: &Arc<str>, mut tree: Tree, ledgers: Ledgers) {
        tree.shrink();
        let part = Part { tree, ledgers };
        self.bytes += 2 * image.len() + part.bytes();
        self.by_name.insert(image.clone(), part);
    }

    /// A copy of all there is.
    pub fn view(&self) -> Map<Arc<str>, Vec<Part>> {
        self.by_name.iter().map(|(image, part)| (image.clone(), vec![part.clone()])).collect()
    }

    /// All there is.
    pub fn into_view(self) -> Map<Arc<str>, Vec<Part>> {
        let trimmed = |mut part: Part| {
            part.tree.trim();
            vec![part]
        };
        self.by_name.into_iter().map(|(image, part)| (image, trimmed(part))).collect()
    }

    /// Bytes of memory that all take. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// [`heap_bytes`](Self::heap_bytes), counted anew.
    #[cfg(test)]
    pub fn recount_bytes(&self) -> usize {
        self.by_name.iter().map(|(image, part)| 2 * image.len() + part.bytes()).sum()
    }
}

pub(super) fn add_ledgers(into: &mut Ledgers, from: &[(RecordingId, Ledger)]) {
    for (recording, ledger) in from {
        match into.iter_mut().find(|(r, _)| r == recording) {
            Some((_, known)) => known.add(ledger),
            None => {
                into.reserve_exact(1);
                into.push((*recording, *ledger));
            }
        }
    }
}

/// One image's profile from what the shards know of it, and the events whose trees did not fit into it. The first tree
/// becomes the profile's, and each further one is gone once it is in it: at no time is there a copy of all.
pub(super) fn fold_image(image: &str, parts: Vec<Part>, recordings: &[Recording]) -> (Profile, Vec<Lost>) {
    let mut all = Sizes::default();
    parts.iter().skip(1).for_each(|part| all += part.tree.sizes());
    let mut parts = parts.into_iter();
    let (mut tree, mut ledgers) =
        parts.next().map_or_else(|| (Tree::new(Arc::default()), Vec::new()), |p| (p.tree, p.ledgers));
    tree.reserve(all);
    let mut lost = Vec::new();
    for mut part in parts {
        if tree.merge(&part.tree).is_err() {
            tracing::warn!(image, "more tags than one tree can bear: some containers are left out of the profile");
            lost.push(Lost::of(&mut part.ledgers, Dropped::TagsFull, true));
        }
        add_ledgers(&mut ledgers, &part.ledgers);
    }
    tree.trim();
    let mut profile = Profile::of_tree(image, tree);
    for (recording, ledger) in ledgers {
        let recording = recordings.get(recording.index());
        let name = recording.and_then(|recording| recording.name.as_deref());
        profile.add_ledger(name.unwrap_or(UNNAMED_RECORDING), &ledger);
        if recording.is_some_and(|recording| recording.partial) {
            profile.set_partial();
        }
    }
    (profile, lost)
}
