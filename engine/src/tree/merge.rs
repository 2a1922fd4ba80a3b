//! Adding all that one tree knows to another: commutative, associative and idempotent.
//!
//! It is the growing that events do, once per node instead of once per event; so a merged tree is the tree that
//! the events of both would have made. Rebuilding a tree without some of its records is a merge into an empty one.

use super::arena::{ROOM, ROOT};
use super::grow::Component;
use super::node::{Flags, NodeId, Role, Span};
use super::{Tree, TreeFull};
use crate::hash::NumberMap;
use crate::intern::TagRef;
use std::collections::{HashMap, HashSet};

/// Which part of a tree is taken over.
pub(super) trait Selection {
    /// Whether any record of the tag, by its index in the tree taken from, is taken.
    fn tag(&self, local: u16, tag: &TagRef) -> bool;
    /// The records of a leaf that are taken.
    fn leaf(&self, from: &Tree, id: NodeId) -> Vec<(u16, Span)>;
    /// The own records of a process that are taken, and whether the process is taken even without.
    fn process(&self, from: &Tree, id: NodeId) -> (Vec<(u16, Span)>, bool);
}

/// Everything that is not dead.
struct Everything;

impl Selection for Everything {
    fn tag(&self, _: u16, _: &TagRef) -> bool {
        true
    }

    fn leaf(&self, from: &Tree, id: NodeId) -> Vec<(u16, Span)> {
        from.arena.seen(id).collect()
    }

    fn process(&self, from: &Tree, id: NodeId) -> (Vec<(u16, Span)>, bool) {
        (from.arena.seen(id).collect(), from.node(id).has(Flags::VISIBLE))
    }
}

/// Programs, and nothing of what they did.
struct Programs;

impl Selection for Programs {
    fn tag(&self, _: u16, _: &TagRef) -> bool {
        true
    }

    fn leaf(&self, _: &Tree, _: NodeId) -> Vec<(u16, Span)> {
        Vec::new()
    }

    fn process(&self, from: &Tree, id: NodeId) -> (Vec<(u16, Span)>, bool) {
        Everything.process(from, id)
    }
}

impl Tree {
    /// Adds what `other` knows as far as the byte budget goes: all of it, or, when there is no room for that, its
    /// programs, or none. What both know is refreshed in any case. Returns whether anything was left out. The budget is
    /// exceeded by no more than what is added. O(nodes of `other`).
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub fn merge_within_budget(&mut self, other: &Self) -> Result<bool, TreeFull> {
        if self.has_room().is_ok() {
            return self.merge(other).map(|()| false);
        }
        // Where not even the tags fit there is no room for programs either.
        if self.has_room_for_programs().is_ok() && self.arena.fits(&other.arena) && self.take(other, &Programs).is_ok()
        {
            self.arena.moved.clear();
        }
        Ok(self.refresh(other))
    }

    /// Adds all that `other` knows. O(nodes of `other`).
    ///
    /// # Errors
    /// [`TreeFull::Tags`] when both together bear more than 65,535 tags, [`TreeFull::Size`] when they have more than 4 GiB
    /// of names or 2^31 nodes; the tree is as it was. The byte budget is for events; a merge is bounded by what it merges.
    pub fn merge(&mut self, other: &Self) -> Result<(), TreeFull> {
        if !self.arena.fits(&other.arena) {
            return Err(TreeFull::Size);
        }
        self.take(other, &Everything)?;
        self.arena.moved.clear();
        debug_assert!(self.arena.tags_seem_to_add_up());
        Ok(())
    }

