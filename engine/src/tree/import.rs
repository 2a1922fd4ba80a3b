//! Importing a written profile into a tree: the same nodes as events make, with patterns and sketches as they are told; and
//! what is written of a pattern.

use super::Tree;
use super::arena::{ROOT, UNLIMITED};
use super::insert::Component;
use super::node::{Flags, NodeId, Role};
use super::program::ProgramKey;
use crate::behaviour::Learned;
use crate::path::{Sketch, components, is_pattern, labels};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Tree {
    /// Adds a program below another one, or below the [root](ROOT).
    pub(crate) fn import_process(
        &mut self,
        parent: NodeId,
        names: &[Component<'_>],
        key: &ProgramKey,
        sketch: Option<&Sketch>,
    ) -> NodeId {
        let Ok((leaf, _, general)) = self.get_or_insert_path(parent, Role::ExecPath, names.iter().copied(), UNLIMITED);
        let Ok((process, _)) = self.process_below(leaf, &key.encode(), UNLIMITED);
        if general {
            self.import_sketch(process, names, sketch);
        }
        process
    }

    /// Where processes went that were merged into others since this was last asked.
    pub(crate) fn drain_moved(&mut self) -> HashMap<NodeId, NodeId> {
        self.arena.moved.drain(..).collect()
    }

    pub(crate) fn import_uid(&mut self, process: NodeId, uid: u32) {
        self.arena.numbered(process, Role::Uid, uid);
    }

    pub(crate) fn import_flags(&mut self, id: NodeId, flags: impl IntoIterator<Item = (bool, Flags)>) {
        for (on, flag) in flags {
            if on {
                self.arena.node_mut(id).set(flag);
            }
        }
    }

    pub(crate) fn tag_named(&self, tag: &str) -> Option<u16> {
        self.arena.tags.find(tag)
    }

    pub(crate) fn tag_text(&self, local: u16) -> Option<Arc<str>> {
        self.arena.tags.get(local).map(crate::intern::TagRef::shared_text)
    }

    /// A name below a pattern is one of those the pattern stands for; a pattern brings its own.
    pub(super) fn import_sketch(&mut self, leaf: NodeId, names: &[Component<'_>], sketch: Option<&Sketch>) {
        match sketch {
            Some(sketch) => self.merge_sketch(leaf, sketch),
            None => {
                let text = joined(self.node(leaf).role(), names);
                self.sketch(leaf, &text);
            }
        }
    }

    /// How many names a pattern stands for, and some of them: what comes below the directory where it begins.
    pub(crate) fn pattern_of(&self, id: NodeId, path: &str) -> Learned {
        let mut reported = Learned::default();
        let role = match self.node(id).role() {
            Role::Process => Role::ExecPath,
            role => role,
        };
        if !role.is_path() || !is_pattern(path) {
            return reported;
        }
        let dns = role == Role::DnsLabel;
        if let Some(sketch) = self.sketch_of(id) {
            let prefix = fixed_prefix(dns, path);
            let names = sketch.exemplars().into_iter();
            reported.distinct = sketch.distinct();
            reported.exemplars = names.map(|name| name.strip_prefix(prefix).unwrap_or(name).to_owned()).collect();
        }
        let leaf = if role == Role::ExecPath { self.node(id).parent } else { id };
        let shown = learned(dns, path, &reported.exemplars, &[]);
        let names = self.names_of(leaf).into_iter().zip(shown).enumerate();
        reported.learned = names.filter(|(_, ((_, own), (_, shown)))| *own && !shown).map(|(i, _)| i as u32).collect();
        reported
    }

    /// The programs that are written, each before those it started, with the index of the one that started it. Those of
    /// one program are in the order of `key`.
    pub(crate) fn written_programs(&self) -> Vec<(NodeId, Option<u32>)> {
        let mut written = Vec::new();
        let mut open = vec![(ROOT, None)];
        while let Some((id, parent)) = open.pop() {
            let index = if id == ROOT {
                None
            } else {
                written.push((id, parent));
                Some((written.len() - 1) as u32)
            };
            let mut below = self.programs_of(id);
            below.retain(|id| self.node(*id).has(Flags::VISIBLE));
            below.sort_by_cached_key(|id| {
                let ProgramKey { argv0, argv } = self.program_key(*id);
                (self.leaf_text(*id), argv0, argv)
            });
            open.extend(below.into_iter().rev().map(|id| (id, index)));
        }
        written
    }
}

/// What a path and all its exemplars have in common: up to the directory in which generalising begins.
pub(crate) fn fixed_prefix(dns: bool, path: &str) -> &str {
    if dns {
        return "";
    }
    let mut end = 0;
    for part in path.split_inclusive('/') {
        if is_pattern(part) {
            break;
        }
        end += part.len();
    }
    path.get(..end).unwrap_or_default()
}

/// The components of a written path, and which of them are learned patterns: those that an exemplar spells out, and
/// those that are `reported`. A wildcard that all exemplars have as it is was put there by normalising, unless it is told:
/// a pattern that stands for `*` and for other names is a learned one, and its exemplars may all be of the former.
pub(crate) fn learned<'a>(dns: bool, path: &'a str, exemplars: &[String], reported: &[u32]) -> Vec<(&'a str, bool)> {
    let prefix = fixed_prefix(dns, path);
    let reported: HashSet<u32> = reported.iter().copied().collect();
    let is_told = |i: usize| u32::try_from(i).is_ok_and(|i| reported.contains(&i));
    let mut names: Vec<_> =
        split(dns, path).enumerate().map(|(i, name)| (name, is_pattern(name) && is_told(i))).collect();
    // One after the other: a long path may have many.
    for exemplar in exemplars {
        let full = format!("{prefix}{exemplar}");
        for ((name, is_learned), part) in names.iter_mut().zip(split(dns, &full)) {
            *is_learned |= is_pattern(name) && part != *name;
        }
    }
    names
}

fn split(dns: bool, text: &str) -> Box<dyn Iterator<Item = &str> + '_> {
    if dns { Box::new(labels(text)) } else { Box::new(components(text)) }
}

fn joined(role: Role, names: &[Component<'_>]) -> String {
    let mut text = String::new();
    for (name, _) in names {
        if role == Role::DnsLabel {
            crate::path::push_label(&mut text, name);
        } else {
            crate::path::push_component(&mut text, name);
        }
    }
    text
}
