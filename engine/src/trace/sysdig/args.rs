//! What is inside `evt.args`: `name=value ` one after the other, values unquoted.
//!
//! A traced process chooses some of the values (paths, arguments), so nothing here takes a separator at its word:
//! what sysdig itself writes is looked for on the side of the value where the process has no say, and where
//! `fd.name` or `proc.cmdline` repeats a value, its length is taken from there. Everything is linear in the line.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memmem;

use crate::event::Peer;

/// The number of the first value, which is the result: `res=-2(ENOENT) …`, `fd=3(<f>/x) …`.
pub(super) fn result(args: &str) -> Option<i64> {
    let value = args.strip_prefix("res=").or_else(|| args.strip_prefix("fd="))?;
    let end = value.bytes().position(|b| !b.is_ascii_digit() && b != b'-').unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

/// The text between the first `from` and the first `to` after it, or the end.
pub(super) fn between<'a>(args: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let value = after(args, from)?;
    Some(memmem::find(value.as_bytes(), to.as_bytes()).and_then(|end| value.get(..end)).unwrap_or(value))
}

/// What follows the first `from`.
pub(super) fn after<'a>(args: &'a str, from: &str) -> Option<&'a str> {
    args.get(memmem::find(args.as_bytes(), from.as_bytes())? + from.len()..)
}

/// What precedes the last `to`, or all but the blank that ends a value.
pub(super) fn before_last<'a>(value: &'a str, to: &str) -> &'a str {
    match memmem::rfind(value.as_bytes(), to.as_bytes()) {
        Some(end) => value.get(..end).unwrap_or_default(),
        None => value.strip_suffix(' ').unwrap_or(value),
    }
}

/// The file that an `execve` or `execveat` enters with; `None` if it is relative to an unknown directory.
pub(super) fn exec_filename(args: &str) -> Option<&str> {
    let name = match args.strip_prefix("filename=") {
        Some(value) => value.strip_suffix(' ').unwrap_or(value),
        None => {
            let name = before_last(after(args, " pathname=")?, " flags=");
            (name.starts_with('/') || from_working_directory(args)).then_some(name)?
        }
    };
    (!name.is_empty() && name != "<NA>").then_some(name)
}

pub(super) fn from_working_directory(args: &str) -> bool {
    let dirfd = args.strip_prefix("dirfd=").or_else(|| after(args, " dirfd="));
    dirfd.is_none_or(|fd| fd.starts_with("-100"))
}

/// The path that an open was asked for, as its arguments tell it. Relative to the working directory if relative;
/// `None` if it is not told or relative to an unknown directory. `fd.name` is the better source where it is given.
pub(super) fn open_path(args: &str) -> Option<&str> {
    let value = match after(args, " name=") {
        Some(value) => before_last(before_last(value, " mode="), " flags="),
        None => before_last(after(args, " path=")?, " dev="),
    };
    named(value).filter(|path| path.starts_with('/') || from_working_directory(args))
}

/// The path that a value tells of, if it is one. `test(/dir/test)` is as given, then as sysdig resolved it.
pub(super) fn named(value: &str) -> Option<&str> {
    let path = match value.strip_suffix(')').and_then(|v| v.find("(/").and_then(|at| v.get(at + 1..))) {
        Some(resolved) if !value.starts_with('/') => resolved,
        _ => value,
    };
    (!path.is_empty() && path != "NULL" && path != "<NA>").then_some(path)
}

/// Whether no descriptor of a directory other than the working directory is among the arguments.
pub(super) fn has_only_cwd(args: &str) -> bool {
    ["olddirfd=", "newdirfd=", "linkdirfd=", "olddir=", "newdir="]
        .iter()
        .all(|name| after(args, name).is_none_or(|fd| fd.starts_with("-100")))
}

/// sysdig's names of an open's flags, its bits for them, and the `O_*` bits of x86-64.
const OPEN_FLAGS: &[(&str, u32, u32)] = &[
    ("O_RDONLY", 1, 0),
    ("O_WRONLY", 1 << 1, 0o1),
    ("O_RDWR", 0b11, 0o2),
    ("O_CREAT", 1 << 2, 0o100),
    ("O_APPEND", 1 << 3, 0o2000),
    ("O_DSYNC", 1 << 4, 0o10000),
    ("O_EXCL", 1 << 5, 0o200),
    ("O_NONBLOCK", 1 << 6, 0o4000),
    ("O_SYNC", 1 << 7, 0o4_010_000),
    ("O_TRUNC", 1 << 8, 0o1000),
    ("O_DIRECT", 1 << 9, 0o40000),
    ("O_DIRECTORY", 1 << 10, 0o200_000),
    ("O_LARGEFILE", 1 << 11, 0),
    ("O_CLOEXEC", 1 << 12, 0o2_000_000),
    ("O_TMPFILE", 1 << 13, 0o20_200_000),
];

