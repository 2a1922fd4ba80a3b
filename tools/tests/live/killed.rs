//! A recording that is killed: whenever that is, what it had written can be read.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{alone, containers, grove, ok, text};

/// How often it is killed, and how often when there is time.
const KILLS: u64 = 20;
const KILLS_FULL: u64 = 200;

/// When the last kill comes, beginning with the start: recordings begin within less.
const LAST: Duration = Duration::from_millis(4_000);

/// Makes one file after the other, for longer than anybody lets it.
const BUSY: &str = "cd \"$0\" && for ((i = 0; i < 1000000; i++)); do : > $i; done";

/// The lines in the whole frames of a zstd file, and whether anything follows those.
fn whole_frames(bytes: &[u8]) -> (usize, bool) {
    let (mut rest, mut lines) = (bytes, 0);
    while !rest.is_empty() {
        let mut text = Vec::new();
        let Ok(mut frame) = zstd::Decoder::with_buffer(rest) else { return (lines, true) };
        frame = frame.single_frame();
        if frame.read_to_end(&mut text).is_err() {
            return (lines, true);
        }
        lines += text.iter().filter(|b| **b == b'\n').count();
        rest = frame.finish();
    }
    (lines, false)
}

#[test]
fn a_recording_killed_at_any_instant_replays_up_to_its_last_block() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let kills = if std::env::var_os("GROVE_TEST_FULL").is_some() { KILLS_FULL } else { KILLS };
    let (mut begun, mut blocks) = (0, 0);
    for round in 0..kills {
        let dir = tempfile::tempdir().unwrap();
        let trace = dir.path().join("t.jsonl.zst");
        fs::create_dir(dir.path().join("busy")).unwrap();
        fs::write(&trace, "what was there").unwrap();
        let mut record = grove();
        record.args(["record", "--output"]).arg(&trace).args(["--", "bash", "-c", BUSY]).arg(dir.path().join("busy"));
        record.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = record.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(LAST.as_micros() as u64 * (round * 7 % kills) / kills + round * 137));
        let group = format!("-{}", child.id());
        // The recorder and then what it observes, which would go on for ever.
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();

        let bytes = fs::read(&trace).unwrap();
        if bytes == b"what was there" {
            continue;
        }
        begun += 1;
        let (lines, cut) = whole_frames(&bytes);
        assert!(lines > 0, "round {round}: not even the header is whole");
        blocks += usize::from(lines > 1);
        check(dir.path(), &trace, lines, cut);
    }
    assert!(begun > kills / 4 && blocks > 0, "the kills missed the recording: {begun} begun, {blocks} with events");
    println!("{kills} kills: {begun} recordings had begun, {blocks} of them had events");
}

/// What can be read of a trace whose whole blocks have so many lines.
fn check(dir: &Path, trace: &Path, lines: usize, cut: bool) {
    let stats = dir.join("stats.json");
    let mut replay = grove();
    replay.arg("replay").arg("--output").arg(dir.join("profiles")).arg("--stats").arg(&stats).arg(trace);
    let output = replay.output().unwrap();
    let told = text(&output.stderr);
    if cut {
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("cut off after line"), "{told}");
    } else {
        ok(&output);
    }
    let converted = grove().arg("convert").arg(trace).output().unwrap();
    let read = text(&converted.stdout).lines().count();
    assert!(read >= lines, "{read} lines were read, and {lines} are in whole blocks: {told}");
    let ledger: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    assert!(ledger["received"].as_u64().unwrap() >= lines as u64 - 1, "{ledger}");
}

/// What is counted in the kernel, what is written and what a replay makes of it are one and the same.
#[test]
fn a_recording_says_where_every_event_went() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut record = grove();
    record.arg("record").arg("--output").arg(at("t.jsonl.gz")).arg("--stats").arg(at("recorded.json"));
    let output = record.args(["--", "sh", "-c", "for i in 1 2 3 4 5; do cat /etc/hostname; done"]).output().unwrap();
    ok(&output);
    let ledger = |name: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(at(name)).unwrap()).unwrap() };
    let recorded = ledger("recorded.json");
    let sum: u64 = ["recorded", "applied_new", "applied_known", "lifecycle", "held"]
        .iter()
        .map(|name| recorded[name].as_u64().unwrap_or(0))
        .chain(["ignored", "rejected", "dropped"].iter().flat_map(|group| {
            recorded[group].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>()
        }))
        .sum();
    assert_eq!(recorded["received"].as_u64().unwrap(), sum, "{recorded}");
    assert!(recorded["recorded"].as_u64().unwrap() > 10, "{recorded}");
    let told = text(&output.stderr);
    assert!(told.contains(&format!("{} events: {} recorded", recorded["received"], recorded["recorded"])), "{told}");

    let mut replay = grove();
    replay.arg("replay").arg("--output").arg(at("p")).arg("--stats").arg(at("replayed.json")).arg(at("t.jsonl.gz"));
    ok(&replay.output().unwrap());
    assert_eq!(ledger("replayed.json")["received"], recorded["received"]);
}
