//! Sockets: bound, connected, somebody let in, and how much went over them.

use super::address::{Address, Family, Peer, Proto, SocketKey, SocketOp};
use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default,
};
use super::record::{Buffers, Field, Raw, Reject, Shape, not_empty, quoted, reject, write_bytes, write_some};
use super::{
    Behaviour, BehaviourKey, Behaviours, Bounded, By, Class, Details, Kind, PATH_BYTES_MAX, Report, Scope, Texts,
    bounded_path, normal_path,
};
use crate::ledger::{Fate, Rejected};
use crate::path::{below_run, escape, is_pattern};
use crate::text::Visible;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much was sent at most over one connection, as the power of two above it.
const SENT: Class = Class::largest(0);
/// How much was received, likewise.
const RECEIVED: Class = Class::largest(1);

/// What a finding is called of more going over a known peer's connections than ever did.
const VOLUME: &str = "volume";

/// A socket was connected or bound, or somebody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket<B> {
    /// Which of these.
    pub op: SocketOp,
    /// The other side of a connect or accept, the own side of a bind; of an accept on a unix socket, the own path.
    pub peer: Peer<B>,
    /// Port in host order: the own one but for a connect; 0 for unix sockets.
    pub port: u16,
    /// Transport, where the source knows it.
    pub proto: Option<Proto>,
    /// The call's result; below 0 the attempt failed, except for [`EINPROGRESS`] on a connect.
    pub ret: i64,
}

/// So much has gone over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow<B> {
    /// How it came to be: [`SocketOp::Connect`] or [`SocketOp::Accept`].
    pub op: SocketOp,
    /// As of its [`Socket`].
    pub peer: Peer<B>,
    /// As of its [`Socket`].
    pub port: u16,
    /// Transport, where the source knows it.
    pub proto: Option<Proto>,
    /// Bytes sent so far, where the source tells.
    pub sent: Option<u64>,
    /// Bytes received so far, where the source tells.
    pub received: Option<u64>,
}

/// `-EINPROGRESS`: what a non-blocking connect that is under way returns. It counts as a success.
pub const EINPROGRESS: i64 = -115;

impl<B> Socket<B> {
    /// What was done with a socket, and the result of the call.
    pub const fn new(op: SocketOp, peer: Peer<B>, port: u16, proto: Option<Proto>, ret: i64) -> Self {
        Self { op, peer, port, proto, ret }
    }

    pub(crate) fn map<C>(self, f: impl FnMut(B) -> C) -> Socket<C> {
        let Self { op, peer, port, proto, ret } = self;
        Socket { op, peer: peer.map(f), port, proto, ret }
    }

    fn failed(&self) -> bool {
        self.ret < 0 && !(self.op == SocketOp::Connect && self.ret == EINPROGRESS)
    }
}

impl<B> Flow<B> {
    /// A connection of which it is not known how much went over it.
    pub const fn new(op: SocketOp, peer: Peer<B>, port: u16, proto: Option<Proto>) -> Self {
        Self { op, peer, port, proto, sent: None, received: None }
    }

    pub(crate) fn map<C>(self, f: impl FnMut(B) -> C) -> Flow<C> {
        let Self { op, peer, port, proto, sent, received } = self;
        Flow { op, peer: peer.map(f), port, proto, sent, received }
    }
}

const REQUIRED: &[Field] = &[Field::Family, Field::Addr];

/// The other side of a socket, its port and its transport.
type Side<'s> = (Peer<&'s [u8]>, u16, Option<Proto>);

