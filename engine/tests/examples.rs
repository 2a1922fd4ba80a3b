//! What the examples print.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, dead_code)] // nothing calls their `main`s

#[path = "../examples/check_live.rs"]
mod check_live;
#[path = "../examples/embed.rs"]
mod embed;
#[path = "../examples/feed_file.rs"]
mod feed_file;
#[path = "../examples/overload.rs"]
mod overload;

use std::path::Path;

const START: &str = r#"{"ts":1,"type":"container_start","container":"c","image":"shop/cart","tag":"1"}"#;
const EXEC: &str = r#"{"ts":2,"type":"exec","container":"c","pid":1,"ppid":0,"path":"/bin/cart"}"#;
const OPEN: &str = r#"{"ts":3,"type":"open","container":"c","pid":1,"path":"/etc/cart.conf","flags":0,"ret":3}"#;

fn trace(path: &Path, lines: &[&str]) {
    std::fs::write(path, lines.join("\n")).unwrap();
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

#[test]
fn embed_learns_and_finds_what_is_new() {
    let mut out = Vec::new();
    embed::run(&mut out).unwrap();
    let out = text(out);
    let (learned, found): (Vec<_>, Vec<_>) = out.lines().partition(|line| !line.starts_with("nginx web-"));
    assert!(learned[1].starts_with("learned: Stats {") && learned[1].ends_with(", 0 events lost"), "{out}");
    assert_eq!(learned[2], "4 findings, 0 not read in time");
    let mut found: Vec<_> = found.iter().map(|line| line.to_string()).collect();
    found.sort();
    let expected: Vec<_> = (1..=4).map(|n| format!("nginx web-{n}: open /etc/shadow")).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_fed_from_a_file_is_shown_and_written_and_then_checked_against() {
    let directory = tempfile::tempdir().unwrap();
    let (learned, checked) = (directory.path().join("learned"), directory.path().join("checked"));
    trace(&learned, &[START, EXEC, OPEN]);
    let mut out = Vec::new();
    feed_file::run(&learned, Some(directory.path()), &mut out).unwrap();
    let out = text(out);
    assert!(out.starts_with("3 records, 3 of them events; 0 lost\n"), "{out}");
    assert!(out.contains("/bin/cart") && out.contains("/etc/cart.conf"), "{out}");

    let profile = directory.path().join(grove::profile::file_name("shop/cart"));
    trace(&checked, &[START, EXEC, OPEN, &OPEN.replace("/etc/cart.conf", "/etc/shadow")]);
    let mut out = Vec::new();
    check_live::run(&[profile], &checked, &mut out).unwrap();
    assert_eq!(text(out), "3 c: open /etc/shadow NewBehaviour\n4 events, 1 findings, 0 lost\n");
}

#[test]
fn overload_is_told_by_the_sender_as_by_the_profiles() {
    let mut out = Vec::new();
    overload::run(200_000, &mut out).unwrap();
    let out = text(out);
    let number = |line: &str, word: &str| -> u64 {
        let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|w| w.trim_end_matches(':') == word).unwrap();
        words[at - 1].parse().unwrap()
    };
    let lines: Vec<_> = out.lines().collect();
    let lost = number(lines[0], "lost");
    assert_eq!((number(lines[1], "received"), number(lines[1], "lost")), (200_002, lost), "{out}");
    assert_eq!(lines[2], "quiet: 22 received, 0 lost", "{out}");
}
