//! What a thread does to an interner under stress: for the unit test, which sees inside, and for the long one, which
//! counts the heap. Whoever includes it has `Interner` and `TagRef` in scope.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Interner, TagRef};

/// Tags that a thread holds at most.
pub const HELD_MAX: usize = 500;
/// A quarter of all operations are on so many tags, so that threads meet.
const HOT: usize = 4;
/// Another quarter is on the first one, which nobody holds for longer than a clone takes: threads meet while it is going
/// or coming.
const FLICKERING: usize = 0;

/// Interns, clones, looks up, resolves, holds and drops; by chance, and the same by every seed.
pub fn work(interner: &Interner, tags: &[String], seed: u64, operations: u64) {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut held: Vec<TagRef> = Vec::new();
    for _ in 0..operations {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let chance = (state >> 8) as usize;
        let (n, flickers) = match state & 3 {
            0 => (FLICKERING, true),
            1 => (1 + chance % HOT, false),
            _ => (1 + chance % (tags.len() - 1), false),
        };
        let text = &tags[n];
        match state >> 60 {
            0..10 => {
                let tag = interner.intern(text).unwrap();
                assert_eq!(tag.text(), text);
                if flickers {
                    assert_eq!(tag.clone().id(), tag.id());
                } else if state >> 40 & 3 == 0 {
                    held.push(tag);
                }
            }
            10 => {
                let found = interner.lookup(text).and_then(|id| interner.retain(id));
                assert!(found.is_none_or(|tag| tag.text() == text));
            }
            11 => {
                let resolved = held.last().map(|tag| (interner.resolve(tag.id()), tag.text()));
                assert!(resolved.is_none_or(|(ours, text)| ours.as_deref() == Some(text)));
            }
            12 => held.extend(held.last().cloned()),
            _ => drop((!held.is_empty()).then(|| held.swap_remove(chance % held.len()))),
        }
        if held.len() > HELD_MAX {
            held.clear();
        }
    }
}
