//! Where tags live: slots that never move and are never freed while the interner lives, and the references to
//! their tenants.
//!
//! A slot is free, then lived in, then left, then free again for a tenant of the next generation. Its one atomic
//! word, `generation:32 | references:32`, decides which. The unsafe code of the interner is in this file (and one
//! method in `pin`); it rests on three facts, each kept by a type:
//!
//! * a [`Vacant`] is the only access to its slot's cell: a slot is in one of them, on a free list, lived in, or
//!   used up;
//! * a [`TagRef`] is one counted reference: while one exists, its tenant does not move, and the tenant's `owner`
//!   keeps the memory of all slots;
//! * a `Recent` that is of a number has addresses of the slots of that number alone: only [`Slots::note`] gives it any.
//!
//! Not for: which text is which tag; that is the index.
#![allow(unsafe_code)]

use super::index::{Entries, Hashed};
use super::recent::Recent;
use super::sync::{
    AtomicPtr, AtomicU32, AtomicU64, BUCKETS, FIRST, STRIPES, UnsafeCell, fault, interner_number, order,
};
use super::text::Text;
use super::word::{Head, TagId, Word};
use super::{Share, aside, stats};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// What lives in a slot. On a cache line beside the word's, not on it: who reads a text need not wait for the line that
/// other threads are counting on, nor take it from them.
#[repr(C, align(64))]
pub(super) struct Tenant {
    text: Text,
    hash: u64,
    /// Keeps the slots, this one among them, while anyone lives in them.
    owner: Arc<Share>,
}

/// A place for one tag. Alone on its cache lines: counting one tag does not disturb its neighbours.
#[repr(C, align(128))]
pub(super) struct Slot {
    word: AtomicU64,
    /// While on the free list: the number of the next free slot, from 1; 0 at its end.
    next: AtomicU32,
    index: u32,
    tenant: UnsafeCell<Option<Tenant>>,
}

// SAFETY: the cell is written by the holder of a `Vacant`, of which there is one, and by whoever gives up the last
// reference; it is read under references. Which of these it is at a time is what the word decides.
unsafe impl Sync for Slot {}

impl Slot {
    fn new(index: u32, generation: u32) -> Self {
        Self {
            word: AtomicU64::new(Word::new(generation, 0).0),
            next: AtomicU32::new(0),
            index,
            tenant: UnsafeCell::new(None),
        }
    }

    fn number(&self) -> u32 {
        self.index + 1
    }

    pub(super) fn word(&self) -> Word {
        Word(self.word.load(order::GLANCE))
    }

    /// A reference to the tenant of `generation`, unless it has gone or is going. `contended` is called when another
    /// thread wrote the word at that moment.
    #[inline(always)]
    fn retain(&self, generation: u32, contended: impl Fn()) -> Option<TagRef> {
        let mut word = self.word();
        while word.is_live(generation) {
            assert!(word.references() < Word::REFERENCES_MAX, "references to a tag are lost without being dropped");
            let more = word.0 + Word::ONE;
            if fault::retain_torn() {
                self.word.store(more, order::REFUSED);
                return Some(TagRef(NonNull::from(self)));
            }
            match self.word.compare_exchange_weak(word.0, more, order::retain(), order::REFUSED) {
                Ok(_) => return Some(TagRef(NonNull::from(self))),
                Err(found) => {
                    word = Word(found);
                    contended();
                }
            }
        }
        None
    }

    fn id(&self, word: Word) -> TagId {
        TagId::new(self.index, word.generation())
    }
}

/// Gives up one reference. What the word then is, if it was the last: without references, and so for good.
#[inline(always)]
fn release(word: &AtomicU64) -> Option<Word> {
    let before = Word(word.fetch_sub(Word::ONE, order::release()));
    let now = || Word(word.load(order::GLANCE));
    let last = if fault::last_seen_late() { now().references() == 0 } else { before.references() == 1 };
    if last && !fault::last_without_acquire() {
        word.load(order::LAST);
    }
    last.then(|| Word::new(before.generation(), 0))
}

/// Where a tenant was. Packed, so that what a thread remembers of a tag is one cache line.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(4))]
pub(super) struct Address {
    slot: NonNull<Slot>,
    generation: u32,
}

