//! The process connector as the declared, degraded source.

use crate::{alone, containers, grove, ok, processes, profile};

#[test]
fn what_it_tells_is_marked_partial_and_stays_so() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("t.jsonl");
    let mut run = grove();
    run.args(["run", "--source", "proc", "--output"]).arg(dir.path()).arg("--record").arg(&trace);
    // A pause, so that each is still there when it is looked at.
    ok(&run.args(["--", "bash", "-c", "sleep 0.2; cat /etc/hostname; sleep 0.2"]).output().unwrap());
    let path = dir.path().join("bash.profile.json");
    let live = profile(&path);
    assert_eq!(live["completeness"], "partial");
    let ran: Vec<_> = processes(&live).iter().map(|process| process["path"].as_str().unwrap().to_owned()).collect();
    assert!(
        ran.iter().any(|path| path.ends_with("/bash")) && ran.iter().any(|path| path.ends_with("/sleep")),
        "{ran:?}"
    );

    let shown = ok(&grove().arg("inspect").args(["--color", "never"]).arg(&path).output().unwrap());
    assert!(shown.contains("partial"), "{shown}");
    let again = dir.path().join("again");
    ok(&grove().arg("replay").arg("--output").arg(&again).arg(&trace).output().unwrap());
    assert_eq!(profile(&again.join("bash.profile.json"))["completeness"], "partial");
    // Whatever it is merged with.
    let merged = dir.path().join("merged.json");
    ok(&grove().arg("merge").arg("--output").arg(&merged).arg(&path).arg(&path).output().unwrap());
    assert_eq!(profile(&merged)["completeness"], "partial");
}
