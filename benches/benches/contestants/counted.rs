//! Peers that count references: crates that do, and what one would write with a concurrent map.
//!
//! The hand-written ones do it simply: what is not referenced outside the map is removed by the one who drops it last,
//! under the map's lock where it has one. (Two threads that drop the last two of dashmap's at once both leave its entry
//! behind. That costs it nothing here.) papaya has no lock: there an entry whose count is zero stays dead, and is removed
//! by its address by whoever comes first, so never its successor.

#![allow(clippy::disallowed_types)] // peers hash as whoever writes them would have them hash

use crate::measure::Interning;
use dashmap::DashMap;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

type Hash = foldhash::fast::RandomState;

/// A map that is set up as the interner's own is (`engine/src/intern/index.rs`).
fn papaya_map<V>() -> papaya::HashMap<Box<str>, V, Hash> {
    papaya::HashMap::builder().hasher(Hash::default()).capacity(2048).build()
}

/// `internment::ArcIntern`.
pub struct ArcIntern;

impl Interning for ArcIntern {
    type Local<'a> = ();
    type Held = internment::ArcIntern<str>;

    fn name(&self) -> &'static str {
        "arc_intern"
    }

    fn what(&self) -> &'static str {
        "the crate: a locked map in shards, and a counted pointer"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Self::Held {
        internment::ArcIntern::from(text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(self.hold(text));
        }
    }
}

/// `string_cache::DefaultAtom`.
pub struct StringCache;

impl Interning for StringCache {
    type Local<'a> = ();
    type Held = string_cache::DefaultAtom;

    fn name(&self) -> &'static str {
        "string_cache"
    }

    fn what(&self) -> &'static str {
        "the crate: a locked list in each of 4,096 shards, and counted entries"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Self::Held {
        string_cache::DefaultAtom::from(text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(self.hold(text));
        }
    }
}

/// papaya with weak entries: an entry lives as long as its `Arc`, whose own count is the count, and takes itself out of
/// the map when that is zero. Whoever finds it before replaces it.
pub struct PapayaArc(Arc<WeakMap>);

impl Default for PapayaArc {
    fn default() -> Self {
        Self(Arc::new(papaya_map()))
    }
}

type WeakMap = papaya::HashMap<Box<str>, Weak<Entry>, Hash>;
type PinnedWeak<'a> = papaya::HashMapRef<'a, Box<str>, Weak<Entry>, Hash, papaya::LocalGuard<'a>>;

/// A text that is held.
pub struct Entry {
    text: Box<str>,
    home: Arc<WeakMap>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let this = &raw const *self;
        // Not its successor: while the map has a weak reference, no other entry has this address.
        let _ = self.home.pin().remove_if(&*self.text, |_, found| std::ptr::eq(found.as_ptr(), this));
    }
}

impl PapayaArc {
    fn intern(&self, pin: &PinnedWeak<'_>, text: &str) -> Arc<Entry> {
        let mut mine = None;
        loop {
            if let Some(found) = pin.get(text) {
                if let Some(entry) = found.upgrade() {
                    return entry;
                }
                let _ = pin.remove_if(text, |_, now| now.ptr_eq(found));
            }
            let entry = mine.take().unwrap_or_else(|| Arc::new(Entry { text: text.into(), home: self.0.clone() }));
            if pin.try_insert(text.into(), Arc::downgrade(&entry)).is_ok() {
                return entry;
            }
            mine = Some(entry);
        }
    }
}

impl Interning for PapayaArc {
    type Local<'a> = ();
    type Held = Arc<Entry>;

    fn name(&self) -> &'static str {
        "papaya_arc"
    }

    fn what(&self) -> &'static str {
        "a lock-free map of weak references: finding one raises its count, the last one dropped removes it"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Self::Held {
        self.intern(&self.0.pin(), text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        let pin = self.0.pin();
        for (_, text) in batch {
            drop(black_box(self.intern(&pin, text)));
        }
    }
}

/// papaya with one count in each entry, used through the map's own pointer: Grove's idea without references that
/// outlive the batch they are gained in.
pub struct PapayaOne(Arc<CountedMap>);

impl Default for PapayaOne {
    fn default() -> Self {
        Self(Arc::new(papaya_map()))
    }
}

