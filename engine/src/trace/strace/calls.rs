//! What each system call means: the event that it is, and what it changes for the lines that follow.

use std::borrow::Cow;

use crate::behaviour::ChangeOp;
use crate::event::{Body, Change, Exec, Open, Sink, Syscalls};
use crate::names::{errno, open_flags, syscall_number};
use crate::trace::Line;

use super::files;
use super::line::{Call, Outcome};
use super::process::{File, Process};
use super::table::{CloneResult, is_clone, makes_thread};
use super::value::{self, Descriptor};
use super::{Caller, Held, NOTHING, Reported, StraceDecoder, event, scan};

/// The longest exec that is kept in case its process's parent turns out to be another.
const EXEC_BYTES: usize = 4096;

impl StraceDecoder {
    /// Tells of a call: as the event that it is, else as a system call.
    pub(super) fn call(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Line {
        let reported = match call.name {
            b"execve" | b"execveat" => self.exec(caller, call, sink),
            b"open" | b"openat" | b"openat2" | b"creat" => self.open(caller, call, sink),
            b"exit_group" | b"exit" => self.exit(caller, call, sink),
            name if is_clone(name) => self.fork(caller, call, sink),
            b"wait4" => self.wait(caller, call, sink),
            b"mmap" | b"mmap2" => self.map(caller, call, sink),
            b"mount" | b"move_mount" => self.mount(caller, call, sink),
            name if files::is_change(name) => self.change(caller, call, sink),
            _ => match self.socket_call(caller, call, sink) {
                Some(reported) => reported,
                None => {
                    let bytes = follow(self.table.process_mut(caller.pid), call);
                    self.table.remember(bytes.unwrap_or(0));
                    None
                }
            },
        };
        reported.unwrap_or_else(|| self.syscall(caller.pid, caller.ts, call.name, Reported::Counted, sink))
    }

    /// Tells of a system call as such.
    pub(super) fn syscall(&mut self, pid: u32, ts: u64, name: &[u8], reported: Reported, sink: &mut dyn Sink) -> Line {
        let Some(number) = number(name) else { return NOTHING };
        let first = self.table.process_mut(pid).note_call(number);
        let nrs = number.to_le_bytes();
        let event = event(pid, ts, Body::Syscalls(Syscalls { nrs: &nrs }));
        match reported {
            Reported::Counted => sink.event(event),
            Reported::Beside if first => sink.implied(event),
            Reported::Beside => {}
        }
        Line::Event
    }

    /// Tells of `body`, after the call that it came by.
    pub(super) fn report(
        &mut self,
        caller: Caller,
        call: &Call<'_>,
        body: Body<&[u8]>,
        sink: &mut dyn Sink,
    ) -> Option<Line> {
        self.syscall(caller.pid, caller.ts, call.name, Reported::Beside, sink);
        sink.event(event(caller.pid, caller.ts, body));
        Some(Line::Event)
    }

    fn exec(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let Caller { pid, ts, .. } = caller;
        if call.outcome.value != Some(0) {
            return None;
        }
        let mut args = scan::parts(call.args);
        let dir = if call.name == b"execveat" { args.next().and_then(value::descriptor) } else { None };
        let path = args.next().and_then(value::string);
        let argv = args.next().and_then(value::argv);
        let process = self.table.process_mut(pid);
        let path = path.map(|path| process.named(dir, &path).into_owned()).filter(|path| !path.is_empty());
        let (cwd, ppid, known) = (process.cwd.clone(), process.ppid, process.has_program);
        if known && path.is_some() {
            self.syscall(pid, ts, call.name, Reported::Beside, sink);
        }
        self.table.exec(pid);
        let path = path?;
        self.start(ts, path.rsplit(|b| *b == b'/').next().unwrap_or_default(), sink);
        if !path.starts_with(b"/") && cwd.is_none() && !self.is_holding {
            // Its directory may be told by what it does next.
            self.held = Some(Held::new(pid, ts, ppid, path, argv));
            return Some(Line::Held);
        }
        sink.event(event(pid, ts, exec_body(ppid, &path, argv.as_deref(), cwd.as_deref())));
        if self.table.is_guess(pid) && path.len() + argv.as_ref().map_or(0, Vec::len) <= EXEC_BYTES {
            self.table.process_mut(pid).exec = Some((path, argv));
        }
        Some(Line::Event)
    }

    fn open(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let value = call.outcome.value?;
        let mut args = scan::parts(call.args);
        let dir = if call.name.starts_with(b"openat") { Some(value::descriptor(args.next()?)?) } else { None };
        let path = value::string(args.next()?).filter(|path| !path.is_empty())?;
        let flags = match call.name {
            b"creat" => open_flags::CREAT,
            b"openat2" => open_flags::parse(scan::member(args.next()?, b"flags")?),
            _ => open_flags::parse(args.next()?),
        };
        let process = self.table.process_mut(caller.pid);
        if let Some(Descriptor { fd: None, note: Some(note) }) = dir {
            process.learn_dir(value::noted_path(note).as_deref());
        }
        let noted = scan::annotation(call.outcome.rest).and_then(value::noted_path);
        let unnamed = flags & open_flags::TMPFILE != 0;
        // What is asked for is a directory then, and what is opened a file in it whose name, if it is told, is a number.
        let directory = |file: &[u8]| {
            file.iter().rposition(|byte| *byte == b'/').map(|at| file.get(..at.max(1)).unwrap_or_default().to_vec())
        };
        let path = match noted.as_deref().filter(|_| unnamed).and_then(directory) {
            Some(directory) => directory,
            None => opened(process, dir, &path, noted.as_deref()),
        };
        if let Ok(fd) = i32::try_from(value)
            && fd >= 0
        {
            let number = || if unnamed { [&path, b"/#0".as_slice()].concat().into() } else { path.as_slice().into() };
            let file: Cow<'_, [u8]> = noted.unwrap_or_else(number);
            let file = file.starts_with(b"/").then(|| File::Path(file.as_ref().into()));
            let bytes = process.open(fd, file, flags & open_flags::O_CLOEXEC != 0);
            self.table.remember(bytes);
        }
        if value >= 0 && flags & open_flags::CREATES == open_flags::CREATES {
            // Without O_EXCL it may have been there before.
            let change = Change { op: ChangeOp::Create, path: path.as_slice(), from: None, ret: 0 };
            sink.implied(event(caller.pid, caller.ts, Body::Change(change)));
        }
        self.report(caller, call, Body::Open(Open { path: &path, flags, ret: ret(&call.outcome)?, map: false }), sink)
    }

    /// A thread, or with exit_group a process, is about to end.
    fn exit(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let Caller { tid, pid, ts, .. } = caller;
        self.end_flows(pid, ts, sink);
        let process = self.table.process_mut(pid);
        if process.threads.len() > 1 {
            // Calls of the other threads may still return, so the process lives until the last of them is gone.
            if call.name == b"exit_group" {
                process.dying = true;
                return None;
            }
            self.table.end_thread(tid)?;
        } else {
            self.syscall(pid, ts, call.name, Reported::Beside, sink);
            self.table.end_process(pid);
        }
        sink.event(event(pid, ts, Body::Exit));
        Some(Line::Event)
    }

    /// A child that was waited for has ended, even if the log does not say so anywhere else. Only of one that is known to
    /// be ending: where lines are in the order in which calls began, what the child did stands after this.
    fn wait(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let child = u32::try_from(call.outcome.value?).ok().filter(|child| *child != caller.pid)?;
        let contains = |text: &[u8]| memchr::memmem::find(call.args, text).is_some();
        let ended = contains(b"WIFEXITED") || contains(b"WIFSIGNALED");
        if ended && self.table.is_dying(child) && self.table.end_process(child).is_some() {
            sink.implied(event(child, caller.ts, Body::Exit));
        }
        None
    }

    fn fork(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let Caller { tid, pid, ts, child: seen } = caller;
        let child = child(&call.outcome).filter(|child| *child != pid && *child != tid)?;
        let born = self.table.born(tid, pid, child, makes_thread(call.args), seen);
        match born {
            CloneResult::Nothing => return None,
            CloneResult::NoProcess => {
                sink.implied(event(child, ts, Body::Exit));
                return None;
            }
            CloneResult::Child | CloneResult::Corrected(_) => {}
        }
        self.syscall(pid, ts, call.name, Reported::Beside, sink);
        sink.event(event(child, ts, Body::Fork { ppid: pid, ns_pid: None }));
        if let CloneResult::Corrected(Some((path, argv))) = born {
            sink.implied(event(child, ts, exec_body(pid, &path, argv.as_deref(), None)));
        }
        Some(Line::Event)
    }
}

/// What the other calls change for the lines that follow. Returns the bytes of a path that is now remembered.
fn follow(process: &mut Process, call: &Call<'_>) -> Option<usize> {
    let value = i32::try_from(call.outcome.value?).ok().filter(|value| *value >= 0)?;
    let mut args = scan::parts(call.args);
    let mut arg = || args.next();
    match call.name {
        b"chdir" => process.change_dir(value::string(arg()?).as_deref()),
        b"fchdir" => {
            let dir = process.directory(value::descriptor(arg()?)).map(Cow::into_owned);
            process.change_dir(dir.as_deref());
        }
        b"getcwd" => {
            if let Some(cwd) = value::string(arg()?).filter(|cwd| cwd.starts_with(b"/")) {
                process.learn_dir(Some(&cwd));
            }
        }
        b"close" => return Some(process.open(value::descriptor(arg()?)?.fd?, None, false)),
        b"dup" | b"dup2" | b"dup3" | b"fcntl" => {
            let fd = value::descriptor(arg()?)?.fd?;
            let how = match call.name {
                b"fcntl" => arg()
                    .map(scan::bare)
                    .filter(|op| op.starts_with(b"F_DUPFD") || matches!(*op, b"0" | b"0x406" | b"1030"))?,
                b"dup3" => arg().and_then(|_| arg())?,
                _ => b"",
            };
            if fd != value {
                let file = process.file(fd).cloned();
                let close_on_exec = how.ends_with(b"CLOEXEC") || matches!(how, b"0x406" | b"1030");
                return Some(process.open(value, file, close_on_exec));
            }
        }
        b"memfd_create" => {
            let path = [MEMFD, &value::string(arg()?)?].concat();
            let close_on_exec = arg().is_some_and(|flags| memchr::memmem::find(flags, b"MFD_CLOEXEC").is_some());
            return Some(process.open(value, Some(File::Path(path.into())), close_on_exec));
        }
        name => return files::follow_mount(process, name, value, args),
    }
    None
}

/// The path of a file that was opened, absolute if that can be known: by its directory, or by what `-y` says of the
/// result. From that the directory is learned where it was not known.
fn opened(process: &mut Process, dir: Option<Descriptor<'_>>, path: &[u8], noted: Option<&[u8]>) -> Vec<u8> {
    let resolved = process.named(dir, path).into_owned();
    let Some(noted) = noted.filter(|noted| !resolved.starts_with(b"/") && noted.starts_with(b"/")) else {
        return resolved;
    };
    let in_cwd = dir.is_none_or(|dir| dir.fd.is_none());
    let relative = path.strip_prefix(b"./").unwrap_or(path);
    if let Some(cwd) = noted.strip_suffix(relative).and_then(|cwd| cwd.strip_suffix(b"/")).filter(|_| in_cwd) {
        process.learn_dir(Some(if cwd.is_empty() { b"/" } else { cwd }));
    }
    noted.to_vec()
}

/// What /proc/PID/fd calls a file that memfd_create(2) made.
const MEMFD: &[u8] = b"/memfd:";

pub(super) fn exec_body<'a>(
    ppid: u32,
    path: &'a [u8],
    argv: Option<&'a [u8]>,
    cwd: Option<&'a [u8]>,
) -> Body<&'a [u8]> {
    let fileless = path.starts_with(MEMFD);
    Body::Exec(Exec { ppid, path, argv, cwd, fileless, ..Exec::default() })
}

/// The result as the kernel has it, errors by their numbers; -1 of one that is not known.
pub(super) fn ret(outcome: &Outcome<'_>) -> Option<i64> {
    let value = outcome.value?;
    let name = outcome.rest.split(|b| *b == b' ').next().filter(|_| value == -1);
    Some(name.and_then(errno).map_or(value, |number| -number))
}

/// The number of the thread that a clone made.
fn child(outcome: &Outcome<'_>) -> Option<u32> {
    let value = u32::try_from(outcome.value?).ok().filter(|child| *child > 0)?;
    // With --decode-pids=pidns: "5 /* 1235 in strace's PID NS */".
    let outer = outcome.rest.strip_prefix(b"/* ").and_then(scan::leading_number);
    match outer {
        Some((outer, rest)) if rest.starts_with(b" in strace's PID NS") => u32::try_from(outer).ok(),
        _ => Some(value),
    }
}

/// The number of a call by the name that strace gives it.
fn number(name: &[u8]) -> Option<u32> {
    let name = str::from_utf8(name).ok()?;
    match name.strip_prefix("syscall_0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => syscall_number(name),
    }
}
