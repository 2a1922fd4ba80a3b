//! Directories that other users can look into or write to: nobody can make Grove wait, nor have it write elsewhere.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::skips::skipped;
use crate::support::{EXEC, Ended, Lab, START, names, open, trace};

/// Nobody's user id.
const NOBODY: u32 = 65_534;

/// As long as this, nobody waits for what does not wait.
const PATIENCE: Duration = Duration::from_secs(120);

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// An unprivileged user who holds a lock on every file of a directory that they can open, as soon as it is there.
struct Holder(Child);

impl Holder {
    fn of(dir: &Path) -> Self {
        const SCRIPT: &str = r#"
            ulimit -n 4096
            cd "$0" || exit
            exec 8<. && flock -n 8
            declare -A held
            echo ready
            while :; do
                for f in .[!.]* *; do
                    [ -e "$f" ] || continue
                    id=$(stat -c %i "$f" 2>/dev/null) || continue
                    [ -n "${held[$id]}" ] && continue
                    { exec {fd}<"$f"; } 2>/dev/null || continue
                    flock -n "$fd" && held[$id]=1 && echo "$f"
                done
            done"#;
        let mut command = Command::new("bash");
        command.args(["-c", SCRIPT]).arg(dir).uid(NOBODY).gid(NOBODY).env_clear().env("PATH", "/usr/bin:/bin");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut holder = Self(child);
        assert_eq!(holder.next(), "ready");
        holder
    }

    /// The next file that it holds.
    fn next(&mut self) -> String {
        let mut line = String::new();
        // Not a byte more than the line is taken.
        let mut reader = BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap());
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the command, which must not wait for anybody.
#[track_caller]
fn at_once(lab: &Lab, args: &[&str]) -> Ended {
    let mut child =
        lab.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{args:?} waits for somebody");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ended::of(child.wait_with_output().unwrap())
}

fn images(n: u64) -> String {
    let one = |i| {
        trace(&[START, EXEC, &open(3, "/etc/hosts")])
            .replace("\"c\"", &format!("\"c{i}\""))
            .replace("web", &format!("web{i}"))
    };
    (0..n).map(one).collect()
}

#[test]
fn a_user_who_holds_every_file_that_they_can_open_delays_nothing() {
    if !is_root() {
        return skipped("only root can be attacked by another user");
    }
    let lab = Lab::new();
    fs::set_permissions(lab.path(""), Permissions::from_mode(0o755)).unwrap();
    lab.file("t", images(20));
    fs::create_dir(lab.path("profiles")).unwrap();
    at_once(&lab, &["replay", "t"]).expect(0);
    let before = lab.names("profiles");
    assert_eq!(before.len(), 20);
    // What a writer left that was killed when its file was whole: the one that others can open.
    let left = "profiles/.grove-0123456789abcdef.tmp";
    lab.file(left, "");
    let mut holder = Holder::of(&lab.path("profiles"));
    // It has all that is there.
    (0..21).for_each(|_| assert!(holder.next().ends_with(|c: char| c.is_ascii_alphabetic())));
    for _ in 0..10 {
        at_once(&lab, &["replay", "t"]).expect(0);
        at_once(&lab, &["merge", "--output", "profiles/merged.json", "profiles/web1.profile.json"]).expect(0);
        at_once(&lab, &["check", "--profile", "profiles/web1.profile.json", "--output", "profiles/findings", "t"])
            .expect(0);
    }
    // It went on holding what came.
    assert!(!holder.next().is_empty());
    drop(holder);
    // What its last programs inherited goes with them.
    let held = fs::File::open(lab.path(left)).unwrap();
    while held.try_lock().is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(held);
    at_once(&lab, &["replay", "t"]).expect(0);
    let mut expected = [before, vec!["findings".to_owned(), "merged.json".to_owned()]].concat();
    expected.sort();
    assert_eq!(lab.names("profiles"), expected, "and nothing is left");
}

#[test]
fn what_is_planted_at_a_profiles_name_is_neither_followed_nor_waited_for() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    lab.file("victim", "untouched");
    fs::create_dir(lab.path("profiles")).unwrap();
    let target = lab.path("profiles/web.profile.json");
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 5] = [
        ("a link", |path| symlink("../victim", path).unwrap()),
        ("a link that leads nowhere", |path| symlink("../absent", path).unwrap()),
        ("a link to an endless device", |path| symlink("/dev/zero", path).unwrap()),
        ("a link to itself", |path| symlink("web.profile.json", path).unwrap()),
        ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ];
    for (what, plant) in plants {
        plant(&target);
        let ended = at_once(&lab, &["replay", "t"]);
        ended.expect(0);
        assert!(fs::symlink_metadata(&target).unwrap().is_file(), "{what}");
        assert_eq!(lab.text("victim"), "untouched", "{what}");
        assert_eq!(lab.names(""), ["profiles", "t", "victim"], "{what}");
        assert_eq!(lab.names("profiles"), ["web.profile.json"], "{what}");
        fs::remove_file(&target).unwrap();
    }
}

