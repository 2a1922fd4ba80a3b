//! Short logs and the events that they become.

mod kinds;
mod variants;

use super::*;
use crate::event::{Change, Flow, Imds, Mount, Open, Peer, Socket, Syscalls, syscall_numbers};
use proptest::prelude::*;

/// Writes events down, one a line; those that are not counted in parentheses.
#[derive(Default)]
struct Written {
    lines: Vec<String>,
    counted: usize,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Written {
    fn line(event: Event<&[u8]>) -> String {
        let what = match event.body {
            EventBody::ContainerStart { image, tag } => format!("start {}:{}", text(image), text(tag)),
            EventBody::Fork { ppid, .. } => format!("fork from {ppid}"),
            EventBody::Exec(e) => {
                let argv = e.argv.map_or("?".into(), text).replace("\\x00", " ");
                let fileless = if e.fileless { " fileless" } else { "" };
                let cwd = e
                    .cwd
                    .filter(|_| !e.path.starts_with(b"/"))
                    .map_or(String::new(), |cwd| format!(" in {}", text(cwd)));
                format!("exec {} [{}] ppid {}{fileless}{cwd}", text(e.path), argv.trim_end(), e.ppid)
            }
            EventBody::Exit => "exit".into(),
            EventBody::Open(Open { path, map: true, .. }) => format!("map {}", text(path)),
            EventBody::Open(Open { path, flags, ret, .. }) => format!("open {} {flags:#o} {ret}", text(path)),
            EventBody::Change(Change { op, path, from, ret }) => {
                let from = from.map_or(String::new(), |from| format!("{} -> ", text(from)));
                format!("{} {from}{} {ret}", op.name(), text(path))
            }
            EventBody::Mount(Mount { path, fstype, source, flags, ret }) => {
                let source = source.map_or("?".into(), text);
                format!("mount {source} at {} as {} {flags:#x} {ret}", text(path), text(fstype))
            }
            EventBody::Imds(Imds { path, provider, token }) => {
                format!("imds {} {} {}", provider.map_or("?".into(), text), token.map_or("?", |t| t.name()), text(path))
            }
            EventBody::Flow(Flow { op, peer: Peer::Ip(ip), port, sent, received, .. }) => {
                format!("flow {op:?} {ip} {port} {sent:?} {received:?}")
            }
            EventBody::Socket(Socket { op, peer, port, proto, ret }) => {
                let peer = match peer {
                    Peer::Ip(ip) => ip.to_string(),
                    Peer::Unix(path) => text(path),
                };
                format!("{op:?} {peer} {port} {proto:?} {ret}")
            }
            EventBody::Syscalls(Syscalls { nrs }) => format!("syscalls {:?}", syscall_numbers(nrs).collect::<Vec<_>>()),
            other => format!("{other:?}"),
        };
        format!("{} {what}", event.pid)
    }
}

impl Sink for Written {
    fn event(&mut self, event: Event<&[u8]>) {
        self.lines.push(Self::line(event));
        self.counted += 1;
    }

    fn implied(&mut self, event: Event<&[u8]>) {
        self.lines.push(format!("({})", Self::line(event)));
    }
}

fn written(log: &str) -> Vec<String> {
    let mut decoder = StraceDecoder::new(StraceOptions::default());
    let mut written = Written::default();
    let mut held = 0;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let before = written.counted;
        let fate = decoder.decode(line.trim_start_matches('|').as_bytes(), &mut written);
        let counted = written.counted - before;
        let fate = fate.unwrap_or_else(|e| panic!("{line}: {e}"));
        held += usize::from(fate == Line::Held) + usize::from(fate == Line::Event);
        assert!(counted == 0 || counted == held, "{line}");
        held -= counted;
        assert!(fate != Line::Event || held == 0, "{line}");
    }
    let before = written.counted;
    decoder.finish(&mut written);
    assert_eq!(written.counted - before, held);
    written.lines
}

