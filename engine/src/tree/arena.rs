//! The body of a tree: nodes, the index that finds a child by its name, seen records and the tree's own tags.
//!
//! Everything that changes a tree goes through here, so counts and bytes are kept in one place. What a path,
//! a socket or a program means is for the files beside this one.

use super::Stats;
use super::names::{Names, reserve_tight};
use super::node::{Flags, Kind, NO_TAG, NONE, Node, NodeId, Span};
use super::shapes::Shapes;
use super::tags::LocalTags;
use crate::path::{Sketch, shape_bytes, shape_into};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::cell::RefCell;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::sync::OnceLock;

/// The room of what is bounded by what it takes in, such as a merge: there always is some.
pub(super) const ROOM: Result<(), Infallible> = Ok(());

/// The node every root process hangs from.
pub const ROOT: NodeId = 0;

/// A seen record beyond a node's first.
#[derive(Clone, Copy, Debug)]
struct More {
    span: Span,
    next: u32,
    tag: u16,
}

/// A shape: the directory, the kind of names (what a process runs and what it opens may be called alike), and the
/// pattern's name.
pub(super) type ShapeKey = (NodeId, Kind, u32);

/// A node and the hash it has in the index; or, of one that others are looked for below,
/// [`hash_below`](Arena::hash_below) of it.
pub(super) type Hashed = (NodeId, u64);

/// Nodes of one tree and what hangs on them.
#[derive(Clone, Debug)]
pub struct Arena {
    nodes: Vec<Node>,
    index: HashTable<NodeId>,
    more: Vec<More>,
    pub(super) names: Names,
    pub(super) tags: LocalTags,
    pub(super) sketches: HashMap<NodeId, Sketch, FixedState>,
    pub(super) sketch_bytes: usize,
    shapes: Shapes,
    /// Processes that were merged away, in order: (from, to). The owner of process tables takes them.
    pub(super) moved: Vec<(NodeId, NodeId)>,
    stats: Stats,
    dead: usize,
    program_bytes: usize,
    seed: u64,
}

/// What a node of a program takes beside its name, about: itself, and its share of the tables that find it.
const PROGRAM_NODE_BYTES: usize = 80;

/// One seed per process: names are chosen by traced processes, who must not be able to choose their hashes.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| std::hash::RandomState::new().hash_one(0x67726f76_u32))
}

/// Mixes two words so that every bit of both reaches every bit of the result.
fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd6e8_feb8_6659_fd93);
    (wide as u64) ^ ((wide >> 64) as u64)
}

impl Arena {
    pub fn new() -> Self {
        let seed = seed();
        Self {
            nodes: vec![Node::new(Kind::Root, NONE, NONE)],
            index: HashTable::new(),
            more: Vec::new(),
            names: Names::new(seed),
            tags: LocalTags::default(),
            sketches: HashMap::with_hasher(FixedState::with_seed(seed)),
            sketch_bytes: 0,
            shapes: Shapes::default(),
            moved: Vec::new(),
            stats: Stats::default(),
            dead: 0,
            program_bytes: 0,
            seed,
        }
    }

