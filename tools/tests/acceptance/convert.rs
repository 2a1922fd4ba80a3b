//! `grove convert`: another tool's log as a trace of Grove's own, from which the same is learned.

use std::path::Path;

use crate::support::{EXEC, Ended, Lab, START, capture, gzip, json, open, trace};

/// What was learned, apart from which recording it was learned from.
fn learned(lab: &Lab, dir: &str) -> Vec<(String, String)> {
    let without_ledgers = |text: &str| {
        let profile = json(text);
        ["image", "tags", "stats", "processes"].map(|field| profile[field].to_string()).join("\n")
    };
    lab.names(dir).iter().map(|name| (name.clone(), without_ledgers(&lab.text(&format!("{dir}/{name}"))))).collect()
}

/// Replays `capture` and what it converts to, and compares.
#[track_caller]
fn round_trip(capture: &Path, extension: &str) {
    let lab = Lab::new();
    let capture = capture.to_str().unwrap();
    let converted = format!("converted.jsonl{extension}");
    lab.run(&["replay", "--host", "--output", "direct", capture]).expect(0);
    lab.run(&["convert", "--recording", "r", "--output", &converted, capture]).expect(0);
    lab.run(&["replay", "--host", "--strict", "--from", "grove", "--stats", "stats.json", &converted]).expect(0);
    let (direct, converted) = (learned(&lab, "direct"), learned(&lab, "profiles"));
    assert!(!direct.is_empty());
    assert!(direct == converted, "{capture}: the profiles differ");
    lab.stats();
}

#[test]
fn a_sysdig_capture_converts_to_the_same_profiles() {
    for name in [
        "alpine_alpine",
        "client-server_tcp-client-server",
        "libs_curl_google",
        "mpm-event_cold_start_capture",
        "objectstore_upload",
    ] {
        let Some(path) = capture(&format!("sysdig/{name}.jsonl.gz")) else { return };
        round_trip(&path, ".zst");
    }
}

#[test]
fn an_strace_log_converts_to_the_same_profile() {
    let Some(path) = capture("strace/cargo-build-ripgrep.strace.zst") else { return };
    round_trip(&path, ".gz");
}

#[test]
fn a_native_trace_converts_to_itself() {
    let lab = Lab::new();
    lab.file(
        "t",
        trace(&[START, EXEC, &open(3, "/a"), r#"{"ts":4,"type":"open","container":"c","pid":10,"path_b64":"L/8="}"#]),
    );
    let once = lab.run(&["convert", "t"]);
    lab.file("once", &once.expect(0).stdout);
    assert_eq!(lab.run(&["convert", "once"]).expect(0).stdout, once.stdout);
    assert!(once.stdout.starts_with(r#"{"type":"header","format":"grove-trace","version":1"#), "{}", once.stdout);
    assert!(once.stdout.contains(r#""path_b64":"L/8=""#), "{}", once.stdout);
    lab.run(&["replay", "--output", "direct", "t"]).expect(0);
    lab.run(&["replay", "once"]).expect(0);
    assert_eq!(learned(&lab, "direct"), learned(&lab, "profiles"));
}

#[test]
fn a_container_and_a_recording_can_be_given_names() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    let ended = lab.run(&["convert", "--container", "other", "--recording", "mine", "t"]);
    ended.expect(0);
    assert!(ended.stdout.lines().next().unwrap().contains(r#""recording":"mine""#), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches(r#""container":"other""#).count(), 2);
}

const PARTIAL: &str = r#"{"type":"header","format":"grove-trace","version":1,"completeness":"partial"}"#;

/// What could not all be seen goes on saying so, with or without a name, and is not mixed with what could.
#[test]
fn a_partial_trace_stays_partial() {
    let lab = Lab::new();
    lab.file("whole", trace(&[START, EXEC]));
    lab.file("partial", trace(&[PARTIAL, START, EXEC]));
    for traces in [&["partial"][..], &["partial", "whole"]] {
        lab.run(&[&["convert", "--output", "out"], traces].concat()).expect(0);
        assert!(lab.text("out").lines().next().unwrap().contains(r#""completeness":"partial""#));
        lab.run(&["replay", "out"]).expect(0);
        assert!(lab.profile_text("web").contains(r#""completeness":"partial""#));
    }
    lab.run(&["convert", "whole", "partial"]).expect(3).said(&["partial", "name it first"]);
    assert!(!lab.run(&["convert", "whole"]).expect(0).stdout.contains("completeness"));
}

#[test]
fn what_came_before_a_cut_is_a_whole_trace() {
    let text: String =
        (0..3000_u64).map(|n| open(n, &format!("/etc/{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))) + "\n").collect();
    let bytes = gzip(format!("{START}\n{EXEC}\n{text}").as_bytes());
    for output in ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst"] {
        let lab = Lab::new();
        lab.file("cut.gz", &bytes[..bytes.len() / 2]);
        lab.run(&["convert", "--output", output, "cut.gz"]).expect(3).said(&["cut.gz", "cut off"]);
        lab.run(&["replay", "--strict", "--stats", "stats.json", output]).expect(0);
        assert!(lab.stats().get("received") > 1000, "{output}");
    }
}

#[test]
fn rejected_lines_are_told_and_left_out() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, "rubbish", EXEC]));
    let ended = lab.run(&["convert", "t"]);
    ended.expect(0).said(&["t:2: rejected (malformed)"]);
    assert_eq!(ended.stdout.lines().count(), 3);
    lab.run(&["convert", "--strict", "t"]).expect(3).said(&["t", "line 2"]);
    lab.run(&["convert", "absent"]).expect(1).said(&["absent"]);
}

/// As in `sysdig -j | grove convert -`.
#[test]
fn standard_input_and_output_will_do() {
    let lab = Lab::new();
    let child = lab.spawn(&["convert", "-"]);
    let mut stdin = child.stdin.as_ref().unwrap();
    std::io::Write::write_all(&mut stdin, trace(&[START, EXEC]).as_bytes()).unwrap();
    let mut child = child;
    drop(child.stdin.take());
    assert_eq!(Ended::of(child.wait_with_output().unwrap()).expect(0).stdout.lines().count(), 3);
}
