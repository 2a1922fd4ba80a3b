//! What is not delivered on purpose: repeats, and what nobody is told about; what is left behind.
//!
//! Not here: what finds no room in the ring (`overflow`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use grove::event::{Body, Dns, Open};
use grove_probes::kernel::{AttachError, Cause, Class, Classes, Options, Probes, Scope};

use crate::support::*;

#[test]
fn repeats_are_left_out_and_counted_but_never_the_first() {
    const LOOPS: u64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    let of_file = |b: &Body<Vec<u8>>| matches!(b, Body::Open(Open { path, .. }) if text(path) == file);
    let loops = LOOPS.to_string();

    let options = only_followed(Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() });
    let Some(mut w) = watch(&options) else { return };
    run_unread(&mut w, &["loop", &loops, file]);
    w.drain();
    assert_eq!(delivered(&w, of_file), 1);
    assert!(w.counted(Class::Open, Cause::Repeat) >= LOOPS - 1);
    // A second process of the same program and descent tells nothing new; another access mode does.
    run_unread(&mut w, &["loop", &loops, file]);
    run_unread(&mut w, &["open", file, "2"]);
    w.drain();
    let modes: Vec<_> = w
        .seen
        .iter()
        .filter_map(|s| {
            if let Body::Open(Open { flags, .. }) = s.event.body {
                of_file(&s.event.body).then_some(flags)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(modes.iter().filter(|f| **f & 3 == 2).count(), 1, "{modes:?}");
    assert!(modes.len() <= 3, "{modes:?}");

    let mut w = watch(&only_followed(everything())).unwrap();
    run_unread(&mut w, &["loop", &loops, file]);
    w.drain();
    assert_eq!(delivered(&w, of_file), LOOPS);
    assert_eq!(w.counted(Class::Open, Cause::Repeat), 0);
}

/// However long the way to it.
#[test]
fn programs_that_differ_in_the_end_of_their_name_do_not_repeat_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir =
        dir.path().canonicalize().unwrap().join("a-directory-with-a-name-as-long-as-those-of-some-stores-of-packages");
    std::fs::create_dir(&dir).unwrap();
    let options = only_followed(Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() });
    let Some(mut w) = watch(&options) else { return };
    for name in ["one", "two", "one"] {
        let program = dir.join(name);
        if !program.exists() {
            std::os::unix::fs::symlink(static_child_path(), &program).unwrap();
        }
        run_program_unread(&mut w, &program, &["open", "/etc/hostname"]);
    }
    w.drain();
    let of_file = |b: &Body<Vec<u8>>| matches!(b, Body::Open(Open { path, .. }) if text(path) == "/etc/hostname");
    assert_eq!(delivered(&w, of_file), 2);
}

#[test]
fn below_a_directory_or_mount_that_was_moved_nothing_is_a_repeat() {
    let options = only_followed(Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() });
    let Some(mut w) = watch(&options) else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(dir.join("app.new/etc")).unwrap();
    std::fs::write(dir.join("app.new/etc/config"), "x").unwrap();
    run_unread(&mut w, &["renamed", &at("app.new"), "etc/config", &at("app")]);
    // Through a ring as well.
    run_unread(&mut w, &["uring-renamed", &at("app"), "etc/config", &at("app.old")]);
    let script = "cd \"$0\" && mkdir here there && mount -t tmpfs none here && echo x > here/file && cat here/file \
                  && mount --move here there && cat there/file; :";
    run_program_unread(&mut w, Path::new("/usr/bin/unshare"), &["-m", "sh", "-c", script, dir.to_str().unwrap()]);
    w.drain();
    for name in ["app.new/etc/config", "app/etc/config", "app.old/etc/config", "here/file", "there/file"] {
        let told = delivered(
            &w,
            |b| matches!(b, Body::Open(Open { path, flags, .. }) if text(path) == at(name) && flags & 3 == 0),
        );
        assert_eq!(told, 1, "{name}: {:?}", lines(&w.seen));
    }
}

#[test]
fn another_name_of_the_same_file_is_no_repeat() {
    let options = only_followed(Options { dedup: Some(Duration::from_secs(3600)), ..Options::default() });
    let Some(mut w) = watch(&options) else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("one"), "x").unwrap();
    std::fs::hard_link(dir.join("one"), dir.join("two")).unwrap();
    for name in ["one", "two", "one", "two"] {
        run_unread(&mut w, &["open", dir.join(name).to_str().unwrap()]);
    }
    w.drain();
    for name in ["one", "two"] {
        assert!(
            delivered(
                &w,
                |b| matches!(b, Body::Open(Open { path, .. }) if text(path) == dir.join(name).to_str().unwrap())
            ) >= 1
        );
    }
}

