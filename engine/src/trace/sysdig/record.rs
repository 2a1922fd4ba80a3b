//! One JSON line of sysdig as typed fields.
//!
//! Every value is read by a visitor of our own: sonic-rs skips an ignored value by recursion without a bound, so that
//! a line of a million `[` in a field nobody asked for would exhaust the stack.
//! Not here: what the fields mean (`super`), or what is inside `evt.args` (`super::args`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::ledger::Rejected;
use crate::trace::Reject;

/// How deep a value may nest. sysdig's lines are flat, and what docker tells of a container is a few levels.
const NESTING_MAX: u8 = 16;

/// What of a line the decoder uses. A text that sysdig left out (`null`, `<NA>` or no such field) is empty.
pub(super) struct Record<'a> {
    pub(super) ts: u64,
    /// `evt.type`.
    pub(super) kind: Cow<'a, str>,
    /// `evt.dir` is `>`: the call begins.
    pub(super) enter: bool,
    /// Empty for the host; `None` if sysdig does not know the thread.
    pub(super) container: Option<Cow<'a, str>>,
    pub(super) image: Cow<'a, str>,
    pub(super) args: Cow<'a, str>,
    pub(super) fd_name: Cow<'a, str>,
    pub(super) fd_type: Cow<'a, str>,
    pub(super) l4proto: Cow<'a, str>,
    pub(super) cmdline: Cow<'a, str>,
    pub(super) cwd: Cow<'a, str>,
    pub(super) exepath: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// `None` if sysdig does not know the thread.
    pub(super) pid: Option<u32>,
    /// `None` if sysdig does not know the thread.
    pub(super) tid: Option<u32>,
    /// 0 if not known.
    pub(super) ppid: u32,
    pub(super) uid: Option<u32>,
    pub(super) fd_num: Option<i64>,
}

