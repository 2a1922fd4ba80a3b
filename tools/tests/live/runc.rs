//! Containers of plain runc, many of them, and each of 50 ms. (Of one that is gone within a few, runc's own record is gone
//! before it can be read, and there is nobody else to ask.)

use std::fs;
use std::process::Command;

use crate::containers::{self, BUSYBOX, Rootfs};
use crate::{Running, alone, grove, ok, processes, profile};

const CONTAINERS: usize = 200;

#[test]
fn two_hundred_containers_in_a_row_are_all_seen_and_named() {
    if !containers::have(&[("runc", "runc"), BUSYBOX]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let rootfs = Rootfs::new();
    let done = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", crate::text(&output.stderr));
    };
    done(Command::new("runc").arg("spec").current_dir(dir.path()));
    let config = dir.path().join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = ["sh", "-c", "cat /etc/note; sleep 0.05; :"].as_slice().into();
    spec["root"]["path"] = rootfs.path().to_string_lossy().into();
    spec["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "localhost/row:1" });
    fs::write(&config, spec.to_string()).unwrap();
    fs::write(rootfs.path().join("etc/note"), "x").unwrap();

    let out = dir.path().join("profiles");
    let running = Running::start(grove().args(["run", "--output"]).arg(&out));
    for n in 0..CONTAINERS {
        let id = format!("grove-row-{}-{n}", std::process::id());
        done(Command::new("runc").args(["run", "--bundle"]).arg(dir.path()).arg(&id));
    }
    let output = running.end();
    ok(&output);
    let told = crate::text(&output.stderr);
    assert!(told.contains(&format!("of {CONTAINERS} containers")), "{told}");
    let profile = profile(&out.join("localhost_row.profile.json"));
    let all = processes(&profile);
    let mut names: Vec<_> = all.iter().map(|process| process["argv0"].as_str()).collect();
    names.sort();
    assert_eq!(names, [Some("cat"), Some("sh"), Some("sleep")]);
    let cat = all.iter().find(|process| process["argv0"] == "cat").unwrap();
    let files: Vec<_> = cat["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["/etc/note"]);
    // One start and one stop of each at the least.
    let ledger = profile["ledgers"].as_object().unwrap().values().next().unwrap();
    assert!(ledger["lifecycle"].as_u64().unwrap() >= 2 * CONTAINERS as u64, "{ledger}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}
