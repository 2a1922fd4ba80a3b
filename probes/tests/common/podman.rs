//! Podman, with storage of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::traces::Traces;
use super::{BUSYBOX, command, done, import, stop, text, unmount_below, wait_for};

/// Podman with storage of its own.
pub struct Podman {
    dir: TempDir,
    service: Option<Child>,
    /// The last to go.
    _traces: Traces,
}

impl Podman {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] = [("podman", "podman"), ("runc", "runc"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2`.
    pub fn new() -> Self {
        let traces = Traces::note();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let conf = "[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=4096:4096\"]\n[engine]\n\
                    cgroup_manager=\"cgroupfs\"\nruntime=\"runc\"\nevents_logger=\"none\"\n";
        fs::write(dir.path().join("containers.conf"), conf).expect("containers.conf");
        let podman = Self { dir, service: None, _traces: traces };
        import(podman.dir.path(), |args| drop(podman.run(args)));
        podman
    }

    fn command(&self) -> Command {
        let mut podman = command("podman");
        let at = |name: &str| self.dir.path().join(name);
        podman.arg("--root").arg(self.storage()).arg("--runroot").arg(at("run")).arg("--tmpdir").arg(at("tmp"));
        podman.env("CONTAINERS_CONF", at("containers.conf"));
        podman
    }

    /// Runs one of its commands and gives what it prints.
    pub fn run(&self, args: &[&str]) -> String {
        text(&done(self.command().args(args)))
    }

    /// Where images and containers are.
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }

    /// Starts its service and gives the socket.
    pub fn serve(&mut self) -> PathBuf {
        let socket = self.dir.path().join("podman.sock");
        let service = self
            .command()
            .args(["system", "service", "--time=0", &format!("unix://{}", socket.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.service = Some(service.expect("podman's service"));
        wait_for("podman's socket", || socket.exists().then_some(()));
        socket
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            stop(service);
        }
        let _ = self.command().args(["rm", "-fa", "-t", "0"]).output();
        // What cleans up after each container works on, and would make and mount the directory again.
        let began = Instant::now();
        while is_named(self.dir.path()) && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        unmount_below(self.dir.path());
    }
}

/// Whether any process has this directory among its arguments.
fn is_named(dir: &Path) -> bool {
    let dir = dir.to_string_lossy();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.any(|arguments| String::from_utf8_lossy(&arguments).contains(&*dir))
}
