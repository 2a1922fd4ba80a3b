//! Docker, with a daemon of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::traces::Traces;
use super::{BUSYBOX, command, done, import, stop, text, unmount_below, wait_for};

/// A Docker daemon of its own.
pub struct Docker {
    dir: TempDir,
    daemon: Child,
    /// The last to go.
    _traces: Traces,
}

impl Docker {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] =
        [("dockerd", "docker.io"), ("containerd", "containerd"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2`.
    pub fn new() -> Self {
        let traces = Traces::note();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let daemon = Self::daemon(dir.path());
        let docker = Self { dir, daemon, _traces: traces };
        docker.wait();
        import(docker.dir.path(), |args| drop(docker.run(args)));
        docker
    }

    fn daemon(dir: &Path) -> Child {
        let log = fs::File::create(dir.join("dockerd.log")).expect("a log");
        let mut dockerd = command("dockerd");
        dockerd.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
        dockerd.arg("--pidfile").arg(dir.join("pid")).arg("-H").arg(format!("unix://{}", dir.join("sock").display()));
        dockerd.args(["--bridge=none", "--iptables=false", "--ip-masq=false", "--storage-driver=vfs"]);
        dockerd.args(["--live-restore", "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        dockerd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("dockerd")
    }

    fn wait(&self) {
        wait_for("dockerd", || {
            let answer = self.command().arg("version").stdin(Stdio::null()).output();
            answer.is_ok_and(|output| output.status.success()).then_some(())
        });
    }

    fn command(&self) -> Command {
        let mut docker = command("docker");
        docker.arg("-H").arg(format!("unix://{}", self.socket().display()));
        docker
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// Runs one of its client's commands and gives what it prints.
    pub fn run(&self, args: &[&str]) -> String {
        text(&done(self.command().args(args)))
    }

    /// Stops the daemon, leaving containers as they are, does something, and starts it again.
    pub fn restart(&mut self, meanwhile: impl FnOnce()) {
        stop(&mut self.daemon);
        meanwhile();
        self.daemon = Self::daemon(self.dir.path());
        self.wait();
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let all = self.command().args(["ps", "-aq"]).output().map(|output| text(&output)).unwrap_or_default();
        if !all.is_empty() {
            let _ = self.command().args(["rm", "-f"]).args(all.lines()).output();
        }
        stop(&mut self.daemon);
        unmount_below(self.dir.path());
    }
}
