//! One process, as `/proc/PID` shows it.
//!
//! Every file is read up to a limit, since its contents are the process's own to choose. The start time is read before
//! and after the rest: if it is not the same, the pid was another process's in between.
//!
//! Not here: which processes, and in what order.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

use grove::event::{Body, Event, EventRef, Exec};

use super::script;
use crate::workload::process_path;

/// Bytes of arguments that are kept.
pub const ARGV_MAX: usize = 8192;

/// Start times in `/proc` count in hundredths of a second, on every architecture that Grove runs on.
pub const TICK_NS: u64 = 10_000_000;

/// The kernel's `start_boottime` as `/proc` can tell it. A source that has the exact time passes it through here, so
/// that a process is the same whether it was met in `/proc` or in an event. No two processes of one pid share a tick:
/// the kernel gives every other pid first.
pub const fn start_in_ticks(start_boottime_ns: u64) -> u64 {
    start_boottime_ns - start_boottime_ns % TICK_NS
}

/// A process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id, in the pid namespace of this `/proc`.
    pub pid: u32,
    /// When it started, in nanoseconds since boot, rounded down as [`start_in_ticks`] does.
    pub start: u64,
    /// Its parent's id; 0 if that is outside.
    pub ppid: u32,
    /// The program's file, as the process sees it; of a script its own.
    pub exe: Vec<u8>,
    /// What interprets it, if it is a script.
    pub interpreter: Option<Vec<u8>>,
    /// The file has been deleted since it was started.
    pub deleted: bool,
    /// The program never had a file.
    pub fileless: bool,
    /// Its arguments, each with a NUL byte behind it, up to [`ARGV_MAX`] bytes.
    pub argv: Vec<u8>,
    /// There were more arguments.
    pub argv_cut: bool,
    /// The effective user id.
    pub uid: Option<u32>,
    /// The working directory, as the process sees it.
    pub cwd: Option<Vec<u8>>,
    /// The path of its cgroup below the mount.
    pub cgroup: Vec<u8>,
    /// Its id in its own pid namespace, if that is another one.
    pub ns_pid: Option<u32>,
    /// It and all that it comes from are below the host's own root directory: in a container, so are the runtime's
    /// programs, and none of the workload's.
    pub outside: bool,
}

/// What is read first, and again at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) ppid: u32,
    pub(super) start: u64,
}

/// Why a process could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// The process has ended.
    Gone,
    /// It ended, and another has its pid.
    Reused,
    /// The kernel shows it to somebody with more rights: `CAP_SYS_PTRACE`.
    Denied,
    /// It has no program: a thread of the kernel.
    NoProgram,
}

impl From<io::Error> for Missed {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::PermissionDenied { Self::Denied } else { Self::Gone }
    }
}

impl Process {
    /// Everything about a process.
    pub(super) fn read(pid: u32, cgroup: Vec<u8>, before: Stat) -> Result<Self, Missed> {
        let link =
            |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.into_os_string().into_vec());
        // It may exec between the two; the second time it would have to be very quick again.
        let mut exe = link("exe").map_err(|e| no_program(pid, e))?;
        let mut argv = read_file(pid, "cmdline", ARGV_MAX + 1)?;
        let exe_after = link("exe")?;
        if exe_after != exe {
            argv = read_file(pid, "cmdline", ARGV_MAX + 1)?;
            exe = exe_after;
        }
        let unlinked = fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|file| file.nlink() == 0);
        let status = read_file(pid, "status", FILE_MAX)?;
        let root = link("root").unwrap_or_default();
        let cwd = link("cwd").ok().map(|cwd| below(&root, cwd));
        let after = stat(pid)?;
        if after.start != before.start {
            return Err(Missed::Reused);
        }
        let argv_cut = argv.len() > ARGV_MAX;
        argv.truncate(ARGV_MAX);
        // A process that wrote its own title leaves the last byte out.
        if argv.last().is_some_and(|last| *last != 0) {
            argv.push(0);
        }
        let (exe, deleted, fileless) = program(&root, exe, unlinked);
        let script = if fileless { None } else { script::of(pid, &argv, cwd.as_deref(), &root) };
        let (exe, interpreter) = match script {
            Some(script) => (script, Some(exe)),
            None => (exe, None),
        };
        Ok(Self {
            pid,
            start: before.start,
            ppid: after.ppid,
            exe,
            interpreter,
            deleted,
            fileless,
            argv,
            argv_cut,
            uid: effective_uid(&status),
            cwd,
            cgroup,
            ns_pid: innermost_pid(&status).filter(|ns_pid| *ns_pid != pid),
            outside: is_outside(pid, after.ppid),
        })
    }

    /// That it runs its program.
    pub fn exec_event<'a>(&'a self, ts: u64, container: &'a [u8]) -> EventRef<'a> {
        let mut exec = Exec::new(self.ppid, self.exe.as_slice());
        exec.argv = (!self.argv.is_empty()).then_some(self.argv.as_slice());
        exec.interpreter = self.interpreter.as_deref();
        exec.argv_truncated = self.argv_cut;
        exec.cwd = self.cwd.as_deref();
        exec.uid = self.uid;
        exec.fileless = self.fileless;
        exec.runtime = Some(self.outside);
        exec.ns_pid = self.ns_pid;
        Event::new(ts, container, self.pid, Body::Exec(exec)).with_start(self.start)
    }
}

