//! Whose the cgroups are that processes are in.
//!
//! Not here: what is done about it (`intake`).

use super::containers::Owner;
use super::intake::Intake;
use crate::workload::{self, Bundles, CGROUPS_MAX, Cgroups, ContainerRef};

/// Whose cgroups are, by what the host says of them.
#[derive(Debug)]
pub(super) struct Places {
    paths: Cgroups,
    bundles: Bundles,
}

impl Places {
    /// The places of this host.
    ///
    /// # Errors
    /// Cgroup v2 is not mounted.
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self { paths: Cgroups::open(CGROUPS_MAX)?, bundles: Bundles::default() })
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
            Ok(path) => intake.cgroup(cgroup, self.who(&path)),
            Err(lost) => intake.lost_cgroup(cgroup, &lost),
        }
    }

    /// A cgroup was made. Whose it is.
    pub(super) fn made(&mut self, cgroup: u64, path: &[u8], intake: &mut Intake) -> Owner {
        self.paths.learn(cgroup, path);
        intake.new_cgroup(cgroup, self.who(path))
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
