//! A tree's own strings: path components, labels, addresses, argument keys. Each is stored once.
//!
//! Private to one tree, so nothing here is shared between threads; names go when the tree is rebuilt without them.

use crate::hash::Keyed;
use hashbrown::HashTable;

/// Bytes stored once and known by a small index.
#[derive(Clone, Debug, Default)]
pub struct NameStore {
    text: Vec<u8>,
    spans: Vec<Span>,
    pub(super) index: HashTable<u32>,
    pub(super) hasher: Keyed,
}

/// Bytes of all names of one tree. In this crate's own tests a size that can be reached.
const BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { u32::MAX as usize };

#[derive(Clone, Copy, Debug)]
struct Span {
    offset: u32,
    len: u32,
}

impl NameStore {
    /// Whether all of `other` could be stored as well: names are found by 32-bit offsets.
    pub fn fits(&self, other: &Self) -> bool {
        self.text.len() + other.text.len() <= BYTES_MAX
    }

    /// The bytes of a name.
    #[inline]
    pub fn get(&self, id: u32) -> &[u8] {
        self.spans
            .get(id as usize)
            .and_then(|s| self.text.get(s.offset as usize..s.offset as usize + s.len as usize))
            .unwrap_or_default()
    }

    /// The name as text. Every name except an address is text by construction.
    pub fn text(&self, id: u32) -> &str {
        std::str::from_utf8(self.get(id)).unwrap_or_default()
    }

    /// The index of `name`, stored if it was not.
    pub fn intern(&mut self, name: &[u8]) -> u32 {
        let hash = self.hasher.bytes(name);
        if let Some(id) = self.index.find(hash, |id| self.get(*id) == name) {
            return *id;
        }
        let id = self.spans.len() as u32;
        // A tree's byte budget is checked before it grows, and before a merge that both trees' names fit.
        let span = Span { offset: self.text.len() as u32, len: name.len() as u32 };
        reserve_by_an_eighth_of(&mut self.text, name.len());
        self.text.extend_from_slice(name);
        reserve_by_an_eighth_of(&mut self.spans, 1);
        self.spans.push(span);
        let Self { text, spans, index, hasher } = self;
        index.insert_unique(hash, id, |id| Self::rehash(text, spans, hasher, *id));
        id
    }

    fn rehash(text: &[u8], spans: &[Span], hasher: &Keyed, id: u32) -> u64 {
        let s = spans.get(id as usize).copied().unwrap_or(Span { offset: 0, len: 0 });
        hasher.bytes(text.get(s.offset as usize..s.offset as usize + s.len as usize).unwrap_or_default())
    }

    /// Bytes of names, and how many there are.
    pub fn sizes(&self) -> (usize, usize) {
        (self.text.len(), self.spans.len())
    }

    /// Makes room for so many more bytes and names; see [`Arena::reserve`](super::arena::Arena::reserve).
    pub fn reserve(&mut self, (bytes, names): (usize, usize)) {
        let _ = self.text.try_reserve_exact(bytes);
        let _ = self.spans.try_reserve_exact(names);
    }

    /// Gives back most of what is reserved and not used.
    pub fn trim(&mut self) {
        trim(&mut self.text);
        trim(&mut self.spans);
    }

    /// Gives back what is reserved and not used.
    pub fn shrink(&mut self) {
        let Self { text, spans, index, hasher } = self;
        text.shrink_to_fit();
        spans.shrink_to_fit();
        index.shrink_to_fit(|id| Self::rehash(text, spans, hasher, *id));
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.spans.capacity() * size_of::<Span>() + self.index.allocation_size()
    }
}

/// Makes room for `more` elements, growing by an eighth at a time: arenas hold most of a tree's bytes, and
/// doubling them would leave up to half of that unused.
#[inline]
pub fn reserve_by_an_eighth_of<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        reserve_by_an_eighth(vec, more);
    }
}

/// Gives back what is reserved beyond an eighth more than there is.
pub fn trim<T>(vec: &mut Vec<T>) {
    vec.shrink_to(vec.len() + vec.len() / 8);
}

#[cold]
fn reserve_by_an_eighth<T>(vec: &mut Vec<T>, more: usize) {
    vec.reserve_exact(more.max(vec.len() / 8).max(16));
}
