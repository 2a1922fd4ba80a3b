//! Reading Linux' audit log: auditd's `audit.log`, what `ausearch --raw` prints, and its lines in the kernel's own log.
//!
//! Several lines with one number are one event. A log knows no container: all of it is one, named [`CONTAINER`], whose
//! image is the first program, unless the caller knows better.
//!
//! | line | becomes |
//! |---|---|
//! | SYSCALL, with EXECVE, PATH, CWD, SOCKADDR of the same number | exec, fork, exit, open, change, connect or bind, if they tell it; in any case that the call was made |
//! | SECCOMP | syscalls |
//! | AVC of AppArmor or SELinux | open, change, mount or capability, refused or let pass |
//! | all others | nothing |
//!
//! The program of a process that was not seen to start is implied: SYSCALL and SECCOMP name it. What is gathered and
//! remembered is bounded.
//!
//! Not here: machines other than x86-64 and 64-bit ARM, of which the numbers of calls are not known.

mod deed;
mod denial;
mod gathered;
mod line;
mod who;

use std::collections::VecDeque;

use self::deed::Deed;
use self::denial::Denial;
use self::gathered::{Call, Gathered};
use self::line::{Id, Kind, Line as Parsed};
use self::who::Who;
use super::bounded::Bounded;
use super::strace::StraceOptions;
use super::{Decoder, Line, Reject};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Change, Event, EventRef, Exec, Sink, Syscalls};
use crate::hash::fingerprint;
use crate::ledger::Ignored;

/// The id of the one container that a log's processes are in.
pub const CONTAINER: &str = "audit";

/// How many events are gathered at a time. Lines of different events are mixed only where processors are.
const GATHERED: usize = 32;
/// How long after an event's time its lines are waited for, in nanoseconds of the log's own time.
const PATIENCE: u64 = 2_000_000_000;
/// How many processes are remembered to have a program.
const PROCESSES: usize = 1 << 16;

const NOTHING: Line = Line::Ignored(Ignored::NoBehaviour);

/// Decodes the lines of an audit log.
#[derive(Debug)]
pub struct AuditDecoder {
    options: StraceOptions,
    is_started: bool,
    events: VecDeque<Gathered>,
    /// The programs of processes, as hashes of their paths.
    programs: Bounded<u32, u128>,
}

impl AuditDecoder {
    /// A decoder of one log.
    pub fn new(options: StraceOptions) -> Self {
        Self { options, is_started: false, events: VecDeque::new(), programs: Bounded::new(PROCESSES) }
    }
}

/// Whether a line, or the beginning of one, looks like one of an audit log.
pub(super) fn is_likely(line: &[u8]) -> bool {
    line::is_likely(line)
}

impl Decoder for AuditDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let line = line::parse(record)?;
        self.tell_ended(line.id, sink);
        let Parsed { kind, id, fields } = line;
        match kind {
            Kind::Syscall => {
                let Some(call) = Call::of(fields) else { return Ok(NOTHING) };
                return Ok(self.gather(id, |event| event.call.is_some(), |event| event.call = Some(call), sink));
            }
            Kind::Seccomp | Kind::Avc => {
                let Some(denial) = Denial::of(line) else { return Ok(NOTHING) };
                return Ok(self.gather(id, Gathered::is_full, |event| event.denials.push(denial), sink));
            }
            _ => {}
        }
        let Some(event) = self.events.iter_mut().rev().find(|event| event.id == id) else { return Ok(NOTHING) };
        match kind {
            Kind::Path => event.add_path(fields),
            Kind::Cwd => event.add_cwd(fields),
            Kind::Execve => event.add_arguments(fields),
            Kind::Sockaddr => event.add_address(fields),
            Kind::End => event.is_whole = true,
            Kind::Syscall | Kind::Seccomp | Kind::Avc | Kind::Other => {}
        }
        Ok(NOTHING)
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        while let Some(event) = self.events.pop_front() {
            self.report(&event, sink);
        }
    }
}

impl AuditDecoder {
    /// Tells of the events of which no more lines will come, now that there is one of `id`.
    fn tell_ended(&mut self, id: Id, sink: &mut dyn Sink) {
        while let Some(first) = self.events.front()
            && (first.is_whole && first.id != id || id.ts.saturating_sub(first.id.ts) > PATIENCE)
            && let Some(event) = self.events.pop_front()
        {
            self.report(&event, sink);
        }
    }

