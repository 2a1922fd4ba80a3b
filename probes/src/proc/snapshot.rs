//! The processes that run already when watching begins, of the containers that are wanted.
//!
//! They come as a fork and an exec each, parents first, so that the engine builds their lineage as if it had seen them
//! start. Work is budgeted by number and by rate, since on a large host this is a burst of many thousand reads; what
//! was left out is counted.
//!
//! Not here: what happens while the snapshot is taken. Watch first, then take it: an event that comes twice is known.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use grove::event::{Body, Event, Sink};

use super::task::{self, Missed, Process};

/// The limits of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Wanted processes beyond this many are left out.
    pub processes_max: usize,
    /// Processes looked at in a second, wanted or not. 0 is as many as can be.
    pub per_second: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { processes_max: 65_536, per_second: 20_000 }
    }
}

/// Why processes are not in a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotOmissions {
    /// They were one too many.
    pub over_budget: u64,
    /// They ended before they were read.
    pub gone: u64,
    /// They ended, and another process had their pid.
    pub reused: u64,
    /// The kernel would not show them.
    pub denied: u64,
}

impl fmt::Display for SnapshotOmissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over_budget, gone, reused, denied } = self;
        write!(f, "{over_budget} beyond the budget, {gone} ended, {reused} with the id of another, {denied} not shown")
    }
}

/// Processes that run.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The processes, parents before children.
    pub processes: Vec<Process>,
    /// What is not among them. Processes that nobody wanted are not counted.
    pub left_out: SnapshotOmissions,
}

/// How often the rate is looked at, in processes.
const PACE: u32 = 64;

impl Snapshot {
    /// Takes one of the processes whose cgroup is `wanted`, by its path. May sleep to stay within the rate.
    ///
    /// # Errors
    /// `/proc` cannot be listed.
    pub fn take(budget: Budget, mut wanted: impl FnMut(&[u8]) -> bool) -> io::Result<Self> {
        let began = Instant::now();
        let mut taken = Self::default();
        for (pid, n) in task::pids()?.zip(1u32..) {
            if n.is_multiple_of(PACE) && budget.per_second > 0 {
                let due = Duration::from_secs_f64(f64::from(n) / f64::from(budget.per_second));
                sleep(due.saturating_sub(began.elapsed()));
            }
            taken.read_process(pid, budget, &mut wanted);
        }
        taken.sort();
        Ok(taken)
    }

    fn read_process(&mut self, pid: u32, budget: Budget, wanted: &mut impl FnMut(&[u8]) -> bool) {
        // Its cgroup cannot be known any more, nor whether it was wanted.
        let (Ok(before), Ok(cgroup)) = (task::stat(pid), task::cgroup(pid)) else { return };
        if !wanted(&cgroup) {
            return;
        }
        if self.processes.len() >= budget.processes_max {
            self.left_out.over_budget += 1;
            return;
        }
        match Process::read(pid, cgroup, before) {
            Ok(process) => self.processes.push(process),
            Err(Missed::Gone) => self.left_out.gone += 1,
            Err(Missed::Reused) => self.left_out.reused += 1,
            Err(Missed::Denied) => self.left_out.denied += 1,
            Err(Missed::NoProgram) => {}
        }
    }

    /// Tells each process as a fork, if its parent is told of, and an exec. `container` gives the container's id for a
    /// process, or `None` to pass it over. The events are implied: nobody saw them happen.
    pub fn emit<'a>(&'a self, ts: u64, container: impl Fn(&'a Process) -> Option<&'a [u8]>, sink: &mut dyn Sink) {
        let mut reported: HashMap<u32, &[u8]> = HashMap::new();
        for process in &self.processes {
            let Some(id) = container(process) else { continue };
            if reported.get(&process.ppid) == Some(&id) {
                let body = Body::Fork { ppid: process.ppid, ns_pid: process.ns_pid };
                sink.implied(Event::new(ts, id, process.pid, body).with_start(process.start));
            }
            let mut event = process.exec_event(ts, id);
            if let Body::Exec(exec) = &mut event.body {
                // It may have been another one when it was executed, as of a server that gives up being root.
                exec.uid = None;
            }
            sink.implied(event);
            reported.insert(process.pid, id);
        }
    }

