//! Sets of system calls; capabilities.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use grove::event::{Body, Capability, Syscalls, syscall_numbers};

use crate::support::*;

const PAUSE: u32 = 34;
const EXECVE: u32 = 59;
const EXIT: u32 = 60;
const EXIT_GROUP: u32 = 231;

fn calls(seen: &[Seen]) -> Vec<BTreeSet<u32>> {
    let set = |s: &Seen| match &s.event.body {
        Body::Syscalls(Syscalls { nrs, .. }) => Some(syscall_numbers(nrs).collect()),
        _ => None,
    };
    seen.iter().filter_map(set).collect()
}

#[test]
fn calls_are_told_at_exec_and_exit_for_the_program_that_made_them() {
    let Some(mut w) = watch(&everything()) else { return };
    let helper = child_path().to_str().unwrap();
    let seen = w.run(&mut child(&["exec", helper, "exit", "0"]));
    let sets = calls(&seen);
    assert_eq!(sets.len(), 2, "{sets:?}");
    assert!(sets[0].contains(&EXECVE) && !sets[0].contains(&EXIT_GROUP), "{sets:?}");
    assert!(!sets[1].contains(&EXECVE) && sets[1].contains(&EXIT_GROUP), "{sets:?}");
    // Every set comes before what ends its program.
    let order: Vec<_> = lines(&seen).iter().filter_map(|l| l.split([' ', '{', '(']).next().map(String::from)).collect();
    let ends: Vec<_> = order.iter().filter(|l| ["exec", "Syscalls", "exit"].contains(&l.as_str())).collect();
    assert_eq!(ends, ["exec", "Syscalls", "exec", "Syscalls", "exit"]);
}

/// It does not return, so nothing that waits for calls to return sees it.
#[test]
fn the_exit_of_a_thread_is_told_as_that_of_a_process_is() {
    let Some(mut w) = watch(&everything()) else { return };
    let told = |seen: &[Seen]| calls(seen).into_iter().flatten().collect::<BTreeSet<u32>>();
    let with = told(&w.run(&mut child(&["thread"])));
    assert!(with.contains(&EXIT) && with.contains(&EXIT_GROUP), "{with:?}");
    let without = told(&w.run(&mut child(&["exit", "0"])));
    assert!(!without.contains(&EXIT) && without.contains(&EXIT_GROUP), "{without:?}");
}

#[test]
fn a_flush_tells_of_the_call_that_a_process_sleeps_in() {
    let Some(mut w) = watch(&everything()) else { return };
    let mut running = child(&["pause"]).spawn().unwrap();
    let pid = running.id();
    std::thread::sleep(std::time::Duration::from_millis(200));
    w.drain();
    assert!(calls(&w.of(pid)).is_empty());
    w.probes.flush_syscalls().unwrap();
    w.drain();
    let sets = calls(&w.of(pid));
    assert!(sets.len() == 1 && sets[0].contains(&PAUSE), "{sets:?}");
    // Told once: the next set is of what came since, which is only that it still sleeps.
    w.probes.flush_syscalls().unwrap();
    w.drain();
    assert_eq!(calls(&w.of(pid))[1..], [BTreeSet::from([PAUSE])]);
    running.kill().unwrap();
    w.finish(running);
}

/// Each thread's call is told with the set of the same flush: there may be no other.
#[test]
fn one_flush_tells_of_the_call_that_each_thread_sleeps_in() {
    const READ: u32 = 0;
    const SELECT: [u32; 2] = [23, 270];
    let Some(mut w) = watch(&everything()) else { return };
    for (args, paused) in [(&["wait-in-threads"][..], true), (&["wait-in-threads", "alone"], false)] {
        let mut running = child(args).spawn().unwrap();
        let pid = running.id();
        std::thread::sleep(std::time::Duration::from_millis(500));
        w.probes.flush_syscalls().unwrap();
        w.drain();
        let told: BTreeSet<u32> = calls(&w.of(pid)).into_iter().flatten().collect();
        assert!(told.contains(&READ) && SELECT.iter().any(|nr| told.contains(nr)), "{args:?}: {told:?}");
        assert_eq!(told.contains(&PAUSE), paused, "{told:?}");
        running.kill().unwrap();
        w.finish(running);
    }
}

#[test]
fn the_calls_that_strace_sees_are_told() {
    let Some(mut w) = watch(&everything()) else { return };
    let Ok(version) = Command::new("strace").arg("-V").output() else {
        skipped("strace is not installed");
        return;
    };
    assert!(version.status.success());
    let log = tempfile::NamedTempFile::new().unwrap();
    // Raw numbers, so that no table of names is needed.
    w.run(
        Command::new("strace")
            .args(["-qq", "-n", "-o"])
            .arg(log.path())
            .arg(child_path())
            .args(["exit", "0", "traced"]),
    );
    let text = std::fs::read_to_string(log.path()).unwrap();
    let expected: BTreeSet<u32> =
        text.lines().filter_map(|l| l.strip_prefix('[')?.split(']').next()?.trim().parse().ok()).collect();
    assert!(expected.len() > 10, "{text}");
    let ours = |s: &&Seen| matches!(&s.event.body, Body::Exec(e) if e.argv.as_ref().is_some_and(|a| a.ends_with(b"\0traced\0") && !a.starts_with(b"strace")));
    let traced = w.seen.iter().find(ours).unwrap().event.pid;
    let of = w.of(traced);
    let told: BTreeSet<u32> = calls(&of).into_iter().flatten().collect();
    let missing: Vec<_> = expected.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?} of {:#?}", lines(&of));
}

