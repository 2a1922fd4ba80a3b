//! Which process is which: every rule of the trace format about forks, execs, exits and lost events.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use grove::intern::Interner;
use grove::ledger::{Fate, Ledger};
use grove::profile::Profile;
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

/// Applies the events to one container's tree and compares the picture; returns the ledger.
fn check(text: &str, expected: &str) -> Ledger {
    let rules = Arc::new(Rules::default());
    let tag = Interner::new().intern("1").unwrap();
    let mut tree = ActivityTree::new(rules.clone(), &tag);
    let mut ledger = Ledger::default();
    for stored in common::events(text).iter() {
        let known = tree.contains(&stored.event);
        let fate = tree.insert(&stored.event);
        assert!(!known || fate != Fate::New, "a dry run knew what then was new: {:?}", stored.event);
        assert!(known || fate != Fate::Known, "a dry run did not know what then was known: {:?}", stored.event);
        ledger.count(fate);
    }
    assert!(ledger.balances());
    assert_eq!(tree.tree().stats(), tree.tree().recount());
    let mut profile = Profile::new("image", rules);
    profile.add_tree(tree.tree()).unwrap();
    let picture = common::picture(&profile.to_doc());
    let expected: String = expected.lines().map(str::trim_end).filter(|l| !l.trim().is_empty()).map(unindent).collect();
    assert_eq!(picture, expected, "after\n{text}");
    ledger
}

/// Test texts are indented by eight.
fn unindent(line: &str) -> String {
    format!("{}\n", line.strip_prefix("        ").unwrap_or(line))
}

#[test]
fn a_fork_alone_makes_no_node_and_its_doings_are_its_parents() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         open 2 /etc/passwd
         fork 3<-2
         open 3 /etc/group w",
        "
        /bin/sh
          - w /etc/group
          - r /etc/passwd
        ",
    );
    assert_eq!((ledger.lifecycle, ledger.applied_new), (2, 3));
}

#[test]
fn an_exec_after_a_fork_is_a_child_and_one_without_a_chain() {
    check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/ls
         exec 1<-0 /usr/bin/python
         open 1 /x",
        "
        /bin/sh
          /bin/ls
          /usr/bin/python chain
            - r /x
        ",
    );
}

#[test]
fn an_exec_of_what_already_runs_makes_no_node() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/../bin//sh
         exec 2<-1 /bin/ls",
        "
        /bin/sh
          /bin/ls chain
        ",
    );
    assert_eq!(ledger.applied_known, 1);
}
