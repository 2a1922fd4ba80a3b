//! `grove check`: what traces do that profiles do not know.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::teach;
use crate::exit::Exit;
use crate::input::InputArgs;

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
