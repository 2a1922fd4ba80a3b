//! Files: opened, mapped to be executed, and changed by name.

use super::entry::{
    Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value, is_default, joined,
};
use super::record::{Buffers, Field, Raw, Reject, Shape, not_empty, quoted, reject, write_bytes, write_some};
use super::{
    Behaviour, BehaviourKey, Behaviours, Bounded, By, Class, Details, Kind, Marks, Report, Scope, Texts, bounded_path,
    normal_path,
};
use crate::ledger::{Fate, Rejected};
use crate::names::open_flags;
use crate::path::below_run;
use crate::path::is_pattern;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A result that says no more than that it failed.
const NOT_TOLD: i64 = i64::MIN;

/// Opened for reading.
pub(crate) const READ: Marks = Marks::bit(0);
/// Opened for writing.
pub(crate) const WRITE: Marks = Marks::bit(1);
/// Mapped to be executed.
const MAPPED: Marks = Marks::bit(2);

/// What was changed about a name; see [`ChangeOp`].
const CHANGES: Class = Class::set(0);

/// A file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open<B> {
    /// The path as the process sees it.
    pub path: B,
    /// `O_*` flags.
    pub flags: u32,
    /// The call's result; below 0 the attempt failed.
    pub ret: i64,
    /// It was mapped to be executed: a library, or the ELF interpreter.
    pub map: bool,
}

/// A name came to be or went, or its file was changed without being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change<B> {
    /// The kind of change.
    pub op: ChangeOp,
    /// The name afterwards, or, of what was deleted, before; as the process sees it.
    pub path: B,
    /// What was renamed or linked, or what a symbolic link points to.
    pub from: Option<B>,
    /// The call's result; below 0 the attempt failed.
    pub ret: i64,
}

macro_rules! change_ops {
    ($($op:ident = $name:literal: $doc:literal),* $(,)?) => {
        /// What was done to a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum ChangeOp { $(#[doc = $doc] $op),* }

        impl ChangeOp {
            const ALL: &'static [Self] = &[$(Self::$op),*];
            const NAMES: &'static [&'static str] = &[$($name),*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$op => $name),* }
            }

            /// The one that is written so.
            #[doc(hidden)]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name { $($name => Self::$op,)* _ => return None })
            }
        }
    };
}
change_ops! {
    Chmod = "chmod": "`chmod(2)`.",
    Chown = "chown": "`chown(2)`.",
    Create = "create": "A file was made, by `open(2)` or `mknod(2)`.",
    Delete = "delete": "`unlink(2)`.",
    Link = "link": "`link(2)`: a further name of a file.",
    Mkdir = "mkdir": "`mkdir(2)`.",
    Rename = "rename": "`rename(2)`.",
    Rmdir = "rmdir": "`rmdir(2)`.",
    Symlink = "symlink": "`symlink(2)`.",
    Truncate = "truncate": "`truncate(2)`.",
}

impl ChangeOp {
    /// Whether what it was done from is another name of the file, which is changed as well.
    const fn changes_both(self) -> bool {
        match self {
            Self::Rename | Self::Link => true,
            Self::Chmod
            | Self::Chown
            | Self::Create
            | Self::Delete
            | Self::Mkdir
            | Self::Rmdir
            | Self::Symlink
            | Self::Truncate => false,
        }
    }
}

/// How a file was opened by these flags.
pub(crate) const fn access(flags: u32) -> Marks {
    match flags & 3 {
        0 => READ,
        1 => WRITE,
        _ => READ.or(WRITE),
    }
}

