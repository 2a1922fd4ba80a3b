//! What runtimes leave behind: directories that they make for all their containers together and never take away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{cgroup_root, dirs_in};

/// Cgroups of Docker, containerd's namespace `default`, Podman and Kubernetes, in every hierarchy.
const CGROUPS: [&str; 4] = ["docker", "default", "libpod_parent", "kubepods"];

/// Directories, of which the empty ones go.
const DIRS: [&str; 6] =
    ["/run/runc", "/run/containerd", "/run/docker", "/var/lib/containers", "/var/lib/cni", "/etc/cni"];

/// Podman's, wherever its storage is.
const FILES: [&str; 3] =
    ["/dev/shm/libpod_lock", "/var/lib/containers/cache/blob-info-cache-v1.boltdb", "/etc/cni/net.d/cni.lock"];

/// While there is one of these, runtimes are in use. With the last one goes what was not there before the first.
pub(super) struct Traces(());

struct Use {
    users: usize,
    before: BTreeSet<PathBuf>,
}

/// Whoever begins waits for whoever cleans up: no runtime may lose the directory that it just made.
static USE: Mutex<Use> = Mutex::new(Use { users: 0, before: BTreeSet::new() });

impl Traces {
    pub(super) fn note() -> Self {
        let mut used = USE.lock().unwrap_or_else(PoisonError::into_inner);
        if used.users == 0 {
            used.before = there();
        }
        used.users += 1;
        Self(())
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let mut used = USE.lock().unwrap_or_else(PoisonError::into_inner);
        used.users -= 1;
        if used.users > 0 {
            return;
        }
        // A cgroup goes once its last process has; that may take a moment.
        let began = Instant::now();
        loop {
            let left: Vec<PathBuf> = there().difference(&used.before).cloned().collect();
            if left.is_empty() || began.elapsed() > Duration::from_secs(5) {
                return;
            }
            // What is below goes first.
            for path in left.iter().rev() {
                let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// All of the above that is there.
fn there() -> BTreeSet<PathBuf> {
    let mut all: BTreeSet<PathBuf> = FILES.iter().map(PathBuf::from).filter(|file| file.exists()).collect();
    let hierarchies = dirs_in(Path::new("/sys/fs/cgroup")).into_iter().chain([PathBuf::from(cgroup_root())]);
    let cgroups = hierarchies.flat_map(|hierarchy| CGROUPS.map(|name| hierarchy.join(name)));
    let mut open: Vec<PathBuf> = cgroups.chain(DIRS.map(PathBuf::from)).filter(|dir| dir.is_dir()).collect();
    while let Some(dir) = open.pop() {
        open.extend(dirs_in(&dir));
        all.insert(dir);
    }
    all
}