    /// Adds to the event of this number, or to a new one if there is none or it `is_full`.
    fn gather(
        &mut self,
        id: Id,
        is_full: impl Fn(&Gathered) -> bool,
        add: impl FnOnce(&mut Gathered),
        sink: &mut dyn Sink,
    ) -> Line {
        match self.events.iter_mut().rev().find(|event| event.id == id && !is_full(event)) {
            Some(event) => add(event),
            None => {
                if self.events.len() >= GATHERED
                    && let Some(oldest) = self.events.pop_front()
                {
                    self.report(&oldest, sink);
                }
                let mut event = Gathered::new(id);
                add(&mut event);
                self.events.push_back(event);
            }
        }
        Line::Held
    }

    /// Tells of an event: once for each line of it that waited.
    fn report(&mut self, event: &Gathered, sink: &mut dyn Sink) {
        let ts = event.id.ts;
        if let Some(call) = &event.call {
            let deed = deed::of(event, call);
            if matches!(deed, Some(Deed::Exec { .. })) {
                self.tell_exec(event, call, deed.as_ref(), sink);
            } else {
                self.observe(ts, &call.who, sink);
                self.tell_call(event, call, deed.as_ref(), sink);
            }
        }
        for denial in &event.denials {
            self.observe(ts, &denial.who, sink);
            self.start(ts, b"", sink);
            sink.event(by(denial.who.pid, ts, denial.body()));
        }
    }

    fn tell_exec(&mut self, event: &Gathered, call: &Call, deed: Option<&Deed<'_>>, sink: &mut dyn Sink) {
        let (pid, ts) = (call.who.pid, event.id.ts);
        let Some(Body::Exec(exec)) = deed.and_then(|deed| deed.body(event, call)) else { return };
        self.start(ts, exec.path, sink);
        let exe = call.who.exe.as_deref().unwrap_or(exec.path);
        // The call is that of what the process ran before.
        if self.programs.get(&pid).is_some() {
            sink.implied(by(pid, ts, Body::Syscalls(Syscalls { nrs: &call.nr.to_le_bytes() })));
        }
        self.programs.insert(pid, fingerprint(exe));
        sink.event(by(pid, ts, Body::Exec(exec)));
    }

    fn tell_call(&mut self, event: &Gathered, call: &Call, deed: Option<&Deed<'_>>, sink: &mut dyn Sink) {
        let (pid, ts) = (call.who.pid, event.id.ts);
        let nrs = call.nr.to_le_bytes();
        let syscall = by(pid, ts, Body::Syscalls(Syscalls { nrs: &nrs }));
        self.start(ts, b"", sink);
        match deed {
            Some(Deed::Fork { child }) => {
                if let Some(program) = self.programs.get(&pid).copied() {
                    self.programs.insert(*child, program);
                }
                sink.implied(syscall);
                sink.event(by(*child, ts, Body::Fork { ppid: pid, ns_pid: None }));
            }
            Some(deed) => {
                sink.implied(syscall);
                if let Deed::Open { path, is_made: true, .. } = deed {
                    let change = Change { op: ChangeOp::Create, path: &**path, from: None, ret: 0 };
                    sink.implied(by(pid, ts, Body::Change(change)));
                }
                if matches!(deed, Deed::Exit) {
                    self.programs.remove(&pid);
                }
                if let Some(body) = deed.body(event, call) {
                    sink.event(by(pid, ts, body));
                }
            }
            None => sink.event(syscall),
        }
    }

    /// Tells of the program of a process, unless it was told.
    fn observe(&mut self, ts: u64, who: &Who, sink: &mut dyn Sink) {
        let Some(exe) = who.exe.as_deref() else { return };
        let program = fingerprint(exe);
        let known = self.programs.get(&who.pid).copied();
        if known == Some(program) {
            return;
        }
        self.start(ts, exe, sink);
        self.programs.insert(who.pid, program);
        if known.is_none() && self.programs.get(&who.ppid) == Some(&program) {
            return sink.implied(by(who.pid, ts, Body::Fork { ppid: who.ppid, ns_pid: None }));
        }
        let exec = Exec { ppid: who.ppid, path: exe, uid: who.uid, gid: who.gid, ..Exec::default() };
        sink.implied(by(who.pid, ts, Body::Exec(exec)));
    }

    /// Binds the container to its workload, once.
    fn start(&mut self, ts: u64, program: &[u8], sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        let name = program.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()).unwrap_or(b"audit");
        let image = match &self.options.image {
            Some(image) => image.as_str().into(),
            None => String::from_utf8_lossy(name),
        };
        let body = Body::ContainerStart { image: image.as_bytes(), tag: self.options.tag.as_bytes() };
        sink.implied(by(0, ts, body));
    }
}

fn by<'a>(pid: u32, ts: u64, body: Body<&'a [u8]>) -> EventRef<'a> {
    Event { ts, container: CONTAINER.as_bytes(), pid, start: None, body }
}

#[cfg(test)]
mod tests;
