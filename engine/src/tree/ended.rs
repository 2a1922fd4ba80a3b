//! The ids of a container's processes that came from the workload and are not in its process table any more.
//!
//! A source that reports no forks names a process's parent, which may have ended by then: what it was must not be
//! forgotten with it, or whoever outlives their parent could pass for the container runtime (`lineage`). Ids only: where
//! one was used again, both are meant, and the workload's decides.

use crate::hash::NumberSet;

/// So many are remembered for a container: with their table 320 KiB.
const ENDED_MAX: usize = 57_344;

/// Ids of the workload's processes that have ended, or were forgotten.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pids: NumberSet<u32>,
    /// There were more, or nobody was to ask.
    others: bool,
    /// Somebody may ask.
    asked: bool,
}

impl Ended {
    /// From now on somebody may ask: an exec came that does not say who the runtime is. As long as each says it, what
    /// ends leaves nothing here but that it did.
    pub fn will_be_asked(&mut self) {
        self.asked = true;
    }

    /// A process of the workload is not in the table any more.
    pub fn add(&mut self, pid: u32) {
        if self.others || self.pids.contains(&pid) {
            return;
        }
        if !self.asked || self.pids.len() >= ENDED_MAX {
            return self.add_unknown();
        }
        self.pids.insert(pid);
    }

    /// Some process is not in the table any more, and nobody knows which.
    pub fn add_unknown(&mut self) {
        // Whoever is asked for counts as one of them then.
        *self = Self { pids: NumberSet::default(), others: true, asked: self.asked };
    }

    /// Whether a process of this id may have been one of them.
    pub fn may_have(&self, pid: u32) -> bool {
        self.others || self.pids.contains(&pid)
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.pids.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_remembered_may_have_been_the_workload_s() {
        let mut ended = Ended::default();
        ended.will_be_asked();
        for pid in 0..ENDED_MAX as u32 {
            ended.add(pid);
            ended.add(pid);
        }
        assert!(ended.may_have(0) && !ended.may_have(ENDED_MAX as u32));
        let bytes = ended.heap_bytes();
        assert!((256 << 10..=400 << 10).contains(&bytes), "{bytes}");
        ended.add(ENDED_MAX as u32);
        assert!(ended.may_have(0) && ended.may_have(u32::MAX));
        assert_eq!(ended.heap_bytes(), 0);
    }

    #[test]
    fn where_every_exec_says_who_the_runtime_is_nothing_is_kept() {
        let mut ended = Ended::default();
        assert!(!ended.may_have(7));
        (0..1000).for_each(|pid| ended.add(pid));
        assert_eq!(ended.heap_bytes(), 0);
        ended.will_be_asked();
        assert!(ended.may_have(7) && ended.may_have(1000));
    }
}
