//! Which container an event belongs to, and what that container is.

use sonic_rs::JsonValueTrait;

use crate::support::{EXEC, Ended, Lab, START, open, processes, texts, trace};

#[test]
fn a_late_start_brings_what_was_held_in_order() {
    let (a, b) = (open(3, "/a"), open(4, "/b"));
    let [early, late] = [[START, EXEC, &a, &b], [EXEC, &a, START, &b]].map(|lines| {
        let lab = Lab::new();
        (lab.learn(&trace(&lines)), lab.profile_text("web"))
    });
    assert_eq!(early, late);
}

#[test]
fn without_a_start_everything_is_learned_under_unknown() {
    let lab = Lab::new();
    let ledger = lab.learn(&trace(&[EXEC, &open(3, "/a")]));
    assert_eq!(ledger.nonzero(), "received=2 applied_new=2");
    assert_eq!(lab.names("profiles"), ["<unknown>.profile.json"]);
    let profile = lab.profile("<unknown>");
    assert_eq!(profile["image"].as_str(), Some("<unknown>"));
    assert!(profile["tags"]["<unknown>"].is_object());
    assert_eq!(texts(&profile["processes"][0], "files", "path"), ["/a"]);
}

#[test]
fn what_is_held_is_bounded() {
    let lab = Lab::new();
    let mut lines = vec![EXEC.to_owned()];
    lines.extend((0..500).map(|n| open(3 + n, "/a")));
    lab.file("t", lines.join("\n"));
    let output =
        lab.command(&["replay", "--stats", "stats.json", "t"]).env("GROVE_HOLD_EVENTS", "100").output().unwrap();
    Ended::of(output).expect(0);
    assert_eq!(lab.stats().nonzero(), "received=501 applied_new=2 applied_known=499");
}

