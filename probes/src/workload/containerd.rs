//! containerd's own API: containers of `ctr`, `nerdctl` and others, and the pause containers of pods.
//!
//! Not here: its Kubernetes API (`cri`), which knows better by which name an image was asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::ContainerRef;
use super::grpc::Service;
use super::lookup_error::LookupError;
use super::{Workload, image};

/// One containerd.
pub(super) struct Containerd(Service);

#[derive(Clone, PartialEq, prost::Message)]
struct GetRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(map = "string, string", tag = "2")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct ListResponse {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<Namespace>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Namespace {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "1")]
    version: String,
}

/// More namespaces than this are not looked through.
const NAMESPACES_MAX: usize = 64;

impl Containerd {
    pub(super) fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self(Service::new(socket, timeout))
    }

    pub(super) fn socket(&self) -> &Path {
        self.0.socket()
    }

    /// What the container runs.
    pub(super) async fn find(&self, who: &ContainerRef) -> Result<Workload, LookupError> {
        const LIST: &str = "/containerd.services.namespaces.v1.Namespaces/List";
        let list: ListResponse = self.0.call(LIST, None, ListRequest {}).await?;
        let mut failure = LookupError::NotKnown;
        // Docker's containers are in these, without their images.
        let namespaces = list.namespaces.iter().map(|ns| ns.name.as_str()).filter(|name| !name.ends_with("moby"));
        for namespace in namespaces.take(NAMESPACES_MAX) {
            match self.find_in(namespace, who).await {
                Ok(workload) => return Ok(workload),
                Err(other) => failure = failure.or(other),
            }
        }
        Err(failure)
    }

    async fn find_in(&self, namespace: &str, who: &ContainerRef) -> Result<Workload, LookupError> {
        const GET: &str = "/containerd.services.containers.v1.Containers/Get";
        let found: GetResponse = self.0.call(GET, Some(namespace), GetRequest { id: who.id.clone() }).await?;
        let container = found.container.filter(|c| c.id == who.id).ok_or(LookupError::NotKnown)?;
        if !image::is_named(&container.image) {
            return Err(LookupError::NoImage);
        }
        let name = container.labels.get("nerdctl/name").cloned();
        Ok(Workload { name, ..Workload::of_image(&container.image) }.with_labels(container.labels))
    }

    pub(super) async fn version(&self) -> Result<String, LookupError> {
        const VERSION: &str = "/containerd.services.version.v1.Version/Version";
        let reported: VersionResponse = self.0.call(VERSION, None, VersionRequest {}).await?;
        Ok(format!("containerd {}", reported.version))
    }
}
