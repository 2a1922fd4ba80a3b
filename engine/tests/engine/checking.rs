//! An engine that compares: what is found, and whoever follows it.

use super::{config, learn, send};
use grove::intern::Interner;
use grove::ledger::{Ignored, Ledger};
use grove::profile::Reason;
use grove::{Baselines, Engine, Finding, Findings, Snapshot};

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
