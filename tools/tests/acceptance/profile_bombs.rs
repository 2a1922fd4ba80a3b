//! Profiles that are made to take memory: refused before they do, by what they would take.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{EXEC, Ended, Lab, START, gzip, open, zstd};

/// Runs the command; also the most memory that it was seen to have, in KiB.
fn peak(lab: &Lab, args: &[&str], variable: (&str, &str)) -> (Ended, u64) {
    let mut command = lab.command(args);
    command.env(variable.0, variable.1).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|n| n.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    (Ended::of(child.wait_with_output().unwrap()), peak)
}

const SEEN: &str = r#""seen":{"1":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}"#;

fn process(extra: &str, children: &str) -> String {
    format!(
        r#"{{"path":"/a","exec_chain":false,"uids":[],{SEEN},"files":[],"dns":[],"sockets":[],"syscalls":[],"capabilities":[]{extra},"children":[{children}]}}"#
    )
}

fn profile(extra: &str, processes: &str) -> String {
    format!(
        r#"{{"format":"grove-profile","version":1,"image":"i"{extra},"tags":{{}},"ledgers":{{}},"processes":[{processes}]}}"#
    )
}

fn bombs() -> Vec<(&'static str, String)> {
    let many = |entry: &str, bytes: usize| format!("{}{entry}", format!("{entry},").repeat(bytes / (entry.len() + 1)));
    let size = 128 << 20;
    let deep = (0..1000).fold(many(&process("", ""), 24 << 20), |inside, _| process("", &inside));
    vec![
        ("blanks", format!("{}{}", " ".repeat(size), profile("", ""))),
        ("an unknown field", profile(&format!(r#","novel":[{}]"#, many("[]", size)), "")),
        ("empty processes", profile("", &many(&process("", ""), size / 2))),
        ("children of a long line", profile("", &deep)),
        (
            "empty processes of version 2",
            profile("", &many(&process("", ""), size / 2)).replacen("\"version\":1", "\"version\":2", 1),
        ),
        ("exemplars", profile("", &process(&format!(r#","exemplars":[{}]"#, many("\"\"", size / 2)), ""))),
        ("a path", profile("", &process("", "").replace("\"/a\"", &format!("\"{}\"", "/a".repeat(size / 8))))),
    ]
}

/// A file of 50 KB took 2.65 GiB.
#[cfg(target_os = "linux")]
#[test]
fn a_small_file_takes_little_memory_whatever_it_unpacks_to() {
    let lab = Lab::new();
    for (what, text) in bombs() {
        for (name, packed) in [("p.json.zst", zstd(text.as_bytes())), ("p.json.gz", gzip(text.as_bytes()))] {
            // gzip is at best a thousandth.
            if packed.len() > 100_000 {
                continue;
            }
            lab.file(name, &packed);
            let (ended, peak) = peak(&lab, &["diff", name, name], ("TZ", ""));
            ended.expect(3).said(&[name, "GROVE_PROFILE_READ_BYTES"]);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
            assert!(peak < 200 << 10, "{what} of {} bytes took {peak} KiB", packed.len());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_file_takes_what_it_may_and_no_more() {
    let lab = Lab::new();
    for (what, text) in bombs() {
        if text.len() > 64 << 20 {
            continue;
        }
        lab.file("p.json", &text);
        let (ended, peak) = peak(&lab, &["diff", "p.json", "p.json"], ("GROVE_PROFILE_READ_BYTES", "64Mi"));
        ended.expect(3).said(&["p.json", "GROVE_PROFILE_READ_BYTES"]);
        assert!(peak < 128 << 10, "{what} of {} bytes took {peak} KiB", text.len());
    }
}

#[test]
fn an_honest_profile_is_read_however_it_is_packed() {
    let lab = Lab::new();
    let mut lines = vec![START.to_owned(), EXEC.to_owned()];
    lines.extend((0..20_000).map(|n| open(3 + n, &format!("/etc/{}/file-{n}", n % 100))));
    lab.file("t", lines.join("\n"));
    lab.run(&["replay", "t"]).expect(0);
    for output in ["web.json", "web.json.gz", "web.json.zst"] {
        lab.run(&["merge", "--output", output, "profiles/web.profile.json"]).expect(0);
        lab.run(&["diff", output, "profiles/web.profile.json"]).expect(0);
    }
}
