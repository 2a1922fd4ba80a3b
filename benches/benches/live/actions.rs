//! What the kernel side costs by kind of event: nanoseconds of one action that makes events, without the programs and
//! with them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use grove_probes::kernel::{Cause, Options, Probes, Scope};
use serde::Serialize;

use super::samples::Samples;
use super::workload::{Result, compile};

/// How often each setting has its turn.
const ROUNDS: usize = 3;

/// Each action, and how often it is done: long enough to be timed, short enough to be done for every setting.
const ACTIONS: [(&str, u64); 11] = [
    ("open and close", 200_000),
    ("open of what is not there", 200_000),
    ("open that is refused", 200_000),
    ("mkdir and rmdir", 50_000),
    ("fchmod", 200_000),
    ("mount that changes how one is shared", 100_000),
    ("mmap to be executed, and munmap", 100_000),
    ("connect, accept and two closes", 20_000),
    ("refused connect", 50_000),
    ("send and receive over a stream", 100_000),
    ("request to a metadata service", 100_000),
];

/// One action, and what the programs add to it.
#[derive(Serialize)]
pub struct Action {
    action: &'static str,
    /// With nothing attached.
    ns: Samples,
    /// With nobody in scope.
    out_of_scope: Added,
    /// With everything a repeat but the first time.
    repeats: Added,
    /// With everything delivered, and read.
    delivered: Added,
}

/// What an action takes more.
#[derive(Serialize)]
pub struct Added {
    /// Beside the same round's without the programs: what else the machine does is in it.
    ns: Samples,
    /// The programs' own time, as the kernel counts it.
    programs_ns: Samples,
    /// Events delivered for one action.
    events: f64,
    lost: u64,
}

#[derive(Default)]
struct Got {
    ns: f64,
    programs_ns: f64,
    delivered: u64,
    lost: u64,
}

pub fn actions(dir: &Path) -> Result<Vec<Action>> {
    let program = compile(dir, "actions", include_str!("actions.c"))?;
    let full = Options { dedup: None, ..Options::default() };
    let settings = [
        None,
        Some(Options { scope: Scope::Cgroups, ..full.clone() }),
        Some(Options { dedup: Some(Duration::from_secs(3600)), ..full.clone() }),
        Some(full),
    ];
    let _timed = Timed::begin()?;
    let mut rounds: Vec<Vec<Vec<Got>>> = Vec::new();
    for _ in 0..ROUNDS {
        let round = settings.iter().map(|options| round(options.as_ref(), &program, dir));
        rounds.push(round.collect::<Result<Vec<_>>>()?);
    }
    let added = |at: usize, setting: usize, times: u64| {
        let all = |of: fn(&Got, &Got) -> f64| {
            Samples::of(rounds.iter().map(|round| of(&round[setting][at], &round[0][at])).collect())
        };
        let delivered: u64 = rounds.iter().map(|round| round[setting][at].delivered).sum();
        Added {
            ns: all(|with, without| with.ns - without.ns),
            programs_ns: all(|with, _| with.programs_ns),
            events: super::samples::round(delivered as f64 / (ROUNDS as u64 * times) as f64),
            lost: rounds.iter().map(|round| round[setting][at].lost).sum(),
        }
    };
    let action = |at: usize, (action, times): (&'static str, u64)| Action {
        action,
        ns: Samples::of(rounds.iter().map(|round| round[0][at].ns).collect()),
        out_of_scope: added(at, 1, times),
        repeats: added(at, 2, times),
        delivered: added(at, 3, times),
    };
    Ok(ACTIONS.into_iter().enumerate().map(|(at, of)| action(at, of)).collect())
}

/// The kernel counts the time of programs for as long as this is there.
struct Timed(String);

const TIMED: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Timed {
    fn begin() -> Result<Self> {
        let before = fs::read_to_string(TIMED)?;
        fs::write(TIMED, "1")?;
        Ok(Self(before))
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let _ = fs::write(TIMED, &self.0);
    }
}

/// The time that all programs of this process have run.
fn programs_ns() -> Result<u64> {
    let mut sum = 0;
    for file in fs::read_dir("/proc/self/fdinfo")? {
        let info = fs::read_to_string(file?.path()).unwrap_or_default();
        let ns = info.lines().find_map(|line| line.strip_prefix("run_time_ns:")?.trim().parse::<u64>().ok());
        sum += ns.unwrap_or(0);
    }
    Ok(sum)
}

/// All actions, one after the other, with one attachment.
fn round(options: Option<&Options>, program: &Path, dir: &Path) -> Result<Vec<Got>> {
    let mut probes = options.map(Probes::attach).transpose()?;
    ACTIONS.iter().map(|(action, times)| one(probes.as_mut(), program, dir, action, *times)).collect()
}

fn one(mut probes: Option<&mut Probes>, program: &Path, dir: &Path, action: &str, times: u64) -> Result<Got> {
    let mut got = Got::default();
    let before = programs_ns()?;
    let mut child = Command::new(program).args([action, &times.to_string()]).arg(dir).stdout(Stdio::piped()).spawn()?;
    let mut over = false;
    while !over {
        over = child.try_wait()?.is_some();
        if let Some(probes) = &mut probes {
            got.delivered += probes
                .drain(&mut |record| {
                    std::hint::black_box(&record);
                })
                .records;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if let Some(probes) = &mut probes {
        probes.counts(&mut |c| got.lost += if c.cause == Cause::Repeat { 0 } else { c.n });
    }
    let out = child.wait_with_output()?;
    if !out.status.success() {
        return Err(format!("{action}: {}", out.status).into());
    }
    got.ns = String::from_utf8(out.stdout)?.trim().parse()?;
    got.programs_ns = super::samples::round((programs_ns()? - before) as f64 / times as f64);
    Ok(got)
}
