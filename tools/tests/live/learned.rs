//! What a profile says, in the words in which strace's logs are read; and what is documented to become of a doing on
//! its way there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::processes;
use crate::strace::{self, Did, Doings};

/// What each container was said to run: image and tag.
pub fn workloads(trace: &str) -> BTreeMap<String, (String, String)> {
    let events = trace.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let starts = events.filter(|event| event["type"] == "container_start");
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    starts.map(|event| (text(&event, "container"), (text(&event, "image"), text(&event, "tag")))).collect()
}

/// Every program of a profile, with the name it goes by if it is one of many.
pub fn programs(profile: &Value) -> BTreeSet<String> {
    processes(profile).into_iter().map(program).collect()
}

/// The name of one.
pub fn program(process: &Value) -> String {
    let path = process["path"].as_str().unwrap();
    process["argv0"].as_str().map_or_else(|| path.to_owned(), |name| format!("{path} ({name})"))
}

/// Which program opened, mapped and changed which file, mounted what, and connected or bound which socket.
pub fn by_program(profile: &Value) -> BTreeSet<(String, Did)> {
    let mut all = BTreeSet::new();
    for process in processes(profile) {
        let who = program(process);
        let text = |of: &Value, field: &str| of[field].as_str().unwrap().to_owned();
        for file in process["files"].as_array().unwrap() {
            let path = text(file, "path");
            if file["access"].is_string() {
                all.insert((who.clone(), Did::Open(path.clone())));
            }
            if file["mapped"] == true {
                all.insert((who.clone(), Did::Map(path.clone())));
            }
            for op in file["changes"].as_array().into_iter().flatten().filter(|op| **op != "create") {
                all.insert((who.clone(), change(op.as_str().unwrap(), &path)));
            }
        }
        for mount in process["mounts"].as_array().unwrap() {
            let (path, fstype) = (text(mount, "path"), text(mount, "fstype"));
            all.insert((who.clone(), Did::Mount { path, fstype, ret: 0 }));
        }
        // Of whom strace saw come in, only some calls say who it was.
        let own = |socket: &&Value| socket["op"] != "accept";
        for socket in process["sockets"].as_array().unwrap().iter().filter(own) {
            let text = |field: &str| socket[field].as_str().unwrap().to_owned();
            let proto = socket["proto"].as_str().map(str::to_owned);
            let port = socket["port"].as_u64().unwrap() as u16;
            let did = Did::Socket { op: text("op"), family: text("family"), proto, addr: text("addr"), port, ret: 0 };
            all.insert((who.clone(), did));
        }
    }
    all
}

fn change(op: &str, path: &str) -> Did {
    Did::Change { op: op.to_owned(), path: path.to_owned(), from: None, ret: 0 }
}

/// What is documented to be learned of what processes did in `cwd`: no failed attempts; of a socket no result, and any
/// ephemeral port that is bound as port 0; a process's own directory of `/proc` as `/proc/self`; a file that is mapped
/// as opened; both names of one that was renamed or linked; one that never had a name without its inode.
pub fn expected(doings: &Doings, cwd: &str) -> BTreeSet<(String, Did)> {
    let learned = |pid: u32, did: Did| match did {
        Did::Open(path) => match path.rsplit_once("/#") {
            Some((dir, inode)) if inode.parse::<u64>().is_ok() => vec![Did::Open(format!("{dir}/#*"))],
            _ => vec![Did::Open(path.replace(&format!("/proc/{pid}/"), "/proc/self/"))],
        },
        Did::Map(path) => vec![Did::Open(path.clone()), Did::Map(path)],
        Did::Change { ret, .. } | Did::Mount { ret, .. } if ret < 0 => vec![],
        Did::Change { op, path, from, .. } => {
            let from = from.filter(|_| ["rename", "link"].contains(&&*op));
            [Some(path), from].iter().flatten().map(|path| change(&op, path)).collect()
        }
        Did::Mount { path, fstype, .. } => {
            let fstype = if fstype.is_empty() { "none".to_owned() } else { fstype };
            vec![Did::Mount { path, fstype, ret: 0 }]
        }
        Did::Socket { op, ret, .. } if ret < 0 && !(op == "connect" && ret == -115) => vec![],
        Did::Socket { op, family, proto, addr, port, .. } => {
            let relative = family == "unix" && !addr.starts_with(['/', '@']);
            let addr = if relative { format!("{cwd}/{addr}") } else { addr };
            let port = if op == "bind" && port >= 32768 { 0 } else { port };
            vec![Did::Socket { op, family, proto, addr, port, ret: 0 }]
        }
        _ => vec![],
    };
    let all = strace::by_program(doings).into_iter();
    all.flat_map(|(pid, who, did)| learned(pid, did).into_iter().map(move |did| (who.clone(), did))).collect()
}

/// Compares two such sets, and names what only one of them has.
#[track_caller]
pub fn compare(expected: &BTreeSet<(String, Did)>, learned: &BTreeSet<(String, Did)>) {
    let (missing, made_up) = (expected.difference(learned), learned.difference(expected));
    let (missing, made_up): (Vec<_>, Vec<_>) = (missing.collect(), made_up.collect());
    assert!(missing.is_empty() && made_up.is_empty(), "not learned: {missing:#?}\nnot done: {made_up:#?}");
}

/// Everything that a profile has, a line each: kind, program, and what.
pub fn lines(profile: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for process in processes(profile) {
        let who = program(process);
        lines.insert(format!("program {who}"));
        let mut add = |kind: &str, list: &str, fields: &[&str]| {
            for entry in process[list].as_array().unwrap() {
                let shown =
                    |field: &&str| entry[*field].as_str().map_or_else(|| entry[*field].to_string(), str::to_owned);
                let what: Vec<_> = fields.iter().map(shown).filter(|text| text != "null").collect();
                lines.insert(format!("{kind} {who}: {}", what.join(" ")));
            }
        };
        add("file", "files", &["access", "path", "changes", "mapped"]);
        add("mount", "mounts", &["path", "fstype", "flags", "sources"]);
        add("peer", "sockets", &["op", "family", "proto", "addr", "port"]);
        add("metadata", "imds", &["provider", "token", "path"]);
        add("name", "dns", &["name", "qtypes"]);
        add("call", "syscalls", &["name", "nr"]);
        add("capability", "capabilities", &["name", "used"]);
    }
    lines
}
