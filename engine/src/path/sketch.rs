//! A bounded sample of a set of names that also tells how large the set is.
//!
//! The k-minimum-values sketch (Bar-Yossef et al., "Counting distinct elements in a data stream", 2002): of
//! all names seen, those with the k smallest hashes are kept. Which ones that are depends on the set alone,
//! not on order or grouping; and the denser they sit, the larger the set.
//!
//! The hash is public and has no key: samples that were made apart must fit together. BLAKE3 leaves whoever chooses the
//! names one way to aim: trying. A name whose hash is below one in 2ⁿ of all takes 2ⁿ tries; sixteen of them, n = 30 (an
//! hour of one core), are the exemplars from then on, and have the set look larger by as much. That misleads whoever
//! reads the sample, and changes nothing about what is a pattern or a finding.

use crate::hash::blake3_64;

/// How many names a [`Sketch`] keeps. The estimate's standard error is about 1/√14, 27 %.
pub const SKETCH_SIZE: usize = 16;

/// The [`SKETCH_SIZE`] names of smallest hash (the first 64 bits of BLAKE3, little-endian; equal hashes in byte order)
/// out of a set.
///
/// Two sketches of the same set are equal, also in the bytes they own.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// Ascending and without duplicates.
    kept: Vec<(u64, Box<str>)>,
    /// How many names there were at least, if somebody who had seen more than `kept` said so.
    at_least: u64,
}

impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.kept == other.kept && self.distinct() == other.distinct()
    }
}

impl Eq for Sketch {}

impl Sketch {
    /// Adds a name; returns whether that changed the sketch.
    pub fn insert(&mut self, name: &str) -> bool {
        self.insert_hashed(blake3_64(name.as_bytes()), name)
    }

    /// Somebody counted this many names, of which those that were inserted are a sample that was not taken by this
    /// hash: what Grove wrote before its samples were taken by BLAKE3, or what was written by hand.
    pub fn raise_to(&mut self, distinct: u64) {
        self.at_least = self.at_least.max(distinct);
    }

    /// Adds every name of the set that `other` is a sketch of. Commutative, associative, idempotent.
    pub fn merge(&mut self, other: &Self) {
        self.raise_to(other.at_least);
        for (hash, name) in &other.kept {
            self.insert_hashed(*hash, name);
        }
    }

    fn insert_hashed(&mut self, hash: u64, name: &str) -> bool {
        let Err(at) = self.kept.binary_search_by(|(h, n)| (*h, &**n).cmp(&(hash, name))) else { return false };
        if at >= SKETCH_SIZE {
            return false;
        }
        if self.kept.len() >= SKETCH_SIZE {
            self.kept.pop();
        } else {
            // One by one, so that the memory owned depends on the set and not on its history.
            self.kept.reserve_exact(1);
        }
        self.kept.insert(at, (hash, name.into()));
        true
    }

    /// How many distinct names there were: exact below [`SKETCH_SIZE`], from there on an estimate,
    /// (k - 1) / (the k-th smallest hash as a fraction of the hash space), rounded down, the same on every platform;
    /// and not fewer than was [told](Self::raise_to).
    pub fn distinct(&self) -> u64 {
        self.estimate().max(self.at_least)
    }

    fn estimate(&self) -> u64 {
        let held = self.kept.len() as u64;
        match self.kept.last() {
            Some((largest, _)) if self.kept.len() >= SKETCH_SIZE => {
                let estimate = ((SKETCH_SIZE as u128 - 1) << 64) / (u128::from(*largest) + 1);
                u64::try_from(estimate).unwrap_or(u64::MAX).max(held)
            }
            _ => held,
        }
    }

    /// The names kept, in byte order.
    pub fn exemplars(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.kept.iter().map(|(_, name)| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<(u64, Box<str>)>() + self.kept.iter().map(|(_, n)| n.len()).sum::<usize>()
    }
}

impl<'a> Extend<&'a str> for Sketch {
    fn extend<I: IntoIterator<Item = &'a str>>(&mut self, names: I) {
        for name in names {
            self.insert(name);
        }
    }
}

impl<'a> FromIterator<&'a str> for Sketch {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut sketch = Self::default();
        sketch.extend(names);
        sketch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sketch(names: &[String]) -> Sketch {
        names.iter().map(String::as_str).collect()
    }

