//! `grove check`: what traces do that profiles do not know.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::Ignored;
use grove::{Baselines, Engine};

use crate::exit::{self, Error, Exit};
use crate::feed::{self, counted, print_status};
use crate::findings::FindingWriter;
use crate::help::help_footer;
use crate::input::InputArgs;
use crate::profiles;

/// The command line of `grove check`.
#[derive(Debug, Args)]
#[command(after_help = help_footer(
    "findings, one JSON object a line: one for each distinct behaviour of a container that its image's profile does \
     not have. Those of a pipe are written within a second, and once more with \"update\": true at the end where what \
     they count has changed; those of files at the end. A summary goes to standard error.",
    &[
        ("grove check --profile profiles/nginx.profile.json trace.jsonl", "what the trace does beyond the profile"),
        ("grove check --profile a.profile.json --profile b.profile.json - < trace.jsonl", "several images"),
        ("grove record --output - | grove check --profile nginx.profile.json -", "what this host does beyond it, as it does it"),
    ],
    &[
        (Exit::Done, "no drift"),
        (Exit::Failed, "a file cannot be read or written"),
        (Exit::Found, "drift was found"),
        (Exit::BadInput, "a profile or a trace is not what it should be"),
    ],
))]
pub(crate) struct CheckArgs {
    /// A profile to compare with; may be given several times
    #[arg(long = "profile", value_name = "PROFILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) profiles: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// File for the findings; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
}

pub(crate) fn run(args: &CheckArgs, config: &mut Config) -> Result<Exit, Error> {
    args.input.override_variables(config)?;
    let interner = Interner::global_of(config.tags_max);
    let baselines = baselines(&args.profiles, config, &interner)?;
    let engine = Engine::builder().config(config).check(baselines).start().map_err(feed::start_error)?;
    let mut writer = FindingWriter::open(&args.output, config)?;
    let (fed, followed) = if args.input.read.has_stream() {
        follow(&engine, &mut writer, || feed::all(&args.input, config, &engine))
    } else {
        (feed::all(&args.input, config, &engine), Ok(()))
    };
    let snapshot = engine.shutdown();
    fed.summarise(&snapshot);

    let written = followed.and_then(|()| writer.finish(&snapshot.findings));
    let unreported = snapshot.findings_suppressed;
    if unreported > 0 {
        let programs = snapshot.limits.programs_unreported;
        print_status(&format!(
            "{} only counted, {programs} of them of programs that were run",
            counted(unreported, "more finding was", "more findings were")
        ));
    }
    if let Ok(told @ 1..) = written {
        let told = counted(told, "of those was told when it was", "of those were told when they were");
        print_status(&format!("{told} first found"));
    }
    if snapshot.limits.containers_unreported > 0 {
        let count = counted(snapshot.limits.containers_unreported, "container", "containers");
        print_status(&format!("of {count} there was room for no finding (GROVE_MEMORY_MAX)"));
    }
    let no_profile = snapshot.ledger.ignored(Ignored::NoProfile);
    if no_profile > 0 {
        let events = counted(no_profile, "event", "events");
        print_status(&format!("{events} of images that no --profile is of: not checked"));
    }
    fed.outcome
        .and(exit::reader_may_leave(written.map(drop)))
        .and(feed::write_stats(args.input.stats.as_deref(), &snapshot.ledger))?;
    feed::failures(&snapshot)?;
    Ok(if snapshot.findings.is_empty() && unreported == 0 { Exit::Done } else { Exit::Found })
}

/// Writes what is found while `work` goes on.
fn follow<T>(engine: &Engine, writer: &mut FindingWriter, work: impl FnOnce() -> T) -> (T, Result<(), Error>) {
    let mut findings = engine.findings();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let follower = scope.spawn(|| writer.follow(&mut findings, &over));
        let done = work();
        over.store(true, Ordering::Release);
        follower.thread().unpark();
        let panicked = |_| Err(Error::failed("the thread that writes findings failed", "please report it"));
        (done, follower.join().unwrap_or_else(panicked))
    })
}

/// The profiles by image; those of one image are merged.
fn baselines(paths: &[PathBuf], config: &Config, interner: &Interner) -> Result<Baselines, Error> {
    let mut baselines = Baselines::default();
    for path in paths {
        let profile = profiles::read(path, config, interner)?;
        baselines.add(&profile).map_err(|e| profiles::unmergeable(path, e))?;
    }
    Ok(baselines)
}
