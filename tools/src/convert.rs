//! `grove convert`: from any log that Grove reads to its own trace format.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::trace::FeedError;
use grove::trace::write::Header;

use crate::cli::teach;
use crate::exit::{Error, Exit};
use crate::feed::{self, Opened, Rejections, say};
use crate::input::ReadArgs;
use crate::interrupt;
use crate::trace_file::TraceFile;

/// The command line of `grove convert`.
#[derive(Debug, Args)]
#[command(after_help = teach(
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
    let header = Header { source: None, recording: args.recording.as_deref() };
    let mut trace = TraceFile::create(&args.output, header, args.container.as_deref())?;
    let stop = interrupt::flag();
    let mut outcome = Ok(());
    let mut opened = false;
    for path in &args.read.traces {
        match feed::open(path, &args.read, config, &stop) {
            Ok(input) => {
                opened = true;
                outcome = outcome.and(one(input, args.read.strict, &stop, &mut trace));
            }
            Err(error) => outcome = outcome.and(Err(error)),
        }
        if trace.failed() || args.read.strict && outcome.is_err() {
            break;
        }
    }
    // What came before a fault is a whole trace; of nothing none is made.
    if opened {
        say(&format!("{} events", trace.finish()?));
    } else {
        trace.abandon()?;
    }
    outcome.map(|()| Exit::Done)
}

fn one(input: Opened, strict: bool, stop: &AtomicBool, trace: &mut TraceFile) -> Result<(), Error> {
    let Opened { name, mut records, mut decoder, bar: _bar } = input;
    let mut rejections = Rejections::new(&name);
    while !trace.failed() {
        let record = match records.next() {
            _ if stop.load(Ordering::Relaxed) => break,
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) => return Err(feed::bad_input(&name, &error.into())),
        };
        let line = record.line;
        let decoded = match record.bytes {
            Ok(bytes) => decoder.decode(bytes, trace),
            Err(too_long) => Err(too_long.into()),
        };
        if let Err(reject) = decoded {
            rejections.tell(line, &reject);
            if strict || decoder.is_fatal() {
                return Err(feed::bad_input(&name, &FeedError::Rejected { line, reject }));
            }
        }
    }
    decoder.finish(trace);
    Ok(())
}
