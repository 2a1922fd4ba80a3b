//! Lines as auditd and the kernel write them, and what they become.
use super::*;
use crate::event::{Capability, Mount, Open, Peer, Socket, syscall_numbers};
use crate::ledger::Rejected;

#[derive(Default)]
struct Reported {
    lines: Vec<String>,
    counted: usize,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn said(event: EventRef<'_>) -> String {
    let what = match event.body {
        Body::ContainerStart { image, tag } => format!("start {}:{}", text(image), text(tag)),
        Body::Fork { ppid, .. } => format!("fork from {ppid}"),
        Body::Exec(e) => {
            let argv = e.argv.map_or("?".into(), text).replace("\\x00", "|");
            let interpreter = e.interpreter.map_or(String::new(), |i| format!(" by {}", text(i)));
            format!("exec {}{interpreter} [{argv}] ppid {} uid {:?}", text(e.path), e.ppid, e.uid)
        }
        Body::Exit => "exit".into(),
        Body::Open(Open { path, flags, ret, map }) => {
            format!("{} {} {flags:o} {ret}", if map { "map" } else { "open" }, text(path))
        }
        Body::Change(Change { op, path, from, ret }) => {
            format!("{} {} {} {ret}", op.name(), from.map_or("?".into(), text), text(path))
        }
        Body::Mount(Mount { path, fstype, source, ret, .. }) => {
            format!("mount {} {} {} {ret}", source.map_or("?".into(), text), text(path), text(fstype))
        }
        Body::Socket(Socket { op, peer, port, ret, .. }) => match peer {
            Peer::Ip(ip) => format!("{} {ip} {port} {ret}", op.name()),
            Peer::Unix(path) => format!("{} {} {ret}", op.name(), text(path)),
        },
        Body::Capability(Capability { cap, used }) => format!("capability {cap} {used}"),
        Body::Syscalls(Syscalls { nrs }) => format!("syscalls {:?}", syscall_numbers(nrs).collect::<Vec<_>>()),
        other => panic!("audit told {other:?}"),
    };
    format!("{} {what}", event.pid)
}

impl Sink for Reported {
    fn event(&mut self, event: EventRef<'_>) {
        self.lines.push(said(event));
        self.counted += 1;
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.lines.push(format!("({})", said(event)));
    }
}

/// What lines tell, each counted once, less that the container started and which calls were made beside what they did.
#[track_caller]
fn reported(lines: &[String]) -> Vec<String> {
    let mut decoder = AuditDecoder::new(StraceOptions::default());
    let mut reported = Reported::default();
    let mut held = 0;
    for line in lines {
        match decoder.decode(line.as_bytes(), &mut reported) {
            Ok(Line::Held) => held += 1,
            Ok(Line::Ignored(Ignored::NoBehaviour)) => {}
            other => panic!("{other:?}: {line}"),
        }
    }
    decoder.finish(&mut reported);
    assert_eq!(reported.counted, held);
    reported
        .lines
        .retain(|line| !line.starts_with("(0 start") && !line.contains(" syscalls ") || !line.starts_with('('));
    reported.lines
}

fn line(kind: &str, serial: u32, fields: &str) -> String {
    format!("type={kind} msg=audit(1700000000.123:{serial}): {fields}")
}

/// A call of process 7, whose program is /bin/x and whose parent is 6.
fn call(serial: u32, nr: u32, result: &str, more: &str) -> String {
    let who = "ppid=6 pid=7 auid=1000 uid=1000 gid=1000 euid=0 egid=0 comm=\"x\" exe=\"/bin/x\"";
    line("SYSCALL", serial, &format!("arch=c000003e syscall={nr} {result} {more} items=1 {who} key=(null)"))
}

const X: &str = "(7 exec /bin/x [?] ppid 6 uid Some(0))";
const DONE: &str = "success=yes exit=0";

#[test]
fn a_call_and_the_files_it_names() {
    let at_cwd = "a0=ffffff9c";
    for (nr, result, args, names, expected) in [
        (
            2,
            "success=no exit=-13",
            "a0=7 a1=0",
            &["name=\"/etc/ssh/sshd_config\" nametype=NORMAL"][..],
            "open /etc/ssh/sshd_config 0 -13",
        ),
        (
            257,
            "success=yes exit=3",
            "a0=ffffff9c a2=241",
            &["name=\"d\" nametype=PARENT", "name=6420 nametype=CREATE"],
            { "open /home/u/d  1101 3" },
        ),
        (85, "success=yes exit=3", "", &["name=\"/a\""], "open /a 1101 3"),
        (87, DONE, "", &["name=\"/\" nametype=PARENT", "name=\"/a\" nametype=DELETE"], "delete ? /a 0"),
        (263, DONE, "a0=ffffffffffffff9c a2=200", &["name=\"a\" nametype=DELETE"], "rmdir ? /home/u/a 0"),
        (82, DONE, "", &["name=\"/a\" nametype=DELETE", "name=\"/b\" nametype=CREATE"], "rename /a /b 0"),
        (265, DONE, at_cwd, &["name=\"/a\" nametype=NORMAL", "name=\"/b\" nametype=CREATE"], "link /a /b 0"),
        (258, DONE, at_cwd, &["name=\"a\" nametype=CREATE"], "mkdir ? /home/u/a 0"),
        (90, DONE, "", &["name=\"/a\" nametype=NORMAL"], "chmod ? /a 0"),
        // Relative to another directory, or without a name.
        (258, DONE, "a0=4", &["name=\"a\" nametype=CREATE"], "syscalls [258]"),
        (91, DONE, "a0=4", &["name=(null) nametype=NORMAL"], "syscalls [91]"),
        (0, "success=yes exit=1", "", &[], "syscalls [0]"),
    ] {
        let mut lines = vec![call(1, nr, result, args), line("CWD", 1, " cwd=\"/home/u\"")];
        lines.extend(names.iter().map(|name| line("PATH", 1, &format!("item=0 {name}"))));
        lines.push(line("PROCTITLE", 1, "proctitle=00"));
        let got = reported(&lines);
        assert_eq!((got[0].as_str(), got.last().unwrap().as_str()), (X, format!("7 {expected}").as_str()), "{nr}");
    }
}

#[test]
fn a_file_that_an_open_made_is_implied() {
    let lines = [call(1, 2, "success=yes exit=3", "a1=41"), line("PATH", 1, "item=1 name=\"/a\" nametype=CREATE")];
    assert_eq!(reported(&lines), [X, "(7 create ? /a 0)", "7 open /a 101 3"]);
}

#[test]
fn programs_their_arguments_and_scripts() {
    let exec = |argv: &str, names: &[&str]| {
        let mut lines = vec![call(1, 59, DONE, ""), line("EXECVE", 1, argv), line("CWD", 1, "cwd=\"/srv\"")];
        lines.extend(names.iter().map(|name| line("PATH", 1, &format!("item=0 name=\"{name}\" nametype=NORMAL"))));
        reported(&lines)
    };
    for (argv, names, expected) in [
        ("argc=2 a0=\"x\" a1=612062", &["/usr/bin/x", "/lib/ld.so"][..], "exec /bin/x [x|a b|]"),
        ("argc=2 a0=\"/bin/x\" a1=\"./run\"", &["./run", "/bin/x"], "exec /srv/./run by /bin/x [/bin/x|./run|]"),
        ("argc=3 a0=\"/bin/x\" a1=\"-e\" a2=\"/run\"", &["/run"], "exec /run by /bin/x [/bin/x|-e|/run|]"),
        ("argc=1 a0=\"./x\"", &["./x"], "exec /bin/x [./x|]"),
    ] {
        assert_eq!(exec(argv, names), [format!("7 {expected} ppid 6 uid Some(0)")], "{argv}");
    }
}

#[test]
fn processes_come_and_go() {
    let thread = call(3, 56, "success=yes exit=9", "a0=10f00");
    let child = |serial, exe: &str| {
        let who = format!("ppid=7 pid=8 euid=0 comm=\"x\" exe=\"{exe}\"");
        line("SYSCALL", serial, &format!("arch=c000003e syscall=39 success=yes exit=8 {who}"))
    };
    assert_eq!(
        reported(&[
            call(1, 56, "success=yes exit=8", "a0=1200011"),
            child(2, "/bin/x"),
            thread,
            // Its exec was not told.
            child(4, "/bin/y"),
            call(5, 231, "success=yes exit=0", "a0=0"),
        ]),
        [
            X,
            "8 fork from 7",
            "8 syscalls [39]",
            "7 syscalls [56]",
            "(8 exec /bin/y [?] ppid 7 uid Some(0))",
            "8 syscalls [39]",
            "7 exit",
        ]
    );
}

#[test]
fn peers() {
    for (nr, result, address, expected) in [
        (42, "success=no exit=-115", "0200005023ED10590000000000000000", "connect 35.237.16.89 80 -115"),
        (49, DONE, "01002F72756E2F7800", "bind /run/x 0"),
        (42, DONE, "10000000000000000000000000", "syscalls [42]"),
    ] {
        let lines = [call(1, nr, result, ""), line("SOCKADDR", 1, &format!("saddr={address}"))];
        assert_eq!(reported(&lines), [X.to_owned(), format!("7 {expected}")]);
    }
}

#[test]
fn what_was_refused() {
    for (kind, fields, expected) in [
        (
            "AVC",
            "apparmor=\"DENIED\" operation=\"open\" profile=\"docker-default\" name=\"/etc/shadow\" pid=7 comm=\"cat\" requested_mask=\"wr\" denied_mask=\"wr\" fsuid=0 ouid=0",
            Some("open /etc/shadow 2 -13"),
        ),
        (
            "1400",
            "apparmor=\"ALLOWED\" operation=\"mknod\" name=\"/a\" pid=7 requested_mask=\"c\"",
            Some("create ? /a 0"),
        ),
        ("AVC", "apparmor=\"DENIED\" operation=\"capable\" pid=7 capability=12  capname=\"net_admin\"", {
            Some("capability 12 false")
        }),
        (
            "AVC",
            "apparmor=\"DENIED\" operation=\"mount\" info=\"failed flags match\" error=-13 name=\"/mnt/\" pid=7 fstype=\"tmpfs\" srcname=\"tmpfs\" flags=\"rw\"",
            Some("mount tmpfs /mnt/ tmpfs -1"),
        ),
        ("AVC", "apparmor=\"STATUS\" operation=\"profile_load\" name=\"/usr/sbin/x\" pid=7", None),
        (
            "AVC",
            "avc:  denied  { read } for  pid=7 comm=\"x\" path=\"/etc/shadow\" dev=\"dm-0\" ino=1 scontext=a tcontext=b tclass=file permissive=0",
            Some("open /etc/shadow 0 -13"),
        ),
        (
            "AVC",
            "avc:  denied  { execute } for  pid=7 path=\"/lib/x.so\" tclass=file permissive=1",
            Some("map /lib/x.so 0 0"),
        ),
        ("AVC", "avc:  denied  { sys_admin } for  pid=7 capability=21  tclass=capability permissive=0", {
            Some("capability 21 false")
        }),
        ("AVC", "avc:  denied  { read } for  pid=7 name=\"shadow\" tclass=file permissive=0", None),
        (
            "1326",
            "auid=1 uid=0 pid=7 comm=\"x\" sig=31 arch=c000003e syscall=59 compat=0 ip=0x1 code=0x0",
            Some("syscalls [59]"),
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|expected| format!("7 {expected}")).collect();
        assert_eq!(reported(&[line(kind, 1, fields)]), expected, "{fields}");
    }
}

#[test]
fn a_refusal_and_its_call_are_one_event_of_a_known_program() {
    let avc = "apparmor=\"DENIED\" operation=\"open\" name=\"/a\" pid=7 requested_mask=\"r\"";
    let lines = [line("AVC", 1, avc), call(1, 2, "success=no exit=-13", "a1=0"), line("PATH", 1, "name=\"/a\"")];
    assert_eq!(reported(&lines), [X, "7 open /a 0 -13", "7 open /a 0 -13"]);
}

#[test]
fn lines_of_two_events_may_be_mixed() {
    let lines = [
        call(1, 2, "success=yes exit=3", "a1=0"),
        call(2, 2, "success=yes exit=4", "a1=1"),
        line("PATH", 2, "name=\"/b\""),
        line("PATH", 1, "name=\"/a\""),
        line("PROCTITLE", 1, "proctitle=0"),
    ];
    assert_eq!(reported(&lines), [X, "7 open /a 0 3", "7 open /b 1 4"]);
}

#[test]
fn what_is_gathered_is_bounded() {
    let mut decoder = AuditDecoder::new(StraceOptions::default());
    let mut reported = Reported::default();
    for serial in 0..1000 {
        decoder.decode(call(serial, 0, DONE, "").as_bytes(), &mut reported).unwrap();
        assert!(decoder.events.len() <= GATHERED);
    }
    decoder.finish(&mut reported);
    assert_eq!(reported.counted, 1000);
}

#[test]
fn another_machine_s_calls_are_told_by_name_or_not_at_all() {
    let on =
        |arch: &str| format!("arch={arch} syscall=56 success=yes exit=3 a0=ffffff9c a2=0 ppid=6 pid=7 exe=\"/bin/x\"");
    let lines = |arch: &str| [line("SYSCALL", 1, &on(arch)), line("PATH", 1, "name=\"/a\"")];
    assert_eq!(reported(&lines("c00000b7")).last().unwrap(), "7 open /a 0 3");
    assert!(reported(&lines("40000003")).is_empty());
}

#[test]
fn the_container_is_told_once() {
    for (image, expected) in [(None, "(0 start x:local)"), (Some("web".to_owned()), "(0 start web:local)")] {
        let mut decoder = AuditDecoder::new(StraceOptions { image, ..StraceOptions::default() });
        let mut reported = Reported::default();
        for serial in 0..3 {
            decoder.decode(call(serial, 0, DONE, "").as_bytes(), &mut reported).unwrap();
        }
        decoder.finish(&mut reported);
        let starts: Vec<_> = reported.lines.iter().filter(|line| line.contains(" start ")).collect();
        assert_eq!(starts, [expected]);
    }
}

#[test]
fn what_is_no_line_of_an_audit_log() {
    let mut decoder = AuditDecoder::new(StraceOptions::default());
    for line in ["", "{}", "type=SYSCALL", "Nov 30 10:00:00 h sshd[1]: type=x audit(1.0:1): a=1"] {
        let reject = decoder.decode(line.as_bytes(), &mut Reported::default()).unwrap_err();
        assert_eq!(reject.reason, Rejected::Malformed, "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_decoded_or_rejected(lines in proptest::collection::vec("type=(SYSCALL|PATH|EXECVE|AVC|SOCKADDR|CWD) msg=audit\\(1\\.0:[0-3]\\): [a-z0-9=\"\\[\\]{} ]{0,60}", 0..8)) {
        let mut decoder = AuditDecoder::new(StraceOptions::default());
        let mut reported = Reported::default();
        let held = lines.iter().filter(|line| decoder.decode(line.as_bytes(), &mut reported) == Ok(Line::Held)).count();
        decoder.finish(&mut reported);
        proptest::prop_assert_eq!(reported.counted, held);
    }
}
