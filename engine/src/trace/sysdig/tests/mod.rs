//! What the decoder makes of lines, one behaviour a test. Real recordings are in `tests/sysdig_captures.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod behaviours;
mod hostile;

use std::collections::BTreeMap;

use super::*;
use crate::event::{Change, Imds, Mount, Open, Peer, Socket, Syscalls, syscall_numbers};

/// Events as text: `event …` for counted ones, `implied …` for the others.
#[derive(Default)]
struct Reported(Vec<String>);

impl Reported {
    fn report(&mut self, how: &str, e: EventRef<'_>) {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let list = |b: &[u8]| text(b).split_terminator('\0').collect::<Vec<_>>().join(",");
        let what = match e.body {
            Body::ContainerStart { image, tag } => format!("start {} {}", text(image), text(tag)),
            Body::ContainerStop => "stop".to_owned(),
            Body::Missed { n, .. } => format!("missed {n}"),
            Body::Fork { ppid, .. } => format!("fork ppid={ppid}"),
            Body::Exec(x) => format!(
                "exec ppid={} {} [{}] cwd={} uid={}{}{}",
                x.ppid,
                text(x.path),
                x.argv.map_or("?".to_owned(), list),
                x.cwd.map_or("?".to_owned(), text),
                x.uid.map_or("?".to_owned(), |uid| uid.to_string()),
                if x.fileless { " fileless" } else { "" },
                if x.upper_layer { " upper" } else { "" },
            ),
            Body::Exit => "exit".to_owned(),
            Body::Open(Open { path, map: true, .. }) => format!("map {}", text(path)),
            Body::Open(Open { path, flags, ret, .. }) => format!("open {} {flags:o} ret={ret}", text(path)),
            Body::Socket(Socket { op, peer, port, proto, ret }) => {
                let peer = match peer {
                    Peer::Ip(ip) => ip.to_string(),
                    Peer::Unix(path) => text(path),
                };
                format!("{op:?} {peer} {port} {proto:?} ret={ret}")
            }
            Body::Syscalls(Syscalls { nrs }) => format!("syscalls {:?}", syscall_numbers(nrs).collect::<Vec<_>>()),
            Body::Change(Change { op, path, from, ret }) => {
                format!("{} {} {} ret={ret}", op.name(), from.map_or("?".to_owned(), text), text(path))
            }
            Body::Mount(Mount { path, fstype, source, ret, .. }) => {
                let source = source.map_or("?".to_owned(), text);
                format!("mount {source} {} {} ret={ret}", text(path), text(fstype))
            }
            Body::Imds(Imds { path, provider, .. }) => {
                format!("imds {} {}", provider.map_or("?".to_owned(), text), text(path))
            }
            Body::Dns(_) | Body::Capability(_) | Body::Flow(_) => panic!("not a thing sysdig tells"),
        };
        self.0.push(format!("{how} {}/{} {what}", text(e.container), e.pid));
    }
}

