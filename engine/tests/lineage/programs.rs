//! What makes two programs one node, which programs are not the workload's, and what paths of programs are resolved
//! against. A test a rule.
//!
//! Not here: which process is which (`processes`).

use crate::common::{check, check_with, get_or_insert_tagged, grow};
use grove::event::{Body, EventRef, Exec};
use grove::intern::Interner;
use grove::ledger::Ignored;
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

#[test]
fn the_runtime_s_set_up_is_not_the_workload_s() {
    for runtime in [
        "/usr/bin/runc",
        "/usr/sbin/crun",
        "/usr/local/bin/youki",
        "/usr/libexec/podman/conmon",
        "/usr/bin/conmon",
        "/usr/bin/docker-runc",
        "/usr/bin/containerd-shim",
        "/usr/bin/containerd-shim-runc-v2",
        "runc:[2:INIT]",
        "/runc:[joined]",
        "/tmp/../usr/bin/./runc",
        // Whoever knows says so, whatever the name and the place.
        "/srv/anything --runtime",
        "no/place --runtime",
        "/tmp/runc --runtime --upper",
    ] {
        let ledger = check(
            &format!(
                "exec 1<-0 {runtime}
                 open 1 /etc/passwd
                 fork 2<-1
                 open 2 /proc/self/attr/exec w
                 capability 2 21
                 fork 3<-2
                 exit 3
                 exec 2<-1 /docker-entrypoint.sh
                 open 2 /x
                 exec 2<-1 /usr/sbin/nginx"
            ),
            "
        /docker-entrypoint.sh
          - r /x
          /usr/sbin/nginx chain
        ",
        );
        assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 7, "{runtime}");
        assert_eq!((ledger.lifecycle, ledger.applied_new), (0, 3), "{runtime}");
    }
}

#[test]
fn a_file_named_runc_is_the_workload_s_unless_it_lies_where_hosts_have_it_and_may_be_the_host_s() {
    // The entrypoint of an image: a process without a past.
    for program in [
        "/runc",
        "/tmp/runc",
        "/opt/bin/crun",
        "/usr/bin/../../tmp/conmon",
        "/containerd-shim-x",
        "/usr/bin/runc --upper",
        "/runc:[2:INIT] --upper",
        "/usr/bin/runc --fileless",
        "/usr/bin/runc --workload",
        "/runc:[joined] --workload",
    ] {
        for before in ["", "exec 1<-0 /bin/app\nexec 7<-900 /runc:[joined]\n"] {
            let (_, ledger) = grow(&format!("{before}exec 7<-900 {program}\nopen 7 /etc/shadow"), &Rules::default());
            let set_up = u64::from(!before.is_empty());
            assert_eq!(ledger.ignored(Ignored::RuntimeSetup), set_up, "{program} after {before:?}");
        }
    }
}

#[test]
fn names_that_only_look_like_the_runtime_s_are_the_workload_s() {
    check(
        "exec 1<-0 /usr/bin/runcible
         exec 2<-0 /opt/runc/app
         exec 3<-0 /opt/my-containerd-shim
         exec 4<-0 /bin/crun.sh",
        "
        /bin/crun.sh
        /opt/my-containerd-shim
        /opt/runc/app
        /usr/bin/runcible
        ",
    );
}

#[test]
fn the_runtime_that_execs_itself_is_still_set_up() {
    let ledger = check(
        "exec 1<-0 /usr/bin/runc
         exec 1<-0 runc:[2:INIT]
         exec 1<-0 /bin/app",
        "/bin/app",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 2);
}

#[test]
fn a_child_of_set_up_whose_fork_was_lost_is_a_root() {
    check("exec 1<-0 /usr/bin/runc\nexec 2<-1 /bin/app", "/bin/app");
}

