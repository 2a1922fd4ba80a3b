//! Which process is which: every rule of the trace format about forks, execs, exits and lost events, and what makes
//! two programs one node. A test a rule.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{check, check_with};
use grove::event::{Body, EventRef, Exec};
use grove::intern::Interner;
use grove::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use grove::tree::{ActivityTree, Rules};
use std::sync::Arc;

#[test]
fn a_fork_alone_makes_no_node_and_its_doings_are_its_parents() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         open 2 /etc/passwd
         fork 3<-2
         open 3 /etc/group w",
        "
        /bin/sh
          - w /etc/group
          - r /etc/passwd
        ",
    );
    assert_eq!((ledger.lifecycle, ledger.applied_new), (2, 3));
}

#[test]
fn an_exec_after_a_fork_is_a_child_and_one_without_a_chain() {
    check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/ls
         exec 1<-0 /usr/bin/python
         open 1 /x",
        "
        /bin/sh
          /bin/ls
          /usr/bin/python chain
            - r /x
        ",
    );
}

#[test]
fn an_exec_of_what_already_runs_makes_no_node_and_still_is_an_exec() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/../bin//sh
         exec 2<-1 /bin/ls",
        "
        /bin/sh
          /bin/ls chain
        ",
    );
    assert_eq!(ledger.applied_known, 1);
}