/// What a record says of a socket's other side.
fn read_peer<'s>(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Side<'s>, Reject> {
    let misfit = |expected| {
        let detail = format!("found {}, expected {expected}", quoted(&raw.addr));
        reject(Rejected::InvalidValue, Field::Addr, detail)
    };
    let peer = match &*raw.family {
        "inet" => Peer::Ip(IpAddr::V4(raw.addr.parse::<Ipv4Addr>().map_err(|_| misfit("an IPv4 address"))?)),
        "inet6" => {
            // The scope tells an interface, which is another one on the next host.
            let addr = raw.addr.split_once('%').map_or(&*raw.addr, |(addr, _)| addr);
            Peer::Ip(IpAddr::V6(addr.parse::<Ipv6Addr>().map_err(|_| misfit("an IPv6 address"))?))
        }
        "unix" => {
            let addr = raw.bytes((Field::Addr, &raw.addr), (Field::AddrB64, &raw.addr_b64), &mut buffers.path)?;
            Peer::Unix(not_empty(Field::Addr, addr)?)
        }
        other => {
            let detail = format!("found {}, expected `inet`, `inet6` or `unix`", quoted(other));
            return Err(reject(Rejected::InvalidValue, Field::Family, detail));
        }
    };
    let proto = if raw.has(Field::Proto) {
        Some(Proto::from_name(&raw.proto).ok_or_else(|| {
            let detail = format!("found {}, expected `tcp` or `udp`", quoted(&raw.proto));
            reject(Rejected::InvalidValue, Field::Proto, detail)
        })?)
    } else {
        None
    };
    match peer {
        Peer::Ip(_) if !raw.has(Field::Port) => {
            let detail = format!("required for `{}` of family `{}`", raw.kind, raw.family);
            Err(reject(Rejected::MissingField, Field::Port, detail))
        }
        Peer::Ip(_) => Ok((peer, raw.port as u16, proto)),
        // There is nothing that a port or a transport could say of a unix socket.
        Peer::Unix(_) => Ok((peer, 0, None)),
    }
}

fn write_peer<M: SerializeMap>(
    map: &mut M,
    peer: &Peer<&[u8]>,
    port: u16,
    proto: Option<Proto>,
) -> Result<(), M::Error> {
    match peer {
        Peer::Ip(ip) => {
            map.serialize_entry("family", if ip.is_ipv4() { "inet" } else { "inet6" })?;
            map.serialize_entry("addr", ip)?;
        }
        Peer::Unix(path) => {
            map.serialize_entry("family", "unix")?;
            write_bytes(map, (Field::Addr, Field::AddrB64), path)?;
        }
    }
    map.serialize_entry("port", &port)?;
    write_some(map, Field::Proto, proto.map(Proto::name))
}

/// The behaviour of a socket of which `details` are told.
fn socket<'t>(
    (op, peer, port, proto): (SocketOp, Peer<&[u8]>, u16, Option<Proto>),
    details: Details<&'t str>,
    by: By<'_>,
    texts: &'t mut Texts,
) -> Result<Behaviours<'t>, Fate> {
    let key = match peer {
        Peer::Ip(ip) => {
            // An IPv4 address in IPv6 form is the same peer.
            let ip = ip.to_canonical();
            let family = if ip.is_ipv4() { Family::Inet } else { Family::Inet6 };
            BehaviourKey::Address(SocketKey::new(op, family, proto, port), Address::Host(ip))
        }
        Peer::Unix(path) => {
            let text = &mut texts.first;
            if path.first() == Some(&b'@') && path.len() <= PATH_BYTES_MAX {
                text.clear();
                escape(path, text);
            } else {
                normal_path(path, by, text)?;
            }
            BehaviourKey::Name(Scope::Sockets(SocketKey::new(op, Family::Unix, proto, 0)), text.as_str())
        }
    };
    Ok(Behaviours::One(Behaviour { kind: Kind::Socket, key, details }))
}

