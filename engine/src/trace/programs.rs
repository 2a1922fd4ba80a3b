//! What is remembered of a log in which each record describes its process and container: which containers were told to
//! have started, and of which processes the program is known.
//!
//! Bounded: the oldest is forgotten first, and told again when it comes up.

use super::bounded::Bounded;
use super::image::split_image;
use crate::event::{Body, Event, EventRef, Exec, Sink};
use crate::hash::fingerprint;

/// How many containers are remembered.
const CONTAINERS: usize = 1 << 14;
/// How many processes are remembered.
const PROCESSES: usize = 1 << 16;
/// The longest container id that is believed; the runtimes' have 64 characters.
const ID_BYTES: usize = 256;

#[derive(Debug)]
pub(super) struct Programs {
    containers: Bounded<Box<str>, ()>,
    /// By the container's id, hashed, and pid.
    processes: Bounded<(u128, u32), ()>,
}

impl Programs {
    pub(super) fn new() -> Self {
        Self { containers: Bounded::new(CONTAINERS), processes: Bounded::new(PROCESSES) }
    }

    /// The container's id as it is used, empty for the host. Its image is told with it, once.
    pub(super) fn container<'a>(
        &mut self,
        ts: u64,
        id: Option<&'a str>,
        image: Option<&str>,
        sink: &mut dyn Sink,
    ) -> &'a str {
        let Some(id) = id.filter(|id| id.len() <= ID_BYTES) else { return "" };
        if let Some(reference) = image.filter(|image| !image.is_empty())
            && !id.is_empty()
            && self.containers.get(id).is_none()
        {
            self.containers.insert(id.into(), ());
            sink.implied(start(ts, id, reference));
        }
        id
    }

    /// A record of its own told that a container started.
    pub(super) fn started(&mut self, ts: u64, id: &str, image: &str, sink: &mut dyn Sink) {
        self.containers.insert(id.into(), ());
        sink.event(start(ts, id, image));
    }

    /// A record told what a process runs.
    pub(super) fn exec(&mut self, container: &str, pid: u32) {
        self.processes.insert(key(container, pid), ());
    }

    /// A record told of a fork: the child's program is known if its parent's is.
    pub(super) fn fork(&mut self, container: &str, pid: u32, ppid: u32) {
        if self.processes.get(&key(container, ppid)).is_some() {
            self.processes.insert(key(container, pid), ());
        } else {
            self.processes.remove(&key(container, pid));
        }
    }

    /// A record told that a process ended.
    pub(super) fn exit(&mut self, container: &str, pid: u32) {
        self.processes.remove(&key(container, pid));
    }

    /// Implies that the process of `by` runs `exec`, unless its program is known.
    pub(super) fn introduce(&mut self, by: By<'_>, exec: Exec<&[u8]>, sink: &mut dyn Sink) {
        if exec.path.is_empty() || self.processes.get(&key(by.container, by.pid)).is_some() {
            return;
        }
        self.exec(by.container, by.pid);
        sink.implied(by.event(Body::Exec(exec)));
    }
}

/// Whose doing it was, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    pub(super) ts: u64,
    pub(super) container: &'a str,
    pub(super) pid: u32,
    pub(super) start: Option<u64>,
}

impl<'a> By<'a> {
    pub(super) fn event<'b>(self, body: Body<&'b [u8]>) -> EventRef<'b>
    where
        'a: 'b,
    {
        Event { ts: self.ts, container: self.container.as_bytes(), pid: self.pid, start: self.start, body }
    }
}

fn key(container: &str, pid: u32) -> (u128, u32) {
    (fingerprint(container.as_bytes()), pid)
}

fn start<'a>(ts: u64, id: &'a str, reference: &'a str) -> EventRef<'a> {
    let (image, tag) = split_image(reference);
    let body = Body::ContainerStart { image: image.as_bytes(), tag: tag.as_bytes() };
    Event { ts, container: id.as_bytes(), pid: 0, start: None, body }
}

/// Whether a path is that of a program without a file.
pub(super) fn is_memfd(path: &str) -> bool {
    path.trim_start_matches('/').starts_with("memfd:")
}