    fn numbered(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("sess-{i}.tmp")).collect()
    }

    #[test]
    fn counts_few_names_exactly() {
        let names = numbered(SKETCH_SIZE - 1);
        let mut sketch = Sketch::default();
        assert_eq!((sketch.distinct(), sketch.heap_bytes()), (0, 0));
        for (i, name) in names.iter().enumerate() {
            assert!(sketch.insert(name));
            assert!(!sketch.insert(name));
            assert_eq!(sketch.distinct(), i as u64 + 1);
        }
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(sketch.exemplars(), sorted);
    }

    #[test]
    fn estimates_many_names() {
        for n in [16, 17, 100, 1_000, 10_000, 100_000] {
            let sketch = sketch(&numbered(n));
            let (n, estimate) = (n as u64, sketch.distinct());
            assert!((n / 3..=n * 3).contains(&estimate), "{estimate} of {n}");
            assert_eq!(sketch.exemplars().len(), SKETCH_SIZE);
        }
    }

    #[test]
    fn the_hash_and_the_estimate_are_part_of_the_format() {
        // BLAKE3 of the empty text begins with these bytes, says its specification.
        assert_eq!(blake3_64(b"").to_le_bytes(), [0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6]);
        let with_largest = |largest: u64| {
            let mut kept: Vec<_> = (0..15).map(|hash| (hash, "".into())).collect();
            kept.push((largest, "".into()));
            Sketch { kept, at_least: 0 }.distinct()
        };
        assert_eq!(with_largest(u64::MAX), 16);
        assert_eq!(with_largest(u64::MAX / 1024), 15 * 1024);
        assert_eq!(with_largest(u64::MAX / 1000), 14_999);
        assert_eq!(with_largest(14), u64::MAX);
    }

    #[test]
    fn names_with_equal_hashes_are_kept_apart() {
        let (mut ab, mut ba) = (Sketch::default(), Sketch::default());
        assert!(ab.insert_hashed(7, "a") && ab.insert_hashed(7, "b"));
        assert!(ba.insert_hashed(7, "b") && ba.insert_hashed(7, "a"));
        assert_eq!(ab, ba);
        assert_eq!(ab.distinct(), 2);
    }

    #[test]
    fn a_number_that_was_told_stands_until_more_names_are_seen() {
        let mut old = sketch(&numbered(SKETCH_SIZE));
        let estimate = old.distinct();
        old.raise_to(812);
        assert!(estimate < 812 && old.distinct() == 812);
        // Merged with what was seen since: not fewer than either says, in any order, any number of times.
        let new = sketch(&numbered(200));
        let (mut one, mut other) = (old.clone(), new.clone());
        one.merge(&new);
        other.merge(&old);
        assert_eq!((one.distinct(), &one), (812, &other));
        one.merge(&old);
        assert_eq!(one, other);
        one.merge(&sketch(&numbered(100_000)));
        assert_eq!(one, sketch(&numbered(100_000)), "from here on it says nothing more");
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-d]{0,3}", 0..60)
    }

    proptest! {
        #[test]
        fn order_does_not_matter(names in names().prop_shuffle(), seed in names()) {
            let mut sorted = [names.clone(), seed.clone()].concat();
            let arrived = sketch(&sorted);
            sorted.sort();
            let sorted = sketch(&sorted);
            prop_assert_eq!(arrived.heap_bytes(), sorted.heap_bytes());
            prop_assert_eq!(arrived, sorted);
        }

        #[test]
        fn merge_is_the_sketch_of_the_union(a in names(), b in names(), c in names()) {
            let merged = |left: &Sketch, right: &Sketch| {
                let mut left = left.clone();
                left.merge(right);
                left
            };
            let union = sketch(&[a.clone(), b.clone(), c.clone()].concat());
            let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(&merged(&merged(&a, &b), &c), &union);
            prop_assert_eq!(&merged(&a, &merged(&b, &c)), &union);
            prop_assert_eq!(merged(&a, &a), a);
            prop_assert_eq!(union.clone().heap_bytes(), union.heap_bytes());
        }

        #[test]
        fn keeps_the_smallest_hashes(names in names()) {
            let sketch = sketch(&names);
            let set: BTreeSet<_> = names.iter().map(|n| (blake3_64(n.as_bytes()), n.as_str())).collect();
            let mut expect: Vec<_> = set.iter().take(SKETCH_SIZE).map(|(_, n)| *n).collect();
            expect.sort_unstable();
            prop_assert_eq!(sketch.exemplars(), expect);
            prop_assert!(sketch.distinct() >= set.len().min(SKETCH_SIZE) as u64);
            prop_assert!(set.len() >= SKETCH_SIZE || sketch.distinct() == set.len() as u64);
        }

        #[test]
        fn exemplars_make_the_same_sketch(names in names()) {
            let sketch = sketch(&names);
            prop_assert_eq!(sketch.exemplars().into_iter().collect::<Sketch>(), sketch);
        }
    }
}
