//! How an id, a slot's state and the head of the free list are packed into one word each.
//!
//! All shifting and masking of the interner is here, and nothing else.

use super::sync::{BUCKETS, FIRST};
use std::num::NonZeroU64;

const HIGH: u32 = 32;
const LOW: u64 = u32::MAX as u64;

/// The id of a tag within this process. Never written to a file, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(NonZeroU64);

impl TagId {
    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The tag in slot `index` in its generation `generation`. `index` is below [`Word::SLOTS_MAX`].
    pub(super) fn new(index: u32, generation: u32) -> Self {
        // The slot's number is counted from 1 so that no id is 0: the addition never carries into the generation.
        Self(NonZeroU64::MIN.saturating_add(u64::from(index) | u64::from(generation) << HIGH))
    }

    pub(super) fn index(self) -> u32 {
        (self.get() as u32).wrapping_sub(1)
    }

    pub(super) fn generation(self) -> u32 {
        (self.get() >> HIGH) as u32
    }

    /// The id of a number that [`get`](Self::get) gave.
    #[cfg(any(loom, test))]
    pub fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }
}

/// The state of a slot: `generation:32 | references:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// One reference.
    pub(super) const ONE: u64 = 1;
    /// Slots are numbered below this: all that all buckets have. `u32::MAX - 63`, but not in the models.
    pub(super) const SLOTS_MAX: u32 = FIRST * ((1 << BUCKETS) - 1);
    /// More references than a program can hold by honest means; half of what would touch the generation, so
    /// that threads that count up at the same time are found out before any of them does harm.
    pub(super) const REFERENCES_MAX: u32 = u32::MAX / 2;

    pub(super) fn new(generation: u32, references: u32) -> Self {
        Self(u64::from(generation) << HIGH | u64::from(references))
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> HIGH) as u32
    }

    pub(super) fn references(self) -> u32 {
        (self.0 & LOW) as u32
    }

    /// Whether the tag of `generation` is here and may get another reference. Zero is terminal.
    pub(super) fn is_live(self, generation: u32) -> bool {
        self.generation() == generation && self.references() > 0
    }

    /// The free slot after its tag has gone; none when its generations are used up.
    pub(super) fn freed(self) -> Option<Self> {
        Some(Self::new(self.generation().checked_add(1)?, 0))
    }
}

/// The head of the free list: `tag:32 | number of the first free slot, from 1:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head(pub(super) u64);

impl Head {
    /// The number of the first free slot, from 1; 0 if there is none.
    pub(super) fn first(self) -> u32 {
        (self.0 & LOW) as u32
    }

    /// This head with another first slot and the next tag, so that it equals no head that was here before.
    pub(super) fn with_first(self, first: u32) -> Self {
        let tag = ((self.0 >> HIGH) as u32).wrapping_add(1);
        Self(u64::from(tag) << HIGH | u64::from(first))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_is_its_slot_and_its_generation(index in 0..Word::SLOTS_MAX, generation: u32) {
            let id = TagId::new(index, generation);
            prop_assert_eq!((id.index(), id.generation()), (index, generation));
            prop_assert_eq!(TagId::from_number(id.get()), Some(id));
        }

        #[test]
        fn a_word_is_its_generation_and_its_references(generation: u32, references: u32, asked: u32) {
            let word = Word::new(generation, references);
            prop_assert_eq!((word.generation(), word.references()), (generation, references));
            prop_assert_eq!(word.is_live(asked), asked == generation && references > 0);
            prop_assert_eq!(word.freed().map(|w| (w.generation(), w.references())), generation.checked_add(1).map(|g| (g, 0)));
            if references < u32::MAX {
                prop_assert_eq!(Word(word.0 + Word::ONE), Word::new(generation, references + 1));
            }
        }

        #[test]
        fn a_head_never_comes_back_at_once(word: u64, first: u32) {
            let (head, next) = (Head(word), Head(word).with_first(first));
            prop_assert_eq!(next.first(), first);
            prop_assert_ne!(next, head);
            prop_assert_ne!(next.with_first(head.first()), head);
        }
    }

    #[test]
    fn the_ends_of_the_ranges() {
        assert_eq!(TagId::new(0, 0).get(), 1);
        assert_eq!(Word::SLOTS_MAX, u32::MAX - 63);
        assert_eq!(TagId::new(Word::SLOTS_MAX - 1, u32::MAX).get(), u64::MAX - 63);
        assert_eq!(Word::new(u32::MAX, 0).freed(), None);
        assert_eq!(Head(0).first(), 0);
        assert_eq!(Head(u64::MAX).with_first(3).0, 3);
    }
}
