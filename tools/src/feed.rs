//! Reading traces into an engine, as `replay` and `check` do: opening, recognising, decoding, reporting, summing up.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use grove::config::Config;
use grove::ledger::{Dropped, Ledger, Rejected};
use grove::trace::input::{self, Framing, Records};
use grove::trace::{Decoder, Feed, FeedError, FeedSummary, Format, LineHash, Reject, detect_records};
use grove::{Engine, Limits, Overflow, RecordingId, Snapshot, StartError};

use crate::exit::{Error, Exit};
use crate::input::{InputArgs, ReadArgs, Source};
use crate::interrupt::{self, Interruptible};
use crate::output::write_file;
use crate::progress::Progress;
use grove::text::escape;

/// Rejected records of one reason that are shown one by one.
const SHOWN_PER_REASON: u64 = 10;

/// The outcome of reading all inputs.
pub(crate) struct Summary {
    /// The worst that happened.
    pub(crate) outcome: Result<(), Error>,
    bytes: u64,
    elapsed: Duration,
}

/// Feeds all traces of a command line, in their order. An input that fails does not keep the others from being read.
pub(crate) fn all(args: &InputArgs, config: &Config, engine: &Engine) -> Summary {
    let start = Instant::now();
    let mut summary = Summary { outcome: Ok(()), bytes: 0, elapsed: Duration::ZERO };
    let mut hash = LineHash::default();
    let stop = interrupt::flag();
    // Recordings that do not name themselves are one, named by its records in whatever order and files they came.
    let unnamed = engine.recording(None).unwrap_or_default();
    for path in &args.read.traces {
        if let Err(error) = one(path, args, config, engine, unnamed, &stop, &mut hash, &mut summary) {
            let strict = matches!(&error, Error::Message { exit: Exit::BadInput, .. }) && args.read.strict;
            summary.outcome = summary.outcome.and(Err(error));
            if strict {
                break;
            }
        }
    }
    engine.name_recording(unnamed, &hash.name());
    summary.elapsed = start.elapsed();
    summary
}

#[allow(clippy::too_many_arguments)] // one call, and each of them is a thing of its own
fn one(
    path: &Path,
    args: &InputArgs,
    config: &Config,
    engine: &Engine,
    unnamed: RecordingId,
    stop: &Arc<AtomicBool>,
    hash: &mut LineHash,
    summary: &mut Summary,
) -> Result<(), Error> {
    let Opened { name, format, mut records, mut decoder, eager, bar: _bar } = open(path, &args.read, config, stop)?;
    let mut sender = engine.sender(Overflow::Wait);
    sender.set_recording(unnamed);

    let mut rejections = Rejections::new(&name);
    let mut on_reject = |line: u64, reject: &Reject| rejections.report(line, reject);
    let mut on_recording = |name: Option<&str>, partial: bool| {
        let recording = name.and_then(|name| engine.recording(Some(name)).ok()).unwrap_or(unnamed);
        if partial {
            engine.mark_partial(recording);
        }
        recording
    };
    let feed = Feed {
        decoder: &mut *decoder,
        sender: &mut sender,
        strict: args.read.strict,
        eager,
        stop,
        on_reject: &mut on_reject,
        on_recording: &mut on_recording,
        hash,
    };
    let outcome = feed.run(&mut records);
    drop(rejections);
    let fed = outcome.map_err(|error| bad_input(&name, &error))?;
    summary.bytes += fed.bytes;
    // Of an input that was ended early nobody knows.
    if interrupt::is_set(stop) { Ok(()) } else { is_a_trace(&name, format, fed) }
}

/// Whether what was read can have been a trace. One that says so by its header may have no events: nothing happened. Of
/// anything else without a record that counts nobody can tell, and silence would pass for "nothing found".
pub(crate) fn is_a_trace(name: &str, format: Format, fed: FeedSummary) -> Result<(), Error> {
    let text = match fed {
        FeedSummary { accepted: 1.., .. } => return Ok(()),
        FeedSummary { records: 0, header: true, .. } => {
            print_status(&format!("note: {} is a recording without events", escape(name)));
            return Ok(());
        }
        FeedSummary { records: 0, .. } => format!("{name}: it is empty; check what was to write it"),
        FeedSummary { records, .. } => {
            format!("{name}: read as {format}, not one of its {records} records is an event; is --from right?")
        }
    };
    Err(Error::Message { exit: Exit::BadInput, text })
}

/// An input, and how to read it.
pub(crate) struct Opened {
    /// As it is called in messages.
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) records: Records,
    pub(crate) decoder: Box<dyn Decoder>,
    /// It is a stream: nobody knows when more will come.
    pub(crate) eager: bool,
    /// Shows how far it is read.
    pub(crate) bar: Progress,
}

/// Opens an input and finds out how to read it. It ends early when `stop` is set.
pub(crate) fn open(path: &Path, args: &ReadArgs, config: &Config, stop: &Arc<AtomicBool>) -> Result<Opened, Error> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let unreadable = |e: io::Error| match e.kind() {
        io::ErrorKind::IsADirectory => {
            Error::Message { exit: Exit::BadInput, text: format!("{name}: it is a directory; name the files in it") }
        }
        _ => Error::failed(format_args!("cannot read {name}: {e}"), "check its name and permissions"),
    };
    let source = input::open(path).map_err(unreadable)?;
    let eager = source.len.is_none();
    let reader = match source.len {
        Some(_) => source.reader,
        None => Box::new(Interruptible::new(source.reader, stop.clone()).map_err(unreadable)?),
    };
    let mut records = Records::new(reader, Framing::Lines, config.record_bytes);
    let bar = Progress::start(&name, records.position(), source.len);
    let format = match args.from {
        Source::Auto => {
            let format = detect_records(&mut records);
            if let Some(found) = grove::trace::unreadable(&mut records) {
                return Err(Error::Message { exit: Exit::BadInput, text: format!("{name}: {found}") });
            }
            format
        }
        Source::Format(format) => {
            records.set_framing(format.framing());
            format
        }
    };
    let decoder = format.decoder(args.image.as_deref(), &args.tag);
    Ok(Opened { name, format, records, decoder, eager, bar })
}

