//! From the kernel's cgroup ids to paths below the mount of cgroup v2.
//!
//! The id is the inode number of the cgroup's directory. While the directory is there the kernel finds it by that
//! number; afterwards only what was remembered can tell, so paths are kept, up to a limit.
//!
//! Not here: whose cgroup it is.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::handle::open_kernfs;

/// How many paths are remembered unless told otherwise.
pub const CGROUPS_MAX: usize = 65_536;

/// The cgroups of cgroup v2, by id.
#[derive(Debug)]
pub struct Cgroups {
    mount: File,
    root: PathBuf,
    known: HashMap<u64, Arc<[u8]>>,
    /// The ids of `known`, oldest first.
    order: VecDeque<u64>,
    known_max: usize,
    /// Those of them that are gone, oldest first.
    gone: VecDeque<u64>,
}

/// How many of those that are gone are remembered.
const GONE_MAX: usize = 1024;

/// A cgroup and its path below the mount, `/` for the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The kernel's id.
    pub id: u64,
    /// The path, as in `/proc/PID/cgroup`.
    pub path: Arc<[u8]>,
}

/// What a walk of the tree found.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Parents before children.
    pub cgroups: Vec<Cgroup>,
    /// Cgroups that were not looked into: too many, too deep, or not readable.
    pub left_out: u64,
}

/// Cgroups nested deeper than this are left out of a walk.
const DEPTH_MAX: usize = 64;

/// Why the path of a cgroup id is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathUnavailable {
    /// The cgroup is gone, and was not known before.
    #[error("the cgroup was removed before its path was asked for")]
    Removed,
    /// The kernel's answer is no path below the mount.
    #[error("the cgroup is outside of the mounted tree")]
    Outside,
    /// The kernel refused.
    #[error("the cgroup's path could not be asked for: {0}; it needs CAP_DAC_READ_SEARCH")]
    Refused(#[from] io::Error),
}

impl Cgroups {
    /// The tree that is mounted on this host, remembering at most `known_max` paths.
    ///
    /// # Errors
    /// Cgroup v2 is not mounted, or its root cannot be opened.
    pub fn open(known_max: usize) -> io::Result<Self> {
        let mounts = fs::read("/proc/self/mountinfo")?;
        let root = mount_point(&mounts).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "cgroup v2 is not mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        })?;
        let mount = File::open(&root)?;
        Ok(Self {
            mount,
            root,
            known: HashMap::new(),
            order: VecDeque::new(),
            known_max: known_max.max(1),
            gone: VecDeque::new(),
        })
    }

