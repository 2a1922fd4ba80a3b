//! Decoded events to apply: a real capture when it is there, a synthetic load always.

use crate::workload::Workload;
use grove::event::EventBuf;
use grove::trace::detect_records;
use grove::trace::input::{Framing, Records, open};
use std::path::{Path, PathBuf};

/// Programs of the synthetic load: their tree has about 10,000 nodes.
pub const PROGRAMS: usize = 95;

/// Longest line of a log.
const RECORD_BYTES: usize = 4 << 20;

/// The folder of captures: `GROVE_CAPTURES`, by default `../shared/data` beside the workspace.
fn captures() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from)
}

/// The events of one capture, whatever its format.
fn events(path: &Path) -> Option<EventBuf> {
    let source = open(path).ok()?;
    let mut records = Records::new(source.reader, Framing::Lines, RECORD_BYTES);
    let mut decoder = detect_records(&mut records).decoder(None, "local");
    let mut events = EventBuf::new();
    while let Ok(Some(record)) = records.next() {
        if let Ok(line) = record.bytes {
            // A line that tells nothing, or is none, is for the reader's own tests.
            let _ = decoder.decode(line, &mut events);
        }
    }
    decoder.finish(&mut events);
    (!events.is_empty()).then_some(events)
}

/// The events of the `cargo build` that was recorded with strace, or `None` when the captures are not there.
pub fn capture() -> Option<EventBuf> {
    events(&captures().join("strace/cargo-build-ripgrep.strace.zst"))
}

/// The events of the `cargo build` and of all recordings of containers by sysdig, or `None` when there are none.
pub fn all_captures() -> Option<Vec<EventBuf>> {
    let sysdig = std::fs::read_dir(captures().join("sysdig")).ok()?;
    let mut paths: Vec<PathBuf> = sysdig.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let all: Vec<EventBuf> = capture().into_iter().chain(paths.iter().filter_map(|path| events(path))).collect();
    (!all.is_empty()).then_some(all)
}

/// Everything that the programs of the synthetic load do, once.
pub fn lives() -> EventBuf {
    Workload::default().lives(0, PROGRAMS).events
}

/// What they go on doing: known events in the mix of a container under load.
pub fn steady() -> EventBuf {
    Workload::default().traffic(PROGRAMS, 50_000).events
}
