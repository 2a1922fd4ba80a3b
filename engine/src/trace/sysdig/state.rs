//! What a decoder remembers from line to line, and no more than so much of it.

use std::collections::VecDeque;
use std::hash::Hash;

use crate::hash::Map;

/// A map of at most so many entries; a new one beyond that takes the place of the oldest. Amortised O(1).
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    entries: Map<K, (V, u64)>,
    /// Keys by age with the stamp of the entry they stand for; a stamp that is not the entry's is stale.
    order: VecDeque<(K, u64)>,
    stamp: u64,
    limit: usize,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: Map::default(), order: VecDeque::new(), stamp: 0, limit }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    /// Sets `key`'s value; what was there keeps its age.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some((old, _)) = self.entries.get_mut(&key) {
            *old = value;
            return;
        }
        while self.entries.len() >= self.limit {
            let Some((oldest, stamp)) = self.order.pop_front() else { break };
            self.remove_stamped(&oldest, stamp);
        }
        self.stamp += 1;
        self.entries.insert(key, (value, self.stamp));
        self.order.push_back((key, self.stamp));
        // Removals leave stale keys behind; with at least as many stale ones as the limit, sweeping costs O(1) each.
        if self.order.len() > 2 * self.limit {
            let entries = &self.entries;
            self.order.retain(|(key, stamp)| entries.get(key).is_some_and(|(_, s)| s == stamp));
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(value, _)| value)
    }

    fn remove_stamped(&mut self, key: &K, stamp: u64) {
        if self.entries.get(key).is_some_and(|(_, s)| *s == stamp) {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut map = Bounded::new(2);
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.insert(1, 'c');
        map.insert(3, 'd');
        assert_eq!([map.get(&1), map.get(&2), map.get(&3)], [None, Some(&'b'), Some(&'d')]);
    }

    #[test]
    fn an_entry_removed_and_set_again_is_young() {
        let mut map = Bounded::new(2);
        map.insert(1, 'a');
        map.insert(2, 'b');
        map.remove(&1);
        map.insert(1, 'c');
        map.insert(3, 'd');
        assert_eq!([map.get(&1), map.get(&2), map.get(&3)], [Some(&'c'), None, Some(&'d')]);
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_limit(ops in prop::collection::vec((any::<bool>(), 0u8..32), 0..400)) {
            let mut map = Bounded::new(8);
            for (insert, key) in ops {
                if insert { map.insert(key, ()) } else { map.remove(&key); }
                prop_assert!(map.entries.len() <= 8);
                prop_assert!(map.order.len() <= 17);
                prop_assert_eq!(map.get(&key).is_some(), insert);
            }
        }
    }
}
