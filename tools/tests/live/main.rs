//! `grove run`, `grove record` and `grove doctor` on this machine's own kernel, with real commands and containers.
//!
//! They need root, a kernel that takes the programs, and the programs that each names; what is missing is said, and
//! with `CI` set it fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

#[path = "../../../probes/tests/common/containers.rs"]
mod containers;

mod command;
mod doctor;
mod loss;
mod namespaces;
mod podman;
mod proc;
mod runc;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Two observations of one host see each other's containers: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grove() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grove"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GROVE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A `grove run` in the background that has attached.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It has attached once the kernel shows a program of its.
        containers::wait_for("grove run to attach", || attached(child.id()).then_some(()));
        // And once it has looked around.
        std::thread::sleep(Duration::from_millis(300));
        Self(child)
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn end(self) -> Output {
        self.signal("-INT");
        self.0.wait_with_output().unwrap()
    }
}

/// Whether a process holds links to programs in the kernel.
fn attached(pid: u32) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    let links =
        fds.flatten().filter(|fd| std::fs::read_to_string(fd.path()).is_ok_and(|info| info.contains("link_type")));
    links.count() >= 8
}

/// A profile file.
fn profile(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Every process of a profile, at any depth.
fn processes(profile: &serde_json::Value) -> Vec<&serde_json::Value> {
    let mut all = Vec::new();
    let mut open: Vec<_> = profile["processes"].as_array().unwrap().iter().collect();
    while let Some(process) = open.pop() {
        open.extend(process["children"].as_array().unwrap());
        all.push(process);
    }
    all
}
