//! Checking a container whose workload is told late: it is as if it had been told at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::events;
use common::script::{container_script, settings};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::{Ignored, Ledger};
use grove::{Baselines, Engine, Finding, Overflow, Snapshot, UNKNOWN_IMAGE};
use proptest::prelude::*;
use std::sync::Arc;

fn learn(config: &Config, image: &str, lines: &[String]) -> Arc<Snapshot> {
    let engine = Engine::builder().config(config).interner(Interner::new()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    let text = format!("start {image} 1\n{}", lines.join("\n"));
    events(&text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
    drop(sender);
    engine.shutdown()
}

fn baselines(learned: &[Arc<Snapshot>]) -> Arc<Baselines> {
    Arc::new(Baselines::of(learned.iter().flat_map(|snapshot| snapshot.profiles.values())).unwrap())
}

/// Checks the lines, the workload told before the `at`-th.
fn check(config: &Config, baselines: &Arc<Baselines>, lines: &[String], at: usize) -> (Vec<Finding>, Ledger) {
    let engine = Engine::builder().config(config).check(baselines.clone()).interner(Interner::new()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    let all = events(&lines.join("\n"));
    let start = events("start nginx 1");
    for (i, stored) in all.iter().enumerate() {
        if i == at {
            start.iter().for_each(|stored| {
                sender.send(stored.event);
            });
        }
        sender.send(stored.event);
    }
    if at >= all.len() {
        start.iter().for_each(|stored| {
            sender.send(stored.event);
        });
    }
    drop(sender);
    let end = engine.shutdown();
    assert!(end.ledger.balances() && end.ledger.held == 0);
    assert_eq!(end.findings_suppressed, 0);
    (end.findings.clone(), end.ledger)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_start_beyond_the_hold_bound_neither_loses_processes_nor_findings() {
    let learned_text = "exec 1<-0 /bin/app
        open 1 /etc/app.conf
        fork 2<-1
        exec 2<-1 /bin/worker
        open 2 /data";
    let done = lines(
        "exec 1<-0 /bin/app
        open 1 /etc/shadow
        fork 2<-1
        exec 2<-1 /bin/worker
        open 2 /data
        open 2 /secret
        open 1 /etc/app.conf",
    );
    let config = Config::default().with(|c| (c.workers, c.hold_events) = (1, 0));
    let baselines = baselines(&[learn(&config, "nginx", &lines(learned_text))]);
    for at in 0..=done.len() {
        let (findings, ledger) = check(&config, &baselines, &done, at);
        let found: Vec<_> = findings.iter().map(|f| (f.lineage.names().join(" "), f.subject.as_str())).collect();
        assert_eq!(
            found,
            [("/bin/app".to_owned(), "/etc/shadow"), ("/bin/app /bin/worker".to_owned(), "/secret")],
            "told before line {at}"
        );
        assert!(findings.iter().all(|f| (&*f.image, &*f.tag) == ("nginx", "1")));
        assert_eq!(ledger.ignored(Ignored::NoProfile), at as u64);
    }
}

#[test]
fn a_start_after_the_stop_is_late_as_well() {
    let config = Config::default().with(|c| (c.workers, c.hold_events) = (1, 0));
    let baselines = baselines(&[learn(&config, "nginx", &lines("exec 1<-0 /bin/app"))]);
    let done = lines("exec 1<-0 /bin/app\nopen 1 /new\nstop");
    let found = check(&config, &baselines, &done, 3).0;
    assert_eq!(found.iter().map(|f| f.subject.as_str()).collect::<Vec<_>>(), ["/new"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever a container did before, and whether there is a profile of the unknown or not.
    #[test]
    fn when_a_workload_is_told_makes_no_difference_to_what_is_found(
        settings in settings(),
        before in container_script(),
        unknown in prop::option::of(container_script()),
        now in container_script(),
        at in 0..200_usize,
    ) {
        let config = settings.config(1).with(|c| c.hold_events = 0);
        let mut learned = vec![learn(&config, "nginx", &before.0)];
        learned.extend(unknown.map(|unknown| learn(&config, UNKNOWN_IMAGE, &unknown.0)));
        let baselines = baselines(&learned);
        let (expected, _) = check(&config, &baselines, &now.0, 0);
        let (found, _) = check(&config, &baselines, &now.0, at.min(now.0.len()));
        prop_assert_eq!(found, expected);
    }
}
