//! Grove's interner: a session per batch, an entry per operation, and what an event costs a tree.

use crate::measure::Interning;
use grove::intern::{Interner, TagRef};
use std::hint::black_box;

/// With a session for each batch, as the engine uses it.
#[derive(Default)]
pub struct Grove(Interner);

impl Interning for Grove {
    type Local<'a> = ();
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "grove"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = &'a String>) {
        let session = self.0.session();
        for text in batch {
            black_box(session.intern(text).unwrap());
        }
    }
}

/// Entered anew for each operation.
#[derive(Default)]
pub struct GroveSingle(Interner);

impl Interning for GroveSingle {
    type Local<'a> = ();
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "grove_single"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = &'a String>) {
        for text in batch {
            black_box(self.0.intern(text).unwrap());
        }
    }
}

/// A tree's own index of texts, one reference to the interner for each, and plain counts: the second level.
/// (An event does less: its container's tree knows the number of its tag already.)
#[derive(Default)]
pub struct TreeLocal(Interner);

impl Interning for TreeLocal {
    type Local<'a> = hashbrown::HashMap<&'a str, (TagRef, u32), foldhash::fast::RandomState>;
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "tree_local"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Self::Local<'a> {
        texts.iter().map(|text| (text.as_str(), (self.hold(text), 0))).collect()
    }

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, local: &mut Self::Local<'a>, batch: impl Iterator<Item = &'a String>) {
        for text in batch {
            let (_, uses) = local.get_mut(text.as_str()).unwrap();
            *black_box(&mut *uses) += 1;
            *black_box(uses) -= 1;
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}
