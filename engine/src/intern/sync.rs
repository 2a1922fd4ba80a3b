//! The atomics, the cell and the orderings of the interner, and the faults that its models must find.
//!
//! This is the only file that knows loom: the types and the sizes that the models, which compile these very files,
//! have other than the program are here. (`cfg(loom)` elsewhere says which index there is, and what only tests and
//! models do.) In the program the types are those of `std`; in the models they are loom's. loom does not explore the
//! interleavings in which a thread reads an atomic and then writes the same one, so a second pass (`loom_rmw_loads`)
//! makes every load a read-modify-write that changes nothing, and every store a swap.
//!
//! Every ordering the protocol uses has a name in [`order`], with the fact it relies on. Every fault that is feared
//! has one in [`fault`], which is false unless a build of the models (`cfg(mutants)`) is told to switch it on; so a
//! fault costs the program nothing, and the places where the protocol could go wrong can be listed.

/// The orderings, and why they suffice. There is no `SeqCst`: where a step looks at two atomics,
/// [`take`] orders what it must see.
pub mod order {
    use super::fault;
    use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

    fn unless(broken: bool, ordering: Ordering) -> Ordering {
        if broken { Relaxed } else { ordering }
    }

    /// A look at a word that a compare-and-swap confirms afterwards, or whose answer may be old when it is given.
    pub const GLANCE: Ordering = Relaxed;
    /// A reference was gained. Pairs with [`publish`], which every later change of the count, being a
    /// read-modify-write, carries on: the text written before it can be read.
    #[inline]
    pub fn retain() -> Ordering {
        unless(fault::retain_relaxed(), Acquire)
    }
    /// A reference was not gained: nothing will be read.
    pub const REFUSED: Ordering = Relaxed;
    /// One more reference by one who holds one: nothing is learnt by it.
    pub const CLONE: Ordering = Relaxed;
    /// The tenant has moved in. Its text is written before; whoever gains a reference sees it.
    #[inline]
    pub fn publish() -> Ordering {
        unless(fault::publish_relaxed(), Release)
    }
    /// A reference is given up: all that was read under it was read before. Pairs with [`LAST`].
    #[inline]
    pub fn release() -> Ordering {
        unless(fault::release_relaxed(), Release)
    }
    /// The last reference was given up, and the word is read once more: as zero, which is terminal, the end of a
    /// chain of read-modify-writes that each [`release`] is part of. So all that was read under any reference was
    /// read before the tenant is moved out. (A fence would do as well, but ThreadSanitizer knows of none.)
    pub const LAST: Ordering = Acquire;
    /// The word of a slot that nobody else may touch. Whoever takes the slot learns of it through [`push`].
    pub const PRIVATE: Ordering = Relaxed;
    /// A slot was put on the free list. All that was done to it was done before.
    #[inline]
    pub fn push() -> Ordering {
        unless(fault::push_relaxed(), Release)
    }
    /// The head of a free list was read: pairs with [`push`] and [`take`].
    pub const POP: Ordering = Acquire;
    /// A slot was taken from a free list. Pairs with [`push`]; and whoever sees it gone sees also what had been put on
    /// other lists before, or it could take all lists to have been empty at once.
    #[inline]
    pub fn take() -> Ordering {
        if fault::take_unsaid() || fault::full_seen_once() { Acquire } else { AcqRel }
    }
    /// A slot's successor in the free list. If it is old, the tag of the head has changed and the swap fails.
    pub const NEXT: Ordering = Relaxed;
    /// A number that is handed out, and tells nothing about other memory.
    pub const NUMBER: Ordering = Relaxed;
    /// A bucket of slots was made. Its slots are written before; pairs with [`bucket`].
    #[inline]
    pub fn grow() -> Ordering {
        unless(fault::bucket_relaxed(), Release)
    }
    /// A bucket was found: its slots are there.
    #[inline]
    pub fn bucket() -> Ordering {
        unless(fault::bucket_relaxed(), Acquire)
    }
}

