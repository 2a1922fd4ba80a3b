//! Mounted file systems: by every call, in a mount namespace of the helper's own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use grove::event::Body;
use grove_probes::kernel::{Cause, Class, Classes, Failures, Options};

use crate::support::*;

/// Nothing that is mounted from here on is seen by anybody else.
const APART: &str = "unshare =0x20000 , mount none / 0 =0x44000 , ";

struct Place {
    _dir: tempfile::TempDir,
    at: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().canonicalize().unwrap();
        for sub in ["from/sub", "to", "more"] {
            fs::create_dir_all(at.join(sub)).unwrap();
        }
        std::os::unix::fs::symlink("to", at.join("way")).unwrap();
        Self { _dir: dir, at }
    }

    /// The lines of what the helper mounted there, behind what took it apart.
    fn mounts(&self, w: &mut Watch, calls: &str) -> Vec<String> {
        let plain = format!("{APART}{calls}").replace("DIR", self.at.to_str().unwrap());
        let seen = w.run(child(&["calls"]).args(plain.split(' ')).current_dir(&self.at));
        let mounts = seen.iter().filter(|s| matches!(s.event.body, Body::Mount(_)));
        let lines: Vec<_> = mounts.map(|s| line(s).replace(self.at.to_str().unwrap(), "DIR")).collect();
        assert_eq!(lines.first().map(String::as_str), Some("mount  - / 0x44000"), "{calls}: {lines:?}");
        assert!(
            seen.iter().any(|s| line(s) == "exit 0") || calls.contains("absent") || calls.contains("no-such"),
            "{calls}"
        );
        lines[1..].to_vec()
    }
}

#[track_caller]
fn check(table: &[(&str, &[&str])]) {
    let Some(mut w) = watch(&everything()) else { return };
    for (calls, expected) in table {
        assert_eq!(Place::new().mounts(&mut w, calls), *expected, "{calls}");
    }
}

#[test]
fn by_the_mount_call() {
    check(&[
        ("mount tmpfs to tmpfs =6", &["mount tmpfs tmpfs DIR/to 0x6"]),
        ("mount a-name way/. tmpfs =0", &["mount tmpfs a-name DIR/to 0x0"]),
        // Flags had a number in front once.
        ("mount x to tmpfs =0xc0ed0002", &["mount tmpfs x DIR/to 0x2"]),
        ("mount from to 0 =0x1000", &["mount  DIR/from DIR/to 0x1000"]),
        ("mount way/../from to 0 =0x5000", &["mount  DIR/from DIR/to 0x5000"]),
        (
            "mount tmpfs to tmpfs =0 , mount x to 0 =0x21 , mount to more 0 =0x2000",
            // What an existing mount is changed with has no source.
            &["mount tmpfs tmpfs DIR/to 0x0", "mount  - DIR/to 0x21", "mount  DIR/to DIR/more 0x2000"],
        ),
        (
            "mount tmpfs to tmpfs =0 , mkdir to/in =0755 , mount tmpfs to/in tmpfs =0",
            &["mount tmpfs tmpfs DIR/to 0x0", "mount tmpfs tmpfs DIR/to/in 0x0"],
        ),
        ("chroot . , mount tmpfs /from/sub tmpfs =0", &["mount tmpfs tmpfs /from/sub 0x0"]),
        ("32-mount tmpfs to tmpfs =4", &["mount tmpfs tmpfs DIR/to 0x4"]),
    ]);
}

/// By the calls that mount step by step: told when it is put in its place, with what the mount itself says.
#[test]
fn by_the_calls_that_mount_step_by_step() {
    check(&[
        (
            "fsopen tmpfs =0 , fsconfig $3 =6 0 0 =0 , fsmount $3 =0 =6 , move_mount $5  =-100 to =4",
            &["mount tmpfs none DIR/to 0x200006"],
        ),
        (
            "fsopen tmpfs =0 , fsconfig $3 =1 source a-name =0 , fsconfig $3 =6 0 0 =0 , fsmount $3 =0 =0 , move_mount \
             $6  at:way/.  =0x44",
            &["mount tmpfs a-name DIR/to 0x200000"],
        ),
        (
            "mount tmpfs from tmpfs =0x400 , open_tree =-100 from =1 , move_mount $4  =-100 to =4",
            &["mount tmpfs tmpfs DIR/from 0x400", "mount  - DIR/to 0x1400"],
        ),
        (
            "mount tmpfs to tmpfs =0 , move_mount =-100 to =-100 more =0",
            &["mount tmpfs tmpfs DIR/to 0x0", "mount  DIR/to DIR/more 0x2000"],
        ),
    ]);
}

#[test]
fn an_attempt_that_fails_is_told_as_it_was_said() {
    check(&[
        ("mount tmpfs absent tmpfs =0", &["mount tmpfs tmpfs DIR/absent 0x0 -2"]),
        ("mount tmpfs to no-such-type =0", &["mount no-such-type tmpfs DIR/to 0x0 -19"]),
    ]);
    let Some(mut w) = watch(&Options { failed: Failures::None, ..everything() }) else { return };
    assert_eq!(Place::new().mounts(&mut w, "mount tmpfs absent tmpfs =0"), [""; 0]);
}

/// What was mounted may hide what was: so each is told, and only failed attempts repeat others.
#[test]
fn every_mount_is_told_and_an_attempt_that_fails_again_is_a_repeat() {
    let Some(mut w) = watch(&Options { dedup: Some(Duration::from_secs(3600)), ..everything() }) else { return };
    let twice = "mount tmpfs to tmpfs =0 , mount tmpfs to tmpfs =0";
    assert_eq!(Place::new().mounts(&mut w, twice), ["mount tmpfs tmpfs DIR/to 0x0"; 2]);
    assert_eq!(w.counted(Class::Mount, Cause::Repeat), 0);
}

#[test]
fn without_the_class_no_mount_is_told() {
    let Some(mut w) = watch(&Options { classes: Classes::ALL.without(Class::Mount), ..everything() }) else { return };
    let seen = w.run(child(&["calls"]).args(format!("{APART}mount tmpfs /mnt tmpfs =0").split(' ')));
    assert!(!seen.iter().any(|s| matches!(s.event.body, Body::Mount(_))), "{:#?}", lines(&seen));
}
