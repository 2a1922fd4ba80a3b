//! Requests to a cloud's instance metadata service: who asked for what, never what was answered.

use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default,
};
use super::imds_request::without_secrets;
use super::record::{Buffers, Field, Raw, Reject, Shape, not_empty, plain, quoted, reject, write_bytes, write_text};
use super::{
    Behaviour, BehaviourKey, Behaviours, Bounded, By, Details, Kind, Report, Scope, Texts, bounded_path, normal_path,
};
use crate::ledger::{Fate, Rejected};
use crate::path::{escape, is_pattern};
use crate::text::Visible;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

/// The longest name of a provider that is told apart.
const PROVIDER_BYTES_MAX: usize = 64;

/// Between provider and token in the name of a group; no provider has it.
const SEPARATOR: char = ' ';

/// The metadata service was asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imds<B> {
    /// The path of the request; what follows a `?` is no part of it.
    pub path: B,
    /// Whose service it is, such as `aws`, where the source knows. UTF-8.
    pub provider: Option<B>,
    /// How the request proves that it may be made, where the source knows.
    pub token: Option<Token>,
}

/// How a request proves that it may be made. Never the proof itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Token {
    /// By nothing, or nothing but a fixed header.
    V1,
    /// By a token of the session.
    V2,
}

impl Token {
    const NAMES: [&str; 2] = ["v1", "v2"];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "v1" => Self::V1,
            "v2" => Self::V2,
            _ => return None,
        })
    }
}

impl<B> Imds<B> {
    /// A request for a path.
    pub const fn new(path: B, provider: Option<B>, token: Option<Token>) -> Self {
        Self { path, provider, token }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Imds<C> {
        let Self { path, provider, token } = self;
        Imds { path: f(path), provider: provider.map(f), token }
    }
}

impl<'s> Report<'s> for Imds<&'s [u8]> {
    const SHAPE: Shape = Shape::new(&[Field::Path], &[Field::PathB64, Field::Provider, Field::Method, Field::Token]);

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let path = without_secrets(not_empty(Field::Path, raw.path(&mut buffers.path)?)?);
        let provider = plain(Field::Provider, &raw.provider)?;
        if provider.len() > PROVIDER_BYTES_MAX || provider.iter().any(|b| b.is_ascii_whitespace()) {
            let detail = format!("found {}, expected a word such as `aws`", quoted(&raw.provider));
            return Err(reject(Rejected::InvalidValue, Field::Provider, detail));
        }
        let token = match raw.has(Field::Token) {
            false => None,
            true => Some(Token::from_name(&raw.token).ok_or_else(|| {
                let detail = format!("found {}, expected `v1` or `v2`", quoted(&raw.token));
                reject(Rejected::InvalidValue, Field::Token, detail)
            })?),
        };
        Ok(Self { path, provider: Some(provider).filter(|provider| !provider.is_empty()), token })
    }

    fn type_name(&self) -> &'static str {
        "imds"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_bytes(map, (Field::Path, Field::PathB64), without_secrets(self.path))?;
        if let Some(provider) = self.provider {
            write_text(map, Field::Provider, provider)?;
        }
        super::record::write_some(map, Field::Token, self.token.map(Token::name))
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        bounded_path("path", without_secrets(self.path), 0)
    }

    fn failure(&self) -> Option<i64> {
        None
    }

    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        let Texts { first, second } = texts;
        // The service has one directory, and no process of its own.
        normal_path(without_secrets(self.path), By { pid: by.pid, cwd: Some(b"/") }, first)?;
        second.clear();
        if let Some(provider) = self.provider.filter(|provider| provider.len() <= PROVIDER_BYTES_MAX) {
            escape(provider, second);
        }
        second.push(SEPARATOR);
        second.push_str(self.token.map_or("", Token::name));
        Ok(Behaviours::One(request(first, second)))
    }
}

