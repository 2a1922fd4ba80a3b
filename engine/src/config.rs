//! Every `GROVE_*` variable, in one table.
//!
//! From the table's rows come [`Config`]'s fields with their defaults, the reading and checking of the environment,
//! and the listing that `grove env` prints and `docs/tuning.md` contains. A variable is added by adding a row.
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
mod value;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use serde::Serialize;

pub use error::ConfigError;
pub use host::Host;
use value::{Choice, Fault, Setting, bytes, count, span};

/// How much is logged: what is named and everything graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What stopped an operation.
    Error,
    /// What was given up: events lost, limits reached.
    Warn,
    /// What was done.
    Info,
    /// What was decided, for whoever configures Grove.
    Debug,
    /// Every step, for whoever works on Grove.
    Trace,
}

impl Choice for LogLevel {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Off, "off"),
        (Self::Error, "error"),
        (Self::Warn, "warn"),
        (Self::Info, "info"),
        (Self::Debug, "debug"),
        (Self::Trace, "trace"),
    ];
}

impl From<LogLevel> for tracing::level_filters::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Choice for LogFormat {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Text, "text"), (Self::Json, "json")];
}

/// Makes `Config` and the table of its variables from the rows below.
macro_rules! variables {
    ($(
        #[doc = $meaning:literal]
        $field:ident: $type:ty = $name:literal, $limits:expr, $default:expr $(, $rule:literal)?;
    )*) => {
        /// Every setting, under its variable's name without `GROVE_`, in lower case.
        ///
        /// Fields may be set directly; whoever does so calls [`validate`](Self::validate) afterwards.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $(#[doc = concat!($meaning, " (`", $name, "`).")] pub $field: $type,)*
            /// The process is Grove's alone, so that what all of it takes is held against `resident_max`. Not a
            /// variable: an embedder's memory is no business of the engine's.
            pub own_process: bool,
            /// Where the values are from.
            pub origins: Origins,
        }

        impl Config {
            /// The defaults for a given host.
            pub fn for_host(host: Host) -> Self {
                $(let $field: fn(Host) -> $type = $default;)*
                Self { $($field: $field(host),)* own_process: false, origins: Origins::new(host) }
            }
        }

        /// One row for each variable.
        static TABLE: [Variable; [$($name),*].len()] = [$(Variable {
            name: $name,
            meaning: $meaning.trim_ascii(),
            rule: concat!("" $(, $rule)?),
            about: || About {
                kind: <$type>::kind(&$limits),
                unit: <$type>::unit(&$limits),
                range: <$type>::range(&$limits),
                spelling: <$type>::spelling(&$limits),
            },
            set: |config, text| {
                config.$field = <$type>::parse(text, &$limits)?;
                Ok(())
            },
            check: |config| config.$field.check(&$limits),
            show: |config| config.$field.show(&$limits),
        }),*];
    };
}

const HOUR: Duration = Duration::from_secs(60 * 60);

