#![allow(clippy::unwrap_used)]
use super::super::Interner;
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn every_slot_that_can_be_numbered_has_a_place() {
    let last = Word::SLOTS_MAX - 1;
    assert_eq!(locate(0), (0, 0));
    assert_eq!(locate(FIRST), (1, 0));
    assert_eq!(locate(last), (BUCKETS as usize - 1, ((FIRST as usize) << (BUCKETS - 1)) - 1));
    // All numbers of the last bucket, its end included, are numbers.
    let (k, start) = (BUCKETS - 1, FIRST.checked_mul(1 << (BUCKETS - 1)).unwrap() - FIRST);
    assert_eq!(start.checked_add(FIRST << k).unwrap() - 1, last);
    assert_eq!(TagId::new(last, u32::MAX).index(), last);
}

#[test]
fn a_slot_that_is_reserved_and_not_used_comes_back() {
    let slots = Slots::new(1, 0);
    for _ in 0..3 {
        let vacant = slots.reserve(0).unwrap();
        assert!(slots.reserve(0).is_none(), "it is taken");
        drop(vacant);
    }
}

#[test]
fn a_limit_beyond_all_numbers_stays_one_when_slots_are_used_up() {
    for limit in [usize::MAX, u32::MAX as usize, u32::MAX as usize - 1] {
        let interner = Interner::with_generation(limit, u32::MAX);
        for n in 1..=5 {
            let tag = interner.intern("a").unwrap();
            assert_eq!(tag.id().get() as u32, n, "each slot is used once");
        }
        interner.assert_idle();
    }
}

#[test]
fn references_beyond_all_reason_are_refused_and_not_counted() {
    let interner = Interner::new();
    let tag = interner.intern("a").unwrap();
    let word = |references| Word::new(tag.id().generation(), references);
    // As if they were held; none is dropped.
    tag.slot().word.store(word(Word::REFERENCES_MAX - 1).0, order::PRIVATE);
    std::mem::forget(tag.clone());
    assert_eq!(tag.slot().word(), word(Word::REFERENCES_MAX));
    let refused = |gain: &dyn Fn() -> Option<TagRef>| catch_unwind(AssertUnwindSafe(gain)).is_err();
    assert!(refused(&|| Some(tag.clone())));
    assert!(refused(&|| interner.retain(tag.id())));
    assert!(refused(&|| interner.intern("a").ok()));
    assert_eq!(tag.slot().word(), word(Word::REFERENCES_MAX));
    tag.slot().word.store(word(1).0, order::PRIVATE);
    drop(tag);
    interner.assert_idle();
}
