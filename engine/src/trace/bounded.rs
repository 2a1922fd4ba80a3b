//! A map that holds no more than so many entries: when one too many comes, the oldest goes.
//!
//! What decoders remember is keyed by what the input says, so every such memory has a limit. Not here: least
//! recently used order. An entry's age is that of its insertion.

use std::collections::VecDeque;
use std::hash::Hash;

use crate::hash::Map;

/// A map of at most `capacity` entries.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: Map<K, (u64, V)>,
    /// The keys in order of insertion, each with its entry's stamp; one whose stamp is no longer current is stale.
    ages: VecDeque<(K, u64)>,
    stamp: u64,
    capacity: usize,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    /// An empty map of at most `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Map::default(), ages: VecDeque::new(), stamp: 0, capacity: capacity.max(1) }
    }

    pub(super) fn get<Q: ?Sized + Eq + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut<Q: ?Sized + Eq + Hash>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    pub(super) fn remove<Q: ?Sized + Eq + Hash>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.remove(key).map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sets `key`, as the newest entry; the oldest goes if there is no room. Amortised O(1).
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        self.get_or_insert_with(key, || value);
    }

    /// The value of `key`, made if there is none; the oldest entry goes if there is no room. Amortised O(1).
    pub(super) fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.evict_oldest();
            self.stamp += 1;
            self.ages.push_back((key.clone(), self.stamp));
            // Stale keys are swept once they are the majority, which pays for the sweep.
            if self.ages.len() > 2 * self.entries.len() + 64 {
                let (entries, newest) = (&self.entries, self.stamp);
                let current = |key: &K, stamp| entries.get(key).is_some_and(|(current, _)| *current == stamp);
                self.ages.retain(|(key, stamp)| *stamp == newest || current(key, *stamp));
            }
        }
        let stamp = self.stamp;
        &mut self.entries.entry(key).or_insert_with(|| (stamp, value())).1
    }

    /// Takes the oldest entry out if there is no room for another.
    pub(super) fn evict_oldest(&mut self) -> Option<(K, V)> {
        while self.entries.len() >= self.capacity {
            let (key, stamp) = self.ages.pop_front()?;
            if self.entries.get(&key).is_some_and(|(current, _)| *current == stamp) {
                return self.remove(&key).map(|value| (key, value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_goes_and_a_renewed_one_is_young() {
        let mut map = Bounded::new(2);
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.insert(1, 'c');
        assert_eq!(map.evict_oldest(), Some((2, 'b')));
        map.insert(3, 'd');
        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (Some(&'c'), None, Some(&'d')));
        assert_eq!(map.remove(&1), Some('c'));
        assert_eq!(map.evict_oldest(), None);
        for (key, value) in [(4, 'e'), (5, 'f'), (6, 'g')] {
            map.insert(key, value);
        }
        assert_eq!((map.len(), map.get(&6)), (2, Some(&'g')));
        assert_eq!(*map.get_or_insert_with(6, || 'h'), 'g');
    }

    #[test]
    fn churn_does_not_grow_it() {
        let mut map = Bounded::new(8);
        for n in 0..10_000u32 {
            map.insert(n % 3, n);
            map.remove(&((n + 1) % 3));
        }
        assert!(map.ages.len() <= 128);
    }
}
