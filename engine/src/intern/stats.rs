//! What the interner has done, counted so that threads do not wait for each other's cache lines.
//!
//! Every thread adds to one of a few stripes, each on cache lines of its own, and a tag is taken off where it was
//! added; a reader sums them up. A sum is exact when nobody is interning. The counters decide nothing, so the models
//! leave them out: they are `std`'s atomics in every build. (How many tags there are is what their shares count.)

use super::sync::STRIPES;
use super::text::Text;
use super::word::TagId;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};

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

impl Add for Stats {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            hits: self.hits + more.hits,
            misses: self.misses + more.misses,
            revivals: self.revivals + more.revivals,
            retries: self.retries + more.retries,
        }
    }
}

#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
    misses: AtomicU64,
    revivals: AtomicU64,
    retries: AtomicU64,
    /// Of tags that came, minus those of tags that left.
    bytes: AtomicU64,
}

#[derive(Default)]
pub(super) struct Counters {
    stripes: [Stripe; STRIPES],
}

/// Bytes of an entry in the index.
const ENTRY: usize = size_of::<u64>() + size_of::<Text>() + size_of::<TagId>();

/// Bytes of heap that a tag of this text takes, apart from its slot.
pub(super) fn bytes_of(text: &Text) -> usize {
    ENTRY + text.heap_bytes()
}

impl Counters {
    fn of(&self, stripe: usize) -> &Stripe {
        let [first, ..] = &self.stripes;
        self.stripes.get(stripe).unwrap_or(first)
    }

    // All relaxed: sums, which say nothing about other memory.

    pub(super) fn add(&self, stripe: usize, done: Stats) {
        let own = self.of(stripe);
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

    pub(super) fn came(&self, stripe: usize, bytes: usize) {
        self.of(stripe).bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn left(&self, stripe: usize, bytes: usize) {
        self.of(stripe).bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.stripes.iter().map(|s| of(s).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// A sum of comings and goings, some of which may have been seen in part: never below zero.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.sum(|s| &s.bytes).cast_signed()).unwrap_or(0)
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