fn capabilities(seen: &[Seen]) -> BTreeSet<(u8, bool)> {
    let one = |s: &Seen| match s.event.body {
        Body::Capability(Capability { cap, used, .. }) => Some((cap, used)),
        _ => None,
    };
    seen.iter().filter_map(one).collect()
}

#[test]
fn capabilities_are_told_as_used_or_refused() {
    const SYS_CHROOT: u8 = 18;
    const SETUID: u8 = 7;
    let Some(mut w) = watch(&everything()) else { return };
    let told = capabilities(&w.run(&mut child(&["chroot", "/"])));
    assert!(told.contains(&(SYS_CHROOT, true)) && !told.contains(&(SYS_CHROOT, false)), "{told:?}");
    let helper = child_path().to_str().unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", helper, "chroot", "/"];
    let seen = w.run(Command::new("setpriv").args(nobody));
    // Two programs of one process: setpriv used what the helper lacked.
    let at = seen.iter().rposition(|s| matches!(s.event.body, Body::Exec(_))).unwrap();
    assert!(capabilities(&seen[..at]).contains(&(SETUID, true)));
    let told = capabilities(&seen[at..]);
    assert!(told.contains(&(SYS_CHROOT, false)) && !told.contains(&(SYS_CHROOT, true)), "{told:?}");
}

#[test]
fn reserving_memory_uses_no_capability() {
    const SYS_ADMIN: u8 = 21;
    let Some(mut w) = watch(&everything()) else { return };
    let told = capabilities(&w.run(&mut child(&["fork", "1"])));
    assert!(!told.iter().any(|(cap, _)| *cap == SYS_ADMIN), "{told:?}");
    // Files of a tmpfs are memory too.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let script = "cd \"$0\" && echo x > a && cp a b && cat a >> b && ln -s $(printf %0500d 0) c && mv b d";
    w.run(Command::new("sh").args(["-c", script]).arg(dir.path()));
    assert!(dir.path().join("c").is_symlink() && dir.path().join("d").is_file());
    let told = capabilities(&w.seen);
    assert!(!told.iter().any(|(cap, _)| *cap == SYS_ADMIN), "{told:?}");
    let told = capabilities(&w.run(Command::new("unshare").args(["--uts", "true"])));
    assert!(told.contains(&(SYS_ADMIN, true)), "{told:?}");
}

/// An overlay checks with the credentials of whoever mounted it, all along its layers: what its users never had, they do not
/// use.
#[test]
fn capabilities_of_who_mounted_an_overlay_are_not_its_users() {
    const CHOWN: u8 = 0;
    let Some(mut w) = watch(&only_followed(everything())) else { return };
    let dir = tempfile::tempdir().unwrap();
    let files = "open merged/old =2 , creat merged/made =0600 , mkdir merged/dir =0700 , rename merged/made merged/dir/made , \
                 unlink merged/gone , open merged/dir =0200000";
    // Whoever runs the helper is root without any capability, and then has all that root has.
    let script = format!(
        "set -e; mount -t tmpfs none \"$0\"; cd \"$0\"; mkdir lower upper work merged; echo x > lower/old; echo x > lower/gone; \
         mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged; \
         setpriv --bounding-set=-all --inh-caps=-all {helper} calls {files}; \
         {helper} calls chown merged/old =1 =1; :",
        helper = child_path().display(),
    );
    let args = ["-m", "sh", "-c", &script, dir.path().to_str().unwrap()];
    run_program_unread(&mut w, Path::new("/usr/bin/unshare"), &args);
    w.drain();
    let ran = format!("exec {}", child_path().display());
    let of_helper = |pid: u32| {
        let of = w.of(pid);
        let at = of.iter().rposition(|s| line(s) == ran).unwrap();
        of[at..].to_vec()
    };
    let ran: Vec<_> = w.seen.iter().filter(|s| line(s) == ran).map(|s| s.event.pid).collect();
    let [without, with] = ran[..] else { panic!("{:#?}", lines(&w.seen)) };
    let did = lines(&of_helper(without));
    for expected in ["open", "create", "mkdir", "rename", "delete"] {
        assert!(did.iter().any(|line| line.starts_with(expected) && line.contains("/merged/")), "{expected}: {did:#?}");
    }
    assert_eq!(capabilities(&of_helper(without)), BTreeSet::new());
    assert_eq!(capabilities(&of_helper(with)), BTreeSet::from([(CHOWN, true)]));
}
