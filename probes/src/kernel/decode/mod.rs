//! From the ring's bytes to records. The kernel side is not trusted to be well formed: every length is checked against
//! what is there, and what does not add up is [`Malformed`](Fault::Malformed). Texts are not copied, but where only a
//! part of a path is known: such a path says so, and cannot pass for another.
//!
//! A record is texts first, then the kind's own part, then the tail, as `src/bpf/record.h` has it: it is read from the
//! end. Here is the tail and what all kinds need; a kind's own part is read in a file named after the kind's in
//! `src/bpf`, whose function is in the table (`super::table`).

pub(super) mod caps;
pub(super) mod change;
pub(super) mod dns;
pub(super) mod exec;
pub(super) mod flow;
pub(super) mod groups;
pub(super) mod imds;
pub(super) mod lifecycle;
pub(super) mod mount;
pub(super) mod open;
pub(super) mod socket;
pub(super) mod syscalls;

use grove::event::{Body, Event, EventRef};

use self::Fault::Malformed;
use super::record::{Facts, PathFacts, Record, RecordBody};
use super::table;

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not add up: the two sides disagree.
    Malformed,
    /// It is well formed, but what was sent to port 53 is no DNS question, or to a metadata service no request.
    NoQuestion,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

const TAIL: usize = 40;
/// What `/proc/PID/stat` counts start times in: USER_HZ is 100 on every architecture that Grove knows.
const TICK_NS: u64 = 10_000_000;

/// What stands for the beginning of a path of which only the end is known.
const CUT: &[u8] = b"/(cut)/";
/// What stands for the root of a path that does not lead to the process's.
const UNREACHABLE: &[u8] = b"/(unreachable)/";

mod mark {
    pub(super) const CUT: u8 = 1 << 0;
    pub(super) const USER_STRING: u8 = 1 << 1;
    pub(super) const FILELESS: u8 = 1 << 2;
    pub(super) const UPPER: u8 = 1 << 3;
    pub(super) const ARGV_CUT: u8 = 1 << 4;
    pub(super) const DETACHED: u8 = 1 << 5;
    pub(super) const REFUSED: u8 = 1 << 6;
    /// Of an open.
    pub(super) const MAPPED: u8 = 1 << 6;
    pub(super) const URING: u8 = 1 << 7;
}

/// Reads from the end of a record towards its beginning.
pub(super) struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let at = self.0.len().checked_sub(n).ok_or(Malformed)?;
        let (rest, taken) = self.0.split_at_checked(at).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (rest, taken) = self.0.split_last_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Everything must have been taken: a record with something left is not what it says it is.
    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Texts that are written anew while a record is decoded.
pub(super) type Texts = [Vec<u8>; 2];

/// A record whose tail has been read.
pub(super) struct Parts<'a> {
    /// What comes before the tail: all of it is to be taken.
    pub(super) rest: Rest<'a>,
    /// Bytes of the text.
    pub(super) text_bytes: usize,
    pub(super) marks: u8,
    /// A number of the kind's own.
    pub(super) spare: u64,
    pub(super) facts: Facts<'a>,
    event: Event<()>,
}

impl<'a> Parts<'a> {
    /// The number of the kind's own, which has to fit in 32 bits.
    pub(super) fn spare_u32(&self) -> Result<u32> {
        u32::try_from(self.spare).map_err(|_| Malformed)
    }

    /// A process's number in its own pid namespace, if it is told and another one than its pid.
    pub(super) fn another_pid(&self, ns_pid: u32) -> Option<u32> {
        (ns_pid != 0 && ns_pid != self.event.pid).then_some(ns_pid)
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8]> {
        self.rest.take(self.text_bytes)
    }

    /// The text, which is a path.
    pub(super) fn path(&mut self, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        Ok(whole(self.text()?, self.facts.path, buffer))
    }

    /// The process did this.
    pub(super) fn event(&self, body: Body<&'a [u8]>) -> RecordBody<'a> {
        let Event { ts, pid, start, .. } = self.event;
        RecordBody::Event(EventRef::new(ts, b"", pid, body).with_start(start))
    }
}

/// Keeps what decoding needs from one record to the next: buffers, and how far the clocks are apart.
pub(super) struct Decoder {
    unix_minus_boot_ns: i64,
    texts: Texts,
}

impl Decoder {
    pub(super) fn new(unix_minus_boot_ns: i64) -> Self {
        Self { unix_minus_boot_ns, texts: std::array::from_fn(|_| Vec::with_capacity(4096)) }
    }

    /// Unix time, of a time of the boot clock.
    pub(super) fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.unix_minus_boot_ns)
    }

    pub(super) fn decode<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Record<'a>> {
        let tail_at = bytes.len().checked_sub(TAIL).ok_or(Malformed)?;
        let (body, tail) = bytes.split_at_checked(tail_at).ok_or(Malformed)?;
        let (rest, mut tail) = (Rest(body), Rest(tail));
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

        let facts = Facts {
            path: path_facts(marks),
            said: marks & mark::USER_STRING != 0,
            io_uring: marks & mark::URING != 0,
            ..Facts::default()
        };
        let event = Event::new(ts, (), pid, Body::Exit).with_start(start);
        let mut parts = Parts { rest, text_bytes, marks, spare, facts, event };
        let what = table::decode(kind, &mut parts, &mut self.texts).ok_or(Malformed)??;
        parts.rest.end()?;
        Ok(Record { cgroup, what, facts: parts.facts })
    }
}

pub(super) fn path_facts(marks: u8) -> PathFacts {
    PathFacts { cut: marks & mark::CUT != 0, detached: marks & mark::DETACHED != 0 }
}

/// The path, marked if only a part of it is known.
pub(super) fn whole<'a>(path: &'a [u8], facts: PathFacts, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let before = match facts {
        PathFacts { detached: true, .. } => UNREACHABLE,
        PathFacts { cut: true, .. } => CUT,
        PathFacts { .. } => return path,
    };
    buffer.clear();
    buffer.extend_from_slice(before);
    buffer.extend_from_slice(path.strip_prefix(b"/").unwrap_or(path));
    buffer
}

#[cfg(test)]
mod tests;
