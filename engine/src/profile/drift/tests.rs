//! The bounds of a checker, and what a workload that is told late changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Checker, Finding, Reason};
use crate::event::{Body, EventRef, Exec};
use crate::ledger::{Fate, Ignored};
use crate::tree::{Rules, Tree};
use std::sync::Arc;

fn exec(ts: u64, pid: u32, path: &str) -> EventRef<'_> {
    let exec = Exec { path: path.as_bytes(), ..Exec::default() };
    EventRef { ts, container: b"c", pid, start: None, body: Body::Exec(exec) }
}

fn open(ts: u64, pid: u32, path: &str) -> EventRef<'_> {
    EventRef { ts, container: b"c", pid, start: None, body: Body::Open { path: path.as_bytes(), flags: 0, ret: 0 } }
}

fn provisional() -> Checker {
    Checker::provisional(None, &Arc::default(), b"c", &Arc::from("<unknown>"), &Arc::from("<unknown>"))
}

fn told(checker: Checker) -> Checker {
    checker.rebind(Arc::new(Tree::new(Arc::default())), &Arc::from("nginx"), &Arc::from("1"))
}

#[test]
fn without_a_profile_nothing_is_found_and_all_of_it_once_there_is_one() {
    let mut checker = provisional();
    for event in [exec(1, 7, "/bin/app"), open(2, 7, "/x"), open(3, 7, "/x")] {
        assert_eq!(checker.check(&event), Fate::Ignored(Ignored::NoProfile));
    }
    assert_eq!((checker.findings(), checker.suppressed()), (vec![], 0));
    let mut checker = told(checker);
    assert_eq!(checker.check(&open(4, 7, "/x")), Fate::New);
    let about = |f: &Finding| (f.ts, f.pid, f.image.clone(), f.subject.clone(), f.lineage.concat(), f.count, f.reason);
    assert_eq!(
        checker.findings().iter().map(about).collect::<Vec<_>>(),
        [
            (1, 7, "nginx".into(), "/bin/app".into(), String::new(), 1, Reason::NewProcess),
            (2, 7, "nginx".into(), "/x".into(), "/bin/app".into(), 3, Reason::NewProcess),
        ]
    );
}

#[test]
fn what_may_become_a_finding_is_bounded_and_the_rest_is_counted() {
    let mut checker = provisional();
    let before = checker.heap_bytes();
    for n in 0..20_000 {
        checker.check(&open(n, 7, &format!("/{n:z>3000}")));
    }
    assert!(checker.heap_bytes() - before < 40 << 20, "{}", checker.heap_bytes());
    let checker = told(checker);
    let kept = checker.findings().len() as u64;
    assert!((1000..20_000).contains(&kept));
    assert_eq!(checker.suppressed(), 20_000 - kept);
}

#[test]
fn a_lineage_of_programs_that_no_profile_has_is_as_deep_as_a_tree_s() {
    let mut checker = told(provisional());
    for n in 0..2000 {
        checker.check(&exec(n, 7, &format!("/bin/p{n}")));
    }
    let findings = checker.findings();
    assert_eq!(findings.len(), 2000);
    let deepest = findings.iter().map(|f| f.lineage.len()).max();
    assert_eq!(deepest, Some(Rules::default().lineage_depth - 1));
}

#[test]
fn programs_are_bounded_in_number_and_bytes() {
    for (programs, len) in [(70_000, 6), (20_000, 2000)] {
        let mut checker = told(provisional());
        for n in 0..programs {
            checker.check(&exec(n, 7, &format!("/bin/{n:z>len$}")));
        }
        assert!(checker.heap_bytes() < 80 << 20, "{}", checker.heap_bytes());
    }
}
