//! What a process did, in the form that identity is decided on: normalised, and apart from times and tags.
//!
//! Not here: whether a tree knows it (`activity`), or which process did it (`lineage`).

use super::Rules;
use super::interpreters::ITSELF;
use super::lineage::usable_cwd;
use super::node::Flags;
use super::program::{Program, interpreter_applet};
use super::socket::{Address, Family, SocketKey};
use crate::event::{Body, EINPROGRESS, EventRef, Exec, Peer, SocketOp};
use crate::ledger::{Fate, Ignored, Rejected};
use crate::path::{dns_name, escape, normalise};

/// Longer paths are none: the kernel takes no longer ones (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;

/// What a process did, in the form that identity is decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour<'a> {
    /// Opened a file.
    File {
        /// Normalised path.
        path: &'a str,
        /// [`Flags::READ`], [`Flags::WRITE`] or both.
        access: Flags,
    },
    /// Asked for a name.
    Dns {
        /// Normalised name.
        name: String,
        /// Query type.
        qtype: u16,
    },
    /// Connected or bound an internet socket.
    Internet {
        /// All but the address.
        key: SocketKey,
        /// The address.
        address: Address,
    },
    /// Connected or bound a unix socket.
    Unix {
        /// All but the path.
        key: SocketKey,
        /// Normalised path, or the abstract name.
        path: &'a str,
    },
    /// Made system calls; the numbers as in the event.
    Syscalls(&'a [u8]),
    /// Used a capability, or was refused it: twice the number, plus 1 if used.
    Capability(u32),
}

/// The behaviour of an event that is neither an exec nor of the life cycle; `Err` says why there is none.
///
/// # Errors
/// The event failed, its path cannot be resolved, or its name is none.
pub fn behaviour<'a>(event: &EventRef<'a>, cwd: Option<&[u8]>, text: &'a mut String) -> Result<Behaviour<'a>, Fate> {
    match event.body {
        Body::Open { ret, .. } if ret < 0 => Err(Fate::Ignored(Ignored::Failed)),
        Body::Open { path, flags, .. } => {
            normal_path(path, cwd, event.pid, text)?;
            Ok(Behaviour::File { path: text, access: access(flags) })
        }
        Body::Socket { op, ret, .. } if ret < 0 && !(op == SocketOp::Connect && ret == EINPROGRESS) => {
            Err(Fate::Ignored(Ignored::Failed))
        }
        Body::Socket { op, peer: Peer::Ip(ip), port, proto, .. } => {
            let family = if ip.is_ipv4() { Family::Inet } else { Family::Inet6 };
            Ok(Behaviour::Internet { key: SocketKey::new(op, family, proto, port), address: Address::Host(ip) })
        }
        Body::Socket { op, peer: Peer::Unix(path), proto, .. } => {
            if path.first() == Some(&b'@') && path.len() <= PATH_BYTES_MAX {
                text.clear();
                escape(path, text);
            } else {
                normal_path(path, cwd, event.pid, text)?;
            }
            Ok(Behaviour::Unix { key: SocketKey::new(op, Family::Unix, proto, 0), path: text })
        }
        Body::Dns { name, qtype } => match dns_name(name) {
            Some(name) => Ok(Behaviour::Dns { name, qtype }),
            None => Err(Fate::Rejected(Rejected::InvalidValue)),
        },
        Body::Syscalls { nrs } => Ok(Behaviour::Syscalls(nrs)),
        Body::Capability { cap, used } => Ok(Behaviour::Capability(u32::from(cap) * 2 + u32::from(used))),
        Body::ContainerStart { .. } | Body::ContainerStop | Body::Fork { .. } | Body::Exec(_) | Body::Exit => {
            Err(Fate::Lifecycle)
        }
        Body::Missed { cause, .. } => Err(Fate::missed(cause)),
    }
}

fn normal_path(path: &[u8], cwd: Option<&[u8]>, pid: u32, text: &mut String) -> Result<(), Fate> {
    if path.is_empty() {
        return Err(Fate::Rejected(Rejected::InvalidValue));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(Fate::Rejected(Rejected::TooLong));
    }
    normalise(path, cwd, pid, text).map_err(|_| Fate::Ignored(Ignored::RelativePath))
}

pub(super) fn access(flags: u32) -> Flags {
    match flags & 3 {
        0 => Flags::READ,
        1 => Flags::WRITE,
        _ => Flags::READ.or(Flags::WRITE),
    }
}

/// The normalised program of an exec.
///
/// # Errors
/// The path is relative and the working directory not known, or it is empty.
pub fn exec_program(
    event: &EventRef<'_>,
    exec: &Exec<&[u8]>,
    cwd: Option<&[u8]>,
    rules: &Rules,
) -> Result<Program, Fate> {
    let mut path = String::new();
    if exec.path.len() > PATH_BYTES_MAX {
        return Err(Fate::Rejected(Rejected::TooLong));
    }
    if exec.fileless && exec.path.first() != Some(&b'/') && !exec.path.is_empty() {
        escape(exec.path, &mut path);
    } else {
        let cwd = exec.cwd.map_or(cwd, usable_cwd);
        normal_path(exec.path, cwd, event.pid, &mut path)?;
    }
    Ok(Program::new(&path, exec, rules.differentiate_args))
}

/// What runs the program of an exec: [`ITSELF`], or if it is a script its interpreter's path, normalised, or as it was
/// given if that cannot be resolved. Of one that is many programs, such as busybox, the applet follows behind `//`, which
/// no normalised path has. A path longer than the kernel takes is none.
pub(super) fn exec_interpreter(event: &EventRef<'_>, exec: &Exec<&[u8]>, cwd: Option<&[u8]>) -> String {
    let mut text = String::from(ITSELF);
    let Some(given) = exec.interpreter.filter(|path| !path.is_empty() && path.len() <= PATH_BYTES_MAX) else {
        return text;
    };
    if normalise(given, exec.cwd.map_or(cwd, usable_cwd), event.pid, &mut text).is_err() {
        text.clear();
        escape(given, &mut text);
    }
    if let Some(applet) = interpreter_applet(&text, exec) {
        text.extend(["//", &applet]);
    }
    text
}

pub(super) fn exec_flags(exec: &Exec<&[u8]>, chain: bool) -> Flags {
    let bits = [(chain, Flags::EXEC_CHAIN), (exec.fileless, Flags::FILELESS), (exec.upper_layer, Flags::UPPER_LAYER)];
    bits.iter().filter(|(on, _)| *on).fold(Flags::empty(), |all, (_, bit)| all.or(*bit))
}
