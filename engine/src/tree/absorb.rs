//! Learned patterns taking in what they stand for: a directory's names of one shape become one node, and what is below
//! them is united (docs/decisions/0011).
//!
//! Traced processes choose how deep a tree is and how its names look, so this is a work list, and it goes level by
//! level: the names that come together on one level are united before anything below them is moved. So a node moves a
//! time or two, and not once for each pattern above it.
//!
//! Not here: when a shape has too many names (`insert`).

use super::Tree;
use super::arena::{Hashed, ShapeKey, UNLIMITED};
use super::node::{Flags, NONE, Node, NodeId, Role};
use super::peers::socket_level;
use crate::behaviour::{Address, SocketKey};
use std::collections::{HashMap, VecDeque};

/// A node whose records and children still have to go to another one.
struct Move {
    from: Hashed,
    into: Hashed,
}

impl Tree {
    /// Makes every shape that is due a pattern, and those that become due by that.
    pub(super) fn absorb_pending(&mut self) {
        let mut moves = VecDeque::new();
        let mut went: HashMap<NodeId, Hashed> = HashMap::new();
        loop {
            if let Some(key) = self.pending.pop() {
                if !self.arena.node(key.0).has(Flags::DEAD) {
                    self.absorb_shape(key, &mut moves);
                }
                continue;
            }
            let Some(Move { from, mut into }) = moves.pop_front() else {
                debug_assert!(went.is_empty() || self.arena.tags_seem_to_add_up());
                return;
            };
            // What it was to go to may itself have been taken in meanwhile, before anything was below it.
            while let Some(on) = went.get(&into.0) {
                into = *on;
            }
            if from.0 != into.0 && !self.arena.node(from.0).has(Flags::DEAD) {
                went.insert(from.0, into);
                self.absorb(from, into, &mut moves);
            }
        }
    }

    fn absorb_shape(&mut self, key: ShapeKey, moves: &mut VecDeque<Move>) {
        let (parent, role, pattern) = key;
        let parent = self.arena.hashed(parent);
        let run = self.arena.step_stored(parent, role, pattern);
        let found = self.arena.child(parent.0, run, role, self.arena.names.get(pattern));
        let members = self.absorb_members(key);
        if members.is_empty() && found.is_none() {
            return;
        }
        let into = found.unwrap_or_else(|| self.arena.add(parent.0, run, role, pattern));
        self.learn(into);
        for member in members.into_iter().filter(|id| *id != into) {
            let from = (member, self.arena.step_stored(parent, role, self.arena.node(member).name));
            moves.push_front(Move { from, into: (into, run) });
        }
    }

    /// Makes a node a pattern; false if it was one.
    pub(super) fn learn(&mut self, id: NodeId) -> bool {
        let new = self.arena.node_mut(id).set(Flags::LEARNED);
        if new {
            self.sketch_below(id);
        }
        new
    }

    /// The names of one shape in a directory that its pattern is to take in, not counted from now on.
    fn absorb_members(&mut self, (parent, role, pattern): ShapeKey) -> Vec<NodeId> {
        let pattern = self.arena.names.get(pattern).to_owned();
        if self.arena.node(parent).has(Flags::SHAPED) {
            return self.arena.remove_shape(parent, role, &pattern);
        }
        let mut protection = None;
        let is_member = |id: &NodeId| {
            self.arena.has_shape(*id, parent, role, &pattern)
                && !self.is_protected(parent, role, self.arena.text(*id), &mut protection)
        };
        self.arena.children(parent).filter(is_member).collect()
    }

