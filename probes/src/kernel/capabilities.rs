//! Which capabilities this process has of those that the kernel side needs, and giving up the rest.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// A capability and what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) name: &'static str,
    set: CapabilitySet,
    /// What does the same.
    or: CapabilitySet,
    pub(super) purpose: &'static str,
    /// Nothing works without it.
    pub(super) required: bool,
}

pub(super) const NEEDS: [Need; 4] = [
    Need {
        name: "CAP_BPF",
        set: CapabilitySet::BPF,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "creating maps and loading programs",
        required: true,
    },
    Need {
        name: "CAP_PERFMON",
        set: CapabilitySet::PERFMON,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "programs that read the kernel's memory",
        required: true,
    },
    Need {
        name: "CAP_NET_ADMIN",
        set: CapabilitySet::NET_ADMIN,
        or: CapabilitySet::SYS_ADMIN,
        purpose: "seeing DNS questions",
        required: false,
    },
    Need {
        name: "CAP_SYS_PTRACE",
        set: CapabilitySet::SYS_PTRACE,
        or: CapabilitySet::SYS_PTRACE,
        purpose: "looking at other users' processes in /proc, for those that run already",
        required: false,
    },
];

impl Need {
    pub(super) fn met(&self, have: CapabilitySet) -> bool {
        have.contains(self.set) || have.contains(self.or)
    }
}

/// The capabilities in force.
pub(super) fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// What is missing, in words, for what is done with packets too if `packets`.
pub(super) fn missing(packets: bool) -> Option<String> {
    let have = effective();
    let needed = |need: &&Need| need.required || packets && need.set == CapabilitySet::NET_ADMIN;
    let names: Vec<_> = NEEDS.iter().filter(needed).filter(|n| !n.met(have)).map(|n| n.name).collect();
    (!names.is_empty()).then(|| names.join(" and "))
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
