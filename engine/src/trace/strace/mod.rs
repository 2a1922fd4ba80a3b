//! Reading the logs of `strace -f`.
//!
//! A log knows one process tree and no container: all of it is one container, named [`CONTAINER`]. Its image is the
//! first program, unless the caller knows better. Every line is one record:
//!
//! | line | becomes |
//! |---|---|
//! | a successful exec, an open, a change of a name, an executable mapping of a file, a mount, a fork, an exit | that event; before it, once per program, its system call |
//! | a connect, bind or accept of an IP or unix address; a datagram sent to an address, or heard from one at a port of the program's choice | likewise |
//! | a request sent to a metadata service | likewise, if the line has its path |
//! | any other call that returned | a `syscalls` event |
//! | `<unfinished ...>`, a signal, a thread's end, a message of strace's own | nothing |
//!
//! How much went over a TCP connection is implied by its end, in each direction of which the log has the plain calls
//! (read, write). A file that an open made is implied where `O_EXCL` proves it. A program that is given by a relative
//! path is held back, with all that follows, until its directory is told by a later line, for a while.
//!
//! Time stamps may be of `-ttt`, `-tt`, `-t`, `-r` or none; without a date time counts from the epoch, without a
//! stamp in lines. What is remembered of threads and processes is bounded; the oldest is forgotten first.
//!
//! Not here: other architectures. System calls are taken to be x86-64's.

mod calls;
mod clock;
mod files;
mod held;
mod line;
mod process;
mod scan;
mod sockets;
mod table;
mod value;

use std::borrow::Cow;

use crate::event::{Body as EventBody, Event, Sink};
use crate::ledger::{Ignored, Rejected};

use self::clock::Clock;
use self::held::Held;
use self::line::{Body, Line as Parsed};
use self::sockets::Sockets;
use self::table::{NewThread, Table};
use super::{Decoder, Line, Reject};

/// The id of the one container that a log's processes are in.
pub const CONTAINER: &str = "strace";

/// What a log does not say of its processes' container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StraceOptions {
    /// The image; by default the basename of the first program.
    pub image: Option<String>,
    /// The image's tag.
    pub tag: String,
}

impl Default for StraceOptions {
    fn default() -> Self {
        Self { image: None, tag: "local".into() }
    }
}

/// The thread that lines without a pid column belong to. Its number is not in the log as long as it is alone.
const NAMELESS: u32 = 1;
/// The longest half of a cut line that is kept for the other half.
const CUT_BYTES: usize = 1 << 20;

/// Decodes the lines of an strace log.
#[derive(Debug)]
pub struct StraceDecoder {
    options: StraceOptions,
    started: bool,
    clock: Clock,
    table: Table,
    sockets: Sockets,
    /// An exec that waits for its directory, and what came after it.
    held: Option<Held>,
    /// What is told now goes behind such an exec.
    is_holding: bool,
    /// There was a call.
    has_calls: bool,
    /// The number of the [`NAMELESS`] thread, once lines have a pid column.
    alias: Option<u32>,
    nameless: bool,
    cut: Option<Cut>,
}

/// A call that a message of strace's own cut in two.
#[derive(Debug)]
struct Cut {
    tid: u32,
    ts: u64,
    text: Vec<u8>,
}

impl StraceDecoder {
    /// A decoder of one log.
    pub fn new(options: StraceOptions) -> Self {
        Self {
            options,
            started: false,
            clock: Clock::default(),
            table: Table::new(),
            sockets: Sockets::new(),
            held: None,
            is_holding: false,
            has_calls: false,
            alias: None,
            nameless: false,
            cut: None,
        }
    }
}

impl Decoder for StraceDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let Some(mut held) = self.held.take() else { return self.line(record, sink) };
        // What this line tells has to wait as well. Of a second exec that would, only the first does.
        self.is_holding = true;
        let reported = self.line(record, &mut held.events);
        self.is_holding = false;
        if held.is_over(self.table.process(held.pid())) {
            held.report(sink);
            return reported;
        }
        self.held = Some(held);
        Ok(if reported? == Line::Event { Line::Held } else { NOTHING })
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        if let Some(held) = self.held.take() {
            held.report(sink);
        }
    }
}

/// Whether a line, or the beginning of one, looks like one of strace's.
pub(crate) fn is_likely(line: &[u8]) -> bool {
    line::is_likely(line)
}

impl StraceDecoder {
    fn line(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        if let Some(mut cut) = self.cut.take().filter(|_| line::continues(record)) {
            cut.text.extend_from_slice(record.trim_ascii_end());
            let body = line::body(&cut.text).ok_or_else(malformed)?;
            return self.body(cut.tid, cut.ts, body, sink);
        }
        let Parsed { tid, time, body } = line::parse(record).ok_or_else(malformed)?;
        let ts = self.clock.stamp(time);
        if self.options.image.is_some() {
            self.start(ts, b"", sink);
        }
        let tid = self.thread(tid, &body);
        self.body(tid, ts, body, sink)
    }
}

