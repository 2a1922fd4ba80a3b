//! The fields of a native record, and one pass over a record that takes them all.
//!
//! The pass never stops at a field of the wrong type or out of range: whether that matters depends on the record's
//! type, which may come last. It notes the field and goes on, so that only what is not JSON is an error here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::values::{Bool, BoolOrText, Got, Int, Seed, Text, TextMap, Texts, Texts64, Uint, UintOr, UintOrName, Uints};
use crate::trace::capability::CAPABILITY_MAX;

/// What a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
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

macro_rules! fields {
    ($($variant:ident = $name:literal: $shape:expr),* $(,)?) => {
        /// A field this version knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Field { $($variant),* }

        impl Field {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            pub(super) const fn shape(self) -> Shape {
                match self { $(Self::$variant => $shape),* }
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
    };
}

const U16: Shape = Shape::Uint(u16::MAX as u64);
const U32: Shape = Shape::Uint(u32::MAX as u64);
const U64: Shape = Shape::Uint(u64::MAX);

fields! {
    Type = "type": Shape::Text,
    Ts = "ts": U64,
    Container = "container": Shape::Text,
    Pid = "pid": U32,
    Ppid = "ppid": U32,
    Path = "path": Shape::Text,
    Flags = "flags": U32,
    Ret = "ret": Shape::Int,
    Mode = "mode": U32,
    Start = "start": U64,
    Argv = "argv": Shape::Texts,
    Uid = "uid": U32,
    Gid = "gid": U32,
    Cwd = "cwd": Shape::Text,
    Interpreter = "interpreter": Shape::Text,
    Inode = "inode": U64,
    Fileless = "fileless": Shape::Bool,
    ArgvTruncated = "argv_truncated": Shape::Bool,
    UpperLayer = "upper_layer": Shape::Bool,
    Code = "code": Shape::Int,
    Signal = "signal": Shape::Int,
    Family = "family": Shape::Text,
    Addr = "addr": Shape::Text,
    Port = "port": U16,
    Proto = "proto": Shape::Text,
    Name = "name": Shape::Text,
    Qtype = "qtype": Shape::UintOrName(u16::MAX as u64),
    Server = "server": Shape::Text,
    Rcode = "rcode": U16,
    Nrs = "nrs": Shape::Uints,
    Arch = "arch": Shape::Text,
    Cap = "cap": Shape::UintOrName(CAPABILITY_MAX as u64),
    Used = "used": Shape::Bool,
    Cause = "cause": Shape::Text,
    // Not more, so that no sum of them is out of range.
    N = "n": U32,
    Image = "image": Shape::Text,
    Tag = "tag": Shape::Text,
    Labels = "labels": Shape::TextMap,
    CgroupId = "cgroup_id": U64,
    // Of `container_start`.
    Runtime = "runtime": Shape::Text,
    // Of `exec`.
    ByRuntime = "runtime": Shape::Bool,
    Pod = "pod": Shape::Text,
    Namespace = "namespace": Shape::Text,
    PathB64 = "path_b64": Shape::Text,
    ArgvB64 = "argv_b64": Shape::Texts,
    CwdB64 = "cwd_b64": Shape::Text,
    InterpreterB64 = "interpreter_b64": Shape::Text,
    AddrB64 = "addr_b64": Shape::Text,
    Format = "format": Shape::Text,
    Version = "version": U64,
    Source = "source": Shape::Text,
    Recording = "recording": Shape::Text,
    Clock = "clock": Shape::Text,
    Completeness = "completeness": Shape::Text,
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(u64);

impl Fields {
    pub(super) const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn contains(self, field: Field) -> bool {
        self.0 >> field as u8 & 1 == 1
    }

    pub(super) const fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    pub(super) fn first(self) -> Option<Field> {
        Field::ALL.get(self.0.trailing_zeros() as usize).copied()
    }
}

/// Lists, whose memory is used again for the next record.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The arguments, each followed by a NUL byte.
    pub(super) argv: Vec<u8>,
    /// Numbers of four little-endian bytes each.
    pub(super) nrs: Vec<u8>,
}

/// A record as it stands there. Which fields its type wants is not looked at; one that is absent has a default.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    /// Fields with a value of the right shape.
    pub(super) present: Fields,
    /// Fields of another type, or out of range.
    pub(super) wrong: Fields,
    /// Lists of texts with one that cannot be.
    pub(super) invalid: Fields,
    /// Fields that came more than once.
    pub(super) again: Fields,
    /// Whether there were fields that this version does not know.
    pub(super) unknown: bool,

    pub(super) kind: Cow<'a, str>,
    pub(super) ts: u64,
    pub(super) container: Cow<'a, str>,
    pub(super) pid: u64,
    pub(super) ppid: u64,
    pub(super) start: u64,
    pub(super) path: Cow<'a, str>,
    pub(super) path_b64: Cow<'a, str>,
    pub(super) flags: u64,
    pub(super) ret: i64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) argv_truncated: bool,
    pub(super) interpreter: Cow<'a, str>,
    pub(super) interpreter_b64: Cow<'a, str>,
    pub(super) cwd: Cow<'a, str>,
    pub(super) cwd_b64: Cow<'a, str>,
    pub(super) fileless: bool,
    pub(super) upper_layer: bool,
    pub(super) by_runtime: bool,
    pub(super) family: Cow<'a, str>,
    pub(super) addr: Cow<'a, str>,
    pub(super) addr_b64: Cow<'a, str>,
    pub(super) port: u64,
    pub(super) proto: Cow<'a, str>,
    /// The name of a DNS question.
    pub(super) name: Cow<'a, str>,
    pub(super) qtype: UintOrName<'a>,
    pub(super) arch: Cow<'a, str>,
    pub(super) cap: UintOrName<'a>,
    pub(super) used: bool,
    pub(super) cause: Cow<'a, str>,
    pub(super) n: u64,
    pub(super) image: Cow<'a, str>,
    pub(super) tag: Cow<'a, str>,
    pub(super) format: Cow<'a, str>,
    pub(super) version: u64,
    pub(super) recording: Cow<'a, str>,
    pub(super) completeness: Cow<'a, str>,
}

