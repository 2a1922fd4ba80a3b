//! What `grove run --host` costs the rest of the host, and how much it takes from it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::kernel::RATE;
use super::samples::{SideBySide, round};
use super::workload::{Loops, Observer, Result, Work, finish};

/// Events of two loops are learned, none of them left out as a repeat.
const EVERY_EVENT: &[(&str, &str)] = &[("GROVE_DEDUP_WINDOW", "0s")];

/// As it is by default.
const DEFAULT: &[(&str, &str)] = &[];

/// More than the drain interval: until then the last events are learned.
const LEARNED: Duration = Duration::from_millis(300);

const WALKED: &str = "/usr";
const WALKS: usize = 8;
const WALK_ROUNDS: usize = 7;

const MODULES: usize = 40;
const BUILD_ROUNDS: usize = 5;

/// Walking a tree whose names are in the kernel's caches: system calls and little else.
pub fn walk(dir: &Path) -> Result<SideBySide> {
    let walks = || {
        let began = Instant::now();
        for _ in 0..WALKS {
            run(Command::new("find").arg(WALKED).stdout(Stdio::null()))?;
        }
        Ok(began.elapsed().as_secs_f64())
    };
    walks()?;
    side_by_side(dir, WALK_ROUNDS, walks)
}

/// A build of a crate without dependencies, from nothing.
pub fn build(dir: &Path) -> Result<SideBySide> {
    let package = dir.join("package");
    generate(&package)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let builds = || {
        let target = package.join("target");
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        let began = Instant::now();
        let mut command = Command::new(&cargo);
        command.args(["build", "--offline", "--quiet", "--target-dir"]).arg(&target).current_dir(&package);
        run(command.stdout(Stdio::null()))?;
        Ok(began.elapsed().as_secs_f64())
    };
    builds()?;
    side_by_side(dir, BUILD_ROUNDS, builds)
}

/// Seconds of `work` without and with an observer, in turn.
fn side_by_side(dir: &Path, rounds: usize, work: impl Fn() -> Result<f64>) -> Result<SideBySide> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(work()?);
        let observer = Observer::start(dir, DEFAULT)?;
        with.push(work()?);
        observer.stop()?;
    }
    Ok(SideBySide::of(without, with))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// A crate of many modules, each of which the compiler has something to do with.
fn generate(package: &Path) -> Result<()> {
    let source = package.join("src");
    fs::create_dir_all(&source)?;
    // A workspace of its own, wherever that is.
    let manifest = "[package]\nname = \"built\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest)?;
    let mut root = String::new();
    for module in 0..MODULES {
        root.push_str(&format!("pub mod m{module};\n"));
        let mut text = String::from("use std::collections::BTreeMap;\n");
        for item in 0..20 {
            text.push_str(&format!(
                "#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]\n\
                 pub struct S{item} {{ pub name: String, pub numbers: Vec<u64>, pub table: BTreeMap<u32, String> }}\n\
                 impl S{item} {{\n    pub fn sum(&self) -> u64 {{ self.numbers.iter().map(|n| n * {item}).sum() }}\n}}\n"
            ));
        }
        fs::write(source.join(format!("m{module}.rs")), text)?;
    }
    fs::write(source.join("lib.rs"), root)?;
    Ok(())
}

/// Loops that are learned from.
#[derive(Serialize)]
pub struct Learning {
    /// Pairs of open and close.
    produced: u64,
    produced_per_s: f64,
    delivered_per_s: f64,
    lost: u64,
    /// Of `grove run` as a whole, of one core.
    core_percent: f64,
    ns_per_event: f64,
    core_percent_at_250k: f64,
}

/// Two loops at full speed.
pub fn busy(loops: &Loops, dir: &Path) -> Result<Learning> {
    learning(loops, dir, Work { loops: 2, opens: 2_000_000, spawns: 0, pace_ns: 0 })
}

/// Two loops that make 250,000 events a second.
pub fn paced(loops: &Loops, dir: &Path) -> Result<Learning> {
    let pace_ns = (2.0 / RATE * 1e9) as u64;
    learning(loops, dir, Work { loops: 2, opens: 500_000, spawns: 0, pace_ns })
}

fn learning(loops: &Loops, dir: &Path, work: Work) -> Result<Learning> {
    let observer = Observer::start(dir, EVERY_EVENT)?;
    let before = observer.cpu_seconds()?;
    let done = finish(loops.start(work)?)?;
    std::thread::sleep(LEARNED);
    let cpu_seconds = observer.cpu_seconds()? - before;
    let ledger = observer.stop()?;

    let seconds = done.iter().map(|loops| loops.ns).max().unwrap_or(0) as f64 / 1e9;
    let produced: u64 = done.iter().map(|loops| loops.opens).sum();
    let lost = ledger.dropped_total();
    let learned = ledger.applied_new + ledger.applied_known;
    // Whatever else the host did is in the ledger too, and every loss is held against the loops.
    if learned + lost < produced {
        return Err(format!("{produced} events were made, and the ledger has less: {ledger:?}").into());
    }
    let ns_per_event = cpu_seconds * 1e9 / produced as f64;
    Ok(Learning {
        produced,
        produced_per_s: (produced as f64 / seconds).round(),
        delivered_per_s: (produced.saturating_sub(lost) as f64 / seconds).round(),
        lost,
        core_percent: round(cpu_seconds / seconds * 100.0),
        ns_per_event: round(ns_per_event),
        core_percent_at_250k: round(ns_per_event * RATE / 1e9 * 100.0),
    })
}
