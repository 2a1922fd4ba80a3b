//! DNS questions.

use grove::event::{Body, Dns};

use super::Fault::{Malformed, NoQuestion};
use super::{Parts, Result, Texts};
use crate::kernel::record::RecordBody;

/// Longest DNS name as text: 255 bytes on the wire, each of which may be written in four.
const NAME_MAX: usize = 1024;

/// The first entry of a question section, as it is on the wire: labels, then type and class.
pub(in crate::kernel) fn dns<'a>(parts: &mut Parts<'a>, texts: &'a mut Texts) -> Result<RecordBody<'a>> {
    let [name, _] = texts;
    let rest = &mut parts.rest;
    rest.take(6)?;
    let _over_tcp = rest.u8()?;
    let v6 = rest.u8()? != 0;
    let server = rest.take(16)?;
    parts.facts.server = server.get(..if v6 { 16 } else { 4 }).ok_or(Malformed)?;
    let question = parts.text()?;
    name.clear();
    let after = write_name(question, name).ok_or(NoQuestion)?;
    let qtype = after.first_chunk().map(|b| u16::from_be_bytes(*b)).ok_or(NoQuestion)?;
    Ok(parts.event(Body::Dns(Dns::new(name, qtype))))
}

/// Writes the labels at the start of `wire` as text, without trailing dot, and returns what follows them. What is not
/// a letter, digit, `-` or `_` is written as `\DDD`, as in zone files, so that the name is text and its dots are dots.
fn write_name<'a>(mut wire: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (len, rest) = wire.split_first()?;
        if *len == 0 {
            if out.is_empty() {
                out.push(b'.');
            }
            return Some(rest);
        }
        // No label is longer than 63 bytes; a question has no name before it that it could point to.
        let (label, rest) = rest.split_at_checked(usize::from(*len)).filter(|_| *len < 64)?;
        if !out.is_empty() {
            out.push(b'.');
        }
        for byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(*byte),
                _ => out.extend([b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
            }
        }
        if out.len() > NAME_MAX {
            return None;
        }
        wire = rest;
    }
}
