//! A profile file is the old one or the new one, whole, whatever happens to its writer: killed at any instant, or out
//! of space. The writers are this test's own binary, started again.

#[path = "common/skips.rs"]
mod skips;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use grove::profile::{FileDoc, ProcessDoc, ProfileDoc, Seen, Time, read, write};

/// Tells a child which file to write. Without it the children's tests do nothing.
const TARGET: &str = "GROVE_TEST_TARGET";
/// What a child says before it begins to write.
const READY: &str = "ready to write";
const KILLS: u32 = 80;

fn profile(files: usize) -> ProfileDoc {
    let seen = Seen::from_iter([("1.0", [Time(1), Time(2)])]);
    let file = |i| {
        let mut file = FileDoc::default();
        (file.path, file.access, file.seen) = (format!("/f{i}"), Some("r".into()), seen.clone());
        file
    };
    let mut process = ProcessDoc::default();
    process.files = (0..files).map(file).collect();
    (process.path, process.seen) = ("/p".into(), seen.clone());
    let mut profile = ProfileDoc::default();
    (profile.image, profile.processes) = ("i".into(), vec![process]);
    profile
}

fn small() -> ProfileDoc {
    profile(10)
}

/// About 1 MiB.
fn large() -> ProfileDoc {
    profile(8_000)
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Starts one of the children's tests below under `wrapper`.
fn child(wrapper: &[&str], test: &str, target: &Path) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(PathBuf::from).chain([binary]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", test, "--nocapture"]).env(TARGET, target).stdin(Stdio::null());
    command
}

#[test]
fn child_rewrites_for_ever() {
    let Some(target) = std::env::var_os(TARGET) else { return };
    let (small, large) = (small(), large());
    println!("{READY}");
    loop {
        write(Path::new(&target), &large).unwrap();
        write(Path::new(&target), &small).unwrap();
    }
}

#[test]
fn child_runs_out_of_space() {
    let Some(target) = std::env::var_os(TARGET).map(PathBuf::from) else { return };
    let dir = target.parent().unwrap();
    write(&target, &small()).unwrap();
    let error = write(&target, &large()).unwrap_err();
    println!("refused: {error}");
    assert_eq!(read(&target).unwrap(), small());
    assert_eq!(names(dir), [target.file_name().unwrap().to_str().unwrap()]);
    write(&target, &small()).unwrap();
}

#[test]
fn killed_at_any_instant_the_file_is_whole() {
    for name in ["p.profile.json", "p.profile.json.zst"] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join(name);
        let (small, large) = (small(), large());
        write(&target, &small).unwrap();
        // Spread over three rewrites, however long this machine takes for one.
        let begin = Instant::now();
        write(&target, &large).unwrap();
        write(&target, &small).unwrap();
        let spread = 3 * begin.elapsed();
        let mut large_seen = 0;
        // On until both were seen: the machine may be busier, or less so, than while one rewrite was timed.
        let missed = |large_seen: u32, round: u32| large_seen == 0 || large_seen == round;
        let mut round = 0;
        while round < KILLS || (missed(large_seen, round) && round < 20 * KILLS) {
            let mut writer = child(&[], "child_rewrites_for_ever", &target).stdout(Stdio::piped()).spawn().unwrap();
            let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
            assert!(said.any(|line| line.unwrap().contains(READY)));
            std::thread::sleep(spread * (1 + round / KILLS) * (round * 177 % 1000) / 1000);
            writer.kill().unwrap();
            writer.wait().unwrap();
            let found = read(&target).unwrap();
            assert!(found == small || found == large, "round {round}");
            large_seen += u32::from(found == large);
            assert!(names(dir.path()).len() <= 2, "round {round}: {:?}", names(dir.path()));
            round += 1;
        }
        assert!(!missed(large_seen, round), "the kills missed the rewrites: {large_seen} of {round} found the large");
        write(&target, &small).unwrap();
        assert_eq!(names(dir.path()), [name]);
    }
}

#[track_caller]
fn check_refused(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("refused: cannot write "), "{said}");
}

#[test]
fn past_the_largest_file_allowed_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let wrapper = ["sh", "-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""];
    check_refused(&child(&wrapper, "child_runs_out_of_space", &dir.path().join("p.json")).output().unwrap());
}

#[test]
fn on_a_full_disk_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=256k none \"${GROVE_TEST_TARGET%/*}\" && exec \"$0\" \"$@\"";
    // As root, else as root of a user namespace.
    for unshare in [&["unshare", "--mount"][..], &["unshare", "--user", "--map-root-user", "--mount"]] {
        let wrapper = [unshare, &["sh", "-c", mount]].concat();
        let target = dir.path().join("p.json");
        let probe = Command::new(unshare[0]).args(&wrapper[1..]).arg("true").env(TARGET, &target).output();
        if probe.is_ok_and(|output| output.status.success()) {
            check_refused(&child(&wrapper, "child_runs_out_of_space", &target).output().unwrap());
            return;
        }
    }
    skips::skipped("no tmpfs can be mounted here");
}
