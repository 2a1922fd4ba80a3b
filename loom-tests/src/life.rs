//! The life of one tag: found, kept, given up, brought back.

use crate::harness::check;
use crate::intern::{Interner, TagId};
use loom::sync::atomic::AtomicU64;
use loom::thread::spawn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn held(interner: &Interner) -> Vec<(String, u64, u64)> {
    interner.dump().into_iter().map(|(text, id, n)| (text.to_string(), id.get(), n)).collect()
}

#[test]
fn racing_interns_of_one_text_agree() {
    check("racing_interns_of_one_text_agree", &["overtaken", "found"], |seen| {
        let interner = Interner::with_limit(2);
        let other = interner.clone();
        let thread = spawn(move || other.intern("a").unwrap());
        let a = interner.intern("a").unwrap();
        let b = thread.join().unwrap();
        assert_eq!(held(&interner), [("a".into(), a.id().get(), 2)]);
        assert_eq!((a.id(), a.text(), b.text()), (b.id(), "a", "a"));
        let stats = interner.stats();
        seen.note(stats.retries > 0, "overtaken");
        seen.note(stats.retries == 0, "found");
        drop((a, b));
        interner.assert_idle();
    });
}

#[test]
fn hits_are_counted_each() {
    check("hits_are_counted_each", &["this one first", "the other first"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        // Of `std`: it tells what happened and is no part of the model.
        let first = Arc::new(AtomicBool::new(false));
        let (other, there) = (interner.clone(), first.clone());
        let thread = spawn(move || {
            let c = other.intern("a").unwrap();
            there.store(true, Relaxed);
            c
        });
        let b = interner.intern("a").unwrap();
        let first = first.load(Relaxed);
        let c = thread.join().unwrap();
        assert_eq!(held(&interner), [("a".into(), a.id().get(), 3)]);
        seen.note(!first, "this one first");
        seen.note(first, "the other first");
        drop((a, b, c));
        interner.assert_idle();
    });
}

#[test]
fn a_dying_tag_that_is_interned_is_valid() {
    let outcomes = ["kept alive", "new id", "entry removed for the other", "same slot"];
    check("a_dying_tag_that_is_interned_is_valid", &outcomes, |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let old = a.id();
        let thread = spawn(move || {
            assert_eq!(a.text(), "a");
            drop(a);
        });
        let b = interner.intern("a").unwrap();
        assert_eq!(b.text(), "a");
        thread.join().unwrap();
        assert_eq!(interner.lookup("a"), Some(b.id()));
        assert_eq!(held(&interner), [("a".into(), b.id().get(), 1)]);
        assert_eq!(interner.resolve(old).is_some(), old == b.id());
        seen.note(b.id() == old, "kept alive");
        seen.note(b.id() != old, "new id");
        seen.note(interner.stats().revivals > 0, "entry removed for the other");
        seen.note(b.id() != old && b.id().get() as u32 == old.get() as u32, "same slot");
        drop(b);
        interner.assert_idle();
    });
}

#[test]
fn nobody_waits_for_a_thread_that_is_descheduled() {
    let outcomes = ["both removed the entry", "one found the other's"];
    check("nobody_waits_for_a_thread_that_is_descheduled", &outcomes, |seen| {
        let interner = Interner::with_limit(3);
        let a = interner.intern("a").unwrap();
        let old = a.id();
        // It has counted to zero and does not go on before both others are through.
        let go_on = a.stalled();
        let other = interner.clone();
        let thread = spawn(move || other.intern("a").unwrap());
        let b = interner.intern("a").unwrap();
        let c = thread.join().unwrap();
        go_on();
        assert_eq!((b.id(), b.text(), c.text()), (c.id(), "a", "a"));
        assert_ne!(b.id(), old);
        assert_eq!(held(&interner), [("a".into(), b.id().get(), 2)]);
        let revivals = interner.stats().revivals;
        seen.note(revivals > 1, "both removed the entry");
        seen.note(revivals == 1, "one found the other's");
        drop((b, c));
        interner.assert_idle();
    });
}

