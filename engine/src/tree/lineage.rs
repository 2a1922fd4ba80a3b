//! Which process is which: the process table of one container and the rules by which forks, execs and exits move
//! processes between programs (FORMATS §1).
//!
//! It knows nothing of nodes: `N` is whatever stands for a program, a node of the tree being learned or of a
//! profile being compared with. [`Lineage::place_exec`] only decides, so a dry run uses the very same rules.

use super::cwds::Cwds;
use crate::hash::{NumberMap, fingerprint};
use std::sync::Arc;

/// A process, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid {
    /// Process id.
    pub pid: u32,
    /// Start time, if the source tells.
    pub start: Option<u64>,
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<N> {
    /// It runs the container runtime's own program.
    Setup,
    /// What it does is done by this program.
    At(N),
    /// Its program could not be kept: the tree was full.
    Lost,
    /// Its program is not known, and it did nothing yet.
    Unknown,
}

/// A process of the table.
#[derive(Clone, Debug)]
pub struct Process<N> {
    /// What it runs.
    pub place: Place<N>,
    /// Its own program before any generalisation: path, argv0 and, if they are identity, arguments; hashed, as a
    /// table of processes keeps no long texts.
    program: Option<u128>,
    /// Its working directory, when an exec told.
    pub cwd: Option<Arc<[u8]>>,
    ppid: Option<u32>,
    start: Option<u64>,
    /// It has exec'd since it was forked.
    execed: bool,
    /// Its program is not known: an event other than its exec came first, or its path could not be resolved.
    unknown: bool,
    /// It, or a process that it was forked from, exec'd something else than the container runtime's own program.
    workload: bool,
    last_use: u64,
    /// Another process of the same id with an earlier start.
    older: Option<Box<Process<N>>>,
}

/// What an exec comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecPlace<N> {
    /// The container runtime's own program.
    Setup,
    /// What the process already runs.
    Same(Place<N>),
    /// A program without a parent.
    Root,
    /// A program below another one.
    Child {
        /// The program that exec'd, or whose child did.
        parent: Place<N>,
        /// Exec'd without a fork before it.
        chain: bool,
    },
}

/// What a process runs after an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs<'a> {
    /// The container runtime's own program.
    Runtime,
    /// A program, by its [`identity`](super::Program::identity).
    Program(&'a str),
    /// A program whose path cannot be resolved.
    Unknown,
}

/// The process table of one container.
#[derive(Clone, Debug)]
pub struct Lineage<N> {
    table: NumberMap<u32, Process<N>>,
    /// Processes in the table, older ones of a reused id included.
    len: usize,
    max: usize,
    clock: u64,
    forgotten: u64,
    cwds: Cwds,
}

/// How many processes of one id, with different start times, are kept apart.
const OLDER_MAX: usize = 64;

/// Programs that set a container up before its workload runs.
pub fn is_runtime(path: &[u8]) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    let own = [&b"runc"[..], b"crun", b"youki", b"conmon", b"docker-runc"];
    own.contains(&name)
        || name.starts_with(b"containerd-shim")
        || path.starts_with(b"runc:[")
        || name.starts_with(b"runc:[")
}

/// A working directory, unless nothing can be resolved against it: tables of processes keep no long texts.
pub(super) fn usable_cwd(cwd: &[u8]) -> Option<&[u8]> {
    (cwd.starts_with(b"/") && cwd.len() <= super::PATH_BYTES_MAX).then_some(cwd)
}

impl<N: Copy + PartialEq> Lineage<N> {
    /// An empty table of at most `max` processes.
    pub fn new(max: usize) -> Self {
        Self { table: NumberMap::default(), len: 0, max, clock: 0, forgotten: 0, cwds: Cwds::default() }
    }

    /// Processes in the table.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many processes were forgotten because the table was full, or which directory they were in.
    pub fn forgotten(&self) -> u64 {
        self.forgotten + self.cwds.refused()
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        let older = (self.len - self.table.len()) * size_of::<Process<N>>();
        self.table.allocation_size() + older + self.cwds.heap_bytes()
    }

    /// Forgets every process: the container is gone.
    pub fn clear(&mut self) {
        self.table.clear();
        self.len = 0;
        self.cwds = Cwds::default();
    }

