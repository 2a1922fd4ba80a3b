//! Finding and making the nodes of paths and names, and learning patterns (DESIGN §5).
//!
//! Generalising is confluent: which nodes there are in the end depends on the set of names alone. To that end a
//! directory counts its names per shape, and once one has more than `fanout` of them they are absorbed by one
//! pattern node, below which the same counting goes on over the union. Absorbing is a work list, not recursion:
//! traced processes choose how deep a tree is.

use super::Tree;
use super::arena::ShapeKey;
use super::node::{Flags, Kind, NONE, NodeId};
use super::socket::{Address, SocketKey};
use crate::path::{Sketch, push_component, shape};

/// One component of a path or name, and whether it is a learned pattern.
pub type Component<'a> = (&'a str, bool);

/// Directories with no more names that could generalise than this are not counted shape by shape.
const SHAPED_ABOVE: usize = 16;

impl Tree {
    /// Whether a name must never generalise where it is.
    fn exempt(&self, parent: NodeId, kind: Kind, name: &str) -> bool {
        if kind == Kind::DnsLabel {
            return false;
        }
        let mut dir = Vec::with_capacity(16);
        let mut at = parent;
        while self.arena.node(at).kind() == kind {
            dir.push(self.arena.text(at));
            at = self.arena.node(at).parent;
        }
        dir.reverse();
        self.rules.protect.exempts(&dir, name)
    }

    /// The learned pattern that absorbs `name` in `parent`, if there is one.
    fn absorbing(&self, parent: NodeId, hash: u64, kind: Kind, name: &str) -> Option<NodeId> {
        let mut pattern = String::new();
        if !shape(name, &mut pattern) || pattern == name {
            return None;
        }
        let id = self.arena.child(parent, hash, kind, pattern.as_bytes())?;
        (self.arena.node(id).has(Flags::LEARNED) && !self.exempt(parent, kind, name)).then_some(id)
    }

    fn find_child(&self, parent: NodeId, hash: u64, kind: Kind, name: &str) -> Option<NodeId> {
        self.arena.child(parent, hash, kind, name.as_bytes()).or_else(|| self.absorbing(parent, hash, kind, name))
    }

