//! Reading Tracee's JSON lines.
//!
//! | event | becomes |
//! |---|---|
//! | `net_packet_dns`, `net_packet_dns_request` | dns, if it is a question; of several, all but the first are implied |
//! | `sched_process_exec`, `sched_process_fork`, `sched_process_exit` | exec, fork, exit; of threads nothing |
//! | `open`, `openat`, `openat2`, `creat`, `security_file_open` | open |
//! | `connect`, `bind`, `security_socket_connect`, `security_socket_bind` | connect, bind |
//! | all others | nothing |
//!
//! Pids are those of the host. A thread's start is its process's only if it leads it, so the others' is not used.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use sonic_rs::LazyValue;

use super::bounded::Bounded;
use super::json::{self, Int, Text};
use super::{Decoder, Line, Reject, image};
use crate::event::{Body, Dns, Event, Exec, Open, Peer, Proto, Sink, Socket, SocketOp};
use crate::ledger::Ignored;
use crate::names::open_flags;
use crate::names::question_type;

/// How many containers are remembered to have started.
const CONTAINERS: usize = 1 << 14;
/// The longest container id that is believed; the runtimes' have 64 characters.
const ID_BYTES: usize = 256;

/// Decodes the lines of a Tracee log.
#[derive(Debug)]
pub struct TraceeDecoder {
    started: Bounded<Box<str>, ()>,
}

