//! Asks container runtimes what their containers run, on a thread of its own.
//!
//! [`Resolver::ask`] never waits, so it may stand on the event path; answers come through a channel. A container is
//! asked for until its runtime knows it or patience ends, since a cgroup is there before the runtime will talk
//! about it, and runtimes restart. What was learned is kept, also of containers that have ended.
//!
//! Not here: which containers to ask about, and what happens while there is no answer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::mpsc;

use super::Workload;
use super::ask::{Ask, Options};
use super::cgroup::ContainerRef;
use super::miss::{Miss, Unresolved};
use super::source::Sources;

/// What came of asking for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The container that was asked for.
    pub container: ContainerRef,
    /// What it runs.
    pub result: Result<Workload, Unresolved>,
}

impl Answer {
    /// The container's id.
    pub fn id(&self) -> &str {
        &self.container.id
    }
}

/// What a resolver has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Asked for, including those that were refused.
    pub asked: u64,
    /// Refused because too many were being asked for.
    pub refused: u64,
    /// Answered with a workload.
    pub resolved: u64,
    /// Given up.
    pub unresolved: u64,
    /// Answered from what was known.
    pub cached: u64,
}

/// Asks container runtimes what their containers run. Dropping it ends its thread.
#[derive(Debug)]
pub struct Resolver {
    asks: Option<mpsc::Sender<Ask>>,
    answers: Receiver<Answer>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts the thread. No runtime need be there yet.
    ///
    /// # Errors
    /// The thread or its event loop cannot be made.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let (asks, asked) = mpsc::channel(options.asks_max.max(1));
        let (answer, answers) = bounded(options.asks_max.max(1));
        let counters = Arc::new(Counters::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(READERS_MAX)
            .thread_name("grove-reader")
            .build()?;
        let desk = Desk::new(&options, answer, Arc::clone(&counters));
        let thread = std::thread::Builder::new().name("grove-resolver".to_owned()).spawn(move || {
            runtime.block_on(Arc::new(desk).serve(asked));
            // A reader may be stuck on a file system that does not answer.
            runtime.shutdown_background();
        })?;
        Ok(Self { asks: Some(asks), answers, counters, thread: Some(thread) })
    }

    /// Asks for a container, without waiting. Each container that is asked for is answered once, however often it was
    /// asked for meanwhile. False if too many are being asked for: ask again later.
    pub fn ask(&self, ask: impl Into<Ask>) -> bool {
        self.counters.asked.fetch_add(1, Ordering::Relaxed);
        let taken = self.asks.as_ref().is_some_and(|asks| asks.try_send(ask.into()).is_ok());
        if !taken {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Where answers come, in the order in which they are found.
    pub fn answers(&self) -> &Receiver<Answer> {
        &self.answers
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        Stats {
            asked: of(&c.asked),
            refused: of(&c.refused),
            resolved: of(&c.resolved),
            unresolved: of(&c.unresolved),
            cached: of(&c.cached),
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that asks container runtimes had failed");
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    asked: AtomicU64,
    refused: AtomicU64,
    resolved: AtomicU64,
    unresolved: AtomicU64,
    cached: AtomicU64,
}

/// What the thread works on.
struct Desk {
    sources: Sources,
    answer: Sender<Answer>,
    counters: Arc<Counters>,
    patience: Duration,
    asks_max: usize,
    memory: Mutex<Memory>,
}

struct Memory {
    under_way: HashSet<ContainerRef>,
    known: HashMap<ContainerRef, Workload>,
    /// The keys of `known`, oldest first.
    order: VecDeque<ContainerRef>,
    known_max: usize,
}

/// Threads that read files for it, started when there is something to read.
const READERS_MAX: usize = 8;

/// How long to wait before a container is asked for again: an eighth of the time that it is being asked for, within
/// these. On a busy host a record may come late and be gone soon, and then it must not fall between two questions.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How often a full channel of answers is tried.
const FULL_WAIT: Duration = Duration::from_millis(10);

impl Desk {
    fn new(options: &Options, answer: Sender<Answer>, counters: Arc<Counters>) -> Self {
        let memory = Memory {
            under_way: HashSet::new(),
            known: HashMap::new(),
            order: VecDeque::new(),
            known_max: options.cache_max.max(1),
        };
        Self {
            sources: Sources::new(options),
            answer,
            counters,
            patience: options.patience,
            asks_max: options.asks_max.max(1),
            memory: Mutex::new(memory),
        }
    }

    async fn serve(self: Arc<Self>, mut asked: mpsc::Receiver<Ask>) {
        while let Some(ask) = asked.recv().await {
            // The queue is bounded, and so is what was taken off it.
            while self.memory().under_way.len() >= self.asks_max && !asked.is_closed() {
                tokio::time::sleep(FULL_WAIT).await;
            }
            if self.memory().under_way.insert(ask.container.clone()) {
                tokio::spawn(Arc::clone(&self).settle(ask));
            }
        }
    }

    /// Finds out about one container and says so.
    async fn settle(self: Arc<Self>, ask: Ask) {
        let who = &ask.container;
        let known = self.memory().known.get(who).cloned();
        let result = match known {
            Some(workload) => {
                self.counters.cached.fetch_add(1, Ordering::Relaxed);
                Ok(workload)
            }
            None => self.find(&ask).await.map_err(Unresolved::from),
        };
        let counter = if result.is_ok() { &self.counters.resolved } else { &self.counters.unresolved };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Ok(workload) = &result {
            self.memory().keep(who, workload);
        }
        let mut answer = Answer { container: who.clone(), result };
        while let Err(TrySendError::Full(back)) = self.answer.try_send(answer) {
            answer = back;
            tokio::time::sleep(FULL_WAIT).await;
        }
        // Nothing else runs on this thread between the two, so whoever asks after the answer is answered again.
        self.memory().under_way.remove(who);
    }

    async fn find(&self, ask: &Ask) -> Result<Workload, Miss> {
        let began = Instant::now();
        loop {
            let miss = match self.sources.find(ask).await.and_then(Workload::within_limits) {
                Ok(workload) => return Ok(workload),
                Err(miss) => miss,
            };
            let elapsed = began.elapsed();
            let wait = (elapsed / 8).clamp(WAIT_MIN, WAIT_MAX);
            if matches!(miss, Miss::NoImage | Miss::Unusable(_)) || elapsed + wait > self.patience {
                return Err(miss);
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn keep(&mut self, who: &ContainerRef, workload: &Workload) {
        if self.known.insert(who.clone(), workload.clone()).is_none() {
            self.order.push_back(who.clone());
        }
        while self.known.len() > self.known_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