impl<'s> Report<'s> for Socket<&'s [u8]> {
    const SHAPE: Shape = Shape::new(REQUIRED, &[Field::AddrB64, Field::Port, Field::Proto, Field::Ret]);

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let op = match &*raw.kind {
            "bind" => SocketOp::Bind,
            "accept" => SocketOp::Accept,
            _ => SocketOp::Connect,
        };
        let (peer, port, proto) = read_peer(raw, buffers)?;
        Ok(Self { op, peer, port, proto, ret: raw.ret })
    }

    fn type_name(&self) -> &'static str {
        self.op.name()
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_peer(map, &self.peer, self.port, self.proto)?;
        map.serialize_entry("ret", &self.ret)
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        match self.peer {
            Peer::Ip(_) => None,
            Peer::Unix(path) => bounded_path("addr", path, self.ret),
        }
    }

    fn failure(&self) -> Option<i64> {
        self.failed().then_some(self.ret)
    }

    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        socket((self.op, self.peer, self.port, self.proto), Details::none(), by, texts)
    }
}

impl<'s> Report<'s> for Flow<&'s [u8]> {
    const SHAPE: Shape = Shape::new(
        REQUIRED,
        &[Field::AddrB64, Field::Port, Field::Proto, Field::Ret, Field::Op, Field::Sent, Field::Received],
    );

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let op = match &*raw.op {
            _ if !raw.has(Field::Op) => SocketOp::Connect,
            "connect" => SocketOp::Connect,
            "accept" => SocketOp::Accept,
            other => {
                let detail = format!("found {}, expected `connect` or `accept`", quoted(other));
                return Err(reject(Rejected::InvalidValue, Field::Op, detail));
            }
        };
        let (peer, port, proto) = read_peer(raw, buffers)?;
        let reported = |field, bytes| raw.has(field).then_some(bytes);
        let (sent, received) = (reported(Field::Sent, raw.sent), reported(Field::Received, raw.received));
        Ok(Self { op, peer, port, proto, sent, received })
    }

    fn type_name(&self) -> &'static str {
        "flow"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_peer(map, &self.peer, self.port, self.proto)?;
        map.serialize_entry("op", self.op.name())?;
        write_some(map, Field::Sent, self.sent)?;
        write_some(map, Field::Received, self.received)
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        match self.peer {
            Peer::Ip(_) => None,
            Peer::Unix(path) => bounded_path("addr", path, 0),
        }
    }

    fn failure(&self) -> Option<i64> {
        None
    }

    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        let mut details = Details::none();
        for (class, bytes) in [(SENT, self.sent), (RECEIVED, self.received)] {
            details.numbers.extend(bytes.map(|bytes| class.detail(power_above(bytes))));
        }
        socket((self.op, self.peer, self.port, self.proto), details, by, texts)
    }
}

/// The smallest n with `bytes` below 2^n; 0 for none.
fn power_above(bytes: u64) -> u32 {
    u64::BITS - bytes.leading_zeros()
}

/// How much went over a socket's connections, at most: as the power of two above the bytes of the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Volume {
    /// What was sent: the smallest n with bytes < 2^n.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sent: Option<u8>,
    /// Bytes received, as the power of two above them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub received: Option<u8>,
}

impl Volume {
    fn of(mut numbers: impl FnMut(Class) -> Option<u32>) -> Option<Self> {
        let mut power = |class| numbers(class).and_then(|power| u8::try_from(power).ok());
        let volume = Self { sent: power(SENT), received: power(RECEIVED) };
        Some(volume).filter(|volume| *volume != Self::default())
    }

    /// In words; empty where nothing is told.
    fn words(self) -> String {
        let reported = |what: &str, power: Option<u8>| power.map(|power| format!("{what} < {}", power_name(power)));
        super::entry::joined(reported("sent", self.sent).into_iter().chain(reported("received", self.received)))
    }
}

/// 2^n bytes for people: `512 B`, `1 MiB`.
fn power_name(power: u8) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = UNITS.get(usize::from(power / 10)).unwrap_or(&"EiB");
    format!("{} {unit}", 1_u32 << (power % 10))
}

