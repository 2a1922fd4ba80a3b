//! Which container, or the host, owns each cgroup that live events come from.
//!
//! Not here: what is done about it (`intake`).

use std::collections::HashMap;

use super::containers::Owner;
use super::intake::Intake;
use crate::kernel::CgroupMaker;
use crate::workload::{self, Bundles, CGROUPS_MAX, Cgroups, ContainerRef, Runtime, RuntimeCall};

/// Cgroups that a runtime made and of which nothing else is known.
const MADE_MAX: usize = 4096;

/// The container that a plain runtime makes a cgroup for, if it keeps no record of it any more.
fn made_by_runc(path: &[u8]) -> Option<ContainerRef> {
    let id = str::from_utf8(path).ok()?.rsplit('/').next().filter(|id| !id.is_empty())?;
    Some(ContainerRef { runtime: Runtime::Runc, id: id.to_owned(), pod: None, user: None })
}

/// Whose cgroups are, by what the host says of them.
#[derive(Debug)]
pub(super) struct CgroupOwners {
    paths: Cgroups,
    bundles: Bundles,
    /// Cgroups that a runtime made and nothing else is known of: a container's, as soon as anything happens there. With
    /// the container that it was called to make.
    made: HashMap<u64, Option<RuntimeCall>>,
}

impl CgroupOwners {
    /// The places of this host.
    ///
    /// # Errors
    /// Cgroup v2 is not mounted.
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self { paths: Cgroups::open(CGROUPS_MAX)?, bundles: Bundles::default(), made: HashMap::new() })
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
            Ok(path) => match self.made.remove(&cgroup) {
                Some(call) => {
                    let who = self.who(&path).or_else(|| Some(call.as_ref()?.container.clone()));
                    intake.new_cgroup(cgroup, who.or_else(|| made_by_runc(&path)), call)
                }
                None => intake.cgroup(cgroup, self.who(&path)),
            },
            Err(lost) => intake.lost_cgroup(cgroup, &lost),
        }
    }

    /// Whether a cgroup is the host's, as far as is known: one that is gone may have been anybody's.
    pub(super) fn is_host(&mut self, cgroup: u64, intake: &Intake) -> bool {
        match intake.owner(cgroup) {
            Some(owner) => owner == Owner::Host,
            None => {
                let path = self.paths.path(cgroup);
                path.is_ok_and(|path| !self.made.contains_key(&cgroup) && self.who(&path).is_none())
            }
        }
    }

    /// A cgroup was made. Whose it is, unless that is still open: a short container may be gone from its runtime's
    /// records before this is read, and not every cgroup that is made for it is its own.
    pub(super) fn made(
        &mut self,
        cgroup: u64,
        path: &[u8],
        by: &CgroupMaker<'_>,
        intake: &mut Intake,
    ) -> Option<Owner> {
        self.paths.learn(cgroup, path);
        let by_runtime = by.name.starts_with(b"runc") || by.name.starts_with(b"crun");
        let call = by_runtime.then(|| workload::parse_runtime_call(by.argv, by.cwd, by.uid)).flatten();
        let is_named = |call: &RuntimeCall| path.rsplit(|b| *b == b'/').next() == Some(call.container.id.as_bytes());
        let named = call.as_ref().filter(|call| is_named(call)).map(|call| call.container.clone());
        let who = self.who(path).or(named);
        if who.is_none() && by_runtime && made_by_runc(path).is_some() {
            if self.made.len() < MADE_MAX {
                self.made.insert(cgroup, call);
            }
            return None;
        }
        Some(intake.new_cgroup(cgroup, who, call))
    }

    /// A cgroup is gone.
    pub(super) fn gone(&mut self, cgroup: u64) {
        self.made.remove(&cgroup);
        self.paths.forget_later(cgroup);
    }

    /// Of these cgroups those that are gone.
    pub(super) fn gone_of(&mut self, cgroups: impl Iterator<Item = u64>) -> Vec<u64> {
        let gone: Vec<u64> = cgroups.filter(|cgroup| !self.paths.is_there(*cgroup)).collect();
        gone.iter().for_each(|cgroup| self.gone(*cgroup));
        gone
    }

    /// Looks at all cgroups that there are. Those of the host.
    pub(super) fn scan(&mut self, intake: &mut Intake) -> Vec<u64> {
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