#[test]
fn a_multi_call_binary_is_as_many_programs_as_it_has_names() {
    check(
        "exec 1<-0 /bin/busybox sh
         fork 2<-1
         exec 2<-1 /bin/busybox /bin/ls -l
         fork 3<-1
         exec 3<-1 /bin/busybox /bin/sh -c x
         fork 4<-1
         exec 4<-1 /usr/bin/coreutils cat
         fork 5<-1
         exec 5<-1 /bin/ls dir
         fork 6<-1
         exec 6<-1 /bin/toybox
         fork 7<-1
         exec 7<-1 /bin/busybox busybox nc 203.0.113.5
         fork 8<-1
         exec 8<-1 /bin/busybox.nosuid -sh
         fork 9<-1
         exec 9<-1 /bin/busybox busybox ls",
        "
        /bin/busybox argv0=sh
          /bin/busybox argv0=ls
          /bin/busybox argv0=nc
          /bin/busybox.nosuid argv0=sh
          /bin/ls
          /bin/toybox
          /usr/bin/coreutils argv0=cat
        ",
    );
}

#[test]
fn arguments_are_identity_only_if_asked_for() {
    let events = "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/git git pull
         fork 3<-1
         exec 3<-1 /bin/git git push";
    check(events, "/bin/sh\n  /bin/git");
    check_with(
        &Rules { differentiate_args: true, ..Rules::default() },
        events,
        r#"
        /bin/sh
          /bin/git argv=["git", "pull"]
          /bin/git argv=["git", "push"]
        "#,
    );
}

#[test]
fn arguments_without_end_are_cut_and_not_a_danger() {
    let argv: Vec<u8> = b"busybox-".iter().copied().chain(std::iter::repeat_n(b'a', 1 << 20)).collect();
    for differentiate_args in [false, true] {
        let rules = Rules { differentiate_args, ..Rules::default() };
        let mut tree = ActivityTree::new(Arc::new(rules), &Interner::new().intern("1").unwrap());
        let mut exec = Exec::new(0, b"/bin/busybox".as_slice());
        exec.argv = Some(&argv);
        tree.insert(&EventRef::new(1, b"c", 1, Body::Exec(exec)));
        assert!(tree.heap_bytes() < 64 << 10, "{}", tree.heap_bytes());
    }
}

#[test]
fn a_relative_path_is_resolved_against_a_known_directory_that_forks_inherit() {
    let ledger = check(
        "exec 1<-0 /bin/sh --cwd=/srv/app
         open 1 a
         fork 2<-1
         open 2 ../b
         exec 2<-1 bin/tool
         open 2 ./c
         exec 2<-1 /bin/other --cwd=/tmp
         open 2 d
         open 9 e
         bind 1 unix run/x.sock",
        "
        /bin/sh
          - r /srv/app/a
          - r /srv/b
          - bind unix ? /srv/app/run/x.sock 0
          /srv/app/bin/tool
            - r /srv/app/c
            /bin/other chain
              - r /tmp/d
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RelativePath), 1);
}

#[test]
fn a_relative_program_of_a_process_whose_fork_was_lost_is_resolved_against_its_parent_s_directory() {
    check(
        "exec 1<-0 /bin/sh --cwd=/srv
         exec 2<-1 ./tool
         open 2 x",
        "
        /bin/sh
          /srv/tool
            - r /srv/x
        ",
    );
}

#[test]
fn a_program_by_a_relative_path_of_no_known_directory_is_known_by_that_name() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         open 1 /before
         exec 1<-0 bin/tool
         open 1 /x
         fork 3<-1
         open 3 /y
         exec 3<-1 /bin/later
         exec 2<-0 ./tool
         exec 4<-2 /bin/below",
        "
        ./tool
          /bin/below
        /bin/sh
          - r /before
          bin/tool chain
            - r /x
            - r /y
            /bin/later
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RelativePath), 0);
    check("exec 1<-0 /bin/sh\nexec 1<-0 bin/tool", "/bin/sh\n  bin/tool chain");
}

#[test]
fn what_the_workload_runs_is_not_set_up_whatever_it_is_called() {
    let ledger = check(
        "exec 1<-0 /bin/app
         fork 2<-1
         exec 2<-1 /usr/bin/runc
         open 2 /etc/shadow
         fork 3<-2
         exec 3<-2 conmon --cwd=/usr/bin
         open 3 /x
         exec 3<-2 rel/tool --cwd=none
         exec 3<-2 /usr/bin/crun
         open 3 /y",
        "
        /bin/app
          /usr/bin/runc
            - r /etc/shadow
            /usr/bin/conmon
              - r /x
              rel/tool chain
                /usr/bin/crun chain
                  - r /y
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 0);
    // A process that the runtime puts into a running container has no past there.
    let ledger = check(
        "exec 1<-0 /bin/app
         exec 7<-900 runc:[2:INIT]
         open 7 /proc/self/attr/exec w
         exec 7<-900 /bin/sh
         exec 7<-900 /usr/bin/runc",
        "/bin/app\n/bin/sh\n  /usr/bin/runc chain",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 2);
}

