//! Names that were asked for in the domain name system.

use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default, joined,
};
use super::record::{Buffers, Field, Raw, Reject, Shape, UintOrName, plain, quoted, reject, write_text};
use super::{Behaviour, BehaviourKey, Behaviours, Bounded, By, Class, Details, Kind, Report, Scope, Texts};
use crate::ledger::{Fate, Rejected};
use crate::names::{qtype_name, qtype_number};
use crate::path::{DNS_NAME_BYTES_MAX, dns_name_into, is_pattern};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

/// Types of the questions.
const QTYPES: Class = Class::noted(0);

/// A DNS question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dns<B> {
    /// The name as asked; UTF-8, in any case, with or without the trailing dot.
    pub name: B,
    /// The question's type, as IANA numbers them.
    pub qtype: u16,
}

impl<B> Dns<B> {
    /// A question for a name.
    pub const fn new(name: B, qtype: u16) -> Self {
        Self { name, qtype }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Dns<C> {
        Dns { name: f(self.name), qtype: self.qtype }
    }
}

impl<'s> Report<'s> for Dns<&'s [u8]> {
    const SHAPE: Shape = Shape::new(&[Field::Name, Field::Qtype], &[Field::Server, Field::Rcode]);

    fn read(raw: &'s Raw<'_>, _: &'s mut Buffers) -> Result<Self, Reject> {
        let qtype = match &raw.qtype {
            UintOrName::Uint(n) => *n as u16,
            UintOrName::Name(name) => qtype_number(name).ok_or_else(|| {
                let detail = format!("found {}, expected a DNS type such as `AAAA` or `TYPE28`", quoted(name));
                reject(Rejected::InvalidValue, Field::Qtype, detail)
            })?,
        };
        Ok(Self { name: plain(Field::Name, &raw.name)?, qtype })
    }

    fn type_name(&self) -> &'static str {
        "dns"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_text(map, Field::Name, self.name)?;
        map.serialize_entry("qtype", &qtype_name(self.qtype))
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        let reason = Rejected::InvalidValue;
        Some(Bounded { field: "name", bytes: self.name, max: DNS_NAME_BYTES_MAX, reason })
    }

    fn failure(&self) -> Option<i64> {
        None
    }

    fn behaviours<'t>(&self, _: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        if !dns_name_into(self.name, &mut texts.first) {
            return Err(Fate::Rejected(Rejected::InvalidValue));
        }
        let details = Details::number(QTYPES.detail(self.qtype.into()));
        Ok(Behaviours::One(question(&texts.first, details)))
    }
}

fn question<'a>(name: &'a str, details: Details<&'a str>) -> Behaviour<'a> {
    Behaviour { kind: Kind::Dns, key: BehaviourKey::Name(Scope::Dns, name), details }
}

/// A name in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DnsDoc {
    /// The name, in lower case and without the trailing dot.
    pub name: String,
    /// Types of the questions, as mnemonics or numbers.
    pub qtypes: Vec<String>,
    /// The name stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of names it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Vec<String>,
    /// Labels that are learned patterns although no exemplar shows it, numbered from 0 at the right.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Vec<u32>,
    /// First and last time, by tag.
    pub seen: Seen,
}

impl Entry for DnsDoc {
    const KIND: Kind = Kind::Dns;
    const NAME: &'static str = "dns";
    const COUNTED: [&'static str; 2] = ["DNS name", "DNS names"];
    const CLASSES: &'static [&'static str] = &["dns"];
    const LABELS: &'static [&'static str] = &["asks for"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = &'a str;
    type Order = String;

    fn id(&self) -> &str {
        &self.name
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        let Self { pattern, distinct, exemplars, learned, .. } = self;
        Some(Pattern { pattern: *pattern, distinct: *distinct, exemplars, learned })
    }

    fn order(leaf: &impl Leaf) -> String {
        leaf.text()
    }

    fn of(leaf: &impl Leaf) -> Self {
        let name = leaf.text();
        let Learned { distinct, exemplars, learned } = leaf.learned(&name);
        let mut qtypes: Vec<String> =
            leaf.numbers(QTYPES).into_iter().map(|n| qtype_name(n as u16).into_owned()).collect();
        qtypes.sort_unstable();
        Self { pattern: is_pattern(&name), name, qtypes, distinct, exemplars, learned, seen: leaf.seen() }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let mut details = Details::none();
        for qtype in &self.qtypes {
            let number = qtype_number(qtype).ok_or_else(|| {
                InvalidField::new("qtypes", format!("unknown type `{}`", crate::text::Visible(qtype)))
            })?;
            details.numbers.insert(QTYPES.detail(number.into()));
        }
        Ok(question(&self.name, details))
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "dns"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Name(_, name) = what.key else { return FindingText::default() };
        let qtype = what.details.numbers.of(QTYPES).next();
        let details = qtype.map(|n| ("qtype", Value::Text(qtype_name(n as u16).into_owned())));
        FindingText { subject: name.to_owned(), details: details.into_iter().collect() }
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn gathered(same: &[&Self]) -> String {
        let mut qtypes: Vec<&String> = same.iter().flat_map(|dns| &dns.qtypes).collect();
        qtypes.sort_unstable();
        qtypes.dedup();
        joined(qtypes)
    }

    fn shown(&self) -> EntryView<'_> {
        EntryView {
            label: "asks for",
            name: self.name.clone(),
            note: joined(&self.qtypes),
            pattern: self.pattern(),
            is_word: false,
        }
    }

    fn edge(&self) -> Option<Edge> {
        Some(Edge { shape: "note", name: self.name.clone(), label: self.qtypes.join(" ") })
    }
}
