//! The kernel's cgroup ids and the paths they stand for, with cgroups made for it.

#[path = "common/containers.rs"]
mod containers;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use grove_probes::workload::{Cgroups, PathUnavailable};

struct Made(Vec<PathBuf>);

impl Made {
    fn new(name: &str) -> Self {
        let top = PathBuf::from(containers::cgroup_root()).join(format!("grove test {name} {}", std::process::id()));
        let made = Self(vec![top.clone(), top.join("a"), top.join("a").join("b")]);
        for dir in &made.0 {
            fs::create_dir(dir).unwrap();
        }
        made
    }

    fn id(&self, at: usize) -> u64 {
        fs::metadata(&self.0[at]).unwrap().ino()
    }

    fn path(&self, at: usize) -> String {
        let root = containers::cgroup_root();
        self.0[at].to_str().unwrap().strip_prefix(&root).unwrap().to_owned()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            let _ = fs::remove_dir(dir);
        }
    }
}

fn text(path: &[u8]) -> String {
    String::from_utf8(path.to_vec()).unwrap()
}

#[test]
fn an_id_becomes_a_path_and_stays_one() {
    if !containers::have(&[]) {
        return;
    }
    let made = Made::new("ids");
    let mut cgroups = Cgroups::open(16).unwrap();
    let (known, late) = (made.id(2), made.id(1));
    assert_eq!(text(&cgroups.path(known).unwrap()), made.path(2));
    let root = cgroups.root_id().unwrap();
    assert_eq!(text(&cgroups.path(root).unwrap()), "/");

    let paths = (made.path(1), made.path(2));
    drop(made);
    assert_eq!(text(&cgroups.path(known).unwrap()), paths.1, "it was asked for in time");
    assert!(matches!(cgroups.path(late), Err(PathUnavailable::Removed)));
    assert!(matches!(cgroups.path(u64::MAX), Err(PathUnavailable::Removed)));
    cgroups.learn(late, paths.0.as_bytes());
    assert_eq!(text(&cgroups.path(late).unwrap()), paths.0, "the kernel had told");
}

#[test]
fn no_more_paths_are_remembered_than_allowed() {
    if !containers::have(&[]) {
        return;
    }
    let mut cgroups = Cgroups::open(2).unwrap();
    for id in 1..=3 {
        cgroups.learn(u64::MAX - id, b"/x");
    }
    assert!(matches!(cgroups.path(u64::MAX - 1), Err(PathUnavailable::Removed)), "the oldest went");
    assert_eq!(text(&cgroups.path(u64::MAX - 2).unwrap()), "/x");
    assert_eq!(text(&cgroups.path(u64::MAX - 3).unwrap()), "/x");
}

#[test]
fn a_walk_finds_every_cgroup_parents_first() {
    if !containers::have(&[]) {
        return;
    }
    let made = Made::new("walk");
    let mut cgroups = Cgroups::open(10_000).unwrap();
    let walk = cgroups.walk().unwrap();
    assert_eq!(walk.left_out, 0);
    let at = |path: &str| walk.cgroups.iter().position(|c| *c.path == *path.as_bytes());
    assert_eq!(at("/"), Some(0));
    for n in 0..3 {
        let found = at(&made.path(n)).unwrap_or_else(|| panic!("{}", made.path(n)));
        assert_eq!(walk.cgroups[found].id, made.id(n));
    }
    assert!(at(&made.path(0)) < at(&made.path(1)) && at(&made.path(1)) < at(&made.path(2)));

    let few = Cgroups::open(1).unwrap().walk().unwrap();
    assert_eq!(few.cgroups.len(), 1);
    assert!(few.left_out > 0, "of three that are there at the least");

    let (id, path) = (made.id(2), made.path(2));
    drop(made);
    assert_eq!(text(&cgroups.path(id).unwrap()), path, "what the walk found is remembered");
}
