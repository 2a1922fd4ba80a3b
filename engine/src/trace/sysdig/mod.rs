//! Reading the JSON lines of `sysdig -r FILE -j -p FIELDS`.
//!
//! FIELDS are at least `evt.rawtime`, `evt.type`, `evt.dir`, `evt.args`, `container.id`, `container.image`,
//! `proc.pid`, `proc.ppid`, `proc.name`, `proc.exepath`, `proc.cmdline`, `proc.cwd`, `thread.tid`, `user.uid`,
//! `fd.name`, `fd.num`, `fd.type` and `fd.l4proto`; those that no event can be placed without are required.
//!
//! | line | event |
//! |---|---|
//! | `>` of a system call | `syscalls` |
//! | `<` of `execve`, `execveat` that succeeded | `exec` |
//! | `<` of `clone`, `fork`, … in a new process | `fork` |
//! | `procexit` of a process | `exit` |
//! | `<` of `open`, `openat`, … | `open` |
//! | `<` of `connect`, `bind`, `accept` with an address | `connect`, `bind`, `accept` |
//! | `<` of `recvfrom`, `recvmsg` of a datagram at a port below 32768 | `accept` of who was heard from |
//! | `<` of a call that sends a request to a metadata service | `imds` |
//! | `<` of calls that change names (`unlink`, `renameat`, `mkdir`, `chmod`, …), of `mount` | `change`, `mount` |
//! | `container` | `container_start` |
//! | any other | [`Ignored::NoBehaviour`] |
//!
//! A file that is mapped to be executed is implied by the line of its `mmap`, a file that an open made by the open's.
//! Recordings of sysdigs with falcosecurity/libs from autumn 2025 on have no `>` at all: there each `<` is the line of its
//! system call, or implies it.
//!
//! Beside these the decoder *implies* what sysdig knows without an event for it: the workload of a container and the
//! program of a process that were there before the recording, and an exec or fork whose own line was lost.
//!
//! What a recording cannot tell: a DNS question (sysdig writes a dot for every byte of it that is not printable, and
//! cuts it short); the file of a program where `proc.exepath` is empty and the exec's beginning was not recorded
//! (then its `argv[0]` has to do, and one without a slash is left as it is: it is not relative to anything). Of a
//! script the path is what `proc.exepath` says, the script in older sysdigs, its interpreter in newer ones, because
//! that is also all there is of a process that was running before.

mod args;
mod changes;
mod container;
mod names;
mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::args::absolute;
use self::container::{Container, image_and_tag};
use self::record::{Record, invalid};
use super::bounded::Bounded;
use super::{Decoder, Line, Reject};
use crate::behaviour::{ChangeOp, imds_request};
use crate::event::{Body, Change, Event, EventRef, Exec, Mount, Open, Peer, Proto, Sink, Socket, SocketOp, Syscalls};
use crate::hash::fingerprint;
use crate::ledger::Ignored;

/// How many containers and, apart from them, processes are remembered. Forgetting one costs an implied event more.
const KNOWN_MAX: usize = 65_536;
/// How many execs that have begun and not ended are remembered; their paths are the only texts that are.
const EXECS_MAX: usize = 4096;
/// The longest path a system call takes (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;

const NOTHING: Line = Line::Ignored(Ignored::NoBehaviour);

/// Decodes the lines of one recording, in the order sysdig wrote them.
///
/// It holds at most some 64 MiB, whatever the input: only hashes of texts, except for the paths of pending execs.
#[derive(Debug)]
pub struct SysdigDecoder {
    /// Containers whose workload was told, by the hash of their id.
    containers: Bounded<u128, ()>,
    processes: Bounded<ProcessKey, Program>,
    /// The file that a thread is about to execute.
    execs: Bounded<ProcessKey, Box<str>>,
    /// There was a line of a call that begins.
    has_enters: bool,
}

/// A process or thread: its container's id, hashed, and its own.
type ProcessKey = (u128, u32);

