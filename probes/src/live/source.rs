//! The kernel's records joined with whose cgroups they are of: the one loop body of every live command.
//!
//! Not here: the timer that calls it, and what becomes of the events.

use std::time::{Duration, Instant};

use grove::event::{Body, EventRef, Exec, Sink};
use grove::ledger::Dropped;

use super::containers::{Containers, Owner};
use super::intake::{Intake, PathFacts};
use super::select::Select;
use crate::kernel::{AttachError, Cause, Class, Count, HookState, Options, Probes, Record, Scope, What};
use crate::proc::{self, Budget, Snapshot};
use crate::workload::{self, Bundles, CGROUPS_MAX, Cgroups, ContainerRef, Resolver, Runtime, Workload};

/// The program of a process that is about to run the command: named as a runtime names its own.
const LAUNCHER: &[u8] = b"/runc:[launch]";

/// How often what was not delivered is asked for. It is also asked for before a container ends.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Whom to observe.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Containers, and the host itself if asked for.
    Containers {
        /// Which of them.
        select: Select,
        /// Whether the host is one of them.
        host: bool,
        /// How to ask what they run.
        resolver: workload::Options,
        /// How much of what runs already is looked at.
        budget: Budget,
    },
    /// A process that is about to run a program, and its descendants: one synthetic container.
    Command {
        /// The process.
        pid: u32,
        /// The container's id.
        container: String,
        /// What it counts as.
        workload: Box<Workload>,
    },
}

/// Why there are no live events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The programs cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Cgroups cannot be looked up.
    #[error("cgroups cannot be looked up: {0}; mount cgroup v2 (mount -t cgroup2 none /sys/fs/cgroup)")]
    Cgroups(std::io::Error),
    /// There is no thread for asking runtimes.
    #[error("a thread cannot be started: {0}; raise the limit of threads")]
    Thread(std::io::Error),
}

/// A running host, or a running command, as a source of events.
pub struct Live {
    probes: Probes,
    places: Places,
    intake: Intake,
    host: bool,
    flush_interval: Option<Duration>,
    flushed: Instant,
    counted: Instant,
    /// Cgroups that are gone, whose losses are still to be told.
    gone: Vec<u64>,
    /// Cgroups of the host that the kernel need not tell about any more.
    excluded: Vec<u64>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records taken from the ring.
    pub records: u64,
    /// Bytes they took there.
    pub bytes: u64,
}

/// Where processes are: by their cgroups, or all in one place.
enum Places {
    Cgroups { paths: Box<Cgroups>, bundles: Bundles },
    One(Owner),
}

impl Places {
    /// Whose a cgroup is, by its path.
    fn who(bundles: &Bundles, path: &[u8]) -> Option<ContainerRef> {
        workload::container(path).or_else(|| bundles.container(path))
    }

    /// Whose a cgroup is, which an event came from.
    fn owner(&mut self, cgroup: u64, intake: &mut Intake) -> Owner {
        let (paths, bundles) = match self {
            Self::One(owner) => return *owner,
            Self::Cgroups { paths, bundles } => (paths, bundles),
        };
        if let Some(owner) = intake.owner(cgroup) {
            return owner;
        }
        match paths.path(cgroup) {
            Ok(path) => intake.cgroup(cgroup, Self::who(bundles, &path)),
            Err(lost) => {
                tracing::warn!(cgroup, %lost, "a cgroup's events cannot be given to a container");
                intake.lost_cgroup(cgroup)
            }
        }
    }
}

