//! The programs of a container that no profile has, or none yet.

use crate::hash::Keyed;
use crate::tree::{NodeId, Program};
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// How many there can be of one container.
const PROGRAMS_MAX: usize = 65_536;

/// Bytes of their paths and arguments.
const PROGRAM_BYTES_MAX: usize = 16 << 20;

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
}

/// Programs by their numbers, each once. A parent's number is lower than its children's.
#[derive(Debug, Default)]
pub(super) struct Programs {
    list: Vec<Novel>,
    index: HashTable<u32>,
    bytes: usize,
    hasher: Keyed,
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

    /// Numbers a program that has none. When there are too many, the last one stands for the rest.
    pub fn add(&mut self, novel: Novel) -> u32 {
        let bytes = novel.program.path.len() + novel.program.key.len();
        if !self.list.is_empty() && (self.list.len() >= PROGRAMS_MAX || self.bytes + bytes > PROGRAM_BYTES_MAX) {
            return self.list.len() as u32 - 1;
        }
        let number = self.list.len() as u32;
        let hash = Self::hash(&self.hasher, novel.parent, &novel.program);
        self.bytes += bytes;
        self.list.push(novel);
        let Self { list, index, hasher, .. } = self;
        index.insert_unique(hash, number, |n| {
            list.get(*n as usize).map_or(0, |known| Self::hash(hasher, known.parent, &known.program))
        });
        number
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Novel>() + self.index.allocation_size() + self.bytes
    }
}
