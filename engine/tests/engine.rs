//! The engine as an embedder uses it: producers, back-pressure, held containers, snapshots, shutdown, checking.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{events, picture, unindent};
use grove::config::Config;
use grove::intern::{Interner, TEXT_MAX};
use grove::ledger::{Dropped, Ignored, Ledger, Rejected};
use grove::profile::Reason;
use grove::profile::encode;
use grove::{
    Baselines, Engine, Finding, Findings, HOST_IMAGE, Overflow, RecordingId, Snapshot, UNKNOWN_IMAGE, UNNAMED_RECORDING,
};
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
fn a_late_start_replays_what_was_held_in_order() {
    let text = "exec 1<-0 /bin/sh\nfork 2<-1\nexec 2<-1 /bin/ls\nopen 2 /x\nexit 2\nopen 2 /y";
    let early = learn(&config(), &format!("start nginx 1\n{text}"));
    let late = learn(&config(), &format!("{text}\nstart nginx 1"));
    assert_eq!(images(&late), ["nginx"]);
    let picture_of = |snapshot: &Snapshot| picture(&snapshot.profiles["nginx"].to_doc());
    assert_eq!(picture_of(&early), picture_of(&late));
    assert_eq!(early.ledger, late.ledger);
}

#[test]
fn what_is_held_is_counted_as_held_until_its_fate_is_known() {
    let engine = start(&config());
    send(&engine, "exec 1<-0 /bin/sh\nopen 1 /x\nexit 1");
    let held = engine.snapshot();
    assert_eq!((held.ledger.received, held.ledger.held), (3, 3));
    assert!(held.ledger.balances() && held.profiles.is_empty());
    send(&engine, "start nginx 1");
    let told = engine.snapshot();
    assert_eq!((told.ledger.received, told.ledger.held, told.ledger.applied_new, told.ledger.lifecycle), (4, 0, 2, 2));
}

#[test]
fn holding_is_bounded_by_count_by_bytes_and_by_time() {
    let opens =
        |n: usize| (0..n).fold(String::new(), |text, i| text + &format!("open 1 /{}\n", "ab".repeat(i % 9 + 1)));
    let held = |config: &Config, text: &str| {
        let engine = start(config);
        send(&engine, text);
        let ledger = engine.snapshot().ledger;
        assert!(ledger.balances());
        ledger.held
    };
    let by_count = config().with(|c| c.hold_events = 10);
    assert_eq!((held(&by_count, &opens(10)), held(&by_count, &opens(11))), (10, 0));
    let by_bytes = config().with(|c| c.hold_bytes = 100);
    assert_eq!((held(&by_bytes, &opens(3)), held(&by_bytes, &opens(30))), (3, 0));
    let by_time = config().with(|c| c.hold_time = Duration::from_secs(30));
    assert_eq!(held(&by_time, "10s open 1 /a\n40s open 1 /b"), 2);
    assert_eq!(held(&by_time, "10s open 1 /a\n41s open 1 /b"), 0);
    assert_eq!(held(&config().with(|c| c.hold_events = 0), "open 1 /a"), 0);
}

#[test]
fn what_was_given_up_on_is_unknown_s_until_a_late_start_claims_it() {
    let config = config().with(|c| c.hold_events = 1);
    let text = "exec 1<-0 /bin/sh\nopen 1 /x\nopen 1 /y";
    let given_up = learn(&config, text);
    assert_eq!(images(&given_up), [UNKNOWN_IMAGE]);
    assert_eq!(given_up.profiles[UNKNOWN_IMAGE].to_doc().tags.keys().collect::<Vec<_>>(), [UNKNOWN_IMAGE]);
    let claimed = learn(&config, &format!("{text}\nstart nginx 1.27\nopen 1 /z"));
    assert_eq!(images(&claimed), ["nginx"]);
    let doc = claimed.profiles["nginx"].to_doc();
    assert_eq!(doc.tags.keys().collect::<Vec<_>>(), ["1.27"]);
    assert_picture(&claimed, "nginx", "/bin/sh\n  - r /x\n  - r /y\n  - r /z");
}

#[test]
fn what_is_still_held_at_the_end_is_learned_as_unknown() {
    let snapshot = learn(&config(), "exec 1<-0 /bin/sh\nopen 1 /x\nc2: start nginx 1\nc2: exec 1<-0 /bin/app");
    assert_eq!(images(&snapshot), [UNKNOWN_IMAGE, "nginx"]);
    assert_picture(&snapshot, UNKNOWN_IMAGE, "/bin/sh\n  - r /x");
    assert_eq!(snapshot.containers, 2);
}

