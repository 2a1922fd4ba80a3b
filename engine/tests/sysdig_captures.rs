//! What the decoder makes of real recordings is what `jq` finds in the same files.
//!
//! The recordings are not part of the repository: `GROVE_CAPTURES` names the folder that has `sysdig/`. Without it, or
//! without `jq`, the tests say that they are skipped.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/skips.rs"]
mod skips;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use grove::event::{Body, Change, EventRef, Mount, Open, Peer, Sink, Socket, SocketOp, Syscalls};
use grove::trace::sysdig::SysdigDecoder;
use grove::trace::{Decoder, Line};
use skips::skipped;

/// Every recording with its number of lines.
const CAPTURES: &[(&str, u64)] = &[
    ("alpine_alpine", 831),
    ("client-server_tcp-client-server", 173),
    ("libs_curl_google", 1221),
    ("mpm-event_cold_start_capture", 2666),
    ("mpm-event_full_capture", 34_681),
    ("mpm-worker_full_capture", 34_501),
    ("objectstore_upload", 7509),
];

/// The recording's lines; `None` if it is not there.
fn capture(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("GROVE_CAPTURES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    let path = root.join("sysdig").join(format!("{name}.jsonl.gz"));
    let Ok(file) = File::open(&path) else {
        skipped(&format!("no recording at {}", path.display()));
        return None;
    };
    let mut text = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    Some(text)
}

/// What `jq -r PROGRAM` prints for the lines, sorted; `None` without jq.
fn jq(lines: &[u8], program: &str) -> Option<Vec<String>> {
    let command = Command::new("jq").args(["-r", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut jq) = command else {
        skipped("no jq on the PATH");
        return None;
    };
    let mut stdin = jq.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(lines).unwrap());
        jq.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program}");
    let mut found: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    found.sort();
    Some(found)
}

/// A recording's events as sorted lists of text.
#[derive(Debug, Default)]
struct Reported {
    counted: u64,
    ignored: u64,
    /// Result, access and path.
    opens: Vec<String>,
    /// Paths of counted execs.
    execs: Vec<String>,
    /// Operation, result, address, port and protocol.
    sockets: Vec<String>,
    /// Of those that were let in the same, less the operation.
    accepts: Vec<String>,
    /// Files that were mapped to be executed.
    maps: Vec<String>,
    /// Operation, result and names.
    changes: Vec<String>,
    /// Result, source, place and type.
    mounts: Vec<String>,
    /// Child and parent.
    forks: Vec<String>,
    exits: Vec<String>,
    /// Processes with a system call, from the first line on that begins one: before that, ends tell of them.
    callers: Vec<String>,
    has_enters: bool,
    starts: Vec<String>,
    /// Paths of counted and implied execs but for the container runtime's.
    programs: BTreeSet<String>,
    /// Lineage in order: forks, execs and exits; `+` for counted ones, `~` for implied ones.
    lineage: Vec<String>,
}