/// Whether sysdig says that the file was made by this open.
pub(super) fn has_created(args: &str) -> bool {
    let flags = memmem::rfind(args.as_bytes(), b" flags=").and_then(|at| args.get(at..)).unwrap_or_default();
    flags.split(['(', '|', ')']).any(|flag| flag == "O_F_CREATED")
}

/// What `creat(2)` opens with.
const CREAT_FLAGS: u32 = 0o1101;

/// An open's flags as `O_*` bits, from sysdig's own: `flags=14(O_APPEND|O_CREAT|O_WRONLY)`. Of `kind` `creat` there are none.
pub(super) fn open_flags(kind: &str, args: &str) -> u32 {
    if kind == "creat" {
        return CREAT_FLAGS;
    }
    // The last one: what follows the flags is sysdig's, what precedes them has the path in it.
    let Some(at) = memmem::rfind(args.as_bytes(), b" flags=") else { return 0 };
    let value = args.get(at + " flags=".len()..).unwrap_or_default();
    let end = value.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
    let (bits, rest) = value.split_at_checked(end).unwrap_or_default();
    if let Some((names, _)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
        // `O_NONE` stands for access mode 3, which is neither of the three.
        return names.split('|').fold(0, |all, name| match OPEN_FLAGS.iter().find(|f| f.0 == name) {
            Some((_, _, flag)) => all | flag,
            None if name == "O_NONE" => all | 0o3,
            None => all,
        });
    }
    let bits: u32 = bits.parse().unwrap_or_default();
    let access = match bits & 0b11 {
        0 => 0o3,
        0b11 => 0o2,
        mode => mode - 1,
    };
    OPEN_FLAGS.iter().skip(3).filter(|f| bits & f.1 != 0).fold(access, |all, f| all | f.2)
}

/// What sysdig says of the file that was executed: (it has no file, it was written after the image was built).
/// Its flags stand between values that the process chooses, so any mention counts: a process can only accuse itself.
pub(super) fn exec_flags(args: &str) -> (bool, bool) {
    let mut flags = (false, false);
    for at in memmem::find_iter(args.as_bytes(), b" flags=") {
        let value =
            args.get(at + " flags=".len()..).unwrap_or_default().trim_start_matches(|c: char| c.is_ascii_digit());
        let names = value.strip_prefix('(').unwrap_or_default();
        // No set of flags is longer; with the bound, a line of nothing but ` flags=(` stays linear.
        let names = names.get(..names.floor_char_boundary(256)).unwrap_or_default();
        for name in names.split_once(')').map_or("", |(names, _)| names).split('|') {
            flags.0 |= name == "EXE_FROM_MEMFD";
            flags.1 |= name == "EXE_UPPER_LAYER";
        }
    }
    flags
}

/// `argv[0]` of a successful exec.
pub(super) fn exec_argv0(args: &str) -> Option<&str> {
    between(args, " exe=", " args=").filter(|exe| !exe.is_empty() && *exe != "<NA>")
}

/// The arguments of an exec, each followed by a NUL.
///
/// `args=-f./tmp/a.b. tid=…` has a dot for every NUL, and `proc.cmdline` (`rm -f /tmp/a.b`) a blank: an argument ends
/// where the one has a dot and the other a blank. Where the two do not fit (a line cut short) blanks separate.
pub(super) fn exec_argv(args: &str, cmdline: &str, name: &str) -> Option<Vec<u8>> {
    let argv0 = exec_argv0(args)?;
    let dotted = after(args, " args=").unwrap_or_default().as_bytes();
    let spaced = arguments(cmdline, name).as_bytes();
    let mut argv = Vec::with_capacity(argv0.len() + spaced.len() + 2);
    argv.extend_from_slice(argv0.as_bytes());
    argv.push(0);
    if spaced.is_empty() {
        return Some(argv);
    }
    let fits = dotted.get(spaced.len()..).is_some_and(|rest| rest.starts_with(b". "))
        && dotted.iter().zip(spaced).all(|(d, s)| d == s || (*d == b'.' && *s == b' '));
    let ends = |d: u8, s: u8| s == b' ' && (d == b'.' || !fits);
    argv.extend(dotted.iter().chain(std::iter::repeat(&0)).zip(spaced).map(|(d, s)| if ends(*d, *s) { 0 } else { *s }));
    argv.push(0);
    Some(argv)
}

