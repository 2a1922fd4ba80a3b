//! Names that are chosen so that a hash table puts all of them into one place cost no more than others.
//!
//! A table whose hash can be computed beforehand takes as long for each name as there are names. So the command is run
//! on traces with names that collide under such a hash, and on the same traces with other names, and what counts is how
//! many instructions it takes: not time, which nobody could assert on. valgrind counts them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(clippy::disallowed_types)] // the hash that names are chosen against

#[path = "../../engine/tests/common/skips.rs"]
mod skips;

use foldhash::fast::FixedState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hash};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names in each trace. A table of so many has 2¹⁴ places.
const NAMES: usize = 8192;
const PLACES: u64 = 1 << 14;

/// The `n`-th of the names that keys are made of: letters only, which no pattern takes in, and all of one length.
fn name(mut n: u64) -> [u8; 12] {
    let mut name = *b"/aaaaaaaaaaa";
    for byte in name[1..].iter_mut().rev() {
        *byte = b'a' + (n % 26) as u8;
        n /= 26;
    }
    name
}

fn text(name: &[u8; 12]) -> &str {
    std::str::from_utf8(name).unwrap()
}

/// A name that hashes as a string.
struct Str([u8; 12]);

impl Hash for Str {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        text(&self.0).hash(state);
    }
}

/// So many numbers as there are to be names, the `key`s of which all fall into one place of a table that hashes with a
/// seed which anybody knows.
fn crafted<K: Hash>(key: impl Fn(u64) -> K) -> Vec<u64> {
    let hasher = FixedState::default();
    (0..).filter(|n| hasher.hash_one(key(*n)) % PLACES == 0).take(NAMES).collect()
}

/// As many that nobody chose.
fn others() -> Vec<u64> {
    // A full period generator; its low bits repeat early, so names are of the upper ones.
    std::iter::successors(Some(7_u64), |n| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
        .map(|n| n >> 34)
        .take(NAMES)
        .collect()
}

const START: &str = "{\"ts\":1,\"type\":\"container_start\",\"container\":\"c\",\"image\":\"web\",\"tag\":\"1\"}\n\
                     {\"ts\":2,\"type\":\"exec\",\"container\":\"c\",\"pid\":10,\"ppid\":1,\"path\":\"/bin/web\"}\n";

/// The trace that has one `line` for each name.
fn trace(head: &str, names: &[u64], line: impl Fn(&mut String, usize, u64)) -> String {
    let mut trace = head.to_owned();
    for (at, n) in names.iter().enumerate() {
        line(&mut trace, at, *n);
    }
    trace
}

/// How many instructions the command takes.
fn instructions(dir: &Path, args: &[&str], input: &str) -> u64 {
    std::fs::write(dir.join("input"), input).unwrap();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_grove")]);
    command.args(args).arg("input").current_dir(dir).stdin(Stdio::null());
    // One thread at a time runs under valgrind, so several would only spin for one another.
    let output = command.env("GROVE_WORKERS", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ").map(|(_, n)| n.trim().parse()));
    collected.unwrap_or_else(|| panic!("{args:?}: {said}")).unwrap()
}

/// Whether the machine can count.
fn can_count() -> bool {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skips::skipped("valgrind is not installed");
    }
    found
}

/// Both kinds of names, in the same trace, take about as much.
#[track_caller]
fn cost_alike(args: &[&str], crafted: &[u64], trace: impl Fn(&[u64]) -> String) {
    let lab = tempfile::tempdir().unwrap();
    if args[0] == "check" {
        std::fs::write(lab.path().join("web"), START).unwrap();
        let learned =
            Command::new(env!("CARGO_BIN_EXE_grove")).args(["replay", "web"]).current_dir(lab.path()).output();
        assert!(learned.unwrap().status.success());
    }
    let crafted = instructions(lab.path(), args, &trace(crafted));
    let others = instructions(lab.path(), args, &trace(&others()));
    assert!(crafted <= 2 * others, "{crafted} instructions for crafted names, {others} for others");
    println!("{crafted} instructions for crafted names, {others} for others");
}

const REPLAY: [&str; 1] = ["replay"];
const CHECK: [&str; 3] = ["check", "--profile", "profiles/web.profile.json"];

/// Names that collide as slices of bytes do.
fn bytes() -> Vec<u64> {
    crafted(name)
}

/// Names that collide as strings do.
fn strings() -> Vec<u64> {
    crafted(|n| Str(name(n)))
}

/// Numbers that collide.
fn numbers() -> Vec<u64> {
    crafted(|n| n as u32 + 20)
}

#[test]
fn files() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, name) = (at + 3, name(n));
            let path = text(&name);
            writeln!(trace, r#"{{"ts":{ts},"type":"open","container":"c","pid":10,"path":"{path}","flags":0}}"#)
                .unwrap();
        };
        cost_alike(&REPLAY, &bytes(), |names| trace(START, names, line));
    }
}

