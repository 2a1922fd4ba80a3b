//! Events as Kunai writes them, and what they become.
use super::super::reported::Reported;
use super::*;
use crate::ledger::Rejected;

fn record(name: &str, pid: u32, data: &str) -> String {
    let info = format!(
        r#"{{"host":{{"hostname":"h","container":{{"name":"c","type":"docker"}}}},"event":{{"source":"kunai","id":1,"name":"{name}"}},"task":{{"name":"x","pid":{pid},"tgid":7,"uid":33,"gid":33}},"parent_task":{{"pid":6,"tgid":6}},"utc_time":"2026-07-01T10:00:00.5Z"}}"#
    );
    format!(
        r#"{{"data":{{"command_line":"cat -n /a","exe":{{"path":"/usr/bin/cat","sha1":"0"}}{data}}},"info":{info}}}"#
    )
}

#[track_caller]
fn reported(records: &[String]) -> Vec<String> {
    super::super::reported::reported(KunaiDecoder::new(), records)
}

const KNOWN: &str = "(c/7 exec /usr/bin/cat [cat|-n|/a|] ppid 6 uid Some(33))";

#[test]
fn events_become_what_they_are() {
    let dst = r#","dst":{"hostname":"?","ip":"1.2.3.4","port":443,"public":true}"#;
    for (name, data, expected) in [
        ("read_config", r#","path":"/etc/passwd""#.to_owned(), Some("open /etc/passwd 0 0")),
        ("write", r#","path":"/a""#.into(), Some("open /a 1 0")),
        ("write", r#","path":"?""#.into(), None),
        ("mmap_exec", r#","mapped":{"path":"/lib/libc.so.6","md5":"0"}"#.into(), Some("map /lib/libc.so.6 0 0")),
        ("mmap_exec", r#","mapped":"/lib/libc.so.6""#.into(), Some("map /lib/libc.so.6 0 0")),
        ("file_create", r#","path":"/a""#.into(), Some("create ? /a 0")),
        ("file_unlink", r#","path":"/a","success":false"#.into(), Some("delete ? /a -1")),
        ("file_rename", r#","old":"/a","new":"/b""#.into(), Some("rename /a /b 0")),
        ("connect", format!(r#"{dst},"socket":{{"type":"SOCK_STREAM","proto":"TCP"}},"connected":true"#), {
            Some("connect 1.2.3.4 443 Some(Tcp) 0")
        }),
        ("connect", dst.into(), Some("connect 1.2.3.4 443 None 0")),
        ("dns_query", r#","query":"a.b","response":"1.2.3.4""#.into(), Some("dns a.b 1")),
        ("dns_query", r#","query":"a.b","response":"::1""#.into(), Some("dns a.b 28")),
        ("prctl", String::new(), None),
    ] {
        let expected: Vec<_> =
            [KNOWN.to_owned()].into_iter().chain(expected.map(|reported| format!("c/7 {reported}"))).collect();
        assert_eq!(reported(&[record(name, 7, &data)]), expected, "{name} {data}");
    }
}

#[test]
fn programs_come_and_go() {
    assert_eq!(
        reported(&[
            record("execve", 7, ""),
            record("execve_script", 7, r#","interpreter":{"path":"/bin/sh"}"#),
            // A thread's end is not its process's.
            record("exit", 8, ""),
            record("exit_group", 7, ""),
            record("read", 7, r#","path":"/a""#),
        ]),
        [
            "c/7 exec /usr/bin/cat [cat|-n|/a|] ppid 6 uid Some(33)",
            "c/7 exec /usr/bin/cat by /bin/sh [cat|-n|/a|] ppid 6 uid Some(33)",
            "c/7 exit",
            KNOWN,
            "c/7 open /a 0 0",
        ]
    );
}

#[test]
fn a_host_has_no_container() {
    let host = record("read", 7, r#","path":"/a""#).replace(r#"{"name":"c","type":"docker"}"#, "null");
    assert_eq!(reported(&[host])[1], "/7 open /a 0 0");
}

#[test]
fn what_is_no_event_of_kunai() {
    let whole = record("read", 7, r#","path":"/a""#);
    for (record, reason) in [
        (String::new(), Rejected::Malformed),
        ("{}".into(), Rejected::MissingField),
        (whole.replace("\"name\":\"read\"", "\"x\":0"), Rejected::MissingField),
        (whole.replace("\"utc_time\"", "\"x\""), Rejected::MissingField),
        (whole.replace("2026-07", "2026-17"), Rejected::InvalidValue),
        (whole.replace("\"tgid\":7", "\"tgid\":-7"), Rejected::InvalidValue),
        (whole.replace("\"tgid\":7", "\"tgid\":[]"), Rejected::WrongType),
    ] {
        let reject = KunaiDecoder::new().decode(record.as_bytes(), &mut Reported::default()).unwrap_err();
        assert_eq!(reject.reason, reason, "{record}");
    }
}
