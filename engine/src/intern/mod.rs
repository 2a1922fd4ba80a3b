//! The tag interner: one id per image tag for the whole process, counted, without a lock.
//!
//! [`Interner::intern`] gives a [`TagRef`], which holds its tag alive; cloning and dropping it are the count.
//! When the last one goes, the tag is removed and its memory given back. An id is never handed out again, so
//! an id kept without a reference can go stale but can never come to mean another tag.
//!
//! Zero is terminal: a count that has reached zero is never raised again. Whoever meets such a dying entry
//! removes it (by text *and* id, so never its successor) and makes a new one; nobody waits for anybody.
//!
//! Not for: paths, arguments and other strings of a tree, which are private to it (`tree::names`).

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};

/// The id of a tag within this process. Never written to a file, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(NonZeroU64);

impl TagId {
    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

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
#[derive(Clone)]
pub struct Interner {
    inner: Arc<Inner>,
}

struct Inner {
    by_text: papaya::HashMap<Arc<str>, Arc<Entry>>,
    by_id: papaya::HashMap<u64, Arc<Entry>>,
    next: AtomicU64,
    live: AtomicUsize,
    limit: usize,
}

struct Entry {
    id: TagId,
    text: Arc<str>,
    references: AtomicU64,
}

impl Entry {
    /// Adds a reference unless the entry is dying.
    fn try_retain(&self) -> bool {
        // Acquire: pairs with nothing on the count itself; the entry's fields were published by the map. It keeps
        // later uses of the reference from moving before the point where it is known to be held.
        self.references
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| if n == 0 { None } else { n.checked_add(1) })
            .is_ok()
    }
}

impl Interner {
    /// An empty interner of its own; most programs want [`Interner::global`].
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// An empty interner that holds at most `limit` tags at once.
    pub fn with_limit(limit: usize) -> Self {
        let inner = Inner {
            by_text: papaya::HashMap::new(),
            by_id: papaya::HashMap::new(),
            next: AtomicU64::new(1),
            live: AtomicUsize::new(0),
            limit,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The one interner of this process.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Interner> = OnceLock::new();
        GLOBAL.get_or_init(Self::new).clone()
    }

    /// A reference to the tag `text`, which lives from now until its last reference is dropped.
    ///
    /// # Errors
    /// [`Full`] when it is a new tag and the limit is reached.
    pub fn intern(&self, text: &str) -> Result<TagRef, Full> {
        let by_text = self.inner.by_text.pin();
        loop {
            if let Some(entry) = by_text.get(text) {
                if entry.try_retain() {
                    return Ok(TagRef { entry: entry.clone(), inner: self.inner.clone() });
                }
                self.inner.unlink(entry);
                continue;
            }
            let reserved = self
                .inner
                .live
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < self.inner.limit).then_some(n + 1));
            if reserved.is_err() {
                return Err(Full { limit: self.inner.limit });
            }
            // 2^64 ids at a billion a second last for 584 years.
            let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
            let id = TagId(NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX));
            let text: Arc<str> = Arc::from(text);
            let entry = Arc::new(Entry { id, text: text.clone(), references: AtomicU64::new(1) });
            // The id resolves before anyone can learn of it through the text.
            self.inner.by_id.pin().insert(number, entry.clone());
            if by_text.try_insert(text, entry.clone()).is_ok() {
                return Ok(TagRef { entry, inner: self.inner.clone() });
            }
            self.inner.by_id.pin().remove(&number);
            self.inner.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The id of `text` if it is held by anyone. Changes nothing.
    pub fn lookup(&self, text: &str) -> Option<TagId> {
        let by_text = self.inner.by_text.pin();
        by_text.get(text).filter(|e| e.references.load(Ordering::Acquire) > 0).map(|e| e.id)
    }

    /// One more reference to a tag of which someone holds one.
    pub fn retain(&self, id: TagId) -> Option<TagRef> {
        let by_id = self.inner.by_id.pin();
        let entry = by_id.get(&id.get())?;
        entry.try_retain().then(|| TagRef { entry: entry.clone(), inner: self.inner.clone() })
    }

    /// The text of an id that someone holds.
    pub fn resolve(&self, id: TagId) -> Option<Arc<str>> {
        self.inner.by_id.pin().get(&id.get()).map(|e| e.text.clone())
    }

    /// How many tags are held.
    pub fn len(&self) -> usize {
        self.inner.live.load(Ordering::Relaxed)
    }

