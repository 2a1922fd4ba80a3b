//! What one profile has that another has not.
//!
//! Behaviours are the same when their identity is: processes by lineage, files by path, and so on as the activity
//! tree has it. Lists may be in any order and hold duplicates. Time and memory are linear in the profiles but for
//! sorting.
//!
//! Not here: how differences are shown (`export`), and drift of live events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

use super::doc::interpreter_name;
use super::doc::{CapabilityDoc, DnsDoc, FileDoc, ProcessDoc, ProfileDoc, SocketDoc, SyscallDoc};
use super::lineage::Lineage;
use super::seen::Seen;

/// One thing that the profiles do not share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Who has it.
    pub side: Side,
    /// What kind of behaviour it is.
    pub kind: Kind,
    /// The processes above it, outermost first: for a process its ancestors, else with the one that did it.
    pub lineage: Lineage,
    /// Path, name, address and so on. Not escaped for terminals.
    pub subject: String,
    /// Access, query types, user ids and so on; `old → new` for a change. Empty where there is nothing to add.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Part of a process that is a difference itself, and comes before.
    pub nested: bool,
}

/// Who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first profile only, or the old tag only.
    OnlyA,
    /// The second profile only, or the new tag only.
    OnlyB,
    /// Both, not in the same way.
    Changed,
}

/// A kind of behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A program ran.
    Process,
    /// A file was opened.
    File,
    /// A name was asked for.
    Dns,
    /// A socket was bound or connected.
    Socket,
    /// A system call was made.
    Syscall,
    /// A capability was checked.
    Capability,
}

impl Kind {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::File => "file",
            Self::Dns => "dns",
            Self::Socket => "socket",
            Self::Syscall => "syscall",
            Self::Capability => "capability",
        }
    }
}

/// What `a` has that `b` has not, and the other way round.
///
/// In order of lineage: a process, what it did, then the processes it started. A process that only one of them has
/// is followed by all its contents, which are marked [nested](Difference::nested).
pub fn diff(a: &ProfileDoc, b: &ProfileDoc) -> Vec<Difference> {
    compare([View { profile: a, tag: None }, View { profile: b, tag: None }])
}

/// What the tag `old` of `profile` did that `new` did not, and the other way round, in the order of [`diff`].
///
/// Access, query types, user ids and interpreters are not kept by tag and so never differ. A tag that the profile does not know
/// did nothing.
pub fn diff_tags(profile: &ProfileDoc, old: &str, new: &str) -> Vec<Difference> {
    compare([View { profile, tag: Some(old) }, View { profile, tag: Some(new) }])
}

/// A profile, or the part of it that one tag did.
#[derive(Clone, Copy)]
struct View<'a> {
    profile: &'a ProfileDoc,
    tag: Option<&'a str>,
}

impl View<'_> {
    fn shows(self, seen: &Seen) -> bool {
        self.tag.is_none_or(|tag| seen.contains_key(tag))
    }
}

/// The same behaviour in both views; more than one entry where a list has duplicates.
type Pair<'a, T> = [Vec<&'a T>; 2];

/// A kind of entry in a profile's lists.
trait Entry: Sized {
    /// What makes two entries of one list the same.
    type Id<'a>: Ord
    where
        Self: 'a;
    const KIND: Kind;

    fn id(&self) -> Self::Id<'_>;
    fn seen(&self) -> &Seen;
    fn subject(&self) -> String;
    /// What the entries, which are the same, have that is not identity.
    fn detail(same: &[&Self]) -> String;
}