    /// Parents before children, and otherwise by start time and pid. A process whose parent's pid is that of a younger
    /// process has another's child for it: the parent ended and its pid was used again.
    fn sort(&mut self) {
        self.processes.sort_unstable_by_key(|process| (process.start, process.pid));
        let at: HashMap<u32, usize> = self.processes.iter().enumerate().map(|(at, p)| (p.pid, at)).collect();
        let start_of = |at: usize| self.processes.get(at).map(|p| p.start);
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.processes.len()];
        let mut waiting = Vec::new();
        for (child, process) in self.processes.iter().enumerate() {
            let parent = at.get(&process.ppid).copied().filter(|parent| *parent != child);
            let parent = parent.filter(|parent| start_of(*parent).is_some_and(|start| start <= process.start));
            match parent.and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(child),
                None => waiting.push(child),
            }
        }
        let mut order = Vec::with_capacity(self.processes.len());
        let mut placed = vec![false; self.processes.len()];
        // Those who wait for each other in a circle, which a pid used again within a tick could make, come last.
        for first in waiting.into_iter().chain(0..self.processes.len()) {
            let mut stack = vec![first];
            while let Some(next) = stack.pop() {
                if let Some(placed) = placed.get_mut(next).filter(|placed| !**placed) {
                    *placed = true;
                    order.push(next);
                    stack.extend(children.get(next).into_iter().flatten().rev());
                }
            }
        }
        let mut slots: Vec<Option<Process>> = std::mem::take(&mut self.processes).into_iter().map(Some).collect();
        self.processes = order.into_iter().filter_map(|at| slots.get_mut(at)?.take()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grove::event::EventBuf;
    use proptest::prelude::*;

    fn process(pid: u32, ppid: u32, start: u64) -> Process {
        Process {
            pid,
            start,
            ppid,
            exe: b"/bin/x".to_vec(),
            deleted: false,
            fileless: false,
            argv: b"x\0".to_vec(),
            argv_cut: false,
            uid: Some(0),
            cwd: None,
            interpreter: None,
            cgroup: b"/a".to_vec(),
            ns_pid: None,
            outside: false,
        }
    }

    fn sorted(processes: &[(u32, u32, u64)]) -> Snapshot {
        let processes = processes.iter().map(|(pid, ppid, start)| process(*pid, *ppid, *start)).collect();
        let mut snapshot = Snapshot { processes, left_out: SnapshotOmissions::default() };
        snapshot.sort();
        snapshot
    }

    #[test]
    fn parents_come_before_children() {
        for (processes, order) in [
            (&[(9, 5, 2), (5, 1, 1)][..], &[5, 9][..]),
            // All of one tick: pids went round.
            (&[(3, 9, 1), (9, 20, 1), (4, 3, 1)], &[9, 3, 4]),
            // A parent that is younger than its child is somebody else.
            (&[(3, 9, 1), (9, 1, 2)], &[3, 9]),
            // A circle, and a process that is its own parent.
            (&[(3, 4, 1), (4, 3, 1), (5, 3, 1)], &[3, 4, 5]),
            (&[(3, 3, 1)], &[3]),
            (&[], &[]),
        ] {
            let pids: Vec<u32> = sorted(processes).processes.iter().map(|p| p.pid).collect();
            let mut reported = pids.clone();
            if processes.iter().any(|(pid, ppid, _)| processes.iter().any(|(p, pp, _)| p == ppid && pp == pid)) {
                reported.sort_unstable();
            }
            assert_eq!(reported, order, "{processes:?}");
        }
    }

    #[test]
    fn a_fork_is_told_if_the_parent_was() {
        let snapshot = sorted(&[(5, 1, 1), (9, 5, 2), (10, 5, 2)]);
        let mut reported = EventBuf::new();
        snapshot.emit(7, |p| Some(if p.pid == 10 { b"other" } else { b"c" }), &mut reported);
        let reported: Vec<_> = reported
            .iter()
            .map(|s| (s.counted, s.event.pid, matches!(s.event.body, Body::Fork { ppid: 5, .. })))
            .collect();
        assert_eq!(reported, [(false, 5, false), (false, 9, true), (false, 9, false), (false, 10, false)]);
    }

    proptest! {
        #[test]
        fn none_is_lost_and_every_parent_is_first(rows in proptest::collection::btree_map(1u32..40, (1u32..40, 0u64..4), 0..30)) {
            let rows: Vec<_> = rows.into_iter().map(|(pid, (ppid, start))| (pid, ppid, start)).collect();
            let snapshot = sorted(&rows);
            let position = |pid: u32| snapshot.processes.iter().position(|p| p.pid == pid);
            prop_assert_eq!(snapshot.processes.len(), rows.len());
            for (pid, ppid, start) in &rows {
                prop_assert!(position(*pid).is_some());
                // Strictly older: of one tick there may be circles.
                if let Some((_, _, older)) = rows.iter().find(|(p, _, _)| p == ppid) && older < start {
                    prop_assert!(position(*ppid) < position(*pid));
                }
            }
        }
    }
}