/// How far up a process's descent is followed.
const ANCESTORS_MAX: usize = 64;

/// See [`Process::outside`]. A process that cannot be looked at is not, but for the first, which not everybody may look at:
/// where its root is, so is this process's own.
fn is_outside(pid: u32, ppid: u32) -> bool {
    // Which directory it is, wherever it is mounted.
    let root =
        |of: &dyn fmt::Display| fs::metadata(format!("/proc/{of}/root")).ok().map(|root| (root.dev(), root.ino()));
    let mounts = |of: &dyn fmt::Display| fs::metadata(format!("/proc/{of}/ns/mnt")).ok().map(|ns| ns.ino());
    let Some(host) = root(&1).or_else(|| root(&"self")) else { return false };
    // A container may have the host's root for its own: its first process has a mount namespace that its parent has not.
    let of_parent = if ppid > 1 { mounts(&ppid) } else { mounts(&1).or_else(|| mounts(&"self")) };
    if of_parent.is_none() || mounts(&pid) != of_parent {
        return false;
    }
    let mut at = pid;
    for _ in 0..ANCESTORS_MAX {
        if at <= 1 {
            return true;
        }
        match (root(&at) == Some(host), stat(at)) {
            (true, Ok(stat)) => at = stat.ppid,
            _ => return false,
        }
    }
    false
}

/// A file without a name to link to is a kernel thread's, if the process is still there.
fn no_program(pid: u32, error: io::Error) -> Missed {
    match error.kind() {
        io::ErrorKind::NotFound if stat(pid).is_ok() => Missed::NoProgram,
        _ => error.into(),
    }
}

/// The program's path as the process sees it, whether its file was deleted, and whether it never had one.
fn program(root: &[u8], exe: Vec<u8>, unlinked: bool) -> (Vec<u8>, bool, bool) {
    // A file may be called so, but not one that still has a name.
    let Some(name) = exe.strip_suffix(b" (deleted)").filter(|_| unlinked) else {
        return (below(root, exe), false, false);
    };
    match name.strip_prefix(b"/") {
        Some(memfd) if memfd.starts_with(b"memfd:") => (memfd.to_vec(), true, true),
        _ => (below(root, name.to_vec()), true, false),
    }
}

/// `/proc` shows paths from the root of the process's mount namespace; a process in a chroot sees less.
pub(super) fn below(root: &[u8], path: Vec<u8>) -> Vec<u8> {
    if root == b"/" || root.is_empty() {
        return path;
    }
    match path.strip_prefix(root) {
        Some([]) => b"/".to_vec(),
        Some(rest) if rest.starts_with(b"/") => rest.to_vec(),
        _ => path,
    }
}

/// When a process started, in nanoseconds of the boot clock, as coarse as `/proc` tells; `None` if it is gone.
pub fn start_of(pid: u32) -> Option<u64> {
    stat(pid).ok().map(|stat| stat.start)
}

/// Parent and start time.
pub(super) fn stat(pid: u32) -> Result<Stat, Missed> {
    parse_stat(&read_file(pid, "stat", FILE_MAX)?).ok_or(Missed::Gone)
}

