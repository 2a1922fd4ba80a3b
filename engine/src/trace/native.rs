//! The native trace format: JSON Lines as docs/formats describes them, one event a line.
//!
//! One pass takes the fields of a line; only a line at fault is looked at again, to say what is wrong with it.
//! Cutting an input into lines is the business of [`input`](super::input), writing that of [`write`](super::write).

mod explain;
mod fields;
mod kind;
mod values;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use explain::{quoted, reject};
use fields::{Field, Fields, Lists, Raw};
use kind::Kind;
use values::{UintOrName, decode_base64};

use crate::event::{Body, Event, Exec, Peer, Proto, Sink, SocketOp};
use crate::ledger::{Ignored, Rejected};
use crate::trace::capability::{CAPABILITY_MAX, capability_number};
use crate::trace::nesting;
use crate::trace::qtype::qtype_number;
use crate::trace::syscalls::Arch;
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

/// Memory that is used again for every line.
#[derive(Debug, Default)]
struct Buffers {
    lists: Lists,
    /// What `path_b64` or `addr_b64` decodes to.
    path: Vec<u8>,
    /// What `cwd_b64` decodes to.
    cwd: Vec<u8>,
    /// What `interpreter_b64` decodes to.
    interpreter: Vec<u8>,
}

impl NativeDecoder {
    /// A decoder for one trace, from its first line on.
    pub fn new() -> Self {
        Self::default()
    }

    fn header(&mut self, raw: &Raw<'_>, record: &str) -> Result<Line, Reject> {
        raw.check(Kind::HEADER_KNOWN, Kind::HEADER_REQUIRED, record)?;
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
        raw.parse(&text, &mut self.buffers.lists).map_err(|e| malformed(explain::not_json(&text, &e)))?;
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
        let Some(kind) = Kind::from_name(&raw.kind) else {
            return Ok(Line::Ignored(Ignored::UnknownType));
        };
        raw.check(kind.known(), kind.required(), &text)?;

        let container = plain(Field::Container, &raw.container)?;
        let body = body(kind, &raw, &mut self.buffers)?;
        sink.event(Event {
            ts: raw.ts,
            container,
            pid: raw.pid as u32,
            start: raw.present.contains(Field::Start).then_some(raw.start),
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

impl Raw<'_> {
    /// Looks for faults of the `known` fields of this type, and for the `required` ones.
    fn check(&self, known: Fields, required: Fields, record: &str) -> Result<(), Reject> {
        let faulty = self.again.union(self.wrong).union(self.invalid).within(known);
        let missing = required.without(self.present);
        if faulty == Fields::default() && missing == Fields::default() {
            return Ok(());
        }
        self.fault(known, missing, record)
    }

    #[cold]
    fn fault(&self, known: Fields, missing: Fields, record: &str) -> Result<(), Reject> {
        if let Some(field) = self.again.within(known).first() {
            return Err(reject(Rejected::DuplicateField, field, "given more than once"));
        }
        if let Some(field) = self.wrong.within(known).first() {
            return Err(explain::wrong(field, record));
        }
        if let Some(field) = self.invalid.within(known).first() {
            let detail = match field {
                Field::ArgvB64 => "an argument is not base64, or holds a NUL byte",
                _ => "an argument holds a NUL byte",
            };
            return Err(reject(Rejected::InvalidValue, field, detail));
        }
        for (field, substitute) in [(Field::Path, Field::PathB64), (Field::Addr, Field::AddrB64)] {
            if missing == Fields::of(&[field]) && self.present.within(known).contains(substitute) {
                return Ok(());
            }
        }
        match missing.first() {
            Some(field) if self.kind.is_empty() => {
                Err(reject(Rejected::MissingField, field, "every line says what it is"))
            }
            Some(field) => Err(reject(Rejected::MissingField, field, format!("required for `{}`", self.kind))),
            None => Ok(()),
        }
    }

    /// The bytes of a field that has a base64 substitute; empty if neither is given.
    fn bytes<'s>(
        &'s self,
        (field, text): (Field, &'s str),
        (substitute, base64): (Field, &str),
        buffer: &'s mut Vec<u8>,
    ) -> Result<&'s [u8], Reject> {
        if !self.present.contains(substitute) {
            return plain(field, text);
        }
        if self.present.contains(field) {
            let detail = format!("`{}` is given as well", field.name());
            return Err(reject(Rejected::DuplicateField, substitute, detail));
        }
        buffer.clear();
        if !decode_base64(base64, buffer) {
            return Err(reject(Rejected::InvalidValue, substitute, "it is not base64, or holds a NUL byte"));
        }
        Ok(buffer)
    }

    fn path<'s>(&'s self, buffer: &'s mut Vec<u8>) -> Result<&'s [u8], Reject> {
        self.bytes((Field::Path, &self.path), (Field::PathB64, &self.path_b64), buffer)
    }
}

/// A text that can hold no NUL byte, as bytes.
fn plain(field: Field, text: &str) -> Result<&[u8], Reject> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(reject(Rejected::InvalidValue, field, "it holds a NUL byte"));
    }
    Ok(text.as_bytes())
}

fn not_empty(field: Field, bytes: &[u8]) -> Result<&[u8], Reject> {
    if bytes.is_empty() {
        return Err(reject(Rejected::InvalidValue, field, "it is empty"));
    }
    Ok(bytes)
}

