//! A running host, or a running command, as a source of events: the one loop body of every live command.
//!
//! Not here: the timer that calls it, and what becomes of the events.

use std::collections::HashSet;
use std::hash::RandomState;
use std::io;

use grove::event::{Body, EventRef, Exec, Sink};

use super::cgroup_owners::CgroupOwners;
use super::containers::Containers;
use super::ebpf_source::{self, EbpfSource};
use super::intake::{Intake, now};
use super::proc_source::{self, ProcSource};
use super::select::Select;
use crate::kernel::{self, AttachError, HookState, Missing, Options, Requirements, Scope};
use crate::proc::{self, Budget, ConnectorError, Snapshot};
use crate::workload::{self, ContainerRef, Resolver, Runtime, Workload};

/// The source of a live observation's events.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Programs in the kernel. Their scope is chosen here.
    Kernel(Box<Options>),
    /// The process connector, with so large a buffer in the kernel.
    Proc {
        /// In bytes.
        receive_bytes: usize,
    },
}

/// The target of a live observation.
#[derive(Clone, Debug)]
pub enum Target {
    /// Containers, and the host itself if asked for.
    Containers {
        /// Which of them.
        select: Select,
        /// Whether the host is one of them.
        host: bool,
        /// How to ask what they run.
        resolver: Box<workload::Options>,
        /// How much of what runs already is looked at.
        budget: Budget,
    },
    /// A process that is about to run a program, and its descendants: one synthetic container.
    Command {
        /// The process.
        pid: u32,
        /// The container's id.
        container: String,
        /// The image and tag that the command is learned as.
        workload: Box<Workload>,
    },
}

/// Why there are no live events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// What was asked for cannot all be seen.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The programs cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The process connector cannot be listened to.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// Cgroups cannot be looked up.
    #[error("cgroups cannot be looked up: {0}")]
    Cgroups(io::Error),
    /// There is no thread for asking runtimes.
    #[error("a thread cannot be started: {0}; raise the limit of threads")]
    Thread(io::Error),
}

/// The program of a process that is about to run the command: named as a runtime names its own.
const LAUNCHER: &[u8] = b"/runc:[launch]";

/// A running host, or a running command, as a source of events.
pub struct Live {
    source: Source,
    intake: Intake,
}

enum Source {
    Kernel(Box<EbpfSource>, ebpf_source::OwnerLookup),
    Proc(Box<ProcSource>),
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match self.source {
            Source::Kernel(..) => "kernel",
            Source::Proc(_) => "proc",
        };
        f.debug_struct("Live").field("source", &source).finish_non_exhaustive()
    }
}

