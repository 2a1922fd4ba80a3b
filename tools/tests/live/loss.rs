//! What is lost is in the ledger; what is killed leaves nothing behind.

use std::fs;
use std::process::Command;

use crate::{Running, alone, attached, containers, grove, ok};

#[test]
fn with_a_small_ring_what_was_done_is_what_was_told_and_what_was_lost() {
    const ROUNDS: u64 = 20_000;
    const FORKS: u64 = ROUNDS / 1000;
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (stats, trace) = (dir.path().join("stats.json"), dir.path().join("t.jsonl"));
    let child = containers::static_child();
    let mut run = grove();
    // Slow to empty, so that it overflows; and nothing is left out as known already, or told in between.
    run.env("GROVE_RING_BYTES", "256Ki").env("GROVE_DRAIN_INTERVAL", "1s").env("GROVE_DEDUP_WINDOW", "0s");
    run.env("GROVE_SYSCALL_INTERVAL", "1h");
    run.args(["run", "--output"]).arg(dir.path()).arg("--record").arg(&trace).arg("--stats").arg(&stats).arg("--");
    ok(&run.arg(child).args(["storm", &ROUNDS.to_string(), "/etc/hostname"]).output().unwrap());

    let ledger: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    let sum =
        |group: &str| ledger[group].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum::<u64>();
    let learned =
        ["applied_new", "applied_known", "lifecycle", "held"].iter().filter_map(|f| ledger[*f].as_u64()).sum::<u64>();
    assert_eq!(ledger["received"].as_u64().unwrap(), learned + sum("ignored") + sum("rejected") + sum("dropped"));

    let events: Vec<serde_json::Value> =
        fs::read_to_string(&trace).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // From the program's exec on: what was before is the launcher's.
    let begin = events.iter().position(|event| event["path"] == child.to_str().unwrap()).unwrap();
    let told = |class: &str| events[begin..].iter().filter(|event| event["type"] == class).count() as u64;
    let lost = |class: &str| {
        let causes = ["ring_full", "shed"].map(|cause| ledger["dropped"][format!("{cause}_{class}")].as_u64());
        causes.into_iter().flatten().sum::<u64>()
    };
    // Every class that this produces, with how many of it: and what was lost of it, and whether any was.
    for (class, kind, done, is_lost) in [
        ("open", "open", ROUNDS, true),
        // Each connects, and sends to an address.
        ("socket", "connect", 2 * ROUNDS, true),
        ("dns", "dns", ROUNDS, true),
        ("syscalls", "syscalls", FORKS + 1, true),
        // Those who come and go are lost last, and these are few.
        ("exec", "exec", 1, false),
        ("fork", "fork", FORKS, false),
        ("exit", "exit", FORKS + 1, false),
    ] {
        assert_eq!(told(kind) + lost(class), done, "{class}: told and lost; {ledger}");
        assert_eq!(lost(class) > 0, is_lost, "{class}: {ledger}");
        assert!(told(kind) > 0, "{class}: {ledger}");
    }
    // The profile says what was lost, and so does the trace.
    let profile = crate::profile(&dir.path().join(format!("{}.profile.json", child.file_name().unwrap().display())));
    let own = profile["ledgers"].as_object().unwrap().values().next().unwrap();
    assert_eq!(own["dropped"], ledger["dropped"]);
    let missed = events.iter().filter(|event| event["type"] == "missed" && event["cause"] != "repeat");
    assert_eq!(missed.filter_map(|event| event["n"].as_u64()).sum::<u64>(), sum("dropped"));
}

#[test]
fn killed_it_leaves_no_program_attached_and_no_broken_profile() {
    if !containers::have(&[("bpftool", "bpftool")]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut run = grove();
    run.env("GROVE_PROFILE_INTERVAL", "1s").args(["run", "--host", "--output"]).arg(dir.path());
    let running = Running::start(&mut run);
    containers::wait_for("a profile", || fs::read_dir(dir.path()).unwrap().flatten().find(|f| f.path().is_file()));
    let programs = || {
        let list = Command::new("bpftool").args(["prog", "list"]).output().unwrap();
        crate::text(&list.stdout).lines().filter(|line| line.contains("grove")).count()
    };
    assert!(attached(running.id()) && programs() > 0);
    running.signal("-KILL");
    running.output();
    containers::wait_for("the kernel to let go", || (programs() == 0).then_some(()));
    for file in
        fs::read_dir(dir.path()).unwrap().flatten().filter(|file| file.path().extension().is_some_and(|e| e == "json"))
    {
        ok(&grove().arg("inspect").arg(file.path()).output().unwrap());
    }
}
