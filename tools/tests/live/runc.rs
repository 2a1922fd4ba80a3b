//! Containers of plain runc, many of them, and each of 50 ms. (Of one that is gone within a few, runc's own record is gone
//! before it can be read, and there is nobody else to ask.)

use std::fs;

use crate::containers::{self, Runc};
use crate::{Running, alone, ok, processes, profile, quick_grove};

const CONTAINERS: usize = 200;

#[test]
fn two_hundred_containers_in_a_row_are_all_seen_and_named() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let runc = Runc::with_usual_records();
    fs::write(runc.rootfs().join("etc/note"), "x").unwrap();
    let image = [("org.opencontainers.image.ref.name", "localhost/row:1")];
    let bundle = runc.bundle("row", &["sh", "-c", "cat /etc/note; sleep 0.05; :"], &image, |_| ());

    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(quick_grove().args(["run", "--output"]).arg(dir.path()));
    for n in 0..CONTAINERS {
        runc.run(&bundle, &format!("grove-row-{}-{n}", std::process::id()));
    }
    let output = running.end();
    ok(&output);
    let told = crate::text(&output.stderr);
    assert!(told.contains(&format!("of {CONTAINERS} containers")), "{told}");
    let profile = profile(&dir.path().join("localhost_row.profile.json"));
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
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["localhost_row.profile.json"], "{told}");
}
