//! Names that are chosen so that a hash table puts all of them into one place cost no more than others.
//!
//! A table whose hash can be computed beforehand takes as long for each name as there are names. So the command is run
//! on traces with names that collide under Grove's own hash functions with a key that is known, and on the same traces
//! with other names, and what counts is how many instructions it takes: not time, which nobody could assert on.
//! valgrind counts them. Then it is run on the crafted names once more and told to use that known key
//! (`GROVE_TEST_KNOWN_KEY`, in builds with debug assertions): if that costs no more than is allowed either, the names
//! do not collide in the table that the case is about, and the case would find nothing.
//!
//! Every table whose keys a workload, a log or a file chooses, and what is tried on it. Last, how many times the
//! instructions crafted names take with a known key, and with the process's own; or, where a unit test counts
//! comparisons, how many of 128 names each is compared with.
//!
//! | table | keyed by | case | known | own |
//! |---|---|---|---|---|
//! | `tree/arena.rs` `index`; `tree/shapes.rs`, by the same function | place and name of a node | `tree/crafted.rs`: nodes | > 42 | ≤ 2 |
//! | `tree/names.rs` `index` | name, label, address | `tree/crafted.rs`: names | > 42 | ≤ 2 |
//! | `tree/tags.rs` `index` | tag | `tree/crafted.rs`: names | > 42 | ≤ 2 |
//! | `intern/index.rs`, papaya | tag | `tags` | 1.30 | 0.95 |
//! | `tree/cwds.rs` `known` | working directory | `working_directories` | 2.77 | 1.00 |
//! | `tree/lineage.rs` `table` | process id | `processes` | 2.76 | 1.00 |
//! | `shard/worker.rs` `by_id` | container id | `containers` | 3.57 | 1.00 |
//! | `shard/counts.rs` `images`, `shard/images.rs` `by_name` | image | `images` | 2.44 | 1.00 |
//! | `profile/drift/programs.rs` `index` | program | `programs_that_no_profile_has` | 2.95 | 1.01 |
//! | `trace/sysdig` `containers` | container id, fingerprint | `containers_of_a_sysdig_log` | 2.64 | 1.00 |
//! | `trace/sysdig` `processes`, `execs` | container and process | `processes_of_a_sysdig_log` | 2.15 | 1.00 |
//! | `trace/tetragon` `containers` | container id | `containers_of_a_tetragon_export` | 1.59 | 1.00 |
//! | `trace/tetragon` `execs` | `exec_id`, fingerprint | `execs_of_a_tetragon_export` | 1.14 | 1.00 |
//! | `trace/tetragon` `running` | container and process | `processes_of_a_tetragon_export` | 1.86 | 1.00 |
//! | `trace/tracee.rs` `started` | container id | `containers_of_a_tracee_log` | 3.72 | 1.00 |
//!
//! The others are maps of the same types, `hash::{Map, Set, NumberMap, NumberSet}` and `std`'s own with its own hasher
//! (clippy.toml allows none else), and `hash/tests.rs` tries crafted keys on each type, > 42 and ≤ 2: in the engine
//! `drift/checker.rs` `noted` (what was done), `drift.rs` `Baselines` and `shard/images.rs` views (images),
//! `shard/worker.rs` `stopped_by_id` (container ids), `trace/strace` (threads and processes: ids of at most 22 bits, too
//! few to choose from), `export/dot.rs` `peers`; in the probes `live/containers.rs` `by_id`, `owners`, `known`,
//! `live/cgroup_owners.rs` `made`, `live/intake.rs` and `live/proc_source.rs` (cgroup and process ids), `workload/resolver.rs` `known`,
//! `under_way` (container ids), `workload/cgroups.rs` `known`, labels in `workload/cri.rs` and `containerd.rs`,
//! `proc/connector.rs` and `proc/snapshot.rs` (process ids); in the command `directory.rs` (images and files' names).
//! Lists that others make long and that are searched in order are trees (`BTreeMap`). The maps in the kernel are its own,
//! and hash with a seed of each map.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/instructions.rs"]
mod instructions;
#[path = "../../engine/tests/common/skips.rs"]
mod skips;

use grove::hash::Keyed;
use instructions::{can_count, instructions};
use std::hash::{BuildHasher, Hash};
use std::process::Command;
use std::sync::LazyLock;

/// Names in each trace, and how often each comes.
const NAMES: usize = 1024;
const ROUNDS: usize = 4;

