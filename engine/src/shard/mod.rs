//! From many producers to one writer per container: router, queues, workers, and the engine that owns them.
//!
//! ```text
//!   Sender ──▶ batch per shard ──▶ bounded queue ──▶ worker: containers, trees, ledger
//!   (one a thread)                  (recycled)       (the only writer of its containers)
//! ```
//!
//! A container belongs to one shard, by the hash of its id; so its events keep their order and its tree needs no
//! lock. Nothing here waits for a reader: snapshots are folded by the workers between two batches and published
//! as a whole.

mod conflicts;
mod container;
mod counts;
mod cursor;
mod gate;
mod images;
mod lane;
#[cfg(test)]
mod lane_tests;
mod memory;
mod resident;
mod retired_findings;
mod sender;
mod snapshot;
mod start;
#[cfg(test)]
mod tests;
mod waiting;
mod worker;

pub(crate) use conflicts::Conflicts;
pub use container::HOST_IMAGE;
pub use cursor::Findings;
pub use images::UNNAMED_RECORDING;
pub use sender::{Losses, Overflow, Sender, Sent};
pub use snapshot::{Limits, Snapshot};
pub use start::{Builder, StartError};

use crate::config::Config;
use crate::event::{EventBuf, RecordingId};
use crate::hash::{Keyed, Set};
use crate::intern::Interner;
use crate::ledger::{Dropped, Fate, Ledger};
use crate::path::{BadPattern, Protect};
use crate::profile::Finding;
use crate::tree::{MemoryPressure, Rules};
use arc_swap::ArcSwap;
use counts::Counts;
use crossbeam_channel::{Receiver, Sender as Channel, bounded};
use crossbeam_queue::ArrayQueue;
use gate::Gate;
use memory::Memory;
use rayon::prelude::*;
use start::Mode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use worker::{ShardView, Worker};

/// The engine has as many recordings as it can tell apart.
#[derive(Debug, thiserror::Error)]
#[error("more than {} recordings in one run", u16::MAX)]
#[non_exhaustive]
pub struct TooManyRecordings;

/// A message to a worker.
enum Message {
    /// Events, and what is told to their sender: that a batch has left the queue, if it does not wait, and conflicts, if it
    /// asks for them.
    Batch(EventBuf, Option<lane::Slot>, Option<Arc<Conflicts>>),
    /// Answered when all before it has been done.
    Reached(Channel<()>),
    Snapshot(Channel<ShardView>),
    /// As a snapshot, and the last: the worker ends.
    Finish(Channel<ShardView>),
}

/// What a place in a queue takes, with what the channel adds to it.
const SLOT_BYTES: usize = size_of::<Message>() + size_of::<usize>();

/// What is known of a recording.
#[derive(Clone)]
struct Recording {
    name: Option<String>,
    partial: bool,
}

/// What workers and senders share.
struct Shared {
    /// The way to each shard.
    gates: Vec<Gate<Message>>,
    recycled: ArrayQueue<EventBuf>,
    /// Counted by sources: what never became an event, or was dropped before its queue.
    intake: Mutex<Ledger>,
    /// Each worker's ledger as of its last batch.
    shards: Vec<ArcSwap<Ledger>>,
    recordings: Mutex<Vec<Recording>>,
    failures: Mutex<Vec<String>>,
    batch_events: usize,
    memory: Arc<Memory>,
    hasher: Keyed,
    counts: Arc<Counts>,
    /// What is found, once somebody follows it.
    found: OnceLock<Arc<cursor::Log>>,
    /// The bound that the room for what nobody has read of it follows from.
    memory_max: usize,
    record_bytes: usize,
}

impl Shared {
    /// What is shared, and the receiving side of each shard's queue.
    fn new(config: &Config, memory: Arc<Memory>) -> (Self, Vec<Receiver<Message>>) {
        let count = config.workers.max(1);
        // As many as there are batches, unless queues are longer than they are meant to get.
        let recycled = count.saturating_mul(config.queue_batches.saturating_add(1)).min(RECYCLED_MAX.max(count));
        let (queues, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded(config.queue_batches)).unzip();
        let shared = Self {
            gates: queues.into_iter().map(Gate::new).collect(),
            recycled: ArrayQueue::new(recycled),
            intake: Mutex::default(),
            shards: (0..count).map(|_| ArcSwap::default()).collect(),
            recordings: Mutex::default(),
            failures: Mutex::default(),
            batch_events: config.batch_events.max(1),
            memory,
            hasher: Keyed::default(),
            counts: Arc::default(),
            found: OnceLock::new(),
            memory_max: config.memory_max,
            record_bytes: config.record_bytes,
        };
        (shared, inboxes)
    }

