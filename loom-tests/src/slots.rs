//! Slots: handed out once, used again under another generation, limited, used up, given back.

use crate::harness::check;
use crate::intern::{Full, Interner, TagId, TagRef};
use loom::thread::spawn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of the slot of an id.
fn slot(id: TagId) -> u32 {
    id.get() as u32
}

#[test]
fn an_id_never_means_the_next_tag() {
    check("an_id_never_means_the_next_tag", &["slot used again", "another slot", "still there"], |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let old = a.id();
        let thread = spawn(move || {
            assert_eq!(a.text(), "a");
            drop(a);
        });
        let b = interner.intern("b").unwrap();
        assert_eq!(b.text(), "b");
        let resolved = interner.resolve(old);
        assert!(resolved.as_deref().is_none_or(|text| text == "a"));
        seen.note(slot(b.id()) == slot(old), "slot used again");
        seen.note(slot(b.id()) != slot(old), "another slot");
        seen.note(resolved.is_some(), "still there");
        thread.join().unwrap();
        assert!(interner.retain(old).is_none());
        assert_ne!(b.id(), old);
        drop(b);
        interner.assert_idle();
    });
}

#[test]
fn a_stale_id_does_not_touch_the_next_tag() {
    check("a_stale_id_does_not_touch_the_next_tag", &["gained", "refused", "slot used again"], |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let (old, other) = (a.id(), interner.clone());
        let thread = spawn(move || other.retain(old).map(|tag| assert_eq!(tag.text(), "a")).is_some());
        drop(a);
        let b = interner.intern("b").unwrap();
        let gained = thread.join().unwrap();
        seen.note(gained, "gained");
        seen.note(!gained, "refused");
        seen.note(slot(b.id()) == slot(old), "slot used again");
        let all = interner.dump();
        assert_eq!((all.len(), all[0].1, all[0].2), (1, b.id(), 1));
        drop(b);
        interner.assert_idle();
    });
}

#[test]
fn no_new_slot_is_handed_out_twice() {
    check("no_new_slot_is_handed_out_twice", &["first", "second"], |seen| {
        let interner = Interner::with_limit(2);
        let other = interner.clone();
        let thread = spawn(move || other.intern("a").unwrap());
        let b = interner.intern("b").unwrap();
        let a = thread.join().unwrap();
        assert_eq!((a.text(), b.text()), ("a", "b"));
        assert_ne!(slot(a.id()), slot(b.id()));
        seen.note(slot(b.id()) == 1, "first");
        seen.note(slot(b.id()) == 2, "second");
        drop((a, b));
        interner.assert_idle();
    });
}

#[test]
fn no_free_slot_is_handed_out_twice() {
    check("no_free_slot_is_handed_out_twice", &["first", "second", "one that was away"], |seen| {
        let interner = Interner::with_limit(3);
        drop((interner.intern("a").unwrap(), interner.intern("b").unwrap()));
        let other = interner.clone();
        let thread = spawn(move || other.intern("c").unwrap());
        // Takes both free slots and gives the first one back: the head is where it was, what follows is not.
        let a = interner.intern("a").unwrap();
        let b = interner.intern("b").unwrap();
        let away = a.id();
        drop(a);
        let c = thread.join().unwrap();
        assert_eq!((b.text(), c.text()), ("b", "c"));
        assert_ne!(slot(b.id()), slot(c.id()));
        let generation = |id: TagId| id.get() >> 32;
        seen.note(slot(c.id()) == 1, "first");
        seen.note(slot(c.id()) == 2, "second");
        seen.note(slot(c.id()) == slot(away) && generation(c.id()) > generation(away), "one that was away");
        drop((b, c));
        interner.assert_idle();
    });
}

#[test]
fn buckets_grow_once() {
    check("buckets_grow_once", &["first", "second"], |seen| {
        let interner = Interner::with_limit(4);
        let held = (interner.intern("a").unwrap(), interner.intern("b").unwrap());
        let other = interner.clone();
        let thread = spawn(move || other.intern("c").unwrap());
        let d = interner.intern("d").unwrap();
        let c = thread.join().unwrap();
        for (tag, text) in [(&c, "c"), (&d, "d")] {
            assert_eq!((tag.text(), interner.resolve(tag.id()).as_deref()), (text, Some(text)));
        }
        seen.note(slot(d.id()) == 3, "first");
        seen.note(slot(d.id()) == 4, "second");
        drop((held, c, d));
        interner.assert_idle();
    });
}

