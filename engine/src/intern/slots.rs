//! Slots that never move and are never freed while the interner lives, and the list of those that are free.
//!
//! Not for: what is in a slot and who holds it; that is `tag`. So this knows neither texts nor the index.
//!
//! The unsafe code here is about buckets alone: a pointer to one is written once, and freed with [`Slots`].
#![allow(unsafe_code)]

use super::sync::{AtomicPtr, AtomicU32, AtomicU64, BUCKETS, FIRST, UnsafeCell, order};
use super::word::{Head, Word};
use std::marker::PhantomData;
use std::ptr;

/// A place for one entry. On cache lines of its own: counting one tag does not disturb its neighbours.
#[repr(C, align(64))]
pub(super) struct Slot<T> {
    /// Whether there is an entry, in which generation, and how many references it has.
    pub(super) word: AtomicU64,
    /// While on the free list: the number of the next free slot, from 1; 0 at its end.
    next: AtomicU32,
    pub(super) index: u32,
    /// Who may touch it is for `word` to say: see `tag`.
    pub(super) entry: UnsafeCell<Option<T>>,
}

impl<T> Slot<T> {
    fn new(index: u32, generation: u32) -> Self {
        Self {
            word: AtomicU64::new(Word::new(generation, 0).0),
            next: AtomicU32::new(0),
            index,
            entry: UnsafeCell::new(None),
        }
    }

    pub(super) fn word(&self) -> Word {
        Word(self.word.load(order::GLANCE))
    }
}

/// All slots of an interner.
pub(super) struct Slots<T> {
    /// The [`Head`] of the free list, a stack.
    free: AtomicU64,
    /// Slots below this have been given out at least once.
    fresh: AtomicU32,
    /// Slots from this on are not: the limit, and one for every slot that is used up. Both together do not fit a slot's
    /// number.
    ceiling: AtomicU64,
    /// Null where there is none yet.
    buckets: [AtomicPtr<Slot<T>>; BUCKETS as usize],
    /// The first generation of a slot.
    generation: u32,
    _owned: PhantomData<Box<[Slot<T>]>>,
}

/// Bucket `k` has `FIRST << k` slots. The bucket of a slot, and its place in it.
fn locate(index: u32) -> (usize, usize) {
    let position = u64::from(index) + u64::from(FIRST);
    let bucket = position.ilog2() - FIRST.ilog2();
    (bucket as usize, (position - (u64::from(FIRST) << bucket)) as usize)
}

impl<T> Slots<T> {
    /// For at most `limit` entries at once, the first of each slot in `generation`.
    pub(super) fn new(limit: usize, generation: u32) -> Self {
        let limit = u64::from(u32::try_from(limit).unwrap_or(u32::MAX));
        Self {
            free: AtomicU64::new(0),
            fresh: AtomicU32::new(0),
            ceiling: AtomicU64::new(limit),
            buckets: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            generation,
            _owned: PhantomData,
        }
    }

    /// Slot `index`, if it has ever been given out and this thread can know.
    pub(super) fn get(&self, index: u32) -> Option<&Slot<T>> {
        let (k, offset) = locate(index);
        let start = self.buckets.get(k)?.load(order::BUCKET);
        // SAFETY: a bucket that is not null has `FIRST << k` slots, more than `offset`; they were written before the
        // pointer (`GROW`, `BUCKET`) and are freed only with `self`.
        (!start.is_null()).then(|| unsafe { &*start.add(offset) })
    }

    /// Slot `index`, its bucket made if need be.
    fn make(&self, index: u32) -> Option<&Slot<T>> {
        let (k, _) = locate(index);
        let place = self.buckets.get(k)?;
        if place.load(order::BUCKET).is_null() {
            let start = (FIRST << k) - FIRST;
            let slots = (0..FIRST << k).map(|offset| Slot::new(start + offset, self.generation));
            let mine = Box::into_raw(slots.collect::<Box<[Slot<T>]>>());
            if place.compare_exchange(ptr::null_mut(), mine.cast(), order::GROW, order::REFUSED).is_err() {
                // SAFETY: it comes from `into_raw` just above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(mine) });
            }
        }
        self.get(index)
    }

