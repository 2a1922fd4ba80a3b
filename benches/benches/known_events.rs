//! What an event costs that tells nothing new, by kind: instructions to apply it to a tree of 10,000 nodes, to read it
//! from a native trace, and of a whole `grove replay`; and how often memory is allocated to apply it.
//!
//!     cargo build --release -p grove-tools
//!     cargo bench -p grove-benches --bench known_events              a table
//!     cargo bench -p grove-benches --bench known_events -- --json    the same as JSON
//!
//! Needs valgrind, and takes some minutes. The numbers do not depend on what else runs, and hardly on the keys of hashes;
//! so they can be compared with those of another commit.
#![allow(missing_docs, clippy::unwrap_used)]

use grove::event::EventBuf;
use grove::intern::Interner;
use grove::ledger::Fate;
use grove::trace::Decoder;
use grove::tree::{ActivityTree, Rules};
use grove_benches::counting::{instructions, instructions_of, measured};
use grove_benches::traffic;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Different events of a kind, each by one of so many processes.
const DIFFERENT: usize = 256;
const PROCESSES: usize = 64;

/// How often each is applied, or read, while that is measured.
const ROUNDS: usize = 8;

/// How often each is in a trace that is replayed: once more for the rest.
const REPLAYED: usize = 32;

/// A kind, and the rest of a line of a trace that tells of its `n`-th event. What `before` and `after` give are lines
/// around it that are not measured.
struct Kind {
    name: &'static str,
    line: fn(usize) -> String,
    before: Option<fn(usize) -> String>,
    after: Option<fn(usize) -> String>,
}

const fn kind(name: &'static str, line: fn(usize) -> String) -> Kind {
    Kind { name, line, before: None, after: None }
}

/// Letters only: names of them do not generalise.
fn word(n: usize) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'k')).collect()
}

/// One of those that the synthetic load has.
fn pid(n: usize) -> usize {
    100 + n % PROCESSES
}

fn worker(n: usize) -> usize {
    1000 + n % PROCESSES
}

