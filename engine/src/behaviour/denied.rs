//! What was tried and refused. It is learned apart from what was done: a program may be refused all day, and what it tries for
//! the first time is worth knowing.
//!
//! An attempt is known by what it would have been called and its subject, and keeps its error. It makes no program, and its
//! times are nobody else's. What fails because nothing is there, or is there already, is no attempt but a question.

use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default,
};
use super::{
    Address, Behaviour, BehaviourKey, CLASSES, Class, Detail, Details, Family, Kind, Numbers, Scope, SocketKey,
    SocketOp,
};
use crate::names::DENIALS;
use crate::path::is_pattern;
use serde::{Deserialize, Serialize};

/// How an attempt failed: the name that comes first has the largest number, which is what is kept.
const ERROR: Class = Class::largest(63);

/// An error by which an attempt was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial(usize);

impl Denial {
    /// What a call's result below 0 stands for; none if it says that something is not there, or is not so now.
    pub fn of(ret: i64) -> Option<Self> {
        DENIALS.iter().position(|(_, number)| ret == -number).map(Self)
    }

    fn named(name: &str) -> Option<Self> {
        DENIALS.iter().position(|(known, _)| name == *known).map(Self)
    }

    /// That of an attempt's details.
    pub fn among(numbers: &Numbers) -> Option<Self> {
        let number = numbers.of(ERROR).max()?;
        Some(Self(DENIALS.len().checked_sub(number as usize)?))
    }

    /// Any: for where it is not compared.
    pub const ANY: Self = Self(0);

    /// Whether a detail tells how an attempt failed.
    pub fn is_one(detail: Detail) -> bool {
        detail.class() == ERROR
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        DENIALS.get(self.0).map_or("", |(name, _)| name)
    }

    /// As it gathers on an attempt.
    pub fn detail(self) -> Detail {
        ERROR.detail((DENIALS.len() - self.0) as u32)
    }
}

impl<'a> Behaviour<'a> {
    /// The attempt at it, which failed. None of what cannot fail.
    pub(crate) fn denied(&self, error: Denial) -> Option<Self> {
        let key = match self.key {
            BehaviourKey::Name(Scope::Sockets(key), path) => BehaviourKey::Name(Scope::Sockets(key.denied()), path),
            BehaviourKey::Address(key, address) => BehaviourKey::Address(key.denied(), address),
            BehaviourKey::Name(Scope::Files | Scope::Dns | Scope::Group(..), name) => {
                BehaviourKey::Name(Scope::Group(Kind::Denied, self.class(false)), name)
            }
            BehaviourKey::Number(..) => return None,
        };
        Some(Self { kind: Kind::Denied, key, details: Details::number(error.detail()) })
    }
}

/// An attempt in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeniedDoc {
    /// What a finding of it would be called, had it been done.
    pub kind: String,
    /// Path, mount point, or `address:port`.
    pub subject: String,
    /// The error's name (`EACCES`, …); of several the first by name.
    pub error: String,
    /// The subject stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of names it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Vec<String>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Vec<u32>,
    /// First and last time, by tag.
    pub seen: Seen,
}

/// An address as it is the subject of an attempt.
fn at_port(key: SocketKey, address: Address) -> String {
    match key.family {
        Family::Inet6 => format!("[{address}]:{}", key.port),
        Family::Inet | Family::Unix => format!("{address}:{}", key.port),
    }
}

/// The attempt at a socket of this subject.
fn socket(op: SocketOp, subject: &str) -> BehaviourKey<&str> {
    let address = subject.rsplit_once(':').and_then(|(address, port)| {
        let within = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let family = if within.is_some() { Family::Inet6 } else { Family::Inet };
        let (address, port) = (within.unwrap_or(address).parse::<Address>().ok()?, port.parse().ok()?);
        (address == Address::Any || address.is_ipv6() == (family == Family::Inet6)).then_some((family, address, port))
    });
    match address {
        Some((family, address, port)) => {
            BehaviourKey::Address(SocketKey::new(op, family, None, port).denied(), address)
        }
        None => BehaviourKey::Name(Scope::Sockets(SocketKey::new(op, Family::Unix, None, 0).denied()), subject),
    }
}

