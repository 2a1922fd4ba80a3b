//! How a thread enters the map, also one that is ending.
//!
//! seize knows a thread by thread-local values, and panics when they are gone. But a tag may be kept in one, too, and
//! one that was made earlier goes later: so the last reference may be given up when seize knows its thread no more.
//! Such a thread enters as nobody in particular, which takes a lock each time and is seldom.
//!
//! Unsafe: one method of seize's, which passes on what it is given.
#![allow(unsafe_code)]

use papaya::{Guard, LocalGuard, OwnedGuard};
use seize::Collector;

/// Something that goes when it cannot be relied on any more that seize knows this thread.
struct Here;

impl Drop for Here {
    // It has to have an end to be known as gone.
    fn drop(&mut self) {}
}

thread_local! {
    static HERE: Here = const { Here };
}

/// Whether seize knows this thread, or may begin to, which it is to do next: then nothing of the thread's is made, nor
/// goes, between this value and seize's.
pub(super) fn is_here() -> bool {
    HERE.try_with(|_| ()).is_ok()
}

/// A thread in the map: what it reads there stays until this goes.
pub(super) enum Pin<'a> {
    Here(LocalGuard<'a>),
    Ending(OwnedGuard<'a>),
}

impl Guard for Pin<'_> {
    fn refresh(&mut self) {
        match self {
            Self::Here(guard) => guard.refresh(),
            Self::Ending(guard) => guard.refresh(),
        }
    }

    fn flush(&self) {
        match self {
            Self::Here(guard) => guard.flush(),
            Self::Ending(guard) => guard.flush(),
        }
    }

    fn collector(&self) -> &Collector {
        match self {
            Self::Here(guard) => guard.collector(),
            Self::Ending(guard) => guard.collector(),
        }
    }

    /// By it papaya deals out its counter of entries, which any thread may add to.
    fn thread_id(&self) -> usize {
        match self {
            Self::Here(guard) => guard.thread_id(),
            Self::Ending(_) => 0,
        }
    }

    unsafe fn defer_retire<T>(&self, ptr: *mut T, reclaim: unsafe fn(*mut T, &Collector)) {
        // SAFETY: either guard asks for what the caller of this has promised, and is passed what it gave.
        unsafe {
            match self {
                Self::Here(guard) => guard.defer_retire(ptr, reclaim),
                Self::Ending(guard) => guard.defer_retire(ptr, reclaim),
            }
        }
    }
}
