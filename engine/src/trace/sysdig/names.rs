//! System calls by the names sysdig has for them.
//!
//! Not here: the kernel's own names (`trace::syscalls`).

use crate::names::syscall_number;

/// Where sysdig's name is not the kernel's for x86-64: its own shortenings, and 32-bit names of the same call.
const OWN: &[(&str, u32)] = &[
    ("_newselect", 23),
    ("fcntl64", 72),
    ("fstat64", 5),
    ("fstatat64", 262),
    ("llseek", 8),
    ("_llseek", 8),
    ("lstat64", 6),
    ("mmap2", 9),
    ("pread", 17),
    ("prlimit", 302),
    ("pwrite", 18),
    ("sendfile64", 40),
    ("sigaction", 13),
    ("sigreturn", 15),
    ("stat64", 4),
    ("umount", 166),
];

/// `accept4(2)`, which older sysdigs call `accept` and give `flags=`.
const ACCEPT4: u32 = 288;

/// The x86-64 number of the call that an enter event of this type begins; `None` for what is no system call
/// (`switch`, `procexit`, `signaldeliver`, `page_fault`, …).
pub(super) fn number(kind: &str, args: &str) -> Option<u32> {
    if kind == "accept" && args.starts_with("flags=") {
        return Some(ACCEPT4);
    }
    syscall_number(kind).or_else(|| OWN.iter().find(|(name, _)| *name == kind).map(|(_, nr)| *nr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_a_system_call_or_none() {
        for (kind, args, want) in [
            ("read", "fd=3 size=1 ", Some(0)),
            ("openat2", "", Some(437)),
            ("umount", "flags=2(DETACH) ", Some(166)),
            ("sigreturn", "", Some(15)),
            ("accept", "", Some(43)),
            ("accept", "flags=0 ", Some(288)),
            ("switch", "next=1 ", None),
            ("procexit", "status=0 ", None),
            ("signaldeliver", "", None),
            ("page_fault", "", None),
            ("container", "json={}", None),
            ("", "", None),
        ] {
            assert_eq!(number(kind, args), want, "{kind} {args}");
        }
    }

    #[test]
    fn no_name_of_sysdigs_own_is_the_kernels_too() {
        for (name, _) in OWN {
            assert_eq!(syscall_number(name), None, "{name}");
        }
    }
}
