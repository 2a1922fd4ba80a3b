//! How an engine is started: what may be chosen, and what is checked before anything is done.

use super::Engine;
use crate::config::{Config, ConfigError};
use crate::intern::Interner;
use crate::path::BadPattern;
use crate::profile::Baselines;
use std::sync::Arc;

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting has a value that its variable would not take.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Queues that would take more memory than they may before there is an event in them.
    #[error(
        "queues of GROVE_QUEUE_BATCHES {batches} for GROVE_WORKERS {workers} take {bytes} bytes while they are empty, more \
         than a quarter of GROVE_MEMORY_MAX; set one of the first two lower, or the last higher"
    )]
    Queues {
        /// Batches of one worker's queue.
        batches: usize,
        /// Workers.
        workers: usize,
        /// What that takes.
        bytes: usize,
    },
    /// `GROVE_PATH_PROTECT` has a pattern that is none.
    #[error("GROVE_PATH_PROTECT: {0}")]
    Protect(#[from] BadPattern),
    /// The system gave no thread.
    #[error("cannot start a worker thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Queues may take so much while they are empty, however little memory there is: the default of as many workers as there
/// may be does.
const EMPTY_QUEUES_BYTES: usize = 4 << 20;

/// What the engine does with events.
#[derive(Clone, Debug, Default)]
pub(super) enum Mode {
    /// Learn activity trees.
    #[default]
    Learn,
    /// Compare with profiles and learn nothing.
    Check(Arc<Baselines>),
}

/// An engine that is about to be started; see [`Engine::builder`]. It learns, with the defaults of this host, unless it
/// is told otherwise.
///
/// ```
/// use grove::{Config, Engine};
///
/// let mut config = Config::default();
/// config.queue_batches = usize::MAX;
/// let error = Engine::builder().config(&config).start().unwrap_err();
/// assert!(error.to_string().starts_with("GROVE_QUEUE_BATCHES"), "{error}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Option<Config>,
    mode: Mode,
    interner: Option<Interner>,
}

impl Builder {
    /// Settings. They are checked by [`start`](Self::start).
    #[must_use]
    pub fn config(mut self, config: &Config) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// The engine compares with these profiles, and learns nothing. Images that none of them is of are not checked.
    #[must_use]
    pub fn check(mut self, baselines: impl Into<Arc<Baselines>>) -> Self {
        self.mode = Mode::Check(baselines.into());
        self
    }

    /// Tags are known to this interner, and not to the process's.
    #[doc(hidden)]
    #[must_use]
    pub fn interner(mut self, interner: Interner) -> Self {
        self.interner = Some(interner);
        self
    }

    /// Starts the workers. The tags of all engines of a process are known to one interner, which holds at most
    /// `config.tags_max` of them, as the first one says.
    ///
    /// # Errors
    /// A setting that is not allowed, queues that are too large for the memory there may be, a malformed pattern in
    /// `config.path_protect`, or a thread that the system does not give. Nothing is left running then.
    pub fn start(self) -> Result<Engine, StartError> {
        let config = self.config.unwrap_or_default();
        config.validate()?;
        let (batches, workers) = (config.queue_batches, config.workers);
        let bytes = batches.saturating_mul(workers).saturating_mul(super::SLOT_BYTES);
        if bytes > (config.memory_max / 4).max(EMPTY_QUEUES_BYTES) {
            return Err(StartError::Queues { batches, workers, bytes });
        }
        let interner = self.interner.unwrap_or_else(|| Interner::global_of(config.tags_max));
        Engine::start_with(&config, &self.mode, &interner)
    }
}
