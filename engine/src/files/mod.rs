//! Files that are written whole or not at all, in directories that other users may look into or even write to.
//!
//! A file is written under a name of its own, which nobody can guess, with mode 0600; once it is whole it gets the mode
//! that it is to have and takes the place of what was there, in one step. So whatever happens, and whenever, there is
//! the old file or the new one, and nobody else ever holds one that is not whole.
//!
//! Nothing here waits for anybody. A writer marks its file by a lock that it does not wait for and does not need; what
//! a killed writer left is known by that lock being free, or by its age, whatever locks others hold.
//!
//! Everything is done relative to the open directory, and a name in it is never followed. Not here: what is in files.

mod named;

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use named::{Named, Stream, named};

/// How a file that is not whole yet is called: this, 16 random hexadecimal digits, and [`SUFFIX`].
const PREFIX: &str = ".grove-";
const SUFFIX: &str = ".tmp";

/// How old a file that is not whole must be to be taken for one whose writer was killed, where its lock cannot tell:
/// every writer at work writes more often than that.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// How often a name is tried. One that is taken is a chance of 2⁻⁶⁴.
const TRIES: u32 = 16;

/// The bits of a mode that are kept.
const PERMISSIONS: u32 = 0o777;

/// A directory that files are written into. Stays that directory, whatever becomes of its name.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    /// The mode of a file that replaces none.
    new_mode: Mode,
    /// What killed writers left was looked for.
    tidied: AtomicBool,
}

impl Folder {
    /// Opens a directory. With the first file that is begun in it, what killed writers left is removed, which takes one
    /// look at every name.
    ///
    /// # Errors
    /// It is no directory, or may not be read.
    pub fn open(path: &Path) -> io::Result<Arc<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let new_mode = Mode::from_raw_mode(0o666 & !umask());
        Ok(Arc::new(Self { fd, path: path.to_owned(), new_mode, tidied: AtomicBool::new(false) }))
    }

    /// As it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file that is to be called `name`.
    ///
    /// # Errors
    /// The directory takes no file, or `name` is a directory.
    pub fn create(self: &Arc<Self>, name: &OsStr) -> io::Result<NewFile> {
        check_name(name)?;
        let mode = self.mode_of(name)?;
        for _ in 0..TRIES {
            let temporary = random_name()?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = match rustix::fs::openat(&self.fd, &temporary, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                other => other?,
            };
            let (folder, name) = (Arc::clone(self), name.to_owned());
            let new = NewFile { folder, temporary, name, mode, file: fd.into(), placed: false };
            // Where there are no locks it does without.
            let held = matches!(new.file.try_lock(), Err(TryLockError::WouldBlock));
            let meta = new.file.metadata()?;
            // Before it was locked, another writer may have taken it for an abandoned one.
            if held || meta.nlink() == 0 {
                continue;
            }
            if !self.tidied.swap(true, Ordering::Relaxed) {
                // What cannot be removed now may be another time.
                let _ = meta.modified().and_then(|now| self.remove_abandoned(now));
            }
            return Ok(new);
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "no name for a new file is free"))
    }

    /// Opens a regular file for reading that only its owner and who has the same rights as this process may have
    /// written, `None` if there is none.
    ///
    /// # Errors
    /// Anything else is there, such as a symbolic link or a pipe; somebody else may have written it; or it cannot be
    /// opened.
    pub fn read(&self, name: &OsStr) -> io::Result<Option<File>> {
        check_name(name)?;
        // Looked at first: to open a device may do something.
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => check_trusted(&stat?)?,
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            fd => File::from(fd?),
        };
        check_trusted(&rustix::fs::fstat(&file)?)?;
        Ok(Some(file))
    }

    /// What a name stands for now, `None` if there is nothing.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn identity(&self, name: &OsStr) -> io::Result<Option<Identity>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            stat => Ok(Some(Identity::of(&stat?))),
        }
    }

    /// Renames a file to a name that nothing has yet.
    ///
    /// # Errors
    /// The name is taken, or whatever the file system answers.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        check_name(from).and(check_name(to))?;
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, rustix::fs::RenameFlags::NOREPLACE) {
            // A file system that cannot promise it.
            Err(Errno::INVAL) if self.identity(to)?.is_none() => {
                rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(io::Error::from)
            }
            done => done.map_err(io::Error::from),
        }
    }

    /// Makes durable which names there are.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // A file system whose directories cannot be flushed.
            Err(Errno::INVAL) => Ok(()),
            done => done.map_err(io::Error::from),
        }
    }

    /// The mode that a file of this name gets: that of the file it replaces.
    fn mode_of(&self, name: &OsStr) -> io::Result<Mode> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(self.new_mode),
            stat => {
                let stat = stat?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => Err(ErrorKind::IsADirectory.into()),
                    // Who planted a file does not choose who may write to the one that takes its place.
                    FileType::RegularFile if is_trusted(stat.st_uid) => {
                        Ok(Mode::from_raw_mode(stat.st_mode & PERMISSIONS))
                    }
                    _ => Ok(self.new_mode),
                }
            }
        }
    }

    /// Removes what killed writers left, `now` being the time by the clock of the file system.
    fn remove_abandoned(&self, now: SystemTime) -> io::Result<()> {
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name();
            // Its lock is held until it is gone: whoever has just made it sees that, and makes another one.
            if is_temporary(name.to_bytes())
                && let Some(_abandoned) = self.abandoned(name, now)
            {
                let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
            }
        }
        Ok(())
    }

    /// A file that is not whole, locked if there are locks, if its writer is gone. Names are never given twice, so what is
    /// found out about one stays true of it.
    fn abandoned(&self, name: &CStr, now: SystemTime) -> Option<File> {
        let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_uid != own_id() {
            return None;
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty()).ok()?);
        let is_old = |written: SystemTime| now.duration_since(written).is_ok_and(|age| age > ABANDONED_AFTER);
        // Whoever may read it can lock it too, so a lock that is held proves nothing for ever.
        let is_free = file.try_lock().is_ok();
        let is_gone = is_free || file.metadata().and_then(|meta| meta.modified()).is_ok_and(is_old);
        is_gone.then_some(file)
    }
}

