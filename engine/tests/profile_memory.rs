//! What reading a profile takes, counted by the allocator, against what was reckoned from its text: of every list that
//! a file can fill, with as many of the smallest entries as it takes to see.
//!
//! A test binary of its own, with one test: whatever else allocates would be counted too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use grove::intern::Interner;
use grove::profile::{DecodeError, Profile, decode_within};
use grove::tree::Rules;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const SEEN: &str = r#""seen":{"1":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}"#;
const LEDGER: &str = r#"{"received":0,"applied_new":0,"applied_known":0,"lifecycle":0,"ignored":{},"rejected":{},"dropped":{},"held":0}"#;

/// A process with `what` in one of its fields.
fn process(path: &str, field: &str, what: &str) -> String {
    let lists = ["uids", "files", "dns", "sockets", "syscalls", "capabilities", "children"];
    let lists: String =
        lists.iter().map(|name| format!(r#","{name}":[{}]"#, if *name == field { what } else { "" })).collect();
    let other = if lists.contains(&format!("\"{field}\":[")) || field.is_empty() {
        String::new()
    } else {
        format!(r#","{field}":[{what}]"#)
    };
    format!(r#"{{"path":"{path}","exec_chain":false,{SEEN}{lists}{other}}}"#)
}

fn list(n: usize, entry: impl Fn(usize) -> String) -> String {
    (0..n).map(entry).collect::<Vec<_>>().join(",")
}

fn profile(tags: &str, ledgers: &str, processes: &str) -> String {
    format!(
        r#"{{"format":"grove-profile","version":2,"image":"i","tags":{{{tags}}},"ledgers":{{{ledgers}}},"processes":[{processes}]}}"#
    )
}

fn version_1(text: String) -> String {
    text.replacen("\"version\":2", "\"version\":1", 1)
}

fn with(field: &str, what: &str) -> String {
    profile("", "", &process("/p", field, what))
}

fn shapes() -> Vec<(&'static str, String)> {
    let n = 4_000;
    let deep = |inside: &str| (0..1000).fold(inside.to_owned(), |inside, _| process("/p", "children", &inside));
    vec![
        ("processes", profile("", "", &list(n, |i| process(&format!("/{i:x}"), "", "")))),
        // A list has grown to twice its size for the last of these.
        (
            "processes, one more than a power of two",
            profile("", "", &list(4097, |i| process(&format!("/{i:x}"), "", ""))),
        ),
        (
            "processes without lists",
            profile("", "", &list(4097, |i| format!(r#"{{"path":"/{i:x}","exec_chain":false,"uids":[],{SEEN}}}"#))),
        ),
        (
            "a file a process",
            profile(
                "",
                "",
                &list(n, |i| {
                    let file = format!(r#""files":[{{"path":"/a","access":"r","pattern":false,{SEEN}}}]"#);
                    format!(r#"{{"path":"/{i:x}","exec_chain":false,"uids":[],{SEEN},{file}}}"#)
                }),
            ),
        ),
        (
            "a name a process",
            profile(
                "",
                "",
                &list(n, |i| {
                    let name = format!(r#""dns":[{{"name":"a","qtypes":[],{SEEN}}}]"#);
                    format!(r#"{{"path":"/{i:x}","exec_chain":false,"uids":[],{SEEN},{name}}}"#)
                }),
            ),
        ),
        ("processes of one path", profile("", "", &list(n, |_| process("", "", "")))),
        (
            "children at the bottom, of version 1",
            version_1(profile("", "", &deep(&list(n, |i| process(&format!("/{i:x}"), "", ""))))),
        ),
        (
            "files of version 1",
            version_1(with(
                "files",
                &list(n, |i| format!(r#"{{"path":"/{i:x}","access":"r","pattern":false,{SEEN}}}"#)),
            )),
        ),
        (
            "files, one more than a power of two",
            with("files", &list(4097, |i| format!(r#"{{"path":"/{i:x}","access":"r","pattern":false,{SEEN}}}"#))),
        ),
        ("files", with("files", &list(n, |i| format!(r#"{{"path":"/{i:x}","access":"r","pattern":false,{SEEN}}}"#)))),
        (
            "components",
            with("files", &format!(r#"{{"path":"{}","access":"r","pattern":false,{SEEN}}}"#, "/a".repeat(100_000))),
        ),
        (
            "files of a tag each",
            with(
                "files",
                &list(n, |i| {
                    let seen = SEEN.replace(r#""1""#, &format!(r#""{i:x}""#));
                    format!(r#"{{"path":"/{i:x}","access":"r","pattern":false,{seen}}}"#)
                }),
            ),
        ),
        (
            "two exemplars each",
            with(
                "files",
                &list(n, |i| {
                    let path = "/a/".repeat(5);
                    format!(
                        r#"{{"path":"/{i:x}/*","access":"r","pattern":true,"exemplars":["{path}a","{path}b"],{SEEN}}}"#
                    )
                }),
            ),
        ),
        ("names", with("dns", &list(n, |i| format!(r#"{{"name":"{i:x}","qtypes":[],{SEEN}}}"#)))),
        ("labels", with("dns", &format!(r#"{{"name":"{}a","qtypes":[],{SEEN}}}"#, "a.".repeat(100_000)))),
        (
            "sockets",
            with(
                "sockets",
                &list(n, |i| {
                    format!(
                        r#"{{"op":"connect","family":"inet","proto":null,"addr":"10.{}.{}.{}","port":{},{SEEN}}}"#,
                        i % 200,
                        i / 200 % 200,
                        i % 7,
                        i % 60_000
                    )
                }),
            ),
        ),
        ("calls", with("syscalls", &list(n, |i| format!(r#"{{"name":"","nr":{i},{SEEN}}}"#)))),
        ("capabilities", with("capabilities", &list(n, |_| format!(r#"{{"name":"CAP_CHOWN","used":true,{SEEN}}}"#)))),
        ("users", with("uids", &list(n * 20, |i| format!("{}", i % 10)))),
        ("different users", with("uids", &list(n * 5, |i| format!("{i}")))),
        (
            "exemplars",
            with(
                "files",
                &list(n / 10, |i| {
                    let exemplars = list(64, |_| "\"\"".to_owned());
                    format!(r#"{{"path":"/{i:x}/*","access":"r","pattern":true,"exemplars":[{exemplars}],{SEEN}}}"#)
                }),
            ),
        ),
        (
            "exemplars of a long path",
            with(
                "files",
                &format!(
                    r#"{{"path":"{}/*/*","access":"r","pattern":true,"exemplars":[{}],{SEEN}}}"#,
                    "/a".repeat(50_000),
                    list(64, |i| format!("\"a{i}\"")),
                ),
            ),
        ),
        ("learned", with("learned", &list(n * 20, |_| "0".to_owned()))),
        ("arguments", with("argv", &list(n * 20, |_| "\"\"".to_owned()))),
        (
            "tags of one file",
            profile(
                "",
                "",
                &process(
                    "/p",
                    "files",
                    &format!(
                        r#"{{"path":"/a","access":"r","pattern":false,"seen":{{{}}}}}"#,
                        list(n, |i| format!(r#""{i:x}":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]"#))
                    ),
                ),
            ),
        ),
        (
            "tags",
            profile(
                &list(n, |i| {
                    format!(
                        r#""{i:x}":{{"first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","state":{{}}}}"#
                    )
                }),
                "",
                "",
            ),
        ),
        (
            "states",
            profile(
                &format!(
                    r#""1":{{"first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z","state":{{{}}}}}"#,
                    list(n, |i| format!(r#""{i:x}":{{"state":"stable"}}"#))
                ),
                "",
                "",
            ),
        ),
        ("ledgers", profile("", &list(n, |i| format!(r#""{i:x}":{LEDGER}"#)), "")),
        (
            "counters",
            profile(
                "",
                &format!(
                    r#""r":{}"#,
                    LEDGER.replace(
                        r#""dropped":{}"#,
                        &format!(r#""dropped":{{{}}}"#, list(n * 5, |i| format!(r#""{i:x}":1"#)))
                    )
                ),
                "",
            ),
        ),
    ]
}

#[test]
fn no_profile_takes_more_than_is_reckoned_from_its_text() {
    // Whatever is made once for all.
    let rules = Arc::new(Rules::default());
    let interner = Interner::new();
    let _ = Profile::from_doc(&decode_within(with("", "").as_bytes(), 1 << 20).unwrap(), rules.clone(), &interner);
    let mut over = Vec::new();
    for (what, mut text) in shapes() {
        text.shrink_to_fit();
        // Of version 1 there is more to say once that is known.
        let mut needed = 0;
        while let Err(error) = decode_within(text.as_bytes(), needed as usize) {
            match error {
                DecodeError::TooLarge { needed: more, limit } if limit == needed => needed = more,
                other => panic!("{what}: {other:?}"),
            }
        }
        let (len, before) = (text.len(), ALLOCATOR.current_usage() - text.len());
        ALLOCATOR.reset_peak_usage();
        let doc = decode_within(text.as_bytes(), needed as usize).unwrap_or_else(|e| panic!("{what}: {e}"));
        drop(text);
        let taken = Profile::from_doc(&doc, rules.clone(), &interner);
        // What was given back before the end counts as well.
        let took = (ALLOCATOR.peak_usage() - before) as u64;
        drop((doc, taken));
        println!("{what}: {len} of text, {took} taken, {needed} reckoned");
        if took > needed {
            over.push(what);
        }
    }
    assert_eq!(over, Vec::<&str>::new(), "these took more than was reckoned");
}
