//! The body of a tree: nodes, the index that finds a child by its name, seen records and the tree's own tags.
//!
//! Everything that changes a tree goes through here, so counts and bytes are kept in one place. What a path,
//! a socket or a program means is for the files beside this one.

mod hashes;

use super::names::{NameStore, reserve_by_an_eighth_of, trim};
use super::node::{Flags, NO_TAG, NONE, Node, NodeId, Role, Span};
use super::shapes::Shapes;
use super::tags::LocalTags;
use crate::behaviour::{Kind as BehaviourKind, SocketKey, Stats};
use crate::hash::{Keyed, NumberMap, Run};
use crate::path::{Sketch, shape_bytes, shape_into};
use hashbrown::HashTable;
use std::cell::RefCell;
use std::convert::Infallible;

/// The room of what is bounded by what it takes in, such as a merge: there always is some.
pub(super) const UNLIMITED: Result<(), Infallible> = Ok(());

/// The node every root process hangs from.
pub const ROOT: NodeId = 0;

/// A seen record beyond a node's first.
#[derive(Clone, Copy, Debug)]
struct SeenRecord {
    span: Span,
    next: u32,
    tag: u16,
}

/// A shape: the directory, the role of names (what a process runs and what it opens may be called alike), and the
/// pattern's name.
pub(super) type ShapeKey = (NodeId, Role, u32);

/// A node and what its hash in the index is made of, which that of a longer path goes on from.
pub(super) type Hashed = (NodeId, Run);

/// How large the lists of a tree, or of several, are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    nodes: usize,
    more: usize,
    text: usize,
    names: usize,
}

impl std::ops::AddAssign for Sizes {
    fn add_assign(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.more += other.more;
        self.text += other.text;
        self.names += other.names;
    }
}

/// Nodes of one tree and what hangs on them.
#[derive(Clone, Debug)]
pub struct Arena {
    nodes: Vec<Node>,
    pub(super) index: HashTable<NodeId>,
    more: Vec<SeenRecord>,
    pub(super) names: NameStore,
    pub(super) tags: LocalTags,
    pub(super) sketches: NumberMap<NodeId, Sketch>,
    pub(super) sketch_bytes: usize,
    shapes: Shapes,
    /// Processes that were merged away, in order: (from, to). The owner of process tables takes them.
    pub(super) moved: Vec<(NodeId, NodeId)>,
    stats: Stats,
    dead: usize,
    program_bytes: usize,
    pub(super) hasher: Keyed,
}

/// What a node of a program takes beside its name, about: itself, and its share of the tables that find it.
const PROGRAM_NODE_BYTES: usize = 80;

