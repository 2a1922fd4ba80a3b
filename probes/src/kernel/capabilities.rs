//! Which capabilities this process has of those that the kernel side needs, and giving up the rest.

use std::fmt::{self, Display, Formatter};
use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::options::Options;
use super::record::Class;

/// What is wanted of the host, as far as capabilities go. What is not wanted needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Events from the kernel's programs.
    pub programs: bool,
    /// DNS questions or requests to metadata services among them.
    pub packets: bool,
    /// The containers of this host, and so whose a cgroup is that was neither there at the start nor announced.
    pub containers: bool,
    /// The processes that run already, whosever they are.
    pub running: bool,
}

impl Wants {
    /// What observing containers takes, those that are `running` already too.
    pub fn of_containers(options: &Options, running: bool) -> Self {
        Self { containers: true, running, ..Self::of_command(options) }
    }

    /// What observing a command takes, from its first step on.
    pub fn of_command(options: &Options) -> Self {
        let packets = [Class::Dns, Class::Imds].iter().any(|class| options.classes.contains(*class));
        Self { programs: true, packets, containers: false, running: false }
    }
}

/// A capability and what it is needed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) name: &'static str,
    set: CapabilitySet,
    /// What does the same.
    or: CapabilitySet,
    pub(super) purpose: &'static str,
    /// How to do without, if that can be.
    pub(super) without: Option<&'static str>,
    wanted: fn(Wants) -> bool,
}

static NEEDS: [Need; 5] = [
    Need {
        name: "CAP_BPF",
        set: CapabilitySet::BPF,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "creating maps and loading programs",
        without: None,
        wanted: |wants| wants.programs,
    },
    Need {
        name: "CAP_PERFMON",
        set: CapabilitySet::PERFMON,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "programs that read the kernel's memory",
        without: None,
        wanted: |wants| wants.programs,
    },
    Need {
        name: "CAP_NET_ADMIN",
        set: CapabilitySet::NET_ADMIN,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "seeing DNS questions and requests to metadata services",
        without: Some("GROVE_PROBE_DNS=false and GROVE_PROBE_IMDS=false"),
        wanted: |wants| wants.packets,
    },
    Need {
        name: "CAP_DAC_READ_SEARCH",
        set: CapabilitySet::DAC_READ_SEARCH,
        or: CapabilitySet::DAC_READ_SEARCH,
        purpose: "finding the container of a cgroup",
        without: None,
        wanted: |wants| wants.containers,
    },
    Need {
        name: "CAP_SYS_PTRACE",
        set: CapabilitySet::SYS_PTRACE,
        or: CapabilitySet::SYS_PTRACE,
        purpose: "looking at processes that run already",
        without: Some("GROVE_SNAPSHOT_PROCESSES=0"),
        wanted: |wants| wants.running,
    },
];

impl Need {
    fn met(&self, have: CapabilitySet) -> bool {
        have.contains(self.set) || have.contains(self.or)
    }
}

/// What `wants` needs, and whether it is there.
pub(super) fn needs(wants: Wants) -> impl Iterator<Item = (&'static Need, bool)> {
    let have = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    NEEDS.iter().filter(move |need| (need.wanted)(wants)).map(move |need| (need, need.met(have)))
}

/// What is needed and not there, in one line.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Missing {
    /// These capabilities.
    #[error("{0}")]
    Capabilities(Lacking),
    /// The numbers that processes have for the kernel.
    #[error(
        "this is a nested pid namespace ({0}): run Grove on the host, or in a container with the host's pid namespace"
    )]
    PidNamespace(String),
}

