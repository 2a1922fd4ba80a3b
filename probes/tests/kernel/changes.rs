//! Names that come to be or go, and files that are changed without being opened: by every call, under the names that the
//! container sees.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grove::event::Body;
use grove_probes::kernel::{Cause, Class, Classes, Failures, Options};

use crate::support::*;

/// A directory to change things in.
struct Place {
    _dir: tempfile::TempDir,
    at: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().canonicalize().unwrap();
        for sub in ["sub", "empty"] {
            fs::create_dir(at.join(sub)).unwrap();
        }
        for file in ["old", "sub/file"] {
            fs::write(at.join(file), "x").unwrap();
        }
        symlink("sub/file", at.join("link")).unwrap();
        symlink("sub", at.join("way")).unwrap();
        Self { _dir: dir, at }
    }

    /// The lines of what the helper changed there, with the directory as DIR.
    fn changes(&self, w: &mut Watch, calls: &str) -> Vec<String> {
        let plain = calls.replace("DIR", self.at.to_str().unwrap());
        let args: Vec<_> = ["calls"].into_iter().chain(plain.split(' ')).collect();
        let seen = w.run(child(&args).current_dir(&self.at));
        changes(&seen).into_iter().map(|line| line.replace(self.at.to_str().unwrap(), "DIR")).collect()
    }
}

fn changes(seen: &[Seen]) -> Vec<String> {
    seen.iter().filter(|s| matches!(s.event.body, Body::Change(_))).map(line).collect()
}

/// Makes the calls in a fresh directory each, and compares what was changed there.
#[track_caller]
fn check(table: &[(&str, &[&str])]) {
    let Some(mut w) = watch(&everything()) else { return };
    for (calls, expected) in table {
        assert_eq!(Place::new().changes(&mut w, calls), *expected, "{calls}");
    }
}

#[test]
fn by_every_call() {
    check(&[
        ("mkdir new =0755", &["mkdir DIR/new"]),
        ("mkdirat at:sub new =0755", &["mkdir DIR/sub/new"]),
        ("rmdir empty", &["rmdir DIR/empty"]),
        ("unlinkat at:. empty =0x200", &["rmdir DIR/empty"]),
        ("unlink sub/file", &["delete DIR/sub/file"]),
        ("unlinkat at:sub file =0", &["delete DIR/sub/file"]),
        ("rename old new", &["rename DIR/new from DIR/old"]),
        ("renameat at:sub file at:. new", &["rename DIR/new from DIR/sub/file"]),
        ("renameat2 at:. old at:sub new =1", &["rename DIR/sub/new from DIR/old"]),
        ("link old new", &["link DIR/new from DIR/old"]),
        ("linkat at:. old at:sub new =0", &["link DIR/sub/new from DIR/old"]),
        // What a link points to is no name.
        ("symlink ../x/y new", &["symlink DIR/new from ../x/y"]),
        ("symlinkat old at:sub new", &["symlink DIR/sub/new from old"]),
        ("mknod new =0010600 =0", &["create DIR/new"]),
        ("mknodat at:sub new =0100600 =0", &["create DIR/sub/new"]),
        ("truncate old =5", &["truncate DIR/old"]),
        ("ftruncate file:old =5", &["truncate DIR/old"]),
        ("chmod old =0600", &["chmod DIR/old"]),
        ("fchmod file:old =0600", &["chmod DIR/old"]),
        ("fchmodat at:sub file =0600", &["chmod DIR/sub/file"]),
        ("chown old =0 =0", &["chown DIR/old"]),
        ("lchown link =0 =0", &["chown DIR/link"]),
        ("fchown file:old =0 =0", &["chown DIR/old"]),
        ("fchownat at:sub file =0 =0 =0", &["chown DIR/sub/file"]),
        ("fchownat file:old  =0 =0 =0x1000", &["chown DIR/old"]),
    ]);
}

/// Only the open that makes a file is a change.
#[test]
fn a_file_is_created_by_the_open_that_makes_it() {
    check(&[
        ("creat new =0600", &["create DIR/new"]),
        ("open new =0102 =0600", &["create DIR/new"]),
        ("openat at:sub new =0301 =0600", &["create DIR/sub/new"]),
        ("ring-openat at:sub new =0600 =0 =0", &[]),
        ("creat old =0600", &[]),
        ("open old =01102 =0600", &[]),
    ]);
}

#[test]
fn by_32_bit_calls_and_by_rings() {
    check(&[
        ("32-mkdir new =0755 , 32-rmdir new", &["mkdir DIR/new", "rmdir DIR/new"]),
        ("32-rename old new , 32-unlink new", &["rename DIR/new from DIR/old", "delete DIR/new"]),
        ("32-linkat at:. old at:sub new =0", &["link DIR/sub/new from DIR/old"]),
        ("32-chmod link =0600 , 32-truncate old =1", &["chmod DIR/sub/file", "truncate DIR/old"]),
        ("32-creat new =0600", &["create DIR/new"]),
        ("ring-mkdirat at:sub new 0 =0755", &["mkdir DIR/sub/new"]),
        ("ring-unlinkat at:sub file", &["delete DIR/sub/file"]),
        ("ring-unlinkat at:. empty 0 0 =0x200", &["rmdir DIR/empty"]),
        ("ring-renameat at:. old DIR/new at:.", &["rename DIR/new from DIR/old"]),
        ("ring-linkat at:. old DIR/new at:.", &["link DIR/new from DIR/old"]),
        ("ring-symlinkat at:sub ../old new", &["symlink DIR/sub/new from ../old"]),
    ]);
}

