//! Writing native traces, the counterpart of [`native`](super::native): what it writes, that reads back as the same
//! events.
//!
//! A trace is written in blocks of whole lines, each of which can be read without what follows: a frame of zstd, a
//! member of gzip. So whatever ends the writing, what was written before the last block is a trace.
//!
//! A text that is not UTF-8 is written in base64 where the format has a field for that.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::input::Compression;
use super::native::{FORMAT, PARTIAL, VERSION};
use crate::behaviour::record::{Field, write_bytes, write_some, write_text};
use crate::behaviour::{Report, events};
use crate::event::{Body, EventRef, Exec};

/// How many bytes of lines are gathered for a block before it is written: 1 MiB.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Writes events as a native trace, a header first.
///
/// What was not [flushed](Self::flush) is lost if this is dropped: call [`finish`](Self::finish) at the end.
pub struct Writer<W: Write> {
    out: W,
    packer: Packer,
    /// The lines of the block that is being gathered.
    block: Vec<u8>,
    /// What is written of it, used again for each.
    packed: Vec<u8>,
}

enum Packer {
    Plain,
    Gzip,
    Zstd(zstd::bulk::Compressor<'static>),
}

/// What the header of a trace says of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Header<'a> {
    /// What made it, for people.
    pub source: Option<&'a str>,
    /// The recording's name, for ledgers: unlike that of any other recording.
    pub recording: Option<&'a str>,
    /// What made it cannot see all that a container does.
    pub partial: bool,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("block_bytes", &self.block.len()).finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Begins a trace in `out`, which is written to once a block.
    ///
    /// # Errors
    /// There is no memory to be had for the compressor.
    pub fn new(out: W, compression: Compression, header: Header<'_>) -> io::Result<Self> {
        let packer = match compression {
            Compression::Plain => Packer::Plain,
            Compression::Gzip => Packer::Gzip,
            Compression::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
                // Without it damage may go unnoticed. gzip always has one.
                compressor.include_checksum(true)?;
                Packer::Zstd(compressor)
            }
        };
        let mut writer = Self { out, packer, block: Vec::new(), packed: Vec::new() };
        let Header { source, recording, partial } = header;
        writer.write_line(&HeaderLine {
            kind: "header",
            format: FORMAT,
            version: VERSION,
            source,
            recording,
            clock: "unix_ns",
            completeness: partial.then_some(PARTIAL),
        })?;
        Ok(writer)
    }

    /// Writes one event.
    ///
    /// # Errors
    /// Those of the output. `InvalidInput`, and nothing is written, for an event that the format has no words for: one with
    /// a text that is not UTF-8 where the format has no other form, such as a container id, image, tag or DNS name.
    pub fn event(&mut self, event: EventRef<'_>) -> io::Result<()> {
        let container = text("container", event.container)?;
        self.write_line(&EventLine { event, container })
    }

    /// Writes the block that is being gathered, if there is anything in it: from then on all events so far can be read
    /// from the output.
    ///
    /// # Errors
    /// Those of the output. The block is lost then, and how much of it was written only the output can tell.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let bytes = match &mut self.packer {
            Packer::Plain => &self.block,
            Packer::Gzip => {
                self.packed.clear();
                let mut gzip = flate2::write::GzEncoder::new(&mut self.packed, flate2::Compression::default());
                gzip.write_all(&self.block)?;
                gzip.finish()?;
                &self.packed
            }
            Packer::Zstd(compressor) => {
                self.packed.clear();
                self.packed.reserve(zstd::zstd_safe::compress_bound(self.block.len()));
                compressor.compress_to_buffer(&self.block, &mut self.packed)?;
                &self.packed
            }
        };
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        self.block.clear();
        written
    }

    /// Whether there are events that [`flush`](Self::flush) would write.
    pub fn is_behind(&self) -> bool {
        !self.block.is_empty()
    }

    /// Where the trace is written to.
    pub fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Gives back where the trace was written to. What was not flushed is lost.
    pub fn into_output(self) -> W {
        self.out
    }

    /// Ends the trace and gives back where it was written to, flushed.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let before = self.block.len();
        if let Err(error) = sonic_rs::to_writer(&mut self.block, line) {
            self.block.truncate(before);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error.to_string()));
        }
        self.block.push(b'\n');
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<&'a str>,
    clock: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
}

