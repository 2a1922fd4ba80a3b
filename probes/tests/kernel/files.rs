//! Opened files: by every call, with the path that the container sees.

use std::fs;
use std::os::unix::fs::symlink;

use grove::event::{Body, Open};
use grove_probes::kernel::{Failures, Options};

use crate::support::*;

/// Runs the helper in a directory of its own and compares one line of what it did.
#[track_caller]
fn check(args: &[&str], expected: &str) {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/file"), "x").unwrap();
    symlink("sub/file", dir.join("link")).unwrap();
    let seen = w.run(child(args).current_dir(&dir));
    let pid = seen.first().map_or_else(String::new, |s| format!("/{}/", s.event.pid));
    let plain = |line: &String| line.replace(dir.to_str().unwrap(), "DIR").replace(&pid, "/PID/");
    let told: Vec<_> = lines(&seen).iter().map(plain).collect();
    assert!(told.contains(&expected.to_string()), "{expected} is not in {told:#?}");
}

#[test]
fn open_by_a_relative_path() {
    check(&["open", "sub/file"], "open DIR/sub/file");
}

#[test]
fn open_lands_where_dots_and_links_lead() {
    check(&["open", "sub/../link"], "open DIR/sub/file");
}

#[test]
fn open_after_chdir() {
    check(&["chdir-open", "sub", "file"], "open DIR/sub/file");
}

#[test]
fn openat_a_directory_descriptor() {
    check(&["openat", "sub", "file"], "open DIR/sub/file");
}

#[test]
fn openat2() {
    check(&["openat2", "sub/file"], "open DIR/sub/file");
}

#[test]
fn creat() {
    check(&["creat", "new"], "open DIR/new");
}

#[test]
fn io_uring() {
    check(&["uring", "link"], "open DIR/sub/file");
}

/// A 64-bit program can make 32-bit calls as well.
#[test]
fn by_32_bit_calls() {
    check(&["32-open", "link"], "open DIR/sub/file");
    check(&["32-openat", "sub/../link"], "open DIR/sub/file");
    check(&["32-creat", "made"], "open DIR/made");
    check(&["32-open", "absent"], "open DIR/absent -2");
}

#[test]
fn io_uring_that_fails() {
    check(&["uring", "absent"], "open DIR/absent -2");
}

/// The names that rings open files by without saying where they are, and those of failed attempts, begin where they
/// began for the program.
#[test]
fn a_name_that_is_told_as_it_was_said_is_told_below_where_it_begins() {
    check(&["uring-direct", "cwd", "sub", "file"], "open DIR/sub/file");
    check(&["uring-silent", "cwd", "sub", "file"], "open DIR/sub/file");
    check(&["uring-silent", "fd", "sub", "file"], "open DIR/sub/file");
    check(&["chdir-open", "sub", "absent"], "open DIR/sub/absent -2");
    check(&["openat", "sub", "absent"], "open DIR/sub/absent -2");
    check(&["chdir-open", "/", "absent"], "open /absent -2");
    check(&["chdir-open", "/proc/self", "ns/net"], "open /proc/PID/ns/net");
}

/// A file in the ring's own table has no number to look it up by, and may have been taken away when the ring tells that
/// it was opened. It is told all the same, not the name that was asked for. Links are left to another thread if they were
/// not read lately, dots are not.
#[test]
fn a_file_in_a_rings_own_table_is_told_by_where_the_name_led() {
    check(&["uring-direct", "cwd", "sub", "../link"], "open DIR/sub/file");
    check(&["uring-direct", "fd", "sub", "../link"], "open DIR/sub/file");
    check(&["uring-taken", "cwd", "sub", "../sub/file"], "open DIR/sub/file");
    check(&["uring-silent", "cwd", "sub", "../sub/file"], "open DIR/sub/file");
}