#[test]
fn limits_that_cost_no_event_are_told_at_the_end() {
    let lab = Lab::new();
    let named = START.to_owned();
    let forks = (10..40).map(|pid| format!(r#"{{"ts":2,"type":"fork","container":"c","pid":{pid},"ppid":1}}"#));
    let many: Vec<String> = std::iter::once(named.clone()).chain(forks).collect();
    let held: Vec<String> = (0..9).map(|n| EXEC.replace(r#""c""#, &format!(r#""c{n}""#))).collect();
    for (lines, variable, value, told) in [
        (&many, "GROVE_PROCESSES_MAX", "16", Some("processes or working directories were forgotten")),
        (&held, "GROVE_HOLD_TOTAL_BYTES", "0", Some("warning: 9 containers were learned before they were named")),
        (&many, "GROVE_PROCESSES_MAX", "64", None),
    ] {
        lab.file("t", lines.join("\n"));
        let ended = Ended::of(lab.command(&["replay", "t"]).env(variable, value).output().unwrap());
        ended.expect(0);
        let said = ended.stderr.lines().find(|line| line.contains("warning: "));
        assert_eq!(said.is_some(), told.is_some(), "{}", ended.stderr);
        assert!(told.is_none_or(|told| said.is_some_and(|line| line.contains(told))), "{}", ended.stderr);
    }
}

#[test]
fn the_first_workload_of_a_container_stands() {
    for other in [r#""image":"web","tag":"2""#, r#""image":"other","tag":"1""#] {
        let lab = Lab::new();
        let conflict = format!(r#"{{"ts":3,"type":"container_start","container":"c",{other}}}"#);
        let ledger = lab.learn(&trace(&[START, EXEC, &conflict, START, &open(4, "/a")]));
        assert_eq!(ledger.nonzero(), "received=5 applied_new=2 lifecycle=2 rejected.conflicting_workload=1");
        assert_eq!(lab.names("profiles"), ["web.profile.json"]);
        assert!(lab.profile("web")["tags"]["2"].is_null());
    }
}

#[test]
fn a_conflict_is_a_rejection_like_any_other() {
    let lab = Lab::new();
    let conflict = r#"{"ts":3,"type":"container_start","container":"c","image":"web","tag":"2"}"#;
    lab.file("t.jsonl", trace(&[START, EXEC, conflict, &open(4, "/a")]));
    lab.run(&["replay", "t.jsonl"]).expect(0).said(&["conflicting_workload"]);
    lab.run(&["replay", "--strict", "t.jsonl"]).expect(3).said(&["t.jsonl", "conflicting_workload"]);
}

#[test]
fn the_host_is_left_out_unless_asked_for() {
    let input = trace(&[START, EXEC, &open(3, "/a")]).replace(r#""container":"c""#, r#""container":"""#);
    let lab = Lab::new();
    let ledger = lab.learn(&input.lines().skip(1).collect::<Vec<_>>().join("\n"));
    assert_eq!(ledger.nonzero(), "received=2 ignored.host=2");
    assert!(lab.names("profiles").is_empty());

    lab.file("t", input.lines().skip(1).collect::<Vec<_>>().join("\n"));
    lab.run(&["replay", "--host", "--stats", "stats.json", "t"]).expect(0);
    assert_eq!(lab.stats().nonzero(), "received=2 applied_new=2");
    let output = lab.command(&["replay", "--output", "by-variable", "t"]).env("GROVE_HOST", "true").output().unwrap();
    Ended::of(output).expect(0);
    assert_eq!(lab.names("by-variable"), lab.names("profiles"));
    assert_eq!(lab.names("profiles").len(), 1);
}

#[test]
fn unknown_types_and_fields_are_no_fault() {
    let lab = Lab::new();
    let ledger = lab.learn(&trace(&[
        START,
        EXEC,
        r#"{"ts":3,"type":"quantum_leap","container":7,"pid":"x"}"#,
        r#"{"type":"header","format":"grove-trace","version":1}"#,
        r#"{"ts":4,"type":"open","container":"c","pid":10,"path":"/a","novel":{"a":[1,null,{}]},"":0}"#,
    ]));
    assert_eq!(ledger.nonzero(), "received=5 applied_new=2 lifecycle=1 ignored.unknown_type=2");
}

/// What docs/formats.md says of processes that come and go.
#[test]
fn lineage() {
    let exec = |pid: u32, ppid: u32, path: &str| {
        format!(r#"{{"ts":5,"type":"exec","container":"c","pid":{pid},"ppid":{ppid},"path":"{path}"}}"#)
    };
    let fork = |pid: u32, ppid: u32| format!(r#"{{"ts":5,"type":"fork","container":"c","pid":{pid},"ppid":{ppid}}}"#);
    let exit = |pid: u32| format!(r#"{{"ts":5,"type":"exit","container":"c","pid":{pid}}}"#);
    let does =
        |pid: u32, path: &str| format!(r#"{{"ts":6,"type":"open","container":"c","pid":{pid},"path":"{path}"}}"#);
    for (what, lines, expected) in [
        ("a child", vec![exec(1, 0, "/a"), fork(2, 1), exec(2, 1, "/b")], vec!["/a", "/a>/b"]),
        ("a lost fork", vec![exec(1, 0, "/a"), exec(2, 1, "/b")], vec!["/a", "/a>/b"]),
        ("a chain", vec![exec(1, 0, "/a"), exec(1, 0, "/b")], vec!["/a", "/a>/b"]),
        ("the same again", vec![exec(1, 0, "/a"), exec(1, 0, "/a")], vec!["/a"]),
        ("two roots", vec![exec(1, 0, "/a"), exec(2, 0, "/b")], vec!["/a", "/b"]),
        ("a fork without its parent", vec![fork(2, 1)], vec![]),
        ("mid-way", vec![does(7, "/f"), exec(7, 0, "/b")], vec!["/b", "<unknown>"]),
        ("mid-way, idle", vec![fork(8, 7), exec(8, 7, "/b")], vec!["/b"]),
        ("reuse after exit", vec![exec(1, 0, "/a"), exit(1), exec(1, 0, "/b")], vec!["/a", "/b"]),
        (
            "reuse by fork",
            vec![exec(1, 0, "/a"), exec(2, 1, "/b"), exec(3, 0, "/c"), fork(2, 3), exec(2, 3, "/d")],
            vec!["/a", "/a>/b", "/c", "/c>/d"],
        ),
        (
            "reuse by another parent",
            vec![exec(1, 0, "/a"), exec(2, 1, "/b"), exec(3, 0, "/c"), exec(2, 3, "/d")],
            vec!["/a", "/a>/b", "/c", "/c>/d"],
        ),
        (
            "re-parented",
            vec![exec(1, 0, "/a"), exec(2, 1, "/b"), exit(1), exec(2, 0, "/d")],
            vec!["/a", "/a>/b", "/a>/b>/d"],
        ),
        ("set-up", vec![exec(1, 0, "/usr/bin/runc"), fork(2, 1), exec(2, 1, "/a")], vec!["/a"]),
        (
            "set-up by the shim",
            vec![exec(1, 0, "/usr/bin/containerd-shim-runc-v2"), exec(1, 0, "runc:[2:INIT]"), exec(1, 0, "/a")],
            vec!["/a"],
        ),
        (
            "no set-up by a name alone",
            vec![exec(1, 0, "/x/containerd-shim"), exec(1, 0, "/a")],
            vec!["/x/containerd-shim", "/x/containerd-shim>/a"],
        ),
        ("no set-up", vec![exec(1, 0, "/bin/runcible"), exec(2, 1, "/a")], vec!["/bin/runcible", "/bin/runcible>/a"]),
    ] {
        let lab = Lab::new();
        let lines: Vec<_> = std::iter::once(START).chain(lines.iter().map(String::as_str)).collect();
        lab.learn(&trace(&lines));
        let mut found: Vec<_> = processes(&lab.profile("web")).into_iter().map(|(path, _)| path).collect();
        found.sort();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn with_a_start_time_pid_reuse_is_no_question() {
    let lab = Lab::new();
    let exec = |start: u32, path: &str| {
        format!(r#"{{"ts":5,"type":"exec","container":"c","pid":2,"ppid":0,"start":{start},"path":"{path}"}}"#)
    };
    let does = |start: u32, path: &str| {
        format!(r#"{{"ts":6,"type":"open","container":"c","pid":2,"start":{start},"path":"{path}"}}"#)
    };
    lab.learn(&trace(&[START, &exec(1, "/a"), &exec(2, "/b"), &does(1, "/by-a"), &does(2, "/by-b")]));
    let of = |at: usize| texts(&lab.profile("web")["processes"][at], "files", "path");
    assert_eq!((of(0), of(1)), (vec!["/by-a".to_owned()], vec!["/by-b".to_owned()]));
}

#[test]
fn tags_are_as_many_as_was_asked_for() {
    let lab = Lab::new();
    let other = r#"{"ts":3,"type":"container_start","container":"d","image":"db","tag":"2"}"#;
    lab.file("t", trace(&[START, EXEC, other, &open(4, "/a")]));
    let mut replay = lab.command(&["replay", "--stats", "stats.json", "t"]);
    let output = replay.envs([("GROVE_TAGS_MAX", "1"), ("GROVE_WORKERS", "1")]).output().unwrap();
    Ended::of(output).expect(0);
    assert_eq!(lab.stats().nonzero(), "received=4 applied_new=2 lifecycle=1 dropped.tags_full=1");
    assert_eq!(lab.names("profiles"), ["web.profile.json"]);
}

#[test]
fn a_tag_that_is_too_long_is_a_rejection_that_names_it() {
    let lab = Lab::new();
    let long =
        format!(r#"{{"ts":1,"type":"container_start","container":"c","image":"web","tag":"{}"}}"#, "x".repeat(4097));
    lab.file("t.jsonl", trace(&[&long, START, EXEC, &open(4, "/a")]));
    lab.run(&["replay", "--stats", "stats.json", "t.jsonl"]).expect(0).said(&["invalid_value", "`tag`", "4096"]);
    assert_eq!(lab.stats().nonzero(), "received=4 applied_new=2 lifecycle=1 rejected.invalid_value=1");
}
