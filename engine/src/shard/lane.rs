//! What a sender that does not wait keeps back while a shard's queue is full, and what it loses.
//!
//! A *lane* is one sender's way to one shard. When the queue does not take a batch, the lane keeps it, and decides about
//! each event that comes after it, before it is copied:
//!
//! | event | is kept if its container has kept less than | beyond it |
//! |---|---|---|
//! | behaviour | what is left of four batches, and of half of the memory for all lanes | is lost |
//! | fork, exec, exit, container start and stop | what is left of the memory for all lanes | the lane gives up the behaviours it has kept; then it is lost |
//!
//! So a container that does much gets as much as is still left for any other, and one that does little finds room
//! whatever the others do. In the queue itself a lane has no more batches with behaviours than there are free places,
//! which is the same rule for senders; a batch without behaviours may have any free place.
//!
//! What is lost is counted for its container, and told to it by [`Body::Missed`] in the next batch: so it gets into the
//! ledgers of the container's image.
//!
//! Nothing here is shared but two counts, that of the memory of all lanes (`memory`), and that of a lane's batches in the
//! queue, which is the reference count of its [`Slot`].

use super::memory::Memory;
use super::sender::Losses;
use crate::event::{Body, EventBuf, EventRef, RecordingId, Stored};
use crate::hash::{Keyed, Map, NumberMap};
use crate::ledger::{Dropped, Fate, Ledger};
use std::collections::VecDeque;
use std::sync::Arc;

/// One batch of a lane that is in a queue.
pub(super) type Slot = Arc<()>;

/// Behaviours that a lane keeps, in batches.
const BATCHES_KEPT: usize = 4;

/// It keeps as many however small a batch is.
const BEHAVIOURS_KEPT_MIN: usize = 64;

/// So many events go by before a lane tries again whether the queue takes what it has kept.
const EVENTS_PER_TRY: u32 = 16;

/// What it takes to remember that a container lost something, beside its id.
const LOST_BYTES: usize = 128;

/// A batch that is kept back.
pub(super) struct KeptBatch {
    pub events: EventBuf,
    pub behaviours: usize,
    bytes: usize,
}

/// What one container has kept.
#[derive(Clone, Copy, Default)]
struct Account {
    behaviours: usize,
    bytes: usize,
}

/// What one container has lost and was not told of.
#[derive(Clone, Copy, Default)]
struct Loss {
    ts: u64,
    behaviours: u64,
    lifecycle: u64,
}

pub(super) struct Lane {
    slot: Slot,
    /// The oldest first.
    kept: VecDeque<KeptBatch>,
    /// Behaviours in those, and in the open batch.
    behaviours: usize,
    behaviours_max: usize,
    /// By hash: should two containers have one, they share an account.
    accounts: NumberMap<u64, Account>,
    /// Of the recording that events are sent of now.
    lost: Map<Box<[u8]>, Loss>,
    lost_bytes: usize,
    recording: RecordingId,
    losses: Losses,
    until_try: u32,
    hasher: Keyed,
    memory: Arc<Memory>,
}

impl Lane {
    pub fn new(batch_events: usize, hasher: Keyed, memory: Arc<Memory>) -> Self {
        Self {
            slot: Slot::default(),
            kept: VecDeque::new(),
            behaviours: 0,
            behaviours_max: batch_events.saturating_mul(BATCHES_KEPT).max(BEHAVIOURS_KEPT_MIN),
            accounts: NumberMap::default(),
            lost: Map::default(),
            lost_bytes: 0,
            recording: RecordingId::default(),
            losses: Losses::default(),
            until_try: EVENTS_PER_TRY,
            hasher,
            memory,
        }
    }