/// Tells of rejected records: the first few of each reason one by one, at the end how many more there were.
pub(crate) struct Rejections<'a> {
    name: &'a str,
    counts: BTreeMap<Rejected, u64>,
}

impl<'a> Rejections<'a> {
    pub(crate) fn new(name: &'a str) -> Self {
        Self { name, counts: BTreeMap::new() }
    }

    pub(crate) fn report(&mut self, line: u64, reject: &Reject) {
        let count = self.counts.entry(reject.reason).or_default();
        *count += 1;
        if *count <= SHOWN_PER_REASON {
            let (name, detail) = (escape(self.name), reject.to_string());
            print_status(&format!("{name}:{line}: rejected ({}): {}", reject.reason.name(), escape(&detail)));
        }
    }
}

impl Drop for Rejections<'_> {
    fn drop(&mut self) {
        for (reason, count) in &self.counts {
            if *count > SHOWN_PER_REASON {
                let more = count - SHOWN_PER_REASON;
                print_status(&format!("{}: {more} more rejected ({})", escape(self.name), reason.name()));
            }
        }
    }
}

pub(crate) fn bad_input(name: &str, error: &FeedError) -> Error {
    let exit = match error {
        FeedError::Input(input::InputError::Read { .. }) => Exit::Failed,
        _ => Exit::BadInput,
    };
    Error::Message { exit, text: format!("{name}: {error}; what came before it stands") }
}

/// A number of things, such as `1 event`.
pub(crate) fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Says one line on standard error.
pub(crate) fn print_status(line: &str) {
    // Where standard error cannot be written there is nobody to tell.
    let _ = writeln!(io::stderr(), "grove: {line}");
}

pub(crate) fn start_error(error: StartError) -> Error {
    match error {
        StartError::Thread(_) => Error::failed(error, "set GROVE_WORKERS lower, or raise the limit of threads"),
        other => Error::Message { exit: Exit::BadInput, text: other.to_string() },
    }
}

/// A shard that failed has lost events: they are counted, and still the result is not whole.
pub(crate) fn failures(snapshot: &Snapshot) -> Result<(), Error> {
    match snapshot.failures.first() {
        None => Ok(()),
        Some(failure) => Err(Error::failed(
            format_args!(
                "a worker failed ({failure}), and {} lost",
                counted(snapshot.ledger.dropped_total(), "event is", "events are")
            ),
            "please report it with the trace",
        )),
    }
}

/// Says how often a limit was reached that cost no event, and so is in no ledger.
pub(crate) fn report_limits(limits: &Limits, ledger: &Ledger) {
    // Why an event found no room is looked at after it did, and another worker may have made some by then: how many there
    // were, the ledger says.
    let (refused, of_trees) = match limits.memory_refused {
        0 => (0, ledger.dropped(Dropped::TreeFull)),
        _ => (ledger.dropped(Dropped::TreeFull) + ledger.dropped(Dropped::Containers), 0),
    };
    let event = ("event was", "events were");
    let container = ("container was", "containers were");
    let reached = [
        (
            limits.containers_evicted,
            container,
            "taken for stopped: there were too many, or too little memory (GROVE_MEMORY_MAX)",
        ),
        (
            limits.containers_forgotten,
            ("stopped container was", "stopped containers were"),
            "forgotten: what is told of them later is <unknown>'s",
        ),
        (
            limits.processes_forgotten,
            ("process or working directory was", "processes or working directories were"),
            "forgotten (GROVE_PROCESSES_MAX)",
        ),
        (limits.holds_cut_short, container, "learned before they were named (GROVE_HOLD_TOTAL_BYTES)"),
        (
            limits.snapshots_left_out,
            ("time", "times"),
            "profiles were not written while learning: too little memory (GROVE_MEMORY_MAX)",
        ),
        (refused, event, "lost, as there was no memory for what is new (GROVE_MEMORY_MAX, GROVE_RESIDENT_MAX)"),
        (of_trees, event, "lost, as a container's or an image's tree was full (GROVE_TREE_BYTES)"),
    ];
    for (count, (one, many), what) in reached {
        if count > 0 {
            print_status(&format!("warning: {} {what}", counted(count, one, many)));
        }
    }
}

/// Writes the ledger where `--stats` says.
pub(crate) fn write_stats(path: Option<&Path>, ledger: &Ledger) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let mut text = sonic_rs::to_string(ledger).map_err(|e| Error::failed(e, "please report it"))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

impl Summary {
    /// Says what was read and what became of it.
    pub(crate) fn summarise(&self, snapshot: &Snapshot) {
        let ledger = &snapshot.ledger;
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        print_status(&format!(
            "{} of {} in {:.3} s: {:.0} events/s, {:.1} MB/s",
            counted(ledger.received, "event", "events"),
            counted(snapshot.containers, "container", "containers"),
            seconds,
            ledger.received as f64 / seconds,
            self.bytes as f64 / 1e6 / seconds,
        ));
        print_status(&format!(
            "{} new, {} known, {} of the life cycle, {} ignored, {} rejected, {} dropped, {} held",
            ledger.applied_new,
            ledger.applied_known,
            ledger.lifecycle,
            ledger.ignored_total(),
            ledger.rejected_total(),
            ledger.dropped_total(),
            ledger.held,
        ));
        report_limits(&snapshot.limits, ledger);
    }
}
