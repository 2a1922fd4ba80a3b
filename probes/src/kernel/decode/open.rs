//! Opened files, and those that are mapped to be executed.

use grove::event::{Body, Open};

use super::{Parts, Result, Texts, mark};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn open<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [path, _] = texts;
    let ret = parts.rest.i64()?;
    let path = parts.path(path)?;
    let mut open = Open::new(path, parts.spare_u32()?, ret);
    open.map = parts.marks & mark::MAPPED != 0;
    Ok(parts.event(Body::Open(open)))
}