    /// Gives every leaf below a node that has just become a pattern the sketch it needs.
    fn sketch_below(&mut self, top: NodeId) {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            let node = self.arena.node(id);
            if has_name(node) && !self.arena.sketches.contains_key(&id) {
                let text = self.path_text(id);
                self.sketch(id, &text);
            }
            if self.arena.node(id).role() != Role::Process {
                stack.extend(self.arena.children(id));
            }
        }
    }

    /// Moves what is known of one node to another, and has its children follow.
    fn absorb(&mut self, from: Hashed, into: Hashed, moves: &mut VecDeque<Move>) {
        if self.arena.node(from.0).role() == Role::Process {
            let interpreters: Vec<String> = self.texts(from.0).map(str::to_owned).collect();
            self.run_as(into.0, &interpreters, self.arena.node(from.0).is_seen());
        }
        self.absorb_node(from.0, into.0);
        if self.arena.node(from.0).role() == Role::Process {
            self.arena.moved.push((from.0, into.0));
            if self.arena.node(from.0).has(Flags::VISIBLE) {
                self.arena.mark_visible(into.0);
            }
        }
        let children = self.living(from.0);
        for child in children {
            let node = self.arena.node(child);
            let (role, name) = (node.role(), node.name);
            let child = (child, self.arena.step_stored(from, role, name));
            if role.gathers() {
                self.absorb_detail(child, into.0);
                continue;
            }
            let target = self.counterpart(child.0, into);
            if role == Role::Sockets {
                // At once: the next group may unite this one with others.
                let run = self.arena.step_stored(into, role, self.arena.node(target).name);
                self.absorb(child, (target, run), moves);
            } else if role.is_path() || matches!(role, Role::Process | Role::Group) {
                let run = self.arena.step_stored(into, role, self.arena.node(target).name);
                moves.push_back(Move { from: child, into: (target, run) });
            } else {
                self.absorb_leaf(child, target);
            }
        }
        self.arena.remove_node(from);
    }

    /// What is below a node and was not merged into another one.
    fn living(&self, parent: NodeId) -> Vec<NodeId> {
        self.arena.children(parent).filter(|id| !self.arena.node(*id).has(Flags::DEAD)).collect()
    }

    /// As [`absorb`](Self::absorb), of a node below which there is nothing but what gathers on it.
    pub(super) fn absorb_leaf(&mut self, from: Hashed, into: NodeId) {
        self.absorb_node(from.0, into);
        let children = self.living(from.0);
        for child in children {
            let node = self.arena.node(child);
            let run = self.arena.step_stored(from, node.role(), node.name);
            self.absorb_detail((child, run), into);
        }
        self.arena.remove_node(from);
    }

    fn absorb_detail(&mut self, detail: Hashed, into: NodeId) {
        let (role, name) = (self.arena.node(detail.0).role(), self.arena.node(detail.0).name);
        let text = if role == Role::Text { self.arena.text(detail.0).to_owned() } else { String::new() };
        self.merge_detail(into, role, name, &text);
        self.arena.remove_node(detail);
    }

    /// As [`absorb`](Self::absorb), of sockets that have addresses.
    pub(super) fn absorb_peers(&mut self, from: Hashed, into: NodeId) {
        let peers = self.living(from.0);
        for peer in peers {
            let address = Address::from_bytes(self.arena.names.get(self.arena.node(peer).name));
            let Ok((target, _)) = self.get_or_insert_peer(into, address, UNLIMITED);
            self.absorb_leaf(self.arena.hashed(peer), target);
        }
        self.arena.remove_node(from);
    }

    /// Whether a learned pattern is part of the name of a leaf or a process.
    fn is_general(&self, id: NodeId) -> bool {
        let mut at = if self.arena.node(id).role() == Role::Process { self.arena.node(id).parent } else { id };
        let role = self.arena.node(at).role();
        while at != NONE && self.arena.node(at).role() == role {
            if self.arena.node(at).has(Flags::LEARNED) {
                return true;
            }
            at = self.arena.node(at).parent;
        }
        false
    }

    /// The node below `parent` that is the same behaviour as `child`, a node of this tree below another parent.
    fn counterpart(&mut self, child: NodeId, parent: Hashed) -> NodeId {
        let node = self.arena.node(child);
        let (role, name, learned) = (node.role(), node.name, node.has(Flags::LEARNED));
        match role {
            Role::Peer => {
                let address = Address::from_bytes(self.arena.names.get(name));
                let Ok((id, _)) = self.get_or_insert_peer(parent.0, address, UNLIMITED);
                id
            }
            Role::Sockets => {
                let level = socket_level(node.flags());
                let Ok((group, _)) = self.get_or_insert_sockets(parent.0, SocketKey::unpack(name), UNLIMITED);
                self.widen_to(group, level);
                group
            }
            _ if role.is_path() => {
                let text = self.arena.text(child).to_owned();
                let Ok(((id, _), _)) =
                    self.get_or_insert_child(parent, role, (&text, learned), false, &mut None, UNLIMITED);
                id
            }
            _ => {
                let run = self.arena.step_stored(parent, role, name);
                let parent = parent.0;
                let is_it = |_, n: &Node| n.parent == parent && n.role() == role && n.name == name;
                self.arena.find(run, is_it).unwrap_or_else(|| self.arena.add(parent, run, role, name))
            }
        }
    }

    /// What one node knows beside its children.
    fn absorb_node(&mut self, from: NodeId, into: NodeId) {
        let node = self.arena.node(from);
        let (bits, named) = (node.flags().and(Flags::PAYLOAD), has_name(node));
        self.arena.node_mut(into).set(bits);
        let seen: Vec<_> = self.arena.seen(from).collect();
        for (tag, span) in &seen {
            self.arena.stamp(into, *tag, *span);
        }
        if named && self.is_general(into) {
            match self.arena.sketches.get(&from).cloned() {
                Some(sketch) => self.merge_sketch(into, &sketch),
                None => {
                    let text = self.path_text(from);
                    self.sketch(into, &text);
                }
            }
        }
    }
}

/// Whether a pattern keeps the name of such a node. A process has one also where all that is left of it is what it did:
/// the records of its own execs may be gone with their tag.
fn has_name(node: &Node) -> bool {
    node.is_seen() || node.role() == Role::Process
}
