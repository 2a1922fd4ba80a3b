//! What makes two behaviours of a process one node, what is none, and what is neither known nor kept. A test a rule.
//!
//! Not here: what generalises (`generalise`).

use crate::common::{check, check_with};
use grove::event::{Body, Dns, EventRef, Open};
use grove::intern::Interner;
use grove::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

#[test]
fn a_failed_attempt_is_no_behaviour_but_a_connect_under_way_is() {
    let ledger = check(
        "exec 1<-0 /bin/app
         open 1 /etc/shadow fail
         connect 1 10.0.0.1 80 tcp fail
         bind 1 10.0.0.1 80 tcp inprogress
         connect 1 10.0.0.2 80 tcp inprogress
         connect 1 unix /run/x.sock inprogress
         open 1 /x inprogress",
        "
        /bin/app
          - connect inet tcp 10.0.0.2 80
          - connect unix ? /run/x.sock 0
        ",
    );
    assert_eq!(ledger.ignored(Ignored::Failed), 4);
}

#[test]
fn an_ephemeral_port_that_is_bound_is_any_and_one_that_is_connected_to_is_itself() {
    check(
        "exec 1<-0 /bin/app
         bind 1 0.0.0.0 32767 tcp
         bind 1 0.0.0.0 32768 tcp
         bind 1 0.0.0.0 60999 tcp
         connect 1 10.0.0.1 40000 tcp",
        "
        /bin/app
          - bind inet tcp 0.0.0.0 0
          - bind inet tcp 0.0.0.0 32767
          - connect inet tcp 10.0.0.1 40000
        ",
    );
}

/// By the directory that was asked for, as system calls have it, or by the number that the kernel gave it.
#[test]
fn a_file_without_a_name_is_one_however_it_is_told() {
    let mut tree = ActivityTree::new(Arc::default(), &Interner::new().intern("1").unwrap());
    let mut open = |path: &str, flags| {
        let body = Body::Open(Open::new(path.as_bytes(), flags, 3));
        tree.insert(&EventRef::new(1, b"c", 1, body))
    };
    const UNNAMED: u32 = 0o20_200_002;
    let fates = [open("/tmp", UNNAMED), open("/tmp/#77", UNNAMED), open("/tmp/#78", 2), open("/tmp", 0)];
    assert_eq!(fates, [Fate::New, Fate::Known, Fate::Known, Fate::New]);
    assert_eq!([open("/", UNNAMED), open("/#7", UNNAMED)], [Fate::New, Fate::Known]);
    // In a directory that is known already as one that files are in, or by itself.
    let fates = [open("/d/x", 0), open("/d", UNNAMED), open("/d/#1", 2), open("/d", 0), open("/d", UNNAMED)];
    assert_eq!(fates, [Fate::New, Fate::New, Fate::Known, Fate::New, Fate::Known]);
}

#[test]
fn one_peer_directory_or_unnamed_file_is_one_however_it_is_written() {
    check(
        "exec 1<-0 /bin/app
         connect 1 10.0.0.1 443 tcp
         connect 1 ::ffff:10.0.0.1 443 tcp
         connect 1 ::10.0.0.1 443 tcp
         connect 1 unix /var/run/docker.sock
         connect 1 unix /run/docker.sock
         open 1 /var/run/x
         open 1 /run/x
         open 1 /tmp/#1001
         open 1 /tmp/#2002",
        "
        /bin/app
          - r /run/x
          - r /tmp/#*
          - connect inet tcp 10.0.0.1 443
          - connect inet6 tcp ::a00:1 443
          - connect unix ? /run/docker.sock 0
        ",
    );
}

#[test]
fn access_modes_are_united_and_not_identity() {
    let ledger = check(
        "exec 1<-0 /bin/app
         open 1 /a
         open 1 /a w
         open 1 /a rw
         open 1 /b rw
         open 1 /c w",
        "
        /bin/app
          - rw /a
          - rw /b
          - w /c
        ",
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (5, 1));
}

#[test]
fn dns_names_are_lower_case_without_dot_and_their_types_a_set() {
    let ledger = check(
        "exec 1<-0 /bin/app
         dns 1 Example.COM. A
         dns 1 example.com AAAA
         dns 1 example.com A",
        "
        /bin/app
          - dns example.com A,AAAA
        ",
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (3, 1));
}

#[test]
fn capabilities_used_and_refused_are_two() {
    check(
        "exec 1<-0 /bin/app
         capability 1 10
         capability 1 10 refused",
        "
        /bin/app
          - capability CAP_NET_BIND_SERVICE refused
          - capability CAP_NET_BIND_SERVICE
        ",
    );
}

/// Applies events whose paths the small language cannot spell.
fn opens(pid: u32, paths: &[&[u8]]) -> (String, Ledger) {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &Interner::new().intern("1").unwrap());
    let mut ledger = Ledger::default();
    for path in paths {
        let body = Body::Open(Open::new(*path, 0, 0));
        ledger.count(tree.insert(&EventRef::new(1, b"c", pid, body)));
    }
    (crate::common::picture_of(tree.tree()), ledger)
}

#[test]
fn any_bytes_are_a_path_and_stay_apart() {
    let (picture, ledger) = opens(1, &[b"/a\0b", b"/a\xffb", br"/a\xffb", b"/a*b", b"/a\\b", "/é".as_bytes(), b"/a\n"]);
    assert_eq!(
        picture,
        "<unknown>\n  - r /a\0b\n  - r /a\n\n  - r /a\\*b\n  - r /a\\\\b\n  - r /a\\\\xffb\n  - r /a\\xffb\n  - r /é\n"
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (7, 0));
}

