//! Containers of plain runc: many of them, and some that live for a few milliseconds.

use std::fs;

use crate::containers::{self, Runc};
use crate::{Running, alone, grove, learned, ok, processes, profile, quick_grove};

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

/// Of a container that does next to nothing runc's own record may be gone before it is read. Its bundle is not, and the call
/// of runc says where it is: by an option or by being made there.
#[test]
fn containers_of_a_few_milliseconds_are_named() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let count = if std::env::var_os("GROVE_TEST_FULL").is_some() { 3000 } else { 120 };
    let runc = Runc::with_usual_records();
    let image = format!("localhost/short-{}", std::process::id());
    let annotations = [("org.opencontainers.image.ref.name", &*format!("{image}:1"))];
    let bundle = runc.bundle("short", &["true"], &annotations, |_| ());
    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let running = Running::start(grove().args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    let ids: Vec<_> = (0..count).map(|n| format!("grove-short-{}-{n}", std::process::id())).collect();
    for (n, id) in ids.iter().enumerate() {
        if n % 2 == 0 { runc.run(&bundle, id) } else { runc.run_in(&bundle, id) }
    }
    let output = running.end();
    ok(&output);
    let named = learned::workloads(&fs::read_to_string(&trace).unwrap());
    let right = Some((image, "1".to_owned()));
    let nameless: Vec<_> = ids.iter().filter(|id| named.get(*id) != right.as_ref()).collect();
    println!("{} of {count} containers without a name", nameless.len());
    assert!(nameless.is_empty(), "{nameless:?}: {}", crate::text(&output.stderr));
}

