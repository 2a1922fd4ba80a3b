//! Sockets: who was connected to, let in or heard from, how much went over a connection, and what a metadata service was
//! asked for.
//!
//! A socket has a number of its own, so that copies of a descriptor, also in other processes, are one socket. What is
//! remembered of sockets is bounded; of one that was forgotten, or was there before the log began, less is told.

use std::net::IpAddr;
use std::sync::Arc;

use super::line::Call;
use super::process::{File, Process};
use super::value::{self, Address, Descriptor};
use super::{Caller, StraceDecoder, calls, event, scan};
use crate::behaviour::{imds_request, is_imds_address};
use crate::event::{Body, EINPROGRESS, Flow, Peer, Proto, Sink, Socket, SocketOp};
use crate::trace::Line;
use crate::trace::bounded::Bounded;

/// How many sockets are remembered.
const SOCKETS: usize = 1 << 14;
/// How many others of datagram sockets are remembered, of all sockets together.
const OTHERS: usize = 1 << 16;

/// All sockets of the log.
#[derive(Debug)]
pub(super) struct Sockets {
    all: Bounded<u64, State>,
    /// Who began to speak with whom at a bound datagram socket, by the socket and the other side.
    others: Bounded<(u64, IpAddr, u16), Began>,
    last: u64,
    /// The log has calls of read(2), so that what was received can be added up.
    has_reads: bool,
    /// As well of write(2).
    has_writes: bool,
}

/// What is known of a socket.
#[derive(Clone, Debug, Default)]
struct State {
    proto: Option<Proto>,
    own: Own,
    /// How it was connected, with whom, and by which port that is told.
    peer: Option<(SocketOp, IpAddr, u16)>,
    sent: u64,
    received: u64,
}

/// The own side of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Own {
    /// The state of the socket is not known.
    #[default]
    Unknown,
    /// An address with this port; 0 for one that the kernel chooses.
    Port(u16),
    /// A unix socket's path, or `@` and its name.
    Path(Arc<[u8]>),
}

/// Which side of a bound datagram socket spoke first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Began {
    Other,
    Own,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { all: Bounded::new(SOCKETS), others: Bounded::new(OTHERS), last: 0, has_reads: false, has_writes: false }
    }

    fn add(&mut self, state: State) -> u64 {
        self.last += 1;
        self.all.insert(self.last, state);
        self.last
    }
}