#[test]
fn working_directories() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, pid, name) = (at + 3, at + 20, name(n));
            let cwd = text(&name);
            let exec = r#""type":"exec","container":"c","ppid":10,"path":"/bin/app""#;
            writeln!(trace, r#"{{"ts":{ts},{exec},"pid":{pid},"cwd":"{cwd}"}}"#).unwrap();
        };
        cost_alike(&REPLAY, &bytes(), |names| trace(START, names, line));
    }
}

#[test]
fn processes() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, pid) = (at + 3, n as u32 + 20);
            writeln!(trace, r#"{{"ts":{ts},"type":"fork","container":"c","pid":{pid},"ppid":10}}"#).unwrap();
        };
        cost_alike(&REPLAY, &numbers(), |names| trace(START, names, line));
    }
}

#[test]
fn containers() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, name) = (at + 3, name(n));
            let id = text(&name);
            let start = r#""type":"container_start","image":"web","tag":"1""#;
            writeln!(trace, r#"{{"ts":{ts},{start},"container":"{id}"}}"#).unwrap();
        };
        let stop = |trace: &mut String, at: usize, n: u64| {
            let (ts, name) = (at + 9000, name(n));
            let id = text(&name);
            writeln!(trace, r#"{{"ts":{ts},"type":"container_stop","container":"{id}"}}"#).unwrap();
        };
        cost_alike(&REPLAY, &bytes(), |names| trace("", names, line) + &trace("", names, stop));
    }
}

#[test]
fn tags() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, name) = (2 * at, name(n));
            let tag = text(&name);
            let start = r#""type":"container_start","image":"web""#;
            writeln!(trace, r#"{{"ts":{ts},{start},"container":"c{at}","tag":"{tag}"}}"#).unwrap();
            let exec = r#""type":"exec","pid":1,"ppid":0,"path":"/bin/web""#;
            writeln!(trace, r#"{{"ts":{ts},{exec},"container":"c{at}"}}"#).unwrap();
        };
        cost_alike(&REPLAY, &strings(), |names| trace("", names, line));
    }
}

#[test]
fn programs_that_no_profile_has() {
    if can_count() {
        // As they are kept: below nothing, by path and by what tells two of one path apart.
        let crafted = crafted(|n| (None::<u32>, Str(name(n)), ""));
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, pid, name) = (at + 3, at + 20, name(n));
            let path = text(&name);
            let exec = r#""type":"exec","container":"c","ppid":1"#;
            writeln!(trace, r#"{{"ts":{ts},{exec},"pid":{pid},"path":"{path}"}}"#).unwrap();
        };
        cost_alike(&CHECK, &crafted, |names| trace(START, names, line));
    }
}

#[test]
fn findings() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let (ts, name) = (at + 3, name(n));
            let path = text(&name);
            writeln!(trace, r#"{{"ts":{ts},"type":"open","container":"c","pid":10,"path":"{path}","flags":0}}"#)
                .unwrap();
        };
        cost_alike(&CHECK, &strings(), |names| trace(START, names, line));
    }
}

#[test]
fn threads_of_a_log() {
    if can_count() {
        let line = |trace: &mut String, at: usize, n: u64| {
            let pid = n as u32 + 20;
            writeln!(trace, r#"{pid} {}.000001 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3"#, 1_700_000_000 + at)
                .unwrap();
        };
        cost_alike(&["replay", "--from", "strace"], &numbers(), |names| trace("", names, line));
    }
}
