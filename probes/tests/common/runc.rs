//! Plain runc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::traces::Traces;
use super::{BUSYBOX, Rootfs, command, done, text};

/// Containers of plain runc, each from a bundle of its own.
pub struct Runc {
    dir: TempDir,
    rootfs: Rootfs,
    own_records: bool,
    ids: Vec<String>,
    /// The last to go.
    _traces: Traces,
}

impl Runc {
    /// The programs it needs.
    pub const NEEDS: [(&'static str, &'static str); 2] = [("runc", "runc"), BUSYBOX];

    /// With records that nobody else looks at.
    pub fn new() -> Self {
        let traces = Traces::note();
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, rootfs: Rootfs::new(), own_records: true, ids: Vec::new(), _traces: traces }
    }

    /// With its records where everybody looks for them. Ids have to be like nobody else's.
    pub fn with_usual_records() -> Self {
        let mut runc = Self::new();
        runc.own_records = false;
        runc
    }

    /// Where its own records are.
    pub fn records(&self) -> PathBuf {
        self.dir.path().join("records")
    }

    /// The root of all its containers, which they cannot write to.
    pub fn rootfs(&self) -> &Path {
        self.rootfs.path()
    }

    fn command(&self) -> Command {
        let mut runc = command("runc");
        if self.own_records {
            runc.arg("--root").arg(self.records());
        }
        runc
    }

    /// A bundle for a program with these arguments and annotations; `change` has the last word.
    pub fn bundle(
        &self,
        name: &str,
        args: &[&str],
        annotations: &[(&str, &str)],
        change: impl FnOnce(&mut Value),
    ) -> PathBuf {
        let bundle = self.dir.path().join(name);
        fs::create_dir(&bundle).expect("a bundle");
        done(self.command().arg("spec").current_dir(&bundle));
        let config = bundle.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).expect("a spec")).expect("a spec is JSON");
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = args.into();
        spec["root"]["path"] = self.rootfs().to_string_lossy().into();
        spec["annotations"] = annotations.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        change(&mut spec);
        fs::write(&config, spec.to_string()).expect("a spec");
        bundle
    }

    /// Makes a container of a bundle and runs it to its end.
    pub fn run(&self, bundle: &Path, id: &str) {
        self.to_its_end(self.command().args(["run", "--bundle"]).arg(bundle), id);
    }

    /// The same, called in the bundle's directory.
    pub fn run_in(&self, bundle: &Path, id: &str) {
        self.to_its_end(self.command().arg("run").current_dir(bundle), id);
    }

    fn to_its_end(&self, run: &mut Command, id: &str) {
        run.arg(id).stdin(Stdio::null());
        let output = run.output().expect("runc");
        if !output.status.success() {
            self.delete(id);
            panic!("{run:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Makes a container of a bundle, up to its first program, which [`Runc::go`] lets begin.
    pub fn create(&mut self, bundle: &Path, id: &str) {
        self.detached(&["create", "--bundle", &bundle.to_string_lossy()], id, &[]);
        self.ids.push(id.to_owned());
    }

    /// See [`Runc::create`].
    pub fn go(&self, id: &str) {
        done(self.command().args(["start", id]));
    }

    /// Starts a container with these arguments and annotations, in the background.
    pub fn start(&mut self, id: &str, args: &[&str], annotations: &[(&str, &str)]) {
        let bundle = self.bundle(id, args, annotations, |_| ());
        self.ids.push(id.to_owned());
        self.detached(&["run", "--detach", "--bundle", &bundle.to_string_lossy()], id, &[]);
    }

    /// The first process of a container.
    pub fn pid(&self, id: &str) -> u32 {
        let state = text(&done(self.command().args(["state", id])));
        let state: Value = serde_json::from_str(&state).expect("a state is JSON");
        state["pid"].as_u64().expect("a pid") as u32
    }

    /// Whether its first process has ended.
    pub fn has_ended(&self, id: &str) -> bool {
        text(&done(self.command().args(["state", id]))).contains(r#""status": "stopped""#)
    }

    /// Runs another program in a container, in the background: it may not have begun yet.
    pub fn exec(&self, id: &str, args: &[&str]) {
        self.detached(&["exec", "--detach"], id, args);
    }

    /// Runs another program in a container, to its end.
    pub fn exec_to_its_end(&self, id: &str, args: &[&str]) {
        let mut exec = self.command();
        exec.arg("exec").arg(id).args(args);
        let status = exec.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("runc").success(), "{exec:?}");
    }

    /// A command whose container would keep the pipes of a captured output open.
    fn detached(&self, before: &[&str], id: &str, after: &[&str]) {
        let mut runc = self.command();
        runc.args(before).arg(id).args(after);
        let status = runc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("runc").success(), "{runc:?}");
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