impl StraceDecoder {
    /// Tells of a call if it can be one on a socket: `None` if it is none, `Some(None)` if there is nothing to tell but
    /// the call.
    pub(super) fn socket_call(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Option<Line>> {
        Some(match call.name {
            b"socket" => self.make(by, call),
            b"bind" => self.bind(by, call, sink),
            b"connect" => self.connect(by, call, sink),
            b"getsockname" => self.own_name(by, call),
            b"accept" | b"accept4" => self.accept(by, call, sink),
            b"read" | b"readv" | b"recvfrom" | b"recvmsg" | b"recvmmsg" => self.receive(by, call, sink),
            b"write" | b"writev" | b"sendto" | b"sendmsg" | b"sendmmsg" => self.send(by, call, sink),
            b"sendfile" | b"splice" => self.pass_on(by, call),
            b"close" => {
                let closed = value::descriptor(scan::parts(call.args).next()?)?;
                if let Some(File::Socket(id)) = self.table.process_mut(by.pid).file(closed.fd?) {
                    let id = *id;
                    self.end_flow(by.pid, by.ts, id, sink);
                }
                // What it stood for is for others to forget.
                return None;
            }
            _ => return None,
        })
    }

    fn make(&mut self, by: Caller, call: &Call<'_>) -> Option<Line> {
        let fd = i32::try_from(call.outcome.value?).ok().filter(|fd| *fd >= 0)?;
        let mut args = scan::parts(call.args);
        let (family, kind) = (scan::bare(args.next()?), args.next()?);
        let protocol = args.next().unwrap_or_default();
        let ip = matches!(family, b"AF_INET" | b"AF_INET6" | b"PF_INET" | b"PF_INET6" | b"0x2" | b"0xa")
            && !protocol.ends_with(b"SCTP");
        let proto = match value::bits(kind, &[(b"SOCK_STREAM", 1), (b"SOCK_DGRAM", 2), (b"SOCK_RAW", 3)]) & 0xf {
            1 if ip => Some(Proto::Tcp),
            2 if ip => Some(Proto::Udp),
            _ => None,
        };
        // Until it is bound the kernel would choose its port.
        let own = if ip { Own::Port(0) } else { Own::Unknown };
        self.keep(by.pid, fd, State { proto, own, ..State::default() }, closes_on_exec(kind));
        None
    }

    fn bind(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let mut args = scan::parts(call.args);
        let id = self.socket(by.pid, value::descriptor(args.next()?)?);
        let address = value::sockaddr(args.next()?)?;
        let ret = calls::ret(&call.outcome)?;
        if ret >= 0 {
            let own = self.own(by.pid, &address);
            if let Some(state) = id.and_then(|id| self.sockets.all.get_mut(&id)) {
                state.own = own;
            }
        }
        let proto = self.proto(id);
        Some(self.address(by, call, (SocketOp::Bind, &address, proto, ret), None, sink))
    }

    fn connect(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let mut args = scan::parts(call.args);
        let id = self.socket(by.pid, value::descriptor(args.next()?)?);
        let address = value::sockaddr(args.next()?)?;
        let ret = calls::ret(&call.outcome)?;
        if let Some(state) = id.and_then(|id| self.sockets.all.get_mut(&id))
            && let Address::Ip(ip, port) = &address
            && (ret >= 0 || ret == EINPROGRESS)
        {
            state.peer = Some((SocketOp::Connect, *ip, *port));
        }
        let proto = self.proto(id);
        Some(self.address(by, call, (SocketOp::Connect, &address, proto, ret), None, sink))
    }

    /// The own side of a socket that was there before the log began.
    fn own_name(&mut self, by: Caller, call: &Call<'_>) -> Option<Line> {
        call.outcome.value.filter(|value| *value == 0)?;
        let mut args = scan::parts(call.args);
        let fd = value::descriptor(args.next()?)?;
        let address = value::sockaddr(args.next()?)?;
        let own = self.own(by.pid, &address);
        match self.socket(by.pid, fd).and_then(|id| self.sockets.all.get_mut(&id)) {
            Some(state) if state.own == Own::Unknown => state.own = own,
            Some(_) => {}
            None => self.keep(by.pid, fd.fd?, State { own, ..State::default() }, false),
        }
        None
    }

    /// Somebody was let in: the other side, and the own port.
    fn accept(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        let fd = i32::try_from(call.outcome.value?).ok().filter(|fd| *fd >= 0)?;
        let mut args = scan::parts(call.args);
        let listener = self.socket(by.pid, value::descriptor(args.next()?)?);
        let reported = args.next().and_then(value::sockaddr);
        let close_on_exec = args.nth(1).is_some_and(closes_on_exec);
        let noted = scan::annotation(call.outcome.rest).and_then(Noted::of);
        let mut state = listener.and_then(|id| self.sockets.all.get_mut(&id)).cloned().unwrap_or_default();
        (state.sent, state.received, state.peer) = (0, 0, None);
        if let Some(noted) = &noted {
            state.proto = state.proto.or(Some(noted.proto));
            if let Some(port) = noted.port.filter(|_| state.own == Own::Unknown) {
                state.own = Own::Port(port);
            }
        }
        let peer = match reported {
            Some(Address::Ip(ip, _)) => Some(ip),
            Some(Address::Unix(_)) => None,
            None => noted.and_then(|noted| noted.other),
        };
        let (own, proto) = (state.own.clone(), state.proto);
        if let (Some(ip), Own::Port(port)) = (peer, &own) {
            state.peer = Some((SocketOp::Accept, ip, *port));
        }
        self.keep(by.pid, fd, state, close_on_exec);
        let socket = match (peer, &own) {
            (Some(ip), Own::Port(port)) => socket(SocketOp::Accept, Peer::Ip(ip), *port, proto, 0),
            (None, Own::Path(path)) => socket(SocketOp::Accept, Peer::Unix(&**path), 0, None, 0),
            // At which port nobody knows.
            _ => return None,
        };
        self.report(by, call, Body::Socket(socket), sink)
    }

    fn receive(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        self.sockets.has_reads |= call.name == b"read";
        let bytes = u64::try_from(call.outcome.value?).ok()?;
        let mut args = scan::parts(call.args);
        let id = self.socket(by.pid, value::descriptor(args.next()?)?)?;
        let state = self.sockets.all.get_mut(&id)?;
        match state {
            State { proto: Some(Proto::Tcp), received, .. } => {
                *received = received.saturating_add(bytes);
                None
            }
            // A port of its own choice is what others send to.
            State { proto: Some(Proto::Udp), own: Own::Port(port @ 1..), .. } => {
                let port = *port;
                let mut line = None;
                for (ip, other) in others(call) {
                    let key = (id, ip, other);
                    if *self.sockets.others.get_or_insert_with(key, || Began::Other) == Began::Other {
                        let body = socket(SocketOp::Accept, Peer::Ip(ip), port, Some(Proto::Udp), 0);
                        line = Some(self.tell_one_of(by, call, body, line, sink));
                    }
                }
                line
            }
            _ => None,
        }
    }

    fn send(&mut self, by: Caller, call: &Call<'_>, sink: &mut dyn Sink) -> Option<Line> {
        self.sockets.has_writes |= call.name == b"write";
        let ret = calls::ret(&call.outcome)?;
        let mut args = scan::parts(call.args);
        let fd = value::descriptor(args.next()?)?;
        let id = self.socket(by.pid, fd);
        let state = id.and_then(|id| self.sockets.all.get_mut(&id));
        if let Some(State { proto: Some(Proto::Tcp), sent, peer, .. }) = state {
            *sent = sent.saturating_add(u64::try_from(ret).unwrap_or(0));
            let (_, ip, _) = peer.filter(|(op, ip, _)| *op == SocketOp::Connect && is_imds_address(*ip) && ret > 0)?;
            let payload = payload(call)?;
            let request = imds_request(ip, &payload)?;
            return self.report(by, call, Body::Imds(request), sink);
        }
        let proto = self.proto(id);
        let mut line = None;
        for address in addresses(call) {
            // Who spoke first is answered, where anybody may speak.
            if let (Some(id), Address::Ip(ip, port)) = (id, &address)
                && *self.sockets.others.get_or_insert_with((id, *ip, *port), || Began::Own) == Began::Other
            {
                continue;
            }
            line = Some(self.address(by, call, (SocketOp::Connect, &address, proto, ret), line, sink));
        }
        line
    }

    /// What is copied from one descriptor to another.
    fn pass_on(&mut self, by: Caller, call: &Call<'_>) -> Option<Line> {
        let bytes = u64::try_from(call.outcome.value?).ok()?;
        let mut args = scan::parts(call.args);
        let first = value::descriptor(args.next()?);
        let second = if call.name == b"splice" { args.nth(1) } else { args.next() }.and_then(value::descriptor);
        let (to, from) = if call.name == b"splice" { (second, first) } else { (first, second) };
        if let Some(state) = to.and_then(|to| self.socket(by.pid, to)).and_then(|id| self.sockets.all.get_mut(&id)) {
            state.sent = state.sent.saturating_add(bytes);
        }
        if let Some(state) =
            from.and_then(|from| self.socket(by.pid, from)).and_then(|id| self.sockets.all.get_mut(&id))
        {
            state.received = state.received.saturating_add(bytes);
        }
        None
    }

    /// Tells how much has gone over a process's connections, which end with it.
    pub(super) fn end_flows(&mut self, pid: u32, ts: u64, sink: &mut dyn Sink) {
        let sockets: Vec<u64> = self.table.process_mut(pid).sockets().collect();
        for id in sockets {
            self.end_flow(pid, ts, id, sink);
        }
    }

    /// Tells how much has gone over a connection so far. A direction of which the log does not have the plain calls is not
    /// told: a sum of some is no volume.
    fn end_flow(&mut self, pid: u32, ts: u64, id: u64, sink: &mut dyn Sink) {
        let Sockets { all, has_reads, has_writes, .. } = &mut self.sockets;
        let Some(State { proto: Some(Proto::Tcp), peer: Some((op, ip, port)), sent, received, .. }) = all.get_mut(&id)
        else {
            return;
        };
        if (*sent, *received) == (0, 0) || !(*has_reads || *has_writes) {
            return;
        }
        let (sent, received) = (has_writes.then_some(*sent), has_reads.then_some(*received));
        let flow = Flow { op: *op, peer: Peer::Ip(*ip), port: *port, proto: Some(Proto::Tcp), sent, received };
        sink.implied(event(pid, ts, Body::Flow(flow)));
    }

    /// The socket that a descriptor stands for. One that only `-yy` tells of is a new one.
    fn socket(&mut self, pid: u32, descriptor: Descriptor<'_>) -> Option<u64> {
        let fd = descriptor.fd?;
        match self.table.process_mut(pid).file(fd) {
            Some(File::Socket(id)) => {
                let id = *id;
                let state = self.sockets.all.get_or_insert_with(id, State::default);
                if state.proto.is_none() {
                    state.proto = descriptor.note.and_then(Noted::of).map(|noted| noted.proto);
                }
                return Some(id);
            }
            Some(_) => return None,
            None => {}
        }
        let noted = Noted::of(descriptor.note?)?;
        let own = noted.port.filter(|_| noted.other.is_none()).map_or(Own::Unknown, Own::Port);
        self.keep(pid, fd, State { proto: Some(noted.proto), own, ..State::default() }, false);
        Some(self.sockets.last)
    }

    /// Remembers a socket that a descriptor now stands for.
    fn keep(&mut self, pid: u32, fd: i32, state: State, close_on_exec: bool) {
        let id = self.sockets.add(state);
        self.table.process_mut(pid).open(fd, Some(File::Socket(id)), close_on_exec);
    }

    fn proto(&self, id: Option<u64>) -> Option<Proto> {
        self.sockets.all.get(&id?)?.proto
    }

    fn own(&mut self, pid: u32, address: &Address<'_>) -> Own {
        match address {
            Address::Ip(_, port) => Own::Port(*port),
            Address::Unix(path) => Own::Path(unix_path(self.table.process_mut(pid), path).into()),
        }
    }

    /// Tells of something done with an address.
    fn address(
        &mut self,
        by: Caller,
        call: &Call<'_>,
        (op, address, proto, ret): (SocketOp, &Address<'_>, Option<Proto>, i64),
        line: Option<Line>,
        sink: &mut dyn Sink,
    ) -> Line {
        let path;
        let reported = match address {
            Address::Ip(ip, port) => socket(op, Peer::Ip(*ip), *port, proto, ret),
            Address::Unix(name) => {
                path = unix_path(self.table.process_mut(by.pid), name);
                socket(op, Peer::Unix(path.as_slice()), 0, None, ret)
            }
        };
        self.tell_one_of(by, call, reported, line, sink)
    }

    /// Tells of one of several things that a call did: the first is the line's event.
    fn tell_one_of(
        &mut self,
        by: Caller,
        call: &Call<'_>,
        body: Socket<&[u8]>,
        line: Option<Line>,
        sink: &mut dyn Sink,
    ) -> Line {
        if line.is_some() {
            sink.implied(event(by.pid, by.ts, Body::Socket(body)));
            return Line::Event;
        }
        self.report(by, call, Body::Socket(body), sink).unwrap_or(Line::Event)
    }
}

fn socket<B>(op: SocketOp, peer: Peer<B>, port: u16, proto: Option<Proto>, ret: i64) -> Socket<B> {
    Socket { op, peer, port, proto, ret }
}

fn unix_path(process: &Process, path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"@") { path.to_vec() } else { process.resolve(None, path).into_owned() }
}

fn closes_on_exec(flags: &[u8]) -> bool {
    value::bits(flags, &[(b"SOCK_CLOEXEC", 0o2_000_000)]) & 0o2_000_000 != 0
}

/// The addresses that datagrams of a call came from or went to.
fn addresses<'a>(call: &Call<'a>) -> Vec<Address<'a>> {
    let mut args = scan::parts(call.args);
    let of_message = |message| scan::member(message, b"msg_name").and_then(value::sockaddr);
    match call.name {
        b"recvfrom" | b"sendto" => args.nth(4).and_then(value::sockaddr).into_iter().collect(),
        b"recvmsg" | b"sendmsg" => args.nth(1).and_then(of_message).into_iter().collect(),
        b"recvmmsg" | b"sendmmsg" => {
            let list = args.nth(1).and_then(|list| list.strip_prefix(b"[")?.strip_suffix(b"]"));
            let headers = list.map(scan::parts).into_iter().flatten();
            headers.filter_map(|message| scan::member(message, b"msg_hdr").and_then(of_message)).collect()
        }
        _ => Vec::new(),
    }
}

