//! Events as Tracee writes them, raw and with parsed arguments, and what they become.
use super::*;
use crate::event::{Capability, Change, Imds, Mount, Open, Peer, Socket, syscall_numbers};
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
            let argv = e.argv.map_or("?".into(), text).replace("\\x00", " ");
            format!("exec {} [{}] ppid {} uid {:?}", text(e.path), argv.trim_end(), e.ppid, e.uid)
        }
        Body::Exit => "exit".into(),
        Body::Open(Open { path, flags, ret, map: false }) => format!("open {} {flags:#o} {ret}", text(path)),
        Body::Socket(Socket { op, peer, port, proto, ret }) => {
            let peer = match peer {
                Peer::Ip(ip) => ip.to_string(),
                Peer::Unix(path) => text(path),
            };
            format!("{op:?} {peer} {port} {proto:?} {ret}")
        }
        Body::Dns(Dns { name, qtype }) => format!("dns {} {qtype}", text(name)),
        Body::Open(Open { path, map: true, .. }) => format!("map {}", text(path)),
        Body::Change(Change { op, path, from, ret }) => {
            format!("{} {} {} {ret}", op.name(), from.map_or("?".into(), text), text(path))
        }
        Body::Mount(Mount { path, fstype, source, flags, ret }) => {
            format!("mount {} {} {} {flags} {ret}", source.map_or("?".into(), text), text(path), text(fstype))
        }
        Body::Capability(Capability { cap, used }) => format!("capability {cap} {used}"),
        Body::Syscalls(Syscalls { nrs }) => format!("syscalls {:?}", syscall_numbers(nrs).collect::<Vec<_>>()),
        Body::Imds(Imds { path, provider, token }) => {
            format!("imds {} {} {:?}", provider.map_or("?".into(), text), text(path), token)
        }
        other => panic!("Tracee told {other:?}"),
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

