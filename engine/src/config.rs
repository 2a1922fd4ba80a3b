//! The engine's settings, each a `GROVE_*` variable, in one table.
//!
//! From the table's rows come [`Config`]'s fields with their defaults, the reading and checking of the environment,
//! and the listing that `grove env` prints and `docs/tuning.md` contains. A variable is added by adding a row. Crates
//! that are built on the engine have tables of their own, of the same make ([`table`]).
//!
//! Nothing else in the engine reads the environment. Not here: what a setting does; that is where its field is used.
//!
//! ```
//! use grove::config::Config;
//!
//! // An embedder takes the environment, or what it likes, and may set any field.
//! let mut config = Config::from_vars([("GROVE_BATCH_EVENTS", "512"), ("GROVE_HOLD_TIME", "10s")])?;
//! config.workers = 2;
//! config.validate()?;
//! assert_eq!((config.batch_events, config.hold_time.as_secs()), (512, 10));
//!
//! // A mistake is an error that says what to do, never a silent default.
//! let error = Config::from_vars([("GROVE_BATCHEVENTS", "512")]).unwrap_err();
//! assert_eq!(error.to_string(), "unknown variable GROVE_BATCHEVENTS; did you mean GROVE_BATCH_EVENTS?");
//! # Ok::<(), grove::config::ConfigError>(())
//! ```

mod error;
mod host;
#[doc(hidden)]
pub mod table;
mod value;

use std::ffi::OsString;
use std::time::Duration;

pub use crate::path::BadPattern;
pub use error::ConfigError;
#[doc(hidden)]
pub use host::Host;
use table::{Settings, Vars, bytes, count, span};

const HOUR: Duration = Duration::from_secs(60 * 60);

crate::settings! {
    /// Every setting of the engine, under its variable's name without `GROVE_`, in lower case.
    ///
    /// Memory is in bytes; every other number counts what its name says. Fields may be set directly;
    /// [`Builder::start`](crate::Builder::start) checks them, and [`validate`](Self::validate) does so before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct Config;

    /// Worker threads; each is the only writer of the containers that fall to it
    workers: usize = "GROVE_WORKERS", count(1, 256, "threads"),
        |host| host.cores.clamp(1, 256), "the processors this process may use, at most 256";

    /// Batches that one worker's queue holds before senders wait or drop
    queue_batches: usize = "GROVE_QUEUE_BATCHES", count(2, 65_536, "batches"), |_| 64;

    /// Events handed to a worker at a time
    batch_events: usize = "GROVE_BATCH_EVENTS", count(1, 65_536, "events"), |_| 256;

    /// Events held for one container whose image is not known yet; 0 holds none
    hold_events: usize = "GROVE_HOLD_EVENTS", count(0, 1 << 20, "events"), |_| 16_384;

    /// Memory for the events held for one container
    hold_bytes: usize = "GROVE_HOLD_BYTES", bytes(0, 1 << 30), |_| 8 << 20;

    /// Memory for all held events, at most 1/4 of GROVE_MEMORY_MAX; beyond it the longest wait is given up
    hold_total_bytes: usize = "GROVE_HOLD_TOTAL_BYTES", bytes(0, 64 << 30), |_| 64 << 20;

    /// How long they are held, by the events' own clock
    hold_time: Duration = "GROVE_HOLD_TIME", span(Duration::ZERO, HOUR), |_| Duration::from_secs(30);

    /// Names of one shape in one directory beyond which they become a pattern
    path_fanout: usize = "GROVE_PATH_FANOUT", count(1, 65_536, "names"), |_| 16;

    /// Addresses for one port beyond which they become networks
    peer_fanout: usize = "GROVE_PEER_FANOUT", count(1, 65_536, "addresses"), |_| 16;

    /// Paths whose names never become patterns, beside the built-in ones
    path_protect: Vec<String> = "GROVE_PATH_PROTECT", (), |_| Vec::new();

    /// Whether a program run with other arguments is another process node
    differentiate_args: bool = "GROVE_DIFFERENTIATE_ARGS", (), |_| false;

    /// Memory for all that is known and held; near it only programs are new, and what is lost is counted
    memory_max: usize = "GROVE_MEMORY_MAX", bytes(1 << 20, 1 << 46), memory_max, "1/9 of memory, at least 2Mi";

    /// Memory of the whole command, as measured: near it as near GROVE_MEMORY_MAX; not for embedders
    resident_max: usize = "GROVE_RESIDENT_MAX", bytes(1 << 20, 1 << 46), resident_max, "3/4 of memory, at least 16Mi";

    /// Memory for one container's activity tree; beyond it new behaviour is dropped and counted
    tree_bytes: usize = "GROVE_TREE_BYTES", bytes(64 << 10, 64 << 30), tree_bytes,
        "1/32 of memory, from 16Mi to 1Gi; 1/16 of memory below 256Mi";

    /// Longest lineage in an activity tree, from its root down
    lineage_depth: usize = "GROVE_LINEAGE_DEPTH", count(2, 1_024, "nodes"), |_| 256;

    /// Running processes tracked in one container
    processes_max: usize = "GROVE_PROCESSES_MAX", count(16, 1 << 22, "processes"), processes_max,
        "one for every 4Ki of memory, from 1024 to 65536";

    /// Image tags known to the process at once; containers of further ones are not learned
    tags_max: usize = "GROVE_TAGS_MAX", count(1, 1 << 24, "tags"), |_| 1 << 20;

    /// Longest record of a trace; longer ones are rejected
    record_bytes: usize = "GROVE_RECORD_BYTES", bytes(1 << 10, 1 << 30), record_bytes,
        "1/64 of memory, from 256Ki to 4Mi";

    /// Memory that reading one profile may take; a larger one is refused
    profile_read_bytes: usize = "GROVE_PROFILE_READ_BYTES", bytes(1 << 20, 1 << 40), profile_read_bytes,
        "3/4 of memory, at least 16Mi";

    /// Whether the host itself is profiled, as the container with the empty name
    host: bool = "GROVE_HOST", (), |_| false;

    also {
        /// The process is Grove's alone, so that what all of it takes is held against `resident_max`. Not a variable: an
        /// embedder's memory is no business of the engine's.
        own_process: bool = false;
    }
}

