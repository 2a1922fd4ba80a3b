//! What strace saw: an independent reading of what processes did, to hold against what Grove tells of the same.
//!
//! Not here: Grove's own reader of such logs, which the tests of the library are about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::containers;

mod changes;

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Did {
    /// Ran a program.
    Exec { path: String, argv0: String },
    /// Opened this file.
    Open(String),
    /// Asked for this name, and was refused it.
    Missed(String),
    /// Mapped this file to be executed.
    Map(String),
    /// Changed this name, or its file.
    Change { op: String, path: String, from: Option<String>, ret: i64 },
    /// Mounted a file system.
    Mount { path: String, fstype: String, ret: i64 },
    /// Connected or bound a socket.
    Socket { op: String, family: String, proto: Option<String>, addr: String, port: u16, ret: i64 },
    /// Made a process that goes on as the same program.
    Fork(u32),
    /// Made a thread, whose doings come behind those of its process. No trace has it.
    Thread(u32),
}

/// What each process did, in order.
pub type Doings = BTreeMap<u32, Vec<Did>>;

const CALLS: &str = "chdir,execve,execveat,fork,vfork,clone,clone3,open,openat,openat2,creat,memfd_create,\
                     connect,bind,sendto,sendmsg,sendmmsg";

/// A program's own path, for itself.
const ITSELF: &str = "/proc/self/exe";

/// A log for each process of one run.
pub struct Strace(TempDir);

impl Strace {
    /// The program it needs.
    pub const NEEDS: (&'static str, &'static str) = ("strace", "strace");

    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Strace of the command that is added to it.
    pub fn command(&self) -> Command {
        let mut strace = Command::new("strace");
        // A file for each process, so that no call is cut in two by another; descriptors with what they stand for.
        strace.args(["-ff", "-qq", "-yy", "-s", "4096", "-e", "signal=none", "--pidns-translation", "-e"]);
        strace
            .arg(format!("trace={CALLS},{}", changes::CALLS))
            .arg("-o")
            .arg(self.0.path().join("log"))
            .stdin(Stdio::null());
        strace
    }

    /// Strace of a process that runs already, once nothing of it can be missed any more. It ends when that and all that
    /// it started have ended.
    pub fn follow(&self, pid: u32) -> Child {
        let child = self.command().args(["-p", &pid.to_string()]).stderr(Stdio::null()).spawn().unwrap();
        containers::wait_for("strace to attach", || {
            let tasks: Vec<_> = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().collect();
            let traced = |status: String| !status.contains("TracerPid:\t0\n");
            let all = tasks.iter().all(|task| fs::read_to_string(task.path().join("status")).is_ok_and(traced));
            (all && !tasks.is_empty()).then_some(())
        });
        child
    }

    /// What they did, with programs by the path that `real` gives for the one that was asked for.
    pub fn doings(&self, real: impl Fn(&str) -> String) -> Doings {
        let logs = fs::read_dir(self.0.path()).unwrap().flatten();
        let logs: BTreeMap<u32, String> = logs
            .map(|log| {
                let pid = log.path().extension().unwrap().to_str().unwrap().parse().unwrap();
                (pid, fs::read_to_string(log.path()).unwrap())
            })
            .collect();
        let binds = logs.values().flat_map(|log| log.lines()).filter_map(|line| line.strip_prefix("bind("));
        let bound: BTreeSet<&str> = binds.filter_map(|bind| bind.split(['<', '>']).nth(1)).collect();
        let mut doings: Doings = logs.iter().map(|(pid, log)| (*pid, read(log, &bound, &real))).collect();
        while let Some((pid, thread)) = unmerged(&doings) {
            let did = doings.remove(&thread).unwrap();
            doings.get_mut(&pid).unwrap().extend(did);
        }
        // Who ran itself again may have been forked as what it is.
        let parents = parents(&doings);
        let again = |did: &Did| matches!(did, Did::Exec { path, .. } if path == ITSELF);
        let at: Vec<(u32, usize)> =
            each(&doings).filter(|(.., did)| again(did)).map(|(pid, at, _)| (pid, at)).collect();
        for (pid, at) in at {
            let mut before = (pid, at);
            let itself = loop {
                match running(&doings, &parents, before) {
                    (_, Did::Exec { path, .. }) if path != ITSELF => break path.clone(),
                    (earlier, _) => before = earlier,
                }
            };
            let Did::Exec { path, .. } = &mut doings.get_mut(&pid).unwrap()[at] else { unreachable!() };
            *path = itself;
        }
        doings
    }
}

