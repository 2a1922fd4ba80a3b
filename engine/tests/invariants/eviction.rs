//! Letting go: what is evicted is gone to the last byte, what stays is whole, and processes go on.

use crate::common::script::{Script, Settings, container_script, settings};
use crate::{cases, grow, profile_of, tag, written, written_tree};
use grove::intern::Interner;
use grove::ledger::Fate;
use grove::profile::{ProcessDoc, ProfileDoc};
use grove::tree::Tree;
use proptest::prelude::*;

/// Both trees in one, of different tags.
fn two_tags(scripts: &[Script; 2], settings: Settings, interner: &Interner) -> Tree {
    let mut tree = grow(&scripts[0], settings, &tag(interner, "old")).tree().clone();
    tree.merge(grow(&scripts[1], settings, &tag(interner, "new")).tree()).unwrap();
    tree
}

/// How many references there are to a tag.
fn references(interner: &Interner, tag: &str) -> u64 {
    interner.dump().iter().filter(|(text, _, _)| &**text == tag).map(|(_, _, n)| *n).sum()
}

/// Every parent was last seen no earlier than its children, and first seen no later.
fn spans_nest(doc: &ProfileDoc) -> bool {
    doc.processes.iter().all(|child| {
        let Some(process) = child.parent.map(|parent| &doc.processes[parent as usize]) else { return true };
        child.seen.iter().all(|(tag, [first, last])| {
            process.seen.get(tag).is_some_and(|[above_first, above_last]| above_first <= first && last <= above_last)
        })
    })
}

/// A line without what is kept per node and not per tag.
fn tagged(line: &str) -> String {
    let untagged = |word: &str| {
        word.starts_with("--uid=") || word.starts_with("--by=") || matches!(word, "AAAA" | "TYPE65280" | "A")
    };
    let words = line.split(' ').filter(|word| !untagged(word));
    let line = words.collect::<Vec<_>>().join(" ");
    if line.starts_with("dns") { line + " A" } else { line }
}

