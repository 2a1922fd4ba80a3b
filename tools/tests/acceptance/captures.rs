//! Recordings of real containers and programs: every one replays whole, and what is learned is what an independent
//! look at the same file, with `jq` and text tools, finds in it.
//!
//! They are looked for in `GROVE_CAPTURES`, by default `../shared/data` beside the workspace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use sonic_rs::JsonValueTrait;

use crate::skips::skipped;
use crate::support::{Ended, Lab, Ledger, capture, json, list, names, processes, shell};

/// Every recording: sysdig, strace, Tetragon, Tracee.
fn captures() -> Option<Vec<PathBuf>> {
    let mut all = Vec::new();
    for dir in ["sysdig", "strace", "tetragon", "dns"] {
        let dir = capture(dir)?;
        all.extend(names(&dir).iter().map(|name| dir.join(name)));
    }
    assert!(all.len() >= 29, "{}", all.len());
    Some(all)
}

/// Replays a recording, the host included and nothing generalised.
fn replay(lab: &Lab, path: &Path) -> Ended {
    let args = ["replay", "--strict", "--host", "--stats", "stats.json", path.to_str().unwrap()];
    let mut command: Command = lab.command(&args);
    Ended::of(command.env("GROVE_PATH_FANOUT", "65536").env("GROVE_PEER_FANOUT", "65536").output().unwrap())
}

/// The number of records: lines, or objects where they are spread over several lines.
fn records(path: &Path) -> u64 {
    let name = path.to_string_lossy();
    let script = match () {
        () if name.contains("/tetragon/") => "jq -c . \"$1\" | wc -l",
        () if name.ends_with(".zst") => "zstd -dcq \"$1\" | wc -l",
        () => "gzip -dc \"$1\" | wc -l",
    };
    shell(script, path)[0].trim().parse().unwrap()
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skipped(&format!("no {tool} on the PATH"));
    }
    found
}

