//! Under a limit of memory the command reaches its bound, says so, and goes on: it is never killed, and never near it.
//!
//! The limit is a cgroup's, as in a container or a unit of systemd; what the command may hold follows from it. And what it
//! has written within a limit, all that read profiles can read within the same.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use crate::skips::skipped;
use crate::support::{Ended, Lab, Ledger};

const GROVE: &str = env!("CARGO_BIN_EXE_grove");

/// The limit of the issue.
const LIMIT: u64 = 64 << 20;

/// So much of a limit has to be left at the peak, the written files that the kernel has not forgotten yet included.
const MARGIN: u64 = 10 << 20;

/// A cgroup with a limit of memory and no swap. It goes away with this.
struct Limited {
    dir: PathBuf,
    limit: u64,
}

impl Limited {
    /// `None` where no such cgroup can be made.
    fn new(name: &str, limit: u64) -> Option<Self> {
        let name = format!("grove-test-{name}-{}", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let made = if version_1.exists() {
            Self::make(version_1.join(name), limit, "memory.limit_in_bytes")
        } else {
            Self::make(Path::new("/sys/fs/cgroup").join(name), limit, "memory.max")
        };
        made.map_err(|e| skipped(&format!("no cgroup with a limit of memory can be made: {e}"))).ok()
    }

    fn make(dir: PathBuf, limit: u64, file: &str) -> io::Result<Self> {
        fs::create_dir(&dir)?;
        let made = Self { dir, limit };
        // Without the controller the file is not there, and must not be made.
        fs::OpenOptions::new().write(true).open(made.dir.join(file))?.write_all(limit.to_string().as_bytes())?;
        for (swap, value) in [("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit)] {
            if let Ok(mut file) = fs::OpenOptions::new().write(true).open(made.dir.join(swap)) {
                file.write_all(value.to_string().as_bytes())?;
            }
        }
        Ok(made)
    }

    /// The first of some files that is there.
    fn read(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| fs::read_to_string(self.dir.join(name)).ok())
    }

    /// Nothing in it was killed for lack of memory, and at no time was there little left.
    #[track_caller]
    fn was_enough(&self, what: &str) {
        let events = self.read(&["memory.events", "memory.oom_control"]).unwrap_or_default();
        let kills = events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).next();
        assert!(kills.is_none_or(|n| n.trim() == "0"), "{what}: {events}");
        // Linux before 5.19 has no `memory.peak`.
        let Some(peak) = self.read(&["memory.peak", "memory.max_usage_in_bytes"]) else { return };
        let peak: u64 = peak.trim().parse().unwrap();
        println!("{what}: {} of {} KiB at the peak", peak >> 10, self.limit >> 10);
        assert!(peak + MARGIN <= self.limit, "{what}: {} of {} KiB at the peak", peak >> 10, self.limit >> 10);
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // What ran in it has ended, and may still be on its way out.
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// What is written to the command.
type Out<'a> = BufWriter<&'a mut dyn io::Write>;

/// Runs the command with these arguments within a limit, with what `write` writes as its input; it has to end with this
/// code, and well within the limit. `None` where no limit can be had.
fn within(
    limit: u64,
    name: &str,
    lab: &Lab,
    args: &[&str],
    code: i32,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()> + Send,
) -> Option<Ended> {
    command_within(limit, name, lab, &[&[GROVE], args].concat(), code, write)
}

fn command_within(
    limit: u64,
    name: &str,
    lab: &Lab,
    args: &[&str],
    code: i32,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()> + Send,
) -> Option<Ended> {
    // Whoever reads a file's pages first pays for them: not the command.
    static READ: Once = Once::new();
    READ.call_once(|| drop(io::copy(&mut fs::File::open(GROVE).unwrap(), &mut io::sink())));
    let cgroup = Limited::new(name, limit)?;
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&cgroup.dir).args(args);
    command.env_clear().env("GROVE_LOG", "error").current_dir(lab.path(""));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A command that is killed does not read to the end, which its exit code says.
        scope.spawn(move || drop(write(&mut BufWriter::with_capacity(1 << 16, &mut stdin))));
        child.wait_with_output().unwrap()
    });
    let mut ended = Ended::of(output);
    // A failure shows all that was said, and of findings there are many.
    ended.stdout.truncate(1 << 10);
    ended.expect(code);
    cgroup.was_enough(&format!("{name}, {}", args.join(" ").replace(GROVE, "grove")));
    Some(ended)
}

const REPLAY: &[&str] = &["replay", "--stats", "stats.json", "-"];
const CHECK: &[&str] = &["check", "--profile", "profiles/i.profile.json", "--stats", "stats.json", "-"];

