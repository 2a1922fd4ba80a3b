//! Input: opens a byte stream, undoes its compression, and cuts it into records of bounded size.
//!
//! Compression is recognised by what the stream begins with, never by a name. Whatever the bytes, memory stays
//! bounded by the limit for one record and, for zstd, by its window of at most 128 MiB. How a stream is cut is the
//! business of [`Framing`]; what a record means is that of a [`Decoder`](super::Decoder).

mod framing;

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::files::open_regular;

pub use framing::Framing;
use framing::{Cut, Cutter};

/// The default limit for one record: 4 MiB.
pub const RECORD_MAX: usize = 4 << 20;

/// How much of the input [`Records::head`] shows at most.
pub const HEAD_MAX: usize = 64 << 10;

/// Room that a read should find in the buffer.
const READ_SIZE: usize = 256 << 10;

/// How much is decompressed at once. A decompressor that finds damage keeps back what it had put out in that call,
/// so that little should be lost by it.
const UNPACK_SIZE: usize = 8 << 10;

/// What some editors put before text in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A source of bytes, and its length where that is known.
pub struct Source {
    /// The bytes, perhaps compressed.
    pub reader: Box<dyn Read + Send>,
    /// How many there are, where that is known in advance.
    pub len: Option<u64>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Opens `path`, or standard input for `-`. What is no regular file is opened when it is first read: a pipe that nobody
/// writes into yet would not open before somebody does.
///
/// # Errors
/// Whatever the system says of a file that cannot be opened.
pub fn open(path: &Path) -> io::Result<Source> {
    if path == Path::new("-") {
        let stdin = io::stdin();
        // What was redirected from a file is no stream.
        let kind = rustix::fs::fstat(&stdin)?;
        let is_file = rustix::fs::FileType::from_raw_mode(kind.st_mode) == rustix::fs::FileType::RegularFile;
        return Ok(Source { len: is_file.then_some(kind.st_size as u64), reader: Box::new(stdin) });
    }
    match open_regular(path)? {
        Some(file) => Ok(Source { len: Some(file.metadata()?.len()), reader: Box::new(file) }),
        None if path.is_dir() => Err(ErrorKind::IsADirectory.into()),
        None => Ok(Source { len: None, reader: Box::new(Later { path: path.to_owned(), file: None }) }),
    }
}

/// A file that is opened when it is first read.
struct Later {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Later {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        file.read(buf)
    }
}

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Why an input ended before its end. All whole records before that point were delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The system could not read on.
    #[error("cannot read on after line {after_line}: {source}")]
    Read {
        /// The last line that was delivered, 0 for none.
        after_line: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The compressed data stops in the middle.
    #[error("the {} data is cut off after line {after_line}, at byte {at}: the file is incomplete", .compression.name())]
    Truncated {
        /// The compression that was found.
        compression: Compression,
        /// The last line that was delivered, 0 for none.
        after_line: u64,
        /// Where the data ends, in bytes of the file.
        at: u64,
    },
    /// The compressed data is damaged, or something else follows it.
    #[error("the {} data is damaged after line {after_line}: {source}", .compression.name())]
    Corrupt {
        /// The compression that was found.
        compression: Compression,
        /// The last line that was delivered, 0 for none.
        after_line: u64,
        /// What the decompressor says.
        source: io::Error,
    },
}

/// One record of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The line that it begins in, from 1.
    pub line: u64,
    /// Its bytes without the line end, or that there were too many.
    pub bytes: Result<&'a [u8], TooLong>,
}

/// A record longer than the limit. It is reported once, when that is found, and the rest of it skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than {max} bytes")]
pub struct TooLong {
    /// How many bytes of it had come by then.
    pub len_so_far: u64,
    /// The limit, in bytes.
    pub max: usize,
}

/// The records of one input, each lent from one buffer.
pub struct Records {
    input: Input,
    /// Decompressed bytes; those in `start..end` are not delivered yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    cutter: Cutter,
    max_record: usize,
    /// The line that `start` is in.
    line: u64,
    /// The line in which the last delivered record ended.
    last_line: u64,
    /// The first bytes are still to come, of which a mark of UTF-8 is skipped.
    is_new: bool,
    /// No more bytes will come, be it for this error.
    ended: bool,
    error: Option<io::Error>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("line", &self.line)
            .field("max_record", &self.max_record)
            .finish_non_exhaustive()
    }
}

impl Records {
    /// The records of `source`, which may be compressed. Nothing is read yet.
    pub fn new(source: Box<dyn Read + Send>, framing: Framing, max_record: usize) -> Self {
        Self {
            input: Input::new(source),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            cutter: Cutter::new(framing),
            max_record,
            line: 1,
            last_line: 0,
            is_new: true,
            ended: false,
            error: None,
        }
    }

    /// Cuts what has not been delivered yet by another rule: for a format that was recognised by [`head`](Self::head).
    pub fn set_framing(&mut self, framing: Framing) {
        self.cutter = Cutter::new(framing);
    }

