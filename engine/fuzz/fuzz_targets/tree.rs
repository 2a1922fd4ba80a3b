//! Any native trace applied to a small tree: no panic, counts and bytes that a recount confirms, a dry run that is
//! right, and a budget that holds.
#![no_main]

use grove::event::EventBuf;
use grove::intern::Interner;
use grove::ledger::Fate;
use grove::trace::Decoder;
use grove::trace::native::NativeDecoder;
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut decoder = NativeDecoder::new();
    let mut events = EventBuf::new();
    for line in data.split(|b| *b == b'\n') {
        let _ = decoder.decode(line, &mut events);
    }
    let rules = Rules { path_fanout: 2, peer_fanout: 2, lineage_depth: 4, processes_max: 16, ..Rules::default() };
    let tag = Interner::new().intern("t").unwrap();
    let mut tree = ActivityTree::new(Arc::new(rules), &tag);
    for stored in events.iter() {
        let known = tree.contains(&stored.event);
        let fate = tree.insert(&stored.event);
        assert!(!known || fate != Fate::New);
    }
    assert_eq!(tree.tree().stats(), tree.tree().recount());
    assert_eq!(tree.tree().heap_bytes(), tree.tree().recount_bytes());
});
