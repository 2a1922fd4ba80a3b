//! Connected and bound sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use grove::event::{Body, Peer, Proto, Socket, SocketOp};

use super::Fault::Malformed;
use super::{Parts, Result, Texts};
use crate::kernel::record::What;

pub(in crate::kernel) fn socket<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<What<'a>> {
    const UNIX: u8 = 1;
    const INET: u8 = 2;
    const INET6: u8 = 10;

    // Of the text, the directory that a relative path begins at.
    let base_bytes = parts.spare_u32()?;
    let rest = &mut parts.rest;
    rest.take(1)?;
    let ended = rest.u8()?;
    let said_bytes = usize::from(rest.u8()?);
    let connect = rest.u8()?;
    let port = rest.u16()?;
    let proto = rest.u8()?;
    let family = rest.u8()?;
    let address: [u8; 16] = rest.array()?;
    let ret = rest.i64()?;
    let text = parts.text()?;
    let [a, b, c, d, ..] = address;
    let peer = match family {
        INET => Peer::Ip(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        INET6 => Peer::Ip(IpAddr::V6(Ipv6Addr::from(address))),
        UNIX => Peer::Unix(unix_name(text, (base_bytes as usize).saturating_add(said_bytes), ended != 0)?),
        _ => return Err(Malformed),
    };
    let proto = match proto {
        6 => Some(Proto::Tcp),
        17 => Some(Proto::Udp),
        _ => None,
    };
    let op = if connect != 0 { SocketOp::Connect } else { SocketOp::Bind };
    Ok(parts.event(Body::Socket(Socket { op, peer, port, proto, ret })))
}

/// A unix address as it was given. A path ends at its first zero byte; an abstract name, in which the kernel side has
/// put `@` in the place of its leading zero, is as long as was said.
fn unix_name(text: &[u8], bytes: usize, is_path: bool) -> Result<&[u8]> {
    let name = text.get(..bytes).ok_or(Malformed)?;
    if is_path { Ok(name.split(|b| *b == 0).next().unwrap_or_default()) } else { Ok(name) }
}
