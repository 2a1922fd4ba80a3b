//! The tag interner: one id per image tag for the whole process, counted, without a lock.
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
//! Zero is terminal: a count that has reached zero is never raised again. Whoever meets such a dying entry
//! removes it (by text *and* id, so never its successor) and makes a new one; nobody waits for anybody. The
//! protocol and what it does not promise are described in `docs/interner.md`; `loom-tests/` compiles these very
//! files and tries it in every interleaving.
//!
//! Not for: paths, arguments and other strings of a tree, which are private to it (`tree::names`).

mod index;
mod slot;
mod stats;
mod sync;
mod word;

#[cfg(all(test, not(loom)))]
mod tests;

use index::{Chosen, Entries, Index};
use slot::Slots;
use stats::Counters;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use sync::fault;

pub use slot::TagRef;
pub use stats::Stats;
pub use word::TagId;

/// The interner holds as many tags as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tag interner is full: it holds its limit of {limit} tags")]
pub struct Full {
    /// The configured limit.
    pub limit: usize,
}

/// The number of tags an [`Interner`] holds unless told otherwise.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// A lock-free, reference-counted map between tags and ids. A clone is another handle to the same one.
///
/// It lives until its last handle and its last tag have gone, in whichever order.
#[derive(Clone)]
pub struct Interner {
    inner: Arc<Inner>,
}

struct Inner {
    index: Chosen,
    slots: Slots,
    counters: Counters,
    limit: usize,
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

    /// As if every slot had had `generation` tenants before.
    fn starting_at(limit: usize, generation: u32) -> Self {
        let inner = Inner {
            index: Chosen::new(limit),
            slots: Slots::new(limit, generation),
            counters: Counters::default(),
            limit,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The one interner of this process.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Interner> = OnceLock::new();
        GLOBAL.get_or_init(Self::new).clone()
    }

    /// A batch of operations, which costs less than as many single ones. Entries removed meanwhile by anyone
    /// are not freed before it ends, so it is to be short.
    pub fn session(&self) -> Session<'_> {
        Session { inner: &self.inner, entries: self.inner.index.pin(), hits: Cell::new(0) }
    }

    /// A reference to the tag `text`, which lives from now until its last reference is dropped.
    ///
    /// # Errors
    /// [`Full`] when it is a new tag and the limit is reached. A tag whose last reference is being dropped at
    /// this moment may still count.
    pub fn intern(&self, text: &str) -> Result<TagRef, Full> {
        self.session().intern(text)
    }

    /// The id of `text` if it is held by anyone. Changes nothing.
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        self.session().lookup(text)
    }

    /// One more reference to a tag of which someone holds one.
    pub fn retain(&self, id: TagId) -> Option<TagRef> {
        self.inner.slots.get(id.index())?.retain(id)
    }

    /// The text of an id that someone holds.
    pub fn resolve(&self, id: TagId) -> Option<Arc<str>> {
        self.retain(id).map(|tag| tag.shared_text())
    }

    /// How many tags are held. Exact when nobody is interning.
    pub fn len(&self) -> usize {
        self.inner.counters.tags()
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap that the texts of the tags held take, exact when nobody is interning. The slots, which are
    /// used again but not given back, are [`slot_bytes`](Self::slot_bytes).
    pub fn bytes(&self) -> usize {
        self.inner.counters.bytes()
    }

    /// Bytes of heap reserved for slots: 64 for each, and at most twice as many slots, or 64, as there ever were
    /// tags at once.
    pub fn slot_bytes(&self) -> usize {
        self.inner.slots.heap_bytes()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.inner.counters.stats()
    }

    /// Every tag held with its id and number of references, for diagnosis; sorted by text.
    pub fn dump(&self) -> Vec<(Arc<str>, TagId, u64)> {
        let entries = self.inner.index.pin().all().into_iter();
        let mut all: Vec<_> =
            entries.filter_map(|(text, id)| Some((text, id, u64::from(self.inner.references(id)?)))).collect();
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
        f.debug_struct("Interner").field("len", &self.len()).field("limit", &self.inner.limit).finish()
    }
}

impl Inner {
    /// The references to a tag that is held.
    fn references(&self, id: TagId) -> Option<u32> {
        let word = self.slots.get(id.index())?.word();
        (word.is_live(id.generation()) || fault::LOOKUP_DYING).then(|| word.references())
    }

    /// Removes the entry of a tag that has no references left, if nobody has done so.
    fn forget(&self, text: &str, id: TagId) {
        if !fault::REMOVE_NOTHING {
            self.index.pin().remove(text, id);
        }
    }
}

/// Operations on an [`Interner`] that share the cost of entering it. Of one thread.
pub struct Session<'a> {
    inner: &'a Arc<Inner>,
    entries: <Chosen as Index>::Entries<'a>,
    hits: Cell<u64>,
}

impl Session<'_> {
    /// See [`Interner::intern`].
    ///
    /// # Errors
    /// [`Full`], likewise.
    pub fn intern(&self, text: &str) -> Result<TagRef, Full> {
        let mut done = Stats::default();
        let mut mine: Option<TagRef> = None;
        loop {
            if let Some(id) = self.entries.get(text) {
                if let Some(tag) = self.inner.slots.get(id.index()).and_then(|slot| slot.retain(id)) {
                    // One reference to each; had this thread made one of its own, it drops it unused.
                    if fault::RESERVED_LOST {
                        std::mem::forget(mine);
                    }
                    self.hits.set(self.hits.get() + 1);
                    if done != Stats::default() {
                        self.inner.counters.add(done);
                    }
                    return Ok(tag);
                }
                // It is dying. Whoever dropped it may be anywhere; its entry is removed for it.
                done.revivals = 1;
                if !fault::WAIT_FOR_DYING {
                    self.entries.remove(text, id);
                }
                continue;
            }
            let tag = match mine.take() {
                Some(tag) => tag,
                None => self.settle(text)?,
            };
            if self.entries.insert(tag.shared_text(), tag.id()) || fault::LOST_RACE_IGNORED {
                done.misses = 1;
                self.inner.counters.add(done);
                return Ok(tag);
            }
            done.retries += 1;
            mine = Some(tag);
        }
    }

    /// A new tag that is in no index yet. Dropped, also by a panic, it leaves nothing behind.
    #[cold]
    fn settle(&self, text: &str) -> Result<TagRef, Full> {
        let vacant = self.inner.slots.reserve().ok_or(Full { limit: self.inner.limit })?;
        let text: Arc<str> = Arc::from(text);
        self.inner.counters.came(stats::bytes_of(&text));
        Ok(vacant.settle(text, self.inner.clone()))
    }

    /// See [`Interner::lookup`].
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        let id = self.entries.get(text)?;
        if fault::LOOKUP_COUNTS {
            std::mem::forget(self.inner.slots.get(id.index())?.retain(id));
        }
        self.inner.references(id).map(|_| id)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.hits.get() > 0 {
            self.inner.counters.add(Stats { hits: self.hits.get(), ..Stats::default() });
        }
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl fmt::Debug for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagRef({:?} = {})", self.text(), self.id().get())
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
        assert_eq!(self.inner.index.pin().all(), []);
        assert_eq!((self.len(), self.bytes()), (0, 0));
        assert_eq!(Arc::strong_count(&self.inner), 1, "a tenant keeps its house");
        self.inner.slots.assert_idle();
    }
}