// A row: what it means (also the field's documentation), the field and its type, the variable, the allowed values, the
// default, and, where that depends on the host, the rule in words.
variables! {
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
    memory_max: usize = "GROVE_MEMORY_MAX", bytes(1 << 20, 1 << 46), memory_max, "1/8 of memory, at least 2Mi";

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

    /// Memory of the kernel's ring of events; rounded up to a power of two
    ring_bytes: usize = "GROVE_RING_BYTES", bytes(64 << 10, 1 << 30), |_| 8 << 20;

    /// How often the ring is emptied
    drain_interval: Duration = "GROVE_DRAIN_INTERVAL", span(Duration::from_millis(1), Duration::from_secs(1)),
        |_| Duration::from_millis(10);

    /// How full the ring may get before repeatable events are shed, in percent of it
    shed_percent: usize = "GROVE_SHED_PERCENT", count(10, 100, "percent"), |_| 75;

    /// How long the kernel leaves out what the same program has just done; 0 leaves out nothing
    dedup_window: Duration = "GROVE_DEDUP_WINDOW", span(Duration::ZERO, HOUR), |_| Duration::from_secs(5);

    /// Whether opened files, and those mapped to be executed, are observed
    probe_open: bool = "GROVE_PROBE_OPEN", (), |_| true;

    /// Whether changes of files are observed: names that come to be or go, permissions, owners, sizes
    probe_change: bool = "GROVE_PROBE_CHANGE", (), |_| true;

    /// Whether mounted file systems are observed
    probe_mount: bool = "GROVE_PROBE_MOUNT", (), |_| true;

    /// Whether connected and bound sockets are observed
    probe_socket: bool = "GROVE_PROBE_SOCKET", (), |_| true;

    /// Whether DNS questions are observed
    probe_dns: bool = "GROVE_PROBE_DNS", (), |_| true;

    /// Whether system calls are observed
    probe_syscalls: bool = "GROVE_PROBE_SYSCALLS", (), |_| true;

    /// Whether uses of capabilities are observed
    probe_capability: bool = "GROVE_PROBE_CAPABILITY", (), |_| true;

    /// Whether failed attempts leave the kernel; only traces have a use for them
    probe_failed: bool = "GROVE_PROBE_FAILED", (), |_| false;

    /// How often the system calls of running processes are told
    syscall_interval: Duration = "GROVE_SYSCALL_INTERVAL", span(Duration::from_millis(100), HOUR),
        |_| Duration::from_secs(5);

    /// Running processes looked at in /proc at the start
    snapshot_processes: usize = "GROVE_SNAPSHOT_PROCESSES", count(0, 1 << 22, "processes"), |_| 65_536;

    /// Processes looked at in /proc in a second
    snapshot_rate: usize = "GROVE_SNAPSHOT_RATE", count(1, 1_000_000, "processes"), |_| 20_000;

    /// Sockets of Docker, asked which image a container runs
    docker_sockets: Vec<String> = "GROVE_DOCKER_SOCKETS", (), |_| vec!["/run/docker.sock".to_owned()];

    /// Sockets of Podman's service
    podman_sockets: Vec<String> = "GROVE_PODMAN_SOCKETS", (), |_| vec!["/run/podman/podman.sock".to_owned()];

    /// Sockets of containerd
    containerd_sockets: Vec<String> = "GROVE_CONTAINERD_SOCKETS", (), |_| CONTAINERD.map(str::to_owned).to_vec();

    /// Sockets of the container runtimes of Kubernetes (CRI)
    cri_sockets: Vec<String> = "GROVE_CRI_SOCKETS", (),
        |_| CONTAINERD.into_iter().chain(["/run/crio/crio.sock"]).map(str::to_owned).collect();

    /// Storage of Podman and CRI-O, which tells where no service runs
    container_storage: Vec<String> = "GROVE_CONTAINER_STORAGE", (), |_| vec!["/var/lib/containers/storage".to_owned()];

    /// How often profiles are written while learning goes on
    profile_interval: Duration = "GROVE_PROFILE_INTERVAL", span(Duration::from_secs(1), Duration::from_secs(86_400)),
        |_| Duration::from_secs(60);

    /// What is logged to standard error: this level and graver
    log: LogLevel = "GROVE_LOG", (), |_| LogLevel::Warn;

    /// How log lines are written
    log_format: LogFormat = "GROVE_LOG_FORMAT", (), |_| LogFormat::Text;
}

/// containerd's own socket, and where distributions of Kubernetes have put it.
const CONTAINERD: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// What is assumed where nobody can say how much memory there is.
const MEMORY_ASSUMED: u64 = 2 << 30;

/// A share of memory in whole steps, within bounds.
fn share(host: Host, part: u64, min: u64, max: u64, step: u64) -> usize {
    let share = host.memory_bytes.unwrap_or(MEMORY_ASSUMED) / part;
    (share.clamp(min, max) / step * step) as usize
}

/// An eighth of memory. The rest is for what is not counted: copies for a snapshot and those that arrays make as they
/// grow, what the allocator has not given back yet, buffers of whatever is read and written, and the program itself.
fn memory_max(host: Host) -> usize {
    share(host, 8, 2 << 20, 1 << 46, 1 << 20)
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
/// learned within an eighth of memory can be read within this.
fn profile_read_bytes(host: Host) -> usize {
    let share = host.memory_bytes.map_or(1 << 30, |memory| memory / 4 * 3);
    (share.clamp(16 << 20, 1 << 40) >> 20 << 20) as usize
}

/// Whether a variable is a setting: one that begins like one may also be the tests'.
fn is_ours(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"GROVE_") && !name.starts_with(b"GROVE_TEST_") && name != b"GROVE_CAPTURES"
}

/// One variable, whatever its type.
struct Variable {
    name: &'static str,
    meaning: &'static str,
    rule: &'static str,
    about: fn() -> About,
    set: fn(&mut Config, &str) -> Result<(), Fault>,
    check: fn(&Config) -> Result<(), Fault>,
    show: fn(&Config) -> String,
}

/// What a variable's type and limits say in words.
struct About {
    kind: &'static str,
    unit: &'static str,
    range: String,
    spelling: &'static str,
}

impl Variable {
    /// What is allowed, for an error.
    fn allowed(&self) -> String {
        let About { unit, range, spelling, .. } = (self.about)();
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let spelling = if spelling.is_empty() { String::new() } else { format!(", {spelling}") };
        format!("{range}{unit}{spelling}")
    }

    fn invalid(&self, source: &'static str, given: &OsStr, fault: Fault) -> ConfigError {
        ConfigError::Invalid { name: source, given: error::quote(given), fault, allowed: self.allowed() }
    }
}

