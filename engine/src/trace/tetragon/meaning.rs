//! From one record of Tetragon's to the event that it is, without looking at other records.
//!
//! Not here: whose doing it was (`mod`).

use std::net::IpAddr;

use super::record::{Argument, ProcessEvent, Record, Stats};
use crate::behaviour::ChangeOp;
use crate::event::{Body, Capability, Change, Flow, Mount, Open, Peer, Proto, Socket, SocketOp};
use crate::ledger::Ignored;
use crate::names::{CAPABILITY_MAX, question_type};
use crate::trace::Reject;
use crate::trace::json::{self, Int, Text};

/// The event that a record of Tetragon's is.
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
pub(super) fn of<'a>(record: &'a Record<'_>) -> Result<Option<(&'a ProcessEvent<'a>, Meaning<'a>)>, Reject> {
    let Record { process_exec, process_exit, process_connect, process_kprobe, process_lsm, .. } = record;
    let Record { process_tracepoint, process_dns, process_listen, process_close, .. } = record;
    let others = [&record.process_accept, &record.process_uprobe, &record.process_usdt, &record.process_loader];
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
    } else if let Some(listen) = process_listen {
        (listen, listened(listen)?)
    } else if let Some(close) = process_close {
        (close, closed(close)?)
    } else if let Some(other) = others.into_iter().flatten().next() {
        (other, NOTHING)
    } else {
        return Ok(None);
    }))
}

fn connected<'a>(connect: &'a ProcessEvent<'_>) -> Result<Meaning<'a>, Reject> {
    let addr = connect.destination_ip.as_deref().unwrap_or_default();
    let proto = connect.protocol.as_deref().and_then(proto);
    socket(SocketOp::Connect, "", addr, connect.destination_port, proto, 0)
}

fn listened<'a>(listen: &'a ProcessEvent<'_>) -> Result<Meaning<'a>, Reject> {
    let addr = listen.ip.as_deref().unwrap_or_default();
    let proto = listen.protocol.as_deref().map_or(Some(Proto::Tcp), proto);
    socket(SocketOp::Bind, "", addr, listen.port, proto, 0)
}

/// How much went over a connection that is closed. Who made it is for the decoder to know.
fn closed<'a>(close: &'a ProcessEvent<'_>) -> Result<Meaning<'a>, Reject> {
    let Some(stats) = close.stats.as_ref().and_then(json::part::<Stats>) else { return Ok(NOTHING) };
    let (Some(Ok(ip)), Some(port)) = (close.destination_ip.as_deref().map(str::parse), close.destination_port) else {
        return Ok(NOTHING);
    };
    let bytes = |count: Option<Int>| count.and_then(|count| u64::try_from(count.0).ok());
    Ok(Meaning::Body(Body::Flow(Flow {
        op: SocketOp::Connect,
        peer: Peer::Ip(ip),
        port: port.to("destination_port")?,
        proto: close.protocol.as_deref().and_then(proto),
        sent: bytes(stats.bytes_sent),
        received: bytes(stats.bytes_received),
    })))
}

fn traced<'a>(point: &'a ProcessEvent<'_>) -> Result<Meaning<'a>, Reject> {
    match (point.subsys.as_deref(), point.event.as_deref().and_then(|event| event.strip_prefix("sys_enter_"))) {
        (Some("syscalls"), Some(call)) => called(call, point),
        _ => Ok(NOTHING),
    }
}

/// What the call of a kernel function means. System calls may have their prefixes.
fn called<'a>(function: &str, call: &'a ProcessEvent<'_>) -> Result<Meaning<'a>, Reject> {
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
        "security_file_permission" | "file_permission" => Ok(permitted(args, ret)),
        "security_mmap_file" | "mmap_file" => Ok(mapped(args, ret)),
        "cap_capable" => Ok(checked(args, ret)),
        "inet_csk_accept" => {
            let accepted = call.returned.as_ref().filter(|returned| returned.sock_arg.is_some());
            peer(SocketOp::Accept, accepted.map(std::slice::from_ref).unwrap_or_default(), 0)
        }
        "inet_listen" | "inet_csk_listen_start" => peer(SocketOp::Bind, args, ret),
        "mount" => Ok(mounted(args, ret)),
        function => Ok(changed(function, args, ret)),
    }
}

const MAY_WRITE: i128 = 2;
const MAY_READ: i128 = 4;
const MAY_APPEND: i128 = 8;
const PROT_EXEC: i128 = 4;
const AT_REMOVEDIR: i128 = 0x200;

