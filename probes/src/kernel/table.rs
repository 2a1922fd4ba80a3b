//! The tables of what the kernel side tells of: classes, kinds of records, and the hooks that they come from. Not here:
//! attaching to hooks (`hooks`), decoding records (`decode`).
//!
//! `src/bpf/record.h` has the same classes and kinds, in the same order.

use super::decode::{self, Parts, Result, Texts};
use super::record::What;

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident = $name:literal),* $(,)?) => {
        /// Kinds of events, as they are switched on and off and counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $($(#[$doc])* $class),* }

        impl Class {
            /// All of them, in the order of their numbers in the kernel programs.
            pub const ALL: &[Self] = &[$(Self::$class),*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$class => $name),* }
            }
        }
    };
}
classes! {
    /// A process was forked.
    Fork = "fork",
    /// A program was executed.
    Exec = "exec",
    /// A process ended.
    Exit = "exit",
    /// A file was opened, or mapped to be executed.
    Open = "open",
    /// A socket was connected or bound, or somebody was let in or heard from.
    Socket = "socket",
    /// A DNS question was asked.
    Dns = "dns",
    /// A set of system calls.
    Syscalls = "syscalls",
    /// A capability was checked.
    Capability = "capability",
    /// A cgroup was made or removed. Cannot be switched off.
    Cgroup = "cgroup",
    /// A name came to be or went, or its file was changed without being opened.
    Change = "change",
    /// A file system was mounted.
    Mount = "mount",
    /// So much has gone over a connection.
    Flow = "flow",
    /// A metadata service was asked for something.
    Imds = "imds",
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A tracepoint with typed arguments.
    Tracepoint,
    /// The return of a function, with its arguments.
    End,
    /// Packets leaving any socket.
    Egress,
    /// Run by us over all tasks.
    Tasks,
}

/// A program and the place for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) program: &'static str,
    pub(super) kind: Kind,
    /// The place, as the kernel spells it.
    pub(super) at: &'static str,
}

/// A source of facts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    /// The ways to have it, which differ by kernel. The first that the kernel takes is the right one.
    pub(super) ways: &'static [Way],
    pub(super) required: bool,
    pub(super) lost: &'static str,
    /// The variables that do without it, if any do.
    pub(super) without: &'static str,
    /// It is attached if any of these is wanted; always if there are none.
    pub(super) classes: &'static [Class],
}

macro_rules! kinds {
    ($($kind:ident = $number:literal: $file:ident::$function:ident),* $(,)?) => {
        /// The numbers of kinds of records.
        #[cfg(test)]
        pub(super) mod kind {
            $(pub(in crate::kernel) const $kind: u8 = $number;)*
            pub(in crate::kernel) const ALL: &[(&str, u8)] = &[$((stringify!($kind), $number)),*];
        }

        /// What a record of this kind tells; `None` if there is no such kind.
        pub(super) fn decode<'a>(kind: u8, parts: &mut Parts<'a>, texts: &'a mut Texts) -> Option<Result<What<'a>>> {
            match kind {
                $($number => Some(decode::$file::$function(parts, texts)),)*
                _ => None,
            }
        }
    };
}
kinds! {
    FORK = 1: lifecycle::fork,
    EXEC = 2: exec::exec,
    EXIT = 3: lifecycle::exit,
    OPEN = 4: open::open,
    SOCKET = 5: socket::socket,
    DNS = 6: dns::dns,
    SYSCALLS = 7: syscalls::syscalls,
    CAPABILITY = 8: caps::capability,
    CGROUP_NEW = 9: groups::made,
    CGROUP_GONE = 10: groups::gone,
    CHANGE = 11: change::change,
    MOUNT = 12: mount::mount,
    FLOW = 13: flow::flow,
    IMDS = 14: imds::imds,
}

pub(super) const FLUSH: &str = "grove_flush";

const fn tracepoint(program: &'static str, at: &'static str) -> Way {
    Way { program, kind: Kind::Tracepoint, at }
}

