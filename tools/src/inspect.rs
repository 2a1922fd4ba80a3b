//! `grove inspect`: a profile to look at.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use grove::config::Config;
use grove::export::{self, Palette};

use crate::exit::{Error, Exit};
use crate::help::teach;
use crate::profiles;
use crate::terminal;

/// The command line of `grove inspect`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "the activity tree: processes, and under each its files, names, sockets, system calls and capabilities.",
    &[
        ("grove inspect profiles/nginx.profile.json", "a tree"),
        ("grove inspect --format dot nginx.profile.json | dot -Tsvg > nginx.svg", "a picture"),
        ("grove inspect --format json nginx.profile.json.zst | jq .stats", "the profile, unpacked"),
    ],
    &[
        (Exit::Done, "printed"),
        (Exit::Failed, "the file cannot be read"),
        (Exit::BadInput, "the file is no profile"),
    ],
))]
pub(crate) struct InspectArgs {
    /// The profile: plain, .gz or .zst; `-` is standard input
    #[arg(value_name = "PROFILE", value_hint = ValueHint::FilePath)]
    pub(crate) profile: PathBuf,

    /// The shape of the output
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: InspectFormat,
}

/// How a profile is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectFormat {
    /// A tree, for people
    #[default]
    Tree,
    /// The profile format
    Json,
    /// Graphviz
    Dot,
}

pub(crate) fn run(args: &InspectArgs, config: &Config) -> Result<Exit, Error> {
    let doc = profiles::read_doc(&args.profile, config)?;
    match args.format {
        // Colours that the output does not take are left out on the way.
        InspectFormat::Tree => terminal::write(|out| export::tree(&doc, &Palette::colours(), terminal::columns(), out)),
        InspectFormat::Json => terminal::write_plain(|out| grove::profile::encode(&doc, out)),
        InspectFormat::Dot => terminal::write_plain(|out| export::dot(&doc, out)),
    }?;
    Ok(Exit::Done)
}
