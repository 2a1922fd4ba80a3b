//! What is wrong with a record that was found to be wrong: the slow second look.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use super::Reject;
use super::fields::{Field, Shape};
use crate::ledger::Rejected;

/// How much of a value that was found is shown.
const SHOWN_MAX: usize = 64;

pub(crate) fn reject(reason: Rejected, field: Field, detail: impl Into<String>) -> Reject {
    Reject { reason, field: Some(field.name()), detail: detail.into() }
}

/// `text` as found in a record: quoted, escaped, and shortened.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
    }
}

/// Why the value of `field` in `record` does not have the field's shape.
pub(crate) fn wrong(field: Field, record: &str) -> Reject {
    let expected = expected(field.shape());
    let Ok(value) = sonic_rs::get(record, [field.name()]) else {
        return reject(Rejected::WrongType, field, format!("expected {expected}"));
    };
    let (reason, found) = match field.shape() {
        Shape::Texts => misfit(value, |v| (!v.is_str()).then_some(Rejected::WrongType)),
        Shape::Uints => misfit(value, |v| match v.as_u64() {
            Some(n) if n <= u32::MAX.into() => None,
            _ if is_integer(v) => Some(Rejected::InvalidValue),
            _ => Some(Rejected::WrongType),
        }),
        Shape::TextMap => member_misfit(value),
        Shape::Uint(_) | Shape::Int | Shape::UintOrName(_) if is_integer(&value) => {
            (Rejected::InvalidValue, describe(&value))
        }
        _ => (Rejected::WrongType, describe(&value)),
    };
    reject(reason, field, format!("found {found}, expected {expected}"))
}

/// The first element of a list that does not fit, and why.
fn misfit(list: LazyValue<'_>, reason: impl Fn(&LazyValue<'_>) -> Option<Rejected>) -> (Rejected, String) {
    let whole = describe(&list);
    let mut elements = list.into_array_iter().into_iter().flatten().flatten();
    elements
        .find_map(|v| Some((reason(&v)?, format!("{} in it", describe(&v)))))
        .unwrap_or((Rejected::WrongType, whole))
}

fn member_misfit(value: LazyValue<'_>) -> (Rejected, String) {
    let whole = describe(&value);
    let mut members = value.into_object_iter().into_iter().flatten().flatten();
    let found = members.find(|(_, v)| !v.is_str()).map_or(whole, |(_, v)| format!("{} in it", describe(&v)));
    (Rejected::WrongType, found)
}

/// Whether it is written as an integer, of any size.
fn is_integer(value: &LazyValue<'_>) -> bool {
    value.get_type() == JsonType::Number && !value.as_raw_str().contains(['.', 'e', 'E'])
}

fn describe(value: &LazyValue<'_>) -> String {
    match value.get_type() {
        JsonType::Null => "null".into(),
        JsonType::Boolean => value.as_raw_str().into(),
        JsonType::Number => {
            let digits = value.as_raw_str();
            digits.get(..SHOWN_MAX).map_or_else(|| digits.into(), |shown| format!("{shown}…"))
        }
        JsonType::String => format!("the text {}", quoted(value.as_str().unwrap_or_default())),
        JsonType::Array => "a list".into(),
        JsonType::Object => "an object".into(),
    }
}

fn expected(shape: Shape) -> String {
    match shape {
        Shape::Text => "a text".into(),
        Shape::Uint(max) => format!("an integer from 0 to {max}"),
        Shape::Int => "a 64-bit integer".into(),
        Shape::Bool => "true or false".into(),
        Shape::Texts => "a list of texts".into(),
        Shape::Uints => format!("a list of integers from 0 to {}", u32::MAX),
        Shape::TextMap => "an object of texts".into(),
        Shape::UintOrName(max) => format!("a name or an integer from 0 to {max}"),
    }
}

/// Why the JSON library did not take `record`.
pub(crate) fn not_json(record: &str, error: &sonic_rs::Error) -> String {
    match crate::nesting::validate(record) {
        Err(error) => error.to_string(),
        Ok(()) if !record.trim_ascii_start().starts_with('{') => "not an object".into(),
        // The library's own words, without the excerpt on the lines below them.
        Ok(()) => error.to_string().lines().next().unwrap_or_default().into(),
    }
}
