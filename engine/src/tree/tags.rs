//! The tags of one tree: one reference to the interner per tag, however many records bear it.
//!
//! An event comes here with the tree's own number of its tag, a `u16`; so no event touches a count that another
//! thread touches. Counts are of seen records; the sum rule ([`LocalTags::add_up`]) ties both levels together.

use crate::hash::{Keyed, NumberMap};
use crate::intern::TagRef;
use hashbrown::HashTable;

/// How many tags a tree can tell apart: one number means "none".
const TAGS_MAX: usize = u16::MAX as usize;
/// With more tags than this they are found by an index; up to it, looking at each is as quick and takes nothing.
const FEW: usize = 4;

/// The tags of a tree by their own numbers.
#[derive(Clone, Debug, Default)]
pub struct LocalTags {
    tags: Vec<Option<TagRef>>,
    /// How many records bear each. Apart, since an event needs nothing else.
    uses: Vec<u32>,
    /// Numbers below the length of `tags` that stand for nothing.
    holes: Vec<u16>,
    /// Numbers by the tag's text, once there are more than a [`FEW`]. Not by its id, which means nothing to another
    /// interner: a tree may be merged with one whose tags are of another.
    pub(super) index: HashTable<u16>,
    pub(super) hasher: Keyed,
}

impl LocalTags {
    /// The number of a tag, new if need be; none when there are no numbers left. A tag is kept even while no
    /// record bears it, until [`release_unused`](Self::release_unused).
    pub fn own(&mut self, tag: &TagRef) -> Option<u16> {
        if let Some(local) = self.find(tag.text()) {
            return Some(local);
        }
        let new = Some(tag.clone());
        let local = match self.holes.pop() {
            Some(hole) => {
                if let Some(place) = self.tags.get_mut(hole as usize) {
                    *place = new;
                }
                hole
            }
            None if self.tags.len() < TAGS_MAX => {
                self.tags.push(new);
                self.uses.push(0);
                (self.tags.len() - 1) as u16
            }
            None => return None,
        };
        if self.tags.len() > FEW {
            if self.index.is_empty() {
                self.reindex();
            } else {
                self.enter(local);
            }
        }
        Some(local)
    }

    fn reindex(&mut self) {
        self.index.clear();
        if self.tags.len() > FEW {
            for local in 0..self.tags.len() {
                self.enter(local as u16);
            }
        }
    }

    fn enter(&mut self, local: u16) {
        let Self { tags, index, hasher, .. } = self;
        let hash = |local: &u16| tags.get(*local as usize)?.as_ref().map(|tag| hasher.bytes(tag.text().as_bytes()));
        if let Some(own) = hash(&local) {
            index.insert_unique(own, local, |local| hash(local).unwrap_or_default());
        }
    }

    /// The tag of a number.
    pub fn get(&self, local: u16) -> Option<&TagRef> {
        self.tags.get(local as usize)?.as_ref()
    }

    /// The number of a tag, by its text.
    pub fn find(&self, text: &str) -> Option<u16> {
        let is_it = |local: &u16| self.get(*local).is_some_and(|tag| tag.is(text));
        if self.index.is_empty() {
            return (0..self.tags.len() as u16).find(is_it);
        }
        self.index.find(self.hasher.bytes(text.as_bytes()), is_it).copied()
    }

    /// Lets another tag stand wherever `local` stood. The tree must not have that other tag yet.
    pub fn rename(&mut self, local: u16, tag: &TagRef) {
        debug_assert!(self.find(tag.text()).is_none_or(|at| at == local), "a tree has one number per tag");
        if let Some(Some(own)) = self.tags.get_mut(local as usize) {
            *own = tag.clone();
            self.reindex();
        }
    }

    /// One more record bears the tag.
    pub fn used(&mut self, local: u16) {
        if let Some(uses) = self.uses.get_mut(local as usize) {
            *uses += 1;
        }
    }

    /// One record fewer bears the tag.
    pub fn unused(&mut self, local: u16) {
        if let Some(uses) = self.uses.get_mut(local as usize) {
            *uses -= 1;
        }
    }

    /// Drops the references of tags that no record bears.
    pub fn release_unused(&mut self) {
        for (tag, uses) in self.tags.iter_mut().zip(&self.uses) {
            if *uses == 0 {
                *tag = None;
            }
        }
        while self.tags.last().is_some_and(Option::is_none) {
            self.tags.pop();
        }
        self.uses.truncate(self.tags.len());
        let numbered = self.tags.iter().enumerate();
        self.holes = numbered.filter_map(|(i, t)| t.is_none().then_some(i as u16)).collect();
        self.reindex();
    }

