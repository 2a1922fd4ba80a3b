//! The interner on real threads and the real map for long: tens of millions of operations on thousands of tags, held at
//! random, and on a few that come and go all the time. Afterwards it is empty, and the memory is what it was before.
//!
//! A test binary of its own, with one test: the allocator is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/interner_work.rs"]
mod interner_work;

use grove::intern::{Interner, InternerStats, TagRef};
use interner_work::{HELD_MAX, work};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const THREADS: u64 = 4;
/// In all, unless `STRESS_OPERATIONS` says how many: under a sanitizer each takes ten times as long.
const OPERATIONS: u64 = 20_000_000;
const TAGS: usize = 5_000;
const ROUNDS: usize = 10;
/// In so many of them threads and the map's crate make what they keep for the next ones.
const WARM_UP: usize = 3;
/// Bytes of heap that all rounds after these may leave behind together: one tag in ten thousand that loses a byte is
/// seen.
const LEFT_MAX: usize = 1 << 10;

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// One interner, from its first tag until it has gone; what it did.
fn round(tags: &[String], round: usize, operations: u64) -> InternerStats {
    let interner = Interner::new();
    let start = (interner.len(), interner.bytes());
    std::thread::scope(|scope| {
        let seeds = (0..THREADS).map(|thread| thread << 32 | round as u64);
        let work = |seed| {
            let interner = &interner;
            scope.spawn(move || work(interner, tags, seed, operations / THREADS))
        };
        let threads: Vec<_> = seeds.map(work).collect();
        // The scope's end would not wait for what threads give back as they end, only this does.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!((interner.len(), interner.bytes()), start);
    assert_eq!(start, (0, 0));
    assert!(interner.dump().is_empty());
    // No more slots than the threads held at once, and a doubling.
    assert!(interner.slot_bytes() <= 2 * 64 * THREADS as usize * (HELD_MAX + 2));
    interner.stats()
}

#[test]
fn an_interner_under_stress_ends_as_it_began() {
    let tags: Vec<String> = (0..TAGS).map(|n| format!("1.{n}-{}", "x".repeat(n % 3 * 30))).collect();
    let asked = std::env::var("STRESS_OPERATIONS").map(|n| n.parse::<u64>().unwrap());
    let operations = asked.unwrap_or(OPERATIONS) / ROUNDS as u64;
    let (mut all, mut heap) = (InternerStats::default(), Vec::with_capacity(ROUNDS));
    for n in 0..ROUNDS {
        let stats = round(&tags, n, operations);
        heap.push(heap_bytes());
        println!("{stats:?}, {} bytes of heap", heap[n]);
        all = all + stats;
    }
    // Threads did meet: at tags that were going, and at tags that were coming.
    let total = operations * ROUNDS as u64;
    assert!(all.added > total / 100, "{all:?}");
    assert!(all.revivals > total / 20_000 && all.retries > total / 20_000, "{all:?}");
    // All threads have ended and the interner has gone: what is left more than after an earlier round is a leak.
    let grown = heap[ROUNDS - 1].saturating_sub(heap[WARM_UP - 1]);
    assert!(grown <= LEFT_MAX, "rounds leave something behind: {heap:?}");
}