/// What is read long after a container has gone is still the container's, never the host's, and it has its name.
#[test]
fn containers_that_are_gone_before_anybody_looks_are_containers() {
    const SHORT: usize = 12;
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let runc = Runc::with_usual_records();
    fs::write(runc.rootfs().join("etc/note"), "x").unwrap();
    let image = format!("localhost/late-{}", std::process::id());
    let annotations = [("org.opencontainers.image.ref.name", &*format!("{image}:1"))];
    let bundle = runc.bundle("late", &["cat", "/etc/note"], &annotations, |_| ());
    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let mut run = grove();
    run.env("GROVE_DRAIN_INTERVAL", "1s").args(["run", "--output"]).arg(&out).arg("--record").arg(&trace);
    let running = Running::start(&mut run);
    let ids: Vec<_> = (0..SHORT).map(|n| format!("grove-late-{}-{n}", std::process::id())).collect();
    for id in &ids {
        runc.run(&bundle, id);
    }
    ok(&running.end());
    let trace = fs::read_to_string(&trace).unwrap();
    for id in &ids {
        let cat = |line: &str| line.contains(&format!("{id:?}")) && line.contains(r#""argv":["cat","#);
        assert!(trace.lines().any(cat), "{id}: {trace}");
    }
    let named = learned::workloads(&trace);
    let right = Some((image, "1".to_owned()));
    assert!(ids.iter().all(|id| named.get(id) == right.as_ref()), "{named:?}");
}

/// What a runtime does for an exec is not the image's doing, in a container that ran before anybody looked either.
#[test]
fn an_exec_in_a_container_that_ran_before_is_the_runtimes_until_the_command_runs() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    let image = format!("localhost/before-{}", std::process::id());
    let id = format!("grove-before-{}", std::process::id());
    runc.start(&id, &["sleep", "600"], &[("org.opencontainers.image.ref.name", &*format!("{image}:1"))]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("profiles");
    let running = Running::start(grove().args(["run", "--output"]).arg(&out));
    runc.exec_to_its_end(&id, &["cat", "/proc/version"]);
    ok(&running.end());
    runc.delete(&id);
    let profile = profile(&out.join(format!("{}.profile.json", image.replace('/', "_"))));
    let all = processes(&profile);
    let mut names: Vec<_> = all.iter().map(|process| process["argv0"].as_str()).collect();
    names.sort();
    assert_eq!(names, [Some("cat"), Some("sleep")], "{all:#?}");
    assert!(all.iter().all(|process| process["capabilities"].as_array().is_none_or(Vec::is_empty)), "{all:#?}");
}

/// A container that was there before anybody looked and does nothing is learned all the same, with the programs that run in
/// it, and of those it is said that no call was seen.
#[test]
fn a_container_that_ran_before_and_does_nothing_is_there_and_not_one_that_makes_no_calls() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    let image = format!("localhost/idle-{}", std::process::id());
    let [named, nameless] = ["idle", "nobodys"].map(|name| format!("grove-{name}-{}", std::process::id()));
    let program = ["sh", "-c", "sleep 600; :"];
    runc.start(&named, &program, &[("org.opencontainers.image.ref.name", &*format!("{image}:1"))]);
    runc.start(&nameless, &program, &[]);
    // The shell has begun what it waits for.
    for id in [&named, &nameless] {
        let children = format!("/proc/{0}/task/{0}/children", runc.pid(id));
        let asleep = || {
            let child = fs::read_to_string(&children).ok()?.trim().to_owned();
            fs::read_to_string(format!("/proc/{child}/cmdline")).ok().filter(|line| line.starts_with("sleep"))
        };
        containers::wait_for("the shell to sleep", asleep);
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut run = grove();
    run.args(["run", "--for", "3s", "--output"]).arg(at("live")).arg("--record").arg(at("t.jsonl"));
    let output = run.output().unwrap();
    ok(&output);
    runc.delete(&named);
    runc.delete(&nameless);
    ok(&grove().arg("replay").arg("--output").arg(at("again")).arg(at("t.jsonl")).output().unwrap());

    let file = format!("{}.profile.json", image.replace('/', "_"));
    for learned in ["live", "again"] {
        let file = at(learned).join(&file);
        let tree = ok(&grove().arg("inspect").arg(&file).output().unwrap());
        let [shell, sleep] = ["/bin/busybox (sh)", "└─ /bin/busybox (sleep)"].map(|name| tree.find(name).unwrap());
        let not_seen: Vec<_> = tree.match_indices("calls     not seen: it ran before watching began").collect();
        assert!(not_seen.len() == 2 && not_seen[0].0 > shell && not_seen[1].0 > sleep, "{learned}: {tree}");
        let profile = profile(&file);
        assert!(processes(&profile).iter().all(|one| one["syscalls"].as_array().unwrap().is_empty()), "{profile}");
        // Others may run containers without a name, too.
        let unknown = crate::profile(&at(learned).join("<unknown>.profile.json"));
        let names: Vec<_> = processes(&unknown).iter().map(|one| one["argv0"].clone()).collect();
        assert!(names.contains(&"sh".into()) && names.contains(&"sleep".into()), "{unknown}");
    }
    let told = crate::text(&output.stderr);
    let line = told.lines().find(|line| line.contains(&image)).unwrap();
    assert!(line.contains("2 processes") && line.ends_with("; what they do was not seen"), "{line}");
}

/// Whoever asks for one container has the kernel leave out the others.
#[test]
fn containers_that_nobody_asked_for_take_no_room() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let _alone = alone();
    let mut runc = Runc::with_usual_records();
    let [wanted, other] = ["wanted", "other"].map(|name| format!("grove-{name}-{}", std::process::id()));
    let annotation = |name: &str| format!("localhost/{name}:1");
    let name = "org.opencontainers.image.ref.name";
    runc.start(&wanted, &["sleep", "600"], &[(name, &annotation("wanted"))]);
    runc.start(&other, &["sleep", "600"], &[(name, &annotation("other"))]);
    let dir = tempfile::tempdir().unwrap();
    let (stats, out) = (dir.path().join("stats.json"), dir.path().join("profiles"));
    let mut run = grove();
    run.env("GROVE_RING_BYTES", "65536").env("GROVE_DRAIN_INTERVAL", "100ms").args(["run", "--output"]).arg(&out);
    let running = Running::start(run.args(["--container", "localhost/wanted:1", "--stats"]).arg(&stats));
    // The first of what it does shows that nobody wants it.
    runc.exec(&other, &["true"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    runc.exec(&other, &["sh", "-c", "i=0; while [ $i -lt 20000 ]; do : </absent-$i; i=$((i+1)); done"]);
    runc.exec_to_its_end(&wanted, &["cat", "/proc/version"]);
    ok(&running.end());
    runc.delete(&wanted);
    runc.delete(&other);
    let ledger: serde_json::Value = serde_json::from_str(&fs::read_to_string(&stats).unwrap()).unwrap();
    let dropped: u64 = ledger["dropped"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(dropped, 0, "{ledger}");
    assert!(fs::read_dir(&out).unwrap().count() == 1, "one profile");
}