/// What a process was last seen to run, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Program {
    /// `proc.exepath`, if sysdig knows it.
    path: Option<u128>,
    cmdline: u128,
}

impl Program {
    fn of(r: &Record<'_>) -> Self {
        let path = (!r.exepath.is_empty()).then(|| fingerprint(r.exepath.as_bytes()));
        Self { path, cmdline: fingerprint(r.cmdline.as_bytes()) }
    }
}

/// The process that a line tells of.
#[derive(Clone, Copy)]
struct Actor<'a> {
    ts: u64,
    container: &'a str,
    container_key: u128,
    pid: u32,
    tid: u32,
}

impl<'a> Actor<'a> {
    fn process(&self) -> ProcessKey {
        (self.container_key, self.pid)
    }

    fn thread(&self) -> ProcessKey {
        (self.container_key, self.tid)
    }

    /// Whether the thread is the process's first, which is what stands for the process.
    fn leads(&self) -> bool {
        self.pid == self.tid
    }

    fn event(&self, body: Body<&'a [u8]>) -> EventRef<'a> {
        Event { ts: self.ts, container: self.container.as_bytes(), pid: self.pid, start: None, body }
    }
}

impl Default for SysdigDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl SysdigDecoder {
    /// A decoder that knows nothing yet.
    pub fn new() -> Self {
        Self {
            containers: Bounded::new(KNOWN_MAX),
            processes: Bounded::new(KNOWN_MAX),
            execs: Bounded::new(EXECS_MAX),
            has_enters: false,
        }
    }
}

impl Decoder for SysdigDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let r = Record::parse(record)?;
        if r.kind == "container" {
            return Ok(self.container_event(&r, sink));
        }
        // Without a thread nobody did it: sysdig's own notices, or a thread it lost track of.
        let (Some(container), Some(pid), Some(tid)) = (r.container.as_deref(), r.pid, r.tid) else {
            return Ok(NOTHING);
        };
        let actor = Actor { ts: r.ts, container, container_key: fingerprint(container.as_bytes()), pid, tid };
        self.imply_workload(&r, actor, sink);
        let line = match (r.enter, r.kind.as_ref()) {
            (_, "procexit") => return Ok(self.exit(actor, sink)),
            (true, _) => return Ok(self.enter(&r, actor, sink)),
            (false, "execve" | "execveat") => self.exec(&r, actor, sink),
            (false, "clone" | "clone3" | "fork" | "vfork") => match self.fork(&r, actor, sink) {
                Line::Event => return Ok(Line::Event),
                parents => parents,
            },
            (false, "open" | "openat" | "openat2" | "creat" | "open_by_handle_at") => self.open(&r, actor, sink),
            (false, "connect") => self.socket(SocketOp::Connect, &r, actor, sink)?,
            (false, "bind") => self.socket(SocketOp::Bind, &r, actor, sink)?,
            (false, "accept" | "accept4") => self.socket(SocketOp::Accept, &r, actor, sink)?,
            (false, "recvfrom" | "recvmsg") if is_datagram_of_a_service(&r) => {
                self.socket(SocketOp::Accept, &r, actor, sink)?
            }
            (false, "mount") => self.mount(&r, actor, sink),
            (false, "write" | "writev" | "sendto" | "sendmsg") => self.request(&r, actor, sink),
            (false, kind) => self.change(kind, &r, actor, sink),
        };
        if self.has_enters {
            return Ok(line);
        }
        // No line told of the call's beginning.
        let Some(nr) = names::number(&r.kind, &r.args) else { return Ok(line) };
        let nrs = nr.to_le_bytes();
        let call = actor.event(Body::Syscalls(Syscalls { nrs: &nrs }));
        self.imply_map(&r, actor, sink);
        self.observe(&r, actor, sink);
        if line == NOTHING {
            sink.event(call);
            return Ok(Line::Event);
        }
        sink.implied(call);
        Ok(line)
    }
}

