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
//! Not for: paths, arguments and other strings of a tree, which are private to it (`tree::names`).

mod aside;
mod index;
#[cfg(not(loom))]
mod pin;
mod recent;
mod slot;
mod stats;
mod sync;
mod text;
mod word;

#[cfg(all(test, not(loom)))]
mod tests;

use crate::hash::Keyed;
use index::{Chosen, Entries, Hashed, Index};
use recent::Recent;
use slot::Slots;
use stats::Counters;
use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use sync::{STRIPES, fault};
use text::Text;

pub use slot::TagRef;
pub use stats::Stats;
pub use text::TEXT_MAX;
pub use word::TagId;

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
        /// Its length.
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
    house: Arc<House>,
}

/// What the handles of an interner have in common.
struct House {
    inner: Arc<Inner>,
    shares: [Arc<Share>; STRIPES],
}

struct Inner {
    index: Chosen,
    slots: Slots,
    counters: Counters,
    limit: usize,
    hasher: Keyed,
}

/// A stake in an interner: what lives in it holds one of a few, that of the thread that brought it in, so that
/// threads do not meet at one count whenever a tag comes or goes. Their holders are counted, so the tags are.
#[repr(align(128))]
struct Share {
    inner: Arc<Inner>,
    stripe: usize,
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
        let inner = Arc::new(Inner {
            index: Chosen::new(limit),
            slots: Slots::new(limit, generation),
            counters: Counters::default(),
            limit,
            hasher: Keyed::default(),
        });
        let shares = std::array::from_fn(|stripe| Arc::new(Share { inner: inner.clone(), stripe }));
        Self { house: Arc::new(House { inner, shares }) }
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
        self.house.inner.limit
    }

    /// A batch of operations, which costs less than as many single ones. Entries removed meanwhile by anyone
    /// are not freed before it ends, nor is all that this thread drops, so it is to be short.
    pub fn session(&self) -> Session<'_> {
        let House { inner, shares } = &*self.house;
        let (stripe, recent) = recent::own();
        let [first, ..] = shares;
        let share = shares.get(stripe).unwrap_or(first);
        Session { inner, share, recent, entries: OnceCell::new(), done: Stats::default(), _open: aside::Open::new() }
    }

    /// A reference to the tag `text`, which lives from now until its last reference is dropped.
    ///
    /// # Errors
    /// [`Full::Tags`] when it is a new tag and the limit is reached; a tag whose last reference is being dropped at
    /// this moment may still count. [`Full::Text`] when it is longer than [`TEXT_MAX`]. Nothing has changed then.
    pub fn intern(&self, text: &str) -> Result<TagRef, Full> {
        self.session().intern(text)
    }

    /// The id of `text` if it is held by anyone. Changes nothing. (The first look-up of a thread makes it known to
    /// the map.)
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        let inner = &self.house.inner;
        inner.find(&inner.index.pin(), text)
    }

    /// One more reference to a tag of which someone holds one. An id is of one interner: another one has no such tag,
    /// or one of another text.
    pub fn retain(&self, id: TagId) -> Option<TagRef> {
        self.house.inner.slots.retain(id)
    }

    /// The text of an id that someone holds; of this interner's, as for [`retain`](Self::retain).
    pub fn resolve(&self, id: TagId) -> Option<Arc<str>> {
        self.retain(id).map(|tag| Arc::from(tag.text()))
    }

    /// How many tags are held. Exact when nobody is interning.
    pub fn len(&self) -> usize {
        self.house.shares.iter().map(|share| Arc::strong_count(share) - 1).sum()
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap that the tags held take, exact when nobody is interning: for each its entry in the index, 64,
    /// and if its text is longer than 46 bytes that text, and 32 for what points to it. The slots, which are used
    /// again but not given back, are [`slot_bytes`](Self::slot_bytes).
    pub fn bytes(&self) -> usize {
        self.house.inner.counters.bytes()
    }

    /// Bytes of heap reserved for slots: 128 for each, fewer than twice as many as the stripes of threads ever had tags
    /// at once, and 64 more.
    pub fn slot_bytes(&self) -> usize {
        self.house.inner.slots.heap_bytes()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.house.inner.counters.stats()
    }

    /// Every tag held with its id and number of references, for diagnosis; sorted by text.
    pub fn dump(&self) -> Vec<(Arc<str>, TagId, u64)> {
        let entries = self.house.inner.index.pin().all().into_iter();
        let mut all: Vec<_> =
            entries.filter_map(|(text, id)| Some((text, id, u64::from(self.house.inner.references(id)?)))).collect();
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
        f.debug_struct("Interner").field("len", &self.len()).field("limit", &self.house.inner.limit).finish()
    }
}

impl Inner {
    fn hashed<'a>(&self, text: &'a str) -> Hashed<'a> {
        Hashed { hash: self.hasher.bytes(text.as_bytes()), text: text.as_bytes() }
    }

    /// The references to a tag that is held.
    fn references(&self, id: TagId) -> Option<u32> {
        let word = self.slots.get(id.index())?.word();
        (word.is_live(id.generation()) || fault::lookup_dying()).then(|| word.references())
    }

    /// The id of a text that is held.
    fn find(&self, entries: &impl Entries, text: &str) -> Option<TagId> {
        let id = entries.get(self.hashed(text))?;
        if fault::lookup_counts() {
            std::mem::forget(self.slots.retain(id));
        }
        self.references(id).map(|_| id)
    }

    /// Removes the entry of a tag that has no references left, if nobody has done so.
    fn forget(&self, text: Hashed<'_>, id: TagId) {
        if !fault::remove_nothing() {
            self.index.pin().remove(text, id);
        }
    }
}