/// The faults that the models must find. Each is a function that says whether it is switched on: in the program
/// never; in a build of the models for `loom-tests/kill.sh`, which reads this list, when the environment names it.
pub mod fault {
    macro_rules! faults {
        ($($(#[$what:meta])* $name:ident,)*) => { $(
            $(#[$what])*
            #[cfg(not(mutants))]
            #[inline(always)]
            pub const fn $name() -> bool {
                false
            }

            $(#[$what])*
            #[cfg(mutants)]
            pub fn $name() -> bool {
                static ON: std::sync::LazyLock<bool> =
                    std::sync::LazyLock::new(|| std::env::var("LOOM_MUTANT").is_ok_and(|on| on == stringify!($name)));
                *ON
            }
        )* };
    }

    faults! {
        /// A count is raised from zero: a tag that is being torn down comes back to life.
        retain_from_zero,
        /// A reference is gained without looking at the generation.
        retain_any_generation,
        /// The count is read and then written instead of swapped.
        retain_torn,
        /// A reference is gained without seeing what was written before the tag was published.
        retain_relaxed,
        /// A tag is published before its text.
        publish_relaxed,
        /// A reference is given up while its reads may still be under way.
        release_relaxed,
        /// The last one does not wait for the reads of the others.
        last_without_acquire,
        /// Whether this was the last reference is read after the count was changed, not in the same step.
        last_seen_late,
        /// An entry of the index is removed by its text alone.
        remove_any_id,
        /// An entry whose tag has gone stays in the index.
        remove_nothing,
        /// The id of a tag that is being torn down is given out.
        lookup_dying,
        /// A look-up counts as a use.
        lookup_counts,
        /// One who meets a dying entry waits for it to go.
        wait_for_dying,
        /// A tag is used although another thread has added the text first.
        lost_race_ignored,
        /// A slot's next tenant has the generation of the last.
        same_generation,
        /// A generation begins anew when the last is used up.
        generation_wraps,
        /// A slot is offered before its tenant has moved out.
        free_too_early,
        /// The free list's head has no tag: a head that was away and came back looks as if it had stayed.
        free_untagged,
        /// The free list is published before what is on it.
        push_relaxed,
        /// The next unused slot is read and then written instead of swapped.
        fresh_torn,
        /// One slot more than the limit is given out.
        limit_plus_one,
        /// The interner says that it is full after one look at each free list, and taking a slot says nothing.
        full_seen_once,
        /// Taking a slot says nothing of what was put on other lists before.
        take_unsaid,
        /// A tag that this thread found before is taken for another text.
        recent_unchecked,
        /// A new tag that is not used, for another thread was quicker, is not given back.
        reserved_lost,
        /// A slot that was reserved is not given back by a thread that panics before anyone lives in it.
        vacant_lost,
        /// A tenant's stake in the interner is given up before its slot is free: the slots may be gone by then.
        owner_first,
        /// A bucket is published before its slots.
        bucket_relaxed,
        /// A bucket is published over one that another thread has published.
        bucket_torn,
        /// What this thread remembers of one interner is tried on another.
        recent_of_any,
        /// A reference is put aside as one to the tag that was in its slot before.
        aside_any_generation,
        /// What a thread has aside is not given up when it finds the interner full.
        full_keeps_aside,
        /// References that are aside are not given up when the session ends.
        aside_kept,
        /// A tag that threads contend for takes the place of one to which a reference is aside.
        aside_replaced,
        /// A reference that is aside is had for any tag of its place.
        aside_any_address,
    }
}

/// Threads are dealt out to this many stripes of what they would otherwise contend for.
pub const STRIPES: usize = if cfg!(loom) { 2 } else { 8 };

/// Slots of the first bucket, which is there from the start. Every further one doubles.
pub const FIRST: u32 = if cfg!(loom) { 2 } else { 64 };
/// As many buckets as have slots that can be numbered, and no more: see `Word::SLOTS_MAX`.
pub const BUCKETS: u32 = if cfg!(loom) { 4 } else { 26 };

/// A thread's guesses in the beginning, 4 KiB, and at most, 8 MiB for a thread that interns a hundred thousand
/// tags: a guess that is not there costs four cache misses, one after the other, where one that is there costs two.
/// Powers of two.
pub const GUESSES: usize = if cfg!(loom) { 1 } else { 64 };
pub const GUESSES_MAX: usize = if cfg!(loom) { 1 } else { 128 << 10 };

/// Of so many guesses that find no room one takes another's place.
pub const OUTSIDE: usize = if cfg!(loom) { 1 } else { 8 };

/// Tags of which a thread puts references aside.
pub const ASIDE: usize = if cfg!(loom) { 1 } else { 16 };

/// The number of the next interner in this process; 0 is nobody's.
pub fn interner_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    // It says nothing about other memory.
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(loom))]
pub use plain::*;

#[cfg(not(loom))]
mod plain {
    pub use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
    pub use std::thread_local;

    /// Of each thread, and made of nothing that has to be made.
    macro_rules! thread_constant {
        (static $name:ident: $of:ty = $value:expr;) => {
            std::thread_local! { static $name: $of = const { $value } }
        };
    }
    pub(in super::super) use thread_constant;

    /// Where models let a thread panic.
    pub fn reserved(_: &str) {}

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

    /// As above.
    macro_rules! thread_constant {
        (static $name:ident: $of:ty = $value:expr;) => {
            loom::thread_local! { static $name: $of = $value; }
        };
    }
    pub(in super::super) use thread_constant;

    /// The text with which a thread panics while it has a slot and nobody lives in it.
    pub const PANICS_EARLY: &str = "panics early";

    /// Where models let a thread panic.
    pub fn reserved(text: &str) {
        if text == PANICS_EARLY {
            // Without the message of a panic, of which a model makes thousands.
            std::panic::resume_unwind(Box::new(PANICS_EARLY));
        }
    }

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
                    // Where every read is of the last value, none is of an old one, which is what this fault is about.
                    let plain = !cfg!(loom_rmw_loads) || super::fault::take_unsaid();
                    if plain { self.0.load(order) } else { self.0.fetch_add(0, order) }
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
