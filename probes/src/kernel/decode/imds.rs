//! Requests to metadata services. The kernel side tells method, path and which headers were there; what that means is the
//! library's business, which reads requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use grove::behaviour::imds_request;
use grove::event::Body;

use super::Fault::{Malformed, NoQuestion};
use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

/// Names of the headers that the kernel side looks for, in the order of its bits, each with what ends a name.
const HEADERS: [&[u8]; 4] =
    [b"x-aws-ec2-metadata-token:\r\n", b"metadata-flavor:\r\n", b"metadata:\r\n", b"authorization:\r\n"];

/// The bit behind those: all headers were looked at.
const ALL: u8 = 1 << HEADERS.len();

pub(in crate::kernel) fn imds<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [head, _] = texts;
    let rest = &mut parts.rest;
    rest.take(6)?;
    let headers = rest.u8()?;
    let v6 = rest.u8()? != 0;
    let server: [u8; 16] = rest.array()?;
    let [a, b, c, d, ..] = server;
    let ip = if v6 { IpAddr::V6(Ipv6Addr::from(server)) } else { IpAddr::V4(Ipv4Addr::new(a, b, c, d)) };
    let line = parts.text()?;
    if headers >= ALL << 1 {
        return Err(Malformed);
    }
    head.clear();
    head.extend_from_slice(line);
    head.extend_from_slice(b" HTTP/1.1\r\n");
    for (i, name) in HEADERS.iter().enumerate() {
        if headers & 1 << i != 0 {
            head.extend_from_slice(name);
        }
    }
    if headers & ALL != 0 {
        head.extend_from_slice(b"\r\n");
    }
    let request = imds_request(ip, head).ok_or(NoQuestion)?;
    Ok(parts.event(Body::Imds(request)))
}