/// Operations on an [`Interner`] that share the cost of entering it. Of one thread.
///
/// Where threads contend for a tag, one reference to it that this thread drops meanwhile is not given up at once: it
/// is kept for when the session asks for the tag again, and given up when it ends. So such a tag may live until then,
/// and counts. A session that is forgotten (`mem::forget`) never ends: its thread then finds tags by the index alone,
/// and may keep one reference to each of 16 such tags until another session of it ends.
pub struct Session<'a> {
    inner: &'a Inner,
    share: &'a Arc<Share>,
    /// None when this thread is ending and has given it up.
    recent: Option<Box<Recent>>,
    /// Pinned when it is first asked.
    entries: OnceCell<<Chosen as Index>::Entries<'a>>,
    done: Stats,
    _open: aside::Open,
}

impl<'a> Session<'a> {
    /// See [`Interner::intern`].
    ///
    /// # Errors
    /// [`Full`], likewise.
    #[inline(always)]
    pub fn intern(&mut self, text: &str) -> Result<TagRef, Full> {
        match self.again(text.as_bytes()) {
            Some(tag) => Ok(tag),
            None => self.find_or_add(text),
        }
    }

    fn entries(&self) -> &<Chosen as Index>::Entries<'a> {
        self.entries.get_or_init(|| self.inner.index.pin())
    }

    /// A tag that this thread has found before, if it is still there: a tag that can be gained and has this text is
    /// the one that the index has, for no two are alive and one that was in the index is no tag that was not.
    #[inline(always)]
    fn again(&mut self, text: &[u8]) -> Option<TagRef> {
        let (tag, compared) = self.inner.slots.again(self.recent.as_ref()?, text)?;
        if compared || tag.text_bytes() == text {
            self.done.hits += 1;
            return Some(tag);
        }
        None
    }

    /// Apart from what is done when a guess was right, which is all that most callers do.
    #[inline(never)]
    fn find_or_add(&mut self, text: &str) -> Result<TagRef, Full> {
        let (hashed, entries) = (self.inner.hashed(text), self.entries());
        let mut done = Stats::default();
        let mut mine = None;
        let found = loop {
            if let Some(id) = entries.get(hashed) {
                if let Some(tag) = self.inner.slots.retain(id) {
                    // One reference to each; had this thread made one of its own, it drops it unused.
                    if fault::reserved_lost() {
                        std::mem::forget(mine);
                    }
                    done.hits = 1;
                    break Ok((tag, id));
                }
                // It is dying. Whoever dropped it may be anywhere; its entry is removed for it.
                done.revivals = 1;
                if !fault::wait_for_dying() {
                    entries.remove(hashed, id);
                }
                continue;
            }
            let (tag, id) = match mine.take() {
                Some(mine) => mine,
                None => match self.settle(text, hashed.hash) {
                    Ok(new) => new,
                    Err(full) => break Err(full),
                },
            };
            if tag.enter(entries, id) || fault::lost_race_ignored() {
                done.misses = 1;
                break Ok((tag, id));
            }
            done.retries += 1;
            mine = Some((tag, id));
        };
        self.done = self.done + done;
        let (tag, id) = found?;
        if let Some(recent) = &mut self.recent {
            self.inner.slots.note(recent, hashed.text, &tag, id, done.hits > 0);
        }
        Ok(tag)
    }

    /// A new tag that is in no index yet. Dropped, also by a panic, it leaves nothing behind.
    fn settle(&self, text: &str, hash: u64) -> Result<(TagRef, TagId), Full> {
        if text.len() > TEXT_MAX {
            return Err(Full::Text { bytes: text.len() });
        }
        let stripe = self.share.stripe;
        let reserve = || self.inner.slots.reserve(stripe);
        // What this thread has dropped is not to be in its way.
        let vacant = reserve().or_else(|| (!fault::full_keeps_aside() && aside::give_up()).then(reserve).flatten());
        let vacant = vacant.ok_or(Full::Tags { limit: self.inner.limit })?;
        sync::reserved(text);
        let text = Text::new(text);
        self.inner.counters.came(stripe, stats::bytes_of(&text));
        Ok(vacant.settle(text, hash, self.share.clone()))
    }

    /// See [`Interner::lookup`].
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        self.inner.find(self.entries(), text)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        recent::give_back(self.recent.take());
        self.inner.counters.add(self.share.stripe, self.done);
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

    /// How many references this thread has dropped and not given up yet; see [`Session`].
    pub fn aside() -> u32 {
        aside::references()
    }

    /// Whether this thread has met another one at any tag.
    #[cfg(loom)]
    pub fn contended() -> bool {
        aside::any_contended()
    }

    /// Fails unless no tag is held, nothing of any tag is left, and every slot can be used again.
    pub fn assert_idle(&self) {
        assert_eq!(self.house.inner.index.pin().all(), []);
        assert_eq!((self.len(), self.bytes()), (0, 0));
        let held = self.house.shares.iter().filter(|share| Arc::strong_count(share) > 1).count();
        assert_eq!((held, Arc::strong_count(&self.house.inner)), (0, 1 + STRIPES), "a tenant keeps its house");
        self.house.inner.slots.assert_idle();
    }
}
