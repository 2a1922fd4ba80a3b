//! A trace being written. One that is made of other files is whole or not there at all; one of a live host stands in
//! its place as soon as there is anything to observe, and grows by whole blocks, so that whatever ends the writing,
//! all that was written before the last block can be read.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grove::event::{Body, EventRef, Sink};
use grove::ledger::{Dropped, Fate, Ledger};
use grove::trace::input::Compression;
use grove::trace::write::{Header, Writer};

use crate::exit::Error;
use crate::output::{self, Output};

/// How long events wait for their block to fill.
const BLOCK_TIME: Duration = Duration::from_secs(1);

/// The same where somebody may read them as they come.
const STREAM_BLOCK_TIME: Duration = Duration::from_millis(100);

/// A trace that is being written. Events cannot fail; the first error of the output is kept, and told at the end.
pub(crate) struct TraceFile {
    writer: Writer<Counted>,
    path: PathBuf,
    /// Container id to write in place of that of the events.
    container: Option<String>,
    /// Where the events went that are in whole blocks.
    written: Ledger,
    /// Where those will have gone that are in the block that is being gathered.
    gathered: Ledger,
    /// When the first of them came.
    since: Option<Instant>,
    placed: bool,
    error: Option<io::Error>,
}

/// What became of the events of a trace.
pub(crate) struct Written {
    pub(crate) ledger: Ledger,
    /// Why it is not all of them.
    pub(crate) outcome: Result<(), Error>,
}

impl TraceFile {
    /// Begins a trace, compressed as the file's suffix says; `-` is standard output.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn create(path: &Path, header: Header<'_>, container: Option<&str>) -> Result<Self, Error> {
        let compression = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("zst") => Compression::Zstd,
            _ => Compression::Plain,
        };
        let out = Counted { out: Output::open(path)?, len: 0, whole: 0 };
        let mut writer = Writer::new(out, compression, header).map_err(|e| output::failed(path, e))?;
        writer.flush().map_err(|e| output::failed(path, e))?;
        writer.output().is_whole();
        let container = container.map(str::to_owned);
        let (written, gathered) = (Ledger::default(), Ledger::default());
        let path = path.to_owned();
        Ok(Self { writer, path, container, written, gathered, since: None, placed: false, error: None })
    }

    /// Puts the trace in its place, to grow there, its header on the disk. What was there until now is gone.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub(crate) fn place(&mut self) -> Result<(), Error> {
        self.placed = true;
        self.writer.output().out.place().map_err(|e| output::failed(&self.path, e))
    }

    /// Writes what has waited long enough. To be called now and then.
    pub(crate) fn tick(&mut self) {
        let waits = if self.writer.output().out.is_stream() { STREAM_BLOCK_TIME } else { BLOCK_TIME };
        if self.since.is_some_and(|since| since.elapsed() >= waits) {
            self.flush();
        }
    }

    /// Whether the output has failed, so that there is no use in going on.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Ends the trace, puts it where it belongs and makes it durable.
    pub(crate) fn finish(mut self) -> Written {
        self.flush();
        let Self { writer, path, written, placed, error, .. } = self;
        let outcome = match error {
            None => writer.finish().and_then(|counted| counted.out.keep()),
            Some(error) => {
                // What stands in its place stays there, as far as it is whole.
                let _ = placed.then(|| writer.into_output().out.keep());
                Err(error)
            }
        };
        Written { ledger: written, outcome: outcome.map_err(|e| output::failed(&path, e)) }
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.writer.flush().err();
        }
        self.settle();
    }

    /// Sees what became of the gathered block, if it is not being gathered any more.
    fn settle(&mut self) {
        self.since = None;
        let gathered = std::mem::take(&mut self.gathered);
        if self.error.is_none() {
            self.written.add(&gathered);
            self.writer.output().is_whole();
        } else {
            // Of a block that is not whole nothing can be relied upon.
            self.written.count_many(Fate::Dropped(Dropped::NotWritten), gathered.received);
            let whole = self.writer.output().whole;
            self.writer.output().out.truncate(whole);
        }
    }
}