/// The written form without access modes and the like, which are kept per node and not per tag.
fn without_flags(tree: &Tree) -> String {
    let mut text = written_tree(tree);
    for flag in ["exec_chain", "fileless", "upper_layer"] {
        text = text.replace(&format!("\"{flag}\":true,"), "").replace(&format!("\"{flag}\":false,"), "");
    }
    for access in ["\"r\"", "\"w\""] {
        text = text.replace(&format!("\"access\":{access}"), "\"access\":\"rw\"");
    }
    text
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_evicted_tag_is_gone(scripts in prop::array::uniform2(container_script()), settings in settings()) {
        let interner = Interner::new();
        let mut tree = two_tags(&scripts, settings, &interner);
        let held = tag(&interner, "old");
        let uses = tree.tag_uses("new");
        let others = tree.tags().contains("new");
        tree.evict_tag("old");
        prop_assert!(!tree.tags().contains("old"));
        prop_assert_eq!((tree.tag_uses("old"), tree.tag_uses("new")), (0, uses));
        prop_assert_eq!((references(&interner, "old"), references(&interner, "new")), (1, u64::from(others)));
        drop(held);
        prop_assert_eq!(interner.lookup("old"), None);
        prop_assert_eq!(tree.stats(), tree.recount());
        prop_assert_eq!(tree.heap_bytes(), tree.recount_bytes());
        let doc = profile_of(&tree).to_doc();
        prop_assert!(doc.processes.iter().all(|p| p.seen.get("old").is_none() && !p.seen.is_empty()));
        prop_assert!(doc.processes.iter().flat_map(|p| &p.files).all(|f| f.seen.get("old").is_none() && !f.seen.is_empty()));
    }

    #[test]
    fn evicting_the_last_tag_leaves_nothing(script in container_script(), settings in settings()) {
        let interner = Interner::new();
        let mut tree = grow(&script, settings, &tag(&interner, "old")).tree().clone();
        tree.evict_tag("old");
        prop_assert_eq!(tree.structural_hash(), Tree::new(settings.rules()).structural_hash());
        prop_assert!(interner.is_empty());
    }

    #[test]
    fn a_tag_that_came_and_went_leaves_no_byte(scripts in prop::array::uniform2(container_script())) {
        // Without patterns, user ids, interpreters and query types: what a second tag adds to those is not its own, and stays.
        let scripts = scripts.map(|script| Script(script.0.iter().map(|line| tagged(line)).collect()));
        let settings = Settings { path_fanout: 1000, peer_fanout: 1000, differentiate_args: false };
        let interner = Interner::new();
        let mut tree = grow(&scripts[0], settings, &tag(&interner, "stays")).tree().clone();
        tree.evict_tag("none");
        let known = |tree: &Tree| (tree.heap_bytes(), tree.name_bytes(), tree.stats(), without_flags(tree));
        let before = known(&tree);
        tree.merge(grow(&scripts[1], settings, &tag(&interner, "goes")).tree()).unwrap();
        tree.evict_tag("goes");
        prop_assert_eq!(known(&tree), before);
        // Whichever came first.
        let mut other = grow(&scripts[1], settings, &tag(&interner, "goes")).tree().clone();
        other.merge(&tree).unwrap();
        other.evict_tag("goes");
        prop_assert_eq!(known(&other), known(&tree));
    }

    #[test]
    fn nothing_goes_that_has_younger_children(
        scripts in prop::array::uniform2(container_script()),
        settings in settings(),
        ts in 0..=200_u64,
    ) {
        let interner = Interner::new();
        let mut tree = two_tags(&scripts, settings, &interner);
        let full = profile_of(&tree).to_doc();
        prop_assert!(spans_nest(&full));
        tree.evict_before(ts);
        prop_assert_eq!(tree.stats(), tree.recount());
        let doc = profile_of(&tree).to_doc();
        prop_assert!(spans_nest(&doc));
        // Exactly the records of before that are young enough.
        let young = |p: &&ProcessDoc| p.seen.iter().any(|(_, [_, last])| last.0 >= ts);
        let lineages = |doc: &ProfileDoc| -> Vec<String> {
            doc.processes.iter().filter(young).map(ProcessDoc::name).collect()
        };
        prop_assert_eq!(lineages(&doc), lineages(&full));
        prop_assert_eq!(doc.processes.len(), lineages(&doc).len());
        let files = |doc: &ProfileDoc| -> Vec<String> {
            let young = |f: &&grove::profile::FileDoc| f.seen.iter().any(|(_, [_, last])| last.0 >= ts);
            doc.processes.iter().flat_map(|p| &p.files).filter(young).map(|f| f.path.clone()).collect()
        };
        prop_assert_eq!(files(&doc), files(&full));
        prop_assert_eq!(doc.stats().file_nodes as usize, files(&doc).len());
    }

    #[test]
    fn living_processes_go_on_after_an_eviction(
        script in container_script(),
        at in any::<prop::sample::Index>(),
        settings in settings(),
        what in prop::option::of(0..=200_u64),
    ) {
        let interner = Interner::new();
        let mut tree = grove::tree::ActivityTree::new(settings.rules(), &tag(&interner, "1"));
        let events = script.events();
        let at = at.index(events.len() + 1);
        for (i, stored) in events.iter().enumerate() {
            if i == at {
                let processes = tree.processes();
                match what {
                    Some(ts) => tree.evict_before(ts),
                    None => tree.evict_tag("1"),
                }
                prop_assert_eq!(tree.processes(), processes);
                prop_assert!(what.is_some() || tree.tree().tag_uses("1") == 0);
            }
            let known = tree.contains(&stored.event);
            let fate = tree.insert(&stored.event);
            prop_assert!(!known || fate != Fate::New, "{:?}", stored.event);
            prop_assert!(known || fate != Fate::Known, "{:?}", stored.event);
            prop_assert_eq!(tree.stats(), tree.tree().recount());
        }
        prop_assert!(spans_nest(&profile_of(tree.tree()).to_doc()));
    }

    #[test]
    fn a_tree_that_was_rebuilt_grows_like_one_that_was_not(
        script in container_script(),
        at in any::<prop::sample::Index>(),
        settings in settings(),
    ) {
        let interner = Interner::new();
        let mut tree = grove::tree::ActivityTree::new(settings.rules(), &tag(&interner, "1"));
        let events = script.events();
        let at = at.index(events.len() + 1);
        for (i, stored) in events.iter().enumerate() {
            if i == at {
                // Nothing bears this tag, so nothing goes.
                tree.evict_tag("2");
            }
            tree.insert(&stored.event);
        }
        let whole = grow(&script, settings, &tag(&interner, "1"));
        prop_assert_eq!(written(&profile_of(tree.tree())), written(&profile_of(whole.tree())));
    }
}
