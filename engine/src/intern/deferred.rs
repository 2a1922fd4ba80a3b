//! References that a thread has dropped while it has a session open, to tags that threads contend for.
//!
//! A thread that works through a batch drops a tag and soon needs it again, and each time writes the word that all
//! threads count on. Where another thread was seen to write it at the same moment, the reference that is dropped is put
//! aside, is had again when the session next asks for the tag, and is given up when a session of the thread ends. It
//! counts all the while: such a tag may live until then, and no longer. There is at most one to each tag.
//!
//! Nothing here is shared, and nothing is put aside while no session is open.

use super::slot::{Address, TagRef};
use super::sync::{self, ASIDE, fault};
use std::cell::Cell;

struct Aside {
    /// Threads contended for the tag at this address.
    address: Cell<Option<Address>>,
    /// A reference to that tag which nobody has.
    tag: Cell<Option<TagRef>>,
    /// Whether one was had again since a session ended.
    useful: Cell<bool>,
}

struct Deferred {
    /// How many sessions this thread has open.
    sessions: Cell<u32>,
    /// Whether any was put aside since a session ended.
    any: Cell<bool>,
    /// At each place one tag at a time.
    places: [Aside; ASIDE],
}

sync::thread_constant! {
    static OWN: Deferred = Deferred {
        sessions: Cell::new(0),
        any: Cell::new(false),
        places: [const { Aside { address: Cell::new(None), tag: Cell::new(None), useful: Cell::new(false) } }; ASIDE],
    };
}

/// While this is there, what this thread drops may be put aside.
pub(super) struct Open(());

impl Open {
    #[inline]
    pub fn new() -> Self {
        // A thread that is ending puts nothing aside.
        let _ = OWN.try_with(|own| own.sessions.set(own.sessions.get() + 1));
        Self(())
    }
}

impl Drop for Open {
    #[inline]
    fn drop(&mut self) {
        let _ = OWN.try_with(|own| {
            // Of one that was opened before the thread began to end.
            own.sessions.set(own.sessions.get().saturating_sub(1));
            if own.any.get() && !fault::aside_kept() {
                own.give_up();
            }
        });
    }
}

/// Gives up what this thread has put aside; whether there was any.
pub(super) fn give_up() -> bool {
    OWN.try_with(|own| own.any.get() && own.give_up()).unwrap_or(false)
}

impl Deferred {
    #[cold]
    #[inline(never)]
    fn give_up(&self) -> bool {
        self.any.set(false);
        let mut any = false;
        for place in &self.places {
            let useful = place.useful.take();
            if let Some(tag) = place.tag.take() {
                // What was in vain is not done again.
                if !useful {
                    place.address.set(None);
                }
                tag.give_up();
                any = true;
            }
        }
        any
    }
}

impl Aside {
    fn is_empty(&self) -> bool {
        let tag = self.tag.take();
        let empty = tag.is_none();
        self.tag.set(tag);
        empty
    }
}

/// A reference to the tag at this address, if one is aside.
#[inline(always)]
pub(super) fn again(address: Address) -> Option<TagRef> {
    let of_thread = |own: &Deferred| {
        let place = own.places.get(address.place() % ASIDE)?;
        if place.address.get() != Some(address) && !fault::aside_any_address() {
            return None;
        }
        let tag = place.tag.take()?;
        place.useful.set(true);
        Some(tag)
    };
    OWN.try_with(of_thread).ok().flatten()
}

/// Threads contend for the tag at this address.
#[cold]
#[inline(never)]
pub(super) fn contended(address: Address) {
    let _ = OWN.try_with(|own| {
        if let Some(place) = own.places.get(address.place() % ASIDE)
            && (place.is_empty() || fault::aside_replaced())
        {
            place.address.set(Some(address));
            place.useful.set(false);
        }
    });
}

/// Puts a reference aside that is being dropped, if it should be: what `moved` returns. Whether it was.
#[inline(always)]
pub(super) fn keep(tag: &TagRef, moved: impl FnOnce() -> TagRef) -> bool {
    let of_thread = |own: &Deferred| {
        let Some(place) = own.places.get(tag.place() % ASIDE) else { return false };
        // The word is looked at last, and seldom: others write it.
        let here = |address| tag.is_in_slot_of(address) && place.is_empty() && tag.is_at(address);
        let kept = own.sessions.get() > 0 && place.address.get().is_some_and(here);
        if kept {
            place.tag.set(Some(moved()));
            own.any.set(true);
        }
        kept
    };
    OWN.try_with(of_thread).unwrap_or(false)
}

/// How many references this thread has put aside.
#[cfg(any(loom, test))]
pub(super) fn references() -> u32 {
    OWN.with(|own| own.places.iter().map(|place| u32::from(!place.is_empty())).sum())
}

/// Whether this thread has met another one at any tag.
#[cfg(loom)]
pub(super) fn any_contended() -> bool {
    OWN.with(|own| own.places.iter().any(|place| place.address.get().is_some()))
}
