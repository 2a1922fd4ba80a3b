//! Where a container's image can be learned, and which of those places to ask about which container.
//!
//! A place that does not answer rests for a while, so that those who ask next do not wait for it too.
//!
//! Not here: retries and the cache (`resolver`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Workload;
use super::cgroup::{ContainerRef, Runtime};
use super::docker::DockerApi;
use super::miss::Miss;
use super::resolver::Options;

/// Requests under way to one place.
const REQUESTS_MAX: usize = 16;

/// How long a place that did not answer in time is left alone.
const REST: Duration = Duration::from_secs(1);

/// Every place of this host.
pub(super) struct Sources {
    all: Vec<Arc<Source>>,
}

/// One place, and how it is doing.
struct Source {
    place: Place,
    timeout: Duration,
    permits: Semaphore,
    began: Instant,
    /// Milliseconds since `began` until which it rests.
    rests_until_ms: AtomicU64,
}

enum Place {
    Docker(DockerApi),
    Podman(DockerApi),
}

impl Sources {
    pub(super) fn new(options: &Options) -> Self {
        let timeout = options.request_timeout;
        let docker = options.docker.iter().map(|s| Place::Docker(DockerApi::new(s.clone(), timeout)));
        let podman = options.podman.iter().map(|s| Place::Podman(DockerApi::new(s.clone(), timeout)));
        let all = docker.chain(podman).map(|place| Arc::new(Source::new(place, timeout))).collect();
        Self { all }
    }

    /// What the container runs: the answer of the first place that knows it, those of one rank asked side by side.
    pub(super) async fn find(&self, who: &ContainerRef) -> Result<Workload, Miss> {
        let mut miss = Miss::Absent;
        for rank in 0..RANKS {
            let mut asked = JoinSet::new();
            for source in self.all.iter().filter(|source| source.place.rank(who) == Some(rank)) {
                let (source, who) = (Arc::clone(source), who.clone());
                asked.spawn(async move { source.find(&who).await });
            }
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok(Ok(workload)) => return Ok(workload),
                    Ok(Err(other)) => miss = miss.or(other),
                    // The client library panicked. The others may still know.
                    Err(error) => miss = miss.or(Miss::Unreachable(error.to_string())),
                }
            }
        }
        Err(miss)
    }
}

/// How many ranks there are: places of the first know most, those of the last are asked if nobody else knew.
const RANKS: u8 = 3;

impl Place {
    /// When to ask this place about a container; `None` is never.
    fn rank(&self, who: &ContainerRef) -> Option<u8> {
        // The host's own runtimes are no witness for what a user runs.
        let of_host = who.user.is_none_or(|uid| uid == 0);
        match (self, who.runtime) {
            (Self::Docker(_), Runtime::Docker | Runtime::Unknown) if of_host => Some(0),
            (Self::Podman(_), Runtime::Podman | Runtime::Unknown) if of_host => Some(1),
            _ => None,
        }
    }

    async fn find(&self, who: &ContainerRef) -> Result<Workload, Miss> {
        match self {
            Self::Docker(api) | Self::Podman(api) => api.find(who).await,
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Docker(api) | Self::Podman(api) => api.socket().display().to_string(),
        }
    }
}

impl Source {
    fn new(place: Place, timeout: Duration) -> Self {
        let permits = Semaphore::new(REQUESTS_MAX);
        Self { place, timeout, permits, began: Instant::now(), rests_until_ms: AtomicU64::new(0) }
    }

    async fn find(&self, who: &ContainerRef) -> Result<Workload, Miss> {
        let Ok(_permit) = self.permits.acquire().await else { return Err(Miss::Absent) };
        let now_ms = || self.began.elapsed().as_millis() as u64;
        if now_ms() < self.rests_until_ms.load(Ordering::Relaxed) {
            return Err(self.silent());
        }
        match tokio::time::timeout(self.timeout, self.place.find(who)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.rests_until_ms.store(now_ms() + REST.as_millis() as u64, Ordering::Relaxed);
                Err(self.silent())
            }
        }
    }

    fn silent(&self) -> Miss {
        Miss::Unreachable(format!("{} did not answer within {:?}", self.place.label(), self.timeout))
    }
}
