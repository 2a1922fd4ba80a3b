//! What a container runs: told late, never, twice, or for too long; and what is held until it is told.

use super::common::picture;
use super::{assert_picture, config, images, learn, send, start};
use grove::config::Config;
use grove::intern::{Interner, TEXT_MAX};
use grove::ledger::{Dropped, Ignored, Rejected};
use grove::{Engine, HOST_IMAGE, Snapshot, UNKNOWN_IMAGE};
use std::time::Duration;

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
