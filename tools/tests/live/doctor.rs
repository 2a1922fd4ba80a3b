//! What the host can do, and what is said to who may not.

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

/// Runs grove without some privileges.
fn without(setpriv: &[&str], args: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    // Where anybody may run it from.
    let grove = dir.path().join("grove");
    std::fs::copy(env!("CARGO_BIN_EXE_grove"), &grove).unwrap();
    Command::new("chmod").args(["755"]).arg(dir.path()).status().unwrap();
    let output = Command::new("setpriv").args(setpriv).arg(&grove).args(args).current_dir("/tmp").output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn without_privileges_there_is_one_line_and_code_1() {
    if !containers::have(&[("setpriv", "util-linux")]) {
        return;
    }
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    Command::new("chmod").arg("777").arg(out.path()).status().unwrap();
    let run = ["run", "--for", "1s", "--output", &out.path().to_string_lossy()];
    for (setpriv, names) in [
        (&["--reuid=65534", "--regid=65534", "--clear-groups"][..], "CAP_BPF"),
        (&["--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"], "CAP_BPF"),
        (&["--bounding-set=-perfmon,-sys_admin", "--inh-caps=-perfmon,-sys_admin"], "CAP_PERFMON"),
    ] {
        let (code, told) = without(setpriv, &run);
        assert_eq!(code, Some(1), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(names), "{names}: {told}");
        let (code, _) = without(setpriv, &["doctor"]);
        assert_eq!(code, Some(1));
    }
}
