//! What lines of several kinds tell in the same way: which process, and which call.

use std::borrow::Cow;

use super::line::Fields;
use crate::names::Arch;

/// The longest text that is kept of a field. The kernel's own limit for a path is 4096.
const TEXT_BYTES: usize = 16 << 10;

/// A process, as far as a line tells.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// The program's file.
    pub(super) exe: Option<Box<[u8]>>,
}

impl Who {
    pub(super) fn of(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            pid: fields.number("pid")?,
            ppid: fields.number("ppid").unwrap_or_default(),
            uid: fields.number("euid").or_else(|| fields.number("uid")),
            gid: fields.number("egid").or_else(|| fields.number("gid")),
            exe: fields.text("exe").filter(|exe| exe.starts_with(b"/")).and_then(kept),
        })
    }
}

/// Which call a line's `arch` and `syscall` mean, and its number on x86-64. `None` on a machine whose numbers are not
/// known here.
pub(super) fn call_of(fields: Fields<'_>) -> Option<(&'static str, u32)> {
    let arch = match fields.hex("arch")? {
        0xc000_003e => Arch::X86_64,
        0xc000_00b7 => Arch::Aarch64,
        _ => return None,
    };
    let nr = fields.number("syscall")?;
    Some((arch.name(nr)?, arch.to_x86_64(nr)?))
}

/// A text that is to be kept, if it is not too long.
pub(super) fn kept(text: Cow<'_, [u8]>) -> Option<Box<[u8]>> {
    (!text.is_empty() && text.len() <= TEXT_BYTES).then(|| text.into())
}
