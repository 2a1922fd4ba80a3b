//! Reading the JSON of Inspektor Gadget, as `ig run GADGET -o json` and `kubectl gadget run GADGET -o json` write it.
//!
//! A record does not name its gadget: what it tells is known by its fields.
//!
//! | gadget | becomes |
//! |---|---|
//! | trace_exec, trace_open | exec, open |
//! | trace_tcp, trace_tcpconnect, trace_tcpaccept | connect, accept |
//! | trace_bind, trace_dns, trace_capabilities, trace_mount | bind, dns, capability, mount |
//! | all others | nothing but their process |
//!
//! The file of a program is told by trace_exec alone. A process that was there before is known by the name that the
//! kernel has for it (`comm`, at most 15 bytes), as long as nothing better is told.

use serde::Deserialize;
use sonic_rs::LazyValue;

use super::json::{self, Int, Text};
use super::programs::{By, Programs, is_memfd};
use super::{Decoder, Line, Reject};
use crate::event::{Body, Capability, Dns, Exec, Mount, Open, Peer, Proto, Sink, Socket, SocketOp};
use crate::ledger::Ignored;
use crate::names::{capability_number, errno, open_flags, question_type};

const NOTHING: Line = Line::Ignored(Ignored::NoBehaviour);

/// Decodes the records of Inspektor Gadget.
#[derive(Debug)]
pub struct GadgetDecoder {
    programs: Programs,
}

impl Default for GadgetDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl GadgetDecoder {
    /// A decoder of one log.
    pub fn new() -> Self {
        Self { programs: Programs::new() }
    }
}