#[test]
fn what_was_said_is_marked_and_what_was_walked_is_not() {
    let Some(mut w) = watch(&everything()) else { return };
    for (path, said) in [("/etc/passwd", false), ("/etc/absent", true)] {
        let seen = w.run(&mut child(&["open", path]));
        let open = seen.iter().find(|s| line(s).starts_with(&format!("open {path}"))).unwrap();
        assert_eq!(open.said, said, "{path}");
    }
}

#[test]
fn a_failure_is_told_as_it_was_said() {
    check(&["open", "sub/../absent"], "open DIR/sub/../absent -2");
    check(&["openat2", "sub"], "open DIR/sub -21");
}

#[test]
fn a_file_in_no_directory_is_told_as_it_was_said() {
    check(&["open", "/proc/self/ns/net"], "open /proc/self/ns/net");
}

#[test]
fn a_pipe_is_told_as_it_was_said() {
    let Some(mut w) = watch(&everything()) else { return };
    let seen = w.finish(child(&["open", "/dev/stdin"]).stdin(std::process::Stdio::piped()).spawn().unwrap());
    let told = lines(&seen);
    assert!(told.contains(&"open /dev/stdin".to_string()), "{told:#?}");
}

#[test]
fn the_root_itself() {
    check(&["open", "/"], "open /");
}

#[test]
fn a_path_in_another_root_begins_there() {
    check(&["chroot-open", ".", "/sub/file"], "open /sub/file");
}

#[test]
fn a_path_over_mounts() {
    check(&["open", "/proc/sys/kernel/ostype"], "open /proc/sys/kernel/ostype");
    check(&["open", "/sys/kernel/btf/../btf/vmlinux"], "open /sys/kernel/btf/vmlinux");
}

#[test]
fn flags_and_results() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    for (args, flags) in [(["open", "file", "1"], 1), (["openat2", "file", ""], 2), (["creat", "file", ""], 0o1101)] {
        let seen = w.run(child(&args).current_dir(dir.path()));
        let open = seen.iter().find_map(|s| match &s.event.body {
            Body::Open(Open { path, flags, ret, map: false, .. }) if path.ends_with(b"/file") => Some((*flags, *ret)),
            _ => None,
        });
        assert!(matches!(open, Some((f, r)) if f == flags && r >= 3), "{args:?}: {open:?}");
    }
}

#[test]
fn a_deep_path_is_told_whole_and_a_too_deep_one_is_marked() {
    let Some(mut w) = watch(&everything()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    for (depth, whole) in [(41, true), (200, true), (400, false)] {
        let mut at = dir.join(depth.to_string());
        at.extend((0..depth).map(|_| "d"));
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("leaf"), "x").unwrap();
        let seen = w.run(&mut child(&["open", at.join("leaf").to_str().unwrap()]));
        let open = seen.iter().find(|s| line(s).ends_with("/leaf")).unwrap();
        let Body::Open(Open { path, .. }) = &open.event.body else { panic!() };
        assert_eq!(open.cut, !whole, "{depth}");
        if whole {
            assert_eq!(text(path), at.join("leaf").to_str().unwrap());
        } else {
            assert!(path.starts_with(b"/(cut)/") && path.ends_with(b"/d/d/leaf"), "{}", text(path));
        }
    }
    let long = dir.join("n".repeat(250)).join("n".repeat(250));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("leaf"), "x").unwrap();
    let seen = lines(&w.run(&mut child(&["open", long.join("leaf").to_str().unwrap()])));
    assert!(seen.contains(&format!("open {}/leaf", long.display())));
}

#[test]
fn failed_opens_can_be_left_out() {
    let options = Options { failed: Failures::None, ..everything() };
    let Some(mut w) = watch(&options) else { return };
    let mut told = |path: &str| {
        let seen = lines(&w.run(&mut child(&["open", path])));
        seen.iter().any(|l| l.starts_with(&format!("open {path}")))
    };
    assert!(!told("/absent") && told("/etc/hostname"));
}
