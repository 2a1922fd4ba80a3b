//! Entering the map's memory reclamation from a thread, also from one that is ending.
//!
//! papaya knows a thread by seize's thread-local values, and seize panics when they are gone. But the last reference
//! to a tag may be kept in a thread-local value too, and one that was made earlier is dropped later. A thread that
//! seize knows no more enters by a guard that belongs to no thread, which takes a lock each time and is seldom.
//!
//! This leans on what papaya 0.2.5 and seize 0.5.1 do and do not promise, so the workspace has exactly those: that
//! papaya asks a guard's `thread_id` only to deal out its counter of entries, and that seize's value that has a
//! destructor is made when a thread first enters a map.
//!
//! Unsafe: one method of seize's, which passes on what it is given.
#![allow(unsafe_code)]

use papaya::{Guard, LocalGuard, OwnedGuard};
use seize::Collector;

/// Something that is dropped when it cannot be relied on any more that seize knows this thread.
struct Here;

impl Drop for Here {
    // It has to have a destructor to be known as gone.
    fn drop(&mut self) {}
}

thread_local! {
    static HERE: Here = const { Here };
}

/// Whether seize knows this thread, or may begin to, which it is to do next: then no other value of the thread is
/// made or dropped between this one and seize's.
pub(super) fn is_here() -> bool {
    HERE.try_with(|_| ()).is_ok()
}

/// A thread in the map: what it reads there stays until this goes.
pub(super) enum Pin<'a> {
    Here(LocalGuard<'a>),
    Ending(OwnedGuard<'a>),
}

macro_rules! either {
    ($pin:expr, $guard:ident => $call:expr) => {
        match $pin {
            Pin::Here($guard) => $call,
            Pin::Ending($guard) => $call,
        }
    };
}

impl Guard for Pin<'_> {
    fn refresh(&mut self) {
        either!(self, guard => guard.refresh());
    }

    fn flush(&self) {
        either!(self, guard => guard.flush());
    }

    fn collector(&self) -> &Collector {
        either!(self, guard => guard.collector())
    }

    fn thread_id(&self) -> usize {
        match self {
            Self::Here(guard) => guard.thread_id(),
            // An owned guard would ask seize for this thread.
            Self::Ending(_) => 0,
        }
    }

    unsafe fn defer_retire<T>(&self, ptr: *mut T, reclaim: unsafe fn(*mut T, &Collector)) {
        // SAFETY: either guard asks for what the caller of this has promised, and is passed what it gave.
        either!(self, guard => unsafe { guard.defer_retire(ptr, reclaim) });
    }
}
