//! The invariants of the design, held against generated events: what is counted is what happened, what is known
//! depends on what happened and on nothing else, and what is let go is gone.
//!
//! Every property is tried with `GROVE_CASES` generated inputs (1,000 unless set). A failing one is printed as lines
//! of the test language of `common`, shrunk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod confluence;
mod determinism;
mod eviction;
mod ledger;
mod merge;
mod tree;

use common::script::{Script, Settings};
use grove::intern::{Interner, TagRef};
use grove::profile::{Profile, ProfileDoc, decode, encode};
use grove::tree::{ActivityTree, Tree};
use proptest::test_runner::Config as Cases;

/// How many inputs each property is tried with. Nothing is kept of failures: one that is found becomes a test.
fn cases() -> Cases {
    let cases = std::env::var("GROVE_CASES").ok().map_or(1_000, |n| n.parse().unwrap());
    Cases { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Cases::default() }
}

/// The tree that one container's events make.
fn grow(script: &Script, settings: Settings, tag: &TagRef) -> ActivityTree {
    let mut tree = ActivityTree::new(settings.rules(), tag);
    for stored in script.events().iter() {
        tree.insert(&stored.event);
    }
    tree
}

fn tag(interner: &Interner, text: &str) -> TagRef {
    interner.intern(text).unwrap()
}

/// A profile of one tree.
fn profile_of(tree: &Tree) -> Profile {
    let mut profile = Profile::new("image", tree.rules().clone());
    profile.add_tree(tree).unwrap();
    profile
}

fn text(doc: &ProfileDoc) -> String {
    let mut bytes = Vec::new();
    encode(doc, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A profile as it is written, as text so that a difference can be read.
fn written(profile: &Profile) -> String {
    let (whole, mut bytes) = (text(&profile.to_doc()), Vec::new());
    encode(profile, &mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), whole, "element by element it is what it is as a document");
    whole
}

/// The written form of a tree itself, without a merge in between.
fn written_tree(tree: &Tree) -> String {
    let mut doc = Profile::new("image", tree.rules().clone()).to_doc();
    doc.processes = tree.to_docs();
    text(&doc)
}

/// A profile written, read and taken in again.
fn reread(profile: &Profile, settings: Settings, interner: &Interner) -> Profile {
    let doc = decode(written(profile).as_bytes()).unwrap();
    Profile::from_doc(&doc, settings.rules(), interner).unwrap()
}
