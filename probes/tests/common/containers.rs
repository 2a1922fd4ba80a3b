//! Real container runtimes for tests: each with its own storage and sockets in a temporary directory, stopped and
//! cleaned up when dropped.
//!
//! Not here: what the tests look at.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whether the programs are there. As root, those that are missing are installed from the Debian packages named with
/// them. What is still missing skips the test, and says so; with `CI` set it fails.
pub fn have(programs: &[(&str, &str)]) -> bool {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _installing = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let missing = || programs.iter().filter(|(program, _)| find(program).is_none()).collect::<Vec<_>>();
    if !missing().is_empty() && is_root() && find("apt-get").is_some() {
        for args in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends"]] {
            let mut apt = Command::new("apt-get");
            apt.args(["-o", "DPkg::Lock::Timeout=300"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
            if args.first() == Some(&"install") {
                apt.args(missing().iter().map(|(_, package)| package));
            }
            let _ = apt.output();
        }
    }
    let missing: Vec<&str> = missing().iter().map(|(program, _)| *program).collect();
    let why = match (is_root(), missing.as_slice()) {
        (true, []) => return true,
        (false, _) => "this needs root".to_owned(),
        (true, missing) => format!("not installed: {}", missing.join(", ")),
    };
    assert!(std::env::var_os("CI").is_none(), "{why}, and CI skips nothing");
    eprintln!("skipped: {why}");
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
        let _ = Command::new("umount").args(["-l", point]).status();
    }
}

/// Podman with storage of its own.
pub struct Podman {
    dir: TempDir,
    service: Option<Child>,
}

impl Podman {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] = [("podman", "podman"), ("runc", "runc"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2`.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let conf = "[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=4096:4096\"]\n[engine]\n\
                    cgroup_manager=\"cgroupfs\"\nruntime=\"runc\"\nevents_logger=\"none\"\n";
        fs::write(dir.path().join("containers.conf"), conf).expect("containers.conf");
        let podman = Self { dir, service: None };
        let tar = podman.dir.path().join("rootfs.tar");
        Rootfs::new().tar(&tar);
        for tag in ["1", "2"] {
            podman.run(&[
                "import",
                "--quiet",
                "--change",
                &format!("LABEL n={tag}"),
                &tar.to_string_lossy(),
                &format!("localhost/bb:{tag}"),
            ]);
        }
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
        unmount_below(self.dir.path());
    }
}

/// A Docker daemon of its own.
pub struct Docker {
    dir: TempDir,
    daemon: Child,
}

impl Docker {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] =
        [("dockerd", "docker.io"), ("containerd", "containerd"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2`.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let daemon = Self::daemon(dir.path());
        let docker = Self { dir, daemon };
        docker.wait();
        let tar = docker.dir.path().join("rootfs.tar");
        Rootfs::new().tar(&tar);
        for tag in ["1", "2"] {
            docker.run(&[
                "import",
                "--change",
                &format!("LABEL n={tag}"),
                &tar.to_string_lossy(),
                &format!("localhost/bb:{tag}"),
            ]);
        }
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

/// Containers of plain runc, each from a bundle of its own.
pub struct Runc {
    dir: TempDir,
    rootfs: Rootfs,
    ids: Vec<String>,
}

impl Runc {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 2] = [("runc", "runc"), BUSYBOX];

    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), rootfs: Rootfs::new(), ids: Vec::new() }
    }

    /// Where it keeps its records.
    pub fn records(&self) -> PathBuf {
        self.dir.path().join("records")
    }

    fn command(&self) -> Command {
        let mut runc = command("runc");
        runc.arg("--root").arg(self.records());
        runc
    }

    /// Starts a container with these arguments and annotations.
    pub fn start(&mut self, id: &str, args: &[&str], annotations: &[(&str, &str)]) {
        let bundle = self.dir.path().join(id);
        fs::create_dir(&bundle).expect("a bundle");
        done(self.command().arg("spec").current_dir(&bundle));
        let config = bundle.join("config.json");
        let mut spec: serde_json::Value =
            serde_json::from_slice(&fs::read(&config).expect("a spec")).expect("a spec is JSON");
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = args.into();
        spec["root"]["path"] = self.rootfs.path().to_string_lossy().into();
        spec["annotations"] = annotations.iter().map(|(k, v)| ((*k).to_owned(), serde_json::Value::from(*v))).collect();
        fs::write(&config, spec.to_string()).expect("a spec");
        self.ids.push(id.to_owned());
        // The container would keep the pipes of a captured output open.
        let status = self
            .command()
            .args(["run", "--detach", "--bundle", &bundle.to_string_lossy(), id])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("runc").success(), "runc run {id}");
    }

    /// The first process of a container.
    pub fn pid(&self, id: &str) -> u32 {
        let state = text(&done(self.command().args(["state", id])));
        let state: serde_json::Value = serde_json::from_str(&state).expect("a state is JSON");
        state["pid"].as_u64().expect("a pid") as u32
    }

    /// Runs another program in a container, in the background.
    pub fn exec(&self, id: &str, args: &[&str]) {
        let status = self
            .command()
            .args(["exec", "--detach", id])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("runc").success(), "runc exec {id}");
    }

    pub fn delete(&self, id: &str) {
        let _ = self.command().args(["delete", "--force", id]).output();
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        for id in &self.ids {
            self.delete(id);
        }
    }
}

/// A containerd of its own, its Kubernetes part included.
pub struct Containerd {
    dir: TempDir,
    daemon: Child,
}

impl Containerd {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 3] = [("containerd", "containerd"), ("runc", "runc"), BUSYBOX];

    /// Images `localhost/bb:1` and `localhost/bb:2` in the namespaces `default` and `k8s.io`.
    pub fn new() -> Self {
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
        let containerd = Self { dir, daemon };
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
        let layer = dir.join("layer.tar");
        Rootfs::new().tar(&layer);
        let sum = text(&done(command("sha256sum").arg(&layer)));
        let digest = sum.split(' ').next().expect("a digest");
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["/bin/sleep","100"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
        );
        fs::write(dir.join("config.json"), config).expect("a configuration");
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

/// Where cgroup v2 is mounted.
pub fn cgroup_root() -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")).expect("cgroup v2 is mounted");
    line.split(' ').nth(1).expect("a mount point").to_owned()
}
