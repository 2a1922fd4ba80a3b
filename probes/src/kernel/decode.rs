//! From the ring's bytes to records, without copying texts. The kernel side is not trusted to be well formed: every
//! length is checked against what is there, and what does not add up is [`Malformed`](Fault::Malformed).
//!
//! The layout is that of `src/bpf/record.h`: texts first, then a fixed part, read from the end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use grove::event::{Body, Capability, Dns, Event, Exec, Open, Peer, Proto, Socket, SocketOp, Syscalls};

use self::Fault::{Malformed, NoQuestion};
use super::record::{Facts, Maker, PathFacts, Record, What};

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not add up: the two sides disagree.
    Malformed,
    /// It is well formed, but what was sent to port 53 is no DNS question.
    NoQuestion,
}

type Result<T> = std::result::Result<T, Fault>;

const TAIL: usize = 40;
/// What `/proc/PID/stat` counts start times in: USER_HZ is 100 on every architecture that Grove knows.
const TICK_NS: u64 = 10_000_000;
/// Longest DNS name as text: 255 bytes on the wire, each of which may be written in four.
const NAME_MAX: usize = 1024;

mod kind {
    pub(super) const FORK: u8 = 1;
    pub(super) const EXEC: u8 = 2;
    pub(super) const EXIT: u8 = 3;
    pub(super) const OPEN: u8 = 4;
    pub(super) const SOCKET: u8 = 5;
    pub(super) const DNS: u8 = 6;
    pub(super) const SYSCALLS: u8 = 7;
    pub(super) const CAPABILITY: u8 = 8;
    pub(super) const CGROUP_NEW: u8 = 9;
    pub(super) const CGROUP_GONE: u8 = 10;
}

mod mark {
    pub(super) const CUT: u8 = 1 << 0;
    pub(super) const USER_STRING: u8 = 1 << 1;
    pub(super) const FILELESS: u8 = 1 << 2;
    pub(super) const UPPER: u8 = 1 << 3;
    pub(super) const ARGV_CUT: u8 = 1 << 4;
    pub(super) const DETACHED: u8 = 1 << 5;
    pub(super) const REFUSED: u8 = 1 << 6;
    pub(super) const URING: u8 = 1 << 7;
}

/// Reads from the end of a record towards its beginning.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let at = self.0.len().checked_sub(n).ok_or(Malformed)?;
        let (rest, taken) = self.0.split_at_checked(at).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (rest, taken) = self.0.split_last_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Everything must have been taken: a record with something left is not what it says it is.
    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Keeps what decoding needs from one record to the next: a buffer, and how far the clocks are apart.
pub(super) struct Decoder {
    unix_minus_boot_ns: i64,
    text: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(unix_minus_boot_ns: i64) -> Self {
        Self { unix_minus_boot_ns, text: Vec::with_capacity(4096) }
    }

