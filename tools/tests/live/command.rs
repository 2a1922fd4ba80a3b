//! One command and all that it runs, held against what strace saw of the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::strace::{self, Did, Strace};
use crate::{alone, containers, grove, learned, ok, profile, real};

/// A crate of nothing but a library and a program.
fn small_crate(dir: &Path) {
    fs::create_dir_all(dir.join("src")).unwrap();
    fs::write(dir.join("Cargo.toml"), "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")
        .unwrap();
    fs::write(dir.join("src/main.rs"), "fn main() { println!(\"{}\", 6 * 7); }\n").unwrap();
}

fn build(dir: &Path, target: &str) -> Vec<String> {
    let manifest = dir.join("Cargo.toml");
    let target = dir.join(target);
    ["cargo", "build", "--offline", "--quiet", "--manifest-path", &manifest.to_string_lossy(), "--target-dir"]
        .into_iter()
        .map(str::to_owned)
        .chain([target.to_string_lossy().into_owned()])
        .collect()
}

#[test]
fn every_program_that_strace_saw_is_there_and_a_replay_gives_the_same_profile() {
    if !containers::have(&[Strace::NEEDS]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    small_crate(dir.path());
    let (trace, live, again) = (dir.path().join("t.jsonl.zst"), dir.path().join("live"), dir.path().join("again"));

    let mut run = grove();
    run.args(["run", "--output"]).arg(&live).arg("--record").arg(&trace).arg("--").args(build(dir.path(), "a"));
    ok(&run.output().unwrap());
    ok(&grove().arg("replay").arg("--output").arg(&again).arg(&trace).output().unwrap());
    let file = "cargo.profile.json";
    let (live, again) = (fs::read(live.join(file)).unwrap(), fs::read(again.join(file)).unwrap());
    assert!(live == again, "learning live and from the trace of the same differ");

    // Both by the path that the kernel has, whatever the directory they build in is called.
    let programs = |paths: BTreeSet<String>, target: &str| -> BTreeSet<String> {
        let target = dir.path().join(target);
        paths.iter().map(|path| real(path).replace(&*target.to_string_lossy(), "TARGET")).collect()
    };
    let strace = Strace::new();
    ok(&strace.command().args(build(dir.path(), "b")).output().unwrap());
    let seen = programs(strace::programs(&strace.doings(real)), "b");
    let told = programs(learned::programs(&profile(&dir.path().join("live").join(file))), "a");
    // The linker at least, beside cargo and rustc.
    assert!(seen.len() >= 4, "{seen:?}");
    let missing: Vec<_> = seen.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?} of {seen:?}; told {told:?}");
    assert!(told.iter().all(|path| !path.contains("<unknown>") && !path.ends_with("/grove")), "{told:?}");
}

#[test]
fn what_opens_what_is_what_strace_saw() {
    if !containers::have(&[Strace::NEEDS]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data"), "x\n").unwrap();
    let script = format!(
        "cd {}; cat data /etc/hostname ./../{}/data > out; ln -s out link; grep -q x link; ls /nowhere; exit 0",
        dir.path().display(),
        dir.path().file_name().unwrap().to_string_lossy(),
    );
    let command = ["bash", "-c", &script];
    let out = dir.path().join("profiles");
    ok(&grove().args(["run", "--output"]).arg(&out).arg("--").args(command).output().unwrap());
    let opened = |did: Did| if let Did::Open(path) = did { Some(path) } else { None };
    let told = learned::by_program(&profile(&out.join("bash.profile.json")));
    let told: BTreeSet<String> = told.into_iter().filter_map(|(_, did)| opened(did)).collect();
    fs::remove_file(dir.path().join("link")).unwrap();
    let strace = Strace::new();
    ok(&strace.command().args(command).output().unwrap());
    let seen = strace.doings(real).into_values().flatten().filter_map(opened);
    let seen: BTreeSet<String> = seen.filter(|path| !path.starts_with("/proc/")).collect();
    assert!(seen.len() > 5, "{seen:?}");
    let missing: Vec<_> = seen.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?}; told {told:?}");
}

