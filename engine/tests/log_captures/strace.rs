//! A cargo build of a real program, some 92,000 lines. The independent look reads the whole log at once, which the
//! decoder cannot: it first puts the halves of calls together and collects who made whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use grove::event::{Body, Open, Stored};
use grove::trace::strace::{StraceDecoder, StraceOptions};

use crate::{Decoded, capture, lines, read, text};

/// The log's calls, in the order in which they returned: thread, text.
fn calls(log: &str) -> Vec<(u32, String)> {
    let mut begun: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let mut columns = line.splitn(2, ' ');
        let tid: u32 = columns.next().unwrap().parse().unwrap();
        let text = columns.next().unwrap().trim_start().split_once(' ').unwrap().1;
        if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(tid, head.to_string());
        } else if text.starts_with("<... ") {
            let rest = text.split_once(" resumed>").unwrap().1;
            calls.push((tid, begun.remove(&tid).unwrap() + rest));
        } else {
            calls.push((tid, text.to_string()));
        }
    }
    calls
}

/// What stands after the last equals sign that follows a parenthesis.
fn result(call: &str) -> &str {
    let at = call.rfind(") = ").map(|at| at + 4).or_else(|| call.rfind("= ").map(|at| at + 2)).unwrap();
    &call[at..]
}

/// The text of the first string literal.
fn literal(call: &str) -> &str {
    call.split('"').nth(1).unwrap()
}

struct Log {
    calls: Vec<(u32, String)>,
    /// Thread → process.
    groups: HashMap<u32, u32>,
    /// Process → parent.
    parents: BTreeMap<u32, u32>,
}

fn log(text: &str) -> Log {
    let calls = calls(text);
    let made: Vec<(u32, u32, bool)> = calls
        .iter()
        .filter(|(_, call)| call.starts_with("clone") || call.starts_with("vfork("))
        .filter_map(|(tid, call)| Some((*tid, result(call).parse().ok()?, call.contains("CLONE_THREAD"))))
        .collect();
    let threads: HashMap<u32, u32> = made.iter().filter(|made| made.2).map(|made| (made.1, made.0)).collect();
    let group = |tid: u32| {
        let mut tid = tid;
        while let Some(maker) = threads.get(&tid) {
            tid = *maker;
        }
        tid
    };
    let groups = calls.iter().map(|(tid, _)| (*tid, group(*tid))).collect();
    let parents = made.iter().filter(|made| !made.2).map(|made| (made.1, group(made.0))).collect();
    Log { calls, groups, parents }
}

/// The capture, decoded once for all tests.
fn capture_and_events() -> Option<&'static (Log, Decoded)> {
    static BOTH: OnceLock<Option<(Log, Decoded)>> = OnceLock::new();
    BOTH.get_or_init(decode).as_ref()
}

fn decode() -> Option<(Log, Decoded)> {
    let bytes = read(&capture("strace/cargo-build-ripgrep.strace.zst")?);
    let mut decoder = StraceDecoder::new(StraceOptions::default());
    let decoded = Decoded::of(&mut decoder, lines(&bytes));
    assert_eq!(decoded.records, 91_835);
    Some((log(str::from_utf8(&bytes).unwrap()), decoded))
}

#[test]
fn every_program_is_run_by_the_right_process_with_the_right_parent() {
    let Some((log, decoded)) = capture_and_events() else { return };
    let expected: Vec<(u32, u32, String)> = log
        .calls
        .iter()
        .filter(|(_, call)| call.starts_with("execve(") && result(call) == "0")
        .map(|(tid, call)| {
            let pid = log.groups[tid];
            (pid, log.parents.get(&pid).copied().unwrap_or(0), literal(call).to_string())
        })
        .collect();
    let execs: Vec<(u32, u32, String)> = decoded
        .iter()
        .filter_map(|stored| match stored.event.body {
            Body::Exec(exec) => Some((stored.event.pid, exec.ppid, text(exec.path))),
            _ => None,
        })
        .collect();
    // 251 lines speak of execve: 83 calls that ended well, 87 that failed, and the first halves of 81 of them.
    assert_eq!(execs.len(), 83);
    assert_eq!(execs, expected);
}

#[test]
fn every_fork_is_told_once_and_before_its_child_does_anything() {
    let Some((log, decoded)) = capture_and_events() else { return };
    let mut forks = BTreeMap::new();
    let mut root = None;
    for Stored { event, .. } in decoded.iter().filter(|stored| stored.event.pid != 0) {
        if let Body::Fork { ppid, .. } = event.body {
            assert_eq!(forks.insert(event.pid, ppid), None, "{} was forked twice", event.pid);
        } else {
            let root = root.get_or_insert(event.pid);
            assert!(event.pid == *root || forks.contains_key(&event.pid), "{event:?}");
        }
    }
    assert_eq!(forks, log.parents);
}

#[test]
fn every_path_that_was_opened_is_in_the_events() {
    let Some((log, decoded)) = capture_and_events() else { return };
    let opened = |call: &str| call.starts_with("open(") || call.starts_with("openat(AT_FDCWD, ");
    let mut expected: BTreeSet<(u32, String)> = BTreeSet::new();
    let mut relative = BTreeSet::new();
    for (tid, call) in log.calls.iter().filter(|(_, call)| opened(call) && !result(call).starts_with('-')) {
        let path = literal(call);
        if path.starts_with('/') {
            expected.insert((log.groups[tid], path.to_string()));
        } else {
            relative.insert((log.groups[tid], path.to_string()));
        }
    }
    let mut opens: BTreeSet<(u32, String)> = BTreeSet::new();
    for Stored { event, .. } in decoded.iter() {
        if let Body::Open(Open { path, ret: 0.., .. }) = event.body {
            opens.insert((event.pid, text(path)));
        }
    }
    assert!(expected.len() > 2_000, "{}", expected.len());
    assert!(!relative.is_empty());
    assert_eq!(expected.difference(&opens).collect::<Vec<_>>(), Vec::<&(u32, String)>::new());
    // The rest were opened relative to a directory, and each came out absolute.
    let rest: Vec<_> = opens.difference(&expected).collect();
    assert!(rest.iter().all(|(_, path)| path.starts_with('/')), "{rest:?}");
    for (pid, path) in relative {
        assert!(opens.iter().any(|(other, whole)| *other == pid && whole.ends_with(&format!("/{path}"))), "{path}");
    }
}

#[test]
fn the_container_is_named_after_the_first_program() {
    let Some((_, decoded)) = capture_and_events() else { return };
    let starts: Vec<_> = decoded
        .iter()
        .filter_map(|stored| match stored.event.body {
            Body::ContainerStart { image, tag } => Some((text(image), text(tag), stored.counted)),
            _ => None,
        })
        .collect();
    assert_eq!(starts, [("cargo".to_string(), "local".to_string(), false)]);
    assert!(decoded.iter().all(|stored| stored.event.container == b"strace"));
}