    /// The tags with their numbers and how many records bear them.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &TagRef, u32)> {
        let numbered = self.tags.iter().zip(&self.uses).enumerate();
        numbered.filter_map(|(local, (tag, uses))| Some((local as u16, tag.as_ref()?, *uses)))
    }

    /// How many there are numbers for.
    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.tags.capacity() * size_of::<Option<TagRef>>()
            + self.uses.capacity() * size_of::<u32>()
            + self.holes.capacity() * size_of::<u16>()
            + self.index.allocation_size()
    }

    /// Gives back what is reserved and not used.
    pub fn shrink(&mut self) {
        self.tags.shrink_to_fit();
        self.uses.shrink_to_fit();
        self.holes.shrink_to_fit();
        let Self { tags, index, hasher, .. } = self;
        let hash = |local: &u16| tags.get(*local as usize)?.as_ref().map(|tag| hasher.bytes(tag.text().as_bytes()));
        index.shrink_to_fit(|local| hash(local).unwrap_or_default());
    }

    /// The sum rule: every tag is borne by as many records as it counts, `records` being the numbers that all
    /// records of the tree bear; and no tag has two numbers, so the tree holds one reference to each.
    pub fn add_up(&self, records: impl Iterator<Item = u16>) -> bool {
        let mut counted: NumberMap<u16, u32> = NumberMap::default();
        for local in records {
            *counted.entry(local).or_default() += 1;
        }
        let agree = self.iter().all(|(local, _, uses)| counted.remove(&local).unwrap_or(0) == uses);
        let mut texts: Vec<&str> = self.iter().map(|(_, tag, _)| tag.text()).collect();
        texts.sort_unstable();
        agree && counted.is_empty() && texts.windows(2).all(|pair| pair.first() != pair.last())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::intern::Interner;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of what every record bears.
        #[test]
        fn one_reference_per_tag_and_one_use_per_record(steps in proptest::collection::vec((0..7_u8, 0..40_u8), 1..300)) {
            let interner = Interner::new();
            let mut tags = LocalTags::default();
            let mut records: Vec<u16> = Vec::new();
            for (step, n) in steps {
                match step {
                    0..3 => {
                        let local = tags.own(&interner.intern(&n.to_string()).unwrap()).unwrap();
                        prop_assert_eq!(tags.get(local).unwrap().text(), n.to_string());
                        tags.used(local);
                        records.push(local);
                    }
                    3..5 if !records.is_empty() => {
                        let gone = records.swap_remove(usize::from(n) % records.len());
                        tags.unused(gone);
                    }
                    5 => tags.shrink(),
                    _ => {
                        tags.release_unused();
                        prop_assert_eq!(interner.len(), tags.iter().count());
                    }
                }
                prop_assert!(tags.add_up(records.iter().copied()));
                prop_assert_eq!(tags.uses.len(), tags.tags.len());
                prop_assert!(interner.dump().iter().all(|(_, _, references)| *references == 1));
                prop_assert!(tags.iter().all(|(local, tag, _)| tags.find(tag.text()) == Some(local)));
            }
            drop(tags);
            prop_assert!(interner.is_empty());
        }
    }

    #[test]
    fn a_tag_that_is_renamed_is_found_by_its_new_name() {
        let interner = Interner::new();
        let mut tags = LocalTags::default();
        for n in 0..3 * FEW {
            tags.own(&interner.intern(&n.to_string()).unwrap());
        }
        for n in 0..3 * FEW {
            let new = interner.intern(&format!("new {n}")).unwrap();
            tags.rename(n as u16, &new);
            assert_eq!((tags.find(new.text()), tags.find(&n.to_string())), (Some(n as u16), None));
        }
        tags.shrink();
        assert!((0..3 * FEW).all(|n| tags.find(&format!("new {n}")) == Some(n as u16)));
    }

    #[test]
    fn a_tree_of_very_many_tags_says_when_it_has_no_number_left() {
        let interner = Interner::new();
        let mut tags = LocalTags::default();
        for n in 0..TAGS_MAX {
            let tag = interner.intern(&n.to_string()).unwrap();
            assert_eq!(tags.own(&tag), Some(n as u16));
            tags.used(n as u16);
        }
        let one_more = interner.intern("one more").unwrap();
        assert_eq!(tags.own(&one_more), None);
        tags.unused(7);
        tags.release_unused();
        assert_eq!(tags.own(&one_more), Some(7));
    }

    #[test]
    fn what_does_not_add_up_is_seen() {
        let interner = Interner::new();
        let mut tags = LocalTags::default();
        let a = tags.own(&interner.intern("a").unwrap()).unwrap();
        tags.used(a);
        assert!(tags.add_up([a].into_iter()));
        for wrong in [vec![], vec![a, a], vec![a, 9]] {
            assert!(!tags.add_up(wrong.into_iter()));
        }
    }
}
