//! The fields of a native record, and one pass over a record that takes them all.
//!
//! The pass never stops at a field of the wrong type or out of range: whether that matters depends on the record's
//! type, which may come last. It notes the field and goes on, so that only what is not JSON is an error here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::values::{Bool, BoolOrText, Got, Int, Seed, Text, TextMap, Texts, Texts64, Uint, UintOr, UintOrName, Uints};
use crate::names::CAPABILITY_MAX;

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    /// An integer from 0 to this.
    Uint(u64),
    /// An integer of 64 bits with sign.
    Int,
    Bool,
    /// A list of texts.
    Texts,
    /// A list of integers from 0 to 2^32 - 1.
    Uints,
    /// An object whose values are texts.
    TextMap,
    /// An integer from 0 to this, or a name.
    UintOrName(u64),
}

macro_rules! shape {
    (text) => {
        Shape::Text
    };
    (u16) => {
        Shape::Uint(u16::MAX as u64)
    };
    (u32) => {
        Shape::Uint(u32::MAX as u64)
    };
    (u64) => {
        Shape::Uint(u64::MAX)
    };
    (int) => {
        Shape::Int
    };
    (bool) => {
        Shape::Bool
    };
    (argv) => {
        Shape::Texts
    };
    (argv_b64) => {
        Shape::Texts
    };
    (nrs) => {
        Shape::Uints
    };
    (text_map) => {
        Shape::TextMap
    };
    (qtype) => {
        Shape::UintOrName(u16::MAX as u64)
    };
    (cap) => {
        Shape::UintOrName(CAPABILITY_MAX as u64)
    };
    (runtime) => {
        Shape::Text
    };
    (by_runtime) => {
        Shape::Bool
    };
}

macro_rules! slot {
    (text, $life:lifetime) => { Cow<$life, str> };
    (int, $life:lifetime) => { i64 };
    (bool, $life:lifetime) => { bool };
    (by_runtime, $life:lifetime) => { bool };
    (qtype, $life:lifetime) => { UintOrName<$life> };
    (cap, $life:lifetime) => { UintOrName<$life> };
    ($number:ident, $life:lifetime) => { u64 };
}

/// One row a field: its name, what its value is, and where a record keeps it. One without a place is looked at, so that a
/// wrong one is told of, and not used yet.
macro_rules! fields {
    ($($variant:ident = $name:literal $shape:ident $(=> $slot:ident)?),* $(,)?) => {
        /// A field this version knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Field { $($variant),* }

        impl Field {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub(crate) const fn shape(self) -> Shape {
                match self { $(Self::$variant => shape!($shape)),* }
            }

            /// The largest integer that it may be.
            const fn max(self) -> u64 {
                match self.shape() {
                    Shape::Uint(max) | Shape::UintOrName(max) => max,
                    _ => u64::MAX,
                }
            }

            /// Of two fields of one name the first: [`Field::ByRuntime`] is taken along with it.
            #[expect(unreachable_patterns, reason = "two types of event have a field of one name")]
            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }

        /// A record as it stands there. Which fields its type wants is not looked at; one that is absent has a default.
        #[derive(Debug, Default)]
        pub(crate) struct Raw<'a> {
            /// Fields with a value of the right shape.
            pub(crate) present: Fields,
            /// Fields of another type, or out of range.
            pub(crate) wrong: Fields,
            /// Lists of texts with one that cannot be.
            pub(crate) invalid: Fields,
            /// Fields that came more than once.
            pub(crate) again: Fields,
            /// Whether there were fields that this version does not know.
            pub(crate) unknown: bool,
            $($(pub(crate) $slot: slot!($shape, 'a),)?)*
        }

        impl<'a> Raw<'a> {
            /// Takes the value of `field` from `map`.
            fn take<A: MapAccess<'a>>(&mut self, field: Field, lists: &mut Lists, map: &mut A) -> Result<(), A::Error> {
                match field { $(Field::$variant => take!($shape, self, lists, Field::$variant, map $(, $slot)?)),* }
                Ok(())
            }
        }
    };
}

/// Notes what came for a field: a value, which goes where it is kept, or something else.
macro_rules! note {
    ($raw:ident, $field:expr, $got:expr, $value:ident => $then:expr) => {
        match $got {
            Got::Value($value) => {
                $then;
                $raw.present.insert($field);
            }
            Got::Null => {}
            Got::Wrong => $raw.wrong.insert($field),
            Got::Invalid => $raw.invalid.insert($field),
        }
    };
}

macro_rules! take {
    (text, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Text))?, value => $raw.$slot = value)
    };
    (text, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Text))?, _value => ())
    };
    (int, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Int))?, value => $raw.$slot = value)
    };
    (int, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Int))?, _value => ())
    };
    (bool, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Bool))?, value => $raw.$slot = value)
    };
    (qtype, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(UintOr($field.max())))?, value => $raw.$slot = value)
    };
    (cap, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        take!(qtype, $raw, $lists, $field, $map, $slot)
    };
    (argv, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Texts(&mut $lists.argv)))?, _value => ())
    };
    (argv_b64, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Texts64(&mut $lists.argv)))?, _value => ())
    };
    (nrs, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Uints(&mut $lists.nrs)))?, _value => ())
    };
    (text_map, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(TextMap))?, _value => ())
    };
    // Which of the two is meant, the type says, and that may yet come: the value is right for one of them.
    (runtime, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        match $map.next_value_seed(Seed(BoolOrText))? {
            Got::Value(Some(reported)) => {
                $raw.by_runtime = reported;
                $raw.present.insert(Field::ByRuntime);
                $raw.wrong.insert(Field::Runtime);
            }
            Got::Value(None) => {
                $raw.present.insert(Field::Runtime);
                $raw.wrong.insert(Field::ByRuntime);
            }
            Got::Null => {}
            Got::Wrong | Got::Invalid => {
                $raw.wrong.insert(Field::Runtime);
                $raw.wrong.insert(Field::ByRuntime);
            }
        }
    };
    (by_runtime, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        take!(runtime, $raw, $lists, $field, $map)
    };
    ($number:ident, $raw:ident, $lists:ident, $field:expr, $map:ident, $slot:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Uint($field.max())))?, value => $raw.$slot = value)
    };
    ($number:ident, $raw:ident, $lists:ident, $field:expr, $map:ident) => {
        note!($raw, $field, $map.next_value_seed(Seed(Uint($field.max())))?, _value => ())
    };
}

