//! Instructions, counted by valgrind: a number that does not depend on what else the machine does.
//!
//! A bench runs itself under `callgrind`, which counts what happens inside [`measured`] and nothing else.

use std::hint::black_box;
use std::process::{Command, Stdio};

/// Runs `work`, whose instructions are counted where the program runs under [`instructions`]. May run any number of times.
#[inline(never)]
pub fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// The instructions that this program, run once more with `args`, takes inside [`measured`].
///
/// # Errors
/// Valgrind is not there, or the program failed; then with what it said.
pub fn instructions(args: &[&str]) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counting*measured*"]);
    counted(command.arg(this).args(args))
}

/// All instructions that a command takes.
///
/// # Errors
/// As [`instructions`].
pub fn instructions_of(program: &std::path::Path, args: &[&str]) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    counted(command.arg(program).args(args))
}

fn counted(command: &mut Command) -> Result<u64, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| said.into_owned())
}
