//! `grove replay`: from traces to profiles.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};
use grove::config::Config;
use grove::export::{self, Palette};
use grove::intern::Interner;
use grove::profile::Profile;
use grove::shard::{Engine, Mode};

use crate::cli::teach;
use crate::exit::{Error, Exit};
use crate::feed::{self, say};
use crate::input::InputArgs;
use crate::terminal::{self, escape};

/// The command line of `grove replay`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "nothing, or with --show the profiles as trees, on standard output; a summary of what was read and learned on \
     standard error. One file for each image, \
     IMAGE.profile.json, with `_` for every `/` and `:` of the image's name.",
    &[
        ("grove replay trace.jsonl.zst", "profiles of all its images into ./profiles"),
        ("sysdig -j | grove replay --from sysdig --output learned -", "learn from a running sysdig"),
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
    std::fs::create_dir_all(&args.output).map_err(|e| unwritable(&args.output, &e))?;
    // Better said now than after an hour of reading.
    tempfile::Builder::new().prefix(".grove-").tempfile_in(&args.output).map_err(|e| unwritable(&args.output, &e))?;

    let engine = Engine::start_with(config, Mode::Learn, Interner::global()).map_err(feed::start_error)?;
    let fed = feed::all(&args.input, config, &engine);
    let snapshot = engine.shutdown();
    fed.summarise(&snapshot);

    let mut outcome = fed.outcome;
    let mut taken = HashSet::new();
    for (image, profile) in &snapshot.profiles {
        let path = args.output.join(file_name(image, &mut taken));
        let doc = profile.to_doc();
        match grove::profile::write(&path, &doc) {
            Ok(()) => say(&describe(&path, profile)),
            Err(error) => outcome = outcome.and(Err(Error::failed(error, "what was there before is as it was"))),
        }
    }
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

fn unwritable(dir: &Path, error: &std::io::Error) -> Error {
    Error::failed(format_args!("cannot write into {}: {error}", dir.display()), "give another directory with --output")
}

fn describe(path: &Path, profile: &Arc<Profile>) -> String {
    let stats = profile.tree().stats();
    let tags: Vec<_> = profile.tree().tags().into_iter().map(|tag| escape(tag).into_owned()).collect();
    format!(
        "{}: {} ({}): {} processes, {} files, {} names, {} sockets, {} system calls, {} capabilities",
        escape(&path.display().to_string()),
        escape(profile.image()),
        tags.join(", "),
        stats.process_nodes,
        stats.file_nodes,
        stats.dns_nodes,
        stats.socket_nodes,
        stats.syscalls,
        stats.capabilities,
    )
}

/// The longest name that common file systems take, less what the suffixes and a temporary file need.
const STEM_BYTES_MAX: usize = 200;

/// The file of an image. Two images whose names come out the same, or one too long for a file, are told apart by a hash.
fn file_name(image: &str, taken: &mut HashSet<String>) -> String {
    let mut stem: String = image.chars().map(|c| if matches!(c, '/' | ':' | '\0') { '_' } else { c }).collect();
    if stem.len() > STEM_BYTES_MAX || !taken.insert(stem.clone()) {
        while stem.len() > STEM_BYTES_MAX {
            stem.pop();
        }
        let mut hash = grove::trace::LineHash::default();
        hash.add(image.as_bytes());
        stem = format!("{stem}-{hash}");
        say(&format!(
            "note: the profile of {} is {stem}.profile.json, as its plain name is taken or too long",
            escape(image)
        ));
    }
    format!("{stem}.profile.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_has_a_file_of_its_own() {
        let mut taken = HashSet::new();
        assert_eq!(file_name("docker.io/library/nginx", &mut taken), "docker.io_library_nginx.profile.json");
        assert_eq!(file_name("a:5000/b", &mut taken), "a_5000_b.profile.json");
        let other = file_name("a/5000:b", &mut taken);
        assert!(other.starts_with("a_5000_b-") && other.ends_with(".profile.json"), "{other}");
        assert_eq!(file_name("..", &mut taken), "...profile.json");
        assert!(file_name(&"é".repeat(4000), &mut taken).len() < 255);
    }
}
