//! Which thread belongs to which process, and which process is whose child.
//!
//! The log writes a clone's result when the call returns, yet the child may write lines before that. A line of a
//! thread that nobody knows is therefore from the child of an unfinished clone: of the one that there is, or of the
//! one that began first. The result then confirms the guess or corrects it.
//!
//! Not here: what the calls do (`mod`).

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::bounded::Bounded;

use super::process::{Pending, Process, Thread};
use super::{scan, value};

/// How many processes are remembered.
const PROCESSES: usize = 1 << 14;
/// How many threads are remembered, those that ended among them.
const THREADS: usize = 1 << 16;
/// Bytes of unfinished calls that are remembered. Past it only their names are.
const PENDING_BYTES: usize = 16 << 20;
/// Bytes of descriptors' paths that are remembered. Past it they are all forgotten.
const PATH_BYTES: usize = 32 << 20;

/// All threads and processes.
#[derive(Debug)]
pub(super) struct Table {
    threads: Bounded<u32, Thread>,
    processes: Bounded<u32, Process>,
    /// The threads whose unfinished clone has no child yet, in the order in which they called it.
    awaiting: BTreeMap<u64, u32>,
    order: u64,
    /// The threads that have not ended.
    live: BTreeSet<u32>,
    pending_bytes: usize,
    path_bytes: usize,
}

/// What became of a thread that was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewThread {
    /// The thread was known.
    Known,
    /// It is a new thread of a process.
    Thread,
    /// It is a new process, child of this one.
    Child { ppid: u32 },
    /// Where it came from is not known.
    Stranger,
}