fields! {
    Type = "type" text => kind,
    Ts = "ts" u64 => ts,
    Container = "container" text => container,
    Pid = "pid" u32 => pid,
    Ppid = "ppid" u32 => ppid,
    Path = "path" text => path,
    Flags = "flags" u32 => flags,
    Ret = "ret" int => ret,
    Mode = "mode" u32,
    Map = "map" bool => map,
    Start = "start" u64 => start,
    NsPid = "ns_pid" u32 => ns_pid,
    Argv = "argv" argv,
    Uid = "uid" u32 => uid,
    Gid = "gid" u32 => gid,
    Cwd = "cwd" text => cwd,
    Interpreter = "interpreter" text => interpreter,
    Inode = "inode" u64,
    Fileless = "fileless" bool => fileless,
    ArgvTruncated = "argv_truncated" bool => argv_truncated,
    UpperLayer = "upper_layer" bool => upper_layer,
    Code = "code" int,
    Signal = "signal" int,
    Family = "family" text => family,
    Addr = "addr" text => addr,
    Port = "port" u16 => port,
    Proto = "proto" text => proto,
    Op = "op" text => op,
    From = "from" text => from,
    Sent = "sent" u64 => sent,
    Received = "received" u64 => received,
    Name = "name" text => name,
    Qtype = "qtype" qtype => qtype,
    Server = "server" text,
    Rcode = "rcode" u16,
    Nrs = "nrs" nrs,
    Arch = "arch" text => arch,
    Cap = "cap" cap => cap,
    Used = "used" bool => used,
    Fstype = "fstype" text => fstype,
    // Of a mount. A header's says what made the trace, for people.
    Source = "source" text => source,
    Provider = "provider" text => provider,
    Method = "method" text,
    Token = "token" text => token,
    Cause = "cause" text => cause,
    // Not more, so that no sum of them is out of range.
    N = "n" u32 => n,
    Image = "image" text => image,
    Tag = "tag" text => tag,
    Labels = "labels" text_map,
    CgroupId = "cgroup_id" u64,
    // Of `container_start`.
    Runtime = "runtime" runtime,
    // Of `exec`.
    ByRuntime = "runtime" by_runtime => by_runtime,
    Pod = "pod" text,
    Namespace = "namespace" text,
    PathB64 = "path_b64" text => path_b64,
    ArgvB64 = "argv_b64" argv_b64,
    CwdB64 = "cwd_b64" text => cwd_b64,
    InterpreterB64 = "interpreter_b64" text => interpreter_b64,
    AddrB64 = "addr_b64" text => addr_b64,
    FromB64 = "from_b64" text => from_b64,
    SourceB64 = "source_b64" text => source_b64,
    Format = "format" text => format,
    Version = "version" u64 => version,
    Recording = "recording" text => recording,
    Clock = "clock" text,
    Completeness = "completeness" text => completeness,
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u128);

impl Fields {
    pub(crate) const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let [first, tail @ ..] = rest {
            bits |= 1_u128 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn contains(self, field: Field) -> bool {
        self.0 >> field as u8 & 1 == 1
    }

    pub(crate) const fn insert(&mut self, field: Field) {
        self.0 |= 1_u128 << field as u8;
    }

    pub(crate) fn first(self) -> Option<Field> {
        Field::ALL.get(self.0.trailing_zeros() as usize).copied()
    }
}

/// Lists, whose memory is used again for the next record.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The arguments, each followed by a NUL byte.
    pub(crate) argv: Vec<u8>,
    /// Numbers of four little-endian bytes each.
    pub(crate) nrs: Vec<u8>,
}

impl<'a> Raw<'a> {
    /// Takes the fields of `record`, which must not be nested too deeply for recursion, and its lists into `lists`.
    /// In place, as moving a result of this size costs as much as parsing a number or two.
    pub(crate) fn parse(&mut self, record: &'a str, lists: &mut Lists) -> Result<(), sonic_rs::Error> {
        lists.argv.clear();
        lists.nrs.clear();
        let mut json = sonic_rs::Deserializer::from_str(record);
        RecordSeed { raw: self, lists }.deserialize(&mut json)?;
        json.end()
    }
}

struct RecordSeed<'r, 'a> {
    raw: &'r mut Raw<'a>,
    lists: &'r mut Lists,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { raw, lists } = self;
        let mut seen = Fields::default();
        while let Some(field) = map.next_key_seed(FieldSeed)? {
            let Some(field) = field else {
                raw.unknown = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let before = seen;
            seen.insert(field);
            if seen == before {
                raw.again.insert(field);
                if field == Field::Runtime {
                    raw.again.insert(Field::ByRuntime);
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            raw.take(field, lists, &mut map)?;
        }
        Ok(())
    }
}

struct FieldSeed;

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Field::from_name(name))
    }
}
