#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::super::Interner;
use super::super::word::Word;
use super::*;

/// As if another thread had been met at it.
fn contend(tag: &TagRef) {
    contended(tag.address(tag.id()));
}

#[test]
fn what_is_dropped_in_a_session_is_given_up_when_it_ends() {
    let interner = Interner::with_limit(2);
    let (a, b) = (interner.intern("a").unwrap(), interner.intern("b").unwrap());
    let references = |text: &str| interner.dump().into_iter().find(|(t, ..)| **t == *text).map_or(0, |(_, _, n)| n);
    contend(&a);
    // No session is open.
    drop(a.clone());
    assert_eq!((Interner::aside(), references("a"), references("b")), (0, 1, 1));
    let mut session = interner.session();
    drop((a.clone(), b.clone(), a.clone()));
    assert_eq!((Interner::aside(), references("a"), references("b")), (1, 2, 1));
    let (again, more) = (session.intern("a").unwrap(), session.intern("b").unwrap());
    assert_eq!((again.id(), again.text(), more.text()), (a.id(), "a", "b"));
    assert_eq!((Interner::aside(), references("a"), references("b")), (0, 2, 2));
    drop((a, again));
    assert_eq!((Interner::aside(), references("a")), (1, 1));
    // Neither of another thread's, nor of its sessions.
    let other = interner.clone();
    std::thread::spawn(move || {
        let mut session = other.session();
        assert_eq!(Interner::aside(), 0);
        drop(session.intern("a").unwrap());
    })
    .join()
    .unwrap();
    assert_eq!((Interner::aside(), interner.len()), (1, 2));
    drop(session);
    assert_eq!((Interner::aside(), interner.len(), interner.lookup("a")), (0, 1, None));

    // It is not in the way of another tag, and a tag that comes to its slot is not taken for it.
    let a = interner.intern("a").unwrap();
    contend(&a);
    let mut session = interner.session();
    drop(session.intern("a").unwrap());
    drop(a);
    assert_eq!((Interner::aside(), interner.len()), (1, 2));
    let c = session.intern("c").unwrap();
    assert_eq!((Interner::aside(), interner.lookup("a"), c.text()), (0, None, "c"));
    drop(c);
    assert_eq!((Interner::aside(), session.intern("a").unwrap().text()), (0, "a"));
    drop((b, more));
    drop(session);
    interner.assert_idle();

    // It outlives its interner, until a session ends: that of another one's too.
    let (one, other) = (Interner::new(), Interner::new());
    let a = one.intern("a").unwrap();
    contend(&a);
    let session = other.session();
    drop((a, one));
    assert_eq!(Interner::aside(), 1);
    drop(session);
    assert_eq!(Interner::aside(), 0);
    other.assert_idle();
}

#[test]
fn a_clone_that_is_refused_in_a_session_is_not_counted() {
    let interner = Interner::new();
    let tag = interner.intern("a").unwrap();
    contend(&tag);
    let session = interner.session();
    // As if they were held; none is dropped.
    tag.counts_as_if(Word::REFERENCES_MAX);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tag.clone())).is_err();
    let counted = interner.dump()[0].2;
    let aside = Interner::aside();
    tag.counts_as_if(1 + aside);
    drop(session);
    assert!(refused);
    assert_eq!((aside, counted), (0, u64::from(Word::REFERENCES_MAX)));
}

#[test]
fn a_session_does_not_put_aside_without_end() {
    let interner = Interner::new();
    let tag = interner.intern("a").unwrap();
    contend(&tag);
    let session = interner.session();
    let mut most = 0;
    for _ in 0..100_000 {
        drop(tag.clone());
        most = most.max(Interner::aside());
    }
    drop(session);
    assert_eq!(most, 1);
}

