//! Reading the JSON lines of Kunai.
//!
//! | event | becomes |
//! |---|---|
//! | `execve`, `execve_script` | exec |
//! | `exit_group`, `exit` of the thread that leads | exit |
//! | `read`, `read_config`, `write`, `write_config`, `write_close` | open |
//! | `mmap_exec` | open, mapped |
//! | `file_create`, `file_rename`, `file_unlink` | change |
//! | `connect`, `dns_query` | connect, dns |
//! | all others | nothing but their process |
//!
//! Every event describes its process and names the parent's, so that the program of one that was not seen to start is
//! implied. Kunai names containers and not their images.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use sonic_rs::LazyValue;

use super::json::{self, Int, Text};
use super::programs::{By, Programs, is_memfd};
use super::{Decoder, Line, Reject};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Change, Dns, Exec, Open, Peer, Proto, Sink, Socket, SocketOp};
use crate::ledger::Ignored;

const NOTHING: Line = Line::Ignored(Ignored::NoBehaviour);

/// The types of DNS questions that Kunai's answers tell apart.
const A: u16 = 1;
const AAAA: u16 = 28;

/// Decodes the lines of a Kunai log.
#[derive(Debug)]
pub struct KunaiDecoder {
    programs: Programs,
}

impl Default for KunaiDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl KunaiDecoder {
    /// A decoder of one log.
    pub fn new() -> Self {
        Self { programs: Programs::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    info: Option<Info<'a>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info<'a> {
    #[serde(borrow)]
    host: Option<Host<'a>>,
    #[serde(borrow)]
    event: Option<Named<'a>>,
    task: Option<Task>,
    parent_task: Option<Task>,
    #[serde(borrow)]
    utc_time: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Host<'a> {
    #[serde(borrow)]
    container: Option<LazyValue<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Task {
    pid: Option<Int>,
    tgid: Option<Int>,
    uid: Option<Int>,
    gid: Option<Int>,
}

/// The fields of all events. A file is a path, or an object with one and its hashes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    exe: Option<LazyValue<'a>>,
    #[serde(borrow)]
    interpreter: Option<LazyValue<'a>>,
    #[serde(borrow)]
    mapped: Option<LazyValue<'a>>,
    #[serde(borrow)]
    path: Option<LazyValue<'a>>,
    #[serde(borrow, alias = "from")]
    old: Option<LazyValue<'a>>,
    #[serde(borrow, alias = "to")]
    new: Option<LazyValue<'a>>,
    #[serde(borrow)]
    command_line: Option<Text<'a>>,
    #[serde(borrow)]
    dst: Option<Endpoint<'a>>,
    #[serde(borrow)]
    socket: Option<SocketKind<'a>>,
    connected: Option<bool>,
    success: Option<bool>,
    #[serde(borrow)]
    query: Option<Text<'a>>,
    #[serde(borrow)]
    response: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint<'a> {
    #[serde(borrow)]
    ip: Option<Text<'a>>,
    port: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SocketKind<'a> {
    #[serde(borrow)]
    proto: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File<'a> {
    #[serde(borrow, alias = "file")]
    path: Option<Text<'a>>,
}

/// The path of a file that is told; `?` is Kunai's word for one that it does not know.
fn file<'a>(value: &'a Option<LazyValue<'_>>) -> Option<Cow<'a, str>> {
    let value = value.as_ref()?;
    let path = json::part::<Text<'_>>(value).or_else(|| json::part::<File<'_>>(value)?.path)?;
    Some(path.0).filter(|path| !path.is_empty() && path != "?")
}

impl Decoder for KunaiDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let Record { info, data } = json::object(record)?;
        let info = info.ok_or_else(|| json::missing("info"))?;
        let data = data.unwrap_or_default();
        let name = info.event.as_ref().and_then(|event| event.name.as_deref());
        let name = name.ok_or_else(|| json::missing("info.event.name"))?;
        let ts = json::nanos(info.utc_time.as_ref().ok_or_else(|| json::missing("info.utc_time"))?, "info.utc_time")?;
        // Kunai's own start, and what it says of itself, is nobody's doing.
        let Some(task) = &info.task else { return Ok(NOTHING) };
        let pid: u32 = task.tgid.ok_or_else(|| json::missing("info.task.tgid"))?.to("info.task.tgid")?;
        let ppid = info.parent_task.as_ref().and_then(|task| task.tgid);
        let ppid = ppid.map_or(Ok(0), |ppid| ppid.to("info.parent_task.tgid"))?;
        let id = |id: Option<Int>| id.and_then(|id| u32::try_from(id.0).ok());
        let (uid, gid) = (id(task.uid), id(task.gid));
        let container = info.host.as_ref().and_then(|host| json::part::<Named<'_>>(host.container.as_ref()?)?.name);
        let container = self.programs.container(ts, container.as_deref(), None, sink);
        let by = By { ts, container, pid, start: None };

        let exe = file(&data.exe).unwrap_or_default();
        let argv = data.command_line.as_deref().filter(|line| *line != "?").map(|line| {
            let mut argv = Vec::with_capacity(line.len() + 1);
            // Blanks inside of arguments are not told apart from those between.
            for arg in line.split(' ').filter(|arg| !arg.is_empty()) {
                argv.extend_from_slice(arg.as_bytes());
                argv.push(0);
            }
            argv
        });
        let program = Exec {
            ppid,
            path: exe.as_bytes(),
            argv: argv.as_deref(),
            uid,
            gid,
            fileless: is_memfd(&exe),
            ..Exec::default()
        };
        match name {
            "execve" | "execve_script" if !exe.is_empty() => {
                let interpreter = file(&data.interpreter);
                let interpreter = interpreter.as_deref().map(str::as_bytes);
                self.programs.exec(container, pid);
                sink.event(by.event(Body::Exec(Exec { interpreter, ..program })));
                return Ok(Line::Event);
            }
            "exit_group" => {}
            "exit" if task.pid == task.tgid => {}
            _ => {
                self.programs.introduce(by, program, sink);
                return behave(name, &data, by, sink);
            }
        }
        self.programs.exit(container, pid);
        sink.event(by.event(Body::Exit));
        Ok(Line::Event)
    }
}

fn bytes<'a>(path: &'a Option<Cow<'_, str>>) -> Option<&'a [u8]> {
    path.as_deref().map(str::as_bytes)
}

/// Tells of an event's behaviour, if it has any.
fn behave(name: &str, data: &Data<'_>, by: By<'_>, sink: &mut dyn Sink) -> Result<Line, Reject> {
    let (path, old, new, mapped) = (file(&data.path), file(&data.old), file(&data.new), file(&data.mapped));
    // What is said to have failed, without a reason.
    let ret = if data.success == Some(false) { -1 } else { 0 };
    let body = match (name, bytes(&path), bytes(&old), bytes(&new), bytes(&mapped)) {
        ("read" | "read_config", Some(path), ..) => Body::Open(Open { path, flags: 0, ret, map: false }),
        ("write" | "write_config" | "write_close", Some(path), ..) => {
            Body::Open(Open { path, flags: 1, ret, map: false })
        }
        ("mmap_exec", .., Some(path)) => Body::Open(Open { path, flags: 0, ret, map: true }),
        ("file_create", Some(path), ..) => Body::Change(Change { op: ChangeOp::Create, path, from: None, ret }),
        ("file_unlink", Some(path), ..) => Body::Change(Change { op: ChangeOp::Delete, path, from: None, ret }),
        ("file_rename", _, Some(old), Some(path), _) => {
            Body::Change(Change { op: ChangeOp::Rename, path, from: Some(old), ret })
        }
        ("connect", ..) => {
            let Some(socket) = connected(data)? else { return Ok(NOTHING) };
            Body::Socket(socket)
        }
        ("dns_query", ..) => {
            let Some(name) = data.query.as_deref().filter(|name| !name.is_empty()) else { return Ok(NOTHING) };
            // The question's type is not told; the answer's addresses show it.
            let answers = data.response.as_deref().unwrap_or_default();
            let is_v6 = answers.split(';').any(|answer| matches!(answer.parse(), Ok(IpAddr::V6(_))));
            sink.event(by.event(Body::Dns(Dns { name: name.as_bytes(), qtype: if is_v6 { AAAA } else { A } })));
            return Ok(Line::Event);
        }
        _ => return Ok(NOTHING),
    };
    sink.event(by.event(body));
    Ok(Line::Event)
}

fn connected<'a>(data: &Data<'_>) -> Result<Option<Socket<&'a [u8]>>, Reject> {
    let Some(Endpoint { ip: Some(ip), port: Some(port) }) = &data.dst else { return Ok(None) };
    let Ok(ip) = ip.parse() else { return Ok(None) };
    let socket = data.socket.as_ref();
    let reported = |text: &Option<Text<'_>>, names: [&str; 2]| {
        text.as_deref().is_some_and(|text| names.iter().any(|name| text.eq_ignore_ascii_case(name)))
    };
    let proto = match socket {
        Some(kind)
            if reported(&kind.proto, ["tcp", "ipproto_tcp"]) || reported(&kind.kind, ["sock_stream", "stream"]) =>
        {
            Some(Proto::Tcp)
        }
        Some(kind)
            if reported(&kind.proto, ["udp", "ipproto_udp"]) || reported(&kind.kind, ["sock_dgram", "dgram"]) =>
        {
            Some(Proto::Udp)
        }
        _ => None,
    };
    let ret = if data.connected == Some(false) { -1 } else { 0 };
    Ok(Some(Socket { op: SocketOp::Connect, peer: Peer::Ip(ip), port: port.to("data.dst.port")?, proto, ret }))
}

#[cfg(test)]
#[path = "kunai_tests.rs"]
mod tests;
