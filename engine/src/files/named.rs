//! A file that a user names for output. Unlike a name that Grove gives a file by itself, a link there is the user's
//! wish, if it is the user's link.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::{Folder, is_trusted};

/// The kind of file that a path leads to.
#[derive(Debug)]
pub enum Named {
    /// A regular file, there or not: this name in this directory.
    File(Arc<Folder>, OsString),
    /// A device or a pipe.
    Stream(Stream),
}

/// Which device or pipe a path stood for when it was looked at.
#[derive(Debug)]
pub struct Stream {
    device: u64,
    number: u64,
}

impl Stream {
    /// Whether an open file is this one, and not what was put in its place meanwhile.
    pub fn is(&self, file: &fs::Metadata) -> bool {
        (self.device, self.number) == (file.dev(), file.ino())
    }
}

/// Finds out what to write to for `path`. A symbolic link of this user or of root is followed, and stays, if it leads
/// to a file; one that leads nowhere is replaced. A pipe that has a name has to be this user's or root's too: whoever
/// made it reads what is written, or lets the writer wait.
///
/// # Errors
/// A directory, a symbolic link or a pipe of another user, or whatever the file system answers.
pub fn named(path: &Path) -> io::Result<Named> {
    let link = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return split(path),
        other => other?,
    };
    if link.is_symlink() {
        check_owner("symbolic link", &link)?;
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => split(path),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(meta) if !meta.is_file() => {
            // One without a name (`/dev/stdout` may lead to it) was given to this process by whoever made it.
            if let Ok(named) = fs::canonicalize(path).and_then(fs::symlink_metadata)
                && named.file_type().is_fifo()
            {
                check_owner("pipe", &named)?;
            }
            Ok(Named::Stream(Stream { device: meta.dev(), number: meta.ino() }))
        }
        Ok(_) if link.is_symlink() => split(&fs::canonicalize(path)?),
        Ok(_) => split(path),
    }
}

fn check_owner(what: &str, meta: &fs::Metadata) -> io::Result<()> {
    if is_trusted(meta.uid()) {
        return Ok(());
    }
    let why = format!("it is a {what} of another user (uid {})", meta.uid());
    Err(io::Error::new(ErrorKind::PermissionDenied, why))
}

fn split(path: &Path) -> io::Result<Named> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file's name"))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Ok(Named::File(Folder::open(dir)?, name.to_owned()))
}