impl<'a> Record<'a> {
    /// # Errors
    /// A line that is not a JSON object, lacks a field that every line has, or has one of another type.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Reject> {
        let Slots { mut texts, numbers, fault } = sonic_rs::from_slice(line).map_err(|_| Reject {
            reason: Rejected::Malformed,
            field: None,
            detail: "not one whole JSON object in UTF-8".to_owned(),
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let mut text = |t: Text| texts.get_mut(t as usize).map(std::mem::take).unwrap_or_default();
        let number = |n: Number| numbers.get(n as usize).copied().unwrap_or_default();
        let (kind, dir, container) = (text(Text::Type), text(Text::Dir), text(Text::Container));

        let enter = match dir.required(Text::Dir.name())?.as_ref() {
            ">" => true,
            "<" => false,
            _ => return Err(invalid(Text::Dir.name(), "neither `>` nor `<`")),
        };
        let container = match container {
            Slot::Absent => return Err(missing(Text::Container.name())),
            Slot::Null => None,
            Slot::Is(id) if id == "host" => Some(Cow::Borrowed("")),
            Slot::Is(id) => Some(id),
        };
        Ok(Self {
            ts: u64::try_from(number(Number::Rawtime).required(Number::Rawtime.name())?)
                .map_err(|_| invalid(Number::Rawtime.name(), "not nanoseconds since the Unix epoch"))?,
            kind: kind.required(Text::Type.name())?,
            enter,
            container,
            image: text(Text::Image).or_empty(),
            args: text(Text::Args).or_empty(),
            fd_name: text(Text::FdName).or_empty(),
            fd_type: text(Text::FdType).or_empty(),
            l4proto: text(Text::L4proto).or_empty(),
            cmdline: text(Text::Cmdline).or_empty(),
            cwd: text(Text::Cwd).or_empty(),
            exepath: text(Text::Exepath).or_empty(),
            name: text(Text::Name).or_empty(),
            pid: id(Number::Pid, number(Number::Pid))?,
            tid: id(Number::Tid, number(Number::Tid))?,
            ppid: id(Number::Ppid, number(Number::Ppid).or_null())?.unwrap_or_default(),
            // sysdig's "no such user" is the kernel's: all bits set.
            uid: id(Number::Uid, number(Number::Uid).or_null())?.filter(|uid| *uid != u32::MAX),
            fd_num: number(Number::FdNum).value().and_then(|n| i64::try_from(n).ok()),
        })
    }
}

/// A process, thread or user id: `None` where sysdig has none (`null` or -1).
fn id(field: Number, slot: Slot<i128>) -> Result<Option<u32>, Reject> {
    match slot {
        Slot::Absent => Err(missing(field.name())),
        Slot::Null | Slot::Is(-1) => Ok(None),
        Slot::Is(n) => u32::try_from(n).map(Some).map_err(|_| invalid(field.name(), "not an id of 32 bits")),
    }
}

fn missing(field: &'static str) -> Reject {
    let detail = "not there; name it in sysdig's -p".to_owned();
    Reject { reason: Rejected::MissingField, field: Some(field), detail }
}

pub(super) fn invalid(field: &'static str, detail: &str) -> Reject {
    Reject { reason: Rejected::InvalidValue, field: Some(field), detail: detail.to_owned() }
}

macro_rules! fields {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $name { $($variant),* }

        impl $name {
            const COUNT: usize = [$($text),*].len();

            fn find(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

fields!(Text {
    Type = "evt.type",
    Dir = "evt.dir",
    Container = "container.id",
    Image = "container.image",
    Args = "evt.args",
    FdName = "fd.name",
    FdType = "fd.type",
    L4proto = "fd.l4proto",
    Cmdline = "proc.cmdline",
    Cwd = "proc.cwd",
    Exepath = "proc.exepath",
    Name = "proc.name",
});

fields!(Number {
    Rawtime = "evt.rawtime",
    Pid = "proc.pid",
    Tid = "thread.tid",
    Ppid = "proc.ppid",
    Uid = "user.uid",
    FdNum = "fd.num",
});

/// A field's value, as far as it is there.
#[derive(Clone, Copy, Default)]
enum Slot<T> {
    #[default]
    Absent,
    Null,
    Is(T),
}

impl<T> Slot<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    fn required(self, field: &'static str) -> Result<T, Reject> {
        self.value().ok_or_else(|| missing(field))
    }

    /// An absent field counts as one without a value.
    fn or_null(self) -> Self {
        if matches!(self, Self::Absent) { Self::Null } else { self }
    }

    fn or_empty(self) -> T
    where
        T: Default,
    {
        self.value().unwrap_or_default()
    }
}

#[derive(Default)]
struct Slots<'a> {
    texts: [Slot<Cow<'a, str>>; Text::COUNT],
    numbers: [Slot<i128>; Number::COUNT],
    /// The first field that is not what it should be. The rest of the line is still read, to tell bad JSON from a bad field.
    fault: Option<Reject>,
}

impl<'a> Slots<'a> {
    fn set_text(&mut self, field: Text, value: Value<'a>) {
        let value = match value {
            Value::Null => Slot::Null,
            Value::Text(text) if text == "<NA>" => Slot::Null,
            // Only an escape can have put a NUL there, and no kernel string has one.
            Value::Text(Cow::Owned(text)) if text.contains('\0') => {
                return self.fault(invalid(field.name(), "a NUL byte"));
            }
            Value::Text(text) => Slot::Is(text),
            other => return self.fault(other.not_a("a string", field.name())),
        };
        match self.texts.get_mut(field as usize) {
            Some(slot @ Slot::Absent) => *slot = value,
            _ => self.fault(twice(field.name())),
        }
    }

    fn set_number(&mut self, field: Number, value: Value<'a>) {
        let value = match value {
            Value::Null => Slot::Null,
            Value::Whole(n) => Slot::Is(n),
            Value::Fraction => return self.fault(invalid(field.name(), "not a whole number of 64 bits")),
            other => return self.fault(other.not_a("a number", field.name())),
        };
        match self.numbers.get_mut(field as usize) {
            Some(slot @ Slot::Absent) => *slot = value,
            _ => self.fault(twice(field.name())),
        }
    }

    fn fault(&mut self, fault: Reject) {
        self.fault.get_or_insert(fault);
    }
}

fn twice(field: &'static str) -> Reject {
    Reject { reason: Rejected::DuplicateField, field: Some(field), detail: "there twice".to_owned() }
}

impl<'de> Deserialize<'de> for Slots<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Line;

        impl<'de> Visitor<'de> for Line {
            type Value = Slots<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Slots<'de>, A::Error> {
                let mut slots = Slots::default();
                while let Some(key) = map.next_key::<Key>()? {
                    let value = map.next_value::<Value<'de>>()?;
                    match key {
                        Key::Text(field) => slots.set_text(field, value),
                        Key::Number(field) => slots.set_number(field, value),
                        Key::Other => {}
                    }
                }
                Ok(slots)
            }
        }

        d.deserialize_any(Line)
    }
}

enum Key {
    Text(Text),
    Number(Number),
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Text::find(name).map(Key::Text).or(Number::find(name).map(Key::Number)).unwrap_or(Key::Other))
            }
        }

        d.deserialize_str(Name)
    }
}

/// Any JSON value; strings are borrowed where they have no escapes, and what is nested is read and dropped.
pub(super) enum Value<'a> {
    Null,
    Text(Cow<'a, str>),
    Whole(i128),
    Fraction,
    Bool,
    Array,
    Object,
}

impl Value<'_> {
    fn not_a(&self, wanted: &str, field: &'static str) -> Reject {
        let found = match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Whole(_) | Self::Fraction => "a number",
            Self::Bool => "a boolean",
            Self::Array => "an array",
            Self::Object => "an object",
        };
        let detail = format!("expected {wanted}, found {found}");
        Reject { reason: Rejected::WrongType, field: Some(field), detail }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Any { levels: NESTING_MAX }.deserialize(d)
    }
}

/// Reads any value that nests no deeper than `levels`.
struct Any {
    levels: u8,
}

impl Any {
    fn inner<E: serde::de::Error>(self) -> Result<u8, E> {
        self.levels.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value<'de>, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool)
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(n.into()))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(n.into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Fraction)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let levels = self.inner()?;
        while seq.next_element_seed(Any { levels })?.is_some() {}
        Ok(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let levels = self.inner()?;
        while map.next_key::<Key>()?.is_some() {
            map.next_value_seed(Any { levels })?;
        }
        Ok(Value::Object)
    }
}
