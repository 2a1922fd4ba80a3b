//! A recording onto a file system that fills up: a real one, small, and taken away in any case.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{alone, containers, grove, ok, text};

/// A file system in memory of so many bytes.
struct Small {
    dir: TempDir,
}

impl Small {
    fn new(bytes: usize) -> Self {
        let small = Self { dir: tempfile::tempdir().unwrap() };
        let options = format!("size={bytes},mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "small"]).arg(small.path()).output();
        let mount = mount.unwrap();
        assert!(mount.status.success(), "{}", text(&mount.stderr));
        small
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the room that there is but for `left` bytes.
    fn fill(&self, left: usize) {
        let file = self.path().join("full");
        let full = fs::File::create(&file).unwrap();
        let mut len = 0;
        while full.write_at(&[1; 4096], len).is_ok() {
            len += 4096;
        }
        full.set_len(len - left as u64).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Waits for longer than a block does, and then makes more files than there is room to tell of.
const BUSY: &str = "cat /etc/hostname; sleep 2.5; cd \"$0\" && for ((i = 0; i < 6000; i++)); do : > $i; done";

/// How a recording ended, and what it said.
fn record(trace: &Path, stats: &Path, busy: &Path) -> (ExitStatus, String) {
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut record = grove();
    record.env("GROVE_DEDUP_WINDOW", "0s").args(["record", "--output"]).arg(trace).arg("--stats").arg(stats);
    record.args(["--", "bash", "-c", BUSY]).arg(busy).process_group(0);
    let mut record = record.stdout(Stdio::null()).stderr(said.reopen().unwrap()).spawn().unwrap();
    let status = record.wait().unwrap();
    // The command outlives a recording that fails, and is of no use here any more.
    let group = format!("-{}", record.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    (status, fs::read_to_string(said.path()).unwrap())
}

/// What the command says it could not do, which has to be one line.
fn error((status, told): (ExitStatus, String)) -> String {
    assert_eq!(status.code(), Some(1), "{told}");
    let lines: Vec<_> = told.lines().filter(|line| line.contains("cannot write")).collect();
    assert_eq!(lines.len(), 1, "{told}");
    lines.concat()
}

/// What a replay learns from, and how many events it found.
fn replay(trace: &Path, dir: &Path) -> u64 {
    let stats = dir.join("replayed.json");
    let mut replay = grove();
    replay.arg("replay").arg("--output").arg(dir.join("profiles")).arg("--stats").arg(&stats).arg(trace);
    ok(&replay.output().unwrap());
    ledger(&stats)["received"].as_u64().unwrap()
}

fn ledger(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn busy(dir: &Path) -> PathBuf {
    let busy = dir.join("busy");
    fs::create_dir(&busy).unwrap();
    busy
}

#[test]
fn a_recording_for_which_there_is_no_room_at_all_does_not_begin() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let (dir, small) = (tempfile::tempdir().unwrap(), Small::new(32 << 10));
    let trace = small.path().join("t.jsonl");
    fs::write(&trace, "what was there").unwrap();
    small.fill(0);
    let told = error(record(&trace, &dir.path().join("stats.json"), &busy(dir.path())));
    assert!(told.contains("t.jsonl: No space left on device"), "{told}");
    assert_eq!(fs::read_to_string(&trace).unwrap(), "what was there");
    assert!(fs::read_dir(dir.path().join("busy")).unwrap().next().is_none(), "the command ran");
    assert_eq!(fs::read_dir(small.path()).unwrap().count(), 2);
}

#[test]
fn a_disk_that_is_full_in_the_middle_leaves_all_whole_blocks() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    for (name, kib) in [("t.jsonl", 128), ("t.jsonl.gz", 16)] {
        let (dir, small) = (tempfile::tempdir().unwrap(), Small::new(kib << 10));
        let (trace, stats) = (small.path().join(name), dir.path().join("stats.json"));
        let told = error(record(&trace, &stats, &busy(dir.path())));
        assert!(told.contains(&format!("{name}: No space left on device")), "{told}");
        let recorded = ledger(&stats);
        assert!(recorded["dropped"]["not_written"].as_u64().unwrap() > 0, "{name}: {recorded}");
        // What was in whole blocks can be read, and is what the recording says it has written.
        let received = replay(&trace, dir.path());
        let missed = recorded["received"].as_u64().unwrap()
            - recorded["recorded"].as_u64().unwrap()
            - recorded["dropped"]["not_written"].as_u64().unwrap();
        assert_eq!(received, recorded["recorded"].as_u64().unwrap() + missed, "{name}: {recorded}");
        assert!(received > 10, "{name}: {recorded}");
        let profile = fs::read_to_string(dir.path().join("profiles/bash.profile.json")).unwrap();
        assert!(profile.contains("/etc/hostname"), "{name}");
    }
}

/// Of a first block that is more than there is room for only the header stays: a recording of nothing, and one that says
/// so.
#[test]
fn a_disk_that_is_full_before_the_first_block_leaves_a_recording() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let (dir, small) = (tempfile::tempdir().unwrap(), Small::new(32 << 10));
    small.fill(4096);
    let (trace, stats) = (small.path().join("t.jsonl"), dir.path().join("stats.json"));
    let told = error(record(&trace, &stats, &busy(dir.path())));
    assert!(told.contains("t.jsonl: No space left on device"), "{told}");
    assert_eq!(fs::read_to_string(&trace).unwrap().lines().count(), 1);
    assert_eq!(replay(&trace, dir.path()), 0);
    assert_eq!(ledger(&stats)["recorded"].as_u64(), None, "none was recorded");
}
