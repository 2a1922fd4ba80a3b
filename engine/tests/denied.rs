//! What was tried and refused: learned apart from what was done, and a finding of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{check, events, grow, picture, picture_of};
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::Ignored;
use grove::profile::{Profile, ProfileDoc, decode, encode};
use grove::tree::Rules;
use grove::{Baselines, Engine, Finding, Overflow, Snapshot};
use std::sync::Arc;

#[test]
fn attempts_are_kept_apart_by_what_they_would_have_been_and_make_no_program() {
    let ledger = check(
        "open 9 /etc/nobody-s --ret=-13
         exec 1<-0 /bin/app --cwd=/srv
         open 1 /etc/shadow --ret=-13
         open 1 /etc/shadow rw --ret=-30
         open 1 /etc/absent fail
         open 1 /etc/why-nobody-said --ret=-1
         open 1 relative --ret=-30
         open 1 /etc/app.conf
         open 1 /etc/app.conf w --ret=-13
         change 1 delete /etc/passwd --ret=-1
         change 1 rename /b /a --ret=-13
         connect 1 10.0.0.1 443 tcp --ret=-111
         connect 1 fd00::1 443 tcp --ret=-113
         connect 1 10.0.0.2 443 tcp inprogress
         connect 1 unix /run/db.sock --ret=-13
         bind 1 0.0.0.0 80 tcp --ret=-13
         mount 1 /mnt proc --ret=-1
         mount 1 /there tmpfs --ret=-16
         fork 2<-1
         exec 2<-1 /bin/child
         open 2 /proc/2/mem --ret=-13",
        "
        /bin/app
          - r /etc/app.conf
          - connect inet tcp 10.0.0.2 443
          - denied bind 0.0.0.0:80 EACCES
          - denied change /a EACCES
          - denied change /b EACCES
          - denied change /etc/passwd EPERM
          - denied connect /run/db.sock EACCES
          - denied connect 10.0.0.1:443 ECONNREFUSED
          - denied connect [fd00::1]:443 EHOSTUNREACH
          - denied mount /mnt EPERM
          - denied open /etc/app.conf EACCES
          - denied open /etc/shadow EACCES
          - denied open /srv/relative EROFS
          /bin/child
            - denied open /proc/self/mem EACCES
        ",
    );
    // Whatever is kept of them, they are counted as what they are.
    assert_eq!((ledger.received, ledger.ignored(Ignored::Failed)), (21, 16));
}

#[test]
fn names_and_addresses_that_were_denied_generalise_as_those_of_what_was_done() {
    let opens: String = (0..40).map(|n| format!("open 1 /tmp/sess-{n:04}a{n} --ret=-13\n")).collect();
    let connects: String = (0..40).map(|n| format!("connect 1 10.0.3.{n} 443 tcp --ret=-111\n")).collect();
    let text = format!("exec 1<-0 /bin/app\n{opens}{connects}");
    let done = text.replace("--ret=-13", "").replace("--ret=-111", "");
    let (tree, _) = grow(&text, &Rules::default());
    let (done, _) = grow(&done, &Rules::default());
    let profile = |tree: &grove::tree::ActivityTree| {
        let mut profile = Profile::new("image", tree.tree().rules().clone());
        profile.add_tree(tree.tree()).unwrap();
        profile.to_doc().processes.remove(0)
    };
    let (tried, done) = (profile(&tree), profile(&done));
    let [connect, open] = &tried.denied[..] else { unreachable!("{:#?}", tried.denied) };
    let (file, socket) = (&done.files[0], &done.sockets[0]);
    assert_eq!(
        (&open.subject, open.pattern, open.distinct, &open.exemplars[..]),
        (&file.path, true, file.distinct, &file.exemplars[..])
    );
    assert_eq!(connect.subject, format!("{}:{}", socket.addr, socket.port));
    assert!(connect.pattern && connect.subject == "10.0.3.0/24:443");
}

fn bytes(doc: &ProfileDoc) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(doc, &mut bytes).unwrap();
    bytes
}

/// Its times are nobody else's: a program that is only refused was not seen since.
#[test]
fn an_attempt_stamps_nothing_above_it_and_is_read_as_it_was_written() {
    let (tree, _) = grow(
        "1s exec 1<-0 /bin/app\n2s open 1 /a\n9s open 1 /etc/shadow --ret=-13\n9s bind 1 :: 53 udp --ret=-13",
        &Rules::default(),
    );
    let mut profile = Profile::new("image", tree.tree().rules().clone());
    profile.add_tree(tree.tree()).unwrap();
    let doc = profile.to_doc();
    let seconds = |seen: &grove::profile::Seen| seen.get("1").unwrap().map(|time| time.0 / 1_000_000_000);
    assert_eq!((seconds(&doc.processes[0].seen), seconds(&doc.processes[0].denied[0].seen)), ([1, 2], [9, 9]));
    assert_eq!(doc.tags["1"].last_seen.0, 2_000_000_000);
    assert_eq!(doc.stats().denied, 2);
    let written = bytes(&doc);
    let read = decode(&written).unwrap();
    assert_eq!(read, doc);
    let again = Profile::from_doc(&read, Arc::new(Rules::default()), &Interner::new()).unwrap();
    assert_eq!(bytes(&again.to_doc()), written);
    // Of what has none, nothing is said.
    let (tree, _) = grow("exec 1<-0 /bin/app", &Rules::default());
    let mut profile = Profile::new("image", tree.tree().rules().clone());
    profile.add_tree(tree.tree()).unwrap();
    assert!(!String::from_utf8(bytes(&profile.to_doc())).unwrap().contains("denied"));
}