impl Address {
    /// A number that slots near each other do not share.
    #[inline(always)]
    pub(super) fn place(self) -> usize {
        place(self.slot)
    }
}

fn place(slot: NonNull<Slot>) -> usize {
    slot.addr().get() / size_of::<Slot>()
}

/// A slot that nobody lives in and that is not on the free list, where it returns if it is not used.
pub(super) struct Vacant<'a> {
    slots: &'a Slots,
    slot: &'a Slot,
    stripe: usize,
}

impl Vacant<'_> {
    /// Moves a tenant in and returns the first reference to it, and its id, which is known to nobody yet.
    pub(super) fn settle(self, text: Text, hash: u64, owner: Arc<Share>) -> (TagRef, TagId) {
        let slot = self.slot;
        // It is lived in from here on; it comes back when its tenant leaves.
        std::mem::forget(self);
        // SAFETY: a `Vacant` is the only access to its slot's cell.
        slot.tenant.with_mut(|tenant| unsafe { *tenant = Some(Tenant { text, hash, owner }) });
        let word = slot.word();
        slot.word.store(Word::new(word.generation(), 1).0, order::publish());
        (TagRef(NonNull::from(slot)), slot.id(word))
    }
}

impl Drop for Vacant<'_> {
    fn drop(&mut self) {
        if !fault::vacant_lost() {
            self.slots.push(self.slot, self.stripe);
        }
    }
}

/// All slots of an interner.
pub(super) struct Slots {
    /// A free list for each stripe of threads.
    free: [Apart<AtomicU64>; STRIPES],
    /// Slots below this have been given out at least once.
    fresh: Apart<AtomicU32>,
    /// Slots from this on are not: the limit, and one for every slot that is used up. Both together do not fit a slot's
    /// number.
    ceiling: AtomicU64,
    /// The first is there from the start, but not apart: which bucket a slot is in cannot be foreseen.
    buckets: [AtomicPtr<Slot>; BUCKETS as usize],
    /// The generation of a slot's first tenant.
    generation: u32,
    /// Of these slots, and of no others in the process.
    number: usize,
}

/// Alone on its cache lines.
#[repr(align(128))]
struct Apart<T>(T);

/// Bucket `k` has `FIRST << k` slots. The bucket of a slot, and its place in it.
fn locate(index: u32) -> (usize, usize) {
    let position = u64::from(index) + u64::from(FIRST);
    let bucket = position.ilog2() - FIRST.ilog2();
    (bucket as usize, (position - (u64::from(FIRST) << bucket)) as usize)
}

fn bucket(k: usize, generation: u32) -> Box<[Slot]> {
    let start = (FIRST << k) - FIRST;
    (0..FIRST << k).map(|offset| Slot::new(start + offset, generation)).collect()
}

impl Slots {
    /// For at most `limit` tags at once, whose first ids are of `generation`.
    pub(super) fn new(limit: usize, generation: u32) -> Self {
        let limit = u64::from(u32::try_from(limit).unwrap_or(u32::MAX));
        Self {
            free: std::array::from_fn(|_| Apart(AtomicU64::new(0))),
            fresh: Apart(AtomicU32::new(0)),
            ceiling: AtomicU64::new(limit + u64::from(fault::limit_plus_one())),
            buckets: std::array::from_fn(|k| {
                AtomicPtr::new(if k == 0 { Box::into_raw(bucket(0, generation)).cast() } else { ptr::null_mut() })
            }),
            generation,
            number: interner_number(),
        }
    }

