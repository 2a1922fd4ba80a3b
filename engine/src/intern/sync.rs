//! The atomics, the cell and the orderings of the interner.
//!
//! This is the only file that knows that there are models. They compile these very files, with loom's types and a few
//! sizes of their own (`cfg(loom)`); in the program the types are those of `std`. (`cfg(loom)` elsewhere says which
//! index there is, and what only tests and models call.)

/// The orderings, and why each suffices. None is `SeqCst`: no step decides by two atomics at once.
pub mod order {
    use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

    /// A look at a word that a compare-and-swap confirms afterwards, or whose answer may be old when it is given.
    pub const GLANCE: Ordering = Relaxed;
    /// A reference was gained. Pairs with [`PUBLISH`], which every later change of the count, being a
    /// read-modify-write, carries on: the entry written before it can be read.
    pub const RETAIN: Ordering = Acquire;
    /// A reference was not gained: nothing will be read.
    pub const REFUSED: Ordering = Relaxed;
    /// One more reference by one who holds one: nothing is learnt by it.
    pub const CLONE: Ordering = Relaxed;
    /// The entry is written. Whoever gains a reference sees it.
    pub const PUBLISH: Ordering = Release;
    /// A reference is given up: all that was read under it was read before. Pairs with [`LAST`].
    pub const RELEASE: Ordering = Release;
    /// The last reference was given up, and the word is read once more: as zero, which is terminal, the end of a
    /// chain of read-modify-writes that each [`RELEASE`] is part of. So all that was read under any reference was
    /// read before the entry is moved out. (A fence would do as well, but ThreadSanitizer knows of none.)
    pub const LAST: Ordering = Acquire;
    /// The word of a slot that nobody else may touch. Whoever takes the slot learns of it through [`PUSH`].
    pub const PRIVATE: Ordering = Relaxed;
    /// A slot was put on the free list. All that was done to it was done before.
    pub const PUSH: Ordering = Release;
    /// The head of the free list was read, or a slot taken from it: pairs with [`PUSH`].
    pub const POP: Ordering = Acquire;
    /// A slot's successor in the free list. If it is old, the tag of the head has changed and the swap fails.
    pub const NEXT: Ordering = Relaxed;
    /// A number that is handed out, and tells nothing about other memory.
    pub const NUMBER: Ordering = Relaxed;
    /// A bucket of slots was made. Its slots are written before; pairs with [`BUCKET`].
    pub const GROW: Ordering = Release;
    /// A bucket was found: its slots are there.
    pub const BUCKET: Ordering = Acquire;
}

/// Slots of the first bucket. Every further one doubles.
pub const FIRST: u32 = if cfg!(loom) { 2 } else { 64 };
/// As many buckets as have slots that can be numbered, and no more: see `Word::SLOTS_MAX`.
pub const BUCKETS: u32 = if cfg!(loom) { 4 } else { 26 };

#[cfg(loom)]
pub use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, UnsafeCell};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// A cell whose contents the protocol guards, in the shape of loom's.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
