//! System calls that were made.

use super::entry::{Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Pattern, Seen};
use super::record::{Buffers, Field, Raw, Reject, Shape, quoted, reject};
use super::{Behaviour, BehaviourKey, Behaviours, Bounded, By, Details, Kind, NumberKind, Report, Texts};
use crate::ledger::{Fate, Rejected};
use crate::names::{Arch, syscall_name};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// System calls made since the last such event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Syscalls<B> {
    /// x86-64 numbers, each as four little-endian bytes; see [`syscall_numbers`].
    pub nrs: B,
}

/// The numbers of a [`Syscalls`].
pub fn syscall_numbers(nrs: &[u8]) -> impl Iterator<Item = u32> + '_ {
    nrs.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b))
}

impl<B> Syscalls<B> {
    /// Calls by their numbers, each as four little-endian bytes.
    pub const fn new(nrs: B) -> Self {
        Self { nrs }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Syscalls<C> {
        Syscalls { nrs: f(self.nrs) }
    }
}

impl<'s> Report<'s> for Syscalls<&'s [u8]> {
    const SHAPE: Shape = Shape::new(&[Field::Nrs], &[Field::Arch]);

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let nrs = &mut buffers.lists.nrs;
        if !raw.has(Field::Arch) {
            return Ok(Self { nrs });
        }
        let arch: Arch = raw
            .arch
            .parse()
            .map_err(|e| reject(Rejected::InvalidValue, Field::Arch, format!("found {}, {e}", quoted(&raw.arch))))?;
        for bytes in nrs.as_chunks_mut::<4>().0 {
            let nr = u32::from_le_bytes(*bytes);
            let translated = arch
                .to_x86_64(nr)
                .ok_or_else(|| reject(Rejected::InvalidValue, Field::Nrs, format!("{} has no call {nr}", raw.arch)))?;
            *bytes = translated.to_le_bytes();
        }
        Ok(Self { nrs })
    }

    fn type_name(&self) -> &'static str {
        "syscalls"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        struct Calls<'a>(&'a [u8]);

        impl Serialize for Calls<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_seq(syscall_numbers(self.0))
            }
        }
        map.serialize_entry("nrs", &Calls(self.nrs))
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        None
    }

    fn failure(&self) -> Option<i64> {
        None
    }

    fn behaviours<'t>(&self, _: By<'_>, _: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        Ok(Behaviours::Numbers(Kind::Syscall, NumberKind::Syscall, self.nrs))
    }
}

/// The name of a system call; of one that has none here, its number says all there is.
fn syscall_text(nr: u32) -> Cow<'static, str> {
    syscall_name(nr).map_or_else(|| format!("syscall_{nr}").into(), Cow::Borrowed)
}

/// A system call in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyscallDoc {
    /// The name of the system call, or `syscall_N`.
    pub name: Cow<'static, str>,
    /// The number of the system call on x86-64.
    pub nr: u32,
    /// First and last time, by tag.
    pub seen: Seen,
}

impl Entry for SyscallDoc {
    const KIND: Kind = Kind::Syscall;
    const NAME: &'static str = "syscall";
    const COUNTED: [&'static str; 2] = ["system call", "system calls"];
    const CLASSES: &'static [&'static str] = &["syscall"];
    const LABELS: &'static [&'static str] = &["calls"];
    // Every program makes some, if only to end.
    const NONE_SEEN: Option<&'static str> = Some("not seen: it ran before watching began, or they were lost");
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = (&'a str, u32);
    type Order = (Cow<'static, str>, u32);

    fn id(&self) -> (&str, u32) {
        (&self.name, self.nr)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        None
    }

    fn order(leaf: &impl Leaf) -> Self::Order {
        (syscall_text(leaf.number()), leaf.number())
    }

    fn of(leaf: &impl Leaf) -> Self {
        Self { name: syscall_text(leaf.number()), nr: leaf.number(), seen: leaf.seen() }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let key = BehaviourKey::Number(NumberKind::Syscall, self.nr);
        Ok(Behaviour { kind: Kind::Syscall, key, details: Details::none() })
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "syscall"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Number(_, nr) = what.key else { return FindingText::default() };
        FindingText { subject: syscall_text(nr).into_owned(), details: Vec::new() }
    }

    fn subject(&self) -> String {
        self.name.clone().into_owned()
    }

    fn gathered(_: &[&Self]) -> String {
        String::new()
    }

    fn shown(&self) -> EntryView<'_> {
        EntryView {
            label: "calls",
            name: self.name.clone().into_owned(),
            note: String::new(),
            pattern: None,
            is_word: true,
        }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
