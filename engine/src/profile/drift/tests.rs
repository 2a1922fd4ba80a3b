//! The bounds of a checker, and what a workload that is told late changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::{Checker, Finding, Reason};
use crate::event::{Body, EventRef, Exec, Open, Peer, Socket, SocketOp};
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
    EventRef {
        ts,
        container: b"c",
        pid,
        start: None,
        body: Body::Open(Open { path: path.as_bytes(), flags: 0, ret: 0, map: false }),
    }
}

fn provisional() -> Checker {
    Checker::provisional(None, &Arc::default(), b"c", &Arc::from("<unknown>"), &Arc::from("<unknown>"))
}

fn reported(checker: Checker) -> Checker {
    checker.rebind(Arc::new(Tree::new(Arc::default())), &Arc::from("nginx"), &Arc::from("1"))
}

#[test]
fn without_a_profile_nothing_is_found_and_all_of_it_once_there_is_one() {
    let mut checker = provisional();
    for event in [exec(1, 7, "/bin/app"), open(2, 7, "/x"), open(3, 7, "/x")] {
        assert_eq!(checker.check(&event), Fate::Ignored(Ignored::NoProfile));
    }
    assert_eq!((checker.findings(), checker.suppressed()), (vec![], 0));
    let mut checker = reported(checker);
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
    let checker = reported(checker);
    let kept = checker.findings().len() as u64;
    assert!((1000..20_000).contains(&kept));
    assert_eq!(checker.suppressed(), 20_000 - kept);
}

fn connect(ts: u64, pid: u32, n: u32) -> EventRef<'static> {
    let ip = std::net::Ipv4Addr::from(0xcb00_0000 + n).into();
    let body = Body::Socket(Socket { op: SocketOp::Connect, peer: Peer::Ip(ip), port: 443, proto: None, ret: 0 });
    EventRef { ts, container: b"c", pid, start: None, body }
}

#[test]
fn an_exec_is_told_whatever_else_was_found_before_it() {
    for late in [false, true] {
        let mut checker = if late { provisional() } else { reported(provisional()) };
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
        let checker = if late { reported(checker) } else { checker };
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
    let mut checker = reported(provisional());
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
    rules.pressure.set(Level::Over);
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
    did(30, Body::Fork { ppid: 10, ns_pid: None });
    did(20, Body::Fork { ppid: 30, ns_pid: None });
    did(30, Body::Exit);
    for pid in 100..300 {
        did(pid, Body::Fork { ppid: 10, ns_pid: None });
    }
    did(20, exec("/usr/bin/runc", 1));
    // The same of one whose parent is forgotten.
    did(40, Body::Fork { ppid: 20_000, ns_pid: None });
    did(40, exec("/usr/bin/crun", 20_000));
    let reported: Vec<_> = checker.findings().into_iter().map(|f| f.subject).collect();
    assert_eq!(reported, ["/bin/app", "/usr/bin/crun", "/usr/bin/runc"]);
}

/// An exec of a script, or of what is none.
fn run_by<'a>(pid: u32, path: &'a str, by: Option<&'a str>, argv: Option<&'a str>) -> EventRef<'a> {
    let (interpreter, argv) = (by.map(str::as_bytes), argv.map(str::as_bytes));
    let exec = Exec { path: path.as_bytes(), interpreter, argv, cwd: Some(b"/srv"), ..Exec::default() };
    EventRef { ts: u64::from(pid), container: b"c", pid, start: None, body: Body::Exec(exec) }
}