const KINDS: [Kind; 13] = [
    kind("open", |n| {
        format!(
            r#""type":"open","pid":{},"path":"/usr/lib/python3/modules/{}.py","flags":0,"ret":3"#,
            pid(n),
            word(n / PROCESSES)
        )
    }),
    kind("open of a pattern", |n| {
        format!(r#""type":"open","pid":{},"path":"/var/cache/app/sess-{n:06x}","flags":2,"ret":3"#, 100 + n % 4)
    }),
    kind("open, relative", |n| {
        format!(r#""type":"open","pid":1,"path":"modules/../modules/{}.py","flags":0,"ret":3"#, word(n))
    }),
    kind("change", |n| {
        format!(
            r#""type":"change","pid":{},"op":"delete","path":"/var/lib/app/{}.lock","ret":0"#,
            pid(n),
            word(n / PROCESSES)
        )
    }),
    kind("connect", |n| {
        format!(
            r#""type":"connect","pid":{},"family":"inet","addr":"10.2.{}.9","port":443,"proto":"tcp","ret":0"#,
            pid(n),
            n / PROCESSES
        )
    }),
    kind("accept", |n| {
        format!(
            r#""type":"accept","pid":{},"family":"inet","addr":"10.3.{}.9","port":8080,"proto":"tcp","ret":3"#,
            pid(n),
            n / PROCESSES
        )
    }),
    kind("flow", |n| {
        format!(
            r#""type":"flow","pid":{},"family":"inet","addr":"10.4.{}.9","port":443,"op":"connect","sent":{},"received":70000,"proto":"tcp""#,
            pid(n),
            n / PROCESSES,
            1 + n % 999
        )
    }),
    kind("dns", |n| {
        format!(r#""type":"dns","pid":{},"name":"{}.internal.example","qtype":"A""#, pid(n), word(n / PROCESSES))
    }),
    kind("syscalls (4)", |n| format!(r#""type":"syscalls","pid":{},"nrs":[0,1,3,257]"#, pid(n))),
    kind("capability", |n| format!(r#""type":"capability","pid":{},"cap":10,"used":true"#, pid(n))),
    kind("mount", |n| {
        format!(
            r#""type":"mount","pid":{},"path":"/mnt/{}","fstype":"tmpfs","source":"tmpfs","flags":6,"ret":0"#,
            pid(n),
            word(n / PROCESSES)
        )
    }),
    kind("imds", |n| {
        format!(
            r#""type":"imds","pid":{},"path":"/latest/meta-data/{}","provider":"aws","token":"v2""#,
            pid(n),
            word(n / PROCESSES)
        )
    }),
    Kind {
        name: "exec",
        line: |n| {
            format!(
                r#""type":"exec","pid":{},"ppid":{},"path":"/usr/bin/tool-{}","argv":["tool","-x"],"uid":0"#,
                worker(n),
                pid(n),
                word(n / PROCESSES)
            )
        },
        before: Some(|n| format!(r#""type":"fork","pid":{},"ppid":{}"#, worker(n), pid(n))),
        after: Some(|n| format!(r#""type":"exit","pid":{}"#, worker(n))),
    },
];

/// The `n`-th event of a kind with the lines around it; whether a line is that event goes with it.
fn lines(kind: &Kind, n: usize) -> impl Iterator<Item = (bool, String)> {
    let around = |f: Option<fn(usize) -> String>| f.map(|f| (false, f(n)));
    let own = (true, (kind.line)(n));
    let ts = 1_800_000_000_000_000_000 + n as u64;
    let all = around(kind.before).into_iter().chain([own]).chain(around(kind.after));
    let container = traffic::container();
    all.map(move |(is_own, rest)| (is_own, format!(r#"{{"ts":{ts},"container":"{container}",{rest}}}"#)))
}

fn all_lines(kind: &Kind) -> Vec<(bool, String)> {
    (0..DIFFERENT).flat_map(|n| lines(kind, n)).collect()
}

/// The shell's working directory, which relative paths are relative to.
fn shell() -> String {
    let container = traffic::container();
    format!(
        r#"{{"ts":1700000000000000000,"container":"{container}","type":"exec","pid":1,"ppid":0,"path":"/bin/sh","cwd":"/srv/app","uid":0}}"#
    )
}

/// A tree that knows all of the events, and the events. `None` if this version of the format has no such kind.
fn prepared(kind: &Kind) -> Option<(ActivityTree, Vec<(bool, EventBuf)>)> {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &Interner::global().intern("1").unwrap());
    let mut apply = |events: &EventBuf| {
        for stored in events.iter() {
            tree.insert(&stored.event);
        }
    };
    apply(&traffic::lives());
    apply(&traffic::decoded(&shell())?);
    let events: Option<Vec<(bool, EventBuf)>> =
        all_lines(kind).iter().map(|(is_own, line)| Some((*is_own, traffic::decoded(line)?))).collect();
    let events = events?;
    // Once for what they tell, and once for the pattern that the last of them made.
    events.iter().chain(&events).for_each(|(_, events)| apply(events));
    Some((tree, events))
}

fn apply(tree: &mut ActivityTree, events: &[(bool, EventBuf)]) {
    for (is_own, event) in events {
        for stored in event.iter() {
            if *is_own {
                let fate = measured(|| tree.insert(&stored.event));
                assert_eq!(fate, Fate::Known);
            } else {
                tree.insert(&stored.event);
            }
        }
    }
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    apply_instructions: f64,
    apply_allocations: f64,
    read_instructions: f64,
    /// Of the event and the lines around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_instructions: Option<f64>,
}

/// What a replay takes for each further event: of two traces that differ in how many there are.
fn replay(grove: &Path, kind: &Kind) -> Result<f64, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let mut head = Vec::new();
    traffic::write_lives(&mut head)?;
    let mut head = String::from_utf8(head)?;
    writeln!(head, "{}", shell())?;
    let mut took = Vec::new();
    for rounds in [2, 2 + REPLAYED] {
        let mut text = head.clone();
        for (_, line) in (0..rounds).flat_map(|_| all_lines(kind)) {
            writeln!(text, "{line}")?;
        }
        let path = dir.path().join(format!("{rounds}.jsonl"));
        std::fs::write(&path, text)?;
        let (path, out) = (path.display().to_string(), dir.path().join("out").display().to_string());
        took.push(instructions_of(grove, &["replay", "--workers", "1", "--output", &out, &path])?);
    }
    match took.as_slice() {
        [few, many] => Ok(many.saturating_sub(*few) as f64 / (REPLAYED * DIFFERENT) as f64),
        _ => Err("two runs were expected".into()),
    }
}

/// The command, as built beside this bench.
fn grove() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    this.ancestors().nth(2).map(|release| release.join("grove")).filter(|path| path.exists())
}

fn measure(at: usize, kind: &'static Kind, grove: Option<&Path>) -> Result<Option<Row>, Box<dyn Error>> {
    let Some((mut tree, events)) = prepared(kind) else { return Ok(None) };
    apply(&mut tree, &events);
    let region = Region::new(ALLOCATOR);
    apply(&mut tree, &events);
    let allocations = region.change();
    let at = at.to_string();
    let each = |all: u64| all as f64 / (ROUNDS * DIFFERENT) as f64;
    Ok(Some(Row {
        kind: kind.name,
        apply_instructions: each(instructions(&["apply", &at])?),
        apply_allocations: (allocations.allocations + allocations.reallocations) as f64 / DIFFERENT as f64,
        read_instructions: each(instructions(&["read", &at])?),
        replay_instructions: grove.map(|grove| replay(grove, kind)).transpose()?,
    }))
}

/// What is counted, in a process of its own.
fn counted(what: &str, kind: &Kind) -> Result<(), Box<dyn Error>> {
    if what == "apply" {
        let (mut tree, events) = prepared(kind).ok_or("no such kind")?;
        (0..ROUNDS).for_each(|_| apply(&mut tree, &events));
        return Ok(());
    }
    let mut decoder = traffic::decoder();
    let mut events = EventBuf::new();
    let all = all_lines(kind);
    for (is_own, line) in (0..=ROUNDS).flat_map(|_| &all) {
        events.clear();
        // The first round only warms up; all of it counts in what is divided by.
        let mut decode = || decoder.decode(line.as_bytes(), &mut events).map(drop);
        let decoded = if *is_own { measured(decode) } else { decode() };
        decoded.map_err(|reject| reject.to_string())?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [what @ ("apply" | "read"), at] = args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return counted(what, KINDS.get(at.parse::<usize>()?).ok_or("no such kind")?);
    }
    let only = args.iter().find(|arg| !arg.starts_with('-'));
    let grove = grove();
    let json = args.iter().any(|arg| arg == "--json");
    if !json {
        println!("{:20} {:>12} {:>12} {:>12} {:>12}", "kind", "apply", "allocations", "read", "replay");
    }
    let mut rows = Vec::new();
    for (at, kind) in KINDS.iter().enumerate().filter(|(_, kind)| only.is_none_or(|only| kind.name == only)) {
        let Some(row) = measure(at, kind, grove.as_deref())? else { continue };
        if !json {
            let replay = row.replay_instructions.map_or("-".to_owned(), |n| format!("{n:.0}"));
            let Row {
                kind, apply_instructions: apply, apply_allocations: allocations, read_instructions: read, ..
            } = row;
            println!("{kind:20} {apply:>12.0} {allocations:>12.2} {read:>12.0} {replay:>12}");
        }
        rows.push(row);
    }
    if json {
        println!("{}", sonic_rs::to_string_pretty(&rows)?);
    }
    Ok(())
}
