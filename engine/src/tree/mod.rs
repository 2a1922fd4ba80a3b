//! The activity tree: what the processes of one container did, or, merged, those of one image.
//!
//! A [`Tree`] is nodes and nothing else: it can be grown, merged, evicted from, walked. An [`ActivityTree`] is a
//! tree together with the process table of one container; events go in there.
//!
//! | operation | cost |
//! |---|---|
//! | a known event | O(length of its path), no allocation |
//! | a new one | the same, amortised |
//! | [`Tree::merge`], [`Tree::evict_tag`], [`Tree::evict_before`] | O(nodes) |
//! | [`Tree::stats`], [`Tree::heap_bytes`] | O(1) |
//!
//! Not here: which container an event belongs to (`shard`), and what a profile looks like (`profile`).

mod absorb;
mod activity;
mod arena;
#[cfg(test)]
mod crafted;
mod cwds;
mod ended;
mod evict;
mod import;
mod insert;
mod interpreters;
mod leaves;
mod lineage;
mod merge;
mod names;
mod node;
mod peers;
mod pressure;
mod program;
mod refresh;
mod runtime;
mod shapes;
mod tags;
mod texts;

pub use activity::{ActivityTree, unknown_program};
pub(crate) use arena::Sizes;
pub use arena::{Children, ROOT};
pub(crate) use ended::Ended;
pub(crate) use import::{fixed_prefix, learned};
pub use leaves::BehaviourDelta;
pub use lineage::{ExecDecision, ExecPosition, Lineage, Pid, Position, Process, Runs, by};
pub use node::{Flags, Node, NodeId, Role, Span};
pub(crate) use pressure::Level;
pub use pressure::MemoryPressure;
pub use program::{Program, ProgramKey};
pub use tags::LocalTags;
pub use texts::TEXTS_MAX;

pub use crate::behaviour::Stats;

use crate::behaviour::Address;
use crate::intern::TagRef;
use crate::path::Protect;
use arena::{Arena, ShapeKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What decides which behaviours are one node, and how large a tree may get.
#[derive(Clone, Debug)]
pub struct Rules {
    /// More names than this of one shape in one directory become a pattern.
    pub path_fanout: usize,
    /// More addresses than this of one role of socket become networks, and more networks than this become one.
    pub peer_fanout: usize,
    /// The paths that never become patterns.
    pub protect: Protect,
    /// Arguments are part of a program's identity.
    pub differentiate_args: bool,
    /// Programs below programs: from this depth on, a program stands beside the one that ran it.
    pub lineage_depth: usize,
    /// Processes in one container's table.
    pub processes_max: usize,
    /// Bytes of heap that one tree may own before it takes nothing new; an eighth of them are for programs alone.
    pub tree_bytes: usize,
    /// Whether there is memory for more in all trees together.
    pub pressure: MemoryPressure,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            path_fanout: 16,
            peer_fanout: 16,
            protect: Protect::default(),
            differentiate_args: false,
            lineage_depth: 256,
            processes_max: 65_536,
            tree_bytes: 256 << 20,
            pressure: MemoryPressure::default(),
        }
    }
}

/// Why a tree takes nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeFull {
    /// Its own bytes are used up, or those of all trees together.
    #[error("the tree has used up its bytes: raise GROVE_TREE_BYTES or GROVE_MEMORY_MAX")]
    Memory,
    /// It would have more tags than it can number.
    #[error("there would be more than 65,535 tags: take fewer versions together")]
    Tags,
    /// It would have more names or nodes than it can number.
    #[error("there would be more than 4 GiB of names, or 2^31 nodes: take fewer profiles together")]
    Size,
}

/// What processes did, each node stamped with who did it and when.
#[derive(Clone, Debug)]
pub struct Tree {
    arena: Arena,
    rules: Arc<Rules>,
    /// Shapes that have become patterns and still have to absorb their names: directory, role, pattern's name.
    pending: Vec<ShapeKey>,
}

