//! One container's tree, event by event: counts and bytes are those of a recount, a dry run tells what an insert
//! would do and changes nothing, and what is refused changes nothing either.

use crate::common::script::{container_script, settings};
use crate::{cases, tag};
use grove::event::Body;
use grove::intern::Interner;
use grove::ledger::{Fate, Ledger};
use grove::tree::ActivityTree;
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn counts_and_bytes_are_those_of_a_recount(script in container_script(), settings in settings()) {
        let mut tree = ActivityTree::new(settings.rules(), &tag(&Interner::new(), "1"));
        let mut ledger = Ledger::default();
        for stored in script.events().iter() {
            ledger.count(tree.insert(&stored.event));
            prop_assert!(ledger.balances());
            prop_assert_eq!(tree.stats(), tree.tree().recount());
            prop_assert_eq!(tree.tree().heap_bytes(), tree.tree().recount_bytes());
        }
    }

    #[test]
    fn a_dry_run_changes_nothing_and_tells_what_an_insert_would_do(script in container_script(), settings in settings()) {
        let interner = Interner::new();
        let mut tree = ActivityTree::new(settings.rules(), &tag(&interner, "1"));
        for stored in script.events().iter() {
            let before = (tree.tree().structural_hash(), tree.heap_bytes(), tree.processes(), interner.dump());
            let known = tree.contains(&stored.event);
            let after = (tree.tree().structural_hash(), tree.heap_bytes(), tree.processes(), interner.dump());
            prop_assert_eq!(before, after);
            match tree.insert(&stored.event) {
                Fate::New => prop_assert!(!known, "a dry run knew what then was new: {:?}", stored.event),
                Fate::Known => prop_assert!(known, "a dry run did not know what then was known: {:?}", stored.event),
                _ => {}
            }
            let doing = !matches!(stored.event.body, Body::Fork { .. } | Body::Exit);
            prop_assert!(!doing || tree.contains(&stored.event), "not known after its insert: {:?}", stored.event);
        }
    }

    #[test]
    fn what_is_ignored_or_rejected_leaves_the_tree_as_it_was(script in container_script(), settings in settings()) {
        let interner = Interner::new();
        let mut tree = ActivityTree::new(settings.rules(), &tag(&interner, "1"));
        for stored in script.events().iter() {
            let before = (tree.tree().structural_hash(), tree.tree().heap_bytes(), tree.stats(), interner.dump());
            if matches!(tree.insert(&stored.event), Fate::Ignored(_) | Fate::Rejected(_)) {
                let after = (tree.tree().structural_hash(), tree.tree().heap_bytes(), tree.stats(), interner.dump());
                prop_assert_eq!(before, after, "{:?}", stored.event);
            }
        }
    }
}
