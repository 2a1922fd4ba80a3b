//! Profiles as files: plain, gzip or zstd; replaced whole or not at all.
//!
//! Writing goes to a temporary file beside the target, which is flushed to the disk, renamed over the target, and
//! made durable by flushing the directory. So whatever happens, and whenever, the target is the old file or the new
//! one. A temporary file that a killed process left is removed by the next writer of the same target.
//!
//! Not here: which profiles there are and when they are written.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::decode::{DecodeError, decode};
use super::doc::ProfileDoc;
use super::encode::{Encode, encode};
use crate::text::Visible;

/// The largest profile that is read, in bytes of JSON text.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;

/// Why a profile file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown(.path))]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The compressed data is damaged or ends too early.
    #[error("{}: damaged {format} data: {source}", shown(.path))]
    Compression {
        /// Which file.
        path: PathBuf,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What is wrong.
        source: io::Error,
    },
    /// The profile is larger than any that is read.
    #[error("{}: more than {limit} bytes of JSON, the largest profile that is read", shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// [`DECODED_BYTES_MAX`].
        limit: u64,
    },
    /// It is no profile.
    #[error("{}: {source}", shown(.path))]
    Decode {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: DecodeError,
    },
}

/// Why a profile file could not be written. The file, if there was one, is as it was, unless only the last step,
/// making the new one durable, failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", shown(.path))]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Reads a profile file. Whether it is compressed is seen from its first bytes, not from its name.
///
/// # Errors
/// A file that cannot be read, is damaged, too large, or no profile.
pub fn read(path: &Path) -> Result<ProfileDoc, ReadError> {
    let path_buf = || path.to_owned();
    let raw = File::open(path)
        .and_then(|file| bounded(file, DECODED_BYTES_MAX))
        .map_err(|source| ReadError::Io { path: path_buf(), source })?
        .ok_or_else(|| ReadError::TooLarge { path: path_buf(), limit: DECODED_BYTES_MAX })?;
    let (format, text) = match raw.get(..4) {
        Some([0x1f, 0x8b, ..]) => ("gzip", bounded(MultiGzDecoder::new(raw.as_slice()), DECODED_BYTES_MAX)),
        Some([0x28, 0xb5, 0x2f, 0xfd]) => {
            ("zstd", zstd::Decoder::with_buffer(raw.as_slice()).and_then(|decoder| bounded(decoder, DECODED_BYTES_MAX)))
        }
        _ => ("plain", Ok(Some(raw))),
    };
    let text = text
        .map_err(|source| ReadError::Compression { path: path_buf(), format, source })?
        .ok_or_else(|| ReadError::TooLarge { path: path_buf(), limit: DECODED_BYTES_MAX })?;
    decode(&text).map_err(|source| ReadError::Decode { path: path_buf(), source })
}