    /// Where the tree is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The root's id.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn root_id(&self) -> io::Result<u64> {
        Ok(self.mount.metadata()?.ino())
    }

    /// The path of a cgroup. One system call or two if it was not asked for before.
    ///
    /// # Errors
    /// It is gone, or the kernel does not tell.
    pub fn path(&mut self, id: u64) -> Result<Arc<[u8]>, PathUnavailable> {
        if let Some(path) = self.known.get(&id) {
            return Ok(Arc::clone(path));
        }
        let dir = open_kernfs(self.mount.as_fd(), id).map_err(|e| match e.raw_os_error() {
            Some(libc::ESTALE | libc::ENOENT) => PathUnavailable::Removed,
            _ => PathUnavailable::Refused(e),
        })?;
        let full = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))?;
        let below = full.strip_prefix(&self.root).map_err(|_| PathUnavailable::Outside)?;
        let below = below.as_os_str().as_bytes();
        if below.ends_with(b" (deleted)") {
            return Err(PathUnavailable::Removed);
        }
        let path: Arc<[u8]> = [b"/", below].concat().into();
        self.learn(id, &path);
        Ok(path)
    }

    /// A cgroup is gone. Its path is forgotten in its turn: of what it still told, something may come after that.
    pub fn forget_later(&mut self, id: u64) {
        self.gone.push_back(id);
        if self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether a cgroup is there. True if that cannot be asked.
    pub fn is_there(&self, id: u64) -> bool {
        !matches!(open_kernfs(self.mount.as_fd(), id), Err(e) if matches!(e.raw_os_error(), Some(libc::ESTALE | libc::ENOENT)))
    }

    /// Remembers a path that the kernel told with the cgroup's creation.
    pub fn learn(&mut self, id: u64, path: &[u8]) {
        if self.known.insert(id, path.into()).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > 2 * self.known.len() + GONE_MAX {
            self.order.retain(|id| self.known.contains_key(id));
        }
        while self.known.len() > self.known_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Every cgroup that there is, up to the number that is remembered. They are remembered too.
    ///
    /// # Errors
    /// The root cannot be read.
    pub fn walk(&mut self) -> io::Result<Walk> {
        let mut walk = Walk::default();
        let mut level = vec![Cgroup { id: self.root_id()?, path: b"/".as_slice().into() }];
        for _ in 0..DEPTH_MAX {
            let mut below = Vec::new();
            for cgroup in &level {
                self.children(cgroup, &mut below, &mut walk.left_out);
            }
            walk.cgroups.append(&mut level);
            let budget = self.known_max.saturating_sub(walk.cgroups.len());
            walk.left_out += below.len().saturating_sub(budget) as u64;
            below.truncate(budget);
            level = below;
            if level.is_empty() {
                break;
            }
        }
        walk.left_out += level.len() as u64;
        for cgroup in &walk.cgroups {
            self.learn(cgroup.id, &cgroup.path);
        }
        Ok(walk)
    }

    fn children(&self, parent: &Cgroup, into: &mut Vec<Cgroup>, left_out: &mut u64) {
        let parent_path = parent.path.strip_suffix(b"/").unwrap_or(&parent.path);
        let dir = self.root.join(OsString::from_vec(parent_path.strip_prefix(b"/").unwrap_or(parent_path).to_vec()));
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // It went while the walk came.
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ENODEV) => return,
            Err(_) => {
                *left_out += 1;
                return;
            }
        };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let path = [parent_path, b"/", entry.file_name().as_bytes()].concat();
            into.push(Cgroup { id: entry.ino(), path: path.into() });
        }
    }
}

/// Where cgroup v2 is mounted, by `/proc/self/mountinfo`: the whole tree rather than a part of it.
fn mount_point(mounts: &[u8]) -> Option<PathBuf> {
    let points = || {
        mounts.split(|b| *b == b'\n').filter_map(|line| {
            let mut fields = line.split(|b| *b == b' ');
            let (root, point) = (fields.nth(3)?, fields.next()?);
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            (kind == b"cgroup2").then(|| (root == b"/", unescaped(point)))
        })
    };
    points().find(|(whole, _)| *whole).or_else(|| points().next()).map(|(_, point)| point)
}

/// A path of a mount table, in which blanks and backslashes are three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                path.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            _ => {
                path.push(*first);
                tail
            }
        };
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_the_whole_tree_is_found() {
        for (mounts, point) in [
            (
                "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
                Some("/sys/fs/cgroup"),
            ),
            (
                "40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw",
                Some("/sys/fs/cgroup/unified"),
            ),
            ("1 2 0:3 /part /a rw - cgroup2 c rw\n1 2 0:3 / /b rw - cgroup2 c rw\n", Some("/b")),
            ("1 2 0:3 /part /a rw - cgroup2 c rw\n", Some("/a")),
            ("1 2 0:3 / /a\\040b\\134c\\9 rw a b c - cgroup2 c rw\n", Some("/a b\\c\\9")),
            ("1 2 0:3 / /a rw - cgroup c rw\n", None),
            ("1 2 0:3 / /cgroup2 rw\n", None),
            ("garbage\n\n- cgroup2", None),
            ("", None),
        ] {
            assert_eq!(mount_point(mounts.as_bytes()), point.map(PathBuf::from), "{mounts}");
        }
    }
}
