//! Kinds of behaviour, each from lines of a trace to a profile, a difference, a finding.

use crate::support::{EXEC, Lab, START, trace};

/// Lines of things that process 10 of the container does, and what its profile then has in the kind's list.
const KINDS: [(&str, &str, &str, &str); 9] = [
    (
        r#""type":"mount","path":"/mnt/./a","fstype":"tmpfs","source":"tmpfs","flags":6,"ret":0"#,
        "mounts",
        r#"{"path":"/mnt/a","fstype":"tmpfs","flags":["MS_NODEV","MS_NOSUID"],"sources":["tmpfs"],"#,
        "mount",
    ),
    (
        r#""type":"mount","path":"/mnt/b","fstype":"","source":"/srv/../data","flags":4096"#,
        "mounts",
        r#"{"path":"/mnt/b","fstype":"none","flags":["MS_BIND"],"sources":["/data"],"#,
        "mount",
    ),
    (
        r#""type":"imds","path":"/latest/meta-data/iam?token=secret","provider":"aws","method":"GET","token":"v2""#,
        "imds",
        r#"{"provider":"aws","token":"v2","path":"/latest/meta-data/iam","#,
        "imds",
    ),
    (
        r#""type":"accept","family":"inet","addr":"10.0.3.7","port":8080,"proto":"tcp","ret":4"#,
        "sockets",
        r#"{"op":"accept","family":"inet","proto":"tcp","addr":"10.0.3.7","port":8080,"#,
        "accept",
    ),
    (
        r#""type":"accept","family":"unix","addr":"/run/x.sock","port":0"#,
        "sockets",
        r#"{"op":"accept","family":"unix","proto":null,"addr":"/run/x.sock","port":0,"#,
        "accept",
    ),
    (
        r#""type":"flow","family":"inet","addr":"10.0.3.9","port":443,"proto":"tcp","sent":1048576,"received":0"#,
        "sockets",
        r#"{"op":"connect","family":"inet","proto":"tcp","addr":"10.0.3.9","port":443,"volume":{"sent":21,"received":0},"#,
        "connect",
    ),
    (
        r#""type":"change","path":"/tmp/new","op":"rename","from":"/tmp/old","ret":0"#,
        "files",
        r#"{"path":"/tmp/new","access":null,"changes":["rename"],"pattern":false,"#,
        "change",
    ),
    (
        r#""type":"change","path":"/tmp/link","op":"symlink","from":"/tmp/there""#,
        "files",
        r#"{"path":"/tmp/link","access":null,"changes":["symlink"],"pattern":false,"#,
        "change",
    ),
    (
        r#""type":"open","path":"/usr/lib/libc.so.6","flags":0,"map":true,"ret":3"#,
        "files",
        r#"{"path":"/usr/lib/libc.so.6","access":"r","mapped":true,"pattern":false,"#,
        "open",
    ),
];

