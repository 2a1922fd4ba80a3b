//! Containers that no runtime knows: they come, do something and go, and cost nothing for good.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::containers::{self, Rootfs};
use crate::{Running, alone, grove, ok, processes, profile};

/// So many containers between two looks at the memory, and so many looks: in short, and when there is time.
const BETWEEN_LOOKS: usize = 1000;
const LOOKS: usize = 2;
const LOOKS_FULL: usize = 8;

/// What each of them reads, in `/etc`.
const FILES: [&str; 4] = ["hosts", "passwd", "profile", "services"];

/// Nobody waits for as long as this.
const PATIENCE: Duration = Duration::from_secs(120);

/// No runtime is asked, and none would know. What they do is not much, so that the trace's buffer stays small too.
const NOBODY: [(&str, &str); 8] = [
    ("GROVE_DOCKER_SOCKETS", "/nowhere/docker.sock"),
    ("GROVE_PODMAN_SOCKETS", ""),
    ("GROVE_CONTAINERD_SOCKETS", ""),
    ("GROVE_CRI_SOCKETS", ""),
    ("GROVE_CONTAINER_STORAGE", ""),
    ("GROVE_PROBE_SYSCALLS", "false"),
    ("GROVE_PROBE_CAPABILITY", "false"),
    ("GROVE_PROFILE_INTERVAL", "1s"),
];

/// A cgroup with cgroups in it that are called as Docker's are. It goes away with this.
struct Cgroups(PathBuf);

impl Cgroups {
    fn new() -> Self {
        let dir = Path::new(&containers::cgroup_root()).join(format!("grove-nameless-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn id(n: usize) -> String {
        format!("{:064x}", (u128::from(std::process::id()) << 64) + n as u128)
    }

    /// A container that reads some files and is gone.
    fn life(&self, n: usize, rootfs: &Path) {
        let dir = self.0.join(format!("docker-{}.scope", Self::id(n)));
        fs::create_dir(&dir).unwrap();
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec chroot \"$@\""]).arg(&dir).arg(rootfs);
        sh.arg("/bin/cat").args(FILES.map(|name| format!("/etc/{name}")));
        let status = sh.stdin(Stdio::null()).stdout(Stdio::null()).status();
        fs::remove_dir(&dir).unwrap();
        assert!(status.unwrap().success());
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        containers::dirs_in(&self.0).iter().for_each(|dir| drop(fs::remove_dir(dir)));
        let _ = fs::remove_dir(&self.0);
    }
}

/// A trace that grows, and how many of its containers it says nobody knows.
struct Told {
    trace: PathBuf,
    read: u64,
    rest: String,
    nameless: usize,
}

impl Told {
    /// Waits until so many are told.
    fn wait_for(&mut self, count: usize) {
        let began = Instant::now();
        while self.nameless < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} told", self.nameless);
            std::thread::sleep(Duration::from_millis(50));
            let Ok(mut trace) = fs::File::open(&self.trace) else { continue };
            trace.seek(SeekFrom::Start(self.read)).unwrap();
            self.read += trace.read_to_string(&mut self.rest).unwrap() as u64;
            let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
            let told = |line: &&str| line.contains(r#""container_start""#) && line.contains(r#""image":"<unknown>""#);
            self.nameless += self.rest.drain(..whole).collect::<String>().lines().filter(told).count();
        }
    }
}

/// All that is resident, and what of it is of no file.
fn resident_kib(pid: u32) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    ["VmRSS:", "RssAnon:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    })
}

#[test]
fn containers_that_nobody_knows_leave_memory_flat_from_the_first_thousand() {
    if !containers::have(&[containers::BUSYBOX]) {
        return;
    }
    let _alone = alone();
    let looks = if std::env::var_os("GROVE_TEST_FULL").is_some() { LOOKS_FULL } else { LOOKS };
    let rootfs = Rootfs::new();
    FILES.iter().for_each(|name| fs::write(rootfs.path().join("etc").join(name), "x").unwrap());
    let cgroups = Cgroups::new();
    let dir = tempfile::tempdir().unwrap();
    let (trace, out) = (dir.path().join("t.jsonl"), dir.path().join("profiles"));
    let running = Running::start(grove().envs(NOBODY).args(["run", "--output"]).arg(&out).arg("--record").arg(&trace));
    let mut told = Told { trace: trace.clone(), read: 0, rest: String::new(), nameless: 0 };
    let mut levels = Vec::new();
    for look in 0..looks {
        (0..BETWEEN_LOOKS).for_each(|n| cgroups.life(look * BETWEEN_LOOKS + n, rootfs.path()));
        told.wait_for((look + 1) * BETWEEN_LOOKS);
        levels.push(resident_kib(running.id()));
    }
    println!("KiB resident, and of no file, after each thousand containers that nobody knows: {levels:?}");
    ok(&running.end());
    let first = levels[0][0] as f64;
    assert!(levels.iter().all(|[level, _]| (*level as f64) < first * 1.05), "{levels:?}");
    // None of them was lost.
    let unnamed = profile(&out.join("<unknown>.profile.json"));
    let cat = processes(&unnamed).into_iter().find(|process| process["argv0"] == "cat").unwrap();
    let read = |path: &str| cat["files"].as_array().unwrap().iter().any(|file| file["path"] == *path);
    assert!(FILES.iter().all(|name| read(&format!("/etc/{name}"))), "{cat}");
    let trace = fs::read_to_string(&trace).unwrap();
    let read = |line: &&str| line.contains(r#""type":"open""#) && line.contains(r#""/etc/services""#);
    assert_eq!(trace.lines().filter(read).count(), looks * BETWEEN_LOOKS);
}
