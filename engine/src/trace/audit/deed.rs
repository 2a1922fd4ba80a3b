//! What the lines of one system call tell together.

use std::borrow::Cow;

use super::gathered::{Address, Call, Gathered, Name, Role};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Change, Exec, Open, Peer, Socket, SocketOp};
use crate::names::open_flags;

const AT_FDCWD: i32 = -100;
const AT_REMOVEDIR: u64 = 0x200;
const CLONE_THREAD: u64 = 0x1_0000;

/// What a call did; its texts are resolved against the working directory as far as that is known.
#[derive(Debug)]
pub(super) enum Deed<'a> {
    Exec { path: Cow<'a, [u8]>, interpreter: Option<&'a [u8]> },
    Fork { child: u32 },
    Exit,
    Open { path: Cow<'a, [u8]>, flags: u32, is_made: bool },
    Change { op: ChangeOp, path: Cow<'a, [u8]>, from: Option<Cow<'a, [u8]>> },
    Socket { op: SocketOp, address: &'a Address },
}

impl Deed<'_> {
    /// As an event of `event`'s call; `None` of a fork, which is its child's.
    pub(super) fn body<'a>(&'a self, event: &'a Gathered, call: &'a Call) -> Option<Body<&'a [u8]>> {
        let ret = call.ret;
        Some(match self {
            Self::Exec { path, interpreter } => Body::Exec(Exec {
                ppid: call.who.ppid,
                path,
                argv: (!event.argv.is_empty()).then_some(&*event.argv),
                argv_truncated: event.argv_truncated,
                interpreter: *interpreter,
                cwd: event.cwd.as_deref(),
                uid: call.who.uid,
                gid: call.who.gid,
                fileless: path.trim_ascii_start().starts_with(b"/memfd:"),
                ..Exec::default()
            }),
            Self::Fork { .. } => return None,
            Self::Exit => Body::Exit,
            Self::Open { path, flags, .. } => Body::Open(Open { path, flags: *flags, ret, map: false }),
            Self::Change { op, path, from } => Body::Change(Change { op: *op, path, from: from.as_deref(), ret }),
            Self::Socket { op, address: (peer, port) } => {
                let peer = match peer {
                    Peer::Ip(ip) => Peer::Ip(*ip),
                    Peer::Unix(path) => Peer::Unix(&**path),
                };
                Body::Socket(Socket { op: *op, peer, port: *port, proto: None, ret })
            }
        })
    }
}

/// What a call did, where its lines tell more than that it was made.
pub(super) fn of<'a>(event: &'a Gathered, call: &'a Call) -> Option<Deed<'a>> {
    use ChangeOp as Op;
    let [a0, a1, a2, _] = call.args;
    let used = |role: Role| event.names.iter().find(|name| name.role == role);
    let last = || event.names.iter().rev().find(|name| name.role != Role::Parent);
    let change = |op, dir: u64| Some(Deed::Change { op, path: resolved(event, last()?, dir)?, from: None });
    let cwd = AT_FDCWD as u64;
    match call.name {
        "execve" | "execveat" if call.ret == 0 => executed(event, call),
        "fork" | "vfork" => child(call),
        "clone" if a0 & CLONE_THREAD == 0 => child(call),
        "exit_group" => Some(Deed::Exit),
        "open" | "openat" | "openat2" | "creat" => {
            let (dir, flags) = match call.name {
                "open" => (cwd, a1 as u32),
                "openat" => (a0, a2 as u32),
                // They are behind a pointer.
                "openat2" => (a0, 0),
                _ => (cwd, open_flags::CREAT),
            };
            let name = last()?;
            let is_made = name.role == Role::Made && call.ret >= 0;
            Some(Deed::Open { path: resolved(event, name, dir)?, flags, is_made })
        }
        "unlink" => change(Op::Delete, cwd),
        "unlinkat" => change(if a2 & AT_REMOVEDIR != 0 { Op::Rmdir } else { Op::Delete }, a0),
        "rmdir" => change(Op::Rmdir, cwd),
        "mkdir" => change(Op::Mkdir, cwd),
        "mkdirat" => change(Op::Mkdir, a0),
        "mknod" => change(Op::Create, cwd),
        "mknodat" => change(Op::Create, a0),
        "truncate" => change(Op::Truncate, cwd),
        "chmod" => change(Op::Chmod, cwd),
        "fchmodat" | "fchmodat2" => change(Op::Chmod, a0),
        "chown" | "lchown" => change(Op::Chown, cwd),
        "fchownat" => change(Op::Chown, a0),
        "symlink" => change(Op::Symlink, cwd),
        "symlinkat" => change(Op::Symlink, a1),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
            let (op, was) =
                if call.name.starts_with("rename") { (Op::Rename, Role::Gone) } else { (Op::Link, Role::Used) };
            let (old, new) = if matches!(call.name, "rename" | "link") { (cwd, cwd) } else { (a0, a2) };
            let path = resolved(event, used(Role::Made)?, new)?;
            Some(Deed::Change { op, path, from: used(was).and_then(|name| resolved(event, name, old)) })
        }
        "connect" => Some(Deed::Socket { op: SocketOp::Connect, address: event.address.as_ref()? }),
        "bind" => Some(Deed::Socket { op: SocketOp::Bind, address: event.address.as_ref()? }),
        _ => None,
    }
}

fn child<'a>(call: &Call) -> Option<Deed<'a>> {
    u32::try_from(call.ret).ok().filter(|child| *child > 0).map(|child| Deed::Fork { child })
}

/// The program: of a script its own path, which its interpreter was given as an argument, and the interpreter.
fn executed<'a>(event: &'a Gathered, call: &'a Call) -> Option<Deed<'a>> {
    let given = event.names.first();
    let exe = call.who.exe.as_deref();
    let mut arguments = event.argv.split(|b| *b == 0);
    let argv0 = arguments.next();
    if let (Some(given), Some(exe)) = (given, exe)
        && *given.path != *exe
        && argv0 != Some(&given.path)
        && arguments.take(2).any(|argument| *argument == *given.path)
        && let Some(path) = resolved(event, given, AT_FDCWD as u64)
    {
        return Some(Deed::Exec { path, interpreter: Some(exe) });
    }
    let path = exe.map(Cow::Borrowed).or_else(|| resolved(event, given?, AT_FDCWD as u64))?;
    Some(Deed::Exec { path, interpreter: None })
}

/// A name's path, if it is absolute or relative to the working directory, that is, if `dir` is none other.
fn resolved<'a>(event: &'a Gathered, name: &'a Name, dir: u64) -> Option<Cow<'a, [u8]>> {
    let path = &*name.path;
    if path.starts_with(b"/") {
        return Some(Cow::Borrowed(path));
    }
    if dir as u32 as i32 != AT_FDCWD {
        return None;
    }
    let cwd = event.cwd.as_deref()?;
    Some(Cow::Owned([cwd, b"/", path].concat()))
}