    fn shard_of(&self, container: &[u8]) -> usize {
        if self.gates.len() == 1 {
            return 0;
        }
        (self.hasher.bytes(container) % self.gates.len() as u64) as usize
    }

    fn ledger(&self) -> Ledger {
        let mut total = *self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in &self.shards {
            total.add(&shard.load());
        }
        total
    }

    /// What each worker answers; nothing from one that is gone.
    fn request<T>(&self, message: fn(Channel<T>) -> Message) -> Vec<Option<T>> {
        let ask = |gate: &Gate<Message>| -> Receiver<T> {
            let (reply, answer) = bounded(1);
            // Where a worker is gone the message is dropped, and with it the reply.
            drop(gate.send(message(reply), true));
            answer
        };
        let answers: Vec<_> = self.gates.iter().map(ask).collect();
        answers.into_iter().map(|answer| answer.recv().ok()).collect()
    }

    fn fail(&self, shard: usize, failure: &str) {
        tracing::error!(shard, failure, "a shard has failed; its further events are lost");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(format!("shard {shard}: {failure}"));
    }
}

/// A running engine: workers, their queues and trees.
///
/// Make [`sender`](Self::sender)s for the threads that have events; take [`snapshot`](Self::snapshot)s while it
/// runs; [`shutdown`](Self::shutdown) drains the queues and gives everything back.
pub struct Engine {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    pool: rayon::ThreadPool,
    latest: Arc<ArcSwap<Snapshot>>,
}

/// Batches that are kept to be used again.
const RECYCLED_MAX: usize = 4096;

