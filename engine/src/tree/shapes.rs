//! Which names of one directory have one shape, for as long as they are too few to become a pattern.
//!
//! Most shapes have a single name (`libssl.so.3` is the only `libssl.so.*`), and large trees have many of those; so a
//! shape is four bytes in a hash table, a node that has it, until a second name comes. Only then there is a list.
//! What a node's shape is, the table asks its caller.

use super::names::reserve_by_an_eighth_of;
use super::node::{NONE, NodeId};
use hashbrown::HashTable;

/// An entry with this bit is the index of a list; one without is the only node. A tree that has so many nodes would
/// own 80 GiB of them.
const LIST: u32 = 1 << 31;

/// A link of a list: a node and the next link. A list's head, instead: how many links there are, and the first.
#[derive(Clone, Copy, Debug)]
struct Link {
    value: u32,
    next: u32,
}

/// Sets of nodes by parent and shape.
#[derive(Clone, Debug)]
pub struct Shapes {
    index: HashTable<u32>,
    links: Vec<Link>,
    /// Links that are not in use.
    free: u32,
}

impl Default for Shapes {
    fn default() -> Self {
        Self { index: HashTable::new(), links: Vec::new(), free: NONE }
    }
}

impl Shapes {
    fn link(&self, at: u32) -> Link {
        self.links.get(at as usize).copied().unwrap_or(Link { value: 0, next: NONE })
    }

    /// A node that is in the set of an entry.
    fn sample(&self, entry: u32) -> NodeId {
        if entry & LIST == 0 { entry } else { self.link(self.link(entry & !LIST).next).value }
    }

    fn new_link(&mut self, link: Link) -> u32 {
        let at = self.free;
        if let Some(slot) = self.links.get_mut(at as usize) {
            self.free = slot.next;
            *slot = link;
            return at;
        }
        reserve_by_an_eighth_of(&mut self.links, 1);
        self.links.push(link);
        (self.links.len() - 1) as u32
    }

    /// Adds a node to those of its shape and tells how many they are now. `hash` is that of its shape, `same` whether
    /// another node has it, `hash_of` another node's.
    pub fn join(
        &mut self,
        node: NodeId,
        hash: u64,
        same: impl Fn(NodeId) -> bool,
        hash_of: impl Fn(NodeId) -> u64,
    ) -> usize {
        let mut index = std::mem::take(&mut self.index);
        let count = match index.find_mut(hash, |entry| same(self.sample(*entry))) {
            None => {
                index.insert_unique(hash, node, |entry| hash_of(self.sample(*entry)));
                1
            }
            Some(entry) if *entry & LIST == 0 => {
                let first = self.new_link(Link { value: *entry, next: NONE });
                let second = self.new_link(Link { value: node, next: first });
                *entry = self.new_link(Link { value: 2, next: second }) | LIST;
                2
            }
            Some(entry) => {
                let head = *entry & !LIST;
                let link = self.new_link(Link { value: node, next: self.link(head).next });
                match self.links.get_mut(head as usize) {
                    Some(head) => {
                        *head = Link { value: head.value + 1, next: link };
                        head.value as usize
                    }
                    None => 0,
                }
            }
        };
        self.index = index;
        count
    }

    /// Takes out all nodes of a shape.
    pub fn take(&mut self, hash: u64, same: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let mut index = std::mem::take(&mut self.index);
        let found = match index.find_entry(hash, |entry| same(self.sample(*entry))) {
            Ok(entry) => Some(entry.remove().0),
            Err(_) => None,
        };
        self.index = index;
        let Some(entry) = found else { return Vec::new() };
        if entry & LIST == 0 {
            return vec![entry];
        }
        let head = entry & !LIST;
        let mut nodes = Vec::with_capacity(self.link(head).value as usize);
        let (mut last, mut at) = (head, self.link(head).next);
        while at != NONE {
            let link = self.link(at);
            nodes.push(link.value);
            (last, at) = (at, link.next);
        }
        // The whole list, its head included, goes before the free ones.
        if let Some(link) = self.links.get_mut(last as usize) {
            link.next = self.free;
            self.free = head;
        }
        nodes
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.index.allocation_size() + self.links.capacity() * size_of::<Link>()
    }

    /// Gives back what is reserved and not used.
    pub fn shrink(&mut self, hash_of: impl Fn(NodeId) -> u64) {
        self.links.shrink_to_fit();
        let mut index = std::mem::take(&mut self.index);
        index.shrink_to_fit(|entry| hash_of(self.sample(*entry)));
        self.index = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// In these tests a node's shape is its last digit.
    fn hash_of(node: NodeId) -> u64 {
        u64::from(node % 10).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn same(shape: u32) -> impl Fn(NodeId) -> bool {
        move |node| node % 10 == shape
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(NodeId),
        Take(u32),
        Shrink,
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_sets(
            steps in prop::collection::vec(
                prop_oneof![
                    8 => (0..1000_u32).prop_map(Step::Join),
                    2 => (0..10_u32).prop_map(Step::Take),
                    1 => Just(Step::Shrink),
                ],
                0..200,
            ),
        ) {
            let (mut shapes, mut model) = (Shapes::default(), BTreeMap::<u32, Vec<NodeId>>::new());
            for step in steps {
                match step {
                    Step::Join(node) => {
                        let known = model.entry(node % 10).or_default();
                        if !known.contains(&node) {
                            known.push(node);
                            prop_assert_eq!(shapes.join(node, hash_of(node), same(node % 10), hash_of), known.len());
                        }
                    }
                    Step::Take(shape) => {
                        let mut taken = shapes.take(hash_of(shape), same(shape));
                        taken.sort_unstable();
                        let mut expected = model.remove(&shape).unwrap_or_default();
                        expected.sort_unstable();
                        prop_assert_eq!(taken, expected);
                    }
                    Step::Shrink => shapes.shrink(hash_of),
                }
                let most = model.values().map(|nodes| nodes.len() + 1).sum::<usize>();
                prop_assert!(shapes.links.len() <= 1000 + most);
            }
        }
    }
}
