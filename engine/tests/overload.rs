//! Senders that do not wait, and workers that cannot keep up: every event is in a ledger, that of its image too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::events;
use grove::config::Config;
use grove::event::EventBuf;
use grove::export::{Palette, tree};
use grove::intern::Interner;
use grove::ledger::{Dropped, Ledger};
use grove::{Engine, Losses, Overflow, Sent, Snapshot};
use std::collections::BTreeMap;

/// Images; each has a container in each sender.
const IMAGES: usize = 5;

fn engine() -> Engine {
    let config = Config::default().with(|c| (c.workers, c.queue_batches, c.batch_events) = (2, 4, 32));
    Engine::builder().config(&config).interner(Interner::new()).start().unwrap()
}

/// What one sender sends: `n` lives of a program in each of its containers, some of which do much more than others.
fn lives(sender: usize, n: usize) -> (EventBuf, BTreeMap<String, u64>) {
    let mut text = String::new();
    let mut sent = BTreeMap::new();
    for image in 0..IMAGES {
        text += &format!("s{sender}i{image}: start image{image} 1\ns{sender}i{image}: exec 1<-0 /bin/app\n");
    }
    for life in 0..n {
        for image in 0..IMAGES {
            let container = format!("s{sender}i{image}");
            let pid = 10 + life;
            text += &format!("{container}: fork {pid}<-1\n{container}: exec {pid}<-1 /bin/child\n");
            for file in 0..1 + 30 * image {
                text += &format!("{container}: open {pid} /d/{life}/{file}\n");
            }
            text += &format!("{container}: exit {pid}\n");
        }
    }
    (0..IMAGES).for_each(|image| text += &format!("s{sender}i{image}: stop\n"));
    let all = events(&text);
    for stored in all.iter() {
        let container = std::str::from_utf8(stored.event.container).unwrap();
        let image = container.split_once('i').unwrap().1;
        *sent.entry(format!("image{image}")).or_default() += 1;
    }
    (all, sent)
}

fn ledger(snapshot: &Snapshot, image: &str) -> Ledger {
    *snapshot.profiles[image].ledgers()["run"]
}

#[test]
fn four_senders_far_past_two_workers_and_every_image_s_ledger_balances() {
    let engine = engine();
    let recording = engine.recording(Some("run")).unwrap();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let sources: Vec<_> = (0..4).map(|sender| lives(sender, 60)).collect();
    for (image, n) in sources.iter().flat_map(|(_, sent)| sent) {
        *expected.entry(image.clone()).or_default() += n;
    }
    let told: Vec<(u64, Losses)> = std::thread::scope(|scope| {
        let send = |events: EventBuf| {
            let mut sender = engine.sender(Overflow::Shed);
            sender.set_recording(recording);
            let lost = events.iter().filter(|stored| sender.send(stored.event) == Sent::Lost).count();
            (lost as u64, sender.losses())
        };
        let threads: Vec<_> = sources.into_iter().map(|(events, _)| scope.spawn(move || send(events))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let end = engine.shutdown();
    assert!(end.ledger.balances(), "{:?}", end.ledger);
    let mut lost = 0;
    for (image, sent) in &expected {
        let ledger = ledger(&end, image);
        assert!(ledger.balances(), "{image}: {ledger:?}");
        assert_eq!(ledger.received, *sent, "{image}");
        assert_eq!(ledger.dropped_total(), ledger.dropped(Dropped::QueueFull), "{image}: only behaviours are lost");
        // A start, a stop, and 60 forks and exits in each of four containers; and their execs.
        assert_eq!(ledger.lifecycle, 4 * (2 + 2 * 60), "{image}");
        assert!(ledger.applied_new + ledger.applied_known >= 4 * 61, "{image}");
        // What people are shown says it too.
        let mut shown = Vec::new();
        tree(&end.profiles[&**image].to_doc(), &Palette::plain(), 120, &mut shown).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown.contains("none lost"), ledger.dropped_total() == 0, "{image}: {shown}");
        assert_eq!(shown.contains("lost (queue_full"), ledger.dropped_total() > 0, "{image}: {shown}");
        lost += ledger.dropped_total();
    }
    assert!(lost > 0, "four senders are faster than two workers");
    assert_eq!(end.ledger.received, expected.values().sum::<u64>());
    for (lost, losses) in &told {
        assert_eq!(losses.total(), *lost, "each is told when it is sent");
        assert_eq!(losses.of("open"), *lost, "{losses:?}");
    }
    assert_eq!(told.iter().map(|(lost, _)| lost).sum::<u64>(), lost, "what senders say is what ledgers say");
}