/// What a clone's result said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CloneResult {
    /// A new process.
    Child,
    /// A new thread, or a child that was told of already.
    Nothing,
    /// A child that was taken for another process's; it has since run this program.
    Corrected(Option<(Vec<u8>, Option<Vec<u8>>)>),
    /// A thread that was taken for a process.
    NoProcess,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            threads: Bounded::new(THREADS),
            processes: Bounded::new(PROCESSES),
            awaiting: BTreeMap::new(),
            order: 0,
            live: BTreeSet::new(),
            pending_bytes: 0,
            path_bytes: 0,
        }
    }

    /// The process, unless it has ended or had to be forgotten.
    pub(super) fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// The process, which is made if it had to be forgotten.
    pub(super) fn process_mut(&mut self, pid: u32) -> &mut Process {
        if self.processes.get(&pid).is_none() {
            self.evict_oldest();
        }
        self.processes.get_or_insert_with(pid, Process::default)
    }

    /// The process of a thread that has not ended.
    pub(super) fn pid_of(&self, tid: u32) -> Option<u32> {
        self.threads.get(&tid).filter(|thread| !thread.gone).map(|thread| thread.pid)
    }

    pub(super) fn is_gone(&self, tid: u32) -> bool {
        self.threads.get(&tid).is_some_and(|thread| thread.gone)
    }

    /// The one thread that has not ended, if there is but one; else that of the smallest number.
    pub(super) fn first_live(&self) -> Option<u32> {
        self.live.first().copied()
    }

    /// Whether a clone is unfinished whose child was not seen.
    pub(super) fn awaits_child(&self) -> bool {
        !self.awaiting.is_empty()
    }

    /// The process of `tid`, and how it came to be if the thread is new.
    pub(super) fn arrive(&mut self, tid: u32) -> (u32, NewThread) {
        if let Some(pid) = self.pid_of(tid) {
            return (pid, NewThread::Known);
        }
        while let Some((_, parent)) = self.awaiting.pop_first() {
            let Some(thread) = self.threads.get_mut(&parent).filter(|thread| !thread.gone) else { continue };
            let Some(pending) = thread.pending.as_mut() else { continue };
            pending.child = Some(tid);
            let ppid = thread.pid;
            let args = memchr::memchr(b'(', &pending.head).and_then(|at| pending.head.get(at + 1..));
            let is_thread = makes_thread(args.unwrap_or_default()) || tid == ppid;
            let pid = if is_thread { ppid } else { tid };
            if is_thread {
                self.add_thread(tid, pid);
            } else {
                self.add_child(tid, ppid);
            }
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.guess = Some(parent);
            }
            return (pid, if is_thread { NewThread::Thread } else { NewThread::Child { ppid } });
        }
        self.add_thread(tid, tid);
        (tid, NewThread::Stranger)
    }

    /// A clone by thread `tid` of process `ppid` made `child`.
    pub(super) fn born(&mut self, tid: u32, ppid: u32, child: u32, is_thread: bool, seen: Option<u32>) -> CloneResult {
        let guess = self.threads.get_mut(&child).and_then(|thread| thread.guess.take());
        if seen == Some(child) {
            if let Some(process) = self.processes.get_mut(&child) {
                process.exec = None;
            }
            return CloneResult::Nothing;
        }
        let Some(other) = guess else {
            // Not seen before, or known from an earlier life whose end the log does not tell.
            if is_thread {
                self.add_thread(child, ppid);
                return CloneResult::Nothing;
            }
            self.add_child(child, ppid);
            return CloneResult::Child;
        };
        // The two calls' children were mistaken for each other's: what this one was given is the other's, if anything.
        if other != tid {
            self.hand_over(tid, other, child, seen);
        }
        if self.is_gone(child) {
            // It has lived and died as the other's.
            return CloneResult::Nothing;
        }
        let was_process = self.pid_of(child) == Some(child);
        if is_thread {
            self.add_thread(child, ppid);
            return if was_process { CloneResult::NoProcess } else { CloneResult::Nothing };
        }
        if was_process {
            let process = self.process_mut(child);
            process.ppid = ppid;
            return CloneResult::Corrected(process.exec.take());
        }
        self.add_child(child, ppid);
        CloneResult::Child
    }

    /// Takes `child` from the unfinished clone of `other`, and gives it what was wrongly given to that of `tid`, if
    /// anything was. That is yet to be told, so `other` does not count it as seen.
    fn hand_over(&mut self, tid: u32, other: u32, child: u32, seen: Option<u32>) {
        let given = seen.and_then(|seen| self.threads.get_mut(&seen)).filter(|thread| thread.guess == Some(tid));
        let is_given = given.map(|thread| thread.guess = Some(other)).is_some();
        let pending = self.threads.get_mut(&other).and_then(|thread| thread.pending.as_mut());
        if let Some(pending) = pending.filter(|pending| pending.child == Some(child)) {
            pending.child = None;
            if !is_given {
                self.awaiting.insert(pending.order, other);
            }
        }
    }

    /// Remembers the call that a thread is in.
    pub(super) fn suspend(&mut self, tid: u32, head: &[u8]) {
        self.resume(tid);
        let fits = self.pending_bytes + head.len() <= PENDING_BYTES;
        let name = memchr::memchr(b'(', head).unwrap_or(head.len());
        let head = if fits { head } else { head.get(..name).unwrap_or_default() }.to_vec();
        self.order += 1;
        let order = self.order;
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if is_clone(head.get(..name).unwrap_or_default()) {
            self.awaiting.insert(order, tid);
        }
        self.pending_bytes += head.len();
        thread.pending = Some(Pending { head, order, child: None });
    }

    /// The call that a thread was in.
    pub(super) fn resume(&mut self, tid: u32) -> Option<Pending> {
        let pending = self.threads.get_mut(&tid)?.pending.take()?;
        self.settle(&pending);
        Some(pending)
    }

    fn settle(&mut self, pending: &Pending) {
        self.awaiting.remove(&pending.order);
        self.pending_bytes = self.pending_bytes.saturating_sub(pending.head.len());
    }

    /// The thread that leads a process goes on in the place of `tid`, which called execve.
    pub(super) fn supersede(&mut self, leader: u32, tid: u32) {
        let Some(pid) = self.pid_of(tid) else { return };
        let Some(pending) = self.threads.get_mut(&tid).and_then(|thread| thread.pending.take()) else { return };
        self.resume(leader);
        if self.pid_of(leader) != Some(pid) {
            // It may have ended before the others.
            self.add_thread(leader, pid);
        }
        self.end_thread(tid);
        match self.threads.get_mut(&leader) {
            Some(thread) => thread.pending = Some(pending),
            None => self.settle(&pending),
        }
    }

    /// A process runs another program: its other threads are no more, and its leader is its one thread.
    pub(super) fn exec(&mut self, pid: u32) {
        for tid in std::mem::take(&mut self.process_mut(pid).threads) {
            if tid != pid {
                self.remove_dead(tid);
            }
        }
        if self.pid_of(pid) != Some(pid) {
            self.add_thread(pid, pid);
        }
        self.process_mut(pid).exec(pid);
    }

    /// A thread ended. Returns its process if that was the last of it.
    pub(super) fn end_thread(&mut self, tid: u32) -> Option<u32> {
        let pid = self.pid_of(tid)?;
        self.remove_dead(tid);
        let process = self.processes.get_mut(&pid)?;
        process.threads.remove(&tid);
        // A process that is being killed ends with its leader, whose end is written last.
        let ended = process.threads.is_empty() || (process.dying && tid == pid);
        ended.then(|| self.end_process(pid)).flatten()
    }

    /// A process ended, with all its threads.
    pub(super) fn end_process(&mut self, pid: u32) -> Option<u32> {
        for tid in self.processes.remove(&pid)?.threads {
            self.remove_dead(tid);
        }
        Some(pid)
    }

    fn remove_dead(&mut self, tid: u32) {
        self.resume(tid);
        self.live.remove(&tid);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.gone = true;
        }
    }

    /// Accounts for a path that a process now remembers.
    pub(super) fn remember(&mut self, bytes: usize) {
        self.path_bytes += bytes;
        if self.path_bytes > PATH_BYTES {
            self.path_bytes = self.processes.values_mut().map(|process| process.path_bytes()).sum();
            // Half is what makes the next count at least as far away as this one was dear.
            if self.path_bytes > PATH_BYTES / 2 {
                self.processes.values_mut().for_each(Process::forget_descriptors);
                self.path_bytes = 0;
            }
        }
    }

    /// Whether one of a process's threads has ended all of it, and others are still to go.
    pub(super) fn is_dying(&self, pid: u32) -> bool {
        self.processes.get(&pid).is_some_and(|process| process.dying)
    }

    /// Whether a process's parent is a guess as yet.
    pub(super) fn is_guess(&self, pid: u32) -> bool {
        self.threads.get(&pid).is_some_and(|thread| thread.guess.is_some())
    }

    /// Adds a process that its parent's call made, in place of one of an earlier life whose end the log does not tell.
    fn add_child(&mut self, pid: u32, ppid: u32) {
        let child = self.process_mut(ppid).fork(ppid);
        self.end_process(pid);
        self.evict_oldest();
        self.remember(child.path_bytes());
        self.processes.insert(pid, child);
        self.add_thread(pid, pid);
    }

    /// Adds a thread to a process, in place of one of an earlier life.
    fn add_thread(&mut self, tid: u32, pid: u32) {
        self.resume(tid);
        if let Some(before) = self.pid_of(tid).filter(|before| *before != pid) {
            if before == tid {
                self.end_process(tid);
            } else if let Some(process) = self.processes.get_mut(&before) {
                process.threads.remove(&tid);
            }
        }
        self.threads.remove(&tid);
        if let Some((oldest, thread)) = self.threads.evict_oldest() {
            self.live.remove(&oldest);
            if let Some(pending) = &thread.pending {
                self.settle(pending);
            }
            if let Some(process) = self.processes.get_mut(&thread.pid) {
                process.threads.remove(&oldest);
            }
        }
        self.live.insert(tid);
        self.threads.insert(tid, Thread { pid, ..Thread::default() });
        self.process_mut(pid).threads.insert(tid);
    }

    /// Forgets the oldest process if there is no room for another.
    fn evict_oldest(&mut self) {
        if let Some((_, oldest)) = self.processes.evict_oldest() {
            for tid in oldest.threads {
                self.remove_dead(tid);
                self.threads.remove(&tid);
            }
        }
    }
}

