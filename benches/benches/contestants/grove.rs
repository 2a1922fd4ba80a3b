//! Grove's interner, and what an event costs a tree.

use crate::measure::Interning;
use grove::intern::{Interner, TagRef};
use grove::tree::LocalTags;
use std::hint::black_box;

/// As the engine uses it: each operation by itself.
#[derive(Default)]
pub struct Grove(Interner);

impl Grove {
    /// Bytes of heap with all of these in it.
    pub fn bytes(texts: &[String]) -> usize {
        let grove = Self::default();
        let held: Vec<TagRef> = texts.iter().map(|text| grove.hold(text)).collect();
        let bytes = grove.0.bytes() + grove.0.slot_bytes();
        drop(held);
        bytes
    }
}

impl Interning for Grove {
    type Local<'a> = ();
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "grove"
    }

    fn what(&self) -> &'static str {
        "the interner: the map is entered for each operation, and a reference outlives it"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(self.0.intern(text).unwrap());
        }
    }
}

/// What an event does to a tag: from its container to the tree and the tree's number of the tag, which are known since
/// the container started, and to the count. An event never sees the tag's text.
/// Its limit is `uncounted::ThreadLocalNumbers`, which does the same without a tree.
#[derive(Default)]
pub struct TreeLocal(Interner);

/// What a container's start does: the tree's number of the tag is found by its text. Its limit is
/// `uncounted::ThreadLocal`.
#[derive(Default)]
pub struct TreeLocalByText(Interner);

/// A tree has at most 65,535 tags.
pub const TAGS_OF_TREE: usize = 50_000;

/// The trees of one thread, and for each container its tree and the tree's number of its tag.
pub struct Trees {
    trees: Vec<LocalTags>,
    containers: Vec<(u16, u16)>,
}

impl Trees {
    fn new(interner: &Interner, texts: &[String]) -> Self {
        let mut own = Self { trees: Vec::new(), containers: Vec::new() };
        for some in texts.chunks(TAGS_OF_TREE) {
            let mut tags = LocalTags::default();
            let numbers = some.iter().map(|text| tags.own(&interner.intern(text).unwrap()).unwrap());
            own.containers.extend(numbers.map(|number| (own.trees.len() as u16, number)));
            own.trees.push(tags);
        }
        own
    }
}

fn count(tags: &mut LocalTags, number: u16) {
    black_box(&mut *tags).used(number);
    black_box(tags).unused(number);
}

impl Interning for TreeLocal {
    type Local<'a> = Trees;
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "tree_local"
    }

    fn what(&self) -> &'static str {
        "what an event does: from its container's number to the tree and its number of the tag, and a plain count up and down"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Trees {
        Trees::new(&self.0, texts)
    }

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, own: &mut Trees, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (container, _) in batch {
            let (tree, number) = own.containers[container];
            count(&mut own.trees[usize::from(tree)], number);
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}

impl Interning for TreeLocalByText {
    type Local<'a> = Trees;
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "tree_local_by_text"
    }

    fn what(&self) -> &'static str {
        "what a container's start does: the tree's number of a tag by its text, and a plain count up and down"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Trees {
        Trees::new(&self.0, texts)
    }

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, own: &mut Trees, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (container, text) in batch {
            let (tree, _) = own.containers[container];
            let tags = &mut own.trees[usize::from(tree)];
            let number = tags.find(text).unwrap();
            count(tags, number);
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}
