//! What makes two sockets the same: operation, family, transport, port and, below those, the address.
//!
//! Not here: what happens at them (`socket`).

use crate::path::{Network, keeps_address, network};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ports from here up are nobody's choice: the kernel or a library took one.
pub const EPHEMERAL_PORT: u16 = 32768;

/// What was done with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SocketOp {
    /// `bind(2)`.
    Bind,
    /// `connect(2)`, or something sent to an address.
    Connect,
    /// `accept(2)`, or something received from an address.
    Accept,
}

impl SocketOp {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Connect => "connect",
            Self::Accept => "accept",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "bind" => Self::Bind,
            "connect" => Self::Connect,
            "accept" => Self::Accept,
            _ => return None,
        })
    }
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Proto {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            _ => return None,
        })
    }
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Unix.
    Unix,
}

impl Family {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
            Self::Unix => "unix",
        }
    }
}

/// Whom a socket was connected or bound to, as an event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer<B> {
    /// IPv4 (`inet`) or IPv6 (`inet6`).
    Ip(IpAddr),
    /// A unix socket's path; an abstract one begins with `@`.
    Unix(B),
}

impl<B> Peer<B> {
    pub(super) fn map<C>(self, f: impl FnOnce(B) -> C) -> Peer<C> {
        match self {
            Self::Ip(ip) => Peer::Ip(ip),
            Self::Unix(path) => Peer::Unix(f(path)),
        }
    }
}

/// All of a socket's identity but its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// Connected, bound or let somebody in.
    pub op: SocketOp,
    /// Address family.
    pub family: Family,
    /// Transport, where known.
    pub proto: Option<Proto>,
    /// Port, the own one but for a connect; 0 for unix sockets, for an ephemeral port that is the own one, and for
    /// ephemeral ports of connects that are too many.
    pub port: u16,
    /// It was tried and refused.
    pub denied: bool,
}

impl SocketKey {
    /// The key of an event's socket, own ports that are ephemeral folded into 0.
    pub fn new(op: SocketOp, family: Family, proto: Option<Proto>, port: u16) -> Self {
        let ephemeral = op != SocketOp::Connect && port >= EPHEMERAL_PORT;
        let port = if ephemeral || family == Family::Unix { 0 } else { port };
        Self { op, family, proto, port, denied: false }
    }

    /// The same, tried and refused. By which transport is not told.
    pub(crate) fn denied(self) -> Self {
        Self { proto: None, denied: true, ..self }
    }

    /// Of a connect to an ephemeral port: the same connect, to any of them.
    pub(crate) fn at_any_port(self) -> Option<Self> {
        let ephemeral = self.op == SocketOp::Connect && self.family != Family::Unix && self.port >= EPHEMERAL_PORT;
        ephemeral.then_some(Self { port: 0, ..self })
    }

    /// Whether it is a connect to any ephemeral port. One to port 0, which is no port, counts as that.
    pub(crate) fn is_at_any_port(self) -> bool {
        self.op == SocketOp::Connect && self.family != Family::Unix && self.port == 0
    }

    pub(crate) fn pack(self) -> u32 {
        let proto = match self.proto {
            None => 0,
            Some(Proto::Tcp) => 1,
            Some(Proto::Udp) => 2,
        };
        let address = u32::from(self.port) | proto << 16 | (self.family as u32) << 18;
        address | (self.op as u32) << 20 | u32::from(self.denied) << 22
    }

    pub(crate) fn unpack(bits: u32) -> Self {
        Self {
            op: match bits >> 20 & 3 {
                0 => SocketOp::Bind,
                1 => SocketOp::Connect,
                _ => SocketOp::Accept,
            },
            family: match bits >> 18 & 3 {
                0 => Family::Inet,
                1 => Family::Inet6,
                _ => Family::Unix,
            },
            proto: match bits >> 16 & 3 {
                0 => None,
                1 => Some(Proto::Tcp),
                _ => Some(Proto::Udp),
            },
            port: bits as u16,
            denied: bits >> 22 & 1 == 1,
        }
    }
}

/// What stands for the other side of an internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// One address.
    Host(IpAddr),
    /// All of one network.
    Network(Network),
    /// Any address at all.
    Any,
}

impl Address {
    /// Whether the family is IPv6.
    pub fn is_ipv6(self) -> bool {
        match self {
            Self::Host(ip) => ip.is_ipv6(),
            Self::Network(net) => net.base().is_ipv6(),
            Self::Any => false,
        }
    }

    /// How wide it is: 0 for an address, 1 for a network, 2 for all.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::Host(_) => 0,
            Self::Network(_) => 1,
            Self::Any => 2,
        }
    }

    /// The same peer seen from `level`.
    #[must_use]
    pub(crate) fn widen(self, level: u8) -> Self {
        match (self, level) {
            (Self::Host(ip), _) if keeps_address(ip) => self,
            (Self::Host(ip), 1) => Self::Network(network(ip)),
            (_, 2) => Self::Any,
            _ => self,
        }
    }

    /// Whether it is one of those that never become a network.
    pub(crate) fn stays(self) -> bool {
        matches!(self, Self::Host(ip) if keeps_address(ip))
    }

    pub(crate) fn to_bytes(self, buf: &mut [u8; 17]) -> &[u8] {
        let ip = match self {
            Self::Host(ip) => ip,
            Self::Network(net) => net.base(),
            Self::Any => return b"*",
        };
        let len = match ip {
            IpAddr::V4(v4) => {
                buf[1..5].copy_from_slice(&v4.octets());
                5
            }
            IpAddr::V6(v6) => {
                buf[1..17].copy_from_slice(&v6.octets());
                17
            }
        };
        buf[0] = self.level();
        buf.get(..len).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let Some((level, octets)) = bytes.split_first() else { return Self::Any };
        let ip = if let Ok(v4) = <[u8; 4]>::try_from(octets) {
            IpAddr::V4(Ipv4Addr::from(v4))
        } else if let Ok(v6) = <[u8; 16]>::try_from(octets) {
            IpAddr::V6(Ipv6Addr::from(v6))
        } else {
            return Self::Any;
        };
        if *level == 0 { Self::Host(ip) } else { Self::Network(network(ip)) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(ip) => ip.fmt(f),
            Self::Network(net) => net.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "*" {
            return Ok(Self::Any);
        }
        text.parse().map(Self::Host).or_else(|_| text.parse().map(Self::Network).map_err(|_| ()))
    }
}
