//! The faults of the system that Grove replaced: a regression test for each, named after it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{events, get_or_insert_tagged, grow, picture_of};
use grove::config::Config;
use grove::event::{Body, Dns, EventRef, Exec, Open, Syscalls};
use grove::intern::Interner;
use grove::ledger::{Dropped, Fate, Ledger};
use grove::tree::{ActivityTree, ROOT, Rules, Tree};
use grove::{Engine, Overflow};
use std::sync::Arc;

const BUSY: &str = "exec 1<-0 /bin/sh
     open 1 /etc/passwd
     fork 2<-1
     exec 2<-1 /bin/ls --uid=3
     open 2 /d/x
     dns 2 example.com A
     connect 2 10.0.0.1 443 tcp
     connect 2 unix /run/x.sock
     syscalls 2 0,1,2
     capability 2 3";

fn engine(interner: &Interner, config: Config) -> Engine {
    Engine::builder().config(&config).interner(interner.clone()).start().unwrap()
}

fn send(engine: &Engine, text: &str) {
    let mut sender = engine.sender(Overflow::Wait);
    events(text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
}

#[test]
fn a_rejected_event_leaves_no_orphan_tag() {
    let interner = Interner::new();
    let engine = engine(&interner, Config::default().with(|c| c.workers = 1));
    send(&engine, "start nginx 1\nexec 1<-0 /bin/sh\nstart nginx 2\nstart redis 3");
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.ledger.rejected_total(), 2);
    assert_eq!(interner.dump().iter().map(|(text, ..)| &**text).collect::<Vec<_>>(), ["1"]);
    // However late: the tree is full when the event that would first bear a tag arrives.
    drop(snapshot);
    engine.shutdown();
    assert!(interner.is_empty(), "{:?}", interner.dump());
}

#[test]
fn a_container_that_does_nothing_leaves_no_tag_behind() {
    let interner = Interner::new();
    let tag = interner.intern("1").unwrap();
    let mut tree = ActivityTree::new(Arc::default(), &tag);
    for stored in events("open 1 /x fail\nopen 1 relative\nexec 1<-0 /usr/bin/runc\nopen 1 /x\nexit 1").iter() {
        tree.insert(&stored.event);
    }
    assert!(tree.tree().tags().is_empty(), "no node bears it");
    drop(tree);
    assert_eq!(interner.dump()[0].2, 1, "our own reference");
}

#[test]
fn a_released_id_is_never_reused() {
    let interner = Interner::new();
    let mut seen = std::collections::HashSet::new();
    for round in 0..50 {
        let (mut tree, _) = get_or_insert_tagged(BUSY, &Rules::default(), &format!("tag-{}", round % 3), &interner);
        let id = interner.lookup(&format!("tag-{}", round % 3)).unwrap();
        assert!(seen.insert(id), "{id:?} was another tag's before");
        tree.evict_tag(&format!("tag-{}", round % 3));
        drop(tree);
        assert!(interner.is_empty());
        assert_eq!(interner.resolve(id), None);
    }
}

#[test]
fn a_dry_run_registers_and_stamps_nothing() {
    let interner = Interner::new();
    let (tree, _) = get_or_insert_tagged(BUSY, &Rules::default(), "1", &interner);
    let before = (tree.tree().structural_hash(), tree.heap_bytes(), tree.processes(), interner.dump());
    let probes = "exec 1<-0 /bin/sh
         open 1 /etc/passwd
         open 1 /etc/passwd w
         open 1 /new
         open 99 /new
         exec 7<-1 /bin/new --uid=9
         exec 9<-0 /usr/bin/runc
         fork 8<-1
         exit 2
         dns 2 example.com AAAA
         connect 2 10.0.0.1 444 tcp
         syscalls 2 0,9
         capability 2 3 refused
         start nginx 9
         stop";
    let known: Vec<bool> = events(probes).iter().map(|stored| tree.contains(&stored.event)).collect();
    assert_eq!(known.iter().filter(|known| !**known).count(), 8, "{known:?}");
    assert_eq!((tree.tree().structural_hash(), tree.heap_bytes(), tree.processes(), interner.dump()), before);
}