#[test]
fn a_full_interner_takes_a_tag_when_one_has_gone() {
    check("a_full_interner_takes_a_tag_when_one_has_gone", &["full", "taken"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        let thread = spawn(move || drop(a));
        let b = interner.intern("b");
        assert!(interner.len() <= 2);
        match &b {
            Ok(tag) => assert_eq!(tag.text(), "b"),
            Err(full) => assert_eq!(*full, Full::Tags { limit: 1 }),
        }
        seen.note(b.is_err(), "full");
        seen.note(b.is_ok(), "taken");
        thread.join().unwrap();
        drop(b);
        drop(interner.intern("b").unwrap());
        interner.assert_idle();
    });
}

#[test]
fn the_last_place_is_taken_once() {
    check("the_last_place_is_taken_once", &["this one", "the other"], |seen| {
        let interner = Interner::with_limit(1);
        let other = interner.clone();
        let thread = spawn(move || other.intern("a").ok());
        let b = interner.intern("b").ok();
        let a = thread.join().unwrap();
        assert!(a.is_some() != b.is_some());
        seen.note(b.is_some(), "this one");
        seen.note(a.is_some(), "the other");
        drop((a, b));
        interner.assert_idle();
    });
}

#[test]
fn a_slot_without_generations_is_used_no_more() {
    check("a_slot_without_generations_is_used_no_more", &["another slot", "still there", "full"], |seen| {
        let interner = Interner::with_generation(1, u32::MAX);
        let a = interner.intern("a").unwrap();
        let old = a.id();
        let thread = spawn(move || drop(a));
        seen.note(interner.retain(old).is_some(), "still there");
        let b = interner.intern("b").ok();
        seen.note(b.is_none(), "full");
        seen.note(b.is_some(), "another slot");
        thread.join().unwrap();
        assert!(interner.retain(old).is_none());
        // The limit is on tags: a slot that is used up does not count.
        let b = b.unwrap_or_else(|| interner.intern("b").unwrap());
        assert_eq!((slot(old), slot(b.id())), (1, 2));
        assert!(interner.intern("c").is_err());
        drop(b);
        interner.assert_idle();
    });
}

#[test]
fn a_panic_before_the_tag_is_added_leaves_nothing() {
    check("a_panic_before_the_tag_is_added_leaves_nothing", &["full", "taken"], |seen| {
        let interner = Interner::with_limit(1);
        let other = interner.clone();
        let thread = spawn(move || {
            // It has a slot and a text by then, or meets the limit.
            let panicked = catch_unwind(AssertUnwindSafe(|| other.intern("panics").is_err()));
            assert!(panicked.unwrap_or(true));
        });
        let b = interner.intern("b");
        seen.note(b.is_err(), "full");
        seen.note(b.is_ok(), "taken");
        thread.join().unwrap();
        drop(b);
        drop(interner.intern("a").unwrap());
        interner.assert_idle();
    });
}

#[test]
fn slots_outlive_the_interner_until_the_last_tag_has_gone() {
    let outcomes = ["interner last", "interner between", "interner first"];
    check("slots_outlive_the_interner_until_the_last_tag_has_gone", &outcomes, |seen| {
        let interner = Interner::with_limit(2);
        let (a, b) = (interner.intern("a").unwrap(), interner.intern("b").unwrap());
        let more = a.clone();
        // Of `std`: it tells what happened and is no part of the model.
        let gone = Arc::new(AtomicUsize::new(0));
        let leave = |tags: Vec<TagRef>| {
            let gone = gone.clone();
            spawn(move || {
                assert!(tags.iter().all(|tag| ["a", "b"].contains(&tag.text())));
                drop(tags);
                gone.fetch_add(1, Relaxed);
            })
        };
        let threads = [leave(vec![a]), leave(vec![more, b])];
        interner.lookup("b");
        let before = gone.load(Relaxed);
        // Who goes last frees the slots, and that fails if anyone lives in them.
        drop(interner);
        for thread in threads {
            thread.join().unwrap();
        }
        seen.note(before == 2, "interner last");
        seen.note(before == 1, "interner between");
        seen.note(before == 0, "interner first");
    });
}
