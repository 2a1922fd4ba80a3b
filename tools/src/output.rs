//! Files that a command writes: replaced whole or not at all.
//!
//! Not here: profiles, which the library writes, and standard output in colour (`terminal`).

use std::fmt::Display;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::Error;

/// Where output goes.
pub(crate) enum Output {
    /// Standard output, a device or a pipe: written as it is.
    Stream(Box<dyn Write>),
    /// A file beside the one that it is to replace.
    File(NamedTempFile, PathBuf),
}

impl Output {
    /// Opens `path` for writing; `-` is standard output.
    ///
    /// # Errors
    /// A directory that takes no file, or a device that cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if is_stdout(path) {
            return Ok(Self::Stream(Box::new(io::stdout().lock())));
        }
        Self::file(path).map_err(|e| unwritable(path, &e))
    }

    fn file(path: &Path) -> io::Result<Self> {
        let (target, permissions) = match path.metadata() {
            Ok(meta) if !meta.is_file() => return Ok(Self::Stream(Box::new(File::options().write(true).open(path)?))),
            // A link is followed, and stays.
            Ok(meta) => (path.canonicalize()?, meta.permissions()),
            // Less what the umask takes.
            Err(_) => (path.to_owned(), Permissions::from_mode(0o666)),
        };
        let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".grove-").permissions(permissions).tempfile_in(dir)?;
        Ok(Self::File(file, target))
    }

    /// Puts a file where it belongs, once it is written whole.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn keep(self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file, target) => file.persist(target).map(drop).map_err(|e| e.error),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}

/// Whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes `bytes` to a file or, for `-`, to standard output.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut out = Output::open(path)?;
    out.write_all(bytes).and_then(|()| out.flush()).and_then(|()| out.keep()).map_err(|e| failed(path, e))
}

/// What `path` could not be written for.
pub(crate) fn failed(path: &Path, error: io::Error) -> Error {
    if is_stdout(path) { Error::stdout(error) } else { unwritable(path, &error) }
}

fn unwritable(path: &Path, error: &dyn Display) -> Error {
    Error::failed(format_args!("cannot write {}: {error}", path.display()), "check the directory and the space left")
}
