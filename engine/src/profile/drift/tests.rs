//! The bounds of a checker, and what a workload that is told late changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Checker, Finding, Reason};
use crate::event::{Body, EventRef, Exec, Peer, SocketOp};
use crate::intern::Interner;
use crate::ledger::{Fate, Ignored};
use crate::tree::{ActivityTree, Level, Rules, Tree};
use std::collections::HashSet;
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
    let about =
        |f: &Finding| (f.ts, f.pid, f.image.clone(), f.subject.clone(), f.lineage.names().concat(), f.count, f.reason);
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

fn connect(ts: u64, pid: u32, n: u32) -> EventRef<'static> {
    let ip = std::net::Ipv4Addr::from(0xcb00_0000 + n).into();
    let body = Body::Socket { op: SocketOp::Connect, peer: Peer::Ip(ip), port: 443, proto: None, ret: 0 };
    EventRef { ts, container: b"c", pid, start: None, body }
}

#[test]
fn an_exec_is_told_whatever_else_was_found_before_it() {
    for late in [false, true] {
        let mut checker = if late { provisional() } else { told(provisional()) };
        for n in 0..70_000 {
            checker.check(&connect(1, 7, n));
        }
        for n in 0..20_000 {
            checker.check(&open(1, 7, &format!("/{n:z>3000}")));
        }
        checker.check(&exec(2, 8, "/tmp/evil"));
        let memfd = Exec { path: b"memfd:x".as_slice(), fileless: true, ..Exec::default() };
        let dropped = Exec { path: b"/tmp/dropped".as_slice(), upper_layer: true, ..Exec::default() };
        for (pid, exec) in [(9, memfd), (10, dropped)] {
            checker.check(&EventRef { ts: 3, container: b"c", pid, start: None, body: Body::Exec(exec) });
        }
        let checker = if late { told(checker) } else { checker };
        let findings = checker.findings();
        let programs: Vec<_> = findings.iter().filter(|f| f.kind == "exec").map(|f| (&*f.subject, f.reason)).collect();
        let expected = [
            ("/tmp/evil", Reason::NewProcess),
            ("/tmp/dropped", Reason::UpperLayerExec),
            ("memfd:x", Reason::FilelessExec),
        ];
        assert_eq!(programs, expected, "told late: {late}");
        assert_eq!(findings.len() as u64 + checker.suppressed(), 90_003, "each is told or counted");
    }
}

#[test]
fn findings_of_programs_are_bounded_too() {
    let mut checker = told(provisional());
    for n in 0..70_000 {
        checker.check(&exec(n, 1000 + n as u32, &format!("/bin/{n}")));
    }
    assert_eq!((checker.findings().len(), checker.suppressed()), (65_536, 70_000 - 65_536));
    checker.check(&open(70_000, 7, "/x"));
    assert_eq!(checker.findings().len(), 65_537);
}

#[test]
fn interpreters_without_end_hide_no_exec() {
    fn script(pid: u32, by: &str) -> EventRef<'_> {
        let exec = Exec { path: b"/srv/job".as_slice(), interpreter: Some(by.as_bytes()), ..Exec::default() };
        EventRef { ts: 1, container: b"c", pid, start: None, body: Body::Exec(exec) }
    }
    let mut learned = ActivityTree::new(Arc::default(), &Interner::new().intern("1").unwrap());
    learned.insert(&script(10, "/bin/sh"));
    let mut checker = provisional().rebind(Arc::new(learned.into_tree()), &Arc::from("nginx"), &Arc::from("1"));
    for n in 0..70_000 {
        checker.check(&script(n + 20, &format!("/i/{n}")));
    }
    checker.check(&exec(2, 8, "/tmp/evil"));
    let findings = checker.findings();
    assert_eq!(findings.iter().filter(|f| f.kind == "exec").map(|f| &*f.subject).collect::<Vec<_>>(), ["/tmp/evil"]);
    assert_eq!(findings.len() as u64 + checker.suppressed(), 70_001, "each is told or counted");
}

#[test]
fn an_exec_is_told_though_all_memory_is_taken() {
    let rules = Rules::default();
    rules.room.set(Level::Over);
    let tree = Arc::new(Tree::new(Arc::default()));
    let mut checker = Checker::new(tree, &rules, b"c", &Arc::from("nginx"), &Arc::from("1"));
    for n in 0..100 {
        checker.check(&open(n, 7, &format!("/x{n}")));
    }
    checker.check(&exec(200, 8, "/tmp/evil"));
    let findings = checker.findings();
    assert_eq!(findings.iter().map(|f| &*f.subject).collect::<Vec<_>>(), ["/tmp/evil"]);
    assert_eq!(checker.suppressed(), 100);
}