/// A socket in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SocketDoc {
    /// `bind`, `connect` or `accept`.
    pub op: Cow<'static, str>,
    /// `inet`, `inet6` or `unix`.
    pub family: Cow<'static, str>,
    /// `tcp` or `udp`, where it is known.
    pub proto: Option<Cow<'static, str>>,
    /// Address, network (`10.0.3.0/24`), `*`, or path.
    pub addr: String,
    /// Port; 0 for unix sockets, and for any own port that is ephemeral.
    pub port: u16,
    /// How much went over its connections.
    #[serde(default, skip_serializing_if = "is_default")]
    pub volume: Option<Volume>,
    /// The address stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of addresses it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Vec<String>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Vec<u32>,
    /// First and last time, by tag.
    pub seen: Seen,
}

impl SocketDoc {
    /// Transport, or else family, and address, as in `tcp 10.0.3.0/24:443`. Not escaped for terminals.
    fn peer(&self) -> String {
        let Self { family, addr, port, .. } = self;
        let proto = self.proto.as_ref().unwrap_or(family);
        match &**family {
            "unix" => format!("unix {addr}"),
            "inet6" => format!("{proto} [{addr}]:{port}"),
            _ => format!("{proto} {addr}:{port}"),
        }
    }

    fn key(&self) -> Result<SocketKey, InvalidField> {
        let op = match &*self.op {
            "bind" => SocketOp::Bind,
            "connect" => SocketOp::Connect,
            "accept" => SocketOp::Accept,
            other => return Err(InvalidField::none_of("op", other, &["accept", "bind", "connect"])),
        };
        let family = match &*self.family {
            "inet" => Family::Inet,
            "inet6" => Family::Inet6,
            "unix" => Family::Unix,
            other => return Err(InvalidField::none_of("family", other, &["inet", "inet6", "unix"])),
        };
        let unknown = |name: &str| InvalidField::none_of("proto", name, &["tcp", "udp"]);
        let proto =
            self.proto.as_deref().map(|name| Proto::from_name(name).ok_or_else(|| unknown(name))).transpose()?;
        Ok(SocketKey::new(op, family, proto, self.port))
    }
}

