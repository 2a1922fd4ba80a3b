//! Files beside their being opened: names that come and go, what is mapped to be executed, and what is mounted.

use super::line::Call;
use super::process::{File, Process};
use super::value::{self, Descriptor};
use super::{Caller, StraceDecoder, calls, scan};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Change, Mount, Open, Sink};
use crate::names::mount_flag_bit;
use crate::names::open_flags::c_number;
use crate::trace::Line;

/// Which of a call's arguments name the file that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// A path.
    Path,
    /// A directory and a path in it.
    At,
    /// A descriptor.
    Descriptor,
    /// The old name and the new one.
    Two,
    /// The old name and the new one, each in a directory.
    TwoAt,
    /// A text and the name of the link that says it.
    Link,
    /// A text, a directory, and the name of the link in it.
    LinkAt,
}

/// What a call changes; `None` of one that changes no name.
fn changes(name: &[u8]) -> Option<(ChangeOp, Names)> {
    use ChangeOp as Op;
    Some(match name {
        b"mknod" => (Op::Create, Names::Path),
        b"mknodat" => (Op::Create, Names::At),
        b"unlink" => (Op::Delete, Names::Path),
        b"unlinkat" => (Op::Delete, Names::At),
        b"rename" => (Op::Rename, Names::Two),
        b"renameat" | b"renameat2" => (Op::Rename, Names::TwoAt),
        b"link" => (Op::Link, Names::Two),
        b"linkat" => (Op::Link, Names::TwoAt),
        b"symlink" => (Op::Symlink, Names::Link),
        b"symlinkat" => (Op::Symlink, Names::LinkAt),
        b"mkdir" => (Op::Mkdir, Names::Path),
        b"mkdirat" => (Op::Mkdir, Names::At),
        b"rmdir" => (Op::Rmdir, Names::Path),
        b"truncate" => (Op::Truncate, Names::Path),
        b"chmod" => (Op::Chmod, Names::Path),
        b"fchmodat" | b"fchmodat2" => (Op::Chmod, Names::At),
        b"fchmod" => (Op::Chmod, Names::Descriptor),
        b"chown" | b"lchown" => (Op::Chown, Names::Path),
        b"fchownat" => (Op::Chown, Names::At),
        b"fchown" => (Op::Chown, Names::Descriptor),
        _ => return None,
    })
}

/// Whether a call changes names.
pub(super) fn is_change(name: &[u8]) -> bool {
    changes(name).is_some()
}

const PROT_EXEC: u64 = 4;
const AT_REMOVEDIR: u64 = 0x200;
const MS_BIND: u32 = 1 << 12;
const MS_MOVE: u32 = 1 << 13;
const OPEN_TREE_CLONE: u64 = 1;

impl StraceDecoder {
    /// A name came to be or went, or what it names was changed.
    pub(super) fn change(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let (mut op, names) = changes(call.name)?;
        let ret = calls::ret(&call.outcome)?;
        let mut args = scan::parts(call.args);
        let process = self.table.process_mut(caller.pid);
        let mut from = None;
        let path = match names {
            Names::Path => file(process, None, args.next()?)?,
            Names::At => file(process, Some(value::descriptor(args.next()?)?), args.next()?)?,
            Names::Descriptor => of_descriptor(process, value::descriptor(args.next()?)?)?,
            Names::Two => {
                from = Some(file(process, None, args.next()?)?);
                file(process, None, args.next()?)?
            }
            Names::TwoAt => {
                from = Some(file(process, Some(value::descriptor(args.next()?)?), args.next()?)?);
                file(process, Some(value::descriptor(args.next()?)?), args.next()?)?
            }
            Names::Link => {
                from = value::string(args.next()?).map(std::borrow::Cow::into_owned);
                file(process, None, args.next()?)?
            }
            Names::LinkAt => {
                from = value::string(args.next()?).map(std::borrow::Cow::into_owned);
                file(process, Some(value::descriptor(args.next()?)?), args.next()?)?
            }
        };
        let flags = args.next().map_or(0, |flags| value::bits(flags, &[(b"AT_REMOVEDIR", AT_REMOVEDIR)]));
        if call.name == b"unlinkat" && flags & AT_REMOVEDIR != 0 {
            op = ChangeOp::Rmdir;
        }
        let change = Change { op, path: path.as_slice(), from: from.as_deref(), ret };
        self.report(caller, call, Body::Change(change), sink)
    }

