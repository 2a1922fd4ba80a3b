//! Where profiles and ledgers go: whole or not at all, each image to a file of its own.

use std::process::Command;

use crate::support::{EXEC, Ended, Lab, START, names, open, trace};

fn workload(container: &str, image: &str) -> String {
    format!(
        "{{\"ts\":1,\"type\":\"container_start\",\"container\":\"{container}\",\"image\":\"{image}\",\"tag\":\"1\"}}\n\
         {{\"ts\":2,\"type\":\"exec\",\"container\":\"{container}\",\"pid\":1,\"ppid\":0,\"path\":\"/bin/{container}\"}}\n"
    )
}

/// The images in the profiles of a directory.
fn images(lab: &Lab) -> Vec<String> {
    let mut images: Vec<_> = lab
        .names("profiles")
        .iter()
        .map(|name| crate::support::json(&lab.text(&format!("profiles/{name}")))["image"].to_string())
        .collect();
    images.sort();
    images
}

#[test]
fn a_file_s_name_depends_on_its_image_alone() {
    let lab = Lab::new();
    let names = |input: &str| {
        let _ = std::fs::remove_dir_all(lab.path("profiles"));
        lab.learn(input);
        (lab.names("profiles"), images(&lab))
    };
    let all = ["x/y:z", "x_y/z", "x/y/z", "x/y/z~0badcafe"];
    let inputs: Vec<_> = ["a", "b", "c", "d"].iter().zip(all).map(|(id, image)| workload(id, image)).collect();
    let mut alone: Vec<_> = inputs.iter().flat_map(|input| names(input).0).collect();
    alone.sort();
    assert!(alone.contains(&"x_y_z.profile.json".to_owned()), "{alone:?}");
    let together = names(&inputs.concat());
    assert_eq!(together.0, alone);
    assert_eq!(together.1.len(), 4);
    assert_eq!(names(&inputs.iter().rev().map(String::as_str).collect::<String>()), together);
}

#[test]
fn an_image_of_any_name_has_a_file_in_the_directory() {
    let long = "n".repeat(4000);
    for image in [
        "..",
        ".",
        "../../escape",
        "/etc/passwd",
        "a\\nb",
        "\\u001b[2J",
        "-x",
        "ünïcode",
        " ",
        "con:",
        &long,
        "\\u202e",
    ] {
        let lab = Lab::new();
        lab.learn(&workload("c", image));
        let files = lab.names("profiles");
        assert_eq!(files.len(), 1, "{image}");
        assert!(files[0].ends_with(".profile.json") && files[0].len() < 256, "{files:?}");
        assert!(!files[0].starts_with('.') && !files[0].contains(['\n', '\u{1b}', '\u{202e}']), "{files:?}");
        assert_eq!(lab.names("").len(), 2, "{image}");
        assert_eq!(images(&lab), [crate::support::json(&format!("\"{image}\"")).to_string()]);
        lab.run(&["inspect", &format!("profiles/{}", files[0])]).expect(0);
    }
}

#[test]
fn the_directory_is_made_and_other_files_in_it_stay() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("a/b")).unwrap();
    lab.file("a/b/mine", "mine");
    lab.file("t", trace(&[START, EXEC]));
    lab.run(&["replay", "--output", "a/b/", "t"]).expect(0);
    lab.run(&["replay", "--output", "a/new/deep", "t"]).expect(0);
    assert_eq!(lab.names("a/b"), ["mine", "web.profile.json"]);
    assert_eq!(lab.names("a/new/deep"), ["web.profile.json"]);
}

