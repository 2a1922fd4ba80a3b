//! From a cgroup's path to its container, and from the container to the image and tag that it runs.
//!
//! - [`container`] knows a container by its cgroup's path; [`Bundles`] knows those whose path says too little.
//! - `runtime_call` knows which container a call of runc or crun makes, before there is any record of it.
//! - [`Cgroups`] turns the kernel's cgroup ids into paths.
//! - [`Resolver`] asks the runtime which image a container runs, on a thread of its own.
//! - [`checks`] says which runtimes this host has, and whether they answer.
//!
//! Not here: what processes do, and when to ask.

mod ask;
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
mod lookup_error;
mod resolver;
mod runtime_call;
mod source;
mod storage;

pub use ask::{Ask, Options};
pub use bundle::Bundles;
pub use cgroup::{ContainerRef, ID_MAX, Runtime, container, process_path};
pub use cgroups::{CGROUPS_MAX, Cgroup, Cgroups, PathUnavailable, Walk};
pub use checks::checks;
pub use lookup_error::Unresolved;
pub use resolver::{Answer, Resolver, ResolverStats};
pub use runtime_call::{RuntimeCall, parse_runtime_call};

use std::collections::BTreeMap;

use grove::intern::TEXT_MAX;
use lookup_error::LookupError;

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
    /// The namespace of its pod in Kubernetes.
    pub namespace: Option<String>,
    /// Its labels, at most [`LABELS_MAX`] and [`LABEL_BYTES_MAX`] of them.
    pub labels: BTreeMap<String, String>,
}

/// How many labels of a container are kept: the first by name.
pub const LABELS_MAX: usize = 64;

/// How many bytes of labels: those that go beyond are left out.
pub const LABEL_BYTES_MAX: usize = 8 << 10;

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
        let mut budget = LABEL_BYTES_MAX;
        let fits = |(key, value): &(String, String)| {
            let left = budget.checked_sub(key.len() + value.len());
            budget = left.unwrap_or(budget);
            left.is_some()
        };
        self.labels = all.into_iter().take(LABELS_MAX).filter(fits).collect();
        self
    }

    /// Without what is too long to be kept. An image has to have a name that can be.
    fn within_limits(mut self) -> Result<Self, LookupError> {
        if self.image.is_empty() {
            // Annotations may say anything.
            return Err(LookupError::NoImage);
        }
        if self.image.len().max(self.tag.len()) > TEXT_MAX {
            return Err(LookupError::Unusable(format!("the name of its image is longer than {TEXT_MAX} bytes")));
        }
        for text in [&mut self.image_id, &mut self.name, &mut self.pod, &mut self.namespace] {
            text.take_if(|text| text.len() > TEXT_MAX);
        }
        Ok(self)
    }
}