/// The fields of all gadgets, nested as since 2024, and flat as before.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    timestamp: Option<LazyValue<'a>>,
    timestamp_raw: Option<Int>,
    #[serde(borrow)]
    proc: Option<Process<'a>>,
    pid: Option<Int>,
    tid: Option<Int>,
    ppid: Option<Int>,
    #[serde(borrow)]
    comm: Option<Text<'a>>,
    uid: Option<Int>,
    #[serde(borrow)]
    runtime: Option<Runtime<'a>>,
    #[serde(borrow)]
    error: Option<Text<'a>>,
    error_raw: Option<Int>,
    ret: Option<Int>,
    retval: Option<Int>,
    // trace_exec
    #[serde(borrow)]
    args: Option<LazyValue<'a>>,
    #[serde(borrow)]
    exepath: Option<Text<'a>>,
    #[serde(borrow)]
    cwd: Option<Text<'a>>,
    #[serde(borrow)]
    upper_layer: Option<LazyValue<'a>>,
    // trace_open
    #[serde(borrow, alias = "path")]
    fname: Option<Text<'a>>,
    flags_raw: Option<Int>,
    #[serde(borrow)]
    flags: Option<LazyValue<'a>>,
    fd: Option<Int>,
    // trace_tcp, trace_bind
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    src: Option<LazyValue<'a>>,
    #[serde(borrow)]
    dst: Option<LazyValue<'a>>,
    #[serde(borrow)]
    addr: Option<LazyValue<'a>>,
    // trace_dns
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    qtype: Option<Text<'a>>,
    #[serde(borrow)]
    qr: Option<Text<'a>>,
    // trace_capabilities
    #[serde(borrow)]
    cap: Option<Text<'a>>,
    capable: Option<bool>,
    // trace_mount
    #[serde(borrow, alias = "operation")]
    op: Option<Text<'a>>,
    #[serde(borrow, alias = "target")]
    dest: Option<Text<'a>>,
    #[serde(borrow)]
    fs: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Process<'a> {
    pid: Option<Int>,
    tid: Option<Int>,
    #[serde(borrow)]
    comm: Option<Text<'a>>,
    creds: Option<Credentials>,
    parent: Option<Parent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Credentials {
    uid: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parent {
    pid: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runtime<'a> {
    #[serde(borrow)]
    container_id: Option<Text<'a>>,
    #[serde(borrow)]
    container_image_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint<'a> {
    #[serde(borrow)]
    addr: Option<Text<'a>>,
    port: Option<Int>,
    #[serde(borrow)]
    proto: Option<Text<'a>>,
}

impl Decoder for GadgetDecoder {
    fn decode(&mut self, record: &[u8], sink: &mut dyn Sink) -> Result<Line, Reject> {
        let record: Record<'_> = json::object(record)?;
        let ts = record.ts()?;
        let process = record.proc.as_ref();
        let pid = process.and_then(|process| process.pid).or(record.pid);
        let pid: u32 = pid.ok_or_else(|| json::missing("proc.pid"))?.to("proc.pid")?;
        let parent = process.and_then(|process| process.parent.as_ref()).and_then(|parent| parent.pid).or(record.ppid);
        let ppid = parent.map_or(Ok(0), |ppid| ppid.to("proc.parent.pid"))?;
        let uid = process.and_then(|process| process.creds.as_ref()).and_then(|creds| creds.uid).or(record.uid);
        let uid = uid.and_then(|uid| u32::try_from(uid.0).ok());
        let runtime = record.runtime.as_ref();
        let id = runtime.and_then(|runtime| runtime.container_id.as_deref());
        let image = runtime.and_then(|runtime| runtime.container_image_name.as_deref());
        let container = self.programs.container(ts, id, image, sink);
        let by = By { ts, container, pid, start: None };

        if let Some(args) = &record.args {
            return self.exec(&record, args, by, (ppid, uid), sink);
        }
        // A thread has a name of its own.
        let tid = process.and_then(|process| process.tid).or(record.tid);
        let comm = process.and_then(|process| process.comm.as_deref()).or(record.comm.as_deref());
        let comm = comm.filter(|_| tid.is_none_or(|tid| tid.0 == i128::from(pid))).unwrap_or_default();
        self.programs.introduce(by, Exec { ppid, path: comm.as_bytes(), uid, ..Exec::default() }, sink);
        let Some(body) = record.body()? else { return Ok(NOTHING) };
        sink.event(by.event(body));
        Ok(Line::Event)
    }
}

impl GadgetDecoder {
    fn exec(
        &mut self,
        record: &Record<'_>,
        args: &LazyValue<'_>,
        by: By<'_>,
        (ppid, uid): (u32, Option<u32>),
        sink: &mut dyn Sink,
    ) -> Result<Line, Reject> {
        if record.ret()? < 0 {
            return Ok(NOTHING);
        }
        let mut argv = Vec::new();
        let mut add = |arg: &str| {
            argv.extend_from_slice(arg.as_bytes());
            argv.push(0);
        };
        if let Some(list) = json::part::<Vec<Text<'_>>>(args) {
            list.iter().for_each(|arg| add(arg));
        } else if let Some(text) = json::part::<Text<'_>>(args) {
            // Arguments are separated by blanks, and blanks inside of them are not told apart.
            text.split([' ', '\u{a0}']).filter(|arg| !arg.is_empty()).for_each(add);
        }
        let argv0 = argv.split(|b| *b == 0).next().and_then(|argv0| str::from_utf8(argv0).ok());
        let reported = record.exepath.as_deref().filter(|path| !path.is_empty());
        let comm = record.proc.as_ref().and_then(|process| process.comm.as_deref()).or(record.comm.as_deref());
        let path = reported.or(argv0.filter(|argv0| !argv0.is_empty())).or(comm).unwrap_or_default();
        if path.is_empty() {
            return Ok(NOTHING);
        }
        let cwd = record.cwd.as_deref().filter(|cwd| cwd.starts_with('/')).map(str::as_bytes);
        let upper_layer = record.upper_layer.as_ref().and_then(json::part::<bool>).unwrap_or(false);
        let (fileless, path, argv) = (is_memfd(path), path.as_bytes(), Some(&*argv));
        let exec = Exec { ppid, path, argv, uid, cwd, fileless, upper_layer, ..Exec::default() };
        self.programs.exec(by.container, by.pid);
        sink.event(by.event(Body::Exec(exec)));
        Ok(Line::Event)
    }
}

