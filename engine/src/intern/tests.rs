//! What the interner promises, on one thread and on a few.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "../../tests/common/interner_work.rs"]
mod interner_work;

use super::word::Word;
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    assert_eq!(interner.intern("c").unwrap_err(), Full::Tags { limit: 2 });
    assert!(interner.intern("a").is_ok());
    drop(a);
    assert!(interner.intern("c").is_ok());
}

#[test]
fn the_first_says_how_many_tags_the_process_s_interner_holds() {
    // No other test of this process uses it.
    let first = Interner::global_of(3);
    assert_eq!((first.limit(), Interner::global().limit(), Interner::global_of(5).limit()), (3, 3, 3));
    let _tag = first.intern("a").unwrap();
    assert_eq!(Interner::global().len(), 1, "it is the same");
}

#[test]
fn what_was_done_before_there_was_no_room_counts() {
    let interner = Interner::with_limit(1);
    let go_on = interner.intern("a").unwrap().stalled();
    assert_eq!(interner.intern("a").unwrap_err(), Full::Tags { limit: 1 }, "the one that goes still counts");
    go_on();
    assert_eq!(interner.stats(), InternerStats { added: 1, revivals: 1, retries: 0 });
    interner.assert_idle();
}

#[test]
fn a_text_has_a_longest() {
    let interner = Interner::with_limit(2);
    let longest = "x".repeat(TEXT_MAX);
    let tag = interner.intern(&longest).unwrap();
    assert_eq!((tag.text(), interner.lookup(&longest)), (longest.as_str(), Some(tag.id())));
    assert_eq!(interner.intern(&longest).unwrap().id(), tag.id());
    assert_eq!(interner.dump(), [(Arc::from(longest.as_str()), tag.id(), 1)]);
    let bytes = interner.bytes();
    let longer = longest + "x";
    assert_eq!(interner.intern(&longer).unwrap_err(), Full::Text { bytes: TEXT_MAX + 1 });
    assert_eq!((interner.lookup(&longer), interner.len(), interner.bytes()), (None, 1, bytes));
    drop(tag);
    interner.assert_idle();
}

