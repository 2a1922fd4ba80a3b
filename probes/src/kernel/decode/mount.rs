//! File systems that were mounted.

use grove::event::{Body, Mount};

use super::{Parts, Result, Texts, path_facts, whole};
use crate::kernel::record::RecordBody;

/// Texts in this order: what was mounted, where.
pub(in crate::kernel) fn mount<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [path_text, source_text] = texts;
    let flags = parts.spare_u32()?;
    let rest = &mut parts.rest;
    rest.take(5)?;
    let source_facts = path_facts(rest.u8()?);
    let source_bytes = usize::from(rest.u16()?);
    let fstype = rest.take(64)?.split(|byte| *byte == 0).next().unwrap_or_default();
    let ret = rest.i64()?;
    let path = parts.path(path_text)?;
    let source = parts.rest.take(source_bytes)?;
    let source = (!source.is_empty()).then(|| whole(source, source_facts, source_text));
    Ok(parts.event(Body::Mount(Mount::new(path, fstype, source, flags, ret))))
}