/// What becomes of a line, by kind.
impl SysdigDecoder {
    fn container_event(&mut self, r: &Record<'_>, sink: &mut dyn Sink) -> Line {
        let reported = Container::parse(&r.args).unwrap_or_default();
        let id = if reported.id.is_empty() { r.container.as_deref().unwrap_or_default() } else { &reported.id };
        let from_line = || (!r.image.is_empty()).then(|| image_and_tag(&r.image));
        let Some((image, tag)) = reported.workload().or_else(from_line).filter(|_| !id.is_empty() && id != "host")
        else {
            return NOTHING;
        };
        self.containers.insert(fingerprint(id.as_bytes()), ());
        sink.event(container_start(r.ts, id, image, tag));
        Line::Event
    }

    fn enter(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        self.has_enters = true;
        if matches!(r.kind.as_ref(), "execve" | "execveat") {
            self.execs.remove(&actor.thread());
            if let Some(path) = args::exec_filename(&r.args).filter(|p| p.len() <= PATH_BYTES_MAX) {
                self.execs.insert(actor.thread(), path.into());
            }
        }
        let Some(nr) = names::number(&r.kind, &r.args) else { return NOTHING };
        self.observe(r, actor, sink);
        self.imply_map(r, actor, sink);
        sink.event(actor.event(Body::Syscalls(Syscalls { nrs: &nr.to_le_bytes() })));
        Line::Event
    }

    fn exec(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        let entered = self.execs.remove(&actor.thread());
        if args::result(&r.args) != Some(0) {
            return NOTHING;
        }
        let argv0 = args::exec_argv0(&r.args);
        let path = match (r.exepath.as_ref(), entered.as_deref(), argv0) {
            ("", Some(path), _) => absolute(path, &r.cwd),
            // A name that the shell looked up in PATH is not relative to the working directory.
            ("", None, Some(path)) if path.contains('/') => absolute(path, &r.cwd),
            ("", None, Some(name)) => Cow::Borrowed(name),
            ("", None, None) => return NOTHING,
            (path, _, _) => Cow::Borrowed(path),
        };
        let (from_memfd, upper_layer) = args::exec_flags(&r.args);
        let argv = args::exec_argv(&r.args, &r.cmdline, &r.name);
        self.processes.insert(actor.process(), Program::of(r));
        sink.event(actor.event(Body::Exec(Exec {
            fileless: from_memfd || is_memfd(&path),
            upper_layer,
            ..program(r, &path, argv.as_deref())
        })));
        Line::Event
    }

    fn fork(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        // Both sides return. The parent's tells only the child's pid as the container sees it, and a thread is no process.
        if args::result(&r.args) != Some(0) || !actor.leads() {
            return NOTHING;
        }
        match self.processes.get(&(actor.container_key, r.ppid)).copied() {
            Some(parent) => self.processes.insert(actor.process(), parent),
            None => drop(self.processes.remove(&actor.process())),
        }
        sink.event(actor.event(Body::Fork { ppid: r.ppid, ns_pid: None }));
        // Of a parent that nothing is known of, the child's program is what is known.
        self.observe(r, actor, sink);
        Line::Event
    }

    fn exit(&mut self, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        self.execs.remove(&actor.thread());
        if !actor.leads() {
            return NOTHING;
        }
        self.processes.remove(&actor.process());
        sink.event(actor.event(Body::Exit));
        Line::Event
    }

    fn open(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        let asked = if r.fd_name.is_empty() { args::open_path(&r.args) } else { Some(r.fd_name.as_ref()) };
        let asked = asked.filter(|path| *path != "NULL");
        let (Some(asked), Some(ret)) = (asked, args::result(&r.args).or(r.fd_num)) else { return NOTHING };
        // sysdig's word for the directory of a descriptor it does not know.
        if asked.starts_with("<UNKNOWN>") {
            return Line::Ignored(Ignored::RelativePath);
        }
        let path = absolute(asked, &r.cwd);
        let flags = args::open_flags(&r.kind, &r.args);
        self.observe(r, actor, sink);
        if ret >= 0 && args::has_created(&r.args) {
            let change = Change { op: ChangeOp::Create, path: path.as_bytes(), from: None, ret: 0 };
            sink.implied(actor.event(Body::Change(change)));
        }
        sink.event(actor.event(Body::Open(Open { path: path.as_bytes(), flags, ret, map: false })));
        Line::Event
    }

