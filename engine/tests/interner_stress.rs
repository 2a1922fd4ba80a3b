//! The interner on real threads and the real map for long: tens of millions of operations on thousands of tags, held at
//! random. Afterwards it is empty, and the memory is what it was before.
//!
//! A test binary of its own, with one test: the allocator is counted.
#![allow(clippy::unwrap_used)]

#[path = "common/interner_work.rs"]
mod interner_work;

use grove::intern::{Interner, TagRef};
use interner_work::{HELD_MAX, work};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const THREADS: u64 = 4;
/// In all, unless `STRESS_OPERATIONS` says how many: under a sanitizer each takes ten times as long.
const OPERATIONS: u64 = 20_000_000;
const TAGS: usize = 5_000;
const ROUNDS: u64 = 5;

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
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
