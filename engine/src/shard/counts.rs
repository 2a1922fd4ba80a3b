//! How much all workers of an engine may keep together, by number.
//!
//! Which worker a container falls to is a matter of a hash whose key nobody is to notice; so no limit is a worker's own.
//! A worker that finds a limit reached makes room among what it keeps itself. Not here: limits in bytes.

use crate::hash::Set;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Containers that are known at a time; beyond them, those that were quiet for longest are taken for stopped.
pub(super) const CONTAINERS_MAX: usize = 65_536;

/// Containers that have stopped and are still kept: for a workload that was never told, or for late events.
pub(super) const LINGERING_MAX: usize = 4096;

/// Stopped containers whose workload is remembered, in case events of theirs are still on the way.
pub(super) const STOPPED_MAX: usize = 16_384;

/// Images that stopped containers are kept of.
pub(super) const IMAGES_MAX: usize = 16_384;

/// A number that all workers count up and down.
#[derive(Debug)]
pub(super) struct Count {
    now: AtomicUsize,
    max: usize,
}

impl Count {
    const fn new(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }

    /// One more, room or not; whether there was.
    pub fn add(&self) -> bool {
        // It says nothing about other memory.
        self.now.fetch_add(1, Ordering::Relaxed) < self.max
    }

    pub fn give_back(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn is_full(&self) -> bool {
        self.now.load(Ordering::Relaxed) >= self.max
    }
}

/// What the workers of one engine keep together.
#[derive(Debug)]
pub(super) struct Counts {
    pub containers: Count,
    pub lingering: Count,
    pub stopped: Count,
    /// The images that some worker keeps stopped containers of. Asked when a worker meets one that is new to it.
    images: Mutex<Set<Arc<str>>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            containers: Count::new(CONTAINERS_MAX),
            lingering: Count::new(LINGERING_MAX),
            stopped: Count::new(STOPPED_MAX),
            images: Mutex::default(),
        }
    }
}

impl Counts {
    /// Whether stopped containers of an image may be kept.
    pub fn admits(&self, image: &Arc<str>) -> bool {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.contains(image) || images.len() < IMAGES_MAX && images.insert(image.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_limit_is_of_all_who_count_together() {
        let count = Count::new(1000);
        let admitted = || (0..10_000).filter(|_| count.add()).count();
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(admitted)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 1000);
        assert!(count.is_full());
        (0..39_001).for_each(|_| count.give_back());
        assert!(!count.is_full() && count.add() && count.is_full());
    }

    #[test]
    fn an_image_that_is_kept_stays_kept_and_no_further_one_is() {
        let counts = Counts::default();
        let image = |n: usize| Arc::from(n.to_string());
        assert!((0..IMAGES_MAX).all(|n| counts.admits(&image(n))));
        assert!(!counts.admits(&image(IMAGES_MAX)) && counts.admits(&image(7)));
    }
}
