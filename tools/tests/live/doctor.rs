//! What the host can do, and what is said to who may not.

use std::ffi::OsStr;
use std::process::Command;

use crate::{alone, containers, grove, ok, text};

#[test]
fn every_check_has_a_name_a_verdict_a_detail_and_a_remedy() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let checks: serde_json::Value =
        serde_json::from_str(&ok(&grove().args(["doctor", "--format", "json"]).output().unwrap())).unwrap();
    let checks = checks.as_array().unwrap();
    assert!(checks.len() > 10);
    for check in checks {
        assert!(check["name"].is_string() && check["detail"].is_string(), "{check}");
        let remedy = check["remedy"].as_str().unwrap();
        assert_eq!(remedy.is_empty(), check["ok"].as_bool().unwrap(), "{check}");
    }
    let people = ok(&grove().arg("doctor").output().unwrap());
    assert_eq!(people.lines().count(), checks.len(), "one line each:\n{people}");
}

const CAPABILITIES: [&str; 5] = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"];

const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// Runs grove without some privileges: its exit code, and what it writes on standard output and standard error.
fn without<S: AsRef<OsStr>>(setpriv: &[S], variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, [String; 2]) {
    let dir = tempfile::tempdir().unwrap();
    // Where anybody may run it from.
    let grove = dir.path().join("grove");
    std::fs::copy(env!("CARGO_BIN_EXE_grove"), &grove).unwrap();
    Command::new("chmod").args(["755"]).arg(dir.path()).status().unwrap();
    let mut command = Command::new("setpriv");
    command.args(setpriv).arg(&grove).args(args).envs(variables.iter().copied()).current_dir("/tmp");
    let output = command.output().unwrap();
    (output.status.code(), [text(&output.stdout), text(&output.stderr)])
}

/// What has `setpriv` take away these capabilities.
fn less(capabilities: &[&str]) -> [String; 2] {
    let names: Vec<_> = capabilities.iter().map(|name| name.replacen("CAP_", "-", 1).to_lowercase()).collect();
    ["--bounding-set", "--inh-caps"].map(|flag| format!("{flag}={}", names.join(",")))
}

/// One line, exit code 1, and of all capabilities exactly these named.
fn refused(outcome: (Option<i32>, [String; 2]), names: &[&str]) {
    let (code, [out, told]) = outcome;
    assert_eq!((code, told.lines().count(), &*out), (Some(1), 1, ""), "{told}");
    for name in CAPABILITIES {
        assert_eq!(told.contains(name), names.contains(&name), "{name}, in place of {names:?}: {told}");
    }
}

/// Exit code 1, and one line for each of these capabilities: what fails for want of them is not told again.
fn unfit(outcome: (Option<i32>, [String; 2]), names: &[&str]) {
    let (code, [out, _]) = outcome;
    assert_eq!(code, Some(1), "{out}");
    let wrong = out.lines().filter(|line| !line.starts_with("ok") && !line.contains("runtime"));
    assert_eq!(wrong.count(), names.len(), "{names:?}: {out}");
    for name in CAPABILITIES {
        let lines: Vec<_> = out.lines().filter(|line| line.split_whitespace().nth(1) == Some(name)).collect();
        let [line] = &*lines else { panic!("{name} has {} lines: {out}", lines.len()) };
        assert_eq!(line.starts_with("FAILED"), names.contains(&name), "{line}");
    }
}

#[test]
fn without_a_capability_there_is_one_line_that_names_it_and_code_1() {
    if !containers::have(&[("setpriv", "util-linux")]) {
        return;
    }
    let _alone = alone();
    // A directory that cannot be: what is missing is told first.
    let run = ["run", "--for", "1s", "--output", "/proc/nowhere"];
    let record = ["record", "--output", "/proc/nowhere", "--", "true"];
    for name in CAPABILITIES {
        // The old all-round capability does for some of them.
        let setpriv = less(&[name, "CAP_SYS_ADMIN"]);
        refused(without(&setpriv, &[], &run), &[name]);
        unfit(without(&setpriv, &[], &["doctor"]), &[name]);
    }
    refused(without(&NOBODY, &[], &run), &CAPABILITIES);
    refused(without(&NOBODY, &[], &record), &["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
    unfit(without(&NOBODY, &[], &["doctor"]), &CAPABILITIES);
}

#[test]
fn what_is_not_asked_for_needs_no_capability() {
    if !containers::have(&[("setpriv", "util-linux")]) {
        return;
    }
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let run = ["run", "--for", "100ms", "--output", &out.path().to_string_lossy()];
    for (capabilities, variables) in [
        (&["CAP_NET_ADMIN", "CAP_SYS_ADMIN"][..], &[("GROVE_PROBE_DNS", "false"), ("GROVE_PROBE_IMDS", "false")][..]),
        (&["CAP_SYS_PTRACE"], &[("GROVE_SNAPSHOT_PROCESSES", "0")]),
    ] {
        let (code, [_, told]) = without(&less(capabilities), variables, &run);
        assert_eq!(code, Some(0), "{capabilities:?}: {told}");
        refused(without(&less(capabilities), &[], &run), &capabilities[..1]);
    }
}
