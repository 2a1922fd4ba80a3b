//! Where a container's image can be learned, and which of those places to ask about which container.
//!
//! A place that does not answer rests for a while, so that those who ask next do not wait for it too.
//!
//! Not here: retries and the cache (`resolver`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};

use super::Workload;
use super::ask::{Ask, Options};
use super::bundle::Bundles;
use super::cgroup::{ContainerRef, Runtime};
use super::containerd::Containerd;
use super::cri::Cri;
use super::docker::DockerApi;
use super::miss::Miss;
use super::storage::Storage;

/// Requests under way to one socket.
const REQUESTS_MAX: usize = 4;

/// Files of one place being read at once. A thread that is stuck on a user's file system keeps its permit.
const READS_MAX: usize = 2;

/// How long a place that did not answer in time is left alone.
const REST: Duration = Duration::from_secs(1);

/// Every place of this host.
pub(super) struct Sources {
    all: Vec<Arc<Source>>,
}

/// One place, and how it is doing.
pub(super) struct Source {
    place: Place,
    timeout: Duration,
    permits: Arc<Semaphore>,
    began: Instant,
    /// Milliseconds since `began` until which it rests.
    rests_until_ms: AtomicU64,
}

enum Place {
    Docker(DockerApi),
    Podman(DockerApi),
    Containerd(Containerd),
    Cri(Cri),
    Storage(Storage),
    /// The storage of whichever user runs the container.
    UserStorage,
    Bundles(Bundles),
}

impl Sources {
    pub(super) fn new(options: &Options) -> Self {
        let timeout = options.request_timeout;
        let docker = options.docker.iter().map(|s| Place::Docker(DockerApi::new(s.clone())));
        let podman = options.podman.iter().map(|s| Place::Podman(DockerApi::new(s.clone())));
        let containerd = options.containerd.iter().map(|s| Place::Containerd(Containerd::new(s.clone(), timeout)));
        let cri = options.cri.iter().map(|s| Place::Cri(Cri::new(s.clone(), timeout)));
        let storage = options.storage.iter().map(|root| Place::Storage(Storage::new(root.clone())));
        let files = options.bundles.iter().map(|bundles| Place::Bundles(bundles.clone()));
        let users = options.users.then_some(Place::UserStorage);
        let places = docker.chain(podman).chain(containerd).chain(cri).chain(storage).chain(files).chain(users);
        Self { all: places.map(|place| Arc::new(Source::new(place, timeout))).collect() }
    }

    /// What the container runs: the answer of the first place that knows it, those of one rank asked side by side.
    pub(super) async fn find(&self, ask: &Ask) -> Result<Workload, Miss> {
        let who = &ask.container;
        let mut miss = Miss::Absent;
        for rank in 0..RANKS {
            let mut asked = JoinSet::new();
            for source in self.all.iter().filter(|source| source.place.rank(who) == Some(rank)) {
                let (source, ask) = (Arc::clone(source), ask.clone());
                asked.spawn(async move { source.find(&ask).await });
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

    /// Every place that listens on a socket.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.all.iter().filter(|source| source.place.socket().is_some())
    }
}

/// How many ranks there are: places of the first know most, those of the last are asked if nobody else knew.
const RANKS: u8 = 3;

impl Place {
    /// When to ask this place about a container; `None` is never.
    fn rank(&self, who: &ContainerRef) -> Option<u8> {
        use Runtime::{Containerd, Crio, Docker, Podman, Runc, Unknown};
        // The host's own runtimes are no witness for what a user runs.
        if who.user.is_some_and(|uid| uid != 0) {
            return matches!((self, who.runtime), (Self::UserStorage, Podman | Unknown)).then_some(0);
        }
        match (self, who.runtime) {
            (Self::Docker(_), Docker | Unknown) => Some(0),
            (Self::Cri(_), Containerd | Crio | Unknown) => Some(0),
            (Self::Storage(_), Podman | Unknown) => Some(0),
            (Self::Bundles(_), Runc) => Some(0),
            (Self::Podman(_), Podman | Unknown) => Some(1),
            (Self::Containerd(_), Containerd | Unknown) => Some(1),
            (Self::Storage(_), Crio) => Some(1),
            (Self::Bundles(_), Containerd | Crio | Unknown) => Some(2),
            _ => None,
        }
    }

    fn socket(&self) -> Option<&std::path::Path> {
        match self {
            Self::Docker(api) | Self::Podman(api) => Some(api.socket()),
            Self::Containerd(api) => Some(api.socket()),
            Self::Cri(api) => Some(api.socket()),
            Self::Storage(_) | Self::UserStorage | Self::Bundles(_) => None,
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Storage(storage) => storage.root().display().to_string(),
            Self::UserStorage => "the user's storage".to_owned(),
            Self::Bundles(_) => "the records of runc".to_owned(),
            _ => self.socket().unwrap_or_else(|| std::path::Path::new("")).display().to_string(),
        }
    }
}

impl Source {
    fn new(place: Place, timeout: Duration) -> Self {
        let permits = if place.socket().is_some() { REQUESTS_MAX } else { READS_MAX };
        let permits = Arc::new(Semaphore::new(permits));
        Self { place, timeout, permits, began: Instant::now(), rests_until_ms: AtomicU64::new(0) }
    }

    async fn find(&self, ask: &Ask) -> Result<Workload, Miss> {
        let who = &ask.container;
        self.in_time(async {
            let permit = self.permit().await?;
            match &self.place {
                Place::Docker(api) | Place::Podman(api) => api.find(who).await,
                Place::Containerd(api) => api.find(who).await,
                Place::Cri(api) => api.find(who).await,
                Place::Storage(storage) => {
                    let (storage, who) = (storage.clone(), who.clone());
                    read(permit, move || storage.find(&who)).await
                }
                Place::UserStorage => {
                    let who = who.clone();
                    let storage = move || who.user.and_then(Storage::of_user).ok_or(Miss::Absent)?.find(&who);
                    read(permit, storage).await
                }
                Place::Bundles(bundles) => {
                    let (bundles, ask) = (bundles.clone(), ask.clone());
                    read(permit, move || bundles.find(&ask.container, ask.bundle.as_deref())).await
                }
            }
        })
        .await
    }

    /// The name of the socket, and what listens there.
    pub(super) async fn version(&self) -> (String, Result<String, Miss>) {
        let version = self.in_time(async {
            match &self.place {
                Place::Docker(api) | Place::Podman(api) => api.version().await,
                Place::Containerd(api) => api.version().await,
                Place::Cri(api) => api.version().await,
                Place::Storage(_) | Place::UserStorage | Place::Bundles(_) => Err(Miss::Absent),
            }
        });
        (self.place.label(), version.await)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Miss> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Miss::Absent)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Miss>>) -> Result<T, Miss> {
        let now_ms = || self.began.elapsed().as_millis() as u64;
        if now_ms() < self.rests_until_ms.load(Ordering::Relaxed) {
            return Err(self.silent());
        }
        match tokio::time::timeout(self.timeout, work).await {
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

/// Reads files on a thread that may wait for them, and that keeps the permit for as long as it does.
async fn read(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<Workload, Miss> + Send + 'static,
) -> Result<Workload, Miss> {
    let read = spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    read.await.unwrap_or_else(|error| Err(Miss::Unreachable(error.to_string())))
}