fn compare(views: [View<'_>; 2]) -> Vec<Difference> {
    let mut out = Vec::new();
    let mut rest = Vec::new();
    push_pairs(&mut rest, views, &Lineage::default(), false, views.map(|view| view.profile.processes.iter()));
    while let Some((lineage, nested, pair)) = rest.pop() {
        let differs = report(&mut out, &lineage, nested, &pair);
        let nested = nested || differs.is_some_and(|side| side != Side::Changed);
        let Some(name) = pair.iter().flatten().next().map(|process| process.name()) else { continue };
        let inside = lineage.with(name);
        leaves(&mut out, views, &inside, nested, &pair, |process| &process.files);
        leaves(&mut out, views, &inside, nested, &pair, |process| &process.dns);
        leaves(&mut out, views, &inside, nested, &pair, |process| &process.sockets);
        leaves(&mut out, views, &inside, nested, &pair, |process| &process.syscalls);
        leaves(&mut out, views, &inside, nested, &pair, |process| &process.capabilities);
        let children = pair.map(|same| same.into_iter().flat_map(|process| &process.children));
        push_pairs(&mut rest, views, &inside, nested, children);
    }
    out
}

/// Puts the pairs of two groups of processes on the stack, the first on top.
fn push_pairs<'a>(
    rest: &mut Vec<(Lineage, bool, Pair<'a, ProcessDoc>)>,
    views: [View<'_>; 2],
    lineage: &Lineage,
    nested: bool,
    lists: [impl Iterator<Item = &'a ProcessDoc>; 2],
) {
    rest.extend(pair_up(views, lists).into_values().rev().map(|pair| (lineage.clone(), nested, pair)));
}

fn leaves<T: Entry>(
    out: &mut Vec<Difference>,
    views: [View<'_>; 2],
    lineage: &Lineage,
    nested: bool,
    pair: &Pair<'_, ProcessDoc>,
    list: fn(&ProcessDoc) -> &Vec<T>,
) {
    let lists = pair.each_ref().map(|same| same.iter().flat_map(|process| list(process)));
    for pair in pair_up(views, lists).values() {
        report(out, lineage, nested, pair);
    }
}

/// Brings together what is the same.
fn pair_up<'a, T: Entry>(
    views: [View<'_>; 2],
    lists: [impl Iterator<Item = &'a T>; 2],
) -> BTreeMap<T::Id<'a>, Pair<'a, T>> {
    let mut pairs: BTreeMap<_, Pair<'a, T>> = BTreeMap::new();
    let [a, b] = lists;
    let [view_a, view_b] = views;
    for entry in a.filter(|entry| view_a.shows(entry.seen())) {
        let [same, _] = pairs.entry(entry.id()).or_default();
        same.push(entry);
    }
    for entry in b.filter(|entry| view_b.shows(entry.seen())) {
        let [_, same] = pairs.entry(entry.id()).or_default();
        same.push(entry);
    }
    pairs
}

/// Adds the difference between the two of a pair, if there is one.
fn report<T: Entry>(out: &mut Vec<Difference>, lineage: &Lineage, nested: bool, pair: &Pair<'_, T>) -> Option<Side> {
    let entry = pair.iter().flatten().next()?;
    let (side, detail) = match pair.each_ref().map(Vec::as_slice) {
        [a, []] => (Side::OnlyA, T::detail(a)),
        [[], b] => (Side::OnlyB, T::detail(b)),
        [a, b] => {
            let (old, new) = (T::detail(a), T::detail(b));
            if old == new {
                return None;
            }
            let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            (Side::Changed, format!("{} → {}", or_none(old), or_none(new)))
        }
    };
    out.push(Difference { side, kind: T::KIND, lineage: lineage.clone(), subject: entry.subject(), detail, nested });
    Some(side)
}

impl Entry for ProcessDoc {
    type Id<'a> = (&'a str, Option<&'a str>, Option<&'a [String]>);
    const KIND: Kind = Kind::Process;

    fn id(&self) -> Self::Id<'_> {
        (&self.path, self.argv0.as_deref(), self.argv.as_deref())
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.name()
    }

    fn detail(same: &[&Self]) -> String {
        let uids: BTreeSet<u32> = same.iter().flat_map(|process| &process.uids).copied().collect();
        let uids = if uids.is_empty() { None } else { Some(format!("uid {}", join(uids, ", "))) };
        let interpreters = same.iter().flat_map(|process| &process.interpreters);
        let interpreters: BTreeSet<&str> = interpreters.map(|by| interpreter_name(by)).collect();
        let interpreters =
            if interpreters.is_empty() { None } else { Some(format!("run by {}", join(interpreters, ", "))) };
        let flag = |name: &str, is: fn(&Self) -> bool| same.iter().any(|process| is(process)).then(|| name.to_owned());
        let flags = [
            flag("exec chain", |process| process.exec_chain),
            flag("fileless", |process| process.fileless),
            flag("upper layer", |process| process.upper_layer),
        ];
        join(interpreters.into_iter().chain(uids).chain(flags.into_iter().flatten()), "; ")
    }
}

impl Entry for FileDoc {
    type Id<'a> = &'a str;
    const KIND: Kind = Kind::File;

    fn id(&self) -> Self::Id<'_> {
        &self.path
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn detail(same: &[&Self]) -> String {
        let any = |letter| same.iter().any(|file| file.access.contains(letter));
        ['r', 'w'].into_iter().filter(|letter| any(*letter)).collect()
    }
}

impl Entry for DnsDoc {
    type Id<'a> = &'a str;
    const KIND: Kind = Kind::Dns;

    fn id(&self) -> Self::Id<'_> {
        &self.name
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn detail(same: &[&Self]) -> String {
        let qtypes: BTreeSet<&String> = same.iter().flat_map(|dns| &dns.qtypes).collect();
        join(qtypes, ", ")
    }
}

impl Entry for SocketDoc {
    type Id<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, u16);
    const KIND: Kind = Kind::Socket;

    fn id(&self) -> Self::Id<'_> {
        (&self.op, &self.family, self.proto.as_deref(), &self.addr, self.port)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.name()
    }

    fn detail(_: &[&Self]) -> String {
        String::new()
    }
}

impl Entry for SyscallDoc {
    type Id<'a> = (&'a str, u32);
    const KIND: Kind = Kind::Syscall;

    fn id(&self) -> Self::Id<'_> {
        (&self.name, self.nr)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn detail(_: &[&Self]) -> String {
        String::new()
    }
}

impl Entry for CapabilityDoc {
    type Id<'a> = (&'a str, bool);
    const KIND: Kind = Kind::Capability;

    fn id(&self) -> Self::Id<'_> {
        (&self.name, self.used)
    }

    fn seen(&self) -> &Seen {
        &self.seen
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn detail(same: &[&Self]) -> String {
        if same.iter().any(|cap| cap.used) { "used" } else { "denied" }.to_owned()
    }
}

fn join<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let mut out = String::new();
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(&item.to_string());
    }
    out
}