    /// Whether the queue has not taken all that it was to take.
    #[inline]
    pub fn is_backed_up(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether it is time to try the queue again.
    pub fn tries(&mut self) -> bool {
        self.until_try = self.until_try.checked_sub(1).unwrap_or(EVENTS_PER_TRY);
        self.until_try == 0
    }

    /// Another recording's events come from now on.
    pub fn set_recording(&mut self, recording: RecordingId, open: &mut EventBuf) {
        self.tell_losses(open);
        self.recording = recording;
    }

    /// All that was lost so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// What goes with a batch into the queue.
    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Whether a batch may go into a queue that has so many places left.
    pub fn may_go(&self, kept: &KeptBatch, free: usize) -> bool {
        let queued = Arc::strong_count(&self.slot) - 1;
        let share = if kept.behaviours > 0 { queued } else { 0 };
        share < free && self.memory.may_queue_shed(kept.bytes, kept.behaviours > 0)
    }

    /// Keeps a batch back, behind those that are.
    pub fn keep(&mut self, events: EventBuf) {
        if self.kept.is_empty() {
            self.behaviours = behaviours_in(&events);
        }
        let kept = self.weighed(events);
        self.kept.push_back(kept);
    }

    /// The queue did not take the first batch that it was to take: what containers have kept is counted from now on.
    pub fn begin(&mut self) {
        for kept in std::mem::take(&mut self.kept) {
            self.count(&kept.events, true);
            self.kept.push_back(kept);
        }
    }

    fn weighed(&self, events: EventBuf) -> KeptBatch {
        let (behaviours, bytes) = (behaviours_in(&events), events.heap_bytes());
        self.memory.keep(bytes);
        KeptBatch { events, behaviours, bytes }
    }

    /// Adds events to the accounts of their containers, or takes them off.
    fn count(&mut self, events: &EventBuf, add: bool) {
        for stored in events.iter() {
            let hash = self.hasher.bytes(stored.event.container);
            let (behaviours, bytes) =
                (usize::from(stored.event.body.is_behaviour()), EventBuf::bytes_of(&stored.event));
            if add {
                let account = self.accounts.entry(hash).or_default();
                account.behaviours += behaviours;
                account.bytes += bytes;
            } else if let Some(account) = self.accounts.get_mut(&hash) {
                account.behaviours = account.behaviours.saturating_sub(behaviours);
                account.bytes = account.bytes.saturating_sub(bytes);
                if account.bytes == 0 {
                    self.accounts.remove(&hash);
                }
            }
        }
    }

    /// The batch that is kept for longest.
    pub fn first(&self) -> Option<&KeptBatch> {
        self.kept.front()
    }

    /// Takes the batch that is kept for longest, and with it what containers have lost.
    pub fn take_first(&mut self) -> Option<EventBuf> {
        let KeptBatch { mut events, behaviours, bytes } = self.kept.pop_front()?;
        self.memory.unkeep(bytes);
        self.behaviours = self.behaviours.saturating_sub(behaviours);
        if self.kept.is_empty() {
            self.accounts.clear();
        } else {
            self.count(&events, false);
        }
        self.tell_losses(&mut events);
        Some(events)
    }

    /// The queue did not take it after all.
    pub fn put_back(&mut self, events: EventBuf) {
        self.count(&events, true);
        let kept = self.weighed(events);
        self.behaviours += kept.behaviours;
        self.kept.push_front(kept);
    }

    /// Whether there is room for an event.
    pub fn admits(&mut self, event: &EventRef<'_>) -> bool {
        let is_behaviour = event.body.is_behaviour();
        let hash = self.hasher.bytes(event.container);
        if !self.has_room(hash, event) {
            if is_behaviour {
                return false;
            }
            self.give_up_behaviours();
            if !self.has_room(hash, event) {
                return false;
            }
        }
        let account = self.accounts.entry(hash).or_default();
        account.bytes += EventBuf::bytes_of(event);
        account.behaviours += usize::from(is_behaviour);
        self.behaviours += usize::from(is_behaviour);
        true
    }

    fn has_room(&self, hash: u64, event: &EventRef<'_>) -> bool {
        let account = self.accounts.get(&hash).copied().unwrap_or_default();
        let is_behaviour = event.body.is_behaviour();
        let few = account.behaviours < self.behaviours_max.saturating_sub(self.behaviours);
        (few || !is_behaviour) && account.bytes + EventBuf::bytes_of(event) < self.memory.kept_left(is_behaviour)
    }

    /// Counts an event that is lost: for its container, or, if there is no memory for that either, for the run.
    pub fn lose(&mut self, event: &EventRef<'_>, weight: u64, run: &mut Ledger) {
        self.losses.add(event.body.name());
        let lifecycle = !event.body.is_behaviour();
        if !self.lost.contains_key(event.container) {
            let bytes = event.container.len() + LOST_BYTES;
            if self.memory.kept_left(false) < bytes {
                let cause = if lifecycle { Dropped::QueueFullLifecycle } else { Dropped::QueueFull };
                run.count_many(Fate::Dropped(cause), weight);
                return;
            }
            self.memory.keep(bytes);
            self.lost_bytes += bytes;
            self.lost.insert(event.container.into(), Loss::default());
        }
        if let Some(loss) = self.lost.get_mut(event.container) {
            loss.ts = event.ts;
            *(if lifecycle { &mut loss.lifecycle } else { &mut loss.behaviours }) += weight;
        }
    }

    /// Gives up the behaviours of all batches that are kept.
    fn give_up_behaviours(&mut self) {
        if self.kept.iter().all(|kept| kept.behaviours == 0) {
            return;
        }
        for KeptBatch { mut events, behaviours, bytes } in std::mem::take(&mut self.kept) {
            self.memory.unkeep(bytes);
            self.behaviours = self.behaviours.saturating_sub(behaviours);
            if behaviours > 0 {
                self.count(&events, false);
                events = self.without_behaviours(&events);
                self.count(&events, true);
            }
            let kept = self.weighed(events);
            self.kept.push_back(kept);
        }
    }

    /// A batch with a count in the place of each container's first behaviour, and of all others of it. They stay in their
    /// batch and not among the losses: those are of the recording that events are sent of now.
    fn without_behaviours(&mut self, events: &EventBuf) -> EventBuf {
        let mut lost: Map<(&[u8], RecordingId), u64> = Map::default();
        let behaviours = || events.iter().filter(|stored| stored.event.body.is_behaviour());
        for stored in behaviours() {
            self.losses.add(stored.event.body.name());
            *lost.entry((stored.event.container, stored.recording)).or_default() += stored.weight();
        }
        let mut rest = EventBuf::new();
        for mut stored in events.iter() {
            if stored.event.body.is_behaviour() {
                let Some(n) = lost.remove(&(stored.event.container, stored.recording)) else { continue };
                stored.event = missed(stored.event.container, stored.event.ts, Dropped::QueueFull, n);
            }
            rest.push_stored(stored);
        }
        rest
    }

    /// Tells containers what they have lost.
    pub fn tell_losses(&mut self, events: &mut EventBuf) {
        if self.lost.is_empty() {
            return;
        }
        for (container, loss) in std::mem::take(&mut self.lost) {
            report(&container, &loss, self.recording, events);
        }
        self.memory.unkeep(std::mem::take(&mut self.lost_bytes));
    }

    /// Tells one container, before it is told that it is gone.
    pub fn tell_losses_of(&mut self, container: &[u8], events: &mut EventBuf) {
        if let Some(loss) = self.lost.remove(container) {
            let bytes = container.len() + LOST_BYTES;
            self.memory.unkeep(bytes);
            self.lost_bytes -= bytes;
            report(container, &loss, self.recording, events);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.memory.unkeep(self.lost_bytes + self.kept.iter().map(|kept| kept.bytes).sum::<usize>());
    }
}

fn behaviours_in(events: &EventBuf) -> usize {
    events.iter().filter(|stored| stored.event.body.is_behaviour()).count()
}

fn missed(container: &[u8], ts: u64, cause: Dropped, n: u64) -> EventRef<'_> {
    EventRef { ts, container, pid: 0, start: None, body: Body::Missed { cause: cause.name().as_bytes(), n } }
}

fn report(container: &[u8], loss: &Loss, recording: RecordingId, events: &mut EventBuf) {
    for (cause, n) in [(Dropped::QueueFull, loss.behaviours), (Dropped::QueueFullLifecycle, loss.lifecycle)] {
        if n > 0 {
            let event = missed(container, loss.ts, cause, n);
            events.push_stored(Stored { event, recording, line: 0, counted: false });
        }
    }
}