#[test]
fn eviction_of_a_tag_does_not_stop_at_the_first_node_without_it() {
    let interner = Interner::new();
    let grown = |text: &str, tag: &str| get_or_insert_tagged(text, &Rules::default(), tag, &interner).0.tree().clone();
    // Tag 2 has the deep end only: of the lineage above it, tag 1 alone has seen the programs' files.
    let mut tree = grown(BUSY, "1");
    tree.merge(&grown(
        "exec 1<-0 /bin/sh\nexec 2<-1 /bin/ls\nopen 2 /d/x\nopen 2 /d/y\nexec 3<-2 /bin/deep\nopen 3 /z",
        "2",
    ))
    .unwrap();
    let whole = tree.clone();
    tree.evict_tag("2");
    assert_eq!(tree.structural_hash(), grown(BUSY, "1").structural_hash());
    assert_eq!((tree.tag_uses("2"), tree.tags().contains("2")), (0, false));
    assert!(bearers(&tree, "2").is_empty());

    let mut other = whole;
    other.evict_tag("1");
    assert!(bearers(&other, "1").is_empty());
    assert_eq!(
        picture_of(&other),
        "/bin/sh\n  /bin/ls uids=[3]\n    - r /d/x\n    - r /d/y\n    /bin/deep\n      - r /z\n"
    );
    assert_eq!((other.stats(), other.heap_bytes()), (other.recount(), other.recount_bytes()));
}

/// Every node that bears the tag, the dead not excluded.
fn bearers(tree: &Tree, tag: &str) -> Vec<u32> {
    (0..tree.node_count() as u32).filter(|id| tree.seen(*id).any(|(t, _)| t.text() == tag)).collect()
}

#[test]
fn eviction_gives_the_memory_and_the_tag_back() {
    let interner = Interner::new();
    let mut tree = get_or_insert_tagged(BUSY, &Rules::default(), "1", &interner).0.tree().clone();
    tree.evict_tag("none");
    let before = tree.heap_bytes();
    let many = (0..2000).map(|i| format!("open 1 /many/{}\n", "word".repeat(i % 50 + 1) + &"x".repeat(i / 50)));
    tree.merge(
        get_or_insert_tagged(
            &format!("exec 1<-0 /bin/sh\n{}", many.take(300).collect::<String>()),
            &Rules::default(),
            "2",
            &interner,
        )
        .0
        .tree(),
    )
    .unwrap();
    assert!(tree.heap_bytes() > before + 4096);
    tree.evict_tag("2");
    assert_eq!(tree.heap_bytes(), before);
    assert_eq!(interner.lookup("2"), None, "nobody holds it any more");
    assert!(interner.lookup("1").is_some());
}

#[test]
fn age_out_keeps_a_quiet_parent_of_busy_children() {
    let text = "1s exec 1<-0 /bin/init
         2s open 1 /etc/once
         2s fork 2<-1
         3s exec 2<-1 /bin/quiet
         3s fork 3<-2
         9s exec 3<-2 /bin/busy
         9s open 3 /x
         4s fork 4<-1
         4s exec 4<-1 /bin/gone";
    let mut tree = grow(text, &Rules::default()).0.tree().clone();
    tree.evict_before(5_000_000_000);
    assert_eq!(picture_of(&tree), "/bin/init\n  /bin/quiet\n    /bin/busy\n      - r /x\n");
    let docs = tree.to_docs();
    for (index, doc) in docs.iter().enumerate() {
        let children = docs.iter().filter(|child| child.parent == Some(index as u32)).map(|child| &child.seen);
        for seen in children.chain(doc.files.iter().map(|file| &file.seen)) {
            assert!(seen.iter().all(|(tag, [first, last])| {
                let [above_first, above_last] = doc.seen.get(tag).unwrap();
                above_first <= first && above_last >= last
            }));
        }
    }
    tree.evict_before(10_000_000_000);
    assert_eq!((picture_of(&tree).as_str(), tree.node_count()), ("", 1));
}

#[test]
fn eviction_keeps_the_processes_that_run() {
    let (mut tree, _) = grow(BUSY, &Rules::default());
    tree.evict_tag("1");
    assert_eq!((picture_of(tree.tree()).as_str(), tree.tree().stats()), ("", tree.tree().recount()));
    let mut apply = |text: &str| {
        for stored in events(text).iter() {
            tree.insert(&stored.event);
        }
    };
    apply("open 2 /after\nexec 3<-2 /bin/child");
    assert_eq!(picture_of(tree.tree()), "/bin/sh\n  /bin/ls uids=[3]\n    - r /after\n    /bin/child\n");
    assert_eq!(tree.tree().stats(), tree.tree().recount());
}

#[test]
fn a_process_that_was_evicted_while_it_ran_is_counted_again_when_it_is_merged() {
    let rules = Rules { path_fanout: 2, ..Rules::default() };
    let (mut tree, _) = grow("exec 1<-0 /init\nexec 11<-1 /srv/v1\nexec 12<-1 /srv/v2", &rules);
    tree.evict_tag("1");
    let mut apply = |text: &str| {
        for stored in events(text).iter() {
            tree.insert(&stored.event);
            assert_eq!(tree.tree().stats(), tree.tree().recount(), "{:?}", stored.event);
        }
    };
    apply("open 12 /x\nexec 13<-1 /srv/v3\nexec 14<-1 /srv/v4\nopen 11 /y");
    assert_eq!(picture_of(tree.tree()), "/init\n  /srv/*\n    - r /x\n    - r /y\n");
}

