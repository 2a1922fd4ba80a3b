//! The values of fields, taken from JSON without ever failing on a value of another type.
//!
//! Derived deserialisation stops at the first mismatch, does not borrow a text inside an option, and cannot tell a
//! number out of range from a word. Here every value becomes a [`Got`].

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Base64 with the standard alphabet, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Appends what `text` decodes to. False if it is not base64 or there is a NUL byte in it, which no path or argument
/// can hold.
pub(crate) fn decode_base64(text: &str, into: &mut Vec<u8>) -> bool {
    let from = into.len();
    BASE64.decode_vec(text, into).is_ok() && !into.get(from..).unwrap_or_default().contains(&0)
}

/// What was there for a value.
pub(crate) enum Got<T> {
    Value(T),
    Null,
    /// A value of another type, or out of range.
    Wrong,
    /// A list of the right type with an element that cannot be.
    Invalid,
}

/// What a field would have. Whatever it does not take is [`Got::Wrong`].
pub(crate) trait Want<'de>: Sized {
    type Out;

    fn bool(self, _: bool) -> Got<Self::Out> {
        Got::Wrong
    }
    fn uint(self, _: u64) -> Got<Self::Out> {
        Got::Wrong
    }
    /// A negative integer.
    fn negative(self, _: i64) -> Got<Self::Out> {
        Got::Wrong
    }
    fn text(self, _: &str) -> Got<Self::Out> {
        Got::Wrong
    }
    /// A text that lives as long as the record.
    fn borrowed(self, text: &'de str) -> Got<Self::Out> {
        self.text(text)
    }
    /// What is left in the list afterwards is skipped.
    fn list<A: SeqAccess<'de>>(self, _: &mut A) -> Result<Got<Self::Out>, A::Error> {
        Ok(Got::Wrong)
    }
    /// What is left in the object afterwards is skipped.
    fn object<A: MapAccess<'de>>(self, _: &mut A) -> Result<Got<Self::Out>, A::Error> {
        Ok(Got::Wrong)
    }
}

/// Takes a value for a [`Want`].
pub(crate) struct Seed<W>(pub(crate) W);

impl<'de, W: Want<'de>> DeserializeSeed<'de> for Seed<W> {
    type Value = Got<W::Out>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de, W: Want<'de>> Visitor<'de> for Seed<W> {
    type Value = Got<W::Out>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Got::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.0.bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.0.uint(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(match u64::try_from(value) {
            Ok(value) => self.0.uint(value),
            Err(_) => self.0.negative(value),
        })
    }

    /// Also an integer too large for 64 bits.
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Got::Wrong)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.0.text(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(self.0.borrowed(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let got = self.0.list(&mut list)?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(got)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let got = self.0.object(&mut map)?;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(got)
    }
}

/// A text; borrowed unless it has escapes.
pub(crate) struct Text;

impl<'de> Want<'de> for Text {
    type Out = Cow<'de, str>;

    fn text(self, text: &str) -> Got<Self::Out> {
        Got::Value(Cow::Owned(text.to_owned()))
    }

    fn borrowed(self, text: &'de str) -> Got<Self::Out> {
        Got::Value(Cow::Borrowed(text))
    }
}

/// An integer from 0 to this.
pub(crate) struct Uint(pub(crate) u64);

impl Want<'_> for Uint {
    type Out = u64;

    fn uint(self, value: u64) -> Got<u64> {
        if value <= self.0 { Got::Value(value) } else { Got::Wrong }
    }
}

/// An integer of 64 bits with sign.
pub(crate) struct Int;

impl Want<'_> for Int {
    type Out = i64;

    fn uint(self, value: u64) -> Got<i64> {
        i64::try_from(value).map_or(Got::Wrong, Got::Value)
    }

    fn negative(self, value: i64) -> Got<i64> {
        Got::Value(value)
    }
}

/// True or false.
pub(crate) struct Bool;

impl Want<'_> for Bool {
    type Out = bool;

    fn bool(self, value: bool) -> Got<bool> {
        Got::Value(value)
    }
}

