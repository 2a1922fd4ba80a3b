//! `grove check`: what traces do that profiles do not know.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::export;
use grove::intern::Interner;
use grove::ledger::Ignored;
use grove::{Baselines, Engine, Finding};

use crate::exit::{self, Error, Exit};
use crate::feed::{self, say};
use crate::help::teach;
use crate::input::InputArgs;
use crate::output::{self, Output};
use crate::profiles;

/// Findings are written when their text is so long.
const TEXT_BYTES: usize = 64 << 10;

/// The command line of `grove check`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "findings, one JSON object a line: one for each distinct behaviour of a container that its image's profile does \
     not have. A summary goes to standard error.",
    &[
        ("grove check --profile profiles/nginx.profile.json trace.jsonl", "what the trace does beyond the profile"),
        ("grove check --profile a.profile.json --profile b.profile.json - < trace.jsonl", "several images"),
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
    let fed = feed::all(&args.input, config, &engine);
    let snapshot = engine.shutdown();
    fed.summarise(&snapshot);

    let shown = write_findings(&args.output, &snapshot.findings);
    let untold = snapshot.findings_suppressed;
    if untold > 0 {
        let programs = snapshot.limits.programs_untold;
        say(&format!("{untold} more findings were only counted, {programs} of them of programs that were run"));
    }
    if snapshot.limits.containers_untold > 0 {
        let count = snapshot.limits.containers_untold;
        say(&format!("of {count} containers there was room for no finding (GROVE_MEMORY_MAX)"));
    }
    let no_profile = snapshot.ledger.ignored(Ignored::NoProfile);
    if no_profile > 0 {
        say(&format!("{no_profile} events are of images that no --profile is of; they were not checked"));
    }
    fed.outcome
        .and(exit::reader_may_leave(shown))
        .and(feed::write_stats(args.input.stats.as_deref(), &snapshot.ledger))?;
    feed::failures(&snapshot)?;
    Ok(if snapshot.findings.is_empty() && untold == 0 { Exit::Done } else { Exit::Found })
}

/// Writes findings one by one: a text of all would take as much memory again.
fn write_findings(path: &Path, findings: &[Finding]) -> Result<(), Error> {
    let mut out = Output::open(path)?;
    let mut text = Vec::new();
    for finding in findings {
        export::json_line(finding, &mut text).map_err(|e| Error::failed(e, "please report it"))?;
        if text.len() > TEXT_BYTES {
            out.write_all(&text).map_err(|e| output::failed(path, e))?;
            text.clear();
        }
    }
    out.write_all(&text).and_then(|()| out.flush()).and_then(|()| out.keep()).map_err(|e| output::failed(path, e))
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