/// So many times the instructions that other names take: more is an attack that succeeds. What reading a trace takes
/// beside is in both, so the fault would be a few times as much with a thousand names, and hundreds with a million.
const LIMIT: f64 = 1.2;

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

/// Numbers whose hashes by the known key a table cannot tell apart.
fn crafted(hash: impl Fn(Keyed, u64) -> u64 + Sync) -> Vec<u64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(NAMES);
    // Each thread tries every so manyth number.
    let search = |first: usize| {
        let known = Keyed::known();
        let tried = (first as u64..).step_by(threads).filter(|n| place(hash(known, *n)) == 0);
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

/// Both kinds of names, in the same trace, take about as much.
#[track_caller]
fn cost_alike(args: &[&str], crafted: &[u64], trace: impl Fn(&[u64]) -> String) {
    costs_alike(LIMIT, args, crafted, trace);
}

/// As [`cost_alike`], to no more than `limit` times.
#[track_caller]
fn costs_alike(limit: f64, args: &[&str], crafted: &[u64], trace: impl Fn(&[u64]) -> String) {
    let lab = tempfile::tempdir().unwrap();
    if args[0] == "check" {
        std::fs::write(lab.path().join("web"), START).unwrap();
        let learned =
            Command::new(env!("CARGO_BIN_EXE_grove")).args(["replay", "web"]).current_dir(lab.path()).output();
        assert!(learned.unwrap().status.success());
    }
    let others = instructions(lab.path(), args, &trace(&others()), None);
    let chosen = trace(crafted);
    let own_key = instructions(lab.path(), args, &chosen, None);
    let known_key = instructions(lab.path(), args, &chosen, Some(("GROVE_TEST_KNOWN_KEY", "1")));
    let ratios = [own_key, known_key].map(|taken| taken as f64 / others as f64);
    println!(
        "{others} instructions, for crafted names {:.2} times as many, with a known key {:.2}",
        ratios[0], ratios[1]
    );
    assert!(ratios[0] <= limit, "{own_key} instructions for crafted names, {others} for others");
    assert!(
        ratios[1] > limit || !cfg!(debug_assertions),
        "{known_key} instructions for crafted names, {others} for others: they do not collide in the table that this is about"
    );
}

const REPLAY: [&str; 1] = ["replay"];
const SYSDIG: [&str; 3] = ["replay", "--from", "sysdig"];
const TETRAGON: [&str; 3] = ["replay", "--from", "tetragon"];
const TRACEE: [&str; 3] = ["replay", "--from", "tracee"];
const CHECK: [&str; 3] = ["check", "--profile", "profiles/web.profile.json"];

/// Names without their slash that collide in tables of bytes.
static BYTES: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(|known, n| known.bytes(&name(n)[1..])));

/// Names without their slash that collide in maps of strings.
static STRINGS: LazyLock<Vec<u64>> = LazyLock::new(|| crafted(|known, n| known.hash_one(ShortStr(name(n)))));

/// The same in maps of the fingerprints of strings.
static FINGERPRINTS: LazyLock<Vec<u64>> =
    LazyLock::new(|| crafted(|known, n| known.hash_one(known.fingerprint(&name(n)[1..]))));

/// Process ids of the container `c` that collide in maps by container and process.
static PROCESSES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let container = Keyed::known().fingerprint(b"c");
    crafted(move |known, n| known.hash_one((container, pid(n))))
});

/// A process id of a number.
fn pid(n: u64) -> u32 {
    n as u32 + 20
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
        let crafted = crafted(|known, n| known.hash_one(&name(n)[..]));
        cost_alike(&REPLAY, &crafted, |names| trace(START, names, line));
    }
}

#[test]
fn processes() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, pid) = (at + 3, pid(n));
            format!(r#"{{"ts":{ts},"type":"fork","container":"c","pid":{pid},"ppid":10}}"#)
        };
        let crafted = crafted(|known, n| known.pair(pid(n).into(), 0));
        cost_alike(&REPLAY, &crafted, |names| trace(START, names, line));
    }
}

#[test]
fn containers() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let id = &text(&name)[1..];
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
            let tag = &text(&name)[1..];
            let start = r#""type":"container_start","image":"web""#;
            let exec = r#""type":"exec","pid":1,"ppid":0,"path":"/bin/web""#;
            format!(
                "{{\"ts\":{at},{start},\"container\":\"c{at}\",\"tag\":\"{tag}\"}}\n{{\"ts\":{at},{exec},\"container\":\"c{at}\"}}"
            )
        };
        // Each tag's container takes so much that the tables are little of it: with a key that is known it was 1.14.
        costs_alike(1.05, &REPLAY, &BYTES, |names| trace("", names, line));
    }
}

