//! `grove replay`: from traces to profiles.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::teach;
use crate::exit::Exit;
use crate::input::InputArgs;

/// The command line of `grove replay`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "nothing on standard output; a summary of what was read and learned on standard error. One file for each image, \
     IMAGE.profile.json, with `_` for every `/` and `:` of the image's name.",
    &[
        ("grove replay trace.jsonl.zst", "profiles of all its images into ./profiles"),
        ("sysdig -j | grove replay --from sysdig --output learned -", "learn from a running sysdig"),
        ("grove replay --image ripgrep --tag 14.1.1 build.strace", "a trace without containers"),
    ],
    &[
        (Exit::Done, "the profiles are written"),
        (Exit::Failed, "a file cannot be read or written"),
        (Exit::BadInput, "the input is in no known format, or a record was rejected under --strict"),
    ],
))]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Directory for the profiles; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "profiles", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
}
