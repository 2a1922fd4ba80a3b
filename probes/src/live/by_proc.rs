//! Forks, execs and exits from the process connector: what there is where the kernel takes no programs.
//!
//! A degraded source: it sees nothing else, and what it could not see in time it counts. Not here: whose the events
//! are (`places`, `intake`).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use grove::event::{Body, Sink};
use grove::ledger::Dropped;

use super::containers::Owner;
use super::intake::{Intake, no_runtime};
use super::places::Places;
use crate::proc::{Connector, ConnectorError, ConnectorStats};

/// Where events are of.
pub(super) enum Of {
    /// Their cgroup's container. Cgroups are numbered by a hash of their paths that nobody else can predict.
    Places(Box<Places>, RandomState),
    /// This one, if they are of one of these processes.
    Descendants(Owner, HashSet<u32>),
}

impl Of {
    /// Whose an event is; `None` if nobody's who is observed.
    fn owner(&mut self, pid: u32, body: &Body<&[u8]>, cgroup: &[u8], intake: &mut Intake) -> Option<Owner> {
        match self {
            Self::Descendants(owner, processes) => {
                if matches!(body, Body::Fork { ppid } if processes.contains(ppid)) {
                    processes.insert(pid);
                }
                let is_one = match body {
                    Body::Exit => processes.remove(&pid),
                    _ => processes.contains(&pid),
                };
                is_one.then_some(*owner)
            }
            Self::Places(places, numbers) => {
                let number = numbers.hash_one(cgroup);
                Some(intake.owner(number).unwrap_or_else(|| intake.cgroup(number, places.who(cgroup))))
            }
        }
    }
}

/// The process connector as a source.
pub(super) struct ByProc {
    connector: Connector,
    of: Of,
    told: ConnectorStats,
}

impl ByProc {
    /// Begins to listen.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub(super) fn open(receive_bytes: usize, of: Of) -> Result<Self, ConnectorError> {
        Ok(Self { connector: Connector::open(receive_bytes)?, of, told: ConnectorStats::default() })
    }

    /// Takes what is there, and tells what was lost.
    ///
    /// # Errors
    /// The socket failed.
    pub(super) fn step(&mut self, intake: &mut Intake, sink: &mut dyn Sink) -> io::Result<()> {
        let Self { connector, of, told } = self;
        while connector.read(Duration::ZERO, |record| {
            if let Some(owner) = of.owner(record.event.pid, &record.event.body, record.cgroup, intake) {
                let event = if matches!(of, Of::Descendants(..)) { no_runtime(record.event) } else { record.event };
                intake.event(owner, event, sink);
            }
        })? {}
        let now = connector.stats();
        let gone = (now.execs_gone + now.denied).saturating_sub(told.execs_gone + told.denied);
        intake.missed_of_nobody(Dropped::Gone.name(), gone, sink);
        intake.missed_of_nobody(Dropped::Source.name(), now.lost.saturating_sub(told.lost), sink);
        *told = now;
        Ok(())
    }
}
