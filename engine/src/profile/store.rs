//! Profiles as files: plain, gzip or zstd. How a file comes to be whole or not at all is the business of
//! [`files`](crate::files); this is about what is in it, and how much of it is read.
//!
//! A file may be made to take as much memory as it can: a few kilobytes that unpack to gigabytes, or text that takes
//! a hundred times its size when it is understood. What a profile will take is therefore known from its text before
//! anything is made of it ([`decode_within`]), and text is not unpacked beyond a quarter of that.
//!
//! Not here: which profiles there are and when they are written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::convert::ImportError;
use super::decode::decode_estimated;
use super::decode_error::DecodeError;
use super::doc::ProfileDoc;
use super::encode::{Encode, encode};
use crate::files::{Named, NewFile, named};
use crate::path::BadPattern;
use crate::text::Visible;

/// How much memory [`read`] lets a profile take: 1 GiB.
pub const READ_BYTES_MAX: usize = 1 << 30;

/// What a compressed profile may take for each of its bytes. Of honest ones, a byte takes some hundred bytes.
const READ_BYTES_PER_BYTE: u64 = 2048;

/// What any compressed profile may take, however small.
const READ_BYTES_MIN: u64 = 64 << 20;

/// The part of the memory that the text alone may take: understood it takes more.
const TEXT_SHARE: u64 = 2;

/// The same of text whose length is not known before: reading it needs room to grow.
const GROWING_TEXT_SHARE: u64 = 4;

/// Why a profile file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown(.path))]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The compressed data is damaged or ends too early.
    #[error("{}: damaged {format} data: {source}", shown(.path))]
    Compression {
        /// Which file.
        path: PathBuf,
        /// `gzip` or `zstd`.
        format: &'static str,
        /// The error.
        source: io::Error,
    },
    /// The profile takes more memory than it may.
    #[error("{}: {detail}", shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What it would take, and what it may.
        detail: String,
    },
    /// The file does not hold a profile.
    #[error("{}: {source}", shown(.path))]
    Decode {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: DecodeError,
    },
    /// It says something that no profile says, or there are more tags than there may be.
    #[error("{}: {source}", shown(.path))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The error.
        source: ImportError,
    },
    /// `GROVE_PATH_PROTECT` has a pattern that is none.
    #[error("GROVE_PATH_PROTECT: {source}")]
    Protect {
        /// The error.
        source: BadPattern,
    },
}

/// Why a profile file could not be written. The file, if there was one, is as it was, unless only the last step,
/// making the new one durable, failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", shown(.path))]
#[non_exhaustive]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// Reads a profile file that takes no more memory than [`READ_BYTES_MAX`]. Whether it is compressed is seen from its
/// first bytes, not from its name.
///
/// # Errors
/// A file that cannot be read, is damaged, too large, or no profile.
pub fn read(path: &Path) -> Result<ProfileDoc, ReadError> {
    read_within(path, READ_BYTES_MAX)
}

/// As [`read`], with at most `memory_max` bytes of memory. A compressed file may take 2,048 times its own size, and 64
/// MiB if that is more, in any case.
///
/// # Errors
/// As [`read`].
pub fn read_within(path: &Path, memory_max: usize) -> Result<ProfileDoc, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    read_file(file, path, memory_max)
}

/// As [`read_within`], from a file that is open already; `path` is what it is called in errors.
///
/// # Errors
/// As [`read`].
pub fn read_file(file: File, path: &Path, memory_max: usize) -> Result<ProfileDoc, ReadError> {
    estimated(file, path, memory_max).map(|(doc, _)| doc)
}

/// Two profiles that are wanted at once, as [`read_within`] reads one: both together with at most `memory_max` bytes.
///
/// # Errors
/// As [`read`].
pub fn read_both(paths: [&Path; 2], memory_max: usize) -> Result<[ProfileDoc; 2], ReadError> {
    let mut left = memory_max;
    let mut read = |path: &Path| {
        let file = File::open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        let (doc, takes) = estimated(file, path, left)?;
        left = left.saturating_sub(usize::try_from(takes).unwrap_or(usize::MAX));
        Ok(doc)
    };
    let [a, b] = paths;
    Ok([read(a)?, read(b)?])
}