/// As [`addresses`], those that are IP addresses.
fn others(call: &Call<'_>) -> Vec<(IpAddr, u16)> {
    let ip = |address| if let Address::Ip(ip, port) = address { Some((ip, port)) } else { None };
    addresses(call).into_iter().filter_map(ip).collect()
}

/// As much as the log has of what a call sends first.
fn payload<'a>(call: &Call<'a>) -> Option<std::borrow::Cow<'a, [u8]>> {
    let given = scan::parts(call.args).nth(1)?;
    let vector = match call.name {
        b"write" | b"sendto" => return value::lossy_string(given).map(|(bytes, _)| bytes),
        b"writev" => given,
        b"sendmsg" => scan::member(given, b"msg_iov")?,
        _ => return None,
    };
    let first = scan::parts(vector.strip_prefix(b"[")?.strip_suffix(b"]")?).next()?;
    value::lossy_string(scan::member(first, b"iov_base")?).map(|(bytes, _)| bytes)
}

/// What `-yy` says of a socket: `TCP:[127.0.0.1:80->127.0.0.1:40000]`, `UDPv6:[[::]:53]`, `UDP:[4711]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    proto: Proto,
    /// The own port; of a datagram socket only one below those that the kernel chooses.
    port: Option<u16>,
    /// The other side, if it is connected.
    other: Option<IpAddr>,
}

