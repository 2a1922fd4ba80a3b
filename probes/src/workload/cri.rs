//! The Kubernetes container runtime interface, which containerd and CRI-O speak.
//!
//! Not here: containers that are in no pod.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::cgroup::ContainerRef;
use super::grpc::Service;
use super::lookup_error::LookupError;
use super::{Workload, image};

/// One runtime of Kubernetes.
pub(super) struct Cri(Service);

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

/// What containerd adds if it is asked to be verbose: JSON, with the container's configuration as it was asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    image: Asked,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    image: String,
    user_specified_image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerStatus {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "8")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "9")]
    image_ref: String,
    #[prost(map = "string, string", tag = "12")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "17")]
    image_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
    #[prost(string, tag = "18")]
    user_specified_image: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionRequest {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

impl Cri {
    pub(super) fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self(Service::new(socket, timeout))
    }

    pub(super) fn socket(&self) -> &Path {
        self.0.socket()
    }

    /// What the container runs.
    pub(super) async fn find(&self, who: &ContainerRef) -> Result<Workload, LookupError> {
        const STATUS: &str = "/runtime.v1.RuntimeService/ContainerStatus";
        let question = StatusRequest { container_id: who.id.clone(), verbose: true };
        let found: StatusResponse = self.0.call(STATUS, None, question).await?;
        let info = found.info.get("info").and_then(|info| serde_json::from_str::<Info>(info).ok());
        let asked = info.unwrap_or_default().config.image;
        // An id is looked up by its beginning too.
        found.status.filter(|status| status.id == who.id).ok_or(LookupError::NotKnown).and_then(|s| workload(&asked, s))
    }

    pub(super) async fn version(&self) -> Result<String, LookupError> {
        const VERSION: &str = "/runtime.v1.RuntimeService/Version";
        let reported: VersionResponse = self.0.call(VERSION, None, VersionRequest { version: String::new() }).await?;
        Ok(format!("{} {} for Kubernetes", reported.runtime_name, reported.runtime_version))
    }
}

/// The image by the name that the pod asked for; failing that by the name, then the digest, that the runtime found. Of
/// an image with several tags the latter is any.
fn workload(asked: &Asked, status: ContainerStatus) -> Result<Workload, LookupError> {
    let spec = status.image.unwrap_or_default();
    let by_pod = [&spec.user_specified_image, &asked.user_specified_image, &asked.image];
    let names: Vec<_> = by_pod.into_iter().chain([&spec.image, &status.image_ref]).collect();
    let named = names.iter().find(|name| image::is_named(name) && !image::is_bare_id(name));
    let reference = named.or(names.iter().find(|name| image::is_named(name))).ok_or(LookupError::NoImage)?;
    let image_id = (!status.image_id.is_empty()).then(|| image::with_algorithm(&status.image_id));
    let name = status.metadata.map(|metadata| metadata.name).filter(|name| !name.is_empty());
    Ok(Workload { name, image_id, ..Workload::of_image(reference) }.with_labels(status.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_asked_for_goes_first() {
        const ID: &str = "sha256:ab12";
        for (user, image, by_digest, named) in [
            ("nginx:1.27", ID, "docker.io/library/nginx@sha256:cd", Some(("nginx", "1.27"))),
            (
                "",
                "docker.io/library/nginx:1.27",
                "docker.io/library/nginx@sha256:cd",
                Some(("docker.io/library/nginx", "1.27")),
            ),
            ("", ID, "docker.io/library/nginx@sha256:cd", Some(("docker.io/library/nginx", "sha256:cd"))),
            ("nginx@sha256:cd", ID, ID, Some(("nginx", "sha256:cd"))),
            ("", ID, "", Some((ID, "latest"))),
            ("", "", "", None),
        ] {
            // Kubernetes asks for the id that the pull gave it.
            let configured = Asked { image: if image.is_empty() { image } else { ID }.to_owned(), ..Asked::default() };
            let image = ImageSpec { image: image.to_owned(), user_specified_image: user.to_owned() };
            let status = ContainerStatus { image: Some(image), image_ref: by_digest.to_owned(), ..Default::default() };
            let found = workload(&configured, status);
            assert_eq!(found.as_ref().ok().map(|w| (w.image.as_str(), w.tag.as_str())), named, "{user} {by_digest}");
        }
    }

    #[test]
    fn pod_and_namespace_are_among_the_labels() {
        let label = |key: &str, value: &str| (format!("io.kubernetes.{key}"), value.to_owned());
        let status = ContainerStatus {
            image_ref: "x".to_owned(),
            metadata: Some(Metadata { name: "web".to_owned() }),
            labels: HashMap::from([label("pod.name", "web-0"), label("pod.namespace", "shop")]),
            ..Default::default()
        };
        let found = workload(&Asked { image: "y:2".to_owned(), ..Asked::default() }, status).unwrap();
        assert_eq!((found.image.as_str(), found.tag.as_str()), ("y", "2"), "as it was asked for");
        assert_eq!(found.name.as_deref(), Some("web"));
        assert_eq!((found.pod.as_deref(), found.namespace.as_deref()), (Some("web-0"), Some("shop")));
        assert_eq!(found.labels.len(), 2);
    }
}