#[test]
fn arguments_make_another_program_only_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, times) in [(false, 1), (true, 2)] {
        let dedup = Some(Duration::from_secs(3600));
        let Some(mut w) = watch(&only_followed(Options { dedup, arguments, ..Options::default() })) else { return };
        // Both by a fork of this process, whose descent is the same.
        for n in ["1", "2"] {
            run_unread(&mut w, &["loop", n, file]);
        }
        w.drain();
        let of_file = |b: &Body<Vec<u8>>| matches!(b, Body::Open(Open { path, .. }) if text(path) == file);
        assert_eq!(delivered(&w, of_file), times, "{arguments}");
    }
}

#[test]
fn only_descendants_of_whom_is_followed_are_told_about() {
    let Some(mut w) = watch(&only_followed(everything())) else { return };
    let pid = run_unread(&mut w, &["fork", "2"]);
    let stranger = Command::new(child_path()).arg("exit").spawn().unwrap();
    let stranger_pid = stranger.id();
    assert!(w.finish(stranger).is_empty());
    let told: std::collections::BTreeSet<_> = w.seen.iter().map(|s| s.event.pid).collect();
    assert!(told.len() == 3 && told.contains(&pid) && !told.contains(&stranger_pid), "{told:?}");
}

#[test]
fn only_descendants_questions_are_told_though_all_are_of_one_cgroup() {
    const ASKED: usize = 3;
    let Some(mut w) = watch(&only_followed(everything())) else { return };
    let storm = |n: usize| ["storm".to_owned(), n.to_string(), "/etc/hostname".to_owned()];
    // One that forked before anybody was followed, one that comes after, and a child's child of who is followed.
    let ask = || assert!(Command::new(child_path()).args(storm(5)).status().unwrap().success());
    ask();
    let script = format!("{} {}; :", child_path().display(), storm(ASKED).join(" "));
    let pid = run_program_unread(&mut w, Path::new("/bin/sh"), &["-c", &script]);
    ask();
    w.drain();
    let asked: Vec<u32> =
        w.seen.iter().filter(|s| matches!(s.event.body, Body::Dns(Dns { .. }))).map(|s| s.event.pid).collect();
    let child = w.seen.iter().find(|s| s.event.body == Body::Fork { ppid: pid, ns_pid: None }).unwrap().event.pid;
    assert_eq!(asked, [child; ASKED]);
}

/// A datagram is of whoever sends it, wherever its socket was made.
#[test]
fn a_question_of_who_has_changed_its_cgroup_is_told_as_its_own() {
    let Some(mut w) = watch(&only_followed(everything())) else { return };
    let group = Group::new("moved");
    let question = r"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x05moved\x04test\0\0\x01\0\x01";
    let procs = group.0.join("cgroup.procs");
    let script = format!("exec 3<>/dev/udp/127.0.0.1/53; echo $$ > {}; printf '{question}' >&3; :", procs.display());
    let pid = run_program_unread(&mut w, Path::new("/bin/bash"), &["-c", &script]);
    w.drain();
    let of: Vec<_> = w.of(pid).into_iter().filter(|s| line(s) == "dns moved.test 1").map(|s| s.cgroup).collect();
    assert_eq!(of, [group.id()], "{:?}", w.counts);
}

#[test]
fn classes_that_are_switched_off_are_silent() {
    let options = Options { classes: Classes::only(&[Class::Exec]), ..everything() };
    let Some(mut w) = watch(&options) else { return };
    let seen = lines(&w.run(&mut child(&["open", "/etc/passwd"])));
    assert_eq!(seen, [format!("exec {}", child_path().display())]);
    assert!(!w.probes.hooks().iter().any(|h| h.name == "sys_exit"));
}

/// A cgroup that is removed again.
pub struct Group(pub std::path::PathBuf);