#[test]
fn every_capture_replays_whole_and_passes_its_own_check() {
    let Some(captures) = captures() else { return };
    if !has("jq") || !has("zstd") {
        return;
    }
    for path in captures {
        let lab = Lab::new();
        let name = path.display();
        let ended = replay(&lab, &path);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let ledger = lab.stats();
        let rejected: u64 =
            ["malformed", "missing_field", "wrong_type", "invalid_value", "duplicate_field", "too_long"]
                .iter()
                .map(|reason| ledger.get(&format!("rejected.{reason}")))
                .sum();
        assert_eq!(
            (ledger.get("received"), rejected, ledger.get("held")),
            (records(&path), 0, 0),
            "{name}: {}",
            ledger.0
        );

        // As a user would, with names generalised.
        let text = path.to_str().unwrap();
        lab.run(&["replay", "--host", "--output", "learned", text]).expect(0);
        let profiles: Vec<_> = lab.names("learned").iter().map(|file| format!("learned/{file}")).collect();
        let mut args = vec!["check", "--host", "--stats", "check.json"];
        profiles.iter().for_each(|profile| args.extend(["--profile", profile]));
        args.push(text);
        if profiles.is_empty() {
            continue;
        }
        let ended = lab.run(&args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{name}: {}", ended.stderr);
        let checked = Ledger::of(lab.text("check.json"));
        assert_eq!((checked.get("applied_new"), checked.get("ignored.no_profile")), (0, 0), "{name}: {}", checked.0);
        for profile in &profiles {
            let again = lab.run(&["inspect", "--format", "json", profile]);
            assert!(again.expect(0).stdout == lab.text(profile), "{name}: {profile} does not survive a round trip");
        }
    }
}

#[test]
fn every_capture_gives_the_same_bytes_with_any_number_of_workers() {
    let Some(captures) = captures() else { return };
    for path in captures.iter().filter(|path| path.extension().is_some_and(|e| e == "gz" || e == "zst")) {
        let lab = Lab::new();
        for workers in ["1", "3"] {
            let args = ["replay", "--host", "--workers", workers, "--output", workers, path.to_str().unwrap()];
            lab.run(&args).expect(0);
        }
        for name in lab.names("1") {
            assert!(lab.text(&format!("1/{name}")) == lab.text(&format!("3/{name}")), "{}: {name}", path.display());
        }
        assert_eq!(lab.names("1"), lab.names("3"));
    }
}

/// The profiles in `profiles`.
fn profiles(lab: &Lab) -> Vec<sonic_rs::Value> {
    lab.names("profiles").iter().map(|name| json(&lab.text(&format!("profiles/{name}")))).collect()
}

/// `program<TAB>path` of every file that was opened, the program by its last component.
fn files(lab: &Lab) -> BTreeSet<String> {
    leaves(lab, "files", |file| {
        file["access"].as_str().map(|_| file["path"].as_str().unwrap().replace("/proc/self/", "/proc/*/"))
    })
}

/// `program<TAB>op<TAB>family<TAB>addr<TAB>port` of every socket that was connected or bound.
fn sockets(lab: &Lab) -> BTreeSet<String> {
    leaves(lab, "sockets", |s| {
        let text = |field: &str| s[field].as_str().unwrap().to_owned();
        let told = format!("{}\t{}\t{}\t{}", text("op"), text("family"), text("addr"), s["port"].as_u64().unwrap());
        (text("op") != "accept").then_some(told)
    })
}

fn leaves(lab: &Lab, of: &str, text: impl Fn(&sonic_rs::Value) -> Option<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for profile in profiles(lab) {
        for (_, process) in processes(&profile) {
            let path = process["path"].as_str().unwrap();
            let program = path.rsplit('/').next().unwrap();
            all.extend(list(&process, of).iter().filter_map(&text).map(|text| format!("{program}\t{text}")));
        }
    }
    all
}

fn compare(what: &str, found: &BTreeSet<String>, expected: &[String]) {
    let expected: BTreeSet<String> = expected.iter().cloned().collect();
    let (missing, extra): (Vec<_>, Vec<_>) =
        (expected.difference(found).collect(), found.difference(&expected).collect());
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing {missing:#?}, extra {extra:#?}");
}

/// jq: the program of a line by its last component. sed: what is normalised in a path.
const PROGRAM: &str = r#"((if ."proc.exepath" == "" then ."proc.name" else ."proc.exepath" end) | split("/") | last)"#;
const NOT_SETUP: &str = r#"select(."proc.name" | test("^(runc|docker-runc|containerd-shim|exe$)") | not)"#;
const NORMAL: &str = r"sed -E 's#/proc/[0-9]+#/proc/*#; s#/proc/self#/proc/*#; s#/task/[0-9]+#/task/*#; s#[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}#*#g; s#[0-9a-f]{32,}#*#g'";

const CONTAINERS: [&str; 5] = [
    "alpine_alpine",
    "mpm-event_cold_start_capture",
    "mpm-event_full_capture",
    "mpm-worker_full_capture",
    "objectstore_upload",
];

#[test]
fn the_files_of_each_program_are_those_that_jq_finds_opened() {
    for name in CONTAINERS {
        let Some(path) = capture(&format!("sysdig/{name}.jsonl.gz")) else { return };
        if !has("jq") {
            return;
        }
        let lab = Lab::new();
        replay(&lab, &path).expect(0);
        let script = format!(
            r#"gzip -dc "$1" | jq -r 'select(."evt.dir" == "<" and (."evt.type" | test("^(open|openat|openat2|creat)$")))
            | {NOT_SETUP} | select(."evt.args" | test("^fd=[0-9]")) | [{PROGRAM}, ."fd.name"] | @tsv' | {NORMAL}"#
        );
        compare(name, &files(&lab), &shell(&script, &path));
    }
}

#[test]
fn the_programs_are_those_that_jq_finds_at_work() {
    for name in CONTAINERS {
        let Some(path) = capture(&format!("sysdig/{name}.jsonl.gz")) else { return };
        if !has("jq") {
            return;
        }
        let lab = Lab::new();
        replay(&lab, &path).expect(0);
        let script = format!(
            r#"gzip -dc "$1" | jq -r 'select(."proc.pid" > 0 and ."proc.exepath" != "" and ."evt.type" != "procexit")
            | {NOT_SETUP} | ."proc.exepath"'"#
        );
        let found: BTreeSet<_> = profiles(&lab)
            .iter()
            .flat_map(processes)
            .map(|(_, process)| process["path"].as_str().unwrap().to_owned())
            .collect();
        compare(name, &found, &shell(&script, &path));
    }
}

/// Sockets, from the bare hosts' recordings too: there it is not the program that counts, which sysdig did not know.
#[test]
fn the_peers_are_those_that_jq_finds_connected() {
    for name in CONTAINERS.iter().chain(&["client-server_tcp-client-server", "libs_curl_google"]) {
        let Some(path) = capture(&format!("sysdig/{name}.jsonl.gz")) else { return };
        if !has("jq") {
            return;
        }
        let lab = Lab::new();
        replay(&lab, &path).expect(0);
        let script = r#"gzip -dc "$1" | jq -r 'select(."evt.dir" == "<" and (."evt.type" | test("^(connect|bind)$"))
            and (."evt.args" | test("^res=(0|-115)")) and (."fd.type" | test("^ipv[46]$")))
            | [."evt.type", (if ."fd.type" == "ipv4" then "inet" else "inet6" end), (."fd.name" | split("->") | last)] | @tsv' |
            sed -E 's/:([0-9]+)$/\t\1/'"#;
        let without_program: BTreeSet<_> = sockets(&lab)
            .iter()
            .filter(|s| !s.contains("\tunix\t"))
            .map(|s| s.split_once('\t').unwrap().1.to_owned())
            .collect();
        compare(name, &without_program, &shell(script, &path));
    }
}

/// A call that was interrupted in the log is put together by awk, in another way than the decoder's.
#[test]
fn the_programs_and_files_of_a_build_are_those_that_awk_finds_in_its_strace_log() {
    let Some(path) = capture("strace/cargo-build-ripgrep.strace.zst") else { return };
    if !has("zstd") {
        return;
    }
    let lab = Lab::new();
    replay(&lab, &path).expect(0);
    assert_eq!(lab.names("profiles"), ["cargo.profile.json"]);
    let whole = r#"zstd -dcq "$1" | awk '{
        tid = $1; sub(/^[0-9]+ +[0-9.]+ /, "")
        if (sub(/ <unfinished \.\.\.>$/, "")) { begun[tid] = $0; next }
        if ($0 ~ /^<\.\.\. [a-z0-9_]+ resumed>/) { sub(/^<\.\.\. [a-z0-9_]+ resumed>/, ""); $0 = begun[tid] $0 }
        print }'"#;
    let programs = shell(&format!("{whole} | sed -nE 's/^execve\\(\"([^\"]*)\".*\\) += 0$/\\1/p'"), &path);
    let found: BTreeSet<_> = profiles(&lab)
        .iter()
        .flat_map(processes)
        .map(|(_, process)| process["path"].as_str().unwrap().to_owned())
        .collect();
    compare("programs", &found, &programs);

    let absolute = format!(
        "{whole} | sed -nE 's/^(open|creat)\\(\"(\\/[^\"]*)\".*\\) += [0-9]+(<.*>)?$/\\2/p; s/^openat\\([^,]*, \"(\\/[^\"]*)\".*\\) += [0-9]+(<.*>)?$/\\1/p' | sed -E 's#/+#/#g; s#(.)/$#\\1#; :a s#/\\./#/#; ta; :b s#/[^/.][^/]*/\\.\\.(/|$)#\\1#; tb' | {NORMAL}"
    );
    let found: BTreeSet<_> = files(&lab).iter().map(|file| file.split_once('\t').unwrap().1.to_owned()).collect();
    let expected = shell(&absolute, &path);
    let missing: Vec<_> = expected.iter().filter(|path| !found.contains(*path)).collect();
    assert!(missing.is_empty(), "missing: {missing:#?}");
    // Relative paths, which are found under the working directory, are all that there is besides.
    let extra: Vec<_> = found.iter().filter(|path| expected.binary_search(path).is_err()).collect();
    assert!(extra.len() < found.len() / 10, "extra: {extra:#?}");
}

