//! The ledger: how many events were received, and what became of each.
//!
//! `received` is counted when an event comes in and every other field when its fate is known, so that the
//! balance is a statement about the code and not a definition. docs/formats.md has its written form.
//!
//! A source counts through its [`Sender`](crate::Sender) what never became an event:
//!
//! ```
//! use grove::ledger::{Dropped, Ignored, Rejected};
//! use grove::{Config, Engine, Overflow};
//!
//! let engine = Engine::start(&Config::default())?;
//! let mut sender = engine.sender(Overflow::Wait);
//! sender.reject(Rejected::Malformed); // a record that is no event
//! sender.ignore(Ignored::NoBehaviour); // one that tells nothing
//! sender.lost(Dropped::Source, 3); // events that never reached the source
//! sender.flush();
//!
//! let ledger = engine.ledger();
//! assert_eq!((ledger.received, ledger.rejected_total(), ledger.ignored_total()), (5, 1, 1));
//! assert!(ledger.balances());
//! let lost = Dropped::ALL.iter().map(|cause| (cause.name(), ledger.dropped(*cause)));
//! assert_eq!(lost.filter(|(_, n)| *n > 0).collect::<Vec<_>>(), [("source", 3)]);
//! # Ok::<(), grove::StartError>(())
//! ```

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every reason, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The reason's name in ledgers.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

reasons! {
    /// Why an event that is well formed changes nothing. From [`Repeat`](Ignored::Repeat) on, only live sources count.
    Ignored {
        /// The attempt itself failed (`ret` below 0).
        Failed = "failed",
        /// The host's own doings, not asked for.
        Host = "host",
        /// The container runtime's own doings before the workload's first exec.
        RuntimeSetup = "runtime_setup",
        /// Nothing to compare with: no profile for this image was given.
        NoProfile = "no_profile",
        /// A type of event this version does not know.
        UnknownType = "unknown_type",
        /// A relative path of a process whose working directory is not known.
        RelativePath = "relative_path",
        /// A record of another tool's log that tells of no behaviour.
        NoBehaviour = "no_behaviour",
        /// What the same program had done shortly before: left out by the source, and nothing is lost by it.
        Repeat = "repeat",
    }
}

reasons! {
    /// Why a record is not an event.
    Rejected {
        /// Not JSON, not an object, or not a line of the log it should be.
        Malformed = "malformed",
        /// A required field is not there.
        MissingField = "missing_field",
        /// A field has a value of another type.
        WrongType = "wrong_type",
        /// A field's value is of the right type and yet impossible.
        InvalidValue = "invalid_value",
        /// A record has the same field twice.
        DuplicateField = "duplicate_field",
        /// Longer than the limit for one record.
        TooLong = "too_long",
        /// A second workload for one container.
        ConflictingWorkload = "conflicting_workload",
    }
}

reasons! {
    /// What a good event was lost to. From [`RingFullFork`](Dropped::RingFullFork) on, only what was lost is written.
    Dropped {
        /// The shard's queue was full and the source could not wait: an event that tells of a behaviour.
        QueueFull = "queue_full",
        /// The container's tree had reached its byte budget.
        TreeFull = "tree_full",
        /// There were more containers than a shard may know.
        Containers = "containers",
        /// The tag interner was full.
        TagsFull = "tags_full",
        /// The shard had failed before.
        ShardFailed = "shard_failed",
        /// The engine had been shut down.
        Shutdown = "shutdown",
        /// The kernel's ring was full: a fork event.
        RingFullFork = "ring_full_fork",
        /// The kernel's ring was full: an exec event.
        RingFullExec = "ring_full_exec",
        /// The kernel's ring was full: an exit event.
        RingFullExit = "ring_full_exit",
        /// The kernel's ring was full: an open event.
        RingFullOpen = "ring_full_open",
        /// The kernel's ring was full: a socket event.
        RingFullSocket = "ring_full_socket",
        /// The kernel's ring was full: a dns event.
        RingFullDns = "ring_full_dns",
        /// The kernel's ring was full: a syscalls event.
        RingFullSyscalls = "ring_full_syscalls",
        /// The kernel's ring was full: a capability event.
        RingFullCapability = "ring_full_capability",
        /// The kernel's ring was full: a change event.
        RingFullChange = "ring_full_change",
        /// The kernel's ring was full: a mount event.
        RingFullMount = "ring_full_mount",
        /// The kernel's ring was full: a flow event.
        RingFullFlow = "ring_full_flow",
        /// The kernel's ring was full: an imds event.
        RingFullImds = "ring_full_imds",
        /// The kernel's ring was nearly full, and this could best be spared: an open event.
        ShedOpen = "shed_open",
        /// The kernel's ring was nearly full, and this could best be spared: a socket event.
        ShedSocket = "shed_socket",
        /// The kernel's ring was nearly full, and this could best be spared: a dns event.
        ShedDns = "shed_dns",
        /// The kernel's ring was nearly full, and this could best be spared: a syscalls event.
        ShedSyscalls = "shed_syscalls",
        /// The kernel's ring was nearly full, and this could best be spared: a capability event.
        ShedCapability = "shed_capability",
        /// The kernel's ring was nearly full, and this could best be spared: a change event.
        ShedChange = "shed_change",
        /// The kernel's ring was nearly full, and this could best be spared: a mount event.
        ShedMount = "shed_mount",
        /// The kernel's ring was nearly full, and this could best be spared: a flow event.
        ShedFlow = "shed_flow",
        /// The kernel's ring was nearly full, and this could best be spared: an imds event.
        ShedImds = "shed_imds",
        /// A table of the kernel's programs was full.
        ProbeTable = "probe_table",
        /// A record of the kernel's programs could not be read.
        ProbeRecord = "probe_record",
        /// The process was gone before it could be looked at.
        Gone = "gone",
        /// The trace that it was to be written to took no more.
        NotWritten = "not_written",
        /// Lost by the source, for a reason that this version does not know.
        Source = "source",
        /// The shard's queue was full, the source could not wait, and there was no memory left to keep it back: a fork,
        /// exec, exit, or a container's start or stop.
        QueueFullLifecycle = "queue_full_lifecycle",
    }
}

