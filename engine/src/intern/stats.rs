//! What the interner holds and has done.
//!
//! Counted when a tag comes or goes, never when one is found: so finding a tag writes no word that all threads share.
//! The counters decide nothing, so the models leave them out: they are `std`'s atomics in every build.

use super::word::TagId;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an interner has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternerStats {
    /// Texts that were not there when they were interned, and were added.
    pub added: u64,
    /// Times a thread that interned a text met its dying tag, and removed that tag's entry from the index.
    pub revivals: u64,
    /// Times a thread was overtaken by another that added the same text, and began anew.
    pub retries: u64,
}

impl Add for InternerStats {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            added: self.added + more.added,
            revivals: self.revivals + more.revivals,
            retries: self.retries + more.retries,
        }
    }
}

/// Bytes of an entry in the index.
const ENTRY: usize = size_of::<Arc<str>>() + size_of::<TagId>();

/// Bytes of heap that a tag takes, apart from its slot: its entry in the index; its text, and two counts before it.
fn bytes(text: &str) -> u64 {
    (ENTRY + (2 * size_of::<usize>() + text.len()).next_multiple_of(size_of::<usize>())) as u64
}

// All relaxed: numbers that say nothing about other memory.
#[derive(Default)]
pub(super) struct Counters {
    len: AtomicU64,
    bytes: AtomicU64,
    added: AtomicU64,
    revivals: AtomicU64,
    retries: AtomicU64,
}

impl Counters {
    /// A tag has a slot.
    pub fn came(&self, text: &str) {
        self.len.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes(text), Relaxed);
    }

    /// A reference to a text was given back.
    pub fn left(&self, text: &str) {
        self.len.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes(text), Relaxed);
    }

    pub fn added(&self) {
        self.added.fetch_add(1, Relaxed);
    }

    pub fn revived(&self) {
        self.revivals.fetch_add(1, Relaxed);
    }

    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub fn len(&self) -> usize {
        self.len.load(Relaxed) as usize
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed) as usize
    }

    pub fn stats(&self) -> InternerStats {
        InternerStats {
            added: self.added.load(Relaxed),
            revivals: self.revivals.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }
}