impl<B> Open<B> {
    /// An `open(2)` with these `O_*` flags, and its result.
    pub const fn new(path: B, flags: u32, ret: i64) -> Self {
        Self { path, flags, ret, map: false }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Open<C> {
        let Self { path, flags, ret, map } = self;
        Open { path: f(path), flags, ret, map }
    }

    /// Whether its file is the one of its path, and not one without a name in that directory (`O_TMPFILE`).
    pub(crate) fn has_name(&self) -> bool {
        self.flags & open_flags::TMPFILE == 0
    }

    /// What an open that succeeded leaves on its file.
    pub(crate) fn marks(&self) -> Marks {
        access(self.flags).or(MAPPED.only_if(self.map))
    }
}

impl<'s> Report<'s> for Open<&'s [u8]> {
    const SHAPE: Shape =
        Shape::new(&[Field::Path], &[Field::PathB64, Field::Flags, Field::Mode, Field::Map, Field::Ret]);

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let path = raw.path(&mut buffers.path)?;
        // Opening nothing fails, and may be tried all the same.
        let path = if raw.ret < 0 { path } else { not_empty(Field::Path, path)? };
        Ok(Self { path, flags: raw.flags as u32, ret: raw.ret, map: raw.map })
    }

    fn type_name(&self) -> &'static str {
        "open"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_bytes(map, (Field::Path, Field::PathB64), self.path)?;
        map.serialize_entry("flags", &self.flags)?;
        write_some(map, Field::Map, self.map.then_some(true))?;
        map.serialize_entry("ret", &self.ret)
    }

    fn bounded(&self) -> Option<Bounded<'s>> {
        bounded_path("path", self.path, self.ret)
    }

    fn failure(&self) -> Option<i64> {
        // Traces that do not tell how an open failed say -1, and a real EPERM is rare.
        Some(self.ret).filter(|ret| *ret < 0).map(|ret| if ret == -1 { NOT_TOLD } else { ret })
    }

    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't,
    {
        normal_path(self.path, by, &mut texts.first)?;
        if !self.has_name() && !texts.first.ends_with("/#*") {
            texts.first.push_str(if texts.first == "/" { "#*" } else { "/#*" });
        }
        Ok(Behaviours::One(file(&texts.first, Details::marks(self.marks()))))
    }
}

impl<B> Change<B> {
    /// A change of a name, and the result of the call.
    pub const fn new(op: ChangeOp, path: B, from: Option<B>, ret: i64) -> Self {
        Self { op, path, from, ret }
    }

    pub(crate) fn map<C>(self, mut f: impl FnMut(B) -> C) -> Change<C> {
        let Self { op, path, from, ret } = self;
        Change { op, path: f(path), from: from.map(f), ret }
    }
}

impl<'s> Report<'s> for Change<&'s [u8]> {
    const SHAPE: Shape =
        Shape::new(&[Field::Path, Field::Op], &[Field::PathB64, Field::From, Field::FromB64, Field::Mode, Field::Ret]);

    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject> {
        let op = ChangeOp::from_name(&raw.op).ok_or_else(|| {
            let detail = format!("found {}, expected one of {}", quoted(&raw.op), ChangeOp::NAMES.join(", "));
            reject(Rejected::InvalidValue, Field::Op, detail)
        })?;
        let path = raw.path(&mut buffers.path)?;
        let path = if raw.ret < 0 { path } else { not_empty(Field::Path, path)? };
        let from = raw.bytes((Field::From, &raw.from), (Field::FromB64, &raw.from_b64), &mut buffers.cwd)?;
        Ok(Self { op, path, from: Some(from).filter(|from| !from.is_empty()), ret: raw.ret })
    }

    fn type_name(&self) -> &'static str {
        "change"
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        write_bytes(map, (Field::Path, Field::PathB64), self.path)?;
        map.serialize_entry("op", self.op.name())?;
        if let Some(from) = self.from {
            write_bytes(map, (Field::From, Field::FromB64), from)?;
        }
        map.serialize_entry("ret", &self.ret)
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
        let changed = || Details::number(CHANGES.detail(self.op as u32));
        // Where it came from may be anywhere; that is no reason not to tell where it is.
        let from = self.from.filter(|_| self.op.changes_both());
        match from.map(|from| normal_path(from, by, second)) {
            Some(Ok(())) => Ok(Behaviours::Both(file(first, changed()), second)),
            _ => Ok(Behaviours::One(file(first, changed()))),
        }
    }
}

fn file<'a>(path: &'a str, details: Details<&'a str>) -> Behaviour<'a> {
    Behaviour { kind: Kind::File, key: BehaviourKey::Name(Scope::Files, path), details }
}

/// A file in a profile. Most entries of one are files, so its lists take no room that they do not need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileDoc {
    /// The path of the file, normalised and escaped.
    pub path: String,
    /// `r`, `w` or `rw`; none if it was never opened.
    pub access: Option<Cow<'static, str>>,
    /// What was changed about its name, sorted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub changes: Box<[String]>,
    /// It was mapped to be executed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mapped: bool,
    /// The path stands for more than one.
    pub pattern: bool,
    /// Estimated number of paths it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Box<[String]>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Box<[u32]>,
    /// First and last time, by tag.
    pub seen: Seen,
}

