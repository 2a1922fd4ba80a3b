//! Second workloads of containers, told with the line of the input that has them to whoever feeds it.
//!
//! Only a worker knows what a container was told to be, and it counts what tells otherwise; whoever reads the input is
//! further on by then.

use crate::behaviour::Reject;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// So many lines of one input are told; the ledger counts all.
const LINES_MAX: usize = 65_536;

/// The conflicts in what one sender sends.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    any: AtomicBool,
    found: Mutex<Found>,
}

/// What was found in an input.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many.
    pub count: u64,
    /// The first of them, by line.
    pub lines: BTreeMap<u32, Reject>,
}

impl Conflicts {
    /// Adds what was found in a batch.
    pub fn add(&self, lines: impl Iterator<Item = (u32, Reject)>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (line, reject) in lines {
            found.count += 1;
            found.lines.insert(line, reject);
            if found.lines.len() > LINES_MAX {
                found.lines.pop_last();
            }
            // It tells to look, and orders nothing: the lock does.
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// All that were found.
    pub fn take(&self) -> Found {
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
