//! What the interner's `sync` has in the models in place of `std`: loom's cell, and loom's atomics.
//!
//! loom does not explore the interleavings in which a thread reads an atomic and then writes the same one. So in a
//! second pass, `LOOM_RMW_LOADS=1`, every load is a read-modify-write that changes nothing, and every store a swap.

pub use loom::cell::UnsafeCell;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

/// Whether this is that pass.
pub fn rmw_loads() -> bool {
    static ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("LOOM_RMW_LOADS").is_some());
    *ON
}

macro_rules! number {
    ($name:ident, $int:ty) => {
        /// loom's.
        #[derive(Debug)]
        pub struct $name(loom::sync::atomic::$name);

        #[allow(dead_code)] // not every width needs every operation
        impl $name {
            pub fn new(value: $int) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $int {
                if rmw_loads() { self.0.fetch_add(0, order) } else { self.0.load(order) }
            }

            pub fn store(&self, value: $int, order: Ordering) {
                if rmw_loads() {
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

/// loom's.
#[derive(Debug)]
pub struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub fn new(value: *mut T) -> Self {
        Self(loom::sync::atomic::AtomicPtr::new(value))
    }

    pub fn load(&self, order: Ordering) -> *mut T {
        if rmw_loads() {
            let null = std::ptr::null_mut();
            self.0.compare_exchange(null, null, order, order).unwrap_or_else(|found| found)
        } else {
            self.0.load(order)
        }
    }

    #[allow(dead_code)] // the fault `bucket_torn` does
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
