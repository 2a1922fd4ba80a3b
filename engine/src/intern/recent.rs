//! What this thread found last: by the hash of a text the id that it had, as a guess.
//!
//! A guess is worth nothing until the slot's word has confirmed that the tag is alive and its text that it is the
//! right one. So nothing here has to be kept up to date, nothing is held alive by it, and a thread that finds the same
//! tags again and again goes straight to their slots, past the index.
//!
//! Not for: knowing that a text is *not* there. That only the index can say.

use super::sync::{self, SETS, SETS_MAX, STRIPES, fault, tag_of};
use super::word::TagId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Guesses for one range of hashes; one cache line.
const WAYS: usize = 4;
/// A table that is crowded is followed by one of so many times its sets.
const GROWTH: usize = 4;

/// Of so many that find no room in their set one takes another's place.
const OUTSIDE: usize = 8;

#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// The upper half of the hash, made odd; 0 where there is no guess. It also chooses the set.
    tags: [Cell<u32>; WAYS],
    /// How many references there were.
    references: [Cell<u32>; WAYS],
    ids: [Cell<Option<TagId>>; WAYS],
}

/// The guesses of one thread about one interner.
pub(super) struct Recent {
    /// The interner whose ids these are, and no other's: only an id that was in its index may be tried.
    of: u64,
    sets: Box<[Set]>,
    /// How many guesses have found no room.
    outside: Cell<usize>,
}

sync::thread_local! {
    static OWN: (usize, RefCell<Rc<Recent>>) =
        (sync::thread_number() % STRIPES, RefCell::new(Rc::new(Recent::new(NOBODY, SETS))));
}

/// The number of no interner.
const NOBODY: u64 = 0;

/// This thread's stripe and its guesses about interner `of`. A thread that goes to another interner begins anew, and
/// one that is ending has given up both and uses another's stripe.
pub(super) fn own(of: u64) -> (usize, Option<Rc<Recent>>) {
    let of_thread = |(stripe, recent): &(usize, RefCell<Rc<Recent>>)| {
        let mut recent = recent.borrow_mut();
        if recent.of != of && !fault::recent_of_any() {
            *recent = Rc::new(Recent::new(of, SETS));
        } else if recent.is_crowded() {
            *recent = Rc::new(recent.larger());
        }
        (*stripe, Some(recent.clone()))
    };
    OWN.try_with(of_thread).unwrap_or((0, None))
}

impl Set {
    /// Which of the guesses is for this tag. Without branches: which it is cannot be foreseen.
    fn way(&self, tag: u32) -> usize {
        let ways = self.tags.iter().enumerate();
        let equal = ways.fold(0_u32, |found, (way, known)| found | u32::from(known.get() == tag) << way);
        equal.trailing_zeros() as usize
    }

    fn set(&self, way: usize, tag: u32, id: Option<TagId>, references: u32) {
        if let (Some(t), Some(i), Some(r)) = (self.tags.get(way), self.ids.get(way), self.references.get(way)) {
            t.set(tag);
            i.set(id);
            r.set(references);
        }
    }
}

impl Recent {
    fn new(of: u64, sets: usize) -> Self {
        Self { of, sets: (0..sets).map(|_| Set::default()).collect(), outside: Cell::new(0) }
    }

    /// Whether it has no room for what this thread finds.
    fn is_crowded(&self) -> bool {
        self.sets.len() < SETS_MAX && self.outside.get() > 2 * WAYS * self.sets.len()
    }

    fn larger(&self) -> Self {
        let more = Self::new(self.of, (GROWTH * self.sets.len()).min(SETS_MAX));
        for set in &self.sets {
            for ((tag, id), references) in set.tags.iter().zip(&set.ids).zip(&set.references) {
                if id.get().is_some() {
                    more.note(tag.get(), id.get(), references.get());
                }
            }
        }
        more
    }

    fn set(&self, tag: u32) -> Option<&Set> {
        self.sets.get((tag >> 1) as usize & (self.sets.len() - 1))
    }

    /// The id that a text of this hash had, and how many references.
    pub fn get(&self, hash: u64) -> Option<(TagId, u32)> {
        let tag = tag_of(hash);
        let set = self.set(tag)?;
        let way = set.way(tag);
        Some((set.ids.get(way)?.get()?, set.references.get(way)?.get()))
    }

    /// A text of this hash has this id.
    pub fn put(&self, hash: u64, id: TagId, references: u32) {
        self.note(tag_of(hash), Some(id), references);
    }

    fn note(&self, tag: u32, id: Option<TagId>, references: u32) {
        let Some(set) = self.set(tag) else { return };
        let known = set.way(tag);
        let free = set.way(0);
        let mut way = [known, free].into_iter().find(|way| *way < WAYS);
        if way.is_none() {
            let outside = self.outside.get();
            self.outside.set(outside.wrapping_add(1));
            // Most stay outside, or those that come once would drive out those that come often.
            way = outside.is_multiple_of(OUTSIDE).then_some(outside / OUTSIDE % WAYS);
        }
        if let Some(way) = way {
            set.set(way, tag, id, references);
        }
    }

    /// The guess was wrong.
    pub fn forget(&self, hash: u64) {
        let tag = tag_of(hash);
        if let Some(set) = self.set(tag) {
            set.set(set.way(tag), 0, None, 0);
        }
    }
}
