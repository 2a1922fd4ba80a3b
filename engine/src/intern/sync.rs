//! The atomics, the cell and the orderings of the interner, and the faults that its models must find.
//!
//! This is the only file that knows loom. In the program the types are those of `std`; in the models, which
//! compile these very files, they are loom's. loom does not explore the interleavings in which a thread reads
//! an atomic and then writes the same one, so a second pass (`loom_rmw_loads`) makes every load a
//! read-modify-write that changes nothing, and every store a swap.
//!
//! Every ordering the protocol uses is a constant in [`order`], with the fact it relies on. Every fault that is
//! feared is a constant in [`fault`], false unless a build of the models sets its `cfg`; so a fault costs
//! the program nothing, and the places where the protocol could go wrong can be listed.

/// The orderings, and why they suffice. There is no `SeqCst`: no step compares two different atomics.
pub mod order {
    use super::fault;
    use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

    const fn unless(broken: bool, ordering: Ordering) -> Ordering {
        if broken { Relaxed } else { ordering }
    }

    /// A look at a word that a compare-and-swap confirms afterwards, or whose answer may be old when it is given.
    pub const GLANCE: Ordering = Relaxed;
    /// A reference was gained. Pairs with [`PUBLISH`], which every later change of the count, being a
    /// read-modify-write, carries on: the text written before it can be read.
    pub const RETAIN: Ordering = unless(fault::RETAIN_RELAXED, Acquire);
    /// A reference was not gained: nothing will be read.
    pub const REFUSED: Ordering = Relaxed;
    /// One more reference by one who holds one: nothing is learnt by it.
    pub const CLONE: Ordering = Relaxed;
    /// The tenant has moved in. Its text is written before; whoever gains a reference sees it.
    pub const PUBLISH: Ordering = unless(fault::PUBLISH_RELAXED, Release);
    /// A reference is given up: all that was read under it was read before. Pairs with [`LAST`].
    pub const RELEASE: Ordering = unless(fault::RELEASE_RELAXED, Release);
    /// The last reference was given up, and the word is read once more: as zero, which is terminal, the end of a
    /// chain of read-modify-writes that each [`RELEASE`] is part of. So all that was read under any reference was
    /// read before the tenant is moved out. (A fence would do as well, but ThreadSanitizer knows of none.)
    pub const LAST: Ordering = Acquire;
    /// The word of a slot that nobody else may touch. Whoever takes the slot learns of it through [`PUSH`].
    pub const PRIVATE: Ordering = Relaxed;
    /// A slot was put on the free list. All that was done to it was done before.
    pub const PUSH: Ordering = unless(fault::PUSH_RELAXED, Release);
    /// The head of a free list was read: pairs with [`PUSH`] and [`TAKE`].
    pub const POP: Ordering = Acquire;
    /// A slot was taken from a free list. Pairs with [`PUSH`]; and whoever sees it gone sees also what had been put on
    /// other lists before, or it could take all lists to have been empty at once.
    pub const TAKE: Ordering = if fault::TAKE_UNSAID || fault::FULL_SEEN_ONCE { Acquire } else { AcqRel };
    /// A slot's successor in the free list. If it is old, the tag of the head has changed and the swap fails.
    pub const NEXT: Ordering = Relaxed;
    /// A number that is handed out, and tells nothing about other memory.
    pub const NUMBER: Ordering = Relaxed;
    /// A bucket of slots was made. Its slots are written before; pairs with [`BUCKET`].
    pub const GROW: Ordering = unless(fault::BUCKET_RELAXED, Release);
    /// A bucket was found: its slots are there.
    pub const BUCKET: Ordering = unless(fault::BUCKET_RELAXED, Acquire);
}

