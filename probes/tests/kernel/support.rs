//! What the tests of the kernel side share: a real kernel is asked, so they need root and BTF. Without those they say
//! that they are skipped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grove::event::{Body, Change, Dns, Event, Flow, Imds, Mount, Open, Peer, Socket};
use grove_probes::kernel::{Cause, Class, Count, Failures, Options, Probes, RecordBody, Scope};

#[path = "../common/child.rs"]
mod built;
#[path = "../../../engine/tests/common/skips.rs"]
mod skips;

pub use skips::skipped;

/// An event with texts of its own.
#[derive(Clone, Debug)]
pub struct Seen {
    pub cgroup: u64,
    pub event: Event<Vec<u8>>,
    pub cut: bool,
    pub said: bool,
    pub detached: bool,
    pub status: u32,
}

/// Attached programs, everything they told, and everything they counted.
pub struct Watch {
    pub probes: Probes,
    pub seen: Vec<Seen>,
    pub groups: Vec<(u64, Option<Vec<u8>>)>,
    /// Who made them: name, user, arguments and working directory.
    pub makers: Vec<(u64, [String; 4])>,
    pub counts: Vec<Count>,
    pub malformed: u64,
}

/// Attaches, or says why the test is skipped.
pub fn watch(options: &Options) -> Option<Watch> {
    let root = rustix::process::geteuid().is_root();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    if !(root && btf) {
        skipped(&format!("this needs root ({root}) and kernel BTF ({btf})"));
        return None;
    }
    let probes = Probes::attach(options).unwrap();
    let refused: Vec<_> = probes.hooks().iter().filter(|h| !h.attached()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    Some(Watch { probes, seen: Vec::new(), groups: Vec::new(), makers: Vec::new(), counts: Vec::new(), malformed: 0 })
}

/// Options that deliver every event: for tests of what is told, not of what is left out.
pub fn everything() -> Options {
    Options { dedup: None, failed: Failures::All, ..Options::default() }
}

impl Watch {
    pub fn drain(&mut self) {
        let (seen, groups, makers) = (&mut self.seen, &mut self.groups, &mut self.makers);
        let stats = self.probes.drain(&mut |r| match r.what {
            RecordBody::Event(e) => {
                let event = e.map(<[u8]>::to_vec);
                let f = r.facts;
                let (cut, said, detached, status) = (f.path.cut, f.said, f.path.detached, f.status);
                seen.push(Seen { cgroup: r.cgroup, event, cut, said, detached, status });
            }
            RecordBody::CgroupNew { path, by } => {
                groups.push((r.cgroup, Some(path.to_vec())));
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                makers.push((r.cgroup, [text(by.name), by.uid.to_string(), text(by.argv), text(by.cwd)]));
            }
            RecordBody::CgroupGone => groups.push((r.cgroup, None)),
        });
        self.malformed += stats.malformed;
        assert_eq!(self.malformed, 0);
        let counts = &mut self.counts;
        self.probes.counts(&mut |c| counts.push(c));
    }

    /// Runs it to its end and returns what it did; its children's doings are in `seen`.
    pub fn run(&mut self, command: &mut Command) -> Vec<Seen> {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        self.finish(child)
    }

    pub fn finish(&mut self, mut child: Child) -> Vec<Seen> {
        let pid = child.id();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut over = false;
        // Its exit is in the ring before its parent can wait for it; one look after that sees everything.
        while !over {
            over = child.try_wait().unwrap().is_some();
            self.drain();
            assert!(Instant::now() < deadline, "{pid} does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.of(pid)
    }

    pub fn of(&self, pid: u32) -> Vec<Seen> {
        self.seen.iter().filter(|s| s.event.pid == pid).cloned().collect()
    }

    /// How many of a class were counted for a cause.
    pub fn counted(&self, class: Class, cause: Cause) -> u64 {
        self.counts.iter().filter(|c| c.class == class && c.cause == cause).map(|c| c.n).sum()
    }
}

/// The helper that does one thing.
pub fn child(args: &[&str]) -> Command {
    let mut command = Command::new(child_path());
    command.args(args);
    command
}

pub fn child_path() -> &'static Path {
    built::child()
}

/// A port of this address that nobody has: each case has its own, since a ring lets go of its listener late.
pub fn free_port(address: &str, kind: &str) -> String {
    let local = match kind {
        "dgram" => std::net::UdpSocket::bind((address, 0)).unwrap().local_addr(),
        _ => std::net::TcpListener::bind((address, 0)).unwrap().local_addr(),
    };
    local.unwrap().port().to_string()
}

/// The same without libraries: it opens nothing by itself.
pub fn static_child_path() -> &'static Path {
    built::static_child()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line for each event: what tests compare.
pub fn line(seen: &Seen) -> String {
    match &seen.event.body {
        Body::Fork { .. } => "fork".into(),
        Body::Exec(e) => format!("exec {}", text(&e.path)),
        Body::Exit => format!("exit {}", seen.status),
        Body::Open(Open { path, map: true, .. }) => format!("map {}", text(path)),
        Body::Change(Change { op, path, from, ret, .. }) => {
            let from = from.as_ref().map_or_else(String::new, |from| format!(" from {}", text(from)));
            let ret = if *ret < 0 { format!(" {ret}") } else { String::new() };
            format!("{} {}{from}{ret}", op.name(), text(path))
        }
        Body::Mount(Mount { path, fstype, source, flags, ret, .. }) => {
            let source = source.as_ref().map_or_else(|| "-".into(), |source| text(source));
            let ret = if *ret < 0 { format!(" {ret}") } else { String::new() };
            format!("mount {} {source} {} {flags:#x}{ret}", text(fstype), text(path))
        }
        Body::Open(Open { path, ret, .. }) if *ret < 0 => format!("open {} {ret}", text(path)),
        Body::Open(Open { path, .. }) => format!("open {}", text(path)),
        Body::Socket(Socket { op, peer, port, proto, ret, .. }) => {
            let peer = match peer {
                Peer::Ip(ip) => format!("Ip({ip})"),
                Peer::Unix(name) => format!("Unix({})", text(name)),
                other => format!("{other:?}"),
            };
            format!("{} {peer} {port} {} {ret}", op.name(), proto.map_or("-", |p| p.name()))
        }
        Body::Flow(Flow { op, peer: Peer::Ip(ip), port, proto, sent, received, .. }) => {
            let bytes = |bytes: &Option<u64>| bytes.map_or("-".into(), |n| n.to_string());
            let proto = proto.map_or("-", |p| p.name());
            format!("flow {} {ip} {port} {proto} {} {}", op.name(), bytes(sent), bytes(received))
        }
        Body::Imds(Imds { path, provider, token, .. }) => {
            let provider = provider.as_deref().map_or("-".into(), text);
            format!("imds {provider} {} {}", token.map_or("-", |t| t.name()), text(path))
        }
        Body::Dns(Dns { name, qtype, .. }) => format!("dns {} {qtype}", text(name)),
        other => format!("{other:?}"),
    }
}

pub fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(line).collect()
}

/// Only this thread's children, so that other tests' doings count for nothing.
pub fn only_followed(options: Options) -> Options {
    Options { scope: Scope::Descendants(u32::MAX), ..options }
}

/// Starts the helper stopped, follows it, and lets it run to its end without draining.
pub fn run_unread(w: &mut Watch, args: &[&str]) -> u32 {
    run_program_unread(w, child_path(), args)
}

pub fn run_program_unread(w: &mut Watch, program: &Path, args: &[&str]) -> u32 {
    let mut running = start_followed(w, program, args);
    assert!(running.wait().unwrap().success());
    running.id()
}

pub fn start_followed(w: &mut Watch, program: &Path, args: &[&str]) -> Child {
    let helper = program.to_str().unwrap();
    let mut shell = Command::new("sh");
    let running = shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh", helper]).args(args).spawn().unwrap();
    let pid = running.id();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    while !state().contains(") T ") {
        std::thread::sleep(Duration::from_millis(1));
    }
    w.probes.follow(pid).unwrap();
    assert!(Command::new("kill").args(["-CONT", &pid.to_string()]).status().unwrap().success());
    running
}

pub fn delivered(w: &Watch, is: impl Fn(&Body<Vec<u8>>) -> bool) -> u64 {
    w.seen.iter().filter(|s| is(&s.event.body)).count() as u64
}
