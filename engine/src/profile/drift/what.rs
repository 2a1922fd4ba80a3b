//! What can be found: a behaviour as owned data, so that it can be told, and judged again by another profile.

use super::{Detail, Reason, access_name};
use crate::profile::convert::syscall_text;
use crate::profile::interpreter_name;
use crate::trace::{capability_name, qtype_name};
use crate::tree::{Address, Behaviour, Flags, Program, SocketKey};

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// It was run, which is worth telling for this reason. Its path as it was, before any pattern.
    Exec {
        reason: Reason,
        program: Program,
    },
    /// It was run under this user id.
    Uid(u32),
    /// It is a script and was run by this; or none, and was run itself.
    Interpreter(Box<str>),
    File {
        path: Box<str>,
        access: Flags,
    },
    Dns {
        name: Box<str>,
        qtype: u16,
    },
    Internet {
        key: SocketKey,
        address: Address,
    },
    Unix {
        key: SocketKey,
        path: Box<str>,
    },
    Syscall(u32),
    /// As in [`Behaviour::Capability`].
    Capability(u32),
}

impl What {
    /// A behaviour to keep. `None` for system calls, which are kept one by one.
    pub fn of(behaviour: &Behaviour<'_>) -> Option<Self> {
        Some(match behaviour {
            Behaviour::File { path, access } => Self::File { path: (*path).into(), access: *access },
            Behaviour::Dns { name, qtype } => Self::Dns { name: name.as_str().into(), qtype: *qtype },
            Behaviour::Internet { key, address } => Self::Internet { key: *key, address: *address },
            Behaviour::Unix { key, path } => Self::Unix { key: *key, path: (*path).into() },
            Behaviour::Capability(cap) => Self::Capability(*cap),
            Behaviour::Syscalls(_) => return None,
        })
    }

    /// Gives the behaviour to `look`, unless it is that of having been run.
    pub fn behaviour<R>(&self, look: impl FnOnce(&Behaviour<'_>) -> R) -> Option<R> {
        let nr;
        let behaviour = match self {
            Self::Exec { .. } | Self::Uid(_) | Self::Interpreter(_) => return None,
            Self::File { path, access } => Behaviour::File { path, access: *access },
            Self::Dns { name, qtype } => Behaviour::Dns { name: name.to_string(), qtype: *qtype },
            Self::Internet { key, address } => Behaviour::Internet { key: *key, address: *address },
            Self::Unix { key, path } => Behaviour::Unix { key: *key, path },
            Self::Syscall(number) => {
                nr = number.to_le_bytes();
                Behaviour::Syscalls(&nr)
            }
            Self::Capability(cap) => Behaviour::Capability(*cap),
        };
        Some(look(&behaviour))
    }

    /// Kind, subject and details as a finding has them.
    pub fn told(&self) -> (&'static str, String, Detail) {
        let mut detail = Detail::default();
        let (kind, subject) = match self {
            Self::Exec { program, .. } => {
                let key = program.key();
                (detail.argv0, detail.argv) = (key.argv0, key.argv);
                ("exec", program.path.clone())
            }
            Self::Uid(uid) => ("uid", uid.to_string()),
            Self::Interpreter(by) => ("interpreter", interpreter_name(by).to_owned()),
            Self::File { path, access } => {
                detail.access = Some(access_name(*access));
                ("open", path.to_string())
            }
            Self::Dns { name, qtype } => {
                detail.qtype = Some(qtype_name(*qtype).into_owned());
                ("dns", name.to_string())
            }
            Self::Internet { key, address } => {
                detail.proto = key.proto.map(crate::event::Proto::name);
                let subject = if address.is_ipv6() {
                    format!("[{address}]:{}", key.port)
                } else {
                    format!("{address}:{}", key.port)
                };
                (key.op.name(), subject)
            }
            Self::Unix { key, path } => {
                detail.proto = key.proto.map(crate::event::Proto::name);
                (key.op.name(), path.to_string())
            }
            Self::Syscall(nr) => ("syscall", syscall_text(*nr)),
            Self::Capability(cap) => ("capability", capability_name((cap / 2) as u8).into_owned()),
        };
        (kind, subject, detail)
    }

    /// Whether it is a program that was run.
    pub fn is_exec(&self) -> bool {
        matches!(self, Self::Exec { .. })
    }

    /// Bytes of text owned.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Exec { program, .. } => program.path.len() + program.key.len(),
            Self::File { path, .. } | Self::Unix { path, .. } | Self::Interpreter(path) => path.len(),
            Self::Dns { name, .. } => name.len(),
            Self::Uid(_) | Self::Internet { .. } | Self::Syscall(_) | Self::Capability(_) => 0,
        }
    }
}
