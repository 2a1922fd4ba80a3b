//! Fork, exec, exit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use grove::event::{Body, Exec, Syscalls};

use crate::support::*;

fn execs(seen: &[Seen]) -> Vec<&Exec<Vec<u8>>> {
    seen.iter().filter_map(|s| if let Body::Exec(e) = &s.event.body { Some(e) } else { None }).collect()
}

#[test]
fn a_process_executes_and_exits() {
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
fn start_and_time_agree_with_the_rest_of_the_system() {
    let Some(mut w) = watch(&everything()) else { return };
    let unix_ns = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let before = unix_ns();
    let mut running = child(&["pause"]).spawn().unwrap();
    let pid = running.id();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    running.kill().unwrap();
    let seen = w.finish(running);
    assert_eq!(seen[0].event.start, Some(ticks * 10_000_000));
    assert!((before..unix_ns()).contains(&seen[0].event.ts));
    assert_eq!(line(seen.last().unwrap()), "exit 9");
}

#[test]
fn forks_are_told_before_what_the_child_does_and_threads_are_not() {
    let Some(mut w) = watch(&everything()) else { return };
    let parent = w.run(&mut child(&["fork", "3"]))[0].event.clone();
    let forked: Vec<_> =
        w.seen.iter().filter(|s| s.event.body == Body::Fork { ppid: parent.pid, ns_pid: None }).cloned().collect();
    assert_eq!(forked.len(), 3);
    for fork in forked {
        let of = w.of(fork.event.pid);
        assert_eq!(line(&of[0]), "fork");
        assert_eq!(line(of.last().unwrap()), "exit 0");
        assert!(of.iter().all(|s| s.event.start == fork.event.start && s.event.start >= parent.start));
    }
    let threaded = lines(&w.run(&mut child(&["thread"])));
    assert!(!threaded.contains(&"fork".into()), "{threaded:?}");
    assert_eq!(threaded.iter().filter(|l| l.starts_with("exit")).count(), 1);
}

#[test]
fn a_chain_of_execs_is_one_process() {
    let Some(mut w) = watch(&everything()) else { return };
    let helper = child_path().to_str().unwrap();
    let seen = w.run(Command::new("/bin/sh").args(["-c", &format!("exec {helper} exec {helper} exit 0")]));
    let paths: Vec<_> = execs(&seen).iter().map(|e| text(&e.path)).collect();
    let sh = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(paths, [sh.to_str().unwrap(), helper, helper]);
    assert!(seen.iter().all(|s| s.event.start == seen[0].event.start));
}

#[test]
fn an_exec_from_another_thread_is_of_the_process() {
    let Some(mut w) = watch(&everything()) else { return };
    let seen = w.run(&mut child(&["thread-exec", child_path().to_str().unwrap()]));
    assert_eq!(execs(&seen).len(), 2);
    assert!(seen.iter().all(|s| s.event.start == seen[0].event.start), "{:?}", lines(&seen));
    assert_eq!(line(seen.last().unwrap()), "exit 0");
    // The set that the old leader kept is told, before the program that took its place.
    let at = seen.iter().rposition(|s| matches!(s.event.body, Body::Exec(_))).unwrap();
    let clone3_or_clone = |nrs: &[u8]| grove::event::syscall_numbers(nrs).any(|n| n == 435 || n == 56);
    assert!(
        seen[..at]
            .iter()
            .any(|s| matches!(&s.event.body, Body::Syscalls(Syscalls { nrs, .. }) if clone3_or_clone(nrs))),
        "{:?}",
        lines(&seen)
    );
}

#[test]
fn a_script_is_told_with_its_interpreter() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh -e\nexit 4\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let seen = w.run(Command::new(&script).arg("arg"));
    let exec = execs(&seen)[0];
    assert_eq!(text(&exec.path), script.to_str().unwrap());
    let sh = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(text(exec.interpreter.as_ref().unwrap()), sh.to_str().unwrap());
    assert_eq!(text(exec.argv.as_ref().unwrap()), format!("/bin/sh\0-e\0{}\0arg\0", script.display()));
    assert_eq!(line(seen.last().unwrap()), "exit 1024");
}

/// A script is the file that it is in, by whatever name it was found, and as resolved as any program's.
#[test]
fn a_script_is_told_by_its_own_file_whatever_name_led_there() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let script = dir.join("script");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("script", dir.join("link")).unwrap();
    // A script that is run by a script is the first of the two.
    fs::write(dir.join("outer"), format!("#!{}\n", script.display())).unwrap();
    fs::set_permissions(dir.join("outer"), fs::Permissions::from_mode(0o755)).unwrap();
    let sh = fs::canonicalize("/bin/sh").unwrap();
    for (args, expected) in [
        (["exec", "link", ""], "script"),
        (["exec", "./../link", ""], "script"),
        (["exec", "/proc/self/cwd/link", ""], "script"),
        (["many-closing", "3000", "link"], "script"),
        (["exec", "outer", ""], "outer"),
    ] {
        let sub = dir.join("sub");
        fs::create_dir_all(&sub).unwrap();
        let at = if args[1].starts_with("./..") { &sub } else { &dir };
        let args: Vec<_> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let seen = w.run(child(&args).current_dir(at));
        let exec = execs(&seen)[1];
        assert_eq!(text(&exec.path), dir.join(expected).to_str().unwrap(), "{args:?}");
        assert_eq!(text(exec.interpreter.as_ref().unwrap()), sh.to_str().unwrap());
        assert!(seen.iter().all(|s| !s.said || !matches!(s.event.body, Body::Exec(_))));
    }
}

