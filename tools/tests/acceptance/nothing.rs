//! Inputs without an event: who learns from nothing, or finds nothing in nothing, is told so.

use crate::support::{EXEC, Lab, START, gzip, open, trace, zstd};

const HEADER: &str = r#"{"type":"header","format":"grove-trace","version":1,"recording":"r"}"#;
const UNKNOWN: &str = r#"{"ts":1,"type":"from_the_future","container":"c"}"#;
const NO_EVENT: &str = "read as grove, not one of its";

/// What each command that reads traces is given before their names.
fn commands(lab: &Lab) -> [Vec<&'static str>; 3] {
    lab.file("whole", trace(&[START, EXEC]));
    lab.run(&["replay", "--output", "known", "whole"]).expect(0);
    let check = vec!["check", "--profile", "known/web.profile.json", "--stats", "stats.json"];
    [vec!["replay", "--stats", "stats.json"], check, vec!["convert", "--output", "out"]]
}

#[test]
fn an_input_of_which_nothing_is_an_event_is_bad_input() {
    let lab = Lab::new();
    for command in commands(&lab) {
        for (bytes, why, received) in [
            (Vec::new(), "it is empty", 0),
            (gzip(b""), "it is empty", 0),
            (zstd(b""), "it is empty", 0),
            (b"\n".to_vec(), NO_EVENT, 1),
            (trace(&["rubbish", "more"]).into_bytes(), NO_EVENT, 2),
            (trace(&[UNKNOWN]).into_bytes(), NO_EVENT, 1),
            (trace(&[HEADER, UNKNOWN, "rubbish"]).into_bytes(), NO_EVENT, 2),
        ] {
            lab.file("t", &bytes);
            let named = lab.run(&[&command[..], &["t"]].concat());
            named.expect(3).said(&[&format!("t: {why}")]);
            let fed = lab.feed(&[&command[..], &["-"]].concat(), &bytes);
            fed.expect(3).said(&[&format!("standard input: {why}")]);
            for ended in [named, fed] {
                let lines = ended.stderr.lines().filter(|line| line.contains(why));
                assert_eq!(lines.count(), 1, "{}", ended.stderr);
            }
            if command[0] != "convert" {
                assert_eq!(lab.stats().get("received"), received);
            } else if !bytes.starts_with(HEADER.as_bytes()) {
                assert!(!lab.path("out").exists(), "of nothing no trace is made");
            }
        }
    }
}

/// Nothing happened, and that was recorded.
#[test]
fn a_recording_without_events_is_one() {
    let lab = Lab::new();
    for command in commands(&lab) {
        lab.file("t", trace(&[HEADER]));
        lab.run(&[&command[..], &["t"]].concat()).expect(0).said(&["note: t is a recording without events"]);
    }
    assert_eq!(lab.text("out").lines().count(), 1);
    assert!(lab.names("profiles").is_empty());
}

/// One of several: the others are read, and the code says that one was nothing.
#[test]
fn an_empty_input_does_not_hide_the_next() {
    let lab = Lab::new();
    let [replay, _, convert] = commands(&lab);
    lab.file("empty", "");
    lab.file("b", trace(&[&open(9, "/from-b")]));
    for command in [replay, convert] {
        let ended = lab.run(&[&command[..], &["empty", "whole", "b"]].concat());
        ended.expect(3).said(&["empty: it is empty"]);
    }
    assert!(lab.profile_text("web").contains("/from-b") && lab.text("out").contains("/from-b"));
}

/// What is known to tell nothing is accepted, and so is what was lost.
#[test]
fn events_that_tell_nothing_are_events() {
    for line in [
        r#"{"ts":1,"type":"exit","container":"c","pid":1}"#,
        r#"{"ts":1,"type":"open","container":"c","pid":1,"path":"/a","ret":-2}"#,
        r#"{"ts":1,"type":"missed","container":"c","cause":"queue_full","n":3}"#,
        r#"{"ts":1,"type":"open","container":"","pid":1,"path":"/of-the-host"}"#,
    ] {
        Lab::new().feed(&["replay", "-"], line.as_bytes()).expect(0);
    }
}