/// What is assumed where nobody can say how much memory there is.
const MEMORY_ASSUMED: u64 = 2 << 30;

/// A share of memory in whole steps, within bounds.
fn share(host: Host, part: u64, min: u64, max: u64, step: u64) -> usize {
    let share = host.memory_bytes.unwrap_or(MEMORY_ASSUMED) / part;
    (share.clamp(min, max) / step * step) as usize
}

/// A ninth of memory, so that what was learned can be read again where it was learned: reading a profile takes 6 to 7 times
/// what its tree does. The rest is for what is not counted: copies for a snapshot and those that arrays make as they
/// grow, what the allocator has not given back yet, buffers of whatever is read and written, and the program itself.
fn memory_max(host: Host) -> usize {
    share(host, 9, 2 << 20, 1 << 46, 1 << 20)
}

/// Three quarters of memory. The rest is for what the kernel needs for the process, what is taken between two looks, and
/// what is made of all that is known at the end.
fn resident_max(host: Host) -> usize {
    let share = host.memory_bytes.unwrap_or(MEMORY_ASSUMED) / 4 * 3;
    (share.clamp(16 << 20, 1 << 46) >> 20 << 20) as usize
}

fn tree_bytes(host: Host) -> usize {
    let least = share(host, 16, 1 << 20, 16 << 20, 1 << 20);
    share(host, 32, least as u64, 1 << 30, 1 << 20)
}

fn processes_max(host: Host) -> usize {
    share(host, 4 << 10, 1024, 65_536, 1)
}

fn record_bytes(host: Host) -> usize {
    share(host, 64, 256 << 10, 4 << 20, 64 << 10)
}

/// 3/4 of memory in whole MiB: what reading a profile may take is reckoned high, so that it takes less. What was
/// learned within a ninth of memory can be read within this.
fn profile_read_bytes(host: Host) -> usize {
    let share = host.memory_bytes.map_or(1 << 30, |memory| memory / 4 * 3);
    (share.clamp(16 << 20, 1 << 40) >> 20 << 20) as usize
}

impl Config {
    /// The settings that this process's environment asks for, on this host.
    ///
    /// # Errors
    /// As [`from_vars`](Self::from_vars).
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(std::env::vars_os())
    }

    /// The settings that these variables ask for, on this host. Only names that begin with `GROVE_` matter. A program
    /// that has other tables of variables beside the engine's reads all of them with [`Vars`].
    ///
    /// # Errors
    /// A variable that is none of the engine's, one that is given twice, and a value that is not UTF-8 or not allowed.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut vars = Vars::new(vars)?;
        let config = vars.read()?;
        vars.finish()?;
        Ok(config)
    }

    /// The defaults for a given host.
    #[doc(hidden)]
    pub fn for_host(host: Host) -> Self {
        Settings::for_host(host)
    }

    /// The same with some fields set, in one expression.
    ///
    /// ```
    /// # use grove::Config;
    /// let config = Config::default().with(|c| (c.workers, c.batch_events) = (2, 512));
    /// assert_eq!(config.workers, 2);
    /// ```
    pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        set(&mut self);
        self
    }

    /// Checks every field; for a program that sets fields itself.
    ///
    /// # Errors
    /// The first field, in the table's order, whose value its variable would not take.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Settings::validate(self)
    }
}

#[cfg(test)]
mod tests;
