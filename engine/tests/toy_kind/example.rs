//! What the toy kind does, from a line of a trace to a finding: replaying, writing, reading, merging, comparing, checking.

use grove::event::{Body, EventBuf, EventRef, Exec, Listen};
use grove::intern::Interner;
use grove::profile::{Profile, decode, diff, drift::Checker, encode};
use grove::trace::{Decoder, native::NativeDecoder};
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

fn learned(tag: &str, backlog: u32) -> Profile {
    let interner = Interner::global();
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &interner.intern(tag).unwrap());
    let event = |body| EventRef::new(1, b"c", 1, body);
    tree.insert(&event(Body::Exec(Exec::new(0, b"/bin/app".as_slice()))));
    let mut events = EventBuf::new();
    let line = format!(r#"{{"type":"listen","ts":2,"container":"c","pid":1,"name":"{tag}","backlog":{backlog}}}"#);
    NativeDecoder::new().decode(line.as_bytes(), &mut events).unwrap();
    for stored in events.iter() {
        tree.insert(&stored.event);
    }
    let mut profile = Profile::new("image", Arc::new(Rules::default()));
    profile.add_tree(tree.tree()).unwrap();
    profile
}

fn main() {
    let (a, b) = (learned("a", 5), learned("a", 7));
    let mut both = a.clone();
    both.merge(&b).unwrap();
    let mut json = Vec::new();
    encode(&both, &mut json).unwrap();
    let doc = decode(&json).unwrap();
    assert_eq!(doc, both.to_doc());
    let read = Profile::from_doc(&doc, Arc::new(Rules::default()), &Interner::global()).unwrap();
    let list = &doc.processes[0].listens;
    assert_eq!((list[0].name.as_str(), list[0].backlog, doc.stats().listen_nodes), ("a", 7, 1));

    let differences = diff(&a.to_doc(), &both.to_doc());
    assert_eq!((differences[0].kind, differences[0].detail.as_str()), ("listen", "5 → 7"));
    let mut shown = Vec::new();
    grove::export::tree(&doc, &grove::export::Palette::plain(), 80, &mut shown).unwrap();
    assert!(String::from_utf8(shown).unwrap().contains("listens   a  backlog 7"));

    let (image, tag) = (Arc::from("image"), Arc::from("a"));
    let mut checker = Checker::new(read.tree().clone(), &Rules::default(), b"c", &image, &tag);
    let event = |body| EventRef::new(3, b"c", 1, body);
    checker.check(&event(Body::Exec(Exec::new(0, b"/bin/app".as_slice()))));
    for (name, backlog) in [(&b"a"[..], 6), (b"a", 8), (b"b", 1)] {
        checker.check(&event(Body::Listen(Listen::new(name, backlog))));
    }
    let found: Vec<_> = checker.findings().iter().map(|f| (f.kind, f.subject.clone())).collect();
    assert_eq!(found, [("listen", "a".to_owned()), ("listen", "b".to_owned())]);
    println!("learned, written, read, merged, compared, checked");
}
