//! Capabilities that were checked.

use super::entry::{Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Pattern, Seen};
use super::record::{Buffers, Field, Raw, Reject, Shape, UintOrName, quoted, reject};
use super::{Behaviour, BehaviourKey, Behaviours, Bounded, By, Details, Kind, NumberKind, Report, Texts};
use crate::ledger::{Fate, Rejected};
use crate::names::{CAPABILITY_MAX, capability_name, capability_number};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

/// A capability was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// The capability's number.
    pub cap: u8,
    /// Whether the check succeeded, that is, the capability was used.
    pub used: bool,
}

impl Capability {
    /// A check for the capability of this number, and whether it succeeded.
    pub const fn new(cap: u8, used: bool) -> Self {
        Self { cap, used }
    }

    pub(crate) fn map<B, C>(self, _: impl FnMut(B) -> C) -> Self {
        self
    }
}

impl<'s> Report<'s> for Capability {
    const SHAPE: Shape = Shape::new(&[Field::Cap], &[Field::Used]);

    fn read(raw: &'s Raw<'_>, _: &'s mut Buffers) -> Result<Self, Reject> {
        let cap = match &raw.cap {
            UintOrName::Uint(n) => *n as u8,
            UintOrName::Name(name) => capability_number(name).ok_or_else(|| {
                let detail = format!(
                    "found {}, expected a capability such as `CAP_NET_RAW` or `CAP_{CAPABILITY_MAX}`",
                    quoted(name)
                );
                reject(Rejected::InvalidValue, Field::Cap, detail)
            })?,
        };
        Ok(Self { cap, used: raw.used || !raw.has(Field::Used) })
    }

    fn type_name(&self) -> &'static str {
        "capability"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("cap", &capability_name(self.cap))?;
        map.serialize_entry("used", &self.used)
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
        Ok(Behaviours::One(check(self.cap, self.used)))
    }
}

fn check<'a>(cap: u8, used: bool) -> Behaviour<'a> {
    let key = BehaviourKey::Number(NumberKind::Capability, u32::from(cap) * 2 + u32::from(used));
    Behaviour { kind: Kind::Capability, key, details: Details::none() }
}

/// A capability in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CapabilityDoc {
    /// The name of the capability (`CAP_…`).
    pub name: String,
    /// Whether the process had it.
    pub used: bool,
    /// First and last time, by tag.
    pub seen: Seen,
}

impl Entry for CapabilityDoc {
    const KIND: Kind = Kind::Capability;
    const NAME: &'static str = "capability";
    const COUNTED: [&'static str; 2] = ["capability", "capabilities"];
    const CLASSES: &'static [&'static str] = &["capability"];
    const LABELS: &'static [&'static str] = &["uses", "denied"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = (&'a str, bool);
    type Order = (String, bool);

    fn id(&self) -> (&str, bool) {
        (&self.name, self.used)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        None
    }

    fn order(leaf: &impl Leaf) -> (String, bool) {
        let number = leaf.number();
        (capability_name((number / 2) as u8).into_owned(), number % 2 == 1)
    }

    fn of(leaf: &impl Leaf) -> Self {
        let (name, used) = Self::order(leaf);
        Self { name, used, seen: leaf.seen() }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let cap = capability_number(&self.name).ok_or_else(|| {
            InvalidField::new("name", format!("unknown capability `{}`", crate::text::Visible(&self.name)))
        })?;
        Ok(check(cap, self.used))
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "capability"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Number(_, number) = what.key else { return FindingText::default() };
        FindingText { subject: capability_name((number / 2) as u8).into_owned(), details: Vec::new() }
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn gathered(same: &[&Self]) -> String {
        if same.iter().any(|cap| cap.used) { "used" } else { "denied" }.to_owned()
    }

    fn shown(&self) -> EntryView<'_> {
        let label = if self.used { "uses" } else { "denied" };
        EntryView { label, name: self.name.clone(), note: String::new(), pattern: None, is_word: true }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
