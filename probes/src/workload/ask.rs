//! What is asked about a container, where, and within which limits.
//!
//! Not here: asking (`resolver`, `source`).

use std::path::PathBuf;
use std::time::Duration;

use super::bundle::Bundles;
use super::cgroup::ContainerRef;
use crate::config::Config;

/// The longest answer that is read from a socket. What a runtime tells of one container is some ten kilobytes.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where runtimes are, and the limits of asking them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sockets of Docker.
    pub docker: Vec<PathBuf>,
    /// Sockets of Podman's service.
    pub podman: Vec<PathBuf>,
    /// Sockets of containerd.
    pub containerd: Vec<PathBuf>,
    /// Sockets of runtimes of Kubernetes: containerd's again, and CRI-O's.
    pub cri: Vec<PathBuf>,
    /// Roots of the storage of Podman and CRI-O, which tells more often than Podman's service runs.
    pub storage: Vec<PathBuf>,
    /// The records of runc and crun, whose annotations may name an image.
    pub bundles: Option<Bundles>,
    /// Whether to look into the storage in a user's home for containers that the user runs.
    pub users: bool,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long a container is asked for before it is given up.
    pub patience: Duration,
    /// Containers being asked for at once; those beyond are refused.
    pub asks_max: usize,
    /// Answers that are kept.
    pub cache_max: usize,
}

impl Default for Options {
    /// The defaults of the `GROVE_*` variables.
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Options {
    /// Where a configuration says that runtimes are, and the usual limits.
    pub fn of(config: &Config) -> Self {
        let paths = |paths: &[String]| paths.iter().map(PathBuf::from).collect();
        Self {
            docker: paths(&config.docker_sockets),
            podman: paths(&config.podman_sockets),
            containerd: paths(&config.containerd_sockets),
            cri: paths(&config.cri_sockets),
            storage: paths(&config.container_storage),
            bundles: Some(Bundles::default()),
            users: true,
            request_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(10),
            asks_max: 4096,
            cache_max: 4096,
        }
    }

    /// The usual limits, and no runtime at all.
    pub fn none() -> Self {
        Self {
            docker: Vec::new(),
            podman: Vec::new(),
            containerd: Vec::new(),
            cri: Vec::new(),
            storage: Vec::new(),
            bundles: None,
            users: false,
            ..Self::default()
        }
    }
}

/// A container to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which.
    pub container: ContainerRef,
    /// The bundle that it is made from, if that is known.
    pub bundle: Option<PathBuf>,
}

impl From<ContainerRef> for Ask {
    fn from(container: ContainerRef) -> Self {
        Self { container, bundle: None }
    }
}