impl Default for TraceeDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceeDecoder {
    /// A decoder of one log.
    pub fn new() -> Self {
        Self { started: Bounded::new(CONTAINERS) }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Record<'a> {
    timestamp: Option<Int>,
    thread_start_time: Option<Int>,
    host_process_id: Option<Int>,
    host_thread_id: Option<Int>,
    host_parent_process_id: Option<Int>,
    user_id: Option<Int>,
    #[serde(borrow)]
    event_name: Option<Text<'a>>,
    #[serde(borrow)]
    container_id: Option<Text<'a>>,
    #[serde(borrow)]
    container_image: Option<Text<'a>>,
    #[serde(borrow)]
    container: Option<Container<'a>>,
    return_value: Option<Int>,
    #[serde(borrow)]
    args: Option<Vec<Argument<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    image: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Argument<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: LazyValue<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DnsMessage<'a> {
    /// 0 for a question, 1 for an answer.
    #[serde(rename = "QR")]
    qr: Option<Int>,
    #[serde(borrow)]
    questions: Option<Vec<Question<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Question<'a> {
    #[serde(borrow, alias = "query")]
    name: Text<'a>,
    #[serde(borrow, rename = "type", alias = "query_type")]
    kind: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SocketAddress<'a> {
    #[serde(borrow)]
    sin_addr: Option<Text<'a>>,
    sin_port: Option<Int>,
    #[serde(borrow)]
    sin6_addr: Option<Text<'a>>,
    sin6_port: Option<Int>,
    #[serde(borrow)]
    sun_path: Option<Text<'a>>,
}

/// The event that a record of Tracee's is.
enum Meaning<'a> {
    Exec { path: Text<'a>, argv: Option<Vec<u8>> },
    Fork { pid: u32, ppid: u32 },
    Exit,
    Open { path: Text<'a>, flags: u32, ret: i64 },
    Socket { op: SocketOp, peer: Peer<Cow<'a, str>>, port: u16, proto: Option<Proto>, ret: i64 },
    Dns(Vec<(Text<'a>, u16)>),
    Nothing(Ignored),
}

const NOTHING: Meaning<'static> = Meaning::Nothing(Ignored::NoBehaviour);

impl Decoder for TraceeDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let record: Record<'_> = json::object(record)?;
        let name = record.event_name.as_deref().ok_or_else(|| json::missing("eventName"))?;
        let meaning = match name {
            "net_packet_dns" | "net_packet_dns_request" => record.dns(),
            "sched_process_exec" => record.exec()?,
            "sched_process_fork" => record.fork()?,
            "sched_process_exit" if record.ends_process() => Meaning::Exit,
            "open" | "openat" | "openat2" | "creat" | "security_file_open" => record.open(name)?,
            "connect" | "security_socket_connect" => record.socket(SocketOp::Connect)?,
            "bind" | "security_socket_bind" => record.socket(SocketOp::Bind)?,
            _ => NOTHING,
        };
        if let Meaning::Nothing(why) = meaning {
            return Ok(Line::Ignored(why));
        }
        let ts: u64 = record.timestamp.ok_or_else(|| json::missing("timestamp"))?.to("timestamp")?;
        let pid = record.pid()?;
        let start = record.start()?;
        let ppid = record.ppid()?;
        let container = self.container(&record, ts, sink);
        let container = container.as_bytes();
        let event = |pid, start, body| Event { ts, container, pid, start, body };
        match &meaning {
            Meaning::Exec { path, argv } => {
                let uid = record.user_id.and_then(|uid| u32::try_from(uid.0).ok());
                let fileless = path.trim_start_matches('/').starts_with("memfd:");
                let (path, argv) = (path.as_bytes(), argv.as_deref());
                let exec = Exec { ppid, path, argv, uid, fileless, ..Exec::default() };
                sink.event(event(pid, start, Body::Exec(exec)));
            }
            // The child's start is given on another clock than the start of those that write the events.
            Meaning::Fork { pid, ppid } => sink.event(event(*pid, None, Body::Fork { ppid: *ppid })),
            Meaning::Exit => sink.event(event(pid, start, Body::Exit)),
            Meaning::Open { path, flags, ret } => {
                sink.event(event(
                    pid,
                    start,
                    Body::Open(Open { path: path.as_bytes(), flags: *flags, ret: *ret, map: false }),
                ));
            }
            Meaning::Socket { op, peer, port, proto, ret } => {
                let peer = match peer {
                    Peer::Ip(ip) => Peer::Ip(*ip),
                    Peer::Unix(path) => Peer::Unix(path.as_bytes()),
                };
                let body = Body::Socket(Socket { op: *op, peer, port: *port, proto: *proto, ret: *ret });
                sink.event(event(pid, start, body));
            }
            Meaning::Dns(questions) => {
                for (at, (name, qtype)) in questions.iter().enumerate() {
                    // The root's name is empty in Tracee, and a dot everywhere else.
                    let name = if name.is_empty() { b"." } else { name.as_bytes() };
                    let event = event(pid, start, Body::Dns(Dns { name, qtype: *qtype }));
                    if at == 0 { sink.event(event) } else { sink.implied(event) }
                }
            }
            Meaning::Nothing(_) => {}
        }
        Ok(Line::Event)
    }
}

impl TraceeDecoder {
    /// The id of the record's container, whose workload is told once.
    fn container<'a>(&mut self, record: &'a Record<'_>, ts: u64, sink: &mut dyn Sink) -> &'a str {
        let nested = record.container.as_ref();
        let given = [nested.and_then(|c| c.id.as_deref()), record.container_id.as_deref()];
        let Some(id) = given.into_iter().flatten().find(|id| !id.is_empty() && id.len() <= ID_BYTES) else { return "" };
        let image = [nested.and_then(|c| c.image.as_deref()), record.container_image.as_deref()];
        if let Some(reference) = image.into_iter().flatten().find(|image| !image.is_empty())
            && self.started.get(id).is_none()
        {
            self.started.insert(id.into(), ());
            let (image, tag) = image::split_image(reference);
            let body = Body::ContainerStart { image: image.as_bytes(), tag: tag.as_bytes() };
            sink.implied(Event { ts, container: id.as_bytes(), pid: 0, start: None, body });
        }
        id
    }
}

impl Record<'_> {
    fn pid(&self) -> Result<u32, Reject> {
        self.host_process_id.ok_or_else(|| json::missing("hostProcessId"))?.to("hostProcessId")
    }

    fn ppid(&self) -> Result<u32, Reject> {
        self.host_parent_process_id.map_or(Ok(0), |ppid| ppid.to("hostParentProcessId"))
    }

    fn leads(&self) -> bool {
        self.host_thread_id == self.host_process_id
    }

    /// The process's start, if the thread that wrote the record leads it.
    fn start(&self) -> Result<Option<u64>, Reject> {
        let start = self.thread_start_time.filter(|_| self.leads());
        start.map(|start| start.to("threadStartTime")).transpose()
    }

    /// The argument of this name, if it is of that type.
    fn arg<'b, T: Deserialize<'b>>(&'b self, name: &str) -> Option<T> {
        let arg = self.args.iter().flatten().find(|arg| *arg.name == *name)?;
        json::part(&arg.value)
    }

    /// The argument of this name, which an event like this always has.
    fn required<'b, T: Deserialize<'b>>(&'b self, name: &'static str) -> Result<T, Reject> {
        let arg = self.args.iter().flatten().find(|arg| *arg.name == *name).ok_or_else(|| json::missing(name))?;
        json::part(&arg.value).ok_or_else(|| json::wrong_type(name))
    }

    fn ret(&self) -> Result<i64, Reject> {
        self.return_value.map_or(Ok(0), |ret| ret.to("returnValue"))
    }

    fn exec(&self) -> Result<Meaning<'_>, Reject> {
        let argv = self.arg::<Vec<Text<'_>>>("argv").map(|args| {
            let mut argv = Vec::new();
            for arg in args {
                argv.extend_from_slice(arg.as_bytes());
                argv.push(0);
            }
            argv
        });
        Ok(Meaning::Exec { path: self.required("pathname")?, argv })
    }

    fn fork(&self) -> Result<Meaning<'_>, Reject> {
        let pid: Int = self.required("child_pid")?;
        if self.arg::<Int>("child_tid").is_some_and(|tid| tid != pid) {
            return Ok(NOTHING);
        }
        let ppid = self.arg::<Int>("parent_pid").or(self.host_process_id);
        let ppid = ppid.ok_or_else(|| json::missing("parent_pid"))?.to("parent_pid")?;
        Ok(Meaning::Fork { pid: pid.to("child_pid")?, ppid })
    }

    /// Whether the thread that ended was its process's last.
    fn ends_process(&self) -> bool {
        self.arg("process_group_exit").unwrap_or_else(|| self.leads())
    }

    fn open(&self, name: &str) -> Result<Meaning<'_>, Reject> {
        let path: Text<'_> = self.required("pathname")?;
        if path.is_empty() {
            return Ok(NOTHING);
        }
        let in_cwd = match self.arg::<Int>("dirfd") {
            Some(dir) => dir.0 == -100,
            None => self.arg::<Text<'_>>("dirfd").is_none_or(|dir| *dir == *"AT_FDCWD"),
        };
        if !path.starts_with('/') && !in_cwd {
            return Ok(Meaning::Nothing(Ignored::RelativePath));
        }
        let flags = match (name, self.arg::<Int>("flags")) {
            ("creat", _) => open_flags::CREAT,
            (_, Some(flags)) => flags.0 as u32,
            // With parsed arguments.
            (_, None) => self.arg::<Text<'_>>("flags").map_or(0, |flags| open_flags::parse(flags.as_bytes())),
        };
        Ok(Meaning::Open { path, flags, ret: self.ret()? })
    }

    fn socket(&self, op: SocketOp) -> Result<Meaning<'_>, Reject> {
        let address = ["addr", "remote_addr", "local_addr"].iter().find_map(|name| self.arg::<SocketAddress<'_>>(name));
        let Some(address) = address else { return Ok(NOTHING) };
        let ret = self.ret()?;
        if let Some(path) = address.sun_path.filter(|path| !path.is_empty()) {
            // An abstract name begins with a NUL byte.
            let path = match path.strip_prefix('\0') {
                Some(name) => Cow::Owned(format!("@{name}")),
                None => path.0,
            };
            return Ok(Meaning::Socket { op, peer: Peer::Unix(path), port: 0, proto: None, ret });
        }
        let addr = address.sin_addr.or(address.sin6_addr).and_then(|addr| addr.parse::<IpAddr>().ok());
        let (Some(addr), Some(port)) = (addr, address.sin_port.or(address.sin6_port)) else { return Ok(NOTHING) };
        let proto = match (self.arg::<Int>("type").map(|kind| kind.0 & 0xf), self.arg::<Text<'_>>("type").as_deref()) {
            (Some(1), _) | (_, Some("SOCK_STREAM")) => Some(Proto::Tcp),
            (Some(2), _) | (_, Some("SOCK_DGRAM")) => Some(Proto::Udp),
            _ => None,
        };
        Ok(Meaning::Socket { op, peer: Peer::Ip(addr), port: port.to("port")?, proto, ret })
    }

    fn dns(&self) -> Meaning<'_> {
        let questions = match self.arg::<DnsMessage<'_>>("proto_dns") {
            Some(message) if message.qr.is_none_or(|qr| qr.0 == 0) => message.questions,
            Some(_) => None,
            None => self.arg::<Vec<Question<'_>>>("dns_questions"),
        };
        let questions: Vec<(Text<'_>, u16)> = questions
            .into_iter()
            .flatten()
            .filter_map(|question| Some((question.name, question_type(&question.kind)?)))
            .collect();
        if questions.is_empty() { NOTHING } else { Meaning::Dns(questions) }
    }
}

#[cfg(test)]
#[path = "tracee_tests.rs"]
mod tests;
