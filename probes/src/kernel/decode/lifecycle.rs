//! Forks and exits.

use grove::event::Body;

use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn fork<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    Ok(parts.event(Body::Fork { ppid: parts.spare_u32()? }))
}

pub(in crate::kernel) fn exit<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    parts.facts.status = parts.spare_u32()?;
    Ok(parts.event(Body::Exit))
}
