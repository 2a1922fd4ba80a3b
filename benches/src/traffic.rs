//! Decoded events to apply: a real capture when it is there, a synthetic load always.

use crate::workload::Workload;
use grove::event::EventBuf;
use grove::trace::Decoder;
use grove::trace::input::{Framing, Records, open};
use grove::trace::strace::{StraceDecoder, StraceOptions};
use std::path::{Path, PathBuf};

/// Programs of the synthetic load: their tree has about 10,000 nodes.
pub const PROGRAMS: usize = 95;

/// Longest line of a log.
const RECORD_BYTES: usize = 4 << 20;

/// The events of the `cargo build` that was recorded with strace, or `None` when the captures are not there.
///
/// They are looked for in `GROVE_CAPTURES`, by default `../shared/data` beside the workspace.
pub fn capture() -> Option<EventBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from);
    let source = open(&folder.join("strace/cargo-build-ripgrep.strace.zst")).ok()?;
    let mut records = Records::new(source.reader, Framing::Lines, RECORD_BYTES);
    let mut decoder = StraceDecoder::new(StraceOptions::default());
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

/// Everything that the programs of the synthetic load do, once.
pub fn lives() -> EventBuf {
    Workload::default().lives(0, PROGRAMS).events
}

/// What they go on doing: known events in the mix of a container under load.
pub fn steady() -> EventBuf {
    Workload::default().traffic(PROGRAMS, 50_000).events
}