impl Tree {
    /// An empty tree.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { arena: Arena::new(), rules, pending: Vec::new() }
    }

    /// What decides identity here.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Entries, kept as the tree grows.
    pub fn stats(&self) -> Stats {
        self.arena.stats()
    }

    /// Entries, counted anew by walking the whole tree. Equal to [`stats`](Self::stats), always.
    pub fn recount(&self) -> Stats {
        let mut stats = Stats::default();
        let mut stack = vec![ROOT];
        while let Some(id) = stack.pop() {
            let node = self.arena.node(id);
            if let (Some(kind), true) = (self.arena.kind_of(id), node.is_seen()) {
                *stats.of_mut(kind) += 1;
            }
            if node.role() == Role::Process && self.is_active(id) {
                stats.process_nodes += 1;
            }
            stack.extend(self.arena.children(id));
        }
        stats
    }

    /// Whether anything at all was seen of a node or below it.
    fn is_active(&self, top: NodeId) -> bool {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            if self.arena.node(id).is_seen() {
                return true;
            }
            stack.extend(self.arena.children(id));
        }
        false
    }

    /// Bytes of heap owned: exact. O(1).
    pub fn heap_bytes(&self) -> usize {
        self.arena.heap_bytes() + self.pending.capacity() * size_of::<ShapeKey>()
    }

    /// Bytes of heap that hold names: path components, labels, addresses.
    pub fn name_bytes(&self) -> usize {
        self.arena.names.heap_bytes()
    }

    /// [`heap_bytes`](Self::heap_bytes) with every part that is kept incrementally counted anew.
    pub fn recount_bytes(&self) -> usize {
        let sketches: usize = self.arena.sketches.values().map(crate::path::Sketch::heap_bytes).sum();
        self.heap_bytes() - self.arena.sketch_bytes + sketches
    }

    /// Nodes of every role, directories included.
    pub fn node_count(&self) -> usize {
        self.arena.len()
    }

    /// The tags that nodes bear, in order of their text.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.arena.tags.iter().filter(|(_, _, uses)| *uses > 0).map(|(_, tag, _)| tag.text()).collect()
    }

    /// How many tags there are numbers for. O(1).
    pub(crate) fn tag_count(&self) -> usize {
        self.arena.tags.count()
    }

    /// How many seen records bear the tag.
    pub fn tag_uses(&self, tag: &str) -> u64 {
        self.arena.tags.iter().filter(|(_, t, _)| t.text() == tag).map(|(_, _, uses)| u64::from(uses)).sum()
    }

    /// Whether every tag is borne by as many seen records as the tree counts, and the tree holds one reference to
    /// each. True, always; for tests, as it visits every node.
    pub fn tags_add_up(&self) -> bool {
        self.arena.tags_add_up()
    }

    /// The tree's own index of a tag, to be used in calls that follow.
    ///
    /// # Errors
    /// [`TreeFull::Tags`] with 65,535 different tags.
    pub fn local_tag(&mut self, tag: &TagRef) -> Result<u16, TreeFull> {
        self.arena.tags.own(tag).ok_or(TreeFull::Tags)
    }

    /// Lets another tag stand wherever `local` stood: the workload is known at last.
    pub fn rename_tag(&mut self, local: u16, tag: &TagRef) {
        self.arena.tags.rename(local, tag);
    }

    /// How large it is, for [`reserve`](Self::reserve).
    pub(crate) fn sizes(&self) -> Sizes {
        self.arena.sizes()
    }

    /// Makes room for other trees of these sizes before they are merged one by one; [`trim`](Self::trim) afterwards.
    pub(crate) fn reserve(&mut self, sizes: Sizes) {
        self.arena.reserve(sizes);
    }

    /// Gives back most of what was reserved and is not used.
    pub(crate) fn trim(&mut self) {
        self.arena.trim();
    }

    /// Gives back what is reserved and not used.
    pub fn shrink(&mut self) {
        self.arena.shrink();
        self.pending.shrink_to_fit();
    }

    /// What the budget comes to: names are found by 32-bit offsets, however large it is.
    fn budget(&self) -> usize {
        self.rules.tree_bytes.min(u32::MAX as usize)
    }

    /// The part of the budget that only programs may take: no number of files, peers or names displaces one.
    fn programs_budget(&self) -> usize {
        self.budget() / 8
    }

    /// Whether there is room for what programs do.
    fn check_budget(&self) -> Result<(), TreeFull> {
        if self.is_within_budget() && self.rules.pressure.allows_new() { Ok(()) } else { Err(TreeFull::Memory) }
    }

    /// Whether there is room for one more program. Near the bound of all memory there is for nothing else.
    fn check_program_budget(&self) -> Result<(), TreeFull> {
        let budget = self.programs_are_within_budget() && self.rules.pressure.allows_programs();
        if budget { Ok(()) } else { Err(TreeFull::Memory) }
    }

    fn is_within_budget(&self) -> bool {
        self.heap_bytes() < self.budget() - self.programs_budget()
    }

    /// Within the budget, or, should arrays of other things have grown into the part for programs, within that much of
    /// their own.
    fn programs_are_within_budget(&self) -> bool {
        self.heap_bytes() < self.budget() || self.arena.program_bytes() < self.programs_budget()
    }

    /// Whether a program is known to have run under a user id. O(1).
    pub fn has_uid(&self, process: NodeId, uid: u32) -> bool {
        self.arena.numbered_child(process, Role::Uid, uid).is_some()
    }

    // Walking.

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        self.arena.node(id)
    }

    /// A node's living children, in no particular order.
    pub fn children(&self, id: NodeId) -> Children<'_> {
        self.arena.children(id)
    }

    /// When which tag did what a node stands for.
    pub fn seen(&self, id: NodeId) -> impl Iterator<Item = (&TagRef, Span)> {
        self.arena.seen(id).filter_map(|(local, span)| self.arena.tags.get(local).map(|tag| (tag, span)))
    }

    /// The full path, name or address of a leaf or a process.
    pub fn leaf_text(&self, id: NodeId) -> String {
        match self.arena.node(id).role() {
            Role::Peer => self.address(id).to_string(),
            _ => self.path_text(id),
        }
    }

    /// The address of a peer.
    pub fn address(&self, peer: NodeId) -> Address {
        Address::from_bytes(self.arena.names.get(self.arena.node(peer).name))
    }

    /// A process's argv0 and arguments, where they are part of its identity.
    pub fn program_key(&self, process: NodeId) -> ProgramKey {
        ProgramKey::decode(self.arena.text(process))
    }

    /// The names that a learned pattern stands for, if one is part of this leaf's name.
    pub fn sketch_of(&self, leaf: NodeId) -> Option<&crate::path::Sketch> {
        self.arena.sketches.get(&leaf)
    }

    /// The text of one component.
    pub fn component(&self, id: NodeId) -> &str {
        self.arena.text(id)
    }

    /// The same, which is text, as bytes: nothing is looked at to tell so.
    pub(crate) fn component_bytes(&self, id: NodeId) -> &[u8] {
        self.arena.bytes(id)
    }

    /// A hash of everything the tree knows, and of nothing else: not of ids, order or capacity. Of this process alone.
    pub fn structural_hash(&self) -> u64 {
        use std::hash::BuildHasher;
        let hasher = crate::hash::Keyed::default();
        let mut sum = 0_u64;
        let mut stack = vec![(ROOT, 0_u64)];
        while let Some((id, above)) = stack.pop() {
            let node = self.arena.node(id);
            let role = node.role();
            let name: &[u8] = if role.is_numeric() || role == Role::Root {
                &node.name.to_le_bytes()
            } else {
                self.arena.names.get(node.name)
            };
            let bits = node.flags().and(Flags::PAYLOAD.or(Flags::LEARNED).or(Flags::VISIBLE));
            let own = hasher.hash_one((above, role as u8, name, format!("{bits:?}")));
            for (tag, span) in self.seen(id) {
                sum = sum.wrapping_add(hasher.hash_one((own, tag.text(), span.first, span.last)));
            }
            if let Some(sketch) = self.sketch_of(id) {
                sum = sum.wrapping_add(hasher.hash_one((own, sketch.exemplars(), sketch.distinct())));
            }
            sum = sum.wrapping_add(own);
            stack.extend(self.arena.children(id).map(|child| (child, own)));
        }
        sum
    }
}
