//! Events of a container whose workload is not known yet: held, and replayed when it is told or given up on.
//!
//! Not here: how much may be held (`limits`).

use super::super::container::{State, Subject, Workload};
use super::super::counted;
use super::super::waiting::Waiter;
use super::Worker;
use super::limits::waits;
use crate::event::{Body, EventBuf, Stored};
use crate::ledger::{Dropped, Fate};

/// So many events that were held are replayed before what that took is counted.
const REPLAYED_AT_ONCE: usize = 256;

impl Worker {
    /// Holds an event until the workload of its container is known.
    pub(super) fn hold(&mut self, index: usize, stored: Stored<'_>) {
        let event = &stored.event;
        let Some(container) = self.containers.get_mut(index) else { return };
        let State::Waiting { held, .. } = &mut container.state else { return };
        let (first, before) = (held.is_empty(), held.heap_bytes());
        held.push_stored(stored);
        self.waiting.bytes += held.heap_bytes() - before;
        if first {
            let turn = Waiter { index, serial: container.serial };
            let containers = &self.containers;
            self.waiting.begin(turn, |turn| waits(containers, turn).is_some());
        }
        let Some(container) = self.containers.get_mut(index) else { return };
        let State::Waiting { held, since_ts } = &mut container.state else { return };
        self.ledger.received += stored.weight();
        self.ledger.held += stored.weight();
        self.accounted = true;
        let full = held.len() > self.hold_events || held.text_bytes() > self.hold_bytes;
        let stop = matches!(event.body, Body::ContainerStop) && !std::mem::replace(&mut container.stopped, true);
        if full || event.ts.saturating_sub(*since_ts) > self.hold_time_ns {
            self.give_up(index);
        }
        self.enforce_hold_limit();
        if stop {
            self.linger(index, event.container);
        }
    }

    /// Events that were held are not any more.
    pub(super) fn end_waiting(&mut self, held: &EventBuf) {
        if !held.is_empty() {
            self.waiting.end(held.heap_bytes());
        }
    }

    /// Lets go of what a container holds, if it does.
    pub(super) fn drop_held(&mut self, index: usize, cause: Dropped) {
        let Some(container) = self.containers.get_mut(index) else { return };
        let State::Waiting { held, .. } = &mut container.state else { return };
        let held = std::mem::take(held);
        self.end_waiting(&held);
        let Some(container) = self.containers.get_mut(index) else { return };
        for stored in held.iter() {
            self.ledger.held -= stored.weight();
            self.ledger.settle(Fate::Dropped(cause), stored.weight());
            container.count(&stored, Fate::Dropped(cause));
        }
    }

    /// Binds a container to its workload and replays what was held. False if there is no room for its tag.
    pub(super) fn bind(&mut self, index: usize, workload: Workload) -> bool {
        let Some(container) = self.containers.get_mut(index) else { return true };
        let cutoff = self.memory.findings().cutoff();
        let Ok(mut subject) = Self::subject(&self.mode, &self.rules, &self.interner, &container.id, &workload, cutoff)
        else {
            return false;
        };
        if let (Some(_), Subject::Checking(checker)) = (&self.log, &mut subject) {
            checker.follow();
        }
        let bound = State::Bound { workload, subject };
        let State::Waiting { held, .. } = std::mem::replace(&mut container.state, bound) else { return true };
        self.end_waiting(&held);
        self.has_changed(index);
        self.replaying = counted(&held);
        self.replaying_bytes = held.heap_bytes();
        for (n, stored) in held.iter().enumerate() {
            if n % REPLAYED_AT_ONCE == REPLAYED_AT_ONCE - 1 {
                self.publish();
                self.changed = true;
            }
            let Some(container) = self.containers.get_mut(index) else { return true };
            let State::Bound { subject, .. } = &mut container.state else { return true };
            let stop = matches!(stored.event.body, Body::ContainerStop);
            let fate = if stop {
                subject.forget_processes();
                Fate::Lifecycle
            } else {
                subject.apply(&stored.event)
            };
            self.replaying -= stored.weight();
            self.ledger.held -= stored.weight();
            self.ledger.settle(fate, stored.weight());
            container.count(&stored, fate);
            self.limits.memory_refused += self.refused(fate) * stored.weight();
        }
        self.replaying_bytes = 0;
        self.has_found(index);
        true
    }

    /// Learns what a container holds under the unknown workload. Without room for its tag, that is lost.
    pub(super) fn give_up(&mut self, index: usize) {
        if self.bind(index, Workload::unknown()) {
            return;
        }
        self.drop_held(index, Dropped::TagsFull);
    }

    /// Learns what is still held under the unknown workload. What a panic said, if there was one.
    pub fn give_up_waiting(&mut self) -> Option<String> {
        let mut failure = None;
        for index in 0..self.containers.capacity() {
            let container = self.containers.get(index);
            if container.is_some_and(|c| matches!(&c.state, State::Waiting { held, .. } if !held.is_empty())) {
                failure = self.guarded(|worker| worker.give_up(index)).or(failure);
            }
        }
        failure
    }
}