impl Arena {
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::new(Role::Root, NONE, NONE)],
            index: HashTable::new(),
            more: Vec::new(),
            names: NameStore::default(),
            tags: LocalTags::default(),
            sketches: NumberMap::default(),
            sketch_bytes: 0,
            shapes: Shapes::default(),
            moved: Vec::new(),
            stats: Stats::default(),
            dead: 0,
            program_bytes: 0,
            hasher: Keyed::default(),
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
            + self.more.capacity() * size_of::<SeenRecord>()
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

    /// The node with this path for which `matches` holds.
    pub(super) fn find(&self, run: Run, matches: impl Fn(NodeId, &Node) -> bool) -> Option<NodeId> {
        self.index.find(self.hasher.finish(run), |id| matches(*id, self.node(*id))).copied()
    }

    /// The child of `parent` with this name, whose path is `run`.
    pub(super) fn child(&self, parent: NodeId, run: Run, role: Role, name: &[u8]) -> Option<NodeId> {
        self.find(run, |_, n| n.parent == parent && n.is(role) && self.names.get(n.name) == name)
    }

    /// The child of another role than `parent` with this name.
    pub(super) fn first_child(&self, parent: NodeId, role: Role, name: &[u8]) -> Option<NodeId> {
        self.child(parent, self.first(parent, role, name), role, name)
    }

    pub(super) fn numbered_child(&self, parent: NodeId, role: Role, name: u32) -> Option<NodeId> {
        let run = self.first_number(parent, role, name);
        self.find(run, |_, n| n.parent == parent && n.is(role) && n.name == name)
    }

    /// The kind of behaviour that a leaf stands for.
    pub(super) fn kind_of(&self, leaf: NodeId) -> Option<BehaviourKind> {
        let mut at = leaf;
        // A path below a group has its kind from that.
        while self.node(at).role() == Role::Component {
            at = self.node(at).parent;
        }
        match self.node(at).role() {
            Role::FilePath => Some(BehaviourKind::File),
            Role::DnsLabel => Some(BehaviourKind::Dns),
            Role::Peer => self.kind_of(self.node(at).parent),
            Role::Sockets if SocketKey::unpack(self.node(at).name).denied => Some(BehaviourKind::Denied),
            Role::Sockets => Some(BehaviourKind::Socket),
            Role::Syscall => Some(BehaviourKind::Syscall),
            Role::Capability => Some(BehaviourKind::Capability),
            Role::Group => self.bytes(at).first().and_then(|kind| BehaviourKind::ALL.get(usize::from(*kind))).copied(),
            Role::Root | Role::Process | Role::ExecPath | Role::Component | Role::Uid | Role::Detail | Role::Text => {
                None
            }
        }
    }

    // Growth.

    /// Adds a node whose path this is.
    pub(super) fn add(&mut self, parent: NodeId, run: Run, role: Role, name: u32) -> NodeId {
        let id = self.nodes.len() as NodeId;
        if matches!(role, Role::Process | Role::ExecPath)
            || role == Role::Text && self.node(parent).role() == Role::Process
        {
            self.program_bytes += PROGRAM_NODE_BYTES + self.names.get(name).len();
        }
        let mut node = Node::new(role, parent, name);
        node.next = self.node(parent).child;
        self.node_mut(parent).child = id;
        reserve_by_an_eighth_of(&mut self.nodes, 1);
        self.nodes.push(node);
        if self.index.len() == self.index.capacity() {
            let hashes = self.hashes();
            self.index.reserve(1, |id| hashes.get(*id as usize).copied().unwrap_or_default());
        }
        // There is room now, so nobody asks for the hashes of those that are in it.
        self.index.insert_unique(self.hasher.finish(run), id, |_| 0);
        id
    }

    pub(super) fn add_named(&mut self, parent: NodeId, run: Run, role: Role, name: &[u8]) -> NodeId {
        let name = self.names.intern(name);
        self.add(parent, run, role, name)
    }

    /// The child of another role with this name, added if need be and `budget` allows it; and whether it was.
    pub(super) fn get_or_insert_named<E>(
        &mut self,
        parent: NodeId,
        role: Role,
        name: &[u8],
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        let run = self.first(parent, role, name);
        match self.child(parent, run, role, name) {
            Some(id) => Ok((id, false)),
            None => budget.map(|()| (self.add_named(parent, run, role, name), true)),
        }
    }

    /// As [`get_or_insert_named`](Self::get_or_insert_named), of a name that is a number.
    pub(super) fn get_or_insert_numbered<E>(
        &mut self,
        parent: NodeId,
        role: Role,
        name: u32,
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        match self.numbered_child(parent, role, name) {
            Some(id) => Ok((id, false)),
            None => budget.map(|()| (self.add(parent, self.first_number(parent, role, name), role, name), true)),
        }
    }

    pub(super) fn numbered(&mut self, parent: NodeId, role: Role, name: u32) -> (NodeId, bool) {
        let Ok(found) = self.get_or_insert_numbered(parent, role, name, UNLIMITED);
        found
    }

    /// Takes a node out of the index and marks it dead. It stays in its parent's list until the next rebuild.
    pub(super) fn remove_node(&mut self, (id, run): Hashed) {
        if let Ok(entry) = self.index.find_entry(self.hasher.finish(run), |found| *found == id) {
            entry.remove();
        }
        self.clear_seen(id);
        if let Some(sketch) = self.sketches.remove(&id) {
            self.sketch_bytes -= sketch.heap_bytes();
        }
        if self.node(id).role() == Role::Process && self.node(id).has(Flags::VISIBLE) {
            self.stats.process_nodes -= 1;
        }
        self.node_mut(id).set(Flags::DEAD);
        self.dead += 1;
    }

    /// Marks a process and all above it as written.
    pub(super) fn mark_visible(&mut self, process: NodeId) {
        let mut at = process;
        while at != NONE {
            let node = self.node_mut(at);
            let parent = node.parent;
            if node.role() == Role::Process {
                if !node.set(Flags::VISIBLE) {
                    return;
                }
                self.stats.process_nodes += 1;
            }
            at = parent;
        }
    }

    // Shapes.

    fn shape_hash(&self, parent: NodeId, role: Role, pattern: &[u8]) -> u64 {
        self.hasher.finish(self.first(parent, role, pattern))
    }

    /// The hash of another node's shape. Many are asked for in a row, when a table grows.
    fn hash_of_shape(&self, id: NodeId, pattern: &RefCell<Vec<u8>>) -> u64 {
        let Ok(mut pattern) = pattern.try_borrow_mut() else { return 0 };
        shape_into(self.bytes(id), &mut pattern);
        self.shape_hash(self.node(id).parent, self.node(id).role(), &pattern)
    }

    /// Whether a node is a name below `parent` of this role and shape.
    pub(super) fn has_shape(&self, id: NodeId, parent: NodeId, role: Role, pattern: &[u8]) -> bool {
        let node = self.node(id);
        node.parent == parent && node.role() == role && shape_bytes(self.bytes(id)).is_some_and(|own| own == pattern)
    }

    /// Counts a name among those of its shape, `pattern`, beside it; returns how many they are.
    pub(super) fn join_shape(&mut self, id: NodeId, pattern: &[u8]) -> usize {
        let (parent, role) = (self.node(id).parent, self.node(id).role());
        let hash = self.shape_hash(parent, role, pattern);
        let buffer = RefCell::default();
        let mut shapes = std::mem::take(&mut self.shapes);
        let count = shapes.join(
            id,
            hash,
            |other| self.has_shape(other, parent, role, pattern),
            |other| self.hash_of_shape(other, &buffer),
        );
        self.shapes = shapes;
        count
    }

    /// The names counted for a shape, which are not counted any more then.
    pub(super) fn remove_shape(&mut self, parent: NodeId, role: Role, pattern: &[u8]) -> Vec<NodeId> {
        let hash = self.shape_hash(parent, role, pattern);
        let mut shapes = std::mem::take(&mut self.shapes);
        let taken = shapes.take(hash, |other| self.has_shape(other, parent, role, pattern));
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
        // The node of a socket's peers counts in `more`, and is never seen.
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
            if let Some(kind) = self.kind_of(id) {
                *self.stats.of_mut(kind) += 1;
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
            reserve_by_an_eighth_of(&mut self.more, 1);
            let new = self.more.len() as u32;
            self.more.push(SeenRecord { span, next: head, tag });
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
        if let (Some(kind), false) = (self.kind_of(id), tags.is_empty()) {
            *self.stats.of_mut(kind) -= 1;
        }
    }

    /// How large the lists are.
    pub(super) fn sizes(&self) -> Sizes {
        let (text, names) = self.names.sizes();
        Sizes { nodes: self.nodes.len(), more: self.more.len(), text, names }
    }

    /// Makes room in the lists for all of other trees at once. Growing by an eighth copies a list that doubles six times,
    /// and an allocator gives none of it back at once; what is reserved and not used takes no memory but in name.
    pub(super) fn reserve(&mut self, sizes: Sizes) {
        let Sizes { nodes, more, text, names } = sizes;
        // Where that cannot be had, they grow as they do else.
        let _ = self.nodes.try_reserve_exact(nodes);
        let _ = self.more.try_reserve_exact(more);
        self.names.reserve((text, names));
    }

    /// Gives back most of what is reserved in lists and not used.
    pub(super) fn trim(&mut self) {
        trim(&mut self.nodes);
        trim(&mut self.more);
        self.names.trim();
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

impl std::fmt::Debug for Children<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Children").field("next", &self.next).finish_non_exhaustive()
    }
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