    /// Takes over a selection of another tree; returns where its processes went.
    pub(super) fn take(
        &mut self,
        other: &Self,
        selection: &impl Selection,
    ) -> Result<HashMap<NodeId, NodeId>, TreeFull> {
        // Before anything is changed: a merge that cannot have all tags leaves the tree as it was.
        let mut tags: HashMap<u16, u16> = HashMap::new();
        for (local, tag, uses) in other.arena.tags.iter() {
            if uses > 0 && selection.tag(local, tag) {
                tags.insert(local, self.local_tag(tag)?);
            }
        }
        let retag = |seen: Vec<(u16, Span)>| -> Vec<(u16, Span)> {
            seen.into_iter().filter_map(|(tag, span)| tags.get(&tag).map(|t| (*t, span))).collect()
        };

        // One frame a process; the processes below it are done one after the other, each with all that is below,
        // so that a pattern learned among siblings never meets one that is still being filled.
        let mut went = HashMap::from([(ROOT, ROOT)]);
        let mut stack = vec![(ROOT, ROOT, other.programs_of(ROOT))];
        while let Some((_, into, programs)) = stack.last_mut() {
            let (from, into) = match programs.pop() {
                Some(from) => (from, *into),
                None => {
                    stack.pop();
                    continue;
                }
            };
            let (seen, taken) = selection.process(other, from);
            if !taken {
                continue;
            }
            let names = other.names_of(other.node(from).parent);
            let Ok((leaf, _, general)) = self.grow_path(into, Role::ExecPath, names.iter().copied(), ROOM);
            let Ok((process, _)) = self.process_below(leaf, other.arena.text(from), ROOM);
            went.insert(from, process);
            let interpreters: Vec<String> = other.texts(from).map(str::to_owned).collect();
            self.run_as(process, &interpreters, other.node(from).is_seen());
            self.take_leaf(other, from, process, process, retag(seen), general);
            self.take_details(other, from, process);
            self.take_leaves(other, from, process, &|id| retag(selection.leaf(other, id)));
            stack.push((from, process, other.programs_of(from)));
        }
        // Only a merge into a tree that has names of its own can learn a pattern.
        let moved: HashMap<NodeId, NodeId> = self.arena.moved.drain(..).collect();
        if !moved.is_empty() {
            went.values_mut().for_each(|id| *id = follow(&moved, *id));
        }
        Ok(went)
    }

    /// The processes that a process (or the root) is parent of.
    pub fn programs_of(&self, process: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut stack: Vec<NodeId> = self.children(process).collect();
        while let Some(id) = stack.pop() {
            match self.node(id).role() {
                Role::Process => found.push(id),
                Role::ExecPath => stack.extend(self.children(id)),
                _ => {}
            }
        }
        found
    }

    /// The components of the path that ends at `leaf`, from the scope down.
    pub(crate) fn names_of(&self, leaf: NodeId) -> Vec<Component<'_>> {
        let role = self.node(leaf).role();
        let mut names = Vec::with_capacity(16);
        let mut at = leaf;
        while self.node(at).role() == role && role.is_path() {
            names.push((self.arena.text(at), self.node(at).has(Flags::LEARNED)));
            at = self.node(at).parent;
        }
        names.reverse();
        names
    }

    /// Everything below a process but its programs.
    pub fn leaves_of(&self, process: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut stack: Vec<NodeId> = self.children(process).collect();
        while let Some(id) = stack.pop() {
            let role = self.node(id).role();
            if matches!(role, Role::Process | Role::ExecPath) {
                continue;
            }
            if self.node(id).is_seen() {
                found.push(id);
            }
            stack.extend(self.children(id));
        }
        found
    }

    fn take_leaves(
        &mut self,
        other: &Self,
        from: NodeId,
        process: NodeId,
        seen_of: &impl Fn(NodeId) -> Vec<(u16, Span)>,
    ) {
        for leaf in other.leaves_of(from) {
            let seen = seen_of(leaf);
            if seen.is_empty() {
                continue;
            }
            let Ok((id, _, general)) = self.grow_spot(process, &other.spot(leaf), ROOM);
            self.take_details(other, leaf, id);
            self.take_leaf(other, leaf, process, id, seen, general);
        }
    }

    /// Flags, records and sketch of one node.
    fn take_leaf(
        &mut self,
        other: &Self,
        from: NodeId,
        process: NodeId,
        into: NodeId,
        seen: Vec<(u16, Span)>,
        general: bool,
    ) {
        let bits = other.node(from).flags().and(Flags::PAYLOAD);
        self.arena.node_mut(into).set(bits);
        if general {
            match other.sketch_of(from) {
                Some(sketch) => self.merge_sketch(into, sketch),
                None => self.sketch(into, &other.path_text(from)),
            }
        }
        for (tag, span) in seen {
            self.stamp_leaf(process, into, tag, span);
        }
    }
}

