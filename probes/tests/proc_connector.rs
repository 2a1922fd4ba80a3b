//! The process connector of the real kernel.

#[path = "common/containers.rs"]
mod containers;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use grove::event::Body;
use grove_probes::proc::{Connector, ConnectorError};

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Fork { pid: u32, ppid: u32 },
    Exec { pid: u32, path: String, argv: Vec<String>, uid: Option<u32> },
    Exit { pid: u32 },
}

impl Seen {
    fn pid(&self) -> u32 {
        match self {
            Self::Fork { pid, .. } | Self::Exec { pid, .. } | Self::Exit { pid } => *pid,
        }
    }
}

/// Reads until `enough`, and gives what was seen with the cgroup and start time of each.
fn read(
    connector: &mut Connector,
    enough: impl Fn(&[(Seen, String, Option<u64>)]) -> bool,
) -> Vec<(Seen, String, Option<u64>)> {
    let mut seen = Vec::new();
    let began = Instant::now();
    while !enough(&seen) {
        assert!(began.elapsed() < Duration::from_secs(10), "not seen: {:?}", connector.stats());
        connector
            .read(Duration::from_millis(100), |record| {
                assert_eq!(record.event.container, b"");
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
                assert!(now.abs_diff(record.event.ts) < 20_000_000_000, "{now} {}", record.event.ts);
                let pid = record.event.pid;
                let what = match record.event.body {
                    Body::Fork { ppid, .. } => Seen::Fork { pid, ppid },
                    Body::Exec(exec) => {
                        let argv = String::from_utf8_lossy(exec.argv.unwrap_or_default()).into_owned();
                        let argv = argv.split_terminator('\0').map(str::to_owned).collect();
                        let path = String::from_utf8_lossy(exec.path).into_owned();
                        Seen::Exec { pid, path, argv, uid: exec.uid }
                    }
                    Body::Exit => Seen::Exit { pid },
                    other => panic!("{other:?}"),
                };
                seen.push((what, String::from_utf8_lossy(record.cgroup).into_owned(), record.event.start));
            })
            .unwrap();
    }
    seen
}

#[test]
fn a_process_is_followed_from_fork_to_exit() {
    if !containers::have(&[]) {
        return;
    }
    let mut connector = Connector::open(1 << 20).unwrap();
    let cgroup =
        std::path::PathBuf::from(containers::cgroup_root()).join(format!("grove-test-cn-{}", std::process::id()));
    fs::create_dir(&cgroup).unwrap();
    // It enters the cgroup before it execs what is looked for.
    let script = format!("echo $$ > {}/cgroup.procs; exec sleep 0.2", cgroup.display());
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let pid = child.id();
    let seen = read(&mut connector, |seen| seen.iter().any(|(what, ..)| *what == Seen::Exit { pid }));
    child.wait().unwrap();
    fs::remove_dir(&cgroup).unwrap();

    let mine: Vec<_> = seen.into_iter().filter(|(what, ..)| what.pid() == pid).collect();
    assert_eq!(mine.first().map(|(what, ..)| what), Some(&Seen::Fork { pid, ppid: std::process::id() }));
    let name = format!("/{}", cgroup.file_name().unwrap().to_str().unwrap());
    let (slept, at, start) =
        mine.iter().find(|(what, ..)| matches!(what, Seen::Exec { argv, .. } if argv[0] == "sleep")).unwrap();
    let Seen::Exec { path, argv, uid, .. } = slept else { unreachable!() };
    assert!(path.ends_with("/sleep") || path.ends_with("/coreutils"), "{path}");
    assert_eq!((argv.as_slice(), *uid), (["sleep".to_owned(), "0.2".to_owned()].as_slice(), Some(0)));
    assert_eq!(*at, name);
    let (_, exit_at, exit_start) = mine.last().unwrap();
    assert_eq!((exit_at, exit_start), (&name, start), "an exit is told with what was known");
    assert!(start.is_some());

    let stats = connector.stats();
    assert_eq!(stats.lost, 0, "{stats:?}");
    assert_eq!(stats.reported, stats.records + stats.execs_gone + stats.denied, "{stats:?}");
}

/// Runs something that is gone before anybody can look at it.
fn run_shortly(times: u32) {
    for _ in 0..times {
        assert!(Command::new("true").status().unwrap().success());
    }
}

