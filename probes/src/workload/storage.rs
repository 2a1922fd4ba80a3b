//! The storage of Podman and CRI-O on disk: which image a container was made from, without any service running.
//!
//! Not here: their APIs.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::cgroup::ContainerRef;
use super::file::{find_in_list, read_names};
use super::lookup_error::LookupError;
use super::{Workload, image};

/// A storage's root, such as `/var/lib/containers/storage`.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    root: PathBuf,
    /// The user whose it is, if it is not the host's.
    owner: Option<u32>,
}

/// Storage drivers of one storage that are looked at.
const DRIVERS_MAX: usize = 8;

/// One of the list in `containers.json`.
#[derive(Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    /// JSON again, in the runtime's own terms.
    #[serde(default)]
    metadata: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    image_name: String,
    image_id: String,
    name: String,
    pod_name: String,
    namespace: String,
}

/// One of the list in `images.json`.
#[derive(Deserialize)]
struct Image {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Storage {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, owner: None }
    }

    /// The storage of a user who runs containers without being root.
    pub(super) fn of_user(uid: u32) -> Option<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let home = passwd.lines().find_map(|line| {
            let mut fields = line.split(':').skip(2);
            let is_user = fields.next()?.parse() == Ok(uid);
            is_user.then(|| fields.nth(2)).flatten()
        })?;
        Some(Self { root: Path::new(home).join(".local/share/containers/storage"), owner: Some(uid) })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the container runs.
    pub(super) fn find(&self, who: &ContainerRef) -> Result<Workload, LookupError> {
        // One directory for each storage driver: `overlay-containers`, `vfs-containers`, …
        let names = read_names(&self.root);
        let drivers = names.iter().filter_map(|name| name.strip_suffix("-containers"));
        let mut failure = LookupError::Absent;
        for driver in drivers.take(DRIVERS_MAX) {
            failure = failure.or(LookupError::NotKnown);
            let dir = self.root.join(format!("{driver}-containers"));
            // Those that remove themselves when they end may be in a file of their own.
            for list in ["containers.json", "volatile-containers.json"] {
                match find_in_list(&dir.join(list), self.owner, |c: &Container| c.id == who.id) {
                    Ok(Some(container)) => return self.workload(driver, container),
                    Ok(None) => {}
                    Err(other) => failure = failure.or(other),
                }
            }
        }
        Err(failure)
    }

    fn workload(&self, driver: &str, container: Container) -> Result<Workload, LookupError> {
        let reported: Metadata = serde_json::from_str(&container.metadata).unwrap_or_default();
        let id = if reported.image_id.is_empty() { container.image } else { reported.image_id };
        if id.is_empty() && reported.image_name.is_empty() {
            return Err(LookupError::NoImage);
        }
        let named = image::is_named(&reported.image_name) && !image::is_id_of(&reported.image_name, &id);
        let reference = if named { Some(reported.image_name) } else { self.name_of(driver, &id) };
        let image_id = (!id.is_empty()).then(|| image::with_algorithm(&id));
        let workload = Workload::of_image(reference.as_ref().or(image_id.as_ref()).map_or("", String::as_str));
        let set = |text: String| (!text.is_empty()).then_some(text);
        Ok(Workload {
            image_id,
            name: set(reported.name).or_else(|| container.names.into_iter().next()),
            pod: set(reported.pod_name),
            namespace: set(reported.namespace),
            ..workload
        })
    }

    /// A name of the image, of several the first in alphabetical order that is not by digest.
    fn name_of(&self, driver: &str, id: &str) -> Option<String> {
        let list = self.root.join(format!("{driver}-images/images.json"));
        let image = find_in_list(&list, self.owner, |image: &Image| image.id == id).ok()??;
        let names = image.names.unwrap_or_default();
        names.into_iter().filter(|name| image::is_named(name)).min_by_key(|name| (name.contains('@'), name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Runtime;
    use super::*;
    use std::fs;

    #[test]
    fn a_storage_knows_its_containers() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::new(dir.path().to_owned());
        let write = |at: &str, text: &str| {
            let file = dir.path().join(at);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let find = |id: &str| {
            let who = ContainerRef { runtime: Runtime::Podman, id: id.to_owned(), pod: None, user: None };
            storage.find(&who).map(|w| (w.image, w.tag, w.name.unwrap_or_default(), w.pod.unwrap_or_default()))
        };
        let reported = |image: &str, tag: &str, name: &str, pod: &str| {
            Ok((image.to_owned(), tag.to_owned(), name.to_owned(), pod.to_owned()))
        };
        assert_eq!(find("a1"), Err(LookupError::Absent));
        write("vfs-images/images.json", r#"[{"id":"ee","names":["z@sha256:1","y:2","y:1"]},{"id":"ff","names":null}]"#);
        write(
            "vfs-containers/containers.json",
            r#"[{"id":"a1","names":["web"],"image":"ee","metadata":"{\"image-name\":\"localhost/bb:1\",\"image-id\":\"ee\",\"name\":\"w\"}"},
                {"id":"a2","names":["web"],"image":"ee","metadata":"{\"image-name\":\"ee\",\"image-id\":\"ee\"}"},
                {"id":"a3","image":"ff","metadata":"{}"},
                {"id":"a4","image":"gg","metadata":"{"},
                {"id":"a5","metadata":"","extra":[{"x":1}]},
                {"id":"a6","image":"ee","metadata":"{\"pod-name\":\"p\",\"namespace\":\"n\",\"image-name\":\"q/r\"}"}]"#,
        );
        assert_eq!(find("a1"), reported("localhost/bb", "1", "w", ""));
        assert_eq!(find("a2"), reported("y", "1", "web", ""), "by its id, so by the image's names");
        assert_eq!(find("a3"), reported("sha256:ff", "latest", "", ""), "an image without a name");
        assert_eq!(find("a4"), reported("sha256:gg", "latest", "", ""), "what is no metadata");
        assert_eq!(find("a5"), Err(LookupError::NoImage));
        assert_eq!(find("a6"), reported("q/r", "latest", "", "p"));
        assert_eq!(find("a7"), Err(LookupError::NotKnown));

        write("overlay-containers/volatile-containers.json", r#"[{"id":"a7","metadata":"{\"image-name\":\"v:7\"}"}]"#);
        assert_eq!(find("a7"), reported("v", "7", "", ""));
        write("overlay-containers/containers.json", &"[".repeat(100_000));
        assert!(matches!(find("a8"), Err(LookupError::Unreachable(_))), "a broken list may hide it");
        assert_eq!(find("a1"), reported("localhost/bb", "1", "w", ""), "but not those of another");
    }

    #[test]
    fn a_pipe_or_an_endless_file_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("overlay-containers/containers.json");
        fs::create_dir_all(list.parent().unwrap()).unwrap();
        let who = ContainerRef { runtime: Runtime::Podman, id: "a".to_owned(), pod: None, user: None };
        let storage = Storage::new(dir.path().to_owned());
        assert!(std::process::Command::new("mkfifo").arg(&list).status().unwrap().success());
        assert!(matches!(storage.find(&who), Err(LookupError::Unreachable(_))));
        fs::remove_file(&list).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &list).unwrap();
        assert!(matches!(storage.find(&who), Err(LookupError::Unreachable(_))));
        fs::remove_file(&list).unwrap();
        fs::File::create(&list).unwrap().set_len(super::super::file::LIST_BYTES_MAX + 1).unwrap();
        assert!(matches!(storage.find(&who), Err(LookupError::Unreachable(_))));
    }

    #[test]
    fn a_users_storage_leads_to_nobody_elses_files() {
        let dir = tempfile::tempdir().unwrap();
        let (list, elsewhere) = (dir.path().join("vfs-containers/containers.json"), dir.path().join("elsewhere"));
        fs::create_dir_all(list.parent().unwrap()).unwrap();
        fs::write(&elsewhere, r#"[{"id":"a","image":"ee"}]"#).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &list).unwrap();
        let who = ContainerRef { runtime: Runtime::Podman, id: "a".to_owned(), pod: None, user: Some(1000) };
        let me = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&elsewhere).unwrap());
        let find = |owner: u32| Storage { root: dir.path().to_owned(), owner: Some(owner) }.find(&who);
        assert_eq!(find(me).map(|w| w.image).unwrap(), "sha256:ee");
        let Err(LookupError::Unreachable(why)) = find(me + 1) else { panic!("it was read") };
        assert!(why.contains("another user"), "{why}");
    }
}
