//! Records as Inspektor Gadget writes them, and what they become.
use super::super::reported::Reported;
use super::*;
use crate::ledger::Rejected;

const RUNTIME: &str = r#""runtime":{"containerId":"c","containerImageName":"alpine:3.20","runtimeName":"docker"}"#;
const NESTED: &str = r#""proc":{"comm":"cat","pid":7,"tid":7,"creds":{"uid":33,"gid":33},"parent":{"comm":"sh","pid":6}},"timestamp":"2026-07-01T10:00:00.5Z""#;
const KNOWN: [&str; 2] = ["(c/0 start alpine:3.20)", "(c/7 exec cat [?] ppid 6 uid Some(33))"];

#[track_caller]
fn reported(records: &[String]) -> Vec<String> {
    super::super::reported::reported(GadgetDecoder::new(), records)
}

fn record(more: &str) -> String {
    format!("{{{NESTED},{RUNTIME},{more}}}")
}

#[test]
fn each_gadget_is_known_by_its_fields() {
    let tcp = |kind: &str| {
        format!(
            r#""type":"{kind}","src":{{"addr":"10.0.0.1","port":80,"proto":"TCP"}},"dst":{{"addr":"10.0.0.7","port":40000,"proto":"TCP"}},"error":"""#
        )
    };
    for (more, expected) in [
        (r#""fname":"/etc/passwd","flags":"O_WRONLY|O_CREAT","fd":3,"error":"""#.to_owned(), Some("open /etc/passwd 101 3")),
        (r#""fname":"/etc/shadow","flags":"O_RDONLY","flags_raw":2,"fd":0,"error":"EACCES""#.into(), Some("open /etc/shadow 2 -13")),
        (r#""fname":"/a","error_raw":2"#.into(), Some("open /a 0 -2")),
        (tcp("connect"), Some("connect 10.0.0.7 40000 Some(Tcp) 0")),
        (tcp("accept"), Some("accept 10.0.0.7 80 Some(Tcp) 0")),
        (tcp("close"), None),
        (r#""addr":{"addr":"0.0.0.0","port":53,"proto":"UDP"}"#.into(), Some("bind 0.0.0.0 53 Some(Udp) 0")),
        (r#""name":"a.b.","qtype":"AAAA","qr":"Q","src":{"addr":"10.0.0.1","port":1},"dst":{"addr":"10.0.0.2","port":53}"#.into(), {
            Some("dns a.b. 28")
        }),
        (r#""name":"a.b.","qtype":"A","qr":"R""#.into(), None),
        (r#""cap":"CAP_NET_ADMIN","cap_raw":12,"capable":false"#.into(), Some("capability 12 false")),
        (r#""cap":"SYSLOG","capable":true"#.into(), Some("capability 34 true")),
        (r#""op":"MOUNT","src":"tmpfs","dest":"/mnt","fs":"tmpfs","flags":"MS_NOSUID","flags_raw":2"#.into(), {
            Some("mount /mnt tmpfs 2 0")
        }),
        (r#""op":"UMOUNT","dest":"/mnt","fs":"""#.into(), None),
        (r#""sig":"SIGKILL""#.into(), None),
    ] {
        let expected: Vec<_> =
            KNOWN.iter().map(|&line| line.to_owned()).chain(expected.map(|reported| format!("c/7 {reported}"))).collect();
        assert_eq!(reported(&[record(&more)]), expected, "{more}");
    }
}

#[test]
fn an_exec_tells_the_file() {
    let exec =
        r#""args":"/bin/cat\u00a0-n /etc/passwd","exepath":"/usr/bin/cat","cwd":"/","upper_layer":true,"error":"""#;
    let failed = r#""args":"/bin/no","exepath":"","error":"ENOENT""#;
    assert_eq!(
        reported(&[record(exec), record(failed), record(r#""fname":"/a","fd":3"#)]),
        [
            "(c/0 start alpine:3.20)",
            "c/7 exec /usr/bin/cat [/bin/cat|-n|/etc/passwd|] ppid 6 uid Some(33) upper",
            "c/7 open /a 0 3",
        ]
    );
}

#[test]
fn records_of_before_2024_are_flat() {
    let head = r#""comm":"cat","pid":7,"tid":7,"ppid":6,"uid":0,"mountnsid":4026532,"timestamp":5"#;
    let lines = [
        format!(r#"{{{head},"args":["cat","a b"],"retval":0}}"#),
        format!(r#"{{{head},"path":"/a","flags":["O_RDWR","O_CREAT"],"ret":3}}"#),
        // Another thread's name is not its process's.
        format!(r#"{{{},"path":"/a","ret":3}}"#, head.replace(":7", ":8").replace("\"tid\":8", "\"tid\":9")),
    ];
    assert_eq!(reported(&lines), ["/7 exec cat [cat|a b|] ppid 6 uid Some(0)", "/7 open /a 102 3", "/8 open /a 0 3"]);
}

#[test]
fn what_is_no_record_of_a_gadget() {
    for (record, reason) in [
        ("", Rejected::Malformed),
        ("{}", Rejected::MissingField),
        (r#"{"timestamp":"x","pid":7}"#, Rejected::InvalidValue),
        (r#"{"timestamp":5}"#, Rejected::MissingField),
        (r#"{"timestamp":5,"pid":-1}"#, Rejected::InvalidValue),
        (r#"{"timestamp":5,"pid":"x"}"#, Rejected::WrongType),
    ] {
        let reject = GadgetDecoder::new().decode(record.as_bytes(), &mut Reported::default()).unwrap_err();
        assert_eq!(reject.reason, reason, "{record}");
    }
}