/// In the order of attaching: what announces others comes first.
pub(super) const HOOKS: &[Hook] = &[
    Hook {
        name: "cgroup_mkdir",
        ways: &[tracepoint("grove_cgroup_mkdir", "cgroup_mkdir")],
        required: false,
        lost: "containers are not announced before their first event",
        without: "",
        classes: &[],
    },
    Hook {
        name: "cgroup_rmdir",
        ways: &[tracepoint("grove_cgroup_rmdir", "cgroup_rmdir")],
        required: false,
        lost: "the end of containers is not told",
        without: "",
        classes: &[],
    },
    Hook {
        name: "sched_process_exit",
        ways: &[tracepoint("grove_exit", "sched_process_exit")],
        required: true,
        lost: "ends of processes",
        without: "",
        classes: &[],
    },
    Hook {
        name: "sched_process_fork",
        ways: &[tracepoint("grove_fork", "sched_process_fork")],
        required: true,
        lost: "which process started which",
        without: "",
        classes: &[],
    },
    Hook {
        name: "sched_process_exec",
        ways: &[tracepoint("grove_exec", "sched_process_exec")],
        required: true,
        lost: "programs that are executed",
        without: "",
        classes: &[],
    },
    Hook {
        name: "sys_exit",
        ways: &[tracepoint("grove_sys_exit", "sys_exit")],
        required: true,
        lost: "files, mounts, sockets and system calls",
        without: "GROVE_PROBE_OPEN=false, GROVE_PROBE_CHANGE=false, GROVE_PROBE_MOUNT=false, \
                  GROVE_PROBE_SOCKET=false and GROVE_PROBE_SYSCALLS=false",
        classes: &[Class::Open, Class::Socket, Class::Syscalls, Class::Change, Class::Mount],
    },
    Hook {
        name: "inet_sock_set_state",
        ways: &[tracepoint("grove_tcp", "inet_sock_set_state")],
        required: false,
        lost: "how much goes over connections that end before they are looked at",
        without: "",
        classes: &[Class::Flow],
    },
    Hook {
        name: "io_uring_complete",
        ways: &[
            // Where the second is right, the kernel refuses the first; the other way round it would not.
            tracepoint("grove_uring_end_old", "io_uring_complete"),
            tracepoint("grove_uring_end", "io_uring_complete"),
        ],
        required: false,
        lost: "what is done through io_uring is told as it was asked for, not as it ended",
        without: "",
        classes: &[Class::Open, Class::Socket, Class::Change],
    },
    Hook {
        name: "io_uring_submit_req",
        ways: &[tracepoint("grove_uring", "io_uring_submit_req"), tracepoint("grove_uring_old", "io_uring_submit_sqe")],
        required: false,
        lost: "files and sockets of io_uring",
        without: "",
        classes: &[Class::Open, Class::Socket, Class::Change],
    },
    Hook {
        name: "cap_capable",
        ways: &[
            tracepoint("grove_cap_capable", "cap_capable"),
            Way { program: "grove_cap_capable_old", kind: Kind::End, at: "cap_capable" },
        ],
        required: false,
        lost: "capabilities",
        without: "",
        classes: &[Class::Capability],
    },
    Hook {
        name: "iter/task",
        ways: &[Way { program: FLUSH, kind: Kind::Tasks, at: "task" }],
        required: false,
        lost: "system calls of processes that sleep, and volumes of connections that go on, are told late",
        without: "",
        classes: &[Class::Syscalls, Class::Flow],
    },
    Hook {
        name: "cgroup_skb/egress",
        ways: &[Way { program: "grove_egress", kind: Kind::Egress, at: "egress" }],
        required: true,
        lost: "DNS questions and requests to metadata services",
        without: "GROVE_PROBE_DNS=false and GROVE_PROBE_IMDS=false",
        classes: &[Class::Dns, Class::Imds],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an enum of `record.h`, without what they begin with, up to one that counts them.
    fn in_the_header(name: &str) -> Vec<&'static str> {
        let header = include_str!("../bpf/record.h");
        let body = header.split(&format!("enum {name} {{")).nth(1).unwrap().split('}').next().unwrap();
        let prefix = format!("{}_", name.to_uppercase());
        let names = body.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        names.filter_map(|line| line.strip_prefix(&prefix)?.split([',', ' ']).next()).collect()
    }

    #[test]
    fn both_sides_number_kinds_and_classes_alike() {
        let kinds: Vec<_> = in_the_header("kind").into_iter().zip(1..).collect();
        assert_eq!(kinds, kind::ALL);
        let classes: Vec<_> = Class::ALL.iter().map(|class| class.name().to_uppercase()).collect();
        assert_eq!(in_the_header("class"), classes);
    }
}
