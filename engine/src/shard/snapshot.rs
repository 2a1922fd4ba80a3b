//! What an engine knows at one moment, and how often it reached its limits.
//!
//! Not here: how that is put together (`Engine::fold`).

use super::memory::Copies;
use crate::ledger::Ledger;
use crate::profile::{Finding, Profile};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known at one moment: immutable, and shared by whoever reads it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// One profile an image, by its name.
    pub profiles: BTreeMap<Arc<str>, Arc<Profile>>,
    /// What was found to differ, when checking; by time, then container.
    pub findings: Vec<Finding>,
    /// Distinct findings that are not among them: there is only so much room for those of one container, and for all.
    pub findings_suppressed: u64,
    /// Where every event went.
    pub ledger: Ledger,
    /// Containers seen, running or not.
    pub containers: usize,
    /// Bytes of heap that trees and tables own.
    pub heap_bytes: usize,
    /// Shards that failed, and how.
    pub failures: Vec<String>,
    /// How often a limit was reached that costs no event.
    pub limits: Limits,
    /// What it takes, until it is dropped.
    pub(super) copies: Option<Copies>,
}

/// How often limits were reached that cost no event but may change what is known of later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Running containers that were taken for stopped, because 65,536 were known, or because all of them took half of
    /// the memory there is (`GROVE_MEMORY_MAX`). What they did is kept.
    pub containers_let_go: u64,
    /// Stopped containers that were let go because others came: what is told of them later on is learned as
    /// `<unknown>`. Of 4,096 whose workload was not told or that events came late of, all is kept; of 16,384 others
    /// the workload.
    pub containers_forgotten: u64,
    /// Processes that were forgotten because their container's table was full (`GROVE_PROCESSES_MAX`), and processes
    /// whose working directory was, because those of a container took 4 MiB.
    pub processes_forgotten: u64,
    /// Containers whose events were not held any longer because all together held too much (`GROVE_HOLD_TOTAL_BYTES`).
    pub holds_cut_short: u64,
    /// Events that are `dropped.tree_full` because there was no memory for anything new in all trees together
    /// (`GROVE_MEMORY_MAX`). Not to the last one: another worker may have made room before the reason was looked at. How
    /// many were lost, the ledger says.
    pub memory_refused: u64,
    /// Snapshots that were not taken, as there was no memory for a copy of all that is known (`GROVE_MEMORY_MAX`).
    pub snapshots_left_out: u64,
    /// Of [`Snapshot::findings_suppressed`], those that tell that a program was run.
    pub programs_untold: u64,
    /// Containers of which something was found, and for none of it was there room. Only at the end, when all is over.
    pub containers_untold: u64,
}

impl Limits {
    pub(super) fn add(&mut self, other: Self) {
        self.containers_let_go += other.containers_let_go;
        self.containers_forgotten += other.containers_forgotten;
        self.processes_forgotten += other.processes_forgotten;
        self.holds_cut_short += other.holds_cut_short;
        self.memory_refused += other.memory_refused;
        self.snapshots_left_out += other.snapshots_left_out;
        self.programs_untold += other.programs_untold;
        self.containers_untold += other.containers_untold;
    }
}