#[test]
fn coming_and_going_leaves_nothing() {
    check("coming_and_going_leaves_nothing", &["shared", "one after the other", "revived"], |seen| {
        let interner = Interner::with_limit(2);
        let a = interner.intern("a").unwrap();
        let (old, other) = (a.id(), interner.clone());
        let thread = spawn(move || {
            let b = other.intern("a").unwrap();
            assert_eq!(b.text(), "a");
            b.id()
        });
        drop(a);
        let new = thread.join().unwrap();
        let stats = interner.stats();
        seen.note(new == old, "shared");
        seen.note(new != old && stats.revivals == 0, "one after the other");
        seen.note(stats.revivals > 0, "revived");
        interner.assert_idle();
    });
}

#[test]
fn one_of_two_last_ones_tears_down() {
    check("one_of_two_last_ones_tears_down", &["this one", "the other"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        let (b, other) = (a.clone(), interner.clone());
        let thread = spawn(move || {
            assert_eq!(b.text(), "a");
            drop(b);
            other.lookup("a").is_none()
        });
        assert_eq!(a.text(), "a");
        drop(a);
        let gone = interner.lookup("a").is_none();
        let gone_there = thread.join().unwrap();
        assert!(gone || gone_there);
        seen.note(!gone_there, "this one");
        seen.note(!gone, "the other");
        interner.assert_idle();
    });
}

#[test]
fn a_clone_outlives_what_it_was_cloned_from() {
    check("a_clone_outlives_what_it_was_cloned_from", &["alive", "gone"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        let b = a.clone();
        let thread = spawn(move || {
            let c = b.clone();
            drop(b);
            assert_eq!(c.text(), "a");
        });
        drop(a);
        let alive = interner.lookup("a").is_some();
        seen.note(alive, "alive");
        seen.note(!alive, "gone");
        thread.join().unwrap();
        interner.assert_idle();
    });
}

#[test]
fn look_up_is_pure() {
    check("look_up_is_pure", &["there", "not there"], |seen| {
        let interner = Interner::with_limit(1);
        let other = interner.clone();
        let thread = spawn(move || {
            let there = other.lookup("a").is_some();
            assert_eq!(other.lookup("b"), None);
            there
        });
        let a = interner.intern("a").unwrap();
        assert_eq!(interner.lookup("a"), Some(a.id()));
        drop(a);
        let there = thread.join().unwrap();
        seen.note(there, "there");
        seen.note(!there, "not there");
        interner.assert_idle();
    });
}

#[test]
fn a_tag_that_is_gone_is_not_found_again() {
    check("a_tag_that_is_gone_is_not_found_again", &["alive", "gone"], |seen| {
        let interner = Interner::with_limit(1);
        let a = interner.intern("a").unwrap();
        let id = a.id();
        let thread = spawn(move || drop(a));
        let alive = interner.retain(id).is_some();
        assert!(alive || interner.lookup("a").is_none());
        seen.note(alive, "alive");
        seen.note(!alive, "gone");
        thread.join().unwrap();
        interner.assert_idle();
    });
}

#[test]
fn an_id_alone_is_enough_to_read_its_text() {
    check("an_id_alone_is_enough_to_read_its_text", &["read", "not yet"], |seen| {
        let interner = Interner::with_limit(1);
        // It passes the id on and nothing else.
        let post = Arc::new(AtomicU64::new(0));
        let (other, letter) = (interner.clone(), post.clone());
        let thread = spawn(move || {
            let id = TagId::from_number(letter.load(Relaxed))?;
            other.retain(id).map(|tag| assert_eq!(tag.text(), "a"))
        });
        let a = interner.intern("a").unwrap();
        post.store(a.id().get(), Relaxed);
        let read = thread.join().unwrap().is_some();
        seen.note(read, "read");
        seen.note(!read, "not yet");
        drop(a);
        interner.assert_idle();
    });
}
