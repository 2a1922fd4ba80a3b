//! Whose the cgroups are that processes are in.
//!
//! Not here: what is done about it (`intake`).

use std::collections::HashSet;

use super::containers::Owner;
use super::intake::Intake;
use crate::workload::{self, Bundles, CGROUPS_MAX, Cgroups, ContainerRef, Runtime};

/// The container that a plain runtime makes a cgroup for, if it keeps no record of it any more.
fn made_by_runc(path: &[u8]) -> Option<ContainerRef> {
    let id = str::from_utf8(path).ok()?.rsplit('/').next().filter(|id| !id.is_empty())?;
    Some(ContainerRef { runtime: Runtime::Runc, id: id.to_owned(), pod: None, user: None })
}

/// Whose cgroups are, by what the host says of them.
#[derive(Debug)]
pub(super) struct Places {
    paths: Cgroups,
    bundles: Bundles,
    /// Cgroups that a runtime made and nothing else is known of: a container's, as soon as anything happens there.
    made: HashSet<u64>,
}

impl Places {
    /// The places of this host.
    ///
    /// # Errors
    /// Cgroup v2 is not mounted.
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self { paths: Cgroups::open(CGROUPS_MAX)?, bundles: Bundles::default(), made: HashSet::new() })
    }

    /// The container that a path belongs to, if it belongs to one.
    pub(super) fn who(&self, path: &[u8]) -> Option<ContainerRef> {
        workload::container(path).or_else(|| self.bundles.container(path))
    }

    /// Whose a cgroup is, which an event came from.
    pub(super) fn owner(&mut self, cgroup: u64, intake: &mut Intake) -> Owner {
        if let Some(owner) = intake.owner(cgroup) {
            return owner;
        }
        match self.paths.path(cgroup) {
            Ok(path) if self.made.remove(&cgroup) => {
                intake.new_cgroup(cgroup, self.who(&path).or_else(|| made_by_runc(&path)))
            }
            Ok(path) => intake.cgroup(cgroup, self.who(&path)),
            Err(lost) => intake.lost_cgroup(cgroup, &lost),
        }
    }

    /// Whether a cgroup is the host's, as far as is known: one that is gone may have been anybody's.
    pub(super) fn is_host(&mut self, cgroup: u64, intake: &Intake) -> bool {
        match intake.owner(cgroup) {
            Some(owner) => owner == Owner::Host,
            None => {
                let path = self.paths.path(cgroup);
                path.is_ok_and(|path| !self.made.contains(&cgroup) && self.who(&path).is_none())
            }
        }
    }

    /// A cgroup was made by a thread of this name. Whose it is, unless that is still open: a short container may be
    /// gone from its runtime's records before this is read.
    pub(super) fn made(&mut self, cgroup: u64, path: &[u8], by: &[u8], intake: &mut Intake) -> Option<Owner> {
        self.paths.learn(cgroup, path);
        let who = self.who(path);
        if who.is_none() && (by.starts_with(b"runc") || by.starts_with(b"crun")) && made_by_runc(path).is_some() {
            if self.made.len() < CGROUPS_MAX {
                self.made.insert(cgroup);
            }
            return None;
        }
        Some(intake.new_cgroup(cgroup, who))
    }

    /// A cgroup is gone.
    pub(super) fn gone(&mut self, cgroup: u64) {
        self.made.remove(&cgroup);
    }

    /// Looks at all cgroups that there are. Those of the host.
    pub(super) fn look_around(&mut self, intake: &mut Intake) -> Vec<u64> {
        let walk = match self.paths.walk() {
            Ok(walk) => walk,
            Err(error) => {
                tracing::warn!(%error, "cgroups that are there are found as they make events");
                return Vec::new();
            }
        };
        let host = |cgroup: &&workload::Cgroup| intake.cgroup(cgroup.id, self.who(&cgroup.path)) == Owner::Host;
        walk.cgroups.iter().filter(host).map(|cgroup| cgroup.id).collect()
    }
}