    /// Where each process of the table stands, to be changed in place.
    pub fn places_mut(&mut self) -> impl Iterator<Item = &mut Place<N>> {
        struct Chain<'a, N>(Option<&'a mut Process<N>>);
        impl<'a, N> Iterator for Chain<'a, N> {
            type Item = &'a mut Place<N>;
            fn next(&mut self) -> Option<Self::Item> {
                let process = self.0.take()?;
                self.0 = process.older.as_deref_mut();
                Some(&mut process.place)
            }
        }
        self.table.values_mut().flat_map(|p| Chain(Some(p)))
    }

    /// The process, if it is in the table.
    pub fn find(&self, id: Pid) -> Option<&Process<N>> {
        let mut at = self.table.get(&id.pid)?;
        let Some(start) = id.start else { return Some(at) };
        loop {
            // A process whose start was never told is the one meant, unless a later event says otherwise.
            match at.start {
                Some(s) if s != start => at = at.older.as_deref()?,
                _ => return Some(at),
            }
        }
    }

    fn find_mut(&mut self, id: Pid) -> Option<&mut Process<N>> {
        let mut at = self.table.get_mut(&id.pid)?;
        let Some(start) = id.start else { return Some(at) };
        loop {
            match at.start {
                Some(s) if s != start => at = at.older.as_deref_mut()?,
                _ => {
                    at.start = Some(start);
                    return Some(at);
                }
            }
        }
    }

    /// Marks a process as in use and gives where it stands.
    pub fn touch(&mut self, id: Pid) -> Option<&Process<N>> {
        self.clock += 1;
        let clock = self.clock;
        let process = self.find_mut(id)?;
        process.last_use = clock;
        Some(process)
    }

    fn put(&mut self, id: Pid, mut process: Process<N>) {
        if self.len >= self.max {
            self.forget_some();
        }
        self.clock += 1;
        process.last_use = self.clock;
        process.start = id.start;
        let Some(at) = self.table.get_mut(&id.pid) else {
            self.table.insert(id.pid, process);
            self.len += 1;
            return;
        };
        // Without start times the newcomer replaces: the exit of the one before was lost.
        let (Some(new), Some(old)) = (id.start, at.start) else {
            let before = std::mem::replace(at, process);
            self.len -= chain_len(before.older.as_deref());
            return;
        };
        if new == old {
            process.older = at.older.take();
            *at = process;
            return;
        }
        self.len += 1;
        if new > old {
            let before = std::mem::replace(at, process);
            at.older = Some(Box::new(before));
            self.len -= cut_chain(at);
            return;
        }
        // A late event of an earlier process: it must not stand before the one that lives.
        let mut slot = &mut at.older;
        while slot.as_ref().is_some_and(|p| p.start.is_some_and(|s| s > new)) {
            match slot {
                Some(p) => slot = &mut p.older,
                None => break,
            }
        }
        if slot.as_ref().is_some_and(|p| p.start == Some(new)) {
            self.len -= 1;
            process.older = slot.take().and_then(|p| p.older);
        } else {
            process.older = slot.take();
        }
        *slot = Some(Box::new(process));
        self.len -= cut_chain(at);
    }

    fn remove(&mut self, id: Pid) {
        let Some(at) = self.table.get_mut(&id.pid) else { return };
        let is_it = |p: &Process<N>| id.start.is_none() || p.start.is_none() || p.start == id.start;
        if is_it(at) {
            match at.older.take() {
                // Without a start time nothing tells the older ones apart either.
                Some(older) if id.start.is_some() => {
                    *at = *older;
                    self.len -= 1;
                }
                older => {
                    self.len -= 1 + chain_len(older.as_deref());
                    self.table.remove(&id.pid);
                }
            }
            return;
        }
        let mut slot = &mut at.older;
        while slot.as_ref().is_some_and(|p| !is_it(p)) {
            match slot {
                Some(p) => slot = &mut p.older,
                None => break,
            }
        }
        if let Some(found) = slot.take() {
            *slot = found.older;
            self.len -= 1;
        }
    }

    /// Makes room by forgetting the eighth of the processes that did nothing for the longest time: their exits
    /// were lost, or they sleep.
    fn forget_some(&mut self) {
        let mut uses: Vec<u64> = self.table.values().map(|p| p.last_use).collect();
        let nth = uses.len() / 8;
        if uses.is_empty() {
            return;
        }
        let (_, limit, _) = uses.select_nth_unstable(nth);
        let limit = *limit;
        let before = self.len;
        self.table.retain(|_, p| p.last_use > limit);
        self.len = self.table.values().map(|p| 1 + chain_len(p.older.as_deref())).sum();
        self.forgotten += (before - self.len) as u64;
        tracing::warn!(forgotten = before - self.len, "the process table of a container is full");
    }

    /// `child` continues as its parent's program, which is not known if the parent is not in the table. Returns whether
    /// it is part of the container's set-up.
    pub fn fork(&mut self, child: Pid, ppid: u32) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let process = match self.table.get_mut(&ppid) {
            Some(parent) => {
                // Whoever has children is no process whose exit was lost.
                parent.last_use = clock;
                Process {
                    place: parent.place,
                    program: parent.program,
                    cwd: parent.cwd.clone(),
                    ppid: Some(ppid),
                    start: None,
                    execed: false,
                    unknown: parent.unknown,
                    workload: parent.workload,
                    last_use: 0,
                    older: None,
                }
            }
            None => Process { ppid: Some(ppid), ..Process::unknown(Place::Unknown) },
        };
        let setup = matches!(process.place, Place::Setup);
        self.put(child, process);
        setup
    }

    /// Takes a process out. Returns whether it was part of the container's set-up.
    pub fn exit(&mut self, id: Pid) -> bool {
        let setup = self.find(id).is_some_and(|p| matches!(p.place, Place::Setup));
        self.remove(id);
        setup
    }

    /// A process whose program is not known does something: `unknown` stands for its program from now on.
    pub fn meet(&mut self, id: Pid, unknown: N) {
        match self.find_mut(id) {
            Some(process) => process.place = Place::At(unknown),
            None => self.put(id, Process::unknown(Place::At(unknown))),
        }
    }

    /// The working directory of a process that execs: its own, or that of the parent which it must have been forked
    /// from unseen.
    pub fn cwd_of_exec(&self, id: Pid, ppid: u32) -> Option<&Arc<[u8]>> {
        let known = self.find(id).filter(|p| !self.is_another(p, id, ppid));
        known.or_else(|| self.table.get(&ppid))?.cwd.as_ref()
    }

    /// Whether an exec of `path` is the container runtime's doing. A process that comes from the workload is not the
    /// runtime, whatever the file is called that it runs.
    pub fn sets_up(&self, id: Pid, ppid: u32, path: &[u8]) -> bool {
        is_runtime(path) && !self.find(id).is_some_and(|p| p.workload && !self.is_another(p, id, ppid))
    }

    /// What an exec of `program` comes to. Decides only.
    pub fn place_exec(&self, id: Pid, ppid: u32, path: &[u8], program: &str) -> ExecPlace<N> {
        if self.sets_up(id, ppid, path) {
            return ExecPlace::Setup;
        }
        let Some(process) = self.find(id).filter(|p| !self.is_another(p, id, ppid)) else {
            return match self.table.get(&ppid).map(|p| p.place) {
                None | Some(Place::Setup) => ExecPlace::Root,
                Some(parent) => ExecPlace::Child { parent, chain: false },
            };
        };
        match process.place {
            Place::Setup => ExecPlace::Root,
            _ if process.unknown => ExecPlace::Root,
            place if process.program == Some(fingerprint(program.as_bytes())) => ExecPlace::Same(place),
            place => ExecPlace::Child { parent: place, chain: process.execed },
        }
    }

    /// Whether the process that execs cannot be the one on record, whose exit must have been lost.
    fn is_another(&self, process: &Process<N>, id: Pid, ppid: u32) -> bool {
        let told_apart = id.start.is_some() && process.start.is_some();
        !told_apart && process.ppid.is_some_and(|on_record| on_record != ppid && self.table.contains_key(&on_record))
    }

    /// Records what a process runs now, and where that stands. Of a program whose path cannot be resolved,
    /// [`Place::Unknown`]: its next exec makes a root of its own.
    pub fn exec(&mut self, id: Pid, ppid: u32, place: Place<N>, runs: Runs<'_>, cwd: Option<&[u8]>) {
        let cwd = match cwd {
            Some(cwd) => usable_cwd(cwd).and_then(|cwd| self.cwds.keep(cwd)),
            None => self.cwd_of_exec(id, ppid).cloned(),
        };
        let known = self.find(id).filter(|p| !self.is_another(p, id, ppid));
        let start = id.start.or(known.and_then(|p| p.start));
        let same = known.is_some();
        let process = Process {
            place,
            program: if let Runs::Program(program) = runs { Some(fingerprint(program.as_bytes())) } else { None },
            cwd,
            ppid: Some(ppid),
            start,
            execed: true,
            unknown: runs == Runs::Unknown,
            workload: runs != Runs::Runtime,
            last_use: 0,
            older: None,
        };
        if same && let Some(on_record) = self.find_mut(id) {
            let older = on_record.older.take();
            *on_record = Process { older, last_use: on_record.last_use, ..process };
            self.touch(id);
            return;
        }
        self.put(id, process);
    }
}

impl<N> Process<N> {
    fn unknown(place: Place<N>) -> Self {
        Self {
            place,
            program: None,
            cwd: None,
            ppid: None,
            start: None,
            execed: false,
            unknown: true,
            workload: false,
            last_use: 0,
            older: None,
        }
    }
}

fn chain_len<N>(mut at: Option<&Process<N>>) -> usize {
    let mut len = 0;
    while let Some(process) = at {
        len += 1;
        at = process.older.as_deref();
    }
    len
}

/// Lets go of the oldest of a chain that is too long; returns how many.
fn cut_chain<N>(head: &mut Process<N>) -> usize {
    let mut at = head;
    for _ in 0..OLDER_MAX {
        match at.older.as_deref_mut() {
            Some(older) => at = older,
            None => return 0,
        }
    }
    chain_len(at.older.take().as_deref())
}