/// The doings of one process; `bound` are the sockets that anybody bound, as they were before.
fn read(log: &str, bound: &BTreeSet<&str>, real: &impl Fn(&str) -> String) -> Vec<Did> {
    let mut did = Vec::new();
    let mut descriptors: BTreeMap<String, String> = BTreeMap::new();
    // As calls that begin there say it; the first is the loader's.
    let mut cwd = String::new();
    for line in log.lines() {
        let Some((call, result)) = line.rsplit_once(" = ") else {
            let cut = ["<unfinished ...>", "<detached ...>"].iter().any(|end| line.ends_with(end));
            assert!(line.starts_with("+++") || cut, "{line}");
            continue;
        };
        let name = call.split('(').next().unwrap();
        let base = call.split_once("AT_FDCWD<").and_then(|(_, base)| base.split('>').next());
        if let Some(base) = base {
            base.clone_into(&mut cwd);
        }
        // Broken off by a signal, and made again.
        if result.starts_with("? ERESTART") {
            continue;
        }
        let fails = result.starts_with('-') || result.starts_with('?');
        if name == "chdir" {
            if !fails {
                cwd = changes::below(&cwd, quoted(call));
            }
            continue;
        }
        if let Some(change) = changes::read(name, call, result, &cwd) {
            did.extend(change);
            continue;
        }
        match name {
            "execve" | "execveat" if fails => (),
            "execve" | "execveat" => {
                let asked = quoted(call);
                let path = match asked.strip_prefix("/proc/self/fd/") {
                    Some(descriptor) => descriptors[descriptor].clone(),
                    None if asked == ITSELF => asked.to_owned(),
                    None => real(asked),
                };
                let argv0 = quoted(call.split_once(", [").unwrap().1).to_owned();
                did.push(Did::Exec { path, argv0 });
            }
            "fork" | "vfork" | "clone" | "clone3" if fails => (),
            // The number that strace knows it by is the one it gave the log.
            "fork" | "vfork" | "clone" | "clone3" => {
                let outside = result.split_once("/* ").map_or(result, |(_, outside)| outside);
                let made = outside.split(' ').next().unwrap().parse().unwrap();
                did.push(if call.contains("CLONE_THREAD") { Did::Thread(made) } else { Did::Fork(made) });
            }
            "connect" | "bind" | "sendto" | "sendmsg" | "sendmmsg" => {
                did.extend(sockets(name, call, result, bound).into_iter().map(|did| absolute(did, &cwd)))
            }
            _ if fails => {
                let (_, arguments) = call.split_once('(').unwrap();
                let base = arguments.split_once('"').unwrap().0.split(['<', '>']).nth(1).unwrap_or(&cwd);
                did.push(absolute(Did::Missed(quoted(call).to_owned()), base));
            }
            // 3</some/file>, 3</dev/null<char 1:3>>, 3</memfd:name>(deleted)
            _ => {
                let (descriptor, path) = result.split_once('<').unwrap_or_else(|| panic!("{line}"));
                let path = path.trim_end_matches("(deleted)").strip_suffix('>').unwrap();
                let path = path.split_once("<char ").map_or(path, |(path, _)| path);
                if name == "memfd_create" {
                    let name = path.trim_start_matches('/').trim_end_matches(" (deleted)");
                    descriptors.insert(descriptor.to_owned(), name.to_owned());
                } else {
                    descriptors.insert(descriptor.to_owned(), path.to_owned());
                    // One without a name is told by its directory: its number is another one each time.
                    let directory = path.rsplit_once('/').map(|(directory, _)| unnamed(directory));
                    did.push(Did::Open(directory.filter(|_| call.contains("O_TMPFILE")).unwrap_or(path.to_owned())));
                }
            }
        }
    }
    changes::with_interpreters(did)
}

/// `__O_TMPFILE`.
const TMPFILE: u64 = 0o20_000_000;

/// A file without a name in a directory.
fn unnamed(directory: &str) -> String {
    format!("{directory}/#0")
}

/// With the name that it gave made absolute, as it is told.
fn absolute(mut did: Did, base: &str) -> Did {
    match &mut did {
        Did::Missed(name) if !name.starts_with('/') && !name.is_empty() => {
            *name = format!("{}/{name}", base.trim_end_matches('/'));
        }
        Did::Socket { family, addr, .. } if family == "unix" && !addr.starts_with(['/', '@']) => {
            *addr = format!("{}/{addr}", base.trim_end_matches('/'));
        }
        _ => (),
    }
    did
}

/// A process and a thread of it that still has a log of its own.
fn unmerged(doings: &Doings) -> Option<(u32, u32)> {
    let thread = |did: &Did| if let Did::Thread(thread) = did { Some(*thread) } else { None };
    each(doings).filter_map(|(pid, _, did)| Some((pid, thread(did)?))).find(|(_, thread)| doings.contains_key(thread))
}

