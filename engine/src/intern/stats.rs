//! What the interner has done, counted so that threads do not wait for each other's cache lines.
//!
//! Every thread adds to one of a few stripes, each on cache lines of its own; a reader sums them up. A sum is
//! exact when nobody is interning. The counters decide nothing, so the models leave them out: they are `std`'s
//! atomics in every build.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const STRIPES: usize = 16;

/// What an interner has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Interned texts that were there.
    pub hits: u64,
    /// Interned texts that were not, and were added.
    pub misses: u64,
    /// Interned texts whose tag was just going, and that got a new id.
    pub revivals: u64,
    /// Times a thread was overtaken by another that added the same text, and began anew.
    pub retries: u64,
}

#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
    misses: AtomicU64,
    revivals: AtomicU64,
    retries: AtomicU64,
    /// Came minus left, modulo 2^64: one stripe may be below zero, the sum is not.
    tags: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
pub(super) struct Counters {
    stripes: [Stripe; STRIPES],
}

/// Bytes of heap that the text of a tag takes: the text behind the two counts of an [`Arc`].
pub(super) fn bytes_of(text: &Arc<str>) -> usize {
    (2 * size_of::<usize>() + text.len()).next_multiple_of(align_of::<usize>())
}

fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    // A thread that is ending and has lost its own uses another's.
    OWN.try_with(|own| *own).unwrap_or(0)
}

impl Counters {
    #[allow(clippy::indexing_slicing)] // the remainder of a division by the length
    fn own(&self) -> &Stripe {
        &self.stripes[own_stripe() % STRIPES]
    }

    // All relaxed: sums, which say nothing about other memory.

    pub(super) fn add(&self, done: Stats) {
        let own = self.own();
        for (counter, n) in [
            (&own.hits, done.hits),
            (&own.misses, done.misses),
            (&own.revivals, done.revivals),
            (&own.retries, done.retries),
        ] {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn came(&self, bytes: usize) {
        let own = self.own();
        own.tags.fetch_add(1, Ordering::Relaxed);
        own.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn left(&self, bytes: usize) {
        let own = self.own();
        own.tags.fetch_sub(1, Ordering::Relaxed);
        own.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.stripes.iter().map(|s| of(s).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// A sum of comings and goings, some of which may have been seen in part: never below zero.
    fn level(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> usize {
        usize::try_from(self.sum(of).cast_signed()).unwrap_or(0)
    }

    pub(super) fn tags(&self) -> usize {
        self.level(|s| &s.tags)
    }

    pub(super) fn bytes(&self) -> usize {
        self.level(|s| &s.bytes)
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            hits: self.sum(|s| &s.hits),
            misses: self.sum(|s| &s.misses),
            revivals: self.sum(|s| &s.revivals),
            retries: self.sum(|s| &s.retries),
        }
    }
}