/// Replays what `write` writes within a limit; how it ended, and its ledger, which balances.
fn replayed(
    limit: u64,
    name: &str,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()> + Send,
) -> Option<(Lab, Ended, Ledger)> {
    let lab = Lab::new();
    let ended = within(limit, name, &lab, REPLAY, 0, write)?;
    let ledger = lab.stats();
    Some((lab, ended, ledger))
}

/// Some of what was new was not learned, and that is said.
#[track_caller]
fn lost(ended: &Ended, ledger: &Ledger) {
    assert!(ledger.get("dropped.tree_full") + ledger.get("dropped.containers") > 0, "{ledger:?}");
    let whose = if ended.stderr.contains("GROVE_TREE_BYTES") { "GROVE_TREE_BYTES" } else { "GROVE_MEMORY_MAX" };
    ended.said(&["dropped", "events were lost", whose]);
}

/// All that read profiles can read this one within the limit that it was written within.
fn can_be_read(name: &str, lab: &Lab) {
    fs::copy(lab.path("profiles/i.profile.json"), lab.path("copy.json")).unwrap();
    let profile = "profiles/i.profile.json";
    for (args, code) in [
        (&["inspect", profile][..], 0),
        (&["inspect", "--format", "json", profile], 0),
        (&["merge", "--output", "merged.json", profile, "copy.json"], 0),
        (&["diff", profile, "copy.json"], 0),
        // Another container of the image does nothing new.
        (CHECK, 0),
    ] {
        within(LIMIT, name, lab, args, code, |out| start(out, "c", "i", "1"));
    }
    assert_eq!(lab.text("merged.json"), lab.text(profile), "what is merged with itself is itself");
}

