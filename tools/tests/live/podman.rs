//! Containers of Podman, by image and tag.

use std::process::Command;

use crate::containers::{self, Podman};
use crate::{Running, alone, grove, ok, processes, profile, quick_grove};

fn run(podman: &Podman, dir: &std::path::Path) -> Command {
    let mut command = quick_grove();
    command.env("GROVE_CONTAINER_STORAGE", podman.storage());
    command.args(["run", "--output"]).arg(dir).arg("--stats").arg(dir.join("stats.json"));
    command
}

#[test]
fn two_tags_of_one_image_and_the_difference_between_them() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let _alone = alone();
    let podman = Podman::new();
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut run(&podman, dir.path()));
    let container = |tag: &str, script: &str| {
        podman.run(&["run", "--rm", "--network=none", &format!("localhost/bb:{tag}"), "sh", "-c", script]);
    };
    container("1", "cat /etc/hosts");
    container("2", "cat /etc/hosts; ls /tmp; sleep 0.05");
    // As many again, one after the other, and each as short as can be.
    for _ in 0..10 {
        container("1", "true");
    }
    ok(&running.end());

    let path = dir.path().join("localhost_bb.profile.json");
    let profile = profile(&path);
    assert_eq!(profile["image"], "localhost/bb");
    assert_eq!(profile["tags"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1", "2"]);
    let ran: Vec<&str> = processes(&profile).iter().map(|process| process["path"].as_str().unwrap()).collect();
    // The runtime's own doings are not the workload's.
    assert!(ran.iter().all(|path| *path == "/bin/busybox"), "{ran:?}");
    let ledgers = profile["ledgers"].as_object().unwrap();
    let ledger = ledgers.values().next().unwrap();
    assert_eq!((ledgers.len(), ledger["dropped"]["queue_full"].as_u64()), (1, Some(0)));
    assert!(ledger["ignored"]["runtime_setup"].as_u64() > Some(0), "{ledger}");

    let diff = grove().arg("diff").arg(&path).args(["--tags", "1..2", "--color", "never"]).output().unwrap();
    assert_eq!(diff.status.code(), Some(2));
    let diff = crate::text(&diff.stdout);
    assert!(diff.contains("+ process    /bin/busybox (sleep)"), "{diff}");

    // Learning goes on where it was left.
    let running = Running::start(&mut run(&podman, dir.path()));
    container("2", "cat /etc/passwd || true");
    ok(&running.end());
    let later = crate::profile(&path);
    assert_eq!(later["ledgers"].as_object().unwrap().len(), 2);
    assert_eq!(later["tags"].as_object().unwrap().len(), 2);
}

#[test]
fn a_container_that_runs_already_is_met_in_the_middle() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let _alone = alone();
    let podman = Podman::new();
    let script = "while true; do cat /etc/hosts > /dev/null; sleep 0.1; done";
    let id = podman.run(&["run", "-d", "--network=none", "localhost/bb:2", "sh", "-c", script]);
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace.jsonl");
    let mut record = grove();
    record.env("GROVE_CONTAINER_STORAGE", podman.storage());
    record.args(["record", "--for", "1s", "--container", &id[..12], "--output"]).arg(&trace);
    ok(&record.output().unwrap());
    ok(&grove().arg("replay").arg("--output").arg(dir.path()).arg(&trace).output().unwrap());
    let profile = profile(&dir.path().join("localhost_bb.profile.json"));
    let all = profile["processes"].as_array().unwrap();
    let roots = all.iter().filter(|process| process["parent"].is_null());
    // A process that ended while all this began is known by nothing but its end.
    let roots: Vec<_> = roots.filter(|root| root["path"] != "<unknown>").collect();
    let names: Vec<_> =
        roots.iter().map(|root| (&root["path"], &root["argv0"], &root["syscalls"], &root["files"])).collect();
    assert_eq!(roots.len(), 1, "{names:?}");
    assert_eq!((roots[0]["path"].as_str(), roots[0]["argv0"].as_str()), (Some("/bin/busybox"), Some("sh")));
    let cat = all.iter().find(|child| child["argv0"] == "cat").unwrap();
    assert_eq!(all[cat["parent"].as_u64().unwrap() as usize], *roots[0]);
    assert_eq!(cat["files"][0]["path"], "/etc/hosts");
    assert!(profile["tags"]["2"].is_object());
}

/// One that does nothing meanwhile is there too, and its program is not shown as one that makes no calls.
#[test]
fn a_container_that_runs_already_and_does_nothing_is_there() {
    if !containers::have(&Podman::NEEDS) {
        return;
    }
    let _alone = alone();
    let podman = Podman::new();
    podman.run(&["run", "-d", "--network=none", "localhost/bb:1", "sleep", "600"]);
    let dir = tempfile::tempdir().unwrap();
    ok(&run(&podman, dir.path()).args(["--for", "2s"]).output().unwrap());
    let profile = dir.path().join("localhost_bb.profile.json");
    let tree = ok(&grove().arg("inspect").arg(&profile).output().unwrap());
    let not_seen = "/bin/busybox (sleep)\n└─ calls     not seen: it ran before watching began";
    assert!(tree.contains(not_seen), "{tree}");
    assert!(crate::profile(&profile)["tags"]["1"].is_object());
}
