//! `grove record`: from a live host to a trace.

use std::ops::ControlFlow as Flow;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use grove::event::Sink;
use grove::ledger::{Dropped, Ledger};
use grove::trace::write::Header;
use grove_probes::live::Live;

use crate::config::Config;
use crate::exit::{Error, Exit};
use crate::feed::{self, print_status};
use crate::help::help_footer;
use crate::live::{LiveArgs, Observation, random_name};
use crate::output;
use crate::trace_file::{TraceFile, Written};

/// The command line of `grove record`.
#[derive(Debug, Args)]
#[command(after_help = help_footer(
    "Grove's own event trace, JSON Lines, to --output, where it grows block by block: whatever ends the recording, what \
     was written before the last block can be read. `grove replay` learns from it what `grove run` would have learned.",
    &[
        ("grove record --output web.jsonl.zst --container web", "one container, until interrupted"),
        ("grove record --output all.jsonl.zst --for 5m", "all containers, for five minutes"),
        ("grove record --output build.jsonl.zst -- cargo build", "a command and all that it runs"),
    ],
    &[
        (Exit::Done, "written"),
        (Exit::Failed, "the kernel gives no events, or the file cannot be written"),
        (Exit::BadInput, "wrong usage, a bad GROVE_* variable included"),
    ],
))]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,

    /// File for the trace, compressed as its suffix says (.gz, .zst); `-` is standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Write the ledger, that is where every event went, to this file as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stats: Option<PathBuf>,

    /// What the header calls the recording [default: a random name]
    #[arg(long, value_name = "NAME")]
    pub(crate) recording: Option<String>,
}

pub(crate) fn run(args: &RecordArgs, config: &mut Config) -> Result<Exit, Error> {
    args.live.override_variables(config)?;
    args.live.check(config)?;
    let name = args.recording.clone().unwrap_or_else(random_name);
    let header =
        Header { source: Some(args.live.source_name()), recording: Some(&name), partial: args.live.is_partial() };
    let mut trace = TraceFile::create(&args.output, header, None)?;
    let taken = [Some(&args.output), args.stats.as_ref()].into_iter().flatten().any(|path| output::is_stdout(path));
    let (observation, before) = Observation::start(&args.live, config, taken)?;
    // Not before there is something to write: what was there is of more use than a recording that never began.
    trace.place()?;
    before.iter().for_each(|stored| trace.event(stored.event));
    drop(before);
    // A full disk ends it at once, not after an hour of recording nothing.
    let each = |_: &Live, trace: &mut TraceFile| {
        trace.tick();
        if trace.failed() { Flow::Break(()) } else { Flow::Continue(()) }
    };
    let ended = observation.run(&mut trace, each);
    let Written { ledger, outcome } = trace.finish();
    summarise(&ledger);
    outcome.and(feed::write_stats(args.stats.as_deref(), &ledger))?;
    ended?.report()
}

fn summarise(ledger: &Ledger) {
    print_status(&format!(
        "{}: {} recorded, {} ignored, {} lost",
        feed::counted(ledger.received, "event", "events"),
        ledger.recorded,
        ledger.ignored_total(),
        ledger.dropped_total(),
    ));
    let lost = Dropped::ALL.iter().map(|cause| (cause.name(), ledger.dropped(*cause))).filter(|(_, n)| *n > 0);
    let lost: Vec<_> = lost.map(|(cause, n)| format!("{n} {cause}")).collect();
    if !lost.is_empty() {
        print_status(&format!("lost: {}", lost.join(", ")));
    }
}
