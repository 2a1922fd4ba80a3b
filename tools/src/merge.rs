//! `grove merge`: one profile from several of the same image.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::cli::teach;
use crate::exit::Exit;

/// The command line of `grove merge`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "nothing on standard output. The merged profile knows what any of them knows; their order and repetition do not \
     matter.",
    &[("grove merge --output nginx.profile.json host-*/nginx.profile.json", "what all hosts have seen")],
    &[
        (Exit::Done, "written"),
        (Exit::Failed, "a file cannot be read or written"),
        (Exit::BadInput, "a file is no profile, or they are of different images"),
    ],
))]
pub(crate) struct MergeArgs {
    /// File for the merged profile
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Profiles of one image: plain, .gz or .zst
    #[arg(value_name = "PROFILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) profiles: Vec<PathBuf>,
}
