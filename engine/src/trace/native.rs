//! The native trace format: JSON Lines as docs/formats describes them, one event a line.
//!
//! One pass takes the fields of a line; only a line at fault is looked at again, to say what is wrong with it.
//! Cutting an input into lines is the business of [`input`](super::input), writing that of [`write`](super::write).

use crate::behaviour::record::{Buffers, Field, Fields, Raw, Shape, not_empty, not_json, plain, quoted, reject};
use crate::behaviour::{Report, events};
use crate::event::{Body, Event, Exec, Sink};
use crate::ledger::{Ignored, Rejected};
use crate::nesting;
use crate::trace::{Decoder, Line, Reject};

/// The name of the format in a trace's header.
pub const FORMAT: &str = "grove-trace";

/// The version of the format that this version writes, and the only one there is to read.
pub const VERSION: u64 = 1;

/// What a header's `completeness` says of a source that cannot see all that a container does.
pub const PARTIAL: &str = "partial";

/// Decodes the lines of a native trace.
#[derive(Debug, Default)]
pub struct NativeDecoder {
    started: bool,
    header_error: bool,
    recording: Option<String>,
    partial: bool,
    buffers: Buffers,
}

/// What every event must have.
const EVENT: Fields = Fields::of(&[Field::Type, Field::Ts, Field::Container]);
/// What every event of a process must have.
const PROCESS: Fields = EVENT.union(Fields::of(&[Field::Pid]));
/// What every event may have.
const ANY: Fields = Fields::of(&[Field::Start]);

const HEADER: Shape = Shape::new(
    &[Field::Type, Field::Format, Field::Version],
    &[Field::Source, Field::Recording, Field::Clock, Field::Completeness],
);
const CONTAINER_START: Shape = Shape::new(
    &[Field::Image, Field::Tag],
    &[Field::Labels, Field::CgroupId, Field::Runtime, Field::Pod, Field::Namespace],
);
const FORK: Shape = Shape::new(&[Field::Ppid], &[Field::Uid, Field::NsPid]);
const EXEC: Shape = Shape::new(
    &[Field::Ppid, Field::Path],
    &[
        Field::PathB64,
        Field::Argv,
        Field::ArgvB64,
        Field::Uid,
        Field::Gid,
        Field::Cwd,
        Field::CwdB64,
        Field::Interpreter,
        Field::InterpreterB64,
        Field::Inode,
        Field::Fileless,
        Field::ArgvTruncated,
        Field::UpperLayer,
        Field::ByRuntime,
        Field::NsPid,
    ],
);
const EXIT: Shape = Shape::new(&[], &[Field::Code, Field::Signal]);
const MISSED: Shape = Shape::new(&[Field::Cause, Field::N], &[]);
const NOTHING: Shape = Shape::new(&[], &[]);

impl NativeDecoder {
    /// A decoder for one trace, from its first line on.
    pub fn new() -> Self {
        Self::default()
    }

    fn header(&mut self, raw: &Raw<'_>, record: &str) -> Result<Line, Reject> {
        raw.check(HEADER.required.union(HEADER.optional), HEADER.required, record)?;
        if raw.format != FORMAT {
            let detail = format!("found {}, expected {FORMAT:?}", quoted(&raw.format));
            return Err(reject(Rejected::InvalidValue, Field::Format, detail));
        }
        if raw.version != VERSION {
            let detail = format!("found {}, expected {VERSION}: another version of Grove wrote this", raw.version);
            return Err(reject(Rejected::InvalidValue, Field::Version, detail));
        }
        self.partial = raw.completeness == PARTIAL;
        self.recording = Some(raw.recording.to_string()).filter(|r| !r.is_empty());
        Ok(Line::Header)
    }
}

impl Decoder for NativeDecoder {
    /// Whether the first line was a header of another format or version. Then nothing that follows can be trusted
    /// to mean what it says, and the rejection of that line should end the reading.
    fn is_fatal(&self) -> bool {
        self.header_error
    }

    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let first = !std::mem::replace(&mut self.started, true);
        let malformed = |detail: String| Reject { reason: Rejected::Malformed, field: None, detail };

        let text = str::from_utf8(record).map_err(|e| malformed(format!("byte {} is not UTF-8", e.valid_up_to())))?;
        let text = nesting::bounded(text).map_err(|e| malformed(e.to_string()))?;
        let mut raw = Raw::default();
        raw.parse(&text, &mut self.buffers.lists).map_err(|e| malformed(not_json(&text, &e)))?;
        if raw.unknown && text.contains('\\') {
            // The library does not look into the escapes of a text that it skips.
            nesting::validate(&text).map_err(|e| malformed(e.to_string()))?;
        }