    /// Whether no tag is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every tag held with its id and number of references, for diagnosis; sorted by text.
    pub fn dump(&self) -> Vec<(Arc<str>, TagId, u64)> {
        let by_text = self.inner.by_text.pin();
        let mut all: Vec<_> = by_text
            .iter()
            .map(|(text, e)| (text.clone(), e.id, e.references.load(Ordering::Relaxed)))
            .filter(|(_, _, n)| *n > 0)
            .collect();
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
    /// Removes a dying entry. Safe to call from several threads and after the text has a new entry.
    fn unlink(&self, entry: &Arc<Entry>) {
        let by_text = self.by_text.pin();
        let removed = by_text.remove_if(&entry.text, |_, found| found.id == entry.id);
        if matches!(removed, Ok(Some(_))) {
            self.by_id.pin().remove(&entry.id.get());
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A tag held alive. Cloning counts up, dropping counts down.
pub struct TagRef {
    entry: Arc<Entry>,
    inner: Arc<Inner>,
}

impl TagRef {
    /// The tag's id.
    pub fn id(&self) -> TagId {
        self.entry.id
    }

    /// The tag's text.
    pub fn text(&self) -> &str {
        &self.entry.text
    }
}

impl Clone for TagRef {
    fn clone(&self) -> Self {
        // Relaxed: a reference is held, so the count is above zero and stays so.
        self.entry.references.fetch_add(1, Ordering::Relaxed);
        Self { entry: self.entry.clone(), inner: self.inner.clone() }
    }
}

impl Drop for TagRef {
    fn drop(&mut self) {
        // Release: every use of the tag under this reference happens before the entry is torn down.
        if self.entry.references.fetch_sub(1, Ordering::Release) == 1 {
            // Acquire: pairs with the Release of all the other droppers.
            fence(Ordering::Acquire);
            self.inner.unlink(&self.entry);
        }
    }
}

impl fmt::Debug for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagRef({:?} = {})", self.text(), self.id().get())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_id_per_text_until_the_last_reference_goes() {
        let interner = Interner::new();
        let a = interner.intern("1.27").unwrap();
        let b = interner.intern("1.27").unwrap();
        assert_eq!(a.id(), b.id());
        assert_eq!(interner.dump(), [(Arc::from("1.27"), a.id(), 2)]);
        let id = a.id();
        drop(a);
        assert_eq!(interner.resolve(id).as_deref(), Some("1.27"));
        drop(b);
        assert_eq!((interner.len(), interner.resolve(id), interner.lookup("1.27")), (0, None, None));
        assert_ne!(interner.intern("1.27").unwrap().id(), id, "an id is never handed out again");
    }

    #[test]
    fn look_up_holds_nothing_and_makes_nothing() {
        let interner = Interner::new();
        assert_eq!(interner.lookup("x"), None);
        assert!(interner.is_empty());
        let x = interner.intern("x").unwrap();
        assert_eq!(interner.lookup("x"), Some(x.id()));
        assert_eq!(interner.dump().first().map(|d| d.2), Some(1));
        assert_eq!(interner.retain(x.id()).map(|r| r.text().to_owned()).as_deref(), Some("x"));
        let id = x.id();
        drop(x);
        assert!(interner.retain(id).is_none());
    }

    #[test]
    fn a_full_interner_says_so_and_recovers() {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let _b = interner.intern("b").unwrap();
        assert_eq!(interner.intern("c").unwrap_err(), Full { limit: 2 });
        assert!(interner.intern("a").is_ok());
        drop(a);
        assert!(interner.intern("c").is_ok());
    }

    #[test]
    fn threads_that_create_and_destroy_the_same_tags_leave_nothing() {
        let interner = Interner::new();
        std::thread::scope(|scope| {
            for t in 0..4_u64 {
                let interner = interner.clone();
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for i in 0..20_000_u64 {
                        let text = format!("tag-{}", (i * 7 + t * 3) % 11);
                        let tag = interner.intern(&text).unwrap();
                        assert_eq!(tag.text(), text);
                        assert_eq!(interner.resolve(tag.id()).as_deref(), Some(text.as_str()));
                        if i % 3 == 0 {
                            held.push(tag.clone());
                        }
                        if held.len() > 5 {
                            held.clear();
                        }
                    }
                });
            }
        });
        assert_eq!((interner.len(), interner.inner.by_text.len(), interner.inner.by_id.len()), (0, 0, 0));
    }
}