#[test]
fn merging_keeps_the_first_error_by_name_whatever_the_order() {
    let one = |ret: i32| grow(&format!("exec 1<-0 /bin/app\nopen 1 /etc/shadow --ret={ret}"), &Rules::default()).0;
    let (a, b) = (one(-30), one(-13));
    for (first, second) in [(&a, &b), (&b, &a)] {
        let mut merged = first.tree().clone();
        merged.merge(second.tree()).unwrap();
        assert_eq!(picture_of(&merged), "/bin/app\n  - denied open /etc/shadow EACCES\n");
    }
}

fn learn(text: &str) -> Arc<Snapshot> {
    let engine = Engine::builder().config(&Config::default()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    for stored in events(&format!("start nginx 1\n{text}")).iter() {
        sender.send(stored.event);
    }
    drop(sender);
    engine.shutdown()
}

fn found(learned: &Arc<Snapshot>, text: &str) -> Vec<String> {
    let baselines = Arc::new(Baselines::of(learned.profiles.values()).unwrap());
    let config = Config::default().with(|c| (c.workers, c.hold_events) = (1, 0));
    let engine = Engine::builder().config(&config).check(baselines).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    for stored in events(text).iter() {
        sender.send(stored.event);
    }
    drop(sender);
    let line = |f: &Finding| {
        let details: String = f.details.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
        format!("{} {:?} {} {}{details}", f.kind, f.reason, f.subject, f.count)
    };
    let end = engine.shutdown();
    assert!(end.ledger.balances());
    let mut found: Vec<String> = end.findings.iter().map(line).collect();
    found.sort();
    found
}

const LEARNED: &str = "exec 1<-0 /bin/app
    open 1 /etc/app.conf
    open 1 /etc/shadow --ret=-13
    connect 1 10.0.0.1 443 tcp";

const TRIED: &str = "exec 1<-0 /bin/app
    open 1 /etc/shadow w --ret=-30
    open 1 /etc/app.conf --ret=-13
    open 1 /etc/absent fail
    connect 1 10.0.0.1 443 tcp --ret=-111
    open 1 /etc/app.conf w --ret=-13
    open 1 /root/key --ret=-30
    open 1 /root/key --ret=-13
    open 1 /root/key rw --ret=-13
    connect 1 10.9.9.9 4444 tcp --ret=-111
    change 1 chmod /etc/app.conf --ret=-30";

const FOUND: [&str; 4] = [
    "change DeniedAttempt /etc/app.conf 1 ops=List([\"chmod\"]) error=Text(\"EROFS\")",
    "connect DeniedAttempt 10.9.9.9:4444 1 proto=Text(\"tcp\") error=Text(\"ECONNREFUSED\")",
    "open DeniedAttempt /etc/app.conf 1 access=Text(\"w\") error=Text(\"EACCES\")",
    "open DeniedAttempt /root/key 3 access=Text(\"rw\") error=Text(\"EACCES\")",
];

/// Neither what was tried before nor what was done is new.
#[test]
fn an_attempt_is_a_finding_if_it_was_neither_done_nor_denied_before() {
    let learned = learn(LEARNED);
    assert_eq!(found(&learned, &format!("start nginx 1\n{TRIED}")), FOUND);
    // Learned, it is known.
    let all = learn(&format!("{LEARNED}\n{}", TRIED.split_once('\n').unwrap().1));
    assert_eq!(found(&all, &format!("start nginx 1\n{TRIED}")), [""; 0]);
}

#[test]
fn attempts_of_a_container_that_is_named_late_are_judged_by_the_right_profile() {
    let learned = learn(LEARNED);
    for after in 1..TRIED.lines().count() {
        let mut lines: Vec<&str> = TRIED.lines().collect();
        lines.insert(after, "start nginx 1");
        assert_eq!(found(&learned, &lines.join("\n")), FOUND, "named after {after}");
    }
}

#[test]
fn what_a_new_program_tries_in_vain_is_told_as_that() {
    let learned = learn(LEARNED);
    let told = found(
        &learned,
        "start nginx 1\nexec 1<-0 /bin/app\nfork 2<-1\nexec 2<-1 /bin/sh\nopen 2 /etc/shadow --ret=-13",
    );
    assert_eq!(
        told,
        ["exec NewProcess /bin/sh 1", "open DeniedAttempt /etc/shadow 1 access=Text(\"r\") error=Text(\"EACCES\")"]
    );
}

/// One picture whatever of it is in which order.
#[test]
fn attempts_come_in_any_order() {
    let lines = [
        "open 1 /a/b1 --ret=-13",
        "open 1 /a/b1 --ret=-30",
        "bind 1 ::1 80 tcp --ret=-13",
        "open 1 /a/b1",
        "change 1 create /a/b1 --ret=-30",
    ];
    let pictures: Vec<String> = (0..lines.len())
        .map(|at| {
            let mut lines = lines;
            lines.rotate_left(at);
            let (tree, _) = grow(&format!("exec 1<-0 /bin/app\n{}", lines.join("\n")), &Rules::default());
            let mut profile = Profile::new("image", tree.tree().rules().clone());
            profile.add_tree(tree.tree()).unwrap();
            picture(&profile.to_doc())
        })
        .collect();
    assert!(pictures.iter().all(|picture| *picture == pictures[0]), "{pictures:#?}");
    assert!(pictures[0].contains("denied bind [::1]:80 EACCES"), "{}", pictures[0]);
}
