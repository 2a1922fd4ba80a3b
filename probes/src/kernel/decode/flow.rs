//! How much went over connections.

use grove::event::{Body, Flow, SocketOp};

use super::Fault::Malformed;
use super::socket::{ip, op_of, proto_of};
use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn flow<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    let rest = &mut parts.rest;
    rest.take(3)?;
    let op = op_of(rest.u8()?)?;
    let port = rest.u16()?;
    let proto = proto_of(rest.u8()?);
    let family = rest.u8()?;
    let peer = ip(family, rest.array()?).ok_or(Malformed)?;
    let received = Some(rest.u64()?);
    let sent = Some(rest.u64()?);
    if op == SocketOp::Bind {
        return Err(Malformed);
    }
    let mut flow = Flow::new(op, peer, port, proto);
    (flow.sent, flow.received) = (sent, received);
    Ok(parts.event(Body::Flow(flow)))
}
