//! Reading the small files in which runtimes keep their records, some of them in the hands of users.
//!
//! Not here: what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::miss::Miss;

/// The largest file that is read.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;

/// The JSON in a file; [`Miss::NotKnown`] if there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Miss> {
    let bytes = read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Miss::NotKnown,
        _ => Miss::Unreachable(format!("{}: {e}", path.display())),
    })?;
    // A runtime writes its records anew and renames, so a broken one is no passing sight.
    serde_json::from_slice(&bytes).map_err(|e| Miss::Unreachable(format!("{}: {e}", path.display())))
}

/// A regular file, whole.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe in its place would keep the reader waiting.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The names in a directory that are UTF-8, in alphabetical order; none if it cannot be read.
pub(super) fn read_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}