/// The faults that the models must find, each by the name of its `cfg`. `loom-tests/kill.sh` reads this list.
pub mod fault {
    /// A count is raised from zero: a tag that is being torn down comes back to life.
    pub const RETAIN_FROM_ZERO: bool = cfg!(mutant = "retain_from_zero");
    /// A reference is gained without looking at the generation.
    pub const RETAIN_ANY_GENERATION: bool = cfg!(mutant = "retain_any_generation");
    /// The count is read and then written instead of swapped.
    pub const RETAIN_TORN: bool = cfg!(mutant = "retain_torn");
    /// A reference is gained without seeing what was written before the tag was published.
    pub const RETAIN_RELAXED: bool = cfg!(mutant = "retain_relaxed");
    /// A tag is published before its text.
    pub const PUBLISH_RELAXED: bool = cfg!(mutant = "publish_relaxed");
    /// A reference is given up while its reads may still be under way.
    pub const RELEASE_RELAXED: bool = cfg!(mutant = "release_relaxed");
    /// The last one does not wait for the reads of the others.
    pub const LAST_WITHOUT_ACQUIRE: bool = cfg!(mutant = "last_without_acquire");
    /// Whether this was the last reference is read after the count was changed, not in the same step.
    pub const LAST_SEEN_LATE: bool = cfg!(mutant = "last_seen_late");
    /// An entry of the index is removed by its text alone.
    pub const REMOVE_ANY_ID: bool = cfg!(mutant = "remove_any_id");
    /// An entry whose tag has gone stays in the index.
    pub const REMOVE_NOTHING: bool = cfg!(mutant = "remove_nothing");
    /// The id of a tag that is being torn down is given out.
    pub const LOOKUP_DYING: bool = cfg!(mutant = "lookup_dying");
    /// A look-up counts as a use.
    pub const LOOKUP_COUNTS: bool = cfg!(mutant = "lookup_counts");
    /// One who meets a dying entry waits for it to go.
    pub const WAIT_FOR_DYING: bool = cfg!(mutant = "wait_for_dying");
    /// A tag is used although another thread has added the text first.
    pub const LOST_RACE_IGNORED: bool = cfg!(mutant = "lost_race_ignored");
    /// A slot's next tenant has the generation of the last.
    pub const SAME_GENERATION: bool = cfg!(mutant = "same_generation");
    /// A generation begins anew when the last is used up.
    pub const GENERATION_WRAPS: bool = cfg!(mutant = "generation_wraps");
    /// A slot is offered before its tenant has moved out.
    pub const FREE_TOO_EARLY: bool = cfg!(mutant = "free_too_early");
    /// The free list's head has no tag: a head that was away and came back looks as if it had stayed.
    pub const FREE_UNTAGGED: bool = cfg!(mutant = "free_untagged");
    /// The free list is published before what is on it.
    pub const PUSH_RELAXED: bool = cfg!(mutant = "push_relaxed");
    /// The next unused slot is read and then written instead of swapped.
    pub const FRESH_TORN: bool = cfg!(mutant = "fresh_torn");
    /// One slot more than the limit is given out.
    pub const LIMIT_PLUS_ONE: bool = cfg!(mutant = "limit_plus_one");
    /// The interner says that it is full after one look at each free list, and taking a slot says nothing.
    pub const FULL_SEEN_ONCE: bool = cfg!(mutant = "full_seen_once");
    /// Taking a slot says nothing of what was put on other lists before.
    pub const TAKE_UNSAID: bool = cfg!(mutant = "take_unsaid");
    /// A tag that this thread found before is taken for another text of the same hash.
    pub const RECENT_UNCHECKED: bool = cfg!(mutant = "recent_unchecked");
    /// A slot that was taken and not used is not given back.
    pub const RESERVED_LOST: bool = cfg!(mutant = "reserved_lost");
    /// A bucket is published before its slots.
    pub const BUCKET_RELAXED: bool = cfg!(mutant = "bucket_relaxed");
    /// A bucket is published over one that another thread has published.
    pub const BUCKET_TORN: bool = cfg!(mutant = "bucket_torn");
}

/// Threads are dealt out to this many stripes of what they would otherwise contend for.
pub const STRIPES: usize = if cfg!(loom) { 2 } else { 8 };

#[cfg(not(loom))]
pub use plain::*;

#[cfg(not(loom))]
mod plain {
    pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
    pub use std::thread_local;

    /// Tags are chosen by others: their hashes are to be of this process alone.
    pub type Hash = foldhash::fast::RandomState;

    /// The number of this thread, from 0, which is asked once.
    pub fn thread_number() -> usize {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// A cell whose contents the protocol guards, in the shape of loom's.
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

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
}

#[cfg(loom)]
pub use modelled::*;

#[cfg(loom)]
mod modelled {
    pub use loom::cell::UnsafeCell;
    pub use loom::thread_local;
    use std::sync::atomic::Ordering;

    /// The same in every execution.
    pub type Hash = foldhash::fast::FixedState;

    /// The number of this thread, from 0, which is asked once.
    pub fn thread_number() -> usize {
        let id = format!("{:?}", loom::thread::current().id());
        id.bytes().filter(u8::is_ascii_digit).fold(0, |n, digit| 10 * n + usize::from(digit - b'0'))
    }

    macro_rules! number {
        ($name:ident, $int:ty) => {
            /// loom's atomic, its loads and stores made read-modify-writes in the second pass.
            #[derive(Debug)]
            pub struct $name(loom::sync::atomic::$name);

            #[allow(dead_code)] // not every width needs every operation
            impl $name {
                pub fn new(value: $int) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub fn load(&self, order: Ordering) -> $int {
                    if cfg!(loom_rmw_loads) { self.0.fetch_add(0, order) } else { self.0.load(order) }
                }

                pub fn store(&self, value: $int, order: Ordering) {
                    if cfg!(loom_rmw_loads) {
                        self.0.swap(value, order);
                    } else {
                        self.0.store(value, order);
                    }
                }

                pub fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                    self.0.fetch_add(value, order)
                }

                pub fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                    self.0.fetch_sub(value, order)
                }

                pub fn compare_exchange_weak(
                    &self,
                    old: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    self.0.compare_exchange(old, new, success, failure)
                }
            }
        };
    }

    number!(AtomicU32, u32);
    number!(AtomicU64, u64);

    /// As above.
    #[derive(Debug)]
    pub struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub fn new(value: *mut T) -> Self {
            Self(loom::sync::atomic::AtomicPtr::new(value))
        }

        pub fn load(&self, order: Ordering) -> *mut T {
            if cfg!(loom_rmw_loads) {
                let null = std::ptr::null_mut();
                self.0.compare_exchange(null, null, order, order).unwrap_or_else(|found| found)
            } else {
                self.0.load(order)
            }
        }

        pub fn swap(&self, new: *mut T, order: Ordering) -> *mut T {
            self.0.swap(new, order)
        }

        pub fn compare_exchange(
            &self,
            old: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            self.0.compare_exchange(old, new, success, failure)
        }
    }
}
