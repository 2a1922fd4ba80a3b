//! Reading Tetragon's JSON export.
//!
//! | record | becomes |
//! |---|---|
//! | `process_exec`, `process_exit`, `process_dns` | exec, exit, dns |
//! | `process_connect`, `process_listen` | connect, bind |
//! | `process_close` of a connection whose `process_connect` came before | flow, if it says how much |
//! | `process_kprobe`, `process_lsm`, `process_tracepoint` of a function that connects, binds, accepts, opens, checks a file's permission (`security_file_permission`) or a capability (`cap_capable`), maps, mounts, or changes names | that, if its arguments say what |
//! | all others | nothing but their process |
//!
//! Every record describes its process and that process's parent. What is described and was not seen to start is told
//! as an implied exec, or, if Tetragon's flags say that it was cloned and has run nothing since, as an implied fork.
//!
//! Tetragon counts each exec as another process with a start time of its own. Grove's process is the kernel's, so its
//! start is that of the first of its execs that is known.
//!
//! Not here: telling where a record ends, since an export may be lines or pretty-printed objects.

mod meaning;
mod record;

use std::borrow::Cow;

use self::meaning::Meaning;
use self::record::{Process, ProcessEvent, Record};
use super::bounded::Bounded;
use super::json;
use super::{Decoder, Line, Reject, image};
use crate::event::{Body, Dns, Event, Exec, Sink};
use crate::hash::fingerprint;
use crate::ledger::Ignored;

/// How many containers are remembered.
const CONTAINERS: usize = 1 << 14;
/// How many processes, and how many execs, are remembered.
const PROCESSES: usize = 1 << 16;
/// `docker` is the id's first 31 characters, or 24 in older versions: the fewer are what all have in common.
const PREFIX: usize = 24;
/// The longest container id that is believed; the runtimes' have 64 characters.
const ID_BYTES: usize = 256;

/// Decodes the records of a Tetragon export, one JSON object each.
#[derive(Debug)]
pub struct TetragonDecoder {
    /// By the first characters of the id.
    containers: Bounded<Box<str>, Container>,
    /// The start of the process that an exec belongs to, by the hash of Tetragon's `exec_id`.
    execs: Bounded<u128, Option<u64>>,
    /// The processes that run, by the hash of the container's id, and their pid.
    running: Bounded<(u128, u32), Running>,
    /// The connections that were made, as hashes of container and both sides.
    connections: Bounded<u128, ()>,
}

#[derive(Debug)]
struct Container {
    /// The id as it was first given: a container has one, even where records give it at different lengths.
    id: Box<str>,
    /// A `container_start` was sent for it.
    started: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    start: Option<u64>,
    ppid: u32,
    /// It ran a program of its own.
    has_exec: bool,
}

/// Where and when something happened.
#[derive(Clone, Copy, Debug)]
struct EventContext<'a> {
    container: &'a str,
    ts: u64,
}

impl<'a> EventContext<'a> {
    fn event(self, pid: u32, start: Option<u64>, body: Body<&'a [u8]>) -> Event<&'a [u8]> {
        Event { ts: self.ts, container: self.container.as_bytes(), pid, start, body }
    }
}

impl Default for TetragonDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TetragonDecoder {
    /// A decoder of one export.
    pub fn new() -> Self {
        Self {
            containers: Bounded::new(CONTAINERS),
            execs: Bounded::new(PROCESSES),
            running: Bounded::new(PROCESSES),
            connections: Bounded::new(PROCESSES),
        }
    }
}

impl Decoder for TetragonDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let record: Record<'_> = json::object(record)?;
        let Some((happening, meaning)) = meaning::of(&record)? else { return Ok(Line::Ignored(Ignored::NoBehaviour)) };
        if let Meaning::Nothing(why) = meaning {
            self.introduce(&record, happening, sink);
            return Ok(Line::Ignored(why));
        }
        let process = happening.process.as_ref().ok_or_else(|| json::missing("process"))?;
        let pid = pid(process)?;
        let time = record.time.as_ref().or(process.start_time.as_ref()).ok_or_else(|| json::missing("time"))?;
        let ts = json::nanos(time, "time")?;
        let start = started(process)?;
        let parent = happening.parent.as_ref();
        if let Some(parent) = parent {
            started(parent)?;
        }
        // From here on nothing is rejected, so that a record is either told whole or not at all.
        let container = self.container(process, ts, sink);
        let context = EventContext { container: &container, ts };
        let family = parent.filter(|parent| *self.container(parent, ts, sink) == *container);
        if let Some(family) = family {
            self.register(context, family, None, sink);
        }
        if let Meaning::Exec = meaning {
            self.run(context, process, pid, start, parent, Reported::Counted, sink);
            return Ok(Line::Event);
        }
        let start = self.register(context, process, parent.filter(|_| family.is_some()), sink);
        let connection = connection(context, happening);
        if record.process_connect.is_some() {
            self.connections.insert(connection, ());
        } else if record.process_close.is_some() && self.connections.remove(&connection).is_none() {
            // Nobody knows who made it.
            return Ok(Line::Ignored(Ignored::NoBehaviour));
        }
        match meaning {
            Meaning::Exit => {
                sink.event(context.event(pid, start, Body::Exit));
                // Whoever has this number next is another process.
                self.running.remove(&key(context, pid));
            }
            Meaning::Body(body) => sink.event(context.event(pid, start, body)),
            Meaning::Dns(questions) => {
                for (at, (name, qtype)) in questions.into_iter().enumerate() {
                    let event = context.event(pid, start, Body::Dns(Dns { name: name.as_bytes(), qtype }));
                    if at == 0 { sink.event(event) } else { sink.implied(event) }
                }
            }
            Meaning::Exec | Meaning::Nothing(_) => {}
        }
        Ok(Line::Event)
    }
}

