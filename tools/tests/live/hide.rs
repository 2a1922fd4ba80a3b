//! A container's own programs are its workload, whatever they are called and wherever they go; what a runtime does to set
//! it up is not. Who is the runtime is asked of the kernel.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, ok, processes, profile};

/// Names that only runtimes have, where runtimes are.
const RUNTIMES: [&str; 4] = ["/usr/bin/crun", "/usr/bin/conmon", "/usr/bin/containerd-shim-x", "/usr/bin/runc"];

fn furnish(rootfs: &Path) {
    fs::create_dir_all(rootfs.join("usr/bin")).unwrap();
    for name in RUNTIMES {
        fs::copy(containers::static_child(), rootfs.join(name.trim_start_matches('/'))).unwrap();
    }
    fs::write(rootfs.join("etc/secret"), "x").unwrap();
}

/// The lines of a container's execs: path, and whether the program was the runtime's.
fn execs(trace: &str, id: &str) -> Vec<(String, bool)> {
    let lines = trace.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let execs = lines.filter(|line| line["type"] == "exec" && line["container"] == id);
    execs.map(|line| (line["path"].as_str().unwrap().to_owned(), line["runtime"].as_bool().unwrap())).collect()
}

fn paths(profile: &Value) -> Vec<&str> {
    let mut paths: Vec<_> = processes(profile).iter().map(|process| process["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    paths
}

struct Observed {
    execs: Vec<(String, bool)>,
    profile: Value,
}

/// Runs a container with these arguments while it is observed; `inside` may do something in it meanwhile.
fn observe(name: &str, args: &[&str], change: impl FnOnce(&mut Value), inside: impl FnOnce(&Runc, &str)) -> Observed {
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    furnish(runc.rootfs());
    let id = format!("grove-{name}-{}", std::process::id());
    let image = format!("localhost/{id}");
    let annotations = [("org.opencontainers.image.ref.name", &*format!("{image}:1"))];
    let bundle = runc.bundle(name, args, &annotations, change);
    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let mut run = grove();
    let running = Running::start(run.args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    runc.create(&bundle, &id);
    runc.go(&id);
    inside(&runc, &id);
    containers::wait_for("the container to end", || runc.has_ended(&id).then_some(()));
    ok(&running.end());
    runc.delete(&id);
    let file = out.join(format!("{}.profile.json", image.replace('/', "_")));
    Observed { execs: execs(&fs::read_to_string(&trace).unwrap(), &id), profile: profile(&file) }
}

#[test]
fn a_program_called_as_a_runtime_is_of_the_workload_in_a_container() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let [crun, conmon, shim, runc] = RUNTIMES;
    let args = [crun, "exec", conmon, "exec", shim, "exec", runc, "open", "/etc/secret"];
    let seen = observe("named", &args, |_| (), |_, _| ());
    // What runc itself executed in the container's cgroup comes before.
    let (before, own) = seen.execs.split_at(seen.execs.len() - RUNTIMES.len());
    assert!(before.iter().all(|(_, runtime)| *runtime), "{:?}", seen.execs);
    assert!(own.iter().zip(RUNTIMES).all(|((path, runtime), name)| path == name && !runtime), "{:?}", seen.execs);
    let mut expected = RUNTIMES;
    expected.sort_unstable();
    assert_eq!(paths(&seen.profile), expected);
    let all = processes(&seen.profile);
    let last = all.iter().find(|process| process["path"] == runc).unwrap();
    assert!(last["files"].as_array().unwrap().iter().any(|file| file["path"] == "/etc/secret"), "{last}");
}

/// And so is one that is run in it later: what brings it in is the runtime's, and it is not.
#[test]
fn a_program_called_as_a_runtime_is_of_the_workload_when_it_is_run_in_a_container_later() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let seen = observe("later", &["sleep", "1"], |_| (), |runc, id| runc.exec(id, &["/usr/bin/runc", "exit"]));
    let told = |path: &str, runtime: bool| seen.execs.iter().any(|(p, r)| p == path && *r == runtime);
    assert!(told("/usr/bin/runc", false) && told("/bin/busybox", false), "{:?}", seen.execs);
    assert!(seen.execs.iter().any(|(_, runtime)| *runtime), "{:?}", seen.execs);
    assert_eq!(paths(&seen.profile), ["/bin/busybox", "/usr/bin/runc"]);
}

/// Whoever may do so leaves the container for the host's own files: the host's runtime is the workload's then.
#[test]
fn a_workload_that_goes_to_the_hosts_files_is_not_the_runtime_there() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let host = ["/usr/sbin/runc", "/usr/bin/runc"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    // This test is of the host, and seen in a container that has no pids of its own.
    let mounts = format!("/proc/{}/ns/mnt", std::process::id());
    let args = ["/usr/bin/crun", "setns-exec", &*mounts, host, "--version"];
    let all = ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"];
    let privileged = |spec: &mut Value| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = all.as_slice().into();
        }
    };
    let seen = observe("left", &args, privileged, |_, _| ());
    let last = seen.execs.last().unwrap();
    assert_eq!(last, &(crate::real(host), false), "{:?}", seen.execs);
    assert!(paths(&seen.profile).contains(&last.0.as_str()));
}
