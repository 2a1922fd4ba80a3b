//! Containers that runc and crun keep records of: those whose cgroup could be anybody's, like plain runc's `/c1`, and
//! the annotations of their bundles.
//!
//! A path such as `/c1` is a container's only if a record of that name says that this is its cgroup. The runtime makes
//! the record's directory before the cgroup and writes the record after it, so while there is only the directory the
//! container is being made, and that counts too.
//!
//! Not here: containers whose path tells (`cgroup`).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Workload;
use super::cgroup::{ContainerRef, Runtime, is_id};
use super::file::{read_names, read_record};
use super::lookup_error::LookupError;

/// Where runc and crun keep their records.
#[derive(Clone, Debug)]
pub struct Bundles {
    roots: Vec<Root>,
}

#[derive(Clone, Debug)]
struct Root {
    dir: PathBuf,
    runtime: Runtime,
}

impl Default for Bundles {
    /// runc's and crun's own, and those of containerd, one for each of its namespaces.
    fn default() -> Self {
        Self::new(["/run/runc", "/run/crun"], ["/run/containerd/runc"])
    }
}

impl Bundles {
    /// Records of runc or crun below `plain`, and of namespaces of containerd below `containerd`.
    pub fn new<P: Into<PathBuf>>(plain: impl IntoIterator<Item = P>, containerd: impl IntoIterator<Item = P>) -> Self {
        let plain = plain.into_iter().map(|dir| Root { dir: dir.into(), runtime: Runtime::Runc });
        let containerd = containerd.into_iter().map(|dir| Root { dir: dir.into(), runtime: Runtime::Containerd });
        Self { roots: plain.chain(containerd).collect() }
    }

    /// The container that a cgroup's path belongs to by the records of its runtime. To be asked if
    /// [`container`](super::container) knows none; a look at a few directories for each part of the path.
    pub fn container(&self, path: impl AsRef<[u8]>) -> Option<ContainerRef> {
        let path = str::from_utf8(path.as_ref()).ok()?;
        let mut parent = "";
        let mut end = 0;
        for part in path.split('/') {
            end += part.len();
            // The outermost, as for paths that tell.
            let below_root = path.get(..end)?;
            end += 1;
            if is_id(part)
                && let Some(runtime) = self.of_part(below_root, parent, part)
            {
                return Some(ContainerRef { runtime, id: part.to_owned(), pod: None, user: None });
            }
            parent = part;
        }
        None
    }

    fn of_part(&self, path: &str, parent: &str, id: &str) -> Option<Runtime> {
        self.roots.iter().find_map(|root| {
            let dir = match root.runtime {
                Runtime::Containerd => is_id(parent).then(|| root.dir.join(parent))?.join(id),
                _ => root.dir.join(id),
            };
            if !dir.is_dir() {
                return None;
            }
            let is_its = match Record::read(&dir) {
                Ok(record) => record.is_in(path),
                // Being made. Only the host's runtimes write here, and a user's session is none of theirs.
                Err(LookupError::NotKnown) => !path.starts_with("/user.slice/"),
                Err(_) => false,
            };
            is_its.then_some(root.runtime)
        })
    }

    /// What the container runs, by the annotations of its bundle: the one that it is made from, if that is known, or the
    /// one that its runtime's records name.
    pub(super) fn find(&self, who: &ContainerRef, bundle: Option<&Path>) -> Result<Workload, LookupError> {
        if !is_id(&who.id) {
            return Err(LookupError::NotKnown);
        }
        let mut failure = LookupError::Absent;
        if let Some(bundle) = bundle {
            let spec = read_record::<Spec>(&bundle.join("config.json"));
            match spec.and_then(|spec| annotated(&spec.annotations.into_iter().collect::<Vec<_>>(), &who.id)) {
                Ok(workload) => return Ok(workload),
                Err(other) => failure = failure.or(other),
            }
        }
        for root in self.roots.iter().filter(|root| root.dir.is_dir()) {
            failure = failure.or(LookupError::NotKnown);
            let dirs = match root.runtime {
                Runtime::Containerd => read_names(&root.dir).iter().map(|ns| root.dir.join(ns).join(&who.id)).collect(),
                _ => vec![root.dir.join(&who.id)],
            };
            for dir in dirs {
                match Record::read(&dir).and_then(|record| annotated(&record.annotations(), &who.id)) {
                    Ok(workload) => return Ok(workload),
                    Err(other) => failure = failure.or(other),
                }
            }
        }
        Err(failure)
    }
}

/// The parts that matter of runc's `state.json` and crun's `status`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    cgroup_paths: std::collections::BTreeMap<String, String>,
    config: Config,
    #[serde(rename = "cgroup-path")]
    cgroup_path: Option<String>,
    bundle: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    /// The bundle's annotations and more, each as `key=value`.
    labels: Vec<String>,
}

/// The parts that matter of a bundle's `config.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    annotations: std::collections::BTreeMap<String, String>,
}

impl Record {
    fn read(dir: &Path) -> Result<Self, LookupError> {
        read_record(&dir.join("state.json")).or_else(|failure| match failure {
            LookupError::NotKnown => read_record(&dir.join("status")),
            _ => Err(failure),
        })
    }

    /// Whether the container's cgroup is the one at this path, in any hierarchy.
    fn is_in(&self, path: &str) -> bool {
        let full = self.cgroup_paths.values().chain(&self.cgroup_path);
        full.map(|full| full.strip_suffix('/').unwrap_or(full)).any(|full| full.ends_with(path))
    }

