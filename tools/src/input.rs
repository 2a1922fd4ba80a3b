//! What the commands that read traces share: which traces, in which format, and how to read them.

use std::ffi::OsStr;
use std::io::stdin;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args, Command, ValueHint};
use grove::config::table::Settings;
use grove::config::{Config, ConfigError};
use grove::trace::Format;
use rustix::fs::{FileType, fstat, stat};

/// Traces and how to read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Traces to read in this order: plain, .gz or .zst; `-` is standard input
    #[arg(value_name = "TRACE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) traces: Vec<PathBuf>,

    /// What wrote the traces: auto, grove, sysdig, strace, tetragon, tracee, audit, inspektor-gadget or kunai
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = SourceParser)]
    pub(crate) from: Source,

    /// Stop at the first record that is rejected (exit 3), instead of counting it and going on
    #[arg(long)]
    pub(crate) strict: bool,

    /// Image name for a trace that knows of no container [default: the first program's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,

    /// Image tag for a trace that knows of no container
    #[arg(long, default_value = "local")]
    pub(crate) tag: String,
}

impl ReadArgs {
    /// Whether one of the traces is no regular file, so that nobody knows when more of it will come.
    pub(crate) fn has_stream(&self) -> bool {
        let is_stream = |path: &PathBuf| {
            let kind = if path == Path::new("-") { fstat(stdin()).ok() } else { stat(path).ok() };
            kind.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile)
        };
        self.traces.iter().any(is_stream)
    }
}

/// Traces and what to do with their events.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct InputArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,

    /// Include the host itself, as the container with the empty name; overrides GROVE_HOST
    #[arg(long)]
    host: bool,

    /// Worker threads; overrides GROVE_WORKERS
    #[arg(long, value_name = "N")]
    workers: Option<String>,

    /// Write the ledger, that is where every event went, to this file as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) stats: Option<PathBuf>,
}

impl InputArgs {
    /// Puts the flags that were given in the variables' place.
    pub(crate) fn override_variables(&self, config: &mut Config) -> Result<(), ConfigError> {
        if let Some(workers) = &self.workers {
            config.set_flag("--workers", "GROVE_WORKERS", workers)?;
        }
        if self.host {
            config.set_flag("--host", "GROVE_HOST", "true")?;
        }
        Ok(())
    }
}

/// What can have written a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Whatever the first records look like.
    Auto,
    /// This tool.
    Format(Format),
}

/// Parses a [`Source`], and tells shells and help which there are.
#[derive(Clone)]
struct SourceParser;

impl TypedValueParser for SourceParser {
    type Value = Source;

    fn parse_ref(&self, cmd: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Source, clap::Error> {
        let names = ["auto"].into_iter().chain(Format::ALL.iter().map(|f| f.name()));
        let name = PossibleValuesParser::new(names).parse_ref(cmd, arg, value)?;
        Ok(name.parse().map_or(Source::Auto, Source::Format))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = ["auto"].into_iter().chain(Format::ALL.iter().map(|f| f.name()));
        Some(Box::new(names.map(PossibleValue::new)))
    }
}