/// The marks of a script are those of its own file, not of its interpreter's.
#[test]
fn a_script_without_a_file_is_marked() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\nexit 3\n").unwrap();
    let seen = w.run(&mut child(&["memfd", script.to_str().unwrap()]));
    let exec = execs(&seen)[1];
    assert_eq!(text(&exec.path), "memfd:nameless");
    assert!(exec.fileless && exec.interpreter.is_some());
    assert_eq!(line(seen.last().unwrap()), "exit 768");
}

#[test]
fn a_program_without_a_file_is_marked() {
    let Some(mut w) = watch(&everything()) else { return };
    let seen = w.run(&mut child(&["memfd", child_path().to_str().unwrap()]));
    let exec = execs(&seen)[1];
    assert!(exec.fileless && !execs(&seen)[0].fileless);
    assert_eq!(text(&exec.path), "memfd:nameless");
    let detached: Vec<_> = seen.iter().filter(|s| matches!(s.event.body, Body::Exec(_))).map(|s| s.detached).collect();
    assert_eq!(detached, [false, true]);
    assert_eq!(line(seen.last().unwrap()), "exit 0");
}

#[test]
fn arguments_are_told_up_to_eight_kib() {
    let Some(mut w) = watch(&everything()) else { return };
    for (bytes, cut) in [(5000, false), (20_000, true)] {
        let long = "a".repeat(bytes);
        let seen = w.run(&mut child(&["exit", "0", &long]));
        let exec = execs(&seen)[0];
        let argv = exec.argv.as_ref().unwrap();
        assert_eq!(exec.argv_truncated, cut);
        if cut {
            assert_eq!(argv.len(), 8192);
        } else {
            assert!(argv.ends_with(format!("\0{long}\0").as_bytes()));
        }
    }
}

/// Which is what its `/proc/N` means.
#[test]
fn a_process_in_a_pid_namespace_is_told_with_its_number_there() {
    let Some(mut w) = watch(&only_followed(everything())) else { return };
    let script = format!("{0} exit; {0} exit; :", child_path().display());
    let outside =
        run_program_unread(&mut w, Path::new("/usr/bin/unshare"), &["--pid", "--fork", "/bin/sh", "-c", &script]);
    w.drain();
    let told = |s: &Seen| match &s.event.body {
        Body::Fork { ns_pid, .. } => Some(("fork".to_owned(), *ns_pid)),
        Body::Exec(e) => Some((text(e.path.rsplit(|b| *b == b'/').next().unwrap()), e.ns_pid)),
        _ => None,
    };
    let inside: Vec<_> = w.seen.iter().filter(|s| s.event.pid != outside).filter_map(told).collect();
    let child = text(child_path().file_name().unwrap().as_encoded_bytes());
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let shell = text(shell.file_name().unwrap().as_encoded_bytes());
    let expected = [("fork", 1), (&shell, 1), ("fork", 2), (&child, 2), ("fork", 3), (&child, 3)];
    assert_eq!(inside, expected.map(|(what, number)| (what.to_owned(), Some(number))), "{:#?}", lines(&w.seen));
    // Of who is in the initial one it is the pid.
    assert!(w.of(outside).iter().filter_map(told).all(|(_, number)| number.is_none()));
}

#[test]
fn a_file_on_the_upper_layer_is_marked() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().canonicalize().unwrap();
    // On a tmpfs, since an overlay may be below already, and seen by these processes only.
    let script = format!(
        "mount -t tmpfs none {at} && cd {at} && mkdir lower upper work merged && cp {helper} lower/image \
         && printf '#!{at}/merged/image exit\\n' > lower/by-image && printf '#!{at}/merged/later exit\\n' > lower/by-later \
         && printf '#!{at}/merged/script\\n' > lower/by-chain && chmod +x lower/by-* && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged \
         && cp merged/image merged/later && merged/image exit && merged/later exit \
         && printf '#!/bin/sh\\n:\\n' > merged/script && chmod +x merged/script && merged/script \
         && merged/by-image && merged/by-later && merged/by-chain",
        at = at.display(),
        helper = child_path().display(),
    );
    let seen = w.run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert_eq!(seen.last().map(line), Some("exit 0".into()));
    let marks: Vec<_> = execs(&w.seen)
        .iter()
        .filter(|e| e.path.windows(8).any(|part| part == b"/merged/"))
        .map(|e| (text(&e.path).rsplit('/').next().unwrap().to_owned(), e.upper_layer))
        .collect();
    // Of a script whatever runs it counts as well, by whatever way.
    let expected = [
        ("image", false),
        ("later", true),
        ("script", true),
        ("by-image", false),
        ("by-later", true),
        ("by-chain", true),
    ];
    assert_eq!(marks, expected.map(|(name, upper)| (name.to_owned(), upper)));
}
