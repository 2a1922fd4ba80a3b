//! A program that is given by a relative path, while nobody knows its directory: it waits for a line that tells, and what
//! comes after it waits behind it.

use std::sync::Arc;

use super::calls::exec_body;
use super::event;
use super::process::Process;
use crate::event::{EventBuf, Sink};

/// How many lines are waited for. Programs that say where they are do so soon, if at all.
const LINES_MAX: usize = 4096;
/// How many bytes of text are kept for it.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// An exec that waits, and the events that came after it.
#[derive(Debug)]
pub(super) struct Held {
    pid: u32,
    ts: u64,
    ppid: u32,
    path: Vec<u8>,
    argv: Option<Vec<u8>>,
    /// The directory in which it was run, once it is known.
    cwd: Option<Arc<[u8]>>,
    lines: usize,
    pub(super) events: EventBuf,
}

impl Held {
    pub(super) fn new(pid: u32, ts: u64, ppid: u32, path: Vec<u8>, argv: Option<Vec<u8>>) -> Self {
        Self { pid, ts, ppid, path, argv, cwd: None, lines: 0, events: EventBuf::new() }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether waiting is over after one more line: the directory is known, or will not be any more. `process` is what is
    /// known of it, unless it has ended.
    pub(super) fn is_over(&mut self, process: Option<&Process>) -> bool {
        self.lines += 1;
        let Some(process) = process else { return true };
        if process.moved {
            return true;
        }
        self.cwd = process.cwd.clone();
        self.cwd.is_some() || self.lines >= LINES_MAX || self.events.text_bytes() >= TEXT_BYTES_MAX
    }

    /// Tells of the exec, and of all that came after it.
    pub(super) fn report(self, sink: &mut dyn Sink) {
        let body = exec_body(self.ppid, &self.path, self.argv.as_deref(), self.cwd.as_deref());
        sink.event(event(self.pid, self.ts, body));
        for stored in self.events.iter() {
            if stored.counted { sink.event(stored.event) } else { sink.implied(stored.event) }
        }
    }
}
