//! Which process is which: the process table of one container and the rules by which forks, execs and exits move
//! processes between programs (FORMATS §1).
//!
//! It knows nothing of nodes: `N` is whatever stands for a program, a node of the tree being learned or of a
//! profile being compared with. [`Lineage::place`] only decides: learning, a dry run and a check all ask there.

use super::cwds::{Cwds, usable_cwd};
use super::ended::Ended;
use super::program::{Program, exec_interpreter, exec_program};
use super::{Rules, runtime};
use crate::event::{EventRef, Exec};
use crate::hash::{NumberMap, fingerprint};
use crate::ledger::{Fate, Ignored};
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
    /// Its fork was seen.
    forked: bool,
    /// It has exec'd since it was forked.
    execed: bool,
    /// Its program is not known: an event other than its exec came first, or its path could not be resolved.
    unknown: bool,
    /// It comes from the workload: it, or a process that it was forked from, exec'd something else than the container
    /// runtime's own program. Nothing that is told later takes that back.
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

/// An exec, decided: where it puts its process, and what is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided<N> {
    /// Where.
    pub place: ExecPlace<N>,
    /// The program; of the container runtime's own none.
    pub program: Program,
    /// What runs it, if it is a script.
    pub interpreter: String,
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
    /// Processes of the workload that are not in the table any more.
    ended: Ended,
    cwds: Cwds,
}

/// How many processes of one id, with different start times, are kept apart.
const OLDER_MAX: usize = 64;

impl<N: Copy + PartialEq> Lineage<N> {
    /// An empty table of at most `max` processes.
    pub fn new(max: usize) -> Self {
        Self {
            table: NumberMap::default(),
            len: 0,
            max,
            clock: 0,
            forgotten: 0,
            ended: Ended::default(),
            cwds: Cwds::default(),
        }
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
        self.table.allocation_size() + older + self.ended.heap_bytes() + self.cwds.heap_bytes()
    }

    /// Forgets every process: the container is gone.
    pub fn clear(&mut self) {
        self.table = Default::default();
        self.len = 0;
        self.forgotten += std::mem::take(&mut self.cwds).refused();
        self.ended = Ended::default();
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
            self.over(id.pid, Some(&before));
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
            let cut = cut_chain(at);
            return self.forget_chain(id.pid, cut);
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
        let cut = cut_chain(at);
        self.forget_chain(id.pid, cut);
    }

    /// Of a chain that grew too long this is the end.
    fn forget_chain(&mut self, pid: u32, cut: Option<Box<Process<N>>>) {
        self.len -= chain_len(cut.as_deref());
        self.over(pid, cut.as_deref());
    }

    /// These, all of one id, are not in the table any more.
    fn over(&mut self, pid: u32, chain: Option<&Process<N>>) {
        let mut at = chain;
        while let Some(process) = at {
            if process.workload {
                return self.ended.add(pid);
            }
            at = process.older.as_deref();
        }
    }