impl Record<'_> {
    /// In nanoseconds since the epoch.
    fn ts(&self) -> Result<u64, Reject> {
        let given = self.timestamp.as_ref();
        if let Some(time) = given.and_then(json::part::<Text<'_>>) {
            return json::nanos(&time, "timestamp");
        }
        let ts = given.and_then(json::part::<Int>).or(self.timestamp_raw);
        ts.ok_or_else(|| json::missing("timestamp"))?.to("timestamp")
    }

    /// The result: of a failure the error's number, negative.
    fn ret(&self) -> Result<i64, Reject> {
        let error = self.error_raw.map(|error| error.0.abs()).filter(|error| *error != 0);
        if let Some(error) = error {
            return Int(-error).to("error_raw");
        }
        if let Some(name) = self.error.as_deref().filter(|name| !name.is_empty() && *name != "Success") {
            return Ok(-errno(name.as_bytes()).unwrap_or(1));
        }
        self.retval.or(self.ret).or(self.fd).map_or(Ok(0), |ret| ret.to("ret"))
    }

    fn body(&self) -> Result<Option<Body<&[u8]>>, Reject> {
        let ret = self.ret()?;
        if let Some(cap) = &self.cap {
            // Gadgets of before 2024 leave the prefix out.
            let number = capability_number(cap).or_else(|| capability_number(&format!("CAP_{}", &**cap)));
            let used = self.capable.unwrap_or(ret == 0);
            return Ok(number.map(|cap| Body::Capability(Capability { cap, used })));
        }
        if let (Some(name), Some(kind)) = (&self.name, &self.qtype) {
            let is_question = self.qr.as_deref().is_none_or(|qr| qr == "Q");
            let name = if name.is_empty() { b"." } else { name.as_bytes() };
            let qtype = question_type(kind).filter(|_| is_question);
            return Ok(qtype.map(|qtype| Body::Dns(Dns { name, qtype })));
        }
        if let Some(op) = &self.op {
            let is_mount =
                op.eq_ignore_ascii_case("mount") && self.dest.as_deref().is_some_and(|dest| !dest.is_empty());
            let Some(dest) = self.dest.as_deref().filter(|_| is_mount) else { return Ok(None) };
            let fstype = self.fs.as_deref().unwrap_or_default().as_bytes();
            let flags = self.flags_raw.and_then(|flags| u32::try_from(flags.0).ok()).unwrap_or(0);
            return Ok(Some(Body::Mount(Mount { path: dest.as_bytes(), fstype, source: None, flags, ret })));
        }
        if let Some(path) = self.fname.as_deref() {
            let open = Open { path: path.as_bytes(), flags: self.open_flags(), ret, map: false };
            return Ok((!path.is_empty()).then_some(Body::Open(open)));
        }
        self.socket(ret)
    }

    fn open_flags(&self) -> u32 {
        if let Some(flags) = self.flags_raw {
            return flags.0 as u32;
        }
        let Some(flags) = &self.flags else { return 0 };
        match json::part::<Text<'_>>(flags) {
            Some(names) => open_flags::parse(names.as_bytes()),
            None => json::part::<Vec<Text<'_>>>(flags)
                .map_or(0, |names| names.iter().fold(0, |all, name| all | open_flags::parse(name.as_bytes()))),
        }
    }

    fn socket(&self, ret: i64) -> Result<Option<Body<&[u8]>>, Reject> {
        let endpoint = |value: &Option<LazyValue<'_>>| -> Option<(std::net::IpAddr, Int, Option<Proto>)> {
            let Endpoint { addr, port, proto } = json::part::<Endpoint<'_>>(value.as_ref()?)?;
            let proto = proto.and_then(|proto| match &*proto.to_ascii_lowercase() {
                "tcp" => Some(Proto::Tcp),
                "udp" => Some(Proto::Udp),
                _ => None,
            });
            Some((addr?.parse().ok()?, port?, proto))
        };
        let kind = self.kind.as_deref().unwrap_or_default();
        let (op, (ip, port, proto)) = match (endpoint(&self.addr), endpoint(&self.src), endpoint(&self.dst)) {
            (Some(own), _, _) => (SocketOp::Bind, own),
            // The source is the own side whoever began.
            (_, Some((_, port, proto)), Some((ip, ..))) if kind == "accept" => (SocketOp::Accept, (ip, port, proto)),
            (_, _, Some(other)) if matches!(kind, "connect" | "") => (SocketOp::Connect, other),
            _ => return Ok(None),
        };
        let socket = Socket { op, peer: Peer::Ip(ip), port: port.to("port")?, proto: proto.or(Some(Proto::Tcp)), ret };
        Ok(Some(Body::Socket(socket)))
    }
}

#[cfg(test)]
#[path = "gadget_tests.rs"]
mod tests;
