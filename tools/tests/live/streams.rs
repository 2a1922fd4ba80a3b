//! A recording that is checked as it is made: what is found is told while the command that did it goes on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{alone, grove, ok};

#[test]
fn what_a_recorded_command_does_is_found_while_it_goes_on() {
    if !crate::containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // It goes on until it has been seen, or for a minute.
    let (new, seen, script) = (at("new"), at("seen"), at("job"));
    let text = format!(
        "read -r _ < {}\nn=0\nwhile [ ! -e {} ] && [ $n -lt 600 ]; do n=$((n + 1)); sleep 0.1; done\n",
        new.display(),
        seen.display()
    );
    fs::write(&script, text).unwrap();
    fs::write(&new, "x\n").unwrap();
    let mut learning = grove();
    learning.args(["run", "--output"]).arg(at("profiles")).args(["--", "/bin/sh", "-c", "sleep 0.1"]);
    ok(&learning.output().unwrap());

    let profile = fs::read_dir(at("profiles")).unwrap().next().unwrap().unwrap().path();
    let mut recording = grove();
    recording
        .args(["record", "--output", "-", "--", "/bin/sh"])
        .arg(&script)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut recording = recording.spawn().unwrap();
    let mut checking = grove();
    checking.args(["check", "--profile"]).arg(&profile).arg("-").stdin(recording.stdout.take().unwrap());
    let mut checking = checking.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let wanted = format!("\"subject\":\"{}\"", new.canonicalize().unwrap().display());
    let mut lines = BufReader::new(checking.stdout.take().unwrap()).lines().map(Result::unwrap);
    let found = lines.by_ref().find(|line| line.contains(&wanted));
    let goes_on = recording.try_wait().unwrap().is_none();
    fs::write(&seen, "").unwrap();
    assert!(found.is_some() && goes_on, "{found:?}; the recording goes on: {goes_on}");
    lines.for_each(drop);
    ok(&recording.wait_with_output().unwrap());
    assert_eq!(checking.wait_with_output().unwrap().status.code(), Some(2));
}
