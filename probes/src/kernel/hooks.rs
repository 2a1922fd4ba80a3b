//! Every place in the kernel that a program is attached to, what it is good for, and what is lost without it.

use std::fs::File;
use std::path::{Path, PathBuf};

use aya::Btf;
use aya::Ebpf;
use aya::programs::{BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, Iter, ProgramError};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::capabilities;
use super::options::Classes;
use super::record::Class;

/// A hook after an attempt to attach to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// Its name, as the kernel spells it.
    pub name: &'static str,
    /// Without it nothing works.
    pub required: bool,
    /// Why it is not attached; `None` if it is.
    pub failure: Option<String>,
    /// What is not seen without it.
    pub lost: &'static str,
}

impl HookState {
    /// Whether it is attached.
    pub fn attached(&self) -> bool {
        self.failure.is_none()
    }
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A tracepoint with typed arguments.
    Tracepoint,
    /// Packets leaving any socket.
    Egress,
    /// Run by us over all tasks.
    Tasks,
}

/// One program and its hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) lost: &'static str,
    /// It is attached if any of these is wanted; always if there are none.
    pub(super) classes: &'static [Class],
}

/// How often a program is offered to the kernel.
const LOADS_MAX: usize = 5;

/// As long as this is there, signals to this thread wait.
struct Quiet(Option<SigSet>);

impl Quiet {
    fn begin() -> Self {
        Self(SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // It fails for no mask that there was before.
            let _ = before.thread_set_mask();
        }
    }
}

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const EINVAL: i32 = 22;

pub(super) const FLUSH: &str = "grove_flush";

/// In the order of attaching: what announces others comes first.
pub(super) const HOOKS: &[Hook] = &[
    Hook {
        name: "cgroup_mkdir",
        program: "grove_cgroup_mkdir",
        kind: Kind::Tracepoint,
        required: false,
        lost: "containers are not announced before their first event",
        classes: &[],
    },
    Hook {
        name: "cgroup_rmdir",
        program: "grove_cgroup_rmdir",
        kind: Kind::Tracepoint,
        required: false,
        lost: "the end of containers is not told",
        classes: &[],
    },
    Hook {
        name: "sched_process_exit",
        program: "grove_exit",
        kind: Kind::Tracepoint,
        required: true,
        lost: "ends of processes",
        classes: &[],
    },
    Hook {
        name: "sched_process_fork",
        program: "grove_fork",
        kind: Kind::Tracepoint,
        required: true,
        lost: "which process started which",
        classes: &[],
    },
    Hook {
        name: "sched_process_exec",
        program: "grove_exec",
        kind: Kind::Tracepoint,
        required: true,
        lost: "programs that are executed",
        classes: &[],
    },
    Hook {
        name: "sys_exit",
        program: "grove_sys_exit",
        kind: Kind::Tracepoint,
        required: false,
        lost: "opened files, sockets and system calls",
        classes: &[Class::Open, Class::Socket, Class::Syscalls],
    },
    Hook {
        name: "io_uring_complete",
        program: "grove_uring_end",
        kind: Kind::Tracepoint,
        required: false,
        lost: "what is done through io_uring is told as it was asked for, not as it ended",
        classes: &[Class::Open, Class::Socket],
    },
    Hook {
        name: "io_uring_submit_req",
        program: "grove_uring",
        kind: Kind::Tracepoint,
        required: false,
        lost: "files and sockets of io_uring",
        classes: &[Class::Open, Class::Socket],
    },
    Hook {
        name: "cap_capable",
        program: "grove_cap_capable",
        kind: Kind::Tracepoint,
        required: false,
        lost: "capabilities (the tracepoint is there since Linux 6.14)",
        classes: &[Class::Capability],
    },
    Hook {
        name: "iter/task",
        program: FLUSH,
        kind: Kind::Tasks,
        required: false,
        lost: "system calls of processes that sleep are told late",
        classes: &[Class::Syscalls],
    },
    Hook {
        name: "cgroup_skb/egress",
        program: "grove_dns",
        kind: Kind::Egress,
        required: false,
        lost: "DNS questions",
        classes: &[Class::Dns],
    },
];

impl Hook {
    pub(super) fn wanted(&self, classes: Classes) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|c| classes.contains(*c))
    }

    /// Why it is not attached, in one line.
    pub(super) fn why(&self, error: &HookError) -> String {
        let missing = error.refusal().and_then(|_| capabilities::missing(self.kind == Kind::Egress));
        missing.map_or_else(|| error.to_string(), |names| format!("{names} missing ({error})"))
    }

    /// Loads the program and attaches it. A signal to this thread, such as that of a child's end, would break the
    /// verifier off, with an error that says nothing of it: so signals wait meanwhile. Those that cannot wait, such as a
    /// stop, are no reason to give up.
    pub(super) fn attach(&self, bpf: &mut Ebpf, btf: &Btf) -> Result<(), HookError> {
        let _quiet = Quiet::begin();
        for _ in 1..LOADS_MAX {
            match self.attach_once(bpf, btf) {
                Err(HookError::Program(ProgramError::LoadError { io_error, .. }))
                    if matches!(io_error.raw_os_error(), Some(EINTR | EAGAIN | EINVAL)) => {}
                other => return other,
            }
        }
        self.attach_once(bpf, btf)
    }

    fn attach_once(&self, bpf: &mut Ebpf, btf: &Btf) -> Result<(), HookError> {
        let program = bpf.program_mut(self.program).ok_or(HookError::Absent)?;
        match self.kind {
            Kind::Tracepoint => {
                let program: &mut BtfTracePoint = program.try_into()?;
                program.load(self.name, btf)?;
                program.attach()?;
            }
            Kind::Egress => {
                let program: &mut CgroupSkb = program.try_into()?;
                program.load()?;
                let root = cgroup_root().ok_or(HookError::NoCgroups)?;
                let root = File::open(root).map_err(HookError::Root)?;
                program.attach(root, CgroupSkbAttachType::Egress, CgroupAttachMode::Single)?;
            }
            Kind::Tasks => {
                let program: &mut Iter = program.try_into()?;
                program.load("task", btf)?;
            }
        }
        Ok(())
    }
}

/// Why a hook is not attached.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("the object has no such program")]
    Absent,
    #[error("no cgroup v2 hierarchy is mounted")]
    NoCgroups,
    #[error("the cgroup root cannot be opened: {0}")]
    Root(std::io::Error),
    #[error("{}", plain(.0))]
    Program(#[from] ProgramError),
}

impl HookError {
    /// The kernel's answer, if it was that this is not permitted.
    pub(super) fn refusal(&self) -> Option<&std::io::Error> {
        match self {
            Self::Program(ProgramError::LoadError { io_error, .. }) => Some(io_error),
            Self::Program(ProgramError::SyscallError(e)) => Some(&e.io_error),
            _ => None,
        }
        .filter(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    }
}

/// An error and its causes in one line, without the verifier's novel.
fn plain(error: &ProgramError) -> String {
    use std::error::Error;
    let mut text = match error {
        ProgramError::LoadError { io_error, .. } => return format!("the kernel refused the program: {io_error}"),
        ProgramError::Btf(e) => return format!("the kernel has no such hook: {e}"),
        other => other.to_string(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace('\n', " ")
}

/// Where the v2 hierarchy is mounted: alone, or beside v1.
pub(super) fn cgroup_root() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(Path::new)
        .find(|p| p.join("cgroup.controllers").exists())
        .map(Path::to_path_buf)
}