    /// Node `id`. An id that this arena did not give out reads as the root.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or_else(|| self.root())
    }

    #[allow(clippy::indexing_slicing)] // the root is made with the arena and never removed
    fn root(&self) -> &Node {
        &self.nodes[0]
    }

    #[allow(clippy::indexing_slicing)]
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        let known = (id as usize) < self.nodes.len();
        &mut self.nodes[if known { id as usize } else { 0 }]
    }

    /// A name's bytes, where it need not be told that they are text.
    pub(super) fn bytes(&self, id: NodeId) -> &[u8] {
        self.names.get(self.node(id).name)
    }

    pub(super) fn text(&self, id: NodeId) -> &str {
        self.names.text(self.node(id).name)
    }

    /// The living children of a node, newest first.
    pub fn children(&self, parent: NodeId) -> Children<'_> {
        Children { arena: self, next: self.node(parent).child }
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes of heap owned: exact, from the arenas' capacities. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.index.allocation_size()
            + self.more.capacity() * size_of::<More>()
            + self.names.heap_bytes()
            + self.tags.heap_bytes()
            + self.sketches.allocation_size()
            + self.sketch_bytes
            + self.shapes.heap_bytes()
            + self.moved.capacity() * size_of::<(NodeId, NodeId)>()
    }

    /// What is taken by the nodes that programs are made of, about: processes, their paths, what ran them.
    pub fn program_bytes(&self) -> usize {
        self.program_bytes
    }

    /// How many nodes are kept, the dead included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether all of `other` could be added: nodes, seen records and names are found by 32-bit numbers.
    pub fn fits(&self, other: &Self) -> bool {
        const MAX: usize = i32::MAX as usize;
        let records = self.more.len() + other.more.len();
        // One that is a node's first in the other tree may be a further one here.
        self.len() + other.len() <= MAX && records + other.len() <= MAX && self.names.fits(&other.names)
    }

    /// Whether so many nodes are dead that a rebuild pays for itself.
    pub fn wants_rebuild(&self) -> bool {
        self.dead > 256 && self.dead > self.nodes.len() / 4
    }

    // Hashes. A child's hash is made of its parent's and its name, starting anew at every process and at every
    // group of sockets; so the hash of a path is known without visiting the nodes on the way.

    pub(super) fn scope_hash(&self, scope: NodeId) -> u64 {
        mix(self.seed, u64::from(scope))
    }

    pub(super) fn step(&self, hash: u64, kind: Kind, name: &[u8]) -> u64 {
        Self::step_hashed(hash, kind, self.names.hash(name))
    }

    /// As [`step`](Self::step), with the hash that the name has in the store of names.
    pub(super) fn step_hashed(hash: u64, kind: Kind, name: u64) -> u64 {
        mix(hash ^ kind as u64, name)
    }

    pub(super) fn step_number(hash: u64, kind: Kind, name: u32) -> u64 {
        mix(hash ^ kind as u64, u64::from(name) | 1 << 40)
    }

    /// Whether the hashes of the children of such a node start at the node itself.
    fn is_scope(kind: Kind) -> bool {
        matches!(kind, Kind::Root | Kind::Process | Kind::Sockets)
    }

    pub(super) fn hash_below(&self, id: NodeId) -> u64 {
        if Self::is_scope(self.node(id).kind()) { self.scope_hash(id) } else { self.hash_of(id) }
    }

    /// [`hash_below`](Self::hash_below) of a node whose own hash is known.
    pub(super) fn below(&self, id: NodeId, own: u64) -> u64 {
        if Self::is_scope(self.node(id).kind()) { self.scope_hash(id) } else { own }
    }

    /// The hash of a child of a node, from [`hash_below`](Self::hash_below) of that node.
    pub(super) fn hash_from(&self, below: u64, kind: Kind, name: u32) -> u64 {
        if kind.is_numeric() {
            Self::step_number(below, kind, name)
        } else {
            self.step(below, kind, self.names.get(name))
        }
    }

    /// The hash of a node when nothing on the way to it is known: upwards to the scope, then down again. Not for use
    /// on every node of a path, which would be quadratic in its depth.
    pub(super) fn hash_of(&self, id: NodeId) -> u64 {
        let mut chain = Vec::with_capacity(16);
        let mut at = id;
        loop {
            chain.push(at);
            at = self.node(at).parent;
            if at == NONE || Self::is_scope(self.node(at).kind()) {
                break;
            }
        }
        chain.iter().rev().fold(self.scope_hash(at), |hash, id| {
            let node = self.node(*id);
            self.hash_from(hash, node.kind(), node.name)
        })
    }

    /// The hashes of all nodes, by id, each made from its parent's: O(nodes), however deep they are.
    fn hashes(&self) -> Vec<u64> {
        let mut hashes: Vec<u64> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // A node's id is higher than its parent's.
            let own = hashes.get(node.parent as usize).copied().unwrap_or_default();
            hashes.push(self.hash_from(self.below(node.parent, own), node.kind(), node.name));
        }
        hashes
    }

    /// The node with this hash for which `matches` holds.
    pub(super) fn find(&self, hash: u64, matches: impl Fn(NodeId, &Node) -> bool) -> Option<NodeId> {
        self.index.find(hash, |id| matches(*id, self.node(*id))).copied()
    }

    /// The child of `parent` with this name. `below` is [`hash_below`](Self::hash_below) of the parent.
    pub(super) fn child(&self, parent: NodeId, below: u64, kind: Kind, name: &[u8]) -> Option<NodeId> {
        self.child_hashed(parent, self.step(below, kind, name), kind, name)
    }

    /// As [`child`](Self::child), with the hash of the child itself.
    pub(super) fn child_hashed(&self, parent: NodeId, hash: u64, kind: Kind, name: &[u8]) -> Option<NodeId> {
        self.find(hash, |_, n| n.parent == parent && n.kind() == kind && self.names.get(n.name) == name)
    }

    fn numbered_hashed(&self, parent: NodeId, hash: u64, kind: Kind, name: u32) -> Option<NodeId> {
        self.find(hash, |_, n| n.parent == parent && n.kind() == kind && n.name == name)
    }

    pub(super) fn numbered_child(&self, parent: NodeId, kind: Kind, name: u32) -> Option<NodeId> {
        let hash = Self::step_number(self.hash_below(parent), kind, name);
        self.numbered_hashed(parent, hash, kind, name)
    }

    // Growth.

    /// Adds a node whose hash this is.
    pub(super) fn add(&mut self, parent: NodeId, hash: u64, kind: Kind, name: u32) -> NodeId {
        let id = self.nodes.len() as NodeId;
        if matches!(kind, Kind::Process | Kind::ExecPath | Kind::Interpreter) {
            self.program_bytes += PROGRAM_NODE_BYTES + self.names.get(name).len();
        }
        let mut node = Node::new(kind, parent, name);
        node.next = self.node(parent).child;
        self.node_mut(parent).child = id;
        reserve_tight(&mut self.nodes, 1);
        self.nodes.push(node);
        if self.index.len() == self.index.capacity() {
            let hashes = self.hashes();
            self.index.reserve(1, |id| hashes.get(*id as usize).copied().unwrap_or_default());
        }
        // There is room now, so nobody asks for the hashes of those that are in it.
        self.index.insert_unique(hash, id, |_| 0);
        id
    }

    pub(super) fn add_named(&mut self, parent: NodeId, hash: u64, kind: Kind, name: &[u8]) -> NodeId {
        let name = self.names.intern(name);
        self.add(parent, hash, kind, name)
    }

    /// The child with this name, added if need be and `room` allows it; and whether it was.
    pub(super) fn named_within<E>(
        &mut self,
        parent: NodeId,
        kind: Kind,
        name: &[u8],
        room: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        let hash = self.step(self.hash_below(parent), kind, name);
        match self.child_hashed(parent, hash, kind, name) {
            Some(id) => Ok((id, false)),
            None => room.map(|()| (self.add_named(parent, hash, kind, name), true)),
        }
    }

    /// As [`named_within`](Self::named_within), of a name that is a number.
    pub(super) fn numbered_within<E>(
        &mut self,
        parent: NodeId,
        kind: Kind,
        name: u32,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        let hash = Self::step_number(self.hash_below(parent), kind, name);
        match self.numbered_hashed(parent, hash, kind, name) {
            Some(id) => Ok((id, false)),
            None => room.map(|()| (self.add(parent, hash, kind, name), true)),
        }
    }

    pub(super) fn numbered(&mut self, parent: NodeId, kind: Kind, name: u32) -> (NodeId, bool) {
        let Ok(found) = self.numbered_within(parent, kind, name, ROOM);
        found
    }

    /// Takes a node, whose hash this is, out of the index and marks it dead. It stays in its parent's list until the
    /// next rebuild.
    pub(super) fn kill(&mut self, id: NodeId, hash: u64) {
        if let Ok(entry) = self.index.find_entry(hash, |found| *found == id) {
            entry.remove();
        }
        self.clear_seen(id);
        if let Some(sketch) = self.sketches.remove(&id) {
            self.sketch_bytes -= sketch.heap_bytes();
        }
        if self.node(id).kind() == Kind::Process && self.node(id).has(Flags::VISIBLE) {
            self.stats.process_nodes -= 1;
        }
        self.node_mut(id).set(Flags::DEAD);
        self.dead += 1;
    }

    /// Marks a process and all above it as written.
    pub(super) fn show(&mut self, process: NodeId) {
        let mut at = process;
        while at != NONE {
            let node = self.node_mut(at);
            let parent = node.parent;
            if node.kind() == Kind::Process {
                if !node.set(Flags::VISIBLE) {
                    return;
                }
                self.stats.process_nodes += 1;
            }
            at = parent;
        }
    }

    // Shapes.

    fn shape_hash(&self, parent: NodeId, kind: Kind, pattern: &[u8]) -> u64 {
        self.step(self.scope_hash(parent), kind, pattern)
    }

    /// The hash of another node's shape. Many are asked for in a row, when a table grows.
    fn hash_of_shape(&self, id: NodeId, pattern: &RefCell<Vec<u8>>) -> u64 {
        let Ok(mut pattern) = pattern.try_borrow_mut() else { return 0 };
        shape_into(self.bytes(id), &mut pattern);
        self.shape_hash(self.node(id).parent, self.node(id).kind(), &pattern)
    }

    /// Whether a node is a name below `parent` of this kind and shape.
    pub(super) fn has_shape(&self, id: NodeId, parent: NodeId, kind: Kind, pattern: &[u8]) -> bool {
        let node = self.node(id);
        node.parent == parent && node.kind() == kind && shape_bytes(self.bytes(id)).is_some_and(|own| own == pattern)
    }

    /// Counts a name among those of its shape, `pattern`, beside it; returns how many they are.
    pub(super) fn join_shape(&mut self, id: NodeId, pattern: &[u8]) -> usize {
        let (parent, kind) = (self.node(id).parent, self.node(id).kind());
        let hash = self.shape_hash(parent, kind, pattern);
        let buffer = RefCell::default();
        let mut shapes = std::mem::take(&mut self.shapes);
        let count = shapes.join(
            id,
            hash,
            |other| self.has_shape(other, parent, kind, pattern),
            |other| self.hash_of_shape(other, &buffer),
        );
        self.shapes = shapes;
        count
    }

    /// The names counted for a shape, which are not counted any more then.
    pub(super) fn take_shape(&mut self, parent: NodeId, kind: Kind, pattern: &[u8]) -> Vec<NodeId> {
        let hash = self.shape_hash(parent, kind, pattern);
        let mut shapes = std::mem::take(&mut self.shapes);
        let taken = shapes.take(hash, |other| self.has_shape(other, parent, kind, pattern));
        self.shapes = shapes;
        taken
    }

    // Tags and seen records.

    /// Whether every tag is borne by as many records as it counts; see [`LocalTags::add_up`]. Visits every node.
    pub fn tags_add_up(&self) -> bool {
        let all = 0..self.nodes.len() as NodeId;
        self.tags.add_up(all.flat_map(|id| self.seen(id).map(|(tag, _)| tag)))
    }

    /// As [`tags_add_up`](Self::tags_add_up), for assertions where that would be asked too often of a large tree.
    pub fn tags_seem_to_add_up(&self) -> bool {
        const LOOKED_AT_MAX: usize = 1024;
        self.nodes.len() + self.more.len() > LOOKED_AT_MAX || self.tags_add_up()
    }

    /// The seen records of one node.
    pub fn seen(&self, id: NodeId) -> impl Iterator<Item = (u16, Span)> {
        let node = self.node(id);
        let first = node.is_seen().then_some((node.tag, node.span));
        // A group of sockets counts in `more`, and is never seen.
        let mut next = if node.is_seen() { node.more } else { NONE };
        let more = std::iter::from_fn(move || {
            let record = self.more.get(next as usize)?;
            next = record.next;
            Some((record.tag, record.span))
        });
        first.into_iter().chain(more)
    }

    /// Widens the node's seen record of `tag`; true if there was none.
    pub(super) fn stamp(&mut self, id: NodeId, tag: u16, span: Span) -> bool {
        let node = self.node_mut(id);
        if node.tag == tag {
            node.span = node.span.hull(span);
            return false;
        }
        if node.tag == NO_TAG {
            node.tag = tag;
            node.span = span;
            let kind = node.kind();
            if let Some(count) = self.stats.leaf_mut(kind) {
                *count += 1;
            }
        } else {
            let head = node.more;
            let mut at = head;
            while let Some(record) = self.more.get_mut(at as usize) {
                if record.tag == tag {
                    record.span = record.span.hull(span);
                    return false;
                }
                at = record.next;
            }
            reserve_tight(&mut self.more, 1);
            let new = self.more.len() as u32;
            self.more.push(More { span, next: head, tag });
            self.node_mut(id).more = new;
        }
        self.tags.used(tag);
        true
    }

    /// Takes all seen records from a node. Records beyond the first stay unused until the next rebuild.
    fn clear_seen(&mut self, id: NodeId) {
        let tags: Vec<u16> = self.seen(id).map(|(tag, _)| tag).collect();
        for tag in &tags {
            self.tags.unused(*tag);
        }
        let node = self.node_mut(id);
        node.tag = NO_TAG;
        node.more = NONE;
        let kind = node.kind();
        if let (Some(count), false) = (self.stats.leaf_mut(kind), tags.is_empty()) {
            *count -= 1;
        }
    }

    /// Gives back what is reserved and not used.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.more.shrink_to_fit();
        self.names.shrink();
        self.tags.shrink();
        self.sketches.shrink_to_fit();
        self.moved.shrink_to_fit();
        let hashes = self.hashes();
        self.index.shrink_to_fit(|id| hashes.get(*id as usize).copied().unwrap_or_default());
        let mut shapes = std::mem::take(&mut self.shapes);
        let buffer = RefCell::default();
        shapes.shrink(|id| self.hash_of_shape(id, &buffer));
        self.shapes = shapes;
    }
}

/// Iterator over a node's living children.
pub struct Children<'a> {
    arena: &'a Arena,
    next: NodeId,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        while self.next != NONE {
            let id = self.next;
            let node = self.arena.node(id);
            self.next = node.next;
            if !node.has(Flags::DEAD) {
                return Some(id);
            }
        }
        None
    }
}
