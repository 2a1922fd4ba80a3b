//! The command line: what all subcommands share, and which there are.
//!
//! The arguments of a subcommand are defined in its own file; the formats and exit codes are the public contract.

use clap::{Args, Parser, Subcommand};
use grove::config::ConfigError;
use grove::config::table::Settings;

use crate::check::CheckArgs;
use crate::completions::CompletionsArgs;
use crate::config::Config;
use crate::convert::ConvertArgs;
use crate::diff::DiffArgs;
use crate::doctor::DoctorArgs;
use crate::env::EnvArgs;
use crate::exit::Exit;
use crate::help::teach;
use crate::inspect::InspectArgs;
use crate::launch::LaunchArgs;
use crate::merge::MergeArgs;
use crate::record::RecordArgs;
use crate::replay::ReplayArgs;
use crate::run::RunArgs;
use crate::terminal::Color;

/// Learns what each container image does, and tells when one does something else
#[derive(Debug, Parser)]
#[command(name = "grove", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = teach(
    "results to standard output or to --output; logs, progress and summaries to standard error.",
    &[
        ("grove replay trace.jsonl", "learn what the containers in a trace do"),
        ("grove inspect profiles/nginx.profile.json", "look at it"),
        ("grove check --profile profiles/nginx.profile.json other.jsonl", "find what another trace does beyond it"),
        ("grove help replay", "more on one command"),
    ],
    &Exit::ALL.map(|exit| (exit, exit.meaning())),
))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Learn profiles from this host's containers, live
    Run(RunArgs),
    /// Record a trace of this host's containers, or of one command
    Record(RecordArgs),
    /// Tell what this host can do for a live observation
    Doctor(DoctorArgs),
    /// Learn profiles from recorded traces
    Replay(ReplayArgs),
    /// Find what traces do that profiles do not know
    Check(CheckArgs),
    /// Show a profile
    Inspect(InspectArgs),
    /// Tell what one profile, or one tag, has that the other has not
    Diff(DiffArgs),
    /// Make one profile of several of the same image
    Merge(MergeArgs),
    /// Rewrite another tool's log as a trace of Grove's own
    Convert(ConvertArgs),
    /// Show every GROVE_* variable: value, origin, default, range and meaning
    Env(EnvArgs),
    /// Print a script that makes a shell complete this command line
    Completions(CompletionsArgs),
    /// The command of a recording, before it begins
    #[command(hide = true)]
    Launch(LaunchArgs),
}

/// Flags that go with every subcommand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// When to use colour: auto (on terminals, unless NO_COLOR is set), always or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, hide_possible_values = true, global = true)]
    pub(crate) color: Color,

    /// What to log: off, error, warn, info, debug or trace; overrides GROVE_LOG
    #[arg(long, value_name = "LEVEL", global = true)]
    log: Option<String>,

    /// How to write log lines: text or json; overrides GROVE_LOG_FORMAT
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

impl Global {
    /// Puts the flags that were given in the variables' place.
    pub(crate) fn override_variables(&self, config: &mut Config) -> Result<(), ConfigError> {
        if let Some(level) = &self.log {
            config.command.set_flag("--log", "GROVE_LOG", level)?;
        }
        if let Some(format) = &self.log_format {
            config.command.set_flag("--log-format", "GROVE_LOG_FORMAT", format)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
