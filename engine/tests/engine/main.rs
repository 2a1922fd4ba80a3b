//! The engine as an embedder uses it: producers, back-pressure, snapshots, shutdown, recordings; what containers are told to
//! be (`workloads`), and checking (`checking`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod checking;
mod workloads;

use common::{events, picture, unindent};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::{Dropped, Ignored, Ledger};
use grove::profile::encode;
use grove::{Engine, Overflow, RecordingId, Snapshot, UNNAMED_RECORDING};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn config() -> Config {
    Config::default().with(|c| (c.workers, c.batch_events) = (2, 4))
}

fn start(config: &Config) -> Engine {
    Engine::builder().config(config).interner(Interner::new()).start().unwrap()
}

fn send(engine: &Engine, text: &str) {
    let mut sender = engine.sender(Overflow::Wait);
    events(text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
}

/// What is known after all of the text.
fn learn(config: &Config, text: &str) -> Arc<Snapshot> {
    let engine = start(config);
    send(&engine, text);
    let snapshot = engine.shutdown();
    assert!(snapshot.ledger.balances() && snapshot.ledger.held == 0, "{:?}", snapshot.ledger);
    snapshot
}

fn images(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.profiles.keys().map(|image| &**image).collect()
}

#[track_caller]
fn assert_picture(snapshot: &Snapshot, image: &str, expected: &str) {
    assert_eq!(picture(&snapshot.profiles[image].to_doc()), unindent(expected), "{image}");
}

fn bytes(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let encoded = |doc| {
        let mut out = Vec::new();
        encode(&doc, &mut out).unwrap();
        out
    };
    snapshot.profiles.values().map(|profile| encoded(profile.to_doc())).collect()
}

#[test]
fn many_producers_lose_nothing_and_any_number_of_workers_gives_the_same_profile() {
    let run = |workers| {
        let engine = start(&Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (workers, 2, 3)));
        let recording = engine.recording(Some("r")).unwrap();
        std::thread::scope(|scope| {
            for producer in 0..8 {
                let mut sender = engine.sender(Overflow::Wait);
                sender.set_recording(recording);
                scope.spawn(move || {
                    let mut text =
                        format!("c{producer}: start image {}\nc{producer}: exec 1<-0 /bin/app\n", producer % 3);
                    (0..500).for_each(|i| text += &format!("c{producer}: open 1 /d/{producer}/f{i}\n"));
                    events(&text).iter().for_each(|stored| {
                        sender.send(stored.event);
                    });
                });
            }
        });
        engine.shutdown()
    };
    let expected = run(1);
    assert_eq!((expected.ledger.received, expected.ledger.dropped_total(), expected.containers), (8 * 502, 0, 8));
    for workers in [2, 3, 8] {
        let snapshot = run(workers);
        assert_eq!(snapshot.ledger, expected.ledger);
        assert_eq!(bytes(&snapshot), bytes(&expected), "{workers} workers");
    }
}

#[test]
fn a_source_that_cannot_wait_drops_and_every_event_is_counted() {
    let engine = start(&Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (1, 2, 1)));
    let (senders, each) = (4_u64, 20_000_u64);
    std::thread::scope(|scope| {
        for _ in 0..senders {
            let mut sender = engine.sender(Overflow::Shed);
            scope.spawn(move || {
                let batch = events("open 1 /x");
                for _ in 0..each {
                    batch.iter().for_each(|stored| {
                        sender.send(stored.event);
                    });
                }
            });
        }
    });
    let ledger = engine.shutdown().ledger;
    assert!(ledger.balances());
    assert_eq!(ledger.received, senders * each);
    assert_eq!(ledger.applied_new + ledger.applied_known + ledger.dropped(Dropped::QueueFull), senders * each);
}

#[test]
fn the_ledger_balances_at_every_moment_and_a_snapshot_s_is_that_of_its_trees() {
    let engine = start(&Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 4, 2)));
    let recording = engine.recording(Some("r")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for producer in 0..3 {
            let mut sender = engine.sender(Overflow::Wait);
            sender.set_recording(recording);
            let done = &done;
            scope.spawn(move || {
                let text = (0..200).fold(format!("c{producer}: start i{producer} 1\n"), |text, i| {
                    text + &format!("c{producer}: open 1 /f{i}\nc{producer}: open 1 /x fail\nw{producer}-{i}: exit 1\n")
                });
                for _ in 0..5 {
                    events(&text).iter().for_each(|stored| {
                        sender.send(stored.event);
                    });
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        while !done.load(Ordering::Relaxed) {
            assert!(engine.ledger().balances());
            engine.shard_ledgers().iter().for_each(|ledger| assert!(ledger.balances()));
            let snapshot = engine.snapshot();
            assert!(snapshot.ledger.balances());
            // Every event is of a known image, or held: so the profiles' ledgers are the snapshot's.
            let mut sum = Ledger::default();
            snapshot.profiles.values().for_each(|p| p.ledgers().values().for_each(|l| sum.add(l)));
            assert_eq!(sum.received + snapshot.ledger.held, snapshot.ledger.received);
        }
    });
    let end = engine.shutdown();
    assert_eq!((end.ledger.received, end.ledger.held, end.ledger.balances()), (3 * 5 * 601, 0, true));
}

#[test]
fn a_snapshot_is_what_was_known_and_stays_so() {
    let engine = start(&config());
    assert!(engine.latest().profiles.is_empty());
    send(&engine, "start nginx 1\nexec 1<-0 /bin/app");
    let first = engine.snapshot();
    send(&engine, "open 1 /x");
    assert_picture(&engine.latest(), "nginx", "/bin/app");
    let second = engine.snapshot();
    assert_picture(&first, "nginx", "/bin/app");
    assert_picture(&second, "nginx", "/bin/app\n  - r /x");
}

#[test]
fn shutdown_applies_what_was_sent_and_counts_what_came_too_late() {
    let engine = start(&Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 64, 1)));
    let mut late = engine.sender(Overflow::Wait);
    let mut dropping = engine.sender(Overflow::Shed);
    send(&engine, &format!("start nginx 1\n{}", "open 1 /x\n".repeat(5000)));
    let end = engine.shutdown();
    assert_eq!((end.ledger.received, end.ledger.dropped_total()), (5001, 0));
    events("open 1 /x\nopen 1 /y").iter().for_each(|stored| {
        late.send(stored.event);
        dropping.send(stored.event);
    });
    late.flush();
    dropping.flush();
    let ledger = late.ledger();
    assert_eq!((ledger.received, ledger.dropped(Dropped::Shutdown), ledger.balances()), (5005, 4, true));
}