/// What tells a file from another one of the same name: by its number alone it cannot be told, as numbers are given
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    number: u64,
    size: i64,
    written: (i64, u64),
}

impl Identity {
    #[allow(clippy::unnecessary_cast)] // not on every machine
    fn of(stat: &Stat) -> Self {
        let written = (stat.st_mtime as i64, stat.st_mtime_nsec as u64);
        Self { device: stat.st_dev as u64, number: stat.st_ino as u64, size: stat.st_size as i64, written }
    }
}

/// A file that is being written. Goes away with this unless it is put in its place.
#[derive(Debug)]
pub struct NewFile {
    folder: Arc<Folder>,
    temporary: OsString,
    name: OsString,
    mode: Mode,
    file: File,
    placed: bool,
}

impl NewFile {
    /// Puts the file in its place whole: its content is on the disk before its name says so. Which name it has is only
    /// after [`Folder::sync`].
    ///
    /// # Errors
    /// Whatever the file system answers. What was there is there.
    pub fn put(mut self) -> io::Result<()> {
        if self.placed {
            if self.file.metadata()?.nlink() == 0 {
                return Err(io::Error::new(ErrorKind::NotFound, "it was removed or replaced while it was written"));
            }
            return self.file.sync_all();
        }
        rustix::fs::fchmod(&self.file, self.mode)?;
        self.file.sync_all()?;
        self.rename()
    }

    /// As [`put`](Self::put), and durable.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn keep(self) -> io::Result<()> {
        let folder = Arc::clone(&self.folder);
        self.put()?;
        folder.sync()
    }

    /// Puts the file in its place as it is, to grow there: for what is of use although it is not whole. What is written
    /// by now is on the disk then, and what was there is gone.
    ///
    /// # Errors
    /// Whatever the file system answers. What was there is there.
    pub fn place(&mut self) -> io::Result<()> {
        if self.placed {
            return Ok(());
        }
        rustix::fs::fchmod(&self.file, self.mode)?;
        self.file.sync_all()?;
        self.rename()?;
        self.folder.sync()
    }

    /// What it will be, once it is put in its place, if nothing more is written.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&rustix::fs::fstat(&self.file)?))
    }

    /// Takes back what was written beyond the first `len` bytes.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        rustix::fs::ftruncate(&self.file, len)?;
        rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Start(len)).map(drop).map_err(io::Error::from)
    }

    fn rename(&mut self) -> io::Result<()> {
        let fd = &self.folder.fd;
        rustix::fs::renameat(fd, &self.temporary, fd, &self.name)?;
        self.placed = true;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.placed {
            // The error that led here is the one to report.
            let _ = rustix::fs::unlinkat(&self.folder.fd, &self.temporary, AtFlags::empty());
        }
    }
}

/// Opens a regular file for reading, wherever it is. Never waits: of a pipe that nobody writes into nobody knows when
/// it would open. `None` if it is something else.
///
/// # Errors
/// Whatever the system says of a file that cannot be opened.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    // It may be something else by now.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    Ok(file.metadata()?.is_file().then_some(file))
}

/// One name in a directory, and not a way out of it.
fn check_name(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a file's name"));
    }
    Ok(())
}

fn check_trusted(stat: &Stat) -> io::Result<()> {
    let refused = |why: &str| Err(io::Error::new(ErrorKind::PermissionDenied, why.to_owned()));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return refused("it is a symbolic link, and those are not followed here"),
        _ => return refused("it is no regular file"),
    }
    if !is_trusted(stat.st_uid) {
        return refused(&format!("it belongs to another user (uid {})", stat.st_uid));
    }
    if stat.st_mode & 0o002 != 0 {
        return refused("anybody may write to it");
    }
    Ok(())
}

/// Whether a user can do all that this process can.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == own_id()
}

fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_temporary(name: &[u8]) -> bool {
    let middle = name.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    middle.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn random_name() -> io::Result<OsString> {
    let mut bytes = [0; 8];
    // So few bytes come at once, or not at all.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{PREFIX}{:016x}{SUFFIX}", u64::from_ne_bytes(bytes)).into())
}

/// What this process's umask takes from a new file. Where it cannot be read it is taken to be the strictest: to ask by
/// setting it would set it for other threads too.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
}

#[cfg(test)]
mod tests;