/// Whether an exec is sent as an event, or only implied by a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Counted,
    Implied,
}

impl TetragonDecoder {
    /// Tells of the processes that a record describes, if it does; nothing in it is faulty.
    fn introduce(&mut self, record: &Record<'_>, happening: &ProcessEvent<'_>, sink: &mut dyn Sink) {
        let Some(process) = &happening.process else { return };
        let Some(ts) = record.time.as_ref().and_then(|time| json::nanos(time, "time").ok()) else { return };
        let container = self.container(process, ts, sink);
        let context = EventContext { container: &container, ts };
        let parent = happening.parent.as_ref().filter(|parent| *self.container(parent, ts, sink) == *container);
        if let Some(parent) = parent {
            self.register(context, parent, None, sink);
        }
        self.register(context, process, parent, sink);
    }

    /// The id of a process's container, whose workload is told once it is known.
    fn container(&mut self, process: &Process<'_>, ts: u64, sink: &mut dyn Sink) -> Box<str> {
        let pod = process.pod.as_ref().and_then(|pod| pod.container.as_ref());
        // containerd://19a02291…
        let full = pod.and_then(|container| container.id.as_deref()).map(|id| id.rsplit("://").next().unwrap_or(id));
        let id = full.filter(|id| !id.is_empty()).or(process.docker.as_deref()).unwrap_or_default();
        if id.is_empty() || id.len() > ID_BYTES {
            return Box::from("");
        }
        let prefix = id.get(..PREFIX).unwrap_or(id);
        let new = || Container { id: id.into(), started: false };
        let container = self.containers.get_or_insert_with(prefix.into(), new);
        if !container.id.starts_with(id) && !id.starts_with(&*container.id) {
            *container = new();
        }
        let reference = pod.and_then(|container| container.image.as_ref()?.name.as_deref());
        if let Some(reference) = reference.filter(|reference| !reference.is_empty() && !container.started) {
            container.started = true;
            let (image, tag) = image::split_image(reference);
            let body = Body::ContainerStart { image: image.as_bytes(), tag: tag.as_bytes() };
            sink.implied(EventContext { container: &container.id, ts }.event(0, None, body));
        }
        container.id.clone()
    }

    /// Tells of a process that a record describes, unless it is known. Returns its start.
    fn register(
        &mut self,
        context: EventContext<'_>,
        process: &Process<'_>,
        parent: Option<&Process<'_>>,
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        let own = started(process).ok().flatten();
        if let Some(start) = self.execs.get(&exec_key(context, process)) {
            return *start;
        }
        let Ok(pid) = pid(process) else { return own };
        // The kernel itself is described as `<kernel>`.
        if pid == 0 || process.binary.as_deref().is_none_or(|binary| binary.is_empty() || binary.starts_with('<')) {
            return own;
        }
        let has_exec = ["execve", "execveat", "procFS"].iter().any(|flag| process.has_flag(flag));
        let ppid = parent.and_then(|parent| self::pid(parent).ok()).filter(|ppid| *ppid != pid);
        match ppid {
            Some(ppid) if process.has_flag("clone") && !has_exec => {
                sink.implied(context.event(pid, own, Body::Fork { ppid, ns_pid: None }));
                self.running.insert(key(context, pid), Running { start: own, ppid, has_exec });
                self.execs.insert(exec_key(context, process), own);
                own
            }
            _ => self.run(context, process, pid, own, parent, Reported::Implied, sink),
        }
    }

