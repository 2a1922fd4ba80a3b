//! Real container runtimes for tests: each with its own storage and sockets in a temporary directory, stopped and
//! cleaned up when dropped, as is what they leave behind elsewhere.
//!
//! Not here: what the tests look at.

// Each test crate uses what it needs of it.
#![allow(dead_code, unused_imports)]

mod child;
mod containerd;
mod docker;
mod image;
mod podman;
mod runc;
#[path = "../../../engine/tests/common/skips.rs"]
mod skips;
mod traces;

pub use child::{child, static_child};
pub use containerd::Containerd;
pub use docker::Docker;
pub use image::{Image, Registry};
pub use podman::Podman;
pub use runc::Runc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whether this is root and the programs are there, each named with its Debian package: those that are not are said,
/// and the test is skipped. `test.sh` installs them.
pub fn have(programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().filter(|(program, _)| find(program).is_none());
    let missing: Vec<_> = missing.map(|(program, package)| format!("{program} (Debian: {package})")).collect();
    match (is_root(), missing.as_slice()) {
        (true, []) => return true,
        (false, _) => skips::skipped("this needs root"),
        (true, missing) => skips::skipped(&format!("not installed: {}", missing.join(", "))),
    }
    false
}

/// Effective user id 0.
pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

fn find(program: &str) -> Option<PathBuf> {
    // Daemons are where a user's PATH may not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}

fn command(program: &str) -> Command {
    Command::new(find(program).unwrap_or_else(|| panic!("{program} is not installed")))
}

fn done(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until `found` is something.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `busybox-static` is needed as.
pub const BUSYBOX: (&str, &str) = ("busybox", "busybox-static");

/// A root file system with busybox in it.
pub struct Rootfs(TempDir);

impl Rootfs {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["bin", "etc", "proc", "dev", "sys", "tmp"] {
            fs::create_dir(dir.path().join(name)).expect(name);
        }
        fs::copy(find("busybox").expect("busybox"), dir.path().join("bin/busybox")).expect("busybox");
        for applet in ["sh", "sleep", "cat", "true", "ls"] {
            std::os::unix::fs::symlink("busybox", dir.path().join("bin").join(applet)).expect(applet);
        }
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// As an image's only layer.
    pub fn tar(&self, to: &Path) {
        done(command("tar").arg("-C").arg(self.path()).arg("-cf").arg(to).arg("."));
    }
}

/// Images `localhost/bb:1` and `localhost/bb:2` of one root file system, by the command `import` of `run`.
fn import(dir: &Path, run: impl Fn(&[&str])) {
    let tar = dir.join("rootfs.tar");
    Rootfs::new().tar(&tar);
    for tag in ["1", "2"] {
        let (label, name) = (format!("LABEL n={tag}"), format!("localhost/bb:{tag}"));
        run(&["import", "--change", &label, &tar.to_string_lossy(), &name]);
    }
}

/// Ends a daemon: asked first, then not.
fn stop(daemon: &mut Child) {
    let _ = Command::new("kill").arg(daemon.id().to_string()).status();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if !matches!(daemon.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// Takes away what is mounted below `dir`.
fn unmount_below(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for point in points.filter(|point| Path::new(point).starts_with(dir)).collect::<Vec<_>>().iter().rev() {
        let _ = Command::new("umount").args(["-l", point]).output();
    }
}

/// Where cgroup v2 is mounted.
pub fn cgroup_root() -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")).expect("cgroup v2 is mounted");
    line.split(' ').nth(1).expect("a mount point").to_owned()
}

/// The directories in a directory.
pub fn dirs_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
