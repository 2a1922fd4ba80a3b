//! A shard's worker: the only writer of its containers. Here: its state, and the way of an event through it.

use super::Limits;
use super::container::{Container, State, Workload};
use super::counts::Counts;
use super::cursor::Log;
use super::images::Images;
use super::memory::Memory;
use super::start::Mode;
use super::waiting::Waiting;
use crate::behaviour::Reject;
use crate::config::Config;
use crate::event::{Body, EventBuf, Stored};
use crate::hash::{Keyed, Map};
use crate::intern::Interner;
use crate::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use crate::tree::{Ended, Rules};
use hashbrown::HashTable;
use slab::Slab;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

mod containers;
mod found;
mod holding;
mod limits;
mod retired;
#[cfg(test)]
mod tests;
mod usage;
mod view;

pub(super) use view::ShardView;

/// What is remembered of a container that is gone.
struct Stopped {
    workload: Workload,
    /// Its processes that came from the workload: should it start again, none of them becomes the runtime.
    ended: Ended,
}

pub(super) struct Worker {
    containers: Slab<Container>,
    by_id: HashTable<usize>,
    last: usize,
    images: Images,
    stopped: VecDeque<Arc<[u8]>>,
    stopped_by_id: Map<Arc<[u8]>, Stopped>,
    lingering: VecDeque<Box<[u8]>>,
    waiting: Waiting,
    limits: Limits,
    /// Goes up by one whenever the events go on with another container.
    turns: u64,
    /// The container at hand may take more or less memory than it is counted with.
    changed: bool,
    /// What all containers take, and those of them that linger.
    containers_bytes: usize,
    lingering_bytes: usize,
    remembered_bytes: usize,
    /// What is being replayed of events that were held.
    replaying_bytes: usize,
    seen: usize,
    /// Where what is found is told as it is found, once somebody follows it; and the containers in which something was
    /// found that was not told yet.
    log: Option<Arc<Log>>,
    fresh: Vec<usize>,
    /// Second workloads in the batch at hand, by line.
    conflicts: Vec<(u32, Reject)>,
    ledger: Ledger,
    failed: bool,
    /// Events of the current batch that are done with.
    done: usize,
    /// The event at hand is in the ledger.
    accounted: bool,
    /// Held events that are being replayed and are not yet settled.
    replaying: u64,
    hasher: Keyed,
    counts: Arc<Counts>,
    rules: Arc<Rules>,
    mode: Mode,
    interner: Interner,
    host: bool,
    hold_events: usize,
    hold_bytes: usize,
    hold_time_ns: u64,
    lingering_bytes_max: usize,
    remembered_bytes_max: usize,
    /// The rounds of findings that were out when containers last let go of them.
    cutoff_ends: [u32; 2],
    /// What all workers hold, and this one's place in it.
    memory: Arc<Memory>,
    shard: usize,
}

