//! What the interner takes of the heap: nothing for a look-up, and no text of a tag that has gone.
//!
//! A test binary of its own, with one test: the allocator is counted.
#![allow(clippy::unwrap_used)]

use grove::intern::{Interner, TEXT_MAX};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn allocations() -> usize {
    ALLOCATOR.stats().allocations
}

/// The heap that tags take while they are held, beside slots, is what the interner says.
fn bytes_are_exact() {
    let interner = Interner::new();
    let texts: Vec<String> = (0..1_000).map(|n| format!("1.{n}{}", "x".repeat(n % 3 * 30))).collect();
    let intern = || texts.iter().map(|text| interner.intern(text).unwrap()).collect::<Vec<_>>();
    // What is made once is there afterwards: slots, and what the map keeps of this thread.
    drop(intern());
    let mut held = Vec::with_capacity(texts.len());
    let (heap, bytes, slots) = (heap_bytes(), interner.bytes(), interner.slot_bytes());
    held.extend(texts.iter().map(|text| interner.intern(text).unwrap()));
    let (heap, bytes) = (heap_bytes() - heap, interner.bytes() - bytes);
    assert_eq!((heap, interner.slot_bytes()), (bytes, slots));
}

#[test]
fn a_look_up_takes_nothing_and_a_tag_gives_its_text_back() {
    bytes_are_exact();

    let interner = Interner::new();
    let x = interner.intern("x").unwrap();
    let before = allocations();
    assert!(interner.lookup("x").is_some() && interner.lookup("y").is_none());
    assert_eq!(interner.intern("x").unwrap().id(), x.id());
    assert_eq!(allocations(), before, "what is there is found without anything new");
    drop(x);

    // Entries of the index, and with them texts, wait until a batch of them can be freed at once; however many come and
    // go, no more than that.
    let batch = 32.max(std::thread::available_parallelism().map_or(1, usize::from));
    let start = heap_bytes();
    for round in 0..5 {
        for n in 0..2_000 {
            drop(interner.intern(&format!("{n}{}", "x".repeat(TEXT_MAX - 8))).unwrap());
        }
        assert_eq!((interner.len(), interner.bytes()), (0, 0));
        let waits = heap_bytes().saturating_sub(start);
        println!("{waits} bytes wait after round {round}");
        assert!(waits <= batch * (TEXT_MAX + 128), "{waits} bytes wait");
    }
}
