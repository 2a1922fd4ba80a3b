//! Capabilities.

use grove::event::{Body, Capability};

use super::Fault::Malformed;
use super::{Parts, Result, Texts, mark};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn capability<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    let cap = u8::try_from(parts.spare).ok().filter(|c| *c < 64).ok_or(Malformed)?;
    Ok(parts.event(Body::Capability(Capability::new(cap, parts.marks & mark::REFUSED == 0))))
}
