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
use std::mem::ManuallyDrop;

struct Aside {
    /// Threads contended for the tag at this address.
    address: Cell<Option<Address>>,
    /// A reference to that tag which nobody has. It does not go with the thread: models could not follow it there.
    tag: Cell<Option<ManuallyDrop<TagRef>>>,
    /// Whether one was had again since a session ended.
    useful: Cell<bool>,
}

struct Own {
    /// How many sessions this thread has open.
    sessions: Cell<u32>,
    /// Whether any was put aside since a session ended.
    any: Cell<bool>,
    /// At each place one tag at a time.
    places: [Aside; ASIDE],
}

sync::thread_constant! {
    static OWN: Own = Own {
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
        let _ = OWN.try_with(|own| own.sessions.set(own.sessions.get() + 1));
        Self(())
    }
}

impl Drop for Open {
    #[inline]
    fn drop(&mut self) {
        let _ = OWN.try_with(|own| {
            own.sessions.set(own.sessions.get() - 1);
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

impl Own {
    #[cold]
    #[inline(never)]
    fn give_up(&self) -> bool {
        let mut any = false;
        for place in &self.places {
            let useful = place.useful.take();
            if let Some(tag) = place.tag.take().map(ManuallyDrop::into_inner) {
                // What was in vain is not done again before threads meet at it again.
                if !useful {
                    place.address.set(None);
                }
                tag.give_up();
                any = true;
            }
        }
        self.any.set(false);
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
    let of_thread = |own: &Own| {
        let place = own.places.get(address.place() % ASIDE)?;
        if place.address.get() != Some(address) && !fault::aside_any_address() {
            return None;
        }
        let tag = place.tag.take().map(ManuallyDrop::into_inner)?;
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

/// Puts a reference aside that is being dropped; returns it if it is not to be. (It must not be dropped once more here.)
#[inline(always)]
pub(super) fn keep(tag: ManuallyDrop<TagRef>) -> Option<ManuallyDrop<TagRef>> {
    let mut tag = Some(tag);
    let of_thread = |own: &Own| {
        if own.sessions.get() == 0 {
            return;
        }
        let place = tag.as_ref().and_then(|tag| own.places.get(tag.place() % ASIDE));
        let (Some(place), Some(going)) = (place, &tag) else { return };
        // The word is looked at last, and seldom: others write it.
        let here = |address| going.is_in_slot_of(address) && place.is_empty() && going.is_at(address);
        if place.address.get().is_some_and(here) {
            place.tag.set(tag.take());
            own.any.set(true);
        }
    };
    let _ = OWN.try_with(of_thread);
    tag
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

#[cfg(all(test, not(loom)))]
mod tests;