impl StraceDecoder {
    /// The thread that a line is of: the only one, where lines have no thread id.
    fn thread(&mut self, tid: Option<u32>, body: &Body<'_>) -> u32 {
        let Some(tid) = tid else {
            if self.nameless && self.table.is_gone(NAMELESS) {
                // Once the first process has ended, the one that is left has no pid column either.
                return self.table.first_live().unwrap_or(NAMELESS);
            }
            self.nameless |= *body != Body::Note;
            return NAMELESS;
        };
        let is_new = self.table.pid_of(tid).is_none() && !self.table.is_gone(tid);
        if self.nameless && self.alias.is_none() && is_new {
            // The first process gets its number once there are others. Those are known by the call that made them.
            if matches!(body, Body::Resumed { .. }) || !self.table.awaits_child() {
                self.alias = Some(tid);
            }
        }
        if self.alias == Some(tid) { NAMELESS } else { tid }
    }

    fn body(&mut self, tid: u32, ts: u64, body: Body<'_>, sink: &mut dyn Sink) -> Result<Line, Reject> {
        match body {
            Body::Call(call) => {
                self.has_calls = true;
                let pid = self.arrive(tid, ts, sink);
                return Ok(self.call(Caller { tid, pid, ts, child: None }, &call, sink));
            }
            Body::Resumed { name, rest } => return self.resumed(tid, ts, name, rest, sink),
            Body::Unfinished(head) => {
                self.arrive(tid, ts, sink);
                self.table.suspend(tid, head);
            }
            Body::Cut(head) if head.len() <= CUT_BYTES => self.cut = Some(Cut { tid, ts, text: head.to_vec() }),
            Body::Gone => {
                if let Some(pid) = self.table.pid_of(tid) {
                    self.end_flows(pid, ts, sink);
                }
                if let Some(pid) = self.table.end_thread(tid) {
                    sink.event(event(pid, ts, EventBody::Exit));
                    return Ok(Line::Event);
                }
            }
            Body::Superseded(by) => self.table.supersede(tid, by),
            // A table without the calls that it sums up is all there is of them.
            Body::Summary if !self.has_calls => return Err(malformed()),
            Body::Cut(_) | Body::Note | Body::Summary => {}
        }
        Ok(NOTHING)
    }

    /// The process of a thread, whose birth is told if this is its first line.
    fn arrive(&mut self, tid: u32, ts: u64, sink: &mut dyn Sink) -> u32 {
        let (pid, arrival) = self.table.arrive(tid);
        if let NewThread::Child { ppid } = arrival {
            sink.implied(event(pid, ts, EventBody::Fork { ppid, ns_pid: None }));
        }
        pid
    }

    /// Puts the two halves of a call together.
    fn resumed(&mut self, tid: u32, ts: u64, name: &[u8], rest: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        if self.table.is_gone(tid) {
            // What was left of a thread whose process has ended.
            return Ok(NOTHING);
        }
        let pending = self.table.resume(tid);
        let pid = self.arrive(tid, ts, sink);
        let begun =
            pending.filter(|pending| pending.head.strip_prefix(name).is_some_and(|head| head.starts_with(b"(")));
        let Some(mut pending) = begun else {
            // Its beginning is not in the log, or was too long to keep.
            return Ok(self.syscall(pid, ts, name, Reported::Counted, sink));
        };
        pending.head.extend_from_slice(rest);
        let call = line::call(&pending.head).ok_or_else(malformed)?;
        Ok(self.call(Caller { tid, pid, ts, child: pending.child }, &call, sink))
    }

    /// Binds the container to its workload, once.
    fn start(&mut self, ts: u64, program: &[u8], sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let image = match &self.options.image {
            Some(image) => Cow::Borrowed(image.as_str()),
            None => String::from_utf8_lossy(program),
        };
        let body = EventBody::ContainerStart { image: image.as_bytes(), tag: self.options.tag.as_bytes() };
        sink.implied(event(0, ts, body));
    }
}

/// The thread and process that made a call.
#[derive(Clone, Copy, Debug)]
struct Caller {
    tid: u32,
    pid: u32,
    ts: u64,
    /// For a clone: the child that was seen before the call returned.
    child: Option<u32>,
}

/// How a system call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    /// As the line's own event.
    Counted,
    /// Beside the line's own event, if the program was not seen to make it before.
    Beside,
}

const NOTHING: Line = Line::Ignored(Ignored::NoBehaviour);

fn event(pid: u32, ts: u64, body: EventBody<&[u8]>) -> Event<&[u8]> {
    Event { ts, container: CONTAINER.as_bytes(), pid, start: None, body }
}

fn malformed() -> Reject {
    Reject { reason: Rejected::Malformed, field: None, detail: "not a line of an strace log".into() }
}

#[cfg(test)]
mod tests;