    /// A free slot, which is the caller's alone: one that was used before, or a new one. None at the limit.
    pub(super) fn take(&self) -> Option<&Slot<T>> {
        loop {
            if let Some(slot) = self.pop() {
                return Some(slot);
            }
            let fresh = self.fresh.load(order::NUMBER);
            if fresh >= Word::SLOTS_MAX || u64::from(fresh) >= self.ceiling.load(order::NUMBER) {
                return None;
            }
            if self.fresh.compare_exchange_weak(fresh, fresh + 1, order::NUMBER, order::NUMBER).is_ok() {
                return self.make(fresh);
            }
        }
    }

    /// Gives back a slot that is the caller's alone and empty, `word` being its last: it is free for an entry of the
    /// next generation, or used up for good.
    pub(super) fn give_back(&self, slot: &Slot<T>, word: Word) {
        match word.freed() {
            Some(next) => {
                slot.word.store(next.0, order::PRIVATE);
                self.push(slot);
            }
            // The limit is on tags, not on slots: another slot takes its place.
            None => {
                self.ceiling.fetch_add(1, order::NUMBER);
            }
        }
    }

    fn pop(&self) -> Option<&Slot<T>> {
        let mut head = Head(self.free.load(order::POP));
        loop {
            let slot = self.get(head.first().checked_sub(1)?)?;
            let rest = head.with_first(slot.next.load(order::NEXT));
            match self.free.compare_exchange_weak(head.0, rest.0, order::POP, order::POP) {
                Ok(_) => return Some(slot),
                Err(found) => head = Head(found),
            }
        }
    }

    fn push(&self, slot: &Slot<T>) {
        let mut head = Head(self.free.load(order::GLANCE));
        loop {
            slot.next.store(head.first(), order::NEXT);
            let longer = head.with_first(slot.index + 1);
            match self.free.compare_exchange_weak(head.0, longer.0, order::PUSH, order::GLANCE) {
                Ok(_) => return,
                Err(found) => head = Head(found),
            }
        }
    }

    /// Bytes of all buckets.
    pub(super) fn heap_bytes(&self) -> usize {
        let made = self.buckets.iter().enumerate().filter(|(_, start)| !start.load(order::BUCKET).is_null());
        made.map(|(k, _)| (FIRST as usize) << k).sum::<usize>() * size_of::<Slot<T>>()
    }

    /// Fails unless every slot that was ever given out is free exactly once, or used up, and empty.
    #[cfg(any(loom, test))]
    pub(super) fn assert_idle(&self) {
        // Changed by nothing so as to be the last values: models do not know the `Arc` whose end may bring one here.
        let given = self.fresh.fetch_add(0, order::NUMBER);
        let mut free = vec![0; given as usize];
        let mut next = Head(self.free.fetch_add(0, order::POP)).first();
        while let Some(index) = next.checked_sub(1) {
            free[index as usize] += 1;
            assert_eq!(free[index as usize], 1, "slot {index} is on the free list twice");
            next = self.get(index).expect("a free slot exists").next.load(order::NEXT);
        }
        for (index, times) in free.iter().enumerate() {
            let slot = self.get(index as u32).expect("a slot that was given out exists");
            let used_up = slot.word().generation() == u32::MAX;
            assert!(*times == 1 || used_up, "slot {index} is lost");
            assert_eq!(slot.word().references(), 0, "slot {index} is free and has references");
            // SAFETY: called when no other thread uses this interner.
            assert!(slot.entry.with(|entry| unsafe { (*entry).is_none() }), "slot {index} has an entry");
        }
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        // They go when no entry is left in them, not even one that is just being moved out.
        #[cfg(any(loom, test))]
        if !std::thread::panicking() {
            self.assert_idle();
        }
        for (k, place) in self.buckets.iter().enumerate() {
            let start = place.load(order::BUCKET);
            if !start.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(start, (FIRST as usize) << k);
                // SAFETY: the pointer and this length are those of the box that was taken apart; it is freed
                // once, here, when nobody else has `self`.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_slot_that_can_be_numbered_has_a_place() {
        let last = Word::SLOTS_MAX - 1;
        assert_eq!(locate(0), (0, 0));
        assert_eq!(locate(FIRST), (1, 0));
        assert_eq!(locate(last), (BUCKETS as usize - 1, ((FIRST as usize) << (BUCKETS - 1)) - 1));
    }
}