/// One counter per reason.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<const N: usize>([u64; N]);

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Counts<N> {
    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    fn zip(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
    }
}

/// Where every event of one stream, shard, image or run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Events that came in.
    pub received: u64,
    /// A node was created or extended.
    pub applied_new: u64,
    /// A node was refreshed.
    pub applied_known: u64,
    /// Fork, exit, container start and stop.
    pub lifecycle: u64,
    /// Waiting for their container's workload to be known.
    pub held: u64,
    /// Written to a trace, to be learned from later. Only recording counts it, and nothing else is learned then.
    pub recorded: u64,
    ignored: Counts<{ Ignored::ALL.len() }>,
    rejected: Counts<{ Rejected::ALL.len() }>,
    dropped: Counts<{ Dropped::ALL.len() }>,
}

/// What became of one event.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// A node was created or extended.
    New,
    /// A node was refreshed.
    Known,
    /// Fork, exit, container start and stop.
    Lifecycle,
    /// It was written to a trace.
    Recorded,
    /// The event is valid and teaches nothing.
    Ignored(Ignored),
    /// The record is not a valid event.
    Rejected(Rejected),
    /// The event was lost.
    Dropped(Dropped),
}

impl Fate {
    /// What became of events that a source did not deliver, by the name of the cause. One without a name here was
    /// lost for a reason that this version does not know.
    pub fn missed(cause: &[u8]) -> Self {
        let ignored = Ignored::ALL.iter().find(|reason| reason.name().as_bytes() == cause);
        let dropped = || Dropped::ALL.iter().find(|reason| reason.name().as_bytes() == cause);
        match ignored {
            Some(reason) => Self::Ignored(*reason),
            None => Self::Dropped(dropped().copied().unwrap_or(Dropped::Source)),
        }
    }
}

impl Ledger {
    /// Counts an event that came in and what became of it.
    #[doc(hidden)]
    pub fn count(&mut self, fate: Fate) {
        self.count_many(fate, 1);
    }

    /// Counts `n` events that came in and all met the same fate.
    #[doc(hidden)]
    pub fn count_many(&mut self, fate: Fate, n: u64) {
        self.received = self.received.saturating_add(n);
        self.settle(fate, n);
    }

    /// Counts what became of `n` events that are already counted as received.
    #[doc(hidden)]
    #[allow(clippy::indexing_slicing)] // the arrays have one slot per variant
    pub fn settle(&mut self, fate: Fate, n: u64) {
        let counter = match fate {
            Fate::New => &mut self.applied_new,
            Fate::Known => &mut self.applied_known,
            Fate::Lifecycle => &mut self.lifecycle,
            Fate::Recorded => &mut self.recorded,
            Fate::Ignored(r) => &mut self.ignored.0[r as usize],
            Fate::Rejected(r) => &mut self.rejected.0[r as usize],
            Fate::Dropped(r) => &mut self.dropped.0[r as usize],
        };
        // A ledger read from a file may hold anything.
        *counter = counter.saturating_add(n);
    }

    /// How many were ignored for `reason`.
    #[allow(clippy::indexing_slicing)]
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.0[reason as usize]
    }

    /// How many were rejected for `reason`.
    #[allow(clippy::indexing_slicing)]
    pub fn rejected(&self, reason: Rejected) -> u64 {
        self.rejected.0[reason as usize]
    }

    /// How many were lost to `cause`.
    #[allow(clippy::indexing_slicing)]
    pub fn dropped(&self, cause: Dropped) -> u64 {
        self.dropped.0[cause as usize]
    }

    /// How many were rejected in all.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.total()
    }

    /// How many were lost in all.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.total()
    }

    /// How many were ignored in all.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.total()
    }

    /// Whether every event received is accounted for exactly once.
    pub fn balances(&self) -> bool {
        let fates = [self.applied_new, self.applied_known, self.lifecycle, self.recorded, self.held];
        let reasons = [self.ignored.total(), self.rejected.total(), self.dropped.total()];
        self.received == fates.into_iter().chain(reasons).fold(0, u64::saturating_add)
    }

    /// Adds another stream's counts: both happened.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |a, b| a.saturating_add(b));
    }

    /// The larger of each counter: both tell of the same recording. Idempotent.
    #[doc(hidden)]
    pub fn max(&mut self, other: &Self) {
        self.zip(other, u64::max);
    }

    fn zip(&mut self, o: &Self, f: impl Fn(u64, u64) -> u64) {
        self.received = f(self.received, o.received);
        self.applied_new = f(self.applied_new, o.applied_new);
        self.applied_known = f(self.applied_known, o.applied_known);
        self.lifecycle = f(self.lifecycle, o.lifecycle);
        self.held = f(self.held, o.held);
        self.recorded = f(self.recorded, o.recorded);
        self.ignored.zip(&o.ignored, &f);
        self.rejected.zip(&o.rejected, &f);
        self.dropped.zip(&o.dropped, &f);
    }
}