    /// Bytes read so far from the source, before decompression: for a progress bar, from any thread.
    pub fn position(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.input.state.position)
    }

    /// How the source is compressed, once something was read from it.
    pub fn compression(&self) -> Compression {
        self.input.compression
    }

    /// The next [`HEAD_MAX`] decompressed bytes, or fewer if there are no more, without consuming them.
    pub fn head(&mut self) -> &[u8] {
        self.head_until(|_| false)
    }

    /// As [`head`](Self::head), but content with less as soon as `enough` says so of what has come: a stream may be
    /// slow to bring more.
    pub fn head_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> &[u8] {
        while self.end - self.start < HEAD_MAX && !self.ended && !enough(self.pending()) {
            self.fill();
        }
        let pending = self.pending();
        pending.get(..HEAD_MAX).unwrap_or(pending)
    }

    /// The next record, `None` after the last.
    ///
    /// # Errors
    /// An input that cannot be read or decompressed to its end; then the records before were delivered, except one
    /// that the fault cut off, and `None` follows.
    #[allow(clippy::should_implement_trait)] // an iterator cannot lend
    pub fn next(&mut self) -> Result<Option<Record<'_>>, InputError> {
        self.next_after(|| {})
    }

    /// As [`next`](Self::next); `before_read` is called whenever what has come has no whole record and more has to be
    /// waited for.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub fn next_after(&mut self, mut before_read: impl FnMut()) -> Result<Option<Record<'_>>, InputError> {
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            let whole = self.ended && self.error.is_none();
            match self.cutter.cut(pending, whole, self.max_record) {
                Cut::Record { len, consumed, lines_inside, lines_after } => {
                    let (line, at) = (self.line, self.start);
                    self.last_line = line + lines_inside;
                    self.line = self.last_line + lines_after;
                    self.start += consumed;
                    let bytes = self.buffer.get(at..at + len).unwrap_or_default();
                    return Ok(Some(Record { line, bytes: Ok(bytes) }));
                }
                Cut::TooLong { len_so_far, consumed, lines } => {
                    let line = self.line;
                    self.last_line = line;
                    self.line += lines;
                    self.start += consumed;
                    let too_long = TooLong { len_so_far: len_so_far as u64, max: self.max_record };
                    return Ok(Some(Record { line, bytes: Err(too_long) }));
                }
                Cut::Skip { consumed, lines } => {
                    self.line += lines;
                    self.start += consumed;
                }
                Cut::More if !self.ended => {
                    before_read();
                    self.fill();
                }
                Cut::More => {
                    self.start = self.end;
                    return match self.error.take() {
                        None => Ok(None),
                        Some(error) => Err(self.input.explain(error, self.last_line)),
                    };
                }
            }
        }
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads once, as much as comes.
    fn fill(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // A cutter gives up on a record longer than the limit, so that there is always room beyond the limit.
        let len_max = self.max_record.max(READ_SIZE).saturating_mul(2);
        if self.buffer.len() - self.end < READ_SIZE / 4 && self.buffer.len() < len_max {
            // Doubling keeps reading a long record linear.
            self.buffer.resize((self.buffer.len() * 2).clamp(READ_SIZE, len_max), 0);
        }
        let buf = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.input.read(buf) {
            Ok(0) => self.ended = true,
            Ok(n) => self.end += n,
            Err(error) => {
                self.ended = true;
                self.error = Some(error);
            }
        }
        if self.is_new {
            let pending = self.pending();
            let (is_marked, may_be) = (pending.starts_with(MARK), MARK.starts_with(pending));
            self.is_new = !self.ended && may_be && !is_marked;
            if is_marked {
                self.start += MARK.len();
            }
        }
    }
}

/// The decompressed bytes of a source.
struct Input {
    stage: Stage,
    compression: Compression,
    state: State,
}

enum Stage {
    /// Nothing was read yet.
    New(Counting),
    Reading(Box<dyn Read + Send>),
    Ended,
}

impl Input {
    fn new(source: Box<dyn Read + Send>) -> Self {
        let state = State::default();
        let counting = Counting { source, state: state.clone() };
        Self { stage: Stage::New(counting), compression: Compression::Plain, state }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Stage::New(_) = self.stage
            && let Stage::New(source) = std::mem::replace(&mut self.stage, Stage::Ended)
        {
            let (compression, reader) = decompress(source)?;
            self.compression = compression;
            self.stage = Stage::Reading(reader);
        }
        let Stage::Reading(reader) = &mut self.stage else { return Ok(0) };
        let len = if self.compression == Compression::Plain { buf.len() } else { buf.len().min(UNPACK_SIZE) };
        let buf = buf.get_mut(..len).unwrap_or_default();
        loop {
            match reader.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn explain(&self, source: io::Error, after_line: u64) -> InputError {
        let compression = self.compression;
        if compression == Compression::Plain || self.state.failed.load(Ordering::Relaxed) {
            InputError::Read { after_line, source }
        } else if source.kind() == ErrorKind::UnexpectedEof {
            InputError::Truncated { compression, after_line, at: self.state.position.load(Ordering::Relaxed) }
        } else {
            InputError::Corrupt { compression, after_line, source }
        }
    }
}

/// Looks at the first bytes of `source` and puts the right decompressor behind it.
fn decompress(mut source: Counting) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let mut magic = [0; 4];
    let mut len = 0;
    // A plain stream is known by its first byte; waiting for four would keep a slow one waiting.
    while len < magic.len() && (len == 0 || matches!(magic, [0x1f | 0x28 | 0x50..=0x5f, ..])) {
        match source.read(magic.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let magic = magic.get(..len).unwrap_or_default().to_vec();
    let compression = match *magic {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or one to be skipped, which some compressors put first.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::Plain,
    };
    let bytes = Cursor::new(magic).chain(source);
    let reader: Box<dyn Read + Send> = match compression {
        Compression::Plain => Box::new(bytes),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_SIZE, bytes))),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(BufReader::with_capacity(READ_SIZE, bytes))?),
    };
    Ok((compression, reader))
}

/// What is known of a source while something else reads it.
#[derive(Clone, Default)]
struct State {
    position: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

struct Counting {
    source: Box<dyn Read + Send>,
    state: State,
}

impl Read for Counting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.source.read(buf);
        match &result {
            Ok(n) => {
                self.state.position.fetch_add(*n as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.state.failed.store(true, Ordering::Relaxed),
        }
        result
    }
}

#[cfg(test)]
mod tests;