    /// Unix time, of a time of the boot clock.
    pub(super) fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.unix_minus_boot_ns)
    }

    pub(super) fn decode<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Record<'a>> {
        let tail_at = bytes.len().checked_sub(TAIL).ok_or(Malformed)?;
        let (body, tail) = bytes.split_at_checked(tail_at).ok_or(Malformed)?;
        let (mut rest, mut tail) = (Rest(body), Rest(tail));
        // Fields of `struct tail`, last to first.
        let spare = tail.u64()?;
        let marks = tail.u8()?;
        let kind = tail.u8()?;
        let text_bytes = usize::from(tail.u16()?);
        let pid = tail.u32()?;
        let start_ns = tail.u64()?;
        let cgroup = tail.u64()?;
        let ts = self.unix_ns(tail.u64()?);
        let start = (pid != 0).then_some(start_ns / TICK_NS * TICK_NS);

        let mut facts = Facts {
            path: PathFacts { cut: marks & mark::CUT != 0, detached: marks & mark::DETACHED != 0 },
            said: marks & mark::USER_STRING != 0,
            ..Facts::default()
        };
        let body = match kind {
            kind::FORK => Body::Fork { ppid: low(spare)? },
            kind::EXEC => Body::Exec(exec(&mut rest, text_bytes, marks, &mut facts)?),
            kind::EXIT => {
                facts.status = low(spare)?;
                Body::Exit
            }
            kind::OPEN => {
                facts.io_uring = marks & mark::URING != 0;
                let ret = rest.i64()?;
                Body::Open(Open { path: rest.take(text_bytes)?, flags: low(spare)?, ret, map: false })
            }
            kind::SOCKET => {
                facts.io_uring = marks & mark::URING != 0;
                socket(&mut rest, text_bytes, low(spare)?)?
            }
            kind::DNS => self.dns(&mut rest, text_bytes, &mut facts)?,
            kind::SYSCALLS => self.syscalls(&mut rest)?,
            kind::CAPABILITY => {
                let cap = u8::try_from(spare).ok().filter(|c| *c < 64).ok_or(Malformed)?;
                Body::Capability(Capability { cap, used: marks & mark::REFUSED == 0 })
            }
            kind::CGROUP_NEW => {
                let (path, by) = maker(&mut rest, text_bytes)?;
                rest.end()?;
                return Ok(Record { cgroup, what: What::CgroupNew { path, by }, facts });
            }
            kind::CGROUP_GONE => {
                maker(&mut rest, text_bytes)?;
                rest.end()?;
                return Ok(Record { cgroup, what: What::CgroupGone, facts });
            }
            _ => return Err(Malformed),
        };
        rest.end()?;
        Ok(Record { cgroup, what: What::Event(Event { ts, container: b"", pid, start, body }), facts })
    }
    /// The first entry of a question section, as it is on the wire: labels, then type and class.
    fn dns<'a>(&'a mut self, rest: &mut Rest<'a>, text_bytes: usize, facts: &mut Facts<'a>) -> Result<Body<&'a [u8]>> {
        rest.take(6)?;
        let _over_tcp = rest.u8()?;
        let v6 = rest.u8()? != 0;
        let server = rest.take(16)?;
        facts.server = server.get(..if v6 { 16 } else { 4 }).ok_or(Malformed)?;
        let question = rest.take(text_bytes)?;
        self.text.clear();
        let after = write_name(question, &mut self.text).ok_or(NoQuestion)?;
        let qtype = after.first_chunk().map(|b| u16::from_be_bytes(*b)).ok_or(NoQuestion)?;
        Ok(Body::Dns(Dns { name: &self.text, qtype }))
    }

    fn syscalls<'a>(&'a mut self, rest: &mut Rest<'a>) -> Result<Body<&'a [u8]>> {
        let words = rest.take(64)?;
        self.text.clear();
        for (i, word) in words.as_chunks::<8>().0.iter().enumerate() {
            let mut word = u64::from_le_bytes(*word);
            while word != 0 {
                let nr = i as u32 * 64 + word.trailing_zeros();
                self.text.extend_from_slice(&nr.to_le_bytes());
                word &= word - 1;
            }
        }
        Ok(Body::Syscalls(Syscalls { nrs: &self.text }))
    }
}

/// A number that has to fit in 32 bits.
fn low(spare: u64) -> Result<u32> {
    u32::try_from(spare).map_err(|_| Malformed)
}

/// Texts in this order: argv, interpreter, cwd, path.
fn exec<'a>(rest: &mut Rest<'a>, text_bytes: usize, marks: u8, facts: &mut Facts<'a>) -> Result<Exec<&'a [u8]>> {
    let interpreter_marks = rest.u32()?;
    let marked = |mark: u8| interpreter_marks & u32::from(mark) != 0;
    facts.interpreter = PathFacts { cut: marked(mark::CUT), detached: marked(mark::DETACHED) };
    let argv_bytes = rest.u32()? as usize;
    let interpreter_bytes = usize::from(rest.u16()?);
    let cwd_bytes = usize::from(rest.u16()?);
    let gid = rest.u32()?;
    let uid = rest.u32()?;
    let ppid = rest.u32()?;
    facts.entered = rest.u64()?;
    facts.inode = rest.u64()?;
    let path = rest.take(text_bytes)?;
    let cwd = rest.take(cwd_bytes)?;
    let interpreter = rest.take(interpreter_bytes)?;
    let argv = rest.take(argv_bytes)?;
    Ok(Exec {
        ppid,
        path,
        argv: (!argv.is_empty()).then_some(argv),
        argv_truncated: marks & mark::ARGV_CUT != 0,
        interpreter: (!interpreter.is_empty()).then_some(interpreter),
        cwd: (!cwd.is_empty()).then_some(cwd),
        uid: Some(uid),
        gid: Some(gid),
        fileless: marks & mark::FILELESS != 0,
        upper_layer: marks & mark::UPPER != 0,
        runtime: None,
    })
}

