//! Evicting from a tree: a tag, or what was last seen before some time.
//!
//! A tree is rebuilt without what goes. That costs O(nodes), seldom; and in return nothing can be left behind: not
//! a record below a node that lacks the tag, not a name, not a count, not a byte.

use super::Tree;
use super::arena::{Arena, ROOT};
use super::merge::Filter;
use super::node::{NodeId, Role, Span};
use crate::behaviour::Kind;
use crate::hash::NumberMap;
use std::collections::{HashMap, HashSet};

impl Tree {
    /// Removes everything that only `tag` did. Afterwards no node bears it, and the tree's reference to it is gone.
    /// What nodes hold together for all tags stays on those that stay: access modes, user ids, query types, flags,
    /// patterns and their exemplars. O(nodes).
    pub fn evict_tag(&mut self, tag: &str) {
        *self = self.rebuilt(|t, _| t != tag, &HashSet::new()).0;
    }

    /// Removes what was last seen before `ts`. A process stays as long as anything below it does. O(nodes).
    pub fn evict_before(&mut self, ts: u64) {
        *self = self.rebuilt(|_, span| span.last >= ts, &HashSet::new()).0;
    }

    /// The tree of the records that `keep` wants, and where its processes went. A process is judged by the hull of
    /// everything below it, so that it never goes before its children; one that is pinned stays in any case.
    pub(super) fn rebuilt(
        &self,
        keep: impl Fn(&str, Span) -> bool,
        pins: &HashSet<NodeId>,
    ) -> (Self, HashMap<NodeId, NodeId>) {
        debug_assert!(self.arena.tags_seem_to_add_up());
        let mut pins = pins.clone();
        for pin in pins.clone() {
            let mut at = pin;
            while at != ROOT {
                at = self.parent_process(at);
                pins.insert(at);
            }
        }
        let filter = Filter { keep, hulls: self.hulls(), pins: &pins };
        let mut tree = Self { arena: Arena::new(), rules: self.rules.clone(), pending: Vec::new() };
        // It holds a subset of the tags of a tree that held them all.
        let went = tree.take(self, &filter).unwrap_or_default();
        tree.arena.moved.clear();
        tree.arena.tags.release_unused();
        debug_assert!(tree.arena.tags_add_up());
        tree.shrink();
        (tree, went)
    }

    /// For every process the hull, by tag, of its own execs and of everything below it, but what was only tried.
    pub fn hulls(&self) -> NumberMap<NodeId, Vec<(u16, Span)>> {
        let mut hulls: NumberMap<NodeId, Vec<(u16, Span)>> = NumberMap::default();
        let (mut parent, mut at) = (ROOT, ROOT);
        // A node's id is higher than its parent's: backwards, children come before their parents.
        for id in (1..self.arena.len() as NodeId).rev() {
            let node = self.node(id);
            let is_process = node.role() == Role::Process;
            let below = if is_process { hulls.get(&id).cloned().unwrap_or_default() } else { Vec::new() };
            if !node.is_seen() && below.is_empty() || self.kind(id) == Some(Kind::Denied) {
                continue;
            }
            if is_process {
                let own = hulls.entry(id).or_default();
                self.arena.seen(id).for_each(|(tag, span)| widen(own, tag, span));
            }
            // What is in one directory was often made one after the other.
            if node.parent != parent {
                (parent, at) = (node.parent, node.parent);
                while !matches!(self.node(at).role(), Role::Process | Role::Root) {
                    at = self.node(at).parent;
                }
            }
            let hull = hulls.entry(at).or_default();
            below.into_iter().chain(self.arena.seen(id)).for_each(|(tag, span)| widen(hull, tag, span));
        }
        hulls
    }
}

fn widen(hull: &mut Vec<(u16, Span)>, tag: u16, span: Span) {
    match hull.iter_mut().find(|(t, _)| *t == tag) {
        Some((_, known)) => *known = known.hull(span),
        None => hull.push((tag, span)),
    }
}