/// Threads that walk trees: traced processes choose how deep those are.
const STACK_BYTES: usize = 32 << 20;

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts an engine that learns, with these settings. Another one is [built](Self::builder).
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start(config: &Config) -> Result<Self, StartError> {
        Self::builder().config(config).start()
    }

    /// Starts an engine that does something else than to learn with this host's defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn start_with(config: &Config, mode: &Mode, interner: &Interner) -> Result<Self, StartError> {
        let memory = Arc::new(Memory::new(config));
        let rules = Arc::new(Rules { pressure: memory.pressure().clone(), ..Rules::new(config)? });
        let (shared, inboxes) = Shared::new(config, memory.clone());
        let shared = Arc::new(shared);
        let count = inboxes.len();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .stack_size(STACK_BYTES)
            .thread_name(|i| format!("grove-fold-{i}"))
            .build()
            .map_err(std::io::Error::other)?;
        // Dropping the engine ends the workers that have started, should one not start.
        let mut engine = Self { shared, workers: Vec::with_capacity(count), pool, latest: Arc::default() };
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let counts = engine.shared.counts.clone();
            let worker =
                Worker::new(config, rules.clone(), mode.clone(), interner.clone(), counts, memory.clone(), index);
            let shared = engine.shared.clone();
            let thread = std::thread::Builder::new().name(format!("grove-shard-{index}")).stack_size(STACK_BYTES);
            engine.workers.push(thread.spawn(move || run(worker, &inbox, &shared, index))?);
        }
        Ok(engine)
    }

    /// A sender for one producer thread; clone it for more.
    pub fn sender(&self, overflow: Overflow) -> Sender {
        Sender::new(self.shared.clone(), overflow)
    }

    /// Announces a recording, so that its events are accounted for under its own name. One without a name may be
    /// [named](Self::name_recording) later; one that never is counts under `<unnamed>`, as events of none do.
    ///
    /// # Errors
    /// [`TooManyRecordings`] after 65,535 of them.
    pub fn recording(&self, name: Option<&str>) -> Result<RecordingId, TooManyRecordings> {
        let mut recordings = self.shared.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recordings.iter().position(|r| r.name.is_some() && r.name.as_deref() == name);
        let id = RecordingId::at(known.unwrap_or(recordings.len())).ok_or(TooManyRecordings)?;
        if known.is_none() {
            recordings.push(Recording { name: name.map(str::to_owned), partial: false });
        }
        Ok(id)
    }

    /// Names a recording whose name is known only at its end. One that is not known to the engine is left as it is.
    ///
    /// ```
    /// # use grove::{Config, Engine};
    /// # let engine = Engine::start(&Config::default())?;
    /// let recording = engine.recording(None)?;
    /// // … its events are sent, and its source turns out to see a part only …
    /// engine.name_recording(recording, "nightly-2026-11-30");
    /// engine.mark_partial(recording);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name_recording(&self, recording: RecordingId, name: &str) {
        let mut recordings = self.shared.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = recordings.get_mut(recording.index()) {
            slot.name = Some(name.to_owned());
        }
    }

    /// A recording's source cannot see all that a container does: profiles that learn from it are partial.
    pub fn mark_partial(&self, recording: RecordingId) {
        let mut recordings = self.shared.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = recordings.get_mut(recording.index()) {
            slot.partial = true;
        }
    }

    /// A cursor over what is found from now on, as it is found: its `next` gives the next finding, or none if there is
    /// none yet. An engine that learns finds nothing. It waits for no worker, nor does a worker wait for whoever reads.
    pub fn findings(&self) -> Findings {
        Findings::new(self.shared.found.get_or_init(|| Arc::new(cursor::Log::new(self.shared.memory_max))).clone())
    }

    /// The longest record of a trace that is read.
    pub(crate) fn record_bytes(&self) -> usize {
        self.shared.record_bytes
    }

    /// Where every event went so far. Balances at any moment; events on their way in a queue are not yet received.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger()
    }

    /// The ledgers of the shards, each as of its last batch.
    #[doc(hidden)]
    pub fn shard_ledgers(&self) -> Vec<Ledger> {
        self.shared.shards.iter().map(|shard| **shard.load()).collect()
    }

    /// The snapshot published last; empty before the first. Waits for nothing.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.latest.load_full()
    }

    /// Folds what is known now into profiles and publishes them. The workers take part between two batches.
    ///
    /// Where there is no memory for a copy of all that is known, the snapshot published last stands and is returned
    /// ([`Limits::snapshots_left_out`]). [`shutdown`](Self::shutdown) needs no copy.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let Some(mut copies) = self.shared.memory.copy() else {
            tracing::warn!("no memory for a snapshot (GROVE_MEMORY_MAX): the one before stands");
            return self.latest();
        };
        let views = self.shared.request(Message::Snapshot);
        let mut snapshot = self.fold(views, retired_findings::ReportedFindings::default());
        let trees = snapshot.profiles.values().map(|profile| profile.tree().heap_bytes()).sum::<usize>();
        let mut named = Set::default();
        copies.are(trees + snapshot.findings.iter().map(|finding| finding.bytes(&mut named)).sum::<usize>());
        snapshot.copies = Some(copies);
        let snapshot = Arc::new(snapshot);
        self.latest.store(snapshot.clone());
        snapshot
    }

    fn fold(&self, views: Vec<Option<ShardView>>, retired_findings: retired_findings::ReportedFindings) -> Snapshot {
        let names = self.shared.recordings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut snapshot = Snapshot {
            ledger: *self.shared.intake.lock().unwrap_or_else(PoisonError::into_inner),
            ..Snapshot::default()
        };
        let mut images: BTreeMap<Arc<str>, Vec<images::Part>> = BTreeMap::new();
        snapshot.heap_bytes = self.shared.memory.findings().heap_bytes();
        let retired_findings::ReportedFindings { findings, mut left_out, containers_left_out } = retired_findings;
        snapshot.findings = findings;
        snapshot.limits.containers_unreported = containers_left_out;
        for (view, published) in views.into_iter().zip(&self.shared.shards) {
            let Some(view) = view else {
                snapshot.ledger.add(&published.load());
                continue;
            };
            // The ledger of the moment that the trees are of; what was published may be later.
            snapshot.ledger.add(&view.ledger);
            snapshot.containers += view.containers;
            snapshot.heap_bytes += view.heap_bytes;
            snapshot.findings.extend(view.findings);
            left_out += view.left_out;
            snapshot.limits.add(view.limits);
            for (image, parts) in view.images {
                images.entry(image).or_default().extend(parts);
            }
        }
        let fold = || -> Vec<_> {
            images
                .into_par_iter()
                .map(|(image, parts)| {
                    let (profile, lost) = images::fold_image(&image, parts, &names);
                    (image, Arc::new(profile), lost)
                })
                .collect()
        };
        for (image, profile, lost) in self.pool.install(fold) {
            snapshot.profiles.insert(image, profile);
            lost.into_iter().for_each(|lost| lost.settle(&mut snapshot.ledger, Dropped::TagsFull));
        }
        snapshot.limits.snapshots_left_out = self.shared.memory.snapshots_left_out();
        snapshot.findings.sort_unstable_by(Finding::cmp_order);
        snapshot.findings_suppressed = left_out.total();
        snapshot.limits.programs_unreported = left_out.programs;
        snapshot.failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        snapshot
    }

    /// Ends the engine: what senders have flushed is applied, what is still held is learned under the unknown
    /// image, and everything known is given back. What senders that are still there send is counted as lost.
    pub fn shutdown(mut self) -> Arc<Snapshot> {
        let views = self.finish();
        let retired_findings = self.shared.memory.findings().take();
        Arc::new(self.fold(views, retired_findings))
    }

    /// Ends the workers. Afterwards batches that came too late are counted.
    fn finish(&mut self) -> Vec<Option<ShardView>> {
        let views = self.shared.request(Message::Finish);
        for (index, worker) in self.workers.drain(..).enumerate() {
            // A worker catches the panics of its work; this one came from making the view.
            if worker.join().is_err() {
                self.shared.fail(index, "panicked beside its work");
            }
        }
        views
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            let _ = self.finish();
        }
    }
}