#[test]
fn the_id_of_a_live_node_always_resolves() {
    let interner = Interner::new();
    let mut tree = Tree::new(Arc::default());
    for tag in ["1", "2", "3"] {
        // The container's own tree, and with it its reference, is gone after each round.
        tree.merge(get_or_insert_tagged(BUSY, &Rules::default(), tag, &interner).0.tree()).unwrap();
    }
    for gone in ["2", "1"] {
        tree.evict_tag(gone);
        for id in 0..tree.node_count() as u32 {
            for (tag, _) in tree.seen(id) {
                assert_eq!(interner.resolve(tag.id()).as_deref(), Some(tag.text()));
                assert_eq!(interner.lookup(tag.text()), Some(tag.id()));
            }
        }
    }
    assert_eq!(tree.tags().into_iter().collect::<Vec<_>>(), ["3"]);
    assert_eq!(interner.dump().iter().map(|(text, _, n)| (&**text, *n)).collect::<Vec<_>>(), [("3", 1)]);
}

#[test]
fn a_tree_holds_one_reference_per_tag_however_many_nodes_bear_it() {
    let interner = Interner::new();
    let (tree, _) = get_or_insert_tagged(BUSY, &Rules::default(), "1", &interner);
    assert!(tree.tree().tag_uses("1") > 5);
    assert_eq!(interner.dump()[0].2, 1);
}

/// What can be seen from outside of "no lock on the event path": a snapshot that nobody finishes reading, a reader that
/// never lets go and sources at work do not make each other wait.
#[test]
fn no_reader_stops_a_writer() {
    let interner = Interner::new();
    let engine =
        engine(&interner, Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 2, 1)));
    send(&engine, BUSY.replace("exec 1<-0", "start nginx 1\nexec 1<-0").as_str());
    let held = engine.snapshot();
    let latest = engine.latest();
    for round in 0..200 {
        send(&engine, &format!("open 1 /round/{round}"));
        if round % 50 == 0 {
            engine.snapshot();
        }
    }
    assert_eq!(held.ledger, latest.ledger, "what was read stays what it was");
    let end = engine.shutdown();
    assert_eq!((end.ledger.received, end.ledger.applied_new + end.ledger.applied_known), (211, 209));
}

