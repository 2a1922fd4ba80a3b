//! The table of processes: at most so many, those that had one id one after the other kept apart by their start times.

use super::{Lineage, Pid, Process};

/// How many processes of one id, with different start times, are kept apart.
const OLDER_MAX: usize = 64;

impl<N: Copy + PartialEq> Lineage<N> {
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

    pub(super) fn find_mut(&mut self, id: Pid) -> Option<&mut Process<N>> {
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

    pub(super) fn put(&mut self, id: Pid, mut process: Process<N>) {
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
            self.note_ended(id.pid, Some(&before));
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
        self.note_ended(pid, cut.as_deref());
    }

    /// These, all of one id, are not in the table any more.
    fn note_ended(&mut self, pid: u32, chain: Option<&Process<N>>) {
        let mut at = chain;
        while let Some(process) = at {
            if process.workload {
                return self.ended.add(pid);
            }
            at = process.older.as_deref();
        }
    }

    pub(super) fn remove(&mut self, id: Pid) {
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
            self.note_ended(id.pid, gone.as_ref());
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
            self.note_ended(id.pid, Some(&found));
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
