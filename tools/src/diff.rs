//! `grove diff`: what one profile, or one tag, has that the other has not.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use grove::config::Config;
use grove::export::{self, Palette};
use grove::profile::{ProfileDoc, diff, diff_tags};

use crate::exit::{self, Error, Exit};
use crate::help::teach;
use crate::profiles;
use crate::terminal;
use grove::text::escape;

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

    /// The shape of the output
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: DiffFormat,
}

/// How differences are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// A line each, for people
    #[default]
    Text,
    /// A JSON object each, one a line
    Json,
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

pub(crate) fn run(args: &DiffArgs, config: &Config) -> Result<Exit, Error> {
    let differences = match (&args.tags, &args.b) {
        (Some(tags), _) => {
            let a = profiles::read_doc(&args.a, config)?;
            for tag in [&tags.old, &tags.new] {
                known(&a, tag, args)?;
            }
            diff_tags(&a, &tags.old, &tags.new)
        }
        (None, Some(b)) => {
            let [a, b] = profiles::read_docs(&args.a, b, config)?;
            diff(&a, &b)
        }
        // The command line requires one of them.
        (None, None) => Vec::new(),
    };
    let shown = match args.format {
        DiffFormat::Text => terminal::write(|out| export::changes(&differences, &Palette::colours(), out)),
        DiffFormat::Json => terminal::write_plain(|out| {
            differences.iter().try_for_each(|difference| export::json_line(difference, out))
        }),
    };
    exit::reader_may_leave(shown)?;
    Ok(if differences.is_empty() { Exit::Done } else { Exit::Found })
}

fn known(profile: &ProfileDoc, tag: &str, args: &DiffArgs) -> Result<(), Error> {
    if profile.tags.contains_key(tag) {
        return Ok(());
    }
    let tags: Vec<_> = profile.tags.keys().map(|tag| escape(tag).into_owned()).collect();
    let text = format!("--tags: {} has no tag `{}`; it has {}", args.a.display(), escape(tag), tags.join(", "));
    Err(Error::Message { exit: Exit::BadInput, text })
}
