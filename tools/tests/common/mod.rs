//! Running the built command.

use std::process::{Command, Output};

/// The command with nothing in its environment but `vars`.
pub(crate) fn grove(args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grove"));
    command.args(args).env_clear().envs(vars.iter().copied());
    command
}

/// What it said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the command to its end.
#[track_caller]
pub(crate) fn run(args: &[&str], vars: &[(&str, &str)]) -> Ended {
    end(grove(args, vars).output().expect("the command runs"))
}

/// Reads what a command that has ended said.
pub(crate) fn end(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