/// The log's events but for plain system calls are these. A log's line may begin with `|`, to keep what follows.
#[track_caller]
fn check(log: &str, expected: &[&str]) {
    let lines: Vec<String> = written(log).into_iter().filter(|line| !line.contains(" syscalls ")).collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_program_with_its_system_calls() {
    let log = r#"
7 execve("/bin/cat", ["cat", "x\ty"], 0x7ffd /* 35 vars */) = 0
7 brk(NULL) = 0x1
7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
7 openat(AT_FDCWD, "/etc/shadow", O_RDWR) = -1 EACCES (Permission denied)
7 read(3, "..."..., 8) = 8
7 read(3, "", 8) = 0
7 made_up_call(3) = 0
7 syscall_0x1f4(0x1) = -1 ENOSYS (Function not implemented)
7 exit_group(0) = ?
7 +++ exited with 0 +++
"#;
    assert_eq!(
        written(log),
        [
            "(0 start cat:local)",
            r"7 exec /bin/cat [cat x\ty] ppid 0",
            "7 syscalls [12]",
            "(7 syscalls [257])",
            "7 open /etc/passwd 0o2000000 3",
            "7 open /etc/shadow 0o2 -13",
            "7 syscalls [0]",
            "7 syscalls [0]",
            "7 syscalls [500]",
            "(7 syscalls [231])",
            "7 exit",
        ]
    );
}

#[test]
fn the_caller_may_know_the_image_better() {
    let options = StraceOptions { image: Some("shop".into()), tag: "2.1".into() };
    let mut written = Written::default();
    StraceDecoder::new(options).decode(b"close(3) = 0", &mut written).unwrap();
    assert_eq!(written.lines, ["(0 start shop:2.1)", "1 syscalls [3]"]);
}

#[test]
fn on_a_terminal_the_first_process_has_no_number_until_there_are_two() {
    check(
        r#"
03:31:56.1 execve("/bin/sh", ["sh"], 0x7ffd) = 0
03:31:56.2 vfork(strace: Process 20138 attached
| <unfinished ...>
[pid 20138] 03:31:56.3 execve("/bin/cat", ["cat"], 0x55a /* 35 vars */ <unfinished ...>
[pid 20137] 03:31:56.4 <... vfork resumed>) = 20138
[pid 20138] 03:31:56.5 <... execve resumed>) = 0
[pid 20137] 03:31:56.6 wait4(-1,  <unfinished ...>
[pid 20138] 03:31:56.7 +++ exited with 1 +++
03:31:56.8 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 1}], 0, NULL) = 20138
03:31:56.9 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=20138} ---
03:31:57.0 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 20140 attached
, child_tidptr=0x7f) = 20140
[pid 20140] 03:31:57.1 open("/a", O_RDONLY) = 3
[pid 20137] 03:31:57.2 open("/b", O_RDONLY) = 3
[pid 20137] 03:31:57.3 exit_group(0) = ?
[pid 20137] 03:31:57.4 +++ exited with 0 +++
03:31:57.5 open("/c", O_RDONLY) = 4
"#,
        &[
            "(0 start sh:local)",
            "1 exec /bin/sh [sh] ppid 0",
            "(20138 fork from 1)",
            "20138 exec /bin/cat [cat] ppid 1",
            "20138 exit",
            "20140 fork from 1",
            "20140 open /a 0o0 3",
            "1 open /b 0o0 3",
            "1 exit",
            "20140 open /c 0o0 4",
        ],
    );
}

const THREAD: &str = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD}, 88)";

#[test]
fn what_threads_do_their_process_does() {
    check(
        &format!(
            r#"
7 {THREAD} = 8
8 {THREAD} = 9
9 open("/a", O_RDONLY) = 3
9 chdir("/srv") = 0
7 open("b", O_WRONLY) = 4
9 exit(0) = ?
9 +++ exited with 0 +++
8 fork() = 20
20 open("c", O_RDONLY) = 4
"#
        ),
        &["7 open /a 0o0 3", "7 open /srv/b 0o1 4", "20 fork from 7", "20 open /srv/c 0o0 4"],
    );
}

#[test]
fn a_thread_that_execs_leaves_its_number_for_the_leaders() {
    check(
        &format!(
            r#"
7 execve("/t", ["t"], 0x7) = 0
7 {THREAD} = 8
7 {THREAD} = 9
7 futex(0x7f, FUTEX_WAIT, 9, NULL <unfinished ...>
9 execve("/bin/true", ["true"], 0x7ffc /* 35 vars */ <unfinished ...>
7 <... futex resumed>) = ?
8 +++ exited with 0 +++
7 +++ superseded by execve in pid 9 +++
7 <... execve resumed>) = 0
7 open("/a", O_RDONLY) = 3
7 exit_group(0) = ?
7 +++ exited with 0 +++
"#
        ),
        &["(0 start t:local)", "7 exec /t [t] ppid 0", "7 exec /bin/true [true] ppid 0", "7 open /a 0o0 3", "7 exit"],
    );
}