#[test]
fn a_thread_that_ends_gives_up_its_tags_and_may_use_the_interner_to_the_last() {
    struct Kept(Option<(Interner, TagRef)>);

    impl Drop for Kept {
        fn drop(&mut self) {
            let (interner, tag) = self.0.take().unwrap();
            let (id, text) = (tag.id(), tag.text().to_owned());
            assert_eq!(interner.lookup(&text), Some(id));
            assert_eq!(interner.intern(&text).unwrap().id(), id);
            drop(tag);
            assert_eq!(interner.lookup(&text), None);
            drop(interner.intern("new").unwrap());
        }
    }

    thread_local! {
        static PLAIN: std::cell::RefCell<Vec<TagRef>> = const { std::cell::RefCell::new(Vec::new()) };
        static BUSY: std::cell::RefCell<Vec<Kept>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let interner = Interner::new();
    for round in 0..40 {
        let text = format!("{round}{}", "x".repeat(round * 2));
        let tag = interner.intern(&text).unwrap();
        let to = interner.clone();
        let thread = std::thread::spawn(move || {
            // What is touched first goes last: after what the map and seize keep of this thread.
            if round % 2 == 0 {
                PLAIN.with_borrow_mut(|kept| kept.reserve(4));
                BUSY.with_borrow_mut(|kept| kept.reserve(4));
            }
            PLAIN.with_borrow_mut(|kept| kept.push(tag.clone()));
            // Some do nothing else with the interner.
            if round % 4 < 2 {
                let own = to.intern(&format!("own {text}")).unwrap();
                BUSY.with_borrow_mut(|kept| kept.push(Kept(Some((to.clone(), own)))));
            }
            drop((tag, to));
        });
        thread.join().unwrap();
        assert_eq!(interner.dump(), []);
        interner.assert_idle();
    }
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

#[test]
fn statistics_say_what_happened() {
    let interner = Interner::new();
    let a = interner.intern("a").unwrap();
    assert_eq!(interner.intern("a").unwrap().id(), a.id());
    assert_eq!((interner.lookup("a"), interner.lookup("b")), (Some(a.id()), None));
    assert_eq!(interner.stats(), InternerStats { added: 1, ..InternerStats::default() });
    let go_on = a.stalled();
    let again = interner.intern("a").unwrap();
    go_on();
    assert_eq!(interner.stats(), InternerStats { added: 2, revivals: 1, retries: 0 });
    assert_eq!(interner.lookup("a"), Some(again.id()));
}

#[test]
fn an_id_is_of_one_interner() {
    // Each text is at the same place in both; the tag is that of the interner that was asked.
    let (one, other) = (Interner::new(), Interner::new());
    let (in_one, in_other) = (one.intern("a").unwrap(), other.intern("b").unwrap());
    assert_eq!(in_one.id(), in_other.id());
    assert_eq!(other.resolve(in_one.id()).as_deref(), Some("b"));
    assert_eq!((one.lookup("b"), other.lookup("a")), (None, None));
    drop(one);
    assert_eq!((in_one.text(), other.len()), ("a", 1));
}

#[test]
fn bytes_are_those_of_the_tags_held() {
    let interner = Interner::new();
    let short = interner.intern("1.27").unwrap();
    let more = short.clone();
    assert_eq!(interner.bytes(), 24 + 16 + 8, "an entry of the index, two counts, and a text in whole words");
    let long = interner.intern(&"x".repeat(60)).unwrap();
    assert_eq!(interner.bytes(), 48 + 24 + 16 + 64);
    let slots = interner.slot_bytes();
    drop((short, more, long));
    assert_eq!((interner.bytes(), interner.slot_bytes()), (0, slots));
    interner.assert_idle();
}

#[test]
fn slots_are_used_again_and_grow_by_doubling() {
    let interner = Interner::new();
    for _ in 0..3 {
        let held: Vec<_> = (0..1000).map(|n| interner.intern(&n.to_string()).unwrap()).collect();
        assert!(held.iter().enumerate().all(|(n, tag)| tag.text() == n.to_string()));
        assert_eq!(interner.slot_bytes(), (64 + 128 + 256 + 512 + 1024) * 64);
    }
    interner.assert_idle();
}

#[test]
fn a_slot_whose_generations_are_used_up_is_not_used_again() {
    let interner = Interner::with_generation(1, u32::MAX - 1);
    let ids: Vec<u64> = (0..4).map(|_| interner.intern("a").unwrap().id().get()).collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
    let _a = interner.intern("a").unwrap();
    assert!(interner.intern("b").is_err(), "the limit holds all the same");
}

#[test]
fn a_tag_outlives_its_interner() {
    let interner = Interner::new();
    let tag = interner.intern("a").unwrap();
    drop(interner);
    let more = tag.clone();
    drop(tag);
    assert_eq!(more.text(), "a");
}

/// What the protocol relies on, of whatever is used as index.
macro_rules! check_index {
    ($index:expr) => {
        let index = $index;
        let id = |n| TagId::from_number(n).unwrap();
        let insert = |text: &str, n| index.insert(Arc::from(text), id(n));
        assert_eq!(index.get("a"), None);
        assert!(insert("a", 1));
        assert!(!insert("a", 2), "the first stays");
        assert_eq!((index.get("a"), index.get("b")), (Some(id(1)), None));
        assert!(insert("b", 1), "texts are apart");
        index.remove("a", id(2));
        assert_eq!(index.get("a"), Some(id(1)), "not this id's");
        index.remove("a", id(1));
        index.remove("a", id(1));
        index.remove("c", id(1));
        assert_eq!((index.get("a"), index.all()), (None, vec![(Arc::from("b"), id(1))]));
        assert!(insert("a", 3), "there is room again");
        index.remove("a", id(3));
        index.remove("b", id(1));

        // Of those who race to add a text one wins, and only its id is seen and can be removed.
        for round in 1..200_u64 {
            let won: Vec<u64> = std::thread::scope(|scope| {
                let race = |n: u64| scope.spawn(move || (n, insert("d", n)));
                let threads = [race(2 * round), race(2 * round + 1)];
                threads.into_iter().map(|t| t.join().unwrap()).filter(|(_, won)| *won).map(|(n, _)| n).collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(index.get("d"), Some(id(won[0])));
            index.remove("d", id(won[0] ^ 1));
            assert_eq!(index.get("d"), Some(id(won[0])));
            index.remove("d", id(won[0]));
        }
        assert_eq!(index.all(), []);
    };
}

#[test]
fn both_indices_keep_the_contract() {
    check_index!(&index::map::Map::new(8));
    check_index!(&index::registers::Registers::new(8));
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
    let references = || interner.dump()[0].2;
    let most = Word::REFERENCES_MAX;
    // As if they were held; none is dropped.
    tag.counts_as_if(most - 1);
    std::mem::forget(tag.clone());
    assert_eq!(references(), u64::from(most));
    let refused = |gain: &dyn Fn() -> Option<TagRef>| catch_unwind(AssertUnwindSafe(gain)).is_err();
    assert!(refused(&|| Some(tag.clone())));
    assert!(refused(&|| interner.retain(tag.id())));
    assert!(refused(&|| interner.intern("a").ok()));
    assert_eq!(references(), u64::from(most));
    tag.counts_as_if(1);
    drop(tag);
    interner.assert_idle();
}

/// The interner as one would write it without caring for speed: `Arc` counts, `Weak` finds, a lock guards.
mod oracle {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::{Mutex, Weak};

    #[derive(Default)]
    struct Oracle {
        tags: Mutex<HashMap<String, Weak<u64>>>,
        next: std::cell::Cell<u64>,
    }

    impl Oracle {
        fn intern(&self, text: &str, limit: usize) -> Option<Arc<u64>> {
            let mut tags = self.tags.lock().unwrap();
            tags.retain(|_, tag| tag.strong_count() > 0);
            if let Some(tag) = tags.get(text).and_then(Weak::upgrade) {
                return Some(tag);
            }
            if tags.len() == limit {
                return None;
            }
            self.next.set(self.next.get() + 1);
            let tag = Arc::new(self.next.get());
            tags.insert(text.into(), Arc::downgrade(&tag));
            Some(tag)
        }

        fn count(&self, text: &str) -> usize {
            self.tags.lock().unwrap().get(text).map_or(0, Weak::strong_count)
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_one(steps in proptest::collection::vec((0..7_u8, 0..8_u8, any::<u8>()), 0..200)) {
            const LIMIT: usize = 5;
            let (interner, oracle) = (Interner::with_limit(LIMIT), Oracle::default());
            let mut held: Vec<(TagRef, Arc<u64>, String)> = Vec::new();
            // An id of ours, and what it stood for: the oracle's ids are never used again, nor must ours be.
            let mut known: HashMap<u64, (TagId, Weak<u64>, u64)> = HashMap::new();
            for (step, text, pick) in steps {
                let text = format!("tag {text}");
                match step {
                    0..3 => match (interner.intern(&text), oracle.intern(&text, LIMIT)) {
                        (Ok(ours), Some(theirs)) => {
                            prop_assert_eq!(ours.text(), &text);
                            let number = ours.id().get();
                            let (_, _, stood_for) = known.entry(number).or_insert((ours.id(), Arc::downgrade(&theirs), *theirs));
                            prop_assert_eq!(*stood_for, *theirs, "an id came back");
                            held.push((ours, theirs, text));
                        }
                        (ours, theirs) => prop_assert!(ours.is_err() && theirs.is_none()),
                    },
                    3 if !held.is_empty() => {
                        let more = held[usize::from(pick) % held.len()].clone();
                        held.push(more);
                    }
                    4 | 5 if !held.is_empty() => drop(held.swap_remove(usize::from(pick) % held.len())),
                    _ => {
                        for (id, tag, _) in known.values() {
                            prop_assert_eq!(interner.retain(*id).is_some(), tag.strong_count() > 0);
                        }
                        let dump = interner.dump();
                        prop_assert_eq!(dump.len(), interner.len());
                        for (text, id, references) in dump {
                            prop_assert_eq!(references as usize, oracle.count(&text));
                            prop_assert_eq!(interner.lookup(&text), Some(id));
                        }
                    }
                }
                prop_assert!(held.iter().all(|(ours, _, text)| ours.text() == text));
            }
            held.clear();
            interner.assert_idle();
        }
    }
}

/// Threads that intern, clone, look up, resolve, hold and drop thousands of tags at random.
fn stress(threads: u64, operations: u64, texts: u64) {
    let interner = Interner::new();
    let all: Vec<String> = (0..texts).map(|n| format!("registry.example/app:{n}.0.0-build")).collect();
    for round in 0..2 {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (interner, all) = (&interner, &all);
                scope.spawn(move || interner_work::work(interner, all, (thread << 32) | (round + 1), operations / 2));
            }
        });
        interner.assert_idle();
        // Slots are bounded by the tags there were at once, not by the operations.
        assert!(interner.slot_bytes() < 64 * 4 * texts as usize);
    }
    assert!(interner.stats().added > 0);
}

#[test]
fn stress_on_real_threads() {
    stress(4, 200_000, 3_000);
}

#[test]
fn an_interner_that_was_large_goes_on_with_few_tags() {
    // The map has grown, and moves its entries while tags come and go.
    let interner = Interner::new();
    let many: Vec<String> = (0..100_000).map(|n| format!("1.{n}")).collect();
    for _ in 0..3 {
        drop(many.iter().map(|text| interner.intern(text).unwrap()).collect::<Vec<_>>());
        assert_eq!(interner.len(), 0);
        for text in many.iter().take(1_000).cycle().take(200_000) {
            assert_eq!(interner.intern(text).unwrap().text(), text);
        }
    }
    assert_eq!(interner.stats(), InternerStats { added: 900_000, ..InternerStats::default() });
    interner.assert_idle();
}
