//! What the interner promises, on one thread and on a few.
#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn one_id_per_text_until_the_last_reference_goes() {
    let interner = Interner::new();
    let a = interner.intern("1.27").unwrap();
    let b = interner.intern("1.27").unwrap();
    assert_eq!(a.id(), b.id());
    assert_eq!(interner.dump(), [(Arc::from("1.27"), a.id(), 2)]);
    let id = a.id();
    drop(a);
    assert_eq!(interner.resolve(id).as_deref(), Some("1.27"));
    drop(b);
    assert_eq!((interner.len(), interner.resolve(id), interner.lookup("1.27")), (0, None, None));
    assert_ne!(interner.intern("1.27").unwrap().id(), id, "an id is never handed out again");
}

#[test]
fn look_up_holds_nothing_and_makes_nothing() {
    let interner = Interner::new();
    assert_eq!(interner.lookup("x"), None);
    assert!(interner.is_empty());
    let x = interner.intern("x").unwrap();
    assert_eq!(interner.lookup("x"), Some(x.id()));
    assert_eq!(interner.dump().first().map(|d| d.2), Some(1));
    assert_eq!(interner.retain(x.id()).map(|r| r.text().to_owned()).as_deref(), Some("x"));
    let id = x.id();
    drop(x);
    assert!(interner.retain(id).is_none());
}

#[test]
fn a_full_interner_says_so_and_recovers() {
    let interner = Interner::with_limit(2);
    let a = interner.intern("a").unwrap();
    let _b = interner.intern("b").unwrap();
    assert_eq!(interner.intern("c").unwrap_err(), Full { limit: 2 });
    assert!(interner.intern("a").is_ok());
    drop(a);
    assert!(interner.intern("c").is_ok());
}

#[test]
fn threads_that_create_and_destroy_the_same_tags_leave_nothing() {
    let interner = Interner::new();
    std::thread::scope(|scope| {
        for t in 0..4_u64 {
            let interner = interner.clone();
            scope.spawn(move || {
                let mut held = Vec::new();
                for i in 0..20_000_u64 {
                    let text = format!("tag-{}", (i * 7 + t * 3) % 11);
                    let tag = interner.intern(&text).unwrap();
                    assert_eq!(tag.text(), text);
                    assert_eq!(interner.resolve(tag.id()).as_deref(), Some(text.as_str()));
                    if i % 3 == 0 {
                        held.push(tag.clone());
                    }
                    if held.len() > 5 {
                        held.clear();
                    }
                }
            });
        }
    });
    interner.assert_idle();
}
