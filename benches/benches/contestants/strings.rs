//! What a tree could keep its other strings in (path components, arguments, image names): its own store, the
//! interner, or a map of counted texts as the shards have for images. Each is asked for the strings of a recording in
//! its order.

use crate::measure::Interning;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

/// The engine's own file: it is private to the crate.
#[path = "../../../engine/src/tree/names.rs"]
#[allow(dead_code)]
mod names;

/// A tree's store: of one thread, never counted, gone with the tree.
pub struct TreeNames;

impl TreeNames {
    /// Bytes of heap with all of these in it.
    pub fn bytes(texts: &[String]) -> usize {
        let mut names = names::NameStore::default();
        texts.iter().for_each(|text| {
            names.intern(text.as_bytes());
        });
        names.heap_bytes()
    }
}

impl Interning for TreeNames {
    type Local<'a> = names::NameStore;
    type Held = ();

    fn name(&self) -> &'static str {
        "tree_names"
    }

    fn what(&self) -> &'static str {
        "the tree's own store (tree/names.rs): the number of a text, added if need be; never counted"
    }

    fn local<'a>(&'a self, _: &'a [String]) -> names::NameStore {
        names::NameStore::default()
    }

    fn hold(&self, _: &str) {}

    fn touch<'a>(&'a self, own: &mut names::NameStore, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(own.intern(text.as_bytes()));
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}

/// A map of a shard's own, whose keys are handed out as `Arc`s.
pub struct ShardMap;

impl Interning for ShardMap {
    type Local<'a> = HashMap<Arc<str>, ()>;
    type Held = ();

    fn name(&self) -> &'static str {
        "shard_map"
    }

    fn what(&self) -> &'static str {
        "a map of one thread with counted keys, of which one is cloned and dropped"
    }

    fn local<'a>(&'a self, _: &'a [String]) -> Self::Local<'a> {
        HashMap::new()
    }

    fn hold(&self, _: &str) {}

    fn touch<'a>(&'a self, own: &mut Self::Local<'a>, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            let held = match own.get_key_value(text.as_str()) {
                Some((known, ())) => known.clone(),
                None => {
                    let new: Arc<str> = Arc::from(text.as_str());
                    own.insert(new.clone(), ());
                    new
                }
            };
            black_box(held);
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}
