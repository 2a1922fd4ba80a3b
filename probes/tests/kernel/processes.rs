//! Fork, exec, exit.

use grove::event::{Body, Exec};

use crate::support::*;

fn execs(seen: &[Seen]) -> Vec<&Exec<Vec<u8>>> {
    seen.iter().filter_map(|s| if let Body::Exec(e) = &s.event.body { Some(e) } else { None }).collect()
}

#[test]
fn a_process_forks_executes_and_exits() {
    let Some(mut w) = watch(&everything()) else { return };
    let seen = w.run(&mut child(&["exit", "3"]));
    // What it did before its exec, as a fork of ours, is not told.
    assert!(matches!(seen[0].event.body, Body::Exec(_)), "{:?}", lines(&seen));
    let exec = execs(&seen)[0];
    assert_eq!(text(&exec.path), child_path().to_str().unwrap());
    assert_eq!(exec.ppid, std::process::id());
    assert_eq!(exec.argv.as_deref(), Some(format!("{}\0exit\x003\0", child_path().display()).as_bytes()));
    assert_eq!((exec.uid, exec.gid, exec.argv_truncated, exec.fileless), (Some(0), Some(0), false, false));
    assert_eq!(text(exec.cwd.as_ref().unwrap()), std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(line(seen.last().unwrap()), "exit 768");
    // One start time for all, and in order.
    let start = seen[0].event.start.unwrap();
    assert!(seen.iter().all(|s| s.event.start == Some(start)));
    assert!(seen.is_sorted_by_key(|s| s.event.ts));
}

#[test]
fn forks_are_told_before_what_the_child_does_and_threads_are_not() {
    let Some(mut w) = watch(&everything()) else { return };
    let parent = w.run(&mut child(&["fork", "3"]))[0].event.clone();
    let forked: Vec<_> = w.seen.iter().filter(|s| s.event.body == Body::Fork { ppid: parent.pid }).cloned().collect();
    assert_eq!(forked.len(), 3);
    for fork in forked {
        let of = w.of(fork.event.pid);
        assert_eq!(line(&of[0]), "fork");
        assert_eq!(line(of.last().unwrap()), "exit 0");
        assert!(of.iter().all(|s| s.event.start == fork.event.start && s.event.start >= parent.start));
    }
    let before = w.seen.len();
    let threaded = lines(&w.run(&mut child(&["thread"])));
    assert!(!threaded.contains(&"fork".into()), "{threaded:?}");
    assert_eq!(threaded.iter().filter(|l| l.starts_with("exit")).count(), 1);
    assert!(w.seen.len() > before);
}
