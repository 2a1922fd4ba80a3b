//! Plain runc.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{BUSYBOX, Rootfs, command, done, text};

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
