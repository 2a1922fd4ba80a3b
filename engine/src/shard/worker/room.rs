//! What a worker lets go of to stay within its bounds: containers that were quiet for long, events that were held for
//! long. What they did is kept, or counted.
//!
//! Not here: what there is no room for in what is known of an image (`images`).

use super::super::container::{Container, State};
use super::super::waiting::Turn;
use super::Worker;
use crate::config::Config;

/// So many trees as large as one may get are the most that all running containers have together.
const FULL_TREES_MAX: usize = 16;

/// The trees of few containers are not weighed before so many events made one of them grow.
const GROWN_MIN: usize = 1024;

/// What the trees of one shard's running containers may take together.
pub(super) fn trees_bytes(config: &Config) -> usize {
    (config.tree_bytes.saturating_mul(FULL_TREES_MAX) / config.workers.max(1)).max(config.tree_bytes)
}

impl Worker {
    /// Keeps a container that has stopped, and lets the one go that was kept for longest.
    pub(super) fn linger(&mut self, id: &[u8]) {
        self.lingering.push_back(id.into());
        if self.counts.lingering.add() {
            return;
        }
        let oldest = self.lingering.pop_front();
        self.counts.lingering.give_back();
        // One that stopped several times is in the queue as often; the container at hand has to stay.
        let Some(oldest) = oldest.filter(|oldest| **oldest != *id) else { return };
        let Some(index) = self.find(&oldest) else { return };
        if matches!(self.containers.get(index), Some(Some(container)) if container.over) {
            self.limits.containers_forgotten += 1;
            self.let_go(index);
        }
    }

    /// Takes a container for stopped.
    pub(super) fn let_go(&mut self, index: usize) {
        if matches!(self.containers.get(index), Some(Some(c)) if matches!(c.state, State::Waiting { .. })) {
            self.give_up(index);
        }
        self.retire(index);
    }

    /// Makes room by taking the eighth of the containers for stopped that were quiet for longest: that they stopped
    /// was lost, or they do nothing. Their workloads are remembered, should they go on.
    pub(super) fn make_room(&mut self) {
        let mut turns: Vec<u64> = self.containers.iter().flatten().map(|c| c.turn).collect();
        let nth = turns.len() / 8;
        if turns.is_empty() {
            return;
        }
        let (_, limit, _) = turns.select_nth_unstable(nth);
        let limit = *limit;
        let mut let_go = 0;
        for index in 0..self.containers.len() {
            if matches!(self.containers.get(index), Some(Some(c)) if c.turn <= limit) {
                self.let_go(index);
                let_go += 1;
            }
        }
        self.limits.containers_let_go += let_go;
        tracing::warn!(containers = let_go, "too many containers: the quietest are taken for stopped");
    }

    /// Lets the quietest go as long as the trees of all together take too much. That visits every container, so it is
    /// done once in as many events that made a tree grow as there are containers.
    pub(super) fn trees_within_bounds(&mut self) {
        if self.grown < self.by_id.len().max(GROWN_MIN) {
            return;
        }
        self.grown = 0;
        let bytes = |worker: &Self| worker.containers.iter().flatten().map(Container::learned_bytes).sum::<usize>();
        // The one at hand is the last to be quiet, and is bounded by itself.
        while self.by_id.len() > 1 && bytes(self) > self.trees_bytes {
            self.make_room();
        }
    }

    /// Gives up on those that have waited for longest, as long as all together hold too much.
    pub(super) fn hold_within_bounds(&mut self) {
        while self.waiting.bytes > self.hold_total_bytes {
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
pub(super) fn waits(containers: &[Option<Container>], turn: Turn) -> Option<u64> {
    match containers.get(turn.index) {
        Some(Some(Container { serial, state: State::Waiting { held, since_ts }, .. }))
            if *serial == turn.serial && !held.is_empty() =>
        {
            Some(*since_ts)
        }
        _ => None,
    }
}
