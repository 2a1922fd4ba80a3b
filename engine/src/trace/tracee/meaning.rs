//! What a record of Tracee means.
//!
//! Not here: who did it, which is the decoder's to know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record::Record;
use crate::behaviour::{ChangeOp, imds_request, is_imds_address};
use crate::event::{Body, Capability, Change, Imds, Mount, Open, Peer, Proto, Socket, SocketOp};
use crate::ledger::Ignored;
use crate::names::{CAPABILITY_MAX, open_flags, question_type};
use crate::trace::Reject;
use crate::trace::json::{self, Int, Text};

/// The event that a record of Tracee's is.
pub(super) enum Meaning<'a> {
    Exec { path: Text<'a>, argv: Option<Vec<u8>> },
    Fork { pid: u32, ppid: u32 },
    Exit,
    Started { id: Text<'a>, image: Text<'a> },
    Does(Body<Cow<'a, [u8]>>),
    Dns(Vec<(Text<'a>, u16)>),
    Syscall(u32),
    Nothing(Ignored),
}

const NOTHING: Meaning<'static> = Meaning::Nothing(Ignored::NoBehaviour);

const AT_FDCWD: i128 = -100;
const AT_REMOVEDIR: i128 = 0x200;
const PROT_EXEC: i128 = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DnsMessage<'a> {
    /// 0 for a question, 1 for an answer.
    #[serde(rename = "QR", alias = "qr")]
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

/// Of a request over HTTP what is no secret: of headers their names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpRequest<'a> {
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    uri_path: Option<Text<'a>>,
    headers: Option<BTreeMap<String, IgnoredAny>>,
}

/// What a record means.
///
/// # Errors
/// An argument that every event of its kind has is not there or of another type.
pub(super) fn of<'a>(record: &'a Record<'_>) -> Result<Meaning<'a>, Reject> {
    use ChangeOp as Op;
    let change = |op, path| changed(record, op, None, path);
    Ok(match record.name()? {
        "net_packet_dns" | "net_packet_dns_request" => asked(record),
        "net_packet_http" | "net_packet_http_request" => requested(record),
        "sched_process_exec" => executed(record)?,
        "sched_process_fork" => forked(record)?,
        "sched_process_exit" if ends_process(record) => Meaning::Exit,
        "container_create" | "existing_container" => {
            match (record.arg("container_id"), record.arg("container_image")) {
                (Some(id), Some(image)) => Meaning::Started { id, image },
                _ => NOTHING,
            }
        }
        name @ ("open" | "openat" | "openat2" | "creat" | "security_file_open") => opened(record, name)?,
        "shared_object_loaded" => mapped(record),
        "security_mmap_file" if record.arg("prot").is_some_and(|Int(prot)| prot & PROT_EXEC != 0) => mapped(record),
        "connect" | "security_socket_connect" => socket(record, SocketOp::Connect, &["addr", "remote_addr"])?,
        "bind" | "security_socket_bind" => socket(record, SocketOp::Bind, &["addr", "local_addr"])?,
        "security_socket_listen" => socket(record, SocketOp::Bind, &["local_addr"])?,
        "socket_accept" => socket(record, SocketOp::Accept, &["remote_addr"])?,
        "net_tcp_connect" => connected(record)?,
        "cap_capable" => match record.arg("cap").and_then(|cap: Int| u8::try_from(cap.0).ok()) {
            Some(cap) if cap <= CAPABILITY_MAX => {
                Meaning::Does(Body::Capability(Capability { cap, used: record.ret()? == 0 }))
            }
            _ => NOTHING,
        },
        "mount" => mounted(record, "source", "target", "filesystemtype", "mountflags")?,
        "security_sb_mount" => mounted(record, "dev_name", "path", "type", "flags")?,
        "unlink" | "security_inode_unlink" => change(Op::Delete, "pathname")?,
        "unlinkat" if record.arg("flags").is_some_and(|Int(flags)| flags & AT_REMOVEDIR != 0) => {
            change(Op::Rmdir, "pathname")?
        }
        "unlinkat" => change(Op::Delete, "pathname")?,
        "rmdir" => change(Op::Rmdir, "pathname")?,
        "mkdir" | "mkdirat" => change(Op::Mkdir, "pathname")?,
        "mknod" | "mknodat" => change(Op::Create, "pathname")?,
        "security_inode_mknod" => change(Op::Create, "file_name")?,
        "rename" | "renameat" | "renameat2" => changed(record, Op::Rename, Some("oldpath"), "newpath")?,
        "security_inode_rename" => changed(record, Op::Rename, Some("old_path"), "new_path")?,
        "link" | "linkat" => changed(record, Op::Link, Some("oldpath"), "newpath")?,
        "symlink" | "symlinkat" | "security_inode_symlink" => changed(record, Op::Symlink, Some("target"), "linkpath")?,
        "truncate" => change(Op::Truncate, "path")?,
        "do_truncate" => change(Op::Truncate, "pathname")?,
        "chmod" | "fchmodat" | "chmod_common" => change(Op::Chmod, "pathname")?,
        "chown" | "lchown" | "fchownat" => change(Op::Chown, "pathname")?,
        "sys_enter" => match record.arg("syscall").and_then(|nr: Int| u32::try_from(nr.0).ok()) {
            Some(nr) => Meaning::Syscall(nr),
            None => NOTHING,
        },
        _ => NOTHING,
    })
}

fn bytes(text: Text<'_>) -> Cow<'_, [u8]> {
    match text.0 {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn executed<'a>(record: &'a Record<'_>) -> Result<Meaning<'a>, Reject> {
    let argv = record.list("argv").map(|args| {
        let mut argv = Vec::new();
        for arg in args {
            argv.extend_from_slice(arg.as_bytes());
            argv.push(0);
        }
        argv
    });
    Ok(Meaning::Exec { path: record.required("pathname")?, argv })
}

fn forked<'a>(record: &'a Record<'_>) -> Result<Meaning<'a>, Reject> {
    // Since v1beta1 the two names of a process are told apart by the namespace.
    let number = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, record.arg::<Int>(name)?)));
    let (name, pid) = number(["child_pid", "child_process_id"]).ok_or_else(|| json::missing("child_pid"))?;
    if record.arg::<Int>("child_tid").is_some_and(|tid| tid != pid) {
        return Ok(NOTHING);
    }
    let ppid = match record.arg::<Int>("parent_pid") {
        Some(ppid) => ppid.to("parent_pid")?,
        None => record.who()?.pid,
    };
    Ok(Meaning::Fork { pid: pid.to(name)?, ppid })
}

/// Whether the thread that ended was its process's last.
fn ends_process(record: &Record<'_>) -> bool {
    record.arg("process_group_exit").unwrap_or_else(|| record.leads())
}

/// Whether a relative path is relative to the working directory, as far as the argument `dirfd` says.
fn in_cwd(record: &Record<'_>, dirfd: &str) -> bool {
    match record.arg::<Int>(dirfd) {
        Some(dir) => dir.0 == AT_FDCWD,
        None => record.arg::<Text<'_>>(dirfd).is_none_or(|dir| *dir == *"AT_FDCWD"),
    }
}

fn opened<'a>(record: &'a Record<'_>, name: &str) -> Result<Meaning<'a>, Reject> {
    let path: Text<'_> = record.required("pathname")?;
    if path.is_empty() {
        return Ok(NOTHING);
    }
    if !path.starts_with('/') && !in_cwd(record, "dirfd") {
        return Ok(Meaning::Nothing(Ignored::RelativePath));
    }
    let flags = match (name, record.arg::<Int>("flags")) {
        ("creat", _) => open_flags::CREAT,
        (_, Some(flags)) => flags.0 as u32,
        // With parsed arguments.
        (_, None) => record.arg::<Text<'_>>("flags").map_or(0, |flags| open_flags::parse(flags.as_bytes())),
    };
    let open = Open { path: bytes(path), flags, ret: record.ret()?, map: false };
    Ok(Meaning::Does(Body::Open(open)))
}

/// A file was mapped to be executed.
fn mapped<'a>(record: &'a Record<'_>) -> Meaning<'a> {
    match record.arg::<Text<'_>>("pathname").filter(|path| path.starts_with('/')) {
        Some(path) => Meaning::Does(Body::Open(Open { path: bytes(path), flags: 0, ret: 0, map: true })),
        None => NOTHING,
    }
}

fn mounted<'a>(
    record: &'a Record<'_>,
    source: &str,
    path: &str,
    fstype: &str,
    flags: &str,
) -> Result<Meaning<'a>, Reject> {
    let Some(path) = record.arg::<Text<'_>>(path).filter(|path| !path.is_empty()) else { return Ok(NOTHING) };
    // Flags that were parsed into names are not read: which they are is no part of what a mount is known by.
    let flags = record.arg::<Int>(flags).map_or(0, |flags| flags.0 as u32);
    let fstype = record.arg::<Text<'_>>(fstype).map(bytes).unwrap_or_default();
    let source = record.arg::<Text<'_>>(source).map(bytes);
    Ok(Meaning::Does(Body::Mount(Mount { path: bytes(path), fstype, source, flags, ret: record.ret()? })))
}

