//! Under a limit of memory the command reaches its bound, says so, and goes on: it is never killed.
//!
//! The limit is a cgroup's, as in a container or a unit of systemd; what the command may hold follows from it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::skips::skipped;
use crate::support::{Ended, Lab, Ledger};

/// The limit of the issue.
const LIMIT: u64 = 64 << 20;

/// A cgroup with a limit of memory and no swap. It goes away with this.
struct Limited(PathBuf);

impl Limited {
    /// `None` where no such cgroup can be made.
    fn new(name: &str) -> Option<Self> {
        let name = format!("grove-test-{name}-{}", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let made = if version_1.exists() {
            Self::make(version_1.join(name), "memory.limit_in_bytes")
        } else {
            Self::make(Path::new("/sys/fs/cgroup").join(name), "memory.max")
        };
        made.map_err(|e| skipped(&format!("no cgroup with a limit of memory can be made: {e}"))).ok()
    }

    fn make(path: PathBuf, limit: &str) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let made = Self(path);
        // Without the controller the file is not there, and must not be made.
        fs::OpenOptions::new().write(true).open(made.0.join(limit))?.write_all(LIMIT.to_string().as_bytes())?;
        for (swap, value) in [("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", LIMIT)] {
            if let Ok(mut file) = fs::OpenOptions::new().write(true).open(made.0.join(swap)) {
                file.write_all(value.to_string().as_bytes())?;
            }
        }
        Ok(made)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // What ran in it has ended, and may still be on its way out.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A name that is like no other, as it has no digits.
fn word(mut n: usize) -> String {
    (0..6).map(|_| (char::from(b'a' + (n % 26) as u8), n /= 26).0).collect()
}

/// Replays what `write` writes within the limit.
fn replay(lab: &Lab, cgroup: &Limited, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send) -> Ended {
    let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$1\" replay --stats stats.json -";
    let grove = env!("CARGO_BIN_EXE_grove");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(&cgroup.0).arg(grove).env_clear().env("GROVE_LOG", "error");
    command.current_dir(lab.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command that is killed does not read to the end, which its exit code says.
        scope.spawn(move || drop(write(&mut BufWriter::with_capacity(1 << 16, stdin))));
        Ended::of(child.wait_with_output().unwrap())
    })
}

/// It ends well within the limit, and its ledger, which is given back, balances.
fn ends_well(
    name: &str,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send,
) -> Option<(Lab, Ended, Ledger)> {
    let (lab, cgroup) = (Lab::new(), Limited::new(name)?);
    let ended = replay(&lab, &cgroup, write);
    ended.expect(0);
    let ledger = lab.stats();
    Some((lab, ended, ledger))
}

const START: &str = r#""type":"container_start","image":"i","tag":"1""#;

#[test]
fn a_directory_of_300_000_names_within_64_mib_ends_well() {
    const NAMES: usize = 300_000;
    let Some((lab, ended, ledger)) = ends_well("names", |out| {
        writeln!(out, r#"{{"ts":1,"container":"c",{START}}}"#)?;
        writeln!(out, r#"{{"ts":2,"container":"c","type":"exec","pid":5,"ppid":1,"path":"/bin/first"}}"#)?;
        for n in 0..NAMES {
            let path = word(n * 7919);
            writeln!(
                out,
                r#"{{"ts":3,"container":"c","type":"open","pid":5,"path":"/srv/{path}","flags":0,"ret":3}}"#
            )?;
        }
        Ok(())
    }) else {
        return;
    };
    assert!(ledger.get("dropped.tree_full") > 0, "{ledger:?}");
    assert_eq!(ledger.get("applied_new") + ledger.get("dropped.tree_full"), NAMES as u64 + 1);
    ended.said(&["dropped"]);
    assert!(lab.profile_text("i").contains("/bin/first"));
}

#[test]
fn two_hundred_thousand_held_events_within_64_mib_end_well() {
    const EVENTS: usize = 200_000;
    let Some((_lab, ended, ledger)) = ends_well("held", |out| {
        for n in 0..EVENTS {
            let (container, path) = (n / 100, word(n * 7919));
            writeln!(
                out,
                r#"{{"ts":1,"container":"c{container}","type":"open","pid":5,"path":"/srv/{path}/a/deep/place","flags":0,"ret":3}}"#
            )?;
        }
        Ok(())
    }) else {
        return;
    };
    assert_eq!(
        ledger.get("applied_new") + ledger.get("applied_known") + ledger.get("dropped.tree_full"),
        EVENTS as u64
    );
    ended.said(&["GROVE_HOLD_TOTAL_BYTES"]);
    if ledger.get("dropped.tree_full") > 0 {
        ended.said(&["dropped"]);
    }
}

#[test]
fn two_hundred_thousand_containers_within_64_mib_end_well() {
    const CONTAINERS: usize = 200_000;
    let Some((_lab, ended, ledger)) = ends_well("containers", |out| {
        for n in 0..CONTAINERS {
            let mut container = format!("{n:064}");
            // Half of them say when they stop.
            write!(container, "{}", if n % 2 == 0 { "a" } else { "b" }).unwrap();
            writeln!(out, r#"{{"ts":{n},"container":"{container}",{START}}}"#)?;
            writeln!(
                out,
                r#"{{"ts":{n},"container":"{container}","type":"exec","pid":5,"ppid":1,"path":"/bin/app"}}"#
            )?;
            if n % 2 == 0 {
                writeln!(out, r#"{{"ts":{n},"container":"{container}","type":"container_stop"}}"#)?;
            }
        }
        Ok(())
    }) else {
        return;
    };
    assert_eq!(
        ledger.get("applied_new") + ledger.get("applied_known"),
        CONTAINERS as u64,
        "no event is lost: {ledger:?}"
    );
    ended.said(&["containers were taken for stopped", "GROVE_MEMORY_MAX"]);
}
