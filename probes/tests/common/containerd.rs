//! Containerd, its Kubernetes part included.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::traces::Traces;
use super::{BUSYBOX, Image, command, done, stop, text, unmount_below, wait_for};

/// A containerd of its own, its Kubernetes part included.
pub struct Containerd {
    dir: TempDir,
    daemon: Child,
    /// The last to go.
    _traces: Traces,
}

impl Containerd {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] = [("containerd", "containerd"), ("runc", "runc"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2` in the namespaces `default` and `k8s.io`.
    pub fn new() -> Self {
        let traces = Traces::note();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"localhost/bb:1\"\n\
             disable_apparmor = true\nrestrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\nsnapshotter = \"native\"\n",
            at("root"),
            at("state"),
            at("sock"),
            at("ttrpc")
        );
        fs::write(at("config.toml"), config).expect("a configuration");
        let log = fs::File::create(at("log")).expect("a log");
        let mut daemon = command("containerd");
        daemon.args(["--config", &at("config.toml")]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = daemon.spawn().expect("containerd");
        let containerd = Self { dir, daemon, _traces: traces };
        wait_for("containerd", || {
            let answer = containerd.command("default").arg("version").stdin(Stdio::null()).output();
            answer.is_ok_and(|output| output.status.success()).then_some(())
        });
        let archive = containerd.archive();
        for namespace in ["default", "k8s.io"] {
            let mut ctr = containerd.command(namespace);
            done(ctr.args(["images", "import", "--snapshotter", "native"]).arg(&archive));
        }
        containerd
    }

    /// An archive of one image with two names, as `docker save` writes them.
    fn archive(&self) -> PathBuf {
        let dir = self.dir.path().join("image");
        fs::create_dir(&dir).expect("image");
        Image::write(&dir);
        let manifest =
            r#"[{"Config":"config.json","RepoTags":["localhost/bb:1","localhost/bb:2"],"Layers":["layer.tar"]}]"#;
        fs::write(dir.join("manifest.json"), manifest).expect("a manifest");
        let archive = self.dir.path().join("image.tar");
        done(command("tar").arg("-C").arg(&dir).arg("-cf").arg(&archive).args([
            "manifest.json",
            "config.json",
            "layer.tar",
        ]));
        archive
    }

    fn command(&self, namespace: &str) -> Command {
        let mut ctr = command("ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", namespace]);
        ctr
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// Runs one of its client's commands and gives what it prints.
    pub fn run(&self, args: &[&str]) -> String {
        text(&done(self.command("default").args(args)))
    }

    /// Starts a container.
    pub fn start(&self, image: &str, id: &str) {
        self.run(&["run", "--detach", "--null-io", "--snapshotter", "native", image, id, "sleep", "100"]);
    }

    /// Stops and removes a container.
    pub fn remove(&self, namespace: &str, id: &str) {
        let _ = self.command(namespace).args(["task", "kill", "--signal", "SIGKILL", id]).output();
        wait_for("a task's end", || {
            let _ = self.command(namespace).args(["task", "delete", id]).output();
            let tasks = text(&done(self.command(namespace).args(["task", "list", "--quiet"])));
            tasks.lines().all(|task| task != id).then_some(())
        });
        let _ = self.command(namespace).args(["container", "delete", id]).output();
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for namespace in ["default", "k8s.io"] {
            let all = self.command(namespace).args(["container", "list", "--quiet"]).output();
            for id in all.map(|output| text(&output)).unwrap_or_default().lines() {
                self.remove(namespace, id);
            }
        }
        stop(&mut self.daemon);
        unmount_below(self.dir.path());
    }
}