impl Entry for SocketDoc {
    const KIND: Kind = Kind::Socket;
    const NAME: &'static str = "socket";
    const COUNTED: [&'static str; 2] = ["socket", "sockets"];
    const CLASSES: &'static [&'static str] = &["accept", "bind", "connect"];
    const LABELS: &'static [&'static str] = &["binds", "accepts", "connects"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, u16);
    type Order = (&'static str, &'static str, Option<&'static str>, String, u16);

    fn id(&self) -> Self::Id<'_> {
        (&self.op, &self.family, self.proto.as_deref(), &self.addr, self.port)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        let Self { pattern, distinct, exemplars, learned, .. } = self;
        Some(Pattern { pattern: *pattern, distinct: *distinct, exemplars, learned })
    }

    fn order(leaf: &impl Leaf) -> Self::Order {
        let SocketKey { op, family, proto, port, .. } = leaf.socket();
        (op.name(), family.name(), proto.map(Proto::name), leaf.text(), port)
    }

    fn of(leaf: &impl Leaf) -> Self {
        let (op, family, proto, addr, port) = Self::order(leaf);
        let Learned { distinct, exemplars, learned } = leaf.learned(&addr);
        let pattern = match leaf.address() {
            Some(address) => !matches!(address, Address::Host(_)),
            None => is_pattern(&addr),
        };
        Self {
            op: op.into(),
            family: family.into(),
            proto: proto.map(Cow::Borrowed),
            addr,
            port,
            volume: Volume::of(|class| leaf.numbers(class).last().copied()),
            pattern,
            distinct,
            exemplars,
            learned,
            seen: leaf.seen(),
        }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let key = self.key()?;
        let misfit = || {
            let detail = format!("\"{}\" is no address, network or `*` of family {}", Visible(&self.addr), self.family);
            InvalidField::new("addr", detail)
        };
        let key = match key.family {
            Family::Unix => {
                BehaviourKey::Name(Scope::Sockets(key), if self.pattern { &self.addr } else { below_run(&self.addr) })
            }
            Family::Inet | Family::Inet6 => {
                let address: Address = self.addr.parse().map_err(|()| misfit())?;
                if address != Address::Any && address.is_ipv6() != (key.family == Family::Inet6) {
                    return Err(misfit());
                }
                match address {
                    // From before an IPv4 address in IPv6 form counted as what it is.
                    Address::Host(ip) if ip.to_canonical().is_ipv4() => {
                        let key = SocketKey { family: Family::Inet, ..key };
                        BehaviourKey::Address(key, Address::Host(ip.to_canonical()))
                    }
                    address => BehaviourKey::Address(key, address),
                }
            }
        };
        let mut details = Details::none();
        if let Some(Volume { sent, received }) = self.volume {
            for (field, class, power) in [("volume.sent", SENT, sent), ("volume.received", RECEIVED, received)] {
                if power.is_some_and(|power| u32::from(power) > u64::BITS) {
                    return Err(InvalidField::new(field, "more than 64"));
                }
                details.numbers.extend(power.map(|power| class.detail(power.into())));
            }
        }
        Ok(Behaviour { kind: Kind::Socket, key, details })
    }

    fn class(what: &Behaviour<'_>, known: bool) -> &'static str {
        match what.key {
            // All that gathers on a peer is how much went to it or came from it.
            _ if known => VOLUME,
            BehaviourKey::Address(key, _) | BehaviourKey::Name(Scope::Sockets(key), _) => key.op.name(),
            BehaviourKey::Name(..) | BehaviourKey::Number(..) => "connect",
        }
    }

    fn finding(what: &Behaviour<'_>, class: &'static str) -> FindingText {
        let (key, subject) = match what.key {
            BehaviourKey::Address(key, address) if address.is_ipv6() => (key, format!("[{address}]:{}", key.port)),
            BehaviourKey::Address(key, address) => (key, format!("{address}:{}", key.port)),
            BehaviourKey::Name(Scope::Sockets(key), path) => (key, path.to_owned()),
            BehaviourKey::Name(..) | BehaviourKey::Number(..) => return FindingText::default(),
        };
        let mut details = Vec::new();
        details.extend(key.proto.map(|proto| ("proto", Value::Text(proto.name().to_owned()))));
        if class == VOLUME {
            details.push(("op", Value::Text(key.op.name().to_owned())));
            for (name, class) in [("sent", SENT), ("received", RECEIVED)] {
                let power = what.details.numbers.of(class).max();
                details.extend(power.map(|power| (name, Value::Number(power.into()))));
            }
        }
        FindingText { subject, details }
    }

    fn subject(&self) -> String {
        format!("{} {}", self.op, self.peer())
    }

    fn gathered(same: &[&Self]) -> String {
        let largest = |of: fn(&Volume) -> Option<u8>| same.iter().filter_map(|s| of(s.volume.as_ref()?)).max();
        Volume { sent: largest(|v| v.sent), received: largest(|v| v.received) }.words()
    }

    fn shown(&self) -> EntryView<'_> {
        let label = match &*self.op {
            "bind" => "binds",
            "accept" => "accepts",
            _ => "connects",
        };
        let note = self.volume.map(Volume::words).unwrap_or_default();
        EntryView { label, name: self.peer(), note, pattern: self.pattern(), is_word: false }
    }

    fn edge(&self) -> Option<Edge> {
        Some(Edge { shape: "ellipse", name: self.peer(), label: self.op.clone().into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_the_power_of_two_above_it() {
        for (bytes, power, name) in
            [(0, 0, "1 B"), (1, 1, "2 B"), (1023, 10, "1 KiB"), (1024, 11, "2 KiB"), (u64::MAX, 64, "16 EiB")]
        {
            assert_eq!(power_above(bytes), power);
            assert_eq!(power_name(power as u8), name);
        }
    }
}