#[test]
fn nobody_becomes_the_runtime_by_starting_more_processes_than_there_is_room_for() {
    let rules = Rules { processes_max: 64, ..Rules::default() };
    let tree = Arc::new(Tree::new(Arc::default()));
    let mut checker = Checker::new(tree, &rules, b"c", &Arc::from("nginx"), &Arc::from("1"));
    let mut did = |pid, body| checker.check(&EventRef { ts: 1, container: b"c", pid, start: None, body });
    let exec = |path: &'static str, ppid| Body::Exec(Exec { path: path.as_bytes(), ppid, ..Exec::default() });
    did(10, exec("/bin/app", 1));
    did(30, Body::Fork { ppid: 10 });
    did(20, Body::Fork { ppid: 30 });
    did(30, Body::Exit);
    for pid in 100..300 {
        did(pid, Body::Fork { ppid: 10 });
    }
    did(20, exec("/usr/bin/runc", 1));
    // The same of one whose parent is forgotten.
    did(40, Body::Fork { ppid: 20_000 });
    did(40, exec("/usr/bin/crun", 20_000));
    let told: Vec<_> = checker.findings().into_iter().map(|f| f.subject).collect();
    assert_eq!(told, ["/bin/app", "/usr/bin/crun", "/usr/bin/runc"]);
}

#[test]
fn a_script_that_something_else_runs_is_a_finding_and_one_of_unknown_interpreters_is_none() {
    let script = |pid, path: &'static str, by: Option<&'static str>| {
        let exec = Exec { path: path.as_bytes(), interpreter: by.map(str::as_bytes), ..Exec::default() };
        EventRef { ts: u64::from(pid), container: b"c", pid, start: None, body: Body::Exec(exec) }
    };
    let mut learned = ActivityTree::new(Arc::default(), &Interner::new().intern("1").unwrap());
    let many: Vec<String> = (0..17).map(|n| format!("/i/{n}")).collect();
    for (n, by) in [Some("/bin/sh"), Some("/bin/bash")].into_iter().enumerate() {
        learned.insert(&script(n as u32 + 10, "/srv/job", by));
    }
    learned.insert(&script(20, "/srv/old", None));
    for (n, by) in many.iter().enumerate() {
        let exec = Exec { path: b"/srv/any".as_slice(), interpreter: Some(by.as_bytes()), ..Exec::default() };
        let (pid, body) = (30 + n as u32, Body::Exec(exec));
        learned.insert(&EventRef { ts: 1, container: b"c", pid, start: None, body });
    }
    let baseline = Arc::new(learned.tree().clone());
    let (image, tag) = (Arc::from("nginx"), Arc::from("1"));
    let told = Checker::new(baseline.clone(), &Rules::default(), b"c", &image, &tag);
    for (mut checker, late) in [(told, false), (provisional(), true)] {
        for (pid, path, by) in [
            (50, "/srv/job", Some("/bin/sh")),
            (51, "/srv/job", Some("/bin/bash")),
            (52, "/srv/job", None),
            (53, "/srv/job", Some("/tmp/evil")),
            (54, "/srv/job", Some("/tmp/evil")),
            (55, "/srv/old", Some("/bin/sh")),
            (56, "/srv/any", Some("/bin/sh")),
            (57, "/srv/new", Some("/bin/sh")),
        ] {
            let fate = checker.check(&script(pid, path, by));
            assert!(late || (fate == Fate::New) == matches!(pid, 53 | 54 | 57), "{pid} {fate:?}");
        }
        let checker = if late { checker.rebind(baseline.clone(), &image, &tag) } else { checker };
        let findings = checker.findings();
        let about = |f: &Finding| (f.kind, f.reason, f.pid, f.subject.clone(), f.lineage.names().concat(), f.count);
        assert_eq!(
            findings.iter().map(about).collect::<Vec<_>>(),
            [
                ("interpreter", Reason::NewBehaviour, 53, "/tmp/evil".into(), "/srv/job".into(), 2),
                ("exec", Reason::NewProcess, 57, "/srv/new".into(), String::new(), 1),
            ]
        );
    }
}

#[test]
fn a_lineage_of_programs_that_no_profile_has_is_as_deep_as_a_tree_s() {
    let mut checker = told(provisional());
    for n in 0..2000 {
        checker.check(&exec(n, 7, &format!("/bin/p{n}")));
    }
    let findings = checker.findings();
    assert_eq!(findings.len(), 2000);
    let deepest = findings.iter().map(|f| f.lineage.names().len()).max();
    assert_eq!(deepest, Some(Rules::default().lineage_depth - 1));
    // What they have in common is there once: half a million names otherwise.
    let names: HashSet<*const u8> = findings.iter().flat_map(|f| f.lineage.from_within()).map(str::as_ptr).collect();
    assert!(names.len() < 2000, "{}", names.len());
}

#[test]
fn programs_are_bounded_in_number_and_bytes() {
    for (programs, len) in [(70_000, 6), (20_000, 2000)] {
        let mut checker = told(provisional());
        for n in 0..programs {
            checker.check(&exec(n, 7, &format!("/bin/{n:z>len$}")));
        }
        assert!(checker.heap_bytes() < 80 << 20, "{}", checker.heap_bytes());
        // Who has no number any more is told of all the same.
        assert_eq!(checker.findings().len() as u64 + checker.suppressed(), programs);
    }
}