#[test]
fn what_already_runs_is_compared_before_generalisation() {
    // Seventeen programs of one shape become a pattern; an exec of another one of them is still another program.
    let mut events = String::from("exec 1<-0 /bin/sh\n");
    for i in 0..17 {
        events += &format!("fork {0}<-1\nexec {0}<-1 /opt/job{i}\n", 100 + i);
    }
    events += "exec 100<-1 /opt/job0\nexec 100<-1 /opt/job1\nopen 100 /x\n";
    check(
        &events,
        "
        /bin/sh
          /opt/*
            /opt/job1 chain
              - r /x
        ",
    );
}

#[test]
fn a_chain_of_execs_is_marked_at_every_link_but_the_first() {
    check(
        "exec 1<-0 /entrypoint.sh
         exec 1<-0 /sbin/tini
         exec 1<-0 /usr/bin/app
         fork 2<-1
         exec 2<-1 /bin/true",
        "
        /entrypoint.sh
          /sbin/tini chain
            /usr/bin/app chain
              /bin/true
        ",
    );
}

#[test]
fn a_fork_of_a_live_pid_replaces_it_when_its_exit_was_lost() {
    check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/ls
         fork 2<-1
         open 2 /by-sh
         exec 2<-1 /bin/cat",
        "
        /bin/sh
          - r /by-sh
          /bin/cat
          /bin/ls
        ",
    );
}

#[test]
fn an_exit_frees_the_pid() {
    let ledger = check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/ls
         exit 2
         open 2 /late",
        "
        /bin/sh
          /bin/ls
        <unknown>
          - r /late
        ",
    );
    assert_eq!((ledger.lifecycle, ledger.applied_new), (2, 3));
}

#[test]
fn with_start_times_interleaved_processes_of_one_pid_are_kept_apart() {
    check(
        "exec 1@1<-0 /bin/sh
         fork 2@10<-1
         exec 2@10<-1 /bin/old
         fork 2@20<-1
         exec 2@20<-1 /bin/new
         open 2@10 /by-old
         open 2@20 /by-new
         exit 2@10
         open 2@20 /by-new2
         open 2@10 /after-exit",
        "
        /bin/sh
          /bin/new
            - r /by-new
            - r /by-new2
          /bin/old
            - r /by-old
        <unknown>
          - r /after-exit
        ",
    );
}

#[test]
fn with_start_times_a_late_fork_of_an_earlier_process_does_not_take_the_pid() {
    check(
        "exec 1@1<-0 /bin/sh
         fork 2@20<-1
         exec 2@20<-1 /bin/new
         fork 2@10<-1
         exec 2@10<-1 /bin/old
         open 2@20 /by-new
         open 2@10 /by-old
         exit 2@20
         open 2@10 /by-old2",
        "
        /bin/sh
          /bin/new
            - r /by-new
          /bin/old
            - r /by-old
            - r /by-old2
        ",
    );
}

#[test]
fn with_start_times_a_parent_of_another_pid_never_tells_processes_apart() {
    // Its recorded parent still runs, and yet it is the same process: (pid, start) says so.
    check(
        "exec 1@1<-0 /bin/sh
         fork 2@10<-1
         exec 2@10<-1 /bin/a
         exec 2@10<-7 /bin/b",
        "
        /bin/sh
          /bin/a
            /bin/b chain
        ",
    );
}

#[test]
fn a_start_that_is_told_later_is_that_of_the_process_on_record() {
    check(
        "exec 1<-0 /bin/sh
         fork 2<-1
         exec 2<-1 /bin/a
         open 2@5 /a1
         open 2 /a2
         open 2@6 /other",
        "
        /bin/sh
          /bin/a
            - r /a1
            - r /a2
        <unknown>
          - r /other
        ",
    );
}

#[test]
fn many_starts_of_one_pid_do_not_grow_without_bound() {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &Interner::new().intern("1").unwrap());
    for start in 0..10_000 {
        let body = Body::Fork { ppid: 1 };
        tree.insert(&EventRef { ts: 1, container: b"c", pid: 2, start: Some(start), body });
    }
    assert!(tree.processes() <= 100, "{}", tree.processes());
}

#[test]
fn a_lost_fork_is_made_up_for_by_the_exec() {
    check(
        "exec 1<-0 /bin/sh
         exec 2<-1 /bin/ls
         exec 3<-2 /bin/cat",
        "
        /bin/sh
          /bin/ls
            /bin/cat
        ",
    );
}

#[test]
fn an_exec_with_another_parent_is_the_same_process_if_the_recorded_parent_is_gone() {
    check(
        "exec 1<-0 /bin/init
         fork 2<-1
         exec 2<-1 /bin/sh
         fork 3<-2
         exec 3<-2 /bin/a
         exit 2
         exec 3<-1 /bin/b",
        "
        /bin/init
          /bin/sh
            /bin/a
              /bin/b chain
        ",
    );
}

#[test]
fn an_exec_with_another_parent_is_another_process_if_the_recorded_parent_is_there() {
    check(
        "exec 1<-0 /bin/init
         fork 2<-1
         exec 2<-1 /bin/sh
         fork 3<-2
         exec 3<-2 /bin/a
         exec 3<-1 /bin/b
         exec 3<-77 /bin/c",
        "
        /bin/c
        /bin/init
          /bin/b
          /bin/sh
            /bin/a
        ",
    );
}

#[test]
fn the_new_parent_is_on_record_after_a_re_parented_exec() {
    check(
        "exec 1<-0 /bin/init
         fork 2<-1
         exec 2<-1 /bin/sh
         fork 3<-2
         exec 3<-2 /bin/a
         exit 2
         exec 3<-1 /bin/b
         exec 3<-9 /bin/c",
        "
        /bin/c
        /bin/init
          /bin/sh
            /bin/a
              /bin/b chain
        ",
    );
}

#[test]
fn a_process_met_mid_way_lives_under_unknown_and_its_exec_is_a_root() {
    check(
        "open 5 /etc/hosts
         exec 5<-4 /bin/ls
         open 5 /x",
        "
        /bin/ls
          - r /x
        <unknown>
          - r /etc/hosts
        ",
    );
}

#[test]
fn unknown_is_written_only_if_it_did_something() {
    let ledger = check(
        "fork 5<-4
         exec 5<-4 /bin/ls
         open 6 /x fail
         open 7 relative
         exit 8
         syscalls 9 0
         capability 10 2 refused",
        "
        /bin/ls
        <unknown>
          - syscall read
          - capability CAP_DAC_READ_SEARCH refused
        ",
    );
    assert_eq!((ledger.lifecycle, ledger.ignored_total()), (2, 2));
    check("fork 5<-4\nexec 5<-4 /bin/ls\nopen 6 /x fail\nexit 8", "/bin/ls");
}

#[test]
fn a_fork_of_an_unknown_process_is_unknown_too() {
    // Whether the parent was met before its fork or not must make no difference.
    for first in ["open 4 /x", ""] {
        let unknown = if first.is_empty() { "" } else { "<unknown>\n  - r /x" };
        check(&format!("{first}\nfork 5<-4\nexec 5<-4 /bin/ls"), &format!("/bin/ls\n{unknown}"));
    }
}

#[test]
fn an_exec_of_a_process_not_in_the_table_is_a_child_of_a_parent_that_is() {
    check(
        "exec 9<-8 /bin/root
         open 4 /x
         exec 5<-4 /bin/child",
        "
        /bin/root
        <unknown>
          - r /x
          /bin/child
        ",
    );
}

#[test]
fn the_runtime_s_set_up_is_not_the_workload_s() {
    for runtime in [
        "/usr/bin/runc",
        "/usr/sbin/crun",
        "youki",
        "/usr/bin/conmon",
        "/usr/bin/docker-runc",
        "/usr/bin/containerd-shim",
        "/usr/bin/containerd-shim-runc-v2",
        "runc:[2:INIT]",
        "/proc/self/exe/runc:[1:CHILD]",
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
         exec 6<-1 /bin/toybox",
        "
        /bin/busybox argv0=sh
          /bin/busybox argv0=ls
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
        let exec = Exec { path: b"/bin/busybox".as_slice(), argv: Some(&argv), ..Exec::default() };
        tree.insert(&EventRef { ts: 1, container: b"c", pid: 1, start: None, body: Body::Exec(exec) });
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
fn a_process_whose_relative_program_cannot_be_resolved_is_not_its_parent_s_program_any_more() {
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
        /bin/later
        /bin/sh
          - r /before
        <unknown>
          - r /x
          - r /y
          /bin/below
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RelativePath), 2);
    check("exec 1<-0 /bin/sh\nexec 1<-0 bin/tool", "/bin/sh");
}

#[test]
fn what_the_workload_runs_is_not_set_up_whatever_it_is_called() {
    let ledger = check(
        "exec 1<-0 /bin/app
         fork 2<-1
         exec 2<-1 /tmp/runc
         open 2 /etc/shadow
         fork 3<-2
         exec 3<-2 conmon --cwd=/tmp
         open 3 /x
         exec 3<-2 rel/tool --cwd=none
         exec 3<-2 /tmp/crun
         open 3 /y",
        "
        /bin/app
          /tmp/runc
            - r /etc/shadow
            /tmp/conmon
              - r /x
        /tmp/crun
          - r /y
        ",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 0);
    // A process that the runtime puts into a running container has no past there.
    let ledger = check(
        "exec 1<-0 /bin/app
         exec 7<-1 runc:[2:INIT]
         open 7 /proc/self/attr/exec w
         exec 7<-1 /bin/sh
         exec 7<-1 /usr/bin/runc",
        "/bin/app\n/bin/sh\n  /usr/bin/runc chain",
    );
    assert_eq!(ledger.ignored(Ignored::RuntimeSetup), 2);
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

#[test]
fn from_the_deepest_lineage_on_programs_stand_beside_the_one_that_ran_them() {
    let mut events = String::new();
    for i in 1..=6 {
        let name = char::from(b'a' + i as u8 - 1);
        events += &format!("exec {i}<-{} /bin/{name}\n", i - 1);
    }
    check_with(
        &Rules { lineage_depth: 3, ..Rules::default() },
        &events,
        "
        /bin/a
          /bin/b
            /bin/c
            /bin/d
            /bin/e
            /bin/f
        ",
    );
}

#[test]
fn a_full_process_table_forgets_those_that_did_nothing_for_longest() {
    let rules = Rules { processes_max: 64, ..Rules::default() };
    let mut tree = ActivityTree::new(Arc::new(rules), &Interner::new().intern("1").unwrap());
    let mut insert = |pid, body: Body<&[u8]>| {
        tree.insert(&EventRef { ts: 1, container: b"c", pid, start: None, body });
        assert!(tree.processes() <= 64, "{}", tree.processes());
    };
    let path: &[u8] = b"/bin/supervisor";
    let exec = Exec { path, ..Exec::default() };
    insert(1, Body::Exec(exec));
    // The supervisor does nothing but fork; its children's exits are lost.
    for pid in 2..10_000 {
        insert(pid, Body::Fork { ppid: 1 });
        insert(pid, Body::Open { path: b"/by-a-child", flags: 0, ret: 0 });
    }
    assert_eq!(common::picture_of(tree.tree()), "/bin/supervisor\n  - r /by-a-child\n");
}

#[test]
fn a_process_table_of_no_room_at_all_is_survived() {
    let rules = Rules { processes_max: 0, ..Rules::default() };
    check_with(&rules, "exec 1<-0 /a\nfork 2<-1\nexec 2<-1 /b\nopen 3 /x", "/a\n  /b\n<unknown>\n  - r /x");
}

/// Applies events whose paths the small language cannot spell.
fn opens(pid: u32, paths: &[&[u8]]) -> (String, Ledger) {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &Interner::new().intern("1").unwrap());
    let mut ledger = Ledger::default();
    for path in paths {
        let body = Body::Open { path: *path, flags: 0, ret: 0 };
        ledger.count(tree.insert(&EventRef { ts: 1, container: b"c", pid, start: None, body }));
    }
    (common::picture_of(tree.tree()), ledger)
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
    let body = Body::Dns { name: b"a\0b".as_slice(), qtype: 1 };
    let fate = tree.insert(&EventRef { ts: 1, container: b"c", pid: 1, start: None, body });
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
    let (tree, _) = common::grow(
        "5s exec 1<-0 /a
         9s open 1 /x
         3s open 1 /x",
        &Rules::default(),
    );
    let docs = tree.tree().to_docs();
    let seen = |s: &grove::profile::Seen| s["1"].map(|t| t.0 / 1_000_000_000);
    assert_eq!((seen(&docs[0].seen), seen(&docs[0].files[0].seen)), ([3, 9], [3, 9]));
}

#[test]
fn an_event_of_a_process_whose_program_was_not_kept_is_lost_by_name() {
    let rules = Rules { tree_bytes: 0, ..Rules::default() };
    let ledger = check_with(&rules, "exec 1<-0 /a\nopen 1 /x\nfork 2<-1\nexec 2<-1 /b\nopen 3 /y", "");
    assert_eq!((ledger.dropped(Dropped::TreeFull), ledger.lifecycle), (4, 1));
}
