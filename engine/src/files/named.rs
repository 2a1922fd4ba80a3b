//! A file that a user names for output. Unlike a name that Grove gives a file by itself, a link there is the user's
//! wish, if it is the user's link.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Folder, is_trusted};

/// What a path stands for.
#[derive(Debug)]
pub enum Named {
    /// A regular file, there or not: this name in this directory.
    File(Arc<Folder>, OsString),
    /// A device or a pipe.
    Stream,
}

/// Finds out what to write to for `path`. A symbolic link of this user or of root is followed, and stays, if it leads
/// to a file; one that leads nowhere is replaced.
///
/// # Errors
/// A directory, a symbolic link of another user, or whatever the file system answers.
pub fn named(path: &Path) -> io::Result<Named> {
    let link = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return split(path),
        other => other?,
    };
    if link.is_symlink() && !is_trusted(link.uid()) {
        let why = format!("it is a symbolic link of another user (uid {})", link.uid());
        return Err(io::Error::new(ErrorKind::PermissionDenied, why));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => split(path),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(meta) if !meta.is_file() => Ok(Named::Stream),
        Ok(_) if link.is_symlink() => split(&fs::canonicalize(path)?),
        Ok(_) => split(path),
    }
}

fn split(path: &Path) -> io::Result<Named> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file's name"))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Ok(Named::File(Folder::open(dir)?, name.to_owned()))
}