impl Worker {
    pub fn new(
        config: &Config,
        rules: Arc<Rules>,
        mode: Mode,
        interner: Interner,
        counts: Arc<Counts>,
        memory: Arc<Memory>,
        shard: usize,
    ) -> Self {
        Self {
            containers: Slab::new(),
            by_id: HashTable::new(),
            last: usize::MAX,
            images: Images::default(),
            stopped: VecDeque::new(),
            stopped_by_id: Map::default(),
            lingering: VecDeque::new(),
            waiting: Waiting::default(),
            limits: Limits::default(),
            turns: 0,
            changed: false,
            containers_bytes: 0,
            lingering_bytes: 0,
            remembered_bytes: 0,
            replaying_bytes: 0,
            seen: 0,
            log: None,
            fresh: Vec::new(),
            conflicts: Vec::new(),
            ledger: Ledger::default(),
            failed: false,
            done: 0,
            accounted: false,
            replaying: 0,
            hasher: Keyed::default(),
            counts,
            rules,
            mode,
            interner,
            host: config.host,
            hold_events: config.hold_events,
            hold_bytes: config.hold_bytes,
            hold_time_ns: u64::try_from(config.hold_time.as_nanos()).unwrap_or(u64::MAX),
            lingering_bytes_max: limits::lingering_bytes_max(config),
            remembered_bytes_max: limits::remembered_bytes_max(config),
            cutoff_ends: [u32::MAX; 2],
            memory,
            shard,
        }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Applies a batch. A panic on the way ends the shard's work, is told, and costs the container it happened in:
    /// its tree may be half changed.
    pub fn apply(&mut self, batch: &EventBuf) -> Option<String> {
        if self.failed {
            self.lose(batch, 0);
            return None;
        }
        self.done = 0;
        let failure = self.guarded(|worker| {
            let mut now = 0;
            for stored in batch.iter() {
                worker.accounted = false;
                now = now.max(stored.event.ts);
                worker.event(stored);
                worker.done += 1;
            }
            worker.give_up_on_the_old(now);
            worker.enforce_limits();
        })?;
        self.lose(batch, self.done + usize::from(self.accounted));
        Some(failure)
    }

    /// Does a piece of work; what a panic in it said, if there was one.
    pub fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> Option<String> {
        let panic = catch_unwind(AssertUnwindSafe(|| work(self))).err()?;
        let text =
            panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
        self.failed = true;
        let replaying = std::mem::take(&mut self.replaying);
        self.ledger.held -= replaying;
        self.ledger.settle(Fate::Dropped(Dropped::ShardFailed), replaying);
        self.replaying_bytes = 0;
        self.discard(self.last);
        Some(text.unwrap_or_else(|| "panicked without a message".to_owned()))
    }

    /// Counts the events of a batch from the `from`-th on as lost, also for those containers that are still there.
    fn lose(&mut self, batch: &EventBuf, from: usize) {
        const LOST: Fate = Fate::Dropped(Dropped::ShardFailed);
        for stored in batch.iter().skip(from) {
            self.ledger.count_many(LOST, stored.weight());
            if let Some(index) = self.find(stored.event.container)
                && let Some(container) = self.containers.get_mut(index)
            {
                container.count(&stored, LOST);
            }
        }
    }

    /// Lets a container go whose state cannot be trusted; what it held is lost.
    fn discard(&mut self, index: usize) {
        self.drop_held(index, Dropped::ShardFailed);
        self.remove(index);
    }

    fn event(&mut self, stored: Stored<'_>) {
        let event = &stored.event;
        if event.container.is_empty() && !self.host {
            // What nobody knows whose it was is lost all the same.
            let fate = match event.body {
                Body::Missed { cause, .. } => Fate::missed(cause),
                _ => Fate::Ignored(Ignored::Host),
            };
            self.settle(stored, fate);
            return;
        }
        let Some(index) = self.container(event) else {
            self.settle(stored, Fate::Dropped(Dropped::Containers));
            return;
        };
        if let Body::ContainerStart { image, tag } = event.body {
            let fate = self.start(index, image, tag);
            if stored.counted && stored.line > 0 && fate == Fate::Rejected(Rejected::ConflictingWorkload) {
                self.note_conflict(index, image, stored.line);
            }
            self.count(index, stored, fate);
            return;
        }
        let Some(container) = self.containers.get_mut(index) else { return };
        match &mut container.state {
            State::Bound { subject, workload } => {
                if !matches!(event.body, Body::ContainerStop) {
                    let before = subject.moving();
                    let fate = subject.apply(event);
                    let moved = subject.moving() != before || matches!(event.body, Body::Exec(_));
                    self.count(index, stored, fate);
                    if moved {
                        self.has_changed(index);
                    }
                    return;
                }
                // What it is may still be told, and then all of it is that workload's; or it is started again, and what was
                // found of it is found once.
                let named = !workload.assumed;
                let lingers = (!named || subject.has_found()) && !event.container.is_empty();
                if lingers {
                    subject.forget_processes();
                }
                let again = std::mem::replace(&mut container.stopped, true);
                self.count(index, stored, Fate::Lifecycle);
                match (lingers, again) {
                    (true, false) => {
                        self.linger(index, event.container);
                        if named && self.lingering_bytes > self.lingering_bytes_max {
                            self.retire(index);
                        }
                    }
                    (true, true) => {}
                    (false, _) => self.retire(index),
                }
            }
            State::Waiting { .. } => self.hold(index, stored),
        }
    }

    fn settle(&mut self, stored: Stored<'_>, fate: Fate) {
        self.accounted = true;
        self.limits.memory_refused += self.refused(fate) * stored.weight();
        self.ledger.count_many(fate, stored.weight());
    }

    /// 1 for an event that there was no memory for, in all trees together.
    fn refused(&self, fate: Fate) -> u64 {
        u64::from(fate == Fate::Dropped(Dropped::TreeFull) && !self.rules.pressure.allows_new())
    }

    fn count(&mut self, index: usize, stored: Stored<'_>, fate: Fate) {
        self.settle(stored, fate);
        // What is known already takes no more memory.
        if fate != Fate::Known {
            self.has_changed(index);
            if fate == Fate::New {
                self.has_found(index);
            }
        }
        if let Some(container) = self.containers.get_mut(index) {
            container.count(&stored, fate);
        }
    }
}