    /// Tells of an exec. Returns the start of the process.
    #[allow(clippy::too_many_arguments)] // the description of a process, taken apart once
    fn run(
        &mut self,
        context: EventContext<'_>,
        process: &Process<'_>,
        pid: u32,
        start: Option<u64>,
        parent: Option<&Process<'_>>,
        reported: Reported,
        sink: &mut dyn Sink,
    ) -> Option<u64> {
        let before = self.running.get(&key(context, pid)).copied();
        // Without `clone` it ran something before; and what was cloned only is the same when it runs something.
        let goes_on = process.flags.is_some() && !process.has_flag("clone") && !process.has_flag("procFS");
        let same = before.filter(|before| goes_on || !before.has_exec);
        let known = self.execs.get(&exec_key(context, process)).copied();
        let start = known.unwrap_or_else(|| same.map_or(start, |same| same.start));
        // Some versions describe the program that a process ran before as its own parent.
        let ppid = parent.and_then(|parent| self::pid(parent).ok()).filter(|ppid| *ppid != pid);
        let ppid = ppid.or(before.map(|before| before.ppid)).unwrap_or(0);

        let path = path(process);
        let argv = argv(process);
        let file = process.binary_properties.as_ref().and_then(|properties| properties.file.as_ref()?.path.as_deref());
        let exec = Exec {
            ppid,
            path: path.as_bytes(),
            argv: Some(&argv),
            cwd: cwd(process).map(str::as_bytes),
            uid: process.uid.and_then(|uid| u32::try_from(uid.0).ok()),
            fileless: is_memfd(&path) || file.is_some_and(is_memfd),
            ..Exec::default()
        };
        let event =
            Event { ts: context.ts, container: context.container.as_bytes(), pid, start, body: Body::Exec(exec) };
        match reported {
            Reported::Counted => sink.event(event),
            Reported::Implied => sink.implied(event),
        }
        self.running.insert(key(context, pid), Running { start, ppid, has_exec: true });
        self.execs.insert(exec_key(context, process), start);
        start
    }
}

/// Stands for a connection.
fn connection(context: EventContext<'_>, happening: &ProcessEvent<'_>) -> u128 {
    let ProcessEvent { source_ip, source_port, destination_ip, destination_port, .. } = happening;
    let sides = (source_ip.as_deref(), source_port, destination_ip.as_deref(), destination_port);
    fingerprint(format!("{} {sides:?}", context.container).as_bytes())
}

fn key(context: EventContext<'_>, pid: u32) -> (u128, u32) {
    (fingerprint(context.container.as_bytes()), pid)
}

/// Stands for Tetragon's own identity of a process; where it gives none, the pid and the start do.
fn exec_key(context: EventContext<'_>, process: &Process<'_>) -> u128 {
    match &process.exec_id {
        Some(id) if !id.is_empty() => fingerprint(id.as_bytes()),
        _ => {
            let (pid, start) = (process.pid.map(|pid| pid.0), process.start_time.as_deref());
            fingerprint(format!("{} {pid:?} {start:?}", context.container).as_bytes())
        }
    }
}

fn pid(process: &Process<'_>) -> Result<u32, Reject> {
    process.pid.ok_or_else(|| json::missing("pid"))?.to("pid")
}

fn started(process: &Process<'_>) -> Result<Option<u64>, Reject> {
    process.start_time.as_ref().map(|time| json::nanos(time, "start_time")).transpose()
}

fn cwd<'a>(process: &'a Process<'_>) -> Option<&'a str> {
    let known = !process.has_flag("nocwd") && !process.has_flag("errorCWD");
    process.cwd.as_deref().filter(|cwd| known && cwd.starts_with('/'))
}

/// The program's path, absolute if the working directory is known.
fn path<'a>(process: &'a Process<'_>) -> Cow<'a, str> {
    let binary = process.binary.as_deref().unwrap_or_default();
    match cwd(process) {
        Some(cwd) if !binary.starts_with('/') && !binary.is_empty() && !is_memfd(binary) => {
            Cow::Owned(format!("{}/{binary}", cwd.trim_end_matches('/')))
        }
        _ => Cow::Borrowed(binary),
    }
}

fn is_memfd(path: &str) -> bool {
    path.trim_start_matches('/').starts_with("memfd:")
}

/// The arguments, each followed by a NUL byte. The zeroth is not recorded; the program's path stands in for it.
fn argv(process: &Process<'_>) -> Vec<u8> {
    let binary = process.binary.as_deref().unwrap_or_default();
    let arguments = process.arguments.as_deref().unwrap_or_default();
    let mut argv = Vec::with_capacity(binary.len() + arguments.len() + 2);
    for arg in std::iter::once(binary).chain(split_arguments(arguments)) {
        argv.extend_from_slice(arg.as_bytes());
        argv.push(0);
    }
    argv
}

/// Arguments are separated by spaces; one that has spaces itself is in double quotes.
fn split_arguments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let quoted = rest.strip_prefix('"').and_then(|inner| {
            let end = inner.find("\" ").or_else(|| inner.ends_with('"').then(|| inner.len() - 1))?;
            Some((inner.get(..end)?, inner.get(end + 1..)?))
        });
        let (arg, after) = quoted.or_else(|| rest.split_once(' ')).unwrap_or((rest, ""));
        rest = after;
        Some(arg)
    })
}

#[cfg(test)]
mod tests;