/// As profiles write how a file was opened; none if it was not.
fn access_name(marks: Marks) -> Option<&'static str> {
    match (marks.has(READ), marks.has(WRITE)) {
        (true, true) => Some("rw"),
        (true, false) => Some("r"),
        (false, true) => Some("w"),
        (false, false) => None,
    }
}

fn change_names(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    let mut names: Vec<String> =
        numbers.filter_map(|number| ChangeOp::ALL.get(number as usize)).map(|op| op.name().to_owned()).collect();
    names.sort_unstable();
    names
}

impl Entry for FileDoc {
    const KIND: Kind = Kind::File;
    const NAME: &'static str = "file";
    const COUNTED: [&'static str; 2] = ["file", "files"];
    const CLASSES: &'static [&'static str] = &["change", "open"];
    const LABELS: &'static [&'static str] = &["reads", "writes", "updates", "changes"];
    const NONE_SEEN: Option<&'static str> = None;
    const SORTED_BY_PATH: bool = true;

    type Id<'a> = &'a str;
    type Order = String;

    fn id(&self) -> &str {
        &self.path
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
        let path = leaf.text();
        let Learned { distinct, exemplars, learned } = leaf.learned(&path);
        let marks = leaf.marks();
        Self {
            access: access_name(marks).map(Cow::Borrowed),
            changes: change_names(leaf.numbers(CHANGES).into_iter()).into(),
            mapped: marks.has(MAPPED),
            pattern: is_pattern(&path),
            path,
            distinct,
            exemplars: exemplars.into(),
            learned: learned.into(),
            seen: leaf.seen(),
        }
    }

    fn behaviour<'a>(&'a self, _: &'a mut String) -> Result<Behaviour<'a>, InvalidField> {
        let access = match self.access.as_deref() {
            None => Marks::default(),
            Some("r") => READ,
            Some("w") => WRITE,
            Some("rw") => READ.or(WRITE),
            Some(other) => return Err(InvalidField::none_of("access", other, &["r", "w", "rw"])),
        };
        let mut details = Details::marks(access.or(MAPPED.only_if(self.mapped)));
        for change in &self.changes {
            let op =
                ChangeOp::from_name(change).ok_or_else(|| InvalidField::none_of("changes", change, ChangeOp::NAMES))?;
            details.numbers.insert(CHANGES.detail(op as u32));
        }
        Ok(file(if self.pattern { &self.path } else { below_run(&self.path) }, details))
    }

    fn class(what: &Behaviour<'_>, _: bool) -> &'static str {
        if what.details.marks == Marks::default() { "change" } else { "open" }
    }

    fn finding(what: &Behaviour<'_>, class: &'static str) -> FindingText {
        let BehaviourKey::Name(_, path) = what.key else { return FindingText::default() };
        let details = if class == "change" {
            vec![("ops", Value::List(change_names(what.details.numbers.of(CHANGES))))]
        } else {
            let access = access_name(what.details.marks).map(|access| ("access", Value::Text(access.to_owned())));
            let mapped = what.details.marks.has(MAPPED).then_some(("mapped", Value::Flag(true)));
            access.into_iter().chain(mapped).collect()
        };
        FindingText { subject: path.to_owned(), details }
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn gathered(same: &[&Self]) -> String {
        let any = |letter| same.iter().any(|file| file.access.as_ref().is_some_and(|access| access.contains(letter)));
        let access: String = ['r', 'w'].into_iter().filter(|letter| any(*letter)).collect();
        let mut changes: Vec<&str> = same.iter().flat_map(|file| &file.changes).map(String::as_str).collect();
        changes.sort_unstable();
        changes.dedup();
        let mapped = same.iter().any(|file| file.mapped).then_some("mapped");
        let access = Some(access.as_str()).filter(|access| !access.is_empty());
        joined(access.into_iter().chain(changes).chain(mapped))
    }

    fn shown(&self) -> EntryView<'_> {
        let label = match self.access.as_deref() {
            Some("r") => "reads",
            Some("w") => "writes",
            Some(_) => "updates",
            None => "changes",
        };
        let mapped = self.mapped.then_some("mapped");
        EntryView {
            label,
            name: self.path.clone(),
            note: joined(self.changes.iter().map(String::as_str).chain(mapped)),
            pattern: self.pattern(),
            is_word: false,
        }
    }

    fn edge(&self) -> Option<Edge> {
        None
    }
}
