//! The snapshot of running processes, of real ones started for it.

#[path = "common/containers.rs"]
mod containers;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use containers::Runc;
use grove::event::{Body, EventBuf};
use grove_probes::proc::{ARGV_MAX, Budget, Process, Snapshot, SnapshotOmissions, TICK_NS};

struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn find(&self, snapshot: &Snapshot) -> Process {
        let found = snapshot.processes.iter().find(|process| process.pid == self.0.id());
        found.unwrap_or_else(|| panic!("{} is not in it", self.0.id())).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn everything() -> Snapshot {
    Snapshot::take(Budget::default(), |_| true).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_process_is_told_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let program = dir.join("my sleep) R (deleted)");
    fs::copy("/bin/sleep", &program).unwrap();
    let sleeper = Running::start(Command::new(&program).arg0("other name").arg("100").arg("0").current_dir(&dir));
    containers::wait_for("the exec", || {
        let exe = fs::read_link(format!("/proc/{}/exe", sleeper.0.id()));
        // The arguments are there a moment later than the program.
        let arguments = fs::read(format!("/proc/{}/cmdline", sleeper.0.id())).unwrap_or_default();
        (exe.is_ok_and(|exe| exe == program) && !arguments.is_empty()).then_some(())
    });
    let seen = sleeper.find(&everything());
    assert_eq!(text(&seen.exe), program.to_str().unwrap());
    assert_eq!((seen.deleted, seen.fileless, seen.argv_cut), (false, false, false));
    assert_eq!(text(&seen.argv), ["other name", "100", "0", ""].join("\0"));
    assert_eq!(seen.cwd.as_deref().map(text), Some(dir.to_str().unwrap().to_owned()));
    assert_eq!(seen.ppid, std::process::id());
    assert_eq!(seen.uid, Some(fs::metadata("/proc/self").unwrap().uid()));
    assert!(seen.outside);

    // The same process, whose file is gone.
    fs::remove_file(&program).unwrap();
    let again = sleeper.find(&everything());
    assert_eq!(again, Process { deleted: true, ..seen });
}

/// Whoever has come below another root is not outside any more, nor is whoever comes from there, wherever that one goes.
#[test]
fn who_is_below_another_root_is_told_apart_with_all_that_comes_from_there() {
    if !containers::have(&[]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let child = dir.path().join("child");
    fs::copy(containers::static_child(), &child).unwrap();
    let below = Running::start(Command::new("chroot").arg(dir.path()).args(["/child", "pause"]));
    // The shell keeps a way back, which its child goes.
    let script = "exec 3</; chroot \"$1\" /child back pause & wait";
    let shell = Running::start(Command::new("bash").args(["-c", script, "bash"]).arg(dir.path()));
    let snapshot = containers::wait_for("both", || {
        let snapshot = everything();
        let waits = |process: &&Process| process.argv.ends_with(b"pause\0") && process.exe.ends_with(b"/child");
        let ours = |process: &&Process| process.pid == below.0.id() || process.ppid == shell.0.id();
        let pids: Vec<u32> = snapshot.processes.iter().filter(waits).filter(ours).map(|process| process.pid).collect();
        let back = pids.iter().any(|pid| snapshot.processes.iter().any(|process| process.ppid == *pid));
        (pids.len() == 2 && back).then_some(snapshot)
    });
    let is = |process: &&Process| process.exe.ends_with(b"/child") && process.argv.ends_with(b"pause\0");
    assert!(snapshot.processes.iter().filter(is).all(|process| !process.outside), "{:#?}", snapshot.processes);
    assert!(shell.find(&snapshot).outside);
}

#[test]
fn a_start_is_nanoseconds_since_boot_in_ticks() {
    let uptime_ns = || {
        let text = fs::read_to_string("/proc/uptime").unwrap();
        (text.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e9) as u64
    };
    let before = uptime_ns();
    let sleeper = Running::start(Command::new("sleep").arg("100"));
    let after = uptime_ns();
    let start = sleeper.find(&everything()).start;
    assert_eq!(start % TICK_NS, 0);
    assert!(before.saturating_sub(TICK_NS) <= start && start <= after + TICK_NS, "{before} {start} {after}");
}

#[test]
fn arguments_are_cut_at_their_limit() {
    let long = "x".repeat(2 * ARGV_MAX);
    let sleeper = Running::start(Command::new("sh").args(["-c", "sleep 100; exit", &long]));
    containers::wait_for("the exec", || {
        let exe = fs::read_link(format!("/proc/{}/exe", sleeper.0.id()));
        exe.is_ok_and(|exe| !exe.ends_with("grove")).then_some(())
    });
    let seen = containers::wait_for("the arguments", || {
        let seen = sleeper.find(&everything());
        seen.argv.starts_with(b"sh\0").then_some(seen)
    });
    assert!(seen.argv_cut);
    assert_eq!(seen.argv.len(), ARGV_MAX + 1, "and the byte that ends the last");
    assert_eq!(seen.argv.last(), Some(&0));
}

#[test]
fn only_what_is_wanted_is_read_and_no_more_than_allowed() {
    let _sleepers: Vec<Running> = (0..5).map(|_| Running::start(Command::new("sleep").arg("100"))).collect();
    let nothing = Snapshot::take(Budget::default(), |_| false).unwrap();
    assert!(nothing.processes.is_empty());
    assert_eq!(nothing.left_out, SnapshotOmissions::default());

    let few = Snapshot::take(Budget { processes_max: 3, ..Budget::default() }, |_| true).unwrap();
    assert_eq!(few.processes.len(), 3);
    assert!(few.left_out.over_budget >= 3, "{:?}", few.left_out);

    // At least 64 processes have to be there for the rate to be looked at.
    let _more: Vec<Running> = (0..64).map(|_| Running::start(Command::new("sleep").arg("100"))).collect();
    let began = Instant::now();
    let slow = Snapshot::take(Budget { per_second: 200, ..Budget::default() }, |_| true).unwrap();
    assert!(slow.processes.len() > 64);
    assert!(began.elapsed() >= Duration::from_millis(64 * 1000 / 200), "{:?}", began.elapsed());
}

#[test]
fn a_containers_processes_come_with_their_lineage_and_paths_of_their_own() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let mut runc = Runc::new();
    let id = format!("grove-test-{}", std::process::id());
    runc.start(&id, &["/bin/sh", "-c", "cd /tmp; (sleep 100; true) & wait"], &[]);
    let wanted = format!("/{id}");
    let take = || Snapshot::take(Budget::default(), |cgroup| cgroup == wanted.as_bytes()).unwrap();
    let snapshot = containers::wait_for("the container's processes", || {
        let snapshot = take();
        (snapshot.processes.iter().filter(|p| p.argv.starts_with(b"sleep\0")).count() == 1).then_some(snapshot)
    });
    assert_eq!(snapshot.left_out, SnapshotOmissions::default());
    let first = runc.pid(&id);
    let mut told = EventBuf::new();
    snapshot.emit(1, |_| Some(b"c1"), &mut told);
    let lines: Vec<String> = told
        .iter()
        .map(|stored| {
            assert!(!stored.counted && stored.event.container == b"c1" && stored.event.start.is_some());
            let name = |pid: u32| match snapshot.processes.iter().position(|p| p.pid == pid) {
                Some(at) => at.to_string(),
                None => "outside".to_owned(),
            };
            let pid = name(stored.event.pid);
            match stored.event.body {
                Body::Fork { ppid, .. } => format!("{pid} forked of {}", name(ppid)),
                Body::Exec(exec) => {
                    let (path, argv, cwd) = (text(exec.path), text(exec.argv.unwrap()), text(exec.cwd.unwrap()));
                    let argv0 = argv.split('\0').next().unwrap();
                    // The user of now may not be the one that executed it.
                    assert_eq!(exec.uid, None);
                    format!("{pid} of {} runs {path} as {argv0} in {cwd}", name(exec.ppid))
                }
                _ => panic!("{stored:?}"),
            }
        })
        .collect();
    assert_eq!(
        lines,
        [
            "0 of outside runs /bin/busybox as /bin/sh in /tmp",
            "1 forked of 0",
            "1 of 0 runs /bin/busybox as /bin/sh in /tmp",
            "2 forked of 1",
            "2 of 1 runs /bin/busybox as sleep in /tmp",
        ]
    );
    assert_eq!(snapshot.processes[0].pid, first);
    assert!(snapshot.processes.iter().all(|process| !process.outside), "{:?}", snapshot.processes);
}

/// As live events have it, whatever it was run by; and whoever runs an interpreter with a script for its argument runs that.
#[test]
fn a_script_that_runs_already_is_known_as_the_script() {
    if !containers::have(&Runc::NEEDS) {
        return;
    }
    let mut runc = Runc::new();
    let id = format!("grove-test-script-{}", std::process::id());
    let scripts = runc.rootfs().join("scripts");
    fs::create_dir(&scripts).unwrap();
    for name in ["docker-entrypoint.sh", "plain"] {
        let script = scripts.join(name);
        fs::write(&script, "#! /bin/sh -e\nsleep 1000\ntrue\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink("docker-entrypoint.sh", scripts.join("link")).unwrap();
    let run = "/scripts/docker-entrypoint.sh one & cd /scripts; ./link two & /bin/sh -e /scripts/plain & wait";
    runc.start(&id, &["/bin/sh", "-c", run], &[]);
    let wanted = format!("/{id}");
    let snapshot = containers::wait_for("the container's processes", || {
        let snapshot = Snapshot::take(Budget::default(), |cgroup| cgroup == wanted.as_bytes()).unwrap();
        (snapshot.processes.iter().filter(|p| p.argv.starts_with(b"sleep\0")).count() == 3).then_some(snapshot)
    });
    let of = |process: &Process| {
        let interpreter = process.interpreter.as_deref().map(text);
        (text(&process.argv).replace('\0', " "), text(&process.exe), interpreter)
    };
    let mut told: Vec<_> = snapshot.processes.iter().filter(|p| !p.argv.starts_with(b"sleep\0")).map(of).collect();
    told.remove(0);
    told.sort();
    let (script, busybox) = ("/scripts/docker-entrypoint.sh".to_owned(), "/bin/busybox".to_owned());
    assert_eq!(
        told,
        [
            ("/bin/sh -e ./link two ".to_owned(), script.clone(), Some(busybox.clone())),
            ("/bin/sh -e /scripts/docker-entrypoint.sh one ".to_owned(), script, Some(busybox.clone())),
            ("/bin/sh -e /scripts/plain ".to_owned(), busybox, None),
        ]
    );
}

#[test]
fn processes_that_come_and_go_are_never_mixed_up() {
    // Each of these runs `sleep` with its own pid for an argument: whatever is read must agree with itself.
    let stop = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < stop {
                let status =
                    Command::new("sh").args(["-c", "sh -c 'exec sleep 0.$$' & exec sh -c 'exec true $$'"]).status();
                assert!(status.unwrap().success());
            }
        });
        let mut seen = 0;
        while Instant::now() < stop {
            for process in everything().processes {
                let argv = text(&process.argv);
                if let Some(pid) = argv.strip_prefix("sleep\0").and_then(|rest| rest.strip_prefix("0.")) {
                    seen += 1;
                    assert_eq!(pid.trim_end_matches('\0'), process.pid.to_string());
                    assert!(text(&process.exe).ends_with("sleep") || text(&process.exe).ends_with("coreutils"));
                }
            }
        }
        assert!(seen > 0, "some were caught");
    });
}