#[test]
fn senders_that_race_with_shutdown_lose_nothing_unseen() {
    for overflow in [Overflow::Wait, Overflow::Shed] {
        for _ in 0..20 {
            let engine = start(&Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 2, 1)));
            let watch = engine.sender(overflow);
            let threads: Vec<_> = (0..3)
                .map(|i| {
                    let mut sender = engine.sender(overflow);
                    std::thread::spawn(move || {
                        let batch = events(&format!("c{i}: open 1 /x"));
                        (0..2000).for_each(|_| {
                            batch.iter().for_each(|stored| {
                                sender.send(stored.event);
                            })
                        });
                    })
                })
                .collect();
            let end = engine.shutdown();
            assert!(end.ledger.balances() && end.ledger.held == 0, "{:?}", end.ledger);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let ledger = watch.ledger();
            assert_eq!((ledger.received, ledger.held, ledger.balances()), (6000, 0, true), "{ledger:?}");
        }
    }
}

#[test]
fn an_engine_that_is_dropped_ends_its_workers() {
    let engine = start(&config());
    let mut sender = engine.sender(Overflow::Wait);
    send(&engine, "open 1 /x");
    drop(engine);
    events("open 1 /y").iter().for_each(|stored| {
        sender.send(stored.event);
    });
    sender.flush();
    assert_eq!(sender.ledger().dropped(Dropped::Shutdown), 1);
}

#[test]
fn recordings_are_accounted_for_each_under_its_name_and_forgotten_ones_under_one_that_says_so() {
    let engine = start(&config());
    let (a, b) = (engine.recording(Some("a")).unwrap(), engine.recording(None).unwrap());
    assert_eq!(engine.recording(Some("a")).unwrap(), a);
    let send_as = |recording: Option<RecordingId>, text: &str| {
        let mut sender = engine.sender(Overflow::Wait);
        recording.into_iter().for_each(|r| sender.set_recording(r));
        events(text).iter().for_each(|stored| {
            sender.send(stored.event);
        });
    };
    send_as(Some(a), "start nginx 1\nexec 1<-0 /bin/app");
    // Held under one recording, told under another.
    send_as(Some(b), "open 1 /x\nc2: open 1 /y\nc2: open 1 /z fail");
    send_as(Some(a), "c2: start nginx 1");
    send_as(None, "open 1 /nobody");
    engine.name_recording(b, "b");
    let end = engine.shutdown();
    let ledgers = end.profiles["nginx"].ledgers();
    let received: Vec<_> = ledgers.iter().map(|(name, ledger)| (name.as_str(), ledger.received)).collect();
    assert_eq!(received, [(UNNAMED_RECORDING, 1), ("a", 3), ("b", 3)]);
    assert_eq!((ledgers["b"].applied_new, ledgers["b"].ignored(Ignored::Failed)), (2, 1));
    assert!(ledgers.values().all(|ledger| ledger.balances()));
    assert_eq!(end.ledger.received, 7);
}

#[test]
fn no_settings_make_an_engine_panic() {
    let bad: [fn(&mut Config); 9] = [
        |config| config.workers = 0,
        |config| config.workers = usize::MAX,
        |config| config.queue_batches = 0,
        |config| config.queue_batches = usize::MAX,
        |config| config.batch_events = 0,
        |config| config.memory_max = 0,
        |config| config.tags_max = 0,
        |config| config.hold_time = Duration::MAX,
        |config| (config.workers, config.queue_batches, config.memory_max) = (256, 65_536, 1 << 20),
    ];
    for set in bad {
        let mut config = config();
        set(&mut config);
        let error = Engine::start(&config).expect_err("not allowed");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_file_is_fed_under_its_own_name_or_that_of_its_contents() {
    let engine = start(&config());
    let directory = tempfile::tempdir().unwrap();
    let line = r#"{"ts":1,"type":"container_start","container":"c","image":"nginx","tag":"1"}"#;
    let path = directory.path().join("trace");
    std::fs::write(&path, format!("{line}\nnonsense\n")).unwrap();
    let fed = engine.feed(&path).unwrap();
    assert_eq!((fed.records, fed.accepted), (2, 1));
    std::fs::write(&path, "nonsense\n").unwrap();
    assert!(engine.feed(&path).unwrap_err().to_string().contains("not one of its 1 records is an event"));
    assert!(engine.feed(directory.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    let end = engine.shutdown();
    let ledgers = end.profiles["nginx"].ledgers();
    assert_eq!(ledgers.len(), 1);
    assert!(ledgers.values().all(|ledger| ledger.received == 1) && !ledgers.contains_key(UNNAMED_RECORDING));
    assert_eq!(end.ledger.rejected_total(), 2);
}