impl Ledger {
    /// The counters by group, name and value, as they are written.
    fn groups(&self) -> [(&'static str, Vec<(&'static str, u64)>); 3] {
        [
            ("ignored", written(Ignored::ALL, Ignored::Repeat, |r| (r.name(), self.ignored(r)))),
            ("rejected", Rejected::ALL.iter().map(|r| (r.name(), self.rejected(*r))).collect()),
            ("dropped", written(Dropped::ALL, Dropped::RingFullFork, |r| (r.name(), self.dropped(r)))),
        ]
    }
}

/// The counters of `reasons`. Those from `live` on are the business of few sources, and left out if they are 0.
fn written<R: Copy + Ord>(
    reasons: &[R],
    live: R,
    counter: impl Fn(R) -> (&'static str, u64),
) -> Vec<(&'static str, u64)> {
    let counters = reasons.iter().map(|reason| (*reason, counter(*reason)));
    counters.filter(|(reason, (_, n))| *reason < live || *n > 0).map(|(_, counter)| counter).collect()
}

struct Group(Vec<(&'static str, u64)>);

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().copied())
    }
}

impl Serialize for Ledger {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("received", &self.received)?;
        map.serialize_entry("applied_new", &self.applied_new)?;
        map.serialize_entry("applied_known", &self.applied_known)?;
        map.serialize_entry("lifecycle", &self.lifecycle)?;
        for (name, counts) in self.groups() {
            map.serialize_entry(name, &Group(counts))?;
        }
        map.serialize_entry("held", &self.held)?;
        if self.recorded > 0 {
            map.serialize_entry("recorded", &self.recorded)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Ledger {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            received: u64,
            applied_new: u64,
            applied_known: u64,
            lifecycle: u64,
            #[serde(deserialize_with = "ignored")]
            ignored: Counts<{ Ignored::ALL.len() }>,
            #[serde(deserialize_with = "rejected")]
            rejected: Counts<{ Rejected::ALL.len() }>,
            #[serde(deserialize_with = "dropped")]
            dropped: Counts<{ Dropped::ALL.len() }>,
            held: u64,
            #[serde(default)]
            recorded: u64,
        }
        let raw = Raw::deserialize(d)?;
        Ok(Self {
            received: raw.received,
            applied_new: raw.applied_new,
            applied_known: raw.applied_known,
            lifecycle: raw.lifecycle,
            held: raw.held,
            recorded: raw.recorded,
            ignored: raw.ignored,
            rejected: raw.rejected,
            dropped: raw.dropped,
        })
    }
}

// The sets of reasons are open: one that a newer version added is kept under the nearest we have.

fn ignored<'de, D: Deserializer<'de>>(d: D) -> Result<Counts<{ Ignored::ALL.len() }>, D::Error> {
    named(d, |name| *Ignored::ALL.iter().find(|r| r.name() == name).unwrap_or(&Ignored::UnknownType) as usize)
}

fn rejected<'de, D: Deserializer<'de>>(d: D) -> Result<Counts<{ Rejected::ALL.len() }>, D::Error> {
    named(d, |name| *Rejected::ALL.iter().find(|r| r.name() == name).unwrap_or(&Rejected::Malformed) as usize)
}

fn dropped<'de, D: Deserializer<'de>>(d: D) -> Result<Counts<{ Dropped::ALL.len() }>, D::Error> {
    named(d, |name| *Dropped::ALL.iter().find(|r| r.name() == name).unwrap_or(&Dropped::Source) as usize)
}

/// Counters by the names of their reasons, summed up as they come: a file may have any number of names.
fn named<'de, D: Deserializer<'de>, const N: usize>(d: D, index: fn(&str) -> usize) -> Result<Counts<N>, D::Error> {
    struct Named<const N: usize>(fn(&str) -> usize);

    impl<'de, const N: usize> Visitor<'de> for Named<N> {
        type Value = Counts<N>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("counters by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut counts = Counts::default();
            while let Some((name, n)) = entries.next_entry::<String, u64>()? {
                if let Some(counter) = counts.0.get_mut((self.0)(&name)) {
                    *counter = counter.saturating_add(n);
                }
            }
            Ok(counts)
        }
    }
    d.deserialize_map(Named(index))
}
