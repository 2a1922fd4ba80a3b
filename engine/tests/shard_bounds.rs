//! What a shard keeps over time is bounded, and nothing that a bound costs is silent.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{events, picture};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::Dropped;
use grove::{Baselines, Engine, Overflow, Sender, Snapshot, UNKNOWN_IMAGE};
use std::sync::Arc;

fn start(config: &Config) -> Engine {
    Engine::builder().config(config).interner(Interner::new()).start().unwrap()
}

fn one_worker() -> Config {
    Config::default().with(|c| c.workers = 1)
}

fn send(sender: &mut Sender, text: &str) {
    events(text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
}

fn learn(config: &Config, text: &str) -> Arc<Snapshot> {
    let engine = start(config);
    send(&mut engine.sender(Overflow::Wait), text);
    let end = engine.shutdown();
    assert!(end.ledger.balances() && end.ledger.held == 0, "{:?}", end.ledger);
    end
}

fn picture_of(snapshot: &Snapshot, image: &str) -> String {
    picture(&snapshot.profiles[image].to_doc())
}

/// A name without digits: no two of them have one shape.
fn word(mut n: usize) -> String {
    let mut word = String::new();
    for _ in 0..5 {
        word.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
    }
    word
}

#[test]
fn more_tags_of_one_image_than_a_tree_can_bear_are_dropped_by_name() {
    const TAGS: u64 = 65_535;
    let (more, each) = (10, 3);
    let engine = start(&Config::default().with(|c| c.workers = 2));
    let recording = engine.recording(Some("r")).unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    sender.set_recording(recording);
    for n in 0..TAGS + more {
        send(&mut sender, &format!("c{n}: start nginx {n}\nc{n}: exec 1<-0 /bin/app\nc{n}: open 1 /x\nc{n}: stop"));
    }
    drop(sender);
    let end = engine.shutdown();
    assert!(end.ledger.balances());
    let lost = end.ledger.dropped(Dropped::TagsFull);
    assert!(lost >= more * (each - 1), "{:?}", end.ledger);
    assert_eq!(end.ledger.applied_new + lost, (TAGS + more) * 2);
    let profile = &end.profiles["nginx"];
    assert_eq!(*profile.ledgers()["r"], end.ledger, "the profile says the same");
    assert_eq!(profile.tree().tags().len() as u64, end.ledger.applied_new / 2, "what is applied is there");
}

#[test]
fn the_stopped_containers_of_an_image_stay_within_the_budget_of_a_tree() {
    let config = one_worker().with(|c| c.tree_bytes = 64 << 10);
    let engine = start(&config);
    let mut sender = engine.sender(Overflow::Wait);
    let life = |n: usize| {
        let opens: String = (0..20).map(|f| format!("c{n}: open 1 /{}/{}\n", word(n), word(f * 1000))).collect();
        format!("c{n}: start nginx 1\nc{n}: exec 1<-0 /bin/app\n{opens}c{n}: stop")
    };
    (0..1000).for_each(|n| send(&mut sender, &life(n)));
    sender.flush();
    let full = engine.snapshot();
    // The tree, and the names and processes of containers that are gone.
    assert!(full.heap_bytes < (128 << 10) + 1000 * 420, "{}", full.heap_bytes);
    assert!(full.ledger.balances() && full.ledger.dropped(Dropped::TreeFull) > 10_000, "{:?}", full.ledger);
    // What is known goes on being refreshed.
    send(&mut sender, "9s c0: start nginx 1\n9s c0: exec 1<-0 /bin/app\n9s c0: stop");
    drop(sender);
    let end = engine.shutdown();
    assert_eq!(end.ledger.dropped(Dropped::TreeFull), full.ledger.dropped(Dropped::TreeFull));
    let doc = end.profiles["nginx"].to_doc();
    assert_eq!(doc.processes[0].seen.get("1").unwrap()[1].0, 9_000_000_000);
}

#[test]
fn containers_whose_stop_was_lost_make_room_and_what_they_did_is_kept() {
    const CONTAINERS: usize = 70_000;
    let engine = start(&one_worker());
    let mut sender = engine.sender(Overflow::Wait);
    for n in 0..CONTAINERS {
        send(&mut sender, &format!("c{n}: start nginx 1\nc{n}: exec 1<-0 /bin/{}", word(n)));
    }
    // One of those that were let go is heard of again, and is still its image's.
    send(&mut sender, "c1: open 9 /again");
    drop(sender);
    let end = engine.shutdown();
    assert_eq!((end.ledger.dropped_total(), end.ledger.applied_new), (0, CONTAINERS as u64 + 1));
    assert!(end.limits.containers_evicted >= 8192, "{:?}", end.limits);
    assert_eq!(end.profiles.keys().map(|image| &**image).collect::<Vec<_>>(), ["nginx"]);
    assert_eq!(end.profiles["nginx"].tree().stats().process_nodes, CONTAINERS as u64 + 1);
}

#[test]
fn the_trees_of_containers_whose_stop_was_lost_are_bounded_together_and_what_they_did_is_kept() {
    const CONTAINERS: usize = 1000;
    let config = one_worker().with(|c| c.memory_max = 4 << 20);
    let engine = start(&config);
    let mut sender = engine.sender(Overflow::Wait);
    let life = |n: usize| {
        let opens: String = (0..100).map(|f| format!("c{n}: open 1 /{}\n", word(f * 1000))).collect();
        format!("c{n}: start nginx 1\nc{n}: exec 1<-0 /bin/app\n{opens}")
    };
    send(&mut sender, &life(0));
    sender.flush();
    let one = engine.snapshot().heap_bytes;
    let mut most = 0;
    for n in 1..CONTAINERS {
        send(&mut sender, &life(n));
        if n % 100 == 0 {
            sender.flush();
            most = most.max(engine.snapshot().heap_bytes);
        }
    }
    // Half of the memory, and what is remembered of those that are gone; of more than twice as much that they would be.
    assert!(one * CONTAINERS > 5 << 20, "{one}");
    assert!(most < config.memory_max / 2 + (512 << 10), "{most}");
    // One of those that were let go and are remembered is heard of again, and is still its image's.
    send(&mut sender, "c400: open 9 /again");
    drop(sender);
    let end = engine.shutdown();
    assert!(end.limits.containers_evicted > CONTAINERS as u64 / 2, "{:?}", end.limits);
    assert_eq!((end.ledger.dropped_total(), end.ledger.applied_new), (0, CONTAINERS as u64 * 101 + 1));
    let picture = picture_of(&end, "nginx");
    assert_eq!(picture.lines().count(), 103, "{picture}");
    assert!(picture.starts_with("/bin/app\n") && picture.ends_with("<unknown>\n  - r /again\n"), "{picture}");
}

#[test]
fn late_events_of_many_stopped_containers_are_not_lost() {
    const CONTAINERS: usize = 6000;
    let text = |n: usize| format!("c{n}: start nginx 1\nc{n}: stop\nc{n}: open 1 /late/{}\n", word(n));
    let end = learn(&one_worker(), &(0..CONTAINERS).map(text).collect::<String>());
    assert_eq!(end.ledger.applied_new, CONTAINERS as u64);
    assert_eq!(end.profiles["nginx"].tree().stats().file_nodes, CONTAINERS as u64);
}

#[test]
fn events_held_for_many_containers_are_bounded_together() {
    let config = one_worker().with(|c| c.hold_total_bytes = 1 << 20);
    let text = |n: usize| {
        let name = word(n);
        let opens: String = (0..10).map(|f| format!("c{n}: open 1 /{name}/{}\n", word(f * 1000))).collect();
        format!("c{n}: exec 1<-0 /bin/app\n{opens}")
    };
    let held: String = (0..2000).map(text).collect();
    let engine = start(&config);
    let mut sender = engine.sender(Overflow::Wait);
    send(&mut sender, &held);
    sender.flush();
    let waiting = engine.snapshot();
    assert!(waiting.ledger.held > 0 && waiting.ledger.held < 11 * 1000, "{:?}", waiting.ledger);
    assert!(waiting.limits.holds_cut_short > 1000, "{:?}", waiting.limits);
    // Those that were given up on are told as well, and the profile is what it would be without a bound.
    let starts: String = (0..2000).map(|n| format!("c{n}: start nginx 1\n")).collect();
    send(&mut sender, &starts);
    drop(sender);
    let bounded = engine.shutdown();
    let unbounded = learn(&one_worker(), &format!("{held}{starts}"));
    assert_eq!(unbounded.limits.holds_cut_short, 0);
    assert_eq!(bounded.profiles.len(), 1);
    assert_eq!(picture_of(&bounded, "nginx"), picture_of(&unbounded, "nginx"));
    assert_eq!(bounded.ledger, unbounded.ledger);
}

#[test]
fn a_container_that_is_quiet_is_not_held_for_ever() {
    let engine = start(&one_worker());
    let mut sender = engine.sender(Overflow::Wait);
    send(&mut sender, "1s c1: open 1 /quiet\n20s c2: start nginx 1");
    sender.flush();
    assert_eq!(engine.snapshot().ledger.held, 1);
    send(&mut sender, "32s c2: open 1 /x");
    sender.flush();
    let later = engine.snapshot();
    assert_eq!(later.ledger.held, 0);
    assert_eq!(picture_of(&later, UNKNOWN_IMAGE), "<unknown>\n  - r /quiet\n");
}

#[test]
fn whoever_was_given_up_on_and_has_stopped_may_still_be_told() {
    let text = "exec 1<-0 /bin/app\nopen 1 /x\nstop\nopen 2 /late\nstart nginx 1";
    let patient = learn(&one_worker(), text);
    let hasty = learn(&one_worker().with(|c| c.hold_events = 0), text);
    assert_eq!(hasty.profiles.keys().map(|image| &**image).collect::<Vec<_>>(), ["nginx"]);
    assert_eq!(picture_of(&hasty, "nginx"), picture_of(&patient, "nginx"));
}

/// The threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Set in a process of its own that may not have the memory for the stacks of many threads.
const SHORT_OF_MEMORY: &str = "GROVE_TEST_SHORT_OF_MEMORY";

#[test]
fn a_worker_that_cannot_be_started_ends_those_that_were() {
    if std::env::var_os(SHORT_OF_MEMORY).is_some() {
        let before = threads();
        let config = Config::default().with(|c| c.workers = 200);
        for builder in [Engine::builder(), Engine::builder().check(Baselines::default())] {
            assert!(builder.config(&config).start().is_err(), "stacks of 6 GiB in 3");
        }
        // A thread that was joined is gone; one of the pool that folds may take a moment.
        let patience = std::time::Instant::now();
        while threads() > before && patience.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(threads(), before);
        return;
    }
    let own = std::env::current_exe().unwrap();
    let name = "a_worker_that_cannot_be_started_ends_those_that_were";
    let script = format!("ulimit -v 3000000; exec \"$0\" --exact {name} --test-threads 1");
    let ended = std::process::Command::new("sh").args(["-c", &script]).arg(own).env(SHORT_OF_MEMORY, "1").output();
    let ended = ended.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
}
