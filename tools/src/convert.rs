//! `grove convert`: from any log that Grove reads to its own trace format.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::event::{EventBuf, Sink};
use grove::ledger::Ignored;
use grove::trace::input::Records;
use grove::trace::write::Header;
use grove::trace::{Decoder, FeedError, FeedSummary, Line};

use crate::exit::{Error, Exit};
use crate::feed::{self, Opened, Rejections, counted, print_status};
use crate::help::help_footer;
use crate::input::ReadArgs;
use crate::interrupt;
use crate::trace_file::TraceFile;

/// The command line of `grove convert`.
#[derive(Debug, Args)]
#[command(after_help = help_footer(
    "Grove's own event trace, JSON Lines, to --output; records without behaviour are left out.",
    &[
        ("grove convert --output build.jsonl.zst --image builder build.strace", "an strace log"),
        ("grove convert --container web-2 --image web --tag 1.1 --output - web.strace", "with a container of one's own"),
    ],
    &[
        (Exit::Done, "written"),
        (Exit::Failed, "a file cannot be read or written"),
        (Exit::BadInput, "an input is damaged, or a record was rejected under --strict"),
    ],
))]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,

    /// Container id to write in place of that in the log
    #[arg(long, value_name = "ID")]
    pub(crate) container: Option<String>,

    /// What the header calls the recording
    #[arg(long, value_name = "NAME")]
    pub(crate) recording: Option<String>,

    /// File for the trace, compressed as its suffix says (.gz, .zst); `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
}

pub(crate) fn run(args: &ConvertArgs, config: &Config) -> Result<Exit, Error> {
    let stop = interrupt::flag();
    let mut target = Target { args, trace: None, partial: false };
    let mut outcome = Ok(());
    for path in &args.read.traces {
        match feed::open(path, &args.read, config, &stop) {
            Ok(input) => outcome = outcome.and(one(input, args.read.strict, &stop, &mut target)),
            Err(error) => outcome = outcome.and(Err(error)),
        }
        if target.trace.as_ref().is_some_and(TraceFile::failed) || args.read.strict && outcome.is_err() {
            break;
        }
    }
    // What came before a fault is a whole trace; of nothing none is made.
    if let Some(trace) = target.trace {
        let written = trace.finish();
        written.outcome?;
        print_status(&counted(written.ledger.recorded, "event", "events"));
    }
    outcome.map(|()| Exit::Done)
}

/// The trace that is made of all inputs, begun with the first one: its header says what the input's says.
struct Target<'a> {
    args: &'a ConvertArgs,
    trace: Option<TraceFile>,
    partial: bool,
}

impl Target<'_> {
    /// The trace, for what follows of an input.
    fn begin(&mut self, name: &str, partial: bool) -> Result<&mut TraceFile, Error> {
        let Self { args, trace, partial: whole } = self;
        if let Some(trace) = trace {
            if partial && !*whole {
                let text = format!("{name} is a partial recording, and what came before is not: name it first");
                return Err(Error::Message { exit: Exit::BadInput, text });
            }
            return Ok(trace);
        }
        let header = Header { recording: args.recording.as_deref(), partial, ..Header::default() };
        let begun = TraceFile::create(&args.output, header, args.container.as_deref())?;
        *whole = partial;
        Ok(trace.insert(begun))
    }
}

fn one(input: Opened, strict: bool, stop: &AtomicBool, target: &mut Target<'_>) -> Result<(), Error> {
    let Opened { name, format, mut records, mut decoder, bar: _bar, .. } = input;
    let mut rejections = Rejections::new(&name);
    let mut fed = FeedSummary::default();
    // Only the first record can be a header, and of an input that is no trace none is made.
    let mut first = EventBuf::new();
    let mut more = true;
    while more && fed.accepted == 0 && !fed.header {
        more = step(&name, &mut records, &mut *decoder, &mut rejections, strict, stop, &mut fed, &mut first)?;
    }
    if fed.accepted > 0 || fed.header {
        let trace = target.begin(&name, decoder.is_partial())?;
        first.iter().for_each(|stored| trace.event(stored.event));
        while more && !trace.failed() {
            more = step(&name, &mut records, &mut *decoder, &mut rejections, strict, stop, &mut fed, trace)?;
        }
        decoder.finish(trace);
    }
    if interrupt::is_set(stop) { Ok(()) } else { feed::is_a_trace(&name, format, fed) }
}

/// Converts one record; false if there are no more.
#[allow(clippy::too_many_arguments)] // one call, and each of them is a thing of its own
fn step(
    name: &str,
    records: &mut Records,
    decoder: &mut dyn Decoder,
    rejections: &mut Rejections<'_>,
    strict: bool,
    stop: &AtomicBool,
    fed: &mut FeedSummary,
    sink: &mut dyn Sink,
) -> Result<bool, Error> {
    let record = match records.next() {
        _ if stop.load(Ordering::Relaxed) => return Ok(false),
        Ok(Some(record)) => record,
        Ok(None) => return Ok(false),
        Err(error) => return Err(feed::bad_input(name, &error.into())),
    };
    let line = record.line;
    let decoded = match record.bytes {
        Ok(bytes) => decoder.decode(bytes, sink),
        Err(too_long) => Err(too_long.into()),
    };
    fed.records += u64::from(decoded != Ok(Line::Header));
    match decoded {
        Ok(Line::Header) => fed.header = true,
        Ok(Line::Ignored(Ignored::UnknownType)) => {}
        Ok(Line::Event | Line::Held | Line::Ignored(_)) => fed.accepted += 1,
        Err(reject) => {
            rejections.report(line, &reject);
            if strict || decoder.is_fatal() {
                return Err(feed::bad_input(name, &FeedError::Rejected { line, reject }));
            }
        }
    }
    Ok(true)
}
