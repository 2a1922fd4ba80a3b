//! Calls that change names, that map and mount, and that let somebody in: what `evt.args` has of them.
//!
//! As in `args` what sysdig writes is looked for on the side of a value where the process has no say.

use memchr::memmem;

use super::args::{Address, NotNumeric, after, before_last, between, ip, named};
use crate::behaviour::ChangeOp;

/// What a call did to names: the old name or what a link says, and the name. `None` of other calls, of one that does not
/// tell its names, and of one whose name is relative to a directory that the line does not have.
pub(super) fn change<'a>(kind: &str, args: &'a str) -> Option<(ChangeOp, Option<&'a str>, &'a str)> {
    use ChangeOp as Op;
    // The value of `name`, which is followed by `next` or ends the arguments.
    let value = |name: &str, next: &str| after(args, name).map(|value| before_last(value, next)).and_then(named);
    let two = |next: [&str; 2]| {
        let old = after(args, " oldpath=")?;
        let old_end = next.iter().find_map(|next| memmem::rfind(old.as_bytes(), next.as_bytes()))?;
        let new = after(old.get(old_end..)?, " newpath=").map(|new| before_last(new, " flags="))?;
        Some((named(old.get(..old_end)?)?, named(new)?))
    };
    let (op, from, path) = match kind {
        "unlink" => (Op::Delete, None, value(" path=", " \0")?),
        "unlinkat" => {
            let flags = memmem::rfind(args.as_bytes(), b" flags=").and_then(|at| args.get(at..)).unwrap_or_default();
            let op = if flags.contains("AT_REMOVEDIR") { Op::Rmdir } else { Op::Delete };
            (op, None, value(" name=", " flags=")?)
        }
        "rmdir" => (Op::Rmdir, None, value(" path=", " \0")?),
        "mkdir" => (Op::Mkdir, None, value(" path=", " mode=")?),
        "mkdirat" => (Op::Mkdir, None, value(" path=", " mode=")?),
        "mknod" | "mknodat" => (Op::Create, None, value(" path=", " mode=")?),
        "rename" | "renameat" | "renameat2" => {
            let (old, new) = two([" newdirfd=", " newpath="])?;
            (Op::Rename, Some(old), new)
        }
        "link" | "linkat" => {
            let (old, new) = two([" newdir=", " newpath="])?;
            (Op::Link, Some(old), new)
        }
        "symlink" => (Op::Symlink, between(args, " target=", " linkpath="), value(" linkpath=", " \0")?),
        "symlinkat" => (Op::Symlink, between(args, " target=", " linkdirfd="), value(" linkpath=", " \0")?),
        "chmod" => (Op::Chmod, None, value(" filename=", " mode=")?),
        "fchmodat" => (Op::Chmod, None, value(" filename=", " mode=")?),
        "fchmod" => (Op::Chmod, None, of_descriptor(args)?),
        "chown" | "lchown" => (Op::Chown, None, value(" path=", " uid=")?),
        "fchownat" => (Op::Chown, None, value(" pathname=", " uid=")?),
        "fchown" => (Op::Chown, None, of_descriptor(args)?),
        _ => return None,
    };
    Some((op, from, path))
}

/// The file of ` fd=3(<f>/x)`; of descriptors that are none of a file, none.
fn of_descriptor(args: &str) -> Option<&str> {
    let value = after(args, " fd=")?;
    let file = value.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = file.strip_prefix("(<f>").or_else(|| file.strip_prefix("(<d>"))?;
    let end = memmem::rfind(name.as_bytes(), b") ")?;
    name.get(..end).filter(|name| name.starts_with('/'))
}

/// The file that a mmap maps to be executed.
pub(super) fn mapped(args: &str) -> Option<&str> {
    let protection = between(args, " prot=", " ")?;
    protection.contains("PROT_EXEC").then(|| of_descriptor(args)).flatten()
}

/// What a mount mounted: the source, where, and as what.
pub(super) fn mount(args: &str) -> Option<(&str, &str, &str)> {
    let source = after(args, " dev=")?;
    let at = memmem::rfind(source.as_bytes(), b" dir=")?;
    let path = source.get(at + " dir=".len()..)?;
    let end = memmem::rfind(path.as_bytes(), b" type=")?;
    let fstype = path.get(end + " type=".len()..)?.split(' ').next().unwrap_or_default();
    let path = named(path.get(..end)?)?;
    Some((source.get(..at)?, path, if matches!(fstype, "<NA>" | "NULL") { "" } else { fstype }))
}

