//! Docker's API over its socket, which Podman's service speaks too.
//!
//! Not here: when to ask, how often, and for how long (`source`).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::ask::ANSWER_BYTES_MAX;
use super::cgroup::ContainerRef;
use super::miss::Miss;
use super::{Workload, image};

/// One daemon that speaks Docker's API.
pub(super) struct DockerApi {
    socket: PathBuf,
}

/// The parts that matter of what the API tells of a container.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    id: Option<String>,
    name: Option<String>,
    image: Option<String>,
    config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// Of an image.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Image {
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// Of the daemon itself.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Version {
    version: Option<String>,
    api_version: Option<String>,
    components: Option<Vec<Component>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Component {
    name: String,
}

impl DockerApi {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the container runs.
    pub(super) async fn find(&self, who: &ContainerRef) -> Result<Workload, Miss> {
        let found: Container = self.get(&format!("/containers/{}/json", who.id)).await?;
        // An id is looked up by its beginning too, and as a name.
        if found.id.as_deref() != Some(who.id.as_str()) {
            return Err(Miss::NotKnown);
        }
        let config = found.config.unwrap_or_default();
        let reference = config.image.unwrap_or_default();
        let image_id = found.image.map(|id| image::with_algorithm(&id)).unwrap_or_default();
        let workload = if reference.is_empty() && image_id.is_empty() {
            return Err(Miss::NoImage);
        } else if image::is_named(&reference) && !image::is_id_of(&reference, &image_id) {
            Workload::of_image(&reference)
        } else {
            Workload::of_image(&self.name_of(&image_id).await.unwrap_or_else(|| image_id.clone()))
        };
        let name = found.name.map(|name| name.trim_start_matches('/').to_owned());
        let image_id = (!image_id.is_empty()).then_some(image_id);
        Ok(Workload { name, image_id, ..workload }.with_labels(config.labels.unwrap_or_default()))
    }

    /// The daemon's name and version.
    pub(super) async fn version(&self) -> Result<String, Miss> {
        let told: Version = self.get("/version").await?;
        // Podman answers as Docker does, and says who it is among its components.
        let component = told.components.unwrap_or_default().into_iter().map(|c| c.name).next().unwrap_or_default();
        let component = if component.starts_with("Podman") { "Podman" } else { "Docker" };
        Ok(format!("{component} {}, API {}", told.version.unwrap_or_default(), told.api_version.unwrap_or_default()))
    }

    /// A name of the image: a tag before a digest, and of several the first in alphabetical order.
    async fn name_of(&self, id: &str) -> Option<String> {
        let found: Image = self.get(&format!("/images/{id}/json")).await.ok()?;
        let first =
            |names: Option<Vec<String>>| names.unwrap_or_default().into_iter().filter(|n| image::is_named(n)).min();
        first(found.repo_tags).or_else(|| first(found.repo_digests))
    }

    /// One request, on a connection of its own. A path without a version is answered in the daemon's newest one.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Miss> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Miss::Absent,
            _ => self.unreachable(&error),
        })?;
        let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new());
        let request = request.map_err(|e| self.unreachable(&e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.unreachable(&e))?;
        // It ends with this request, however that ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let answer = sender.send_request(request).await.map_err(|e| self.unreachable(&e))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(Miss::NotKnown),
            other => return Err(self.unreachable(&format_args!("it answered with {other}"))),
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => {
                Miss::Unusable(format!("{}: its answer is longer than {ANSWER_BYTES_MAX} bytes", self.socket.display()))
            }
            false => self.unreachable(&error),
        })?;
        serde_json::from_slice(&body.to_bytes()).map_err(|e| self.unreachable(&e))
    }

    fn unreachable(&self, error: &dyn Display) -> Miss {
        Miss::Unreachable(format!("{}: {error}", self.socket.display()))
    }
}
