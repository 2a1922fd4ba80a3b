//! Events as Tracee writes them, raw and with parsed arguments, and what they become.
use super::*;
use crate::event::{Dns, Open, Peer, Socket};
use crate::ledger::Rejected;

#[derive(Default)]
struct Written(Vec<String>, usize);

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn line(event: Event<&[u8]>) -> String {
    let what = match event.body {
        Body::ContainerStart { image, tag } => format!("start {} {}", text(image), text(tag)),
        Body::Fork { ppid } => format!("fork from {ppid}"),
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
