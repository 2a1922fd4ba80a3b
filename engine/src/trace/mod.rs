//! Reading what happened, from Grove's own trace format and from other tools' logs, and writing traces.
//!
//! A reader is two things in a row: [`input`] cuts a plain or compressed byte stream into records of bounded
//! size, and a [`Decoder`] turns one record at a time into events. Decoders never see the whole input, never
//! panic and keep bounded state, whatever the bytes.

mod bounded;
pub mod capability;
pub mod detect;
mod feed;
mod format;
pub mod image;
pub mod input;
mod json;
mod name;
pub mod native;
pub mod nesting;
mod open_flags;
pub mod qtype;
pub mod strace;
pub mod syscalls;
pub mod sysdig;
pub mod tetragon;
pub mod tracee;
mod watch;
pub mod write;

pub use capability::{capability_name, capability_number};
pub use detect::{Format, detect, detect_records};
pub use feed::{Fed, Feed, FeedError};
pub use name::LineHash;
pub use qtype::{qtype_name, qtype_number};
pub use syscalls::{syscall_name, syscall_number};
pub use watch::Workloads;

use crate::event::Sink;
use crate::ledger::{Ignored, Rejected};

/// Turns the records of one format into events.
pub trait Decoder: Send {
    /// Decodes one record, without its line end.
    ///
    /// Unless it returns an error it calls [`Sink::event`] exactly once and returns [`Line::Event`], or does
    /// not call it and returns one of the others; [`Sink::implied`] it may call any number of times, before or after.
    ///
    /// # Errors
    /// A record that is not what the format allows, with the reason and the field.
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject>;

    /// Tells what is still pending when the input ends.
    fn finish(&mut self, _sink: &mut dyn Sink) {}

    /// Whether the last record that was rejected tells that the whole input is not for this decoder.
    fn is_fatal(&self) -> bool {
        false
    }

    /// What the input's header calls the recording, once the header was read.
    fn recording(&self) -> Option<&str> {
        None
    }

    /// Whether the header says that its source cannot see all that a container does.
    fn is_partial(&self) -> bool {
        false
    }
}

/// What a good record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// One counted event.
    Event,
    /// Nothing to learn from.
    Ignored(Ignored),
    /// The header: not an event and not counted.
    Header,
}

/// Why a record is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", .field.map(|f| format!("field `{f}`: ")).unwrap_or_default())]
pub struct Reject {
    /// The reason it is counted under.
    pub reason: Rejected,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// What was found and what was expected.
    pub detail: String,
}