/// Capabilities.
#[derive(Clone, Debug)]
pub struct Lacking(Vec<&'static Need>);

/// Whether everything that `wants` needs is there. Better asked before than seen from what then fails: the kernel says
/// no without saying why, and where it says nothing, less would be seen and nobody would know.
///
/// # Errors
/// What is missing, in one line.
pub fn require(wants: Wants) -> Result<(), Missing> {
    let missing: Vec<_> = needs(wants).filter(|(_, met)| !met).map(|(need, _)| need).collect();
    if !missing.is_empty() {
        return Err(Missing::Capabilities(Lacking(missing)));
    }
    if wants.programs { initial_pid_namespace().map_err(Missing::PidNamespace) } else { Ok(()) }
}

/// Whether processes have the numbers here that they have for the kernel: elsewhere our own is another one than the
/// programs see, and so are those in `/proc`.
///
/// # Errors
/// The namespace that this is.
pub(super) fn initial_pid_namespace() -> Result<(), String> {
    /// The inode that the kernel reserves for the initial pid namespace.
    const INITIAL: &str = "pid:[4026531836]";
    let own = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    if own == INITIAL { Ok(()) } else { Err(own) }
}

impl Display for Lacking {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl Lacking {
    fn line(&self) -> String {
        let each = self.0.iter().map(|need| format!("{} (for {})", need.name, need.purpose));
        let is = if self.0.len() == 1 { "is" } else { "are" };
        let them = if self.0.len() == 1 { "it" } else { "them" };
        let mut line = format!("{} {is} missing: run as root, or with {them}", and(each.collect()));
        // Doing without only some of them is no help.
        if let Some(without) = self.0.iter().map(|need| need.without).collect::<Option<Vec<_>>>() {
            line.push_str(&format!("; or without, by {}", without.join(" ")));
        }
        line
    }
}

fn and(mut words: Vec<String>) -> String {
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// The names of what is missing of what every program needs, for questions on the net too if `packets`.
pub(super) fn missing(packets: bool) -> Option<String> {
    let wants = Wants { programs: true, packets, containers: false, running: false };
    let names: Vec<_> = needs(wants).filter(|(_, met)| !met).map(|(need, _)| need.name.to_owned()).collect();
    (!names.is_empty()).then(|| and(names))
}

/// Gives up every capability that is not needed once [`Probes`](super::Probes) are attached. Kept are `CAP_BPF` and
/// `CAP_PERFMON`, for maps and for going through tasks, and those that reading `/proc` and the container runtimes'
/// directories and sockets needs: `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH` and `CAP_DAC_OVERRIDE`.
///
/// Capabilities are a thread's. Call this before other threads are started: they inherit what is left. Returns the
/// names of what is kept.
///
/// # Errors
///
/// The kernel's refusal; nothing has changed then.
pub fn drop_capabilities() -> io::Result<Vec<&'static str>> {
    const KEPT: [(&str, CapabilitySet); 5] = [
        ("CAP_BPF", CapabilitySet::BPF),
        ("CAP_PERFMON", CapabilitySet::PERFMON),
        ("CAP_SYS_PTRACE", CapabilitySet::SYS_PTRACE),
        ("CAP_DAC_READ_SEARCH", CapabilitySet::DAC_READ_SEARCH),
        ("CAP_DAC_OVERRIDE", CapabilitySet::DAC_OVERRIDE),
    ];
    let have = capabilities(None)?.effective;
    let kept: Vec<_> = KEPT.into_iter().filter(|(_, set)| have.contains(*set)).collect();
    let mut left = kept.iter().fold(CapabilitySet::empty(), |all, (_, set)| all | *set);
    let mut names: Vec<_> = kept.iter().map(|(name, _)| *name).collect();
    if !have.contains(CapabilitySet::BPF | CapabilitySet::PERFMON) {
        // Where these two were had through it, it cannot go.
        left |= have & CapabilitySet::SYS_ADMIN;
        names.push("CAP_SYS_ADMIN");
    }
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable })?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(names: &[&str]) -> String {
        Lacking(names.iter().filter_map(|name| NEEDS.iter().find(|need| need.name == *name)).collect()).to_string()
    }

    #[test]
    fn one_line_names_what_is_missing_and_what_to_do() {
        assert_eq!(
            line(&["CAP_NET_ADMIN"]),
            "CAP_NET_ADMIN (for seeing DNS questions and requests to metadata services) is missing: run as root, or with \
             it; or without, by GROVE_PROBE_DNS=false and GROVE_PROBE_IMDS=false"
        );
        assert_eq!(
            line(&["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]),
            "CAP_BPF (for creating maps and loading programs), CAP_PERFMON (for programs that read the kernel's memory) \
             and CAP_NET_ADMIN (for seeing DNS questions and requests to metadata services) are missing: run as root, or with them"
        );
    }

    #[test]
    fn what_is_not_wanted_needs_nothing() {
        let names = |wants| needs(wants).map(|(need, _)| need.name).collect::<Vec<_>>();
        let nothing = Wants { programs: false, packets: false, containers: false, running: false };
        assert!(names(nothing).is_empty() && require(nothing).is_ok());
        assert_eq!(names(Wants::of_containers(&Options::default(), true)).len(), NEEDS.len());
        assert_eq!(names(Wants { programs: true, ..nothing }), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(names(Wants { packets: true, ..nothing }), ["CAP_NET_ADMIN"]);
        assert_eq!(names(Wants { containers: true, ..nothing }), ["CAP_DAC_READ_SEARCH"]);
        assert_eq!(names(Wants { running: true, ..nothing }), ["CAP_SYS_PTRACE"]);
    }
}
