//! Attaching programs to places in the kernel, and what is said of those that cannot be. Not here: which there are
//! (`table`).

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aya::Btf;
use aya::Ebpf;
use aya::programs::{BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, FExit, Iter, ProgramError};
use nix::sys::signal::{SigSet, SigmaskHow};

use super::capabilities;
use super::options::Classes;
use super::table::{Hook, Kind, Way};

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

const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const EINVAL: i32 = 22;

impl Hook {
    pub(super) fn wanted(&self, classes: Classes) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|c| classes.contains(*c))
    }

    /// It is of no use to load it without the capability to attach it.
    pub(super) fn is_egress(&self) -> bool {
        self.ways.iter().all(|way| way.kind == Kind::Egress)
    }

    /// Why it is not attached, in one line.
    pub(super) fn why(&self, error: &HookError) -> String {
        let missing = error.refusal().and_then(|_| capabilities::missing(self.is_egress()));
        missing.map_or_else(|| error.to_string(), |names| format!("{names} missing ({error})"))
    }

    /// What is lost without it, and how to do without if that can be chosen.
    pub(super) fn remedy(&self) -> String {
        let lost = self.lost;
        match self.without {
            "" if self.required => format!("Grove does nothing without {lost}; use Linux 5.17 or newer"),
            "" => format!("without it: {lost}"),
            variables => format!("to do without {lost}, set {variables}"),
        }
    }

    /// Loads the program and attaches it, in the first way that there is in this kernel. A signal to this thread, such as
    /// that of a child's end, would break the verifier off, with an error that says nothing of it: so signals wait
    /// meanwhile.
    pub(super) fn attach(&self, bpf: &mut Ebpf, btf: &Btf) -> Result<(), HookError> {
        let _quiet = Quiet::begin();
        let mut outcome = Err(HookError::Absent);
        for way in self.ways {
            outcome = way.attach(bpf, btf);
            if !outcome.as_ref().is_err_and(HookError::is_of_the_kernel) {
                break;
            }
        }
        outcome
    }
}

impl Way {
    /// What cannot be kept waiting, such as a stop, is no reason to give up.
    fn attach(&self, bpf: &mut Ebpf, btf: &Btf) -> Result<(), HookError> {
        for _ in 1..LOADS_MAX {
            match self.attach_once(bpf, btf) {
                Err(HookError::Program(ProgramError::LoadError { io_error, .. }))
                    if matches!(io_error.raw_os_error(), Some(EINTR | EAGAIN)) => {}
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
                program.load(self.at, btf)?;
                program.attach()?;
            }
            Kind::End => {
                let program: &mut FExit = program.try_into()?;
                program.load(self.at, btf)?;
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
                program.load(self.at, btf)?;
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
    fn answer(&self) -> Option<&std::io::Error> {
        match self {
            Self::Program(ProgramError::LoadError { io_error, .. }) => Some(io_error),
            Self::Program(ProgramError::SyscallError(e)) => Some(&e.io_error),
            _ => None,
        }
    }

    /// The kernel's answer, if it was that this is not permitted to us. (EACCES is what the verifier says of programs
    /// that it cannot see through, but for want of a capability too.)
    pub(super) fn refusal(&self) -> Option<&std::io::Error> {
        let unable = capabilities::missing(false).is_some();
        self.answer().filter(|e| e.raw_os_error() == Some(EPERM) || unable && e.kind() == ErrorKind::PermissionDenied)
    }

    /// This kernel will never take it: there is no such hook, or the program is not for this kernel's.
    fn is_of_the_kernel(&self) -> bool {
        let never = |e: &std::io::Error| e.kind() == ErrorKind::PermissionDenied || e.raw_os_error() == Some(EINVAL);
        matches!(self, Self::Program(ProgramError::Btf(_))) || self.answer().is_some_and(never)
    }
}

/// What the verifier took exception to: of its novel, the end before the figures.
fn objection(log: &str) -> Option<&str> {
    let figures = ["verification time", "stack depth", "processed"];
    log.lines().rfind(|line| !line.is_empty() && !figures.iter().any(|figure| line.starts_with(figure)))
}

/// An error and its causes in one line.
fn plain(error: &ProgramError) -> String {
    use std::error::Error;
    let mut text = match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let said = objection(&log).map(|said| format!(": {said}")).unwrap_or_default();
            return format!("the kernel refused the program: {io_error}{said}");
        }
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
