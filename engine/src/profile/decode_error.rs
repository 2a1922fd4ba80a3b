//! What is wrong with the JSON text of a profile, and in which of its fields.
//!
//! Not here: looking for it (`decode`, `version_1`).

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::text::Visible;

/// Why bytes are no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It says it is something else, or nothing.
    #[error("not a Grove profile: `format` is {0}, expected \"grove-profile\"")]
    Format(String),
    /// A version this program does not know.
    #[error("profile version {0} is newer than this program, which reads versions 1 and 2; use a newer grove")]
    Newer(u64),
    /// It would take more memory than it may.
    #[error("to read it may take {needed} bytes of memory, and no more than {limit} are allowed")]
    TooLarge {
        /// What it takes at most.
        needed: u64,
        /// What it may take.
        limit: u64,
    },
    /// Not JSON, or a field is not there or not what it should be.
    #[error("{}{detail}", place(.path, *.offset))]
    Invalid {
        /// Which field, as in `processes[0].files[3].seen`; empty when none can be named.
        path: String,
        /// Where in the JSON text it was noticed, in bytes; none where the text is in order and what it says is not.
        offset: Option<usize>,
        /// What was found and what was expected.
        detail: String,
    },
}

/// Where something is wrong, in front of what.
fn place(path: &str, offset: Option<usize>) -> String {
    match (path, offset) {
        ("", None) => String::new(),
        ("", Some(offset)) => format!("byte {offset}: "),
        (path, None) => format!("field `{path}`: "),
        (path, Some(offset)) => format!("field `{path}`, byte {offset}: "),
    }
}

/// Says where reading ended, and why.
pub(super) fn explain<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
    _: std::marker::PhantomData<T>,
    offset: Option<usize>,
    message: &str,
) -> DecodeError {
    let path = match serde_path_to_error::deserialize::<_, T>(json) {
        Err(error) => spelled(error.path()),
        Ok(_) => String::new(),
    };
    // What follows the position is an excerpt of the text.
    let detail = message.split(" at line ").next().unwrap_or(message).lines().next().unwrap_or_default();
    DecodeError::Invalid { path, offset, detail: Visible(detail).to_string() }
}

fn spelled(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => push_index(&mut out, *index),
            Segment::Map { key } => push_key(&mut out, key),
            Segment::Enum { variant } => push_key(&mut out, variant),
            Segment::Unknown => {}
        }
    }
    out.strip_prefix('.').map(str::to_owned).unwrap_or(out)
}

fn push_index(path: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(path, "[{index}]");
}

/// Appends an object's key to a path: `.key`, or `["key"]` when it is no plain word.
pub(super) fn push_key(path: &mut String, key: &str) {
    let plain = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let _ = if plain { write!(path, ".{key}") } else { write!(path, "[\"{}\"]", Visible(key)) };
}

/// A value that no profile has, in text that is in order.
pub(super) fn invalid(path: &str, detail: &str) -> DecodeError {
    DecodeError::Invalid { path: path.to_owned(), offset: None, detail: detail.to_owned() }
}

/// As [`invalid`], of what stands under `key` in an object.
pub(super) fn invalid_at(path: &str, key: Option<&str>, detail: &str) -> DecodeError {
    let mut path = path.to_owned();
    if let Some(key) = key {
        push_key(&mut path, key);
    }
    invalid(&path, detail)
}