impl Sink for Reported {
    fn event(&mut self, event: EventRef<'_>) {
        self.report("event", event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.report("implied", event);
    }
}

/// A line of process 10 (`/bin/app`, child of 1) of container c1 with `fields` in place of what it would have there;
/// an empty value leaves the field out.
fn line(fields: &[(&str, &str)]) -> String {
    let mut all = BTreeMap::from([
        ("container.id", "\"c1\""),
        ("container.image", "null"),
        ("evt.args", "\"\""),
        ("evt.cpu", "0"),
        ("evt.dir", "\">\""),
        ("evt.num", "1"),
        ("evt.rawtime", "1588262411367916876"),
        ("evt.res", "null"),
        ("evt.type", "\"read\""),
        ("fd.l4proto", "null"),
        ("fd.name", "null"),
        ("fd.num", "null"),
        ("fd.type", "null"),
        ("proc.cmdline", "\"app -x\""),
        ("proc.cwd", "\"/srv/\""),
        ("proc.exepath", "\"/bin/app\""),
        ("proc.name", "\"app\""),
        ("proc.pid", "10"),
        ("proc.ppid", "1"),
        ("thread.tid", "10"),
        ("user.uid", "0"),
    ]);
    all.extend(fields.iter().copied());
    let fields: Vec<_> = all.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("\"{k}\":{v}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// The line of the end of a call of `kind` with these arguments.
fn exit_line(kind: &str, args: &str, fields: &[(&str, &str)]) -> String {
    let (kind, args) = (format!("\"{kind}\""), format!("{args:?}"));
    let mut all = vec![("evt.dir", "\"<\""), ("evt.type", &kind), ("evt.args", &args)];
    all.extend(fields);
    line(&all)
}

const EXEPATH_UNKNOWN: (&str, &str) = ("proc.exepath", "\"\"");
/// What every sequence that begins in the middle begins with.
const APP: &str = "implied c1/10 exec ppid=1 /bin/app [app,-x] cwd=/srv/ uid=0";

/// The events that `lines` give, of a recording that has lines for calls that begin. Each line must be counted exactly
/// once.
fn reported(lines: &[String]) -> Vec<String> {
    let mut decoder = SysdigDecoder::new();
    decoder.has_enters = true;
    told_by(decoder, lines)
}

fn told_by(mut decoder: SysdigDecoder, lines: &[String]) -> Vec<String> {
    let mut reported = Reported::default();
    for line in lines {
        let before = reported.0.iter().filter(|e| e.starts_with("event")).count();
        let outcome = decoder.decode(line.as_bytes(), &mut reported).unwrap_or_else(|e| panic!("{e}: {line}"));
        let counted = reported.0.iter().filter(|e| e.starts_with("event")).count() - before;
        assert_eq!(counted, usize::from(outcome == Line::Event), "{line}");
    }
    reported.0
}

#[track_caller]
fn check(lines: &[String], want: &[&str]) {
    assert_eq!(reported(lines), want);
}

#[test]
fn the_beginning_of_a_system_call_is_counted_and_its_end_is_not() {
    check(&[line(&[]), exit_line("read", "res=1 ", &[])], &[APP, "event c1/10 syscalls [0]"]);
}

#[test]
fn what_is_no_system_call_tells_nothing() {
    for kind in ["switch", "signaldeliver", "page_fault", "no_such_call"] {
        check(&[line(&[("evt.type", &format!("{kind:?}"))])], &[]);
    }
}

#[test]
fn a_line_without_a_thread_tells_nothing() {
    for field in ["proc.pid", "thread.tid", "container.id"] {
        check(&[line(&[(field, "null")])], &[]);
    }
    check(&[line(&[("proc.pid", "-1")])], &[]);
}

#[test]
fn the_host_is_the_container_without_a_name() {
    let want = ["implied /10 exec ppid=1 /bin/app [app,-x] cwd=/srv/ uid=0", "event /10 syscalls [0]"];
    check(&[line(&[("container.id", "\"host\"")])], &want);
    check(&[line(&[("container.id", "\"\"")])], &want);
}

#[test]
fn a_container_event_starts_it_and_nothing_is_implied_later() {
    let args =
        r#""json={\"container\":{\"id\":\"c1\",\"image\":\"app:1\",\"imagerepo\":\"app\",\"imagetag\":\"1\"}}\n ""#;
    let container = [("evt.type", "\"container\""), ("evt.args", args), ("proc.pid", "-1"), ("thread.tid", "0")];
    check(
        &[line(&container), line(&[("container.image", "\"app:1\"")])],
        &["event c1/0 start app 1", APP, "event c1/10 syscalls [0]"],
    );
}

#[test]
fn a_container_event_that_cannot_be_read_falls_back_on_the_lines_own_fields() {
    let container =
        |image| line(&[("evt.type", "\"container\""), ("evt.args", "\"json={\""), ("container.image", image)]);
    check(&[container("\"app\"")], &["event c1/0 start app latest"]);
    check(&[container("null")], &[]);
}

#[test]
fn a_container_without_an_event_starts_with_the_first_line_that_names_its_image() {
    let image = [("container.image", "\"reg:5000/app@sha256:ab\""), ("evt.type", "\"switch\"")];
    check(
        &[line(&[("evt.type", "\"switch\"")]), line(&image), line(&image)],
        &["implied c1/0 start reg:5000/app sha256:ab"],
    );
}

#[test]
fn an_execs_end_is_an_exec_with_the_arguments_told_apart() {
    let args = "res=0 exe=./rm args=-f./tmp/a.b.a b. tid=10(rm) pid=10(rm) ptid=1 cwd= fdlimit=1 ";
    let fields = [
        ("proc.cmdline", "\"rm -f /tmp/a.b a b\""),
        ("proc.name", "\"rm\""),
        ("proc.exepath", "\"/bin/rm\""),
        ("user.uid", "4294967295"),
    ];
    check(
        &[exit_line("execve", args, &fields)],
        &["event c1/10 exec ppid=1 /bin/rm [./rm,-f,/tmp/a.b,a b] cwd=/srv/ uid=?"],
    );
}

#[test]
fn an_exec_without_an_exepath_has_the_path_it_began_with() {
    for (kind, args, path) in [
        ("execve", "filename=/bin/with blank ", "/bin/with blank"),
        ("execve", "filename=bin/tool ", "/srv/bin/tool"),
        ("execveat", "dirfd=-100(AT_FDCWD) pathname=bin/tool flags=0 ", "/srv/bin/tool"),
        ("execveat", "dirfd=5(<d>/x) pathname=/bin/tool flags=0 ", "/bin/tool"),
        // Relative to a directory that the line does not name: what is left is argv[0].
        ("execveat", "dirfd=5 pathname=tool flags=0 ", "/srv/a/v0"),
    ] {
        let (kind_json, args_json) = (format!("{kind:?}"), format!("{args:?}"));
        let enter = line(&[("evt.type", &kind_json), ("evt.args", &args_json), EXEPATH_UNKNOWN]);
        let exit = exit_line(kind, "res=0 exe=a/v0 args= tid=10(x) ", &[EXEPATH_UNKNOWN, ("proc.cmdline", "\"app\"")]);
        let got = reported(&[enter, exit]);
        assert_eq!(got.last().unwrap(), &format!("event c1/10 exec ppid=1 {path} [a/v0] cwd=/srv/ uid=0"), "{args}");
    }
}

#[test]
fn an_exec_whose_file_is_not_told_has_its_argv0_for_a_path() {
    for (exe, cwd, want) in [
        ("./server", "\"/srv\"", "/srv/./server [./server] cwd=/srv"),
        ("./server", "\"\"", "./server [./server] cwd=?"),
        ("curl", "\"/srv\"", "curl [curl] cwd=?"),
    ] {
        let args = format!("res=0 exe={exe} args= tid=10(x) ");
        let exit = exit_line("execve", &args, &[EXEPATH_UNKNOWN, ("proc.cmdline", "\"app\""), ("proc.cwd", cwd)]);
        check(&[exit], &[&format!("event c1/10 exec ppid=1 {want} uid=0")]);
    }
    check(&[exit_line("execve", "res=0 ", &[EXEPATH_UNKNOWN])], &[]);
}

#[test]
fn a_failed_exec_is_no_exec_and_its_path_is_forgotten() {
    let enter = line(&[("evt.type", "\"execve\""), ("evt.args", "\"filename=/no/such \""), EXEPATH_UNKNOWN]);
    let failed = exit_line("execve", "res=-2(ENOENT) exe=no args= tid=10(x) ", &[EXEPATH_UNKNOWN]);
    let done = exit_line("execve", "res=0 exe=/bin/b args= tid=10(x) ", &[EXEPATH_UNKNOWN, ("proc.cmdline", "\"b\"")]);
    check(
        &[enter, failed, done],
        &["event c1/10 syscalls [59]", "event c1/10 exec ppid=1 /bin/b [/bin/b] cwd=/srv/ uid=0"],
    );
}

#[test]
fn an_exec_from_memory_or_from_the_upper_layer_is_marked() {
    for (args, exepath, want) in [
        ("flags=8(EXE_WRITABLE|EXE_UPPER_LAYER) ", "/x", " upper"),
        ("flags=16(EXE_FROM_MEMFD) ", "/x", " fileless"),
        ("flags=1(EXE_WRITABLE) ", "memfd:x (deleted)", " fileless"),
        ("flags=1(EXE_WRITABLE) ", "/x", ""),
        // An argument of that text cannot hide sysdig's own.
        ("args= flags=0 tid=1 flags=16(EXE_FROM_MEMFD) path= flags=0 ", "/x", " fileless"),
    ] {
        let line = exit_line("execve", &format!("res=0 exe=x {args}"), &[("proc.exepath", &format!("{exepath:?}"))]);
        let got = reported(&[line]);
        let marks = got.last().unwrap().split_once(" uid=0").unwrap().1;
        assert_eq!(marks, want, "{args} {exepath}");
    }
}

#[test]
fn a_fork_is_told_by_the_child_and_only_of_processes() {
    let child = [("proc.pid", "11"), ("thread.tid", "11"), ("proc.ppid", "10")];
    let thread = [("thread.tid", "12")];
    for kind in ["clone", "clone3", "fork", "vfork"] {
        check(
            &[
                line(&[]),
                exit_line(kind, "res=2 exe=app ", &[]),
                exit_line(kind, "res=0 exe=app ", &child),
                exit_line(kind, "res=0 exe=app ", &thread),
                exit_line(kind, "res=-11(EAGAIN) exe=app ", &[]),
                line(&child),
            ],
            &[APP, "event c1/10 syscalls [0]", "event c1/11 fork ppid=10", "event c1/11 syscalls [0]"],
        );
    }
}

#[test]
fn a_fork_from_a_parent_outside_tells_the_childs_program() {
    check(&[exit_line("fork", "res=0 ", &[])], &["event c1/10 fork ppid=1", APP]);
    let runtime = [EXEPATH_UNKNOWN, ("proc.name", "\"runc:[0:PARENT]\""), ("proc.cmdline", "\"runc:[0:PARENT] init\"")];
    check(
        &[exit_line("clone", "res=0 ", &runtime), line(&runtime)],
        &[
            "event c1/10 fork ppid=1",
            "implied c1/10 exec ppid=1 runc:[0:PARENT] [runc:[0:PARENT],init] cwd=? uid=0",
            "event c1/10 syscalls [0]",
        ],
    );
}

#[test]
fn a_worker_first_seen_beside_its_parent_was_forked() {
    let worker = [("proc.pid", "11"), ("thread.tid", "11"), ("proc.ppid", "10")];
    let other = [("proc.pid", "12"), ("thread.tid", "12"), ("proc.ppid", "10"), ("proc.cmdline", "\"app -y\"")];
    check(
        &[line(&[]), line(&worker), line(&other)],
        &[
            APP,
            "event c1/10 syscalls [0]",
            "implied c1/11 fork ppid=10",
            "event c1/11 syscalls [0]",
            "implied c1/12 exec ppid=10 /bin/app [app,-y] cwd=/srv/ uid=0",
            "event c1/12 syscalls [0]",
        ],
    );
}

#[test]
fn a_process_of_another_container_is_another_process() {
    let other = [("container.id", "\"c2\""), ("proc.pid", "11"), ("thread.tid", "11"), ("proc.ppid", "10")];
    let got = reported(&[line(&[]), line(&other)]);
    assert_eq!(got[2], "implied c2/11 exec ppid=10 /bin/app [app,-x] cwd=/srv/ uid=0");
}

#[test]
fn a_lost_exec_is_implied_by_another_exepath() {
    let later = [("proc.exepath", "\"/bin/later\""), ("proc.cmdline", "\"later\""), ("proc.name", "\"later\"")];
    let want = "implied c1/10 exec ppid=1 /bin/later [later] cwd=/srv/ uid=0";
    check(
        &[line(&[]), line(&later), line(&later)],
        &[APP, "event c1/10 syscalls [0]", want, "event c1/10 syscalls [0]", "event c1/10 syscalls [0]"],
    );
    // From what had no path as well, and never to what has none.
    check(
        &[line(&[EXEPATH_UNKNOWN]), line(&later), line(&[EXEPATH_UNKNOWN])],
        &["event c1/10 syscalls [0]", want, "event c1/10 syscalls [0]", "event c1/10 syscalls [0]"],
    );
}

#[test]
fn an_exit_is_the_first_threads_and_ends_what_is_known() {
    let procexit = [("evt.type", "\"procexit\""), ("evt.args", "\"status=0 \"")];
    let thread = [procexit[0], procexit[1], ("thread.tid", "12")];
    let switch = [("evt.type", "\"switch\"")];
    check(
        &[line(&[]), line(&thread), line(&procexit), line(&switch), line(&[])],
        &[APP, "event c1/10 syscalls [0]", "event c1/10 exit", APP, "event c1/10 syscalls [0]"],
    );
}

#[test]
fn without_lines_of_calls_that_begin_their_ends_tell_of_them() {
    let lines = [
        exit_line("read", "res=1 ", &[]),
        exit_line("open", "fd=3 name=/t flags=1(O_RDONLY) mode=0 ", &[]),
        exit_line("execve", "res=-2(ENOENT) ", &[]),
        exit_line("switch", "next=1 ", &[]),
    ];
    assert_eq!(
        told_by(SysdigDecoder::new(), &lines),
        [
            APP,
            "event c1/10 syscalls [0]",
            "event c1/10 open /t 0 ret=3",
            "implied c1/10 syscalls [2]",
            "event c1/10 syscalls [59]",
        ]
    );
}

#[test]
fn fields_that_sysdig_may_leave_out_may_be_left_out() {
    let optional = [
        "container.image",
        "evt.args",
        "evt.cpu",
        "evt.num",
        "evt.res",
        "fd.l4proto",
        "fd.name",
        "fd.num",
        "fd.type",
        "proc.cmdline",
        "proc.cwd",
        "proc.exepath",
        "proc.name",
        "proc.ppid",
        "user.uid",
    ];
    for value in ["", "null"] {
        let fields: Vec<_> = optional.iter().map(|field| (*field, value)).collect();
        check(&[line(&fields)], &["event c1/10 syscalls [0]"]);
    }
}

#[test]
fn a_time_beyond_the_doubles_is_exact() {
    struct Time(u64);
    impl Sink for Time {
        fn event(&mut self, event: EventRef<'_>) {
            self.0 = event.ts;
        }
        fn implied(&mut self, _: EventRef<'_>) {}
    }
    let mut time = Time(0);
    SysdigDecoder::new().decode(line(&[("evt.rawtime", "18446744073709551615")]).as_bytes(), &mut time).unwrap();
    assert_eq!(time.0, u64::MAX);
}

#[test]
fn the_arguments_of_a_process_that_was_there_are_its_command_line() {
    for (cmdline, name, want) in [
        ("app -x /a.b", "app", Some("app\0-x\0/a.b\0")),
        ("app", "app", Some("app\0")),
        ("tmux: server -d", "tmux: server", Some("tmux: server\0-d\0")),
        ("other -d", "app", Some("other\0-d\0")),
        ("app", "", Some("app\0")),
        ("", "app", None),
    ] {
        assert_eq!(args::cmdline_argv(cmdline, name).as_deref(), want.map(str::as_bytes), "{cmdline} {name}");
    }
}

#[test]
fn arguments_that_do_not_fit_the_command_line_are_split_at_blanks() {
    for (args, cmdline, want) in [
        ("res=0 exe=a args=-f.b.c. tid=1 ", "a -f b.c", "a\0-f\0b.c\0"),
        ("res=0 exe=a args=-f.b tid=1 ", "a -f b", "a\0-f\0b\0"),
        ("res=0 exe=a args= tid=1 ", "a", "a\0"),
        ("res=0 exe=a args= tid=1 ", "", "a\0"),
        ("res=0 exe=a args= tid=1 ", "a b c", "a\0b\0c\0"),
        ("res=0 exe=a ", "a b", "a \0b\0"),
        ("res=0 exe=a args=é.ü. tid=1 ", "a é ü", "a\0é\0ü\0"),
    ] {
        let got = args::exec_argv(args, cmdline, "a").unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), want, "{args} {cmdline}");
    }
    assert_eq!(args::exec_argv("res=0 ", "a b", "a"), None);
}