/// A container that runs one program, as process 5.
fn start(out: &mut Out<'_>, container: impl std::fmt::Display, image: &str, tag: &str) -> io::Result<()> {
    writeln!(out, r#"{{"ts":1,"container":"{container}","type":"container_start","image":"{image}","tag":"{tag}"}}"#)?;
    writeln!(out, r#"{{"ts":2,"container":"{container}","type":"exec","pid":5,"ppid":1,"path":"/bin/app"}}"#)
}

fn open(out: &mut Out<'_>, container: impl std::fmt::Display, path: &str) -> io::Result<()> {
    writeln!(
        out,
        r#"{{"ts":3,"container":"{container}","type":"open","pid":5,"path":"/srv/{path}","flags":0,"ret":3}}"#
    )
}

/// A name that is like no other, as it has no digits.
fn word(n: usize) -> String {
    let mut n = n * 7919;
    (0..6).map(|_| (char::from(b'a' + (n % 26) as u8), n /= 26).0).collect()
}

/// Containers that each open so many files of their own, all at the same time.
fn opens(out: &mut Out<'_>, containers: usize, each: usize) -> io::Result<()> {
    (0..containers).try_for_each(|c| start(out, c, "i", "1"))?;
    (0..containers * each).try_for_each(|n| open(out, n % containers, &word(n)))
}

fn images(out: &mut Out<'_>, count: usize) -> io::Result<()> {
    (0..count).try_for_each(|n| {
        start(out, n, &word(n), "1")?;
        open(out, n, &word(n))
    })
}

#[test]
fn a_directory_of_300_000_names_within_64_mib_ends_well_and_can_be_read() {
    const NAMES: usize = 300_000;
    let names = |out: &mut Out<'_>| opens(out, 1, NAMES);
    let Some((lab, ended, ledger)) = replayed(LIMIT, "names", names) else { return };
    lost(&ended, &ledger);
    assert_eq!(ledger.get("applied_new") + ledger.get("dropped.tree_full"), NAMES as u64 + 1);
    assert!(lab.profile_text("i").contains("/bin/app"));
    can_be_read("names-read", &lab);
}

#[test]
fn containers_of_20_000_names_each_within_64_mib_end_well() {
    let Some((lab, ended, ledger)) = replayed(LIMIT, "twelve", |out| opens(out, 12, 20_000)) else { return };
    lost(&ended, &ledger);
    within(LIMIT, "twelve-read", &lab, &["inspect", "profiles/i.profile.json"], 0, |_| Ok(()));
    within(LIMIT, "twelve-read", &lab, CHECK, 0, |out| start(out, "c", "i", "1"));
}

/// Whatever a user allows to be held, the process as a whole stays within what there is.
#[test]
fn a_bound_that_is_too_high_is_not_what_holds() {
    let lab = Lab::new();
    let vars = ["env", "GROVE_MEMORY_MAX=1Gi", "GROVE_TREE_BYTES=1Gi", "GROVE_LOG=error"];
    let args = [&vars[..], &[GROVE], REPLAY].concat();
    let Some(ended) = command_within(LIMIT, "high", &lab, &args, 0, |out| opens(out, 12, 20_000)) else { return };
    assert!(lab.stats().get("dropped.tree_full") > 0);
    ended.said(&["events were lost", "GROVE_RESIDENT_MAX"]);
}

#[test]
fn two_hundred_thousand_held_events_within_64_mib_end_well() {
    const EVENTS: usize = 200_000;
    let Some((_lab, ended, ledger)) = replayed(LIMIT, "held", |out| {
        (0..EVENTS).try_for_each(|n| open(out, n / 100, &format!("{}/a/deep/place", word(n))))
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
    let Some((_lab, ended, ledger)) = replayed(LIMIT, "containers", |out| {
        for n in 0..CONTAINERS {
            let mut container = format!("{n:064}");
            // Half of them say when they stop.
            write!(container, "{}", if n % 2 == 0 { "a" } else { "b" }).unwrap();
            start(out, &container, "i", "1")?;
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

#[test]
fn more_images_than_there_is_memory_for_are_refused_and_counted() {
    let full = std::env::var_os("GROVE_TEST_FULL").is_some();
    let few: &[_] = &[(LIMIT, 10_000)];
    let many: &[_] = &[(LIMIT, 10_000), (LIMIT, 20_000), (LIMIT, 60_000), (2 * LIMIT, 20_000)];
    for (limit, count) in if full { many } else { few } {
        let Some((lab, ended, ledger)) = replayed(*limit, "images", |out| images(out, *count)) else { return };
        lost(&ended, &ledger);
        let applied = ledger.get("applied_new") + ledger.get("applied_known");
        let dropped = ledger.get("dropped.tree_full") + ledger.get("dropped.containers");
        assert_eq!(applied + dropped, 2 * *count as u64, "{ledger:?}");
        // An image is learned or it is not there.
        let profiles = lab.names("profiles").len() as u64;
        assert!((200..*count as u64).contains(&profiles) && applied >= profiles, "{profiles} profiles, {ledger:?}");
    }
}

#[test]
fn fifty_thousand_tags_of_one_image_within_64_mib_end_well_and_can_be_read() {
    const TAGS: usize = 50_000;
    let Some((lab, ended, ledger)) = replayed(LIMIT, "tags", |out| {
        (0..TAGS).try_for_each(|n| {
            start(out, n, "i", &format!("tag-{n}"))?;
            open(out, n, "data")
        })
    }) else {
        return;
    };
    lost(&ended, &ledger);
    assert!(ended.stderr.len() < 4 << 10, "not all of them are named: {}", ended.stderr.len());
    can_be_read("tags-read", &lab);
}

/// Fifty thousand containers at once, each with a file of its own.
#[test]
fn a_bound_that_is_too_high_lets_containers_go_all_the_same() {
    let lab = Lab::new();
    let vars = ["env", "GROVE_MEMORY_MAX=1Gi", "GROVE_LOG=error"];
    let args = [&vars[..], &[GROVE], REPLAY].concat();
    let many = |out: &mut Out<'_>| opens(out, 50_000, 1);
    let Some(ended) = command_within(LIMIT, "high-containers", &lab, &args, 0, many) else { return };
    ended.said(&["containers were taken for stopped"]);
}

fn exec(out: &mut Out<'_>, container: impl std::fmt::Display, pid: usize, path: &str, more: &str) -> io::Result<()> {
    writeln!(
        out,
        r#"{{"ts":{pid},"container":"{container}","type":"exec","pid":{pid},"ppid":5,"path":"{path}"{more}}}"#
    )
}

/// A lab with the profile of [`start`].
fn learned() -> Lab {
    let lab = Lab::new();
    let mut out = Vec::new();
    start(&mut BufWriter::new(&mut out as &mut dyn io::Write), "c", "i", "1").unwrap();
    lab.feed(REPLAY, &out).expect(0);
    lab
}

/// Checks with a bound that is set by hand; what was found.
fn found(
    name: &str,
    bound: &str,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()> + Send,
) -> Option<(Ended, String)> {
    let lab = learned();
    let args = [&["env", bound, "GROVE_LOG=error", GROVE], CHECK, &["--output", "findings.jsonl"]].concat();
    let ended = command_within(LIMIT, name, &lab, &args, 2, write)?;
    let findings = lab.text("findings.jsonl");
    Some((ended, findings))
}

/// The bound that follows from the limit, and one that is too high.
const BOUNDS: [&str; 2] = ["GROVE_LOG=error", "GROVE_MEMORY_MAX=1Gi"];

#[test]
fn a_container_s_flood_of_long_paths_hides_no_other_container_s_execs() {
    for bound in BOUNDS {
        let Some((_ended, findings)) = found("flood", bound, |out| {
            start(out, "flood", "i", "1")?;
            start(out, "a", "i", "1")?;
            (0..15_000).try_for_each(|n| exec(out, "flood", 10 + n, &format!("/t/{n:x>3600}"), ""))?;
            exec(out, "a", 90_000, "/usr/bin/nc", "")?;
            exec(out, "a", 90_001, "/tmp/evil", r#","upper_layer":true"#)
        }) else {
            return;
        };
        assert!(findings.lines().filter(|line| line.contains(r#""container":"flood""#)).count() > 100);
        for (path, reason) in [("/usr/bin/nc", "new_process"), ("/tmp/evil", "upper_layer_exec")] {
            let told = |line: &str| line.contains(&format!(r#""subject":"{path}""#)) && line.contains(reason);
            assert!(findings.lines().any(told), "{bound}: {path}");
        }
    }
}

#[test]
fn of_more_containers_than_there_is_room_for_the_grave_are_told_and_how_many_the_others_are() {
    for bound in BOUNDS {
        let Some((ended, findings)) = found("execs", bound, |out| {
            for n in 0..20_000 {
                start(out, n, "i", "1")?;
                exec(out, n, 10, &format!("/t/{n:x>1000}"), "")?;
            }
            for container in ["a", "b"] {
                start(out, container, "i", "1")?;
                exec(out, container, 11, "/tmp/evil", r#","fileless":true"#)?;
            }
            Ok(())
        }) else {
            return;
        };
        for container in ["a", "b"] {
            let told =
                format!(r#""container":"{container}","image":"i","tag":"1","kind":"exec","reason":"fileless_exec""#);
            assert!(findings.contains(&told), "{bound}: {container}");
        }
        // Some were told before it was known that they would not be kept.
        let early =
            ended.stderr.lines().find_map(|line| line.strip_suffix(" of those were told when they were first found"));
        let early = early.map_or(0, |line| line.trim_start_matches("grove: ").parse().unwrap());
        let count = 20_002 + early - findings.lines().count();
        ended.said(&[&format!("{count} more findings were only counted, {count} of them of programs")]);
        ended.said(&[&format!("of {count} containers there was room for no finding")]);
    }
}

/// Checks within a limit; findings beyond what there is memory for are counted.
fn checked(
    limit: u64,
    name: &str,
    lab: &Lab,
    behaviours: usize,
    write: impl FnOnce(&mut Out<'_>) -> io::Result<()> + Send,
) {
    let Some(ended) = within(limit, name, lab, CHECK, 2, write) else { return };
    let ledger = lab.stats();
    let applied = ledger.get("applied_new") + ledger.get("applied_known");
    assert_eq!(applied, behaviours as u64, "{ledger:?}");
    ended.said(&["more findings were only counted"]);
    assert!(ended.stdout.contains(r#""reason":"new_behaviour""#), "{}", ended.stdout);
}

#[test]
fn findings_of_several_containers_within_a_limit_are_kept_as_far_as_there_is_memory() {
    let lab = learned();
    for (limit, containers, each) in [(LIMIT, 4, 20_000), (LIMIT, 3, 60_000), (2 * LIMIT, 8, 30_000)] {
        checked(limit, "findings", &lab, containers * (each + 1), |out| opens(out, containers, each));
    }
}

#[test]
fn a_large_profile_leaves_room_to_check_within_64_mib() {
    let questions = |count: usize| {
        move |out: &mut Out<'_>| {
            start(out, "c", "i", "1")?;
            (0..count).try_for_each(|n| {
                let (host, domain) = (word(n), word(n + 1));
                writeln!(
                    out,
                    r#"{{"ts":3,"container":"c","type":"dns","pid":5,"name":"{host}.{domain}.example","qtype":1}}"#
                )
            })
        }
    };
    let lab = Lab::new();
    if within(2 * LIMIT, "questions", &lab, REPLAY, 0, questions(28_670)).is_some() {
        assert_eq!(lab.stats().get("applied_new"), 28_671, "all of it is learned");
        checked(LIMIT, "questions", &lab, 200_001, questions(200_000));
    }
}
