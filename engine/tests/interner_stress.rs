//! The interner on real threads and the real map for long: tens of millions of operations on thousands of tags, held at
//! random. Afterwards it is empty, and the memory is what it was before.
//!
//! A test binary of its own, with one test: the allocator is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use grove::intern::{Interner, TagRef};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const THREADS: u64 = 4;
/// In all, unless `STRESS_OPERATIONS` says how many: under a sanitizer each takes ten times as long.
const OPERATIONS: u64 = 20_000_000;
const TAGS: usize = 5_000;
/// Tags that a thread holds at most.
const HELD_MAX: usize = 500;
/// Half of all operations are on so many tags, so that threads meet.
const HOT: u64 = 4;
const ROUNDS: u64 = 5;

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Interns, clones, looks up, resolves, holds and drops; by chance, and the same by every seed.
fn work(interner: &Interner, tags: &[String], seed: u64, operations: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut held: Vec<TagRef> = Vec::new();
    let mut session = interner.session();
    for operation in 0..operations {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let n = if state & 1 == 0 { (state >> 8) as usize % tags.len() } else { (state >> 8 & (HOT - 1)) as usize };
        let text = &tags[n];
        match state >> 60 {
            0..10 => {
                let tag = session.intern(text).unwrap();
                assert_eq!(tag.text(), text);
                if state >> 40 & 3 == 0 {
                    held.push(tag);
                }
            }
            10 => {
                let found = session.lookup(text).and_then(|id| interner.retain(id));
                assert!(found.is_none_or(|tag| tag.text() == text));
            }
            11 => {
                let resolved = held.last().map(|tag| (interner.resolve(tag.id()), tag.text()));
                assert!(resolved.is_none_or(|(ours, text)| ours.as_deref() == Some(text)));
            }
            12 => held.extend(held.last().cloned()),
            _ => drop((!held.is_empty()).then(|| held.swap_remove(state as usize % held.len()))),
        }
        if held.len() > HELD_MAX {
            held.clear();
        }
        if operation % 64 == 0 {
            drop(session);
            session = interner.session();
        }
    }
}

#[test]
fn an_interner_under_stress_ends_as_it_began() {
    // Short and long texts: in place, and behind a pointer.
    let tags: Vec<String> = (0..TAGS).map(|n| format!("1.{n}-{}", "x".repeat(n % 3 * 30))).collect();
    let asked = std::env::var("STRESS_OPERATIONS").map(|n| n.parse::<u64>().unwrap());
    let operations = asked.unwrap_or(OPERATIONS) / ROUNDS;
    let mut heap = Vec::new();
    for round in 0..ROUNDS {
        let interner = Interner::new();
        let start = (interner.len(), interner.bytes());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (interner, tags) = (&interner, &tags);
                scope.spawn(move || work(interner, tags, thread << 32 | round, operations / THREADS));
            }
        });
        assert_eq!((interner.len(), interner.bytes()), start);
        assert_eq!(start, (0, 0));
        assert!(interner.dump().is_empty());
        let stats = interner.stats();
        assert!(stats.hits > operations / 4 && stats.misses > 1_000, "{stats:?}");
        println!("{stats:?}, {} bytes of slots", interner.slot_bytes());
        // No more slots than the threads held at once, and a doubling.
        assert!(interner.slot_bytes() <= 2 * 128 * THREADS as usize * (HELD_MAX + 2));
        drop(interner);
        heap.push(heap_bytes());
    }
    // Threads and the map's crate keep memory for the next ones, now and then more of it; a leak would grow with each
    // round.
    let grown = heap.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    assert!(grown.is_some_and(|grown| grown < 16 << 10), "every round leaves more behind: {heap:?}");
}
