//! Records as Tetragon writes them, and what they become.
use super::*;
use crate::event::{Capability, Change, Dns, Flow, Mount, Open, Peer, Socket};
use crate::ledger::Rejected;

#[derive(Default)]
struct Written(Vec<String>, usize);

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn line(event: Event<&[u8]>) -> String {
    let what = match event.body {
        Body::ContainerStart { image, tag } => format!("start {} {}", text(image), text(tag)),
        Body::Fork { ppid, .. } => format!("fork from {ppid}"),
        Body::Exec(e) => {
            let argv = e.argv.map_or("?".into(), text).replace("\\x00", "|");
            let fileless = if e.fileless { " fileless" } else { "" };
            format!("exec {} [{argv}] ppid {}{fileless}", text(e.path), e.ppid)
        }
        Body::Exit => "exit".into(),
        Body::Open(Open { path, map: true, .. }) => format!("map {}", text(path)),
        Body::Open(Open { path, flags, ret, .. }) => format!("open {} {flags:#o} {ret}", text(path)),
        Body::Change(Change { op, path, from, ret }) => {
            format!("{} {} {} {ret}", op.name(), from.map_or("?".into(), text), text(path))
        }
        Body::Mount(Mount { path, fstype, source, flags, ret }) => {
            let source = source.map_or("?".into(), text);
            format!("mount {source} {} {} {flags} {ret}", text(path), text(fstype))
        }
        Body::Capability(Capability { cap, used }) => format!("capability {cap} {used}"),
        Body::Flow(Flow { peer: Peer::Ip(ip), port, sent, received, .. }) => {
            format!("flow {ip} {port} {sent:?} {received:?}")
        }
        Body::Socket(Socket { op, peer, port, proto, ret }) => {
            let peer = match peer {
                Peer::Ip(ip) => ip.to_string(),
                Peer::Unix(path) => text(path),
            };
            format!("{op:?} {peer} {port} {proto:?} {ret}")
        }
        Body::Dns(Dns { name, qtype }) => format!("dns {} {qtype}", text(name)),
        other => format!("{other:?}"),
    };
    let start = event.start.map_or(String::new(), |start| format!("@{start}"));
    format!("{} {}{start} {what}", text(event.container), event.pid)
}

impl Sink for Written {
    fn event(&mut self, event: Event<&[u8]>) {
        self.0.push(line(event));
        self.1 += 1;
    }

    fn implied(&mut self, event: Event<&[u8]>) {
        self.0.push(format!("({})", line(event)));
    }
}

/// A process's description. Started `second` seconds into the epoch.
fn process(id: &str, pid: u32, binary: &str, flags: &str, second: u32, more: &str) -> String {
    format!(
        r#"{{"exec_id":"{id}","pid":{pid},"uid":0,"cwd":"/w","binary":"{binary}","flags":"{flags}","start_time":"1970-01-01T00:00:0{second}Z"{more}}}"#
    )
}

