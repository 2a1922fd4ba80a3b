//! Reading profiles from the command line's files, with errors that name the file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use grove::config::Config;
use grove::intern::Interner;
use grove::profile::{Profile, ProfileDoc, ReadError};
use grove::tree::{Rules, TreeFull};

use crate::exit::{Error, Exit};

/// The document in a file; `-` is standard input.
pub(crate) fn read_doc(path: &Path, config: &Config) -> Result<ProfileDoc, Error> {
    grove::profile::read_within(opened(path), config.profile_read_bytes).map_err(unreadable)
}

/// Two documents, which have to be there at once.
pub(crate) fn read_docs(a: &Path, b: &Path, config: &Config) -> Result<[ProfileDoc; 2], Error> {
    grove::profile::read_both([opened(a), opened(b)], config.profile_read_bytes).map_err(unreadable)
}

fn opened(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}

/// The profile in a file.
pub(crate) fn read(path: &Path, config: &Config, interner: &Interner) -> Result<Profile, Error> {
    import(&read_doc(path, config)?, path, config, interner)
}

/// The profile in a file that is open already; `path` is what it is called in errors.
pub(crate) fn read_file(file: File, path: &Path, config: &Config, interner: &Interner) -> Result<Profile, Error> {
    let doc = grove::profile::read_file(file, path, config.profile_read_bytes).map_err(unreadable)?;
    import(&doc, path, config, interner)
}

fn unreadable(error: ReadError) -> Error {
    match error {
        ReadError::Io { .. } => Error::failed(error, "check its name and permissions"),
        // The error names the file.
        ReadError::TooLarge { .. } => Error::Message {
            exit: Exit::BadInput,
            text: format!("{error}; raise GROVE_PROFILE_READ_BYTES, or unpack it, if the profile is in order"),
        },
        other => Error::Message { exit: Exit::BadInput, text: other.to_string() },
    }
}

fn import(doc: &ProfileDoc, path: &Path, config: &Config, interner: &Interner) -> Result<Profile, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Message {
        exit: Exit::BadInput,
        text: format!("{}: {error}", path.display()),
    };
    let rules = Rules::new(config).map_err(|e| bad(&e))?;
    Profile::from_doc(doc, Arc::new(rules), interner).map_err(|e| bad(&e))
}

/// Two profiles that cannot be one.
pub(crate) fn unmergeable(path: &Path, error: TreeFull) -> Error {
    Error::Message { exit: Exit::BadInput, text: format!("{}: {error}", path.display()) }
}
