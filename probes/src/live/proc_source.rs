//! Forks, execs and exits from the process connector: what there is where the kernel takes no programs.
//!
//! A degraded source: it sees nothing else, and what it could not see in time it counts. Not here: whose the events
//! are (`cgroup_owners`, `intake`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use grove::event::{Body, Sink};
use grove::ledger::Dropped;

use super::cgroup_owners::CgroupOwners;
use super::containers::Owner;
use super::intake::{Intake, no_runtime};
use crate::proc::{Connector, ConnectorError, ConnectorStats};

/// How the container of a process is found.
pub(super) enum OwnerLookup {
    /// Their cgroup's container. Cgroups are numbered by a hash of their paths that nobody else can predict.
    CgroupOwners(Box<CgroupOwners>, RandomState),
    /// This one, if they are of one of these processes.
    Descendants(Owner, HashSet<u32>),
}

impl OwnerLookup {
    /// Whose an event is; `None` if nobody's who is observed.
    fn owner(&mut self, pid: u32, body: &Body<&[u8]>, cgroup: &[u8], intake: &mut Intake) -> Option<Owner> {
        match self {
            Self::Descendants(owner, processes) => {
                if matches!(body, Body::Fork { ppid, .. } if processes.contains(ppid)) {
                    processes.insert(pid);
                }
                let is_one = match body {
                    Body::Exit => processes.remove(&pid),
                    _ => processes.contains(&pid),
                };
                is_one.then_some(*owner)
            }
            Self::CgroupOwners(owners, numbers) => {
                let number = numbers.hash_one(cgroup);
                Some(intake.owner(number).unwrap_or_else(|| intake.cgroup(number, owners.who(cgroup))))
            }
        }
    }
}

/// The process connector as a source.
pub(super) struct ProcSource {
    connector: Connector,
    of: OwnerLookup,
    reported: ConnectorStats,
}

impl ProcSource {
    /// Begins to listen.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub(super) fn open(receive_bytes: usize, of: OwnerLookup) -> Result<Self, ConnectorError> {
        Ok(Self { connector: Connector::open(receive_bytes)?, of, reported: ConnectorStats::default() })
    }

    /// Takes what is there, and tells what was lost.
    ///
    /// # Errors
    /// The socket failed.
    pub(super) fn step(&mut self, intake: &mut Intake, sink: &mut dyn Sink) -> io::Result<()> {
        let Self { connector, of, reported } = self;
        while connector.read(Duration::ZERO, |record| {
            if let Some(owner) = of.owner(record.event.pid, &record.event.body, record.cgroup, intake) {
                let event =
                    if matches!(of, OwnerLookup::Descendants(..)) { no_runtime(record.event) } else { record.event };
                intake.event(owner, event, sink);
            }
        })? {}
        let now = connector.stats();
        let gone = (now.execs_gone + now.denied).saturating_sub(reported.execs_gone + reported.denied);
        intake.missed_unattributed(Dropped::Gone.name(), gone, sink);
        intake.missed_unattributed(Dropped::Source.name(), now.lost.saturating_sub(reported.lost), sink);
        *reported = now;
        Ok(())
    }
}
