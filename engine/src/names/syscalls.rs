//! System calls: names and numbers on x86-64, and on aarch64 as far as a trace from there needs translating.
//!
//! Profiles spell a call with its x86-64 number whatever machine it was seen on, so that one image has one
//! profile. The tables are those of the crate `syscalls`, which follows the kernel's. Not here: 32-bit calls (i386, arm)
//! and x32, whose numbers traces do not carry.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::LazyLock;

use syscalls::{aarch64, x86_64};

/// A machine whose system calls a trace may be numbered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    /// x86-64, also called amd64.
    #[default]
    X86_64,
    /// 64-bit ARM, also called arm64.
    Aarch64,
}

/// The name of an architecture that [`Arch`] does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `x86_64` or `aarch64`")]
pub struct UnknownArch;

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(name: &str) -> Result<Self, UnknownArch> {
        match name {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err(UnknownArch),
        }
    }
}

/// Past every number that a call has.
const NUMBERS_END: u32 = 1024;

/// aarch64's numbers of calls that only 32-bit machines have: times of 64 bits there.
const OF_32_BITS: RangeInclusive<u32> = 403..=423;

/// A machine's calls, sorted by name: traces name them by the thousand, and the crate's look-up compares one by one.
type ByName = Vec<(&'static str, u32)>;

static X86_64_BY_NAME: LazyLock<ByName> = LazyLock::new(|| by_name(Arch::X86_64));
static AARCH64_BY_NAME: LazyLock<ByName> = LazyLock::new(|| by_name(Arch::Aarch64));

fn by_name(arch: Arch) -> ByName {
    let mut all: ByName = (0..NUMBERS_END).filter_map(|nr| Some((arch.name(nr)?, nr))).collect();
    all.sort_unstable();
    all
}

impl Arch {
    /// The name of this machine's call `nr`, if it is one this version knows. O(1).
    pub fn name(self, nr: u32) -> Option<&'static str> {
        match self {
            Self::X86_64 => x86_64::Sysno::new(nr as usize).map(|call| call.name()),
            Self::Aarch64 if OF_32_BITS.contains(&nr) => None,
            // The header's name, not that of the call.
            Self::Aarch64 if nr == aarch64::Sysno::fstatat as u32 => Some("newfstatat"),
            Self::Aarch64 => aarch64::Sysno::new(nr as usize).map(|call| call.name()),
        }
    }

    /// The number that this machine has for the call `name`. O(log n).
    pub fn number(self, name: &str) -> Option<u32> {
        let all = match self {
            Self::X86_64 => &X86_64_BY_NAME,
            Self::Aarch64 => &AARCH64_BY_NAME,
        };
        let i = all.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
        all.get(i).map(|(_, nr)| *nr)
    }

    /// The x86-64 number of this machine's call `nr`. An x86-64 number stays what it is, known or not.
    pub fn to_x86_64(self, nr: u32) -> Option<u32> {
        match self {
            Self::X86_64 => Some(nr),
            Self::Aarch64 => Self::X86_64.number(self.name(nr)?),
        }
    }
}

/// The name of x86-64 system call `nr`, if it is one this version knows.
pub fn syscall_name(nr: u32) -> Option<&'static str> {
    Arch::X86_64.name(nr)
}

/// The x86-64 number of the system call `name`.
pub fn syscall_number(name: &str) -> Option<u32> {
    Arch::X86_64.number(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (name, x86_64, aarch64) in [
            ("read", Some(0), Some(63)),
            ("open", Some(2), None),
            ("execve", Some(59), Some(221)),
            ("newfstatat", Some(262), Some(79)),
            ("openat", Some(257), Some(56)),
            ("mmap", Some(9), Some(222)),
            ("renameat", Some(264), Some(38)),
            ("accept4", Some(288), Some(242)),
            ("wait4", Some(61), Some(260)),
            ("rseq", Some(334), Some(293)),
            ("pidfd_send_signal", Some(424), Some(424)),
            ("clone3", Some(435), Some(435)),
            ("openat2", Some(437), Some(437)),
            ("cachestat", Some(451), Some(451)),
            ("mseal", Some(462), Some(462)),
            ("file_setattr", Some(469), Some(469)),
            ("clock_gettime64", None, None),
            ("no_such_call", None, None),
        ] {
            assert_eq!(syscall_number(name), x86_64, "{name}");
            assert_eq!(Arch::Aarch64.number(name), aarch64, "{name}");
            if let (Some(x), Some(a)) = (x86_64, aarch64) {
                assert_eq!(Arch::Aarch64.to_x86_64(a), Some(x), "{name}");
            }
        }
    }

    #[test]
    fn every_name_leads_back_to_its_number() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let known = (0..1000).filter_map(|nr| Some((nr, arch.name(nr)?)));
            assert!(known.clone().count() > 300);
            for (nr, name) in known {
                assert_eq!(arch.number(name), Some(nr), "{name}");
                assert!(arch.to_x86_64(nr).is_some(), "{name} has no x86-64 number");
            }
        }
        assert_eq!(Arch::Aarch64.to_x86_64(244), None);
        assert_eq!(Arch::Aarch64.to_x86_64(9999), None);
        assert_eq!(syscall_name(340), None);
        assert_eq!(syscall_name(u32::MAX), None);
    }
}