struct EventLine<'a> {
    event: EventRef<'a>,
    container: &'a str,
}

impl Serialize for EventLine<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("ts", &event.ts)?;
        map.serialize_entry("type", event.body.name())?;
        map.serialize_entry("container", self.container)?;
        if !matches!(event.body, Body::ContainerStart { .. } | Body::ContainerStop | Body::Missed { .. }) {
            map.serialize_entry("pid", &event.pid)?;
        }
        write_some(&mut map, Field::Start, event.start)?;
        body(&mut map, &event.body)?;
        map.end()
    }
}

fn text<'a>(field: &str, bytes: &'a [u8]) -> io::Result<&'a str> {
    str::from_utf8(bytes).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{field}` is not UTF-8: {}", bytes.escape_ascii()))
    })
}

macro_rules! body {
    ($(($Event:ident $(<$B:ident>)?, $file:ident, $($name:literal)|+)),* $(,)?) => {
        fn body<M: SerializeMap>(map: &mut M, body: &Body<&[u8]>) -> Result<(), M::Error> {
            match body {
                Body::ContainerStart { image, tag } => {
                    write_text(map, Field::Image, image)?;
                    write_text(map, Field::Tag, tag)
                }
                Body::ContainerStop | Body::Exit => Ok(()),
                Body::Fork { ppid, ns_pid } => {
                    map.serialize_entry("ppid", ppid)?;
                    write_some(map, Field::NsPid, *ns_pid)
                }
                Body::Exec(e) => exec(map, e),
                Body::Missed { cause, n } => {
                    write_text(map, Field::Cause, cause)?;
                    map.serialize_entry("n", n)
                }
                $(Body::$Event(event) => event.write(map),)*
            }
        }
    };
}
events!(body);

fn exec<M: SerializeMap>(map: &mut M, e: &Exec<&[u8]>) -> Result<(), M::Error> {
    map.serialize_entry("ppid", &e.ppid)?;
    write_bytes(map, (Field::Path, Field::PathB64), e.path)?;
    if let Some(argv) = e.argv {
        match str::from_utf8(argv) {
            Ok(_) => map.serialize_entry("argv", &Arguments(argv, false))?,
            Err(_) => map.serialize_entry("argv_b64", &Arguments(argv, true))?,
        }
    }
    write_some(map, Field::ArgvTruncated, e.argv_truncated.then_some(true))?;
    if let Some(interpreter) = e.interpreter {
        write_bytes(map, (Field::Interpreter, Field::InterpreterB64), interpreter)?;
    }
    if let Some(cwd) = e.cwd {
        write_bytes(map, (Field::Cwd, Field::CwdB64), cwd)?;
    }
    write_some(map, Field::Uid, e.uid)?;
    write_some(map, Field::Gid, e.gid)?;
    write_some(map, Field::Fileless, e.fileless.then_some(true))?;
    write_some(map, Field::UpperLayer, e.upper_layer.then_some(true))?;
    write_some(map, Field::ByRuntime, e.runtime)?;
    write_some(map, Field::NsPid, e.ns_pid)
}

/// Arguments, each followed by a NUL byte; in base64 if so told.
struct Arguments<'a>(&'a [u8], bool);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut list = s.serialize_seq(None)?;
        for argument in self.0.split_inclusive(|b| *b == 0) {
            let argument = argument.strip_suffix(&[0]).unwrap_or(argument);
            match str::from_utf8(argument) {
                Ok(text) if !self.1 => list.serialize_element(text)?,
                _ => list.serialize_element(&BASE64.encode(argument))?,
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests;
