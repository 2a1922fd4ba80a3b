//! `grove run`: from a live host to profiles.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use clap::{Args, ValueHint};
use grove::config::table::Settings;
use grove::event::{EventRef, Sink};
use grove::trace::write::Header;
use grove::{Engine, Overflow, Sender, Snapshot};
use grove_probes::live::Live;

use crate::config::Config;
use crate::directory::{Directory, describe};
use crate::exit::{Error, Exit};
use crate::feed::{self, counted, print_status};
use crate::help::help_footer;
use crate::interrupt;
use crate::live::{LiveArgs, Observation, random_name};
use crate::output;
use crate::table::Table;
use crate::trace_file::TraceFile;
use grove::text::escape;

/// The command line of `grove run`.
#[derive(Debug, Args)]
#[command(after_help = help_footer(
    "nothing on standard output; on standard error a table of what goes on, or a line now and then if that is no \
     terminal. One file for each image, IMAGE.profile.json, written every GROVE_PROFILE_INTERVAL and at the end. What \
     a file knows already stays known.",
    &[
        ("grove run --output /var/lib/grove", "learn from all containers of this host, until interrupted"),
        ("grove run --for 10m --container nginx", "from those of one image, for ten minutes"),
        ("grove run --output profiles -- ./server --port 8080", "from one command and all that it runs"),
    ],
    &[
        (Exit::Done, "the profiles are written"),
        (Exit::Failed, "the kernel gives no events, or a file cannot be written"),
        (Exit::BadInput, "wrong usage, a bad GROVE_* variable included"),
    ],
))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,

    /// Directory for the profiles; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "profiles", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,

    /// Also write the events to this trace, as `grove record` does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,

    /// Worker threads; overrides GROVE_WORKERS
    #[arg(long, value_name = "N")]
    workers: Option<String>,

    /// Write the ledger, that is where every event went, to this file as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stats: Option<PathBuf>,
}

pub(crate) fn run(args: &RunArgs, config: &mut Config) -> Result<Exit, Error> {
    args.live.override_variables(config)?;
    if let Some(workers) = &args.workers {
        config.engine.set_flag("--workers", "GROVE_WORKERS", workers)?;
    }
    let config = &*config;
    args.live.check(config)?;
    let directory = Directory::continuing(&args.output)?;
    let name = random_name();
    let mut record = match &args.record {
        None => None,
        Some(path) => {
            let header = Header {
                source: Some(args.live.source_name()),
                recording: Some(&name),
                partial: args.live.is_partial(),
            };
            Some(TraceFile::create(path, header, None)?)
        }
    };

    let taken = [&args.record, &args.stats].into_iter().flatten().any(|path| output::is_stdout(path));
    let (observation, before) = Observation::start(&args.live, config, taken)?;
    // The kernel has the ring's memory beside the process, and takes it off the same limit.
    let resident_max = config.engine.resident_max.saturating_sub(config.live.ring_bytes);
    let engine_config = config.engine.clone().with(|c| c.resident_max = resident_max);
    let engine = Engine::start(&engine_config).map_err(feed::start_error)?;
    let mut sender = engine.sender(Overflow::Wait);
    let recording = engine.recording(Some(&name)).unwrap_or_default();
    if args.live.is_partial() {
        engine.mark_partial(recording);
    }
    sender.set_recording(recording);
    if let Some(record) = &mut record {
        record.place()?;
    }
    let mut sink = Tee { sender, record };
    for stored in before.iter() {
        if stored.counted { sink.event(stored.event) } else { sink.implied(stored.event) }
    }
    drop(before);
    sink.sender.flush();

    let mut table = Table::start();
    let (stop_writing, stopped) = mpsc::channel();
    let (ended, mut profile_writer) = thread::scope(|scope| {
        let profile_writer = ProfileWriter { directory, config, outcome: Ok(()) };
        let writer: ScopedJoinHandle<'_, ProfileWriter<'_>> = scope.spawn(|| profile_writer.keep(&engine, stopped));
        let each = |live: &Live, sink: &mut Tee| {
            sink.sender.flush();
            table.update(live, &engine);
            let Some(record) = &mut sink.record else { return ControlFlow::Continue(()) };
            record.tick();
            if record.failed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = observation.run(&mut sink, each);
        drop(stop_writing);
        (ended, writer.join())
    });
    drop(table);
    let Tee { sender, record } = sink;
    drop(sender);
    let snapshot = engine.shutdown();
    let mut outcome = match &mut profile_writer {
        Ok(profile_writer) => {
            profile_writer.write(&snapshot, true, &interrupt::next_phase());
            std::mem::replace(&mut profile_writer.outcome, Ok(()))
        }
        Err(_) => Err(Error::failed("the thread that writes profiles failed", "please report it")),
    };
    summarise(&snapshot);
    if let Some(record) = record {
        outcome = outcome.and(record.finish().outcome);
    }
    outcome.and(feed::write_stats(args.stats.as_deref(), &snapshot.ledger))?;
    feed::failures(&snapshot)?;
    ended?.report()
}

/// Events go into the engine, and into a trace if one was asked for.
struct Tee {
    sender: Sender,
    record: Option<TraceFile>,
}

impl Sink for Tee {
    fn event(&mut self, event: EventRef<'_>) {
        if let Some(record) = &mut self.record {
            record.event(event);
        }
        self.sender.event(event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        if let Some(record) = &mut self.record {
            record.implied(event);
        }
        self.sender.implied(event);
    }
}

/// Writes profiles now and then, on a thread of its own: the ring has to be emptied meanwhile.
struct ProfileWriter<'a> {
    directory: Directory,
    config: &'a Config,
    outcome: Result<(), Error>,
}

impl ProfileWriter<'_> {
    fn keep(mut self, engine: &Engine, stopped: Receiver<()>) -> Self {
        let interval: Duration = self.config.command.profile_interval;
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let snapshot = engine.snapshot();
            // An interrupt ends it too: all is written once more at the end.
            self.write(&snapshot, false, &interrupt::flag());
        }
        self
    }

    /// Writes all profiles. Only the outcome of the last time counts: what fails now may work then.
    fn write(&mut self, snapshot: &Snapshot, last: bool, stop: &AtomicBool) {
        let (failures, outcome) =
            self.directory.write_all(snapshot.profiles.values(), &self.config.engine, stop, |path, profile| {
                if last {
                    print_status(&describe(path, profile));
                }
            });
        // Of several failures the first one is the outcome, and all others are told.
        for (image, error) in failures.iter().skip(usize::from(last)) {
            tracing::warn!(error = %escape(error), image = %escape(image), "a profile cannot be written");
        }
        self.outcome = outcome;
    }
}

fn summarise(snapshot: &Snapshot) {
    let ledger = &snapshot.ledger;
    print_status(&format!(
        "{} of {}: {} new, {} known, {} of the life cycle, {} ignored, {} lost",
        counted(ledger.received, "event", "events"),
        counted(snapshot.containers, "container", "containers"),
        ledger.applied_new,
        ledger.applied_known,
        ledger.lifecycle,
        ledger.ignored_total(),
        ledger.dropped_total(),
    ));
    feed::report_limits(&snapshot.limits, ledger);
}
