//! A container that does much cannot hide what else it runs: the real thing, from the kernel to what `grove check` tells.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, ok};

/// So often a program runs itself again.
const AGAIN: usize = 250;

/// Runs `script` in a container that may write to its root, while it is observed. The trace of it.
fn observed(runc: &mut Runc, name: &str, script: &str, profiles: &std::path::Path) -> std::path::PathBuf {
    let id = format!("grove-flood-{name}-{}", std::process::id());
    let annotations = [("org.opencontainers.image.ref.name", "localhost/flood:1")];
    let bundle = runc.bundle(name, &["/bin/sh", "-c", script], &annotations, |spec| {
        spec["root"]["readonly"] = false.into();
    });
    let trace = profiles.join(format!("{name}.jsonl"));
    let mut run = grove();
    let running = Running::start(run.args(["run", "--output"]).arg(profiles.join(name)).arg("--record").arg(&trace));
    runc.create(&bundle, &id);
    runc.go(&id);
    containers::wait_for("the container to end", || runc.has_ended(&id).then_some(()));
    ok(&running.end());
    runc.delete(&id);
    trace
}

#[test]
fn a_program_that_runs_itself_again_and_again_from_a_long_path_hides_no_other() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    let rootfs = runc.rootfs().to_owned();
    // No digits, not even hexadecimal ones: a name of those is any.
    let deep = format!("/{}", vec!["n".repeat(240); 14].join("/"));
    fs::create_dir_all(rootfs.join(&deep[1..])).unwrap();
    fs::create_dir_all(rootfs.join("srv")).unwrap();
    fs::copy(containers::static_child(), rootfs.join("srv/app")).unwrap();
    fs::write(rootfs.join("etc/secret"), "x").unwrap();
    symlink("busybox", rootfs.join("bin/cp")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    observed(&mut runc, "benign", "/srv/app again 0 /; cp /etc/secret /tmp/x; true", dir.path());
    let attack = format!(
        "/srv/app again {AGAIN} {deep}; cp /srv/app {deep}/evil; {deep}/evil open /etc/secret; \
         /srv/app again 0 /; cp /srv/app /tmp/evil; /tmp/evil open /etc/secret; true"
    );
    let trace = observed(&mut runc, "attack", &attack, dir.path());

    let profile = dir.path().join("benign/localhost_flood.profile.json");
    let checked = grove().args(["check", "--profile"]).arg(profile).arg(&trace).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(2), "{said}");
    // With their lineages, what all of them opened is more text than is written.
    assert!(!said.contains("only counted") || said.contains("only counted, 0 of them of programs"), "{said}");
    let findings: Vec<Value> = checked
        .stdout
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    let execs: Vec<_> = findings.iter().filter(|f| f["kind"] == "exec").collect();
    let again = execs.iter().filter(|f| f["subject"].as_str().unwrap().contains("/again-")).count();
    assert_eq!(again, AGAIN);
    for evil in [format!("{deep}/evil"), "/tmp/evil".to_owned()] {
        let exec = execs.iter().find(|f| f["subject"] == *evil).unwrap_or_else(|| panic!("{evil}"));
        assert_eq!(exec["lineage"], serde_json::json!(["/bin/busybox[sh]"]));
        let did = |f: &&Value| f["subject"] == "/etc/secret" && f["lineage"][1] == *evil;
        assert!(findings.iter().any(|f| did(&f)), "{evil} opened nothing");
    }
}