/// The receiving side of a shard's queue. However its worker ends, what is left in the queue is counted.
struct Inbox<'a> {
    queue: &'a Receiver<Message>,
    shared: &'a Shared,
    index: usize,
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        let Some(gate) = self.shared.gates.get(self.index) else { return };
        gate.close(self.queue, |message| {
            if let Message::Batch(batch, ..) = message {
                self.shared.memory.unqueue(batch.heap_bytes());
                let lost = counted(&batch);
                let mut intake = self.shared.intake.lock().unwrap_or_else(PoisonError::into_inner);
                intake.received += lost;
                intake.settle(Fate::Dropped(Dropped::Shutdown), lost);
            }
        });
    }
}

fn counted(events: &EventBuf) -> u64 {
    events.iter().map(|stored| stored.weight()).sum()
}

/// A worker's life: batches and requests in order.
fn run(mut worker: Worker, queue: &Receiver<Message>, shared: &Shared, index: usize) {
    let inbox = Inbox { queue, shared, index };
    for message in inbox.queue {
        match message {
            Message::Batch(mut batch, slot, conflicts) => {
                drop(slot);
                tell_of_followers(shared, &mut worker);
                shared.memory.unqueue(batch.heap_bytes());
                if let Some(failure) = worker.apply(&batch) {
                    shared.fail(index, &failure);
                }
                worker.tell_found();
                worker.tell_conflicts(conflicts.as_deref());
                batch.clear();
                let _ = shared.recycled.push(batch);
                publish(shared, index, &worker);
            }
            Message::Reached(reply) => drop(reply.send(())),
            Message::Snapshot(reply) => drop(reply.send(worker.view())),
            Message::Finish(reply) => {
                tell_of_followers(shared, &mut worker);
                if let Some(failure) = worker.give_up_waiting() {
                    shared.fail(index, &failure);
                }
                if let Some(failure) = worker.guarded(Worker::fold) {
                    shared.fail(index, &failure);
                }
                worker.tell_found();
                publish(shared, index, &worker);
                let _ = reply.send(worker.into_view());
                return;
            }
        }
    }
}

/// Tells a worker that somebody follows what is found.
fn tell_of_followers(shared: &Shared, worker: &mut Worker) {
    if let Some(log) = shared.found.get() {
        worker.follow(log);
    }
}

fn publish(shared: &Shared, index: usize, worker: &Worker) {
    if let Some(slot) = shared.shards.get(index) {
        slot.store(Arc::new(worker.ledger()));
    }
}

impl Rules {
    /// The rules that a configuration sets.
    ///
    /// # Errors
    /// A pattern in `config.path_protect` is malformed.
    pub fn new(config: &Config) -> Result<Self, BadPattern> {
        Ok(Self {
            path_fanout: config.path_fanout,
            peer_fanout: config.peer_fanout,
            protect: Protect::new(config.path_protect.iter().map(String::as_str))?,
            differentiate_args: config.differentiate_args,
            lineage_depth: config.lineage_depth,
            processes_max: config.processes_max,
            tree_bytes: config.tree_bytes,
            pressure: MemoryPressure::default(),
        })
    }
}