fn changed<'a>(
    record: &'a Record<'_>,
    op: ChangeOp,
    from: Option<&str>,
    path: &'static str,
) -> Result<Meaning<'a>, Reject> {
    let reported: Text<'_> = record.required(path)?;
    if reported.is_empty() {
        return Ok(NOTHING);
    }
    let (old_dir, dir) = if from == Some("oldpath") { ("olddirfd", "newdirfd") } else { ("newdirfd", "newdirfd") };
    if !(reported.starts_with('/') || in_cwd(record, dir) && in_cwd(record, "dirfd")) {
        return Ok(Meaning::Nothing(Ignored::RelativePath));
    }
    let from = from.and_then(|from| record.arg::<Text<'_>>(from));
    let from = from.filter(|from| op == ChangeOp::Symlink || from.starts_with('/') || in_cwd(record, old_dir));
    let change = Change { op, path: bytes(reported), from: from.map(bytes), ret: record.ret()? };
    Ok(Meaning::Does(Body::Change(change)))
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// The first of these arguments that is an address.
fn address<'a>(record: &'a Record<'_>, names: &[&str]) -> Option<(Peer<Text<'a>>, Option<Int>)> {
    let address: SocketAddress<'_> = names.iter().find_map(|name| record.arg(name))?;
    if let Some(path) = address.sun_path.filter(|path| !path.is_empty()) {
        // An abstract name begins with a NUL byte.
        let path = match path.strip_prefix('\0') {
            Some(name) => Text(Cow::Owned(format!("@{name}"))),
            None => path,
        };
        return Some((Peer::Unix(path), None));
    }
    let addr = address.sin_addr.or(address.sin6_addr).and_then(|addr| ip(&addr))?;
    Some((Peer::Ip(addr), address.sin_port.or(address.sin6_port)))
}

