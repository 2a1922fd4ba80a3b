//! Reading Tracee's JSON lines, of before 2026 and, as `v1beta1.Event`, since.
//!
//! | event | becomes |
//! |---|---|
//! | `net_packet_dns`, `net_packet_dns_request` | dns, if it is a question; of several, all but the first are implied |
//! | `net_packet_http`, `net_packet_http_request` | imds, if it is a request to a metadata service |
//! | `sched_process_exec`, `sched_process_fork`, `sched_process_exit` | exec, fork, exit; of threads nothing |
//! | `container_create`, `existing_container` | container_start |
//! | `open`, `openat`, `openat2`, `creat`, `security_file_open` | open |
//! | `shared_object_loaded`, `security_mmap_file` of what is to be executed | open, mapped |
//! | `connect`, `security_socket_connect`, `net_tcp_connect` | connect |
//! | `bind`, `security_socket_bind`, `security_socket_listen` | bind |
//! | `socket_accept` | accept |
//! | `cap_capable`, `mount`, `security_sb_mount`, `sys_enter` | capability, mount, mount, syscalls |
//! | calls and `security_inode_*` that change names, `chmod_common`, `do_truncate` | change |
//! | all others | nothing |
//!
//! The program of a process that was not seen to start is implied, where Tracee tells it. Pids are those of the host. A
//! thread's start is its process's only if it leads it, so the others' is not used.

mod meaning;
mod record;

use std::borrow::Cow;

use self::meaning::Meaning;
use self::record::{Record, Who};
use super::programs::{By, Programs, is_memfd};
use super::{Decoder, Line, Reject, json};
use crate::event::{Body, Dns, Event, Exec, Sink, Syscalls};

/// Decodes the lines of a Tracee log.
#[derive(Debug)]
pub struct TraceeDecoder {
    programs: Programs,
}

impl Default for TraceeDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceeDecoder {
    /// A decoder of one log.
    pub fn new() -> Self {
        Self { programs: Programs::new() }
    }
}

impl Decoder for TraceeDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let record: Record<'_> = json::object(record)?;
        let meaning = meaning::of(&record)?;
        if let Meaning::Nothing(why) = meaning {
            return Ok(Line::Ignored(why));
        }
        let ts = record.ts()?;
        if let Meaning::Started { id, image } = &meaning {
            self.programs.started(ts, id, image, sink);
            return Ok(Line::Event);
        }
        let who = record.who()?;
        let (id, image) = record.container();
        let container = self.programs.container(ts, id, image, sink);
        let by = By { ts, container, pid: who.pid, start: who.start };
        match &meaning {
            Meaning::Exec { path, argv } => {
                self.programs.exec(container, who.pid);
                let exec = Exec { argv: argv.as_deref(), ..program(&who, path) };
                sink.event(by.event(Body::Exec(exec)));
                return Ok(Line::Event);
            }
            // The child's start is given on another clock than the start of those that write the events.
            Meaning::Fork { pid, ppid } => {
                self.programs.fork(container, *pid, *ppid);
                sink.event(By { pid: *pid, start: None, ..by }.event(Body::Fork { ppid: *ppid, ns_pid: None }));
                return Ok(Line::Event);
            }
            Meaning::Exit => {
                self.programs.exit(container, who.pid);
                sink.event(by.event(Body::Exit));
                return Ok(Line::Event);
            }
            _ => {}
        }
        self.programs.introduce(by, program(&who, who.path.unwrap_or_default()), sink);
        match meaning {
            Meaning::Does(body) => {
                // An event borrows its texts.
                let mut texts = Vec::new();
                let event =
                    Event { ts, container: Cow::Borrowed(container.as_bytes()), pid: by.pid, start: by.start, body };
                let event = event.map(|text| {
                    texts.push(text);
                    texts.len() - 1
                });
                sink.event(event.map(|at| texts.get(at).map_or(&[][..], |text| text)));
            }
            Meaning::Syscall(nr) => sink.event(by.event(Body::Syscalls(Syscalls { nrs: &nr.to_le_bytes() }))),
            Meaning::Dns(questions) => {
                for (at, (name, qtype)) in questions.iter().enumerate() {
                    // The root's name is empty in Tracee, and a dot everywhere else.
                    let name = if name.is_empty() { b"." } else { name.as_bytes() };
                    let event = by.event(Body::Dns(Dns { name, qtype: *qtype }));
                    if at == 0 { sink.event(event) } else { sink.implied(event) }
                }
            }
            Meaning::Exec { .. } | Meaning::Fork { .. } | Meaning::Exit => {}
            Meaning::Started { .. } | Meaning::Nothing(_) => {}
        }
        Ok(Line::Event)
    }
}

fn program<'a>(who: &Who<'_>, path: &'a str) -> Exec<&'a [u8]> {
    Exec { ppid: who.ppid, path: path.as_bytes(), uid: who.uid, fileless: is_memfd(path), ..Exec::default() }
}

#[cfg(test)]
mod tests;
