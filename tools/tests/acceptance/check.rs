//! `grove check`: what a trace does beyond its profile, and nothing else.

use crate::support::{EXEC, Ended, Lab, START, open, trace};

const CHECK: [&str; 6] = ["check", "--profile", "profiles/web.profile.json", "--stats", "stats.json", "-"];

/// A lab with a profile of [`START`], [`EXEC`] and an open of `/known`.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.learn(&known());
    lab
}

fn known() -> String {
    trace(&[START, EXEC, &open(3, "/known")])
}

fn check(lab: &Lab, more: &str) -> Ended {
    lab.feed(&CHECK, format!("{}{more}", known()).as_bytes())
}

#[test]
fn what_the_profile_knows_is_no_finding() {
    let lab = lab();
    let before = lab.profile_text("web");
    let ended = check(&lab, "");
    ended.expect(0);
    assert_eq!(ended.stdout, "");
    assert_eq!(lab.stats().nonzero(), "received=3 applied_known=2 lifecycle=1");
    // Another container, another tag, other pids, another time: the same behaviour.
    let other = known().replace(r#""c""#, r#""d""#).replace(r#""tag":"1""#, r#""tag":"2""#).replace(":10,", ":77,");
    lab.feed(&CHECK, other.replace(r#""ts":"#, r#""ts":9"#).as_bytes()).expect(0);
    assert_eq!(lab.profile_text("web"), before);
}

#[test]
fn findings_are_exactly_these() {
    let finding = |rest: &str| format!(r#"{{"ts":9,"container":"c","image":"web","tag":"1",{rest}}}"#);
    let web = r#""pid":10,"lineage":["/bin/web"]"#;
    for (event, expected) in [
        (
            r#""type":"open","container":"c","pid":10,"path":"/etc/shadow","flags":0"#,
            format!(r#""kind":"open","reason":"new_behaviour",{web},"subject":"/etc/shadow","access":"r","count":1"#),
        ),
        (
            r#""type":"open","container":"c","pid":10,"path":"/known","flags":1"#,
            format!(r#""kind":"open","reason":"new_behaviour",{web},"subject":"/known","access":"w","count":1"#),
        ),
        (
            r#""type":"open","container":"c","pid":10,"path":"/known","flags":2"#,
            format!(r#""kind":"open","reason":"new_behaviour",{web},"subject":"/known","access":"w","count":1"#),
        ),
        (
            r#""type":"connect","container":"c","pid":10,"family":"inet","addr":"6.6.6.6","port":4444,"proto":"tcp""#,
            format!(r#""kind":"connect","reason":"new_behaviour",{web},"subject":"6.6.6.6:4444","proto":"tcp","count":1"#),
        ),
        (
            r#""type":"connect","container":"c","pid":10,"family":"inet6","addr":"2001:db8::6","port":4444"#,
            format!(r#""kind":"connect","reason":"new_behaviour",{web},"subject":"[2001:db8::6]:4444","count":1"#),
        ),
        (
            r#""type":"bind","container":"c","pid":10,"family":"unix","addr":"/run/x.sock","port":0"#,
            format!(r#""kind":"bind","reason":"new_behaviour",{web},"subject":"/run/x.sock","count":1"#),
        ),
        (
            r#""type":"dns","container":"c","pid":10,"name":"Evil.example","qtype":"TXT""#,
            format!(r#""kind":"dns","reason":"new_behaviour",{web},"subject":"evil.example","qtype":"TXT","count":1"#),
        ),
        (
            r#""type":"syscalls","container":"c","pid":10,"nrs":[101]"#,
            format!(r#""kind":"syscall","reason":"new_behaviour",{web},"subject":"ptrace","count":1"#),
        ),
        (
            r#""type":"capability","container":"c","pid":10,"cap":"CAP_SYS_ADMIN""#,
            format!(r#""kind":"capability","reason":"new_behaviour",{web},"subject":"CAP_SYS_ADMIN","count":1"#),
        ),
        (
            r#""type":"exec","container":"c","pid":11,"ppid":10,"path":"/bin/sh""#,
            r#""kind":"exec","reason":"new_process","pid":11,"lineage":["/bin/web"],"subject":"/bin/sh","count":1"#.to_owned(),
        ),
        (
            r#""type":"exec","container":"c","pid":11,"ppid":0,"path":"/bin/sh""#,
            r#""kind":"exec","reason":"new_process","pid":11,"lineage":[],"subject":"/bin/sh","count":1"#.to_owned(),
        ),
        (
            r#""type":"exec","container":"c","pid":11,"ppid":10,"path":"/memfd:x","fileless":true"#,
            r#""kind":"exec","reason":"fileless_exec","pid":11,"lineage":["/bin/web"],"subject":"/memfd:x","count":1"#.to_owned(),
        ),
        (
            r#""type":"exec","container":"c","pid":11,"ppid":10,"path":"/tmp/dropped","upper_layer":true"#,
            r#""kind":"exec","reason":"upper_layer_exec","pid":11,"lineage":["/bin/web"],"subject":"/tmp/dropped","count":1"#
                .to_owned(),
        ),
    ] {
        let lab = lab();
        let ended = check(&lab, &format!("{{\"ts\":9,{event}}}\n"));
        ended.expect(2);
        assert_eq!(ended.stdout, format!("{}\n", finding(&expected)), "{event}");
    }
}

#[test]
fn one_finding_for_each_behaviour_and_container_with_its_count() {
    let lab = lab();
    let other = known().replace(r#""c""#, r#""d""#) + &open(12, "/new").replace(r#""c""#, r#""d""#) + "\n";
    let more = [open(10, "/new"), open(8, "/new"), open(11, "/newer"), other].join("\n");
    let ended = check(&lab, &more);
    ended.expect(2);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    for (line, parts) in lines.iter().zip([
        [r#""ts":8"#, r#""container":"c""#, r#""subject":"/new""#, r#""count":2"#],
        [r#""ts":11"#, r#""container":"c""#, r#""subject":"/newer""#, r#""count":1"#],
        [r#""ts":12"#, r#""container":"d""#, r#""subject":"/new""#, r#""count":1"#],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?}: {line}");
    }
}

#[test]
fn findings_do_not_depend_on_the_number_of_workers() {
    let lab = lab();
    let mut lines = String::new();
    for c in 0..20 {
        for line in [START.to_owned(), EXEC.to_owned(), open(5, "/x"), open(4, "/y"), open(5, "/z")] {
            lines.push_str(&line.replace(r#""c""#, &format!(r#""c{c}""#)));
            lines.push('\n');
        }
    }
    lab.file("t", lines);
    let with = |n: &str| lab.run(&["check", "--profile", "profiles/web.profile.json", "--workers", n, "t"]);
    let one = with("1");
    one.expect(2);
    assert_eq!(one.stdout.lines().count(), 60);
    for n in ["2", "3", "8"] {
        assert_eq!(with(n).expect(2).stdout, one.stdout, "{n} workers");
    }
}

#[test]
fn events_of_an_image_without_a_profile_are_counted() {
    let lab = lab();
    let other = known().replace(r#""c""#, r#""d""#).replace("web", "other");
    let ended = check(&lab, &other);
    ended.expect(0).said(&["2 events", "--profile"]);
    assert_eq!(lab.stats().nonzero(), "received=6 applied_known=2 lifecycle=2 ignored.no_profile=2");
}

#[test]
fn drift_is_found_before_a_fault_in_the_trace_is_told() {
    let lab = lab();
    lab.file("bad.gz", &crate::support::gzip(format!("{}{}\n", known(), open(9, "/new")).repeat(50).as_bytes())[..90]);
    let ended = lab.run(&["check", "--profile", "profiles/web.profile.json", "bad.gz"]);
    ended.expect(3).said(&["bad.gz"]);
}

#[test]
fn several_profiles_of_one_image_count_together() {
    let lab = lab();
    lab.file("t", trace(&[START, EXEC, &open(5, "/other")]));
    lab.run(&["replay", "--output", "second", "t"]).expect(0);
    let both = format!("{}{}\n", known(), open(9, "/other"));
    let args = ["check", "--profile", "profiles/web.profile.json", "--profile", "second/web.profile.json", "-"];
    lab.feed(&args, both.as_bytes()).expect(0);
    lab.feed(&CHECK, both.as_bytes()).expect(2);
}

#[test]
fn findings_go_to_a_file_when_asked() {
    let lab = lab();
    let input = format!("{}{}\n", known(), open(9, "/new"));
    let args = ["check", "--profile", "profiles/web.profile.json", "--output", "found.jsonl", "-"];
    let ended = lab.feed(&args, input.as_bytes());
    ended.expect(2);
    assert_eq!(ended.stdout, "");
    assert_eq!(lab.text("found.jsonl"), check(&lab, &format!("{}\n", open(9, "/new"))).stdout);
}

/// A generalised path is known by its pattern, and a new name of another shape is not.
#[test]
fn patterns_know_what_they_stand_for() {
    let lab = Lab::new();
    let mut lines = vec![START.to_owned(), EXEC.to_owned()];
    lines.extend((0..40).map(|n| open(3, &format!("/tmp/sess-{n}.tmp"))));
    let known = lines.join("\n") + "\n";
    lab.learn(&known);
    assert!(lab.profile_text("web").contains(r#""path":"/tmp/sess-*.tmp","access":"r","pattern":true"#));
    lab.feed(&CHECK, known.as_bytes()).expect(0);
    lab.feed(&CHECK, format!("{known}{}\n", open(9, "/tmp/sess-4711.tmp")).as_bytes()).expect(0);
    let ended = lab.feed(&CHECK, format!("{known}{}\n", open(9, "/tmp/other-4711.tmp")).as_bytes());
    ended.expect(2);
    assert_eq!(ended.stdout.lines().count(), 1);
}
