//! What it costs to observe a live host, and what is lost: side by side, without and with.
//!
//!     cargo build --release -p grove-tools
//!     sudo cargo bench -p grove-benches --bench live             a line for each figure
//!     sudo cargo bench -p grove-benches --bench live -- --json   the same as JSON
//!     sudo cargo bench -p grove-benches --bench live -- actions  only what each kind of event costs
//!
//! Needs root, a C compiler and `find`. Takes about two minutes. `benches/runs/live.md` says what the figures mean.
//!
//! Not criterion: what is measured are other processes, with an observer beside them and without, in turn.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod live {
    pub mod actions;
    pub mod host;
    pub mod kernel;
    pub mod loss;
    pub mod samples;
    pub mod workload;
}

use std::process::ExitCode;

use live::workload::{Loops, Result};
use live::{actions, host, kernel, loss, samples};
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    kernel: String,
    processors: usize,
    /// Nanoseconds for an open and a close, as the programs in the kernel lengthen it.
    pair: Vec<kernel::Pair>,
    /// Nanoseconds that the programs add to what makes events of other kinds.
    actions: Vec<actions::Action>,
    /// Reading the ring and decoding, without anything else.
    reading: kernel::Reading,
    /// `grove run --host` learns from two loops.
    busy: host::Learning,
    /// The same from loops that make 250,000 events a second.
    paced: host::Learning,
    /// `find` over a warm tree.
    find: samples::SideBySide,
    /// `cargo build` of a crate of 40 modules.
    cargo_build: samples::SideBySide,
    /// Rings that are too small.
    loss: Vec<loss::Loss>,
}

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("benches live: attaching to the kernel needs root; run it with sudo");
        return ExitCode::FAILURE;
    }
    let asked = |name: &str| std::env::args().any(|arg| arg == name);
    let text = if asked("actions") {
        tempfile::tempdir().map_err(Into::into).and_then(|dir| text(&actions::actions(dir.path())?, asked("--json")))
    } else {
        measure().and_then(|report| text(&report, asked("--json")))
    };
    match text {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("benches live: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text<T: Serialize>(report: &T, json: bool) -> Result<String> {
    if json { Ok(sonic_rs::to_string_pretty(report)?) } else { Ok(lines(&sonic_rs::to_value(report)?)) }
}

fn measure() -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let loops = Loops::compile(dir.path())?;
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(Report {
        kernel: release.trim().to_owned(),
        processors: std::thread::available_parallelism()?.get(),
        pair: kernel::pairs(&loops)?,
        actions: actions::actions(dir.path())?,
        reading: kernel::reading(&loops)?,
        busy: host::busy(&loops, dir.path())?,
        paced: host::paced(&loops, dir.path())?,
        find: host::walk(dir.path())?,
        cargo_build: host::build(dir.path())?,
        loss: ["256Ki", "64Ki"].into_iter().map(|ring| loss::loss(&loops, dir.path(), ring)).collect::<Result<_>>()?,
    })
}

/// One figure a line: its way through the report, and its value.
fn lines(report: &sonic_rs::Value) -> String {
    fn walk(value: &sonic_rs::Value, at: &str, out: &mut Vec<String>) {
        use sonic_rs::JsonContainerTrait;
        if let Some(object) = value.as_object() {
            object.iter().for_each(|(key, value)| walk(value, &format!("{at}.{key}"), out));
        } else if let Some(array) = value.as_array() {
            array.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{at}[{i}]"), out));
        } else {
            out.push(format!("{}  {value}", at.trim_start_matches('.')));
        }
    }
    let mut out = Vec::new();
    walk(report, "", &mut out);
    out.join("\n")
}