/// The findings about interpreters: pid and subject, whether the profile was known in time or not.
fn interpreters_found(baseline: &Arc<Tree>, execs: &[EventRef<'_>]) -> Vec<(u32, String)> {
    let (image, tag) = (Arc::from("nginx"), Arc::from("1"));
    let reported = Checker::new(baseline.clone(), &Rules::default(), b"c", &image, &tag);
    let [in_time, late] = [(reported, false), (provisional(), true)].map(|(mut checker, late)| {
        for exec in execs {
            checker.check(exec);
        }
        let checker = if late { checker.rebind(baseline.clone(), &image, &tag) } else { checker };
        let findings = checker.findings();
        assert!(findings.iter().all(|f| f.kind == "interpreter" && f.reason == Reason::NewBehaviour), "{findings:?}");
        findings.into_iter().map(|f| (f.pid, f.subject)).collect::<Vec<_>>()
    });
    assert_eq!(in_time, late);
    in_time
}

fn learned_from(execs: &[EventRef<'_>]) -> Tree {
    let mut learned = ActivityTree::new(Arc::default(), &Interner::new().intern("1").unwrap());
    for exec in execs {
        learned.insert(exec);
    }
    learned.into_tree()
}

#[test]
fn a_script_that_something_else_runs_is_a_finding() {
    let many: Vec<String> = (0..17).map(|n| format!("/i/{n}")).collect();
    let mut execs = vec![run_by(1, "/srv/job", Some("/bin/sh"), None), run_by(2, "/srv/job", Some("/bin/bash"), None)];
    execs.extend(many.iter().enumerate().map(|(n, by)| run_by(30 + n as u32, "/srv/any", Some(by), None)));
    let found = interpreters_found(
        &Arc::new(learned_from(&execs)),
        &[
            run_by(50, "/srv/job", Some("/bin/sh"), None),
            run_by(51, "/srv/job", Some("/bin/bash"), None),
            run_by(53, "/srv/job", Some("/tmp/evil"), None),
            run_by(54, "/srv/job", Some("/tmp/evil"), None),
            run_by(56, "/srv/any", Some("/bin/sh"), None),
        ],
    );
    assert_eq!(found, [(53, "/tmp/evil".to_owned())]);
}

#[test]
fn a_program_that_becomes_a_script_or_is_none_any_more_is_a_finding() {
    let (script, program) = (run_by(1, "/srv/a", Some("/bin/sh"), None), run_by(2, "/srv/b", None, None));
    let again = [run_by(3, "/srv/a", Some("/bin/sh"), None), run_by(4, "/srv/b", None, None)];
    let changed = [run_by(5, "/srv/a", None, None), run_by(6, "/srv/b", Some("/bin/sh"), None)];
    let baseline = Arc::new(learned_from(&[script, program]));
    assert_eq!(interpreters_found(&baseline, &again), []);
    assert_eq!(interpreters_found(&baseline, &changed), [(5, "(none)".to_owned()), (6, "/bin/sh".to_owned())]);

    // What was learned both ways may be run both ways, whichever came first, by which container, and from a file too.
    let both = |order: [usize; 2]| {
        let (a, b) = ([script, changed[0]], [program, changed[1]]);
        order.map(|at| [a[at], b[at]])
    };
    let interner = Interner::new();
    for order in [[0, 1], [1, 0]] {
        let [first, second] = both(order);
        let in_one = learned_from(&[first, second].concat());
        let mut merged = learned_from(&first);
        merged.merge(&learned_from(&second)).unwrap();
        let mut read = Tree::new(Arc::default());
        read.import_docs(&in_one.to_docs(), &interner).unwrap();
        for tree in [in_one, merged, read] {
            let baseline = Arc::new(tree);
            assert_eq!(interpreters_found(&baseline, &[again, changed].concat()), []);
            assert_eq!(interpreters_found(&baseline, &[run_by(7, "/srv/a", Some("/x"), None)]), [(7, "/x".to_owned())]);
        }
    }
}

#[test]
fn an_interpreter_that_is_another_of_busybox_s_programs_is_a_finding() {
    let sh = run_by(1, "/srv/job", Some("/bin/busybox"), Some("/bin/busybox\0sh\0/srv/job\0"));
    let linked = run_by(2, "/srv/job", Some("/bin/busybox"), Some("/bin/sh\0/srv/job\0"));
    let nc = run_by(3, "/srv/job", Some("/bin/busybox"), Some("busybox\0nc\0/srv/job\0"));
    // A file that is called as its first look would be, in the place of busybox or beside it.
    let spaced = run_by(4, "/srv/job", Some("/bin/busybox sh"), Some("/bin/busybox sh\0/srv/job\0"));
    let below = run_by(5, "/srv/job", Some("/bin/busybox/sh"), Some("/bin/busybox/sh\0/srv/job\0"));
    let found = interpreters_found(&Arc::new(learned_from(&[sh])), &[sh, linked, nc, spaced, below]);
    let reported = [(3, "/bin/busybox//nc"), (4, "/bin/busybox sh"), (5, "/bin/busybox/sh")];
    assert_eq!(found, reported.map(|(pid, by)| (pid, by.to_owned())));

    // The arguments that the script was executed with say nothing of its interpreter.
    let given = run_by(6, "/srv/nc", Some("/bin/busybox"), Some("./nc\0-l\0"));
    assert_eq!(learned_from(&[given]).to_docs()[0].interpreters, ["/bin/busybox"]);
}

#[test]
fn an_interpreter_by_a_relative_path_is_that_of_the_working_directory() {
    let learned = learned_from(&[run_by(1, "/srv/job", Some("./bin/../sh"), None)]);
    assert_eq!(learned.to_docs()[0].interpreters, ["/srv/sh"]);
    // Neither does it say where it is, nor does the process it comes from.
    let nowhere = Exec { path: b"/srv/job".as_slice(), interpreter: Some(b"bin/sh"), ..Exec::default() };
    let event = EventRef { body: Body::Exec(nowhere), ..run_by(1, "", None, None) };
    assert_eq!(learned_from(&[event]).to_docs()[0].interpreters, ["bin/sh"]);
    // That which it comes from does.
    let parent = run_by(2, "/srv/app", None, None);
    let exec = Exec { ppid: 2, ..nowhere };
    let child = EventRef { body: Body::Exec(exec), ..run_by(3, "", None, None) };
    let docs = learned_from(&[parent, child]).to_docs();
    assert_eq!(docs[1].interpreters, ["/srv/bin/sh"]);
}

#[test]
fn a_lineage_of_programs_that_no_profile_has_is_as_deep_as_a_tree_s() {
    let mut checker = reported(provisional());
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

/// Beyond the limit a program stands beside the one that ran it: so it does in the profile, whatever ran it here.
#[test]
fn at_the_lineage_limit_only_the_new_program_is_found() {
    let rules = Arc::new(Rules { lineage_depth: 2, ..Rules::default() });
    let run = |ts, pid, path: &'static str| {
        let exec = Exec { path: path.as_bytes(), ppid: if pid == 8 { 6 } else { 1 }, ..Exec::default() };
        EventRef { ts, container: b"c", pid, start: None, body: Body::Exec(exec) }
    };
    let mut tree = ActivityTree::new(rules.clone(), &Interner::new().intern("1").unwrap());
    for event in [run(1, 6, "/a"), run(2, 8, "/b"), open(3, 8, "/kid")] {
        tree.insert(&event);
    }
    let baseline = Arc::new(tree.into_tree());
    let mut checker = Checker::new(baseline, &rules, b"c", &Arc::from("i"), &Arc::from("1"));
    for event in [run(1, 6, "/a"), run(2, 8, "/n"), run(3, 8, "/b"), open(4, 8, "/kid")] {
        checker.check(&event);
    }
    let found = checker.findings();
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((finding.kind, &*finding.subject), ("exec", "/n"));
}

#[test]
fn programs_are_bounded_in_number_and_bytes() {
    for (programs, len, by_one) in [(70_000, 6, true), (70_000, 6, false), (20_000, 2000, true), (20_000, 2000, false)]
    {
        let mut checker = reported(provisional());
        for n in 0..programs {
            let pid = if by_one { 7 } else { 1000 + n as u32 };
            checker.check(&exec(n, pid, &format!("/bin/{n:z>len$}")));
        }
        assert!(checker.heap_bytes() < 80 << 20, "{}", checker.heap_bytes());
        // Who has no number any more is told of all the same.
        assert_eq!(checker.findings().len() as u64 + checker.suppressed(), programs);
    }
}

/// A chain of execs by one child of /srv/app, as long, with paths as long; then of further children a program without a
/// file, one that is as new, and, after all of them, one that the chain's last program ran in a child of its own.
fn after_a_chain(links: u64, len: usize) -> (Checker, Vec<Finding>) {
    let app = |ts| EventRef { ts, ..run_by(10, "/srv/app", None, None) };
    let baseline = Arc::new(learned_from(&[app(1)]));
    let mut checker = Checker::new(baseline, &Rules::default(), b"c", &Arc::from("nginx"), &Arc::from("1"));
    checker.check(&app(1));
    let did = |checker: &mut Checker, ts, pid, path: &str, ppid, fileless| {
        let exec = Exec { path: path.as_bytes(), ppid, fileless, upper_layer: !fileless, ..Exec::default() };
        checker.check(&EventRef { ts, container: b"c", pid, start: None, body: Body::Exec(exec) });
    };
    for n in 0..links {
        did(&mut checker, 2 + n, 20, &format!("/t/{n:x>len$}"), 10, false);
    }
    did(&mut checker, links + 2, 30, "memfd:evil", 10, true);
    did(&mut checker, links + 3, 31, "/tmp/evil", 10, false);
    did(&mut checker, links + 4, 40, "/t/evil", 20, false);
    checker.check(&open(links + 5, 31, "/etc/shadow"));
    let findings = checker.findings();
    (checker, findings)
}

#[test]
fn a_program_that_runs_itself_again_and_again_hides_no_other() {
    for (links, len, all) in [(250, 3390, true), (256, 4000, true), (2000, 15, true), (20_000, 15, false)] {
        let (checker, findings) = after_a_chain(links, len);
        let find = |subject: &str| findings.iter().find(|f| f.subject == subject);
        let evil = find("memfd:evil").unwrap();
        assert_eq!((evil.reason, evil.lineage.names()), (Reason::FilelessExec, vec!["/srv/app"]));
        let evil = find("/tmp/evil").unwrap();
        assert_eq!((evil.reason, evil.lineage.names()), (Reason::UpperLayerExec, vec!["/srv/app"]));
        let shadow = find("/etc/shadow").unwrap();
        assert_eq!(shadow.lineage.names(), ["/srv/app", "/tmp/evil"], "it is told of who did it");
        // What comes of one program is told up to a number.
        assert_eq!(find("/t/evil").is_some(), all);
        let reported = findings.len() as u64;
        assert_eq!(reported + checker.suppressed(), links + 4, "each is told or counted");
        assert!(if all { checker.suppressed() == 0 } else { (4000..5000).contains(&reported) }, "{reported}");
        // What is held of them is not what is written of them.
        assert!(checker.heap_bytes() < 8 << 20, "{}", checker.heap_bytes());
    }
}

#[test]
fn what_comes_of_one_new_program_takes_no_room_from_what_comes_of_another() {
    let mut checker = reported(provisional());
    for top in 0..3_u32 {
        for n in 0..5000 {
            checker.check(&exec(1, 100 + top, &format!("/{top}/{n}")));
        }
    }
    let findings = checker.findings();
    for top in 0..3 {
        let own = findings.iter().filter(|f| f.subject.starts_with(&format!("/{top}/"))).count();
        assert_eq!(own, 4097, "itself, and so many below it");
    }
    assert_eq!(checker.suppressed(), 3 * (5000 - 4097));
    // Nor do those below it take the room of one of them that is grave.
    let memfd = Exec { path: b"memfd:x".as_slice(), fileless: true, ..Exec::default() };
    checker.check(&EventRef { ts: 2, container: b"c", pid: 100, start: None, body: Body::Exec(memfd) });
    assert!(checker.findings().iter().any(|f| f.reason == Reason::FilelessExec));
}

#[test]
fn below_a_process_whose_program_is_not_known_nothing_counts_as_told() {
    let mut checker = reported(provisional());
    checker.check(&open(1, 10, "/x"));
    for n in 0..10_000 {
        let path = format!("/t/{n}");
        let exec = Exec { path: path.as_bytes(), ppid: 10, ..Exec::default() };
        checker.check(&EventRef {
            ts: 2,
            container: b"c",
            pid: 11,
            start: None,
            body: Body::Fork { ppid: 10, ns_pid: None },
        });
        checker.check(&EventRef { ts: 2, container: b"c", pid: 11, start: None, body: Body::Exec(exec) });
        checker.check(&EventRef { ts: 2, container: b"c", pid: 11, start: None, body: Body::Exit });
    }
    assert_eq!((checker.findings().len(), checker.suppressed()), (10_001, 0));
}

#[test]
fn programs_said_to_be_grave_have_room_of_their_own() {
    for late in [false, true] {
        let mut checker = if late { provisional() } else { reported(provisional()) };
        for n in 0..70_000 {
            checker.check(&exec(1, 1000 + n, &format!("/bin/{n}")));
        }
        let memfd = Exec { path: b"memfd:x".as_slice(), fileless: true, ..Exec::default() };
        checker.check(&EventRef { ts: 3, container: b"c", pid: 9, start: None, body: Body::Exec(memfd) });
        let checker = if late { reported(checker) } else { checker };
        assert!(checker.findings().iter().any(|f| f.reason == Reason::FilelessExec), "told late: {late}");
        let all = checker.findings().len() as u64 + checker.suppressed();
        // What ran them might have been a finding too, had it been known in time.
        assert!(if late { all >= 70_001 } else { all == 70_001 }, "{all}");
    }
}
