//! Reading what happened, from Grove's own trace format and from other tools' logs, and writing traces.
//!
//! A reader is two things in a row: [`input`] cuts a plain or compressed byte stream into records of bounded
//! size, and a [`Decoder`] turns one record at a time into events. Decoders never see the whole input, never
//! panic and keep bounded state, whatever the bytes.

pub mod audit;
mod bounded;
pub mod detect;
mod feed;
mod format;
pub mod gadget;
pub mod image;
pub mod input;
mod json;
pub mod kunai;
mod name;
pub mod native;
mod programs;
#[cfg(test)]
mod reported;
pub mod strace;
pub mod sysdig;
pub mod tetragon;
pub mod tracee;
mod unreadable;
mod watch;
pub mod write;

pub use detect::{Format, UnknownFormat, detect, detect_records};
pub use feed::{Feed, FeedError, FeedSummary};
pub use name::LineHash;
pub use unreadable::{Unreadable, unreadable};

pub use crate::behaviour::Reject;

use crate::event::Sink;
use crate::ledger::Ignored;

/// Turns the records of one format into events.
pub trait Decoder: Send {
    /// Decodes one record, without its line end.
    ///
    /// Unless it returns an error it calls [`Sink::event`] exactly once and returns [`Line::Event`], or does
    /// not call it and returns one of the others; beside that, once for each record that was [`Line::Held`] and is
    /// not any more. [`Sink::implied`] it may call any number of times, before or after.
    ///
    /// # Errors
    /// A record that is not what the format allows, with the reason and the field.
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject>;

    /// Tells what is still pending when the input ends: once for each record that is still [`Line::Held`].
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

/// What a record that was read without fault turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// One counted event.
    Event,
    /// One event that is counted later: what has to be known for it comes behind it.
    Held,
    /// Nothing to learn from.
    Ignored(Ignored),
    /// The header: not an event and not counted.
    Header,
}
