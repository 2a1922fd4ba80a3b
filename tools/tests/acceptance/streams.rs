//! `grove check` of a pipe: what is found is told while the pipe is open, and what has changed by its end once more.

use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{EXEC, Ended, Lab, START, open, trace};

/// The lines that a command writes, as they come.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

/// The next line: the input stays open, so that it would never come of a command that waits for its end.
#[track_caller]
fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_secs(60)).expect("nothing is told while the input goes on")
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC, &open(3, "/known")]));
    lab
}

fn finding(ts: u64, subject: &str, access: &str, rest: &str) -> String {
    format!(
        r#"{{"ts":{ts},"container":"c","image":"web","tag":"1","kind":"open","reason":"new_behaviour","pid":10,"lineage":["/bin/web"],"subject":"{subject}","access":"{access}",{rest}}}"#
    )
}

#[test]
fn a_finding_in_a_pipe_is_told_while_the_pipe_is_open_and_updated_at_its_end() {
    let lab = lab();
    let mut child = lab.spawn(&["check", "--profile", "profiles/web.profile.json", "-"]);
    let lines = lines_of(&mut child);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(trace(&[START, EXEC, &open(3, "/known"), &open(4, "/one")]).as_bytes()).unwrap();
    assert_eq!(next(&lines), finding(4, "/one", "r", r#""count":1"#));
    // What was told is not told again when it happens again, also for writing; what is new is.
    let again = open(5, "/one");
    let written = open(6, "/one").replace(r#""flags":0"#, r#""flags":1"#);
    assert_ne!(written, open(6, "/one"));
    stdin.write_all(trace(&[&again, &written, &open(7, "/two")]).as_bytes()).unwrap();
    assert_eq!(next(&lines), finding(7, "/two", "r", r#""count":1"#));
    drop(stdin);
    assert_eq!(next(&lines), finding(4, "/one", "rw", r#""count":3,"update":true"#));
    assert!(lines.recv().is_err());
    let ended = Ended::of(child.wait_with_output().unwrap());
    ended.expect(2);
}

#[test]
fn a_restart_while_a_pipe_is_open_tells_nothing_twice() {
    let lab = lab();
    let mut child = lab.spawn(&["check", "--profile", "profiles/web.profile.json", "-"]);
    let lines = lines_of(&mut child);
    let mut stdin = child.stdin.take().unwrap();
    let stop = r#"{"ts":5,"type":"container_stop","container":"c"}"#;
    stdin.write_all(trace(&[START, EXEC, &open(4, "/one"), stop, START, EXEC, &open(6, "/one")]).as_bytes()).unwrap();
    let told = next(&lines);
    assert!(told.contains(r#""subject":"/one""#), "{told}");
    stdin.write_all(trace(&[stop, START, EXEC, &open(8, "/one"), &open(9, "/two")]).as_bytes()).unwrap();
    let told = next(&lines);
    assert!(told.contains(r#""subject":"/two""#), "{told}");
    drop(stdin);
    let update = next(&lines);
    assert!(update.contains(r#""subject":"/one""#) && update.contains(r#""count":3,"update":true"#), "{update}");
    assert!(lines.recv().is_err());
}

/// A file is read whole: each finding is written once.
#[test]
fn findings_of_a_file_are_told_once_also_when_a_container_was_started_again() {
    let lab = lab();
    let stop = r#"{"ts":5,"type":"container_stop","container":"c"}"#;
    let lives = trace(&[START, EXEC, &open(4, "/one"), stop, START, EXEC, &open(6, "/one"), stop]);
    lab.file("lives.jsonl", lives);
    for workers in ["1", "3"] {
        let args = ["check", "--workers", workers, "--profile", "profiles/web.profile.json", "lives.jsonl"];
        let ended = lab.run(&args);
        ended.expect(2);
        let [line] = ended.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{}", ended.stdout) };
        assert!(line.contains(r#""count":2}"#) && !line.contains("update"), "{line}");
    }
}

#[test]
fn findings_of_a_pipe_grow_in_a_file() {
    let lab = lab();
    let args = ["check", "--profile", "profiles/web.profile.json", "--output", "found.jsonl", "-"];
    let mut child = lab.spawn(&args);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(trace(&[START, EXEC, &open(4, "/one")]).as_bytes()).unwrap();
    while std::fs::read_to_string(lab.path("found.jsonl")).is_ok_and(|text| text.is_empty())
        || !lab.path("found.jsonl").exists()
    {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its input did");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(lab.text("found.jsonl").contains("/one"));
    drop(stdin);
    Ended::of(child.wait_with_output().unwrap()).expect(2);
}

/// As after `| head -1`: who reads no more wants no more.
#[test]
fn a_check_of_a_pipe_ends_when_nobody_reads_its_findings() {
    let lab = lab();
    let mut child = lab.spawn(&["check", "--profile", "profiles/web.profile.json", "-"]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(trace(&[START, EXEC, &open(4, "/one")]).as_bytes()).unwrap();
    // The pipe stays open.
    Ended::of(child.wait_with_output().unwrap()).expect(2);
    drop(stdin);
}