#[test]
fn the_first_workload_stands_and_another_one_is_rejected() {
    let snapshot =
        learn(&config(), "start nginx 1\nexec 1<-0 /bin/sh\nstart nginx 2\nstart redis 1\nstart nginx 1\nopen 1 /x");
    assert_eq!(images(&snapshot), ["nginx"]);
    assert_eq!(snapshot.ledger.rejected(Rejected::ConflictingWorkload), 2);
    assert_eq!(snapshot.ledger.lifecycle, 2);
    assert_eq!(snapshot.profiles["nginx"].to_doc().tags.keys().collect::<Vec<_>>(), ["1"]);
}

#[test]
fn late_events_of_a_stopped_container_are_still_its_image_s() {
    let snapshot = learn(
        &config(),
        "start nginx 1\nexec 1<-0 /bin/sh\nopen 1 /x\nstop\nopen 1 /late\nstart redis 1\nopen 1 /later",
    );
    assert_eq!((images(&snapshot), snapshot.containers), (vec!["nginx"], 1));
    assert_eq!(snapshot.ledger.rejected(Rejected::ConflictingWorkload), 1);
    assert_picture(&snapshot, "nginx", "/bin/sh\n  - r /x\n<unknown>\n  - r /late\n  - r /later");
}

#[test]
fn a_stopped_container_may_start_again() {
    let snapshot =
        learn(&config(), "start nginx 1\nexec 1<-0 /bin/sh\nstop\nstart nginx 1\nexec 1<-0 /bin/sh\nopen 1 /x\nstop");
    assert_eq!((images(&snapshot), snapshot.containers, snapshot.ledger.lifecycle), (vec!["nginx"], 1, 4));
    assert_picture(&snapshot, "nginx", "/bin/sh\n  - r /x");
}

#[test]
fn a_container_that_stopped_before_its_start_was_told_is_learned_all_the_same() {
    let snapshot = learn(&config(), "exec 1<-0 /bin/sh\nstop\nopen 1 /late\nstart nginx 1");
    assert_picture(&snapshot, "nginx", "/bin/sh\n<unknown>\n  - r /late");
    let never = learn(&config(), "exec 1<-0 /bin/sh\nstop");
    assert_picture(&never, UNKNOWN_IMAGE, "/bin/sh");
}

#[test]
fn containers_that_stopped_do_not_pile_up() {
    // Of each kind more than are kept, at the first look already, as the tables of those that are remembered count too:
    // stopped while waiting, with a late event, both after another.
    let engine = start(&Config::default().with(|c| (c.workers, c.batch_events) = (1, 256)));
    let text = |from: u32, to: u32| {
        (from..to).fold(String::new(), |text, i| {
            text + &format!(
                "w{i}: exec 1<-0 /bin/sh\nw{i}: stop\nl{i}: start nginx 1\nl{i}: stop\nl{i}: open 1 /late\n"
            )
        })
    };
    send(&engine, &text(0, 40_000));
    let before = engine.snapshot();
    send(&engine, &text(40_000, 80_000));
    let after = engine.snapshot();
    assert_eq!(after.containers, 160_000);
    assert!(after.heap_bytes < before.heap_bytes * 5 / 4, "{} then {}", before.heap_bytes, after.heap_bytes);
    let end = engine.shutdown();
    assert_eq!((end.ledger.received, end.ledger.held, end.ledger.lifecycle), (400_000, 0, 240_000));
    assert!(end.ledger.balances());
}

#[test]
fn without_room_for_its_tag_a_container_s_events_are_dropped_and_do_not_pile_up() {
    let interner = Interner::with_limit(1);
    let _only = interner.intern("1").unwrap();
    let config = config().with(|c| c.hold_events = 10);
    let engine = Engine::builder().config(&config).interner(interner).start().unwrap();
    send(&engine, "start nginx 2\nc2: start nginx 1\nc2: exec 1<-0 /bin/app");
    send(&engine, &"open 1 /x\n".repeat(1000));
    let running = engine.snapshot();
    assert!(running.ledger.balances() && running.ledger.held <= 10, "{:?}", running.ledger);
    let end = engine.shutdown();
    assert!(end.ledger.balances() && end.ledger.held == 0);
    assert_eq!((end.ledger.dropped(Dropped::TagsFull), end.ledger.applied_new), (1001, 1));
    assert_eq!(images(&end), ["nginx"]);
}