/// The path of the cgroup.
pub(super) fn cgroup(pid: u32) -> Result<Vec<u8>, Missed> {
    let text = read_file(pid, "cgroup", FILE_MAX)?;
    process_path(&text).map(<[u8]>::to_vec).ok_or(Missed::Gone)
}

/// More of any file is not read.
const FILE_MAX: usize = 64 << 10;

pub(super) fn read_file(pid: u32, name: &str, max: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/{name}"))?.take(max as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// `PID (NAME) STATE PPID … STARTTIME …`, where the name may contain anything, `)` too.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after_name = text.iter().rposition(|b| *b == b')')?;
    let fields = str::from_utf8(text.get(after_name + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let ppid = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    Some(Stat { ppid, start: ticks.checked_mul(TICK_NS)? })
}

/// The second of the four numbers in `Uid:`.
fn effective_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Its id in the innermost of the pid namespaces that it is in.
fn innermost_pid(status: &[u8]) -> Option<u32> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    str::from_utf8(line).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The ids of all processes, in no order that matters.
pub(super) fn pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pose_as_the_fields_behind_it() {
        let rest = "S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 5 6";
        let reported = Some(Stat { ppid: 7, start: 12_340_000_000 });
        for (text, stat) in [
            (format!("1 (init) {rest}"), reported),
            (format!("1 (a) R 9 9 (b) {rest}"), reported),
            (format!("1 (\n) R 9\n) {rest}"), reported),
            ("1 (init) S 7".to_owned(), None),
            (format!("1 (x) S y {rest}"), None),
            (format!("1 (init) {}", rest.replace("1234", &u64::MAX.to_string())), None),
            (format!("1 init {rest}"), None),
            (String::new(), None),
        ] {
            assert_eq!(parse_stat(text.as_bytes()), stat, "{text}");
        }
    }

    #[test]
    fn the_effective_user_is_the_second() {
        assert_eq!(effective_uid(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), Some(2));
        assert_eq!(effective_uid(b"Name:\tUid: 9 9\nUid:\t1\n"), None);
        assert_eq!(effective_uid(b""), None);
    }

    #[test]
    fn a_program_is_named_as_its_process_sees_it() {
        for (root, exe, unlinked, path, deleted, fileless) in [
            ("/", "/bin/sh", false, "/bin/sh", false, false),
            ("/", "/bin/sh (deleted)", true, "/bin/sh", true, false),
            ("/", "/bin/sh (deleted)", false, "/bin/sh (deleted)", false, false),
            ("/", "/memfd:x (deleted)", true, "memfd:x", true, true),
            ("/", "/memfd:x (deleted)", false, "/memfd:x (deleted)", false, false),
            ("/jail", "/jail/bin/sh", false, "/bin/sh", false, false),
            ("/jail", "/jail/bin/sh (deleted)", true, "/bin/sh", true, false),
            ("/jail", "/jailer/bin/sh", false, "/jailer/bin/sh", false, false),
            ("/jail", "/jail", false, "/", false, false),
            ("", "/bin/sh", false, "/bin/sh", false, false),
        ] {
            let reported = program(root.as_bytes(), exe.as_bytes().to_vec(), unlinked);
            assert_eq!(reported, (path.as_bytes().to_vec(), deleted, fileless), "{exe} below {root}");
        }
    }

    #[test]
    fn the_last_of_a_process_s_ids_is_that_of_its_own_namespace() {
        for (status, id) in [
            ("Name:\tx\nNSpid:\t4711\t12\t1\nNSpgid:\t9\n", Some(1)),
            ("Pid:\t7\nNSpid:\t7\n", Some(7)),
            ("Pid:\t7\n", None),
        ] {
            assert_eq!(innermost_pid(status.as_bytes()), id, "{status}");
        }
    }

    #[test]
    fn a_start_in_ticks_is_what_proc_tells() {
        for (ns, ticks) in [(0, 0), (9_999_999, 0), (10_000_000, 10_000_000), (12_345_678_901, 12_340_000_000)] {
            assert_eq!(start_in_ticks(ns), ticks);
            assert_eq!(start_in_ticks(ticks), ticks);
        }
    }
}