/// Where a process went that may have been merged into another, which may have been merged again.
pub(super) fn follow(moved: &HashMap<NodeId, NodeId>, mut id: NodeId) -> NodeId {
    while let Some(to) = moved.get(&id) {
        id = *to;
    }
    id
}

/// The records that a predicate on tag and span keeps; processes by the hull of everything below them.
pub(super) struct Filter<'a, F> {
    pub keep: F,
    pub hulls: NumberMap<NodeId, Vec<(u16, Span)>>,
    pub pins: &'a HashSet<NodeId>,
}

impl<F: Fn(&str, Span) -> bool> Filter<'_, F> {
    fn keeps(&self, from: &Tree, tag: u16, span: Span) -> bool {
        from.arena.tags.get(tag).is_some_and(|t| (self.keep)(t.text(), span))
    }
}

impl<F: Fn(&str, Span) -> bool> Selection for Filter<'_, F> {
    fn tag(&self, local: u16, tag: &TagRef) -> bool {
        let all = self.hulls.get(&ROOT).and_then(|hull| hull.iter().find(|(t, _)| *t == local));
        all.is_some_and(|(_, span)| (self.keep)(tag.text(), *span))
    }

    fn leaf(&self, from: &Tree, id: NodeId) -> Vec<(u16, Span)> {
        from.arena.seen(id).filter(|(tag, span)| self.keeps(from, *tag, *span)).collect()
    }

    fn process(&self, from: &Tree, id: NodeId) -> (Vec<(u16, Span)>, bool) {
        let hull = self.hulls.get(&id).map(Vec::as_slice).unwrap_or_default();
        let kept: Vec<u16> =
            hull.iter().filter(|(tag, span)| self.keeps(from, *tag, *span)).map(|(tag, _)| *tag).collect();
        let own = from.arena.seen(id).filter(|(tag, _)| kept.contains(tag)).collect();
        (own, !kept.is_empty() || self.pins.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::event::{Body, EventRef, Open};
    use crate::intern::Interner;
    use crate::tree::ActivityTree;
    use std::sync::Arc;

    #[test]
    fn a_merge_of_more_names_than_can_be_found_is_refused_and_changes_nothing() {
        let interner = Interner::new();
        let grown = |tag: &str, with: char| {
            let mut tree = ActivityTree::new(Arc::default(), &interner.intern(tag).unwrap());
            for n in 0..600 {
                let path = format!("/{}", with.to_string().repeat(1000 + n));
                let body = Body::Open(Open { path: path.as_bytes(), flags: 0, ret: 0, map: false });
                tree.insert(&EventRef { ts: 1, container: b"c", pid: 1, start: None, body });
            }
            tree.tree().clone()
        };
        let (mut one, other) = (grown("1", 'y'), grown("2", 'z'));
        let before = (one.structural_hash(), one.heap_bytes(), one.node_count());
        assert!(one.name_bytes() > 600_000);
        assert_eq!(one.merge(&other), Err(TreeFull::Size));
        assert_eq!((one.structural_hash(), one.heap_bytes(), one.node_count()), before);
        let mut empty = Tree::new(Arc::default());
        empty.merge(&one).unwrap();
        assert_eq!(empty.structural_hash(), one.structural_hash());
    }

    #[test]
    fn too_many_tags_are_not_called_too_many_bytes() {
        let interner = Interner::new();
        let of = |tags: std::ops::Range<u32>| {
            let mut tree = Tree::new(Arc::default());
            let own = |n: u32| tree.local_tag(&interner.intern(&n.to_string()).unwrap()).unwrap();
            let last = tags.map(own).last().unwrap();
            tree.arena.stamp(ROOT, last, Span::at(1));
            tree
        };
        let (mut one, other) = (of(0..65_535), of(65_535..65_536));
        let before = one.structural_hash();
        let error = one.merge(&other).unwrap_err();
        assert_eq!(error, TreeFull::Tags);
        assert!(error.to_string().contains("65,535 tags"), "{error}");
        assert_eq!(one.structural_hash(), before);
    }
}
