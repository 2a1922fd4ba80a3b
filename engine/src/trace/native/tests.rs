#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write;

use super::*;
use crate::event::{
    Capability, Change, Dns, EventBuf, Flow, Imds, Mount, Open, Peer, Socket, Syscalls, syscall_numbers,
};

/// What one line decodes to, in a few words. The decoder has read a header.
fn decode(line: impl AsRef<[u8]>) -> String {
    let mut decoder = NativeDecoder { started: true, ..NativeDecoder::default() };
    decode_with(&mut decoder, line.as_ref())
}

fn decode_with(decoder: &mut NativeDecoder, line: &[u8]) -> String {
    let mut events = EventBuf::new();
    match decoder.decode(line, &mut events) {
        Ok(Line::Event) => {
            let mut all = events.iter();
            let (Some(stored), None) = (all.next(), all.next()) else { panic!("not one event") };
            assert!(stored.counted);
            show(stored.event)
        }
        other => {
            assert!(events.is_empty());
            match other {
                Ok(Line::Ignored(reason)) => format!("ignored {}", reason.name()),
                Ok(_) => "header".into(),
                Err(e) => format!("{} {}", e.reason.name(), e.field.unwrap_or("-")),
            }
        }
    }
}

fn show(event: Event<&[u8]>) -> String {
    let s = |b: &[u8]| b.escape_ascii().to_string();
    let mut out = format!("{} {} {}", event.ts, s(event.container), event.pid);
    if let Some(start) = event.start {
        write!(out, "@{start}").unwrap();
    }
    out.push(' ');
    match event.body {
        Body::ContainerStart { image, tag } => write!(out, "start {}:{}", s(image), s(tag)),
        Body::ContainerStop => write!(out, "stop"),
        Body::Missed { cause, n } => write!(out, "missed {} {n}", s(cause)),
        Body::Fork { ppid, .. } => write!(out, "fork {ppid}"),
        Body::Exec(e) => write!(
            out,
            "exec {} {} {:?} {:?} {:?} {} {} {}{}",
            e.ppid,
            s(e.path),
            e.argv.map(s),
            e.cwd.map(s),
            e.uid,
            e.fileless,
            e.upper_layer,
            e.interpreter.map(s).unwrap_or_default(),
            match e.runtime {
                Some(true) => " by the runtime",
                Some(false) => " by the workload",
                None => "",
            }
        ),
        Body::Exit => write!(out, "exit"),
        Body::Open(Open { path, flags, ret, map }) => {
            write!(out, "open {} {flags} {ret}{}", s(path), if map { " mapped" } else { "" })
        }
        Body::Change(Change { op, path, from, ret }) => {
            write!(out, "{} {} {:?} {ret}", op.name(), s(path), from.map(s))
        }
        Body::Mount(Mount { path, fstype, source, flags, ret }) => {
            write!(out, "mount {} {} {:?} {flags} {ret}", s(path), s(fstype), source.map(s))
        }
        Body::Imds(Imds { path, provider, token }) => {
            write!(out, "imds {} {:?} {token:?}", s(path), provider.map(s))
        }
        Body::Flow(Flow { op, peer, port, proto, sent, received }) => {
            write!(out, "flow {op:?} {peer:?} {port} {proto:?} {sent:?} {received:?}")
        }
        Body::Socket(Socket { op, peer, port, proto, ret }) => {
            let peer = match peer {
                Peer::Ip(ip) => ip.to_string(),
                Peer::Unix(path) => s(path),
            };
            write!(out, "{op:?} {peer} {port} {proto:?} {ret}")
        }
        Body::Dns(Dns { name, qtype }) => write!(out, "dns {} {qtype}", s(name)),
        Body::Syscalls(Syscalls { nrs }) => write!(out, "syscalls {:?}", syscall_numbers(nrs).collect::<Vec<_>>()),
        Body::Capability(Capability { cap, used }) => write!(out, "cap {cap} {used}"),
    }
    .unwrap();
    out
}