#[test]
fn impossible_paths_and_names_are_rejected_and_leave_no_trace() {
    let long = [b"/".as_slice(), &[b'a'; 4096]].concat();
    let (picture, ledger) = opens(1, &[b"", &long, b"/ok", &long[..4096]]);
    assert_eq!((ledger.rejected(Rejected::InvalidValue), ledger.rejected(Rejected::TooLong)), (1, 1));
    assert_eq!(picture.lines().count(), 3);
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &Interner::new().intern("1").unwrap());
    let body = Body::Dns(Dns::new(b"a\0b".as_slice(), 1));
    let fate = tree.insert(&EventRef::new(1, b"c", 1, body));
    assert_eq!((fate, tree.processes()), (Fate::Rejected(Rejected::InvalidValue), 0));
}

#[test]
fn proc_of_the_process_itself_is_self_and_of_others_is_any() {
    check(
        "exec 42<-0 /bin/app
         open 42 /proc/42/maps
         open 42 /proc/self/maps
         open 42 /proc/43/maps
         open 42 /proc/44/task/45/stat
         fork 43<-42
         open 43 /proc/43/status
         open 43 /proc/42/maps",
        "
        /bin/app
          - r /proc/*/maps
          - r /proc/*/task/*/stat
          - r /proc/self/maps
          - r /proc/self/status
        ",
    );
}

/// As a container's processes see themselves: by numbers that are others' outside.
#[test]
fn in_its_own_pid_namespace_a_process_is_self_by_its_number_there() {
    check(
        "exec 4711<-0 /bin/app --ns=1
         open 4711 /proc/1/maps
         open 4711 /proc/7/stat
         open 4711 /proc/4711/io
         fork 4712<-4711 --ns=7
         open 4712 /proc/7/status
         open 4712 /proc/1/root
         exec 4712<-4711 /bin/child --cwd=/proc/7
         open 4712 /proc/7/limits
         open 4712 fd/3
         open 4712 /proc/1/task/1/comm
         fork 4713<-4712
         open 4713 /proc/4713/environ
         open 4713 /proc/7/cmdline
         exec 4714<-1 /proc/3/exe --ns=3",
        "
        /bin/app
          - r /proc/*/io
          - r /proc/*/root
          - r /proc/*/stat
          - r /proc/self/maps
          - r /proc/self/status
          /bin/child
            - r /proc/*/cmdline
            - r /proc/*/task/*/comm
            - r /proc/self/environ
            - r /proc/self/fd/3
            - r /proc/self/limits
        /proc/self/exe
        ",
    );
}

#[test]
fn a_path_of_many_components_costs_no_more_than_its_length() {
    // Quadratic in its depth this would take minutes.
    let (picture, ledger) = {
        let deep: Vec<Vec<u8>> = (0..200_u32)
            .map(|i| format!("/x{i}").into_bytes().into_iter().chain(b"/1a".repeat(1300)).collect())
            .collect();
        let deep: Vec<&[u8]> = deep.iter().map(Vec::as_slice).collect();
        let started = std::time::Instant::now();
        let result = opens(1, &deep);
        assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
        result
    };
    assert_eq!(ledger.received, 200);
    assert_eq!(picture.lines().count(), 2, "all of one shape");
}

#[test]
fn time_that_goes_backwards_widens_what_was_seen() {
    let (tree, _) = crate::common::grow(
        "5s exec 1<-0 /a
         9s open 1 /x
         3s open 1 /x",
        &Rules::default(),
    );
    let docs = tree.tree().to_docs();
    let seen = |s: &grove::profile::Seen| s.get("1").unwrap().map(|t| t.0 / 1_000_000_000);
    assert_eq!((seen(&docs[0].seen), seen(&docs[0].files[0].seen)), ([3, 9], [3, 9]));
}

#[test]
fn an_event_of_a_process_whose_program_was_not_kept_is_lost_by_name() {
    let rules = Rules { tree_bytes: 0, ..Rules::default() };
    let ledger = check_with(&rules, "exec 1<-0 /a\nopen 1 /x\nfork 2<-1\nexec 2<-1 /b\nopen 3 /y", "");
    assert_eq!((ledger.dropped(Dropped::TreeFull), ledger.lifecycle), (4, 1));
}

#[test]
fn letting_go_of_a_tag_leaves_what_belongs_to_no_tag() {
    let interner = Interner::new();
    let grown = |tag: &str, lines: &str| {
        let (tree, _) = crate::common::get_or_insert_tagged(lines, &Rules::default(), tag, &interner);
        tree.tree().clone()
    };
    let mut tree = grown("new", "exec 1<-0 /bin/app --uid=7\nopen 1 /x\ndns 1 example.com A");
    let old = "exec 1<-0 /bin/app --uid=0 --upper\nopen 1 /x w\nopen 1 /old\ndns 1 example.com MX";
    tree.merge(&grown("old", old)).unwrap();
    tree.evict_tag("old");
    assert_eq!(tree.tags().into_iter().collect::<Vec<_>>(), ["new"]);
    assert_eq!(
        crate::common::picture_of(&tree),
        "/bin/app upper uids=[0, 7]\n  - rw /x\n  - dns example.com A,MX\n",
        "its own files are gone; modes, users, types and marks are the entry's"
    );
}