fn line(at: usize, fields: &str) -> String {
    format!(r#"{{"ts":{},"container":"c","pid":10,{fields}}}"#, 1_000_000_010 + at)
}

fn all() -> String {
    let did: Vec<String> = KINDS.iter().enumerate().map(|(at, (fields, ..))| line(at, fields)).collect();
    let mut lines = vec![START, EXEC];
    lines.extend(did.iter().map(String::as_str));
    trace(&lines)
}

#[test]
fn every_kind_has_its_list_and_is_drift_where_it_is_new() {
    let lab = Lab::new();
    lab.learn(&all());
    let learned = lab.profile_text("web");
    for (fields, list, entry, kind) in KINDS {
        assert!(learned.contains(entry), "{fields}: no {entry} in {learned}");
        assert!(learned.contains(&format!("\"{list}\":[{{")), "{list}");
        let alone = Lab::new();
        alone.learn(&trace(&[START, EXEC, &line(0, fields)]));
        // What was learned is known; where it was not, it is a finding.
        let known = alone.feed(
            &["check", "--profile", "profiles/web.profile.json", "-"],
            trace(&[START, EXEC, &line(9, fields)]).as_bytes(),
        );
        assert_eq!((known.code, known.stdout.as_str()), (Some(0), ""), "{fields}");
        let bare = Lab::new();
        bare.learn(&trace(&[START, EXEC]));
        let found = bare.feed(
            &["check", "--profile", "profiles/web.profile.json", "-"],
            trace(&[START, EXEC, &line(9, fields)]).as_bytes(),
        );
        assert_eq!(found.code, Some(2), "{fields}");
        assert!(found.stdout.lines().all(|found| found.contains(&format!("\"kind\":\"{kind}\""))), "{}", found.stdout);
        // And it comes back the same from what was written.
        let merged = alone.run(&["merge", "--output", "again.json", "profiles/web.profile.json"]);
        merged.expect(0);
        assert_eq!(std::fs::read_to_string(alone.path("again.json")).unwrap(), alone.profile_text("web"), "{fields}");
    }
    // A rename changes the name it comes from, a symbolic link not what it points to; a request's secrets are not kept.
    assert!(learned.contains(r#"{"path":"/tmp/old","access":null,"changes":["rename"]"#));
    assert!(!learned.contains("/tmp/there") && !learned.contains("secret"));
}

#[test]
fn converting_keeps_every_kind() {
    let lab = Lab::new();
    lab.file("t.jsonl", all());
    lab.run(&["convert", "--output", "u.jsonl", "t.jsonl"]).expect(0);
    for (from, to) in [("t.jsonl", "a"), ("u.jsonl", "b")] {
        lab.run(&["replay", "--output", to, from]).expect(0);
    }
    let lists = |dir: &str| {
        let text = std::fs::read_to_string(lab.path(dir).join("web.profile.json")).unwrap();
        text.split_once("\"processes\"").unwrap().1.to_owned()
    };
    assert_eq!(lists("a"), lists("b"));
    // A request's secrets are in no trace that is written.
    assert!(lab.text("t.jsonl").contains("secret") && !lab.text("u.jsonl").contains("secret"));
}

#[test]
fn a_mount_whose_type_is_too_long_is_rejected_by_line_and_field() {
    let lab = Lab::new();
    let mount = format!(r#""type":"mount","path":"/mnt","fstype":"{}""#, "x".repeat(65));
    lab.file("t.jsonl", trace(&[START, EXEC, &line(0, &mount)]));
    let ended = lab.run(&["replay", "--strict", "t.jsonl"]);
    ended.expect(3).said(&["t.jsonl", "line 3", "fstype"]);
}

#[test]
fn more_over_a_known_connection_than_ever_is_a_finding_of_its_own() {
    let flow = |at, rest: &str| {
        line(at, &format!(r#""type":"flow","family":"inet","addr":"10.0.3.9","port":443,"proto":"tcp",{rest}"#))
    };
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC, &flow(0, r#""sent":1000"#)]));
    let check = |lines: &[&str]| {
        let all: Vec<&str> = [START, EXEC].into_iter().chain(lines.iter().copied()).collect();
        lab.feed(&["check", "--profile", "profiles/web.profile.json", "-"], trace(&all).as_bytes())
    };
    // No more than was learned; and a direction of which nothing was learned.
    assert_eq!(check(&[&flow(1, r#""sent":1023"#), &flow(2, r#""received":99999"#)]).code, Some(0));
    let found =
        check(&[&flow(1, r#""sent":1024,"received":5"#), &flow(2, r#""sent":5000000"#), &flow(3, r#""sent":3"#)]);
    let line = found.stdout.trim();
    assert_eq!((found.code, line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.contains(r#""kind":"volume","reason":"new_behaviour""#), "{line}");
    assert!(line.contains(r#""subject":"10.0.3.9:443","proto":"tcp","op":"connect","sent":23,"count":2"#), "{line}");
    // A new peer is one finding, however much went to it.
    let other = |at, sent| flow(at, &format!(r#""sent":{sent}"#)).replace("10.0.3.9", "10.0.4.1");
    let found = check(&[&other(1, 5), &other(2, 500_000)]);
    assert_eq!(found.stdout.lines().count(), 1, "{}", found.stdout);
    assert!(found.stdout.contains(r#""kind":"connect""#) && found.stdout.contains(r#""count":2"#), "{}", found.stdout);
}

#[test]
fn one_finding_a_name_says_what_is_new_of_it() {
    let open =
        |at, path: &str, flags: u32| line(at, &format!(r#""type":"open","path":"{path}","flags":{flags},"ret":3"#));
    let change = |at, op: &str| line(at, &format!(r#""type":"change","path":"/etc/app","op":"{op}""#));
    let dns = |at, qtype: &str| line(at, &format!(r#""type":"dns","name":"example.com","qtype":"{qtype}""#));
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC, &open(0, "/etc/app", 0), &change(1, "chmod"), &dns(2, "A")]));
    let lines = [
        open(1, "/etc/app", 0),
        open(2, "/etc/app", 2),
        open(3, "/etc/app", 1),
        change(4, "chmod"),
        change(5, "rename"),
        change(6, "delete"),
        open(7, "/etc/new", 0),
        open(8, "/etc/new", 1),
        dns(9, "AAAA"),
    ];
    let all: Vec<&str> = [START, EXEC].into_iter().chain(lines.iter().map(String::as_str)).collect();
    let found = lab.feed(&["check", "--profile", "profiles/web.profile.json", "-"], trace(&all).as_bytes());
    let said: Vec<&str> = found.stdout.lines().map(|line| line.split_once("\"subject\":").unwrap().1).collect();
    assert_eq!(
        said,
        [
            r#""/etc/app","access":"w","count":2}"#,
            r#""/etc/app","ops":["delete","rename"],"count":2}"#,
            r#""/etc/new","access":"rw","count":2}"#,
        ]
    );
}