    /// Slot `index`, if it has ever been given out and this thread can know.
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        let (k, offset) = locate(index);
        let start = self.buckets.get(k)?.load(order::bucket());
        // SAFETY: a bucket that is not null has `FIRST << k` slots, more than `offset`; they were written before
        // the pointer (`grow`, `bucket`) and are freed only with `self`.
        (!start.is_null()).then(|| unsafe { &*start.add(offset) })
    }

    /// A reference to the tenant `id`, unless it has gone or is going.
    pub(super) fn retain(&self, id: TagId) -> Option<TagRef> {
        self.get(id.index())?.retain(id.generation(), || {})
    }

    /// A reference to the tag of this text that a thread remembers, likewise; and whether the text has been compared.
    ///
    /// It is gained last of all. Its holder may soon drop it, and the less is done in between the less often another
    /// thread takes the word away that is about to be written again.
    #[inline(always)]
    pub(super) fn again(&self, recent: &Recent, text: &[u8]) -> Option<(TagRef, bool)> {
        let (address, compared) = recent.find(self.number, text)?;
        if let Some(tag) = aside::again(address) {
            return Some((tag, compared));
        }
        let Address { slot, generation } = address;
        // SAFETY: an address that a `Recent` has for this number is of these slots (`note`), which are there as long as
        // `self`.
        let slot = unsafe { slot.as_ref() };
        slot.retain(generation, || aside::contended(address)).map(|tag| (tag, compared))
    }

    /// Lets a thread remember where the tag of this text is, which has this id and was found or is new. One of other
    /// slots is not remembered.
    pub(super) fn note(&self, recent: &mut Recent, text: &[u8], tag: &TagRef, id: TagId, found: bool) {
        if tag.tenant().is_some_and(|tenant| ptr::eq(&raw const tenant.owner.inner.slots, self)) {
            recent.note(self.number, text, tag.address(id), found);
        }
    }

    /// Slot `index`, its bucket made if need be.
    fn make(&self, index: u32) -> Option<&Slot> {
        let (k, _) = locate(index);
        if let Some(place) = self.buckets.get(k)
            && place.load(order::bucket()).is_null()
        {
            let mine = Box::into_raw(bucket(k, self.generation));
            let null = ptr::null_mut();
            if fault::bucket_torn() {
                place.swap(mine.cast(), order::grow());
            } else if place.compare_exchange(null, mine.cast(), order::grow(), order::REFUSED).is_err() {
                // SAFETY: it comes from `into_raw` just above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(mine) });
            }
        }
        self.get(index)
    }

    /// A slot for a new tenant: one that was used before in this stripe, or a new one, or another stripe's. None at the
    /// limit.
    pub(super) fn reserve(&self, stripe: usize) -> Option<Vacant<'_>> {
        let taken = |slot| Vacant { slots: self, slot, stripe };
        loop {
            if let Some(slot) = self.pop(self.list(stripe)) {
                return Some(taken(slot));
            }
            let fresh = self.fresh.0.load(order::NUMBER);
            if self.has(fresh) {
                if fault::fresh_torn() {
                    self.fresh.0.store(fresh + 1, order::NUMBER);
                } else if self.fresh.0.compare_exchange_weak(fresh, fresh + 1, order::NUMBER, order::NUMBER).is_err() {
                    continue;
                }
                return self.make(fresh).map(taken);
            }
            let seen = self.heads();
            if let Some((list, _)) = self.free.iter().zip(seen).find(|(_, head)| head.first() > 0) {
                if let Some(slot) = self.pop(&list.0) {
                    return Some(taken(slot));
                }
            } else if !self.has(self.fresh.0.load(order::NUMBER)) && (fault::full_seen_once() || self.heads() == seen) {
                // A slot that went from a list not yet seen to one seen before has left a mark on both (`take`): none
                // did, so between the two looks all slots were taken.
                return None;
            }
        }
    }

    /// Whether slot `fresh` may be given out.
    fn has(&self, fresh: u32) -> bool {
        fresh < Word::SLOTS_MAX && u64::from(fresh) < self.ceiling.load(order::NUMBER)
    }

    fn list(&self, stripe: usize) -> &AtomicU64 {
        let [first, ..] = &self.free;
        &self.free.get(stripe).unwrap_or(first).0
    }

    fn heads(&self) -> [Head; STRIPES] {
        std::array::from_fn(|stripe| Head(self.list(stripe).load(order::POP)))
    }

    fn pop(&self, list: &AtomicU64) -> Option<&Slot> {
        let mut head = Head(list.load(order::POP));
        loop {
            let slot = self.get(head.first().checked_sub(1)?)?;
            let rest = head.with_first(slot.next.load(order::NEXT));
            match list.compare_exchange_weak(head.0, rest.0, order::take(), order::POP) {
                Ok(_) => return Some(slot),
                Err(found) => head = Head(found),
            }
        }
    }

    fn push(&self, slot: &Slot, stripe: usize) {
        let list = self.list(stripe);
        let mut head = Head(list.load(order::GLANCE));
        loop {
            slot.next.store(head.first(), order::NEXT);
            let longer = head.with_first(slot.number());
            match list.compare_exchange_weak(head.0, longer.0, order::push(), order::GLANCE) {
                Ok(_) => return,
                Err(found) => head = Head(found),
            }
        }
    }

    /// A tenant has left and `word` is the slot's: it is free for one of the next generation, or used up for good.
    fn vacate(&self, slot: &Slot, word: Word, stripe: usize) {
        match word.vacated() {
            Some(next) => {
                slot.word.store(next.0, order::PRIVATE);
                self.push(slot, stripe);
            }
            // The limit is on tags, not on slots: another slot takes its place.
            None => {
                self.ceiling.fetch_add(1, order::NUMBER);
            }
        }
    }

    /// Bytes of all buckets.
    pub(super) fn heap_bytes(&self) -> usize {
        let made = self.buckets.iter().enumerate().filter(|(_, start)| !start.load(order::bucket()).is_null());
        made.map(|(k, _)| (FIRST as usize) << k).sum::<usize>() * size_of::<Slot>()
    }

    /// Fails unless every slot that was ever given out is free exactly once, or used up, and empty.
    #[cfg(any(loom, test))]
    pub(super) fn assert_idle(&self) {
        // Changed by nothing so as to be the last values: models do not know the `Arc` whose end may bring one here.
        let given = self.fresh.0.fetch_add(0, order::NUMBER);
        let mut free = vec![0; given as usize];
        for Apart(list) in &self.free {
            let mut next = Head(list.fetch_add(0, order::POP)).first();
            while let Some(index) = next.checked_sub(1) {
                free[index as usize] += 1;
                assert_eq!(free[index as usize], 1, "slot {index} is on a free list twice");
                next = self.get(index).expect("a free slot exists").next.load(order::NEXT);
            }
        }
        for (index, times) in free.iter().enumerate() {
            let slot = self.get(index as u32).expect("a slot that was given out exists");
            let used_up = slot.word().generation() == u32::MAX;
            assert!(*times == 1 || used_up, "slot {index} is forgotten");
            assert_eq!(slot.word().references(), 0, "slot {index} is free and has references");
            // SAFETY: called when no other thread uses this interner.
            assert!(slot.tenant.with(|tenant| unsafe { (*tenant).is_none() }), "slot {index} has a tenant");
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // They go when nobody lives in them any more, not even one who is just moving out.
        #[cfg(any(loom, test))]
        if !std::thread::panicking() {
            self.assert_idle();
        }
        for (k, place) in self.buckets.iter().enumerate() {
            let start = place.load(order::bucket());
            if !start.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(start, (FIRST as usize) << k);
                // SAFETY: the pointer and this length are those of the box that was taken apart; it is freed
                // once, here, when nobody else has `self`.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

/// A tag held alive. Cloning counts up, dropping counts down; neither looks anything up. Of the size of a pointer.
pub struct TagRef(NonNull<Slot>);

// SAFETY: a reference gives shared access to a text that does not change, and to atomics. Whichever thread gives
// up the last one moves the tenant out, after all others have finished (`release`, `LAST`); `Tenant` is `Send`.
unsafe impl Send for TagRef {}
// SAFETY: as above.
unsafe impl Sync for TagRef {}

impl TagRef {
    fn slot(&self) -> &Slot {
        // SAFETY: slots are freed with the `Inner` that has them. This reference is counted, or was the last and its
        // tenant has not moved out, so the tenant is there, and its `owner` holds that `Inner`.
        unsafe { self.0.as_ref() }
    }

    fn tenant(&self) -> Option<&Tenant> {
        // SAFETY: the cell is written only by `settle`, before this reference was made (`publish`, `retain`), and
        // by the one who gives up the last reference, which comes after this one (`release`, `LAST`).
        self.slot().tenant.with(|tenant| unsafe { (*tenant).as_ref() })
    }

    /// The tag's id.
    pub fn id(&self) -> TagId {
        self.slot().id(self.slot().word())
    }

    /// As that of its [`Address`].
    #[inline(always)]
    pub(super) fn place(&self) -> usize {
        place(self.0)
    }

    /// Whether this is its [`Address`], but for the generation.
    #[inline(always)]
    pub(super) fn is_in_slot_of(&self, address: Address) -> bool {
        let Address { slot, .. } = address;
        self.0 == slot
    }

    /// Whether this is its [`Address`].
    #[inline(always)]
    pub(super) fn is_at(&self, address: Address) -> bool {
        let same = || self.slot().word().generation() == address.generation;
        self.is_in_slot_of(address) && (fault::aside_any_generation() || same())
    }

    /// Where it is, its id being this.
    pub(super) fn address(&self, id: TagId) -> Address {
        Address { slot: self.0, generation: id.generation() }
    }

    /// The tag's text.
    pub fn text(&self) -> &str {
        // Somebody lives here while there are references.
        self.tenant().map_or("", |tenant| tenant.text.as_str())
    }

    /// Whether this is the tag's text.
    pub fn is(&self, text: &str) -> bool {
        self.text_bytes() == text.as_bytes()
    }

    pub(super) fn text_bytes(&self) -> &[u8] {
        self.tenant().map_or(&[], |tenant| tenant.text.bytes())
    }

    /// Adds this tag, whose id this is, to the index; false if its text is there.
    pub(super) fn enter(&self, entries: &impl Entries, id: TagId) -> bool {
        self.tenant().is_some_and(|tenant| entries.insert(&tenant.text, tenant.hash, id))
    }
}

impl Clone for TagRef {
    fn clone(&self) -> Self {
        let before = Word(self.slot().word.fetch_add(Word::ONE, order::CLONE));
        let refused = before.references() >= Word::REFERENCES_MAX;
        if refused {
            Self(self.0).give_up();
        }
        assert!(!refused, "references to a tag are lost without being dropped");
        Self(self.0)
    }
}

impl Drop for TagRef {
    #[inline]
    fn drop(&mut self) {
        // What is dropped is this one: the other is the same reference from here on.
        if let Some(tag) = aside::keep(ManuallyDrop::new(Self(self.0))) {
            ManuallyDrop::into_inner(tag).give_up();
        }
    }
}

impl TagRef {
    /// Drops this reference, and does not put it aside.
    #[inline(always)]
    pub(super) fn give_up(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: the reference is counted, so the slot is there. Of it only the word is borrowed: unless this is the last
        // reference, the slot may go while the word is being written.
        let word = unsafe { &(*this.0.as_ptr()).word };
        if let Some(word) = release(word) {
            this.tear_down(word);
        }
    }

    /// Moves the tenant out. To be called once, by the one who gave up the last reference.
    #[cold]
    #[inline(never)]
    fn tear_down(&self, word: Word) {
        let slot = self.slot();
        if fault::free_too_early()
            && let Some(tenant) = self.tenant()
        {
            tenant.owner.inner.slots.push(slot, tenant.owner.stripe);
        }
        // SAFETY: the count went from one to zero, which happens once in a generation, and zero is terminal: no
        // reference is left, all reads under them are over (`LAST`), and none will be gained.
        let Some(tenant) = slot.tenant.with_mut(|tenant| unsafe { (*tenant).take() }) else { return };
        let Tenant { text, hash, mut owner } = tenant;
        owner.inner.forget(Hashed { hash, text: text.bytes() }, slot.id(word));
        owner.inner.counters.left(owner.stripe, stats::bytes_of(&text));
        if fault::owner_first() {
            let kept = Arc::downgrade(&owner);
            drop(owner);
            let Some(still) = kept.upgrade() else { return };
            owner = still;
        }
        if !fault::free_too_early() {
            owner.inner.slots.vacate(slot, word, owner.stripe);
        }
        drop(text);
        // `owner` goes last: the slots, this one too, may go with it.
    }

    /// As if so many references were held.
    #[cfg(all(test, not(loom)))]
    pub(super) fn counts_as_if(&self, references: u32) {
        let word = Word::new(self.slot().word().generation(), references);
        self.slot().word.store(word.0, order::PRIVATE);
    }

    /// Gives up the last reference and stops there, as a thread that is descheduled does; what is returned
    /// goes on.
    #[cfg(any(loom, test))]
    pub fn stalled(self) -> impl FnOnce() {
        let this = ManuallyDrop::new(self);
        let word = release(&this.slot().word).expect("it is the last reference");
        move || this.tear_down(word)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