#[test]
fn what_was_not_wanted_again_is_put_aside_no_more() {
    let interner = Interner::new();
    let a = interner.intern("a").unwrap();
    contend(&a);
    // Wanted again, and held beyond the session's end.
    let mut session = interner.session();
    drop(a.clone());
    let again = session.intern("a").unwrap();
    assert_eq!(Interner::aside(), 0);
    drop(session);
    // Not wanted again in this session.
    let session = interner.session();
    drop(a.clone());
    assert_eq!(Interner::aside(), 1);
    drop(session);
    let session = interner.session();
    drop(a.clone());
    let aside = Interner::aside();
    drop((session, again));
    assert_eq!(aside, 0, "docs: one not wanted again in a session is put aside no more");
}

#[test]
fn a_thread_that_forgot_a_session_keeps_a_little_until_the_next_one_ends() {
    let interner = Interner::new();
    let other = interner.clone();
    std::thread::spawn(move || {
        let tags: Vec<_> = (0..100).map(|n| other.intern(&n.to_string()).unwrap()).collect();
        // One that is forgotten stays open; this one is, to the end, as if it were.
        let forgotten = other.session();
        tags.iter().for_each(contend);
        drop(tags);
        let aside = Interner::aside() as usize;
        assert_eq!((aside, other.len()), (ASIDE, ASIDE));
        drop(other.session());
        assert_eq!((Interner::aside(), other.len()), (0, 0));
        let a = other.intern("a").unwrap();
        contend(&a);
        drop(a);
        assert_eq!((Interner::aside(), other.len()), (1, 1));
        drop(other.session());
        assert_eq!(Interner::aside(), 0);
        drop(forgotten);
    })
    .join()
    .unwrap();
    interner.assert_idle();
}

#[test]
fn a_session_without_guesses_has_nothing_again_and_puts_no_more_aside() {
    let interner = Interner::new();
    let a = interner.intern("a").unwrap();
    contend(&a);
    let outer = interner.session();
    let mut inner = interner.session();
    for _ in 0..10 {
        drop(inner.intern("a").unwrap());
    }
    let aside = Interner::aside();
    drop((outer, inner));
    assert_eq!(aside, 1);
}

#[test]
fn what_is_aside_is_of_one_of_two_tags_of_a_place() {
    // 16 places: find two tags of one place, have one aside when another is met at the other.
    let interner = Interner::new();
    let held: Vec<_> = (0..20).map(|n| interner.intern(&n.to_string()).unwrap()).collect();
    let (a, b) = (&held[0], held[1..].iter().find(|t| t.place() % ASIDE == held[0].place() % ASIDE).unwrap());
    let mut session = interner.session();
    contend(a);
    drop(a.clone());
    contend(b);
    assert_eq!(session.intern(b.text()).unwrap().text(), b.text());
    assert_eq!(session.intern(a.text()).unwrap().text(), a.text());
    drop(session);
    assert!(interner.dump().iter().all(|(_, _, n)| *n == 1));
}

#[test]
fn what_is_aside_is_not_had_by_who_remembers_the_slot_s_last_tenant() {
    let interner = Interner::new();
    let old = interner.intern("a").unwrap().id();
    let b = interner.intern("b").unwrap();
    assert_eq!(b.id().index(), old.index(), "this thread remembers that \"a\" was where \"b\" is");
    contend(&b);
    let mut session = interner.session();
    drop(b);
    assert_eq!(Interner::aside(), 1);
    let a = session.intern("a").unwrap();
    assert_eq!((a.text(), Interner::aside()), ("a", 1));
    drop(session);
    drop(a);
    interner.assert_idle();
}

#[test]
fn what_is_aside_is_given_up_when_any_session_of_the_thread_ends() {
    let (one, other) = (Interner::new(), Interner::new());
    let a = one.intern("a").unwrap();
    contend(&a);
    let outer = one.session();
    let inner = other.session();
    drop(a);
    assert_eq!((Interner::aside(), one.len()), (1, 1));
    drop(inner);
    assert_eq!((Interner::aside(), one.len()), (0, 0));
    drop(outer);
}
