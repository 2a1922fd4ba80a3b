//! Two levels: trees hold one reference per tag and count their records themselves.

use crate::harness::check;
use crate::intern::Interner;
use crate::tags::LocalTags;
use loom::thread::spawn;
use std::sync::Arc;

/// A tree two records of which bear the tag "a".
fn tree(interner: &Interner) -> LocalTags {
    let mut tags = LocalTags::default();
    let local = tags.own(&interner.intern("a").unwrap()).unwrap();
    tags.used(local);
    tags.used(local);
    tags
}

#[test]
fn two_trees_drop_a_tag_while_a_third_interns_it() {
    let outcomes = ["kept alive", "new id"];
    check("two_trees_drop_a_tag_while_a_third_interns_it", &outcomes, |seen| {
        let interner = Interner::with_limit(2);
        let (mut one, two) = (tree(&interner), tree(&interner));
        assert_eq!(interner.dump()[0].2, 2, "one reference per tree, however many records");
        let old = one.get(0).unwrap().id();
        let first = spawn(move || {
            one.unused(0);
            one.unused(0);
            one.release_unused();
        });
        let second = spawn(move || drop(two));
        let three = tree(&interner);
        first.join().unwrap();
        second.join().unwrap();
        let id = three.get(0).unwrap().id();
        assert_eq!(interner.lookup("a"), Some(id));
        assert_eq!(interner.dump()[0].2, 1);
        assert!(three.add_up([0, 0].into_iter()));
        seen.note(id == old, "kept alive");
        seen.note(id != old, "new id");
        drop(three);
        interner.assert_idle();
    });
}

#[test]
fn ids_resolve_or_do_not_while_the_last_tree_goes() {
    check("ids_resolve_or_do_not_while_the_last_tree_goes", &["resolved", "gone"], |seen| {
        let interner = Interner::with_limit(1);
        let tree = tree(&interner);
        let (id, other) = (tree.get(0).unwrap().id(), interner.clone());
        let thread = spawn(move || other.resolve(id));
        drop(tree);
        let resolved = thread.join().unwrap();
        assert!(resolved.as_deref().is_none_or(|text| text == "a"));
        seen.note(resolved.is_some(), "resolved");
        seen.note(resolved.is_none(), "gone");
        drop(resolved);
        interner.assert_idle();
    });
}

#[test]
fn a_snapshot_outlives_its_tree() {
    check("a_snapshot_outlives_its_tree", &["tree last", "snapshot last"], |seen| {
        let interner = Interner::with_limit(1);
        let tree = tree(&interner);
        let snapshot = Arc::new(tree.clone());
        let other = interner.clone();
        let thread = spawn(move || {
            assert_eq!(snapshot.get(0).unwrap().text(), "a");
            drop(snapshot);
            other.lookup("a").is_none()
        });
        drop(tree);
        let gone = interner.lookup("a").is_none();
        let gone_there = thread.join().unwrap();
        assert!(gone || gone_there);
        seen.note(!gone_there, "tree last");
        seen.note(!gone, "snapshot last");
        interner.assert_idle();
    });
}
