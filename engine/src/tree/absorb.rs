//! Learned patterns taking in what they stand for: a directory's names of one shape become one node, and what is below
//! them is united (DESIGN §5).
//!
//! Traced processes choose how deep a tree is and how its names look, so this is a work list, and it goes level by
//! level: the names that come together on one level are united before anything below them is moved. So a node moves a
//! time or two, and not once for each pattern above it.
//!
//! Not here: when a shape has too many names (`grow`).

use super::Tree;
use super::arena::{Hashed, ROOM, ShapeKey};
use super::grow::socket_level;
use super::node::{Flags, Kind, NONE, Node, NodeId};
use super::socket::Address;
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
        let (parent, kind, pattern) = key;
        let parent = self.arena.hashed(parent);
        let run = self.arena.step_stored(parent, kind, pattern);
        let found = self.arena.child(parent.0, run, kind, self.arena.names.get(pattern));
        let members = self.take_members(key);
        if members.is_empty() && found.is_none() {
            return;
        }
        let into = found.unwrap_or_else(|| self.arena.add(parent.0, run, kind, pattern));
        self.learn(into);
        for member in members.into_iter().filter(|id| *id != into) {
            let from = (member, self.arena.step_stored(parent, kind, self.arena.node(member).name));
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
    fn take_members(&mut self, (parent, kind, pattern): ShapeKey) -> Vec<NodeId> {
        let pattern = self.arena.names.get(pattern).to_owned();
        if self.arena.node(parent).has(Flags::SHAPED) {
            return self.arena.take_shape(parent, kind, &pattern);
        }
        let mut shelter = None;
        let is_member = |id: &NodeId| {
            self.arena.has_shape(*id, parent, kind, &pattern)
                && !self.exempt(parent, kind, self.arena.text(*id), &mut shelter)
        };
        self.arena.children(parent).filter(is_member).collect()
    }

    /// Gives every leaf below a node that has just become a pattern the sketch it needs.
    fn sketch_below(&mut self, top: NodeId) {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            let node = self.arena.node(id);
            if bears_name(node) && !self.arena.sketches.contains_key(&id) {
                let text = self.path_text(id);
                self.sketch(id, &text);
            }
            if self.arena.node(id).kind() != Kind::Process {
                stack.extend(self.arena.children(id));
            }
        }
    }

    /// Moves what is known of one node to another, and has its children follow.
    fn absorb(&mut self, from: Hashed, into: Hashed, moves: &mut VecDeque<Move>) {
        if self.arena.node(from.0).kind() == Kind::Process {
            let (ran, runs) = (self.arena.node(into.0).is_seen(), self.arena.node(from.0).is_seen());
            let interpreters: Vec<String> = self.interpreters(from.0).map(str::to_owned).collect();
            self.run_by(into.0, ran, &interpreters, runs);
        }
        self.absorb_node(from.0, into.0);
        if self.arena.node(from.0).kind() == Kind::Process {
            self.arena.moved.push((from.0, into.0));
            if self.arena.node(from.0).has(Flags::VISIBLE) {
                self.arena.show(into.0);
            }
        }
        let children: Vec<NodeId> = self.arena.children(from.0).collect();
        for child in children {
            let node = self.arena.node(child);
            let (kind, name) = (node.kind(), node.name);
            let child = (child, self.arena.step_stored(from, kind, name));
            if kind == Kind::Interpreter {
                self.arena.kill(child);
                continue;
            }
            let target = self.counterpart(child.0, into);
            if kind.is_path() || matches!(kind, Kind::Process | Kind::Sockets) {
                let run = self.arena.step_stored(into, kind, self.arena.node(target).name);
                moves.push_back(Move { from: child, into: (target, run) });
            } else {
                self.absorb_leaf(child, target);
            }
        }
        self.arena.kill(from);
    }

    /// As [`absorb`](Self::absorb), of a node that has no children.
    pub(super) fn absorb_leaf(&mut self, from: Hashed, into: NodeId) {
        self.absorb_node(from.0, into);
        self.arena.kill(from);
    }

    /// Whether a learned pattern is part of the name of a leaf or a process.
    fn is_general(&self, id: NodeId) -> bool {
        let mut at = if self.arena.node(id).kind() == Kind::Process { self.arena.node(id).parent } else { id };
        let kind = self.arena.node(at).kind();
        while at != NONE && self.arena.node(at).kind() == kind {
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
        let (kind, name, learned) = (node.kind(), node.name, node.has(Flags::LEARNED));
        match kind {
            Kind::Peer => {
                let address = Address::from_bytes(self.arena.names.get(name));
                let Ok((id, _)) = self.grow_peer(parent.0, address, ROOM);
                id
            }
            _ if kind.is_path() => {
                let text = self.arena.text(child).to_owned();
                let Ok(((id, _), _)) = self.grow_child(parent, kind, (&text, learned), false, &mut None, ROOM);
                id
            }
            _ => {
                let run = self.arena.step_stored(parent, kind, name);
                let parent = parent.0;
                let is_it = |_, n: &Node| n.parent == parent && n.kind() == kind && n.name == name;
                let id = self.arena.find(run, is_it).unwrap_or_else(|| self.arena.add(parent, run, kind, name));
                if kind == Kind::Sockets {
                    self.widen_to(id, socket_level(self.arena.node(child).flags()));
                }
                id
            }
        }
    }

    /// What one node knows beside its children.
    fn absorb_node(&mut self, from: NodeId, into: NodeId) {
        let node = self.arena.node(from);
        let (bits, named) = (node.flags().and(Flags::PAYLOAD), bears_name(node));
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
fn bears_name(node: &Node) -> bool {
    node.is_seen() || node.kind() == Kind::Process
}
