//! Which text is which tag: a lock-free map from texts to ids, and what the interner needs of it.
//!
//! In the program the map is papaya. In the models it is a register per text: a third-party map cannot be
//! modelled, and one atomic word that is read, set if empty and emptied if unchanged has exactly the contract
//! that the protocol relies on, without orderings that papaya does not promise. `tests` holds both to it.

use super::text::Text;
use super::word::TagId;
use std::sync::Arc;

/// A text and its hash, which is computed once for all that is done with it.
#[derive(Clone, Copy)]
pub(super) struct Hashed<'a> {
    pub hash: u64,
    pub text: &'a [u8],
}

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
    fn get(&self, text: Hashed<'_>) -> Option<TagId>;
    /// Adds an entry; false if the text has one.
    fn insert(&self, text: &Text, hash: u64, id: TagId) -> bool;
    /// Removes this very entry; nothing if the text has none, or another id.
    fn remove(&self, text: Hashed<'_>, id: TagId);
    /// All entries, in no order.
    fn all(&self) -> Vec<(Arc<str>, TagId)>;
}

#[cfg(not(loom))]
pub(super) type Chosen = map::Map;
#[cfg(loom)]
pub(super) type Chosen = registers::Registers;

#[cfg(not(loom))]
pub(super) mod map {
    use super::super::pin::{self, Pin};
    use super::super::sync::fault;
    use super::super::text::Pointed;
    use super::{Arc, Entries, Hashed, Index, TagId, Text};
    use papaya::{Equivalent, HashMap, ResizeMode};
    use seize::Collector;
    #[allow(clippy::disallowed_types)]
    use std::hash::BuildHasherDefault;
    use std::hash::{Hash, Hasher};

    /// Room for this many tags from the start: a map that is growing answers more slowly.
    const ROOM: usize = 2048;
    /// Entries that each writer moves while the map grows: few enough not to be felt, enough to be done soon.
    const MOVED: usize = 512;
    /// Entries that a thread removes before it makes sure that nobody reads them, which interrupts all processors.
    const BATCH: usize = 2048;

    /// A text in the map. It lives as long as its entry is there: a tag goes after its entry.
    struct Key {
        hash: u64,
        text: Pointed,
    }

    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            state.write_u64(self.hash);
        }
    }

    impl Hash for Hashed<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            state.write_u64(self.hash);
        }
    }

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.hash == other.hash && other.text.with(|other| self.text.with(|own| own == other)) == Some(Some(true))
        }
    }

    impl Eq for Key {}

    impl Equivalent<Key> for Hashed<'_> {
        fn equivalent(&self, key: &Key) -> bool {
            self.hash == key.hash && key.text.with(|bytes| bytes == self.text) == Some(true)
        }
    }

    /// Takes the hash that is there.
    #[derive(Clone, Default)]
    pub struct AsItIs(u64);

    impl Hasher for AsItIs {
        fn write(&mut self, _: &[u8]) {}

        fn write_u64(&mut self, hash: u64) {
            self.0 = hash;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    #[allow(clippy::disallowed_types)] // no hash function: the hash has a key already
    type Hashes = BuildHasherDefault<AsItIs>;

    /// papaya.
    pub struct Map(HashMap<Key, TagId, Hashes>);

    impl Map {
        pub fn new(limit: usize) -> Self {
            let map = HashMap::builder()
                .hasher(Hashes::default())
                .capacity(limit.min(ROOM))
                .resize_mode(ResizeMode::Incremental(MOVED))
                .collector(Collector::new().batch_size(BATCH));
            Self(map.build())
        }
    }

    /// The map while this thread keeps what it reads.
    pub struct Pinned<'a> {
        map: &'a HashMap<Key, TagId, Hashes>,
        pin: Pin<'a>,
    }

    impl Index for Map {
        type Entries<'a> = Pinned<'a>;

        fn pin(&self) -> Pinned<'_> {
            let Self(map) = self;
            let pin = if pin::is_here() { Pin::Here(map.guard()) } else { Pin::Ending(map.owned_guard()) };
            Pinned { map, pin }
        }
    }

    impl Entries for Pinned<'_> {
        fn get(&self, text: Hashed<'_>) -> Option<TagId> {
            self.map.get(&text, &self.pin).copied()
        }

        fn insert(&self, text: &Text, hash: u64, id: TagId) -> bool {
            self.map.try_insert(Key { hash, text: text.pointed() }, id, &self.pin).is_ok()
        }

        fn remove(&self, text: Hashed<'_>, id: TagId) {
            // `Err` is an entry that has another id: its text has been interned anew.
            let _ = self.map.remove_if(&text, |_, found| *found == id || fault::remove_any_id(), &self.pin);
        }

        fn all(&self) -> Vec<(Arc<str>, TagId)> {
            let text = |key: &Key| key.text.with(|bytes| Arc::from(str::from_utf8(bytes).unwrap_or_default()));
            self.map.iter(&self.pin).filter_map(|(key, id)| Some((text(key)?, *id))).collect()
        }
    }
}

#[cfg(any(loom, test))]
pub(super) mod registers {
    use super::super::sync::{AtomicU64, fault};
    use super::{Arc, Entries, Hashed, Index, TagId, Text};
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

        fn of(&self, text: &[u8]) -> Option<&AtomicU64> {
            TEXTS.iter().zip(&self.0).find(|(t, _)| t.as_bytes() == text).map(|(_, register)| register)
        }
    }

    impl Index for Registers {
        type Entries<'a> = &'a Self;

        fn pin(&self) -> Self::Entries<'_> {
            self
        }
    }

    impl Entries for &Registers {
        fn get(&self, text: Hashed<'_>) -> Option<TagId> {
            TagId::from_number(self.of(text.text)?.load(Acquire))
        }

        fn insert(&self, text: &Text, _: u64, id: TagId) -> bool {
            if text.bytes() == PANICS.as_bytes() {
                // Without the message of a panic, of which a model makes thousands.
                std::panic::resume_unwind(Box::new(PANICS));
            }
            let register = self.of(text.bytes()).expect("a text that models use");
            // A strong exchange would be the same here; loom's weak one does not fail without cause.
            loop {
                match register.compare_exchange_weak(0, id.get(), AcqRel, Acquire) {
                    Ok(_) => return true,
                    Err(0) => {}
                    Err(_) => return false,
                }
            }
        }

        fn remove(&self, text: Hashed<'_>, id: TagId) {
            let Some(register) = self.of(text.text) else { return };
            if fault::remove_any_id() {
                return register.store(0, Release);
            }
            while let Err(found) = register.compare_exchange_weak(id.get(), 0, AcqRel, Acquire) {
                if found != id.get() {
                    return;
                }
            }
        }

        fn all(&self) -> Vec<(Arc<str>, TagId)> {
            let id = |text: &str| TagId::from_number(self.of(text.as_bytes())?.load(Acquire));
            TEXTS.iter().filter_map(|text| Some((Arc::from(*text), id(text)?))).collect()
        }
    }
}
