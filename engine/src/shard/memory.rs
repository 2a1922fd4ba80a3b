//! What the engine holds, in bytes, against one bound for all of it (`GROVE_MEMORY_MAX`).
//!
//! Each worker writes what it holds into a place of its own after every batch, and adds all places up: no event touches
//! a count that another thread touches. So the sum is late by one batch a worker, and that is how far it may go over.
//!
//! | class | share of the bound | at its share |
//! |---|---|---|
//! | containers: their trees, process tables, findings | a half | the quietest are taken for stopped |
//! | events held for containers without a name | a quarter | the longest wait is given up |
//! | findings of stopped containers | three eighths | further ones are only counted |
//! | batches in queues | an eighth, of which a quarter is not for behaviours that were not waited for | senders wait, or keep back |
//! | what senders that do not wait keep back | a sixteenth, of which a half is not for behaviours | it is lost, and counted (`lane`) |
//! | merged trees of images | what is left | |
//!
//! The shares are more than a whole, since not all of them are used up at once. What holds is the sum: near the bound
//! nothing new is taken but programs, at the bound not even those ([`Level`]). Where the process is Grove's own, what is
//! taken beside the sum is measured, and the bound is lower by what that leaves too little of (`resident`): shares are of
//! that lower bound, but for the one of findings, which is fixed at the start, so that what is told does not depend on the
//! moment (`kept`).
//!
//! Snapshots are counted apart: see [`Memory::copy`].
//!
//! Not here: what is given up for it (`worker/room`), and who asks whether there is room (`tree/room`).

use super::kept::Findings;
use super::resident::Resident;
use crate::config::Config;
use crate::tree::{Level, Room};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What is held, by what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Containers, with their trees or what was found of them.
    pub containers: usize,
    /// Events whose container has no name yet.
    pub waiting: usize,
    /// Merged trees of stopped containers.
    pub images: usize,
    /// Workloads of stopped containers.
    pub remembered: usize,
}

impl Held {
    pub fn total(&self) -> usize {
        let Self { containers, waiting, images, remembered } = self;
        containers + waiting + images + remembered
    }
}

/// What one worker held after its last batch. Two of them never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    containers: AtomicUsize,
    waiting: AtomicUsize,
    /// Merged trees, which a snapshot copies as well.
    images: AtomicUsize,
    total: AtomicUsize,
}

/// Memory of all workers, queues and copies.
#[derive(Debug)]
pub(super) struct Memory {
    max: usize,
    /// What the sum may be as things are: `max`, or what the process takes beside the sum leaves of it.
    now_max: AtomicUsize,
    /// What the process takes as a whole, where that counts.
    resident: Option<Resident>,
    hold_max: usize,
    places: Vec<Place>,
    /// What is kept of the findings of containers that have stopped.
    findings: Findings,
    /// Batches on their way to workers.
    queued: AtomicUsize,
    /// What senders keep back that do not wait.
    kept: AtomicUsize,
    /// Snapshots that somebody has. Not part of the sum: what is learned does not depend on who looks.
    copies: AtomicUsize,
    snapshots_left_out: AtomicU64,
    room: Room,
}

impl Memory {
    pub fn new(config: &Config) -> Self {
        let max = config.memory_max;
        let resident = config.own_process.then(|| Resident::new(config.resident_max).ok()).flatten();
        Self {
            max,
            now_max: AtomicUsize::new(max),
            resident,
            hold_max: config.hold_total_bytes,
            findings: Findings::new(config),
            places: (0..config.workers.max(1)).map(|_| Place::default()).collect(),
            queued: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            copies: AtomicUsize::new(0),
            snapshots_left_out: AtomicU64::new(0),
            room: Room::default(),
        }
    }

    /// What trees ask before they grow.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// What is kept of the findings of containers that have stopped.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// A worker says what it holds.
    pub fn publish(&self, worker: usize, held: &Held) {
        if let Some(place) = self.places.get(worker) {
            place.containers.store(held.containers, Ordering::Relaxed);
            place.waiting.store(held.waiting, Ordering::Relaxed);
            place.images.store(held.images, Ordering::Relaxed);
            place.total.store(held.total(), Ordering::Relaxed);
        }
        self.judge();
    }

    fn judge(&self) {
        let total = self.total();
        let max = self.resident.as_ref().map_or(self.max, |resident| resident.left(total).min(self.max));
        self.now_max.store(max, Ordering::Relaxed);
        let spare = max / 16;
        self.room.set(if total < max - spare {
            Level::Open
        } else if total < max {
            Level::Programs
        } else if total < max + spare {
            Level::Full
        } else {
            Level::Over
        });
    }

    /// What the sum may be as things are: shares are of that, or what there is too little of would never be let go.
    fn now_max(&self) -> usize {
        self.now_max.load(Ordering::Relaxed)
    }