        raw.check(Fields::of(&[Field::Type]), Fields::of(&[Field::Type]), &text)?;
        if raw.kind == "header" && first {
            let header = self.header(&raw, &text);
            self.header_error = header.is_err();
            return header;
        }
        let Some(body) = body(&raw, &text, &mut self.buffers)? else {
            return Ok(Line::Ignored(Ignored::UnknownType));
        };
        let container = plain(Field::Container, &raw.container)?;
        sink.event(Event {
            ts: raw.ts,
            container,
            pid: raw.pid as u32,
            start: raw.has(Field::Start).then_some(raw.start),
            body,
        });
        Ok(Line::Event)
    }

    fn recording(&self) -> Option<&str> {
        self.recording.as_deref()
    }

    fn is_partial(&self) -> bool {
        self.partial
    }
}

/// Looks for faults of the fields that a type of event knows, and for the ones that it requires.
fn check(raw: &Raw<'_>, base: Fields, shape: &Shape, record: &str) -> Result<(), Reject> {
    let required = base.union(shape.required);
    raw.check(required.union(shape.optional).union(ANY), required, record)
}

/// How a record holds its texts.
macro_rules! text {
    ($B:ident) => {
        &[u8]
    };
}

macro_rules! body {
    ($(($Event:ident $(<$B:ident>)?, $file:ident, $($name:literal)|+)),* $(,)?) => {
        /// What a record of a type that is known tells.
        fn body<'s>(raw: &'s Raw<'_>, record: &str, buffers: &'s mut Buffers) -> Result<Option<Body<&'s [u8]>>, Reject> {
            Ok(Some(match &*raw.kind {
                $($($name)|+ => {
                    check(raw, PROCESS, &<crate::event::$Event$(::<text!($B)>)? as Report<'_>>::SHAPE, record)?;
                    Body::$Event(<crate::event::$Event$(::<text!($B)>)? as Report<'_>>::read(raw, buffers)?)
                })*
                "fork" => {
                    check(raw, PROCESS, &FORK, record)?;
                    Body::Fork { ppid: raw.ppid as u32, ns_pid: ns_pid(raw) }
                }
                "exec" => {
                    check(raw, PROCESS, &EXEC, record)?;
                    Body::Exec(exec(raw, buffers)?)
                }
                "exit" => {
                    check(raw, PROCESS, &EXIT, record)?;
                    Body::Exit
                }
                "container_start" => {
                    check(raw, EVENT, &CONTAINER_START, record)?;
                    Body::ContainerStart {
                        image: not_empty(Field::Image, plain(Field::Image, &raw.image)?)?,
                        tag: not_empty(Field::Tag, plain(Field::Tag, &raw.tag)?)?,
                    }
                }
                "container_stop" => {
                    check(raw, EVENT, &NOTHING, record)?;
                    Body::ContainerStop
                }
                "missed" => {
                    check(raw, EVENT, &MISSED, record)?;
                    Body::Missed { cause: not_empty(Field::Cause, plain(Field::Cause, &raw.cause)?)?, n: raw.n }
                }
                _ => return Ok(None),
            }))
        }
    };
}
events!(body);

fn ns_pid(raw: &Raw<'_>) -> Option<u32> {
    raw.has(Field::NsPid).then_some(raw.ns_pid as u32)
}

fn exec<'s>(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Exec<&'s [u8]>, Reject> {
    let Buffers { lists, path, cwd, interpreter } = buffers;
    let given = |field| raw.has(field);
    if given(Field::Argv) && given(Field::ArgvB64) {
        return Err(reject(Rejected::DuplicateField, Field::ArgvB64, "`argv` is given as well"));
    }
    let cwd = raw.bytes((Field::Cwd, &raw.cwd), (Field::CwdB64, &raw.cwd_b64), cwd)?;
    let by = (Field::InterpreterB64, &*raw.interpreter_b64);
    let interpreter = raw.bytes((Field::Interpreter, &raw.interpreter), by, interpreter)?;
    Ok(Exec {
        ppid: raw.ppid as u32,
        path: not_empty(Field::Path, raw.path(path)?)?,
        argv: (given(Field::Argv) || given(Field::ArgvB64)).then_some(&lists.argv),
        argv_truncated: raw.argv_truncated,
        interpreter: Some(interpreter).filter(|path| !path.is_empty()),
        cwd: (given(Field::Cwd) || given(Field::CwdB64)).then_some(cwd),
        uid: given(Field::Uid).then_some(raw.uid as u32),
        gid: given(Field::Gid).then_some(raw.gid as u32),
        fileless: raw.fileless,
        upper_layer: raw.upper_layer,
        runtime: given(Field::ByRuntime).then_some(raw.by_runtime),
        ns_pid: ns_pid(raw),
    })
}

#[cfg(test)]
mod tests;
