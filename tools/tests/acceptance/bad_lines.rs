//! Lines that are no events: rejected with a reason, a line number and a field, never fatal unless asked to be.

use crate::support::{EXEC, Lab, START, open, trace};

/// A line, the reason it is rejected for, and the field that is named. None: the line is good.
const LINES: &[(&str, Option<(&str, &str)>)] = &[
    // Not objects.
    ("rubbish", Some(("malformed", ""))),
    ("[]", Some(("malformed", ""))),
    ("null", Some(("malformed", ""))),
    ("\"text\"", Some(("malformed", ""))),
    ("7", Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a"} x"#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a"}{}"#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a""#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a",}"#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":010,"path":"/a"}"#, Some(("malformed", ""))),
    (r#"{"ts":NaN,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"\ud800"}"#, Some(("malformed", ""))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"\x41"}"#, Some(("malformed", ""))),
    ("{\"ts\":3,\"type\":\"open\",\"container\":\"c\",\"pid\":10,\"path\":\"\t\"}", Some(("malformed", ""))),
    // Required fields.
    ("{}", Some(("missing_field", "type"))),
    (r#"{"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("missing_field", "ts"))),
    (r#"{"ts":3,"type":"open","pid":10,"path":"/a"}"#, Some(("missing_field", "container"))),
    (r#"{"ts":3,"type":"open","container":"c","path":"/a"}"#, Some(("missing_field", "pid"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10}"#, Some(("missing_field", "path"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":null}"#, Some(("missing_field", "path"))),
    (r#"{"ts":3,"type":"fork","container":"c","pid":10}"#, Some(("missing_field", "ppid"))),
    (r#"{"ts":3,"type":"exec","container":"c","pid":10,"path":"/a"}"#, Some(("missing_field", "ppid"))),
    (r#"{"ts":3,"type":"container_start","container":"d","tag":"1"}"#, Some(("missing_field", "image"))),
    (r#"{"ts":3,"type":"container_start","container":"d","image":"x"}"#, Some(("missing_field", "tag"))),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"addr":"1.2.3.4","port":1}"#,
        Some(("missing_field", "family")),
    ),
    (r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"inet","port":1}"#, Some(("missing_field", "addr"))),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"inet","addr":"1.2.3.4"}"#,
        Some(("missing_field", "port")),
    ),
    (r#"{"ts":3,"type":"dns","container":"c","pid":10,"name":"a"}"#, Some(("missing_field", "qtype"))),
    (r#"{"ts":3,"type":"syscalls","container":"c","pid":10}"#, Some(("missing_field", "nrs"))),
    (r#"{"ts":3,"type":"capability","container":"c","pid":10}"#, Some(("missing_field", "cap"))),
    // Types.
    (r#"{"ts":"3","type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("wrong_type", "ts"))),
    (r#"{"ts":3.5,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("wrong_type", "ts"))),
    (r#"{"ts":3e0,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("wrong_type", "ts"))),
    (r#"{"ts":true,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("wrong_type", "ts"))),
    (r#"{"ts":3,"type":7}"#, Some(("wrong_type", "type"))),
    (r#"{"ts":3,"type":"open","container":1,"pid":10,"path":"/a"}"#, Some(("wrong_type", "container"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":"10","path":"/a"}"#, Some(("wrong_type", "pid"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10.0,"path":"/a"}"#, Some(("wrong_type", "pid"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":["/a"]}"#, Some(("wrong_type", "path"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","flags":"r"}"#, Some(("wrong_type", "flags"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","mode":[]}"#, Some(("wrong_type", "mode"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","ret":"x"}"#, Some(("wrong_type", "ret"))),
    (
        r#"{"ts":3,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/a","argv":"a"}"#,
        Some(("wrong_type", "argv")),
    ),
    (
        r#"{"ts":3,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/a","argv":[1]}"#,
        Some(("wrong_type", "argv")),
    ),
    (
        r#"{"ts":3,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/a","fileless":1}"#,
        Some(("wrong_type", "fileless")),
    ),
    (r#"{"ts":3,"type":"container_start","container":"d","image":"x","tag":1}"#, Some(("wrong_type", "tag"))),
    (
        r#"{"ts":3,"type":"container_start","container":"d","image":"x","tag":"1","labels":[]}"#,
        Some(("wrong_type", "labels")),
    ),
    (r#"{"ts":3,"type":"syscalls","container":"c","pid":10,"nrs":["read"]}"#, Some(("wrong_type", "nrs"))),
    (r#"{"ts":3,"type":"capability","container":"c","pid":10,"cap":1,"used":"yes"}"#, Some(("wrong_type", "used"))),
    // Values.
    (r#"{"ts":-1,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("invalid_value", "ts"))),
    (
        r#"{"ts":18446744073709551616,"type":"open","container":"c","pid":10,"path":"/a"}"#,
        Some(("invalid_value", "ts")),
    ),
    (r#"{"ts":3,"type":"open","container":"c","pid":-1,"path":"/a"}"#, Some(("invalid_value", "pid"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":4294967296,"path":"/a"}"#, Some(("invalid_value", "pid"))),
    (
        r#"{"ts":3,"type":"open","container":"c","pid":18446744073709551616,"path":"/a"}"#,
        Some(("invalid_value", "pid")),
    ),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":""}"#, Some(("invalid_value", "path"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a\u0000b"}"#, Some(("invalid_value", "path"))),
    (r#"{"ts":3,"type":"open","container":"c\u0000","pid":10,"path":"/a"}"#, Some(("invalid_value", "container"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path_b64":"L2EAYg=="}"#, Some(("invalid_value", "path_b64"))),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path_b64":"%%"}"#, Some(("invalid_value", "path_b64"))),
    (
        r#"{"ts":3,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/a","argv":["a\u0000"]}"#,
        Some(("invalid_value", "argv")),
    ),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"ipx","addr":"1","port":1}"#,
        Some(("invalid_value", "family")),
    ),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"inet","addr":"::1","port":1}"#,
        Some(("invalid_value", "addr")),
    ),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"inet","addr":"1.2.3.4","port":65536}"#,
        Some(("invalid_value", "port")),
    ),
    (
        r#"{"ts":3,"type":"connect","container":"c","pid":10,"family":"inet","addr":"1.2.3.4","port":1,"proto":"sctp"}"#,
        Some(("invalid_value", "proto")),
    ),
    (
        r#"{"ts":3,"type":"dns","container":"c","pid":10,"name":"a","qtype":"NONSENSE"}"#,
        Some(("invalid_value", "qtype")),
    ),
    (r#"{"ts":3,"type":"dns","container":"c","pid":10,"name":"a","qtype":65536}"#, Some(("invalid_value", "qtype"))),
    (r#"{"ts":3,"type":"syscalls","container":"c","pid":10,"nrs":[-1]}"#, Some(("invalid_value", "nrs"))),
    (r#"{"ts":3,"type":"syscalls","container":"c","pid":10,"nrs":[0],"arch":"vax"}"#, Some(("invalid_value", "arch"))),
    (r#"{"ts":3,"type":"capability","container":"c","pid":10,"cap":"CAP_NONSENSE"}"#, Some(("invalid_value", "cap"))),
    (r#"{"ts":3,"type":"capability","container":"c","pid":10,"cap":64}"#, Some(("invalid_value", "cap"))),
    // Twice.
    (r#"{"ts":3,"ts":3,"type":"open","container":"c","pid":10,"path":"/a"}"#, Some(("duplicate_field", "ts"))),
    (r#"{"ts":3,"type":"open","type":"exit","container":"c","pid":10,"path":"/a"}"#, Some(("duplicate_field", "type"))),
    (
        r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","p\u0061th":"/b"}"#,
        Some(("duplicate_field", "path")),
    ),
    (
        r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","path_b64":"L2I="}"#,
        Some(("duplicate_field", "path_b64")),
    ),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","x":1,"x":2}"#, None),
    // Odd, and right.
    (r#" {"type" : "open","path":"/a","pid":4294967295,"container":"c","ts":18446744073709551615} "#, None),
    (r#"{"ts":3,"type":"open","container":"c","pid":0,"path":"/a","flags":4294967295,"argv":7,"addr":[]}"#, None),
    (r#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/😀","x":"\ud83d\ude00"}"#, None),
];

#[test]
fn each_bad_line_is_rejected_for_its_reason_and_changes_nothing_else() {
    let untouched = {
        let lab = Lab::new();
        lab.learn(&trace(&[START, EXEC, &open(4, "/z")]));
        lab.profile("web")["processes"].to_string()
    };
    for (line, expected) in LINES {
        let lab = Lab::new();
        lab.file("t.jsonl", trace(&[START, EXEC, line, &open(4, "/z")]));
        let ended = lab.run(&["replay", "--stats", "stats.json", "t.jsonl"]);
        ended.expect(0);
        let strict = lab.run(&["replay", "--strict", "--output", "strict", "t.jsonl"]);
        let Some((reason, field)) = expected else {
            assert_eq!(
                lab.stats().get("applied_new") + lab.stats().get("applied_known"),
                3,
                "{line}: {}",
                ended.stderr
            );
            strict.expect(0);
            continue;
        };
        assert_eq!(
            lab.stats().nonzero(),
            format!("received=4 applied_new=2 lifecycle=1 rejected.{reason}=1"),
            "{line}: {}",
            ended.stderr
        );
        assert_eq!(lab.profile("web")["processes"].to_string(), untouched, "{line}");
        ended.said(&[&format!("t.jsonl:3: rejected ({reason})")]);
        strict.expect(3).said(&["t.jsonl", "line 3"]);
        if !field.is_empty() {
            ended.said(&[&format!("`{field}`")]);
            strict.said(&[&format!("`{field}`")]);
        }
        // What came before it stands.
        assert_eq!(lab.names("strict"), ["web.profile.json"], "{line}");
        assert!(!lab.text("strict/web.profile.json").contains("/z"), "{line}");
    }
}

/// No system call takes a path that long: what is that long is rejected where its line can still be told.
#[test]
fn texts_longer_than_any_can_be_are_rejected() {
    let (long, most) = ("a".repeat(4096), "a".repeat(4095));
    let name = format!(r#"{{"ts":3,"type":"dns","container":"c","pid":10,"name":"{long}","qtype":"A"}}"#);
    let exec = format!(r#"{{"ts":3,"type":"exec","container":"c","pid":11,"ppid":10,"path":"/{long}"}}"#);
    let addr =
        format!(r#"{{"ts":3,"type":"connect","container":"c","pid":10,"family":"unix","addr":"/{long}","port":0}}"#);
    let failed = open(3, &format!("/{long}")).replace('}', r#","ret":-36}"#);
    for (line, fate) in [
        (open(3, &format!("/{most}")), "applied_new=2 lifecycle=1"),
        (failed, "applied_new=1 lifecycle=1 ignored.failed=1"),
        (open(3, &format!("/{long}")), "applied_new=1 lifecycle=1 rejected.too_long=1"),
        (exec, "applied_new=1 lifecycle=1 rejected.too_long=1"),
        (addr, "applied_new=1 lifecycle=1 rejected.too_long=1"),
        (name, "applied_new=1 lifecycle=1 rejected.invalid_value=1"),
    ] {
        let lab = Lab::new();
        let input = trace(&[START, EXEC, &line]);
        let ended = lab.feed(&["replay", "--stats", "stats.json", "-"], input.as_bytes());
        ended.expect(0);
        assert_eq!(lab.stats().nonzero(), format!("received=3 {fate}"), "{}", &line[..60]);
        let rejected = fate.contains("rejected");
        assert_eq!(ended.stderr.contains("standard input:3: rejected"), rejected, "{}", ended.stderr);
        lab.feed(&["replay", "--strict", "-"], input.as_bytes()).expect(if rejected { 3 } else { 0 });
    }
}

/// Raw bytes that no text file should have.
#[test]
fn bytes_that_are_not_utf8_are_rejected() {
    for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\0", b"\xf8\x88\x80\x80\x80"] {
        let line = [br#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/a"#, bytes, br#""}"#].concat();
        let input = [START.as_bytes(), b"\n", EXEC.as_bytes(), b"\n", &line, b"\n"].concat();
        let lab = Lab::new();
        lab.feed(&["replay", "--stats", "stats.json", "-"], &input)
            .expect(0)
            .said(&["standard input:3: rejected (malformed)"]);
        assert_eq!(lab.stats().nonzero(), "received=3 applied_new=1 lifecycle=1 rejected.malformed=1");
    }
}

#[test]
fn the_first_ten_of_each_reason_are_shown_and_the_others_counted() {
    let lab = Lab::new();
    let mut lines = vec![START, EXEC];
    lines.extend(["rubbish"; 25]);
    lines.extend([r#"{"ts":1}"#; 11]);
    lines.extend([r#"{"ts":"1","type":"exit","container":"c","pid":1}"#; 10]);
    let ended = lab.feed(&["replay", "--stats", "stats.json", "-"], trace(&lines).as_bytes());
    ended.expect(0).said(&["15 more rejected (malformed)", "1 more rejected (missing_field)"]);
    assert_eq!(
        lab.stats().nonzero(),
        "received=48 applied_new=1 lifecycle=1 rejected.malformed=25 rejected.missing_field=11 rejected.wrong_type=10"
    );
    let shown =
        |reason: &str| ended.stderr.lines().filter(|line| line.contains(&format!(": rejected ({reason})"))).count();
    assert_eq!([shown("malformed"), shown("missing_field"), shown("wrong_type")], [10, 10, 10]);
    assert!(!ended.stderr.contains("more rejected (wrong_type)"), "{}", ended.stderr);
    ended.said(&["standard input:3: ", "standard input:12: ", "standard input:28: ", "standard input:39: "]);
}

/// What is wrong with a line is said in words that the line chose in part.
#[test]
fn messages_show_nothing_that_a_terminal_obeys() {
    let lab = Lab::new();
    let lines = [
        "{\"ts\":1,\"type\":\"connect\",\"container\":\"c\",\"pid\":1,\"family\":\"\\u001b[2J\\u202e\\u0007\",\"addr\":\"x\",\"port\":1}".to_owned(),
        format!("{{\"ts\":1,\"type\":\"connect\",\"container\":\"c\",\"pid\":1,\"family\":\"{}\",\"addr\":\"x\",\"port\":1}}", "\u{202e}".repeat(100_000)),
        format!("{{\"ts\":{},\"type\":\"exit\",\"container\":\"c\",\"pid\":1}}", "9".repeat(100_000)),
        "\u{1b}[2J".to_owned(),
        "{\"ts\":1,\"type\":\"open\",\"container\":\"c\",\"pid\":\"\\n\\u001b\",\"path\":\"x\"}".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let ended = lab.feed(&["replay", "-"], trace(&lines).as_bytes());
    ended.expect(3);
    assert!(ended.stderr.len() < 10_000, "{}", ended.stderr.len());
    assert!(!ended.stderr.contains(['\u{1b}', '\u{202e}', '\u{7}', '\0']), "{:?}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 5 + 2 + 1, "{}", ended.stderr);
}