#[test]
fn a_child_of_the_workload_whose_fork_was_not_seen_is_the_workload_s() {
    let ledger = check(
        "exec 1<-0 /bin/app
         exec 2<-1 /usr/bin/runc
         open 3 /early
         exec 3<-1 /usr/bin/crun
         exec 4<-1 runc:[2:INIT]
         open 2 /x",
        "
        /bin/app
          /usr/bin/runc
            - r /x
          runc:[2:INIT]
        /usr/bin/crun
        <unknown>
          - r /early
        ",
    );
    assert_eq!((ledger.ignored(Ignored::RuntimeSetup), ledger.ignored(Ignored::RelativePath)), (0, 0));
}

#[test]
fn who_came_from_the_workload_stays_so_whatever_is_told_since() {
    let ledger = check(
        "exec 1<-0 /bin/app
         exec 1<-0 /bin/app --runtime
         open 1 /set-up
         exec 1<-0 /usr/bin/runc
         open 1 /x
         exec 2<-1 /srv/tool --runtime
         fork 3<-2
         exec 3<-2 /usr/bin/crun
         open 3 /y",
        "
        /bin/app
        /usr/bin/crun
          - r /y
        /usr/bin/runc
          - r /x
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 4);
}

/// Without forks and without `runtime` nothing but the parent tells where a process comes from, and it may be gone.
#[test]
fn a_child_of_the_workload_outlives_its_parent_and_is_still_the_workload_s() {
    let crun = "/bin/app\n/usr/bin/crun\n  - r /x";
    // Whoever has its id is its parent in the tree.
    let below_unknown = "/bin/app\n<unknown>\n  /usr/bin/crun\n    - r /x";
    for (told, tree, set_up) in [
        ("exec 10<-1 /bin/app\nexit 10", crun, 0),
        ("exec 10@7<-1 /bin/app\nexit 10@7", crun, 0),
        // The child's id was that of another one, of which nothing else is told.
        ("exec 10<-1 /bin/app\nexit 10\nexec 20<-900 /bin/app\nexit 20", crun, 0),
        // The id is used again before the child execs, be it by the runtime; with the end told, or lost.
        ("exec 10<-1 /bin/app\nexit 10\nexec 10<-900 /srv/runtime --runtime", crun, 1),
        ("exec 10<-1 /bin/app\nexit 10\nfork 10<-900", below_unknown, 0),
        ("exec 10<-1 /bin/app\nfork 10<-900", below_unknown, 0),
    ] {
        let text = format!("{told}\nexec 20<-10 /usr/bin/crun\nopen 20 /x");
        assert_eq!(check(&text, tree).ignored(Ignored::RuntimeSetup), set_up, "{text}");
    }
    // An end that was told of one thread: another one goes on under the id.
    check("exec 10<-900 /bin/app\nexit 10\nexec 10<-900 /usr/bin/crun\nopen 10 /x", crun);
    // One whose parent's end was lost, so that it seems to be there: who comes later under the child's id may be the child.
    let tool = "/bin/app\n  /bin/tool\n/usr/bin/crun\n  - r /x";
    check("exec 10<-1 /bin/app\nexec 20<-10 /bin/tool\nexec 20<-1 /usr/bin/crun\nopen 20 /x", tool);
    // A fork that was seen, but of a parent that was not there any more.
    check("exec 10<-1 /bin/app\nexit 10\nfork 20<-10\nexec 20<-1 /usr/bin/crun\nopen 20 /x", crun);
    // Its own earlier self, told apart by its start, was the workload's.
    let text = "exec 1@2<-6 /usr/bin/runc\nopen 6 /etc/passwd\nexec 1@1<-0 /bin/sh\nexec 1<-1 /usr/bin/runc\nopen 1 /x";
    check(text, "/bin/sh\n/usr/bin/runc\n  - r /x\n<unknown>\n  - r /etc/passwd");
    // One whose parent is nobody's still may be the runtime, and what ends with its container is over.
    let ledger = check("exec 10<-1 /bin/app\nexit 10\nexec 20<-11 /usr/bin/crun\nopen 20 /x", "/bin/app");
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 2);
}

