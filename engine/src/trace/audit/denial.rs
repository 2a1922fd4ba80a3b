//! What a security module or a seccomp filter refused, or let pass and told of.
//!
//! Not here: lines of them that tell of no behaviour (a profile was loaded), of which nothing is made.

use std::borrow::Cow;

use super::line::{Fields, Kind, Line};
use super::who::{Who, call_of, kept};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Capability, Change, Mount, Open, Syscalls};
use crate::names::CAPABILITY_MAX;

const EPERM: i64 = 1;
const EACCES: i64 = 13;

/// Something that was refused, or let pass and told of.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) who: Who,
    what: What,
    denied: bool,
}

#[derive(Debug)]
enum What {
    Open { path: Box<[u8]>, flags: u32, map: bool },
    Change { path: Box<[u8]>, op: ChangeOp, from: Option<Box<[u8]>> },
    Mount { path: Box<[u8]>, fstype: Box<[u8]>, source: Option<Box<[u8]>> },
    Capability(u8),
    Call([u8; 4]),
}

impl Denial {
    /// What a line tells of, if it is something that processes do.
    pub(super) fn of(line: Line<'_>) -> Option<Self> {
        let Line { kind, fields, .. } = line;
        let who = Who::of(fields)?;
        if kind == Kind::Seccomp {
            let (_, nr) = call_of(fields)?;
            return Some(Self { who, what: What::Call(nr.to_le_bytes()), denied: false });
        }
        match fields.get("apparmor") {
            Some(verdict) => Some(Self { who, what: apparmor(fields)?, denied: verdict == b"\"DENIED\"" }),
            None => {
                let denied = memchr::memmem::find(fields.0, b" denied ").is_some();
                let enforced = fields.get("permissive") != Some(b"1");
                Some(Self { who, what: selinux(fields)?, denied: denied && enforced })
            }
        }
    }

    pub(super) fn body(&self) -> Body<&[u8]> {
        let ret = if self.denied { -EACCES } else { 0 };
        match &self.what {
            What::Open { path, flags, map } => Body::Open(Open { path, flags: *flags, ret, map: *map }),
            What::Change { path, op, from } => Body::Change(Change { op: *op, path, from: from.as_deref(), ret }),
            What::Mount { path, fstype, source } => {
                let ret = if self.denied { -EPERM } else { 0 };
                Body::Mount(Mount { path, fstype, source: source.as_deref(), flags: 0, ret })
            }
            What::Capability(cap) => Body::Capability(Capability { cap: *cap, used: !self.denied }),
            What::Call(nr) => Body::Syscalls(Syscalls { nrs: nr }),
        }
    }
}

/// A capability by its number.
fn capability(fields: Fields<'_>) -> Option<What> {
    fields.number("capability").filter(|cap| *cap <= CAPABILITY_MAX).map(What::Capability)
}

/// An absolute path.
fn path(fields: Fields<'_>, name: &str) -> Option<Box<[u8]>> {
    fields.text(name).filter(|path| path.starts_with(b"/")).and_then(kept)
}

fn flags(reads: bool, writes: bool) -> u32 {
    match (reads, writes) {
        (true, true) => 2,
        (false, true) => 1,
        _ => 0,
    }
}

/// By AppArmor's `operation`.
fn apparmor(fields: Fields<'_>) -> Option<What> {
    use ChangeOp as Op;
    let operation = fields.text("operation")?;
    let op = match &*operation {
        b"capable" => return capability(fields),
        b"mount" => {
            let text = |name| fields.text(name).and_then(kept);
            let fstype = text("fstype").unwrap_or_default();
            return Some(What::Mount { path: path(fields, "name")?, fstype, source: text("srcname") });
        }
        b"open" | b"file_perm" | b"file_mmap" | b"file_mprotect" | b"file_receive" | b"file_inherit" | b"exec" => {
            let mask = fields.text("requested_mask").unwrap_or_default();
            let has = |letters: &[u8]| mask.iter().any(|letter| letters.contains(letter));
            let map = has(b"m") || matches!(&*operation, b"exec");
            let path = path(fields, "name")?;
            return Some(What::Open { path, flags: flags(has(b"r"), has(b"wac")), map });
        }
        b"mknod" => Op::Create,
        b"mkdir" => Op::Mkdir,
        b"rmdir" => Op::Rmdir,
        b"unlink" => Op::Delete,
        b"rename_src" | b"rename_dest" => Op::Rename,
        b"truncate" => Op::Truncate,
        b"chmod" => Op::Chmod,
        b"chown" => Op::Chown,
        b"link" => {
            // The name that there is has the mask, the new one is the target.
            let from = path(fields, "name");
            return Some(What::Change { path: path(fields, "target")?, op: Op::Link, from });
        }
        _ => return None,
    };
    Some(What::Change { path: path(fields, "name")?, op, from: None })
}

/// By SELinux's permissions, which stand in braces.
fn selinux(fields: Fields<'_>) -> Option<What> {
    let class = fields.text("tclass").unwrap_or(Cow::Borrowed(b""));
    if class.starts_with(b"capability") || class.starts_with(b"cap") {
        return capability(fields);
    }
    if !matches!(&*class, b"file" | b"dir" | b"lnk_file" | b"chr_file" | b"blk_file" | b"fifo_file") {
        return None;
    }
    let open = memchr::memchr(b'{', fields.0)?;
    let inside = fields.0.get(open + 1..)?;
    let inside = inside.get(..memchr::memchr(b'}', inside)?)?;
    let has = |names: &[&[u8]]| inside.split(|b| *b == b' ').any(|name| names.contains(&name));
    let map = has(&[b"execute", b"execute_no_trans", b"execmod"]);
    let (reads, writes) = (has(&[b"read", b"open", b"map"]), has(&[b"write", b"append"]));
    let path = path(fields, "path")?;
    (reads || writes || map).then(|| What::Open { path, flags: flags(reads, writes), map })
}
