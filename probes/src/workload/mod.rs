//! Who a cgroup is: from its path to a container, and from the container to the image and tag that it runs.
//!
//! - [`container`] knows a container by its cgroup's path; [`Bundles`] knows those whose path says too little.
//! - [`Cgroups`] turns the kernel's cgroup ids into paths.
//! - [`Resolver`] asks the runtime which image a container runs, on a thread of its own.
//! - [`checks`] says which runtimes this host has, and whether they answer.
//!
//! Not here: what processes do, and when to ask.

mod bundle;
mod cgroup;
mod cgroups;
mod checks;
mod containerd;
mod cri;
mod docker;
mod file;
mod grpc;
mod handle;
mod image;
mod miss;
mod resolver;
mod source;
mod storage;

pub use bundle::Bundles;
pub use cgroup::{ContainerRef, ID_MAX, Runtime, container, process_path};
pub use cgroups::{CGROUPS_MAX, Cgroup, Cgroups, Lost, Walk};
pub use checks::checks;
pub use miss::Unresolved;
pub use resolver::{Answer, Options, Resolver, Stats};

use std::collections::BTreeMap;

/// What a container runs, as its runtime tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The image's name as the container was given it: `nginx` stays `nginx`. An image without a name is its id,
    /// `sha256:…`.
    pub image: String,
    /// The tag; the digest for an image that was named by digest, `latest` for one that has neither.
    pub tag: String,
    /// The image's id, if the runtime tells it.
    pub image_id: Option<String>,
    /// The container's own name.
    pub name: Option<String>,
    /// Its Kubernetes pod's name.
    pub pod: Option<String>,
    /// Its pod's namespace.
    pub namespace: Option<String>,
    /// Its labels, at most [`LABELS_MAX`] of them.
    pub labels: BTreeMap<String, String>,
}

/// How many labels of a container are kept: the first by name.
pub const LABELS_MAX: usize = 64;

impl Workload {
    /// The workload that an image reference names.
    fn of_image(reference: &str) -> Self {
        let (image, tag) = image::split(reference);
        Self { image: image.to_owned(), tag: tag.to_owned(), ..Self::default() }
    }

    /// With these labels; pod and namespace are among a Kubernetes container's.
    fn with_labels(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let all: BTreeMap<String, String> = labels.into_iter().collect();
        let label = |key: &str| all.get(key).filter(|value| !value.is_empty()).cloned();
        self.pod = self.pod.or_else(|| label("io.kubernetes.pod.name"));
        self.namespace = self.namespace.or_else(|| label("io.kubernetes.pod.namespace"));
        self.name = self.name.or_else(|| label("io.kubernetes.container.name"));
        self.labels = all.into_iter().take(LABELS_MAX).collect();
        self
    }
}
