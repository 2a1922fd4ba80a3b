//! What each system call means: the event that it is, and what it changes for the lines that follow.

use std::borrow::Cow;

use crate::event::{Body, EINPROGRESS, Exec, Open, Peer, Proto, Sink, Socket, SocketOp, Syscalls};
use crate::names::{open_flags, syscall_number};
use crate::trace::Line;

use super::line::{Call, Outcome};
use super::process::{File, Process};
use super::table::{Birth, is_clone, makes_thread};
use super::value::{self, Address, Descriptor};
use super::{Caller, NOTHING, StraceDecoder, Told, event, scan};

/// The longest exec that is kept in case its process's parent turns out to be another.
const EXEC_BYTES: usize = 4096;

impl StraceDecoder {
    /// Tells of a call: as the event that it is, else as a system call.
    pub(super) fn call(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Line {
        let told = match call.name {
            b"execve" | b"execveat" => self.exec(caller, call, sink),
            b"open" | b"openat" | b"openat2" | b"creat" => self.open(caller, call, sink),
            b"connect" => self.socket(caller, SocketOp::Connect, call, sink),
            b"bind" => self.socket(caller, SocketOp::Bind, call, sink),
            b"exit_group" | b"exit" => self.exit(caller, call, sink),
            name if is_clone(name) => self.fork(caller, call, sink),
            b"wait4" => self.wait(caller, call, sink),
            _ => {
                let bytes = follow(self.table.process_mut(caller.pid), call);
                self.table.remember(bytes.unwrap_or(0));
                None
            }
        };
        told.unwrap_or_else(|| self.syscall(caller.pid, caller.ts, call.name, Told::Counted, sink))
    }

    /// Tells of a system call as such.
    pub(super) fn syscall(&mut self, pid: u32, ts: u64, name: &[u8], told: Told, sink: &mut dyn Sink) -> Line {
        let Some(number) = number(name) else { return NOTHING };
        let first = self.table.process_mut(pid).tell(number);
        let nrs = number.to_le_bytes();
        let event = event(pid, ts, Body::Syscalls(Syscalls { nrs: &nrs }));
        match told {
            Told::Counted => sink.event(event),
            Told::Beside if first => sink.implied(event),
            Told::Beside => {}
        }
        Line::Event
    }

    /// Tells of `body`, after the call that it came by.
    fn tell(&mut self, caller: Caller, call: &Call<'_>, body: Body<&[u8]>, sink: &mut dyn Sink) -> Option<Line> {
        self.syscall(caller.pid, caller.ts, call.name, Told::Beside, sink);
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
        let path = path.map(|path| program(process, dir, &path).into_owned()).filter(|path| !path.is_empty());
        let (cwd, ppid, known) = (process.cwd.clone(), process.ppid, process.has_program);
        if known && path.is_some() {
            self.syscall(pid, ts, call.name, Told::Beside, sink);
        }
        self.table.exec(pid);
        let path = path?;
        self.start(ts, path.rsplit(|b| *b == b'/').next().unwrap_or_default(), sink);
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
            process.change_dir(value::noted_path(note).as_deref());
        }
        let path = process.resolve(dir, &path).into_owned();
        if let Ok(fd) = i32::try_from(value)
            && fd >= 0
        {
            // Nothing can be opened relative to a file, and a directory cannot be written.
            let noted = scan::annotation(call.outcome.rest).and_then(value::noted_path);
            let file = noted.unwrap_or(Cow::Borrowed(path.as_slice()));
            let file = (flags & 3 == 0 && file.starts_with(b"/")).then(|| File::Path(file.as_ref().into()));
            let bytes = process.open(fd, file, flags & open_flags::O_CLOEXEC != 0);
            self.table.remember(bytes);
        }
        self.tell(caller, call, Body::Open(Open { path: &path, flags, ret: ret(&call.outcome)?, map: false }), sink)
    }

    fn socket(&mut self, caller: Caller, op: SocketOp, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let mut args = scan::parts(call.args);
        let socket = value::descriptor(args.next()?)?;
        let address = value::sockaddr(args.next()?)?;
        let ret = ret(&call.outcome)?;
        let process = self.table.process_mut(caller.pid);
        let path;
        let (peer, port, proto) = match &address {
            Address::Ip(addr, port) => (Peer::Ip(*addr), *port, proto(process, socket)),
            Address::Unix(name) => {
                path = if name.starts_with(b"@") { name.clone() } else { process.resolve(None, name) };
                (Peer::Unix(path.as_ref()), 0, None)
            }
        };
        self.tell(caller, call, Body::Socket(Socket { op, peer, port, proto, ret }), sink)
    }

    /// A thread, or with exit_group a process, is about to end.
    fn exit(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let Caller { tid, pid, ts, .. } = caller;
        let process = self.table.process_mut(pid);
        if process.threads.len() > 1 {
            // Calls of the other threads may still return, so the process lives until the last of them is gone.
            if call.name == b"exit_group" {
                process.dying = true;
                return None;
            }
            self.table.end_thread(tid)?;
        } else {
            self.syscall(pid, ts, call.name, Told::Beside, sink);
            self.table.end_process(pid);
        }
        sink.event(event(pid, ts, Body::Exit));
        Some(Line::Event)
    }