#[test]
fn a_leader_that_ended_before_it_is_superseded_goes_on() {
    check(
        &format!(
            r#"
7 {THREAD} = 8
7 exit(0) = ?
8 execve("/bin/true", ["true"], 0x7 <unfinished ...>
7 +++ superseded by execve in pid 8 +++
7 <... execve resumed>) = 0
7 open("/a", O_RDONLY) = 3
"#
        ),
        &["(0 start true:local)", "7 exec /bin/true [true] ppid 0", "7 open /a 0o0 3"],
    );
}

#[test]
fn a_process_ends_with_its_last_thread() {
    for (log, expected) in [
        ("7 exit(0) = ?\n8 exit(0) = ?\n8 +++ exited with 0 +++\n7 +++ exited with 0 +++", &["7 exit"][..]),
        ("7 +++ exited with 0 +++\n8 close(3) = 0\n8 +++ exited with 0 +++", &["7 exit"]),
        ("8 +++ killed by SIGKILL +++\n7 +++ killed by SIGKILL +++", &["7 exit"]),
        ("8 exit_group(0) = ?\n7 <... futex resumed>) = ?\n8 +++ exited with 0 +++\n7 +++ exited with 0 +++", {
            &["7 exit"]
        }),
        // Calls that were under way when another thread ended the process still count as its own.
        ("7 exit_group(0) = ?\n8 open(\"/a\", O_RDONLY) = 3\n7 +++ exited with 0 +++\n8 +++ exited with 0 +++", {
            &["7 open /a 0o0 3", "7 exit"]
        }),
        ("8 exit(0) = ?\n7 close(3) = 0", &[]),
        // Without the ends of threads (-qq), the parent's wait tells.
        ("7 exit_group(0) = ?\n1 wait4(7, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 7", &["(7 exit)"]),
        ("1 wait4(7, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTSTP}], 0, NULL) = 7", &[]),
    ] {
        check(&format!("7 {THREAD} = 8\n{log}"), expected);
    }
}

#[test]
fn children_that_are_seen_before_their_forks_return() {
    let expected = [
        "(0 start a:local)",
        "7 exec /a [a] ppid 0",
        "8 fork from 7",
        "(20 fork from 7)",
        "20 exec /x [x] ppid 7",
        "(21 fork from 8)",
        "21 exec /y [y] ppid 8",
    ];
    let begin =
        "7 execve(\"/a\", [\"a\"], 0x1) = 0\n7 fork() = 8\n7 vfork( <unfinished ...>\n8 vfork( <unfinished ...>\n";
    let children = "20 execve(\"/x\", [\"x\"], 0x1) = 0\n21 execve(\"/y\", [\"y\"], 0x1) = 0\n";
    check(&format!("{begin}{children}7 <... vfork resumed>) = 20\n8 <... vfork resumed>) = 21"), &expected);
    // Taken for each other's: the result sets it right, with all that is known of them.
    let corrected = ["20 fork from 8", "(20 exec /x [x] ppid 8)", "21 fork from 7", "(21 exec /y [y] ppid 7)"];
    check(
        &format!("{begin}{children}8 <... vfork resumed>) = 20\n7 <... vfork resumed>) = 21"),
        &[&expected[..], &corrected[..]].concat(),
    );
    // Only one was seen: it is the other's.
    check(
        &format!("{begin}20 close(3) = 0\n8 <... vfork resumed>) = 20\n21 close(3) = 0\n7 <... vfork resumed>) = 21"),
        &[&expected[..3], &["(20 fork from 7)", "20 fork from 8", "(21 fork from 7)"]].concat(),
    );
}

#[test]
fn a_thread_that_was_taken_for_a_process_becomes_a_thread() {
    let head = THREAD.strip_suffix(')').unwrap();
    check(
        &format!(
            r#"
7 fork() = 8
7 fork( <unfinished ...>
8 {head} <unfinished ...>
20 close(3) = 0
8 <... clone3 resumed>) = 20
21 close(3) = 0
7 <... fork resumed>) = 21
20 open("/a", O_RDONLY) = 3
"#
        ),
        &["8 fork from 7", "(20 fork from 7)", "(20 exit)", "(21 fork from 7)", "8 open /a 0o0 3"],
    );
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    check(
        "7 fork() = 8\n8 exit_group(0) = ?\n8 +++ exited with 0 +++\n7 fork() = 8\n8 exit_group(0) = ?",
        &["8 fork from 7", "8 exit", "8 fork from 7", "8 exit"],
    );
    // Its exit is not in the log.
    check("7 fork() = 8\n7 fork() = 8\n8 fork() = 7", &["8 fork from 7", "8 fork from 7", "7 fork from 8"]);
    // Numbers of the program's own pid namespace.
    check("7 fork() = 5 /* 1235 in strace's PID NS */", &["1235 fork from 7"]);
}