fn body<'s>(kind: Kind, raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Body<&'s [u8]>, Reject> {
    Ok(match kind {
        Kind::ContainerStart => Body::ContainerStart {
            image: not_empty(Field::Image, plain(Field::Image, &raw.image)?)?,
            tag: not_empty(Field::Tag, plain(Field::Tag, &raw.tag)?)?,
        },
        Kind::ContainerStop => Body::ContainerStop,
        Kind::Fork => Body::Fork { ppid: raw.ppid as u32 },
        Kind::Exec => Body::Exec(exec(raw, buffers)?),
        Kind::Exit => Body::Exit,
        Kind::Open => {
            let path = raw.path(&mut buffers.path)?;
            // Opening nothing fails, and may be tried all the same.
            let path = if raw.ret < 0 { path } else { not_empty(Field::Path, path)? };
            Body::Open { path, flags: raw.flags as u32, ret: raw.ret }
        }
        Kind::Connect => socket(SocketOp::Connect, raw, buffers)?,
        Kind::Bind => socket(SocketOp::Bind, raw, buffers)?,
        Kind::Dns => Body::Dns { name: plain(Field::Name, &raw.name)?, qtype: qtype(raw)? },
        Kind::Syscalls => Body::Syscalls { nrs: syscalls(raw, &mut buffers.lists.nrs)? },
        Kind::Capability => Body::Capability { cap: cap(raw)?, used: raw.used || !raw.present.contains(Field::Used) },
        Kind::Missed => Body::Missed { cause: not_empty(Field::Cause, plain(Field::Cause, &raw.cause)?)?, n: raw.n },
    })
}

fn exec<'s>(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Exec<&'s [u8]>, Reject> {
    let Buffers { lists, path, cwd, interpreter } = buffers;
    let given = |field| raw.present.contains(field);
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
    })
}

fn socket<'s>(op: SocketOp, raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Body<&'s [u8]>, Reject> {
    let misfit = |expected| {
        let detail = format!("found {}, expected {expected}", quoted(&raw.addr));
        reject(Rejected::InvalidValue, Field::Addr, detail)
    };
    let peer = match &*raw.family {
        "inet" => Peer::Ip(IpAddr::V4(raw.addr.parse::<Ipv4Addr>().map_err(|_| misfit("an IPv4 address"))?)),
        "inet6" => {
            // The scope tells an interface, which is another one on the next host.
            let addr = raw.addr.split_once('%').map_or(&*raw.addr, |(addr, _)| addr);
            Peer::Ip(IpAddr::V6(addr.parse::<Ipv6Addr>().map_err(|_| misfit("an IPv6 address"))?))
        }
        "unix" => {
            let addr = raw.bytes((Field::Addr, &raw.addr), (Field::AddrB64, &raw.addr_b64), &mut buffers.path)?;
            Peer::Unix(not_empty(Field::Addr, addr)?)
        }
        other => {
            let detail = format!("found {}, expected `inet`, `inet6` or `unix`", quoted(other));
            return Err(reject(Rejected::InvalidValue, Field::Family, detail));
        }
    };
    let proto = match &*raw.proto {
        _ if !raw.present.contains(Field::Proto) => None,
        "tcp" => Some(Proto::Tcp),
        "udp" => Some(Proto::Udp),
        other => {
            let detail = format!("found {}, expected `tcp` or `udp`", quoted(other));
            return Err(reject(Rejected::InvalidValue, Field::Proto, detail));
        }
    };
    Ok(match peer {
        Peer::Ip(_) if !raw.present.contains(Field::Port) => {
            let detail = format!("required for `{}` of family `{}`", raw.kind, raw.family);
            return Err(reject(Rejected::MissingField, Field::Port, detail));
        }
        Peer::Ip(_) => Body::Socket { op, peer, port: raw.port as u16, proto, ret: raw.ret },
        // There is nothing that a port or a transport could say of a unix socket.
        Peer::Unix(_) => Body::Socket { op, peer, port: 0, proto: None, ret: raw.ret },
    })
}

fn qtype(raw: &Raw<'_>) -> Result<u16, Reject> {
    match &raw.qtype {
        UintOrName::Uint(n) => Ok(*n as u16),
        UintOrName::Name(name) => qtype_number(name).ok_or_else(|| {
            let detail = format!("found {}, expected a DNS type such as `AAAA` or `TYPE28`", quoted(name));
            reject(Rejected::InvalidValue, Field::Qtype, detail)
        }),
    }
}

fn cap(raw: &Raw<'_>) -> Result<u8, Reject> {
    match &raw.cap {
        UintOrName::Uint(n) => Ok(*n as u8),
        UintOrName::Name(name) => capability_number(name).ok_or_else(|| {
            let detail = format!(
                "found {}, expected a capability such as `CAP_NET_RAW` or `CAP_{CAPABILITY_MAX}`",
                quoted(name)
            );
            reject(Rejected::InvalidValue, Field::Cap, detail)
        }),
    }
}

/// The x86-64 numbers of the calls, four bytes each.
fn syscalls<'s>(raw: &Raw<'_>, nrs: &'s mut [u8]) -> Result<&'s [u8], Reject> {
    if !raw.present.contains(Field::Arch) {
        return Ok(nrs);
    }
    let arch: Arch = raw
        .arch
        .parse()
        .map_err(|e| reject(Rejected::InvalidValue, Field::Arch, format!("found {}, {e}", quoted(&raw.arch))))?;
    for bytes in nrs.as_chunks_mut::<4>().0 {
        let nr = u32::from_le_bytes(*bytes);
        let translated = arch
            .to_x86_64(nr)
            .ok_or_else(|| reject(Rejected::InvalidValue, Field::Nrs, format!("{} has no call {nr}", raw.arch)))?;
        *bytes = translated.to_le_bytes();
    }
    Ok(nrs)
}

#[cfg(test)]
mod tests;
