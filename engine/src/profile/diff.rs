//! What one profile has that another has not.
//!
//! Behaviours are the same when their identity is: processes by lineage, files by path, and so on as the activity
//! tree has it. Lists may be in any order and hold duplicates. Time and memory are linear in the profiles but for
//! sorting.
//!
//! Not here: how differences are shown (`export`), and drift of live events.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::doc::{ProcessDoc, ProfileDoc, VisitPairs, interpreter_name, visit_pairs};
use super::lineage::Lineage;
use crate::behaviour::{Entry, Seen, joined};

/// One thing that the profiles do not share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The side that has it.
    pub side: Side,
    /// What kind of thing it is: `process`, or the [name](Entry::NAME) of a kind of behaviour.
    pub kind: &'static str,
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

/// Which of two profiles, or tags, has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Side {
    /// The first profile only, or the old tag only.
    OnlyA,
    /// The second profile only, or the new tag only.
    OnlyB,
    /// Both, not in the same way.
    Changed,
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
/// What gathers on a behaviour (access, query types, user ids and the like) is not kept by tag and so never differs. A tag
/// that the profile does not know did nothing.
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
        self.tag.is_none_or(|tag| seen.get(tag).is_some())
    }
}

/// The same thing in both views; more than one entry where a list has duplicates.
type Pair<'a, T> = [Vec<&'a T>; 2];

/// Entries of both views by what makes them the same.
type Pairs<'a, I, T> = BTreeMap<I, Pair<'a, T>>;

fn compare(views: [View<'_>; 2]) -> Vec<Difference> {
    let children = views.map(|view| view.profile.children());
    let processes = |side: usize, parents: &[usize]| -> Vec<usize> {
        let lists = children.get(side);
        parents.iter().filter_map(|parent| lists?.get(*parent)).flatten().copied().collect()
    };
    let mut out = Vec::new();
    let roots = [processes(0, &[0]), processes(1, &[0])];
    let mut rest: Vec<_> =
        pair_up_processes(views, roots).into_iter().map(|same| (Lineage::default(), false, same)).collect();
    while let Some((lineage, nested, same)) = rest.pop() {
        let [a, b] = &same;
        let pair = [in_view(views[0], a), in_view(views[1], b)];
        let differs = report_process(&mut out, &lineage, nested, &pair);
        let nested = nested || differs.is_some_and(|side| side != Side::Changed);
        let Some(name) = pair.iter().flatten().next().map(|process| process.name()) else { continue };
        let inside = lineage.with(name);
        visit_pairs(pair.each_ref().map(Vec::as_slice), &mut Leaves { out: &mut out, views, lineage: &inside, nested });
        let below = |side: usize, same: &[usize]| {
            let parents: Vec<usize> = same.iter().map(|index| index + 1).collect();
            processes(side, &parents)
        };
        let next = pair_up_processes(views, [below(0, a), below(1, b)]);
        rest.extend(next.into_iter().map(|same| (inside.clone(), nested, same)));
    }
    out
}

fn in_view<'a>(view: View<'a>, indices: &[usize]) -> Vec<&'a ProcessDoc> {
    indices.iter().filter_map(|index| view.profile.processes.get(*index)).collect()
}

/// Brings together the processes that are the same, by their indices, the last in order first.
fn pair_up_processes(views: [View<'_>; 2], lists: [Vec<usize>; 2]) -> Vec<[Vec<usize>; 2]> {
    type Id<'a> = (&'a str, Option<&'a str>, Option<&'a [String]>);
    let mut pairs: BTreeMap<Id<'_>, [Vec<usize>; 2]> = BTreeMap::new();
    for (side, (view, list)) in views.iter().zip(lists).enumerate() {
        for index in list {
            let Some(process) = view.profile.processes.get(index).filter(|process| view.shows(&process.seen)) else {
                continue;
            };
            let id = (&*process.path, process.argv0.as_deref(), process.argv.as_deref());
            if let Some(same) = pairs.entry(id).or_default().get_mut(side) {
                same.push(index);
            }
        }
    }
    pairs.into_values().rev().collect()
}

fn report_process(
    out: &mut Vec<Difference>,
    lineage: &Lineage,
    nested: bool,
    pair: &Pair<'_, ProcessDoc>,
) -> Option<Side> {
    let subject = pair.iter().flatten().next()?.name();
    report(out, ("process", subject), lineage, nested, pair, process_details)
}

fn process_details(same: &[&ProcessDoc]) -> String {
    let uids: BTreeSet<u32> = same.iter().flat_map(|process| &process.uids).copied().collect();
    let uids: Vec<String> = uids.iter().map(u32::to_string).collect();
    let interpreters = same.iter().flat_map(|process| &process.interpreters);
    let interpreters: BTreeSet<&str> = interpreters.map(|by| interpreter_name(by)).collect();
    let flag =
        |name: &str, is: fn(&ProcessDoc) -> bool| same.iter().any(|process| is(process)).then(|| name.to_owned());
    let details = [
        (!interpreters.is_empty()).then(|| format!("run by {}", joined(interpreters))),
        (!uids.is_empty()).then(|| format!("uid {}", joined(uids))),
        flag("exec chain", |process| process.exec_chain),
        flag("fileless", |process| process.fileless),
        flag("upper layer", |process| process.upper_layer),
    ];
    details.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Compares lists of one process.
struct Leaves<'o, 'v> {
    out: &'o mut Vec<Difference>,
    views: [View<'v>; 2],
    lineage: &'o Lineage,
    nested: bool,
}

impl VisitPairs for Leaves<'_, '_> {
    fn list<'a, E: Entry + 'a>(&mut self, lists: [impl Iterator<Item = &'a E>; 2]) {
        for pair in pair_up(self.views, lists).values() {
            if let Some(entry) = pair.iter().flatten().next() {
                let what = (E::NAME, entry.subject());
                report(self.out, what, self.lineage, self.nested, pair, E::gathered);
            }
        }
    }
}

/// Brings together what is the same.
fn pair_up<'a, E: Entry>(views: [View<'_>; 2], lists: [impl Iterator<Item = &'a E>; 2]) -> Pairs<'a, E::Id<'a>, E> {
    let mut pairs: Pairs<'_, _, _> = BTreeMap::new();
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
fn report<T>(
    out: &mut Vec<Difference>,
    (kind, subject): (&'static str, String),
    lineage: &Lineage,
    nested: bool,
    pair: &Pair<'_, T>,
    details: fn(&[&T]) -> String,
) -> Option<Side> {
    let (side, detail) = match pair.each_ref().map(Vec::as_slice) {
        [a, []] => (Side::OnlyA, details(a)),
        [[], b] => (Side::OnlyB, details(b)),
        [a, b] => {
            let (old, new) = (details(a), details(b));
            if old == new {
                return None;
            }
            let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            (Side::Changed, format!("{} → {}", or_none(old), or_none(new)))
        }
    };
    out.push(Difference { side, kind, lineage: lineage.clone(), subject, detail, nested });
    Some(side)
}