/// Writes a profile file, replacing one that is there, whole or not at all. A name that ends in `.gz` or `.zst`
/// makes it compressed. A symbolic link is followed; permissions of a file that is replaced are kept.
///
/// # Errors
/// Whatever the file system answers, and a target that is not a regular file.
pub fn write(path: &Path, profile: &impl Encode) -> Result<(), WriteError> {
    replace(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        match path.extension().and_then(OsStr::to_str) {
            Some("gz") => {
                let mut gzip = GzEncoder::new(&mut out, Compression::default());
                encode(profile, &mut gzip)?;
                gzip.finish()?;
            }
            Some("zst") => {
                let mut zstd = zstd::Encoder::new(&mut out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                zstd.include_checksum(true)?;
                encode(profile, &mut zstd)?;
                zstd.finish()?;
            }
            _ => encode(profile, &mut out)?,
        }
        out.flush()
    })
    .map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Reads to the end; `None` when there is more than `limit` bytes.
fn bounded(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Replaces the file at `path` by what `fill` writes.
fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let (path, permissions) = match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(meta) => (fs::canonicalize(path)?, Some(meta.permissions())),
        Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file's name"))?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };

    let directory = File::open(dir)?;
    let mut temporary = Temporary::create(dir, name)?;
    if let Some(permissions) = permissions {
        temporary.file.set_permissions(permissions)?;
    }
    fill(&mut temporary.file)?;
    temporary.file.sync_all()?;
    temporary.rename(&path)?;
    directory.sync_all()
}

/// A file that is removed again unless it is renamed. It stays locked as long as its writer lives, which is how other
/// writers know it from one that was left behind.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    /// Makes `.TARGET.N.tmp` with the first N that no writer holds. What killed writers left stands in the way there, and
    /// so is found without listing the directory.
    fn create(dir: &Path, target: &OsStr) -> io::Result<Self> {
        // Names end at 255 bytes; writers of targets that begin alike get along.
        let target = target.as_bytes();
        let name = |n: u32| {
            let mut name = OsString::from(".");
            name.push(OsStr::from_bytes(target.get(..200).unwrap_or(target)));
            name.push(format!(".{n}.tmp"));
            dir.join(name)
        };
        let mut n = 0;
        let temporary = loop {
            let path = name(n);
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && n < WRITERS_MAX => {
                    // One that is gone by now makes no difference: what matters is that this ends.
                    n += u32::from(!remove_abandoned(&path));
                    continue;
                }
                other => other?,
            };
            file.lock()?;
            // Between creation and lock another writer may have taken it for an abandoned one. Then what has the name
            // now is that writer's.
            if file.metadata()?.nlink() > 0 {
                break Self { path, file, renamed: false };
            }
        };
        // Where several were killed at once, what the others left comes next.
        while n < WRITERS_MAX && remove_abandoned(&name(n + 1)) {
            n += 1;
        }
        Ok(temporary)
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writers that may be at work on one target at a time.
const WRITERS_MAX: u32 = 4096;

/// Removes a temporary file that no writer holds any more. False if it is held, not there, or not a file.
fn remove_abandoned(path: &Path) -> bool {
    let regular = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let Some(file) = regular.then(|| File::open(path).ok()).flatten() else { return false };
    if file.try_lock().is_err() {
        return false;
    }
    // It may have been renamed since it was opened, and another writer's stand in its place. Once locked and in its
    // place, only whoever locked it takes it away.
    let inode = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let opened = file.metadata().ok().map(inode);
    opened.is_some() && opened == fs::symlink_metadata(path).ok().map(inode) && fs::remove_file(path).is_ok()
}

fn shown(path: &Path) -> String {
    Visible(&path.to_string_lossy()).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::profile::fixtures::{full, full_text};

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_compression_comes_back_and_is_known_by_its_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for (name, magic) in [
            ("nginx.profile.json", &b"{\"fo"[..]),
            ("nginx.profile.json.gz", &[0x1f, 0x8b]),
            ("nginx.profile.json.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
        ] {
            let path = dir.path().join(name);
            write(&path, &full()).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.starts_with(magic), "{name}");
            write(&path, &full()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes, "{name}: the same profile gives the same bytes");

            let renamed = dir.path().join("renamed");
            fs::rename(&path, &renamed).unwrap();
            assert_eq!(read(&renamed).unwrap(), full());
            fs::remove_file(&renamed).unwrap();
        }
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.gz");
        let refusal = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().to_string().replace(&shown(&path), "FILE")
        };
        let plain = full_text().into_bytes();
        let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
        write(&path, &full()).unwrap();
        let gzip = fs::read(&path).unwrap();

        for (bytes, expected) in [
            (&[][..], "FILE: byte 0: expected an object"),
            (&[0xff; 100], "FILE: byte 0: expected an object"),
            (&plain[..7], "FILE: byte 2: expected the end of the string"),
            (&gzip[..gzip.len() / 2], "FILE: damaged gzip data: "),
            (&gzip[..gzip.len() - 1], "FILE: damaged gzip data: "),
            (&gzip[..9], "FILE: damaged gzip data: "),
            (&zstd[..zstd.len() / 2], "FILE: damaged zstd data: "),
            (&zstd[..5], "FILE: damaged zstd data: "),
        ] {
            let said = refusal(bytes);
            assert!(said.starts_with(expected), "{said}");
        }
        fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().starts_with("cannot read "));
        assert!(matches!(read(dir.path()), Err(ReadError::Io { .. })));
    }

    #[test]
    fn decompression_is_bounded() {
        let bomb = zstd::encode_all(io::repeat(b' ').take(1 << 24), 1).unwrap();
        let decoder = || zstd::Decoder::with_buffer(bomb.as_slice()).unwrap();
        assert!(bounded(decoder(), (1 << 24) - 1).unwrap().is_none());
        assert_eq!(bounded(decoder(), 1 << 24).unwrap().unwrap().len(), 1 << 24);
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let held = file(".a.json.1.tmp");
        held.lock().unwrap();
        for name in
            [".a.json.0.tmp", ".a.json.2.tmp", ".a.json.3.tmp", ".a.json.x.tmp", ".b.json.0.tmp", "a.json.0.tmp"]
        {
            file(name);
        }
        // Whatever else has such a name is passed over.
        fs::create_dir(dir.path().join(".c.json.0.tmp")).unwrap();
        std::os::unix::fs::symlink("a.json.0.tmp", dir.path().join(".c.json.1.tmp")).unwrap();
        let others = [".a.json.1.tmp", ".a.json.x.tmp", ".b.json.0.tmp", ".c.json.0.tmp", ".c.json.1.tmp"];

        write(&dir.path().join("a.json"), &full()).unwrap();
        // One stands behind one that is held: it goes with the next.
        let left = [".a.json.2.tmp", ".a.json.3.tmp", "a.json", "a.json.0.tmp"];
        let mut expected: Vec<&str> = others.into_iter().chain(left).collect();
        expected.sort_unstable();
        assert_eq!(names(dir.path()), expected);

        drop(held);
        write(&dir.path().join("a.json"), &full()).unwrap();
        write(&dir.path().join("c.json"), &full()).unwrap();
        expected.retain(|name| !name.starts_with(".a.json.") || *name == ".a.json.x.tmp");
        expected.push("c.json");
        assert_eq!(names(dir.path()), expected);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        fs::write(&path, "old").unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"half of the ne")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["p.json"]);
    }

    #[test]
    fn targets_that_cannot_be_replaced_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for target in [Path::new("/dev/null"), dir.path(), &dir.path().join("absent/p.json"), &dir.path().join("..")] {
            let said = write(target, &full()).unwrap_err().to_string();
            assert!(said.starts_with("cannot write "), "{said}");
        }
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("target", &link).unwrap();
        write(&link, &full()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&target).unwrap(), full());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("é".repeat(127));
        write(&path, &full()).unwrap();
        assert_eq!(read(&path).unwrap(), full());
    }

    #[test]
    fn writers_of_one_target_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25).for_each(|_| write(&path, &full()).unwrap()));
            }
        });
        assert_eq!(read(&path).unwrap(), full());
        assert_eq!(names(dir.path()), ["p.json"]);
    }
}