#[test]
fn a_workload_whose_texts_are_too_long_is_rejected_and_leaves_the_interner_as_it_was() {
    let interner = Interner::new();
    let engine = Engine::builder().config(&config()).interner(interner.clone()).start().unwrap();
    let (fits, long) = ("x".repeat(TEXT_MAX), "x".repeat(TEXT_MAX + 1));
    send(&engine, &format!("start nginx {long}\nstart {long} 1\nexec 1<-0 /bin/app"));
    assert_eq!((engine.snapshot().ledger.held, interner.len(), interner.dump()), (1, 0, vec![]));
    send(&engine, &format!("start {fits} {fits}"));
    let end = engine.shutdown();
    assert_eq!((end.ledger.rejected(Rejected::InvalidValue), end.ledger.lifecycle, end.ledger.applied_new), (2, 1, 1));
    assert!(end.ledger.balances());
    assert_eq!(images(&end), [fits]);
    // A workload that was assumed has to be told as one that can be, too.
    let engine = Engine::builder().config(&config().with(|c| c.hold_events = 0)).interner(interner).start().unwrap();
    send(&engine, &format!("exec 1<-0 /bin/app\nstart nginx {long}"));
    let end = engine.shutdown();
    assert_eq!((end.ledger.rejected(Rejected::InvalidValue), end.ledger.applied_new), (1, 1));
    assert_eq!(images(&end), ["<unknown>"]);
}

