//! The completion scripts: that they are there for each shell, know the command line, and are accepted by the shell.

mod common;

use std::process::Command;

use common::run;

#[test]
fn scripts_know_the_command_line() {
    for (shell, marks) in [
        ("bash", ["complete -F _grove", "grove__subcmd__env", "--format"]),
        ("zsh", ["#compdef grove", "_grove_commands", "--format"]),
        ("fish", ["complete -c grove", "__fish_grove_needs_command", "-l format"]),
    ] {
        let ended = run(&["completions", shell], &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        for mark in marks.into_iter().chain(["completions", "markdown", "color"]) {
            assert!(ended.stdout.contains(mark), "{shell}: no {mark:?}");
        }
    }
}

#[test]
fn shells_accept_their_scripts() {
    let dir = tempfile::tempdir().expect("a directory");
    for shell in ["bash", "zsh", "fish"] {
        let script = dir.path().join(shell);
        std::fs::write(&script, run(&["completions", shell], &[]).stdout).expect("the script is written");
        match Command::new(shell).arg("-n").arg(&script).output() {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {checked:?}"),
            Err(error) => eprintln!("skipped: {shell} is not here to check its script ({error})"),
        }
    }
}

#[test]
fn scripts_are_the_same_whatever_the_colour() {
    let plain = run(&["completions", "bash"], &[]).stdout;
    assert_eq!(run(&["--color", "always", "completions", "bash"], &[]).stdout, plain);
}