    /// A child that was waited for has ended, even if the log does not say so anywhere else.
    fn wait(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let child = u32::try_from(call.outcome.value?).ok().filter(|child| *child != caller.pid)?;
        let contains = |text: &[u8]| memchr::memmem::find(call.args, text).is_some();
        if (contains(b"WIFEXITED") || contains(b"WIFSIGNALED")) && self.table.end_process(child).is_some() {
            sink.implied(event(child, caller.ts, Body::Exit));
        }
        None
    }

    fn fork(&mut self, caller: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let Caller { tid, pid, ts, child: seen } = caller;
        let child = child(&call.outcome).filter(|child| *child != pid && *child != tid)?;
        let born = self.table.born(tid, pid, child, makes_thread(call.args), seen);
        match born {
            Birth::Nothing => return None,
            Birth::NoProcess => {
                sink.implied(event(child, ts, Body::Exit));
                return None;
            }
            Birth::Child | Birth::Corrected(_) => {}
        }
        self.syscall(pid, ts, call.name, Told::Beside, sink);
        sink.event(event(child, ts, Body::Fork { ppid: pid }));
        if let Birth::Corrected(Some((path, argv))) = born {
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
            if let Some(cwd) = value::string(arg()?) {
                process.change_dir(Some(&cwd));
            }
        }
        b"close" => return Some(process.open(value::descriptor(arg()?)?.fd?, None, false)),
        b"dup" | b"dup2" | b"dup3" | b"fcntl" => {
            let fd = value::descriptor(arg()?)?.fd?;
            let how = match call.name {
                b"fcntl" => arg().filter(|op| op.starts_with(b"F_DUPFD"))?,
                b"dup3" => arg().and_then(|_| arg())?,
                _ => b"",
            };
            if fd != value {
                let file = process.file(fd).cloned();
                return Some(process.open(value, file, how.ends_with(b"CLOEXEC")));
            }
        }
        b"socket" => {
            let (family, kind, protocol) = (arg()?, arg()?, arg().unwrap_or_default());
            let ip = matches!(family, b"AF_INET" | b"AF_INET6") && !protocol.ends_with(b"SCTP");
            let proto = match kind.split(|b| *b == b'|').next()? {
                b"SOCK_STREAM" if ip => Some(File::Socket(Proto::Tcp)),
                b"SOCK_DGRAM" if ip => Some(File::Socket(Proto::Udp)),
                _ => None,
            };
            return Some(process.open(value, proto, memchr::memmem::find(kind, b"SOCK_CLOEXEC").is_some()));
        }
        b"memfd_create" => {
            let path = [MEMFD, &value::string(arg()?)?].concat();
            let close_on_exec = arg().is_some_and(|flags| memchr::memmem::find(flags, b"MFD_CLOEXEC").is_some());
            return Some(process.open(value, Some(File::Path(path.into())), close_on_exec));
        }
        _ => {}
    }
    None
}

/// What /proc/PID/fd calls a file that memfd_create(2) made.
const MEMFD: &[u8] = b"/memfd:";

/// The path of the program that is run: as given, or that of the descriptor by which it is given.
fn program<'a>(process: &Process, dir: Option<Descriptor<'_>>, path: &'a [u8]) -> Cow<'a, [u8]> {
    let by_fd = [b"/proc/self/fd/".as_slice(), b"/dev/fd/"].iter().find_map(|dir| path.strip_prefix(*dir));
    if let Some(fd) = by_fd.and_then(value::descriptor).and_then(|dir| dir.fd)
        && let Some(File::Path(path)) = process.file(fd)
    {
        return Cow::Owned(path.to_vec());
    }
    process.resolve(dir, path)
}

fn exec_body<'a>(ppid: u32, path: &'a [u8], argv: Option<&'a [u8]>, cwd: Option<&'a [u8]>) -> Body<&'a [u8]> {
    let fileless = path.starts_with(MEMFD);
    Body::Exec(Exec { ppid, path, argv, cwd, fileless, ..Exec::default() })
}

/// A socket's transport, from what `-yy` says of it or from the call that made it.
fn proto(process: &Process, socket: Descriptor<'_>) -> Option<Proto> {
    let noted = |note: &[u8]| match note {
        [b'T', b'C', b'P', ..] => Some(Proto::Tcp),
        [b'U', b'D', b'P', ..] => Some(Proto::Udp),
        _ => None,
    };
    socket.note.and_then(noted).or_else(|| match process.file(socket.fd?)? {
        File::Socket(proto) => Some(*proto),
        File::Path(_) => None,
    })
}

/// The result as the kernel has it: of errors only their being one is kept, and [`EINPROGRESS`].
fn ret(outcome: &Outcome<'_>) -> Option<i64> {
    let value = outcome.value?;
    Some(if outcome.rest.starts_with(b"EINPROGRESS") { EINPROGRESS } else { value })
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
