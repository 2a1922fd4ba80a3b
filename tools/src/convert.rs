//! `grove convert`: from any log that Grove reads to its own trace format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::event::{EventRef, Sink};
use grove::trace::Line;
use grove::trace::input::Compression;
use grove::trace::write::{Header, Writer};

use crate::cli::teach;
use crate::exit::{Error, Exit};
use crate::feed::{self, Rejections, say};
use crate::input::ReadArgs;

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
    let compression = match args.output.extension().and_then(|e| e.to_str()) {
        Some("gz") => Compression::Gzip,
        Some("zst") => Compression::Zstd,
        _ => Compression::Plain,
    };
    let failed = |e: &io::Error| {
        Error::failed(
            format_args!("cannot write {}: {e}", args.output.display()),
            "check the directory and the space left",
        )
    };
    let out: Box<dyn Write> = if args.output == Path::new("-") {
        Box::new(io::stdout().lock())
    } else {
        Box::new(BufWriter::new(File::create(&args.output).map_err(|e| failed(&e))?))
    };
    let header = Header { source: None, recording: args.recording.as_deref() };
    let writer = Writer::new(out, compression, header).map_err(|e| failed(&e))?;
    let mut sink = TraceSink { writer, container: args.container.as_deref(), events: 0, error: None };
    for path in &args.read.traces {
        one(path, &args.read, config, &mut sink)?;
    }
    if let Some(error) = sink.error {
        return Err(if args.output == Path::new("-") { Error::stdout(error) } else { failed(&error) });
    }
    sink.writer.finish().and_then(|mut out| out.flush()).map_err(|e| failed(&e))?;
    say(&format!("{} events", sink.events));
    Ok(Exit::Done)
}

fn one(path: &Path, args: &ReadArgs, config: &Config, sink: &mut TraceSink<'_>) -> Result<(), Error> {
    let (name, mut records, mut decoder, _bar) = feed::open(path, args, config)?;
    let mut rejections = Rejections::new(&name);
    loop {
        let record = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) => return Err(feed::bad_input(&name, &error.into())),
        };
        let line = record.line;
        let decoded = match record.bytes {
            Ok(bytes) => decoder.decode(bytes, sink),
            Err(too_long) => Err(too_long.into()),
        };
        match decoded {
            Ok(Line::Event | Line::Ignored(_) | Line::Header) => {}
            Err(reject) => {
                rejections.tell(line, &reject);
                if args.strict || decoder.is_fatal() {
                    let text = format!("{name}: line {line}: {reject}");
                    return Err(Error::Message { exit: Exit::BadInput, text });
                }
            }
        }
    }
    decoder.finish(sink);
    Ok(())
}

/// Writes what a decoder makes: a trace of its own has no implied events, so they become events like the others.
struct TraceSink<'a> {
    writer: Writer<Box<dyn Write>>,
    container: Option<&'a str>,
    events: u64,
    error: Option<io::Error>,
}

impl Sink for TraceSink<'_> {
    fn event(&mut self, event: EventRef<'_>) {
        if self.error.is_some() {
            return;
        }
        let container = self.container.map_or(event.container, str::as_bytes);
        self.events += 1;
        self.error = self.writer.event(EventRef { container, ..event }).err();
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.event(event);
    }
}
