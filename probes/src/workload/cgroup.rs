//! From a cgroup's path to the container that it belongs to, by the path alone.
//!
//! A path has one name for each container runtime, cgroup driver and nesting, and whoever may make a cgroup chooses
//! the last part of it. So only whole, known shapes count, and of several containers in one path it is the
//! **outermost**: the host's own runtime made that cgroup and can be asked about it, while the parts below were named
//! from within. What runs in a container that another container started belongs to the latter, as it does for
//! whoever started that one.
//!
//! Not here: containers whose name is any word, as plain runc's are: no path can tell `/c1` from a service of that
//! name, so [`Bundles`](super::Bundles) asks the runtime's own records. A set of processes that no runtime
//! calls a container (a build step of BuildKit, an LXC or nspawn machine) is none here either.

use std::fmt;

#[cfg(test)]
mod tests;

/// Who made a container, as far as its cgroup tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd: Kubernetes, `nerdctl` and `ctr`.
    Containerd,
    /// CRI-O.
    Crio,
    /// Podman.
    Podman,
    /// `runc` or `crun`, used without any of the above.
    Runc,
    /// Some runtime: the path has a container's id, but not whose.
    Unknown,
}

impl Runtime {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
            Self::Runc => "runc",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A container, as its cgroup names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerRef {
    /// The container runtime that made it.
    pub runtime: Runtime,
    /// The id by which that runtime knows it: ASCII letters, digits, `.`, `_`, `+` and `-`, at most [`ID_MAX`].
    pub id: String,
    /// The UID of its Kubernetes pod.
    pub pod: Option<String>,
    /// The user in whose session it runs. Only that user's runtime may name it: a user can call a cgroup of their own
    /// by the id of any container of the host.
    pub user: Option<u32>,
}

/// The longest id of a container, in bytes.
pub const ID_MAX: usize = 128;

/// The container that a cgroup's path belongs to. The path is below the mount, as in `/proc/PID/cgroup`.
///
/// `None` is the host itself, or a container that only its runtime's records can tell.
pub fn container(path: impl AsRef<[u8]>) -> Option<ContainerRef> {
    let path = path.as_ref();
    let mut around = PathContext::default();
    for part in path.strip_suffix(b" (deleted)").unwrap_or(path).split(|b| *b == b'/') {
        // What is not UTF-8 was named by no runtime.
        let part = str::from_utf8(part).unwrap_or_default();
        if let Some((runtime, id)) = around.named(part) {
            return Some(ContainerRef { runtime, id: id.to_owned(), pod: around.pod, user: around.user });
        }
        around.enter(part);
    }
    None
}

/// The path to judge a process by, from the text of its `/proc/PID/cgroup`: that of cgroup v2, unless the runtime uses
/// version 1 and only there the process is in a container.
pub fn process_path(text: &[u8]) -> Option<&[u8]> {
    let paths = || {
        text.split(|b| *b == b'\n').filter_map(|line| {
            let mut fields = line.splitn(3, |b| *b == b':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((controllers.is_empty(), path))
        })
    };
    let unified = paths().find_map(|(unified, path)| unified.then_some(path));
    unified
        .filter(|path| container(path).is_some())
        .or_else(|| paths().map(|(_, path)| path).find(|path| container(path).is_some()))
        .or(unified)
        .or_else(|| paths().map(|(_, path)| path).next())
}

/// Whether `id` is one that a runtime gives: 64 lower-case hexadecimal digits.
pub(super) fn is_long_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether `id` is one that runc and containerd accept from a user.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_MAX
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        && !id.bytes().all(|b| b == b'.')
}

/// What the parts of a path so far tell about the next.
#[derive(Default)]
struct PathContext<'a> {
    parent: &'a str,
    pod: Option<String>,
    user: Option<u32>,
    in_kubepods: bool,
}

impl<'a> PathContext<'a> {
    /// The container that a part names.
    fn named<'p>(&mut self, part: &'p str) -> Option<(Runtime, &'p str)> {
        // A runtime with the cgroupfs driver that was given a path for systemd's makes it one part: slice:prefix:id.
        if let Some((slice, rest)) = part.split_once(':') {
            let (prefix, id) = rest.split_once(':')?;
            self.pod = self.pod.take().or_else(|| pod_of_slice(slice));
            return is_long_id(id).then(|| of_prefix(prefix)).flatten().map(|runtime| (runtime, id));
        }
        let (name, is_scope) = match part.strip_suffix(".scope") {
            Some(name) => (name, true),
            None => (part, false),
        };
        if is_long_id(name) {
            return self.bare(is_scope).map(|runtime| (runtime, name));
        }
        if let Some((prefix, id)) = name.rsplit_once('-').filter(|(_, id)| is_long_id(id)) {
            // Without systemd only these two put their name before the id.
            let known = is_scope || matches!(prefix, "libpod" | "libpod-payload" | "crio");
            return known.then(|| of_prefix(prefix)).flatten().map(|runtime| (runtime, id));
        }
        // With systemd's driver plain runc and crun say that it is theirs, so any id will do.
        let id =
            name.strip_prefix("runc-").or_else(|| name.strip_prefix("crun-")).filter(|id| is_scope && is_id(id))?;
        Some((Runtime::Runc, id))
    }

    /// Whose container a part is that is nothing but a long id.
    fn bare(&self, is_scope: bool) -> Option<Runtime> {
        match self.parent {
            _ if is_scope => None,
            "docker" => Some(Runtime::Docker),
            // A pod of Podman, its containers are below.
            "libpod_parent" => None,
            _ => Some(Runtime::Unknown),
        }
    }

    fn enter(&mut self, part: &'a str) {
        if part.is_empty() || part == ".." {
            return;
        }
        self.in_kubepods |= part.contains("kubepods");
        if self.in_kubepods {
            let pod = part.strip_prefix("pod").filter(|uid| is_pod_uid(uid)).map(str::to_owned);
            self.pod = pod.or_else(|| pod_of_slice(part)).or(self.pod.take());
        }
        // The outermost again: below it a user may make a `user.slice/user-0.slice` of their own.
        if self.user.is_none() && self.parent == "user.slice" {
            let user = part.strip_prefix("user-").and_then(|rest| rest.strip_suffix(".slice"));
            self.user = user.and_then(|uid| uid.parse().ok());
        }
        self.parent = part;
    }
}

/// Whose prefix this is; `None` for what is beside a container but not in it.
fn of_prefix(prefix: &str) -> Option<Runtime> {
    match prefix {
        "docker" => Some(Runtime::Docker),
        "cri-containerd" | "nerdctl" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::Crio),
        "libpod" | "libpod-payload" => Some(Runtime::Podman),
        "runc" | "crun" => Some(Runtime::Runc),
        "" => None,
        _ if prefix.ends_with("conmon") || prefix.ends_with("init") => None,
        _ => Some(Runtime::Unknown),
    }
}

/// The UID in `kubepods-burstable-pod2b8c9c0f_6a1b_….slice`, where systemd wants `_` for `-`.
fn pod_of_slice(slice: &str) -> Option<String> {
    let (_, uid) = slice.strip_suffix(".slice")?.rsplit_once("-pod")?;
    is_pod_uid(uid).then(|| uid.replace('_', "-"))
}

/// A UUID, or the hash by which static pods are named.
fn is_pod_uid(uid: &str) -> bool {
    (32..=36).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_')
}
