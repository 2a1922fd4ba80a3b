//! What a panic in a worker costs: its container, its shard's further events, and nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::event::{Body, EventRef, Open, UNKNOWN_IMAGE};
use crate::ledger::Dropped;

/// The path that makes a worker panic.
const FAULT: &[u8] = b"/grove-test/fault";

/// Called for every event that is applied to a container.
pub(super) fn fault(event: &EventRef<'_>) {
    assert!(!matches!(event.body, Body::Open(Open { path: FAULT, .. })), "injected fault");
}

fn event(container: &str, ts: u64, body: Body<&'static [u8]>) -> (String, u64, Body<&'static [u8]>) {
    (container.to_owned(), ts, body)
}

fn open(path: &'static [u8]) -> Body<&'static [u8]> {
    Body::Open(Open { path, flags: 0, ret: 0, map: false })
}

fn start(image: &'static str) -> Body<&'static [u8]> {
    Body::ContainerStart { image: image.as_bytes(), tag: b"1" }
}

/// Sends the events one batch each, so that what a batch costs is known.
fn send(engine: &Engine, events: &[(String, u64, Body<&'static [u8]>)]) {
    let mut sender = engine.sender(Overflow::Wait);
    for (container, ts, body) in events {
        sender.send(EventRef { ts: *ts, container: container.as_bytes(), pid: 1, start: None, body: *body });
    }
    sender.flush();
}

fn engine(workers: usize, batch_events: usize) -> Engine {
    let config = Config { workers, batch_events, ..Config::default() };
    Engine::start_with(&config, &Mode::Learn, &Interner::new()).unwrap()
}

/// Containers of `shard`, and of another one.
fn containers(engine: &Engine) -> (Vec<String>, String) {
    let shard = engine.shared.shard_of(b"c0");
    let (same, other): (Vec<String>, Vec<String>) =
        (0..64).map(|i| format!("c{i}")).partition(|id| engine.shared.shard_of(id.as_bytes()) == shard);
    (same, other.into_iter().next().unwrap())
}

#[test]
fn a_panic_poisons_its_shard_and_the_others_go_on() {
    let engine = engine(2, 2);
    let (same, other) = containers(&engine);
    send(
        &engine,
        &[
            event(&same[0], 1, start("doomed")),
            event(&same[0], 2, open(b"/a")),
            event(&same[1], 3, start("bystander")),
            event(&same[1], 4, open(b"/b")),
            event(&other, 5, start("other")),
            event(&other, 6, open(b"/c")),
            // One batch: the first event is applied, the second panics.
            event(&same[1], 7, open(b"/b2")),
            event(&same[0], 8, open(FAULT)),
            event(&same[1], 9, open(b"/b3")),
            event(&other, 10, open(b"/c2")),
        ],
    );
    let running = engine.snapshot();
    assert_eq!(running.failures.len(), 1);
    assert!(running.failures[0].contains("injected fault"), "{:?}", running.failures);
    let snapshot = engine.shutdown();
    let ledger = snapshot.ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.received, ledger.lifecycle, ledger.applied_new), (10, 3, 5), "{ledger:?}");
    assert_eq!(ledger.dropped(Dropped::ShardFailed), 2, "the event that panicked, and the one after it");
    let files = |image: &str| snapshot.profiles.get(image).map(|p| p.tree().stats().file_nodes);
    assert_eq!((files("doomed"), files("bystander"), files("other")), (None, Some(2), Some(2)));
}

#[test]
fn a_panic_while_held_events_are_replayed_loses_them_by_name() {
    let engine = engine(1, 1);
    send(
        &engine,
        &[
            event("c", 1, open(b"/a")),
            event("c", 2, open(FAULT)),
            event("c", 3, open(b"/b")),
            event("d", 4, open(b"/d")),
            event("c", 5, start("image")),
            event("d", 6, open(b"/e")),
        ],
    );
    let snapshot = engine.shutdown();
    let ledger = snapshot.ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.received, ledger.held, ledger.applied_new), (6, 0, 2), "{ledger:?}");
    assert_eq!(ledger.dropped(Dropped::ShardFailed), 4, "{ledger:?}");
    assert_eq!(snapshot.profiles.keys().map(|i| &**i).collect::<Vec<_>>(), [UNKNOWN_IMAGE], "what d held");
}

#[test]
fn a_panic_at_the_end_of_a_run_is_one_container_s() {
    let engine = engine(1, 1);
    send(&engine, &[event("c", 1, open(FAULT)), event("c", 2, open(b"/b")), event("d", 3, open(b"/d"))]);
    let snapshot = engine.shutdown();
    let ledger = snapshot.ledger;
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.held, ledger.applied_new, ledger.dropped(Dropped::ShardFailed)), (0, 1, 2));
    assert_eq!(snapshot.failures.len(), 1);
}

#[test]
fn batches_that_come_too_late_are_counted() {
    let engine = engine(1, 1);
    let mut sender = engine.sender(Overflow::Wait);
    let shared = engine.shared.clone();
    engine.shutdown();
    for ts in 0..5 {
        sender.send(EventRef { ts, container: b"c", pid: 1, start: None, body: open(b"/a") });
    }
    sender.flush();
    assert_eq!((sender.ledger().received, sender.ledger().dropped(Dropped::Shutdown)), (5, 5));
    assert!(shared.ledger().balances());
}
