//! Which text is which tag: a lock-free map from texts to ids, and what the interner needs of it.
//!
//! In the program the map is papaya. In the models it is a register per text: a third-party map cannot be
//! modelled, and one atomic word that is read, set if empty and emptied if unchanged has exactly the contract
//! that the protocol relies on, without orderings that papaya does not promise. `tests` holds both to it.

use super::word::TagId;
use std::sync::Arc;

/// A map from texts to ids, used through [`Entries`].
pub(super) trait Index {
    type Entries<'a>: Entries
    where
        Self: 'a;

    /// Pins: entries that are read stay readable until this goes. Cheap when the thread has pinned already.
    fn pin(&self) -> Self::Entries<'_>;
}

/// Each operation takes effect at one instant. What was written before an id was inserted is seen by those
/// who get it.
pub(super) trait Entries {
    /// The id of a text.
    fn get(&self, text: &str) -> Option<TagId>;
    /// Adds an entry; false if the text has one.
    fn insert(&self, text: Arc<str>, id: TagId) -> bool;
    /// Removes this very entry; nothing if the text has none, or another id.
    fn remove(&self, text: &str, id: TagId);
    /// All entries, in no order.
    fn all(&self) -> Vec<(Arc<str>, TagId)>;
}

#[cfg(not(loom))]
pub(super) type Chosen = map::Map;
#[cfg(loom)]
pub(super) type Chosen = registers::Registers;

#[cfg(not(loom))]
pub(super) mod map {
    use super::super::sync::fault;
    use super::{Arc, Entries, Index, TagId};
    use papaya::{HashMap, HashMapRef, LocalGuard, ResizeMode};
    use seize::Collector;

    type Hash = foldhash::fast::RandomState;

    /// Room for this many tags from the start: a map that is growing answers more slowly.
    const ROOM: usize = 4096;
    /// Entries that each writer moves while the map grows: few enough not to be felt, enough to be done soon.
    const MOVED: usize = 512;
    /// Entries that a thread removes before it makes sure that nobody reads them, which interrupts all processors.
    const BATCH: usize = 512;

    /// papaya.
    pub struct Map(HashMap<Arc<str>, TagId, Hash>);

    impl Map {
        pub fn new(limit: usize) -> Self {
            let map = HashMap::builder()
                .hasher(Hash::default())
                .capacity(limit.min(ROOM))
                .resize_mode(ResizeMode::Incremental(MOVED))
                .collector(Collector::new().batch_size(BATCH));
            Self(map.build())
        }
    }

    /// The map while this thread keeps what it reads.
    pub struct Pinned<'a>(HashMapRef<'a, Arc<str>, TagId, Hash, LocalGuard<'a>>);

    impl Index for Map {
        type Entries<'a> = Pinned<'a>;

        fn pin(&self) -> Pinned<'_> {
            Pinned(self.0.pin())
        }
    }

    impl Entries for Pinned<'_> {
        fn get(&self, text: &str) -> Option<TagId> {
            self.0.get(text).copied()
        }

        fn insert(&self, text: Arc<str>, id: TagId) -> bool {
            self.0.try_insert(text, id).is_ok()
        }

        fn remove(&self, text: &str, id: TagId) {
            // `Err` is an entry that has another id: its text has been interned anew.
            let _ = self.0.remove_if(text, |_, found| *found == id || fault::REMOVE_ANY_ID);
        }

        fn all(&self) -> Vec<(Arc<str>, TagId)> {
            self.0.iter().map(|(text, id)| (text.clone(), *id)).collect()
        }
    }
}

#[cfg(any(loom, test))]
pub(super) mod registers {
    use super::super::sync::{AtomicU64, fault};
    use super::{Arc, Entries, Index, TagId};
    use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

    /// The texts there can be: one letter each.
    const TEXTS: [&str; 4] = ["a", "b", "c", "d"];
    /// The text at which an insertion fails with a panic.
    pub const PANICS: &str = "panics";

    /// One atomic word per text: its id, or 0.
    pub struct Registers([AtomicU64; TEXTS.len()]);

    impl Registers {
        pub fn new(_: usize) -> Self {
            Self(std::array::from_fn(|_| AtomicU64::new(0)))
        }

        fn of(&self, text: &str) -> Option<&AtomicU64> {
            TEXTS.iter().zip(&self.0).find(|(t, _)| **t == text).map(|(_, register)| register)
        }
    }

    impl Index for Registers {
        type Entries<'a> = &'a Self;

        fn pin(&self) -> Self::Entries<'_> {
            self
        }
    }

    impl Entries for &Registers {
        fn get(&self, text: &str) -> Option<TagId> {
            TagId::from_number(self.of(text)?.load(Acquire))
        }

        fn insert(&self, text: Arc<str>, id: TagId) -> bool {
            if &*text == PANICS {
                // Without the message of a panic, of which a model makes thousands.
                std::panic::resume_unwind(Box::new(PANICS));
            }
            let register = self.of(&text).expect("a text that models use");
            // A strong exchange would be the same here; loom's weak one does not fail without cause.
            loop {
                match register.compare_exchange_weak(0, id.get(), AcqRel, Acquire) {
                    Ok(_) => return true,
                    Err(0) => {}
                    Err(_) => return false,
                }
            }
        }

        fn remove(&self, text: &str, id: TagId) {
            let Some(register) = self.of(text) else { return };
            if fault::REMOVE_ANY_ID {
                return register.store(0, Release);
            }
            while let Err(found) = register.compare_exchange_weak(id.get(), 0, AcqRel, Acquire) {
                if found != id.get() {
                    return;
                }
            }
        }

        fn all(&self) -> Vec<(Arc<str>, TagId)> {
            TEXTS.iter().filter_map(|text| Some((Arc::from(*text), self.get(text)?))).collect()
        }
    }
}