/// Where the name led, as the call went: the last name is what is changed itself, or where it leads.
#[test]
fn names_are_told_where_they_led() {
    check(&[
        ("mkdir ./sub/..//way/new/ =0755", &["mkdir DIR/sub/new"]),
        ("unlink way/../link", &["delete DIR/link"]),
        ("chmod link =0600", &["chmod DIR/sub/file"]),
        ("fchownat at:. link =0 =0 =0x100", &["chown DIR/link"]),
        ("truncate way/../link =1", &["truncate DIR/sub/file"]),
        ("rename way/file way/../new", &["rename DIR/new from DIR/sub/file"]),
        ("linkat at:. link at:. new =0", &["link DIR/new from DIR/link"]),
        ("linkat at:. link at:. new =0x400", &["link DIR/new from DIR/sub/file"]),
        ("chdir sub , unlink file", &["delete DIR/sub/file"]),
        ("chroot . , mkdir /sub/new =0755", &["mkdir /sub/new"]),
        ("chroot . , chmod /link =0600 , rmdir /way/../../../empty", &["chmod /sub/file", "rmdir /empty"]),
    ]);
}

#[test]
fn names_lead_over_mounts() {
    let mounts = "unshare =0x20000 , mount none / 0 =0x44000 , mount tmpfs sub tmpfs =0 , ";
    check(&[
        (&format!("{mounts}mkdir sub/new =0755"), &["mkdir DIR/sub/new"]),
        (&format!("{mounts}mkdir way/new =0755 , rmdir sub/../way/new"), &["mkdir DIR/sub/new", "rmdir DIR/sub/new"]),
        (&format!("{mounts}mkdir sub/new =0755 , unlink sub/../old"), &["mkdir DIR/sub/new", "delete DIR/old"]),
        // The second mount hides the first.
        (&format!("{mounts}mount tmpfs sub tmpfs =0 , mkdir sub/new =0755"), &["mkdir DIR/sub/new"]),
    ]);
}

/// Where a symbolic link leads lies on the layer that the overlay shows.
#[test]
fn names_lead_through_an_overlay() {
    let made = "unshare =0x20000 , mount none / 0 =0x44000 , mount tmpfs sub tmpfs =0 , mkdir sub/low =0755 , mkdir \
                sub/low/d =0755 , symlink d sub/low/way , mkdir sub/up =0755 , mkdir sub/work =0755 , mkdir sub/all \
                =0755 , mount overlay sub/all overlay =0 lowerdir=sub/low,upperdir=sub/up,workdir=sub/work , ";
    let Some(mut w) = watch(&everything()) else { return };
    let told = Place::new().changes(
        &mut w,
        &format!(
            "{made}mkdir sub/all/way/new =0755 , symlink d sub/all/another , \
        chmod sub/all/another =0700"
        ),
    );
    assert_eq!(told[6..], ["mkdir DIR/sub/all/d/new", "symlink DIR/sub/all/another from d", "chmod DIR/sub/all/d"]);
}

/// One that was made without a name, and so begins with none, is known by the name that it is given.
#[test]
fn a_file_that_is_linked_into_place_comes_from_nowhere() {
    const NAMELESS: &str = "open DIR =020200002 =0600 , ";
    check(&[
        (NAMELESS.trim_end_matches(" , "), &[]),
        (&format!("{NAMELESS}linkat $1  at:. new =0x1000"), &["link DIR/new"]),
        // Files that have a name can be linked so as well.
        ("linkat at:old  at:. new =0x1000", &["link DIR/new from DIR/old"]),
        (&format!("{NAMELESS}linkat =-100 fd:$1 at:. new =0x400"), &["link DIR/new"]),
        (&format!("{NAMELESS}fchmod $1 =0600 , ftruncate $1 =5"), &[]),
        ("memfd_create x =0 , ftruncate $1 =5", &[]),
        // Nor has it one when that is gone.
        ("open old =2 , unlink old , ftruncate $1 =5", &["delete DIR/old"]),
    ]);
}

#[test]
fn an_attempt_that_fails_is_told_as_it_was_said() {
    check(&[
        ("mkdir way/../sub =0755", &["mkdir DIR/way/../sub -17"]),
        ("rename absent sub/new", &["rename DIR/sub/new from DIR/absent -2"]),
        ("unlinkat at:sub absent =0", &["delete DIR/sub/absent -2"]),
        ("rmdir /", &["rmdir / -16"]),
        ("unlink ", &["delete DIR/ -2"]),
    ]);
    let Some(mut w) = watch(&Options { failed: Failures::None, ..everything() }) else { return };
    let place = Place::new();
    assert_eq!(place.changes(&mut w, "mkdir sub =0755"), [""; 0]);
    assert_eq!(place.changes(&mut w, "mkdir new =0755"), ["mkdir DIR/new"]);
}

