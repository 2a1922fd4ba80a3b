//! From an input to an engine: every record decoded, sent, and accounted for exactly once.
//!
//! Not here: the name of a recording that does not name itself (`name`).

use super::input::{self, Framing, InputError, Records, TooLong};
use super::name::LineHash;
use super::watch::Watch;
use super::{Decoder, Format, Line, Reject, detect_records};
use crate::event::RecordingId;
use crate::ledger::{Ignored, Rejected};
use crate::shard::{Engine, Overflow, Sender};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The tag of a container that a log does not name.
const DEFAULT_TAG: &str = "local";

/// Why feeding ended before the input did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The input could not be opened.
    #[error("cannot read {}: {source}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it that is an event.
    #[error("{}: read as {format}, not one of its {records} records is an event", .path.display())]
    NoEvents {
        /// Which.
        path: PathBuf,
        /// What it was taken for.
        format: Format,
        /// How many records it has.
        records: u64,
    },
    /// The input could not be read to its end.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A record was rejected, and none may be.
    #[error("line {line}: {reject}")]
    Rejected {
        /// The line that it begins in, from 1.
        line: u64,
        /// What is wrong with the record.
        reject: Reject,
    },
}

/// How much was read from one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedSummary {
    /// Records, the header not counted.
    pub records: u64,
    /// Those that are events, or known to tell nothing: neither rejected nor of an unknown type.
    pub accepted: u64,
    /// Decompressed bytes in them.
    pub bytes: u64,
    /// There was a header.
    pub header: bool,
}

/// How an input is fed to an engine.
pub struct Feed<'a> {
    /// Makes events of its records.
    pub decoder: &'a mut dyn Decoder,
    /// Takes them.
    pub sender: &'a mut Sender,
    /// The first rejected record ends it.
    pub strict: bool,
    /// What was read is handed on before more is waited for: of a stream nobody knows when more will come.
    pub eager: bool,
    /// Set from elsewhere to end it early, as if the input had ended.
    pub stop: &'a AtomicBool,
    /// Told of every rejected record and the line that it begins in.
    pub on_reject: &'a mut dyn FnMut(u64, &Reject),
    /// Told once what the header calls the recording, if it has a name, and whether it is partial, before the first
    /// event; gives the engine's id for it.
    pub on_recording: &'a mut dyn FnMut(Option<&str>, bool) -> RecordingId,
    /// Sums up the records of recordings that do not name themselves.
    pub hash: &'a mut LineHash,
}

impl std::fmt::Debug for Feed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("sender", &self.sender).field("strict", &self.strict).finish_non_exhaustive()
    }
}