/// Of `tuple=PEER->OWN` the peer, and the own port. `None` if there is none, or it is no pair of IP addresses.
pub(super) fn peer_and_port<'a>(args: &'a str, fd_name: &'a str) -> Result<Option<Address<'a>>, NotNumeric> {
    let tuple = match between(args, " tuple=", " ") {
        Some(tuple) if tuple != "NULL" => tuple,
        _ => fd_name,
    };
    let Some((peer, own)) = tuple.split_once("->").filter(|(peer, own)| peer.contains(':') && own.contains(':')) else {
        return Ok(None);
    };
    match (ip(peer)?, ip(own)?) {
        (Some((peer, _)), Some((_, port))) => Ok(Some((peer, port))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Peer;

    #[test]
    fn names_that_come_and_go() {
        for (kind, args, expected) in [
            ("unlink", "res=0 path=/a b ", Some("delete ? /a b")),
            ("unlink", "res=0 path=a(/srv/a) ", Some("delete ? /srv/a")),
            ("unlinkat", "res=0 dirfd=-100(AT_FDCWD) name=/a flags=0 ", Some("delete ? /a")),
            ("unlinkat", "res=0 dirfd=-100(AT_FDCWD) name=/a flags=512(AT_REMOVEDIR) ", Some("rmdir ? /a")),
            ("rmdir", "res=-2(ENOENT) path=/a ", Some("rmdir ? /a")),
            ("mkdir", "res=0 path=/a ", Some("mkdir ? /a")),
            ("mkdirat", "res=0 dirfd=-100(AT_FDCWD) path=/a mode=1ED ", Some("mkdir ? /a")),
            ("rename", "res=0 oldpath=/a newpath=/b ", Some("rename /a /b")),
            (
                "renameat2",
                "res=0 olddirfd=-100(AT_FDCWD) oldpath=/a newdirfd=-100(AT_FDCWD) newpath=/b flags=0 ",
                Some("rename /a /b"),
            ),
            ("linkat", "res=0 olddir=-100(AT_FDCWD) oldpath=/a newdir=-100(AT_FDCWD) newpath=/b flags=0 ", {
                Some("link /a /b")
            }),
            ("symlink", "res=0 target=../a linkpath=/b ", Some("symlink ../a /b")),
            ("symlinkat", "res=0 target=a linkdirfd=-100(AT_FDCWD) linkpath=/b ", Some("symlink a /b")),
            ("chmod", "res=0 filename=/a mode=0644 ", Some("chmod ? /a")),
            ("fchmod", "res=0 fd=3(<f>/a) mode=0644 ", Some("chmod ? /a")),
            ("fchown", "res=0 fd=3(<p>pipe:[1]) uid=0 gid=0 ", None),
            ("fchown", "", None),
            ("unlink", "res=-14(EFAULT) path=<NA> ", None),
            ("read", "res=0 path=/a ", None),
        ] {
            let reported =
                change(kind, args).map(|(op, from, path)| format!("{} {} {path}", op.name(), from.unwrap_or("?")));
            assert_eq!(reported.as_deref(), expected, "{kind} {args}");
        }
    }

    #[test]
    fn what_is_mapped_and_mounted() {
        let args = "addr=0 length=3981792 prot=5(PROT_READ|PROT_EXEC) flags=1026(MAP_PRIVATE|MAP_DENYWRITE) \
                    fd=3(<f>/lib64/libc.so.6) offset=0 ";
        assert_eq!(mapped(args), Some("/lib64/libc.so.6"));
        assert_eq!(mapped(&args.replace("|PROT_EXEC", "")), None);
        assert_eq!(mapped(&args.replace("3(<f>/lib64/libc.so.6)", "-1(EPERM)")), None);
        for (args, expected) in [
            ("res=0 dev=tmpfs dir=/mnt/a type=tmpfs ", Some(("tmpfs", "/mnt/a", "tmpfs"))),
            ("res=0 dev=/srv dir=/mnt/a b type= ", Some(("/srv", "/mnt/a b", ""))),
            ("res=0 dev=tmpfs dir=/mnt type=tmpfs flags=6(NOSUID|NODEV) ", Some(("tmpfs", "/mnt", "tmpfs"))),
            ("res=0 dev= dir=.(/) type= ", Some(("", "/", ""))),
            ("res=-14(EFAULT) dev=<NA> dir=<NA> type=<NA> ", None),
            ("", None),
        ] {
            assert_eq!(mount(args), expected, "{args}");
        }
    }

    #[test]
    fn who_was_let_in_has_the_own_port() {
        let args = "fd=10(<4t>172.17.0.1:46512->172.17.0.4:80) tuple=172.17.0.1:46512->172.17.0.4:80 queuepct=0 ";
        assert_eq!(peer_and_port(args, ""), Ok(Some((Peer::Ip("172.17.0.1".parse().unwrap()), 80))));
        assert_eq!(peer_and_port("fd=-11(EAGAIN) tuple=NULL queuepct=0 ", "NULL"), Ok(None));
        assert_eq!(peer_and_port("fd=3 tuple=a:x->b:y ", ""), Err(NotNumeric));
    }
}
