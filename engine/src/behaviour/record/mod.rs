//! One record of a native trace, field by field: what it holds, what is wrong with it, and how its texts are written.
//!
//! [`fields`] has one row for each field of any event. Which of them an event has, says the event's own file.

mod explain;
mod fields;
mod values;

pub(crate) use explain::{not_json, quoted, reject, wrong};
pub(crate) use fields::{Field, Fields, Lists, Raw};
pub(crate) use values::{UintOrName, decode_base64};

use crate::ledger::Rejected;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Error as _, SerializeMap};

/// Why a record is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", .field.map(|f| format!("field `{f}`: ")).unwrap_or_default())]
#[non_exhaustive]
pub struct Reject {
    /// The reason it is counted under.
    pub reason: Rejected,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// What was found and what was expected.
    pub detail: String,
}

/// The fields of one type of event beside those that all events have. Any other field is as good as unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// It must have these. For `path` and `addr` the base64 form will do.
    pub required: Fields,
    /// The fields that a record of this type may have.
    pub optional: Fields,
}

impl Shape {
    /// The shape of an event that must have `required` and may have `optional`.
    pub(crate) const fn new(required: &[Field], optional: &[Field]) -> Self {
        Self { required: Fields::of(required), optional: Fields::of(optional) }
    }
}

/// Memory that is used again for every record.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) lists: Lists,
    /// What `path_b64` or `addr_b64` decodes to.
    pub(crate) path: Vec<u8>,
    /// What `cwd_b64` or `from_b64` decodes to.
    pub(crate) cwd: Vec<u8>,
    /// What `interpreter_b64` or `source_b64` decodes to.
    pub(crate) interpreter: Vec<u8>,
}

impl Raw<'_> {
    /// Looks for faults of the fields that a type of event knows, and for the ones that it requires.
    pub(crate) fn check(&self, known: Fields, required: Fields, record: &str) -> Result<(), Reject> {
        let faulty = self.again.union(self.wrong).union(self.invalid).within(known);
        let missing = required.without(self.present);
        if faulty == Fields::default() && missing == Fields::default() {
            return Ok(());
        }
        self.fault(known, missing, record)
    }

    #[cold]
    fn fault(&self, known: Fields, missing: Fields, record: &str) -> Result<(), Reject> {
        if let Some(field) = self.again.within(known).first() {
            return Err(reject(Rejected::DuplicateField, field, "given more than once"));
        }
        if let Some(field) = self.wrong.within(known).first() {
            return Err(wrong(field, record));
        }
        if let Some(field) = self.invalid.within(known).first() {
            let detail = match field {
                Field::ArgvB64 => "an argument is not base64, or holds a NUL byte",
                _ => "an argument holds a NUL byte",
            };
            return Err(reject(Rejected::InvalidValue, field, detail));
        }
        for (field, substitute) in [(Field::Path, Field::PathB64), (Field::Addr, Field::AddrB64)] {
            if missing == Fields::of(&[field]) && self.present.within(known).contains(substitute) {
                return Ok(());
            }
        }
        match missing.first() {
            Some(field) if self.kind.is_empty() => {
                Err(reject(Rejected::MissingField, field, "every line says what it is"))
            }
            Some(field) => Err(reject(Rejected::MissingField, field, format!("required for `{}`", self.kind))),
            None => Ok(()),
        }
    }

    /// Whether a field has a value of its shape.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.present.contains(field)
    }

    /// The bytes of a field that has a base64 substitute; empty if neither is given.
    pub(crate) fn bytes<'s>(
        &'s self,
        (field, text): (Field, &'s str),
        (substitute, base64): (Field, &str),
        buffer: &'s mut Vec<u8>,
    ) -> Result<&'s [u8], Reject> {
        if !self.present.contains(substitute) {
            return plain(field, text);
        }
        if self.present.contains(field) {
            let detail = format!("`{}` is given as well", field.name());
            return Err(reject(Rejected::DuplicateField, substitute, detail));
        }
        buffer.clear();
        if !decode_base64(base64, buffer) {
            return Err(reject(Rejected::InvalidValue, substitute, "it is not base64, or holds a NUL byte"));
        }
        Ok(buffer)
    }

    /// The bytes of `path` or `path_b64`.
    pub(crate) fn path<'s>(&'s self, buffer: &'s mut Vec<u8>) -> Result<&'s [u8], Reject> {
        self.bytes((Field::Path, &self.path), (Field::PathB64, &self.path_b64), buffer)
    }
}

/// A text that can hold no NUL byte, as bytes.
pub(crate) fn plain(field: Field, text: &str) -> Result<&[u8], Reject> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(reject(Rejected::InvalidValue, field, "it holds a NUL byte"));
    }
    Ok(text.as_bytes())
}

/// Bytes that must not be empty.
pub(crate) fn not_empty(field: Field, bytes: &[u8]) -> Result<&[u8], Reject> {
    if bytes.is_empty() {
        return Err(reject(Rejected::InvalidValue, field, "it is empty"));
    }
    Ok(bytes)
}

/// Writes a field unless it is absent.
pub(crate) fn write_some<M: SerializeMap>(
    map: &mut M,
    field: Field,
    value: Option<impl serde::Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(field.name(), &value))
}

/// Writes a text under one field, or in base64 under the other if it is not UTF-8.
pub(crate) fn write_bytes<M: SerializeMap>(
    map: &mut M,
    (field, base64): (Field, Field),
    bytes: &[u8],
) -> Result<(), M::Error> {
    match str::from_utf8(bytes) {
        Ok(text) => map.serialize_entry(field.name(), text),
        Err(_) => map.serialize_entry(base64.name(), &BASE64.encode(bytes)),
    }
}

/// Writes a text of which the format has no other form than UTF-8.
pub(crate) fn write_text<M: SerializeMap>(map: &mut M, field: Field, bytes: &[u8]) -> Result<(), M::Error> {
    let text = str::from_utf8(bytes)
        .map_err(|_| M::Error::custom(format!("`{}` is not UTF-8: {}", field.name(), bytes.escape_ascii())))?;
    map.serialize_entry(field.name(), text)
}