impl Live {
    /// Attaches, and tells `sink` of what runs already.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub fn attach(options: &Options, whom: Whom, sink: &mut dyn Sink) -> Result<Self, LiveError> {
        let flush_interval = options.classes.contains(Class::Syscalls).then_some(options.syscall_flush);
        let now = Instant::now();
        let live = |probes, places, intake, host| Self {
            probes,
            places,
            intake,
            host,
            flush_interval,
            flushed: now,
            counted: now,
            gone: Vec::new(),
            excluded: Vec::new(),
        };
        match whom {
            Whom::Containers { select, host, resolver, budget } => {
                let options = Options { scope: Scope::Everything, ..options.clone() };
                let probes = Probes::attach(&options)?;
                let paths = Cgroups::open(CGROUPS_MAX).map_err(LiveError::Cgroups)?;
                let resolver = Resolver::start(resolver).map_err(LiveError::Thread)?;
                let intake = Intake::new(Some(resolver), select, host);
                let places = Places::Cgroups { paths: Box::new(paths), bundles: Bundles::default() };
                let mut live = live(probes, places, intake, host);
                live.look_around(budget, sink);
                Ok(live)
            }
            Whom::Command { pid, container, workload } => {
                let options = Options { scope: Scope::Descendants(pid), ..options.clone() };
                let probes = Probes::attach(&options)?;
                let mut intake = Intake::new(None, Select::default(), false);
                let who = ContainerRef { runtime: Runtime::Unknown, id: container, pod: None, user: None };
                let owner = intake.cgroup(0, Some(who.clone()));
                intake.tell(&who, *workload, sink);
                // Until it runs the command, what it does is not the command's doing: it sets up the container, so to say.
                let exec = Exec { path: LAUNCHER, ..Exec::default() };
                let start = proc::start_of(pid);
                let event = EventRef { ts: super::intake::now(), container: b"", pid, start, body: Body::Exec(exec) };
                intake.event(owner, event, PathFacts::default(), sink);
                Ok(live(probes, Places::One(owner), intake, false))
            }
        }
    }

    /// Every hook in the kernel, attached or not.
    pub fn hooks(&self) -> &[HookState] {
        self.probes.hooks()
    }

    /// The containers.
    pub fn containers(&self) -> &Containers {
        self.intake.containers()
    }

    /// Whether a runtime is still expected to answer.
    pub fn waits(&self) -> bool {
        self.intake.waits()
    }

    /// Takes what runtimes have answered.
    pub fn settle(&mut self, sink: &mut dyn Sink) {
        self.intake.settle(sink);
    }

    /// Takes what the kernel has, and hands it on. Never waits, unless `sink` does.
    pub fn step(&mut self, sink: &mut dyn Sink) -> Step {
        self.intake.settle(sink);
        if self.flush_interval.is_some_and(|interval| self.flushed.elapsed() >= interval) {
            self.flush_syscalls();
        }
        let stats = self.drain(sink);
        if !self.gone.is_empty() || self.counted.elapsed() >= COUNT_INTERVAL {
            self.count(sink);
        }
        for cgroup in self.excluded.drain(..) {
            if let Err(error) = self.probes.exclude_cgroup(cgroup) {
                tracing::debug!(cgroup, %error, "events of the host go on leaving the kernel");
            }
        }
        stats
    }

    /// The last step: nothing of what happened until now is left in the kernel.
    pub fn finish(mut self, sink: &mut dyn Sink) {
        self.flush_syscalls();
        // What came while the first was on its way.
        for _ in 0..2 {
            self.drain(sink);
        }
        self.count(sink);
        self.intake.settle(sink);
    }

    fn flush_syscalls(&mut self) {
        self.flushed = Instant::now();
        if let Err(error) = self.probes.flush_syscalls() {
            tracing::warn!(%error, "system calls of processes that sleep are told late");
        }
    }

    fn drain(&mut self, sink: &mut dyn Sink) -> Step {
        let Self { probes, places, intake, host, gone, excluded, .. } = self;
        let stats = probes.drain(&mut |record: Record<'_>| match record.what {
            What::Event(event) => {
                let owner = places.owner(record.cgroup, intake);
                if owner == Owner::Host && !*host {
                    // Once is enough, and many come in one drain.
                    if excluded.last() != Some(&record.cgroup) {
                        excluded.push(record.cgroup);
                    }
                }
                let facts = PathFacts { cut: record.facts.cut, detached: record.facts.detached };
                intake.event(owner, event, facts, sink);
            }
            What::CgroupNew { path } => {
                if let Places::Cgroups { paths, bundles } = places {
                    paths.learn(record.cgroup, path);
                    let owner = intake.cgroup(record.cgroup, Places::who(bundles, path));
                    if owner == Owner::Host && !*host {
                        excluded.push(record.cgroup);
                    }
                }
            }
            What::CgroupGone => gone.push(record.cgroup),
        });
        intake.missed_of_nobody(Dropped::ProbeRecord.name(), stats.malformed, sink);
        Step { records: stats.records, bytes: stats.bytes }
    }

    /// Tells what was not delivered, and then of the containers that are gone.
    fn count(&mut self, sink: &mut dyn Sink) {
        self.counted = Instant::now();
        let Self { probes, places, intake, gone, .. } = self;
        probes.counts(&mut |count: Count| {
            let Some(cause) = ledger_name(count.class, count.cause) else {
                tracing::warn!(?count, "cgroups were made or removed unseen");
                return;
            };
            match count.cgroup {
                0 if !matches!(places, Places::One(_)) => {
                    intake.missed_of_nobody(cause, count.n, sink);
                }
                cgroup => {
                    let owner = places.owner(cgroup, intake);
                    intake.missed(owner, cause, count.n, sink);
                }
            }
        });
        for cgroup in gone.drain(..) {
            intake.cgroup_gone(cgroup, sink);
        }
    }

    /// Whose the cgroups are that are there, and what runs in those of containers.
    fn look_around(&mut self, budget: Budget, sink: &mut dyn Sink) {
        let Places::Cgroups { paths, bundles } = &mut self.places else { return };
        match paths.walk() {
            Ok(walk) => {
                for cgroup in &walk.cgroups {
                    let owner = self.intake.cgroup(cgroup.id, Places::who(bundles, &cgroup.path));
                    if owner == Owner::Host && !self.host {
                        self.excluded.push(cgroup.id);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "cgroups that are there are found as they make events"),
        }
        // Whatever makes an event from now on is in the ring, so that nothing falls between the two.
        let host = self.host;
        let wanted = |path: &[u8]| host || Places::who(bundles, path).is_some();
        match Snapshot::take(budget, wanted) {
            Ok(snapshot) => {
                let left_out = snapshot.left_out;
                if left_out != proc::LeftOut::default() {
                    tracing::warn!(?left_out, "not every process that runs already could be looked at");
                }
                self.intake.running(&snapshot, |path| Places::who(bundles, path), sink);
            }
            Err(error) => tracing::warn!(%error, "what runs already is not known"),
        }
    }
}

/// The ledger's name for what was not delivered; `None` if it was no event.
fn ledger_name(class: Class, cause: Cause) -> Option<&'static str> {
    use Dropped::{
        ProbeRecord, ProbeTable, RingFullCapability, RingFullDns, RingFullExec, RingFullExit, RingFullFork,
        RingFullOpen, RingFullSocket, RingFullSyscalls, ShedCapability, ShedDns, ShedOpen, ShedSocket, ShedSyscalls,
    };
    let dropped = match (cause, class) {
        (_, Class::Cgroup) => return None,
        (Cause::Repeat, _) => return Some(grove::ledger::Ignored::Repeat.name()),
        (Cause::MapFull, _) => ProbeTable,
        (Cause::Unreadable, _) => ProbeRecord,
        (_, Class::Fork) => RingFullFork,
        (_, Class::Exec) => RingFullExec,
        (_, Class::Exit) => RingFullExit,
        (Cause::RingFull, Class::Open) => RingFullOpen,
        (Cause::RingFull, Class::Socket) => RingFullSocket,
        (Cause::RingFull, Class::Dns) => RingFullDns,
        (Cause::RingFull, Class::Syscalls) => RingFullSyscalls,
        (Cause::RingFull, Class::Capability) => RingFullCapability,
        (Cause::Shed, Class::Open) => ShedOpen,
        (Cause::Shed, Class::Socket) => ShedSocket,
        (Cause::Shed, Class::Dns) => ShedDns,
        (Cause::Shed, Class::Syscalls) => ShedSyscalls,
        (Cause::Shed, Class::Capability) => ShedCapability,
    };
    Some(dropped.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_and_cause_is_told_apart_in_the_ledger() {
        let mut names = std::collections::BTreeSet::new();
        for class in Class::ALL {
            for cause in Cause::ALL {
                let name = ledger_name(class, cause);
                assert_eq!(name.is_none(), class == Class::Cgroup);
                names.extend(name);
            }
        }
        // Eight classes, of which three are never shed; repeats, full tables and unreadable records once each.
        assert_eq!(names.len(), 8 + 5 + 3);
    }
}