impl Reported {
    fn decode(lines: &[u8]) -> Self {
        let mut told = Self::default();
        let mut decoder = SysdigDecoder::new();
        let mut count = 0;
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            count += 1;
            let before = told.counted;
            told.has_enters |= memchr::memmem::find(line, b"\"evt.dir\":\">\"").is_some();
            let outcome = decoder.decode(line, &mut told).unwrap_or_else(|e| panic!("line {count}: {e}"));
            match outcome {
                Line::Event => assert_eq!(told.counted, before + 1, "line {count}"),
                Line::Ignored(_) => {
                    told.ignored += 1;
                    assert_eq!(told.counted, before, "line {count}");
                }
                Line::Header | Line::Held => panic!("line {count} is no header, and waits for none"),
            }
        }
        assert_eq!(told.counted + told.ignored, count);
        let Self { opens, execs, sockets, accepts, maps, changes, mounts, forks, exits, callers, .. } = &mut told;
        for list in [opens, execs, sockets, accepts, maps, changes, mounts, forks, exits, callers] {
            list.sort();
        }
        told
    }

    fn tell(&mut self, e: EventRef<'_>, counted: bool) {
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        let (pid, mark) = (e.pid, if counted { '+' } else { '~' });
        match e.body {
            Body::ContainerStart { image, tag } => {
                self.starts.push(format!("{mark}{} {}:{}", text(e.container), text(image), text(tag)));
            }
            Body::Fork { ppid, .. } => {
                self.lineage.push(format!("{mark}{pid} fork {ppid}"));
                if counted {
                    self.forks.push(format!("{pid} {ppid}"));
                }
            }
            Body::Exec(x) => {
                let argv = text(x.argv.unwrap()).split_terminator('\0').collect::<Vec<_>>().join(" ");
                self.lineage.push(format!("{mark}{pid} exec {} {} [{argv}]", x.ppid, text(x.path)));
                if !x.path.starts_with(b"runc:[") {
                    self.programs.insert(text(x.path));
                }
                if counted {
                    self.execs.push(text(x.path));
                }
            }
            Body::Exit => {
                self.lineage.push(format!("{mark}{pid} exit"));
                self.exits.push(pid.to_string());
            }
            Body::Open(Open { path, map: true, .. }) => self.maps.push(text(path)),
            Body::Open(Open { path, flags, ret, .. }) => {
                let access = ["r", "w", "rw", "rw"].get((flags & 3) as usize).unwrap();
                self.opens.push(format!("{ret} {access} {}", text(path)));
            }
            Body::Socket(Socket { op, peer, port, proto, ret, .. }) => {
                let peer = match peer {
                    Peer::Ip(ip) => format!("{ip}:{port}"),
                    Peer::Unix(path) => text(path),
                    other => format!("{other:?}"),
                };
                let proto = proto.map_or("<NA>".to_owned(), |p| format!("{p:?}").to_lowercase());
                match op {
                    SocketOp::Accept => self.accepts.push(format!("{ret} {peer} {proto}")),
                    _ => self.sockets.push(format!("{} {ret} {peer} {proto}", op.name())),
                }
            }
            Body::Change(Change { op, path, from, ret, .. }) => {
                let from = from.map_or(String::new(), |from| format!(" {}", text(from)));
                self.changes.push(format!("{} {ret}{from} {}", op.name(), text(path)));
            }
            Body::Mount(Mount { path, fstype, source, ret, .. }) => {
                self.mounts.push(format!("{ret} {} {} {}", text(source.unwrap()), text(path), text(fstype)));
            }
            Body::Syscalls(Syscalls { .. }) if self.has_enters => self.callers.push(pid.to_string()),
            Body::Syscalls(Syscalls { .. }) => {}
            other => panic!("sysdig told {other:?}"),
        }
    }
}

impl Sink for Reported {
    fn event(&mut self, event: EventRef<'_>) {
        self.counted += 1;
        self.tell(event, true);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.tell(event, false);
    }
}

/// Compares what `pick` takes of each recording's events with what jq finds by `program`.
#[track_caller]
fn check(program: &str, pick: impl Fn(Reported) -> Vec<String>) {
    for (name, _) in CAPTURES {
        let Some(lines) = capture(name) else { return };
        let Some(found) = jq(&lines, program) else { return };
        let told = pick(Reported::decode(&lines));
        let differs = found.iter().zip(&told).find(|(a, b)| a != b);
        assert!(found == told, "{name}: jq found {}, told {}, first other {differs:?}", found.len(), told.len());
    }
}

#[test]
fn no_line_is_rejected_and_each_is_counted_once() {
    for (name, count) in CAPTURES {
        let Some(lines) = capture(name) else { return };
        let told = Reported::decode(&lines);
        assert_eq!(told.counted + told.ignored, *count, "{name}");
    }
}

#[test]
fn the_opens_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and (."evt.type" | test("^(open(at2?)?|creat)$")))
        | (."evt.args" | capture("^fd=(?<ret>-?[0-9]+).* flags=[0-9]+\\((?<flags>[^)]*)")) as $a
        | [$a.ret, ($a.flags | if test("O_RDWR") then "rw" elif test("O_WRONLY") then "w" else "r" end), ."fd.name"]
        | join(" ")"#,
        |told| told.opens,
    );
}

#[test]
fn the_execs_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and ."evt.type" == "execve" and ."evt.res" == "SUCCESS")
        | if ."proc.exepath" != "" then ."proc.exepath" else ."evt.args" | capture(" exe=(?<exe>[^ ]*)").exe end"#,
        |told| told.execs,
    );
}