/// The arguments of a process that was running already, each followed by a NUL, as well as `proc.cmdline` tells them:
/// `argv[0]` is the process's name and a blank inside an argument is not told from one between two.
pub(super) fn cmdline_argv(cmdline: &str, name: &str) -> Option<Vec<u8>> {
    if cmdline.is_empty() {
        return None;
    }
    let rest = arguments(cmdline, name);
    let argv0 = if cmdline.starts_with(name) && !name.is_empty() { name } else { cmdline.split(' ').next()? };
    let mut argv = Vec::with_capacity(cmdline.len() + 1);
    argv.extend_from_slice(argv0.as_bytes());
    argv.push(0);
    if !rest.is_empty() {
        argv.extend(rest.bytes().map(|b| if b == b' ' { 0 } else { b }));
        argv.push(0);
    }
    Some(argv)
}

/// `proc.cmdline` without the process's name (which may have blanks) that it begins with.
fn arguments<'a>(cmdline: &'a str, name: &str) -> &'a str {
    match cmdline.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')) {
        Some(rest) => rest,
        None if cmdline == name => "",
        None => cmdline.split_once(' ').map_or("", |(_, rest)| rest),
    }
}

/// An address that is there and yet no address: sysdig resolved names (`-R`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotNumeric;

/// An address as the arguments tell it, with its port (0 for unix).
pub(super) type Address<'a> = (Peer<&'a str>, u16);

/// The other side of a connect, from `tuple=SRC->DST` or else `fd.name`. `None` if there is none (`NULL`, netlink, unnamed).
pub(super) fn connect_peer<'a>(
    args: &'a str,
    fd_name: &'a str,
    fd_type: &str,
) -> Result<Option<Address<'a>>, NotNumeric> {
    let tuple = match after(args, " tuple=") {
        Some(tuple) if !tuple.starts_with("NULL") => whole(tuple, fd_name),
        _ => fd_name,
    };
    let Some((source, destination)) = tuple.split_once("->") else { return Ok(None) };
    let (address, rest) = destination.split_once(' ').unwrap_or((destination, ""));
    // `0->ffff88003c420800 /run/x.sock`: kernel addresses, then the path.
    let is_unix = fd_type == "unix" || !(source.contains(':') || address.contains(':'));
    if is_unix { Ok(unix(rest)) } else { ip(address) }
}

/// The own side of a bind, from `addr=` or else `fd.name`. `None` if there is none (`NULL`, netlink, unnamed).
pub(super) fn bind_addr<'a>(args: &'a str, fd_name: &'a str, fd_type: &str) -> Result<Option<Address<'a>>, NotNumeric> {
    let addr = match after(args, " addr=") {
        Some(addr) if !addr.starts_with("NULL") => whole(addr, fd_name),
        _ => fd_name,
    };
    let is_unix = fd_type == "unix" || addr.starts_with(['/', '@']);
    if is_unix { Ok(unix(addr)) } else { ip(addr.split(' ').next().unwrap_or_default()) }
}

/// A value that ends `evt.args` or is followed by others: `fd.name` where it begins with that, which has no end to be guessed.
fn whole<'a>(value: &'a str, fd_name: &'a str) -> &'a str {
    if !fd_name.is_empty() && value.starts_with(fd_name) { fd_name } else { value.strip_suffix(' ').unwrap_or(value) }
}

fn unix(path: &str) -> Option<Address<'_>> {
    (!path.is_empty() && path != "NULL").then_some((Peer::Unix(path), 0))
}

/// `ADDRESS:PORT`, the address of either family and without brackets.
pub(super) fn ip(text: &str) -> Result<Option<Address<'_>>, NotNumeric> {
    let Some((address, port)) = text.rsplit_once(':') else { return Ok(None) };
    let address =
        address.parse::<Ipv4Addr>().map(IpAddr::from).or_else(|_| address.parse::<Ipv6Addr>().map(IpAddr::from));
    match (address, port.parse()) {
        (Ok(address), Ok(port)) => Ok(Some((Peer::Ip(address), port))),
        _ => Err(NotNumeric),
    }
}

/// `path` as it is if absolute, else under `cwd` if that is known, else as it is.
pub(super) fn absolute<'a>(path: &'a str, cwd: &str) -> Cow<'a, str> {
    if path.starts_with('/') || !cwd.starts_with('/') {
        return path.into();
    }
    format!("{}/{path}", cwd.trim_end_matches('/')).into()
}
