//! Changes of names and of files.

use grove::behaviour::ChangeOp;
use grove::event::{Body, Change};

use super::Fault::Malformed;
use super::{Parts, Result, Texts, path_facts, whole};
use crate::kernel::record::RecordBody;

/// In the order of `enum op` in `src/bpf/scratch.h`.
const OPS: [ChangeOp; 10] = [
    ChangeOp::Chmod,
    ChangeOp::Chown,
    ChangeOp::Create,
    ChangeOp::Delete,
    ChangeOp::Link,
    ChangeOp::Mkdir,
    ChangeOp::Rename,
    ChangeOp::Rmdir,
    ChangeOp::Symlink,
    ChangeOp::Truncate,
];

/// Texts in this order: where it comes from, the name afterwards.
pub(in crate::kernel) fn change<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [path_text, from_text] = texts;
    let rest = &mut parts.rest;
    rest.take(4)?;
    let op = *OPS.get(usize::from(rest.u8()?)).ok_or(Malformed)?;
    let from_facts = path_facts(rest.u8()?);
    let from_bytes = usize::from(rest.u16()?);
    let ret = rest.i64()?;
    let path = parts.path(path_text)?;
    let from = parts.rest.take(from_bytes)?;
    let from = (!from.is_empty()).then(|| whole(from, from_facts, from_text));
    Ok(parts.event(Body::Change(Change::new(op, path, from, ret))))
}