/// What Tetragon says of its processes is in the profile: the program, whatever kind of event told of it.
#[test]
fn the_programs_are_those_that_tetragon_names() {
    let Some(dir) = capture("tetragon") else { return };
    if !has("jq") {
        return;
    }
    for name in names(&dir) {
        let path = dir.join(&name);
        let lab = Lab::new();
        replay(&lab, &path).expect(0);
        let execs = shell(r#"jq -r '.process_exec.process.binary // empty' "$1""#, &path);
        let found: BTreeSet<_> = profiles(&lab)
            .iter()
            .flat_map(processes)
            .map(|(_, process)| process["path"].as_str().unwrap().to_owned())
            .collect();
        let setup = ["runc", "containerd-shim"];
        for binary in execs.iter().filter(|binary| !setup.iter().any(|s| binary.contains(s))) {
            assert!(found.contains(binary), "{name}: no {binary} in {found:?}");
        }
        let peers = shell(
            r#"jq -r '.process_connect | select(. != null) | [.destination_ip, .destination_port] | @tsv' "$1""#,
            &path,
        );
        let sockets: BTreeSet<_> = sockets(&lab).iter().map(|s| s.splitn(4, '\t').nth(3).unwrap().to_owned()).collect();
        for peer in peers {
            assert!(sockets.contains(&peer), "{name}: no {peer} in {sockets:?}");
        }
    }
}

/// 24,010 DNS packets: every question that was asked is a name in the profile.
#[test]
fn the_names_asked_for_are_those_that_jq_finds_in_tracee_events() {
    let Some(path) = capture("dns/tracee-net_packet_dns.jsonl.gz") else { return };
    if !has("jq") {
        return;
    }
    let lab = Lab::new();
    replay(&lab, &path).expect(0);
    let script = r#"gzip -dc "$1" | jq -r '.args[] | select(.name == "proto_dns").value | select(.QR == 0) | .questions[] | .name | ascii_downcase | rtrimstr(".") | if . == "" then "." else . end'"#;
    let found: BTreeSet<_> = leaves(&lab, "dns", |dns| dns["name"].as_str().map(str::to_owned))
        .iter()
        .map(|s| s.split_once('\t').unwrap().1.to_owned())
        .collect();
    compare("names", &found, &shell(script, &path));
}