impl Noted {
    fn of(note: &[u8]) -> Option<Self> {
        let (kind, rest) = note.split_at_checked(memchr::memchr(b':', note)?)?;
        let proto = match kind {
            b"TCP" | b"TCPv6" => Proto::Tcp,
            b"UDP" | b"UDPv6" => Proto::Udp,
            _ => return None,
        };
        let sides = str::from_utf8(rest.strip_prefix(b":[")?.strip_suffix(b"]")?).ok()?;
        let (own, other) = sides.split_once("->").map_or((sides, None), |(own, other)| (own, Some(other)));
        let side = |text: &str| -> Option<(IpAddr, u16)> {
            let (ip, port) = text.rsplit_once(':')?;
            let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
            Some((ip.parse().ok()?, port.parse().ok()?))
        };
        let chosen = |port: &u16| proto == Proto::Tcp || *port < 32768;
        Some(Self {
            proto,
            port: side(own).map(|(_, port)| port).filter(chosen),
            other: other.and_then(side).map(|(ip, _)| ip),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_of_a_socket() {
        let ip = |text: &str| Some(text.parse().unwrap());
        for (note, expected) in [
            ("TCP:[127.0.0.1:80->10.0.0.7:40000]", Some((Proto::Tcp, Some(80), ip("10.0.0.7")))),
            ("TCPv6:[[::1]:80->[fd00::7]:40000]", Some((Proto::Tcp, Some(80), ip("fd00::7")))),
            ("TCP:[0.0.0.0:40000]", Some((Proto::Tcp, Some(40000), None))),
            ("UDP:[0.0.0.0:53]", Some((Proto::Udp, Some(53), None))),
            ("UDP:[0.0.0.0:40000]", Some((Proto::Udp, None, None))),
            ("UDPv6:[4711]", Some((Proto::Udp, None, None))),
            ("socket:[4711]", None),
            ("UNIX-STREAM:[1->2]", None),
            ("/etc/passwd", None),
        ] {
            let reported = Noted::of(note.as_bytes()).map(|noted| (noted.proto, noted.port, noted.other));
            assert_eq!(reported, expected, "{note}");
        }
    }
}