#[test]
fn a_source_that_knows_that_it_is_not_the_runtime_is_believed() {
    check("exec 1<-0 /usr/bin/runc --workload\nopen 1 /x", "/usr/bin/runc\n  - r /x");
}

#[test]
fn a_working_directory_that_is_none_resolves_nothing() {
    let ledger = check(
        "exec 1<-0 /bin/sh --cwd=srv
         open 1 x",
        "/bin/sh",
    );
    assert_eq!(ledger.ignored(Ignored::RelativePath), 1);
}

#[test]
fn fileless_and_upper_layer_execs_are_marked() {
    check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 memfd:payload --fileless
         fork 3<-1
         exec 3<-1 /tmp/dropped --upper
         fork 4<-1
         exec 4<-1 /dev/fd/3 --fileless --upper
         fork 5<-1
         exec 5<-1 /bin/ls
         exec 5<-1 /bin/ls --upper",
        "
        /bin/sh
          /bin/ls upper
          /dev/fd/3 fileless upper
          /tmp/dropped upper
          memfd:payload fileless
        ",
    );
}

#[test]
fn user_ids_are_a_set_and_not_identity() {
    let ledger = check(
        "exec 1<-0 /bin/sh --uid=0
         fork 2<-1
         exec 2<-1 /bin/ls --uid=1000
         fork 3<-1
         exec 3<-1 /bin/ls --uid=0
         fork 4<-1
         exec 4<-1 /bin/ls --uid=0",
        "
        /bin/sh uids=[0]
          /bin/ls uids=[0, 1000]
        ",
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (3, 1));
}

#[test]
fn what_runs_a_script_is_a_set_and_not_identity() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /srv/job --by=/usr/bin/python3
         fork 3<-1
         exec 3<-1 /srv/job --by=/usr/bin//../bin/python3/
         fork 4<-1
         exec 4<-1 /srv/job --by=bin/perl --cwd=/opt
         fork 5<-1
         exec 5<-1 /srv/job --by=no/place
         fork 6<-1
         exec 6<-1 /srv/job
         exec 6<-1 /srv/job --by=*",
        "
        /bin/sh
          /srv/job by=,/opt/bin/perl,/usr/bin/python3,\\*,no/place
        ",
    );
    // Once it ran by itself: that is new too.
    assert_eq!((ledger.applied_new, ledger.applied_known), (6, 1));
}

#[test]
fn more_interpreters_than_are_told_apart_are_any() {
    let execs =
        |n: std::ops::Range<usize>| n.map(|n| format!("1s exec 2<-1 /srv/job --by=/i/{n:02}\n")).collect::<String>();
    let sixteen: Vec<String> = (0..16).map(|n| format!("/i/{n:02}")).collect();
    check(&execs(0..16), &format!("/srv/job by={}", sixteen.join(",")));
    let ledger = check(&execs(0..60), "/srv/job by=*");
    assert_eq!((ledger.applied_new, ledger.applied_known), (17, 43));
    // Merging comes to the same, whoever is merged into whom.
    let interner = Interner::new();
    let tree = |n| get_or_insert_tagged(&execs(n), &Rules::default(), "1", &interner).0.tree().clone();
    let whole = tree(0..20).structural_hash();
    for (one, other) in [(0..10, 8..20), (0..20, 3..5), (0..1, 0..20)] {
        for (into, from) in [(one.clone(), other.clone()), (other, one)] {
            let mut merged = tree(into);
            merged.merge(&tree(from)).unwrap();
            assert_eq!(merged.structural_hash(), whole);
            assert_eq!(merged.heap_bytes(), merged.recount_bytes());
        }
    }
}

