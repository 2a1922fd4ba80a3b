//! `grove run`, `grove record` and `grove doctor` on this machine's own kernel, with real commands and containers.
//!
//! They need root, a kernel that takes the programs, and the programs that each names; what is missing is said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used)]

#[path = "../../../probes/tests/common/containers.rs"]
mod containers;

mod call_by_call;
mod capabilities;
mod command;
mod denied;
mod docker;
mod doctor;
mod flood;
mod full_disk;
mod hide;
mod hostile;
mod inside;
mod killed;
mod learned;
mod loss;
mod nameless;
mod namespaces;
mod own_pid;
mod podman;
mod proc;
mod refused;
mod runc;
mod strace;
mod streams;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Two observations of one host see each other's containers: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grove() -> Command {
    scrubbed(Command::new(env!("CARGO_BIN_EXE_grove")))
}

/// Goes before what else the host is busy with, where that is allowed: for containers that are gone within a blink.
fn quick_grove() -> Command {
    let first = ["--rr", "1"];
    if !Command::new("chrt").args(first).arg("true").output().is_ok_and(|output| output.status.success()) {
        return grove();
    }
    let mut command = Command::new("chrt");
    command.args(first).arg(env!("CARGO_BIN_EXE_grove"));
    scrubbed(command)
}

fn scrubbed(mut command: Command) -> Command {
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

/// A `grove run` in the background that observes; killed when dropped before it has ended.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let running = Self(Some(child));
        // It has attached once the kernel shows programs of its, looked around once it has threads to learn, and taken
        // what came meanwhile once it waits for more.
        containers::wait_for("grove run to observe", || {
            (attached(running.id()) && learns(running.id()) && sleeps(running.id())).then_some(())
        });
        running
    }

    fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }

    fn end(self) -> Output {
        self.signal("-INT");
        self.output()
    }

    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a process holds links to programs in the kernel.
fn attached(pid: u32) -> bool {
    let Ok(fds) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    let links =
        fds.flatten().filter(|fd| std::fs::read_to_string(fd.path()).is_ok_and(|info| info.contains("link_type")));
    links.count() >= 8
}

/// Whether a process has started the threads that learn.
fn learns(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let mut names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.any(|name| name.starts_with("grove-shard-"))
}

/// Whether a process's first thread lets time pass.
fn sleeps(pid: u32) -> bool {
    const CLOCK_NANOSLEEP: &str = "230 ";
    std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| call.starts_with(CLOCK_NANOSLEEP))
}

/// A profile file.
fn profile(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// Every process of a profile.
fn processes(profile: &serde_json::Value) -> Vec<&serde_json::Value> {
    profile["processes"].as_array().unwrap().iter().collect()
}

/// A path of this host with its links followed, as the kernel has it.
fn real(path: &str) -> String {
    std::fs::canonicalize(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}