/// The first of what it runs is the shell's: what led to that is the launcher's.
#[test]
fn what_a_recorded_command_calls_is_what_strace_saw() {
    if !containers::have(&[Strace::NEEDS, containers::BUSYBOX]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let child = containers::static_child().display();
    let script = format!(
        "busybox cat /etc/hostname; {child} thread; {child} connect inet stream 127.0.0.1 1; {child} exit 3; exit 0"
    );
    let command = ["busybox", "sh", "-c", &script];
    let (trace, log) = (dir.path().join("t.jsonl"), dir.path().join("log"));
    ok(&grove().args(["record", "--output"]).arg(&trace).arg("--").args(command).output().unwrap());
    ok(&grove().args(["replay", "--output"]).arg(dir.path().join("p")).arg(&trace).output().unwrap());
    let profile = profile(&dir.path().join("p/busybox.profile.json"));
    let told: BTreeSet<String> = crate::processes(&profile)
        .iter()
        .flat_map(|process| process["syscalls"].as_array().unwrap())
        .map(|call| call["name"].as_str().unwrap().to_owned())
        .collect();

    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).args(command);
    ok(&strace.stdin(Stdio::null()).output().unwrap());
    // 1234 openat(AT_FDCWD, …, and again, if another came in between: 1234 <... openat resumed>…
    let log = fs::read_to_string(&log).unwrap();
    let name = |line: &str| line.split_once(' ')?.1.trim_start().split_once('(').map(|(name, _)| name.to_owned());
    let named = |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let seen: BTreeSet<String> = log.lines().filter_map(name).filter(named).collect();
    assert!(["execve", "exit", "exit_group", "connect"].iter().all(|call| seen.contains(*call)), "{seen:?}");
    // Whether one thread has to wait for another is chance, and these were two runs.
    let but_waiting = |calls: BTreeSet<String>| calls.into_iter().filter(|call| call != "futex").collect::<Vec<_>>();
    assert_eq!(but_waiting(told), but_waiting(seen));
}

#[test]
fn a_command_that_cannot_be_run_is_told() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    // It is there and may be executed: only the kernel finds out that it is no program.
    let script = dir.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (program, subcommand) in
        [(Path::new("/no/such/program"), "record"), (script.as_path(), "record"), (script.as_path(), "run")]
    {
        let output = dir.path().join(subcommand);
        let output = grove().args([subcommand, "--output"]).arg(output).arg("--").arg(program).output().unwrap();
        let told = crate::text(&output.stderr);
        let line = told.lines().last().unwrap_or_default();
        assert!(line.contains(&format!("cannot run {}: No such file", program.display())), "{told}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(told.matches("cannot run").count(), 1, "{told}");
    }
}

#[test]
fn time_ends_a_command_and_what_it_did_is_there() {
    if !containers::have(&[]) {
        return;
    }
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let mut run = grove();
    run.args(["run", "--for", "1s", "--output"]).arg(dir.path()).args(["--image", "waiter", "--tag", "7", "--"]);
    let output = run.args(["bash", "-c", "cat /etc/hostname; exec sleep 100"]).output().unwrap();
    ok(&output);
    assert!(crate::text(&output.stderr).contains("the command ended with"), "{}", crate::text(&output.stderr));
    let profile = profile(&dir.path().join("waiter.profile.json"));
    assert!(profile["tags"]["7"].is_object());
    // System calls of a process that sleeps are told at the end.
    let sleep = crate::processes(&profile).into_iter().find(|p| p["path"].as_str().unwrap().ends_with("/sleep"));
    assert!(
        sleep.unwrap()["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .any(|call| call["name"] == "execve" || call["nr"].is_u64())
    );
}