/// The first text in quotes.
fn quoted(text: &str) -> &str {
    text.split('"').nth(1).unwrap_or_else(|| panic!("{text}"))
}

/// A connect or a bind; and every send to an address of its own, which connects too, but on a stream that has its peer
/// already.
fn sockets(name: &str, call: &str, result: &str, bound: &BTreeSet<&str>) -> Vec<Did> {
    // connect(3<TCP:[1234]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16)
    let descriptor = call.split_once('<').map_or("", |(_, descriptor)| descriptor);
    let kind = descriptor.split([':', 'v']).next().unwrap();
    let sent = name.starts_with("send");
    if sent && kind == "TCP" && !call.contains("MSG_FASTOPEN") {
        return Vec::new();
    }
    // So many bytes or messages were sent; or the first failed.
    let done = result.parse::<usize>();
    let messages = if name == "sendmmsg" { done.clone().unwrap_or(1) } else { 1 };
    let result = if done.is_ok() { "0" } else { result };
    let op = if name == "bind" { name } else { "connect" };
    let addresses = call.split("{sa_family=").skip(1).take(messages);
    // What a port that was chosen sends to one that nobody chose is an answer to who asked from there. 3<UDP:[127.0.0.1:53]>,
    // or where strace knows nothing of the network it is in what it is before it is bound, 3<UDP:[2927998]>.
    let own = descriptor.split('>').next().unwrap();
    let port = own.trim_end_matches(']').rsplit(':').next().unwrap().parse::<u16>();
    let chosen = port.is_ok_and(|port| port < 32768) || bound.contains(own);
    let answers = |did: &Did| matches!(did, Did::Socket { port: 32768.., .. }) && sent && kind == "UDP" && chosen;
    addresses.filter_map(|address| socket(op, kind, address, result)).filter(|did| !answers(did)).collect()
}

/// One of the families that traces have words for.
fn socket(op: &str, kind: &str, address: &str, result: &str) -> Option<Did> {
    let family = match address.split([',', '}']).next()? {
        "AF_INET" => "inet",
        "AF_INET6" => "inet6",
        "AF_UNIX" => "unix",
        _ => return None,
    };
    let proto = ["TCP", "UDP"].contains(&kind).then(|| kind.to_lowercase());
    let port = address.split_once("htons(").map_or(0, |(_, port)| port.split(')').next().unwrap().parse().unwrap());
    let (family, addr) = match (family, address.contains("sun_path=@")) {
        ("unix", false) if !address.contains("sun_path=") => return None,
        ("unix", true) => (family, format!("@{}", quoted(address))),
        ("unix", false) => (family, quoted(address).to_owned()),
        // inet_pton(AF_INET6, "::1", &sin6_addr), spelled in one way; an IPv4 address in IPv6 form is what it is.
        _ => {
            let ip = quoted(address).parse::<IpAddr>().unwrap().to_canonical();
            (if ip.is_ipv4() { "inet" } else { family }, ip.to_string())
        }
    };
    let error = result.split(' ').nth(1);
    let ret = match error {
        None => 0,
        Some("ENOENT") => -2,
        Some("EADDRINUSE") => -98,
        Some("ENETUNREACH") => -101,
        Some("ECONNREFUSED") => -111,
        Some("EHOSTUNREACH") => -113,
        Some("EINPROGRESS") => -115,
        Some(other) => panic!("a number for {other}: {address} = {result}"),
    };
    Some(Did::Socket { op: op.to_owned(), family: family.to_owned(), proto, addr, port, ret })
}

