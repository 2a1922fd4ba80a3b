//! Which process is which: every rule of the trace format about forks, execs, exits and lost events. A test a rule.
//!
//! Not here: what makes two programs one (`programs`).

use crate::common::{check, check_with};
use grove::event::{Body, EventRef, Exec, Open};
use grove::intern::Interner;
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
        events += &format!("fork {0}<-1\nexec {0}<-1 /srv/job{i}\n", 100 + i);
    }
    events += "exec 100<-1 /srv/job0\nexec 100<-1 /srv/job1\nopen 100 /x\n";
    check(
        &events,
        "
        /bin/sh
          /srv/*
            /srv/job1 chain
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
        let body = Body::Fork { ppid: 1, ns_pid: None };
        tree.insert(&EventRef::new(1, b"c", 2, body).with_start(Some(start)));
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
        tree.insert(&EventRef::new(1, b"c", pid, body));
        assert!(tree.processes() <= 64, "{}", tree.processes());
    };
    let path: &[u8] = b"/bin/supervisor";
    let exec = Exec::new(0, path);
    insert(1, Body::Exec(exec));
    // The supervisor does nothing but fork; its children's exits are lost.
    for pid in 2..10_000 {
        insert(pid, Body::Fork { ppid: 1, ns_pid: None });
        insert(pid, Body::Open(Open::new(b"/by-a-child", 0, 0)));
    }
    assert_eq!(crate::common::picture_of(tree.tree()), "/bin/supervisor\n  - r /by-a-child\n");
}

#[test]
fn a_process_table_of_no_room_at_all_is_survived() {
    let rules = Rules { processes_max: 0, ..Rules::default() };
    check_with(&rules, "exec 1<-0 /a\nfork 2<-1\nexec 2<-1 /b\nopen 3 /x", "/a\n  /b\n<unknown>\n  - r /x");
}