#[test]
fn the_programs_are_those_of_the_recording() {
    check(
        r#"[inputs, .] | map(if ."proc.exepath" != "" then ."proc.exepath"
            elif ."evt.dir" == "<" and ."evt.type" == "execve" then (."evt.args" | capture(" exe=(?<exe>[^ ]*)").exe)
            else empty end) | unique[]"#,
        |told| told.programs.into_iter().collect(),
    );
}

#[test]
fn the_peers_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and (."evt.type" == "connect" or ."evt.type" == "bind") and ."fd.name" != "")
        | [."evt.type", (."evt.args" | capture("^res=(?<r>-?[0-9]+)").r),
           (."fd.name" | sub("^.*->"; "") | sub("^[0-9a-f]+ "; "")), ."fd.l4proto"] | join(" ")"#,
        |told| told.sockets,
    );
}

#[test]
fn who_was_let_in_is_in_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and (."evt.type" | test("^accept4?$")) and (."fd.name" // "" | contains("->")))
        | (."fd.name" | capture("^(?<peer>.*):[0-9]+->.*:(?<port>[0-9]+)$")) as $pair
        | [(."evt.args" | capture("^fd=(?<r>-?[0-9]+)").r), "\($pair.peer):\($pair.port)", ."fd.l4proto"] | join(" ")"#,
        |told| told.accepts,
    );
}

#[test]
fn what_is_mapped_to_be_executed_is_in_the_recording() {
    check(
        r#"select(."evt.type" == "mmap" and ."evt.dir" == ">") | ."evt.args"
        | capture(" prot=[^ ]*PROT_EXEC.* fd=[0-9]+\\(<f>(?<path>/.*)\\) offset=").path"#,
        |told| told.maps,
    );
}

#[test]
fn the_changes_of_names_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<") | ."evt.type" as $type | ."evt.args"
        | (capture("^res=(?<r>-?[0-9]+).* name=(?<p>/.*) flags=(?<f>.*) $") | select($type == "unlinkat")
            | "\(if .f | contains("REMOVEDIR") then "rmdir" else "delete" end) \(.r) \(.p)"),
          (capture("^res=(?<r>-?[0-9]+).* path=(?<p>/.*) mode=") | select($type == "mkdirat") | "mkdir \(.r) \(.p)"),
          (capture("^res=(?<r>-?[0-9]+) path=(?<p>/.*?) ?$") | select($type | IN("unlink", "rmdir", "mkdir"))
            | "\(if $type == "unlink" then "delete" else $type end) \(.r) \(.p)"),
          (capture("^res=(?<r>-?[0-9]+).* oldpath=(?<o>/.*) newdirfd=.* newpath=(?<p>/.*?) ?$")
            | select($type == "renameat") | "rename \(.r) \(.o) \(.p)"),
          (capture("^res=(?<r>-?[0-9]+) target=(?<o>.*) linkdirfd=.* linkpath=(?<p>/.*?) ?$")
            | select($type == "symlinkat") | "symlink \(.r) \(.o) \(.p)")"#,
        |told| told.changes,
    );
}

#[test]
fn the_mounts_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and ."evt.type" == "mount") | ."evt.args"
        | capture("^res=(?<r>-?[0-9]+).* dev=(?<d>.*) dir=([^/]*\\()?(?<p>/[^)]*)\\)? type=(?<t>[^ ]*)")
        | "\(.r) \(.d) \(.p) \(.t)""#,
        |told| told.mounts,
    );
}

#[test]
fn the_forks_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == "<" and (."evt.type" | test("^v?fork$|^clone")) and (."evt.args" | startswith("res=0 "))
            and ."thread.tid" == ."proc.pid") | "\(."proc.pid") \(."proc.ppid")""#,
        |told| told.forks,
    );
}