fn request<'a>(path: &'a str, group: &'a str) -> Behaviour<'a> {
    Behaviour {
        kind: Kind::Imds,
        key: BehaviourKey::Name(Scope::Group(Kind::Imds, group), path),
        details: Details::none(),
    }
}

/// Provider and token of a group's name.
fn provider_and_token(group: &str) -> (Option<String>, Option<String>) {
    let (provider, token) = group.split_once(SEPARATOR).unwrap_or((group, ""));
    let reported = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    (reported(provider), reported(token))
}

/// A request to the metadata service in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImdsDoc {
    /// Whose service it is, where that is known.
    pub provider: Option<String>,
    /// `v1` or `v2`, where that is known.
    pub token: Option<String>,
    /// The path of the request, normalised.
    pub path: String,
    /// The path stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of paths it stands for; 0 where that is not told.
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

impl Entry for ImdsDoc {
    const KIND: Kind = Kind::Imds;
    const NAME: &'static str = "imds";
    const COUNTED: [&'static str; 2] = ["metadata request", "metadata requests"];
    const CLASSES: &'static [&'static str] = &["imds"];
    const LABELS: &'static [&'static str] = &["metadata"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = (Option<&'a str>, Option<&'a str>, &'a str);
    type Order = (Option<String>, Option<String>, String);

    fn id(&self) -> Self::Id<'_> {
        (self.provider.as_deref(), self.token.as_deref(), &self.path)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        let Self { pattern, distinct, exemplars, learned, .. } = self;
        Some(Pattern { pattern: *pattern, distinct: *distinct, exemplars, learned })
    }

    fn order(leaf: &impl Leaf) -> Self::Order {
        let (provider, token) = provider_and_token(leaf.group());
        (provider, token, leaf.text())
    }

    fn of(leaf: &impl Leaf) -> Self {
        let (provider, token, path) = Self::order(leaf);
        let Learned { distinct, exemplars, learned } = leaf.learned(&path);
        let pattern = is_pattern(&path);
        Self { provider, token, path, pattern, distinct, exemplars, learned, seen: leaf.seen() }
    }

    fn behaviour<'a>(&'a self, text: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        if let Some(token) = self.token.as_ref().filter(|token| Token::from_name(token).is_none()) {
            return Err(InvalidField::none_of("token", token, &Token::NAMES));
        }
        let provider = self.provider.as_deref().unwrap_or_default();
        if provider.len() > 4 * PROVIDER_BYTES_MAX || provider.contains(SEPARATOR) {
            return Err(InvalidField::new("provider", format!("\"{}\" is no word such as `aws`", Visible(provider))));
        }
        let token = self.token.as_deref().unwrap_or_default();
        text.clear();
        text.push_str(provider);
        text.push(SEPARATOR);
        text.push_str(token);
        Ok(request(&self.path, text))
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "imds"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Name(Scope::Group(_, group), path) = what.key else { return FindingText::default() };
        let (provider, token) = provider_and_token(group);
        let details = [("provider", provider), ("token", token)];
        let details = details.into_iter().filter_map(|(name, text)| Some((name, Value::Text(text?)))).collect();
        FindingText { subject: path.to_owned(), details }
    }

    fn subject(&self) -> String {
        let words = [self.provider.as_deref(), self.token.as_deref(), Some(self.path.as_str())];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn gathered(_: &[&Self]) -> String {
        String::new()
    }

    fn shown(&self) -> EntryView<'_> {
        let words = [self.provider.as_deref(), self.token.as_deref()];
        let note = super::entry::joined(words.into_iter().flatten());
        EntryView { label: "metadata", name: self.path.clone(), note, pattern: self.pattern(), is_word: false }
    }

    fn edge(&self) -> Option<Edge> {
        let label = self.token.clone().unwrap_or_default();
        Some(Edge { shape: "note", name: format!("metadata {}", self.provider.as_deref().unwrap_or("?")), label })
    }
}