    /// A file was mapped to be executed.
    pub(super) fn map(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        if call.outcome.value? == -1 {
            return None;
        }
        let mut args = scan::parts(call.args);
        let protection = value::bits(args.nth(2)?, &[(b"PROT_EXEC", PROT_EXEC)]);
        if protection & PROT_EXEC == 0 {
            return None;
        }
        let path = of_descriptor(self.table.process_mut(caller.pid), value::descriptor(args.nth(1)?)?)?;
        self.report(caller, call, Body::Open(Open { path: &path, flags: 0, ret: 0, map: true }), sink)
    }

    /// A file system was mounted, by mount(2) or by the call that ends what fsopen(2) or open_tree(2) began.
    pub(super) fn mount(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let ret = calls::ret(&call.outcome)?;
        let mut args = scan::parts(call.args);
        let process = self.table.process_mut(caller.pid);
        let (source, path, fstype, flags);
        if call.name == b"mount" {
            source = value::string(args.next()?).map(std::borrow::Cow::into_owned);
            path = file(process, None, args.next()?)?;
            fstype = args.next().and_then(value::string).unwrap_or_default().into_owned();
            flags = args.next().map_or(0, mount_flags);
        } else {
            let from = value::descriptor(args.next()?)?;
            let name = value::string(args.next()?)?;
            let made = from.fd.and_then(|fd| process.file(fd));
            (source, fstype, flags) = match made {
                Some(File::Unmounted(fstype, flags)) if name.is_empty() => (None, fstype.to_vec(), *flags),
                _ => (Some(process.resolve(Some(from), &name).into_owned()), Vec::new(), MS_MOVE),
            };
            path = file(process, Some(value::descriptor(args.next()?)?), args.next()?)?;
        }
        let mount = Mount { path: path.as_slice(), fstype: &fstype, source: source.as_deref(), flags, ret };
        self.report(caller, call, Body::Mount(mount), sink)
    }
}

/// What a path names, in a directory; `None` of what is no path, or of an empty one of an unknown descriptor.
fn file(process: &Process, dir: Option<Descriptor<'_>>, path: &[u8]) -> Option<Vec<u8>> {
    let path = value::string(path)?;
    Some(process.named(dir, &path).into_owned()).filter(|path| !path.is_empty())
}

/// The file that a descriptor stands for.
fn of_descriptor(process: &Process, descriptor: Descriptor<'_>) -> Option<Vec<u8>> {
    if let Some(path) = descriptor.note.and_then(value::noted_path) {
        return Some(path.into_owned());
    }
    match process.file(descriptor.fd?)? {
        File::Path(path) => Some(path.to_vec()),
        File::Socket(_) | File::Unmounted(..) => None,
    }
}

/// `MS_*` flags, by name or number.
fn mount_flags(text: &[u8]) -> u32 {
    scan::bare(text).split(|b| *b == b'|').fold(0, |flags, part| {
        let named = str::from_utf8(part).ok().and_then(mount_flag_bit).map(|bit| 1 << bit);
        flags | named.or_else(|| c_number(part).and_then(|n| u32::try_from(n).ok())).unwrap_or(0)
    })
}

/// What calls that prepare a mount change for the lines that follow. Returns the bytes of a text that is now remembered.
pub(super) fn follow_mount<'a>(
    process: &mut Process,
    name: &[u8],
    fd: i32,
    mut args: impl Iterator<Item = &'a [u8]>,
) -> Option<usize> {
    let made = match name {
        b"fsopen" => File::Unmounted(value::string(args.next()?)?.as_ref().into(), 0),
        b"fsmount" => process.file(value::descriptor(args.next()?)?.fd?).cloned()?,
        b"open_tree" => {
            let flags = args.nth(2).map_or(0, |flags| value::bits(flags, &[(b"OPEN_TREE_CLONE", OPEN_TREE_CLONE)]));
            (flags & OPEN_TREE_CLONE != 0).then(|| File::Unmounted([].into(), MS_BIND))?
        }
        _ => return None,
    };
    Some(process.open(fd, Some(made), true))
}
