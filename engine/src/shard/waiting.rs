//! The containers of a shard whose workload is not known yet, the one that has waited for longest first; and what all
//! that they hold takes.
//!
//! Not here: the events themselves (`container`), and what becomes of them (`worker`).

use std::collections::VecDeque;

/// A container that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    /// Its place in the shard's table.
    pub index: usize,
    /// Its number, which no other container of the shard ever has.
    pub serial: u64,
}

/// Who waits. A container that waits no more is found out when its turn comes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: VecDeque<Waiter>,
    /// How many of them do wait.
    len: usize,
    /// Bytes that their events take.
    pub bytes: usize,
}

impl Waiting {
    /// A container begins to wait.
    pub fn begin(&mut self, waiter: Waiter, still: impl Fn(Waiter) -> bool) {
        self.len += 1;
        self.queue.push_back(waiter);
        // Behind one that waits for long, others come and go.
        if self.queue.len() > 2 * self.len + 64 {
            self.queue.retain(|waiter| still(*waiter));
        }
    }

    /// A container waits no more, and lets go of what it held.
    pub fn end(&mut self, bytes: usize) {
        self.len -= 1;
        self.bytes -= bytes;
    }

    /// The container that has waited for longest.
    pub fn oldest(&mut self, still: impl Fn(Waiter) -> bool) -> Option<Waiter> {
        while let Some(waiter) = self.queue.front() {
            if still(*waiter) {
                return Some(*waiter);
            }
            self.queue.pop_front();
        }
        None
    }
}