/// The path of the file that is one of the arguments. Sockets and pipes are files too, and have names such as
/// `socket:[4711]`.
fn path<'a>(args: &'a [Argument<'_>]) -> Option<&'a str> {
    let file = args.iter().find_map(|arg| arg.file_arg.as_ref().or(arg.path_arg.as_ref()));
    file.and_then(|file| file.path.as_deref()).filter(|path| path.starts_with('/'))
}

/// The first number among the arguments.
fn number(args: &[Argument<'_>]) -> Option<i128> {
    args.iter().find_map(|arg| arg.int_arg.or(arg.uint_arg)).map(|Int(number)| number)
}

/// A check whether a file may be read or written, which policies use in place of its opening.
fn permitted<'a>(args: &'a [Argument<'_>], ret: i64) -> Meaning<'a> {
    let (Some(path), Some(mask)) = (path(args), number(args)) else { return NOTHING };
    let flags = match (mask & MAY_READ != 0, mask & (MAY_WRITE | MAY_APPEND) != 0) {
        (true, true) => 2,
        (false, true) => 1,
        (true, false) => 0,
        (false, false) => return NOTHING,
    };
    Meaning::Body(Body::Open(Open { path: path.as_bytes(), flags, ret, map: false }))
}

/// A file was mapped. A library is mapped whole to be read before its code is mapped to be executed, and policies often
/// tell of that one alone.
fn mapped<'a>(args: &'a [Argument<'_>], ret: i64) -> Meaning<'a> {
    let (Some(path), Some(protection)) = (path(args), number(args)) else { return NOTHING };
    let name = path.rsplit('/').next().unwrap_or_default();
    let map = protection & PROT_EXEC != 0 || name.ends_with(".so") || name.contains(".so.");
    Meaning::Body(Body::Open(Open { path: path.as_bytes(), flags: 0, ret, map }))
}

/// A capability was checked; without a result it was granted.
fn checked(args: &[Argument<'_>], ret: i64) -> Meaning<'static> {
    let cap = args.iter().find_map(|arg| arg.capability_arg.as_ref()?.value);
    match cap.and_then(|cap| u8::try_from(cap.0).ok()).filter(|cap| *cap <= CAPABILITY_MAX) {
        Some(cap) => Meaning::Body(Body::Capability(Capability { cap, used: ret == 0 })),
        None => NOTHING,
    }
}

/// The texts among the arguments of a system call, each with the number before it, which is its directory if it is
/// relative.
fn names<'a>(args: &'a [Argument<'_>]) -> Vec<(Option<i128>, &'a str)> {
    let mut before = None;
    let mut names = Vec::new();
    for arg in args {
        if let Some(text) = &arg.string_arg {
            names.push((before, &**text));
        }
        before = arg.int_arg.map(|Int(number)| number);
    }
    names
}

fn mounted<'a>(args: &'a [Argument<'_>], ret: i64) -> Meaning<'a> {
    let [(_, source), (_, path), (_, fstype)] = names(args)[..] else { return NOTHING };
    let flags = number(args).and_then(|flags| u32::try_from(flags).ok()).unwrap_or(0);
    let (source, path, fstype) = (Some(source.as_bytes()), path.as_bytes(), fstype.as_bytes());
    Meaning::Body(Body::Mount(Mount { path, fstype, source, flags, ret }))
}

/// A system call that changes names, by its texts in their order; or a function of the kernel that is given the file.
fn changed<'a>(function: &str, args: &'a [Argument<'_>], ret: i64) -> Meaning<'a> {
    use ChangeOp as Op;
    let report = |op, from: Option<&'a str>, path: &'a str| {
        Meaning::Body(Body::Change(Change { op, path: path.as_bytes(), from: from.map(str::as_bytes), ret }))
    };
    let of_file = match function {
        "security_path_truncate" | "vfs_truncate" | "security_file_truncate" => Some(Op::Truncate),
        "security_path_chmod" | "chmod_common" => Some(Op::Chmod),
        "security_path_chown" | "chown_common" => Some(Op::Chown),
        _ => None,
    };
    if let Some(op) = of_file {
        return path(args).map_or(NOTHING, |path| report(op, None, path));
    }
    let op = match function {
        "unlink" => Op::Delete,
        "unlinkat" if number(args.get(1..).unwrap_or_default()).is_some_and(|flags| flags & AT_REMOVEDIR != 0) => {
            Op::Rmdir
        }
        "unlinkat" => Op::Delete,
        "rmdir" => Op::Rmdir,
        "mkdir" | "mkdirat" => Op::Mkdir,
        "mknod" | "mknodat" => Op::Create,
        "rename" | "renameat" | "renameat2" => Op::Rename,
        "link" | "linkat" => Op::Link,
        "symlink" | "symlinkat" => Op::Symlink,
        "truncate" => Op::Truncate,
        "chmod" | "fchmodat" | "fchmodat2" => Op::Chmod,
        "chown" | "lchown" | "fchownat" => Op::Chown,
        _ => return NOTHING,
    };
    let names = names(args);
    let in_cwd = |(dir, path): (Option<i128>, &str)| path.starts_with('/') || dir.is_none_or(|dir| dir == AT_FDCWD);
    let (from, name) = match (op, &names[..]) {
        (Op::Rename | Op::Link | Op::Symlink, [from, name]) => (Some(*from), *name),
        (Op::Rename | Op::Link | Op::Symlink, _) => return NOTHING,
        (_, [name]) => (None, *name),
        _ => return NOTHING,
    };
    if name.1.is_empty() {
        return NOTHING;
    }
    if !in_cwd(name) {
        return Meaning::Nothing(Ignored::RelativePath);
    }
    let from = from.filter(|from| op == Op::Symlink || in_cwd(*from)).map(|(_, from)| from);
    report(op, from, name.1)
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
    if args.iter().any(|arg| arg.file_arg.is_some() || arg.path_arg.is_some()) {
        let open = |path: &'a str| Open { path: path.as_bytes(), flags: 0, ret, map: false };
        return Ok(path(args).map_or(NOTHING, |path| Meaning::Body(Body::Open(open(path)))));
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

fn asked<'a>(happening: &'a ProcessEvent<'_>) -> Meaning<'a> {
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