/// Nobody walks through a directory of so many files.
#[test]
fn in_a_directory_of_very_many_names_it_is_told_as_it_was_said() {
    let Some(mut w) = watch(&everything()) else { return };
    let place = Place::new();
    let many = place.at.join("many");
    fs::create_dir(&many).unwrap();
    fs::create_dir(many.join("first")).unwrap();
    for i in 0..20_000 {
        fs::write(many.join(i.to_string()), "").unwrap();
    }
    let seen = w.run(child(&["calls", "mkdir", "many/../many/first/new", "=0755"]).current_dir(&place.at));
    let change = seen.iter().find(|s| matches!(s.event.body, Body::Change(_))).unwrap();
    let told = line(change).replace(place.at.to_str().unwrap(), "DIR");
    if change.said {
        assert_eq!(told, "mkdir DIR/many/../many/first/new");
    } else {
        assert_eq!(told, "mkdir DIR/many/first/new");
    }
    // The name itself is not looked for among them.
    assert_eq!(place.changes(&mut w, "unlink many/7"), ["delete DIR/many/7"]);
}

#[test]
fn a_repeat_is_of_the_same_name_and_the_same_way() {
    let options =
        Options { dedup: Some(Duration::from_secs(3600)), classes: Classes::ALL.without(Class::Open), ..everything() };
    let Some(mut w) = watch(&options) else { return };
    let place = Place::new();
    let twice = |calls: &str| format!("{calls} , {calls}");
    let told = place.changes(&mut w, &twice("chmod way/file =0600 , creat new =0600 , unlink new , truncate old =1"));
    assert_eq!(told, ["chmod DIR/sub/file", "create DIR/new", "delete DIR/new", "truncate DIR/old"]);
    // Others may do something meanwhile.
    assert!(w.counted(Class::Change, Cause::Repeat) >= 4, "{:?}", w.counts);
    // The same name leads elsewhere: nothing is hidden behind what was told before.
    let told = place.changes(
        &mut w,
        "chmod way/file =0600 , unlink way , symlink . way , chmod way/old =0600 , unlink way \
                                      , symlink sub way , chmod way/file =0600",
    );
    let chmods: Vec<_> = told.iter().filter(|line| line.starts_with("chmod")).collect();
    assert_eq!(chmods, ["chmod DIR/old", "chmod DIR/sub/file"]);
    // Another's doing is no repeat.
    let other = static_child_path();
    let seen = w.run(std::process::Command::new(other).args(["calls", "chmod", "b", "=0700"]).current_dir(&place.at));
    assert_eq!(changes(&seen).len(), 1);
}

#[test]
fn without_the_class_no_change_is_told() {
    let Some(mut w) = watch(&Options { classes: Classes::ALL.without(Class::Change), ..everything() }) else { return };
    assert_eq!(Place::new().changes(&mut w, "mkdir new =0755 , creat x =0600 , ring-unlinkat at:. x"), [""; 0]);
    let Some(mut w) = watch(&Options { classes: Classes::ALL.without(Class::Open), ..everything() }) else { return };
    assert_eq!(Place::new().changes(&mut w, "creat x =0600"), ["create DIR/x"]);
}

/// What the kernel maps for a program that is executed, and what that maps itself: of the file it was opened as.
#[test]
fn what_is_mapped_to_be_executed_is_told() {
    let Some(mut w) = watch(&everything()) else { return };
    let maps = |seen: &[Seen]| -> Vec<String> { lines(seen).into_iter().filter(|l| l.starts_with("map ")).collect() };
    let all = maps(&w.run(&mut child(&["exit", "0"])));
    let real = |path: &str| format!("map {}", Path::new(path).canonicalize().unwrap().display());
    assert_eq!(all.first(), Some(&real("/lib64/ld-linux-x86-64.so.2")), "{all:?}");
    assert!(all[1..].iter().any(|line| line.ends_with("/libc.so.6")), "{all:?}");
    let mut still = std::process::Command::new(static_child_path());
    let place = Place::new();
    assert_eq!(maps(&w.run(still.arg("exit"))), [""; 0]);
    let mut by = |calls: &str| {
        let mut child = std::process::Command::new(static_child_path());
        let seen = w.run(child.arg("calls").args(calls.split(' ')).current_dir(&place.at));
        maps(&seen).iter().map(|line| line.replace(place.at.to_str().unwrap(), "DIR")).collect::<Vec<_>>()
    };
    assert_eq!(by("mmap 0 =4096 =5 =2 file:link =0"), ["map DIR/sub/file"]);
    assert_eq!(by("mmap 0 =4096 =1 =2 file:old =0"), [""; 0]);
    assert_eq!(by("mmap 0 =4096 =1 =2 file:old =0 , mprotect $1 =4096 =5"), ["map DIR/old"]);
    assert_eq!(by("mmap 0 =4096 =7 =0x22 =-1 =0"), [""; 0]);
    assert_eq!(by("32-mmap 0 =4096 =5 =2 file:old =0"), ["map DIR/old"]);
}
