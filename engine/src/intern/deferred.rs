//! References that a thread has dropped while it has a session open, to tags that threads contend for.
//!
//! A thread that works through a batch drops a tag and soon needs it again, and each time writes the word that all threads
//! count on. Where another thread was seen to write it at the same moment, a reference that is dropped is put aside, is
//! had again by the next one who asks this thread for the tag, and is given up when the session ends. It counts all the
//! while: such a tag may live until then, and no longer.
//!
//! Nothing here is shared, and nothing is put aside while no session is open.

use super::slot::{Address, TagRef};
use super::sync::{self, ASIDE, fault};
use std::cell::Cell;

/// References to one tag that nobody has.
struct Aside {
    /// Threads contended for this tag.
    address: Cell<Option<Address>>,
    references: Cell<u32>,
    /// Whether one was had again since the session began.
    useful: Cell<bool>,
}

struct Deferred {
    /// How many sessions this thread has open.
    sessions: Cell<u32>,
    /// Whether anything is aside.
    any: Cell<bool>,
    /// At each place one tag at a time.
    places: [Aside; ASIDE],
}

// It has no end, so it is there also for a thread that is ending.
sync::thread_constant! {
    static OWN: Deferred = Deferred {
        sessions: Cell::new(0),
        any: Cell::new(false),
        places: [const { Aside { address: Cell::new(None), references: Cell::new(0), useful: Cell::new(false) } }; ASIDE],
    };
}

/// While this is there, what this thread drops may be put aside.
pub(super) struct Open(());

impl Open {
    #[inline]
    pub fn new() -> Self {
        OWN.with(|own| own.sessions.set(own.sessions.get() + 1));
        Self(())
    }
}

impl Drop for Open {
    #[inline]
    fn drop(&mut self) {
        OWN.with(|own| {
            own.sessions.set(own.sessions.get() - 1);
            if own.any.get() && !fault::aside_kept() {
                own.give_up();
            }
        });
    }
}

/// Gives up what this thread has put aside; whether there was any.
pub(super) fn give_up() -> bool {
    OWN.with(|own| own.any.get() && own.give_up())
}

impl Deferred {
    #[cold]
    #[inline(never)]
    fn give_up(&self) -> bool {
        self.any.set(false);
        let mut any = false;
        for place in &self.places {
            if let (Some(address), references @ 1..) = (place.address.get(), place.references.take()) {
                // What was in vain is not done again.
                if !place.useful.take() {
                    place.address.set(None);
                }
                address.give_up(references);
                any = true;
            }
        }
        any
    }

    #[inline(always)]
    fn place(&self, number: usize) -> Option<&Aside> {
        self.places.get(number % ASIDE)
    }
}

/// A reference to the tag at this address, if one is aside.
#[inline(always)]
pub(super) fn again(address: Address) -> Option<TagRef> {
    OWN.with(|own| {
        let place = own.place(address.number())?;
        let references = place.references.get();
        if references == 0 || place.address.get() != Some(address) {
            return None;
        }
        place.references.set(references - 1);
        place.useful.set(true);
        Some(address.counted())
    })
}

/// Threads contend for the tag at this address.
#[cold]
#[inline(never)]
pub(super) fn contended(address: Address) {
    OWN.with(|own| {
        if let Some(place) = own.place(address.number()).filter(|place| place.references.get() == 0) {
            place.address.set(Some(address));
        }
    });
}

/// Whether this reference, which is being dropped, was put aside.
#[inline(always)]
pub(super) fn keep(tag: &TagRef) -> bool {
    OWN.with(|own| {
        let Some(place) = own.place(tag.number()) else { return false };
        let kept = place.address.get().is_some_and(|address| tag.is_at(address)) && own.sessions.get() > 0;
        if kept {
            place.references.set(place.references.get() + 1);
            own.any.set(true);
        }
        kept
    })
}

/// How many references this thread has put aside.
#[cfg(any(loom, test))]
pub(super) fn references() -> u32 {
    OWN.with(|own| own.places.iter().map(|place| place.references.get()).sum())
}

/// Whether this thread has met another one at any tag.
#[cfg(loom)]
pub(super) fn any_contended() -> bool {
    OWN.with(|own| own.places.iter().any(|place| place.address.get().is_some()))
}