#[test]
fn every_type_with_all_its_fields() {
    for (line, expect) in [
        (r#"{"ts":1,"type":"container_start","container":"c","image":"i","tag":"t"}"#, "1 c 0 start i:t"),
        (
            r#"{"ts":1,"type":"container_start","container":"c","image":"i","tag":"t","labels":{"a":"b","c":""},
              "cgroup_id":18446744073709551615,"runtime":"docker","pod":"p","namespace":"n","pid":"whatever"}"#,
            "1 c 0 start i:t",
        ),
        (r#"{"ts":1,"type":"container_stop","container":"c"}"#, "1 c 0 stop"),
        (r#"{"ts":1,"type":"missed","container":"c","cause":"ring_full_open","n":7}"#, "1 c 0 missed ring_full_open 7"),
        (r#"{"ts":1,"type":"fork","container":"","pid":4294967295,"ppid":0,"uid":3}"#, "1  4294967295 fork 0"),
        (
            r#"{"ts":18446744073709551615,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/bin/sh"}"#,
            "18446744073709551615 c 2 exec 1 /bin/sh None None None false false ",
        ),
        (
            r#"{"type":"exec","container":"c","pid":2,"ppid":1,"path":"/a\u0062\n","argv":["sh","-c","\"é\"",""],"uid":0,
              "gid":5,"cwd":"/w","interpreter":"/i","inode":7,"fileless":true,"argv_truncated":false,
              "upper_layer":true,"runtime":true,"start":9,"ts":1}"#,
            r#"1 c 2@9 exec 1 /ab\n Some("sh\\x00-c\\x00\\\"\\xc3\\xa9\\\"\\x00\\x00") Some("/w") Some(0) true true /i by the runtime"#,
        ),
        (
            r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path_b64":"L/8=","argv_b64":["/w==","","YQ"],"cwd_b64":"Lw",
              "interpreter_b64":"L/8","runtime":false}"#,
            r#"1 c 2 exec 1 /\xff Some("\\xff\\x00\\x00a\\x00") Some("/") None false false /\xff by the workload"#,
        ),
        (
            r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"x","argv":[]}"#,
            r#"1 c 2 exec 1 x Some("") None None false false "#,
        ),
        (r#"{"ts":1,"type":"exit","container":"c","pid":2,"code":-1,"signal":9}"#, "1 c 2 exit"),
        (r#"{"ts":1,"type":"open","container":"c","pid":2,"path":"rel"}"#, "1 c 2 open rel 0 0"),
        (
            r#"{"ts":1,"type":"open","container":"c","pid":2,"path":"/a","flags":32769,"mode":438,"ret":-2}"#,
            "1 c 2 open /a 32769 -2",
        ),
        (
            r#"{"ts":1,"type":"connect","container":"c","pid":2,"family":"inet","addr":"10.0.0.1","port":65535,"proto":"tcp","ret":-115}"#,
            "1 c 2 Connect 10.0.0.1 65535 Some(Tcp) -115",
        ),
        (
            r#"{"ts":1,"type":"bind","container":"c","pid":2,"family":"inet6","addr":"fe80::1%eth0","port":0,"proto":"udp"}"#,
            "1 c 2 Bind fe80::1 0 Some(Udp) 0",
        ),
        (
            r#"{"ts":1,"type":"connect","container":"c","pid":2,"family":"inet6","addr":"::ffff:1.2.3.4","port":1}"#,
            "1 c 2 Connect ::ffff:1.2.3.4 1 None 0",
        ),
        (
            r#"{"ts":1,"type":"connect","container":"c","pid":2,"family":"unix","addr":"/run/x.sock","port":0}"#,
            "1 c 2 Connect /run/x.sock 0 None 0",
        ),
        (r#"{"ts":1,"type":"bind","container":"c","pid":2,"family":"unix","addr":"@x"}"#, "1 c 2 Bind @x 0 None 0"),
        (
            r#"{"ts":1,"type":"bind","container":"c","pid":2,"family":"unix","addr_b64":"L/8="}"#,
            "1 c 2 Bind /\\xff 0 None 0",
        ),
        (
            r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"Example.COM.","qtype":"AAAA","server":"1.1.1.1","rcode":3}"#,
            "1 c 2 dns Example.COM. 28",
        ),
        (r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"","qtype":65535}"#, "1 c 2 dns  65535"),
        (r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"a","qtype":"TYPE123"}"#, "1 c 2 dns a 123"),
        (
            r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[0,59,4294967295]}"#,
            "1 c 2 syscalls [0, 59, 4294967295]",
        ),
        (r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[]}"#, "1 c 2 syscalls []"),
        (
            r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[63,221,437],"arch":"aarch64"}"#,
            "1 c 2 syscalls [0, 59, 437]",
        ),
        (r#"{"ts":1,"type":"syscalls","arch":"x86_64","container":"c","pid":2,"nrs":[63]}"#, "1 c 2 syscalls [63]"),
        (r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":63}"#, "1 c 2 cap 63 true"),
        (
            r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":"CAP_NET_RAW","used":false}"#,
            "1 c 2 cap 13 false",
        ),
    ] {
        assert_eq!(decode(line), expect, "{line}");
    }
}

const OPEN: &str = r#"{"ts":1,"type":"open","container":"c","pid":2,"path":"/a"}"#;

#[test]
fn null_is_absent() {
    let with = OPEN.replace('}', r#","flags":null,"ret":null,"start":null,"path_b64":null,"mode":null}"#);
    assert_eq!(decode(with), decode(OPEN));
    assert_eq!(decode(OPEN.replace("\"c\"", "null")), "missing_field container");
    assert_eq!(decode(OPEN.replace("\"open\"", "null")), "missing_field type");
    let used = r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":1,"used":null}"#;
    assert_eq!(decode(used), "1 c 2 cap 1 true");
}

#[test]
fn what_is_not_an_object_is_malformed() {
    let cut = &OPEN[..20];
    for line in [
        "",
        " ",
        "null",
        "[]",
        "[{}]",
        "1",
        "\"x\"",
        "{",
        "}",
        "{}x",
        "{\"type\"}",
        "not json",
        "{'a':1}",
        "\u{feff}{}",
        cut,
    ] {
        assert_eq!(decode(line), "malformed -", "{line}");
    }
    assert_eq!(decode(OPEN.replace("\"path\"", "\"x\":[1,},\"path\"")), "malformed -");
    assert_eq!(decode(OPEN.replace("/a", "/\t")), "malformed -", "a raw control character");
    assert_eq!(decode(OPEN.replace("/a", "/\0")), "malformed -", "a raw NUL");
    assert_eq!(decode(OPEN.replace("/a", r"/\ud800")), "malformed -", "half a surrogate pair");
    for place in ["/a", "open", "\"path\""] {
        let at = OPEN.find(place).unwrap() + 1;
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"] {
            let line = [&OPEN.as_bytes()[..at], bytes, &OPEN.as_bytes()[at..]].concat();
            assert_eq!(decode(line), "malformed -", "UTF-8");
        }
    }
    // Also in a text that nobody asked for.
    assert_eq!(decode(OPEN.replace('}', ",\"x\":\"\\u12\"}")), "malformed -");
    assert_eq!(decode([OPEN.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat()), "malformed -");
}

#[test]
fn a_required_field_is_missed() {
    for (line, fields) in [
        (r#"{"type":"container_start","ts":1,"container":"c","image":"i","tag":"t"}"#, "ts container image tag"),
        (r#"{"type":"container_stop","ts":1,"container":"c"}"#, "ts container"),
        (r#"{"type":"fork","ts":1,"container":"c","pid":1,"ppid":1}"#, "ts container pid ppid"),
        (r#"{"type":"exec","ts":1,"container":"c","pid":1,"ppid":1,"path":"/"}"#, "ts container pid ppid path"),
        (r#"{"type":"exit","ts":1,"container":"c","pid":1}"#, "ts container pid"),
        (r#"{"type":"open","ts":1,"container":"c","pid":1,"path":"/"}"#, "ts container pid path"),
        (
            r#"{"type":"connect","ts":1,"container":"c","pid":1,"family":"inet","addr":"1.1.1.1","port":1}"#,
            "ts container pid family addr port",
        ),
        (
            r#"{"type":"bind","ts":1,"container":"c","pid":1,"family":"inet6","addr":"::","port":1}"#,
            "ts container pid family addr port",
        ),
        (r#"{"type":"dns","ts":1,"container":"c","pid":1,"name":"n","qtype":1}"#, "ts container pid name qtype"),
        (r#"{"type":"syscalls","ts":1,"container":"c","pid":1,"nrs":[1]}"#, "ts container pid nrs"),
        (r#"{"type":"capability","ts":1,"container":"c","pid":1,"cap":1}"#, "ts container pid cap"),
    ] {
        assert!(!decode(line).contains("field"), "{line}");
        for field in fields.split(' ').chain(["type"]) {
            let without = line.replace(&format!("\"{field}\":"), "\"other\":");
            assert_eq!(decode(&without), format!("missing_field {field}"), "{without}");
        }
    }
}

#[test]
fn one_name_for_two_fields_is_what_the_type_makes_of_it_wherever_the_type_stands() {
    for (fields, expect) in [
        (r#""runtime":true,"type":"exec""#, "1 c 2 exec 1 / None None None false false  by the runtime"),
        (r#""runtime":null,"type":"exec""#, "1 c 2 exec 1 / None None None false false "),
        (r#""runtime":"runc","type":"exec""#, "wrong_type runtime"),
        (r#""runtime":true,"runtime":true,"type":"exec""#, "duplicate_field runtime"),
        (r#""runtime":"runc","type":"container_start""#, "1 c 2 start i:t"),
        (r#""runtime":true,"type":"container_start""#, "wrong_type runtime"),
        (r#""runtime":"a","runtime":"b","type":"container_start""#, "duplicate_field runtime"),
        (r#""runtime":[],"type":"open""#, "1 c 2 open / 0 0"),
    ] {
        let line = format!(r#"{{{fields},"ts":1,"container":"c","pid":2,"ppid":1,"path":"/","image":"i","tag":"t"}}"#);
        assert_eq!(decode(&line), expect, "{line}");
    }
}

#[test]
fn a_value_of_another_type_names_its_field() {
    let values =
        ["\"x\"", "1", "1.5", "1e3", "true", "[]", "[1]", "[\"x\"]", "{}", "{\"a\":\"b\"}", "{\"a\":1}", "[null]"];
    for (kind, field, allowed) in [
        ("open", "ts", "1"),
        ("open", "container", "\"x\""),
        ("open", "pid", "1"),
        ("open", "start", "1"),
        ("open", "path", "\"x\""),
        ("open", "flags", "1"),
        ("open", "mode", "1"),
        ("open", "ret", "1"),
        ("fork", "ppid", "1"),
        ("fork", "uid", "1"),
        ("exec", "argv", "[] [\"x\"]"),
        ("exec", "argv_b64", "[]"),
        ("exec", "gid", "1"),
        ("exec", "cwd", "\"x\""),
        ("exec", "interpreter", "\"x\""),
        ("exec", "inode", "1"),
        ("exec", "fileless", "true"),
        ("exec", "argv_truncated", "true"),
        ("exec", "upper_layer", "true"),
        ("exec", "runtime", "true"),
        ("exit", "code", "1"),
        ("exit", "signal", "1"),
        ("connect", "proto", ""),
        ("connect", "family", ""),
        ("connect", "addr", ""),
        ("connect", "port", "1"),
        ("dns", "name", "\"x\""),
        ("dns", "qtype", "1"),
        ("dns", "server", "\"x\""),
        ("dns", "rcode", "1"),
        ("syscalls", "nrs", "[] [1]"),
        ("syscalls", "arch", ""),
        ("capability", "cap", "1"),
        ("capability", "used", "true"),
        ("container_start", "image", "\"x\""),
        ("container_start", "tag", "\"x\""),
        ("container_start", "labels", "{} {\"a\":\"b\"}"),
        ("container_start", "cgroup_id", "1"),
        ("container_start", "runtime", "\"x\""),
        ("container_start", "pod", "\"x\""),
        ("container_start", "namespace", "\"x\""),
    ] {
        let base: Vec<_> = [
            ("ts", "1"),
            ("container", "\"c\""),
            ("pid", "1"),
            ("ppid", "1"),
            ("path", "\"/\""),
            ("family", "\"inet\""),
            ("addr", "\"1.1.1.1\""),
            ("port", "1"),
            ("name", "\"n\""),
            ("qtype", "1"),
            ("nrs", "[]"),
            ("cap", "1"),
            ("image", "\"i\""),
            ("tag", "\"t\""),
        ]
        .into_iter()
        .filter(|(name, _)| *name != field)
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
        for value in values {
            let line = format!("{{\"type\":\"{kind}\",{},\"{field}\":{value}}}", base.join(","));
            let got = decode(&line);
            if allowed.split(' ').any(|a| a == value) {
                assert!(!got.starts_with("wrong"), "{line}: {got}");
            } else if value == "\"x\"" && !got.starts_with("wrong") || field == "argv_b64" && value == "[\"x\"]" {
                // A text where one may stand, but not this one.
                assert_eq!(got, format!("invalid_value {field}"), "{line}");
            } else {
                assert_eq!(got, format!("wrong_type {field}"), "{line}");
            }
        }
    }
    assert_eq!(decode(r#"{"type":1}"#), "wrong_type type");
}

#[test]
fn a_value_that_cannot_be_names_its_field() {
    for (line, field) in [
        (OPEN.replace("\"pid\":2", "\"pid\":-1"), "pid"),
        (OPEN.replace("\"pid\":2", "\"pid\":4294967296"), "pid"),
        (OPEN.replace("\"pid\":2", "\"pid\":18446744073709551616"), "pid"),
        (OPEN.replace("\"pid\":2", &format!("\"pid\":{}", "9".repeat(300))), "pid"),
        (OPEN.replace("\"pid\":2", "\"p\\u0069d\":-1"), "pid"),
        (OPEN.replace("\"ts\":1", "\"ts\":-1"), "ts"),
        (OPEN.replace("\"ts\":1", "\"ts\":18446744073709551616"), "ts"),
        (OPEN.replace("/a", ""), "path"),
        (OPEN.replace("/a", r"/\u0000"), "path"),
        (OPEN.replace("\"c\"", r#""\u0000""#), "container"),
        (OPEN.replace('}', ",\"flags\":4294967296}"), "flags"),
        (OPEN.replace('}', ",\"ret\":9223372036854775808}"), "ret"),
        (OPEN.replace("\"path\":\"/a\"", "\"path_b64\":\"\""), "path"),
        (OPEN.replace("\"path\":\"/a\"", "\"path_b64\":\"!\""), "path_b64"),
        (OPEN.replace("\"path\":\"/a\"", "\"path_b64\":\"AA==\""), "path_b64"),
        (r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","argv":["a","\u0000"]}"#.into(), "argv"),
        (
            r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","argv_b64":["AA=="]}"#.into(),
            "argv_b64",
        ),
        (r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","argv_b64":["*"]}"#.into(), "argv_b64"),
        (r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","cwd":"\u0000"}"#.into(), "cwd"),
        (r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","uid":-1}"#.into(), "uid"),
        (r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"\u0000","qtype":1}"#.into(), "name"),
        (r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"n","qtype":65536}"#.into(), "qtype"),
        (r#"{"ts":1,"type":"dns","container":"c","pid":2,"name":"n","qtype":"NONE"}"#.into(), "qtype"),
        (r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[1,-1]}"#.into(), "nrs"),
        (r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[4294967296]}"#.into(), "nrs"),
        (r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[9999],"arch":"arm64"}"#.into(), "nrs"),
        (r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[1],"arch":"s390x"}"#.into(), "arch"),
        (r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":64}"#.into(), "cap"),
        (r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":-1}"#.into(), "cap"),
        (r#"{"ts":1,"type":"capability","container":"c","pid":2,"cap":"CAP_NONE"}"#.into(), "cap"),
        (r#"{"ts":1,"type":"container_start","container":"c","image":"","tag":"t"}"#.into(), "image"),
        (r#"{"ts":1,"type":"container_start","container":"c","image":"i","tag":""}"#.into(), "tag"),
        (r#"{"ts":1,"type":"container_start","container":"c","image":"i","tag":"\u0000"}"#.into(), "tag"),
    ] {
        assert_eq!(decode(&line), format!("invalid_value {field}"), "{line}");
    }
    for (socket, field) in [
        (r#""family":"inet","addr":"1.1.1.1","port":70000"#, "port"),
        (r#""family":"inet","addr":"1.1.1.1","port":-1"#, "port"),
        (r#""family":"inet","addr":"::1","port":1"#, "addr"),
        (r#""family":"inet","addr":"1.1.1","port":1"#, "addr"),
        (r#""family":"inet6","addr":"1.1.1.1","port":1"#, "addr"),
        (r#""family":"inet6","addr":"","port":1"#, "addr"),
        (r#""family":"unix","addr":"""#, "addr"),
        (r#""family":"unix","addr":"/\u0000""#, "addr"),
        (r#""family":"unix","addr_b64":"?""#, "addr_b64"),
        (r#""family":"ipx","addr":"x","port":1"#, "family"),
        (r#""family":"inet","addr":"1.1.1.1","port":1,"proto":"sctp""#, "proto"),
    ] {
        let line = format!(r#"{{"ts":1,"type":"connect","container":"c","pid":2,{socket}}}"#);
        assert_eq!(decode(&line), format!("invalid_value {field}"), "{line}");
    }
}

#[test]
fn a_field_given_twice_is_a_duplicate() {
    for (more, field) in [
        ("\"pid\":2", "pid"),
        ("\"p\\u0069d\":2", "pid"),
        ("\"pid\":null", "pid"),
        ("\"pid\":{\"a\":[]}", "pid"),
        ("\"type\":\"open\"", "type"),
        ("\"path_b64\":\"Lw==\"", "path_b64"),
        ("\"ret\":null,\"ret\":1", "ret"),
    ] {
        assert_eq!(decode(OPEN.replace('}', &format!(",{more}}}"))), format!("duplicate_field {field}"), "{more}");
    }
    let exec = r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","argv":[],"argv_b64":[]}"#;
    assert_eq!(decode(exec), "duplicate_field argv_b64");
    // One that this version does not know, or this type does not have, is ignored however often.
    assert_eq!(decode(OPEN.replace('}', ",\"x\":1,\"x\":2,\"tag\":1,\"tag\":2}")), decode(OPEN));
}

#[test]
fn unknown_fields_are_ignored_however_they_look() {
    let bomb = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let object_bomb = format!("{}1{}", "{\"a\":".repeat(300_000), "}".repeat(300_000));
    for value in ["1", "-0.1e-9", "\"\\u00e9\\ud83d\\ude00\"", "[[[{}]]]", "null", &bomb, &object_bomb] {
        for line in
            [OPEN.replace('}', &format!(",\"x\":{value}}}")), OPEN.replacen('{', &format!("{{\"x\":{value},"), 1)]
        {
            assert_eq!(decode(line), decode(OPEN), "{}", &value[..value.len().min(20)]);
        }
    }
    // The same in a known field is one of the wrong type, and nothing overflows.
    assert_eq!(decode(OPEN.replace("\"/a\"", &bomb)), "wrong_type path");
    assert_eq!(decode(OPEN.replace('}', &format!(",\"pid\":{bomb}}}"))), "duplicate_field pid");
    let exec = r#"{"ts":1,"type":"exec","container":"c","pid":2,"ppid":1,"path":"/","argv":A}"#;
    assert_eq!(decode(exec.replace('A', &bomb)), "wrong_type argv");
    assert_eq!(decode(&bomb), "malformed -");
    assert_eq!(decode(&bomb[..1_500_000]), "malformed -");
    assert_eq!(decode(OPEN.replace('}', &format!(",\"x\":{}}}", &bomb[1..]))), "malformed -");
}

#[test]
fn an_unknown_type_needs_nothing_else() {
    for line in [
        r#"{"type":"future"}"#,
        r#"{"type":"future","pid":"x","path":{},"ts":-1,"ts":1}"#,
        r#"{"type":""}"#,
        r#"{"ts":1,"type":"header","format":"grove-trace","version":1}"#,
    ] {
        assert_eq!(decode(line), "ignored unknown_type", "{line}");
    }
    assert_eq!(decode(r#"{"type":"future","type":"x"}"#), "duplicate_field type");
    assert_eq!(decode(r#"{"type":"future""#), "malformed -");
}

#[test]
fn the_header_is_the_first_line_or_none() {
    let header = r#"{"type":"header","format":"grove-trace","version":1,"source":"s","recording":"r-1","clock":"unix_ns","x":1}"#;
    let mut decoder = NativeDecoder::new();
    assert_eq!(decode_with(&mut decoder, header.as_bytes()), "header");
    assert_eq!(decoder.recording(), Some("r-1"));
    assert_eq!(decode_with(&mut decoder, header.as_bytes()), "ignored unknown_type");
    assert!(!decoder.is_fatal());

    let mut decoder = NativeDecoder::new();
    assert_eq!(decode_with(&mut decoder, OPEN.as_bytes()), "1 c 2 open /a 0 0");
    assert_eq!(decode_with(&mut decoder, header.as_bytes()), "ignored unknown_type");
    assert_eq!(decoder.recording(), None);

    for (line, expect) in [
        (r#"{"type":"header","format":"grove-trace","version":2}"#, "invalid_value version"),
        (r#"{"type":"header","format":"other","version":1}"#, "invalid_value format"),
        (r#"{"type":"header","version":1}"#, "missing_field format"),
        (r#"{"type":"header","format":"grove-trace"}"#, "missing_field version"),
        (r#"{"type":"header","format":"grove-trace","version":"1"}"#, "wrong_type version"),
        (r#"{"type":"header","format":"grove-trace","version":1,"recording":5}"#, "wrong_type recording"),
    ] {
        let mut decoder = NativeDecoder::new();
        assert_eq!(decode_with(&mut decoder, line.as_bytes()), expect, "{line}");
        assert!(decoder.is_fatal(), "{line}");
        assert_eq!(decode_with(&mut decoder, OPEN.as_bytes()), "1 c 2 open /a 0 0");
    }
    // A bad first line that is no header is like any other.
    let mut decoder = NativeDecoder::new();
    assert_eq!(decode_with(&mut decoder, b"rubbish"), "malformed -");
    assert!(!decoder.is_fatal());
}

#[test]
fn a_rejection_says_what_was_found_and_expected() {
    for (line, text) in [
        (OPEN.replace("\"pid\":2", "\"pid\":-7"), "field `pid`: found -7, expected an integer from 0 to 4294967295"),
        (
            OPEN.replace("\"pid\":2", "\"pid\":\"x\\u001b\""),
            r#"field `pid`: found the text "x\u{1b}", expected an integer"#,
        ),
        (OPEN.replace("\"pid\":2,", ""), "field `pid`: required for `open`"),
        (OPEN.replace("/a\"}", "/a"), "not JSON at byte"),
        ("[1]".into(), "not an object"),
        (
            r#"{"ts":1,"type":"container_start","container":"c","image":"i","tag":"t","labels":{"a":1}}"#.into(),
            "field `labels`: found 1 in it, expected an object of texts",
        ),
        (
            r#"{"ts":1,"type":"syscalls","container":"c","pid":2,"nrs":[1,"x"]}"#.into(),
            "field `nrs`: found the text \"x\" in it, expected a list of integers",
        ),
    ] {
        let mut decoder = NativeDecoder { started: true, ..NativeDecoder::default() };
        let error = decoder.decode(line.as_bytes(), &mut EventBuf::new()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    // However long the value, the message is short.
    let long = OPEN.replace("2", &format!("\"{}\"", "é".repeat(1 << 20)));
    let mut decoder = NativeDecoder::new();
    let error = decoder.decode(long.as_bytes(), &mut EventBuf::new()).unwrap_err();
    assert!(error.detail.len() < 500);
}

#[test]
fn a_bad_line_costs_nothing_but_itself() {
    use crate::ledger::{Fate, Ledger};
    use crate::trace::input::{Framing, Records};

    let rubbish: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let rubbish_lines = rubbish.split(|b| *b == b'\n').count() as u64;
    let bad: [(&[u8], Rejected); 5] = [
        (b"{\"ts\":1,\"type\":\"exit\"}", Rejected::MissingField),
        (b"{\"ts\":1,\"type\":\"exit\",\"container\":\"c\",\"pid\":-1}", Rejected::InvalidValue),
        (b"{\"ts\":1,\"type\":\"exit\",\"container\":\"c\",\"pid\":\"1\"}", Rejected::WrongType),
        (b"{\"ts\":1,\"ts\":2,\"type\":\"exit\",\"container\":\"c\",\"pid\":1}", Rejected::DuplicateField),
        (&[b'x'; 100_000], Rejected::TooLong),
    ];
    let mut trace = Vec::new();
    for (line, _) in bad {
        trace.extend([OPEN.as_bytes(), b"\n", line, b"\r\n"].concat());
    }
    trace.extend([&rubbish[..], b"\n", OPEN.as_bytes()].concat());

    let mut records = Records::new(Box::new(std::io::Cursor::new(trace)), Framing::Lines, 50_000);
    let (mut decoder, mut events, mut ledger) = (NativeDecoder::new(), EventBuf::new(), Ledger::default());
    while let Some(record) = records.next().unwrap() {
        match record.bytes.map(|bytes| decoder.decode(bytes, &mut events)) {
            Ok(Ok(line)) => assert_eq!(line, Line::Event),
            Ok(Err(reject)) => ledger.count(Fate::Rejected(reject.reason)),
            Err(_) => ledger.count(Fate::Rejected(Rejected::TooLong)),
        }
    }
    assert_eq!(events.len(), bad.len() + 1);
    for (_, reason) in bad {
        assert_eq!(ledger.rejected(reason), 1, "{reason:?}");
    }
    assert_eq!(ledger.rejected(Rejected::Malformed), rubbish_lines);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_decoded_without_panic(bytes: Vec<u8>, at in 0..OPEN.len(), len in 0usize..8) {
        decode(&bytes);
        let end = (at + len).min(OPEN.len());
        decode([&OPEN.as_bytes()[..at], &bytes, &OPEN.as_bytes()[end..]].concat());
        decode([&OPEN.as_bytes()[..at], &OPEN.as_bytes()[end..]].concat());
    }
}