#[cfg(test)]
impl Table {
    /// Threads, processes, bytes of unfinished calls and of paths.
    pub(super) fn sizes(&self) -> (usize, usize, usize, usize) {
        (self.threads.len(), self.processes.len(), self.pending_bytes, self.path_bytes)
    }

    /// Whether threads and processes agree about each other.
    pub(super) fn is_consistent(&mut self) -> bool {
        let live: Vec<u32> = self.live.iter().copied().collect();
        let mut members = 0;
        self.processes.values_mut().for_each(|process| members += process.threads.len());
        members == live.len()
            && live.iter().all(|tid| {
                let pid = self.pid_of(*tid);
                pid.and_then(|pid| self.processes.get(&pid)).is_some_and(|process| process.threads.contains(tid))
            })
    }
}

/// Whether a call by this name makes a process or a thread.
pub(super) fn is_clone(name: &[u8]) -> bool {
    matches!(name, b"clone" | b"clone2" | b"clone3" | b"fork" | b"vfork")
}

/// Whether a clone makes a thread, by its arguments.
pub(super) fn makes_thread(args: &[u8]) -> bool {
    const CLONE_THREAD: u64 = 0x1_0000;
    let named = |flags: &[u8]| value::bits(flags, &[(b"CLONE_THREAD", CLONE_THREAD)]) & CLONE_THREAD != 0;
    // clone3({flags=…, …}), clone(child_stack=…, flags=…), and neither where a line was cut short.
    let flags = |text| {
        scan::parts(text).find_map(|part| part.strip_prefix(b"{flags=").or_else(|| part.strip_prefix(b"flags=")))
    };
    match scan::member(args, b"flags").or_else(|| flags(args)) {
        Some(text) => named(text.split(|b| *b == b',').next().unwrap_or_default()),
        None => memchr::memmem::find(args, b"CLONE_THREAD").is_some(),
    }
}