/// A link that somebody else made is not the user's wish, even where the user names it.
#[test]
fn an_output_that_is_a_link_of_another_user_is_refused() {
    if !is_root() {
        return skipped("only root can make a link of another user");
    }
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    lab.file("victim", "untouched");
    symlink("victim", lab.path("out")).unwrap();
    lab.run(&["convert", "--output", "out", "t"]).expect(0);
    assert!(lab.text("victim").contains("container_start"));
    assert!(fs::symlink_metadata(lab.path("out")).unwrap().is_symlink(), "the user's own link stays");
    lab.file("victim", "untouched");
    std::os::unix::fs::lchown(lab.path("out"), Some(NOBODY), None).unwrap();
    lab.run(&["replay", "t"]).expect(0);
    for args in [
        &["convert", "--output", "out", "t"] as &[_],
        &["merge", "--output", "out", "profiles/web.profile.json"],
        &["check", "--profile", "profiles/web.profile.json", "--output", "out", "t"],
        &["replay", "--stats", "out", "t"],
    ] {
        lab.run(args).expect(1).said(&["out", "a symbolic link of another user (uid 65534)"]);
        assert_eq!(lab.text("victim"), "untouched", "{args:?}");
    }
}

/// Whoever made a pipe reads what is written into it, or lets the writer wait for ever.
#[test]
fn an_output_that_is_a_pipe_of_another_user_is_refused() {
    if !is_root() {
        return skipped("only root can make a pipe of another user");
    }
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    lab.run(&["replay", "t"]).expect(0);
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.path("out"), mode).unwrap();
    std::os::unix::fs::lchown(lab.path("out"), Some(NOBODY), None).unwrap();
    for args in [
        &["convert", "--output", "out", "t"] as &[_],
        &["merge", "--output", "out", "profiles/web.profile.json"],
        &["check", "--profile", "profiles/web.profile.json", "--output", "out", "t"],
        &["replay", "--stats", "out", "t"],
    ] {
        at_once(&lab, args).expect(1).said(&["out", "a pipe of another user (uid 65534)"]);
    }
}

#[test]
fn files_have_the_mode_that_the_umask_leaves_or_that_they_had() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    let mode = |name: &str| fs::metadata(lab.path(name)).unwrap().permissions().mode() & 0o777;
    let replay = |mask: &str| {
        let script = format!("umask {mask}; exec \"$0\" replay --stats stats.json t");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_grove")]).current_dir(lab.path("")).env_clear();
        Ended::of(shell.output().unwrap()).expect(0);
        (mode("profiles/web.profile.json"), mode("stats.json"))
    };
    assert_eq!(replay("027"), (0o640, 0o640));
    assert_eq!(replay("077"), (0o640, 0o640), "as it was");
    fs::remove_dir_all(lab.path("profiles")).unwrap();
    fs::remove_file(lab.path("stats.json")).unwrap();
    assert_eq!(replay("077"), (0o600, 0o600));
    for name in ["profiles/web.profile.json", "stats.json"] {
        fs::set_permissions(lab.path(name), Permissions::from_mode(0o604)).unwrap();
    }
    assert_eq!(replay("022"), (0o604, 0o604));
    assert!(names(&lab.path("profiles")).iter().all(|name| name == "web.profile.json"));
}
