//! A trace being written: events in, a file that is whole or not there at all.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use grove::event::{EventRef, Sink};
use grove::trace::input::Compression;
use grove::trace::write::{Header, Writer};

use crate::exit::Error;
use crate::output::{self, Output};

/// A trace that is being written. Events cannot fail; the first error of the output is kept, and told at the end.
pub(crate) struct TraceFile {
    writer: Writer<BufWriter<Output>>,
    path: PathBuf,
    /// Container id to write in place of that of the events.
    container: Option<String>,
    events: u64,
    error: Option<io::Error>,
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
        let out = BufWriter::new(Output::open(path)?);
        let writer = Writer::new(out, compression, header).map_err(|e| output::failed(path, e))?;
        Ok(Self { writer, path: path.to_owned(), container: container.map(str::to_owned), events: 0, error: None })
    }

    /// Whether the output has failed, so that there is no use in going on.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Ends the trace and puts it where it belongs.
    ///
    /// # Errors
    /// The first error of the output.
    pub(crate) fn finish(self) -> Result<u64, Error> {
        let Self { writer, path, events, error, .. } = self;
        let failed = |e| output::failed(&path, e);
        error.map_or(Ok(()), |e| Err(failed(e)))?;
        let out = writer.finish().map_err(failed)?;
        out.into_inner().map_err(io::IntoInnerError::into_error).and_then(Output::keep).map_err(failed)?;
        Ok(events)
    }
}

impl Sink for TraceFile {
    fn event(&mut self, event: EventRef<'_>) {
        if self.error.is_some() {
            return;
        }
        let container = self.container.as_deref().map_or(event.container, str::as_bytes);
        self.events += 1;
        self.error = self.writer.event(EventRef { container, ..event }).err();
    }

    /// A trace has no implied events: they become events like the others.
    fn implied(&mut self, event: EventRef<'_>) {
        self.event(event);
    }
}