#[test]
fn paths_come_out_absolute_when_their_directory_is_known() {
    for (before, open, path) in [
        ("", r#"open("a", O_RDONLY) = 3"#, "a"),
        (r#"chdir("/srv") = 0"#, r#"open("a", O_RDONLY) = 3"#, "/srv/a"),
        (r#"chdir("/srv") = -1 ENOENT (No such file or directory)"#, r#"open("a", O_RDONLY) = 3"#, "a"),
        (r#"getcwd("/srv", 4096) = 5"#, r#"creat("a", 0666) = 3"#, "/srv/a"),
        ("", r#"openat(AT_FDCWD</srv>, "a", O_RDONLY) = 3</srv/a>"#, "/srv/a"),
        (r#"openat(AT_FDCWD</srv>, "/x", O_RDONLY) = 3</x>"#, r#"open("a", O_RDONLY) = 3"#, "/srv/a"),
        ("", r#"openat(4</srv>, "a", O_RDONLY) = 3</srv/a>"#, "/srv/a"),
        (r#"open("/srv", O_RDONLY|O_DIRECTORY) = 4"#, r#"openat(4, "a", O_RDONLY) = 3"#, "/srv/a"),
        (r#"open("/srv", O_PATH) = 4"#, r#"openat2(4, "a", {flags=O_RDONLY, resolve=0}, 24) = 3"#, "/srv/a"),
        ("open(\"/srv\", O_RDONLY) = 4\n7 close(4) = 0", r#"openat(4, "a", O_RDONLY) = 3"#, "a"),
        ("open(\"/srv\", O_RDONLY) = 4\n7 dup2(4, 9) = 9", r#"openat(9, "a", O_RDONLY) = 3"#, "/srv/a"),
        ("open(\"/srv\", O_RDONLY) = 4\n7 fcntl(4, F_DUPFD, 9) = 9", r#"openat(9, "a", O_RDONLY) = 3"#, "/srv/a"),
        ("open(\"/srv\", O_RDONLY) = 4\n7 fchdir(4) = 0", r#"open("a", O_RDONLY) = 3"#, "/srv/a"),
        ("fchdir(4</srv>) = 0", r#"open("a", O_RDONLY) = 3"#, "/srv/a"),
        ("chdir(\"/srv\") = 0\n7 chdir(\"a\"...) = 0", r#"open("a", O_RDONLY) = 3"#, "a"),
    ] {
        let lines = written(&format!("7 {before}\n7 {open}").replace("7 \n", ""));
        assert!(lines.last().unwrap().starts_with(&format!("7 open {path} ")), "{before}\n{open}\n{lines:?}");
    }
}

#[test]
fn sockets() {
    let v4 = r#"{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("1.2.3.4")}"#;
    check(
        &format!(
            r#"
7 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
7 connect(3, {v4}, 16) = -1 EINPROGRESS (Operation now in progress)
7 connect(4<UDPv6:[42056]>, {v4}, 16) = 0
7 connect(5, {v4}, 16) = -1 ECONNREFUSED (Connection refused)
7 bind(6, {{sa_family=AF_UNIX, sun_path=@"abs"}}, 6) = 0
7 chdir("/run") = 0
7 bind(6, {{sa_family=AF_UNIX, sun_path="s.sock"}}, 6) = 0
7 bind(7, {{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}}, 12) = 0
"#
        ),
        &[
            "7 Connect 1.2.3.4 443 Some(Tcp) -115",
            "7 Connect 1.2.3.4 443 Some(Udp) 0",
            "7 Connect 1.2.3.4 443 None -111",
            "7 Bind @abs 0 None 0",
            "7 Bind /run/s.sock 0 None 0",
        ],
    );
}

#[test]
fn programs_that_have_no_file() {
    for run in [
        r#"execveat(3, "", ["x"], 0x7, AT_EMPTY_PATH) = 0"#,
        r#"execveat(9</memfd:x>(deleted), "", ["x"], 0x7, AT_EMPTY_PATH) = 0"#,
        r#"execve("/proc/self/fd/3", ["x"], 0x7) = 0"#,
    ] {
        check(
            &format!("7 memfd_create(\"x\", 0) = 3\n7 {run}"),
            &["(0 start memfd:x:local)", "7 exec /memfd:x [x] ppid 0 fileless"],
        );
    }
}

#[test]
fn calls_that_are_no_behaviour_of_their_own() {
    check(
        r#"
7 execve("/nowhere", ["x"], 0x7) = -1 ENOENT (No such file or directory)
7 readlink("/proc/self/exe", "/bin/x", 4096) = 6
7 openat(AT_FDCWD, 0x7ffc, O_RDONLY) = -1 EFAULT (Bad address)
7 openat(AT_FDCWD, "/fifo", O_RDONLY) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
7 openat(AT_FDCWD, "/long"..., O_RDONLY) = 3
7 fork() = ? ERESTARTNOINTR (To be restarted)
7 <... select resumed>) = 0 (Timeout)
"#,
        &[],
    );
}

#[test]
fn the_start_of_a_log_may_be_missing() {
    check("7 <... fork resumed>) = 8\n8 open(\"/a\", O_RDONLY) = 3", &["8 open /a 0o0 3"]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut decoder = StraceDecoder::new(StraceOptions::default());
    let mut sink = Written::default();
    let path = "x".repeat(4000);
    for n in 0..100_000u32 {
        let line = match n % 4 {
            0 => format!("{} fork() = {}", n + 1, n + 5),
            1 => format!("{n} openat(AT_FDCWD, \"/{path}{n}\", O_RDONLY) = {n}"),
            2 => format!("{} read(\"{path}\" <unfinished ...>", n - 1),
            _ => format!("{n} vfork( <unfinished ...>"),
        };
        decoder.decode(line.as_bytes(), &mut sink).unwrap();
        sink.lines.clear();
    }
    let (threads, processes, pending, paths) = decoder.table.sizes();
    assert!(threads <= 1 << 16 && processes <= 1 << 14, "{threads} {processes}");
    assert!(pending <= 16 << 20 && paths <= 33 << 20, "{pending} {paths}");
}

/// Lines that share few numbers, so that everything happens to everyone.
fn any_line() -> impl Strategy<Value = String> {
    let tid = 1..6u32;
    let call = prop::sample::select(vec![
        "vfork( <unfinished ...>",
        "<... vfork resumed>) = N",
        "fork() = N",
        "clone3({flags=CLONE_VM|CLONE_THREAD}, 88 <unfinished ...>",
        "<... clone3 resumed>) = N",
        "clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = N",
        "execve(\"/bin/x\", [\"x\"], 0x7) = 0",
        "execve(\"/bin/x\", [\"x\"], 0x7 <unfinished ...>",
        "<... execve resumed>) = 0",
        "+++ superseded by execve in pid N +++",
        "+++ exited with 0 +++",
        "+++ killed by SIGKILL +++",
        "exit(0) = ?",
        "exit_group(0) = ?",
        "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = N",
        "openat(N, \"rel\", O_RDONLY) = N",
        "open(\"/abs\", O_RDONLY) = N",
        "chdir(\"sub\") = 0",
        "close(N) = 0",
        "<... openat resumed>) = N",
        "rt_sigsuspend([], 8strace: Process N attached",
    ]);
    (proptest::option::of(tid.clone()), call, tid).prop_map(|(tid, call, n)| {
        let column = tid.map_or(String::new(), |tid| format!("{tid} "));
        format!("{column}{}", call.replace('N', &n.to_string()))
    })
}

proptest! {
    #[test]
    fn whatever_the_order_each_line_is_counted_once(lines in prop::collection::vec(any_line(), 0..60)) {
        let mut decoder = StraceDecoder::new(StraceOptions::default());
        let mut sink = Written::default();
        for line in lines {
            let before = sink.counted;
            let fate = decoder.decode(line.as_bytes(), &mut sink);
            prop_assert_eq!(sink.counted - before, usize::from(fate == Ok(Line::Event)), "{}", line);
            prop_assert!(decoder.table.is_consistent(), "{}", line);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_rejected(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let mut decoder = StraceDecoder::new(StraceOptions::default());
        let mut sink = Written::default();
        for line in lines {
            let before = sink.counted;
            let fate = decoder.decode(&line, &mut sink);
            prop_assert_eq!(sink.counted - before, usize::from(fate == Ok(Line::Event)));
        }
    }

    #[test]
    fn any_notation_is_decoded_or_rejected(text in "[0-9a-z]{0,3} ?[a-z]{1,6}\\([\"<>\\[\\](){}=,\\\\ 0-9a/.]{0,40}\\) = [0-9<>\"?-]{1,4}") {
        let mut sink = Written::default();
        let fate = StraceDecoder::new(StraceOptions::default()).decode(text.as_bytes(), &mut sink);
        prop_assert_eq!(sink.counted, usize::from(fate == Ok(Line::Event)));
    }
}
