//! What processes in namespaces of their own do: mounts that nobody else sees, and pids that are used again.

use std::collections::BTreeSet;

use crate::{alone, containers, grove, ok, processes, profile};

fn learn(script: &str, unshare: &[&str]) -> (tempfile::TempDir, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let mut run = grove();
    run.args(["run", "--image", "shared", "--output"]).arg(dir.path()).args(["--", "unshare"]).args(unshare);
    ok(&run.args(["bash", "-c", script]).output().unwrap());
    let profile = profile(&dir.path().join("shared.profile.json"));
    (dir, profile)
}

#[test]
fn paths_are_those_that_the_process_sees_over_tmpfs_and_bind_mounts() {
    if !containers::have(&[("unshare", "util-linux")]) {
        return;
    }
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let at = place.path().display();
    let script = format!(
        "set -e; mount -t tmpfs none {at}; mkdir {at}/bound {at}/deep; echo x > {at}/new; mount --bind /etc {at}/bound; \
         cat {at}/bound/hostname; mount -t tmpfs none {at}/deep; cd {at}/deep; echo y > relative; ln -s ../new link; cat link"
    );
    let (_dir, profile) = learn(&script, &["--mount"]);
    let files: BTreeSet<String> = processes(&profile)
        .iter()
        .flat_map(|process| process["files"].as_array().unwrap())
        .filter(|file| file["access"].is_string())
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    for name in ["new", "bound/hostname", "deep/relative"] {
        assert!(files.contains(&format!("{at}/{name}")), "{name}: {files:?}");
    }
    // The link, which was made but not opened, leads to what it stands for.
    assert!(!files.contains(&format!("{at}/deep/link")), "{files:?}");
}

#[test]
fn pids_that_are_used_again_are_other_processes() {
    if !containers::have(&[("unshare", "util-linux")]) {
        return;
    }
    let _alone = alone();
    // Where the namespace takes a limit of its own (Linux 6.14 and later), its pids come round after three hundred.
    let script = "echo 330 2>/dev/null > /proc/sys/kernel/pid_max || true; \
                  for i in $(seq 1000); do /bin/true; done; cat /etc/hostname";
    let (_dir, profile) = learn(script, &["--pid", "--fork", "--mount-proc"]);
    let all = processes(&profile);
    let children = |name: &str| all.iter().filter(|p| p["path"].as_str().unwrap().ends_with(name)).count();
    assert_eq!((children("/true"), children("/cat"), children("/seq")), (1, 1, 1));
    // Nobody took another's place: only cat read the file, and nothing is below true.
    for process in &all {
        let reads = process["files"].as_array().unwrap().iter().any(|file| file["path"] == "/etc/hostname");
        assert_eq!(reads, process["path"].as_str().unwrap().ends_with("/cat"), "{process}");
        let below_true = process["parent"]
            .as_u64()
            .is_some_and(|parent| all[parent as usize]["path"].as_str().unwrap().ends_with("/true"));
        assert!(!below_true, "{process}");
    }
    let ledger = profile["ledgers"].as_object().unwrap().values().next().unwrap();
    // A thousand forks and exits, and those of bash, seq, cat.
    assert!(ledger["lifecycle"].as_u64().unwrap() >= 2000, "{ledger}");
}
