//! Events from the programs in the kernel, and what those did not deliver.
//!
//! Not here: whose the events are (`cgroup_owners`, `intake`).

use std::time::{Duration, Instant};

use grove::event::{Body, EventRef, Sink};
use grove::ledger::{Dropped, Ignored};

use super::cgroup_owners::CgroupOwners;
use super::containers::Owner;
use super::intake::{Intake, no_runtime, with_runtime};
use super::rate_limit::RateLimit;
use crate::kernel::{AttachError, Cause, Class, Count, HookState, LossCounter, Options, Probes, Record, RecordBody};

/// How often what was not delivered is asked for. It is also asked for before a container ends.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Where events are of: their cgroup tells, or all are of one container.
pub(super) enum OwnerLookup {
    /// Their cgroup's container.
    CgroupOwners(Box<CgroupOwners>),
    /// This one.
    One(Owner),
}

impl OwnerLookup {
    fn owner(&mut self, cgroup: u64, intake: &mut Intake) -> Owner {
        match self {
            Self::One(owner) => *owner,
            Self::CgroupOwners(owners) => owners.owner(cgroup, intake),
        }
    }

    /// The same event; an exec in a container says whether the program is the container runtime's. It is if the process
    /// has not come in: not below another root than the host's programs have, or only where a service of the host has
    /// one.
    fn with_runtime<'a>(&mut self, event: EventRef<'a>, owner: Owner, entered: u64, intake: &Intake) -> EventRef<'a> {
        match (self, owner, event.body) {
            (Self::CgroupOwners(owners), Owner::Container(_), Body::Exec(_)) => {
                with_runtime(event, entered == 0 || owners.is_host(entered, intake))
            }
            _ => no_runtime(event),
        }
    }
}

/// The programs in the kernel as a source.
pub(super) struct EbpfSource {
    probes: Probes,
    /// `None` if neither system calls nor volumes are observed.
    flush_interval: Option<Duration>,
    flushed: Instant,
    counted: Instant,
    /// Cgroups that are gone, whose losses are still to be told.
    gone: Vec<u64>,
    /// Cgroups that the kernel need not tell about any more.
    excluded: Vec<u64>,
    /// Whether those of the host are such.
    host: bool,
    /// Warnings of cgroups that were made or removed unseen.
    unseen: RateLimit,
}

