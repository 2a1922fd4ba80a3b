//! One container of a shard: waiting for its workload to be known, or bound to it and observed.

use super::images::Ledgers;
use crate::event::{EventBuf, EventRef, RecordingId, Stored, UNKNOWN_IMAGE};
use crate::ledger::{Fate, Ignored, Ledger};
use crate::profile::drift::Checker;
use crate::tree::{ActivityTree, Ended};
use std::sync::Arc;

/// The image that the host's own processes are profiled under, and their tag.
pub const HOST_IMAGE: &str = "<host>";

/// A container.
pub(super) struct Container {
    pub id: Box<[u8]>,
    pub state: State,
    /// It has stopped, and what came since is late: it may be let go when others are.
    pub stopped: bool,
    /// By recording; almost always one.
    pub ledgers: Ledgers,
    /// Its number: no other container of the shard ever has it.
    pub serial: u64,
    /// When it was its turn last, as the shard counts turns.
    pub turn: u64,
    /// It has stopped, and is kept should a name be told that it has not, or should it be started again.
    pub lingers: bool,
    /// Bytes that it is counted with; see [`own_bytes`](Self::own_bytes).
    pub counted: usize,
}

/// What is known of a container's workload.
pub(super) enum State {
    /// Nothing yet: its events are held.
    Waiting {
        /// In the order they came.
        held: EventBuf,
        /// When the first of them was, in event time.
        since_ts: u64,
    },
    /// All that will be known, unless the workload was given up on and is told after all.
    Bound {
        /// Image and tag.
        workload: Workload,
        /// What its events go into.
        subject: Subject,
    },
}

/// Image and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    pub image: Arc<str>,
    pub tag: Arc<str>,
    /// Nobody told: the waiting was given up.
    pub assumed: bool,
}

impl Workload {
    pub fn unknown() -> Self {
        Self { image: Arc::from(UNKNOWN_IMAGE), tag: Arc::from(UNKNOWN_IMAGE), assumed: true }
    }

    pub fn host() -> Self {
        Self { image: Arc::from(HOST_IMAGE), tag: Arc::from(HOST_IMAGE), assumed: true }
    }
}

/// What a container's events go into.
pub(super) enum Subject {
    /// A tree that learns.
    Learning(Box<ActivityTree>),
    /// A comparison with a profile.
    Checking(Box<Checker>),
    /// Nothing: there is no profile of its image to compare with.
    Nothing,
}

impl Subject {
    pub fn apply(&mut self, event: &EventRef<'_>) -> Fate {
        #[cfg(test)]
        super::tests::fault(event);
        match self {
            Self::Learning(tree) => tree.insert(event),
            Self::Checking(checker) => checker.check(event),
            Self::Nothing => Fate::Ignored(Ignored::NoProfile),
        }
    }

    /// The container is gone, and its processes with it.
    pub fn forget_processes(&mut self) {
        match self {
            Self::Learning(tree) => tree.forget_processes(),
            Self::Checking(checker) => checker.forget_processes(),
            Self::Nothing => {}
        }
    }

    /// Forgets every process; who of them came from the workload.
    pub fn end_processes(&mut self) -> Ended {
        match self {
            Self::Learning(tree) => tree.end_processes(),
            Self::Checking(checker) => checker.end_processes(),
            Self::Nothing => Ended::default(),
        }
    }

    /// The container starts again: these came from its workload before.
    pub fn start_again(&mut self, ended: Ended) {
        match self {
            Self::Learning(tree) => tree.start_again(ended),
            Self::Checking(checker) => checker.start_again(ended),
            Self::Nothing => {}
        }
    }

    /// Whether it did what its profile does not have.
    pub fn has_found(&self) -> bool {
        matches!(self, Self::Checking(checker) if checker.has_found())
    }

    /// How many processes had to be forgotten, or the directory they were in.
    pub fn processes_forgotten(&self) -> u64 {
        match self {
            Self::Learning(tree) => tree.processes_forgotten(),
            Self::Checking(checker) => checker.processes_forgotten(),
            Self::Nothing => 0,
        }
    }

    /// As long as it stays the same and nothing is new, nothing takes more memory but an exec's directory.
    pub fn moving(&self) -> usize {
        match self {
            Self::Learning(tree) => tree.moving(),
            Self::Checking(checker) => checker.moving(),
            Self::Nothing => 0,
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Learning(tree) => tree.heap_bytes(),
            Self::Checking(checker) => checker.heap_bytes(),
            Self::Nothing => 0,
        }
    }
}

impl Container {
    pub fn waiting(id: &[u8], since_ts: u64, turn: u64) -> Self {
        Self {
            id: id.into(),
            state: State::Waiting { held: EventBuf::new(), since_ts },
            stopped: false,
            ledgers: Vec::new(),
            serial: turn,
            turn,
            lingers: false,
            counted: 0,
        }
    }

    /// Counts an event in the ledger of its recording.
    pub fn count(&mut self, stored: &Stored<'_>, fate: Fate) {
        let (recording, weight) = (stored.recording, stored.weight());
        match self.ledgers.iter_mut().find(|(r, _)| *r == recording) {
            Some((_, ledger)) => ledger.count_many(fate, weight),
            None if weight == 0 => {}
            None => {
                let mut ledger = Ledger::default();
                ledger.count_many(fate, weight);
                // Almost always the only one, and a ledger is large.
                self.ledgers.reserve_exact(1);
                self.ledgers.push((recording, ledger));
            }
        }
    }

    /// Bytes of memory that it takes in all, but for the events that it holds: those are counted apart. O(1).
    pub fn own_bytes(&self) -> usize {
        let state = match &self.state {
            State::Waiting { .. } | State::Bound { subject: Subject::Nothing, .. } => 0,
            State::Bound { subject, .. } => size_of::<ActivityTree>() + subject.heap_bytes(),
        };
        FIXED_BYTES + 2 * self.id.len() + state + self.ledgers.capacity() * size_of::<(RecordingId, Ledger)>()
    }
}

/// What any container takes: its place in the shard's tables, and what an allocator rounds up.
const FIXED_BYTES: usize = 2 * size_of::<Option<Container>>() + 256;
