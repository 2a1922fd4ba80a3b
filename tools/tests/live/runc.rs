//! Containers of plain runc, many of them, and each of 50 ms. (Of one that is gone within a few, runc's own record is gone
//! before it can be read, and there is nobody else to ask.)

use std::fs;

use crate::containers::{self, Runc};
use crate::{Running, alone, learned, ok, processes, profile, quick_grove};

const CONTAINERS: usize = 200;

#[test]
fn two_hundred_containers_in_a_row_are_all_seen_and_named() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let runc = Runc::with_usual_records();
    fs::write(runc.rootfs().join("etc/note"), "x").unwrap();
    // Like nobody else's: others may run containers on this host too.
    let image = format!("localhost/row-{}", std::process::id());
    let annotations = [("org.opencontainers.image.ref.name", &*format!("{image}:1"))];
    let bundle = runc.bundle("row", &["sh", "-c", "cat /etc/note; sleep 0.05; :"], &annotations, |_| ());

    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let running = Running::start(quick_grove().args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    let ids: Vec<_> = (0..CONTAINERS).map(|n| format!("grove-row-{}-{n}", std::process::id())).collect();
    for id in &ids {
        runc.run(&bundle, id);
    }
    let output = running.end();
    ok(&output);
    let named = learned::workloads(&fs::read_to_string(&trace).unwrap());
    let right = Some((image.clone(), "1".to_owned()));
    let nameless: Vec<_> = ids.iter().filter(|id| named.get(*id) != right.as_ref()).collect();
    assert!(nameless.is_empty(), "{nameless:?}: {}", crate::text(&output.stderr));
    let profile = profile(&out.join(format!("{}.profile.json", image.replace('/', "_"))));
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
}