/// The path of a cgroup, and who made it.
fn maker<'a>(rest: &mut Rest<'a>, text_bytes: usize) -> Result<(&'a [u8], Maker<'a>)> {
    let _pad = rest.u32()?;
    let cwd_bytes = rest.u32()? as usize;
    let argv_bytes = rest.u32()? as usize;
    let uid = rest.u32()?;
    let name = rest.take(16)?.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = rest.take(text_bytes)?;
    let cwd = rest.take(cwd_bytes)?;
    let argv = rest.take(argv_bytes)?;
    Ok((path, Maker { name, uid, argv, cwd }))
}

/// `base_bytes` of the text are the directory that a relative path begins at.
fn socket<'a>(rest: &mut Rest<'a>, text_bytes: usize, base_bytes: u32) -> Result<Body<&'a [u8]>> {
    const UNIX: u8 = 1;
    const INET: u8 = 2;
    const INET6: u8 = 10;

    rest.take(1)?;
    let ended = rest.u8()?;
    let said_bytes = usize::from(rest.u8()?);
    let connect = rest.u8()?;
    let port = rest.u16()?;
    let proto = rest.u8()?;
    let family = rest.u8()?;
    let address: [u8; 16] = rest.array()?;
    let ret = rest.i64()?;
    let text = rest.take(text_bytes)?;
    let [a, b, c, d, ..] = address;
    let peer = match family {
        INET => Peer::Ip(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        INET6 => Peer::Ip(IpAddr::V6(Ipv6Addr::from(address))),
        UNIX => Peer::Unix(unix_name(text, (base_bytes as usize).saturating_add(said_bytes), ended != 0)?),
        _ => return Err(Malformed),
    };
    let proto = match proto {
        6 => Some(Proto::Tcp),
        17 => Some(Proto::Udp),
        _ => None,
    };
    let op = if connect != 0 { SocketOp::Connect } else { SocketOp::Bind };
    Ok(Body::Socket(Socket { op, peer, port, proto, ret }))
}

/// A unix address as it was given. A path ends at its first zero byte; an abstract name, in which the kernel side has
/// put `@` in the place of its leading zero, is as long as was said.
fn unix_name(text: &[u8], bytes: usize, is_path: bool) -> Result<&[u8]> {
    let name = text.get(..bytes).ok_or(Malformed)?;
    if is_path { Ok(name.split(|b| *b == 0).next().unwrap_or_default()) } else { Ok(name) }
}

/// Writes the labels at the start of `wire` as text, without trailing dot, and returns what follows them. What is not
/// a letter, digit, `-` or `_` is written as `\DDD`, as in zone files, so that the name is text and its dots are dots.
fn write_name<'a>(mut wire: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (len, rest) = wire.split_first()?;
        if *len == 0 {
            if out.is_empty() {
                out.push(b'.');
            }
            return Some(rest);
        }
        // No label is longer than 63 bytes; a question has no name before it that it could point to.
        let (label, rest) = rest.split_at_checked(usize::from(*len)).filter(|_| *len < 64)?;
        if !out.is_empty() {
            out.push(b'.');
        }
        for byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(*byte),
                _ => out.extend([b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
            }
        }
        if out.len() > NAME_MAX {
            return None;
        }
        wire = rest;
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