impl<'a> Raw<'a> {
    /// Takes the fields of `record`, which must not be nested too deeply for recursion, and its lists into `lists`.
    /// In place, as moving a result of this size costs as much as parsing a number or two.
    pub(super) fn parse(&mut self, record: &'a str, lists: &mut Lists) -> Result<(), sonic_rs::Error> {
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
            if seen.contains(field) {
                raw.again.insert(field);
                if field == Field::Runtime {
                    raw.again.insert(Field::ByRuntime);
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            seen.insert(field);
            macro_rules! take {
                ($want:expr => $slot:expr) => {
                    match map.next_value_seed(Seed($want))? {
                        Got::Value(value) => {
                            $slot = value;
                            raw.present.insert(field);
                        }
                        Got::Null => {}
                        Got::Wrong => raw.wrong.insert(field),
                        Got::Invalid => raw.invalid.insert(field),
                    }
                };
                // Only whether it is right, not what it is.
                ($want:expr) => {
                    match map.next_value_seed(Seed($want))? {
                        Got::Value(_) => raw.present.insert(field),
                        Got::Null => {}
                        Got::Wrong => raw.wrong.insert(field),
                        Got::Invalid => raw.invalid.insert(field),
                    }
                };
            }
            match field {
                Field::Type => take!(Text => raw.kind),
                Field::Ts => take!(Uint(field.max()) => raw.ts),
                Field::Container => take!(Text => raw.container),
                Field::Pid => take!(Uint(field.max()) => raw.pid),
                Field::Ppid => take!(Uint(field.max()) => raw.ppid),
                Field::Path => take!(Text => raw.path),
                Field::Flags => take!(Uint(field.max()) => raw.flags),
                Field::Ret => take!(Int => raw.ret),
                Field::Start => take!(Uint(field.max()) => raw.start),
                Field::Argv => take!(Texts(&mut lists.argv)),
                Field::Uid => take!(Uint(field.max()) => raw.uid),
                Field::Gid => take!(Uint(field.max()) => raw.gid),
                Field::ArgvTruncated => take!(Bool => raw.argv_truncated),
                Field::Interpreter => take!(Text => raw.interpreter),
                Field::Cwd => take!(Text => raw.cwd),
                Field::Fileless => take!(Bool => raw.fileless),
                Field::UpperLayer => take!(Bool => raw.upper_layer),
                Field::Family => take!(Text => raw.family),
                Field::Addr => take!(Text => raw.addr),
                Field::Port => take!(Uint(field.max()) => raw.port),
                Field::Proto => take!(Text => raw.proto),
                Field::Name => take!(Text => raw.name),
                Field::Qtype => take!(UintOr(field.max()) => raw.qtype),
                Field::Nrs => take!(Uints(&mut lists.nrs)),
                Field::Arch => take!(Text => raw.arch),
                Field::Cap => take!(UintOr(field.max()) => raw.cap),
                Field::Used => take!(Bool => raw.used),
                Field::Cause => take!(Text => raw.cause),
                Field::N => take!(Uint(field.max()) => raw.n),
                Field::Image => take!(Text => raw.image),
                Field::Tag => take!(Text => raw.tag),
                Field::Labels => take!(TextMap),
                Field::PathB64 => take!(Text => raw.path_b64),
                Field::ArgvB64 => take!(Texts64(&mut lists.argv)),
                Field::CwdB64 => take!(Text => raw.cwd_b64),
                Field::InterpreterB64 => take!(Text => raw.interpreter_b64),
                Field::AddrB64 => take!(Text => raw.addr_b64),
                Field::Format => take!(Text => raw.format),
                Field::Version => take!(Uint(field.max()) => raw.version),
                Field::Recording => take!(Text => raw.recording),
                Field::Completeness => take!(Text => raw.completeness),
                // Known, so that a wrong one is told of, and not used yet.
                Field::Mode | Field::Inode | Field::Rcode | Field::CgroupId => {
                    take!(Uint(field.max()))
                }
                Field::Code | Field::Signal => take!(Int),
                // Which of the two is meant, the type says, and that may yet come: the value is right for one of them.
                Field::Runtime | Field::ByRuntime => match map.next_value_seed(Seed(BoolOrText))? {
                    Got::Value(Some(told)) => {
                        raw.by_runtime = told;
                        raw.present.insert(Field::ByRuntime);
                        raw.wrong.insert(Field::Runtime);
                    }
                    Got::Value(None) => {
                        raw.present.insert(Field::Runtime);
                        raw.wrong.insert(Field::ByRuntime);
                    }
                    Got::Null => {}
                    Got::Wrong | Got::Invalid => {
                        raw.wrong.insert(Field::Runtime);
                        raw.wrong.insert(Field::ByRuntime);
                    }
                },
                Field::Server | Field::Pod | Field::Namespace | Field::Source | Field::Clock => {
                    take!(Text)
                }
            }
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
