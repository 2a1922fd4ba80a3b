//! Which text is which tag: a lock-free map from texts to ids.
//!
//! Each operation takes effect at one instant, and what was written before an id was inserted is seen by those who
//! get it. The interner relies on nothing else, and asks the word of a slot whether an id is alive.
//!
//! In the program the map is papaya. In the models it is a register per text: a third-party map cannot be modelled,
//! and one atomic word that is read, set if empty and emptied if unchanged has exactly that contract, without
//! orderings that papaya does not promise. `tests` holds both to it.

#[cfg(not(loom))]
pub(super) use map::Map as Index;
#[cfg(loom)]
pub(super) use registers::Registers as Index;

#[cfg(not(loom))]
pub(super) mod map {
    use super::super::pin::{self, Pin};
    use super::super::word::TagId;
    use crate::hash::Numbers;
    use papaya::HashMap;
    use std::sync::Arc;

    /// Room for this many tags from the start: while papaya's map grows, threads that write can wait for each other.
    const ROOM: usize = 2048;

    pub struct Map(HashMap<Arc<str>, TagId, Numbers>);

    impl Map {
        pub fn new(limit: usize) -> Self {
            Self(HashMap::builder().hasher(Numbers::default()).capacity(limit.min(ROOM)).build())
        }

        /// What this thread reads in the map stays until the pin goes.
        fn pin(&self) -> Pin<'_> {
            let Self(map) = self;
            if pin::is_here() { Pin::Here(map.guard()) } else { Pin::Ending(map.owned_guard()) }
        }

        /// The id of a text.
        pub fn get(&self, text: &str) -> Option<TagId> {
            self.0.get(text, &self.pin()).copied()
        }

        /// Adds an entry; false if the text has one.
        pub fn insert(&self, text: Arc<str>, id: TagId) -> bool {
            self.0.try_insert(text, id, &self.pin()).is_ok()
        }

        /// Removes this very entry; nothing if the text has none, or another id: it has been interned anew.
        pub fn remove(&self, text: &str, id: TagId) {
            let _ = self.0.remove_if(text, |_, found| *found == id, &self.pin());
        }

        /// All entries, in no order.
        pub fn all(&self) -> Vec<(Arc<str>, TagId)> {
            self.0.iter(&self.pin()).map(|(text, id)| (text.clone(), *id)).collect()
        }
    }
}

#[cfg(any(loom, test))]
pub(super) mod registers {
    use super::super::sync::AtomicU64;
    use super::super::word::TagId;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::{AcqRel, Acquire};

    /// The texts there can be: one letter each.
    const TEXTS: [&str; 4] = ["a", "b", "c", "d"];
    /// The text at which an insertion fails with a panic.
    const PANICS: &str = "panics";

    /// One atomic word per text: its id, or 0.
    pub struct Registers([AtomicU64; TEXTS.len()]);

    impl Registers {
        pub fn new(_: usize) -> Self {
            Self(std::array::from_fn(|_| AtomicU64::new(0)))
        }

        fn of(&self, text: &str) -> Option<&AtomicU64> {
            TEXTS.iter().zip(&self.0).find(|(t, _)| **t == text).map(|(_, register)| register)
        }

        /// Whether the word of a text was `old` and is now `new`. (loom's weak exchange does not fail without cause.)
        fn replace(&self, text: &str, old: u64, new: u64) -> bool {
            let Some(register) = self.of(text) else { return false };
            while let Err(found) = register.compare_exchange_weak(old, new, AcqRel, Acquire) {
                if found != old {
                    return false;
                }
            }
            true
        }

        pub fn get(&self, text: &str) -> Option<TagId> {
            TagId::from_number(self.of(text)?.load(Acquire))
        }

        pub fn insert(&self, text: Arc<str>, id: TagId) -> bool {
            if *text == *PANICS {
                // Without the message of a panic, of which a model makes thousands.
                std::panic::resume_unwind(Box::new(PANICS));
            }
            self.replace(&text, 0, id.get())
        }

        pub fn remove(&self, text: &str, id: TagId) {
            self.replace(text, id.get(), 0);
        }

        pub fn all(&self) -> Vec<(Arc<str>, TagId)> {
            TEXTS.iter().filter_map(|text| Some((Arc::from(*text), self.get(text)?))).collect()
        }
    }
}
