//! Options of the programs in the kernel.

use std::time::Duration;

use super::table::Class;

/// Options of the programs in the kernel.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the ring; rounded up to a power of two of at least a page.
    pub ring_bytes: usize,
    /// The window within which repeats are left out in the kernel; `None` delivers each.
    pub dedup: Option<Duration>,
    /// Programs are told apart by their arguments (`GROVE_DIFFERENTIATE_ARGS`), so what one does with other arguments is
    /// no repeat.
    pub arguments: bool,
    /// The classes of events that are wanted.
    pub classes: Classes,
    /// Which attempts that failed are delivered: opens, changes, mounts, connects and binds.
    pub failed: Failures,
    /// The cgroups whose events are wanted.
    pub scope: Scope,
    /// How often sets of system calls are told; kept here for whoever calls [`super::Probes::flush_syscalls`].
    pub syscall_flush: Duration,
    /// How full the ring may be, in percent, before repeats of files and sockets are left out. Half way from there to
    /// the end, everything but forks, execs and exits is.
    pub shed_percent: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ring_bytes: 8 << 20,
            dedup: Some(Duration::from_secs(10)),
            arguments: false,
            classes: Classes::ALL,
            failed: Failures::Refused,
            scope: Scope::Everything,
            syscall_flush: Duration::from_secs(10),
            shed_percent: 75,
        }
    }
}

impl Options {
    /// The ring's size as the kernel will have it.
    pub fn ring_size(&self) -> u32 {
        let bytes = self.ring_bytes.clamp(4096, 1 << 30).next_power_of_two();
        u32::try_from(bytes).unwrap_or(1 << 30)
    }
}

/// Whom to tell about. The own process is always left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everybody, but cgroups that are [excluded](super::Probes::exclude_cgroup).
    #[default]
    Everything,
    /// Only [included](super::Probes::include_cgroup) cgroups, and those that are made below them.
    Cgroups,
    /// Only this process and its descendants, and [further ones](super::Probes::follow).
    Descendants(u32),
}

/// Attempts that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failures {
    /// None.
    None,
    /// Those that somebody or something refused: for want of a permission, or by the other side or the way to it. Not what
    /// only was not there, or is not so now.
    #[default]
    Refused,
    /// All.
    All,
}

/// A set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classes(u32);

impl Classes {
    /// Every class.
    pub const ALL: Self = Self(0xffff);

    /// Only these.
    pub fn only(classes: &[Class]) -> Self {
        Self(classes.iter().fold(0, |bits, c| bits | bit(*c)))
    }

    /// All of these but one.
    #[must_use]
    pub fn without(self, class: Class) -> Self {
        Self(self.0 & !bit(class))
    }

    /// Whether the class is in the set.
    pub fn contains(self, class: Class) -> bool {
        self.0 & bit(class) != 0
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

fn bit(class: Class) -> u32 {
    1 << class as u32
}
