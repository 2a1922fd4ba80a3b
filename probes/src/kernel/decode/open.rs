//! Opened files, and those that are mapped to be executed.

use grove::event::{Body, Open};

use super::{Parts, Result, Texts, mark};
use crate::kernel::record::RecordBody;

/// `__O_TMPFILE`.
const O_TMPFILE: u32 = 0o20_000_000;

pub(in crate::kernel) fn open<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [path, _] = texts;
    let ret = parts.rest.i64()?;
    let (path, flags) = (parts.path(path)?, parts.spare_u32()?);
    let path = if flags & O_TMPFILE != 0 { asked_for(path) } else { path };
    let mut open = Open::new(path, flags, ret);
    open.map = parts.marks & mark::MAPPED != 0;
    Ok(parts.event(Body::Open(open)))
}

/// The directory in which a file without a name was asked for: the kernel calls it by a number, another one each time.
fn asked_for(path: &[u8]) -> &[u8] {
    let Some(at) = path.iter().rposition(|byte| *byte == b'/') else { return path };
    let (directory, name) = path.split_at(at);
    match name.strip_prefix(b"/#") {
        Some(number) if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => {
            if directory.is_empty() {
                b"/"
            } else {
                directory
            }
        }
        _ => path,
    }
}
