//! What a record tells of, from its own text alone.
//!
//! Not here: whose doing it was (`mod`).

use std::net::IpAddr;

use super::record::{Argument, Happening, Record};
use crate::event::{Body, Open, Peer, Proto, Socket, SocketOp};
use crate::ledger::Ignored;
use crate::names::question_type;
use crate::trace::Reject;
use crate::trace::json::{Int, Text};

/// What a record tells of.
#[derive(Debug)]
pub(super) enum Meaning<'a> {
    Exec,
    Exit,
    /// An event that stands for itself.
    Body(Body<&'a [u8]>),
    /// Questions asked: names and a type. At least one.
    Dns(Vec<(&'a str, u16)>),
    Nothing(Ignored),
}

const NOTHING: Meaning<'static> = Meaning::Nothing(Ignored::NoBehaviour);

/// The happening in a record, and what it means. `None` if it is of a kind that is none of ours.
pub(super) fn of<'a>(record: &'a Record<'_>) -> Result<Option<(&'a Happening<'a>, Meaning<'a>)>, Reject> {
    let Record { process_exec, process_exit, process_connect, process_kprobe, process_lsm, .. } = record;
    let Record { process_tracepoint, process_dns, .. } = record;
    Ok(Some(if let Some(exec) = process_exec {
        (exec, Meaning::Exec)
    } else if let Some(exit) = process_exit {
        (exit, Meaning::Exit)
    } else if let Some(connect) = process_connect {
        (connect, connected(connect)?)
    } else if let Some(call) = process_kprobe.as_ref().or(process_lsm.as_ref()) {
        (call, called(call.function_name.as_deref().unwrap_or_default(), call)?)
    } else if let Some(point) = process_tracepoint {
        (point, traced(point)?)
    } else if let Some(dns) = process_dns {
        (dns, asked(dns))
    } else {
        return Ok(None);
    }))
}

fn connected<'a>(connect: &'a Happening<'_>) -> Result<Meaning<'a>, Reject> {
    let addr = connect.destination_ip.as_deref().unwrap_or_default();
    let proto = connect.protocol.as_deref().and_then(proto);
    socket(SocketOp::Connect, "", addr, connect.destination_port, proto, 0)
}

fn traced<'a>(point: &'a Happening<'_>) -> Result<Meaning<'a>, Reject> {
    match (point.subsys.as_deref(), point.event.as_deref().and_then(|event| event.strip_prefix("sys_enter_"))) {
        (Some("syscalls"), Some(call)) => called(call, point),
        _ => Ok(NOTHING),
    }
}

/// What the call of a kernel function means. System calls may have their prefixes.
fn called<'a>(function: &str, call: &'a Happening<'_>) -> Result<Meaning<'a>, Reject> {
    let function = function.trim_start_matches("__").trim_start_matches("x64_").trim_start_matches("arm64_");
    let args = call.args.as_deref().unwrap_or_default();
    let ret = match call.returned.as_ref().and_then(|returned| returned.int_arg) {
        Some(ret) => ret.to("return")?,
        None => 0,
    };
    match function.strip_prefix("sys_").unwrap_or(function) {
        "connect"
        | "tcp_connect"
        | "tcp_v4_connect"
        | "tcp_v6_connect"
        | "security_socket_connect"
        | "socket_connect" => peer(SocketOp::Connect, args, ret),
        "bind" | "inet_bind" | "inet6_bind" | "security_socket_bind" | "socket_bind" => peer(SocketOp::Bind, args, ret),
        "open" | "openat" | "openat2" | "creat" | "do_sys_open" | "do_sys_openat2" | "do_filp_open" | "fd_install"
        | "security_file_open" | "file_open" => opened(args, ret),
        _ => Ok(NOTHING),
    }
}

fn peer<'a>(op: SocketOp, args: &'a [Argument<'_>], ret: i64) -> Result<Meaning<'a>, Reject> {
    let sock = args.iter().find_map(|arg| arg.sock_arg.as_ref());
    let proto = sock.and_then(|sock| {
        let given = |text: &Option<Text<'_>>| text.as_deref().and_then(proto);
        given(&sock.protocol).or_else(|| given(&sock.kind))
    });
    // The address asked for counts more than what the socket has as yet.
    if let Some(asked) = args.iter().find_map(|arg| arg.sockaddr_arg.as_ref()) {
        let family = asked.family.as_deref().unwrap_or_default();
        return socket(op, family, asked.addr.as_deref().unwrap_or_default(), asked.port, proto, ret);
    }
    let Some(sock) = sock else { return Ok(NOTHING) };
    let (addr, port) = match op {
        SocketOp::Connect => (&sock.daddr, sock.dport),
        SocketOp::Bind => (&sock.saddr, sock.sport),
        SocketOp::Accept => (&sock.daddr, sock.sport),
    };
    socket(op, "", addr.as_deref().unwrap_or_default(), port, proto, ret)
}

fn socket<'a>(
    op: SocketOp,
    family: &str,
    addr: &'a str,
    port: Option<Int>,
    proto: Option<Proto>,
    ret: i64,
) -> Result<Meaning<'a>, Reject> {
    if family == "AF_UNIX" && !addr.is_empty() {
        return Ok(Meaning::Body(Body::Socket(Socket {
            op,
            peer: Peer::Unix(addr.as_bytes()),
            port: 0,
            proto: None,
            ret,
        })));
    }
    let (Ok(addr), Some(port)) = (addr.parse::<IpAddr>(), port) else { return Ok(NOTHING) };
    Ok(Meaning::Body(Body::Socket(Socket { op, peer: Peer::Ip(addr), port: port.to("port")?, proto, ret })))
}

