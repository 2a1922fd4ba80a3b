//! Forks and exits.

use grove::event::Body;

use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn fork<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    // The lower half of the number, and the upper.
    let (ppid, ns_pid) = (parts.spare as u32, (parts.spare >> 32) as u32);
    Ok(parts.event(Body::Fork { ppid, ns_pid: parts.another_pid(ns_pid) }))
}

pub(in crate::kernel) fn exit<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    parts.facts.status = parts.spare_u32()?;
    Ok(parts.event(Body::Exit))
}
