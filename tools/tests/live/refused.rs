//! A kernel that does not take a program. Here it takes them all, so strace has it say no: to the real load of the one.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::strace::Strace;
use crate::{alone, containers, grove, text};

const GROVE: &str = env!("CARGO_BIN_EXE_grove");

/// Which of the calls of `bpf` is the one that loads `program`.
fn number_of(program: &str, variables: &[(&str, &str)], args: &[&str], log: &Path) -> usize {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "trace=bpf", "-e", "signal=none", "-o"]).arg(log).arg(GROVE).args(args);
    assert!(strace.envs(variables.iter().copied()).output().unwrap().status.success());
    let log = fs::read_to_string(log).unwrap();
    let load = |line: &str| line.contains("BPF_PROG_LOAD") && line.contains(&format!("prog_name=\"{program}\""));
    1 + log.lines().position(load).unwrap_or_else(|| panic!("{program} is not loaded: {log}"))
}

/// The same with that call refused, and again when it is asked why: exit code and what is said on standard error.
fn refused(at: usize, variables: &[(&str, &str)], args: &[&str], log: &Path) -> (Option<i32>, String) {
    let mut strace = Command::new("strace");
    strace
        .args(["-qq", "-e", "trace=bpf", "-e", "signal=none", "-e"])
        .arg(format!("inject=bpf:error=EACCES:when={at}..{}", at + 1));
    let output = strace.arg("-o").arg(log).arg(GROVE).args(args).envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

/// As on Linux 6.1 and 6.12, where it recorded half of what happened and said that all was well.
#[test]
fn without_the_hook_for_files_sockets_or_dns_nothing_is_recorded_unless_that_is_asked_for() {
    if !containers::have(&[Strace::NEEDS]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (log, trace) = (dir.path().join("log"), dir.path().join("t.jsonl"));
    let record = ["record", "--output", trace.to_str().unwrap(), "--", "true"];
    // As the kernel cuts its name.
    for (program, hook, variables) in [
        (
            "grove_sys_exit",
            "sys_exit",
            &[("GROVE_PROBE_OPEN", "false"), ("GROVE_PROBE_SOCKET", "false"), ("GROVE_PROBE_SYSCALLS", "false")][..],
        ),
        ("grove_egress", "cgroup_skb/egress", &[("GROVE_PROBE_DNS", "false"), ("GROVE_PROBE_IMDS", "false")]),
    ] {
        let at = number_of(program, &[], &record, &log);
        let (code, told) = refused(at, &[], &record, &log);
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{told}");
        let named = variables.iter().all(|(name, value)| told.contains(&format!("{name}={value}")));
        assert!(told.contains(hook) && named, "{told}");
        // Without what needs it, it is not even tried.
        let without = grove().args(record).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(without.status.code(), Some(0), "{}", text(&without.stderr));
    }
    // What is lost without another is said, and the rest is recorded.
    let at = number_of("grove_cap_capab", &[], &record, &log);
    let (code, told) = refused(at, &[], &record, &log);
    assert!(code == Some(0) && told.contains("not seen: capabilities; cap_capable is not to be had"), "{told}");
}