    /// A call that changes names, or any other.
    fn change(&mut self, kind: &str, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        let (Some((op, from, path)), Some(ret)) = (changes::change(kind, &r.args), args::result(&r.args)) else {
            return NOTHING;
        };
        let in_cwd = args::from_working_directory(&r.args) && args::has_only_cwd(&r.args);
        if !path.starts_with('/') && !in_cwd {
            return Line::Ignored(Ignored::RelativePath);
        }
        let path = absolute(path, &r.cwd);
        let from = match op {
            // What it says, wherever that is.
            ChangeOp::Symlink => from.map(Cow::Borrowed),
            _ => from.filter(|from| from.starts_with('/') || in_cwd).map(|from| absolute(from, &r.cwd)),
        };
        self.observe(r, actor, sink);
        let from = from.as_deref().map(str::as_bytes);
        sink.event(actor.event(Body::Change(Change { op, path: path.as_bytes(), from, ret })));
        Line::Event
    }

    /// A request to a metadata service, as far as sysdig prints what was sent.
    fn request(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        let Ok(Some((Peer::Ip(ip), _))) = args::connect_peer("", &r.fd_name, &r.fd_type) else { return NOTHING };
        let request = args::after(&r.args, " data=").and_then(|data| imds_request(ip, data.as_bytes()));
        let Some(request) = request.filter(|_| args::result(&r.args).is_some_and(|ret| ret > 0)) else {
            return NOTHING;
        };
        self.observe(r, actor, sink);
        sink.event(actor.event(Body::Imds(request)));
        Line::Event
    }

    fn mount(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Line {
        let (Some((source, path, fstype)), Some(ret)) = (changes::mount(&r.args), args::result(&r.args)) else {
            return NOTHING;
        };
        let path = absolute(path, &r.cwd);
        self.observe(r, actor, sink);
        let source = Some(source.as_bytes());
        let mount = Mount { path: path.as_bytes(), fstype: fstype.as_bytes(), source, flags: 0, ret };
        sink.event(actor.event(Body::Mount(mount)));
        Line::Event
    }

    fn socket(&mut self, op: SocketOp, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) -> Result<Line, Reject> {
        let address = match op {
            SocketOp::Connect => args::connect_peer(&r.args, &r.fd_name, &r.fd_type),
            SocketOp::Bind => args::bind_addr(&r.args, &r.fd_name, &r.fd_type),
            SocketOp::Accept => changes::peer_and_port(&r.args, &r.fd_name),
        };
        let address = address.map_err(|_| invalid("evt.args", "an address that is not numeric (record without -R)"))?;
        let (Some((peer, port)), Some(ret)) = (address, args::result(&r.args)) else { return Ok(NOTHING) };
        let path = match peer {
            Peer::Unix(path) if !path.starts_with('@') => absolute(path, &r.cwd),
            Peer::Unix(name) => Cow::Borrowed(name),
            Peer::Ip(_) => Cow::Borrowed(""),
        };
        let peer = match peer {
            Peer::Ip(ip) => Peer::Ip(ip),
            Peer::Unix(_) => Peer::Unix(path.as_bytes()),
        };
        let proto = match r.l4proto.as_ref() {
            "tcp" => Some(Proto::Tcp),
            "udp" => Some(Proto::Udp),
            _ => None,
        };
        self.observe(r, actor, sink);
        sink.event(actor.event(Body::Socket(Socket { op, peer, port, proto, ret })));
        Ok(Line::Event)
    }
}

/// What sysdig knows without an event for it.
impl SysdigDecoder {
    /// The workload of a container that was there before the recording, once a line names its image.
    fn imply_workload(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) {
        if actor.container.is_empty() || r.image.is_empty() || self.containers.get(&actor.container_key).is_some() {
            return;
        }
        let (image, tag) = image_and_tag(&r.image);
        if !image.is_empty() {
            self.containers.insert(actor.container_key, ());
            sink.implied(container_start(r.ts, actor.container, image, tag));
        }
    }

