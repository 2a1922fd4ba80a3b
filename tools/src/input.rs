//! What the commands that read traces share: which traces, in which format, and how to read them.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use grove::config::{Config, ConfigError};

/// Traces and how to read them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct InputArgs {
    /// Traces to read in this order: plain, .gz or .zst; `-` is standard input
    #[arg(value_name = "TRACE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) traces: Vec<PathBuf>,

    /// What wrote the traces
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Whatever the first records look like
    #[default]
    Auto,
    /// Grove's own event trace, JSON Lines
    Grove,
    /// `sysdig -j`, JSON lines
    Sysdig,
    /// `strace -f -ttt`
    Strace,
    /// Tetragon's JSON export
    Tetragon,
    /// Tracee's JSON lines
    Tracee,
}
