//! What is told of a container after it was met: that nobody knows its name, and that it has one after all.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{events, picture, unindent};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::Ignored;
use grove::{Baselines, Builder, Engine, Overflow, Snapshot, UNKNOWN_IMAGE};
use std::sync::Arc;

/// That nobody knows what `c1` runs.
const NOBODY_KNOWS: &str = "start <unknown> <unknown>";

fn start(builder: Builder) -> Engine {
    let config = Config::default().with(|c| (c.workers, c.batch_events) = (1, 4));
    builder.config(&config).interner(Interner::new()).start().unwrap()
}

fn send(engine: &Engine, text: &str) -> Arc<Snapshot> {
    let mut sender = engine.sender(Overflow::Wait);
    events(text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
    sender.flush();
    let snapshot = engine.snapshot();
    assert!(snapshot.ledger.balances() && snapshot.ledger.rejected_total() == 0, "{:?}", snapshot.ledger);
    snapshot
}

#[track_caller]
fn assert_pictures(snapshot: &Snapshot, expected: &[(&str, &str)]) {
    let pictures: Vec<_> =
        snapshot.profiles.iter().map(|(image, known)| (&**image, picture(&known.to_doc()))).collect();
    let expected: Vec<_> = expected.iter().map(|(image, text)| (*image, unindent(text))).collect();
    assert_eq!(pictures, expected);
}

#[test]
fn what_waits_for_a_name_that_nobody_knows_waits_no_longer() {
    let engine = start(Engine::builder());
    assert_eq!(send(&engine, "exec 1<-0 /bin/sh\nopen 1 /x").ledger.held, 2);
    let told = send(&engine, NOBODY_KNOWS);
    assert_eq!((told.ledger.held, told.ledger.lifecycle), (0, 1));
    assert_pictures(&told, &[(UNKNOWN_IMAGE, "/bin/sh\n  - r /x")]);
    // What comes later does not wait either; that it is told twice changes nothing.
    let later = send(&engine, &format!("{NOBODY_KNOWS}\nopen 1 /y"));
    assert_eq!(later.ledger.held, 0);
    assert_pictures(&later, &[(UNKNOWN_IMAGE, "/bin/sh\n  - r /x\n  - r /y")]);
}

#[test]
fn a_name_that_nobody_knew_may_still_be_told() {
    for stop in ["", "stop\n"] {
        let engine = start(Engine::builder());
        send(&engine, &format!("exec 1<-0 /bin/sh\n{NOBODY_KNOWS}\nopen 1 /x\n{stop}"));
        let told = send(&engine, "start nginx 1");
        assert_pictures(&told, &[("nginx", "/bin/sh\n  - r /x")]);
    }
}

#[test]
fn a_name_is_not_taken_back() {
    for stop in ["", "stop\n"] {
        let engine = start(Engine::builder());
        send(&engine, &format!("start nginx 1\nexec 1<-0 /bin/sh\n{stop}"));
        let told = send(&engine, &format!("{NOBODY_KNOWS}\nstart nginx 1\nexec 1<-0 /bin/sh\nopen 1 /x"));
        assert_pictures(&told, &[("nginx", "/bin/sh\n  - r /x")]);
    }
}

#[test]
fn what_a_container_without_a_name_did_is_judged_once_it_has_one() {
    let learned = send(&start(Engine::builder()), "start nginx 1\nexec 1<-0 /bin/sh\nopen 1 /x");
    let engine = start(Engine::builder().check(Baselines::of(learned.profiles.values()).unwrap()));
    let before = send(&engine, &format!("exec 1<-0 /bin/sh\nopen 1 /x\nopen 1 /y\n{NOBODY_KNOWS}"));
    assert_eq!((before.ledger.held, before.findings.len()), (0, 0));
    let after = send(&engine, "start nginx 1");
    let subjects: Vec<_> = after.findings.iter().map(|finding| finding.subject.clone()).collect();
    assert_eq!(subjects, ["/y"]);
}

/// What the container did under its name, and how many events were the runtime's, when it is learned from.
fn learned(text: &str) -> (String, u64) {
    let snapshot = send(&start(Engine::builder()), text);
    (picture(&snapshot.profiles["nginx"].to_doc()), snapshot.ledger.ignored(Ignored::RuntimeSetup))
}

#[test]
fn a_container_that_starts_again_has_its_runtime_in_it_again() {
    let life = |pid: u32, file: &str| {
        format!(
            "exec {pid}<-1 /usr/bin/runc\nopen {pid} /setup\nexec {pid}<-1 /bin/app\nopen {pid} {file}\nstop\n\
             start nginx 1\n"
        )
    };
    let (known, setup) = learned(&format!("start nginx 1\n{}{}", life(7, "/x"), life(8, "/y")));
    assert_eq!((known, setup), (unindent("/bin/app\n  - r /x\n  - r /y"), 4));
}

/// Nor does one that started before its container had a name.
#[test]
fn a_process_of_the_workload_becomes_no_runtime_by_a_stop_and_a_start_that_are_told() {
    for (before, stop) in
        [("start nginx 1\n", "stop\nstart nginx 1\n"), ("", "stop\nstart nginx 1\n"), ("start nginx 1\n", "stop\n")]
    {
        for evil in [
            "exec 7<-1 /usr/bin/runc\nopen 7 /x",
            "exec 8<-7 /usr/bin/runc\nopen 8 /x",
            "fork 8<-7\nexec 8<-7 /usr/bin/runc\nopen 8 /x",
        ] {
            let (known, setup) = learned(&format!("{before}exec 7<-1 /bin/app\n{stop}{evil}\nstart nginx 1"));
            assert_eq!(setup, 0, "{before}{stop}{evil}");
            assert!(known.contains("/usr/bin/runc\n  - r /x"), "{before}{stop}{evil}: {known}");
        }
    }
}
