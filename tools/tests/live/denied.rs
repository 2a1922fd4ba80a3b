//! What a container tries and is refused: learned apart, and found by a check if it is new.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::{Value, json};

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, ok, processes, profile, text};

#[test]
fn a_denied_secret_and_a_refused_peer_are_learned_apart_and_new_ones_are_findings() {
    const LEARNED: &str = "cat /etc/secret; child connect inet stream 127.0.0.1 7001; cat /etc/absent; :";
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let runc = Runc::with_usual_records();
    fs::copy(containers::static_child(), runc.rootfs().join("bin/child")).unwrap();
    for name in ["secret", "other"] {
        let file = runc.rootfs().join("etc").join(name);
        fs::write(&file, "x").unwrap();
        chown(&file, Some(1000), Some(1000)).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let id = std::process::id();
    let image = format!("localhost/denied-{id}");
    let annotations = [("org.opencontainers.image.ref.name", &*format!("{image}:1"))];
    let bundle = |name: &str, script: &str| {
        runc.bundle(name, &["sh", "-c", script], &annotations, |spec| {
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                spec["process"]["capabilities"][set] = json!([]);
            }
        })
    };
    let (first, second) = (
        bundle("first", LEARNED),
        bundle("second", &format!("{LEARNED}; cat /etc/other; child connect inet stream 127.0.0.1 7002; :")),
    );
    let dir = tempfile::tempdir().unwrap();
    let (out, trace) = (dir.path().join("profiles"), dir.path().join("t.jsonl"));
    let running = Running::start(grove().args(["run", "--output"]).arg(&out));
    runc.run(&first, &format!("grove-denied-1-{id}"));
    ok(&running.end());
    let file = out.join(format!("{}.profile.json", image.replace('/', "_")));
    let learned = profile(&file);
    let denied: Vec<[&str; 3]> = processes(&learned)
        .iter()
        .flat_map(|process| process["denied"].as_array().into_iter().flatten())
        .map(|one| ["kind", "subject", "error"].map(|field| one[field].as_str().unwrap()))
        .collect();
    assert_eq!(denied.len(), 2, "{learned:#}");
    for expected in [["open", "/etc/secret", "EACCES"], ["connect", "127.0.0.1:7001", "ECONNREFUSED"]] {
        assert!(denied.contains(&expected), "{expected:?}: {denied:?}");
    }

    let elsewhere = dir.path().join("second");
    let running = Running::start(grove().args(["run", "--output"]).arg(&elsewhere).arg("--record").arg(&trace));
    runc.run(&second, &format!("grove-denied-2-{id}"));
    ok(&running.end());
    let checked = grove().arg("check").arg("--profile").arg(&file).arg(&trace).output().unwrap();
    assert_eq!(checked.status.code(), Some(2), "{}", text(&checked.stderr));
    let findings: Vec<Value> = text(&checked.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found: Vec<_> = findings
        .iter()
        .filter(|one| one["image"] == image.as_str())
        .map(|one| ["kind", "reason", "subject", "error"].map(|field| one[field].as_str().unwrap_or("").to_owned()))
        .collect();
    found.sort();
    let expected = [
        ["connect", "denied_attempt", "127.0.0.1:7002", "ECONNREFUSED"],
        ["open", "denied_attempt", "/etc/other", "EACCES"],
    ];
    assert_eq!(found, expected.map(|one| one.map(str::to_owned)), "{findings:#?}");
}
