//! Which process is which: the process table of one container and the rules by which forks, execs and exits move
//! processes between programs (docs/formats.md, event traces).
//!
//! It knows nothing of nodes: `N` is whatever stands for a program, a node of the tree being learned or of a
//! profile being compared with. [`Lineage::decide`] only decides: learning, a dry run and a check all ask there.

mod table;

use super::cwds::{Cwds, usable_cwd};
use super::ended::Ended;
use super::program::{Program, exec_interpreter, exec_program};
use super::{Rules, runtime};
use crate::behaviour::By;
use crate::event::{EventRef, Exec};
use crate::hash::NumberMap;
use crate::ledger::Fate;
use std::sync::Arc;

/// A process, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid {
    /// Process id.
    pub pid: u32,
    /// Start time, if the source tells.
    pub start: Option<u64>,
}

/// What a process is to the tree: a node of it, the runtime, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position<N> {
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
    /// The program that the process runs now.
    pub position: Position<N>,
    /// The programs that led to it, the last being its own; none if its program is not known or is the runtime's.
    recent: Arc<[Recent<N>]>,
    /// Its working directory, when an exec told.
    pub cwd: Option<Arc<[u8]>>,
    /// Its number in its own pid namespace, where that was told. A fork does not pass it on.
    ns_pid: Option<u32>,
    ppid: Option<u32>,
    start: Option<u64>,
    /// The event of its fork was seen.
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

/// A program that a process ran or comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Recent<N> {
    /// Path, argv0 and, if they are identity, arguments, before any generalisation; hashed, as a table of processes
    /// keeps no long texts.
    program: u64,
    position: Position<N>,
}

/// A program that restarts itself is known by programs that come again in the same order, up to so many.
const CYCLE_MAX: usize = 4;

/// Where in `recent`, which ends with the same programs twice, `program` stands if it comes next for a third time.
fn restarts<N>(recent: &[Recent<N>], program: u64) -> Option<usize> {
    (1..=CYCLE_MAX).find_map(|programs| {
        let second = recent.len().checked_sub(programs)?;
        let first = second.checked_sub(programs)?;
        let same = |(a, b): (&Recent<N>, &Recent<N>)| a.program == b.program;
        let twice = recent.get(first..second)?.iter().zip(recent.get(second..)?).all(same);
        (twice && recent.get(second)?.program == program).then_some(second)
    })
}

/// The outcome of an exec: where the new program stands in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecPosition<N> {
    /// The container runtime's own program.
    Setup,
    /// What the process already runs; or what it comes from, and runs again for the third time, with all that was in
    /// between.
    Same(Position<N>),
    /// A program without a parent.
    Root,
    /// A program below another one.
    Child {
        /// The program that exec'd, or whose child did.
        parent: Position<N>,
        /// Exec'd without a fork before it.
        chain: bool,
    },
}

/// An exec, decided: where it puts its process, and what is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecDecision<N> {
    /// Where the program stands in the tree.
    pub position: ExecPosition<N>,
    /// The program; of the container runtime's own none.
    pub program: Program,
    /// What runs it, if it is a script.
    pub interpreter: String,
}

