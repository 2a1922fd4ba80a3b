//! Below `/proc`, a container's process is itself by its number in the container, and everybody else by any other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, learned, ok, processes, profile};

/// The files below `/proc/` that are named by a process, of programs of this name.
fn of_proc(profile: &Value, program: &str) -> BTreeSet<String> {
    let all = processes(profile);
    let of = all.iter().filter(|process| learned::program(process) == program);
    let files = of.flat_map(|process| process["files"].as_array().unwrap());
    let paths = files.map(|file| file["path"].as_str().unwrap().to_owned());
    paths.filter(|path| path.starts_with("/proc/") && path.ends_with("/stat")).collect()
}

/// Both before Grove begins and while it runs: a shell that is 1 in its container, and a program that is not.
#[test]
fn a_container_s_own_proc_is_self_and_a_neighbour_s_is_another() {
    const SCRIPT: &str = "sleep 600 & while :; do read x < /proc/self/stat; read x < /proc/$!/stat; \
                          /bin/cat /proc/self/stat /proc/1/stat > /dev/null; sleep 0.2; done";
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    let id = std::process::id();
    let image = |name: &str| format!("localhost/{name}-{id}");
    let name = "org.opencontainers.image.ref.name";
    let mut start = |kind: &str| {
        runc.start(&format!("grove-{kind}-{id}"), &["sh", "-c", SCRIPT], &[(name, &format!("{}:1", image(kind)))]);
    };
    start("found-own");
    let dir = tempfile::tempdir().unwrap();
    let (trace, out, again) = (dir.path().join("t.jsonl"), dir.path().join("live"), dir.path().join("again"));
    let running = Running::start(grove().args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    start("watched-own");
    std::thread::sleep(std::time::Duration::from_secs(2));
    ok(&running.end());
    drop(runc);
    ok(&grove().arg("replay").arg("--output").arg(&again).arg(&trace).output().unwrap());
    for learned in [&out, &again] {
        for kind in ["found-own", "watched-own"] {
            let profile = profile(&learned.join(format!("{}.profile.json", image(kind).replace('/', "_"))));
            for program in ["/bin/busybox (sh)", "/bin/busybox (cat)"] {
                let both = ["/proc/*/stat", "/proc/self/stat"].map(str::to_owned);
                assert_eq!(of_proc(&profile, program), BTreeSet::from(both), "{kind}, {program}: {profile:#}");
            }
        }
    }
}