#[test]
fn the_host_is_profiled_only_when_asked_for() {
    let text = "host: exec 1<-0 /sbin/init\nhost: open 1 /x\nstart nginx 1\nexec 1<-0 /bin/app";
    let ignored = learn(&config(), text);
    assert_eq!((images(&ignored), ignored.ledger.ignored(Ignored::Host)), (vec!["nginx"], 2));
    let asked = learn(&config().with(|c| c.host = true), text);
    assert_eq!(images(&asked), [HOST_IMAGE, "nginx"]);
    assert_picture(&asked, HOST_IMAGE, "/sbin/init\n  - r /x");
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

const LEARNED: &str = "start nginx 1
    exec 1<-0 /bin/app --uid=0
    open 1 /etc/app.conf
    fork 2<-1
    exec 2<-1 /bin/worker --uid=1
    connect 2 10.0.0.1 443 tcp
    dns 2 example.com A
    syscalls 2 0,1
    capability 2 10
    open 99 /by-unknown";

/// An engine that compares with what was learned.
fn check(learned: &Snapshot) -> Engine {
    let baselines = Baselines::of(learned.profiles.values()).unwrap();
    Engine::builder().config(&config()).check(baselines).interner(Interner::new()).start().unwrap()
}

/// What a second run does that the learned one did not.
fn drift(learned: &str, done: &str) -> (Vec<Finding>, Ledger) {
    let engine = check(&learn(&config(), learned));
    send(&engine, done);
    let end = engine.shutdown();
    assert!(end.ledger.balances() && end.ledger.held == 0);
    assert!(end.profiles.is_empty(), "checking learns nothing");
    (end.findings.clone(), end.ledger)
}

#[test]
fn a_recording_checked_against_itself_has_no_findings() {
    let many = (0..40).fold(String::new(), |text, i| {
        let pid = 100 + i;
        text + &format!(
            "fork {pid}<-1\nexec {pid}<-1 /opt/v{i}\nopen {pid} /tmp/f{i}\nconnect {pid} 10.{i}.0.1 80 tcp\n"
        )
    });
    let (findings, ledger) = drift(&format!("{LEARNED}\n{many}"), &format!("{LEARNED}\n{many}"));
    assert_eq!(findings, []);
    assert_eq!(ledger.applied_new, 0);
}

#[test]
fn drift_is_found_by_kind_and_reason_and_counted() {
    let (findings, ledger) = drift(
        LEARNED,
        &format!(
            "{LEARNED}
             open 1 /etc/shadow
             open 1 /etc/shadow
             open 1 /etc/app.conf w
             fork 3<-1
             exec 3<-1 /bin/sh
             open 3 /x
             fork 4<-1
             exec 4<-1 memfd:x --fileless
             fork 5<-1
             exec 5<-1 /tmp/dropped --upper
             fork 6<-1
             exec 6<-1 /bin/worker --upper
             connect 2 10.0.0.2 443 tcp
             dns 2 evil.example A
             syscalls 2 0,59
             capability 2 21"
        ),
    );
    let found: Vec<_> =
        findings.iter().map(|f| (f.kind, f.reason, f.subject.as_str(), f.count, f.lineage.names().join(" "))).collect();
    let app = "/bin/app".to_owned();
    let worker = "/bin/app /bin/worker".to_owned();
    assert_eq!(
        found,
        [
            ("open", Reason::NewBehaviour, "/etc/shadow", 2, app.clone()),
            ("open", Reason::NewBehaviour, "/etc/app.conf", 1, app.clone()),
            ("exec", Reason::NewProcess, "/bin/sh", 1, app.clone()),
            ("open", Reason::NewProcess, "/x", 1, "/bin/app /bin/sh".to_owned()),
            ("exec", Reason::FilelessExec, "memfd:x", 1, app.clone()),
            ("exec", Reason::UpperLayerExec, "/tmp/dropped", 1, app.clone()),
            ("exec", Reason::UpperLayerExec, "/bin/worker", 1, app),
            ("connect", Reason::NewBehaviour, "10.0.0.2:443", 1, worker.clone()),
            ("dns", Reason::NewBehaviour, "evil.example", 1, worker.clone()),
            ("syscall", Reason::NewBehaviour, "execve", 1, worker.clone()),
            ("capability", Reason::NewBehaviour, "CAP_SYS_ADMIN", 1, worker),
        ]
    );
    assert_eq!(ledger.applied_new, 12);
    assert!(findings.iter().all(|f| (&*f.container, &*f.image, &*f.tag) == ("c1", "nginx", "1")));
}

#[test]
fn findings_of_stopped_containers_are_kept_and_images_without_a_profile_are_ignored() {
    let (findings, ledger) =
        drift(LEARNED, "start nginx 2\nexec 1<-0 /bin/new\nstop\nc2: start redis 1\nc2: open 1 /x");
    assert_eq!(findings.iter().map(|f| (&*f.subject, &*f.tag)).collect::<Vec<_>>(), [("/bin/new", "2")]);
    assert_eq!((ledger.ignored(Ignored::NoProfile), ledger.lifecycle), (1, 3));
}

#[test]
fn checking_follows_processes_by_the_rules_of_learning() {
    let text = "start nginx 1
        exec 1<-0 /usr/bin/runc
        open 1 /setup
        exec 1<-0 /bin/sh --cwd=/srv
        exec 2<-1 ./tool
        open 2 x
        fork 8<-7
        exec 8<-7 /bin/late
        open 9 /y
        exec 9<-6 /bin/root";
    assert_eq!(drift(text, text).0, []);
}

#[test]
fn findings_are_told_once_each_as_they_are_made_to_everybody_who_follows() {
    let learned = learn(&config(), LEARNED);
    let engine = check(&learned);
    let (mut one, mut other) = (engine.findings(), engine.findings());
    assert!(one.next().is_none());
    send(&engine, &format!("{LEARNED}\nopen 1 /etc/shadow\nopen 1 /etc/shadow"));
    engine.snapshot();
    let subjects = |found: &mut Findings| found.map(|f| f.subject.clone()).collect::<Vec<_>>();
    assert_eq!(subjects(&mut one), ["/etc/shadow"]);
    assert!(one.next().is_none());
    // Nobody knows yet what this container runs.
    send(&engine, "c2: exec 1<-0 /bin/app --uid=0\nc2: open 1 /etc/gshadow");
    engine.snapshot();
    assert!(one.next().is_none());
    send(&engine, "c2: start nginx 1\nc1: open 1 /etc/shadow");
    engine.snapshot();
    assert_eq!(subjects(&mut one), ["/etc/gshadow"]);
    let end = engine.shutdown();
    assert_eq!(subjects(&mut other), ["/etc/shadow", "/etc/gshadow"]);
    let counts: Vec<_> = end.findings.iter().map(|f| (f.subject.as_str(), f.count)).collect();
    assert_eq!(counts, [("/etc/shadow", 3), ("/etc/gshadow", 1)]);
    assert_eq!((one.missed(), other.missed()), (0, 0));
}

#[test]
fn what_a_follower_is_told_is_what_the_snapshot_has_in_the_end() {
    let learned = learn(&config(), LEARNED);
    let engine = check(&learned);
    let found = engine.findings();
    let text: String = (0..300)
        .map(|n| {
            let start = if n % 3 == 0 { String::new() } else { format!("c{n}: start nginx 1\n") };
            let late = if n % 6 == 0 { format!("c{n}: start nginx 1\n") } else { String::new() };
            format!("{start}c{n}: exec 1<-0 /bin/app --uid={}\nc{n}: open 1 /new/{n}\n{late}c{n}: stop\n", n % 2)
        })
        .collect();
    send(&engine, &text);
    let end = engine.shutdown();
    let key = |f: &Finding| (f.container.clone(), f.kind, f.subject.clone());
    let (mut told, mut known): (Vec<_>, Vec<_>) =
        (found.map(|f| key(&f)).collect(), end.findings.iter().map(key).collect());
    told.sort();
    known.sort();
    assert!(known.len() > 300, "{}", known.len());
    assert_eq!(told, known);
}

#[test]
fn who_reads_findings_too_late_is_told_how_many_it_missed() {
    let learned = learn(&config(), LEARNED);
    let engine = check(&learned);
    let mut found = engine.findings();
    let opens: String = (0..20_000).map(|n| format!("open 1 /f/{n}x\n")).collect();
    send(&engine, &format!("{LEARNED}\n{opens}"));
    engine.shutdown();
    let read = found.by_ref().count() as u64;
    assert_eq!((read, found.missed()), (16_384, 20_000 - 16_384));
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