#[test]
fn oversize() {
    let rules = Rules { tree_bytes: 64 << 10, ..Rules::default() };
    let mut tree = ActivityTree::new(Arc::new(rules), &Interner::new().intern("1").unwrap());
    let mut ledger = Ledger::default();
    let mut insert = |ts, pid, body: Body<&[u8]>| {
        let fate = tree.insert(&EventRef::new(ts, b"c", pid, body));
        ledger.count(fate);
        fate
    };
    let exec = |path: &'static [u8], uid| {
        let mut exec = Exec::new(0, path);
        exec.uid = Some(uid);
        Body::Exec(exec)
    };
    let mut full_at = None;
    assert_eq!(insert(1, 1, exec(b"/bin/app", 0)), Fate::New);
    assert_eq!(insert(1, 1, Body::Dns(Dns::new(b"example.com", 1))), Fate::New);
    for i in 0..20 {
        insert(1, 1, Body::Open(Open::new(format!("/tmp/known{i}").as_bytes(), 0, 0)));
    }
    for i in 0..100_000_u32 {
        // Words of letters only: they never generalise.
        let word: String = i.to_string().bytes().map(|d| char::from(b'a' + d - b'0')).collect();
        let fate = insert(2, 1, Body::Open(Open::new(format!("/d/{word}").as_bytes(), 0, 0)));
        if fate == Fate::Dropped(Dropped::TreeFull) {
            full_at = full_at.or(Some(i));
        }
    }
    let full_at = full_at.unwrap();
    // What it knows it keeps and refreshes, patterns included.
    assert_eq!(insert(9, 1, Body::Open(Open::new(b"/d/a", 0, 0))), Fate::Known);
    assert_eq!(insert(9, 1, Body::Open(Open::new(b"/tmp/known999", 0, 0))), Fate::Known);
    assert_eq!(insert(9, 2, exec(b"/bin/app", 0)), Fate::Known);
    // Everything else that would take memory is dropped: users, question types, calls.
    for i in 0..70_000_u32 {
        assert_eq!(insert(9, 3, exec(b"/bin/app", i + 1)), Fate::Dropped(Dropped::TreeFull));
        assert_eq!(insert(9, 1, Body::Dns(Dns::new(b"example.com", i as u16 | 2))), Fate::Dropped(Dropped::TreeFull));
        let long = format!("/tmp/known{i}{}", "z9".repeat(100));
        assert_eq!(insert(9, 1, Body::Open(Open::new(long.as_bytes(), 0, 0))), Fate::Known);
    }
    // A program is not displaced by any of it, but what it does is.
    assert_eq!(insert(9, 4, exec(b"/bin/other", 0)), Fate::New);
    assert_eq!(insert(9, 4, exec(b"/bin/other", 0)), Fate::Known);
    assert_eq!(insert(9, 4, Body::Open(Open::new(b"/d/a", 0, 0))), Fate::Dropped(Dropped::TreeFull));
    // Of programs too there are only so many.
    let programs = (0..100_000_u32).filter(|n| {
        let word: String = n.to_string().bytes().map(|d| char::from(b'a' + d - b'0')).collect();
        let path = format!("/bin/{word}");
        let run = Exec::new(0, path.as_bytes());
        match insert(9, 5, Body::Exec(run)) {
            Fate::New => true,
            fate => {
                assert_eq!(fate, Fate::Dropped(Dropped::TreeFull));
                false
            }
        }
    });
    let programs = programs.count();
    assert!((30..400).contains(&programs), "{programs}");
    assert_eq!(insert(9, 6, exec(b"/bin/one/more", 0)), Fate::Dropped(Dropped::TreeFull));
    assert_eq!(insert(9, 6, Body::Open(Open::new(b"/d/a", 0, 0))), Fate::Dropped(Dropped::TreeFull));
    assert_eq!(insert(9, 1, Body::Syscalls(Syscalls::new(&7_u32.to_le_bytes()))), Fate::Dropped(Dropped::TreeFull));

    assert!(ledger.balances());
    assert!(ledger.dropped(Dropped::TreeFull) >= 140_000, "what was given up is counted");
    assert!(full_at > 200 && tree.tree().heap_bytes() < (64 << 10) + 16_384, "{full_at}, {}", tree.tree().heap_bytes());
    let docs = tree.tree().to_docs();
    let app = docs.iter().find(|p| p.path == "/bin/app").unwrap();
    let file = app.files.iter().find(|f| f.path == "/d/a").unwrap();
    assert_eq!(file.seen.get("1").unwrap().map(|time| time.0), [2, 9], "refreshed");
}

#[test]
fn tree_shape_does_not_depend_on_arrival_order() {
    let names: Vec<String> = (0..40).map(|i| format!("open 1 /d/{}{i}/f{}", ["job", "run"][i % 2], i % 3)).collect();
    let picture =
        |names: &[String]| picture_of(grow(&format!("exec 1<-0 /a\n{}", names.join("\n")), &Rules::default()).0.tree());
    let expected = picture(&names);
    let mut names = names;
    for _ in 0..names.len() {
        names.rotate_left(7);
        assert_eq!(picture(&names), expected);
        names.reverse();
        assert_eq!(picture(&names), expected);
    }
}

#[test]
fn a_merge_of_trees_that_learn_patterns_only_together_follows_every_process() {
    // Quadratic in the processes that move, this would take minutes.
    let grown = |from: u32| {
        let text = (0..300_u32).flat_map(|number| {
            let dir: String = number.to_string().bytes().map(|d| char::from(b'a' + d - b'0')).collect();
            (from..from + 10).map(move |i| format!("exec {}<-1 /srv/{dir}/v{i}\n", 1000 + number * 100 + i))
        });
        let mut tree = ActivityTree::new(Arc::default(), &Interner::new().intern("1").unwrap());
        for stored in events(&format!("exec 1<-0 /init\n{}", text.collect::<String>())).iter() {
            tree.insert(&stored.event);
        }
        tree.tree().clone()
    };
    let mut tree = grown(0);
    let started = std::time::Instant::now();
    tree.merge(&grown(10)).unwrap();
    assert!(started.elapsed().as_secs() < 30);
    assert_eq!(tree.programs_of(tree.programs_of(ROOT)[0]).len(), 300);
}

#[test]
fn a_fork_of_nobody_known_leaves_no_trace_in_the_tree() {
    let rules = Rules::default();
    let (empty, _) = grow("", &rules);
    let (forked, ledger) = grow("fork 2<-1\nexit 2", &rules);
    assert_eq!(ledger.lifecycle, 2);
    assert_eq!(forked.tree().structural_hash(), empty.tree().structural_hash());
    // Only what it does is kept, under a root of its own.
    common::check("fork 2<-1\nopen 2 /a r", "<unknown>\n  - r /a");
}