    /// The node that stands for a path below `scope`, and whether a learned pattern is part of it.
    pub(super) fn find_path<'a>(
        &self,
        scope: NodeId,
        kind: Kind,
        names: impl Iterator<Item = &'a str>,
    ) -> Option<(NodeId, bool)> {
        let mut at = scope;
        let mut hash = self.arena.hash_below(scope);
        let mut general = false;
        for name in names {
            at = self.find_child(at, hash, kind, name)?;
            general |= self.arena.node(at).has(Flags::LEARNED);
            hash = self.arena.step(hash, kind, self.arena.text(at).as_bytes());
        }
        Some((at, general))
    }

    /// As [`find_path`](Self::find_path), for a path as the kernel gives it: no allocation, one probe. It finds
    /// only what is stored just as it was given; so no wildcard and no escape can stand for anything else.
    pub(super) fn find_plain(&self, scope: NodeId, kind: Kind, raw: &[u8]) -> Option<NodeId> {
        if raw.first() != Some(&b'/') || raw.len() < 2 {
            return None;
        }
        let mut hash = self.arena.hash_below(scope);
        // The first component keeps its slash.
        let mut start = 0;
        for end in memchr::memchr3_iter(b'/', b'*', b'\\', raw.get(1..)?).map(|i| i + 1) {
            if raw.get(end) != Some(&b'/') {
                return None;
            }
            hash = self.arena.step(hash, kind, raw.get(start..end)?);
            start = end + 1;
        }
        hash = self.arena.step(hash, kind, raw.get(start..)?);
        self.arena.find(hash, |id, _| self.is_path(id, scope, kind, raw))
    }

    /// Whether the names from `scope` down to `id`, joined by slashes, are `raw`.
    fn is_path(&self, id: NodeId, scope: NodeId, kind: Kind, raw: &[u8]) -> bool {
        let mut rest = raw;
        let mut at = id;
        loop {
            let node = self.arena.node(at);
            if node.kind() != kind {
                return false;
            }
            let Some(head) = rest.strip_suffix(self.arena.names.get(node.name)) else { return false };
            at = node.parent;
            if at == scope {
                return head.is_empty();
            }
            match head.strip_suffix(b"/") {
                Some(head) => rest = head,
                None => return false,
            }
        }
    }

    /// The node that stands for a path below `scope`, made if need be. Returns it, whether anything was made, and
    /// whether a learned pattern is part of it.
    pub(super) fn grow_path(&mut self, scope: NodeId, kind: Kind, names: &[Component<'_>]) -> (NodeId, bool, bool) {
        let mut at = scope;
        let mut hash = self.arena.hash_below(scope);
        let mut general = false;
        let mut made = false;
        for (name, learned) in names {
            let (id, new) = self.grow_child(at, hash, kind, name, *learned);
            at = id;
            made |= new;
            general |= self.arena.node(at).has(Flags::LEARNED);
            hash = self.arena.step(hash, kind, self.arena.text(at).as_bytes());
        }
        if self.pending.is_empty() {
            return (at, made, general);
        }
        self.absorb_pending();
        let found = self.find_path(scope, kind, names.iter().map(|(name, _)| *name));
        let (id, general) = found.unwrap_or((at, general));
        (id, made, general)
    }

    fn grow_child(&mut self, parent: NodeId, hash: u64, kind: Kind, name: &str, learned: bool) -> (NodeId, bool) {
        if learned {
            let found = self.arena.child(parent, hash, kind, name.as_bytes());
            let id = found.unwrap_or_else(|| self.arena.add_named(parent, hash, kind, name.as_bytes()));
            // A pattern at once, so that sketches moved below it are kept; what it absorbs has to wait.
            if self.learn(id) {
                self.pending.push((parent, kind, self.arena.node(id).name));
            }
            return (id, found.is_none());
        }
        if let Some(id) = self.find_child(parent, hash, kind, name) {
            return (id, false);
        }
        let id = self.arena.add_named(parent, hash, kind, name.as_bytes());
        let mut pattern = String::new();
        if shape(name, &mut pattern) && !self.exempt(parent, kind, name) {
            self.count_shape(parent, kind, id, &pattern);
        }
        (id, true)
    }

    /// Counts a new name among those of its shape, and notes the shape as pending when they are too many.
    fn count_shape(&mut self, parent: NodeId, kind: Kind, id: NodeId, pattern: &str) {
        self.arena.node_mut(parent).count_variable_child();
        let node = self.arena.node(parent);
        let fanout = self.rules.path_fanout;
        if usize::from(node.variable_children()) <= fanout.min(SHAPED_ABOVE) {
            return;
        }
        if node.has(Flags::SHAPED) {
            let pattern = self.arena.names.intern(pattern.as_bytes());
            self.join_shape((parent, kind, pattern), id);
            return;
        }
        self.arena.node_mut(parent).set(Flags::SHAPED);
        let children: Vec<NodeId> = self.arena.children(parent).collect();
        for child in children {
            let mut pattern = String::new();
            let kind = self.arena.node(child).kind();
            let learned = self.arena.node(child).has(Flags::LEARNED);
            if !kind.is_path() || learned || !shape(self.arena.text(child), &mut pattern) {
                continue;
            }
            if !self.exempt(parent, kind, self.arena.text(child)) {
                let pattern = self.arena.names.intern(pattern.as_bytes());
                self.join_shape((parent, kind, pattern), child);
            }
        }
    }

    fn join_shape(&mut self, key: ShapeKey, id: NodeId) {
        let shape = self.arena.shapes.entry(key).or_default();
        let before = shape.members.capacity();
        shape.members.push(id);
        self.arena.shape_bytes += (shape.members.capacity() - before) * size_of::<NodeId>();
        // Noted once: until the shape is absorbed more names only join it.
        if shape.members.len() == self.rules.path_fanout + 1 {
            self.pending.push(key);
        }
    }

    /// Makes every shape that is due a pattern, and those that become due by that.
    pub(super) fn absorb_pending(&mut self) {
        while let Some(key) = self.pending.pop() {
            if !self.arena.node(key.0).has(Flags::DEAD) {
                self.absorb_shape(key);
            }
        }
    }

    fn absorb_shape(&mut self, key: ShapeKey) {
        let members = self.take_members(key);
        if members.is_empty() {
            return;
        }
        let (parent, kind, pattern) = key;
        let text = self.arena.names.get(pattern).to_vec();
        let hash = self.arena.hash_below(parent);
        let found = self.arena.child(parent, hash, kind, &text);
        let into = found.unwrap_or_else(|| self.arena.add(parent, hash, kind, pattern));
        self.learn(into);
        for member in members {
            if member != into && !self.arena.node(member).has(Flags::DEAD) {
                self.absorb(member, into);
            }
        }
    }

    /// Makes a node a pattern; false if it was one.
    fn learn(&mut self, id: NodeId) -> bool {
        let new = self.arena.node_mut(id).set(Flags::LEARNED);
        if new {
            self.sketch_below(id);
        }
        new
    }

    /// The names of one shape in a directory, the pattern's own node included, taken from the table of shapes.
    fn take_members(&mut self, key: ShapeKey) -> Vec<NodeId> {
        let (parent, kind, pattern) = key;
        if self.arena.node(parent).has(Flags::SHAPED) {
            let taken = self.arena.shapes.remove(&key).unwrap_or_default();
            self.arena.shape_bytes -= taken.members.capacity() * size_of::<NodeId>();
            let mut members = taken.members;
            // A pattern that came from another tree may have no counted name beside it.
            if members.is_empty() {
                let hash = self.arena.hash_below(parent);
                members.extend(self.arena.child(parent, hash, kind, self.arena.names.get(pattern)));
            }
            return members;
        }
        let mut text = String::new();
        let is_member = |id: &NodeId| {
            let node = self.arena.node(*id);
            let name = self.arena.text(*id);
            node.kind() == kind
                && shape(name, &mut text)
                && text.as_bytes() == self.arena.names.get(pattern)
                && (node.name == pattern || !self.exempt(parent, kind, name))
        };
        self.arena.children(parent).filter(is_member).collect()
    }

    /// Gives every leaf below a node that has just become a pattern the sketch it needs.
    fn sketch_below(&mut self, top: NodeId) {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            let node = self.arena.node(id);
            if node.is_seen() && !self.arena.sketches.contains_key(&id) {
                let text = self.path_text(id);
                self.sketch(id, &text);
            }
            if self.arena.node(id).kind() != Kind::Process {
                stack.extend(self.arena.children(id));
            }
        }
    }

    /// Adds one name to the sketch of a leaf that a pattern is part of.
    pub(super) fn sketch(&mut self, id: NodeId, text: &str) {
        self.change_sketch(id, |sketch| {
            sketch.insert(text);
        });
    }

    pub(super) fn merge_sketch(&mut self, id: NodeId, other: &Sketch) {
        self.change_sketch(id, |sketch| sketch.merge(other));
    }

    fn change_sketch(&mut self, id: NodeId, change: impl FnOnce(&mut Sketch)) {
        let sketch = self.arena.sketches.entry(id).or_default();
        let before = sketch.heap_bytes();
        change(sketch);
        self.arena.sketch_bytes = self.arena.sketch_bytes + sketch.heap_bytes() - before;
    }

    /// The path, name or address that a leaf stands for, from its scope down.
    pub(super) fn path_text(&self, leaf: NodeId) -> String {
        let mut at = if self.arena.node(leaf).kind() == Kind::Process { self.arena.node(leaf).parent } else { leaf };
        let kind = self.arena.node(at).kind();
        let mut names = Vec::with_capacity(16);
        while at != NONE && self.arena.node(at).kind() == kind && kind.is_path() {
            names.push(self.arena.text(at));
            at = self.arena.node(at).parent;
        }
        let mut text = String::new();
        if kind == Kind::DnsLabel {
            // From the leaf upwards is how a domain name is written.
            for (i, name) in names.into_iter().enumerate() {
                if i > 0 {
                    text.push('.');
                }
                text.push_str(name);
            }
        } else {
            for name in names.into_iter().rev() {
                push_component(&mut text, name);
            }
        }
        text
    }

    /// Moves all that is known of `from` and below it into `into`, and ends `from`.
    pub(super) fn absorb(&mut self, from: NodeId, into: NodeId) {
        /// A node and its hash.
        type Hashed = (NodeId, u64);
        struct Frame {
            from: Hashed,
            into: Hashed,
            children: Vec<NodeId>,
            general: bool,
        }
        let general = self.is_general(into);
        self.absorb_node(from, into, general);
        let children = self.arena.children(from).collect();
        let (from, into) = ((from, self.arena.hash_of(from)), (into, self.arena.hash_of(into)));
        let mut stack = vec![Frame { from, into, children, general }];
        while let Some(frame) = stack.last_mut() {
            let Some(child) = frame.children.pop() else {
                let (done, hash) = frame.from;
                stack.pop();
                self.arena.kill(done, hash);
                continue;
            };
            let ((parent, parent_hash), above) = (frame.into, frame.general);
            let below = self.arena.below(frame.from.0, frame.from.1);
            let child_hash = self.arena.hash_from(below, self.arena.node(child).kind(), self.arena.node(child).name);
            let below = self.arena.below(parent, parent_hash);
            let into = self.counterpart(child, parent, below);
            let node = self.arena.node(into);
            let kind = node.kind();
            let into_hash = self.arena.hash_from(below, kind, node.name);
            let general = match kind {
                Kind::Process => above,
                _ if !kind.is_path() => false,
                _ => node.has(Flags::LEARNED) || (above && self.arena.node(parent).kind() == kind),
            };
            if kind == Kind::Process {
                self.arena.moved.push((child, into));
                if self.arena.node(child).has(Flags::VISIBLE) {
                    self.arena.show(into);
                }
            }
            self.absorb_node(child, into, general);
            let below = self.arena.children(child).collect();
            stack.push(Frame { from: (child, child_hash), into: (into, into_hash), children: below, general });
        }
    }

    /// Whether a learned pattern is part of the path that ends at `id`.
    fn is_general(&self, id: NodeId) -> bool {
        let kind = self.arena.node(id).kind();
        let mut at = id;
        while at != NONE && self.arena.node(at).kind() == kind {
            if self.arena.node(at).has(Flags::LEARNED) {
                return true;
            }
            at = self.arena.node(at).parent;
        }
        false
    }

    /// The node below `parent` that is the same behaviour as `child`, a node of this tree below another parent.
    /// `below` is the arena's `hash_below` of `parent`.
    fn counterpart(&mut self, child: NodeId, parent: NodeId, below: u64) -> NodeId {
        let node = self.arena.node(child);
        let (kind, name, learned) = (node.kind(), node.name, node.has(Flags::LEARNED));
        match kind {
            Kind::Peer => {
                let address = Address::from_bytes(self.arena.names.get(name));
                self.grow_peer(parent, address).0
            }
            _ if kind.is_path() => {
                let text = self.arena.text(child).to_owned();
                self.grow_child(parent, below, kind, &text, learned).0
            }
            _ => {
                let hash = self.arena.hash_from(below, kind, name);
                let is_it = |_, n: &super::Node| n.parent == parent && n.kind() == kind && n.name == name;
                let id = self.arena.find(hash, is_it).unwrap_or_else(|| self.arena.add(parent, below, kind, name));
                if kind == Kind::Sockets {
                    self.widen_to(id, socket_level(self.arena.node(child).flags()));
                }
                id
            }
        }
    }

    /// What one node knows beside its children.
    fn absorb_node(&mut self, from: NodeId, into: NodeId, general: bool) {
        let bits = self.arena.node(from).flags().and(Flags::PAYLOAD);
        self.arena.node_mut(into).set(bits);
        let seen: Vec<_> = self.arena.seen(from).collect();
        for (tag, span) in &seen {
            self.arena.stamp(into, *tag, *span);
        }
        if general && !seen.is_empty() {
            match self.arena.sketches.get(&from).cloned() {
                Some(sketch) => self.merge_sketch(into, &sketch),
                None => {
                    let text = self.path_text(from);
                    self.sketch(into, &text);
                }
            }
        }
    }

    // Peers: addresses become networks and networks become one, by count.

    /// The group of a socket's peers.
    pub(super) fn grow_sockets(&mut self, process: NodeId, key: SocketKey, level: u8) -> NodeId {
        let (group, _) = self.arena.numbered(process, Kind::Sockets, key.pack());
        self.widen_to(group, level);
        group
    }

    pub(super) fn grow_peer(&mut self, group: NodeId, address: Address) -> (NodeId, bool) {
        self.widen_to(group, address.level());
        let address = address.widen(socket_level(self.arena.node(group).flags()));
        let hash = self.arena.hash_below(group);
        let mut buf = [0; 17];
        let bytes = address.to_bytes(&mut buf);
        if let Some(id) = self.arena.child(group, hash, Kind::Peer, bytes) {
            return (id, false);
        }
        let id = self.arena.add_named(group, hash, Kind::Peer, bytes);
        if address.stays() {
            return (id, true);
        }
        // A group is never seen itself, so its list of records is free to count what can still be widened.
        let node = self.arena.node_mut(group);
        let count = if node.more == NONE { 1 } else { node.more + 1 };
        node.more = count;
        let level = socket_level(node.flags());
        if level == 2 || count as usize <= self.rules.peer_fanout {
            return (id, true);
        }
        self.widen_to(group, level + 1);
        let address = address.widen(socket_level(self.arena.node(group).flags()));
        let mut buf = [0; 17];
        (self.arena.child(group, hash, Kind::Peer, address.to_bytes(&mut buf)).unwrap_or(id), true)
    }

    /// Makes a group's peers as wide as `level`, wider still if they are too many for that.
    fn widen_to(&mut self, group: NodeId, level: u8) {
        let flags = match level {
            0 => return,
            1 => Flags::NETWORKS,
            _ => Flags::NETWORKS.or(Flags::ANYWHERE),
        };
        let before = socket_level(self.arena.node(group).flags());
        self.arena.node_mut(group).set(flags);
        if before >= level {
            return;
        }
        self.arena.node_mut(group).more = NONE;
        let peers: Vec<NodeId> = self.arena.children(group).collect();
        for peer in peers {
            // Widening one peer may have made the whole group wider still, and this peer part of that.
            if self.arena.node(peer).kind() != Kind::Peer || self.arena.node(peer).has(Flags::DEAD) {
                continue;
            }
            let address = Address::from_bytes(self.arena.names.get(self.arena.node(peer).name));
            if address.stays() {
                continue;
            }
            let (wide, _) = self.grow_peer(group, address);
            if wide != peer {
                self.absorb(peer, wide);
            }
        }
    }
}

/// How wide a group's peers are; see [`Address::level`].
pub(super) fn socket_level(flags: Flags) -> u8 {
    if flags.has(Flags::ANYWHERE) { 2 } else { u8::from(flags.has(Flags::NETWORKS)) }
}