#[test]
fn the_exits_are_those_of_the_recording() {
    check(r#"select(."evt.type" == "procexit" and ."thread.tid" == ."proc.pid") | ."proc.pid""#, |told| told.exits);
}

#[test]
fn the_system_calls_are_those_of_the_recording() {
    check(
        r#"select(."evt.dir" == ">" and (."evt.type" | IN("switch", "procexit", "signaldeliver", "container") | not))
        | ."proc.pid""#,
        |told| told.callers,
    );
}

#[test]
fn each_container_has_its_workload() {
    for (name, want) in [
        ("alpine_alpine", "~c010f5a08549 alpine:latest"),
        ("client-server_tcp-client-server", ""),
        ("libs_curl_google", ""),
        ("mpm-event_cold_start_capture", "~b199b3b57988 httpd_event:latest"),
        ("mpm-event_full_capture", "+b199b3b57988 httpd_event:latest"),
        ("mpm-worker_full_capture", "+347b1411b047 httpd_worker:latest"),
        ("objectstore_upload", "~8661fade8683 minio/minio:latest"),
    ] {
        let Some(lines) = capture(name) else { return };
        assert_eq!(Reported::decode(&lines).starts.join(" "), want, "{name}");
    }
}

#[test]
fn lineage_is_whole() {
    for (name, want) in [
        (
            "alpine_alpine",
            &[
                "~120512 exec 120485 /bin/busybox [sh]",
                "+120839 fork 120512",
                "+120839 exec 120512 /bin/touch [touch test2]",
                "+120839 exit",
                "+120847 fork 120512",
                "+120847 exec 120512 /usr/bin/vi [vi test2]",
                "+120847 exit",
            ][..],
        ),
        (
            "mpm-event_cold_start_capture",
            &[
                "~10310 exec 10281 /usr/local/apache2/bin/httpd [httpd -DFOREGROUND]",
                "~10345 fork 10310",
                "~10344 fork 10310",
                "~10343 fork 10310",
            ],
        ),
        (
            "mpm-event_full_capture",
            &[
                "+10309 fork 10301",
                "~10309 exec 10301 runc:[0:PARENT] [runc:[0:PARENT] init]",
                "+10309 exit",
                "+10310 fork 10309",
                "~10310 exec 10309 runc:[1:CHILD] [runc:[1:CHILD] init]",
                "+10310 exec 10309 /usr/local/bin/httpd-foreground [/bin/sh /usr/local/bin/httpd-foreground]",
                "+10338 fork 10310",
                "+10338 exec 10310 /bin/rm [rm -f /usr/local/apache2/logs/httpd.pid]",
                "+10338 exit",
                "+10310 exec 10309 /usr/local/apache2/bin/httpd [httpd -DFOREGROUND]",
                "+10345 fork 10310",
                "+10344 fork 10310",
                "+10343 fork 10310",
            ],
        ),
        (
            "client-server_tcp-client-server",
            &[
                "+13823 exec 7955 ./server [./server]",
                "+13824 exec 7130 ./client [./client]",
                "+13824 exit",
                "+13823 exit",
            ],
        ),
        ("libs_curl_google", &["+17497 exec 3200 curl [curl -6 http://www.google.com]", "+17497 exit"]),
        ("objectstore_upload", &["~13144 exec 13116 /usr/bin/minio [minio server /data]"]),
    ] {
        let Some(lines) = capture(name) else { return };
        assert_eq!(Reported::decode(&lines).lineage, want, "{name}");
    }
}

#[test]
fn a_damaged_line_is_never_a_panic_and_counted_at_most_once() {
    let mut decoder = SysdigDecoder::new();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (name, _) in CAPTURES {
        let Some(lines) = capture(name) else { return };
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()).take(3000) {
            let mut line = line.to_vec();
            match random(3) {
                0 => line.truncate(random(line.len())),
                1 => {
                    let at = random(line.len());
                    line[at] = random(256) as u8;
                }
                _ => {
                    let (from, to) = (random(line.len()), random(line.len()));
                    line.drain(from.min(to)..from.max(to));
                }
            }
            let mut sink = Count(0);
            let outcome = decoder.decode(&line, &mut sink);
            assert_eq!(sink.0, u64::from(matches!(outcome, Ok(Line::Event))), "{}", String::from_utf8_lossy(&line));
        }
    }
}

struct Count(u64);

impl Sink for Count {
    fn event(&mut self, _: EventRef<'_>) {
        self.0 += 1;
    }

    fn implied(&mut self, _: EventRef<'_>) {}
}
