//! How many instructions the command takes, counted by valgrind: what tests of cost compare, since nobody can assert on
//! time.

use std::path::Path;
use std::process::{Command, Stdio};

/// How many instructions the command takes in `dir` for an input, with one variable more if there is one. One thread at a
/// time runs under valgrind, so it has one worker: several would only spin for one another.
pub fn instructions(dir: &Path, args: &[&str], input: &str, variable: Option<(&str, &str)>) -> u64 {
    std::fs::write(dir.join("input"), input).unwrap();
    let mut command = Command::new("valgrind");
    command.envs(variable);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_grove")]);
    command.args(args).arg("input").current_dir(dir).stdin(Stdio::null());
    let output = command.env("GROVE_WORKERS", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ").map(|(_, n)| n.trim().parse()));
    collected.unwrap_or_else(|| panic!("{args:?}: {said}")).unwrap()
}

/// Whether the machine can count.
pub fn can_count() -> bool {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        crate::skips::skipped("valgrind is not installed");
    }
    found
}
