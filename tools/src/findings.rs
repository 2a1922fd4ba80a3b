//! Findings as lines of JSON: those of a stream as they are made, all others at the end.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use grove::config::Config;
use grove::{Finding, Findings, export};
use serde::Serialize;

use crate::exit::Error;
use crate::interrupt;
use crate::output::{self, Output};

/// Findings are written when their text is so long: a text of all would take as much memory again.
const TEXT_BYTES: usize = 64 << 10;

/// How long a finding may wait: one that is made again meanwhile is written once, with both counted.
const INTERVAL: Duration = Duration::from_millis(500);

/// Lines that are remembered at most, in case they have to be updated. What is found beyond them is written at the end.
const TOLD_MAX: usize = 1 << 20;

/// What remembering a line takes, about.
const TOLD_BYTES: usize = 2 * size_of::<(u64, Told)>();

/// Where findings are written to, and what was written there already.
pub(crate) struct FindingWriter {
    out: Output,
    path: PathBuf,
    text: Vec<u8>,
    told: HashMap<u64, Told>,
    told_max: usize,
    hasher: RandomState,
}

/// What a line said of a finding that may have changed since.
struct Told {
    ts: u64,
    pid: u32,
    count: u64,
    /// Hash of its details.
    details: u64,
}

/// A line that replaces an earlier one.
#[derive(Serialize)]
struct Update {
    #[serde(flatten)]
    finding: Finding,
    update: bool,
}

impl FindingWriter {
    /// Writes to a file or, for `-`, to standard output.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn open(path: &Path, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            out: Output::open(path)?,
            path: path.to_owned(),
            text: Vec::new(),
            told: HashMap::new(),
            told_max: TOLD_MAX.min(config.memory_max / 16 / TOLD_BYTES),
            hasher: RandomState::new(),
        })
    }

    /// Writes what is found as it is found, until it is `over` and this thread unparked. A file stands in its place from the beginning, and grows.
    ///
    /// # Errors
    /// It cannot be written; then all that goes on is asked to end, as by an interrupt.
    pub(crate) fn follow(&mut self, findings: &mut Findings, over: &AtomicBool) -> Result<(), Error> {
        let outcome = self.out.place().map_err(|e| output::failed(&self.path, e));
        let outcome = outcome.and_then(|()| {
            loop {
                thread::park_timeout(INTERVAL);
                if over.load(Ordering::Acquire) {
                    // What was found since is written with all the rest.
                    return Ok(());
                }
                let mut fresh: Vec<Arc<Finding>> = findings.by_ref().take(self.told_max - self.told.len()).collect();
                fresh.sort_by(|a, b| a.cmp_order(b));
                for finding in fresh {
                    let details = self.hasher.hash_one(&finding.details);
                    let told = Told { ts: finding.ts, pid: finding.pid, count: finding.count, details };
                    if self.told.insert(finding.id, told).is_none() {
                        self.line(&*finding)?;
                    }
                }
                self.flush()?;
            }
        });
        if outcome.is_err() {
            interrupt::flag().store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Writes what was not written yet, and what has changed since it was. `findings` are all that were kept, in order;
    /// gives how many were written that are not among them.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn finish(mut self, findings: &[Finding]) -> Result<usize, Error> {
        for finding in findings {
            match self.told.remove(&finding.id) {
                None => self.line(finding)?,
                Some(told) => {
                    if (told.count, told.details) != (finding.count, self.hasher.hash_one(&finding.details)) {
                        let mut finding = finding.clone();
                        (finding.ts, finding.pid) = (told.ts, told.pid);
                        self.line(&Update { finding, update: true })?;
                    }
                }
            }
        }
        self.flush()?;
        self.out.keep().map_err(|e| output::failed(&self.path, e))?;
        Ok(self.told.len())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), Error> {
        export::json_line(line, &mut self.text).map_err(|e| Error::failed(e, "please report it"))?;
        if self.text.len() > TEXT_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        let written = self.out.write_all(&self.text);
        self.text.clear();
        written.map_err(|e| output::failed(&self.path, e))
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.write()?;
        self.out.flush().map_err(|e| output::failed(&self.path, e))
    }
}