/// A profile, and what it takes at most.
fn estimated(file: File, path: &Path, memory_max: usize) -> Result<(ProfileDoc, u64), ReadError> {
    let path_buf = || path.to_owned();
    let unreadable = |source| ReadError::Io { path: path_buf(), source };
    let too_large = |detail: String| ReadError::TooLarge { path: path_buf(), detail };
    let len = file.metadata().map_err(unreadable)?.len();
    let mut magic = Vec::with_capacity(4);
    (&file).take(4).read_to_end(&mut magic).map_err(unreadable)?;
    let format = match *magic {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
        _ => "plain",
    };
    let mut limit = memory_max as u64;
    if format != "plain" {
        // A pipe has no length. What comes out of it may take what is allowed, and no more.
        limit =
            limit.min(if len == 0 { u64::MAX } else { len.saturating_mul(READ_BYTES_PER_BYTE).max(READ_BYTES_MIN) });
    }
    let known_len = (format == "plain" && len > 0).then_some(len);
    let text_max = limit / if known_len.is_some() { TEXT_SHARE } else { GROWING_TEXT_SHARE };
    let too_much = || {
        too_large(format!("more than {text_max} bytes of JSON text, of which reading may take {limit} bytes of memory"))
    };
    // A hole in a file costs whoever made it nothing, and whoever reads it a gigabyte.
    if known_len.is_some_and(|len| len > text_max) {
        return Err(too_much());
    }
    let bytes = BufReader::with_capacity(1 << 16, Cursor::new(magic).chain(file));
    let text = match format {
        "gzip" => bounded(MultiGzDecoder::new(bytes), text_max, 0),
        "zstd" => zstd::Decoder::with_buffer(bytes).and_then(|decoder| bounded(decoder, text_max, 0)),
        _ => bounded(bytes, text_max, known_len.unwrap_or(0)),
    };
    let text = text
        .map_err(|source| match format {
            "plain" => ReadError::Io { path: path_buf(), source },
            _ => ReadError::Compression { path: path_buf(), format, source },
        })?
        .ok_or_else(too_much)?;
    decode_estimated(&text, usize::try_from(limit).unwrap_or(usize::MAX)).map_err(|source| match source {
        DecodeError::TooLarge { .. } => too_large(source.to_string()),
        source => ReadError::Decode { path: path_buf(), source },
    })
}

/// Writes a profile file, replacing one that is there, whole or not at all. A name that ends in `.gz` or `.zst`
/// makes it compressed. `path` is one that a user names: see [`named`].
///
/// # Errors
/// Whatever the file system answers, and a target that is not a regular file.
pub fn write(path: &Path, profile: &impl Encode) -> Result<(), WriteError> {
    let written = named(path).and_then(|target| match target {
        Named::Stream(_) => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
        Named::File(folder, name) => fill(folder.create(&name)?, path.extension(), profile)?.keep(),
    });
    written.map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Writes a profile into a file that is begun, as JSON.
///
/// # Errors
/// Whatever the file system answers.
pub fn write_into(file: NewFile, profile: &impl Encode) -> io::Result<NewFile> {
    fill(file, None, profile)
}

fn fill(file: NewFile, extension: Option<&OsStr>, profile: &impl Encode) -> io::Result<NewFile> {
    let mut out = BufWriter::with_capacity(1 << 16, file);
    match extension.and_then(OsStr::to_str) {
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
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Reads to the end; `None` when there is more than `limit` bytes.
/// All of it, if it is not longer than `limit`. So long it is expected to be.
fn bounded(source: impl Read, limit: u64, expected: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(expected.min(limit) as usize);
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

fn shown(path: &Path) -> String {
    Visible(&path.to_string_lossy()).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::fs;
    use std::io::Write;

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
            (&plain[..7], "FILE: byte 6: "),
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
    fn text_is_unpacked_as_far_as_it_may_and_no_further() {
        let bomb = zstd::encode_all(io::repeat(b' ').take(1 << 24), 1).unwrap();
        let decoder = || zstd::Decoder::with_buffer(bomb.as_slice()).unwrap();
        assert!(bounded(decoder(), (1 << 24) - 1, 0).unwrap().is_none());
        assert_eq!(bounded(decoder(), 1 << 24, 0).unwrap().unwrap().len(), 1 << 24);
    }

    #[test]
    fn a_small_file_may_take_little_whatever_it_unpacks_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let refused = |memory_max| {
            let error = read_within(&path, memory_max).unwrap_err();
            assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
        };
        let whole = full_text();
        let padded = |n: usize| whole.replacen('{', &format!("{{{}", " ".repeat(n)), 1);
        // Sixteen MiB of text are all that a small file may unpack to.
        for (name, packed) in [
            ("zstd", zstd::encode_all(padded(17 << 20).as_bytes(), 1).unwrap()),
            ("gzip", {
                let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
                gzip.write_all(padded(17 << 20).as_bytes()).unwrap();
                gzip.finish().unwrap()
            }),
        ] {
            assert!(packed.len() < 32 << 10, "{name}");
            fs::write(&path, packed).unwrap();
            refused(usize::MAX);
        }
        fs::write(&path, padded(17 << 20)).unwrap();
        assert_eq!(read(&path).unwrap(), full(), "what is not packed takes what it is");
        refused(32 << 20);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_within(&path, 1 << 20).unwrap(), full());
        refused(whole.len() * 2 - 1);
        refused(whole.len() * 3);
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