    fn annotations(&self) -> Vec<(String, String)> {
        let labels = self.config.labels.iter().filter_map(|label| label.split_once('='));
        let mut all: Vec<_> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        if let Some(bundle) = &self.bundle
            && let Ok(spec) = read_record::<Spec>(&bundle.join("config.json"))
        {
            all.extend(spec.annotations);
        }
        all
    }
}

/// The workload that annotations name.
fn annotated(annotations: &[(String, String)], id: &str) -> Result<Workload, LookupError> {
    let get = |key: &str| annotations.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
    let first = |keys: &[&str]| keys.iter().find_map(|key| get(key));
    // The runtimes of Kubernetes; then OCI's own, of which `ref.name` may be a whole reference or but a tag.
    let reference = first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]);
    let oci = get("org.opencontainers.image.ref.name");
    let title = get("org.opencontainers.image.title");
    let whole = oci.filter(|name| title.is_none() || name.contains(['/', ':', '@']));
    let workload = match (reference.or(whole), title) {
        (Some(reference), _) => Workload::of_image(reference),
        (None, Some(title)) => {
            let tag = oci.or_else(|| get("org.opencontainers.image.version")).unwrap_or("latest");
            Workload { image: title.to_owned(), tag: tag.to_owned(), ..Workload::default() }
        }
        (None, None) => return Err(LookupError::NoImage),
    };
    let owned = |keys: &[&str]| first(keys).map(str::to_owned);
    Ok(Workload {
        name: owned(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name"])
            .or_else(|| Some(id.to_owned())),
        pod: owned(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
        namespace: owned(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]),
        ..workload
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_plain_path_is_a_container_if_a_record_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let bundles = Bundles::new([dir.path().join("runc"), dir.path().join("crun")], [dir.path().join("ctr")]);
        let write = |at: &str, text: &str| {
            let file = dir.path().join(at);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(
            "runc/c1/state.json",
            r#"{"id":"c1","cgroup_paths":{"":"/sys/fs/cgroup/unified/c1","pids":"/sys/fs/cgroup/pids/c1"}}"#,
        );
        write("runc/deep/state.json", r#"{"cgroup_paths":{"":"/sys/fs/cgroup/a/b/deep/"}}"#);
        write("runc/broken/state.json", "{");
        write("runc/file", "");
        write("crun/c2/status", r#"{"cgroup-path":"/c2","bundle":"/b"}"#);
        write("ctr/default/c3/state.json", r#"{"cgroup_paths":{"pids":"/sys/fs/cgroup/pids/default/c3"}}"#);
        fs::create_dir_all(dir.path().join("runc/making")).unwrap();
        for (path, found) in [
            ("/c1", Some((Runtime::Runc, "c1"))),
            ("/c1/system.slice/x.service", Some((Runtime::Runc, "c1"))),
            ("/c2", Some((Runtime::Runc, "c2"))),
            ("/default/c3", Some((Runtime::Containerd, "c3"))),
            ("/a/b/deep", Some((Runtime::Runc, "deep"))),
            ("/making", Some((Runtime::Runc, "making"))),
            ("/a/making/x", Some((Runtime::Runc, "making"))),
            // Another cgroup of the same name.
            ("/x/c1", None),
            ("/xc1", None),
            ("/user.slice/user-1000.slice/c1", None),
            ("/user.slice/user-1000.slice/making", None),
            ("/c3", None),
            ("/other/c3", None),
            ("/broken", None),
            ("/file", None),
            ("/none", None),
            ("/", None),
            ("", None),
            ("/..", None),
            ("/../runc/c1", None),
            ("/./c1", None),
        ] {
            let reported = bundles.container(path);
            assert_eq!(reported.as_ref().map(|c| (c.runtime, c.id.as_str())), found, "{path}");
        }
        assert_eq!(bundles.container(b"/\xff"), None);
    }

    #[test]
    fn annotations_name_the_image() {
        const REF: &str = "org.opencontainers.image.ref.name";
        const TITLE: &str = "org.opencontainers.image.title";
        for (annotations, named) in [
            (
                &[("io.kubernetes.cri.image-name", "docker.io/library/nginx:1")][..],
                Some(("docker.io/library/nginx", "1")),
            ),
            (&[("io.kubernetes.cri-o.ImageName", "quay.io/a/b:2"), (REF, "x")], Some(("quay.io/a/b", "2"))),
            (&[(REF, "localhost/bb:1")], Some(("localhost/bb", "1"))),
            (&[(REF, "localhost/bb:1"), (TITLE, "x")], Some(("localhost/bb", "1"))),
            (&[(REF, "1.2"), (TITLE, "bb")], Some(("bb", "1.2"))),
            (&[("org.opencontainers.image.version", "3"), (TITLE, "bb")], Some(("bb", "3"))),
            (&[(TITLE, "bb")], Some(("bb", "latest"))),
            (&[(REF, "bb")], Some(("bb", "latest"))),
            (&[(REF, ""), ("bundle", "/b")], None),
            (&[], None),
        ] {
            let owned: Vec<_> = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let found = annotated(&owned, "c1");
            assert_eq!(found.as_ref().ok().map(|w| (w.image.as_str(), w.tag.as_str())), named, "{annotations:?}");
        }
    }
}
