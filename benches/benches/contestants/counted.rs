//! Peers that count references: crates that do, and what one would write with a concurrent map.
//!
//! The hand-written ones do it correctly and simply: what is not referenced outside the map is removed by the one
//! who drops it last, under the map's lock where it has one. papaya's leaves the last reference to the map and
//! removes by pointer; its races, which the interner exists for, are not exercised by hits.

use crate::measure::Interning;
use dashmap::DashMap;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Hash = foldhash::fast::RandomState;

/// `internment::ArcIntern`.
pub struct ArcIntern;

impl Interning for ArcIntern {
    type Local<'a> = ();
    type Held = internment::ArcIntern<str>;

    fn name(&self) -> &'static str {
        "arc_intern"
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

/// A text with a count of its own beside the map's.
pub struct Entry {
    text: Box<str>,
    references: AtomicU64,
}

impl Entry {
    fn new(text: &str) -> Arc<Self> {
        Arc::new(Self { text: text.into(), references: AtomicU64::new(1) })
    }

    fn try_retain(&self) -> bool {
        let more = |n: u64| (n > 0).then_some(n + 1);
        self.references.fetch_update(Ordering::Acquire, Ordering::Relaxed, more).is_ok()
    }

    fn release(&self) -> bool {
        self.references.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// papaya with counted entries.
#[derive(Default)]
pub struct PapayaArc(papaya::HashMap<Box<str>, Arc<Entry>, Hash>);

type Pinned<'a> = papaya::HashMapRef<'a, Box<str>, Arc<Entry>, Hash, papaya::LocalGuard<'a>>;

impl PapayaArc {
    fn intern(pin: &Pinned<'_>, text: &str) -> Arc<Entry> {
        loop {
            if let Some(entry) = pin.get(text) {
                if entry.try_retain() {
                    return entry.clone();
                }
                let _ = pin.remove_if(text, |_, found| Arc::ptr_eq(found, entry));
            }
            let entry = Entry::new(text);
            if pin.try_insert(text.into(), entry.clone()).is_ok() {
                return entry;
            }
        }
    }

    fn release(pin: &Pinned<'_>, entry: &Arc<Entry>) {
        if entry.release() {
            let _ = pin.remove_if(&*entry.text, |_, found| Arc::ptr_eq(found, entry));
        }
    }
}

impl Interning for PapayaArc {
    type Local<'a> = ();
    type Held = Arc<Entry>;

    fn name(&self) -> &'static str {
        "papaya_arc"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> Self::Held {
        Self::intern(&self.0.pin(), text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        let pin = self.0.pin();
        for (_, text) in batch {
            Self::release(&pin, &black_box(Self::intern(&pin, text)));
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
