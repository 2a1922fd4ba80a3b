//! Containers that nobody names, and that have ended, cost nothing for good: counted by the allocator, not estimated.
//!
//! A test binary of its own, with one test: whatever else allocates would be counted too.
#![allow(clippy::unwrap_used)]

mod common;

use common::events;
use grove::config::Config;
use grove::intern::Interner;
use grove::{Baselines, Engine, Overflow};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes allocated and not given back.
fn held() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// A container that starts, does a few things and stops, ten of them a second.
fn life(n: usize) -> String {
    let at = n / 10 + 1;
    let opens: String = (0..20).map(|f| format!("{at}s c{n}: open 1 /usr/lib/{}\n", "x".repeat(f + 1))).collect();
    format!("{at}s c{n}: exec 1<-0 /bin/app\n{opens}{at}s c{n}: stop")
}

/// That nobody knows the container, said when so many others have come and gone.
fn nobody_knows(n: usize, after: usize) -> String {
    n.checked_sub(after)
        .map_or_else(String::new, |n| format!("{}s c{n}: start <unknown> <unknown>", (n + after) / 10 + 1))
}

#[test]
fn eight_thousand_containers_without_a_name_leave_memory_flat_from_the_first_thousand() {
    // A source that gives up within the time that is waited for a name, and one that never says so.
    for (checks, told) in [(false, Some(100)), (false, None), (true, Some(100)), (true, None)] {
        let builder = if checks { Engine::builder().check(Baselines::default()) } else { Engine::builder() };
        // Few and small batches: their buffers are kept, and how many there are depends on which thread is quicker.
        let config = Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 2, 32));
        let before = held();
        let engine = builder.config(&config).interner(Interner::new()).start().unwrap();
        let mut sender = engine.sender(Overflow::Wait);
        let mut levels = Vec::new();
        for thousand in 0..8 {
            for n in thousand * 1000..(thousand + 1) * 1000 {
                let text = told.map_or_else(String::new, |after| nobody_knows(n, after));
                events(&format!("{}\n{text}", life(n))).iter().for_each(|stored| {
                    sender.send(stored.event);
                });
            }
            sender.flush();
            // The workers have done all that came before a snapshot, which is then dropped.
            let snapshot = engine.snapshot();
            let starts = told.map_or(0, |after| (thousand + 1) * 1000 - after) as u64;
            assert!(snapshot.ledger.balances());
            assert_eq!(snapshot.ledger.received, (thousand as u64 + 1) * 22_000 + starts);
            drop((snapshot, engine.snapshot()));
            levels.push(held() - before);
        }
        println!("checks: {checks}, told: {told:?}; bytes after each thousand containers: {levels:?}");
        let first = levels[0] as f64;
        assert!(levels.iter().all(|level| (*level as f64) < first * 1.05), "{levels:?}");
        let end = engine.shutdown();
        assert_eq!((end.containers, end.ledger.dropped_total(), end.ledger.held), (8000, 0, 0));
    }
}
