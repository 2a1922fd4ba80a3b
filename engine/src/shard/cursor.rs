//! Findings as they are made, for whoever follows them; the last ones, should nobody read them in time.
//!
//! Not here: all findings with how often each was made, which are the snapshot's (`retired_findings`, and each container's checker).

use crate::hash::Set;
use crate::profile::Finding;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Findings that nobody has read yet are kept up to this number.
const UNREAD_MAX: usize = 16_384;

/// And up to so many bytes.
const UNREAD_BYTES_MAX: usize = 8 << 20;

/// The findings that were made last. Workers take its lock for each new finding, readers for each that they read.
#[derive(Debug)]
pub(super) struct Log {
    recent: Mutex<Recent>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Recent {
    /// Each with what it takes.
    findings: VecDeque<(Arc<Finding>, usize)>,
    bytes: usize,
    /// How many there were before the first of them.
    before: u64,
}

impl Log {
    /// Of an engine that may hold so much memory in all.
    pub fn new(memory_max: usize) -> Self {
        Self { recent: Mutex::default(), bytes_max: UNREAD_BYTES_MAX.min(memory_max / 32) }
    }

    /// What was found in a container.
    pub fn add(&self, findings: impl Iterator<Item = Finding>) {
        for finding in findings {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = finding.bytes(&mut Set::default());
            recent.bytes += bytes;
            recent.findings.push_back((Arc::new(finding), bytes));
            while recent.findings.len() > UNREAD_MAX || recent.bytes > self.bytes_max {
                let Some((_, bytes)) = recent.findings.pop_front() else { break };
                recent.bytes -= bytes;
                recent.before += 1;
            }
        }
    }
}

/// A place in the findings of an engine that checks: each call of `next` gives the one behind it, or none if there is
/// none *yet*. Made by [`Engine::findings`](super::Engine::findings).
///
/// A behaviour is told once, when it is first found, with what is known of it then. How often it was done in the end is
/// in the snapshot's [`findings`](super::Snapshot::findings). A container whose workload is not known yet is told of when
/// it is, or when it has ended.
#[derive(Debug)]
pub struct Findings {
    log: Arc<Log>,
    next: u64,
    missed: u64,
}

impl Findings {
    pub(super) fn new(log: Arc<Log>) -> Self {
        let next = {
            let recent = log.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.before + recent.findings.len() as u64
        };
        Self { log, next, missed: 0 }
    }

    /// How many findings were not read in time: the last 16,384 are there to be read, or 8 MiB of them, or
    /// 1/32 of `memory_max` if that is less. They are in the snapshot.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Iterator for Findings {
    type Item = Arc<Finding>;

    fn next(&mut self) -> Option<Arc<Finding>> {
        let recent = self.log.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = recent.before.saturating_sub(self.next);
        self.next += missed;
        self.missed += missed;
        let finding = recent.findings.get((self.next - recent.before) as usize)?.0.clone();
        self.next += 1;
        Some(finding)
    }
}
