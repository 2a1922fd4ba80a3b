//! File systems that were mounted.

use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default, joined,
};
use super::record::{
    Buffers, Field, Raw, Reject, Shape, not_empty, plain, reject, write_bytes, write_some, write_text,
};
use super::{
    Behaviour, BehaviourKey, Behaviours, Bounded, By, Class, Details, Kind, Report, Scope, Texts, bounded_path,
    normal_path,
};
use crate::ledger::{Fate, Rejected};
use crate::names::{mount_flag_bit, mount_flag_name};
use crate::path::{escape, is_pattern};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

/// Flags, each by its bit.
const FLAGS: Class = Class::noted(0);

/// The type of a mount that has none: a bind mount, or a change of flags.
const NO_TYPE: &str = "none";

/// The longest name of a type that is told apart; the kernel's are far shorter.
const TYPE_BYTES_MAX: usize = 64;

/// A file system was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount<B> {
    /// Where, as the process sees it.
    pub path: B,
    /// The type of file system; empty where there is none, as of a bind mount. UTF-8.
    pub fstype: B,
    /// What was mounted, where the source tells.
    pub source: Option<B>,
    /// `MS_*` flags.
    pub flags: u32,
    /// The call's result; below 0 the attempt failed.
    pub ret: i64,
}

impl<B> Mount<B> {
    /// A `mount(2)` with these `MS_*` flags, and its result.
    pub const fn new(path: B, fstype: B, source: Option<B>, flags: u32, ret: i64) -> Self {
        Self { path, fstype, source, flags, ret }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Mount<C> {
        let Self { path, fstype, source, flags, ret } = self;
        Mount { path: f(path), fstype: f(fstype), source: source.map(f), flags, ret }
    }
}

impl<'s> Report<'s> for Mount<&'s [u8]> {
    const SHAPE: Shape = Shape::new(
        &[Field::Path, Field::Fstype],
        &[Field::PathB64, Field::Source, Field::SourceB64, Field::Flags, Field::Ret],
    );

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let path = raw.path(&mut buffers.path)?;
        let path = if raw.ret < 0 { path } else { not_empty(Field::Path, path)? };
        let fstype = plain(Field::Fstype, &raw.fstype)?;
        if fstype.len() > TYPE_BYTES_MAX {
            let detail = format!("found {} bytes, expected {TYPE_BYTES_MAX} at most", fstype.len());
            return Err(reject(Rejected::TooLong, Field::Fstype, detail));
        }
        let source = raw.bytes((Field::Source, &raw.source), (Field::SourceB64, &raw.source_b64), &mut buffers.cwd)?;
        let reported = raw.has(Field::Source) || raw.has(Field::SourceB64);
        Ok(Self { path, fstype, source: reported.then_some(source), flags: raw.flags as u32, ret: raw.ret })
    }

    fn type_name(&self) -> &'static str {
        "mount"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_bytes(map, (Field::Path, Field::PathB64), self.path)?;
        write_text(map, Field::Fstype, self.fstype)?;
        if let Some(source) = self.source {
            write_bytes(map, (Field::Source, Field::SourceB64), source)?;
        }
        map.serialize_entry("flags", &self.flags)?;
        write_some(map, Field::Ret, Some(self.ret))
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        bounded_path("path", self.path, self.ret)
    }

    fn failure(&self) -> Option<i64> {
        Some(self.ret).filter(|ret| *ret < 0)
    }

    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        let Texts { first, second } = texts;
        normal_path(self.path, by, first)?;
        // The second text is the type and, behind it, the source.
        second.clear();
        if self.fstype.len() > TYPE_BYTES_MAX {
            return Err(Fate::Rejected(Rejected::TooLong));
        }
        escape(if self.fstype.is_empty() { NO_TYPE.as_bytes() } else { self.fstype }, second);
        let type_end = second.len();
        if let Some(source) = self.source.filter(|source| !source.is_empty()) {
            // A source that is a path is one as the process sees it; any other is what it is called.
            if !source.starts_with(b"/") || normal_source(source, by, second).is_err() {
                second.truncate(type_end);
                escape(source.get(..super::PATH_BYTES_MAX).unwrap_or(source), second);
            }
        }
        let (fstype, source) = second.split_at_checked(type_end).unwrap_or((second, ""));
        let bits = (0..u32::BITS).filter(|bit| self.flags >> bit & 1 == 1);
        let details = Details {
            numbers: bits.map(|bit| FLAGS.detail(bit)).collect(),
            texts: Some(source).filter(|source| !source.is_empty()).into_iter().collect(),
            ..Details::none()
        };
        Ok(Behaviours::One(mount(first, fstype, details)))
    }
}

