//! The same events make the same bytes: whatever the number of workers, however different containers interleave, and
//! however they are spread over engines.

use crate::common::script::{Script, Settings, script, settings};
use crate::{cases, written};
use grove::event::{EventBuf, Sink, Stored};
use grove::intern::Interner;
use grove::profile::Profile;
use grove::{Engine, Overflow};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Profiles = BTreeMap<Arc<str>, Arc<Profile>>;

fn learn(events: &EventBuf, settings: Settings, workers: usize, recording: &str) -> Profiles {
    let config = settings.config(workers);
    let engine = Engine::builder().config(&config).interner(Interner::new()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    sender.set_recording(engine.recording(Some(recording)).unwrap());
    events.iter().for_each(|stored| sender.event(stored.event));
    drop(sender);
    engine.shutdown().profiles.clone()
}

fn all_written<'a, P: std::ops::Deref<Target = Profile> + 'a>(
    profiles: impl IntoIterator<Item = (&'a Arc<str>, &'a P)>,
) -> BTreeMap<Arc<str>, String> {
    profiles.into_iter().map(|(image, profile)| (image.clone(), written(profile))).collect()
}

/// The events of one container, in order.
fn of_container(script: &Script, container: &[u8]) -> EventBuf {
    let mut own = EventBuf::new();
    script.events().iter().filter(|s| s.event.container == container).for_each(|s| own.push_stored(s));
    own
}

/// The same events with the containers interleaved as `picks` says.
fn interleaved(script: &Script, picks: &[prop::sample::Index]) -> EventBuf {
    let events = script.events();
    let own = |container: &&[u8]| -> Vec<Stored<'_>> {
        events.iter().filter(|s| s.event.container == *container).rev_in_order()
    };
    let mut queues: Vec<Vec<Stored<'_>>> = Script::containers().iter().map(own).filter(|q| !q.is_empty()).collect();
    let mut shuffled = EventBuf::new();
    let mut picks = picks.iter().cycle();
    while !queues.is_empty() {
        let at = picks.next().map_or(0, |pick| pick.index(queues.len()));
        shuffled.push_stored(queues[at].pop().unwrap());
        queues.retain(|queue| !queue.is_empty());
    }
    shuffled
}

/// A stack to be popped in the order in which things came.
trait RevInOrder: Iterator + Sized {
    fn rev_in_order(self) -> Vec<Self::Item> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}

impl<I: Iterator> RevInOrder for I {}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_number_of_workers_writes_the_same_bytes(script in script(), settings in settings()) {
        let events = script.events();
        let one = all_written(&learn(&events, settings, 1, "r"));
        for workers in [2, 3, 8] {
            prop_assert_eq!(&all_written(&learn(&events, settings, workers, "r")), &one, "{} workers", workers);
        }
    }

    #[test]
    fn any_interleaving_of_containers_writes_the_same_bytes(
        script in script(),
        settings in settings(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let shuffled = interleaved(&script, &picks);
        prop_assert_eq!(shuffled.len(), script.events().len());
        let ordered = all_written(&learn(&script.events(), settings, 2, "r"));
        prop_assert_eq!(all_written(&learn(&shuffled, settings, 2, "r")), ordered);
    }

    #[test]
    fn containers_spread_over_engines_merge_to_the_same_tree(
        script in script(),
        settings in settings(),
        order in Just((0..5_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let whole = learn(&script.events(), settings, 1, "r");
        let parts: Vec<Profiles> = Script::containers()
            .iter()
            .map(|container| {
                learn(&of_container(&script, container), settings, 1, &String::from_utf8_lossy(container))
            })
            .collect();
        let merged = |order: &[usize]| {
            let mut all: BTreeMap<Arc<str>, Profile> = BTreeMap::new();
            for (image, profile) in order.iter().flat_map(|i| &parts[*i]) {
                let into = all.entry(image.clone()).or_insert_with(|| Profile::new(image, settings.rules()));
                into.merge(profile).unwrap();
            }
            all
        };
        let ordered = merged(&[0, 1, 2, 3, 4]);
        prop_assert_eq!(ordered.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
        for (image, profile) in &ordered {
            prop_assert_eq!(profile.tree().structural_hash(), whole[image].tree().structural_hash());
            // The recordings are named differently; everything else is the same.
            let (mut doc, mut expected) = (profile.to_doc(), whole[image].to_doc());
            prop_assert_eq!(doc.ledger(), expected.ledger());
            doc.ledgers.clear();
            expected.ledgers.clear();
            prop_assert_eq!(doc, expected);
        }
        let shuffled = merged(&order);
        let written = |all: &BTreeMap<Arc<str>, Profile>| -> BTreeMap<Arc<str>, String> {
            all.iter().map(|(image, profile)| (image.clone(), written(profile))).collect()
        };
        prop_assert_eq!(written(&shuffled), written(&ordered));
    }
}
