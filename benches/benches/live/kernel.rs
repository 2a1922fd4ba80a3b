//! What the kernel side costs: nanoseconds for a pair of open and close under several settings, and what it costs to
//! read and decode the events of two busy loops.

use std::time::Duration;

use grove_probes::kernel::{Cause, Class, Classes, Options, Probes, Scope};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::samples::{Samples, round};
use super::workload::{Loops, Result, Work, finish};

/// How often each setting has its turn.
const ROUNDS: usize = 3;

const ONE: Work = Work { loops: 1, opens: 500_000, spawns: 0, pace_ns: 0 };
const TWO: Work = Work { loops: 2, opens: 1_000_000, ..ONE };

/// Events a second that shares of a core are told for.
pub const RATE: f64 = 250_000.0;

/// A pair of open and close.
#[derive(Serialize)]
pub struct Pair {
    setting: &'static str,
    ns: Samples,
    /// Beside the same round's pair with nothing attached.
    ns_added: Samples,
    delivered: u64,
    repeats: u64,
    lost: u64,
}

/// Reading and decoding.
#[derive(Serialize)]
pub struct Reading {
    delivered_per_s: f64,
    lost: u64,
    ns_per_event: f64,
    core_percent_at_250k: f64,
}

pub fn pairs(loops: &Loops) -> Result<Vec<Pair>> {
    let full = Options { dedup: None, ..Options::default() };
    let settings = [
        ("nothing attached", None),
        ("nobody in scope", Some(Options { scope: Scope::Cgroups, ..full.clone() })),
        ("repeats left out", Some(Options::default())),
        ("every event", Some(full.clone())),
        ("every event, no system calls", Some(Options { classes: Classes::ALL.without(Class::Syscalls), ..full })),
    ];
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let round = settings.iter().map(|(_, options)| run(options.as_ref(), loops, ONE));
        rounds.push(round.collect::<Result<Vec<_>>>()?);
    }
    let pair = |at: usize, setting| {
        let each = |of: fn(&Got) -> u64| rounds.iter().map(|round| of(&round[at])).sum();
        Pair {
            setting,
            ns: Samples::of(rounds.iter().map(|round| round[at].ns).collect()),
            ns_added: Samples::of(rounds.iter().map(|round| round[at].ns - round[0].ns).collect()),
            delivered: each(|got| got.delivered),
            repeats: each(|got| got.repeats),
            lost: each(|got| got.lost),
        }
    };
    Ok(settings.iter().enumerate().map(|(at, (setting, _))| pair(at, *setting)).collect())
}

pub fn reading(loops: &Loops) -> Result<Reading> {
    let got = run(Some(&Options { dedup: None, ..Options::default() }), loops, TWO)?;
    let ns_per_event = got.consumer_seconds * 1e9 / got.delivered.max(1) as f64;
    Ok(Reading {
        delivered_per_s: (got.delivered as f64 / got.seconds).round(),
        lost: got.lost,
        ns_per_event: round(ns_per_event),
        core_percent_at_250k: round(ns_per_event * RATE / 1e9 * 100.0),
    })
}

#[derive(Default)]
struct Got {
    ns: f64,
    delivered: u64,
    lost: u64,
    repeats: u64,
    seconds: f64,
    consumer_seconds: f64,
}

/// Runs loops to their end, draining every 10 ms meanwhile, as `grove run` does.
fn run(options: Option<&Options>, loops: &Loops, work: Work) -> Result<Got> {
    let mut got = Got::default();
    let mut probes = options.map(Probes::attach).transpose()?;
    let mut child = loops.start(work)?;
    let (began, cpu) = (seconds(ClockId::Monotonic), seconds(ClockId::ThreadCPUTime));
    while child.try_wait()?.is_none() {
        if let Some(probes) = &mut probes {
            got.delivered += probes
                .drain(&mut |record| {
                    std::hint::black_box(&record);
                })
                .records;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    got.seconds = seconds(ClockId::Monotonic) - began;
    if let Some(probes) = &mut probes {
        got.delivered += probes
            .drain(&mut |record| {
                std::hint::black_box(&record);
            })
            .records;
    }
    got.consumer_seconds = seconds(ClockId::ThreadCPUTime) - cpu;
    if let Some(probes) = &mut probes {
        probes.counts(&mut |c| if c.cause == Cause::Repeat { got.repeats += c.n } else { got.lost += c.n });
    }
    got.ns = finish(child)?.iter().map(|done| done.ns_per_pair).fold(0.0, f64::max);
    Ok(got)
}

fn seconds(clock: ClockId) -> f64 {
    let t = clock_gettime(clock);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
