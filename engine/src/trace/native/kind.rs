//! The types of event, and which fields each of them has.

use super::fields::{Field, Fields};

/// A type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ContainerStart,
    ContainerStop,
    Fork,
    Exec,
    Exit,
    Open,
    Connect,
    Bind,
    Dns,
    Syscalls,
    Capability,
    Missed,
}

/// What every event must have.
const EVENT: Fields = Fields::of(&[Field::Type, Field::Ts, Field::Container]);
/// What every event of a process must have.
const PROCESS: Fields = EVENT.union(Fields::of(&[Field::Pid]));

impl Kind {
    pub(super) const HEADER_REQUIRED: Fields = Fields::of(&[Field::Type, Field::Format, Field::Version]);
    pub(super) const HEADER_KNOWN: Fields =
        Self::HEADER_REQUIRED.union(Fields::of(&[Field::Source, Field::Recording, Field::Clock, Field::Completeness]));

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "open" => Self::Open,
            "connect" => Self::Connect,
            "fork" => Self::Fork,
            "exec" => Self::Exec,
            "exit" => Self::Exit,
            "bind" => Self::Bind,
            "dns" => Self::Dns,
            "syscalls" => Self::Syscalls,
            "capability" => Self::Capability,
            "container_start" => Self::ContainerStart,
            "container_stop" => Self::ContainerStop,
            "missed" => Self::Missed,
            _ => return None,
        })
    }

    /// What an event of this type must have. For `path` and `addr`, the base64 form will do; a port is wanted of IP
    /// sockets besides.
    pub(super) const fn required(self) -> Fields {
        let (base, own) = match self {
            Self::ContainerStart => (EVENT, Fields::of(&[Field::Image, Field::Tag])),
            Self::ContainerStop => (EVENT, Fields::of(&[])),
            Self::Fork => (PROCESS, Fields::of(&[Field::Ppid])),
            Self::Exec => (PROCESS, Fields::of(&[Field::Ppid, Field::Path])),
            Self::Exit => (PROCESS, Fields::of(&[])),
            Self::Open => (PROCESS, Fields::of(&[Field::Path])),
            Self::Connect | Self::Bind => (PROCESS, Fields::of(&[Field::Family, Field::Addr])),
            Self::Dns => (PROCESS, Fields::of(&[Field::Name, Field::Qtype])),
            Self::Syscalls => (PROCESS, Fields::of(&[Field::Nrs])),
            Self::Capability => (PROCESS, Fields::of(&[Field::Cap])),
            Self::Missed => (EVENT, Fields::of(&[Field::Cause, Field::N])),
        };
        base.union(own)
    }

    /// What an event of this type may have. Any other field is as good as unknown.
    pub(super) const fn known(self) -> Fields {
        let optional = match self {
            Self::ContainerStart => {
                Fields::of(&[Field::Labels, Field::CgroupId, Field::Runtime, Field::Pod, Field::Namespace])
            }
            Self::ContainerStop | Self::Missed => Fields::of(&[]),
            Self::Fork => Fields::of(&[Field::Uid]),
            Self::Exec => Fields::of(&[
                Field::PathB64,
                Field::Argv,
                Field::ArgvB64,
                Field::Uid,
                Field::Gid,
                Field::Cwd,
                Field::CwdB64,
                Field::Interpreter,
                Field::InterpreterB64,
                Field::Inode,
                Field::Fileless,
                Field::ArgvTruncated,
                Field::UpperLayer,
                Field::ByRuntime,
            ]),
            Self::Exit => Fields::of(&[Field::Code, Field::Signal]),
            Self::Open => Fields::of(&[Field::PathB64, Field::Flags, Field::Mode, Field::Ret]),
            Self::Connect | Self::Bind => Fields::of(&[Field::AddrB64, Field::Port, Field::Proto, Field::Ret]),
            Self::Dns => Fields::of(&[Field::Server, Field::Rcode]),
            Self::Syscalls => Fields::of(&[Field::Arch]),
            Self::Capability => Fields::of(&[Field::Used]),
        };
        self.required().union(optional).union(Fields::of(&[Field::Start]))
    }
}