fn record(kind: &str, process: &str, parent: &str, more: &str) -> String {
    let parent = if parent.is_empty() { String::new() } else { format!(r#","parent":{parent}"#) };
    format!(r#"{{"{kind}":{{"process":{process}{parent}{more}}},"node_name":"n","time":"1970-01-01T00:00:09Z"}}"#)
}

fn decode(records: &[String]) -> Vec<String> {
    let mut decoder = TetragonDecoder::new();
    let mut written = Written::default();
    for record in records {
        let before = written.1;
        let fate = decoder.decode(record.as_bytes(), &mut written).unwrap_or_else(|e| panic!("{record}: {e}"));
        assert_eq!(written.1 - before, usize::from(fate == Line::Event), "{record}");
    }
    written.0
}

const S: &str = "000000000";

#[test]
fn what_was_not_seen_to_start_is_implied_parents_first() {
    let parent = process("p", 6, "/bin/sh", "execve clone", 1, "");
    let child = process("c", 7, "/bin/cat", "execve clone", 2, "");
    let cloned = process("f", 8, "/bin/cat", "clone", 3, "");
    let records = [
        record("process_exit", &child, &parent, ""),
        record("process_exec", &child, &parent, ""),
        record("process_exit", &cloned, &child, ""),
        record("process_exit", &parent, &process("0", 0, "<kernel>", "procFS", 0, ""), ""),
    ];
    assert_eq!(
        decode(&records),
        [
            format!("( 6@1{S} exec /bin/sh [/bin/sh|] ppid 0)"),
            format!("( 7@2{S} exec /bin/cat [/bin/cat|] ppid 6)"),
            format!(" 7@2{S} exit"),
            format!(" 7@2{S} exec /bin/cat [/bin/cat|] ppid 6"),
            format!("( 8@3{S} fork from 7)"),
            format!(" 8@3{S} exit"),
            format!(" 6@1{S} exit"),
        ]
    );
}

#[test]
fn a_process_keeps_its_start_over_its_execs() {
    let parent = process("p", 6, "/bin/sh", "execve clone", 1, "");
    let records = [
        record("process_exec", &parent, "", ""),
        // Cloned, then seen, then another program, then one more without a clone between.
        record(
            "process_connect",
            &process("a", 7, "/bin/sh", "clone", 2, ""),
            &parent,
            r#","destination_ip":"10.0.0.1","destination_port":443,"protocol":"TCP""#,
        ),
        record("process_exec", &process("b", 7, "/bin/env", "execve clone", 3, ""), &parent, ""),
        record(
            "process_exec",
            &process("c", 7, "/bin/cat", "execve", 4, ""),
            &process("b", 7, "/bin/env", "", 3, ""),
            "",
        ),
        record("process_exit", &process("c", 7, "/bin/cat", "execve", 4, ""), &parent, ""),
        // The number again, for another process.
        record("process_exec", &process("d", 7, "/bin/ls", "execve clone", 5, ""), &parent, ""),
    ];
    assert_eq!(
        decode(&records),
        [
            format!(" 6@1{S} exec /bin/sh [/bin/sh|] ppid 0"),
            format!("( 7@2{S} fork from 6)"),
            format!(" 7@2{S} Connect 10.0.0.1 443 Some(Tcp) 0"),
            format!(" 7@2{S} exec /bin/env [/bin/env|] ppid 6"),
            format!(" 7@2{S} exec /bin/cat [/bin/cat|] ppid 6"),
            format!(" 7@2{S} exit"),
            format!(" 7@5{S} exec /bin/ls [/bin/ls|] ppid 6"),
        ]
    );
}

#[test]
fn a_container_has_one_id_however_much_of_it_is_given() {
    let full = "19a02291e106ce6227b684197be232ea57c4e1a5ab2604a12608c325d701c7f4";
    let pod = |id: &str| {
        format!(r#","pod":{{"container":{{"id":"containerd://{id}","image":{{"name":"docker.io/tgraf/netperf:2"}}}}}}"#)
    };
    let docker = |id: &str| format!(r#","docker":"{id}""#);
    let exec = |n: u32, more: &str| {
        let process = process(&n.to_string(), n, "/x", "execve clone", 1, more);
        record("process_exec", &process, &process.replace(&format!("\"pid\":{n}"), "\"pid\":99"), "")
    };
    for (given, id) in [
        (vec![pod(full), docker(&full[..31]), docker(&full[..24])], full),
        (vec![docker(&full[..24]), pod(full), docker(&full[..31])], &full[..24]),
    ] {
        let records: Vec<String> = given.iter().zip(1..).map(|(more, n)| exec(n, more)).collect();
        let lines = decode(&records);
        assert!(lines.iter().all(|line| line.trim_start_matches('(').starts_with(&format!("{id} "))), "{lines:?}");
        let starts: Vec<_> = lines.iter().filter(|line| line.contains(" start ")).collect();
        assert_eq!(starts, [&format!("({id} 0 start docker.io/tgraf/netperf 2)")]);
    }
    // What is not in the same container is not this one's parent.
    let parent = process("p", 6, "/usr/bin/containerd-shim-runc-v2", "execve clone", 1, "");
    let child = process("c", 7, "/x", "execve clone", 1, &docker("abc"));
    assert_eq!(decode(&[record("process_exec", &child, &parent, "")]), [format!("abc 7@1{S} exec /x [/x|] ppid 6")]);
}

#[test]
fn functions_and_their_arguments() {
    let file = |path: &str| format!(r#"{{"file_arg":{{"path":"{path}","permission":"-rw-r--r--"}}}}"#);
    let sock = r#"{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","saddr":"10.0.0.5","daddr":"1.2.3.4","sport":38472,"dport":443}}"#;
    let sockaddr =
        |family: &str, addr: &str| format!(r#"{{"sockaddr_arg":{{"family":"{family}","addr":"{addr}","port":53}}}}"#);
    let path = r#"{"string_arg":"/etc/passwd"}"#;
    let int = |n: i64| format!(r#"{{"int_arg":{n}}}"#);
    for (function, args, returned, expected) in [
        ("fd_install", format!("{},{}", int(3), file("/etc/shadow")), "", Some("open /etc/shadow 0o0 0")),
        ("fd_install", format!("{},{}", int(3), file("socket:[7]")), "", None),
        ("security_file_open", file("/a"), r#","return":{"int_arg":-13}"#, Some("open /a 0o0 -13")),
        ("__x64_sys_openat", format!("{},{path},{}", int(-100), int(577)), "", Some("open /etc/passwd 0o1101 0")),
        ("sys_open", format!("{path},{}", int(2)), "", Some("open /etc/passwd 0o2 0")),
        ("sys_openat", format!("{},{}", int(5), r#"{"string_arg":"rel"}"#), "", None),
        ("sys_openat", format!("{},{}", int(-100), r#"{"string_arg":"rel"}"#), "", Some("open rel 0o0 0")),
        ("tcp_connect", sock.to_string(), "", Some("Connect 1.2.3.4 443 Some(Tcp) 0")),
        ("security_socket_connect", format!("{sock},{}", sockaddr("AF_INET6", "::1")), "", {
            Some("Connect ::1 53 Some(Tcp) 0")
        }),
        ("security_socket_bind", sockaddr("AF_UNIX", "/run/x"), "", Some("Bind /run/x 0 None 0")),
        ("security_socket_bind", sock.to_string(), "", Some("Bind 10.0.0.5 38472 Some(Tcp) 0")),
        ("tcp_connect", String::new(), "", None),
        ("tcp_close", sock.to_string(), "", None),
        ("security_bprm_check", file("/bin/x"), "", None),
    ] {
        let more = format!(r#","function_name":"{function}","args":[{args}]{returned}"#);
        let lines = decode(&[record("process_kprobe", &process("c", 7, "/x", "execve clone", 1, ""), "", &more)]);
        let expected = expected.map(|expected| format!(" 7@1{S} {expected}"));
        assert_eq!(lines.get(1), expected.as_ref(), "{function} {args}");
        assert_eq!(lines.len(), if expected.is_some() { 2 } else { 1 }, "{function} {args}");
    }
    let more = format!(r#","subsys":"syscalls","event":"sys_enter_openat","args":[{},{path}]"#, int(-100));
    let lines = decode(&[record("process_tracepoint", &process("c", 7, "/x", "execve", 1, ""), "", &more)]);
    assert_eq!(lines[1], format!(" 7@1{S} open /etc/passwd 0o0 0"));
}

#[test]
fn dns_questions() {
    for (dns, expected) in [
        (r#"{"names":["a.b.","c."],"question_types":["A"]}"#, &["dns a.b. 1", "dns c. 1"][..]),
        (r#"{"query":"a","names":["a"],"qtypes":["AAAA"]}"#, &["dns a 28"]),
        (r#"{"names":["a"],"question_types":["A"],"response":true}"#, &[]),
        (r#"{"names":["a"]}"#, &[]),
        (r#"{"names":[],"question_types":["A"]}"#, &[]),
    ] {
        let more = format!(r#","dns":{dns}"#);
        let lines = decode(&[record("process_dns", &process("c", 7, "/x", "execve", 1, ""), "", &more)]);
        let lines: Vec<_> = lines.iter().filter(|line| line.contains(" dns ")).collect();
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines.iter().zip(expected).all(|(line, dns)| line.contains(dns)), "{lines:?}");
    }
}

#[test]
fn arguments_are_split_at_spaces_outside_of_quotes() {
    for (text, args) in [
        ("", &[][..]),
        ("-D", &["-D"]),
        ("--port 80  --host x", &["--port", "80", "--host", "x"]),
        (r#"-c "scp -i x y" z"#, &["-c", "scp -i x y", "z"]),
        (r#"-c "scp -i x y""#, &["-c", "scp -i x y"]),
        (r#""a "b" c" d"#, &[r#"a "b"#, r#"c""#, "d"]),
        (r#"a"b c"#, &[r#"a"b"#, "c"]),
        (r#"" "#, &["\""]),
        (r#"""#, &["\""]),
        (r#""""#, &[""]),
    ] {
        assert_eq!(split_arguments(text).collect::<Vec<_>>(), args, "{text}");
    }
}

#[test]
fn programs_by_relative_path_and_without_a_file() {
    let exec = |binary: &str, more: &str| {
        decode(&[record("process_exec", &process("c", 7, binary, "execve clone", 1, more), "", "")]).remove(0)
    };
    assert_eq!(exec("./x", ""), format!(" 7@1{S} exec /w/./x [./x|] ppid 0"));
    assert_eq!(exec("memfd:x", ""), format!(" 7@1{S} exec memfd:x [memfd:x|] ppid 0 fileless"));
    let more = r#","binary_properties":{"file":{"inode":{"number":"5","links":0},"path":"memfd:x"}}"#;
    assert_eq!(
        exec("/proc/self/fd/3", more),
        format!(" 7@1{S} exec /proc/self/fd/3 [/proc/self/fd/3|] ppid 0 fileless")
    );
}

#[test]
fn what_is_no_record_of_tetragon() {
    let good = record("process_exec", &process("c", 7, "/x", "execve", 1, ""), "", "");
    for (record, expected) in [
        (good.clone(), Ok(Line::Event)),
        (good.replace("process_exec", "process_close"), Ok(Line::Ignored(Ignored::NoBehaviour))),
        ("{}".into(), Ok(Line::Ignored(Ignored::NoBehaviour))),
        ("[]".into(), Err(Rejected::Malformed)),
        (good[..good.len() - 1].into(), Err(Rejected::Malformed)),
        (good.replace(r#""pid":7,"#, ""), Err(Rejected::MissingField)),
        (good.replace(r#""pid":7,"#, r#""pid":-7,"#), Err(Rejected::InvalidValue)),
        (good.replace(r#""pid":7,"#, r#""pid":{},"#), Err(Rejected::WrongType)),
        (good.replace("00:00:09Z", "yesterday"), Err(Rejected::InvalidValue)),
        (good.replace("1970-01-01T00:00:09Z", "1969-01-01T00:00:09Z"), Err(Rejected::InvalidValue)),
        (r#"{"process_exec":{}}"#.into(), Err(Rejected::MissingField)),
    ] {
        let mut written = Written::default();
        let fate = TetragonDecoder::new().decode(record.as_bytes(), &mut written);
        assert_eq!(fate.map_err(|reject| reject.reason), expected, "{record}");
        assert_eq!(written.1, usize::from(expected == Ok(Line::Event)));
        assert!(expected.is_ok() || written.0.is_empty(), "{record}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut decoder = TetragonDecoder::new();
    let mut written = Written::default();
    for n in 0..(PROCESSES as u32 + 1000) {
        let docker = format!(r#","docker":"{n:024}""#);
        let exec = record("process_exec", &process(&n.to_string(), n + 1, "/x", "execve clone", 1, &docker), "", "");
        decoder.decode(exec.as_bytes(), &mut written).unwrap();
        written.0.clear();
    }
    assert_eq!((decoder.containers.len(), decoder.execs.len()), (CONTAINERS, PROCESSES));
    assert_eq!(decoder.running.len(), PROCESSES);
}

/// What a probe of `function` with these arguments tells, apart from who did it.
fn probed(function: &str, args: &str, more: &str) -> Option<String> {
    let known = process("c", 7, "/x", "execve clone", 1, "");
    let more = format!(r#","function_name":"{function}","args":[{args}]{more}"#);
    let events = decode(&[record("process_exec", &known, "", ""), record("process_kprobe", &known, "", &more)]);
    let reported = events.get(1)?.split_once(' ')?.1.split_once(' ')?.1.to_owned();
    Some(reported)
}

#[test]
fn policies_that_watch_files_by_permission_and_by_mapping() {
    let file = |path: &str| format!(r#"{{"file_arg":{{"path":"{path}","permission":"-rw-r--r--"}}}}"#);
    let ret = |ret: i32| format!(r#","return":{{"int_arg":{ret}}}"#);
    for (function, args, more, expected) in [
        ("security_file_permission", format!("{},{{\"int_arg\":2}}", file("/etc/passwd")), ret(0), {
            Some("open /etc/passwd 0o1 0")
        }),
        ("security_file_permission", format!("{},{{\"int_arg\":4}}", file("/e")), ret(0), Some("open /e 0o0 0")),
        ("security_file_permission", format!("{},{{\"int_arg\":6}}", file("/e")), ret(-13), Some("open /e 0o2 -13")),
        ("security_file_permission", format!("{},{{\"int_arg\":1}}", file("/e")), ret(0), None),
        ("security_mmap_file", format!("{},{{\"uint_arg\":1}}", file("/usr/lib/libc.so.6")), ret(0), {
            Some("map /usr/lib/libc.so.6")
        }),
        ("security_mmap_file", format!("{},{{\"uint_arg\":5}}", file("/usr/bin/x")), ret(0), Some("map /usr/bin/x")),
        ("security_mmap_file", format!("{},{{\"uint_arg\":1}}", file("/etc/x")), ret(0), Some("open /etc/x 0o0 0")),
        ("security_path_truncate", r#"{"path_arg":{"path":"/e"}}"#.into(), ret(0), Some("truncate ? /e 0")),
    ] {
        assert_eq!(probed(function, &args, &more).as_deref(), expected, "{function} {args}");
    }
}

#[test]
fn capabilities_changes_and_mounts() {
    let text = |text: &str| format!(r#"{{"string_arg":"{text}"}}"#);
    let cap = r#"{"user_ns_arg":{"level":0}},{"capability_arg":{"value":34,"name":"CAP_SYSLOG"}}"#;
    for (function, args, more, expected) in [
        ("cap_capable", cap.to_owned(), r#","return":{"int_arg":0}"#, Some("capability 34 true")),
        ("cap_capable", cap.to_owned(), r#","return":{"int_arg":-1}"#, Some("capability 34 false")),
        (
            "__x64_sys_unlinkat",
            format!(r#"{{"int_arg":-100}},{},{{"int_arg":0}}"#, text("a")),
            "",
            Some("delete ? a 0"),
        ),
        (
            "__x64_sys_unlinkat",
            format!(r#"{{"int_arg":-100}},{},{{"int_arg":512}}"#, text("a")),
            "",
            Some("rmdir ? a 0"),
        ),
        ("sys_unlinkat", format!(r#"{{"int_arg":5}},{},{{"int_arg":0}}"#, text("a")), "", None),
        (
            "__x64_sys_renameat",
            [r#"{"int_arg":-100}"#, &text("a"), r#"{"int_arg":-100}"#, &text("/b")].join(","),
            "",
            { Some("rename a /b 0") },
        ),
        ("sys_symlink", [text("../a"), text("/b")].join(","), "", Some("symlink ../a /b 0")),
        ("sys_rename", text("/b"), "", None),
        (
            "sys_mount",
            [text("tmpfs"), text("/mnt"), text("tmpfs"), r#"{"int_arg":6}"#.into()].join(","),
            "",
            Some("mount tmpfs /mnt tmpfs 6 0"),
        ),
        (
            "inet_csk_accept",
            String::new(),
            r#","return":{"sock_arg":{"type":"SOCK_STREAM","saddr":"10.0.0.1","sport":80,"daddr":"10.0.0.7","dport":40000}}"#,
            Some("Accept 10.0.0.7 80 Some(Tcp) 0"),
        ),
    ] {
        assert_eq!(probed(function, &args, more).as_deref(), expected, "{function} {args}");
    }
}

#[test]
fn a_process_is_known_from_any_record_that_describes_it() {
    let shell = process("p", 6, "/bin/sh", "execve clone", 1, "");
    let cat = process("c", 7, "/bin/cat", "execve clone", 2, "");
    let unknown = r#","function_name":"some_function","args":[]"#;
    let listen = r#","ip":"0.0.0.0","port":80"#;
    assert_eq!(
        decode(&[
            record("process_kprobe", &cat, &shell, unknown),
            record("process_uprobe", &cat, &shell, ""),
            record("process_listen", &cat, &shell, listen),
        ]),
        [
            format!("( 6@1{S} exec /bin/sh [/bin/sh|] ppid 0)"),
            format!("( 7@2{S} exec /bin/cat [/bin/cat|] ppid 6)"),
            format!(" 7@2{S} Bind 0.0.0.0 80 Some(Tcp) 0"),
        ]
    );
}

#[test]
fn a_close_tells_how_much_went_over_a_connection_that_was_made() {
    let known = process("c", 7, "/x", "execve clone", 1, "");
    let sides = |port| {
        format!(
            r#","source_ip":"10.0.0.1","source_port":{port},"destination_ip":"10.0.0.7","destination_port":443,"protocol":"TCP""#
        )
    };
    let stats = r#","stats":{"bytes_sent":"4364","bytes_received":"8874"}"#;
    let events = decode(&[
        record("process_exec", &known, "", ""),
        record("process_connect", &known, "", &sides(40_000)),
        record("process_close", &known, "", &(sides(40_001) + stats)),
        record("process_close", &known, "", &(sides(40_000) + stats)),
        record("process_close", &known, "", &(sides(40_000) + stats)),
    ]);
    let flow = format!(" 7@1{S} flow 10.0.0.7 443 Some(4364) Some(8874)");
    assert_eq!(events[1..], [format!(" 7@1{S} Connect 10.0.0.7 443 Some(Tcp) 0"), flow]);
}