#[test]
fn programs_that_no_profile_has() {
    if can_count() {
        // As they are kept: below nothing, by path and by what tells two of one path apart.
        let crafted = crafted(|known, n| known.hash_one((None::<u32>, Str(name(n)), "")));
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
fn images() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let image = &text(&name)[1..];
            let start = r#""type":"container_start","tag":"1""#;
            let stop = format!(r#"{{"ts":{at},"type":"container_stop","container":"c{at}"}}"#);
            format!("{{\"ts\":{at},{start},\"container\":\"c{at}\",\"image\":\"{image}\"}}\n{stop}")
        };
        cost_alike(&REPLAY, &STRINGS, |names| trace("", names, line));
    }
}

#[test]
fn processes_of_a_sysdig_log() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, pid) = (1_700_000_000_000_000_000 + at as u64, pid(n));
            let process = format!(r#""proc.pid":{pid},"thread.tid":{pid},"proc.ppid":1,"proc.exepath":"/bin/web""#);
            let file = r#""evt.type":"openat","evt.dir":"<","evt.args":"fd=3(<f>/etc/passwd)","fd.name":"/etc/passwd""#;
            format!(r#"{{"evt.rawtime":{ts},"container.id":"c",{process},{file}}}"#)
        };
        cost_alike(&SYSDIG, &PROCESSES, |names| trace("", names, line));
    }
}

#[test]
fn containers_of_a_sysdig_log() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let (ts, name) = (1_700_000_000_000_000_000 + at as u64, name(n));
            let id = &text(&name)[1..];
            let process = r#""proc.pid":20,"thread.tid":20,"proc.ppid":1,"container.image":"web:1""#;
            format!(r#"{{"evt.rawtime":{ts},"evt.type":"procexit","evt.dir":">","container.id":"{id}",{process}}}"#)
        };
        cost_alike(&SYSDIG, &FINGERPRINTS, |names| trace("", names, line));
    }
}

/// A line of a Tetragon export: the exit of a process.
fn tetragon(at: usize, container: &str, exec: &str, pid: u32) -> String {
    let (second, nanos) = (at / 1000, at % 1000);
    let time = format!("2026-01-01T00:00:{second:02}.{nanos:03}Z");
    let process =
        format!(r#""exec_id":"{exec}","pid":{pid},"docker":"{container}","binary":"/bin/web","flags":"execve""#);
    format!(r#"{{"process_exit":{{"process":{{{process}}}}},"time":"{time}"}}"#)
}

#[test]
fn containers_of_a_tetragon_export() {
    if can_count() {
        let line = |at: usize, n: u64| tetragon(at, &text(&name(n))[1..], "x", 20);
        cost_alike(&TETRAGON, &STRINGS, |names| trace("", names, line));
    }
}

#[test]
fn execs_of_a_tetragon_export() {
    if can_count() {
        let line = |at: usize, n: u64| tetragon(at, "c", &text(&name(n))[1..], 20);
        // Whoever is met for the first time is told of, which takes more than looking for them.
        costs_alike(1.1, &TETRAGON, &FINGERPRINTS, |names| trace("", names, line));
    }
}

#[test]
fn processes_of_a_tetragon_export() {
    if can_count() {
        // They stay: nothing of them ends.
        let line = |at: usize, n: u64| {
            let pid = pid(n);
            tetragon(at, "c", &format!("x{at}"), pid).replace("process_exit", "process_exec")
        };
        cost_alike(&TETRAGON, &PROCESSES, |names| trace("", names, line));
    }
}

#[test]
fn containers_of_a_tracee_log() {
    if can_count() {
        let line = |at: usize, n: u64| {
            let name = name(n);
            let id = &text(&name)[1..];
            let process =
                r#""hostProcessId":20,"hostThreadId":20,"hostParentProcessId":1,"eventName":"sched_process_exit""#;
            format!(r#"{{"timestamp":{at},{process},"container":{{"id":"{id}","image":"web:1"}},"args":[]}}"#)
        };
        cost_alike(&TRACEE, &STRINGS, |names| trace("", names, line));
    }
}
