//! Sets of system calls.

use grove::event::{Body, Syscalls};

use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

pub(in crate::kernel) fn syscalls<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [nrs, _] = texts;
    let words = parts.rest.take(64)?;
    nrs.clear();
    for (i, word) in words.as_chunks::<8>().0.iter().enumerate() {
        let mut word = u64::from_le_bytes(*word);
        while word != 0 {
            let nr = i as u32 * 64 + word.trailing_zeros();
            nrs.extend_from_slice(&nr.to_le_bytes());
            word &= word - 1;
        }
    }
    Ok(parts.event(Body::Syscalls(Syscalls::new(nrs))))
}
