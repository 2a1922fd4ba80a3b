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

/// Interns texts, and looks others up in another interner: how often something was allocated for the second interning.
fn allocations_after(look_up: impl Fn()) -> usize {
    let interner = Interner::new();
    let texts: Vec<String> = (0..40).map(|n| format!("1.{n}")).collect();
    let _held: Vec<_> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
    look_up();
    let before = allocations();
    for text in &texts {
        drop(interner.intern(text).unwrap());
    }
    allocations() - before
}

/// The heap that tags take while they are held, beside slots, is what the interner says.
fn bytes_are_exact() {
    let interner = Interner::new();
    let texts: Vec<String> = (0..1_000).map(|n| format!("1.{n}{}", "x".repeat(n % 3 * 30))).collect();
    let mut held = Vec::with_capacity(texts.len());
    // What is made once is there from the first round on: slots, and what this thread remembers.
    for round in 0..2 {
        let (heap, bytes) = (heap_bytes(), interner.bytes());
        held.extend(texts.iter().map(|text| interner.intern(text).unwrap()));
        let (heap, bytes) = (heap_bytes() - heap, interner.bytes() - bytes);
        assert!(round == 0 || heap == bytes, "{heap} bytes of heap, {bytes} are told");
        held.clear();
    }
}

#[test]
fn a_look_up_takes_nothing_and_a_tag_gives_its_text_back() {
    bytes_are_exact();

    // A look-up makes nothing and, in another interner, disturbs nothing that this thread remembers of the first.
    let other = Interner::new();
    let _x = other.intern("x").unwrap();
    let look_up = || {
        let before = allocations();
        assert!(other.lookup("x").is_some() && other.lookup("y").is_none());
        assert_eq!(allocations(), before);
    };
    assert_eq!(allocations_after(look_up), 0, "what was found before is found without anything new");
    assert!(allocations_after(|| drop(other.intern("x").unwrap())) > 0, "interning in another begins anew");

    // Entries of the index wait until many can be freed at once. What waits is an entry for each of some thousand, with
    // 32 bytes that pointed to a text, but no text.
    const DROPPED: usize = 2_000;
    let interner = Interner::new();
    drop(interner.intern("first").unwrap());
    let start = heap_bytes();
    for n in 0..DROPPED {
        drop(interner.intern(&format!("{n}{}", "x".repeat(TEXT_MAX - 8))).unwrap());
    }
    assert_eq!((interner.len(), interner.bytes()), (0, 0));
    let waits = heap_bytes() - start;
    println!("{waits} bytes wait after {DROPPED} tags");
    assert!(waits < DROPPED * 128 + (64 << 10), "{waits} bytes wait");

    // However many come and go, no more waits than a batch, and this thread remembers no more.
    for n in 0..20 * DROPPED {
        drop(interner.intern(&format!("{n}{}", "x".repeat(TEXT_MAX - 8))).unwrap());
    }
    let waits = heap_bytes() - start;
    println!("{waits} bytes wait after many more");
    assert!(waits < 2_048 * 128 + (64 << 10), "{waits} bytes wait");
}