    /// The file that a line of a mmap says is mapped to be executed.
    fn imply_map(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) {
        if matches!(r.kind.as_ref(), "mmap" | "mmap2")
            && let Some(path) = changes::mapped(&r.args)
        {
            self.observe(r, actor, sink);
            sink.implied(actor.event(Body::Open(Open { path: path.as_bytes(), flags: 0, ret: 0, map: true })));
        }
    }

    /// The program of a process that does something, unless a line told of it: the process was there before the
    /// recording, or the line of its fork or exec was lost.
    fn observe(&mut self, r: &Record<'_>, actor: Actor<'_>, sink: &mut dyn Sink) {
        let now = Program::of(r);
        match self.processes.get_mut(&actor.process()) {
            Some(known) if now.path.is_none() || now.path == known.path => {
                // A thread may have a name, and with it a command line, of its own.
                if actor.leads() {
                    known.cmdline = now.cmdline;
                }
                return;
            }
            Some(known) => *known = now,
            None => {
                self.processes.insert(actor.process(), now);
                let parent = self.processes.get(&(actor.container_key, r.ppid));
                if now.path.is_some() && r.ppid != actor.pid && parent == Some(&now) {
                    return sink.implied(actor.event(Body::Fork { ppid: r.ppid, ns_pid: None }));
                }
            }
        }
        let path = match r.exepath.as_ref() {
            "" if is_runtime(&r.name) => r.name.as_ref(),
            "" => return,
            path => path,
        };
        let argv = args::cmdline_argv(&r.cmdline, &r.name);
        sink.implied(actor.event(Body::Exec(program(r, path, argv.as_deref()))));
    }
}

fn container_start<'a>(ts: u64, id: &'a str, image: &'a str, tag: &'a str) -> EventRef<'a> {
    let body = Body::ContainerStart { image: image.as_bytes(), tag: tag.as_bytes() };
    Event { ts, container: id.as_bytes(), pid: 0, start: None, body }
}

fn program<'a>(r: &'a Record<'_>, path: &'a str, argv: Option<&'a [u8]>) -> Exec<&'a [u8]> {
    let cwd = r.cwd.starts_with('/').then_some(r.cwd.as_bytes());
    Exec {
        ppid: r.ppid,
        path: path.as_bytes(),
        argv,
        // Only what names a place may be resolved.
        cwd: cwd.filter(|_| path.contains('/')),
        uid: r.uid,
        fileless: is_memfd(path),
        ..Exec::default()
    }
}

/// Ports from here up are chosen by the kernel for who speaks first.
const EPHEMERAL_PORT: u16 = 32768;

/// Whether a line tells of a datagram that came to a port that others send to, and from whom.
fn is_datagram_of_a_service(r: &Record<'_>) -> bool {
    r.l4proto == "udp"
        && args::result(&r.args).is_some_and(|ret| ret >= 0)
        && matches!(changes::peer_and_port(&r.args, ""), Ok(Some((_, port))) if port < EPHEMERAL_PORT)
}

fn is_memfd(path: &str) -> bool {
    path.starts_with("memfd:") || path.starts_with("/memfd:")
}

/// Whether a process of this name is one of runc's, for which sysdig often has no path. The names of programs that are
/// runtimes are not enough: anybody may have them.
fn is_runtime(name: &str) -> bool {
    name.starts_with("runc:[")
}