/// A duration as variables spell it: a whole number with its unit, such as `500ms` or `2m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    Duration::parse(text, &span(Duration::ZERO, Duration::MAX)).ok()
}

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A `GROVE_*` variable.
    Environment,
    /// A flag on the command line.
    Flag,
    /// The program assigned the field.
    Program,
}

impl Origin {
    /// The word for it in `grove env`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Program => "program",
        }
    }
}

/// Where each value of a [`Config`] is from, and the host that its defaults are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    host: Host,
    of: [Origin; TABLE.len()],
}

impl Origins {
    fn new(host: Host) -> Self {
        Self { host, of: [Origin::Default; TABLE.len()] }
    }
}

/// What there is to say of one variable: a row of `grove env`. Values are spelled as the variable takes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The variable.
    pub name: &'static str,
    /// Its type: `count`, `size`, `duration`, `boolean`, `paths` or `choice`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What one of it is; empty where that makes no sense.
    pub unit: &'static str,
    /// The value in force.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
    /// The default on this host.
    pub default: String,
    /// How the default comes from the host; empty where it does not.
    pub default_rule: &'static str,
    /// The allowed values.
    pub range: String,
    /// What it means, in a line.
    pub meaning: &'static str,
}

impl Default for Config {
    /// The defaults for this host. The environment plays no part.
    fn default() -> Self {
        Self::for_host(Host::detect())
    }
}

impl Config {
    /// The settings that this process's environment asks for, on this host.
    ///
    /// # Errors
    /// As [`from_vars`](Self::from_vars).
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(std::env::vars_os())
    }

    /// The settings that these variables ask for, on this host. Only names that begin with `GROVE_` matter.
    ///
    /// # Errors
    /// A variable that does not exist, one that is given twice, and a value that is not UTF-8 or not allowed: the
    /// first one in the order of their names.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfigError>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut given = BTreeMap::new();
        let mut twice = None;
        for (name, value) in vars {
            let name = name.into();
            if is_ours(&name) && given.insert(name.clone(), value.into()).is_some() {
                twice = Some(name);
            }
        }
        if let Some(name) = twice {
            return Err(ConfigError::Twice { name: error::quote(&name) });
        }
        let mut config = Self::default();
        for (name, value) in given {
            let variable = find(&name)?;
            config.set(variable, variable.name, &value, Origin::Environment)?;
        }
        Ok(config)
    }

    /// Sets the value of a variable from a command-line flag, which overrides the environment. `flag` is what errors
    /// call it, such as `--workers`.
    ///
    /// # Errors
    /// A value that is not allowed, or a variable that does not exist.
    pub fn set_flag(&mut self, flag: &'static str, variable: &str, value: &str) -> Result<(), ConfigError> {
        self.set(find(variable.as_ref())?, flag, value.as_ref(), Origin::Flag)
    }

    fn set(
        &mut self,
        variable: &Variable,
        source: &'static str,
        value: &OsStr,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let text = value.to_str().ok_or_else(|| variable.invalid(source, value, "is not valid UTF-8"))?;
        (variable.set)(self, text).map_err(|fault| variable.invalid(source, value, fault))?;
        for (v, slot) in TABLE.iter().zip(&mut self.origins.of) {
            if v.name == variable.name {
                *slot = origin;
            }
        }
        Ok(())
    }

    /// Checks every field; for a program that sets fields itself.
    ///
    /// # Errors
    /// The first field, in the table's order, whose value its variable would not take.
    pub fn validate(&self) -> Result<(), ConfigError> {
        TABLE
            .iter()
            .try_for_each(|v| (v.check)(self).map_err(|fault| v.invalid(v.name, OsStr::new(&(v.show)(self)), fault)))
    }

    /// A row for every variable, in the table's order.
    pub fn describe(&self) -> Vec<Row> {
        let defaults = Self::for_host(self.origins.host);
        let rows = TABLE.iter().zip(self.origins.of);
        rows.map(|(v, origin)| {
            let About { kind, unit, range, .. } = (v.about)();
            let (value, default) = ((v.show)(self), (v.show)(&defaults));
            let origin = if origin == Origin::Default && value != default { Origin::Program } else { origin };
            let (name, default_rule, meaning) = (v.name, v.rule, v.meaning);
            Row { name, kind, unit, value, origin, default, default_rule, range, meaning }
        })
        .collect()
    }
}

/// The variable of that name.
fn find(name: &OsStr) -> Result<&'static Variable, ConfigError> {
    TABLE.iter().find(|v| name == v.name).ok_or_else(|| ConfigError::Unknown {
        name: error::plain(name),
        suggestion: error::nearest(name, TABLE.iter().map(|v| v.name)),
    })
}

#[cfg(test)]
mod tests;
