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
use std::hash::{BuildHasher, Hash};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Names in each trace, and how often each comes.
const NAMES: usize = 1024;
const ROUNDS: usize = 4;

/// What a table of so many names looks at of a hash: the lowest bits, which say where to look, and the highest seven.
fn place(hash: u64) -> u64 {
    let places = (NAMES as u64 * 8 / 7).next_power_of_two();
    hash & (places - 1) | hash >> 57 << 57
}

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

/// A name without its slash, which hashes as a string.
struct ShortStr([u8; 12]);

impl Hash for ShortStr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        text(&self.0)[1..].hash(state);
    }
}

/// Numbers, the `key`s of which a table cannot tell apart that hashes with a seed which anybody knows.
fn crafted<K: Hash>(key: impl Fn(u64) -> K + Sync) -> Vec<u64> {
    let hasher = FixedState::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(NAMES);
    // Each thread tries every so manyth number.
    let search = |first: usize| {
        let tried = (first as u64..).step_by(threads).filter(|n| place(hasher.hash_one(key(*n))) == 0);
        tried.take(NAMES.div_ceil(threads)).collect::<Vec<u64>>()
    };
    std::thread::scope(|scope| {
        let searches: Vec<_> = (0..threads).map(|first| scope.spawn(move || search(first))).collect();
        searches.into_iter().flat_map(|found| found.join().unwrap()).take(NAMES).collect()
    })
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

/// The trace that has a line for each name, in each round; lines are numbered.
fn trace(head: &str, names: &[u64], line: impl Fn(usize, u64) -> String) -> String {
    let every = (0..ROUNDS).flat_map(|_| names).enumerate();
    every.fold(head.to_owned(), |trace, (at, n)| trace + &line(at, *n) + "\n")
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
    let others = instructions(lab.path(), args, &trace(&others()));
    let crafted = instructions(lab.path(), args, &trace(crafted));
    println!("{crafted} instructions for crafted names, {others} for others");
    assert!(crafted <= 2 * others, "{crafted} instructions for crafted names, {others} for others");
}

const REPLAY: [&str; 1] = ["replay"];
const CHECK: [&str; 3] = ["check", "--profile", "profiles/web.profile.json"];

/// Names that collide as slices of bytes do.
static BYTES: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(name));

/// The same of names without their slash.
static SHORT_BYTES: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(|n| name(n)[1..].to_vec()));

/// Names that collide as strings do.
static STRINGS: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(|n| Str(name(n))));

/// Numbers that collide.
static NUMBERS: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(|n| n as u32 + 20));

fn open(at: usize, n: u64) -> String {
    let (ts, name) = (at + 3, name(n));
    let path = text(&name);
    format!(r#"{{"ts":{ts},"type":"open","container":"c","pid":10,"path":"{path}","flags":0}}"#)
}

#[test]
fn files() {
    if can_count() {
        cost_alike(&REPLAY, &BYTES, |names| trace(START, names, open));
    }
}

#[test]
fn findings() {
    if can_count() {
        cost_alike(&CHECK, &STRINGS, |names| trace(START, names, open));
    }
}

#[test]
fn working_directories() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, pid, name) = (at + 3, at + 20, name(n));
            let cwd = text(&name);
            let exec = r#""type":"exec","container":"c","ppid":10,"path":"/bin/app""#;
            format!(r#"{{"ts":{ts},{exec},"pid":{pid},"cwd":"{cwd}"}}"#)
        };
        cost_alike(&REPLAY, &BYTES, |names| trace(START, names, line));
    }
}

#[test]
fn processes() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, pid) = (at + 3, n as u32 + 20);
            format!(r#"{{"ts":{ts},"type":"fork","container":"c","pid":{pid},"ppid":10}}"#)
        };
        cost_alike(&REPLAY, &NUMBERS, |names| trace(START, names, line));
    }
}

#[test]
fn containers() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let id = text(&name);
            let start = r#""type":"container_start","image":"web","tag":"1""#;
            format!(r#"{{"ts":{at},{start},"container":"{id}"}}"#)
        };
        cost_alike(&REPLAY, &BYTES, |names| trace("", names, line));
    }
}

#[test]
fn tags() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let tag = text(&name);
            let start = r#""type":"container_start","image":"web""#;
            let exec = r#""type":"exec","pid":1,"ppid":0,"path":"/bin/web""#;
            format!(
                "{{\"ts\":{at},{start},\"container\":\"c{at}\",\"tag\":\"{tag}\"}}\n{{\"ts\":{at},{exec},\"container\":\"c{at}\"}}"
            )
        };
        cost_alike(&REPLAY, &STRINGS, |names| trace("", names, line));
    }
}

#[test]
fn programs_that_no_profile_has() {
    if can_count() {
        // As they are kept: below nothing, by path and by what tells two of one path apart.
        let crafted = crafted(|n| (None::<u32>, Str(name(n)), ""));
        let line = |at: usize, n: u64| {
            let (ts, pid, name) = (at + 3, at + 20, name(n));
            let path = text(&name);
            let exec = r#""type":"exec","container":"c","ppid":1"#;
            format!(r#"{{"ts":{ts},{exec},"pid":{pid},"path":"{path}"}}"#)
        };
        cost_alike(&CHECK, &crafted, |names| trace(START, names, line));
    }
}

#[test]
fn threads_of_a_log() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (pid, second) = (n as u32 + 20, 1_700_000_000 + at);
            format!(r#"{pid} {second}.000001 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3"#)
        };
        cost_alike(&["replay", "--from", "strace"], &NUMBERS, |names| trace("", names, line));
    }
}

#[test]
fn images() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let image = &text(&name)[1..];
            let start = r#""type":"container_start","tag":"1""#;
            let stop = format!(r#"{{"ts":{at},"type":"container_stop","container":"c{at}"}}"#);
            format!("{{\"ts\":{at},{start},\"container\":\"c{at}\",\"image\":\"{image}\"}}\n{stop}")
        };
        let short = crafted(|n| ShortStr(name(n)));
        cost_alike(&REPLAY, &short, |names| trace("", &names[..256], line));
    }
}

#[test]
fn names_that_are_asked_for() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, name) = (at + 3, name(n));
            let name = &text(&name)[1..];
            format!(r#"{{"ts":{ts},"type":"dns","container":"c","pid":10,"name":"{name}","qtype":"A"}}"#)
        };
        cost_alike(&REPLAY, &SHORT_BYTES, |names| trace(START, names, line));
        cost_alike(&CHECK, &SHORT_BYTES, |names| trace(START, names, line));
    }
}

#[test]
fn sockets_with_a_path() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, name) = (at + 3, name(n));
            let connect = r#""type":"connect","container":"c","pid":10,"family":"unix","port":0"#;
            format!(r#"{{"ts":{ts},{connect},"addr":"{}"}}"#, text(&name))
        };
        cost_alike(&REPLAY, &SHORT_BYTES, |names| trace(START, names, line));
    }
}

#[test]
fn processes_of_a_sysdig_log() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, pid) = (1_700_000_000_000_000_000 + at as u64, n as u32 + 20);
            let process = format!(r#""proc.pid":{pid},"thread.tid":{pid},"proc.ppid":1,"proc.exepath":"/bin/web""#);
            let file = r#""evt.type":"openat","evt.dir":"<","evt.args":"fd=3(<f>/etc/passwd)","fd.name":"/etc/passwd""#;
            format!(r#"{{"evt.rawtime":{ts},"container.id":"c",{process},{file}}}"#)
        };
        cost_alike(&["replay", "--from", "sysdig"], &NUMBERS, |names| trace("", names, line));
    }
}
