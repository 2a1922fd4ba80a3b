//! What is lost is in the ledger; what is killed leaves nothing behind.

use std::fs;
use std::process::Command;

use crate::{Running, alone, attached, containers, grove, ok};

/// A program that opens so many files that are not there, one by one.
const OPENS: &str = "import os\nfor i in range(30000):\n    os.close(os.open('/etc/hostname', 0))\n";

#[test]
fn with_a_small_ring_what_was_done_is_what_was_told_and_what_was_lost() {
    if !containers::have(&[("python3", "python3")]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let mut run = grove();
    // Slow to empty, so that it overflows; and nothing is left out as known already.
    run.env("GROVE_RING_BYTES", "64Ki").env("GROVE_DRAIN_INTERVAL", "200ms").env("GROVE_DEDUP_WINDOW", "0s");
    run.args(["run", "--output"]).arg(dir.path()).arg("--stats").arg(&stats);
    ok(&run.arg("--").args(["/usr/bin/python3", "-S", "-E", "-c", OPENS]).output().unwrap());
    let ledger: serde_json::Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
    let lost = |class: &str| {
        ["ring_full", "shed"]
            .iter()
            .filter_map(|cause| ledger["dropped"][format!("{cause}_{class}")].as_u64())
            .sum::<u64>()
    };
    let sum =
        |group: &str| ledger[group].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum::<u64>();
    let told =
        ["applied_new", "applied_known", "lifecycle", "held"].iter().filter_map(|f| ledger[*f].as_u64()).sum::<u64>();
    assert_eq!(ledger["received"].as_u64().unwrap(), told + sum("ignored") + sum("rejected") + sum("dropped"));
    assert!(lost("open") > 1000, "nothing was lost: {ledger}");
    // Files and sockets go first.
    assert_eq!((lost("fork"), lost("exec"), lost("exit")), (0, 0, 0), "{ledger}");
    // Nothing is missing: the loop's own opens, and the few of the start-up.
    let opens = ledger["applied_known"].as_u64().unwrap() + ledger["applied_new"].as_u64().unwrap() + lost("open");
    assert!((30_000..32_000).contains(&opens), "{ledger}");
    let profile = crate::profile(&dir.path().join("python3.profile.json"));
    let own = profile["ledgers"].as_object().unwrap().values().next().unwrap();
    assert_eq!(own["dropped"], ledger["dropped"], "the profile says what was lost");
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
