//! How many events a second `grove replay` learns from, all in: starting, reading a native trace of 1.2 million lines and
//! 64 containers from the page cache, decoding, applying, folding, and writing eight profiles.
//!
//!     cargo build --release -p grove-tools
//!     cargo bench -p grove-benches --bench replay              a table
//!     cargo bench -p grove-benches --bench replay -- --json    the same as JSON
//!
//! Nothing is asserted. The numbers of workers take turns.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "live/samples.rs"]
#[allow(dead_code)]
mod samples;

use grove_benches::traffic::{CONTAINERS, LINES, trace};
use samples::Samples;
use serde::Serialize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 5;

#[derive(Serialize)]
struct Report {
    processors: usize,
    containers: usize,
    events: usize,
    megabytes: f64,
    replays: Vec<Replay>,
}

#[derive(Serialize)]
struct Replay {
    workers: usize,
    seconds: Samples,
    events_per_second: Samples,
}

/// The command, as built beside this bench.
fn grove() -> Result<PathBuf, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let built = this.ancestors().nth(2).map(|release| release.join("grove")).filter(|path| path.exists());
    Ok(built.ok_or("grove is not there: cargo build --release -p grove-tools")?)
}

/// One replay; how many seconds it took. Every line has to have been applied.
fn replay(grove: &Path, dir: &Path, workers: usize) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(grove);
    command.env_clear().current_dir(dir).stdin(Stdio::null()).stderr(Stdio::piped());
    command.args(["replay", "--stats", "stats.json", "--workers", &workers.to_string(), "trace.jsonl"]);
    let start = Instant::now();
    let ended = command.output()?;
    let seconds = start.elapsed().as_secs_f64();
    let stats: ledger::Counts = sonic_rs::from_slice(&std::fs::read(dir.join("stats.json"))?)?;
    if !ended.status.success() || stats.received != LINES as u64 || stats.lost() != 0 {
        return Err(String::from_utf8_lossy(&ended.stderr).into_owned().into());
    }
    Ok(seconds)
}

/// As much of a ledger as tells whether the replay did its work.
mod ledger {
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    pub struct Counts {
        pub received: u64,
        rejected: BTreeMap<String, u64>,
        dropped: BTreeMap<String, u64>,
    }

    impl Counts {
        pub fn lost(&self) -> u64 {
            self.rejected.values().chain(self.dropped.values()).sum()
        }
    }
}

fn run() -> Result<Report, Box<dyn Error>> {
    let (grove, dir) = (grove()?, tempfile::tempdir()?);
    let path = dir.path().join("trace.jsonl");
    trace(std::io::BufWriter::new(std::fs::File::create(&path)?))?;
    let megabytes = samples::round(std::fs::metadata(&path)?.len() as f64 / 1e6);
    let processors = std::thread::available_parallelism()?.get();
    let counts = if processors > 1 { vec![1, processors] } else { vec![1] };
    let mut seconds = vec![Vec::new(); counts.len()];
    for round in 0..=ROUNDS {
        for (n, workers) in counts.iter().enumerate() {
            let took = replay(&grove, dir.path(), *workers)?;
            // The first round fills caches.
            if round > 0 {
                seconds[n].push(took);
            }
        }
    }
    let replays = counts.into_iter().zip(seconds).map(|(workers, seconds)| {
        let rates = seconds.iter().map(|s| LINES as f64 / s).collect();
        Replay { workers, seconds: Samples::of(seconds), events_per_second: Samples::of(rates) }
    });
    Ok(Report { processors, containers: CONTAINERS, events: LINES, megabytes, replays: replays.collect() })
}

fn main() -> Result<(), Box<dyn Error>> {
    let report = run()?;
    if std::env::args().any(|arg| arg == "--json") {
        println!("{}", sonic_rs::to_string_pretty(&report)?);
        return Ok(());
    }
    println!(
        "{} events of {} containers, {} MB, {} processors",
        report.events, CONTAINERS, report.megabytes, report.processors
    );
    for Replay { workers, seconds, events_per_second: rate } in &report.replays {
        let millions = [rate.median, rate.min, rate.max].map(|rate| rate / 1e6);
        println!(
            "{workers} workers: {:.3} s, {:.2} million events a second ({:.2} to {:.2})",
            seconds.median, millions[0], millions[1], millions[2],
        );
    }
    Ok(())
}