fn socket<'a>(record: &'a Record<'_>, op: SocketOp, names: &[&str]) -> Result<Meaning<'a>, Reject> {
    let Some((peer, port)) = address(record, names) else { return Ok(NOTHING) };
    let ret = record.ret()?;
    let own = (op == SocketOp::Accept).then(|| address(record, &["local_addr"]));
    let (peer, port, proto) = match (peer, own) {
        // Who was let in is told by where.
        (Peer::Unix(_), Some(Some((Peer::Unix(path), _)))) | (Peer::Unix(path), None) => {
            (Peer::Unix(bytes(path)), 0, None)
        }
        (Peer::Ip(ip), Some(Some((Peer::Ip(_), Some(port))))) => {
            (Peer::Ip(ip), port.to("local_addr")?, Some(Proto::Tcp))
        }
        (Peer::Ip(ip), None) => {
            let Some(port) = port else { return Ok(NOTHING) };
            let kind = record.arg::<Int>("type").map(|kind| kind.0 & 0xf);
            let proto = match (kind, record.arg::<Text<'_>>("type").as_deref()) {
                (Some(1), _) | (_, Some("SOCK_STREAM")) => Some(Proto::Tcp),
                (Some(2), _) | (_, Some("SOCK_DGRAM")) => Some(Proto::Udp),
                _ if record.name()? == "security_socket_listen" => Some(Proto::Tcp),
                _ => None,
            };
            (Peer::Ip(ip), port.to("port")?, proto)
        }
        _ => return Ok(NOTHING),
    };
    Ok(Meaning::Does(Body::Socket(Socket { op, peer, port, proto, ret })))
}

fn connected<'a>(record: &'a Record<'_>) -> Result<Meaning<'a>, Reject> {
    let (Some(ip), Some(port)) =
        (record.arg::<Text<'_>>("dst").and_then(|dst| ip(&dst)), record.arg::<Int>("dst_port"))
    else {
        return Ok(NOTHING);
    };
    let (op, peer, proto) = (SocketOp::Connect, Peer::Ip(ip), Some(Proto::Tcp));
    Ok(Meaning::Does(Body::Socket(Socket { op, peer, port: port.to("dst_port")?, proto, ret: 0 })))
}

fn asked<'a>(record: &'a Record<'_>) -> Meaning<'a> {
    let questions = match record.arg::<DnsMessage<'_>>("proto_dns") {
        Some(message) if message.qr.is_none_or(|qr| qr.0 == 0) => message.questions,
        Some(_) => None,
        None => record
            .arg::<Vec<Question<'_>>>("dns_questions")
            .or_else(|| record.arg::<DnsMessage<'_>>("dns_questions")?.questions),
    };
    let questions: Vec<(Text<'_>, u16)> = questions
        .into_iter()
        .flatten()
        .filter_map(|question| Some((question.name, question_type(&question.kind)?)))
        .collect();
    if questions.is_empty() { NOTHING } else { Meaning::Dns(questions) }
}

/// A request over HTTP, if it is one to a metadata service.
fn requested<'a>(record: &'a Record<'_>) -> Meaning<'a> {
    let Some(ip) = record.arg::<Text<'_>>("dst").and_then(|dst| ip(&dst)).filter(|ip| is_imds_address(*ip)) else {
        return NOTHING;
    };
    let request = ["http_request", "proto_http"].into_iter().find_map(|name| record.arg::<HttpRequest<'_>>(name));
    let Some(HttpRequest { method: Some(method), uri_path: Some(path), headers }) = request else { return NOTHING };
    let mut head = format!("{} {} HTTP/1.1\r\n", &*method, &*path);
    for name in headers.unwrap_or_default().keys() {
        head.push_str(name);
        head.push_str(":\r\n");
    }
    head.push_str("\r\n");
    match imds_request(ip, head.as_bytes()) {
        Some(Imds { path, provider, token }) => Meaning::Does(Body::Imds(Imds {
            path: Cow::Owned(path.to_vec()),
            provider: provider.map(|provider| Cow::Owned(provider.to_vec())),
            token,
        })),
        None => NOTHING,
    }
}