fn proto(text: &str) -> Option<Proto> {
    match text {
        "TCP" | "IPPROTO_TCP" | "SOCK_STREAM" => Some(Proto::Tcp),
        "UDP" | "IPPROTO_UDP" | "SOCK_DGRAM" => Some(Proto::Udp),
        _ => None,
    }
}

fn opened<'a>(args: &'a [Argument<'_>], ret: i64) -> Result<Meaning<'a>, Reject> {
    let file = args.iter().find_map(|arg| arg.file_arg.as_ref().or(arg.path_arg.as_ref()));
    if let Some(path) = file.and_then(|file| file.path.as_deref()) {
        // Sockets and pipes are files too, and have names such as `socket:[4711]`.
        let body = Body::Open(Open { path: path.as_bytes(), flags: 0, ret, map: false });
        return Ok(if path.starts_with('/') { Meaning::Body(body) } else { NOTHING });
    }
    let Some(at) = args.iter().position(|arg| arg.string_arg.is_some()) else { return Ok(NOTHING) };
    let Some((before, [name, after @ ..])) = args.split_at_checked(at) else { return Ok(NOTHING) };
    let path = name.string_arg.as_deref().unwrap_or_default();
    let dir = before.last().and_then(|arg| arg.int_arg);
    if path.is_empty() {
        return Ok(NOTHING);
    }
    if !path.starts_with('/') && dir.is_some_and(|dir| dir.0 != AT_FDCWD) {
        return Ok(Meaning::Nothing(Ignored::RelativePath));
    }
    let flags = match after.first().and_then(|arg| arg.int_arg) {
        Some(Int(flags)) => flags as u32,
        None => 0,
    };
    Ok(Meaning::Body(Body::Open(Open { path: path.as_bytes(), flags, ret, map: false })))
}

/// The `dirfd` that stands for the working directory.
const AT_FDCWD: i128 = -100;

fn asked<'a>(happening: &'a Happening<'_>) -> Meaning<'a> {
    let Some(dns) = happening.dns.as_ref().filter(|dns| dns.response != Some(true)) else { return NOTHING };
    let kind = dns.question_types.iter().flatten().find_map(|kind| question_type(kind));
    let names = dns.query.iter().chain(dns.names.iter().flatten()).map(|name| &**name).filter(|name| !name.is_empty());
    match kind {
        Some(kind) => {
            let mut questions: Vec<(&str, u16)> = names.map(|name| (name, kind)).collect();
            questions.dedup();
            if questions.is_empty() { NOTHING } else { Meaning::Dns(questions) }
        }
        None => NOTHING,
    }
}
