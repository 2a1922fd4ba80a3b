//! The tag interner: one id per image tag for the whole process, counted, without a lock of its own.
//!
//! [`Interner::intern`] gives a [`TagRef`], which holds its tag alive; cloning and dropping it are the count.
//! When the last one goes, the tag is removed and its memory given back. An id is never handed out again, so
//! an id kept without a reference can go stale but can never come to mean another tag.
//!
//! ```
//! use grove::intern::Interner;
//!
//! let interner = Interner::new();
//! let tag = interner.intern("1.27")?;
//! assert_eq!(interner.lookup("1.27"), Some(tag.id()));
//! drop(tag);
//! assert_eq!(interner.lookup("1.27"), None);
//! # Ok::<(), grove::intern::Full>(())
//! ```
//!
//! Zero is terminal: a count that has reached zero is never raised again. Whoever meets such a dying entry removes it
//! (by text *and* id, so never its successor) and makes a new one, and waits for nobody. The map beneath, papaya, can
//! make a thread wait that adds or removes a tag while the map grows; finding a tag that is held never does. The
//! protocol and what it does not promise are described in `docs/interner.md`; `loom-tests/` compiles these very files
//! and tries it in every interleaving.
//!
//! The files, each of which knows only those before it: `sync` (atomics and orderings), `word` (what is packed into
//! one atomic word), `slots` (slots and the list of free ones), `pin` and `index` (the map), `stats`, `tag` (the life
//! of a tag in its slot), and this one.
//!
//! Not for: paths, arguments and other strings of a tree, which are private to it (`tree::names`).

mod index;
#[cfg(not(loom))]
mod pin;
mod slots;
mod stats;
mod sync;
mod tag;
mod word;

#[cfg(all(test, not(loom)))]
mod tests;

use index::Index;
use slots::Slots;
use stats::Counters;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tag::Shared;

pub use stats::InternerStats;
pub use tag::TagRef;
pub use word::TagId;

/// Bytes of the longest text that a tag may have. Container runtimes allow 128 for a tag; an image's digest has 71.
pub const TEXT_MAX: usize = 4096;

/// There is no room for a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The interner holds as many tags as it may.
    #[error("the tag interner is full: it holds its limit of {limit} tags")]
    Tags {
        /// The configured limit.
        limit: usize,
    },
    /// The tag's text is longer than [`TEXT_MAX`].
    #[error("a tag of {bytes} bytes is longer than the {TEXT_MAX} that a tag may have")]
    Text {
        /// The length of the text in bytes.
        bytes: usize,
    },
}

/// The number of tags an [`Interner`] holds unless told otherwise.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// A lock-free, reference-counted map between tags and ids. A clone is another handle to the same one.
///
/// It lives until its last handle and its last tag have gone, in whichever order.
#[derive(Clone)]
pub struct Interner {
    shared: Arc<Shared>,
}

impl Interner {
    /// An empty interner of its own; most programs want [`Interner::global`].
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty interner that holds at most `limit` tags at once.
    pub fn with_limit(limit: usize) -> Self {
        Self::starting_at(limit, 0)
    }

    /// As if every slot had been used in all generations before `generation`.
    fn starting_at(limit: usize, generation: u32) -> Self {
        let (index, slots) = (Index::new(limit), Slots::new(limit, generation));
        Self { shared: Arc::new(Shared { index, slots, counters: Counters::default(), limit }) }
    }

    /// The one interner of this process, as whoever asks first has it made: here with the [`DEFAULT_LIMIT`].
    pub fn global() -> Self {
        Self::global_of(DEFAULT_LIMIT)
    }

    /// The one interner of this process. Whoever asks first says how many tags it holds at most; see
    /// [`limit`](Self::limit).
    pub fn global_of(limit: usize) -> Self {
        static GLOBAL: OnceLock<Interner> = OnceLock::new();
        GLOBAL.get_or_init(|| Self::with_limit(limit)).clone()
    }

    /// How many tags it holds at most.
    pub fn limit(&self) -> usize {
        self.shared.limit
    }

