//! The life of a tag: what is in its slot, who may touch it, and the references that keep it.
//!
//! A slot is free, then live, then dying, then free again for the next generation. Its one atomic word,
//! `generation:32 | references:32`, decides which:
//!
//! * a slot that was taken ([`Slots::take`]) is its taker's alone, who writes the entry and publishes the first
//!   reference;
//! * while there are references the entry is only read, and its `owner` keeps the memory of all slots;
//! * the count goes from one to zero once in a generation, since zero is terminal. Whoever took it there has the slot
//!   alone, moves the entry out and gives the slot back.
//!
//! The unsafe code here rests on these three facts, and on nothing else.
//!
//! Not for: what is done when a tag is asked for; that is [`Interner::intern`](super::Interner::intern).
#![allow(unsafe_code)]

use super::index::Index;
use super::slots::{Slot, Slots};
use super::stats::Counters;
use super::sync::{AtomicU64, order};
use super::word::{TagId, Word};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// What the handles of an interner and its tags have in common.
pub(super) struct Shared {
    pub index: Index,
    pub slots: Slots<Entry>,
    pub counters: Counters,
    pub limit: usize,
}

/// What is in the slot of a tag.
pub(super) struct Entry {
    text: Arc<str>,
    /// Keeps the slots, this one among them, as long as there is an entry in any.
    owner: Arc<Shared>,
}

// SAFETY: the cell is written by the one who has the slot alone, and read under references; which of these it is at a
// time is what the word decides. An entry may be read by any thread, and is moved out on any.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl Shared {
    /// A new tag that is not in the index yet, and the first reference to it. None when there is no room.
    pub fn create(self: &Arc<Self>, text: &str) -> Option<TagRef> {
        // Nothing from here on can panic and lose the slot.
        let entry = Entry { text: Arc::from(text), owner: self.clone() };
        let slot = self.slots.take()?;
        self.counters.came(&entry.text);
        // SAFETY: the slot is this thread's alone.
        slot.entry.with_mut(|cell| unsafe { *cell = Some(entry) });
        slot.word.store(Word::new(slot.word().generation(), 1).0, order::PUBLISH);
        Some(TagRef(NonNull::from(slot)))
    }

    /// A reference to the tag `id`, unless it has gone or is dying.
    pub fn retain(&self, id: TagId) -> Option<TagRef> {
        let slot = self.slots.get(id.index())?;
        let mut word = slot.word();
        while word.is_live(id.generation()) {
            assert!(word.references() < Word::REFERENCES_MAX, "references to a tag are lost without being dropped");
            match slot.word.compare_exchange_weak(word.0, word.0 + Word::ONE, order::RETAIN, order::REFUSED) {
                Ok(_) => return Some(TagRef(NonNull::from(slot))),
                Err(found) => word = Word(found),
            }
        }
        None
    }

    /// How many references there are to the tag `id`, if there is any.
    pub fn references(&self, id: TagId) -> Option<u32> {
        let word = self.slots.get(id.index())?.word();
        word.is_live(id.generation()).then(|| word.references())
    }
}

/// Gives up one reference. What the word then is, if it was the last: without references, and so for good.
fn release(word: &AtomicU64) -> Option<Word> {
    let before = Word(word.fetch_sub(Word::ONE, order::RELEASE));
    if before.references() != 1 {
        return None;
    }
    word.load(order::LAST);
    Some(Word::new(before.generation(), 0))
}

/// A tag held alive. Cloning counts up, dropping counts down; neither looks anything up. Of the size of a pointer.
pub struct TagRef(NonNull<Slot<Entry>>);

// SAFETY: a reference gives shared access to a text that does not change, and to atomics. Whichever thread gives up the
// last one moves the entry out, after all others have finished (`RELEASE`, `LAST`); `Entry` is `Send`.
unsafe impl Send for TagRef {}
// SAFETY: as above.
unsafe impl Sync for TagRef {}

impl TagRef {
    fn slot(&self) -> &Slot<Entry> {
        // SAFETY: slots are freed with the `Shared` that has them. This reference is counted, or was the last and the
        // entry has not been moved out, so the entry is there, and its `owner` is that `Shared`.
        unsafe { self.0.as_ref() }
    }

    fn entry(&self) -> Option<&Entry> {
        // SAFETY: the cell is written only by `create`, before this reference was made (`PUBLISH`, `RETAIN`), and by
        // the one who gives up the last reference, which comes after this one (`RELEASE`, `LAST`).
        self.slot().entry.with(|entry| unsafe { (*entry).as_ref() })
    }

    /// The tag's id.
    pub fn id(&self) -> TagId {
        TagId::new(self.slot().index, self.slot().word().generation())
    }

    /// The tag's text.
    pub fn text(&self) -> &str {
        // There is an entry while there are references.
        self.entry().map_or("", |entry| &entry.text)
    }

    /// The tag's text, shared.
    pub(crate) fn shared_text(&self) -> Arc<str> {
        self.entry().map_or_else(Arc::default, |entry| entry.text.clone())
    }

    /// Whether this is the tag's text.
    pub fn is(&self, text: &str) -> bool {
        self.text() == text
    }

    /// Moves the entry out. To be called once, by the one who gave up the last reference.
    #[cold]
    fn tear_down(&self, word: Word) {
        let slot = self.slot();
        // SAFETY: no reference is left, all reads under them are over (`LAST`), and none will be gained: the slot is
        // this thread's alone.
        let Some(Entry { text, owner }) = slot.entry.with_mut(|entry| unsafe { (*entry).take() }) else { return };
        owner.index.remove(&text, TagId::new(slot.index, word.generation()));
        owner.counters.left(&text);
        owner.slots.give_back(slot, word);
        // Last of all, since the slots, this one too, may go with it.
        drop(owner);
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
        let this = std::mem::ManuallyDrop::new(self);
        let word = release(&this.slot().word).expect("it is the last reference");
        move || this.tear_down(word)
    }
}

impl Clone for TagRef {
    fn clone(&self) -> Self {
        let before = Word(self.slot().word.fetch_add(Word::ONE, order::CLONE));
        let more = Self(self.0);
        // A refused one is dropped as it unwinds.
        assert!(before.references() < Word::REFERENCES_MAX, "references to a tag are lost without being dropped");
        more
    }
}

impl Drop for TagRef {
    fn drop(&mut self) {
        // SAFETY: the reference is counted, so the slot is there. Of it only the word is borrowed: unless this is the
        // last reference, the slot may go while the word is being written.
        let word = unsafe { &(*self.0.as_ptr()).word };
        if let Some(word) = release(word) {
            self.tear_down(word);
        }
    }
}

impl fmt::Debug for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagRef({:?} = {})", self.text(), self.id().get())
    }
}
