//! Files that a command writes because a user named them.
//!
//! Not here: how a file comes to be whole or not at all (`grove::files`), profiles, which the library writes, and
//! standard output in colour (`terminal`).

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use grove::files::{self, Named, NewFile, named};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::exit::Error;
use crate::interrupt;

/// The destination of a command's output.
pub(crate) enum Output {
    /// Standard output, a device or a pipe: written as it is.
    Stream(Box<dyn Write + Send>),
    /// A file that is to replace another, or none.
    File(NewFile),
}

impl Output {
    /// Opens `path` for writing; `-` is standard output.
    ///
    /// # Errors
    /// A directory that takes no file, a link of another user, or a device that cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if is_stdout(path) {
            return Ok(Self::Stream(Box::new(io::stdout())));
        }
        let opened = match named(path) {
            Ok(Named::Stream(stream)) => open_stream(path, &stream).map(|file| Self::Stream(Box::new(file))),
            Ok(Named::File(folder, name)) => folder.create(&name).map(Self::File),
            Err(error) => Err(error),
        };
        opened.map_err(|e| unwritable(path, &e))
    }

    /// Whether somebody may read it as it is written: a pipe, a terminal, a device.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Puts a file where it belongs, to grow there.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn place(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file) => file.place(),
        }
    }

    /// Takes back what was written beyond the first `len` bytes, where that can be.
    pub(crate) fn truncate(&mut self, len: u64) {
        if let Self::File(file) = self {
            // What cannot be taken back is half a block at the end, and whoever reads it will say so.
            let _ = file.truncate(len);
        }
    }

    /// Puts a file where it belongs, once it is written whole, and makes it durable.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn keep(self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(file) => file.keep(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

/// Opens a device or a pipe. A pipe that nobody reads yet is waited for, until the first interrupt.
fn open_stream(path: &Path, stream: &files::Stream) -> io::Result<File> {
    let stop = interrupt::flag();
    let file = loop {
        match rustix::fs::open(
            path,
            OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Err(Errno::NXIO) if !interrupt::is_set(&stop) => std::thread::sleep(interrupt::INTERVAL),
            Err(Errno::NXIO) => return Err(io::Error::new(ErrorKind::Interrupted, "nobody reads it")),
            opened => break File::from(opened?),
        }
    };
    if !stream.is(&file.metadata()?) {
        return Err(io::Error::new(ErrorKind::ResourceBusy, "something else was put in its place"));
    }
    // From here on whoever reads it may be slow.
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
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
