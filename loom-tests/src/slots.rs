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

/// Threads are numbered and dealt out to two stripes: the next one uses the slots again that this one gives back.
fn next_of_this_stripe() {
    spawn(|| {}).join().unwrap();
}

#[test]
fn an_id_never_means_the_next_tenant() {
    check("an_id_never_means_the_next_tenant", &["slot used again", "another slot", "still there"], |seen| {
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
fn a_stale_id_does_not_touch_the_next_tenant() {
    check("a_stale_id_does_not_touch_the_next_tenant", &["gained", "refused", "slot used again"], |seen| {
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
        next_of_this_stripe();
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
    // It has a slot and a text by then, or meets the limit.
    a_panic_leaves_nothing("a_panic_before_the_tag_is_added_leaves_nothing", "panics");
}

#[test]
fn a_panic_before_anyone_has_moved_in_leaves_nothing() {
    // It has a slot by then, or meets the limit.
    a_panic_leaves_nothing("a_panic_before_anyone_has_moved_in_leaves_nothing", "panics early");
}

/// A text at which interning panics, beside another one, where there is room for one.
fn a_panic_leaves_nothing(name: &'static str, text: &'static str) {
    check(name, &["full", "taken"], move |seen| {
        let interner = Interner::with_limit(1);
        let other = interner.clone();
        let thread = spawn(move || {
            let panicked = catch_unwind(AssertUnwindSafe(|| other.intern(text).is_err()));
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

#[test]
fn a_slot_that_changes_lists_is_found() {
    check("a_slot_that_changes_lists_is_found", &["the one that came", "the one that went"], |seen| {
        let interner = Interner::with_limit(2);
        let z = interner.intern("a").unwrap();
        // A thread of the other stripe leaves a slot on its list; the one after it is of this stripe, then of that.
        let other = interner.clone();
        spawn(move || drop(other.intern("b").unwrap())).join().unwrap();
        let place = slot(z.id());
        let other = interner.clone();
        let thread = spawn(move || other.intern("c").unwrap());
        // First a slot comes to one list, then the other list's goes: one is free at any time.
        drop(z);
        let other = interner.clone();
        let w = spawn(move || other.intern("d").unwrap()).join().unwrap();
        let c = thread.join().unwrap();
        assert_eq!((c.text(), w.text()), ("c", "d"));
        seen.note(slot(c.id()) == place, "the one that came");
        seen.note(slot(c.id()) != place, "the one that went");
        drop((c, w));
        interner.assert_idle();
    });
}

#[test]
fn a_guess_is_not_taken_for_the_tag() {
    check("a_guess_is_not_taken_for_the_tag", &["still there", "gone", "another text there"], |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let old = a.id();
        next_of_this_stripe();
        let other = interner.clone();
        let thread = spawn(move || {
            drop(a);
            other.intern("b").unwrap()
        });
        // This thread remembers where "a" was.
        let again = interner.intern("a").unwrap();
        let b = thread.join().unwrap();
        assert_eq!((again.text(), b.text()), ("a", "b"));
        assert_eq!((interner.lookup("a"), interner.lookup("b")), (Some(again.id()), Some(b.id())));
        seen.note(again.id() == old, "still there");
        seen.note(again.id() != old, "gone");
        seen.note(slot(b.id()) == slot(old), "another text there");
        drop((again, b));
        interner.assert_idle();
    });
}

#[test]
fn a_guess_is_of_one_interner() {
    check("a_guess_is_of_one_interner", &["found", "not yet"], |seen| {
        // This thread remembers where the text's tag is in one interner, in which it stays. In the next it is not.
        let first = Interner::with_limit(1);
        let old = first.intern("a").unwrap();
        let second = Interner::with_limit(1);
        let other = second.clone();
        let thread = spawn(move || other.lookup("a"));
        let a = second.intern("a").unwrap();
        assert_eq!(second.lookup("a"), Some(a.id()));
        let there = thread.join().unwrap();
        assert!(there.is_none_or(|id| id == a.id()));
        assert_eq!((first.dump()[0].2, second.dump()[0].2), (1, 1));
        seen.note(there.is_some(), "found");
        seen.note(there.is_none(), "not yet");
        drop(a);
        second.assert_idle();
        drop(old);
        first.assert_idle();
    });
}

#[test]
fn what_is_put_aside_counts_until_the_session_ends() {
    check("what_is_put_aside_counts_until_the_session_ends", &["aside", "at once"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        let (id, b, other) = (a.id(), a.clone(), interner.clone());
        let thread = spawn(move || {
            drop(b);
            other.lookup("a")
        });
        let mut session = interner.session();
        drop(session.intern("a").unwrap());
        drop(a);
        let aside = Interner::aside();
        seen.note(aside == 0, "at once");
        let there = thread.join().unwrap();
        if aside > 0 {
            // Only what is aside keeps it, for whoever wants it.
            assert_eq!((there, interner.lookup("a")), (Some(id), Some(id)));
            let again = session.intern("a").unwrap();
            assert_eq!((again.id(), again.text(), Interner::aside()), (id, "a", aside - 1));
        } else {
            assert_eq!(interner.lookup("a"), None);
        }
        let aside = Interner::aside();
        if aside > 0 {
            // It is not in the way of another tag, for which there is no other place.
            seen.note(true, "aside");
            assert_eq!(session.intern("b").unwrap().text(), "b");
            assert_eq!((Interner::aside(), interner.lookup("a")), (0, None));
        }
        drop(session);
        assert_eq!((Interner::aside(), interner.lookup("a")), (0, None));
        interner.assert_idle();
    });
}

#[test]
fn what_is_put_aside_is_of_one_tag() {
    check("what_is_put_aside_is_of_one_tag", &["not contended", "the same slot"], |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let (old, other) = (a.id(), interner.clone());
        let thread = spawn(move || drop(a));
        drop(interner.intern("a").unwrap());
        let contended = Interner::contended();
        thread.join().unwrap();
        // The next one in the slot. This thread did not find it, and so still remembers where the first one was.
        let b = spawn(move || other.intern("b").unwrap()).join().unwrap();
        let same = slot(b.id()) == slot(old);
        let mut session = interner.session();
        drop(b);
        let again = session.intern("a").unwrap();
        assert_eq!((again.text(), interner.lookup("a"), interner.lookup("b")), ("a", Some(again.id()), None));
        drop(again);
        seen.note(!contended, "not contended");
        seen.note(contended && same, "the same slot");
        drop(session);
        interner.assert_idle();
    });
}

#[test]
fn what_is_aside_is_given_up_while_others_count() {
    let outcomes = ["aside and shared", "aside and new id", "not aside"];
    check("what_is_aside_is_given_up_while_others_count", &outcomes, |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let (old, b, other) = (a.id(), a.clone(), interner.clone());
        let thread = spawn(move || {
            drop(b);
            let again = other.intern("a").unwrap();
            assert_eq!(again.text(), "a");
            again.id()
        });
        let mut session = interner.session();
        let found = session.intern("a").unwrap();
        assert_eq!(found.text(), "a");
        drop(found);
        drop(a);
        let aside = Interner::aside() > 0;
        // The last reference may be one of those that nobody has.
        drop(session);
        let id = thread.join().unwrap();
        seen.note(aside && id == old, "aside and shared");
        seen.note(aside && id != old, "aside and new id");
        seen.note(!aside, "not aside");
        interner.assert_idle();
    });
}

#[test]
fn what_is_aside_of_one_tag_is_not_given_for_another() {
    let outcomes = ["the first aside", "both met", "nothing aside"];
    check("what_is_aside_of_one_tag_is_not_given_for_another", &outcomes, |seen| {
        let interner = Interner::with_limit(2);
        let (a, other) = (interner.intern("a").unwrap(), interner.clone());
        // This thread's one guess is of "a", until it asks for "b".
        let b = spawn(move || other.intern("b").unwrap()).join().unwrap();
        let (a2, b2) = (a.clone(), b.clone());
        let thread = spawn(move || {
            drop(a2);
            drop(b2);
        });
        let mut session = interner.session();
        drop(session.intern("a").unwrap());
        let aside = Interner::aside();
        // By the index, then by what this thread remembers, where it may meet the other one.
        for _ in 0..3 {
            assert_eq!(session.intern("b").unwrap().text(), "b");
        }
        thread.join().unwrap();
        seen.note(aside > 0, "the first aside");
        seen.note(aside == 0 && Interner::aside() > 0, "both met");
        seen.note(Interner::aside() == 0, "nothing aside");
        drop(session);
        let counts: Vec<u64> = interner.dump().into_iter().map(|(_, _, n)| n).collect();
        assert_eq!(counts, [1, 1]);
        drop((a, b));
        interner.assert_idle();
    });
}