impl Entry for DeniedDoc {
    const KIND: Kind = Kind::Denied;
    const NAME: &'static str = "denied";
    const COUNTED: [&'static str; 2] = ["denied attempt", "denied attempts"];
    const CLASSES: &'static [&'static str] = &[];
    const LABELS: &'static [&'static str] = &["tries"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;
    const OPTIONAL: bool = true;

    type Id<'a> = (&'a str, &'a str);
    type Order = (String, String);

    fn id(&self) -> (&str, &str) {
        (&self.kind, &self.subject)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        let Self { pattern, distinct, exemplars, learned, .. } = self;
        Some(Pattern { pattern: *pattern, distinct: *distinct, exemplars, learned })
    }

    fn order(leaf: &impl Leaf) -> (String, String) {
        match (leaf.address(), leaf.group()) {
            (Some(address), _) => (leaf.socket().op.name().to_owned(), at_port(leaf.socket(), address)),
            (None, "") => (leaf.socket().op.name().to_owned(), leaf.text()),
            (None, kind) => (kind.to_owned(), leaf.text()),
        }
    }

    fn of(leaf: &impl Leaf) -> Self {
        let (kind, subject) = Self::order(leaf);
        let error = Denial::among(&leaf.numbers(ERROR).into_iter().map(|number| ERROR.detail(number)).collect());
        let error = error.map_or_else(String::new, |error| error.name().to_owned());
        let seen = leaf.seen();
        if let Some(address) = leaf.address() {
            let pattern = !matches!(address, Address::Host(_));
            return Self { kind, subject, error, pattern, seen, ..Self::default() };
        }
        let Learned { distinct, exemplars, learned } = leaf.learned(&subject);
        Self { kind, pattern: is_pattern(&subject), subject, error, distinct, exemplars, learned, seen }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let Self { kind, subject, error, .. } = self;
        let error = Denial::named(error)
            .ok_or_else(|| InvalidField::none_of("error", error, &DENIALS.map(|(name, _)| name)))?;
        let key = match SocketOp::from_name(kind) {
            Some(op) => socket(op, subject),
            None if CLASSES.contains(&kind.as_str()) => {
                BehaviourKey::Name(Scope::Group(Kind::Denied, kind.as_str()), subject)
            }
            None => return Err(InvalidField::none_of("kind", kind, &CLASSES)),
        };
        Ok(Behaviour { kind: Kind::Denied, key, details: Details::number(error.detail()) })
    }

    fn class(what: &Behaviour<'_>, _: bool) -> &'static str {
        match what.key {
            BehaviourKey::Address(key, _) | BehaviourKey::Name(Scope::Sockets(key), _) => key.op.name(),
            BehaviourKey::Name(Scope::Group(_, kind), _) => {
                CLASSES.iter().find(|class| **class == kind).unwrap_or(&"open")
            }
            BehaviourKey::Name(..) | BehaviourKey::Number(..) => "open",
        }
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let subject = match what.key {
            BehaviourKey::Address(key, address) => at_port(key, address),
            BehaviourKey::Name(_, name) => name.to_owned(),
            BehaviourKey::Number(..) => return FindingText::default(),
        };
        let error = Denial::among(&what.details.numbers);
        FindingText {
            subject,
            details: error.map(|e| ("error", Value::Text(e.name().to_owned()))).into_iter().collect(),
        }
    }

    fn subject(&self) -> String {
        format!("{} {}", self.kind, self.subject)
    }

    fn gathered(same: &[&Self]) -> String {
        same.iter().map(|one| one.error.as_str()).min().unwrap_or_default().to_owned()
    }

    fn shown(&self) -> EntryView<'_> {
        let name = format!("{} {}", self.kind, self.subject);
        EntryView { label: "tries", name, note: self.error.clone(), pattern: self.pattern(), is_word: false }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
