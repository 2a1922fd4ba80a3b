//! How the command ends when it is not left to end by itself: signals, and readers that go away.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{EXEC, Ended, Lab, START, open, trace};

fn send(signal: &str, child: &Child) {
    let status = Command::new("bash").args(["-c", &format!("kill -s {signal} {}", child.id())]).status().unwrap();
    assert!(status.success());
}

/// More than pipes and queues hold: once all of it is written, the command is in the midst of reading.
fn plenty() -> String {
    let mut text = trace(&[START, EXEC]);
    (0..20_000).for_each(|n| text.push_str(&format!("{}\n", open(3 + n, &format!("/etc/{}", n % 100)))));
    assert!(text.len() > 1 << 20);
    text
}

/// Waits for an end that comes by itself.
fn wait(mut child: Child) -> Ended {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "the signal did not end it");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ended::of(child.wait_with_output().unwrap())
}

/// A recording that never ends is learned from all the same: whoever has seen enough says stop, and the pipe stays
/// open and silent.
#[test]
fn a_signal_during_a_replay_from_a_pipe_writes_what_was_learned() {
    for signal in ["INT", "TERM"] {
        let lab = Lab::new();
        let mut child = lab.spawn(&["replay", "--stats", "stats.json", "-"]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(plenty().as_bytes()).unwrap();
        // Most of the time all has been read by now.
        std::thread::sleep(Duration::from_millis(300));
        send(signal, &child);
        wait(child).expect(0);
        drop(stdin);
        assert!(lab.stats().get("received") > 1000);
        assert!(lab.profile_text("web").contains("/etc/1\""));
    }
}

#[test]
fn a_signal_in_the_middle_of_a_stream_writes_what_was_learned() {
    let lab = Lab::new();
    let mut child = lab.spawn(&["replay", "--strict", "--stats", "stats.json", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(plenty().as_bytes()).unwrap();
    let line = format!("{}\n", open(3, "/a"));
    let writer = std::thread::spawn(move || while stdin.write_all(line.as_bytes()).is_ok() {});
    send("TERM", &child);
    wait(child).expect(0);
    writer.join().unwrap();
    assert!(lab.stats().get("received") > 1000);
    assert_eq!(lab.names("profiles"), ["web.profile.json"]);
}

/// The same for a trace that is being written: it ends whole.
#[test]
fn a_signal_during_a_conversion_ends_the_trace() {
    let lab = Lab::new();
    let mut child = lab.spawn(&["convert", "--output", "out.jsonl.zst", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(plenty().as_bytes()).unwrap();
    send("INT", &child);
    wait(child).expect(0);
    drop(stdin);
    lab.run(&["replay", "--strict", "--stats", "stats.json", "out.jsonl.zst"]).expect(0);
    assert!(lab.stats().get("received") > 1000);
    assert_eq!(lab.names(""), ["out.jsonl.zst", "profiles", "stats.json"]);
}

fn pipe(lab: &Lab, name: &str) {
    assert!(Command::new("mkfifo").arg(lab.path(name)).status().unwrap().success());
}

/// Waits until all of the command's threads wait for something.
fn wait_until_it_waits(child: &Child) {
    let waits = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let mut states = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        states.all(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S')))
    };
    let handles_signals = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & 2 != 0
    };
    while !(handles_signals() && waits()) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pipe that nobody writes into cannot even be opened.
#[test]
fn a_pipe_that_nobody_writes_into_ends_at_the_first_signal() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    lab.run(&["replay", "t"]).expect(0);
    pipe(&lab, "silent");
    for args in [
        &["replay", "t", "silent"] as &[_],
        &["check", "--profile", "profiles/web.profile.json", "t", "silent"],
        &["convert", "t", "silent"],
        &["replay", "--from", "strace", "silent"],
    ] {
        let child = lab.spawn(args);
        wait_until_it_waits(&child);
        send("INT", &child);
        wait(child).expect(0);
    }
}

#[test]
fn a_pipe_that_nobody_reads_ends_at_the_first_signal() {
    let lab = Lab::new();
    lab.file("t", trace(&[START, EXEC]));
    pipe(&lab, "silent");
    for args in [&["convert", "--output", "silent", "t"] as &[_], &["replay", "--stats", "silent", "t"]] {
        let child = lab.spawn(args);
        wait_until_it_waits(&child);
        send("TERM", &child);
        wait(child).expect(1).said(&["cannot write silent: nobody reads it"]);
    }
}

/// A pipe is opened once, and its writer is let in when it comes, however late.
#[test]
fn a_pipe_is_read_once_somebody_writes_into_it() {
    let lab = Lab::new();
    pipe(&lab, "late");
    let child = lab.spawn(&["replay", "--stats", "stats.json", "late"]);
    wait_until_it_waits(&child);
    std::fs::write(lab.path("late"), trace(&[START, EXEC])).unwrap();
    wait(child).expect(0);
    assert_eq!(lab.stats().get("received"), 2);
}

/// What is written when the signal comes is whole, and how much it is is said.
#[test]
fn a_signal_while_profiles_are_written_ends_between_two_of_them() {
    let lab = Lab::new();
    let one =
        |i| trace(&[START, EXEC]).replace("\"c\"", &format!("\"c{i}\"")).replace("\"web\"", &format!("\"web{i}\""));
    lab.file("t", (0..8000).map(one).collect::<String>());
    let child = lab.spawn(&["replay", "t"]);
    while lab.names("profiles").len() < 10 {
        std::thread::sleep(Duration::from_millis(5));
    }
    send("INT", &child);
    let ended = wait(child);
    let names = lab.names("profiles");
    ended.expect(1).said(&[&format!("interrupted: {} of 8000 profiles are written", names.len())]);
    assert!(names.len() < 8000);
    for name in names {
        let text = lab.text(&format!("profiles/{name}"));
        assert!(crate::support::json(&text)["stats"].to_string().contains("process_nodes"), "{text}");
    }
}

/// The reader of standard output leaves after one line; what was to be written to files is.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let lab = Lab::new();
    let mut lines = vec![START.to_owned(), EXEC.to_owned()];
    lines.extend((0..20_000).map(|n| open(3 + n, &format!("/etc/{n}"))));
    lab.file("t", lines.join("\n"));
    lab.file("first", trace(&[START, EXEC]));
    lab.run(&["replay", "--output", "learned", "t"]).expect(0);
    lab.run(&["replay", "--output", "little", "first"]).expect(0);
    let (whole, little) = ("learned/web.profile.json", "little/web.profile.json");
    for (args, code) in [
        (&["replay", "--show", "t"] as &[_], 0),
        (&["inspect", whole], 0),
        (&["inspect", "--format", "json", whole], 0),
        (&["inspect", "--format", "dot", whole], 0),
        (&["convert", "t"], 0),
        (&["diff", little, whole], 2),
        (&["diff", "--format", "json", little, whole], 2),
        (&["check", "--profile", little, "t"], 2),
    ] {
        let mut child =
            lab.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let ended = Ended::of(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(!ended.stderr.contains("cannot write"), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(lab.text("profiles/web.profile.json"), lab.text(whole));
}

#[test]
fn completions_are_scripts_that_know_the_subcommands() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = lab.run(&["completions", shell]);
        ended.expect(0);
        for word in ["replay", "check", "inspect", "diff", "merge", "convert", "workers"] {
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
    let script = lab.run(&["completions", "bash"]).stdout;
    lab.file("grove.bash", script);
    let status = Command::new("bash").args(["-n", "grove.bash"]).current_dir(lab.path("")).status().unwrap();
    assert!(status.success());
}

/// A command that waits to be observed does not wait for ever if whoever was to observe it is killed.
#[test]
fn a_command_that_nobody_will_observe_does_not_stay() {
    let state = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next())
    };
    let lab = Lab::new();
    let script = r#""$0" launch $$ 9 -- touch began & echo $!; read"#;
    let mut shell = Command::new("bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_grove")]).current_dir(lab.path(""));
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = String::new();
    let stdout = shell.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut pid).unwrap();
    let until = |what: &str, states: &[Option<char>]| {
        let start = Instant::now();
        while !states.contains(&state(pid.trim())) {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", state(pid.trim()));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until("it stops", &[Some('T')]);
    shell.kill().unwrap();
    shell.wait().unwrap();
    until("it is gone", &[None, Some('Z')]);
    assert!(!lab.path("began").exists());
    // Nor does one begin that comes too late.
    lab.run(&["launch", "1", "9", "--", "touch", "began"]).expect(1).said(&["nobody observes"]);
    assert!(!lab.path("began").exists());
}
