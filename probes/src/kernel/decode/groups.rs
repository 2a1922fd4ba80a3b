//! Cgroups as they are made and removed.

use super::{Parts, Result, Texts};
use crate::kernel::record::{CgroupMaker, RecordBody};

pub(in crate::kernel) fn made<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    let (path, by) = maker(parts)?;
    Ok(RecordBody::CgroupNew { path, by })
}

pub(in crate::kernel) fn gone<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<RecordBody<'a>> {
    maker(parts)?;
    Ok(RecordBody::CgroupGone)
}

/// The path of a cgroup, and who made it.
fn maker<'a>(parts: &mut Parts<'a>) -> Result<(&'a [u8], CgroupMaker<'a>)> {
    let rest = &mut parts.rest;
    let _pad = rest.u32()?;
    let cwd_bytes = rest.u32()? as usize;
    let argv_bytes = rest.u32()? as usize;
    let uid = rest.u32()?;
    let name = rest.take(16)?.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = parts.text()?;
    let cwd = parts.rest.take(cwd_bytes)?;
    let argv = parts.rest.take(argv_bytes)?;
    Ok((path, CgroupMaker { name, uid, argv, cwd }))
}
