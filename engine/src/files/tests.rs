#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn create(dir: &Path, name: &str) -> NewFile {
    Folder::open(dir).unwrap().create(OsStr::new(name)).unwrap()
}

fn write(dir: &Path, name: &str, text: &str) {
    let mut file = create(dir, name);
    file.write_all(text.as_bytes()).unwrap();
    file.keep().unwrap();
}

/// A file as a writer that was killed leaves it.
fn abandoned(dir: &Path, digits: u64) -> PathBuf {
    let path = dir.join(format!(".grove-{digits:016x}.tmp"));
    File::create(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn what_is_not_whole_is_nobody_elses_and_has_a_name_that_nobody_guesses() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    fs::set_permissions(dir.path().join("a"), Permissions::from_mode(0o644)).unwrap();
    let (one, other) = (create(dir.path(), "a"), create(dir.path(), "a"));
    let temporary = names(dir.path());
    assert_eq!(temporary.len(), 3);
    for name in temporary.iter().filter(|name| *name != "a") {
        assert!(is_temporary(name.as_bytes()), "{name}");
        assert_eq!(mode(&dir.path().join(name)), 0o600, "{name}");
    }
    assert_ne!(one.temporary, other.temporary);
    drop((one, other));
    assert_eq!(names(dir.path()), ["a"]);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
}

#[test]
fn a_file_that_is_whole_has_the_mode_of_the_one_it_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write(dir.path(), "a", "new");
    assert_eq!(mode(&path), 0o666 & !umask());
    for kept in [0o600, 0o640, 0o444, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
        write(dir.path(), "a", "newer");
        assert_eq!(mode(&path), kept);
    }
    // It may say who may write, not more.
    fs::set_permissions(&path, Permissions::from_mode(0o6755)).unwrap();
    write(dir.path(), "a", "newest");
    assert_eq!(mode(&path), 0o755);
}

#[test]
fn the_umask_is_the_kernels_word() {
    // Of another process, as it is one for all threads.
    for mask in ["022", "077", "002"] {
        let said = std::process::Command::new("sh")
            .args(["-c", &format!("umask {mask}; grep Umask /proc/self/status")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), format!("Umask:\t0{mask}"));
    }
}

#[test]
fn whatever_stands_at_a_name_is_replaced_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    symlink(outside.join("victim"), inside.join("link")).unwrap();
    symlink(outside.join("absent"), inside.join("dangling")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(inside.join("pipe")).status().unwrap().success());
    for name in ["link", "dangling", "loop", "pipe"] {
        write(&inside, name, "new");
        assert!(fs::symlink_metadata(inside.join(name)).unwrap().is_file(), "{name}");
        assert_eq!(fs::read(inside.join(name)).unwrap(), b"new");
    }
    assert_eq!(names(&outside), ["victim"]);
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
}

#[test]
fn a_directory_and_what_is_no_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    for name in ["d", "", ".", "..", "a/b", "/a"] {
        assert!(folder.create(OsStr::new(name)).is_err(), "{name}");
        assert!(folder.read(OsStr::new(name)).is_err(), "{name}");
    }
    assert_eq!(names(dir.path()), ["d"]);
}

#[test]
fn only_a_file_that_nobody_else_may_have_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("good"), "good").unwrap();
    fs::write(at("open"), "open to all").unwrap();
    fs::set_permissions(at("open"), Permissions::from_mode(0o666)).unwrap();
    symlink("good", at("link")).unwrap();
    symlink("/dev/zero", at("endless")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let folder = Folder::open(dir.path()).unwrap();
    let read = |name: &str| folder.read(OsStr::new(name));
    assert!(read("good").unwrap().is_some());
    assert!(read("absent").unwrap().is_none());
    for (name, why) in [
        ("open", "anybody may write to it"),
        ("link", "it is a symbolic link, and those are not followed here"),
        ("endless", "it is a symbolic link, and those are not followed here"),
        ("pipe", "it is no regular file"),
    ] {
        assert_eq!(read(name).unwrap_err().to_string(), why, "{name}");
    }
    if own_id() == 0 {
        fs::write(at("theirs"), "").unwrap();
        std::os::unix::fs::chown(at("theirs"), Some(65_534), None).unwrap();
        assert_eq!(read("theirs").unwrap_err().to_string(), "it belongs to another user (uid 65534)");
        // Nor does its mode count.
        fs::set_permissions(at("theirs"), Permissions::from_mode(0o666)).unwrap();
        write(dir.path(), "theirs", "ours");
        assert_eq!(mode(&at("theirs")), 0o666 & !umask());
    }
}

#[test]
fn what_killed_writers_left_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    abandoned(dir.path(), 1);
    abandoned(dir.path(), 2);
    // At work.
    let held = abandoned(dir.path(), 3);
    let lock = File::open(&held).unwrap();
    lock.lock().unwrap();
    // Whatever else has such a name, or nearly.
    fs::create_dir(dir.path().join(".grove-0000000000000004.tmp")).unwrap();
    symlink("/etc/passwd", dir.path().join(".grove-0000000000000005.tmp")).unwrap();
    for name in [".grove-6.tmp", ".grove-000000000000000x.tmp", "grove-0000000000000007.tmp", ".a.json.0.tmp"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let before = names(dir.path());
    write(dir.path(), "a", "");
    let mut expected: Vec<_> =
        before.iter().filter(|name| !name.ends_with("1.tmp") && !name.ends_with("2.tmp")).collect();
    let a = "a".to_owned();
    expected.push(&a);
    expected.sort();
    assert_eq!(names(dir.path()).iter().collect::<Vec<_>>(), expected);

    // Not only closed: a process that another test has just forked would have it open still.
    lock.unlock().unwrap();
    write(dir.path(), "a", "");
    assert!(!held.exists());
}

