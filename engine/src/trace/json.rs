//! Reading other tools' JSON, whose writers differ in how they spell numbers and what they leave out.
//!
//! Records are read into structs that borrow from them. Not here: Grove's own format, which is strict.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use sonic_rs::LazyValue;

use super::Reject;
use crate::ledger::Rejected;

/// Reads a record, which has to be a JSON object.
pub(super) fn object<'a, T: Deserialize<'a>>(record: &'a [u8]) -> Result<T, Reject> {
    if !record.trim_ascii_start().starts_with(b"{") {
        return Err(reject(Rejected::Malformed, "not a JSON object"));
    }
    if nests_deeper(record, DEPTH) {
        return Err(reject(Rejected::Malformed, "nested too deeply"));
    }
    // The parser checks the strings that it reads but not what it leaves for later, which it takes on trust.
    let Ok(record) = str::from_utf8(record) else { return Err(reject(Rejected::Malformed, "not UTF-8")) };
    sonic_rs::from_str(record).map_err(|error| {
        // The error's own text quotes the record over several lines; its first line says what and where.
        let text = error.to_string();
        let reason = match error.is_unmatched_type() {
            true if text.contains("duplicate field") => Rejected::DuplicateField,
            true => Rejected::WrongType,
            false => Rejected::Malformed,
        };
        reject(reason, text.lines().next().unwrap_or_default())
    })
}

/// How deeply a record may nest. The parser skips over what is not asked for recursively and without a limit of its
/// own, so that a record of nothing but brackets would exhaust the stack.
const DEPTH: usize = 64;

/// Whether brackets outside of strings nest deeper than `limit`. Exact up to the first error in the JSON, which is as
/// far as the parser goes.
fn nests_deeper(json: &[u8], limit: usize) -> bool {
    let mut depth = 0usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

/// Reads a part of a record that was left for later. `None` if it is not of that type.
pub(super) fn part<'a, T: Deserialize<'a>>(value: &'a LazyValue<'_>) -> Option<T> {
    sonic_rs::from_str(value.as_raw_str()).ok()
}

fn reject(reason: Rejected, detail: &str) -> Reject {
    Reject { reason, field: None, detail: detail.into() }
}

/// A field that has to be there is not.
pub(super) fn missing(field: &'static str) -> Reject {
    Reject { reason: Rejected::MissingField, field: Some(field), detail: "is missing".into() }
}

/// A field's value is of another type than it should be.
pub(super) fn wrong_type(field: &'static str) -> Reject {
    Reject { reason: Rejected::WrongType, field: Some(field), detail: "has a value of another type".into() }
}

/// A field's value is of the right type and yet impossible.
pub(super) fn invalid(field: &'static str, expected: &str) -> Reject {
    Reject { reason: Rejected::InvalidValue, field: Some(field), detail: format!("is not {expected}") }
}

/// An RFC 3339 time in nanoseconds since the epoch.
pub(super) fn nanos(time: &Text<'_>, field: &'static str) -> Result<u64, Reject> {
    let nanos = time.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    nanos.ok_or_else(|| invalid(field, "an RFC 3339 time from 1970 to 2554"))
}

/// A string, borrowed where it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Texts)
    }
}

/// A whole number, spelled as a number or, as protobuf does with 64 bits, as a string of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Int(pub(super) i128);

impl Int {
    /// The number as one of a narrower type.
    pub(super) fn to<T: TryFrom<i128>>(self, field: &'static str) -> Result<T, Reject> {
        T::try_from(self.0).map_err(|_| invalid(field, "in range"))
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ints;
        impl Visitor<'_> for Ints {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Int, E> {
                Ok(Int(number.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Int, E> {
                Ok(Int(number.into()))
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Int, E> {
                digits.parse().map(Int).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(digits), &self))
            }
        }
        deserializer.deserialize_any(Ints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        number: Option<Int>,
        #[serde(borrow)]
        rest: Option<LazyValue<'a>>,
    }

    #[test]
    fn what_is_read_and_what_is_rejected() {
        for (record, expected) in [
            (r#"{"name":"x","number":1,"other":[{"a":{}}]}"#, Ok((Some("x"), Some(1)))),
            (r#" {"name":"a\nb","number":"18446744073709551615"} "#, Ok((Some("a\nb"), Some(u64::MAX.into())))),
            (r#"{"name":null,"number":-1}"#, Ok((None, Some(-1)))),
            (r#"{"number":"x"}"#, Err(Rejected::WrongType)),
            (r#"{"number":[]}"#, Err(Rejected::WrongType)),
            (r#"{"name":7}"#, Err(Rejected::WrongType)),
            (r#"{"name":"a","name":"b"}"#, Err(Rejected::DuplicateField)),
            (r#"{"name":"a""#, Err(Rejected::Malformed)),
            ("", Err(Rejected::Malformed)),
            ("[]", Err(Rejected::Malformed)),
            ("7", Err(Rejected::Malformed)),
            ("{} {}", Err(Rejected::Malformed)),
        ] {
            let got = object::<Record<'_>>(record.as_bytes());
            let got = got.as_ref().map(|r| (r.name.as_deref(), r.number.map(|n| n.0))).map_err(|e| e.reason);
            assert_eq!(got, expected, "{record}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_rejected_even_where_nobody_looks() {
        for field in ["name", "rest", "other"] {
            let record = [b"{\"", field.as_bytes(), b"\":\"\xff\"}"].concat();
            assert_eq!(object::<Record<'_>>(&record).unwrap_err().reason, Rejected::Malformed, "{field}");
        }
    }

    #[test]
    fn what_is_left_for_later_is_read_later() {
        for (value, number) in [("7", Some(7)), (r#""8""#, Some(8)), ("[7]", None), ("null", None)] {
            let text = format!("{{\"rest\":{value}}}");
            let record: Record<'_> = object(text.as_bytes()).unwrap();
            assert_eq!(record.rest.as_ref().and_then(part::<Int>).map(|n| n.0), number, "{value}");
        }
    }

    #[test]
    fn a_nesting_bomb_is_survived() {
        for field in ["other", "rest", "name"] {
            for close in ["", "]"] {
                let n = 1_000_000;
                let bomb = format!("{{\"{field}\":{}{}}}", "[".repeat(n), close.repeat(n));
                assert_eq!(object::<Record<'_>>(bomb.as_bytes()).unwrap_err().reason, Rejected::Malformed);
            }
        }
        for (json, depth) in [("{}", 1), (r#"{"a":[{}],"b":[]}"#, 3), (r#"{"[[[\"[[[":"]]\\","a":{}}"#, 2)] {
            assert!(!nests_deeper(json.as_bytes(), depth), "{json}");
            assert!(nests_deeper(json.as_bytes(), depth - 1), "{json}");
        }
    }
}
