//! A container that does much cannot hide what else it runs.

use std::fmt::Write;

use crate::support::{Ended, Lab};

const APP: &str = r#"{"ts":1,"container":"c","type":"container_start","image":"web","tag":"1"}
{"ts":2,"container":"c","type":"exec","pid":10,"ppid":1,"path":"/srv/app"}
"#;

/// A child of the app runs itself again and again under names of this length; then another one runs a program that has
/// no file.
fn checked(links: usize, len: usize) -> (Lab, Ended, String) {
    let mut trace = APP.to_owned();
    for n in 0..links {
        let name = format!("{n:x>len$}");
        writeln!(trace, r#"{{"ts":3,"container":"c","type":"exec","pid":20,"ppid":10,"path":"/t/{name}"}}"#).unwrap();
    }
    trace.push_str(
        r#"{"ts":4,"container":"c","type":"exec","pid":30,"ppid":10,"path":"/tmp/evil","fileless":true}
{"ts":5,"container":"c","type":"open","pid":30,"path":"/etc/shadow","flags":0}
"#,
    );
    let lab = Lab::new();
    lab.learn(APP);
    let args = ["check", "--profile", "profiles/web.profile.json", "--output", "findings.jsonl", "-"];
    let ended = lab.feed(&args, trace.as_bytes());
    ended.expect(2);
    let findings = lab.text("findings.jsonl");
    (lab, ended, findings)
}

#[test]
fn a_program_that_runs_itself_again_and_again_hides_no_other() {
    for (links, len) in [(250, 3390), (256, 4000), (2000, 15)] {
        let (_lab, ended, findings) = checked(links, len);
        let execs = findings.lines().filter(|line| line.contains(r#""kind":"exec""#)).count();
        assert_eq!(execs, links + 1, "{}", ended.stderr);
        assert!(!ended.stderr.contains("only counted"), "{}", ended.stderr);
        let lineage = r#""lineage":["/srv/app"],"subject":"/tmp/evil""#;
        assert!(findings.lines().any(|line| line.contains("fileless_exec") && line.contains(lineage)));
        assert!(findings.contains(r#""lineage":["/srv/app","/tmp/evil"],"subject":"/etc/shadow""#));
    }
}

#[test]
fn what_comes_of_one_new_program_is_told_up_to_a_number_and_then_counted() {
    let (_lab, ended, findings) = checked(70_000, 8);
    // The first of them, so many below it, and the other one with what it did.
    assert_eq!(findings.lines().count(), 1 + 4096 + 2, "{}", ended.stderr);
    assert!(findings.lines().any(|line| line.contains("fileless_exec") && line.contains("/tmp/evil")));
    let counted = 70_000 - 4097;
    ended.said(&[&format!("{counted} more findings were only counted, {counted} of them of programs that were run")]);
}