#[test]
fn a_directory_that_takes_nothing_is_said_before_reading() {
    let lab = Lab::new();
    lab.file("file", "");
    for output in ["file", "file/below", "/dev/full", "/proc/nowhere"] {
        let ended = lab.feed(&["replay", "--output", output, "-"], trace(&[START, EXEC]).as_bytes());
        ended.expect(1).said(&[output, "--output"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_profile_that_cannot_be_replaced_is_told_and_the_others_are_written() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("profiles/first.profile.json/full")).unwrap();
    let input = format!("{}{}", workload("a", "first"), workload("b", "second"));
    lab.feed(&["replay", "--stats", "stats.json", "-"], input.as_bytes()).expect(1).said(&["first.profile.json"]);
    assert_eq!(lab.names("profiles"), ["first.profile.json", "second.profile.json"]);
    assert_eq!(lab.names("profiles/first.profile.json"), ["full"]);
    assert_eq!(lab.stats().get("received"), 4);
}

/// A disk that is full, as a limit on the size of files.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_profile_and_nothing_half_written() {
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC]));
    let old = lab.profile_text("web");
    let mut lines = vec![START.to_owned(), EXEC.to_owned()];
    lines.extend((0..2000).map(|n| open(3 + n, &format!("/etc/{n}"))));
    lab.file("t", lines.join("\n"));
    let limited = |command: &str| {
        let script = format!("ulimit -f 16; exec \"$0\" {command}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_grove")]).current_dir(lab.path("")).env_clear();
        Ended::of(shell.output().unwrap())
    };
    limited("replay --stats stats.json t").expect(1).said(&["web.profile.json"]);
    assert_eq!(lab.profile_text("web"), old);
    assert_eq!(lab.names("profiles"), ["web.profile.json"]);
    assert_eq!(lab.stats().get("received"), 2002);

    lab.run(&["replay", "--output", "big", "t"]).expect(0);
    lab.file("out.json", "old");
    limited("merge --output out.json big/web.profile.json").expect(1).said(&["out.json"]);
    assert_eq!(lab.text("out.json"), "old");
    lab.file("out.jsonl", "old");
    limited("convert --output out.jsonl t").expect(1).said(&["out.jsonl"]);
    assert_eq!(lab.text("out.jsonl"), "old");
    assert_eq!(lab.names(""), ["big", "out.json", "out.jsonl", "profiles", "stats.json", "t"]);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_that_take_nothing_are_1_and_profiles_are_written_all_the_same() {
    let lab = Lab::new();
    let input = trace(&[START, EXEC]);
    for args in [&["replay", "--stats", "/dev/full", "-"] as &[_], &["replay", "--stats", "absent/stats.json", "-"]] {
        let _ = std::fs::remove_dir_all(lab.path("profiles"));
        lab.feed(args, input.as_bytes()).expect(1).said(&[args[2]]);
        assert_eq!(lab.names("profiles"), ["web.profile.json"]);
    }
    assert!(names(&lab.path("absent")).is_empty());
    lab.feed(&["convert", "--output", "/dev/full", "-"], input.as_bytes()).expect(1).said(&["/dev/full"]);
    lab.feed(&["convert", "--output", "/dev/null", "-"], input.as_bytes()).expect(0);
}

#[test]
fn statistics_may_go_to_standard_output() {
    let lab = Lab::new();
    let ended = lab.feed(&["replay", "--stats", "-", "-"], trace(&[START, EXEC]).as_bytes());
    ended.expect(0);
    assert_eq!(crate::support::Ledger::of(ended.stdout).nonzero(), "received=2 applied_new=1 lifecycle=1");
}

#[test]
fn show_prints_the_tree_that_inspect_prints() {
    let lab = Lab::new();
    let ended = lab.feed(&["replay", "--show", "-"], trace(&[START, EXEC, &open(3, "/a")]).as_bytes());
    ended.expect(0);
    assert_eq!(ended.stdout, lab.run(&["inspect", "profiles/web.profile.json"]).stdout);
}

#[test]
fn the_summary_has_a_rate() {
    let lab = Lab::new();
    lab.feed(&["replay", "-"], trace(&[START, EXEC]).as_bytes()).expect(0).said(&[
        "2 events",
        "events/s",
        "web.profile.json",
    ]);
}

#[test]
fn a_bad_variable_or_flag_stops_before_anything_is_written() {
    for (args, vars, said) in [
        (&["replay", "t"] as &[_], ("GROVE_WORKERS", "0"), &["GROVE_WORKERS", "1 to"] as &[_]),
        (&["replay", "t"], ("GROVE_WORKERZ", "1"), &["GROVE_WORKERZ"]),
        (&["replay", "t"], ("GROVE_PATH_FANOUT", "many"), &["GROVE_PATH_FANOUT"]),
        (&["replay", "t"], ("GROVE_PATH_FANOUT", "-1"), &["GROVE_PATH_FANOUT"]),
        (&["replay", "--workers", "0", "t"], ("TZ", ""), &["--workers"]),
        (&["replay", "--workers", "99999999999999999999", "t"], ("TZ", ""), &["--workers"]),
        (&["replay", "--from", "dtrace", "t"], ("TZ", ""), &["--from", "sysdig"]),
        (&["replay"], ("TZ", ""), &["TRACE"]),
        (&["check", "t"], ("TZ", ""), &["--profile"]),
        (&["merge", "t"], ("TZ", ""), &["--output"]),
        (&["diff", "t"], ("TZ", ""), &["B"]),
        (&["diff", "t", "--tags", "1"], ("TZ", ""), &["OLD..NEW"]),
    ] {
        let lab = Lab::new();
        lab.file("t", trace(&[START, EXEC]));
        let ended = Ended::of(lab.command(args).env(vars.0, vars.1).output().unwrap());
        ended.expect(3).said(said);
        assert_eq!((ended.stdout.as_str(), lab.names("")), ("", vec!["t".to_owned()]), "{args:?}");
    }
}