#[test]
fn programs_that_become_one_have_the_interpreters_of_all() {
    let execs: String =
        (0..20).map(|n| format!("fork {}<-1\nexec {0}<-1 /tmp/run-{n} --by=/i/{}\n", n + 10, n % 3)).collect();
    check(&format!("exec 1<-0 /bin/sh\n{execs}"), "/bin/sh\n  /tmp/run-* by=/i/0,/i/1,/i/2");
}

/// An application that reloads itself twice, five times, or by every way there is, has the programs of the second time.
#[test]
fn a_program_that_restarts_itself_is_where_it_was_the_time_before() {
    let tree = "
        /srv/app
          /usr/bin/env chain
            /usr/bin/ruby chain
              /srv/app
                /usr/bin/env chain
                  /usr/bin/ruby chain
                    - r /x
        ";
    let reload = |from: u32, to: u32| {
        format!(
            "fork {to}<-{from}
             exec {to}<-{from} /srv/app
             exec {to}<-{from} /usr/bin/env
             exec {to}<-{from} /usr/bin/ruby
             exit {from}\n"
        )
    };
    for times in 1..6 {
        let events: String = (0..times).map(|n| reload(10 + n, 11 + n)).collect();
        let events = format!(
            "exec 10<-1 /srv/app
             exec 10<-1 /usr/bin/env
             exec 10<-1 /usr/bin/ruby
             {events}open {} /x",
            10 + times
        );
        check(&events, tree);
    }
}

#[test]
fn programs_that_come_again_in_the_same_order_are_a_restart_and_others_are_not() {
    // One that starts itself by another, in one process: the third time is the second.
    check(
        "exec 1<-0 /a
         exec 1<-0 /b
         exec 1<-0 /a
         exec 1<-0 /b
         exec 1<-0 /a
         exec 1<-0 /c
         open 1 /x",
        "
        /a
          /b chain
            /a chain
              /b chain
              /c chain
                - r /x
        ",
    );
    // Another order, and more programs than are looked at.
    check(
        "exec 1<-0 /a
         exec 1<-0 /b
         exec 1<-0 /a
         exec 1<-0 /c
         exec 1<-0 /a",
        "
        /a
          /b chain
            /a chain
              /c chain
                /a chain
        ",
    );
    let long = |times: usize| {
        let one: String = (1..6).map(|n| format!("exec 1<-0 /p{n}\n")).collect();
        one.repeat(times)
    };
    let nodes = |events: &str| grow(events, &Rules::default()).0.stats().process_nodes;
    assert_eq!(nodes(&long(3)), 15);
    // By arguments too, where they are identity.
    let rules = Rules { differentiate_args: true, ..Rules::default() };
    check_with(
        &rules,
        "exec 1<-0 /a a 1
         exec 1<-0 /a a 2
         exec 1<-0 /a a 1
         exec 1<-0 /a a 2
         exec 1<-0 /a a 1
         exec 1<-0 /a a 3",
        r#"
        /a argv=["a", "1"]
          /a chain argv=["a", "2"]
            /a chain argv=["a", "1"]
              /a chain argv=["a", "2"]
              /a chain argv=["a", "3"]
        "#,
    );
}

/// Beyond the deepest program that is kept, one stands beside what ran it; a restart is known there all the same.
#[test]
fn a_restart_is_known_beyond_the_depth_that_is_kept() {
    let rules = Rules { lineage_depth: 2, ..Rules::default() };
    let twice = "exec 1<-0 /a\nexec 1<-0 /b\nexec 1<-0 /c\nexec 1<-0 /b\nexec 1<-0 /c\n";
    let tree = "
        /a
          /b chain
            - r /x
          /c chain
        ";
    check_with(&rules, &format!("{twice}exec 1<-0 /b\nopen 1 /x"), tree);
}

#[test]
fn arguments_have_no_identifiers() {
    let rules = Rules { differentiate_args: true, ..Rules::default() };
    check_with(
        &rules,
        "exec 1<-0 /init init
         fork 2<-1
         exec 2<-1 /bin/job job id=01234567-0000-4000-8000-0123456789ab
         fork 3<-1
         exec 3<-1 /bin/job job id=89abcdef-0000-4000-8000-0123456789ab",
        r#"
        /init argv=["init"]
          /bin/job argv=["job", "id=*"]
        "#,
    );
}