impl Live {
    /// Attaches, and tells `sink` of what runs already. `attached` is called in between, before any thread is started:
    /// from there on [fewer privileges](crate::kernel::drop_capabilities) will do.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub fn attach(
        origin: &Origin,
        target: Target,
        attached: impl FnOnce(),
        sink: &mut dyn Sink,
    ) -> Result<Self, LiveError> {
        if let Origin::Kernel(options) = origin {
            kernel::require(match &target {
                Target::Containers { budget, .. } => Requirements::of_containers(options, budget.processes_max > 0),
                Target::Command { .. } => Requirements::of_command(options),
            })?;
        }
        match target {
            Target::Containers { select, host, resolver, budget } => {
                let intake = Intake::new(None, select, host);
                Self::of_containers(origin, intake, host, *resolver, budget, attached, sink)
            }
            Target::Command { pid, container, workload } => {
                let live = Self::of_command(origin, pid, container, *workload, sink)?;
                attached();
                Ok(live)
            }
        }
    }

    fn of_containers(
        origin: &Origin,
        mut intake: Intake,
        host: bool,
        resolver: workload::Options,
        budget: Budget,
        attached: impl FnOnce(),
        sink: &mut dyn Sink,
    ) -> Result<Self, LiveError> {
        intake.advance_clock(now());
        // What runs is looked at twice: before anything is told, for those that end meanwhile, and after, for those that
        // began meanwhile.
        let owners = || CgroupOwners::open().map(Box::new).map_err(LiveError::Cgroups);
        let mut around = owners()?;
        let source = match origin {
            Origin::Kernel(options) => {
                let options = Options { scope: Scope::Everything, ..(**options).clone() };
                let before = running(&around, budget, host);
                let mut kernel = Box::new(EbpfSource::attach(&options, host)?);
                attached();
                intake.set_resolver(Resolver::start(resolver).map_err(LiveError::Thread)?);
                kernel.host_cgroups(around.scan(&mut intake));
                intake.running(&before, |path| around.who(path), sink);
                let after = running(&around, budget, host);
                intake.running(&after, |path| around.who(path), sink);
                if budget.processes_max > 0 {
                    intake.mark_all_known([&before, &after], |path| around.who(path));
                }
                intake.watch_losses(kernel.loss_counter());
                Source::Kernel(kernel, ebpf_source::OwnerLookup::CgroupOwners(around))
            }
            Origin::Proc { receive_bytes } => {
                let of = proc_source::OwnerLookup::CgroupOwners(owners()?, RandomState::new());
                let before = running(&around, budget, host);
                let proc = ProcSource::open(*receive_bytes, of)?;
                attached();
                intake.set_resolver(Resolver::start(resolver).map_err(LiveError::Thread)?);
                around.scan(&mut intake);
                intake.running(&before, |path| around.who(path), sink);
                intake.running(&running(&around, budget, host), |path| around.who(path), sink);
                Source::Proc(Box::new(proc))
            }
        };
        Ok(Self { source, intake })
    }

    fn of_command(
        origin: &Origin,
        pid: u32,
        container: String,
        workload: Workload,
        sink: &mut dyn Sink,
    ) -> Result<Self, LiveError> {
        let mut intake = Intake::new(None, Select::default(), false);
        let began = now();
        intake.advance_clock(began);
        let who = ContainerRef { runtime: Runtime::Unknown, id: container, pod: None, user: None };
        let owner = intake.cgroup(0, Some(who.clone()));
        let source = match origin {
            Origin::Kernel(options) => {
                let options = Options { scope: Scope::Descendants(pid), ..(**options).clone() };
                Source::Kernel(Box::new(EbpfSource::attach(&options, false)?), ebpf_source::OwnerLookup::One(owner))
            }
            Origin::Proc { receive_bytes } => {
                let of = proc_source::OwnerLookup::Descendants(owner, HashSet::from([pid]));
                Source::Proc(Box::new(ProcSource::open(*receive_bytes, of)?))
            }
        };
        intake.name_container(&who, workload, sink);
        // Until it runs the command, what it does is not the command's doing: it sets up the container, so to say.
        let mut launcher = Exec::new(0, LAUNCHER);
        launcher.runtime = Some(true);
        let event = EventRef::new(began, b"", pid, Body::Exec(launcher)).with_start(proc::start_of(pid));
        intake.event(owner, event, sink);
        Ok(Self { source, intake })
    }

    /// Every hook in the kernel, attached or not; none where there are no programs in it.
    pub fn hooks(&self) -> &[HookState] {
        match &self.source {
            Source::Kernel(kernel, _) => kernel.hooks(),
            Source::Proc(_) => &[],
        }
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

    /// No runtime is waited for any more. Says what warnings were kept back.
    pub fn end(mut self) {
        self.intake.report_suppressed();
    }

    /// Takes what has happened since, and hands it on. Never waits, unless `sink` does.
    ///
    /// # Errors
    /// The source is gone.
    pub fn step(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        self.intake.settle(sink);
        match &mut self.source {
            Source::Kernel(kernel, of) => {
                kernel.step(of, &mut self.intake, sink);
                Ok(())
            }
            Source::Proc(proc) => proc.step(&mut self.intake, sink),
        }
    }

    /// The last step: nothing of what happened until now is left in the kernel.
    ///
    /// # Errors
    /// The source is gone.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        let outcome = match &mut self.source {
            Source::Kernel(kernel, of) => {
                kernel.finish(of, &mut self.intake, sink);
                Ok(())
            }
            Source::Proc(proc) => proc.step(&mut self.intake, sink),
        };
        self.intake.settle(sink);
        outcome
    }
}

/// The processes that run in containers, and on the host if it is observed.
fn running(owners: &CgroupOwners, budget: Budget, host: bool) -> Snapshot {
    match Snapshot::take(budget, |path| host || owners.who(path).is_some()) {
        Ok(snapshot) => {
            let left_out = snapshot.left_out;
            if left_out != proc::SnapshotOmissions::default() {
                tracing::warn!(%left_out, "not every process that runs already could be looked at");
            }
            snapshot
        }
        Err(error) => {
            tracing::warn!(%error, "what runs already is not known");
            Snapshot::default()
        }
    }
}