    /// A reference to the tag `text`, which lives from now until its last reference is dropped. O(bytes).
    ///
    /// # Errors
    /// [`Full::Tags`] when it is a new tag and the limit is reached; a tag whose last reference is being dropped at
    /// this moment may still count. [`Full::Text`] when it is longer than [`TEXT_MAX`]. Nothing has changed then.
    pub fn intern(&self, text: &str) -> Result<TagRef, Full> {
        if text.len() > TEXT_MAX {
            return Err(Full::Text { bytes: text.len() });
        }
        let Shared { index, counters, limit, .. } = &*self.shared;
        // A new tag of this thread's, in no index yet. Dropped, also by a panic, it leaves nothing behind.
        let mut mine: Option<TagRef> = None;
        loop {
            if let Some(id) = index.get(text) {
                if let Some(tag) = self.shared.retain(id) {
                    return Ok(tag);
                }
                // It is dying. Whoever dropped it may be anywhere; its entry is removed for it.
                index.remove(text, id);
                counters.revived();
                continue;
            }
            let tag = match mine.take() {
                Some(tag) => tag,
                None => self.shared.create(text).ok_or(Full::Tags { limit: *limit })?,
            };
            if index.insert(tag.shared_text(), tag.id()) {
                counters.added();
                return Ok(tag);
            }
            // Another thread was quicker: its tag is found, or it has gone again.
            counters.retried();
            mine = Some(tag);
        }
    }

    /// The id of `text` if it is held by anyone. Changes nothing, and waits for nobody. (The first look-up of a thread
    /// makes it known to the map.) O(bytes).
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        let id = self.shared.index.get(text)?;
        self.shared.references(id).map(|_| id)
    }

    /// One more reference to a tag of which someone holds one. An id is of one interner: another one has no such tag,
    /// or one of another text.
    pub fn retain(&self, id: TagId) -> Option<TagRef> {
        self.shared.retain(id)
    }

    /// The text of an id that someone holds; of this interner's, as for [`retain`](Self::retain).
    pub fn resolve(&self, id: TagId) -> Option<Arc<str>> {
        self.retain(id).map(|tag| tag.shared_text())
    }

    /// How many tags are held. Exact when nobody is interning.
    pub fn len(&self) -> usize {
        self.shared.counters.len()
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap that the tags held take, exact when nobody is interning: for each its text, two counts before it,
    /// and its entry in the index. What the map's table takes, and what waits in it to be freed, is in no figure; the
    /// slots, which are used again but not given back, are [`slot_bytes`](Self::slot_bytes).
    pub fn bytes(&self) -> usize {
        self.shared.counters.bytes()
    }

    /// Bytes of heap reserved for slots: 64 for each, fewer than twice as many as there ever were tags at once, and 64
    /// more.
    pub fn slot_bytes(&self) -> usize {
        self.shared.slots.heap_bytes()
    }

    /// The interner's counters.
    pub fn stats(&self) -> InternerStats {
        self.shared.counters.stats()
    }

    /// Every tag held with its id and number of references, for diagnosis; sorted by text.
    pub fn dump(&self) -> Vec<(Arc<str>, TagId, u64)> {
        let entries = self.shared.index.all().into_iter();
        let mut all: Vec<_> =
            entries.filter_map(|(text, id)| Some((text, id, u64::from(self.shared.references(id)?)))).collect();
        all.sort();
        all
    }
}

impl Default for Interner {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Interner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner").field("len", &self.len()).field("limit", &self.limit()).finish()
    }
}

/// What only tests and models do.
#[cfg(any(loom, test))]
impl Interner {
    /// An empty interner all of whose slots are in this generation.
    pub fn with_generation(limit: usize, generation: u32) -> Self {
        Self::starting_at(limit, generation)
    }

    /// Fails unless no tag is held, nothing of any tag is left, and every slot can be used again.
    pub fn assert_idle(&self) {
        assert_eq!(self.shared.index.all(), []);
        assert_eq!((self.len(), self.bytes()), (0, 0));
        self.shared.slots.assert_idle();
    }
}
