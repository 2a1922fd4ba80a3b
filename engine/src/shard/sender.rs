//! The way in: one sender a producer thread, one open batch a shard.
//!
//! Not here: what a sender that does not wait keeps and loses (`lane`).

use super::conflicts::Conflicts;
use super::gate::Refused;
use super::lane::{Lane, Slot};
use super::{Message, Shared, counted};
use crate::event::{Body, EventBuf, EventRef, RecordingId, Sink, Stored};
use crate::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What happens when a shard's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The sender waits: a recording is in no hurry.
    Wait,
    /// The sender does not wait: it keeps back what it can, and loses what it can best spare. It says so
    /// ([`Sent::Lost`], [`Sender::losses`]), and so do the ledgers of the containers that lost it.
    ///
    /// Behaviours (files, sockets, names, calls, …) go first, and first of the container that does most. A fork, exec,
    /// exit, or a container's start or stop is kept as long as a sixteenth of `GROVE_MEMORY_MAX` lasts.
    Shed,
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// The event was put into a batch, or kept to be sent.
    Taken,
    /// It is lost: the shard's queue is full, and the sender does not wait. It is counted for its container.
    Lost,
}

/// What a sender has lost, by type of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<(&'static str, u64)>);

impl Losses {
    pub(super) fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    fn add_many(&mut self, name: &'static str, n: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += n,
            None => self.0.push((name, n)),
        }
    }

    /// How many events in all.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, n)| n).sum()
    }

    /// How many of one type, called as in a trace: `open`, `exec`.
    pub fn of(&self, name: &str) -> u64 {
        self.iter().filter(|(known, _)| *known == name).map(|(_, n)| n).sum()
    }

    /// The types of which any were lost, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// A batch is handed over when its texts reach this size, however few its events.
const BATCH_TEXT_BYTES: usize = 256 << 10;

/// How long a sender that may wait does so, before it looks again whether there is memory for its batch.
const FULL_SLEEP: Duration = Duration::from_micros(200);

