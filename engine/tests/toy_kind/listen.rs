//! Sockets that were made to listen.

use super::entry::{Edge, Entry, InvalidField, Leaf, Pattern, Seen, EntryView, FindingText, Value};
use super::record::{Buffers, Field, Raw, Reject, Shape, plain};
use super::{Behaviour, Behaviours, Bounded, By, Class, Details, Kind, BehaviourKey, Report, Scope, Texts};
use crate::ledger::Fate;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

/// The longest queue that was asked for.
const BACKLOG: Class = Class::largest(0);

/// A socket was made to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen<B> {
    /// What the socket is called. UTF-8.
    pub name: B,
    /// How many connections may wait.
    pub backlog: u32,
}

impl<B> Listen<B> {
    /// A `listen(2)` with this backlog.
    pub const fn new(name: B, backlog: u32) -> Self {
        Self { name, backlog }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Listen<C> {
        Listen { name: f(self.name), backlog: self.backlog }
    }
}

impl<'s> Report<'s> for Listen<&'s [u8]> {
    const SHAPE: Shape = Shape::new(&[Field::Name], &[Field::Backlog]);

    fn read(raw: &'s Raw<'_>, _: &'s mut Buffers) -> Result<Self, Reject> {
        Ok(Self::new(plain(Field::Name, &raw.name)?, raw.backlog as u32))
    }

    fn type_name(&self) -> &'static str {
        "listen"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        super::record::write_text(map, Field::Name, self.name)?;
        map.serialize_entry("backlog", &self.backlog)
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        None
    }

    fn failure(&self) -> Option<i64> {
        None
    }

    fn behaviours<'t>(&self, _: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        texts.first.clear();
        crate::path::escape(self.name, &mut texts.first);
        Ok(Behaviours::One(listening(&texts.first, self.backlog)))
    }
}

fn listening(name: &str, backlog: u32) -> Behaviour<'_> {
    Behaviour {
        kind: Kind::Listen,
        key: BehaviourKey::Name(Scope::Group(Kind::Listen, ""), name),
        details: Details::number(BACKLOG.detail(backlog)),
    }
}

/// A listening socket in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenDoc {
    /// What it is called.
    pub name: String,
    /// The longest queue.
    pub backlog: u32,
    /// When.
    pub seen: Seen,
}

impl Entry for ListenDoc {
    const KIND: Kind = Kind::Listen;
    const NAME: &'static str = "listen";
    const COUNTED: [&'static str; 2] = ["listening socket", "listening sockets"];
    const CLASSES: &'static [&'static str] = &["listen"];
    const LABELS: &'static [&'static str] = &["listens"];
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
        None
    }

    fn order(leaf: &impl Leaf) -> String {
        leaf.text()
    }

    fn of(leaf: &impl Leaf) -> Self {
        let backlog = leaf.numbers(BACKLOG).last().copied().unwrap_or_default();
        Self { name: leaf.text(), backlog, seen: leaf.seen() }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        Ok(listening(&self.name, self.backlog))
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "listen"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Name(_, name) = what.key else { return FindingText::default() };
        let backlog = what.details.numbers.of(BACKLOG).next();
        let details = backlog.map(|backlog| ("backlog", Value::Number(backlog.into())));
        FindingText { subject: name.to_owned(), details: details.into_iter().collect() }
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn gathered(same: &[&Self]) -> String {
        same.iter().map(|listen| listen.backlog).max().unwrap_or_default().to_string()
    }

    fn shown(&self) -> EntryView<'_> {
        let note = format!("backlog {}", self.backlog);
        EntryView { label: "listens", name: self.name.clone(), note, pattern: None, is_word: false }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