/// An event of thread 8 of process 7 in container `c`, unless `head` says otherwise.
fn record(name: &str, args: &str, head: &str) -> String {
    let head = if head.is_empty() { r#""hostThreadId":7,"container":{"id":"c"}"# } else { head };
    format!(
        r#"{{"timestamp":5,"threadStartTime":3,"hostProcessId":7,"hostParentProcessId":6,"userId":33,{head},"eventName":"{name}","args":[{args}]}}"#
    )
}

fn arg(name: &str, value: &str) -> String {
    format!(r#"{{"name":"{name}","type":"t","value":{value}}}"#)
}

#[track_caller]
fn check(record: &str, expected: Result<&[&str], Rejected>) {
    let mut written = Written::default();
    let fate = TraceeDecoder::new().decode(record.as_bytes(), &mut written);
    assert_eq!(written.1, usize::from(fate == Ok(Line::Event)), "{record}");
    let got = fate.map(|_| written.0.iter().map(String::as_str).collect::<Vec<_>>()).map_err(|reject| reject.reason);
    assert_eq!(got.as_deref(), expected.as_ref().map(|lines| *lines), "{record}");
}

#[test]
fn events_become_what_they_are() {
    let dns = |qr: u8, questions: &str| arg("proto_dns", &format!(r#"{{"QR":{qr},"questions":[{questions}]}}"#));
    let question = |name: &str, kind: &str| format!(r#"{{"name":"{name}","type":"{kind}","class":"IN"}}"#);
    let path = |path: &str| arg("pathname", &format!("\"{path}\""));
    let v4 = r#"{"sa_family":"AF_INET","sin_port":"443","sin_addr":"1.2.3.4"}"#;
    let v6 = r#"{"sa_family":"AF_INET6","sin6_port":53,"sin6_addr":"::1","sin6_flowinfo":"0","sin6_scopeid":"0"}"#;
    let unix = r#"{"sa_family":"AF_UNIX","sun_path":"\u0000abs"}"#;
    let numbers =
        |names: &[(&str, u32)]| names.iter().map(|(n, v)| arg(n, &v.to_string())).collect::<Vec<_>>().join(",");
    for (name, args, expected) in [
        ("net_packet_dns", dns(0, &question("a.b", "A")), &["c 7@3 dns a.b 1"][..]),
        ("net_packet_dns", dns(1, &question("a.b", "A")), &[]),
        ("net_packet_dns", dns(0, ""), &[]),
        ("net_packet_dns", dns(0, &question("", "NS")), &["c 7@3 dns . 2"]),
        ("net_packet_dns", dns(0, &question("a", "Unknown")), &[]),
        ("net_packet_dns", dns(0, &[question("a", "MX"), question("b", "SRV")].join(",")), {
            &["c 7@3 dns a 15", "(c 7@3 dns b 33)"]
        }),
        (
            "net_packet_dns_request",
            arg("dns_questions", r#"[{"query":"a.b","query_type":"AAAA","query_class":"IN"}]"#),
            &["c 7@3 dns a.b 28"],
        ),
        (
            "sched_process_exec",
            [path("/bin/exa"), arg("argv", r#"["exa","-l"]"#)].join(","),
            &["c 7@3 exec /bin/exa [exa -l] ppid 6 uid Some(33)"],
        ),
        ("sched_process_exec", [path("/bin/exa"), arg("argv", "null")].join(","), {
            &["c 7@3 exec /bin/exa [?] ppid 6 uid Some(33)"]
        }),
        ("sched_process_fork", numbers(&[("parent_pid", 7), ("child_tid", 9), ("child_pid", 9)]), {
            &["c 9 fork from 7"]
        }),
        ("sched_process_fork", numbers(&[("parent_pid", 7), ("child_tid", 9), ("child_pid", 7)]), &[]),
        ("sched_process_exit", arg("process_group_exit", "true"), &["c 7@3 exit"]),
        ("sched_process_exit", arg("process_group_exit", "false"), &[]),
        ("sched_process_exit", String::new(), &["c 7@3 exit"]),
        ("open", [path("/x"), arg("flags", "577")].join(","), &["c 7@3 open /x 0o1101 0"]),
        ("creat", path("/x"), &["c 7@3 open /x 0o1101 0"]),
        ("security_file_open", [path("/x"), arg("flags", "\"O_RDWR|O_LARGEFILE\"")].join(","), {
            &["c 7@3 open /x 0o100002 0"]
        }),
        ("openat", [arg("dirfd", "-100"), path("x"), arg("flags", "0")].join(","), &["c 7@3 open x 0o0 0"]),
        ("openat", [arg("dirfd", "\"AT_FDCWD\""), path("x")].join(","), &["c 7@3 open x 0o0 0"]),
        ("openat", [arg("dirfd", "4"), path("x")].join(","), &[]),
        ("security_socket_connect", [arg("type", "\"SOCK_STREAM\""), arg("remote_addr", v4)].join(","), {
            &["c 7@3 Connect 1.2.3.4 443 Some(Tcp) 0"]
        }),
        ("security_socket_bind", [arg("type", "2"), arg("local_addr", v6)].join(","), {
            &["c 7@3 Bind ::1 53 Some(Udp) 0"]
        }),
        ("connect", arg("addr", unix), &["c 7@3 Connect @abs 0 None 0"]),
        ("connect", arg("addr", r#"{"sa_family":"AF_NETLINK"}"#), &[]),
        ("connect", arg("addr", "null"), &[]),
        ("magic_write", arg("bytes", "\"x\""), &[]),
    ] {
        check(&record(name, &args, ""), Ok(expected));
    }
}

#[test]
fn changes_mounts_capabilities_and_who_was_let_in() {
    let texts = |list: &[(&str, &str)]| {
        list.iter().map(|(name, value)| arg(name, &format!("\"{value}\""))).collect::<Vec<_>>().join(",")
    };
    let v4 = |ip: &str, port: u16| format!(r#"{{"sa_family":"AF_INET","sin_port":"{port}","sin_addr":"{ip}"}}"#);
    let request = |dst: &str| {
        let head = r#"{"method":"GET","host":"x","uri_path":"/latest/meta-data/iam?x=1","headers":{"X-Aws-Ec2-Metadata-Token":["s3cret"]}}"#;
        [texts(&[("src", "10.0.0.1"), ("dst", dst)]), arg("http_request", head)].join(",")
    };
    for (name, args, expected) in [
        ("security_inode_unlink", texts(&[("pathname", "/a")]), &["c 7@3 delete ? /a 0"][..]),
        ("unlinkat", [arg("dirfd", "-100"), texts(&[("pathname", "a")]), arg("flags", "512")].join(","), {
            &["c 7@3 rmdir ? a 0"]
        }),
        ("unlinkat", [arg("dirfd", "4"), texts(&[("pathname", "a")]), arg("flags", "0")].join(","), &[]),
        ("security_inode_rename", texts(&[("old_path", "/a"), ("new_path", "/b")]), &["c 7@3 rename /a /b 0"]),
        (
            "renameat",
            [arg("olddirfd", "4"), arg("newdirfd", "-100"), texts(&[("oldpath", "a"), ("newpath", "b")])].join(","),
            &["c 7@3 rename ? b 0"],
        ),
        ("security_inode_symlink", texts(&[("linkpath", "/l"), ("target", "../a")]), &["c 7@3 symlink ../a /l 0"]),
        ("security_inode_mknod", texts(&[("file_name", "/a")]), &["c 7@3 create ? /a 0"]),
        ("chmod_common", texts(&[("pathname", "/a")]), &["c 7@3 chmod ? /a 0"]),
        (
            "security_sb_mount",
            [texts(&[("dev_name", "tmpfs"), ("path", "/mnt"), ("type", "tmpfs")]), arg("flags", "2")].join(","),
            &["c 7@3 mount tmpfs /mnt tmpfs 2 0"],
        ),
        ("cap_capable", arg("cap", "21"), &["c 7@3 capability 21 true"]),
        ("cap_capable", arg("cap", "99"), &[]),
        ("shared_object_loaded", texts(&[("pathname", "/lib/libc.so.6")]), &["c 7@3 map /lib/libc.so.6"]),
        ("security_mmap_file", [texts(&[("pathname", "/a")]), arg("prot", "1")].join(","), &[]),
        ("security_mmap_file", [texts(&[("pathname", "/a")]), arg("prot", "5")].join(","), &["c 7@3 map /a"]),
        (
            "socket_accept",
            [arg("local_addr", &v4("10.0.0.1", 80)), arg("remote_addr", &v4("10.0.0.7", 40000))].join(","),
            &["c 7@3 Accept 10.0.0.7 80 Some(Tcp) 0"],
        ),
        ("security_socket_listen", arg("local_addr", &v4("0.0.0.0", 80)), &["c 7@3 Bind 0.0.0.0 80 Some(Tcp) 0"]),
        ("net_tcp_connect", [texts(&[("dst", "1.2.3.4")]), arg("dst_port", "443")].join(","), {
            &["c 7@3 Connect 1.2.3.4 443 Some(Tcp) 0"]
        }),
        ("net_packet_http_request", request("169.254.169.254"), &["c 7@3 imds aws /latest/meta-data/iam Some(V2)"]),
        ("net_packet_http_request", request("10.0.0.7"), &[]),
        ("sys_enter", arg("syscall", "59"), &["c 7@3 syscalls [59]"]),
        ("container_create", texts(&[("container_id", "d"), ("container_image", "redis:7")]), &["d 0 start redis 7"]),
    ] {
        check(&record(name, &args, ""), Ok(expected));
    }
}

/// An event as Tracee writes it since 2026, of thread `tid` of process 7.
fn v1beta1(name: &str, tid: u32, data: &str) -> String {
    format!(
        r#"{{"timestamp":"1970-01-01T00:00:05Z","id":"{name}","name":"{name}","workload":{{"process":{{"executable":{{"path":"/usr/bin/ls"}},"unique_id":1,"host_pid":7,"pid":2,"real_user":{{"id":33}},"thread":{{"start_time":"1970-01-01T00:00:03Z","name":"ls","host_tid":{tid},"tid":2}},"ancestors":[{{"host_pid":6}},{{"host_pid":1}}]}},"container":{{"id":"c","name":"c","image":{{"id":"x","name":"alpine:3.20"}},"started":true}}}},"data":[{data}]}}"#
    )
}

#[test]
fn events_of_v1beta1_are_read() {
    let start = "(c 0 start alpine 3.20)";
    let known = "(c 7@3000000000 exec /usr/bin/ls [?] ppid 6 uid Some(33))";
    let path = r#"{"name":"pathname","str":"/etc/passwd"}"#;
    for (name, data, expected) in [
        ("security_file_open", format!(r#"{path},{{"name":"flags","int32":32769}}"#), &[start, known, {
            "c 7@3000000000 open /etc/passwd 0o100001 0"
        }][..]),
        (
            "openat",
            format!(r#"{{"name":"dirfd","int32":-100}},{path},{{"name":"returnValue","int64":"-13"}}"#),
            &[start, known, "c 7@3000000000 open /etc/passwd 0o0 -13"],
        ),
        (
            "sched_process_exec",
            format!(r#"{path},{{"name":"argv","str_array":{{"value":["ls","-l"]}}}}"#),
            &[start, "c 7@3000000000 exec /etc/passwd [ls -l] ppid 6 uid Some(33)"],
        ),
        (
            "security_socket_connect",
            r#"{"name":"type","str":"SOCK_STREAM"},{"name":"remote_addr","sockaddr":{"sa_family":"AF_INET","sin_addr":"1.2.3.4","sin_port":443}}"#.into(),
            &[start, known, "c 7@3000000000 Connect 1.2.3.4 443 Some(Tcp) 0"],
        ),
        (
            "net_packet_dns",
            r#"{"name":"proto_dns","dns":{"id":1,"qd_count":1,"questions":[{"name":"a.b","type":"A","class":"IN"}]}}"#.into(),
            &[start, known, "c 7@3000000000 dns a.b 1"],
        ),
        (
            "net_packet_dns_request",
            r#"{"name":"dns_questions","dns_questions":{"questions":[{"query":"a.b","query_type":"AAAA"}]}}"#.into(),
            &[start, known, "c 7@3000000000 dns a.b 28"],
        ),
        ("sched_process_exit", r#"{"name":"process_group_exit","bool":true}"#.into(),
            &[start, "c 7@3000000000 exit"]),
        ("some_detector", String::new(), &[]),
    ] {
        check(&v1beta1(name, 7, &data), Ok(expected));
    }
    for (record, reason) in [
        (v1beta1("creat", 7, path).replace("\"name\":\"creat\"", "\"x\":0"), Rejected::MissingField),
        (v1beta1("creat", 7, path).replace("\"host_pid\":7", "\"x\":7"), Rejected::MissingField),
        (v1beta1("creat", 7, path).replace("00:00:05Z", "today"), Rejected::InvalidValue),
        (v1beta1("creat", 7, ""), Rejected::MissingField),
    ] {
        check(&record, Err(reason));
    }
}

/// Once, and of a fork that was told not at all.
#[test]
fn a_program_that_was_not_seen_to_start_is_implied() {
    let path = r#"{"name":"pathname","str":"/a"}"#;
    let mut decoder = TraceeDecoder::new();
    let mut written = Written::default();
    let fork = r#"{"name":"child_pid","int32":9},{"name":"child_tid","int32":9},{"name":"parent_pid","int32":7}"#;
    for record in [
        v1beta1("creat", 8, path),
        v1beta1("creat", 7, path),
        v1beta1("sched_process_fork", 7, fork),
        v1beta1("creat", 9, path).replace("\"host_pid\":7", "\"host_pid\":9"),
    ] {
        decoder.decode(record.as_bytes(), &mut written).unwrap();
    }
    let open = "open /a 0o1101 0";
    assert_eq!(
        written.0,
        [
            "(c 0 start alpine 3.20)".to_owned(),
            "(c 7 exec /usr/bin/ls [?] ppid 6 uid Some(33))".to_owned(),
            format!("c 7 {open}"),
            format!("c 7@3000000000 {open}"),
            "c 9 fork from 7".to_owned(),
            format!("c 9@3000000000 {open}"),
        ]
    );
}

#[test]
fn a_container_is_told_once_and_by_any_spelling() {
    let mut decoder = TraceeDecoder::new();
    let mut written = Written::default();
    let path = arg("pathname", "\"/x\"");
    for head in [
        r#""hostThreadId":7,"container":{"id":"c","image":"r:5000/nginx:1"}"#,
        r#""hostThreadId":7,"container":{"id":"c","image":"r:5000/nginx:1"}"#,
        r#""hostThreadId":8,"containerId":"d","containerImage":"redis","container":{}"#,
        r#""hostThreadId":8,"containerId":"","container":{}"#,
    ] {
        decoder.decode(record("creat", &path, head).as_bytes(), &mut written).unwrap();
    }
    let open = "open /x 0o1101 0";
    assert_eq!(
        written.0,
        [
            "(c 0 start r:5000/nginx 1)".to_string(),
            format!("c 7@3 {open}"),
            format!("c 7@3 {open}"),
            "(d 0 start redis latest)".to_string(),
            // Another thread's start says nothing about the process's.
            format!("d 7 {open}"),
            format!(" 7 {open}"),
        ]
    );
}

#[test]
fn what_is_no_event_of_tracee() {
    for (record, reason) in [
        ("".to_string(), Rejected::Malformed),
        ("[]".to_string(), Rejected::Malformed),
        ("{}".to_string(), Rejected::MissingField),
        (record("sched_process_exec", "", ""), Rejected::MissingField),
        (record("sched_process_exec", &arg("pathname", "7"), ""), Rejected::WrongType),
        (record("creat", &arg("pathname", "\"/x\""), "").replace(":7,", ":-7,"), Rejected::InvalidValue),
        (record("creat", &arg("pathname", "\"/x\""), "").replace(":7,", ":4294967296,"), Rejected::InvalidValue),
        (record("creat", &arg("pathname", "\"/x\""), "").replace("\"timestamp\":5,", ""), Rejected::MissingField),
        (
            record("creat", &arg("pathname", "\"/x\""), "").replace(":5,", ":5,\"timestamp\":6,"),
            Rejected::DuplicateField,
        ),
        (record("creat", "7", ""), Rejected::WrongType),
    ] {
        check(&record, Err(reason));
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_decoded_or_rejected(name in "(openat|connect|net_packet_dns|sched_process_(exec|fork|exit))", args in "[\\[\\]{}\",:0-9a-z]{0,60}") {
        let mut written = Written::default();
        let fate = TraceeDecoder::new().decode(record(&name, &args, "").as_bytes(), &mut written);
        proptest::prop_assert_eq!(written.1, usize::from(fate == Ok(Line::Event)));
    }
}