impl Group {
    pub fn new(name: &str) -> Self {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].into_iter().map(Path::new);
        let root = root.into_iter().find(|p| p.join("cgroup.procs").exists()).unwrap();
        let path = root.join(format!("grove-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn id(&self) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&self.0).unwrap())
    }

    fn sub(&self) -> Self {
        let path = self.0.join("sub");
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Runs the helper in it.
    fn run(&self, w: &mut Watch, args: &[&str]) -> Vec<Seen> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        w.run(Command::new("sh").args(["-c", &enter, "sh", child_path().to_str().unwrap()]).args(args))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn cgroups_come_and_go_and_events_bear_their_ids() {
    let Some(mut w) = watch(&everything()) else { return };
    let group = Group::new("life");
    let (id, name) = (group.id(), group.0.file_name().unwrap().to_str().unwrap().to_string());
    let seen = group.run(&mut w, &["open", "/etc/passwd"]);
    drop(group);
    w.drain();
    let of: Vec<_> = w.groups.iter().filter(|(g, _)| *g == id).map(|(_, path)| path.as_deref().map(text)).collect();
    assert_eq!(of, [Some(format!("/{name}")), None]);
    let passwd = seen.iter().find(|s| line(s) == "open /etc/passwd").unwrap();
    assert_eq!(passwd.cgroup, id);
}

#[test]
fn only_included_cgroups_and_those_made_below_them_are_told_about() {
    let Some(mut w) = watch(&Options { scope: Scope::Cgroups, ..everything() }) else { return };
    let group = Group::new("included");
    assert!(group.run(&mut w, &["exit"]).is_empty());
    w.probes.include_cgroup(group.id()).unwrap();
    assert!(!group.run(&mut w, &["exit"]).is_empty());
    let sub = group.sub();
    let seen = sub.run(&mut w, &["exit"]);
    assert!(seen.iter().any(|s| s.cgroup == sub.id()), "{:?}", lines(&seen));
    assert!(w.seen.iter().all(|s| [group.id(), sub.id()].contains(&s.cgroup)));
    w.probes.exclude_cgroup(group.id()).unwrap();
    assert!(group.run(&mut w, &["exit"]).is_empty());
}

#[test]
fn an_excluded_cgroup_is_not_told_about() {
    let Some(mut w) = watch(&everything()) else { return };
    let group = Group::new("excluded");
    w.probes.exclude_cgroup(group.id()).unwrap();
    let seen = group.run(&mut w, &["open", "/etc/passwd"]);
    assert!(!lines(&seen).contains(&"open /etc/passwd".into()));
}

/// Programs of ours in the kernel, by their names.
fn programs() -> usize {
    let list = Command::new("bpftool").args(["prog", "list"]).output().unwrap();
    String::from_utf8_lossy(&list.stdout).matches("name grove_fork").count()
}

#[test]
fn killing_the_process_leaves_nothing_attached() {
    const HOLD: &str = "GROVE_TEST_HOLD";
    let Some(w) = watch(&everything()) else { return };
    if std::env::var_os(HOLD).is_some() {
        println!("attached");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    drop(w);
    if Command::new("bpftool").arg("version").output().is_err() {
        skipped("bpftool is not installed");
        return;
    }
    let name = "loss::killing_the_process_leaves_nothing_attached";
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(HOLD, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let own_maps = |pid: u32| Path::new(&format!("/proc/{pid}/fd")).exists();
    let mut out = std::io::BufReader::new(holder.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("attached") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut text).unwrap(), 0, "{text}");
    }
    let ids = ids_of(holder.id());
    assert!(ids.len() >= 10 && own_maps(holder.id()), "{ids:?}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    // Freed after a grace period.
    for _ in 0..100 {
        if ids.iter().all(|id| !alive(*id)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{ids:?} outlive their process; {} programs", programs());
}

/// Ids of the programs that a process holds.
fn ids_of(pid: u32) -> Vec<u32> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    fds.filter_map(|fd| {
        let info = std::fs::read_to_string(fd.unwrap().path()).ok()?;
        info.lines().find_map(|l| l.strip_prefix("prog_id:")?.trim().parse().ok())
    })
    .collect()
}

fn alive(program: u32) -> bool {
    Command::new("bpftool").args(["prog", "show", "id", &program.to_string()]).output().unwrap().status.success()
}

#[test]
fn a_missing_capability_is_named() {
    let Some(w) = watch(&everything()) else { return };
    drop(w);
    let name = "loss::a_missing_capability_is_named_inside";
    for (drop, expected) in [("-bpf,-sys_admin", "CAP_BPF"), ("-perfmon,-sys_admin", "CAP_PERFMON")] {
        let out = Command::new("setpriv")
            .args([&format!("--bounding-set={drop}"), "--inh-caps=-all"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("GROVE_TEST_REFUSED", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = text.lines().find(|l| l.contains("refused:")).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(expected), "{line}");
    }
}

/// What the test above looks at: alone it only says that attaching works.
#[test]
fn a_missing_capability_is_named_inside() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    match Probes::attach(&everything()) {
        Ok(_) => assert!(std::env::var_os("GROVE_TEST_REFUSED").is_none()),
        Err(e @ AttachError::Refused { .. }) => println!("refused: {e}"),
        Err(e) => panic!("{e}"),
    }
}
