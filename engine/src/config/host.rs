//! What the defaults are sized from: the processors and the memory this process may use.
//!
//! Limits set by cgroups count as the host's: in a container with 512 MiB there are 512 MiB, whatever the machine has.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What this process may use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Processors, at least 1: the affinity mask and a cgroup's CPU quota taken into account.
    pub cores: usize,
    /// Memory in bytes: the least of the machine's, of the cgroup limits above this process, and of its own limits of
    /// address space and data; `None` where none of them can be read.
    pub memory_bytes: Option<u64>,
}

impl Host {
    /// Looks at the machine. What cannot be read counts as one core and unknown memory.
    pub fn detect() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(Path::new("/")),
        }
    }
}

/// The memory that a process whose file system begins at `root` may use.
fn memory_bytes(root: &Path) -> Option<u64> {
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = cgroups.lines().filter_map(|line| cgroup_limit(root, line));
    limits.chain(own_limits(root)).chain(machine_memory(root)).min()
}

/// What `ulimit -v` and `ulimit -d` leave to this process, by `/proc/self/limits`: beyond, an allocation fails.
fn own_limits(root: &Path) -> Vec<u64> {
    let limits = fs::read_to_string(root.join("proc/self/limits")).unwrap_or_default();
    let soft = |line: &str| {
        let values = ["Max address space", "Max data size"].into_iter().find_map(|name| line.strip_prefix(name))?;
        values.split_ascii_whitespace().next()?.parse().ok()
    };
    limits.lines().filter_map(soft).collect()
}

/// `MemTotal` of `/proc/meminfo`.
fn machine_memory(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least memory limit from the cgroup of one line of `/proc/self/cgroup` (`ID:CONTROLLERS:PATH`) upwards.
///
/// In a container the path may be the one that the host sees while only the container's own part is mounted; the way
/// up ends at the mount's root, which then is the container's cgroup.
fn cgroup_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (mount, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|c| c == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let mount = root.join(mount);
    let below: PathBuf = Path::new(path).components().filter(|c| matches!(c, Component::Normal(_))).collect();
    let limit_of = |dir: &Path| fs::read_to_string(mount.join(dir).join(file)).ok()?.trim().parse::<u64>().ok();
    below.ancestors().filter_map(limit_of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `memory_bytes` makes of a file system with these files.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<u64>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(memory_bytes(root.path()), expected, "{files:?}");
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        1000 kB\nMemFree:  1 kB\n");

    #[test]
    fn without_limits_it_is_the_machines() {
        check(&[], None);
        check(&[MEMINFO], Some(1_024_000));
        check(&[("proc/meminfo", "rubbish")], None);
        check(&[MEMINFO, ("proc/self/cgroup", "0::/\n")], Some(1_024_000));
    }

    #[test]
    fn version_2_takes_the_least_of_all_levels() {
        let cgroup = ("proc/self/cgroup", "0::/a/b/c\n");
        let (top, a) = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/a/memory.max");
        let (b, c) = ("sys/fs/cgroup/a/b/memory.max", "sys/fs/cgroup/a/b/c/memory.max");
        check(&[MEMINFO, cgroup, (a, "max\n"), (b, "5000\n"), (c, "9000\n")], Some(5000));
        check(&[MEMINFO, cgroup, (a, "max\n"), (c, "max\n")], Some(1_024_000));
        check(&[MEMINFO, cgroup, (c, "9999999999999\n")], Some(1_024_000));
        // Inside a container: the path is not there, the root of the mount is the container's own.
        check(&[MEMINFO, cgroup, (top, "7000\n")], Some(7000));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let cgroup = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x/y\n0::/x\n");
        let (root, y) =
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/x/y/memory.limit_in_bytes");
        let unlimited = "9223372036854771712\n";
        check(&[MEMINFO, cgroup, (root, unlimited), (y, "3000\n")], Some(3000));
        check(&[MEMINFO, cgroup, (root, unlimited), (y, unlimited)], Some(1_024_000));
    }

    #[test]
    fn odd_lines_and_paths_are_passed_over() {
        let limit = ("sys/fs/cgroup/a/memory.max", "3000");
        check(&[MEMINFO, limit, ("proc/self/cgroup", "\n:\n0:\n0::\nx\n0::/../../a\n")], Some(3000));
        check(&[MEMINFO, limit, ("proc/self/cgroup", "0::/a"), ("sys/fs/cgroup/memory.max", "-1")], Some(3000));
    }

    #[test]
    fn a_limit_of_the_process_itself_counts() {
        let limits = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max cpu time              5                    unlimited            seconds\n\
                 Max data size             {data:<20} unlimited            bytes\n\
                 Max address space         {space:<20} 9000                 bytes\n"
            )
        };
        for (space, data, expected) in [
            ("unlimited", "unlimited", 1_024_000),
            ("4000", "unlimited", 4000),
            ("unlimited", "3000", 3000),
            ("4000", "3000", 3000),
            ("9999999999", "9999999999", 1_024_000),
        ] {
            check(&[MEMINFO, ("proc/self/limits", &limits(space, data))], Some(expected));
        }
    }

    #[test]
    fn this_machine_has_at_least_one_core() {
        assert!(Host::detect().cores >= 1);
    }
}
