//! Connected and bound sockets, and who was let in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use grove::event::{Body, Peer, Proto, Socket, SocketOp};

use super::Fault::Malformed;
use super::{Parts, Result, Texts, whole};
use crate::kernel::record::RecordBody;

const UNIX: u8 = 1;
const INET: u8 = 2;
const INET6: u8 = 10;

/// An address of a family; an IPv4 address in IPv6 form is the IPv4 address. `None` if the family has none.
pub(super) fn ip<B>(family: u8, address: [u8; 16]) -> Option<Peer<B>> {
    let [a, b, c, d, ..] = address;
    match family {
        INET => Some(Peer::Ip(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))),
        INET6 => Some(Peer::Ip(IpAddr::V6(Ipv6Addr::from(address)).to_canonical())),
        _ => None,
    }
}

/// The kernel side's `enum socket_op`.
pub(super) fn op_of(op: u8) -> Result<SocketOp> {
    Ok(match op {
        0 => SocketOp::Bind,
        1 => SocketOp::Connect,
        2 => SocketOp::Accept,
        _ => return Err(Malformed),
    })
}

/// A transport, of those that traces have words for.
pub(super) fn proto_of(proto: u8) -> Option<Proto> {
    match proto {
        6 => Some(Proto::Tcp),
        17 => Some(Proto::Udp),
        _ => None,
    }
}

pub(in crate::kernel) fn socket<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    // Of the text, the directory that a relative path begins at, or all of the own path.
    let base_bytes = parts.spare_u32()?;
    let rest = &mut parts.rest;
    rest.take(1)?;
    let ended = rest.u8()?;
    let said_bytes = usize::from(rest.u8()?);
    let op = op_of(rest.u8()?)?;
    let port = rest.u16()?;
    let proto = rest.u8()?;
    let family = rest.u8()?;
    let address: [u8; 16] = rest.array()?;
    let ret = rest.i64()?;
    let text = parts.text()?;
    let peer = if family == UNIX {
        let name = unix_name(text, (base_bytes as usize).saturating_add(said_bytes), ended != 0)?;
        let [path, _] = texts;
        Peer::Unix(whole(name, parts.facts.path, path))
    } else {
        ip(family, address).ok_or(Malformed)?
    };
    let proto = proto_of(proto);
    Ok(parts.event(Body::Socket(Socket::new(op, peer, port, proto, ret))))
}

/// A unix address as it was given. A path ends at its first zero byte; an abstract name, in which the kernel side has
/// put `@` in the place of its leading zero, is as long as was said.
fn unix_name(text: &[u8], bytes: usize, is_path: bool) -> Result<&[u8]> {
    let name = text.get(..bytes).ok_or(Malformed)?;
    if is_path { Ok(name.split(|b| *b == 0).next().unwrap_or_default()) } else { Ok(name) }
}