impl Sink for TraceFile {
    fn event(&mut self, event: EventRef<'_>) {
        let (fate, n) = match event.body {
            Body::Missed { cause, n } => (Fate::missed(cause), n),
            _ => (Fate::Recorded, 1),
        };
        if self.error.is_some() {
            // What was lost before stays lost for that; this comes on top.
            let fate = if fate == Fate::Recorded { Fate::Dropped(Dropped::NotWritten) } else { fate };
            return self.written.count_many(fate, n);
        }
        let container = self.container.as_deref().map_or(event.container, str::as_bytes);
        self.gathered.count_many(fate, n);
        self.since.get_or_insert_with(Instant::now);
        self.error = self.writer.event(event.with_container(container)).err();
        if self.error.is_some() || !self.writer.is_behind() {
            self.settle();
        }
    }

    /// A trace has no implied events: they become events like the others.
    fn implied(&mut self, event: EventRef<'_>) {
        self.event(event);
    }
}

/// Counts how much was written, and how much of it is whole blocks.
struct Counted {
    out: Output,
    len: u64,
    whole: u64,
}

impl Counted {
    /// All that was written is whole blocks, the header being one.
    fn is_whole(&mut self) {
        self.whole = self.len;
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grove::event::Open;

    fn open(path: &[u8]) -> EventRef<'_> {
        EventRef::new(1, b"c", 1, Body::Open(Open::new(path, 0, 0)))
    }

    fn missed(n: u64) -> EventRef<'static> {
        EventRef::new(1, b"c", 0, Body::Missed { cause: b"shed_open", n })
    }

    #[test]
    fn every_event_is_counted_once_whatever_becomes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut trace = TraceFile::create(&dir.path().join("t.jsonl.zst"), Header::default(), None).unwrap();
        trace.place().unwrap();
        (0..1000).for_each(|_| trace.event(open(b"/a")));
        trace.event(missed(7));
        let Written { ledger, outcome } = trace.finish();
        outcome.unwrap();
        assert_eq!((ledger.received, ledger.recorded, ledger.dropped_total()), (1007, 1000, 7));
        assert!(ledger.balances());

        let mut trace = TraceFile::create(Path::new("/dev/null"), Header::default(), None).unwrap();
        trace.event(open(b"/a"));
        trace.flush();
        trace.event(open(b"/b"));
        trace.error = Some(io::ErrorKind::StorageFull.into());
        trace.event(open(b"/c"));
        trace.event(missed(3));
        let Written { ledger, outcome } = trace.finish();
        assert!(outcome.is_err());
        assert_eq!((ledger.received, ledger.recorded, ledger.dropped(Dropped::NotWritten)), (6, 1, 2));
        assert!(ledger.balances());
    }

    /// What is in the file at any time is a trace, and a block that is not whole is taken back.
    #[test]
    fn what_stands_in_its_place_is_whole_blocks() {
        for name in ["t.jsonl", "t.jsonl.gz", "t.jsonl.zst"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, "old").unwrap();
            let mut trace = TraceFile::create(&path, Header::default(), None).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"old", "{name}");
            trace.place().unwrap();
            assert_eq!(lines(&path), 1, "{name}: the header");
            trace.event(open(b"/a"));
            assert_eq!(lines(&path), 1);
            trace.flush();
            assert_eq!(lines(&path), 2);
            let block = std::fs::read(&path).unwrap();
            trace.event(open(b"/b"));
            trace.writer.output().write_all(b"half a block").unwrap();
            trace.error = Some(io::ErrorKind::StorageFull.into());
            assert!(trace.finish().outcome.is_err());
            assert_eq!(std::fs::read(&path).unwrap(), block, "{name}");
        }
    }

    #[test]
    fn of_a_recording_whose_first_block_cannot_be_written_the_header_stays() {
        for name in ["t.jsonl", "t.jsonl.gz", "t.jsonl.zst"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let mut trace = TraceFile::create(&path, Header::default(), None).unwrap();
            trace.place().unwrap();
            let header = std::fs::read(&path).unwrap();
            trace.event(open(b"/a"));
            trace.writer.output().write_all(b"half a block").unwrap();
            trace.error = Some(io::ErrorKind::StorageFull.into());
            assert!(trace.finish().outcome.is_err());
            assert!(!header.is_empty() && std::fs::read(&path).unwrap() == header, "{name}");
        }
    }

    fn lines(path: &Path) -> usize {
        let source = grove::trace::input::open(path).unwrap();
        let mut records =
            grove::trace::input::Records::new(source.reader, grove::trace::input::Framing::Lines, 1 << 20);
        std::iter::from_fn(|| records.next().unwrap().map(|_| ())).count()
    }
}
