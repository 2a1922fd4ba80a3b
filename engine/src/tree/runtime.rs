//! Which program is the container runtime's, where the source does not say: its name and the place where it lies.
//!
//! Anybody may give a file such a name, so a name alone decides nothing. Not here: whether the process that runs it
//! comes from the workload (`lineage`).

/// What the programs of runtimes are called.
const NAMES: [&str; 5] = ["runc", "crun", "youki", "conmon", "docker-runc"];

/// How the names of others begin.
const NAME_START: &str = "containerd-shim";

/// Directories that hosts have them in.
const DIRECTORIES: [&str; 6] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"];

/// Directories that hosts have them below, at any depth.
const TREES: [&str; 4] = ["/usr/libexec", "/usr/lib", "/var/lib/rancher", "/snap"];

/// How sources tell of processes of a runtime whose program they have no path of: by the names that runc gives to its
/// own processes (`runc:[2:INIT]`), and by names of their own in that form.
const STAGES: [&[u8]; 2] = [b"runc:[", b"/runc:["];

/// Whether a program is the runtime's by all that its path can tell: `raw` as the source gave it, `resolved` as the
/// container sees it, if it can be resolved.
pub(super) fn is_named_as_one(raw: &[u8], resolved: Option<&str>) -> bool {
    // Nothing but such a name: what stands behind a slash would be the program.
    if STAGES.iter().any(|stage| raw.strip_prefix(*stage).is_some_and(|name| !name.contains(&b'/'))) {
        return true;
    }
    let Some((dir, name)) = resolved.and_then(|path| path.rsplit_once('/')) else { return false };
    let below = |tree: &&str| dir.strip_prefix(*tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (NAMES.contains(&name) || name.starts_with(NAME_START)) && (DIRECTORIES.contains(&dir) || TREES.iter().any(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_place_make_a_runtime_and_neither_does_alone() {
        for path in [
            "/usr/bin/runc",
            "/usr/sbin/crun",
            "/usr/local/bin/youki",
            "/usr/local/sbin/runc",
            "/bin/docker-runc",
            "/sbin/runc",
            "/usr/libexec/crun",
            "/usr/libexec/podman/conmon",
            "/usr/lib/cri-o-runc/sbin/runc",
            "/usr/bin/containerd-shim",
            "/usr/bin/containerd-shim-runc-v2",
            "/var/lib/rancher/k3s/data/current/bin/containerd-shim-runc-v2",
            "/snap/docker/2904/bin/runc",
        ] {
            assert!(is_named_as_one(path.as_bytes(), Some(path)), "{path}");
        }
        for path in [
            "/runc",
            "/tmp/runc",
            "/usr/bin/x/runc",
            "/usr/local/lib/runc",
            "/opt/bin/runc",
            "/usr/libexecutables/runc",
            "/var/lib/rancherx/runc",
            "/usr/bin/runcible",
            "/usr/bin/crun.sh",
            "/usr/bin/my-containerd-shim",
            "/usr/bin/runc/app",
            "/proc/self/exe/runc:[1:CHILD]",
            "/bin/runc:[2:INIT]",
            "/runc:[2:INIT]/evil",
            "runc",
        ] {
            assert!(!is_named_as_one(path.as_bytes(), Some(path)), "{path}");
        }
        assert!(is_named_as_one(b"runc:[2:INIT]", None) && is_named_as_one(b"/runc:[joined]", Some("/runc:[joined]")));
        // Where it lies, what it resolves to says.
        assert!(!is_named_as_one(b"/runc:[2:INIT]/../tmp/evil", Some("/tmp/evil")));
        assert!(!is_named_as_one(b"/usr/bin/../../tmp/runc", Some("/tmp/runc")));
        assert!(is_named_as_one(b"../usr/bin/runc", Some("/usr/bin/runc")));
        assert!(!is_named_as_one(b"runc", None));
    }
}
