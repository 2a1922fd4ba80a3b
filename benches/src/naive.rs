//! The model that trees are compared with: the obvious one, and what agents of this kind are built like. Every node
//! has a map of its children by name and a map of times by the tag's text; a process table maps ids to lineages.
//!
//! It does less than Grove: no normalising, no generalising, no pid reuse, no lost events, no user ids, capabilities or
//! types of questions, no counts of bytes, no bound. In return it has a map in every node and a text in every record.

use grove::event::{Body, Dns, EventRef, Open, Peer, Socket, Syscalls, syscall_numbers};
use std::collections::{BTreeMap, HashMap};

/// First and last time, by tag.
type Seen = BTreeMap<String, (u64, u64)>;

/// A file, or a directory on the way to one.
#[derive(Debug, Default)]
struct File {
    children: BTreeMap<String, File>,
    seen: Seen,
    flags: u32,
}

/// A process and what it did.
#[derive(Debug, Default)]
struct Process {
    children: BTreeMap<String, Process>,
    files: BTreeMap<String, File>,
    dns: BTreeMap<String, Seen>,
    sockets: BTreeMap<String, Seen>,
    syscalls: BTreeMap<u32, Seen>,
    seen: Seen,
}

/// The tree of one container.
#[derive(Debug)]
pub struct Tree {
    tag: String,
    root: Process,
    lineages: HashMap<u32, Vec<String>>,
}

/// Notes that the tag was seen; true if it is the first time.
fn stamp(seen: &mut Seen, tag: &str, ts: u64) -> bool {
    let mut new = false;
    let times = seen.entry(tag.to_owned()).or_insert_with(|| {
        new = true;
        (ts, ts)
    });
    *times = (times.0.min(ts), times.1.max(ts));
    new
}

impl Tree {
    /// An empty one.
    pub fn new(tag: &str) -> Self {
        Self { tag: tag.to_owned(), root: Process::default(), lineages: HashMap::new() }
    }

    /// Applies an event; true if it was not known.
    pub fn insert(&mut self, event: &EventRef<'_>) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match event.body {
            Body::ContainerStart { .. } | Body::ContainerStop | Body::Missed { .. } => return false,
            Body::Fork { ppid, .. } => {
                if let Some(lineage) = self.lineages.get(&ppid).cloned() {
                    self.lineages.insert(event.pid, lineage);
                }
                return false;
            }
            Body::Exit => {
                self.lineages.remove(&event.pid);
                return false;
            }
            Body::Exec(exec) => {
                let mut lineage = self.lineages.get(&event.pid).cloned().unwrap_or_default();
                let path = text(exec.path);
                if lineage.last() != Some(&path) {
                    lineage.push(path);
                }
                self.lineages.insert(event.pid, lineage);
            }
            Body::Open(Open { ret, .. }) if ret < 0 => return false,
            _ => {}
        }
        let mut process = &mut self.root;
        for program in self.lineages.get(&event.pid).map(Vec::as_slice).unwrap_or_default() {
            process = process.children.entry(program.clone()).or_default();
        }
        let (tag, ts) = (self.tag.as_str(), event.ts);
        match event.body {
            Body::Open(Open { path, flags, .. }) => {
                let path = text(path);
                let mut names = path.split('/').filter(|name| !name.is_empty());
                let mut file = process.files.entry(names.next().unwrap_or_default().to_owned()).or_default();
                for name in names {
                    file = file.children.entry(name.to_owned()).or_default();
                }
                file.flags |= flags;
                stamp(&mut file.seen, tag, ts)
            }
            Body::Dns(Dns { name, .. }) => {
                stamp(process.dns.entry(text(name).to_ascii_lowercase()).or_default(), tag, ts)
            }
            Body::Socket(Socket { op, peer, port, .. }) => {
                let peer = match peer {
                    Peer::Ip(ip) => ip.to_string(),
                    Peer::Unix(path) => text(path),
                    other => format!("{other:?}"),
                };
                stamp(process.sockets.entry(format!("{op:?} {peer} {port}")).or_default(), tag, ts)
            }
            Body::Syscalls(Syscalls { nrs, .. }) => {
                syscall_numbers(nrs).filter(|nr| stamp(process.syscalls.entry(*nr).or_default(), tag, ts)).count() > 0
            }
            _ => stamp(&mut process.seen, tag, ts),
        }
    }
}