/// A writer that was killed once its file was whole leaves one that others may read, and so may lock.
#[test]
fn a_lock_that_is_never_given_back_keeps_nothing_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let held = abandoned(dir.path(), 1);
    let lock = File::open(&held).unwrap();
    lock.lock().unwrap();
    let hours_ago = SystemTime::now() - 2 * ABANDONED_AFTER;
    File::options().write(true).open(&held).unwrap().set_modified(hours_ago).unwrap();
    write(dir.path(), "a", "");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn whoever_holds_every_file_delays_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    write(dir.path(), "a", "1");
    for round in 2..20 {
        let locks: Vec<_> = names(dir.path()).iter().map(|name| File::open(dir.path().join(name)).unwrap()).collect();
        locks.iter().for_each(|file| file.lock().unwrap());
        let directory = File::open(dir.path()).unwrap();
        directory.lock().unwrap();
        let mut file = folder.create(OsStr::new("a")).unwrap();
        write!(file, "{round}").unwrap();
        file.keep().unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), round.to_string());
    }
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let mut file = create(dir.path(), "a");
    file.write_all(b"half of the ne").unwrap();
    drop(file);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn a_file_that_grows_in_its_place_can_take_back_what_was_half_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let mut file = create(dir.path(), "a");
    file.write_all(b"whole").unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    file.place().unwrap();
    file.write_all(b"half").unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"wholehalf");
    file.truncate(5).unwrap();
    file.write_all(b", and more").unwrap();
    file.keep().unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"whole, and more");
    assert_eq!(names(dir.path()), ["a"]);

    // Of two that grow in one place only the last is there at the end, and the other says so.
    let (mut one, mut other) = (create(dir.path(), "a"), create(dir.path(), "a"));
    one.place().unwrap();
    other.place().unwrap();
    assert_eq!(one.keep().unwrap_err().to_string(), "it was removed or replaced while it was written");
    other.keep().unwrap();
}

#[test]
fn a_directory_stays_the_one_that_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (was, is) = (dir.path().join("was"), dir.path().join("is"));
    fs::create_dir(&was).unwrap();
    let folder = Folder::open(&was).unwrap();
    fs::rename(&was, &is).unwrap();
    symlink("/", &was).unwrap();
    folder.create(OsStr::new("a")).unwrap().keep().unwrap();
    assert_eq!(names(&is), ["a"]);
    fs::write(is.join("b"), "").unwrap();
    assert!(folder.rename(OsStr::new("a"), OsStr::new("b")).is_err());
    folder.rename(OsStr::new("a"), OsStr::new("c")).unwrap();
    assert_eq!(names(&is), ["b", "c"]);
}

#[test]
fn a_link_or_pipe_that_a_user_names_is_used_if_it_is_the_users() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let target = |name: &str| match named(&at(name)) {
        Ok(Named::File(folder, name)) => {
            format!("{}", folder.path().canonicalize().unwrap().join(name).strip_prefix(dir.path()).unwrap().display())
        }
        Ok(Named::Stream(_)) => "a stream".to_owned(),
        Err(error) => error.to_string(),
    };
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/file"), "").unwrap();
    symlink("d/file", at("link")).unwrap();
    symlink("link", at("chain")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("/dev/null", at("device")).unwrap();
    let pipe = Mode::RUSR | Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), pipe).unwrap();
    symlink("pipe", at("to pipe")).unwrap();
    // A pipe without a name, as a shell's process substitution gives it.
    let (_read, write) = io::pipe().unwrap();
    symlink(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&write)), at("unnamed")).unwrap();
    for (name, expected) in [
        ("d/file", "d/file"),
        ("d/new", "d/new"),
        ("link", "d/file"),
        ("chain", "d/file"),
        ("dangling", "dangling"),
        ("device", "a stream"),
        ("pipe", "a stream"),
        ("to pipe", "a stream"),
        ("unnamed", "a stream"),
        ("d", "is a directory"),
    ] {
        assert_eq!(target(name), expected, "{name}");
    }
    if own_id() == 0 {
        std::os::unix::fs::lchown(at("link"), Some(65_534), None).unwrap();
        assert_eq!(target("link"), "it is a symbolic link of another user (uid 65534)");
        std::os::unix::fs::lchown(at("pipe"), Some(65_534), None).unwrap();
        rustix::fs::fchown(&write, Some(rustix::fs::Uid::from_raw(65_534)), None).unwrap();
        assert_eq!(target("pipe"), "it is a pipe of another user (uid 65534)");
        assert_eq!(target("to pipe"), "it is a pipe of another user (uid 65534)");
        assert_eq!(target("unnamed"), "a stream");
    }
}