/// What a process runs after an exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The container runtime's own program.
    Runtime,
    /// A program, by its [`identity`](super::Program::identity).
    Program(u64),
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
        // At most: forks share what they come from.
        let recent = self.len * (2 * size_of::<usize>() + 2 * CYCLE_MAX * size_of::<Recent<N>>());
        self.table.allocation_size() + older + recent + self.ended.heap_bytes() + self.cwds.heap_bytes()
    }

    /// Forgets every process: the container is gone. Who came from the workload is not forgotten.
    pub fn clear(&mut self) {
        for (pid, process) in std::mem::take(&mut self.table) {
            let mut all = std::iter::successors(Some(&process), |process| process.older.as_deref());
            if all.any(|process| process.workload) {
                self.ended.add(pid);
            }
        }
        self.len = 0;
        self.forgotten += std::mem::take(&mut self.cwds).refused();
    }

    /// Who came from the workload and is gone, for a table of the same container after it has started again.
    pub fn take_ended(&mut self) -> Ended {
        std::mem::take(&mut self.ended)
    }

    /// These came from the workload before this table began.
    pub fn set_ended(&mut self, ended: Ended) {
        self.ended = ended;
    }

    /// Where the processes of the table stand, and where they stood.
    pub fn places(&self) -> impl Iterator<Item = N> {
        let all = |process| std::iter::successors(Some(process), |p: &&Process<N>| p.older.as_deref());
        let places = |p: &'_ Process<N>| {
            std::iter::once(p.position).chain(p.recent.iter().map(|r| r.position)).collect::<Vec<_>>()
        };
        self.table.values().flat_map(all).flat_map(places).filter_map(|position| match position {
            Position::At(node) => Some(node),
            _ => None,
        })
    }

    /// Changes where the processes of the table stand, and where they stood.
    pub fn move_places(&mut self, to: impl Fn(N) -> N) {
        let moved = |position: Position<N>| match position {
            Position::At(node) => Position::At(to(node)),
            other => other,
        };
        for process in self.table.values_mut() {
            let mut at = Some(process);
            while let Some(process) = at {
                process.position = moved(process.position);
                if process.recent.iter().any(|recent| moved(recent.position) != recent.position) {
                    for recent in Arc::make_mut(&mut process.recent) {
                        recent.position = moved(recent.position);
                    }
                }
                at = process.older.as_deref_mut();
            }
        }
    }

    /// `child` continues as its parent's program, which is not known if the parent is not in the table. Returns whether
    /// it is part of the container's set-up.
    pub fn fork(&mut self, child: Pid, ppid: u32, ns_pid: Option<u32>) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let process = match self.table.get_mut(&ppid) {
            Some(parent) => {
                // Whoever has children is no process whose exit was lost.
                parent.last_use = clock;
                Process {
                    position: parent.position,
                    recent: parent.recent.clone(),
                    cwd: parent.cwd.clone(),
                    ns_pid,
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
                ns_pid,
                ppid: Some(ppid),
                forked: true,
                workload: self.was_workload(ppid),
                ..Process::unknown(Position::Unknown)
            },
        };
        let setup = matches!(process.position, Position::Setup);
        self.put(child, process);
        setup
    }

    /// Takes a process out. Returns whether it was part of the container's set-up.
    pub fn exit(&mut self, id: Pid) -> bool {
        let setup = self.find(id).is_some_and(|p| matches!(p.position, Position::Setup));
        self.remove(id);
        setup
    }

    /// A process whose program is not known does something: `unknown` stands for its program from now on.
    pub fn assume_program(&mut self, id: Pid, unknown: N) {
        match self.find_mut(id) {
            Some(process) => process.position = Position::At(unknown),
            None => self.put(id, Process::unknown(Position::At(unknown))),
        }
    }

    /// The working directory of a process that execs: its own, or that of the parent which it must have been forked
    /// from unseen.
    pub fn cwd_of_exec(&self, id: Pid, ppid: u32) -> Option<&Arc<[u8]>> {
        self.process_of_exec(id, ppid).or_else(|| self.table.get(&ppid))?.cwd.as_ref()
    }

    /// The process that execs, if it is on record.
    fn process_of_exec(&self, id: Pid, ppid: u32) -> Option<&Process<N>> {
        self.find(id).filter(|p| !self.is_another(p, id, ppid))
    }

    /// Whether the process that execs comes from the workload. Where its fork was not seen, its parent speaks for it,
    /// even after its end; and if nothing of it is on record, whoever had its id before: an end may have been told of one
    /// thread alone. Who is not on record may be the workload's if some were forgotten: nobody becomes the runtime by
    /// starting more processes than there is room for.
    fn is_workload(&self, id: Pid, ppid: u32) -> bool {
        match self.process_of_exec(id, ppid) {
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
    fn is_runtime_setup(&self, id: Pid, exec: &Exec<&[u8]>, resolved: Option<&str>) -> bool {
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
    /// The program has no path that can be one.
    pub fn decide(&self, event: &EventRef<'_>, exec: &Exec<&[u8]>, rules: &Rules) -> Result<ExecDecision<N>, Fate> {
        let id = Pid { pid: event.pid, start: event.start };
        let ns_pid = exec.ns_pid.or_else(|| self.process_of_exec(id, exec.ppid)?.ns_pid);
        let by = By { pid: ns_pid.unwrap_or(id.pid), cwd: self.cwd_of_exec(id, exec.ppid).map(|cwd| &**cwd) };
        let program = exec_program(by, exec, rules)?;
        let resolved = Some(&*program.path).filter(|path| path.starts_with('/'));
        if self.is_runtime_setup(id, exec, resolved) {
            return Ok(ExecDecision {
                position: ExecPosition::Setup,
                program: Program::default(),
                interpreter: String::new(),
            });
        }
        let position = self.position_of_program(id, exec.ppid, program.identity());
        Ok(ExecDecision { position, program, interpreter: exec_interpreter(by, exec) })
    }

    fn position_of_program(&self, id: Pid, ppid: u32, program: u64) -> ExecPosition<N> {
        let on_record = self.process_of_exec(id, ppid);
        let Some(from) = on_record.or_else(|| self.table.get(&ppid)) else { return ExecPosition::Root };
        let is_known = on_record.is_none_or(|process| !process.unknown);
        match from.position {
            Position::Setup => ExecPosition::Root,
            _ if !is_known => ExecPosition::Root,
            position if on_record.is_some() && from.runs(program) => ExecPosition::Same(position),
            position => match restarts(&from.recent, program).and_then(|at| from.recent.get(at)) {
                Some(again) => ExecPosition::Same(again.position),
                None => {
                    ExecPosition::Child { parent: position, chain: on_record.is_some_and(|process| process.execed) }
                }
            },
        }
    }

    /// The programs that led to a process once it runs `now`; `known` is what is on record of it.
    fn recent_after(&self, known: Option<&Process<N>>, ppid: u32, now: Recent<N>) -> Arc<[Recent<N>]> {
        let Some(from) = known.or_else(|| self.table.get(&ppid)) else { return Arc::new([now]) };
        if known.is_some() && from.runs(now.program) {
            return from.recent.clone();
        }
        let before = match restarts(&from.recent, now.program) {
            Some(at) => from.recent.get(..at).unwrap_or_default(),
            None => &from.recent,
        };
        let kept = before.get((before.len() + 1).saturating_sub(2 * CYCLE_MAX)..).unwrap_or_default();
        kept.iter().copied().chain([now]).collect()
    }

    /// Whether the process that execs cannot be the one on record, whose exit must have been lost.
    fn is_another(&self, process: &Process<N>, id: Pid, ppid: u32) -> bool {
        let told_apart = id.start.is_some() && process.start.is_some();
        !told_apart && process.ppid.is_some_and(|on_record| on_record != ppid && self.table.contains_key(&on_record))
    }

    /// Records what a process runs now, and where that stands.
    pub fn exec(&mut self, id: Pid, exec: &Exec<&[u8]>, position: Position<N>, runs: Runs) {
        let ppid = exec.ppid;
        if exec.runtime.is_none() {
            self.ended.will_be_asked();
        }
        let cwd = match exec.cwd {
            Some(cwd) => usable_cwd(cwd).and_then(|cwd| self.cwds.keep(cwd)),
            None => self.cwd_of_exec(id, ppid).cloned(),
        };
        let workload = runs != Runs::Runtime || self.is_workload(id, ppid);
        let known = self.process_of_exec(id, ppid);
        let recent = match runs {
            Runs::Program(program) => self.recent_after(known, ppid, Recent { program, position }),
            Runs::Runtime => Arc::default(),
        };
        let start = id.start.or(known.and_then(|p| p.start));
        let ns_pid = exec.ns_pid.or(known.and_then(|p| p.ns_pid));
        let same = known.is_some();
        let process = Process {
            position,
            recent,
            cwd,
            ns_pid,
            ppid: Some(ppid),
            start,
            forked: known.is_some_and(|p| p.forked),
            execed: true,
            unknown: false,
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

/// Who does something: a process, which may not be on record.
pub fn by<N>(process: Option<&Process<N>>, id: Pid) -> By<'_> {
    By {
        pid: process.and_then(|process| process.ns_pid).unwrap_or(id.pid),
        cwd: process.and_then(|process| process.cwd.as_deref()),
    }
}

impl<N> Process<N> {
    /// Whether this is what it runs.
    fn runs(&self, program: u64) -> bool {
        self.recent.last().is_some_and(|recent| recent.program == program)
    }

    fn unknown(position: Position<N>) -> Self {
        Self {
            position,
            recent: Arc::default(),
            cwd: None,
            ns_pid: None,
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
