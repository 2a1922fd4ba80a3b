//! The programs of a container that no profile has, or none yet.

use crate::hash::Keyed;
use crate::tree::{NodeId, Program, unknown_program};
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// How many there can be of one container that are topmost, and as many below them.
const PROGRAMS_MAX: usize = 65_536;

/// Bytes of the paths and arguments of either.
const PROGRAM_BYTES_MAX: usize = 16 << 20;

/// Programs below one topmost one, and findings that tell of those of them that are grave, and of the others: what comes
/// of one program is not to take the room of what comes of others.
const BELOW_MAX: u32 = 4096;

/// What stands for a program: one of the profile, or one that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ran {
    Known(NodeId),
    /// By its number in [`Programs`].
    Novel(u32),
}

/// A program that is not of the profile.
#[derive(Clone, Debug)]
pub(super) struct Novel {
    /// What ran it; nothing for a root.
    pub parent: Option<Ran>,
    pub program: Program,
    /// Programs from its root down to it.
    pub depth: usize,
    /// What the profile has for it after all: of a checker that may yet be bound to another profile.
    pub node: Option<NodeId>,
    /// The number of the first program above it that no profile has and that is told; its own, if it is that one.
    topmost: u32,
    /// Of a topmost one: how many are below it, the last of them, and how many findings tell of them, grave and others.
    below: u32,
    last_below: u32,
    grave_below: u32,
    others_below: u32,
}

/// Programs by their numbers, each once. A parent's number is lower than its children's.
#[derive(Debug, Default)]
pub(super) struct Programs {
    list: Vec<Novel>,
    index: HashTable<u32>,
    topmost: Share,
    below: Share,
    hasher: Keyed,
}

/// How many there are, of which the last, and bytes of their texts.
#[derive(Debug, Default)]
struct Share {
    count: usize,
    last: u32,
    bytes: usize,
}

impl Share {
    fn has_room(&self, bytes: usize) -> bool {
        self.count == 0 || self.count < PROGRAMS_MAX && self.bytes + bytes <= PROGRAM_BYTES_MAX
    }
}

impl Programs {
    pub fn get(&self, number: u32) -> Option<&Novel> {
        self.list.get(number as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Novel> {
        self.list.iter()
    }

    fn hash(hasher: &Keyed, parent: Option<Ran>, program: &Program) -> u64 {
        hasher.hash_one((parent, &program.path, &program.key))
    }

    /// The number of a program below another one, if it has one.
    pub fn find(&self, parent: Option<Ran>, program: &Program) -> Option<u32> {
        let is_it = |n: &u32| self.get(*n).is_some_and(|known| known.parent == parent && known.program == *program);
        self.index.find(Self::hash(&self.hasher, parent, program), is_it).copied()
    }

    /// Numbers a program that has none. When there are too many, the last one of its sort stands for the rest. Which
    /// are below one that is told is known only if what the profile has is (`told`).
    pub fn add(
        &mut self,
        parent: Option<Ran>,
        program: &Program,
        depth: usize,
        node: Option<NodeId>,
        told: bool,
    ) -> u32 {
        let bytes = program.path.len() + program.key.len();
        let number = self.list.len() as u32;
        let above = parent.filter(|_| told).and_then(|parent| self.topmost(parent));
        let (full, last) = match above.and_then(|above| self.get(above)) {
            Some(top) if top.below == 0 => (!self.below.has_room(bytes), top.topmost),
            Some(top) => (!self.below.has_room(bytes) || top.below >= BELOW_MAX, top.last_below),
            None => (!self.topmost.has_room(bytes), self.topmost.last),
        };
        if full {
            return last;
        }
        let share = if above.is_some() { &mut self.below } else { &mut self.topmost };
        share.count += 1;
        share.last = number;
        share.bytes += bytes;
        if let Some(top) = above.and_then(|above| self.list.get_mut(above as usize)) {
            top.below += 1;
            top.last_below = number;
        }
        let hash = Self::hash(&self.hasher, parent, program);
        let topmost = above.unwrap_or(number);
        let program = program.clone();
        self.list.push(Novel {
            parent,
            program,
            depth,
            node,
            topmost,
            below: 0,
            last_below: 0,
            grave_below: 0,
            others_below: 0,
        });
        let Self { list, index, hasher, .. } = self;
        index.insert_unique(hash, number, |n| {
            list.get(*n as usize).map_or(0, |known| Self::hash(hasher, known.parent, &known.program))
        });
        number
    }

    /// The topmost program that is told of those that led to one, itself included. Nothing tells of an unknown one.
    fn topmost(&self, ran: Ran) -> Option<u32> {
        let Ran::Novel(number) = ran else { return None };
        let novel = self.get(number)?;
        (novel.parent.is_some() || novel.program != unknown_program()).then_some(novel.topmost)
    }

    /// Whether a program is below one that is told.
    pub fn is_below(&self, ran: Ran) -> bool {
        matches!(ran, Ran::Novel(number) if self.get(number).is_some_and(|novel| novel.topmost != number))
    }

    /// Whether one more finding, a grave one or not, may tell of a program below the topmost one of this.
    pub fn may_tell_below(&self, ran: Ran, grave: bool) -> bool {
        let top = self.topmost(ran).and_then(|top| self.get(top));
        top.is_none_or(|top| if grave { top.grave_below } else { top.others_below } < BELOW_MAX)
    }

    /// One more finding tells of a program below another one.
    pub fn told_below(&mut self, ran: Ran, grave: bool) {
        if let Some(top) = self.topmost(ran).and_then(|top| self.list.get_mut(top as usize)) {
            *if grave { &mut top.grave_below } else { &mut top.others_below } += 1;
        }
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Novel>() + self.index.allocation_size() + self.topmost.bytes + self.below.bytes
    }
}
