//! Docker's API over its socket, which Podman's service speaks too.
//!
//! Not here: when to ask, how often, and for how long (`source`).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

use super::cgroup::ContainerRef;
use super::miss::Miss;
use super::{Workload, image};

/// One daemon that speaks Docker's API.
pub(super) struct DockerApi {
    socket: PathBuf,
    timeout: Duration,
    /// The client, once it has agreed with the daemon on a version.
    client: Mutex<Option<Docker>>,
}

impl DockerApi {
    pub(super) fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout, client: Mutex::new(None) }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the container runs.
    pub(super) async fn find(&self, who: &ContainerRef) -> Result<Workload, Miss> {
        let docker = self.client().await?;
        let found = docker.inspect_container(&who.id, None).await.map_err(|e| self.miss(&e))?;
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
            Workload::of_image(&self.name_of(&docker, &image_id).await.unwrap_or_else(|| image_id.clone()))
        };
        let name = found.name.map(|name| name.trim_start_matches('/').to_owned());
        let image_id = (!image_id.is_empty()).then_some(image_id);
        Ok(Workload { name, image_id, ..workload }.with_labels(config.labels.unwrap_or_default()))
    }

    /// The daemon's name and version.
    pub(super) async fn version(&self) -> Result<String, Miss> {
        let docker = self.client().await?;
        let told = docker.version().await.map_err(|e| self.miss(&e))?;
        // Podman answers as Docker does, and says who it is among its components.
        let component = told.components.unwrap_or_default().into_iter().map(|c| c.name).next().unwrap_or_default();
        let component = if component.starts_with("Podman") { "Podman" } else { "Docker" };
        Ok(format!("{component} {}, API {}", told.version.unwrap_or_default(), told.api_version.unwrap_or_default()))
    }

    /// A name of the image: a tag before a digest, and of several the first in alphabetical order.
    async fn name_of(&self, docker: &Docker, id: &str) -> Option<String> {
        let found = docker.inspect_image(id).await.ok()?;
        let first =
            |names: Option<Vec<String>>| names.unwrap_or_default().into_iter().filter(|n| image::is_named(n)).min();
        first(found.repo_tags).or_else(|| first(found.repo_digests))
    }

    async fn client(&self) -> Result<Docker, Miss> {
        if let Some(docker) = self.slot().as_ref() {
            return Ok(docker.clone());
        }
        if !self.socket.exists() {
            return Err(Miss::Absent);
        }
        let socket = self.socket.to_string_lossy();
        let seconds = self.timeout.as_secs().max(1);
        let docker = Docker::connect_with_unix(&socket, seconds, API_DEFAULT_VERSION).map_err(|e| self.miss(&e))?;
        let docker = docker.negotiate_version().await.map_err(|e| self.miss(&e))?;
        *self.slot() = Some(docker.clone());
        Ok(docker)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Docker>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error means. After any but a plain answer the next request agrees on a version anew, since the daemon
    /// may be another by then.
    fn miss(&self, error: &Error) -> Miss {
        match error {
            Error::DockerResponseServerError { status_code: 404, .. } => Miss::NotKnown,
            Error::SocketNotFoundError(_) => Miss::Absent,
            _ => {
                *self.slot() = None;
                Miss::Unreachable(format!("{}: {error}", self.socket.display()))
            }
        }
    }
}