    fn remove(&mut self, id: Pid) {
        let Some(at) = self.table.get_mut(&id.pid) else { return };
        let is_it = |p: &Process<N>| id.start.is_none() || p.start.is_none() || p.start == id.start;
        if is_it(at) {
            let gone = match at.older.take() {
                // Without a start time nothing tells the older ones apart either.
                Some(older) if id.start.is_some() => Some(std::mem::replace(at, *older)),
                older => {
                    at.older = older;
                    self.table.remove(&id.pid)
                }
            };
            self.len -= chain_len(gone.as_ref());
            self.over(id.pid, gone.as_ref());
            return;
        }
        let mut slot = &mut at.older;
        while slot.as_ref().is_some_and(|p| !is_it(p)) {
            match slot {
                Some(p) => slot = &mut p.older,
                None => break,
            }
        }
        if let Some(mut found) = slot.take() {
            *slot = found.older.take();
            self.len -= 1;
            self.over(id.pid, Some(&found));
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
        self.ended.add_unknown();
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
                    forked: true,
                    execed: false,
                    unknown: parent.unknown,
                    workload: parent.workload,
                    last_use: 0,
                    older: None,
                }
            }
            None => Process {
                ppid: Some(ppid),
                forked: true,
                workload: self.was_workload(ppid),
                ..Process::unknown(Place::Unknown)
            },
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
        self.on_record(id, ppid).or_else(|| self.table.get(&ppid))?.cwd.as_ref()
    }

    /// The process that execs, if it is on record.
    fn on_record(&self, id: Pid, ppid: u32) -> Option<&Process<N>> {
        self.find(id).filter(|p| !self.is_another(p, id, ppid))
    }

    /// Whether the process that execs comes from the workload. Where its fork was not seen, its parent speaks for it,
    /// even after its end; and if nothing of it is on record, whoever had its id before: an end may have been told of one
    /// thread alone. Who is not on record may be the workload's if some were forgotten: nobody becomes the runtime by
    /// starting more processes than there is room for.
    fn is_workload(&self, id: Pid, ppid: u32) -> bool {
        match self.on_record(id, ppid) {
            Some(process) if process.workload || process.forked => process.workload,
            Some(_) => self.was_workload(ppid),
            None => self.was_workload(ppid) || self.was_workload(id.pid),
        }
    }

    /// Whether a process of this id comes from the workload, or may have: any of those that are told apart.
    fn was_workload(&self, pid: u32) -> bool {
        let mut all = std::iter::successors(self.table.get(&pid), |process| process.older.as_deref());
        all.any(|process| process.workload) || self.ended.may_have(pid)
    }

    /// Whether an exec is the container runtime's doing. What the source knows decides; else the name and the place of
    /// the program, unless its file cannot be the host's, or its process comes from the workload.
    fn sets_up(&self, id: Pid, exec: &Exec<&[u8]>, resolved: Option<&str>) -> bool {
        exec.runtime.unwrap_or_else(|| {
            runtime::is_named_as_one(exec.path, resolved)
                && !exec.upper_layer
                && !exec.fileless
                && !self.is_workload(id, exec.ppid)
        })
    }

    /// What an exec comes to, and of which program. Decides only.
    ///
    /// # Errors
    /// The program has no path that can be resolved, and it is not the runtime's either.
    pub fn place(&self, event: &EventRef<'_>, exec: &Exec<&[u8]>, rules: &Rules) -> Result<Decided<N>, Fate> {
        let id = Pid { pid: event.pid, start: event.start };
        let cwd = self.cwd_of_exec(id, exec.ppid).map(|cwd| &**cwd);
        let program = match exec_program(event, exec, cwd, rules) {
            Err(fate) if fate != Fate::Ignored(Ignored::RelativePath) => return Err(fate),
            program => program,
        };
        let resolved = program.as_ref().ok().map(|program| &*program.path);
        if self.sets_up(id, exec, resolved) {
            return Ok(Decided { place: ExecPlace::Setup, program: Program::default(), interpreter: String::new() });
        }
        let program = program?;
        let place = self.place_program(id, exec.ppid, &program.identity());
        Ok(Decided { place, program, interpreter: exec_interpreter(event, exec, cwd) })
    }

    fn place_program(&self, id: Pid, ppid: u32, program: &str) -> ExecPlace<N> {
        let Some(process) = self.on_record(id, ppid) else {
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
    pub fn exec(&mut self, id: Pid, exec: &Exec<&[u8]>, place: Place<N>, runs: Runs<'_>) {
        let ppid = exec.ppid;
        if exec.runtime.is_none() {
            self.ended.will_be_asked();
        }
        let cwd = match exec.cwd {
            Some(cwd) => usable_cwd(cwd).and_then(|cwd| self.cwds.keep(cwd)),
            None => self.cwd_of_exec(id, ppid).cloned(),
        };
        let workload = runs != Runs::Runtime || self.is_workload(id, ppid);
        let known = self.on_record(id, ppid);
        let start = id.start.or(known.and_then(|p| p.start));
        let same = known.is_some();
        let process = Process {
            place,
            program: if let Runs::Program(program) = runs { Some(fingerprint(program.as_bytes())) } else { None },
            cwd,
            ppid: Some(ppid),
            start,
            forked: known.is_some_and(|p| p.forked),
            execed: true,
            unknown: runs == Runs::Unknown,
            workload,
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
            forked: false,
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

/// Takes the oldest off a chain that is too long.
fn cut_chain<N>(head: &mut Process<N>) -> Option<Box<Process<N>>> {
    let mut at = head;
    for _ in 0..OLDER_MAX {
        at = at.older.as_deref_mut()?;
    }
    at.older.take()
}
