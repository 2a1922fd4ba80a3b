//! `grove merge`: one profile from several of the same image.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::intern::Interner;

use crate::exit::{Error, Exit};
use crate::help::teach;
use crate::profiles;
use grove::text::escape;

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

pub(crate) fn run(args: &MergeArgs, config: &Config) -> Result<Exit, Error> {
    let interner = Interner::global_of(config.tags_max);
    let mut paths = args.profiles.iter();
    let Some(first) = paths.next() else { return Ok(Exit::Done) };
    let mut merged = profiles::read(first, config, &interner)?;
    for path in paths {
        let profile = profiles::read(path, config, &interner)?;
        if profile.image() != merged.image() {
            let text = format!(
                "{}: field `image`: this is a profile of {}, and {} one of {}; only profiles of one image can be merged",
                path.display(),
                escape(profile.image()),
                first.display(),
                escape(merged.image()),
            );
            return Err(Error::Message { exit: Exit::BadInput, text });
        }
        merged.merge(&profile).map_err(|e| profiles::unmergeable(path, e))?;
    }
    grove::profile::write(&args.output, &merged).map_err(|e| Error::failed(e, "what was there before is as it was"))?;
    Ok(Exit::Done)
}