type CountedMap = papaya::HashMap<Box<str>, Counted, Hash>;
type PinnedCounted<'a> = papaya::HashMapRef<'a, Box<str>, Counted, Hash, papaya::LocalGuard<'a>>;

/// How often a text is held. Alone on its cache line, as a slot of Grove's is.
#[repr(align(128))]
pub struct Counted(AtomicU64);

impl Counted {
    fn try_retain(&self) -> bool {
        let more = |n: u64| (n > 0).then_some(n + 1);
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    /// True for the last.
    fn release(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl PapayaOne {
    /// The count of a text, raised by one.
    fn retain<'p>(pin: &'p PinnedCounted<'_>, text: &str) -> &'p Counted {
        loop {
            match pin.get(text) {
                Some(found) if found.try_retain() => return found,
                Some(found) => Self::forget(pin, text, found),
                None => {
                    if let Ok(new) = pin.try_insert(text.into(), Counted(AtomicU64::new(1))) {
                        return new;
                    }
                }
            }
        }
    }

    fn release(pin: &PinnedCounted<'_>, text: &str, counted: &Counted) {
        if counted.release() {
            Self::forget(pin, text, counted);
        }
    }

    /// By its address: while the map is pinned no other has it.
    fn forget(pin: &PinnedCounted<'_>, text: &str, counted: &Counted) {
        let _ = pin.remove_if(text, |_, found| std::ptr::eq(found, counted));
    }
}

/// A text that is held, to be found again when it is let go.
pub struct CountedText {
    text: Box<str>,
    home: Arc<CountedMap>,
}

impl Drop for CountedText {
    fn drop(&mut self) {
        let pin = self.home.pin();
        if let Some(counted) = pin.get(&*self.text) {
            PapayaOne::release(&pin, &self.text, counted);
        }
    }
}

impl Interning for PapayaOne {
    type Local<'a> = ();
    type Held = CountedText;

    fn name(&self) -> &'static str {
        "papaya_one"
    }

    fn what(&self) -> &'static str {
        "a lock-free map of counts, used through the map's own pointer while it is pinned: no reference outlives a batch of 64"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Self::Held {
        Self::retain(&self.0.pin(), text);
        CountedText { text: text.into(), home: self.0.clone() }
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        let pin = self.0.pin();
        for (_, text) in batch {
            Self::release(&pin, text, black_box(Self::retain(&pin, text)));
        }
    }
}

/// dashmap with `Arc`s, whose own count is the count.
#[derive(Default)]
pub struct DashmapArc(DashMap<Arc<str>, (), Hash>);

impl DashmapArc {
    fn intern(&self, text: &str) -> Arc<str> {
        if let Some(found) = self.0.get(text) {
            return found.key().clone();
        }
        self.0.entry(Arc::from(text)).or_insert(()).key().clone()
    }

    fn release(&self, held: Arc<str>) {
        // The map's and this one: under the lock of its shard nobody can find it meanwhile.
        if Arc::strong_count(&held) == 2 {
            self.0.remove_if(&*held, |key, ()| Arc::strong_count(key) == 2);
        }
    }
}

impl Interning for DashmapArc {
    type Local<'a> = ();
    type Held = Arc<str>;

    fn name(&self) -> &'static str {
        "dashmap_arc"
    }

    fn what(&self) -> &'static str {
        "a locked map in shards of Arcs; who seems to drop the last one but the map's removes it"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Arc<str> {
        self.intern(text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            self.release(black_box(self.intern(text)));
        }
    }
}

/// One lock around one map.
#[derive(Default)]
pub struct Mutexed(Mutex<HashMap<Arc<str>, u64, Hash>>);

impl Interning for Mutexed {
    type Local<'a> = ();
    type Held = ();

    fn name(&self) -> &'static str {
        "mutex_hashmap"
    }

    fn what(&self) -> &'static str {
        "one lock around a map of plain counts, taken to count up and to count down"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) {
        let mut map = self.0.lock().unwrap();
        match map.get_mut(text) {
            Some(uses) => *uses += 1,
            None => {
                map.insert(text.into(), 1);
            }
        }
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            self.hold(text);
            let mut map = self.0.lock().unwrap();
            let uses = map.get_mut(text.as_str()).unwrap();
            *uses -= 1;
            if *uses == 0 {
                map.remove(text.as_str());
            }
        }
    }
}
