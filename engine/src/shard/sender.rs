//! The way in: one sender a producer thread, one open batch a shard.

use super::gate::Refused;
use super::{Message, Shared, counted};
use crate::event::{EventBuf, EventRef, Sink};
use crate::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What happens when a shard's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender waits: a recording is in no hurry.
    Wait,
    /// The batch is dropped and counted: the kernel does not wait.
    Drop,
}

/// Events of no recording that the engine was told of.
const NO_RECORDING: u16 = u16::MAX;

/// A batch is handed over when its texts reach this size, however few its events.
const BATCH_TEXT_BYTES: usize = 256 << 10;

/// How long a sender that may wait does so, before it looks again whether there is memory for its batch.
const FULL_SLEEP: Duration = Duration::from_micros(200);

/// Hands events to their shards, in batches. Events of one container sent through one sender keep their order.
///
/// What is not yet [flushed](Self::flush) is flushed when the sender is dropped.
pub struct Sender {
    shared: Arc<Shared>,
    open: Vec<EventBuf>,
    overflow: Overflow,
    recording: u16,
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
        let mut sender = Self { shared, open, overflow, recording: NO_RECORDING, own: Ledger::default() };
        sender.set_recording(NO_RECORDING);
        sender
    }

    /// Where every event of the whole engine went so far, also after it was shut down. What senders have not yet
    /// flushed is not in it.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger()
    }

    /// The recording that events sent from now on belong to; see [`Engine::recording`](super::Engine::recording).
    pub fn set_recording(&mut self, recording: u16) {
        self.recording = recording;
        self.open.iter_mut().for_each(|batch| batch.set_recording(recording));
    }

    /// Sends one event.
    pub fn send(&mut self, event: EventRef<'_>) {
        self.put(event, true);
    }

    fn put(&mut self, event: EventRef<'_>, counted: bool) {
        let shard = self.shared.shard_of(event.container);
        let Some(batch) = self.open.get_mut(shard) else { return };
        batch.push(event, counted);
        if batch.len() >= self.shared.batch_events || batch.text_bytes() >= BATCH_TEXT_BYTES {
            self.hand_over(shard);
        }
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

    /// Hands over what was sent so far, and makes the counts public.
    pub fn flush(&mut self) {
        for shard in 0..self.open.len() {
            self.hand_over(shard);
        }
        let own = std::mem::take(&mut self.own);
        self.shared.intake.lock().unwrap_or_else(PoisonError::into_inner).add(&own);
    }

    fn hand_over(&mut self, shard: usize) {
        let (Some(batch), Some(gate)) = (self.open.get_mut(shard), self.shared.gates.get(shard)) else { return };
        if batch.is_empty() {
            return;
        }
        let mut fresh = self.shared.recycled.pop().unwrap_or_default();
        fresh.set_recording(self.recording);
        let full = std::mem::replace(batch, fresh);
        let (bytes, wait) = (full.heap_bytes(), self.overflow == Overflow::Wait);
        let memory = &self.shared.memory;
        while wait && !memory.may_queue(bytes) && gate.is_open() {
            std::thread::sleep(FULL_SLEEP);
        }
        let sent = if wait || memory.may_queue(bytes) {
            // Before it is in the queue: the worker may be quick.
            memory.queue(bytes);
            gate.send(Message::Batch(full), wait).inspect_err(|_| memory.unqueue(bytes))
        } else {
            Err(Refused::Full(Message::Batch(full)))
        };
        let (refused, cause) = match sent {
            Ok(()) => return,
            Err(Refused::Full(message)) => (message, Dropped::QueueFull),
            Err(Refused::Closed(message)) => (message, Dropped::Shutdown),
        };
        if let Message::Batch(mut batch) = refused {
            self.lost(cause, counted(&batch));
            batch.clear();
            let _ = self.shared.recycled.push(batch);
        }
    }
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
    }
}
