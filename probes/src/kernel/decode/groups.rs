//! Cgroups as they are made and removed.

use super::{Parts, Result, Texts};
use crate::kernel::record::{Maker, What};

pub(in crate::kernel) fn made<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<What<'a>> {
    let (path, by) = maker(parts)?;
    Ok(What::CgroupNew { path, by })
}

pub(in crate::kernel) fn gone<'a>(parts: &mut Parts<'a>, _: &'a mut Texts) -> Result<What<'a>> {
    maker(parts)?;
    Ok(What::CgroupGone)
}

/// The path of a cgroup, and who made it.
fn maker<'a>(parts: &mut Parts<'a>) -> Result<(&'a [u8], Maker<'a>)> {
    let rest = &mut parts.rest;
    let _pad = rest.u32()?;
    let cwd_bytes = rest.u32()? as usize;
    let argv_bytes = rest.u32()? as usize;
    let uid = rest.u32()?;
    let name = rest.take(16)?.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = parts.text()?;
    let cwd = parts.rest.take(cwd_bytes)?;
    let argv = parts.rest.take(argv_bytes)?;
    Ok((path, Maker { name, uid, argv, cwd }))
}