#[test]
fn what_ended_too_soon_is_counted() {
    if !containers::have(&[]) {
        return;
    }
    let mut connector = Connector::open(1 << 20).unwrap();
    run_shortly(3);
    let of_mine = |seen: &Seen| matches!(seen, Seen::Fork { ppid, .. } if *ppid == std::process::id());
    let seen = read(&mut connector, |seen| seen.iter().filter(|(what, ..)| of_mine(what)).count() >= 3);
    let stats = connector.stats();
    assert!(stats.execs_gone >= 3 && stats.forks_gone >= 3, "all had ended: {stats:?}");
    assert_eq!(stats.reported, stats.records + stats.execs_gone + stats.denied, "{stats:?}");
    assert_eq!(stats.lost, 0, "{stats:?}");
    let forks = seen.iter().filter(|(what, ..)| of_mine(what));
    assert!(forks.into_iter().all(|(_, cgroup, start)| cgroup.is_empty() == start.is_none()), "{seen:?}");
}

#[test]
fn what_the_kernel_could_not_deliver_is_counted() {
    const TIMES: u32 = 500;
    if !containers::have(&[("taskset", "util-linux")]) {
        return;
    }
    // The smallest buffer there is, not read while processes come and go.
    let mut connector = Connector::open(1).unwrap();
    // Every processor's messages are counted from its first on, and a gap shows with its next one.
    let on_every_processor = |connector: &mut Connector| {
        for cpu in 0..std::thread::available_parallelism().unwrap().get() {
            let mut child = Command::new("taskset").args(["--cpu-list", &cpu.to_string(), "true"]).spawn().unwrap();
            // Read meanwhile, as there is no room for all of its messages.
            while child.try_wait().unwrap().is_none() {
                while connector.read(Duration::ZERO, |_| {}).unwrap() {}
            }
            while connector.read(Duration::ZERO, |_| {}).unwrap() {}
        }
    };
    on_every_processor(&mut connector);
    run_shortly(TIMES);
    while connector.read(Duration::ZERO, |_| {}).unwrap() {}
    // The first message of a processor may itself be lost to what still fills the buffer.
    for _ in 0..3 {
        on_every_processor(&mut connector);
    }
    let stats = connector.stats();
    assert!(stats.overruns > 0 && stats.lost > u64::from(TIMES), "{stats:?}");
    // A fork, an exec and an exit each.
    assert!(stats.reported + stats.lost >= 3 * u64::from(TIMES), "nothing is missing from the sum: {stats:?}");
    assert_eq!(stats.reported, stats.records + stats.execs_gone + stats.denied, "{stats:?}");
}

/// This very test program again, through `wrapper`, for one test, which finds itself inside by the variable.
const INSIDE: &str = "GROVE_TEST_CONNECTOR";

fn again(wrapper: &[&str], test: &str) -> (tempfile::TempDir, Command) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(&program).args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    (dir, command)
}

#[test]
fn without_rights_it_listens_to_nothing_and_says_so() {
    if std::env::var_os(INSIDE).is_some() {
        let mut connector = match Connector::open(1 << 16) {
            Ok(connector) => connector,
            Err(error) => return assert!(matches!(error, ConnectorError::Denied), "{error:?}"),
        };
        let began = Instant::now();
        while connector.stats().denied == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", connector.stats());
            connector.read(Duration::from_millis(100), |_| {}).unwrap();
        }
        return;
    }
    if !containers::have(&[("setpriv", "util-linux")]) {
        return;
    }
    let wrapper =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
    let (_dir, mut command) = again(&wrapper, "without_rights_it_listens_to_nothing_and_says_so");
    let mut inside = command.spawn().unwrap();
    let status = containers::wait_for("its end", || {
        assert!(Command::new("sleep").arg("0.05").status().unwrap().success());
        inside.try_wait().unwrap()
    });
    assert!(status.success());
}

#[test]
fn in_another_pid_namespace_it_says_that_nobody_answers() {
    if std::env::var_os(INSIDE).is_some() {
        let error = Connector::open(1 << 16).map(|_| ());
        return assert!(matches!(error, Err(ConnectorError::Silent)), "{error:?}");
    }
    if !containers::have(&[("unshare", "util-linux")]) {
        return;
    }
    let (_dir, mut command) =
        again(&["unshare", "--pid", "--fork"], "in_another_pid_namespace_it_says_that_nobody_answers");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