/// What a trace tells of each process, in the same words.
pub fn told(trace: &str) -> Doings {
    let mut doings = Doings::new();
    for line in trace.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(pid) = event["pid"].as_u64().map(|pid| pid as u32) else { continue };
        // Who else is on this host may have names that are no text.
        let value = |field: &str| event[field].as_str().or(event[format!("{field}_b64")].as_str()).map(str::to_owned);
        let text = |field: &str| value(field).unwrap_or_else(|| panic!("{field}: {line}"));
        let ret = event["ret"].as_i64().unwrap_or(0);
        let kind = text("type");
        let did = match &*kind {
            // A script's own first argument gives way to its interpreter, for good.
            "exec" if event["interpreter"].is_string() => Did::Exec { path: text("path"), argv0: text("path") },
            "exec" => Did::Exec { path: text("path"), argv0: event["argv"][0].as_str().unwrap_or("").to_owned() },
            "open" if event["map"] == true => Did::Map(text("path")),
            "change" if text("op") == "create" => continue,
            "change" => Did::Change { op: text("op"), path: text("path"), from: value("from"), ret },
            "mount" => Did::Mount { path: text("path"), fstype: text("fstype"), ret },
            "open" if ret < 0 => Did::Missed(text("path")),
            "open" if event["flags"].as_u64().is_some_and(|flags| flags & TMPFILE != 0) => {
                Did::Open(unnamed(&text("path")))
            }
            "open" => Did::Open(text("path")),
            "connect" | "bind" => {
                let proto = event["proto"].as_str().map(str::to_owned);
                let port = event["port"].as_u64().unwrap_or(0) as u16;
                Did::Socket { op: kind, family: text("family"), proto, addr: text("addr"), port, ret }
            }
            "fork" => {
                let parent = event["ppid"].as_u64().unwrap() as u32;
                doings.entry(parent).or_default().push(Did::Fork(pid));
                continue;
            }
            _ => continue,
        };
        doings.entry(pid).or_default().push(did);
    }
    doings
}

/// What `root` and all that descend from it did, from `root`'s first program on.
pub fn of(doings: &Doings, root: u32) -> Doings {
    let mut of = Doings::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let did = doings.get(&pid).map_or(&[][..], Vec::as_slice);
        let begin = if pid == root { did.iter().position(|did| matches!(did, Did::Exec { .. })).unwrap() } else { 0 };
        open.extend(did[begin..].iter().filter_map(|did| if let Did::Fork(pid) = did { Some(*pid) } else { None }));
        of.insert(pid, did[begin..].to_vec());
    }
    of
}

/// Every program, with the name it goes by if it is one of many.
pub fn programs(doings: &Doings) -> BTreeSet<String> {
    doings.values().flatten().filter_map(program).collect()
}

fn program(did: &Did) -> Option<String> {
    let Did::Exec { path, argv0 } = did else { return None };
    let by_name = path.ends_with("/busybox");
    Some(if by_name { format!("{path} ({})", argv0.rsplit('/').next().unwrap()) } else { path.clone() })
}

/// Every doing, with its process and its place among what that did.
fn each(doings: &Doings) -> impl Iterator<Item = (u32, usize, &Did)> {
    doings.iter().flat_map(|(pid, did)| did.iter().enumerate().map(move |(at, did)| (*pid, at, did)))
}

/// Where each process was forked.
fn parents(doings: &Doings) -> BTreeMap<u32, (u32, usize)> {
    let forked =
        |(pid, at, did): (u32, usize, &Did)| if let Did::Fork(child) = did { Some((*child, (pid, at))) } else { None };
    each(doings).filter_map(forked).collect()
}

/// The exec before this place, if need be of the process that forked this one.
fn running<'a>(
    doings: &'a Doings,
    parents: &BTreeMap<u32, (u32, usize)>,
    (mut pid, mut at): (u32, usize),
) -> ((u32, usize), &'a Did) {
    loop {
        let before = doings[&pid][..at].iter().enumerate().rfind(|(_, did)| matches!(did, Did::Exec { .. }));
        match before {
            Some((at, exec)) => return ((pid, at), exec),
            None => (pid, at) = parents[&pid],
        }
    }
}

/// Every doing but forks and execs, with the process and the program that it ran at the time.
pub fn by_program(doings: &Doings) -> Vec<(u32, String, Did)> {
    let parents = parents(doings);
    let who = |pid: u32, at: usize| program(running(doings, &parents, (pid, at)).1).unwrap();
    each(doings)
        .filter(|(.., did)| !matches!(did, Did::Exec { .. } | Did::Fork(_) | Did::Thread(_)))
        .map(|(pid, at, did)| (pid, who(pid, at), did.clone()))
        .collect()
}

/// Compares what each process did with what is told of it, call by call; and in order, but for one that had threads.
#[track_caller]
pub fn compare(seen: &Doings, told: &Doings) {
    for (pid, seen) in seen {
        let mut told = told.get(pid).cloned().unwrap_or_default();
        let mut seen = seen.clone();
        let calls = seen.len();
        seen.retain(|did| !matches!(did, Did::Thread(_)));
        if seen.len() < calls {
            seen.sort();
            told.sort();
        }
        let at = seen.iter().zip(&told).position(|(seen, told)| seen != told).unwrap_or(seen.len().min(told.len()));
        let around = |did: &[Did]| did.iter().skip(at.saturating_sub(1)).take(3).cloned().collect::<Vec<_>>();
        assert!(seen == told, "of {pid}, at {at}:\nseen {:#?}\ntold {:#?}", around(&seen), around(&told));
    }
}
