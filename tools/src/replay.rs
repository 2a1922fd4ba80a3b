//! `grove replay`: from traces to profiles.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use grove::Engine;
use grove::config::Config;
use grove::export::{self, Palette};

use crate::directory::{Directory, describe};
use crate::exit::{Error, Exit};
use crate::feed::{self, print_status};
use crate::help::help_footer;
use crate::input::InputArgs;
use crate::interrupt;
use crate::terminal;

/// The command line of `grove replay`.
#[derive(Debug, Args)]
#[command(after_help = help_footer(
    "nothing, or with --show the profiles as trees, on standard output; a summary of what was read and learned on \
     standard error. One file for each image, \
     IMAGE.profile.json, with `_` for every `/` of the image's name; a name with `_` or `:` in it also gets a `~` and \
     8 digits, so that no two images have one file.",
    &[
        ("grove replay trace.jsonl.zst", "profiles of all its images into ./profiles"),
        ("strace -f -ttt -o '|grove replay --from strace -' ./web", "learn from a running strace"),
        ("grove replay --image ripgrep --tag 14.1.1 build.strace", "a trace without containers"),
    ],
    &[
        (Exit::Done, "the profiles are written"),
        (Exit::Failed, "a file cannot be read or written; what was learned before is written all the same"),
        (Exit::BadInput, "an input is damaged or in a version that is not known, or a record was rejected under --strict"),
    ],
))]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// Directory for the profiles; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "profiles", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,

    /// Also print each profile as a tree, as `grove inspect` does
    #[arg(long)]
    pub(crate) show: bool,
}

pub(crate) fn run(args: &ReplayArgs, config: &mut Config) -> Result<Exit, Error> {
    args.input.override_variables(config)?;
    let mut directory = Directory::replacing(&args.output)?;

    let engine = Engine::start(config).map_err(feed::start_error)?;
    let fed = feed::all(&args.input, config, &engine);
    let snapshot = engine.shutdown();
    fed.summarise(&snapshot);

    let (_, written) =
        directory.write_all(snapshot.profiles.values(), config, &interrupt::next_phase(), |path, profile| {
            print_status(&describe(path, profile));
        });
    let outcome = fed.outcome.and(written);
    outcome.and(feed::write_stats(args.input.stats.as_deref(), &snapshot.ledger))?;
    feed::failures(&snapshot)?;
    // Last, as the reader of standard output may leave whenever it likes.
    if args.show {
        for profile in snapshot.profiles.values() {
            let doc = profile.to_doc();
            terminal::write(|out| export::tree(&doc, &Palette::colours(), terminal::columns(), out))?;
        }
    }
    Ok(Exit::Done)
}
