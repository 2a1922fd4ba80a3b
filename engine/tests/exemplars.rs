//! What is kept of the names that a pattern stands for, through all that may happen to it and through a file.
//!
//! Not here: what becomes a pattern (`generalise`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{events, grow};
use grove::intern::Interner;
use grove::profile::{Profile, ProfileDoc, decode, encode};
use grove::tree::{Rules, Tree};
use std::fmt::Write;
use std::sync::Arc;

/// One line for each of `numbers`, `#` standing for the number.
fn each(numbers: impl IntoIterator<Item = u32>, line: &str) -> String {
    numbers.into_iter().fold(String::new(), |mut text, n| {
        writeln!(text, "{}", line.replace('#', &n.to_string())).unwrap();
        text
    })
}

/// The program, before and after what it does: of a process a document tells the hull of all that it did.
const EXEC: &str = "exec 1<-0 /bin/app\n";

/// A tree as a document, and the tree that the document's bytes are read as.
fn written_and_read(tree: &Tree) -> (ProfileDoc, Profile) {
    let mut profile = Profile::new("image", tree.rules().clone());
    profile.add_tree(tree).unwrap();
    let (doc, mut bytes) = (profile.to_doc(), Vec::new());
    encode(&doc, &mut bytes).unwrap();
    let read = decode(&bytes).unwrap();
    assert_eq!(read, doc);
    (doc, Profile::from_doc(&read, tree.rules().clone(), &Interner::new()).unwrap())
}

#[test]
fn a_united_program_without_a_record_of_its_own_keeps_its_exemplars() {
    let jobs = each(1..18, "fork #0<-1\nexec #0<-1 /srv/d1/job-#");
    let (mut tree, _) = grow(&format!("exec 1<-0 /bin/app\n{jobs}"), &Rules::default());
    // Its processes run on, and what they do from now on is all that is known of them.
    tree.evict_tag("1");
    let mut insert = |lines: &str| {
        for stored in events(lines).iter() {
            tree.insert(&stored.event);
        }
    };
    insert("open 10 /etc/passwd");
    insert(&each(2..18, "fork #00<-1\nexec #00<-1 /srv/d#/other"));
    insert("fork 1800<-1\nexec 1800<-1 /srv/d18/other");
    let docs = tree.tree().to_docs();
    let below: Vec<_> = docs.iter().filter(|process| process.parent == Some(0)).collect();
    assert_eq!(below.iter().map(|p| &*p.path).collect::<Vec<_>>(), ["/srv/*/job-*", "/srv/*/other"]);
    assert_eq!(below[0].exemplars.len(), 16);
    assert!(below[0].exemplars.iter().all(|name| name.starts_with("d1/job-")), "{:?}", below[0].exemplars);
}

#[test]
fn a_pattern_all_of_whose_exemplars_are_normalised_names_is_read_as_one() {
    const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";
    let cases = [
        ("open 1 /data/x#/f1", "open 1 /data/UUID/f#", "open 1 /data/x99/f99", "/data/*/*", vec![1]),
        ("open 1 /x#/f1", "open 1 /UUID/f#", "open 1 /x99/f99", "/*/*", vec![0]),
        (
            "connect 1 unix /run/x#/s1",
            "connect 1 unix /run/UUID/s#",
            "connect 1 unix /run/x99/s99",
            "/run/*/*",
            vec![1],
        ),
    ];
    for (few, many, later, path, learned) in cases {
        let many = each(1..5000, &many.replace("UUID", UUID));
        let text = format!("{EXEC}{}{many}{EXEC}", each(1..18, few));
        let tree = get_or_insert_quickly(&text);
        let (doc, read) = written_and_read(&tree);
        let app = &doc.processes[0];
        let files = app.files.iter().map(|f| (&f.path, &*f.exemplars, &*f.learned));
        let sockets = app.sockets.iter().map(|s| (&s.addr, &*s.exemplars, &*s.learned));
        let entries: Vec<_> = files.chain(sockets).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        let (name, exemplars, told) = entries[0];
        assert!(exemplars.iter().all(|name| name.starts_with("*/") || name.starts_with("/*/")), "{exemplars:?}");
        assert_eq!((name.as_str(), told), (path, &learned[..]));
        assert_eq!(read.tree().structural_hash(), tree.structural_hash(), "{path}");
        assert_eq!(read.to_doc(), doc);
        // What comes later is known by it, as it would have been without the file.
        let mut merged = Tree::clone(read.tree());
        let more = get_or_insert_quickly(&format!("{EXEC}{later}"));
        merged.merge(&more).unwrap();
        assert_eq!(merged.stats(), tree.stats(), "{path}");
    }
}

#[test]
fn a_profile_says_what_is_learned_only_where_its_exemplars_do_not() {
    let text = format!("{EXEC}{}{EXEC}", each(1..40, "open 1 /data/x#/f#\ndns 1 h#.example.com A"));
    let (tree, _) = grow(&text, &Rules::default());
    let (doc, read) = written_and_read(tree.tree());
    let app = &doc.processes[0];
    assert!(app.files[0].pattern && app.dns[0].pattern && !app.files[0].exemplars.is_empty());
    assert!(app.learned.is_empty() && app.files[0].learned.is_empty() && app.dns[0].learned.is_empty());
    assert_eq!(read.tree().structural_hash(), tree.tree().structural_hash());
}

/// As [`grow`], without its checks after every event, which visit all there is.
fn get_or_insert_quickly(text: &str) -> Tree {
    let interner = Interner::new();
    let mut tree = grove::tree::ActivityTree::new(Arc::default(), &interner.intern("1").unwrap());
    for stored in events(text).iter() {
        tree.insert(&stored.event);
    }
    tree.tree().clone()
}
