//! What a worker lets go of to stay within its bounds: containers that were quiet for long, events that were held for
//! long. What they did is kept, or counted.
//!
//! Not here: what there is no room for in what is known of an image (`images`).

use super::super::container::{Container, State, Subject};
use super::super::waiting::Waiter;
use super::Worker;
use crate::config::Config;
use slab::Slab;

/// Memory for those that have stopped without a name, or with findings, in all workers. Who is told is told within
/// seconds, and who is started again soon; who was not among so many others is not told any more.
const LINGERING_BYTES_MAX: usize = 2 << 20;

/// What those of one worker may take.
pub(super) fn lingering_bytes_max(config: &Config) -> usize {
    LINGERING_BYTES_MAX.min(config.memory_max / 16) / config.workers.max(1)
}

/// What the workloads of containers that are gone may take in one worker.
pub(super) fn remembered_bytes_max(config: &Config) -> usize {
    config.memory_max / 16 / config.workers.max(1)
}

impl Worker {
    /// Keeps a container that has stopped, and lets those go that were kept for longest.
    pub(super) fn linger(&mut self, index: usize, id: &[u8]) {
        self.lingering.push_back(id.into());
        self.measure(index);
        if let Some(container) = self.containers.get_mut(index)
            && !std::mem::replace(&mut container.lingers, true)
        {
            self.lingering_bytes += container.counted;
        }
        let many = !self.counts.lingering.add();
        self.enforce_lingering(id, many);
    }

    /// Lets those go that have stopped for longest, as long as there are too many, or they take too much. `id` is the one
    /// at hand.
    pub(super) fn enforce_lingering(&mut self, id: &[u8], mut many: bool) {
        while std::mem::take(&mut many) || self.lingering_bytes > self.lingering_bytes_max {
            // One that stopped several times is in the queue as often; the container at hand has to stay.
            let Some(oldest) = self.lingering.pop_front_if(|oldest| **oldest != *id) else { return };
            self.counts.lingering.give_back();
            let Some(index) = self.find(&oldest) else { continue };
            if let Some(container) = self.containers.get(index)
                && container.stopped
            {
                let assumed = matches!(&container.state, State::Bound { workload, .. } if workload.assumed);
                self.limits.containers_forgotten += u64::from(assumed);
                self.evict(index);
            }
        }
    }

    /// Takes a container for stopped.
    pub(super) fn evict(&mut self, index: usize) {
        if matches!(self.containers.get(index), Some(c) if matches!(c.state, State::Waiting { .. })) {
            self.give_up(index);
        }
        self.retire(index);
    }

    /// Makes room by taking the eighth of the containers for stopped that were quiet for longest: that they stopped
    /// was lost, or they do nothing. Their workloads are remembered, should they go on.
    pub(super) fn evict_quietest(&mut self) {
        let mut turns: Vec<u64> = self.containers.iter().map(|(_, c)| c.turn).collect();
        let nth = turns.len() / 8;
        if turns.is_empty() {
            return;
        }
        let (_, limit, _) = turns.select_nth_unstable(nth);
        let limit = *limit;
        let mut evicted = 0;
        for index in 0..self.containers.capacity() {
            if let Some(container) = self.containers.get(index).filter(|container| container.turn <= limit) {
                evicted += u64::from(!container.stopped);
                self.evict(index);
            }
        }
        self.limits.containers_evicted += evicted;
        tracing::warn!(
            containers = evicted,
            "too many containers, or too much memory for them (GROVE_MEMORY_MAX): the quietest are taken for stopped"
        );
    }

    /// After a batch: tells what is held, and lets the quietest go as long as all containers together take too much.
    pub(super) fn enforce_limits(&mut self) {
        self.forget_unreported();
        self.publish();
        // The one at hand is the last to be quiet, and is bounded by itself.
        while self.by_id.len() > 1 && self.memory.containers_too_large(self.held().containers) {
            self.evict_quietest();
            self.publish();
        }
        self.enforce_hold_limit();
        if self.changed {
            self.publish();
        }
    }

    /// Lets containers forget what they found that will not be told, when that has become more by an eighth.
    fn forget_unreported(&mut self) {
        let ends = self.memory.findings().cutoff().ends();
        let less = |(now, before): (u32, u32)| now < before && now <= before / 8 * 7;
        if !ends.into_iter().zip(self.cutoff_ends).any(less) {
            return;
        }
        self.cutoff_ends = ends;
        for index in 0..self.containers.capacity() {
            if let Some(Container { state: State::Bound { subject: Subject::Checking(checker), .. }, .. }) =
                self.containers.get_mut(index)
            {
                checker.forget_unreported();
                self.measure(index);
            }
        }
    }

    /// Gives up on those that have waited for longest, as long as all together hold too much.
    pub(super) fn enforce_hold_limit(&mut self) {
        while self.waiting.bytes > 0 && self.memory.holds_too_much(self.shard, self.waiting.bytes) {
            let containers = &self.containers;
            let Some(oldest) = self.waiting.oldest(|turn| waits(containers, turn).is_some()) else { return };
            self.limits.holds_cut_short += 1;
            self.give_up(oldest.index);
        }
    }

    /// Gives up on those that have waited for too long. `now` is the latest time in the batch that came last.
    pub(super) fn give_up_on_the_old(&mut self, now: u64) {
        loop {
            let containers = &self.containers;
            let Some(oldest) = self.waiting.oldest(|turn| waits(containers, turn).is_some()) else { return };
            let Some(since_ts) = waits(containers, oldest) else { return };
            if now.saturating_sub(since_ts) <= self.hold_time_ns {
                return;
            }
            self.give_up(oldest.index);
        }
    }
}

/// Since when a container waits and holds something, if it does.
pub(super) fn waits(containers: &Slab<Container>, turn: Waiter) -> Option<u64> {
    match containers.get(turn.index) {
        Some(Container { serial, state: State::Waiting { held, since_ts }, .. })
            if *serial == turn.serial && !held.is_empty() =>
        {
            Some(*since_ts)
        }
        _ => None,
    }
}