    fn sum(&self, of: impl Fn(&Place) -> &AtomicUsize) -> usize {
        self.places.iter().map(|place| of(place).load(Ordering::Relaxed)).sum()
    }

    /// All that is held.
    pub fn total(&self) -> usize {
        let of_workers = self.sum(|place| &place.total) + self.findings.heap_bytes();
        of_workers + self.queued.load(Ordering::Relaxed) + self.kept.load(Ordering::Relaxed)
    }

    /// Room for a snapshot of all that is known; none where all that is held, the snapshots that there are and this one
    /// would take more than two and a half times the bound, or the process more than it may.
    pub fn copy(self: &Arc<Self>) -> Option<Copies> {
        let kept = self.sum(|place| &place.images) + self.findings.heap_bytes();
        let bytes = self.sum(|place| &place.containers) + kept;
        let total = self.total();
        let all = total + self.copies.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let copies = Copies { memory: self.clone(), bytes };
        let resident = self.resident.as_ref().is_some_and(|resident| total + bytes > 2 * resident.left(total));
        if all > self.max / 2 * 5 || resident {
            self.snapshots_left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(copies)
    }

    /// How many snapshots there was no room for.
    pub fn snapshots_left_out(&self) -> u64 {
        self.snapshots_left_out.load(Ordering::Relaxed)
    }

    /// Whether a worker whose containers take so much has to let some of them go: all together take more than their
    /// share, and its own are more than its part of what is to be left.
    pub fn containers_too_large(&self, own: usize) -> bool {
        let workers = self.places.len().max(1);
        let of_all = if self.room.is_left() { self.now_max() / 2 } else { self.now_max() / 8 };
        own > of_all / workers && self.sum(|place| &place.containers) > of_all
    }

    /// Whether what is held of containers without a name is more than may be.
    pub fn holds_too_much(&self, worker: usize, own: usize) -> bool {
        let max = self.hold_max.min(self.now_max() / 4);
        let max = if self.room.is_left() { max } else { max / 8 };
        self.others(worker, |place| &place.waiting) + own > max
    }

    fn others(&self, worker: usize, of: impl Fn(&Place) -> &AtomicUsize) -> usize {
        let others = self.places.iter().enumerate().filter(|(i, _)| *i != worker);
        others.map(|(_, place)| of(place).load(Ordering::Relaxed)).sum()
    }

    /// Whether a batch of this size may be put into a queue. One always may, however large.
    pub fn may_queue(&self, bytes: usize) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        queued == 0 || queued + bytes <= self.now_max() / 8
    }

    /// As [`may_queue`](Self::may_queue), for a batch of a sender that does not wait. A quarter of the room is not for
    /// behaviours.
    pub fn may_queue_shed(&self, bytes: usize, behaviours: bool) -> bool {
        self.may_queue(bytes.saturating_add(if behaviours { self.now_max() / 32 } else { 0 }))
    }

    /// How much more senders that do not wait may keep back, all together. Half of the room is not for behaviours.
    pub fn kept_left(&self, behaviours: bool) -> usize {
        (self.now_max() / if behaviours { 32 } else { 16 }).saturating_sub(self.kept.load(Ordering::Relaxed))
    }

    /// Such a sender keeps something back.
    pub fn keep(&self, bytes: usize) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It does not any more.
    pub fn unkeep(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A batch is on its way.
    pub fn queue(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has arrived.
    pub fn unqueue(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of one snapshot, for as long as somebody has it.
#[derive(Debug)]
pub(super) struct Copies {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Copies {
    /// It has become so large.
    pub fn are(&mut self, bytes: usize) {
        self.memory.copies.fetch_add(bytes, Ordering::Relaxed);
        self.memory.copies.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.memory.copies.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_takes_beside_the_sum_leaves_less_for_it() {
        let taken = Arc::new(AtomicUsize::new(0));
        let config = Config { memory_max: 64 << 20, workers: 1, ..Config::default() };
        let mut memory = Memory::new(&config);
        assert!(memory.resident.is_none(), "an embedder's own memory is not looked at");
        memory.resident = Some(Resident::told(&taken, 200 << 20));
        let level = |beside: usize, containers: usize| {
            taken.store(beside + containers, Ordering::Relaxed);
            // A look is due by then.
            (0..100).for_each(|_| memory.publish(0, &Held { containers, ..Held::default() }));
            memory.room().level()
        };
        for (beside, containers, expected) in [
            (0, 50, Level::Open),
            (80, 50, Level::Open),
            (90, 53, Level::Programs),
            (90, 56, Level::Full),
            (120, 50, Level::Over),
            (400, 0, Level::Over),
            (10, 20, Level::Open),
            (10, 63, Level::Programs),
        ] {
            assert_eq!(level(beside << 20, containers << 20), expected, "{beside} {containers}");
        }
    }
}
