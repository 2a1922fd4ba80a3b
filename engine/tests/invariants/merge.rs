//! Merging: commutative, associative, idempotent, and the same for what was written and read in between.

use crate::common::script::{container_script, settings};
use crate::{cases, grow, profile_of, reread, tag, written, written_tree};
use grove::intern::Interner;
use grove::ledger::{Fate, Ignored, Ledger};
use grove::profile::Profile;
use grove::tree::Tree;
use proptest::prelude::*;

/// What there is to compare of a tree.
fn known(tree: &Tree) -> (String, u64) {
    (written_tree(tree), tree.structural_hash())
}

fn merged(a: &Tree, b: &Tree) -> Tree {
    let mut tree = a.clone();
    tree.merge(b).unwrap();
    assert_eq!(tree.stats(), tree.recount());
    assert_eq!(tree.heap_bytes(), tree.recount_bytes());
    tree
}

fn both(a: &Profile, b: &Profile) -> Profile {
    let mut profile = a.clone();
    profile.merge(b).unwrap();
    profile
}

/// Ledgers of up to three recordings.
fn ledgers() -> impl Strategy<Value = Vec<(u8, Ledger)>> {
    let ledger = (0..5_u64, 0..5_u64, 0..5_u64).prop_map(|(new, known, failed)| {
        let mut ledger = Ledger::default();
        ledger.received = new + known + failed;
        ledger.settle(Fate::New, new);
        ledger.settle(Fate::Known, known);
        ledger.settle(Fate::Ignored(Ignored::Failed), failed);
        ledger
    });
    prop::collection::vec((0..3_u8, ledger), 0..3)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn trees_merge_in_any_order(
        scripts in prop::array::uniform3(container_script()),
        tags in prop::array::uniform3(1..=2_u32),
        settings in settings(),
    ) {
        let interner = Interner::new();
        let trees: Vec<_> = scripts
            .iter()
            .zip(tags)
            .map(|(script, t)| grow(script, settings, &tag(&interner, &t.to_string())))
            .collect();
        let [a, b, c] = [trees[0].tree(), trees[1].tree(), trees[2].tree()];
        let ab = merged(a, b);
        prop_assert_eq!(known(&ab), known(&merged(b, a)), "commutative");
        prop_assert_eq!(known(&merged(&ab, c)), known(&merged(a, &merged(b, c))), "associative");
        prop_assert_eq!(known(&merged(&ab, c)), known(&merged(&merged(c, a), b)), "any order");
        prop_assert_eq!(known(&merged(&ab, b)), known(&ab), "idempotent");
        prop_assert_eq!(known(&merged(&ab, &ab)), known(&ab), "idempotent");
        prop_assert_eq!(written_tree(&merged(&Tree::new(settings.rules()), a)), written_tree(a), "neutral");
    }

    #[test]
    fn profiles_merge_in_any_order_also_after_they_were_written_and_read(
        scripts in prop::array::uniform3(container_script()),
        ledgers in prop::array::uniform3(ledgers()),
        settings in settings(),
    ) {
        let interner = Interner::new();
        let profiles: Vec<Profile> = scripts
            .iter()
            .zip(ledgers)
            .enumerate()
            .map(|(i, (script, ledgers))| {
                let mut profile = profile_of(grow(script, settings, &tag(&interner, &(i % 2).to_string())).tree());
                ledgers.iter().for_each(|(recording, ledger)| profile.add_ledger(&recording.to_string(), ledger));
                profile
            })
            .collect();
        let [a, b, c] = [&profiles[0], &profiles[1], &profiles[2]];
        let ab = both(a, b);
        prop_assert_eq!(written(&ab), written(&both(b, a)), "commutative");
        let abc = written(&both(&ab, c));
        prop_assert_eq!(&abc, &written(&both(a, &both(b, c))), "associative");
        prop_assert_eq!(written(&both(&ab, a)), written(&ab), "idempotent");

        let read = |profile: &Profile| reread(profile, settings, &interner);
        prop_assert_eq!(written(&read(&ab)), written(&ab), "what is read is what was written");
        prop_assert_eq!(written(&both(&read(a), &read(b))), written(&ab), "merged after reading");
        prop_assert_eq!(&written(&both(&read(&both(&read(c), a)), &read(b))), &abc, "merged after reading");
        // Not the hash: a process's own execs are written as part of the hull of what is below it.
    }
}
