//! `grove diff`: what one profile, or one tag, has that the other has not.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};

use crate::cli::teach;
use crate::exit::Exit;

/// The command line of `grove diff`.
#[derive(Debug, Args)]
#[command(override_usage = "grove diff [OPTIONS] A B\n       grove diff [OPTIONS] PROFILE --tags OLD..NEW")]
#[command(after_help = teach(
    "a line for each behaviour that only one side has.",
    &[
        ("grove diff monday.profile.json tuesday.profile.json", "two profiles"),
        ("grove diff nginx.profile.json --tags 1.26.0..1.27.1", "two tags of one image"),
    ],
    &[
        (Exit::Done, "no difference"),
        (Exit::Failed, "a file cannot be read"),
        (Exit::Found, "there are differences"),
        (Exit::BadInput, "a file is no profile, or it has no such tag"),
    ],
))]
pub(crate) struct DiffArgs {
    /// The old profile, or with --tags the only one
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    pub(crate) a: PathBuf,

    /// The new profile
    #[arg(value_name = "B", value_hint = ValueHint::FilePath, required_unless_present = "tags")]
    pub(crate) b: Option<PathBuf>,

    /// Compare two tags within A
    #[arg(long, value_name = "OLD..NEW", conflicts_with = "b")]
    pub(crate) tags: Option<TagRange>,
}

/// Two tags, spelled `OLD..NEW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagRange {
    pub(crate) old: String,
    pub(crate) new: String,
}

impl FromStr for TagRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A tag may contain dots: where the two meet has to be beyond doubt.
        match (text.split_once(".."), text.rsplit_once("..")) {
            (Some((old, new)), Some(last)) if (old, new) == last => match (old, new) {
                ("", _) | (_, "") => Err("a tag is missing; expected OLD..NEW"),
                _ => Ok(Self { old: old.to_owned(), new: new.to_owned() }),
            },
            (None, _) => Err("expected OLD..NEW"),
            _ => Err("`..` is there more than once; expected OLD..NEW"),
        }
    }
}