impl Feed<'_> {
    /// Feeds all of `records`, then flushes the sender. What was fed before an error stands.
    ///
    /// # Errors
    /// The input cannot be read to its end, its header is of another format or version, or, if `strict`, a record
    /// was rejected.
    pub fn run(self, records: &mut Records) -> Result<FeedSummary, FeedError> {
        let Self { decoder, sender, strict, eager, stop, on_reject, on_recording, hash } = self;
        let mut fed = FeedSummary::default();
        let mut named = false;
        let conflicts = sender.tell_conflicts();
        let mut outcome = loop {
            let hand_on = || {
                if eager {
                    sender.flush();
                }
            };
            let record = match records.next_after(hand_on) {
                // What the end came upon half-way is neither a record nor a fault.
                _ if stop.load(Ordering::Relaxed) || strict && conflicts.any() => break Ok(()),
                Ok(Some(record)) => record,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            };
            let line = record.line;
            // Whoever follows a stream is told at once, and of a file in the order of its lines.
            if eager && !strict && conflicts.any() {
                let found = conflicts.take();
                fed.accepted = fed.accepted.saturating_sub(found.count);
                found.lines.iter().for_each(|(line, reject)| on_reject(u64::from(*line), reject));
            }
            sender.set_line(line);
            let mut late = Vec::new();
            let decoded = match record.bytes {
                Ok(bytes) => {
                    fed.bytes += bytes.len() as u64 + 1;
                    let mut watch = Watch::new(&mut *sender);
                    let mut decoded = decoder.decode(bytes, &mut watch);
                    late = watch.held_back;
                    // The last of several events is the record's own; the others waited for it.
                    if watch.passed == 0 && decoded == Ok(Line::Event) {
                        decoded = late.pop().map_or(decoded, Err);
                    }
                    if !named && decoded != Ok(Line::Header) {
                        hash.add(bytes);
                    }
                    decoded
                }
                Err(too_long) => {
                    // Its bytes were not kept: its length so far stands for them in the recording's name.
                    hash.add(&too_long.len_so_far.to_le_bytes());
                    Err(too_long.into())
                }
            };
            for reject in late {
                sender.reject(reject.reason);
                on_reject(line, &reject);
            }
            match decoded {
                Ok(Line::Header) => {
                    sender.set_recording(on_recording(decoder.recording(), decoder.is_partial()));
                    named = decoder.recording().is_some();
                    fed.header = true;
                    continue;
                }
                Ok(Line::Event | Line::Held) => fed.accepted += 1,
                Ok(Line::Ignored(reason)) => {
                    sender.ignore(reason);
                    fed.accepted += u64::from(reason != Ignored::UnknownType);
                }
                Err(reject) => {
                    sender.reject(reject.reason);
                    on_reject(line, &reject);
                    if strict || decoder.is_fatal() {
                        fed.records += 1;
                        break Err(FeedError::Rejected { line, reject });
                    }
                }
            }
            fed.records += 1;
        };
        decoder.finish(sender);
        sender.flush();
        // What the workers reject they have counted.
        sender.wait_for_workers();
        let found = conflicts.take();
        fed.accepted = fed.accepted.saturating_sub(found.count);
        for (line, reject) in found.lines {
            let line = u64::from(line);
            if strict && matches!(&outcome, Err(FeedError::Rejected { line: first, .. }) if *first < line) {
                break;
            }
            on_reject(line, &reject);
            if strict {
                outcome = Err(FeedError::Rejected { line, reject });
            }
        }
        outcome.map(|()| fed)
    }
}

impl Engine {
    /// Learns from a recording, or checks it: a trace of Grove's or another tool's log, plain or compressed; which is seen
    /// from its contents. It returns when all of it has been handed over. Waits for full queues.
    ///
    /// Its events are of the recording that its header names, or of one that is named by what it contains. Records that
    /// are no events are in the ledger, as rejected. A log that names no containers is that of one, whose image is called
    /// as its first program is, with the tag `local`.
    ///
    /// # Errors
    /// The file cannot be read to its end, its header is of another version, or nothing in it is an event. What came
    /// before that stands.
    pub fn feed(&self, path: impl AsRef<Path>) -> Result<FeedSummary, FeedError> {
        let path = path.as_ref();
        let unreadable = |source| FeedError::Open { path: path.to_owned(), source };
        let source = input::open(path).map_err(unreadable)?;
        let mut records = Records::new(source.reader, Framing::Lines, self.record_bytes());
        let format = detect_records(&mut records);
        let mut decoder = format.decoder(None, DEFAULT_TAG);
        let unnamed = self.recording(None).unwrap_or_default();
        let mut sender = self.sender(Overflow::Wait);
        sender.set_recording(unnamed);
        let mut hash = LineHash::default();
        let fed = Feed {
            decoder: &mut *decoder,
            sender: &mut sender,
            strict: false,
            eager: false,
            stop: &AtomicBool::new(false),
            on_reject: &mut |line, reject| tracing::debug!(line, %reject, "a record is no event"),
            on_recording: &mut |name, partial| {
                let recording = name.and_then(|name| self.recording(Some(name)).ok()).unwrap_or(unnamed);
                if partial {
                    self.mark_partial(recording);
                }
                recording
            },
            hash: &mut hash,
        }
        .run(&mut records);
        self.name_recording(unnamed, &hash.name());
        match fed? {
            FeedSummary { accepted: 0, header: false, records, .. } => {
                Err(FeedError::NoEvents { path: path.to_owned(), format, records })
            }
            fed => Ok(fed),
        }
    }
}

#[doc(hidden)]
impl From<TooLong> for Reject {
    fn from(too_long: TooLong) -> Self {
        Self { reason: Rejected::TooLong, field: None, detail: too_long.to_string() }
    }
}