/// True or false, or a text, of which it only matters that it is one.
pub(crate) struct BoolOrText;

impl Want<'_> for BoolOrText {
    type Out = Option<bool>;

    fn bool(self, value: bool) -> Got<Self::Out> {
        Got::Value(Some(value))
    }

    fn text(self, _: &str) -> Got<Self::Out> {
        Got::Value(None)
    }
}

/// A number or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UintOrName<'a> {
    Uint(u64),
    Name(Cow<'a, str>),
}

impl Default for UintOrName<'_> {
    fn default() -> Self {
        Self::Uint(0)
    }
}

/// An integer from 0 to this, or a name.
pub(crate) struct UintOr(pub(crate) u64);

impl<'de> Want<'de> for UintOr {
    type Out = UintOrName<'de>;

    fn uint(self, value: u64) -> Got<Self::Out> {
        if value <= self.0 { Got::Value(UintOrName::Uint(value)) } else { Got::Wrong }
    }

    fn text(self, text: &str) -> Got<Self::Out> {
        Got::Value(UintOrName::Name(Cow::Owned(text.to_owned())))
    }

    fn borrowed(self, text: &'de str) -> Got<Self::Out> {
        Got::Value(UintOrName::Name(Cow::Borrowed(text)))
    }
}

macro_rules! wants_list {
    ($(#[$doc:meta])* $list:ident of $element:ident: $method:ident($value:ident: $type:ty, $into:ident) $body:block) => {
        $(#[$doc])*
        pub(crate) struct $list<'s>(pub(crate) &'s mut Vec<u8>);

        struct $element<'s>(&'s mut Vec<u8>);

        impl<'de> Want<'de> for $list<'_> {
            type Out = ();

            fn list<A: SeqAccess<'de>>(self, list: &mut A) -> Result<Got<()>, A::Error> {
                let mut all = Got::Value(());
                while let Some(got) = list.next_element_seed(Seed($element(&mut *self.0)))? {
                    match got {
                        Got::Value(()) => {}
                        Got::Invalid => all = Got::Invalid,
                        Got::Null | Got::Wrong => return Ok(Got::Wrong),
                    }
                }
                Ok(all)
            }
        }

        impl Want<'_> for $element<'_> {
            type Out = ();

            fn $method(self, $value: $type) -> Got<()> {
                let $into = self.0;
                $body
            }
        }
    };
}

wants_list! {
    /// Texts, appended with a NUL byte after each. One that holds a NUL byte itself is invalid.
    Texts of TextElement: text(text: &str, into) {
        into.extend_from_slice(text.as_bytes());
        into.push(0);
        if memchr::memchr(0, text.as_bytes()).is_some() { Got::Invalid } else { Got::Value(()) }
    }
}

wants_list! {
    /// As [`Texts`], each in base64.
    Texts64 of Text64Element: text(text: &str, into) {
        let valid = decode_base64(text, into);
        into.push(0);
        if valid { Got::Value(()) } else { Got::Invalid }
    }
}

wants_list! {
    /// Integers from 0 to 2^32 - 1, appended as four little-endian bytes each.
    Uints of UintElement: uint(value: u64, into) {
        match u32::try_from(value) {
            Ok(value) => {
                into.extend_from_slice(&value.to_le_bytes());
                Got::Value(())
            }
            Err(_) => Got::Wrong,
        }
    }
}

/// An object whose values are texts. They are looked at and not kept.
pub(crate) struct TextMap;

struct AnyText;

impl<'de> Want<'de> for TextMap {
    type Out = ();

    fn object<A: MapAccess<'de>>(self, map: &mut A) -> Result<Got<()>, A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            if !matches!(map.next_value_seed(Seed(AnyText))?, Got::Value(())) {
                return Ok(Got::Wrong);
            }
        }
        Ok(Got::Value(()))
    }
}

impl Want<'_> for AnyText {
    type Out = ();

    fn text(self, _: &str) -> Got<()> {
        Got::Value(())
    }
}
