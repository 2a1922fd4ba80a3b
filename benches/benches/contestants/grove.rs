//! Grove's interner: a session per batch, an entry per operation, and what an event costs a tree.

use crate::measure::Interning;
use grove::intern::{Interner, TagRef};
use grove::tree::LocalTags;
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

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        let session = self.0.session();
        for (_, text) in batch {
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

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(self.0.intern(text).unwrap());
        }
    }
}

/// What an event does: the trees that a thread has, each with one reference per tag. An event comes with its container,
/// of which the tree and its number for the tag are known since the container started; that this is still the tag's
/// text is looked at, which an event does not even do; then the record is counted, and here discounted again.
#[derive(Default)]
pub struct TreeLocal(Interner);

/// A tree has at most 65,535 tags.
const TAGS_OF_TREE: usize = 50_000;

/// The trees of one thread, and for each container its tree and the tree's number of its tag.
pub struct Trees {
    trees: Vec<LocalTags>,
    containers: Vec<(u16, u16)>,
}

impl Interning for TreeLocal {
    type Local<'a> = Trees;
    type Held = TagRef;

    fn name(&self) -> &'static str {
        "tree_local"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Trees {
        let mut own = Trees { trees: Vec::new(), containers: Vec::new() };
        for some in texts.chunks(TAGS_OF_TREE) {
            let mut tags = LocalTags::default();
            let numbers = some.iter().map(|text| tags.own(&self.hold(text)).unwrap());
            own.containers.extend(numbers.map(|number| (own.trees.len() as u16, number)));
            own.trees.push(tags);
        }
        own
    }

    fn hold(&self, text: &str) -> TagRef {
        self.0.intern(text).unwrap()
    }

    fn touch<'a>(&'a self, own: &mut Trees, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (container, text) in batch {
            let (tree, number) = own.containers[container];
            let tags = &mut own.trees[usize::from(tree)];
            let is_it = tags.get(number).is_some_and(|tag| tag.is(text));
            let number = if is_it { number } else { tags.find(text).unwrap() };
            black_box(&mut *tags).used(number);
            black_box(tags).unused(number);
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}