impl EbpfSource {
    /// Attaches. The host's events leave the kernel if `host`.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub(super) fn attach(options: &Options, host: bool) -> Result<Self, AttachError> {
        let now = Instant::now();
        let gathers = [Class::Syscalls, Class::Flow].iter().any(|class| options.classes.contains(*class));
        Ok(Self {
            probes: Probes::attach(options)?,
            flush_interval: gathers.then_some(options.syscall_flush),
            flushed: now,
            counted: now,
            gone: Vec::new(),
            excluded: Vec::new(),
            host,
            unseen: RateLimit::default(),
        })
    }

    /// For whoever has to know whether all forks and execs came.
    pub(super) fn loss_counter(&mut self) -> Option<LossCounter> {
        self.probes.loss_counter()
    }

    pub(super) fn hooks(&self) -> &[HookState] {
        self.probes.hooks()
    }

    /// These cgroups are the host's.
    pub(super) fn host_cgroups(&mut self, cgroups: Vec<u64>) {
        if !self.host {
            self.excluded.extend(cgroups);
        }
    }

    /// Takes what is there.
    pub(super) fn step(&mut self, of: &mut OwnerLookup, intake: &mut Intake, sink: &mut dyn Sink) {
        if self.flush_interval.is_some_and(|interval| self.flushed.elapsed() >= interval) {
            self.flush();
        }
        self.drain(of, intake, sink);
        // Before those that are gone are forgotten, which may be among them.
        for cgroup in self.excluded.drain(..) {
            if let Err(error) = self.probes.exclude_cgroup(cgroup) {
                tracing::debug!(cgroup, %error, "events of the host go on leaving the kernel");
            }
        }
        if !self.gone.is_empty() || self.counted.elapsed() >= COUNT_INTERVAL {
            self.count(of, intake, sink);
        }
    }

    /// Takes all that happened until now.
    pub(super) fn finish(&mut self, of: &mut OwnerLookup, intake: &mut Intake, sink: &mut dyn Sink) {
        self.flush();
        // What came while the first was on its way.
        for _ in 0..2 {
            self.drain(of, intake, sink);
        }
        self.count(of, intake, sink);
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        if self.flush_interval.is_none() {
            return;
        }
        if let Err(error) = self.probes.flush_syscalls() {
            tracing::warn!(%error, "system calls of processes that sleep and volumes of connections are told late");
        }
    }

    fn drain(&mut self, of: &mut OwnerLookup, intake: &mut Intake, sink: &mut dyn Sink) {
        let Self { probes, gone, excluded, host, .. } = self;
        // What comes after this drain has happened after its beginning.
        let began = probes.now();
        let stats = probes.drain(&mut |record: Record<'_>| match record.what {
            RecordBody::Event(event) => {
                let owner = of.owner(record.cgroup, intake);
                let unwanted = owner == Owner::Host && !*host || intake.excludes(owner);
                // Once is enough, and many come in one drain.
                if unwanted && excluded.last() != Some(&record.cgroup) {
                    excluded.push(record.cgroup);
                }
                let event = of.with_runtime(event, owner, record.facts.entered, intake);
                intake.event(owner, event, sink);
            }
            RecordBody::CgroupNew { path, by } => {
                if let OwnerLookup::CgroupOwners(owners) = of
                    && owners.made(record.cgroup, path, &by, intake) == Some(Owner::Host)
                    && !*host
                {
                    excluded.push(record.cgroup);
                }
            }
            RecordBody::CgroupGone => {
                if let OwnerLookup::CgroupOwners(owners) = of {
                    owners.gone(record.cgroup);
                }
                gone.push(record.cgroup);
            }
        });
        intake.advance_clock(began);
        intake.missed_unattributed(Dropped::ProbeRecord.name(), stats.malformed, sink);
    }

    /// Tells what was not delivered, and then of the containers that are gone.
    fn count(&mut self, of: &mut OwnerLookup, intake: &mut Intake, sink: &mut dyn Sink) {
        self.counted = Instant::now();
        // Before the counters: of what comes meanwhile the next time tells.
        intake.losses_are_counted();
        let mut unseen = 0;
        self.probes.counts(&mut |count: Count| match (ledger_name(count.class, count.cause), &of) {
            (None, _) => unseen += count.n,
            (Some(cause), OwnerLookup::CgroupOwners(_)) if count.cgroup == 0 => {
                intake.missed_unattributed(cause, count.n, sink)
            }
            (Some(cause), _) => {
                let owner = of.owner(count.cgroup, intake);
                intake.missed(owner, cause, count.n, sink);
            }
        });
        if unseen > 0
            && let OwnerLookup::CgroupOwners(owners) = of
        {
            // Containers whose end was among them would be there for ever.
            self.gone.extend(owners.gone_of(intake.containers().cgroups()));
            if let Some(so_far) = self.unseen.allow() {
                tracing::warn!(
                    cgroups = unseen,
                    so_far,
                    "cgroups were made or removed unseen; a larger GROVE_RING_BYTES helps"
                );
            }
        }
        for cgroup in self.gone.drain(..) {
            intake.cgroup_gone(cgroup, sink);
        }
    }
}

/// The ledger's name for what was not delivered; `None` if it was no event. What is never shed is then told as lost to a
/// full ring.
fn ledger_name(class: Class, cause: Cause) -> Option<&'static str> {
    let of_class = |why: &str| {
        Dropped::ALL.iter().map(|d| d.name()).find(|name| {
            let of = name.strip_prefix(why).and_then(|rest| rest.strip_prefix('_'));
            of == Some(class.name())
        })
    };
    match cause {
        _ if class == Class::Cgroup => None,
        Cause::Repeat => Some(Ignored::Repeat.name()),
        Cause::MapFull => Some(Dropped::ProbeTable.name()),
        Cause::Unreadable => Some(Dropped::ProbeRecord.name()),
        Cause::Shed => of_class("shed").or_else(|| of_class("ring_full")),
        Cause::RingFull => of_class("ring_full"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_and_cause_is_told_apart_in_the_ledger() {
        let mut names = std::collections::BTreeSet::new();
        for &class in Class::ALL {
            for cause in Cause::ALL {
                let name = ledger_name(class, cause);
                assert_eq!(name.is_none(), class == Class::Cgroup);
                names.extend(name);
            }
        }
        // Of all classes but cgroups, three are never shed; repeats, full tables and unreadable records once each.
        let classes = Class::ALL.len() - 1;
        assert_eq!(names.len(), classes + (classes - 3) + 3);
    }
}