fn normal_source(source: &[u8], by: By<'_>, out: &mut String) -> Result<(), Fate> {
    let mut path = String::new();
    normal_path(source, by, &mut path)?;
    out.push_str(&path);
    Ok(())
}

fn mount<'a>(path: &'a str, fstype: &'a str, details: Details<&'a str>) -> Behaviour<'a> {
    Behaviour { kind: Kind::Mount, key: BehaviourKey::Name(Scope::Group(Kind::Mount, fstype), path), details }
}

fn flag_names(bits: impl Iterator<Item = u32>) -> Vec<String> {
    let mut names: Vec<String> = bits.map(|bit| mount_flag_name(bit).into_owned()).collect();
    names.sort_unstable();
    names
}

/// A mount in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MountDoc {
    /// The directory that was mounted on, normalised.
    pub path: String,
    /// The type of file system, `none` where there is none.
    pub fstype: String,
    /// Flags (`MS_…`) that it was ever mounted with.
    pub flags: Vec<String>,
    /// The devices or directories that were mounted there, sorted.
    pub sources: Vec<String>,
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

impl Entry for MountDoc {
    const KIND: Kind = Kind::Mount;
    const NAME: &'static str = "mount";
    const COUNTED: [&'static str; 2] = ["mount", "mounts"];
    const CLASSES: &'static [&'static str] = &["mount"];
    const LABELS: &'static [&'static str] = &["mounts"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = false;

    type Id<'a> = (&'a str, &'a str);
    type Order = (String, String);

    fn id(&self) -> (&str, &str) {
        (&self.path, &self.fstype)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn pattern(&self) -> Option<Pattern<'_>> {
        let Self { pattern, distinct, exemplars, learned, .. } = self;
        Some(Pattern { pattern: *pattern, distinct: *distinct, exemplars, learned })
    }

    fn order(leaf: &impl Leaf) -> (String, String) {
        (leaf.text(), leaf.group().to_owned())
    }

    fn of(leaf: &impl Leaf) -> Self {
        let (path, fstype) = Self::order(leaf);
        let Learned { distinct, exemplars, learned } = leaf.learned(&path);
        Self {
            pattern: is_pattern(&path),
            path,
            fstype,
            flags: flag_names(leaf.numbers(FLAGS).into_iter()),
            sources: leaf.texts(),
            distinct,
            exemplars,
            learned,
            seen: leaf.seen(),
        }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let mut details = Details { texts: self.sources.iter().map(String::as_str).collect(), ..Details::none() };
        for flag in &self.flags {
            let bit = mount_flag_bit(flag)
                .ok_or_else(|| InvalidField::new("flags", format!("unknown flag `{}`", crate::text::Visible(flag))))?;
            details.numbers.insert(FLAGS.detail(bit));
        }
        if self.fstype.is_empty() {
            return Err(InvalidField::new("fstype", "it is empty; a mount without a type has `none`"));
        }
        Ok(mount(&self.path, &self.fstype, details))
    }

    fn class(_: &Behaviour<'_>, _: bool) -> &'static str {
        "mount"
    }

    fn finding(what: &Behaviour<'_>, _: &'static str) -> FindingText {
        let BehaviourKey::Name(Scope::Group(_, fstype), path) = what.key else { return FindingText::default() };
        let mut details = vec![("fstype", Value::Text(fstype.to_owned()))];
        let flags = flag_names(what.details.numbers.of(FLAGS));
        if !flags.is_empty() {
            details.push(("flags", Value::List(flags)));
        }
        details.extend(what.details.texts.first().map(|source| ("source", Value::Text((*source).to_owned()))));
        FindingText { subject: path.to_owned(), details }
    }

    fn subject(&self) -> String {
        format!("{} {}", self.path, self.fstype)
    }

    fn gathered(same: &[&Self]) -> String {
        let all = |of: fn(&Self) -> &Vec<String>| {
            let mut all: Vec<&String> = same.iter().flat_map(|mount| of(mount)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        joined(all(|mount| &mount.flags).into_iter().chain(all(|mount| &mount.sources)))
    }

    fn shown(&self) -> EntryView<'_> {
        let of =
            Some(joined(&self.sources)).filter(|sources| !sources.is_empty()).map(|sources| format!("of {sources}"));
        EntryView {
            label: "mounts",
            name: self.path.clone(),
            note: joined(std::iter::once(self.fstype.clone()).chain(of).chain(self.flags.iter().cloned())),
            pattern: self.pattern(),
            is_word: false,
        }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