/// Hands events to their shards, in batches. Events of one container sent through one sender keep their order.
///
/// What is not yet [flushed](Self::flush) is handed over when the sender is dropped. That waits, also in a sender that
/// does not wait otherwise: what it kept back, and the counts of what it lost, would be lost without a trace. A thread
/// that panics waits for nothing.
pub struct Sender {
    shared: Arc<Shared>,
    open: Vec<EventBuf>,
    /// One a shard, if it does not wait.
    lanes: Vec<Lane>,
    overflow: Overflow,
    recording: RecordingId,
    line: u32,
    /// Who is told of conflicts in what it sends, if anybody is.
    conflicts: Option<Arc<Conflicts>>,
    own: Ledger,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("overflow", &self.overflow)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, overflow: Overflow) -> Self {
        let open = shared.gates.iter().map(|_| EventBuf::new()).collect();
        let lane = |_| Lane::new(shared.batch_events, shared.hasher, shared.memory.clone());
        let lanes = match overflow {
            Overflow::Wait => Vec::new(),
            Overflow::Shed => shared.gates.iter().map(lane).collect(),
        };
        Self {
            shared,
            open,
            lanes,
            overflow,
            recording: RecordingId::default(),
            line: 0,
            conflicts: None,
            own: Ledger::default(),
        }
    }

    /// Where every event of the whole engine went so far, also after it was shut down. What senders have not yet
    /// flushed is not in it.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger()
    }

    /// The recording that events sent from now on belong to; see [`Engine::recording`](crate::Engine::recording).
    pub fn set_recording(&mut self, recording: RecordingId) {
        self.lanes.iter_mut().zip(&mut self.open).for_each(|(lane, open)| lane.set_recording(recording, open));
        self.recording = recording;
    }

    /// Has workers tell of second workloads in what is sent from now on, with their [lines](Self::set_line).
    pub(crate) fn tell_conflicts(&mut self) -> Arc<Conflicts> {
        self.conflicts.get_or_insert_default().clone()
    }

    /// The line of the input that what is sent from now on is told in.
    pub(crate) fn set_line(&mut self, line: u64) {
        self.line = u32::try_from(line).unwrap_or(u32::MAX);
    }

    /// Waits until the workers have done what was handed over.
    pub(crate) fn wait_for_workers(&self) {
        self.shared.request(Message::Reached);
    }

    /// Sends one event. Only a sender that does not wait ([`Overflow::Shed`]) loses any.
    pub fn send(&mut self, event: EventRef<'_>) -> Sent {
        self.put(event, true)
    }

    /// What this sender has lost since it was made; nothing if it waits.
    pub fn losses(&self) -> Losses {
        let mut all = Losses::default();
        for (name, n) in self.lanes.iter().flat_map(|lane| lane.losses().iter()) {
            all.add_many(name, n);
        }
        all
    }

    fn put(&mut self, event: EventRef<'_>, counted: bool) -> Sent {
        let shard = self.shared.shard_of(event.container);
        if self.lanes.get(shard).is_some_and(Lane::is_backed_up) && self.loses(shard, &event, counted) {
            return Sent::Lost;
        }
        if let Some(batch) = self.open.get_mut(shard) {
            batch.push_stored(Stored { event, recording: self.recording, line: self.line, counted });
            if batch.len() >= self.shared.batch_events || batch.text_bytes() >= BATCH_TEXT_BYTES {
                self.hand_over(shard);
            }
        }
        Sent::Taken
    }

    /// Whether an event is lost, as a shard's queue was full when it was looked at last.
    #[cold]
    fn loses(&mut self, shard: usize, event: &EventRef<'_>, counted: bool) -> bool {
        if self.lanes.get_mut(shard).is_some_and(Lane::tries) {
            self.hand_over_kept(shard);
        }
        let (Some(lane), Some(open)) = (self.lanes.get_mut(shard), self.open.get_mut(shard)) else { return false };
        if !lane.is_backed_up() {
            return false;
        }
        if matches!(event.body, Body::ContainerStop) {
            lane.tell_losses_of(event.container, open);
        }
        let lost = !lane.admits(event);
        if lost {
            lane.lose(event, event.weight(counted), &mut self.own);
        }
        lost
    }

    /// Counts a record that is not an event.
    pub fn reject(&mut self, reason: Rejected) {
        self.own.count(Fate::Rejected(reason));
    }

    /// Counts a record from which there is nothing to learn.
    pub fn ignore(&mut self, reason: Ignored) {
        self.own.count(Fate::Ignored(reason));
    }

    /// Counts `n` events that the source itself knows to have lost.
    pub fn lost(&mut self, cause: Dropped, n: u64) {
        self.own.count_many(Fate::Dropped(cause), n);
    }

    /// Hands over what was sent so far, and makes the counts public. False if a queue is full and the sender does not
    /// wait: then it has kept the rest.
    pub fn flush(&mut self) -> bool {
        let mut all = true;
        for shard in 0..self.open.len() {
            if self.lanes.get(shard).is_some_and(Lane::is_backed_up) {
                self.hand_over_kept(shard);
            }
            // What is kept goes first, and small batches are not heaped up behind it.
            if !self.lanes.get(shard).is_some_and(Lane::is_backed_up) {
                self.hand_over(shard);
            }
            all &= !self.lanes.get(shard).is_some_and(Lane::is_backed_up);
        }
        let own = std::mem::take(&mut self.own);
        self.shared.intake.lock().unwrap_or_else(PoisonError::into_inner).add(&own);
        all
    }

    /// Hands over the open batch.
    fn hand_over(&mut self, shard: usize) {
        let Some(batch) = self.open.get_mut(shard).filter(|batch| !batch.is_empty()) else { return };
        let fresh = self.shared.recycled.pop().unwrap_or_default();
        let full = std::mem::replace(batch, fresh);
        match self.lanes.get_mut(shard) {
            None => self.wait_for(shard, full, None),
            Some(lane) => {
                let begins = !lane.is_backed_up();
                lane.keep(full);
                self.hand_over_kept(shard);
                self.lanes
                    .get_mut(shard)
                    .filter(|lane| begins && lane.is_backed_up())
                    .into_iter()
                    .for_each(Lane::begin);
            }
        }
    }

    /// Hands over as much of what a lane has kept as the queue takes.
    fn hand_over_kept(&mut self, shard: usize) {
        let Self { lanes, shared, own, conflicts, .. } = self;
        let (Some(lane), Some(gate)) = (lanes.get_mut(shard), shared.gates.get(shard)) else { return };
        while let Some(first) = lane.first() {
            let free = gate.free();
            if free.is_some_and(|free| !lane.may_go(first, free)) {
                return;
            }
            let Some(events) = lane.take_first() else { return };
            let bytes = events.heap_bytes();
            shared.memory.queue(bytes);
            let sent = gate.send(Message::Batch(events, Some(lane.slot()), conflicts.clone()), false);
            let Err(refused) = sent else { continue };
            shared.memory.unqueue(bytes);
            match refused {
                Refused::Full(Message::Batch(events, ..)) => return lane.put_back(events),
                Refused::Closed(Message::Batch(events, ..)) => came_too_late(shared, own, events),
                Refused::Full(_) | Refused::Closed(_) => return,
            }
        }
    }

    /// Puts a batch into a shard's queue as soon as there is room.
    fn wait_for(&mut self, shard: usize, events: EventBuf, slot: Option<Slot>) {
        let Self { shared, own, conflicts, .. } = self;
        let Some(gate) = shared.gates.get(shard) else { return };
        let bytes = events.heap_bytes();
        while !shared.memory.may_queue(bytes) && gate.is_open() {
            std::thread::sleep(FULL_SLEEP);
        }
        // Before it is in the queue: the worker may be quick.
        shared.memory.queue(bytes);
        if let Err(refused) = gate.send(Message::Batch(events, slot, conflicts.clone()), true) {
            shared.memory.unqueue(bytes);
            if let Refused::Full(Message::Batch(events, ..)) | Refused::Closed(Message::Batch(events, ..)) = refused {
                came_too_late(shared, own, events);
            }
        }
    }
}

/// The engine was shut down before a batch was handed over.
fn came_too_late(shared: &Shared, own: &mut Ledger, mut events: EventBuf) {
    own.count_many(Fate::Dropped(Dropped::Shutdown), counted(&events));
    events.clear();
    let _ = shared.recycled.push(events);
}

impl Sink for Sender {
    fn event(&mut self, event: EventRef<'_>) {
        self.put(event, true);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.put(event, false);
    }
}

impl Clone for Sender {
    /// Another sender of the same kind and recording, with nothing sent yet.
    fn clone(&self) -> Self {
        let mut new = Self::new(self.shared.clone(), self.overflow);
        new.set_recording(self.recording);
        new
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.flush();
        for shard in 0..self.lanes.len() {
            if let (Some(lane), Some(open)) = (self.lanes.get_mut(shard), self.open.get_mut(shard))
                && !open.is_empty()
            {
                lane.keep(std::mem::take(open));
            }
            while let Some((events, slot)) =
                self.lanes.get_mut(shard).and_then(|lane| Some((lane.take_first()?, lane.slot())))
            {
                if std::thread::panicking() {
                    self.own.count_many(Fate::Dropped(Dropped::QueueFull), counted(&events));
                } else {
                    self.wait_for(shard, events, Some(slot));
                }
            }
        }
        self.flush();
    }
}
