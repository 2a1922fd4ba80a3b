//! Profiles through bytes and back, and bytes that are no profile.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::fixtures::{arbitrary, chain, full, full_text, version_1_text};
use super::{DecodeError, FileDoc, ProcessDoc, ProfileDoc, Seen, Stats, Time, decode, encode};

fn encoded(doc: &ProfileDoc) -> String {
    let mut bytes = Vec::new();
    encode(doc, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_profile_with_everything_comes_back_byte_for_byte() {
    assert_eq!(encoded(&full()), full_text());
}

#[test]
fn stats_count_the_lists() {
    let counted = Stats {
        process_nodes: 3,
        file_nodes: 5,
        dns_nodes: 2,
        socket_nodes: 5,
        syscalls: 3,
        capabilities: 2,
        mounts: 1,
        imds: 1,
        denied: 0,
    };
    assert_eq!(full().stats(), counted);
}

#[test]
fn stats_in_a_file_are_not_believed() {
    let text = full_text().replace("\"process_nodes\":3", "\"process_nodes\":77");
    assert_eq!(encoded(&decode(text.as_bytes()).unwrap()), full_text());
}

#[test]
fn order_blanks_escapes_and_unknown_fields_do_not_matter() {
    let text = r#"
      { "processes" : [ { "mounts" : [ ] , "later":[{"x":[1,2,{}]}], "capabilities":[], "syscalls":[], "sockets":[],
        "dns":[], "files":[ {"seen":{"t":["1970-01-01T00:00:00Z","1970-01-01T01:00:00+01:00"]}, "new":null,
        "pattern":false, "access":"r", "p\u0061th":"/\u00e9\ud83d\ude00"} ],
        "seen":{"t":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}, "uids":[], "exec_chain":false,
        "parent":null, "\u0070ath":"/p" } ],
        "ledgers":{}, "tags":{}, "image":"i", "version":2, "format":"grove-profile" }"#;
    let seen = Seen::from_iter([("t", [Time(0), Time(0)])]);
    let file = FileDoc { path: "/é😀".into(), access: Some("r".into()), seen: seen.clone(), ..FileDoc::default() };
    let process = ProcessDoc { path: "/p".into(), seen, files: vec![file], ..ProcessDoc::default() };
    let expected = ProfileDoc { image: "i".into(), processes: vec![process], ..ProfileDoc::default() };
    assert_eq!(decode(text.as_bytes()).unwrap(), expected);
}

#[test]
fn any_character_is_written_as_valid_json() {
    for (image, json) in [
        ("\0\u{1}\u{1f}", r#""\u0000\u0001\u001f""#),
        ("\t\n\r\u{8}\u{c}", r#""\t\n\r\b\f""#),
        ("\"\\/", r#""\"\\/""#),
        // What a terminal would obey or hide is escaped too: a profile may be looked at with `cat`.
        ("\u{7f}\u{2028}\u{202e}", r#""\u007f\u2028\u202e""#),
        ("\u{fffd}\u{10ffff}", "\"\u{fffd}\u{10ffff}\""),
    ] {
        let text = encoded(&ProfileDoc { image: image.into(), ..ProfileDoc::default() });
        let expected = format!(
            "{{\"format\":\"grove-profile\",\"version\":2,\"image\":{json},\"tags\":{{}},\"stats\":{{\"process_nodes\":0,\
             \"file_nodes\":0,\"dns_nodes\":0,\"socket_nodes\":0,\"syscalls\":0,\"capabilities\":0,\"mounts\":0,\"imds\":0}},\"ledgers\":{{}},\
             \"processes\":[]}}\n"
        );
        assert_eq!(text, expected);
    }
}

proptest! {
    #[test]
    fn any_profile_comes_back(doc in arbitrary()) {
        let text = encoded(&doc);
        let back = decode(text.as_bytes()).unwrap();
        prop_assert_eq!(&back, &doc);
        prop_assert_eq!(encoded(&back), text);
    }

    #[test]
    fn damaged_text_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = full_text().into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        if let Ok(doc) = decode(&bytes) {
            prop_assert_eq!(decode(encoded(&doc).as_bytes()), Ok(doc));
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn every_cut_is_refused() {
    let text = full_text();
    let whole = text.trim_end().len();
    for end in 0..whole {
        assert!(decode(&text.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    assert!(decode(&text.as_bytes()[..whole]).is_ok());
}

#[test]
fn a_lineage_of_any_depth_is_read_on_a_small_stack() {
    let deepest = || {
        let doc = chain(100_000);
        let text = encoded(&doc);
        assert_eq!(encoded(&decode(text.as_bytes()).unwrap()), text);
        assert_eq!(doc.stats().process_nodes, 100_000);
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(deepest).unwrap().join().unwrap();
}

#[test]
fn a_profile_of_version_1_is_read_as_what_it_says() {
    let old = decode(version_1_text().as_bytes()).unwrap();
    let mut new = full();
    // What version 1 has no words for.
    for process in &mut new.processes {
        process.mounts.clear();
        process.imds.clear();
        process.files.retain(|file| file.access.is_some());
        process.files.iter_mut().for_each(|file| file.mapped = false);
        process.sockets.retain(|socket| socket.op != "accept");
    }
    assert_eq!(old, new);
}

/// A profile of version 1 with `depth` processes, each in the list of the one before.
fn nested(depth: usize) -> String {
    let seen = r#"{"t":["1970-01-01T00:00:00.000000001Z","1970-01-01T00:00:00.000000002Z"]}"#;
    let head = format!(
        r#"{{"path":"/p","argv0":null,"argv":null,"exec_chain":false,"uids":[],"seen":{seen},"files":[{{"path":"/f","access":"r","pattern":false,"seen":{seen}}}],"dns":[],"sockets":[],"syscalls":[],"capabilities":[],"children":["#
    );
    let processes = head.repeat(depth) + &"]}".repeat(depth);
    format!(
        r#"{{"format":"grove-profile","version":1,"image":"deep","tags":{{}},"ledgers":{{}},"processes":[{processes}]}}"#
    )
}

#[test]
fn the_deepest_profile_of_version_1_is_read_on_a_small_stack() {
    let deepest = || {
        for depth in [1, 40, 400, 1024] {
            assert_eq!(decode(nested(depth).as_bytes()).unwrap(), chain(depth));
        }
        for depth in [1026, 100_000] {
            let Err(DecodeError::Invalid { detail, .. }) = decode(nested(depth).as_bytes()) else { panic!("was read") };
            assert_eq!(detail, "nested too deep");
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(deepest).unwrap().join().unwrap();
}

#[test]
fn what_is_wrong_with_a_profile_of_version_1_is_told_where_it_is() {
    for (old, new, expected) in [
        (
            "\"exec_chain\":true",
            "\"exec_chain\":1",
            "field `processes[0].children[0].exec_chain`, byte 4187: invalid type: integer `1`, expected a boolean",
        ),
        ("\"state\":{}", "\"state\":{\"exec\":\"done\"}", "field `tags[\"1.27.1\"].state.exec`"),
        ("\"access\":\"rw\"", "\"access\":\"x\"", "field `processes[0].files[1].access`: \"x\" is not one of r, w, rw"),
    ] {
        let text = version_1_text();
        assert!(text.contains(old));
        let said = decode(text.replacen(old, new, 1).as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn nesting_bombs_are_refused() {
    let n = 1_000_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[", ""), ("{\"processes\":[", ""), ("[{", "")] {
        let bomb = open.repeat(n) + &close.repeat(n);
        for text in [
            bomb.clone(),
            full_text().replacen("\"docker.io/library/nginx\"", &bomb, 1),
            full_text().replacen("[0,101]", &bomb, 1),
            full_text().replacen("\"processes\":[", &format!("\"processes\":{bomb},\"x\":["), 1),
            full_text().replacen("\"state\":{}", &format!("\"state\":{{}},\"x\":{bomb}"), 1),
        ] {
            assert!(decode(text.as_bytes()).is_err());
        }
    }
}

/// What is said of the full profile with `old` replaced by `new`, without the offset.
fn refusal(old: &str, new: &str) -> String {
    let text = full_text();
    assert!(text.contains(old), "the profile has no {old}");
    match decode(text.replacen(old, new, 1).as_bytes()) {
        Ok(_) => "read".to_owned(),
        Err(DecodeError::Invalid { path, detail, .. }) => format!("{path}: {detail}"),
        Err(other) => other.to_string(),
    }
}

#[test]
fn hostile_profiles_are_refused_with_the_field_at_fault() {
    let table = [
        // What it is.
        (
            "\"grove-profile\"",
            "\"grove-trace\"",
            "not a Grove profile: `format` is \"grove-trace\", expected \"grove-profile\"",
        ),
        ("\"format\":\"grove-profile\",", "", "not a Grove profile: `format` is missing, expected \"grove-profile\""),
        (
            "\"grove-profile\"",
            "{\"\\u001b\":1}",
            "not a Grove profile: `format` is neither a text nor a number, expected \"grove-profile\"",
        ),
        (
            "\"version\":2",
            "\"version\":3",
            "profile version 3 is newer than this program, which reads versions 1 and 2; use a newer grove",
        ),
        ("\"version\":2", "\"version\":0", "version: there is no version 0, expected 2 or 1"),
        ("\"version\":2,", "", "version: missing"),
        ("\"version\":2", "\"version\":2,\"version\":2", ": duplicate field `version`"),
        // The profile's own fields.
        ("\"image\":\"docker.io/library/nginx\"", "\"image\":7", "image: invalid type: integer `7`, expected a string"),
        ("\"ledgers\":", "\"ledger\":", ": missing field `ledgers`"),
        (
            "\"received\":1000",
            "\"received\":-1",
            "ledgers[\"3f0c\"].received: invalid value: integer `-1`, expected u64",
        ),
        ("\"1.27.1\":{", "\"1.27.0\":{", "tags: the same key twice"),
        ("\"1.27.1\":{", "\"\":{", "tags: a tag without a name"),
        (
            "\"state\":{}",
            "\"state\":{\"exec\":\"done\"}",
            "tags[\"1.27.1\"].state.exec: invalid type: string \"done\", expected struct Written",
        ),
        (
            "2024-05-02T10:00:00.000000001Z",
            "2023-05-02T10:00:00.000000001Z",
            "tags[\"1.27.0\"]: first seen 2024-05-01T10:00:00.000000000Z, after last seen 2023-05-02T10:00:00.000000001Z",
        ),
        // Processes.
        (
            "\"uids\":[0,101]",
            "\"uids\":[0,4294967296]",
            "processes[0].uids[1]: invalid value: integer `4294967296`, expected u32",
        ),
        ("\"uids\":[0,101],", "", "processes[0]: missing field `uids`"),
        ("\"uids\":[0,101]", "\"uids\":[0,101],\"uids\":[]", "processes[0]: duplicate field `uids`"),
        (
            "\"exec_chain\":true",
            "\"exec_chain\":1",
            "processes[1].exec_chain: invalid type: integer `1`, expected a boolean",
        ),
        ("\"parent\":0", "\"parent\":1", "processes[1].parent: expected the index of a process before this one"),
        ("\"parent\":0", "\"parent\":-1", "processes[1].parent: invalid value: integer `-1`, expected u32"),
        ("{\"parent\":0", "7,{\"parent\":0", "processes[1]: invalid type: integer `7`, expected struct ProcessDoc"),
        ("\"imds\":[]}]}", "\"imds\":[],}]}", "processes: Expected this character to be '\"' or '}'"),
        ("\"imds\":[]}]}", "\"imds\":[}]}", "processes: Invalid JSON value"),
        ("MS_NODEV", "MS_NEW", "processes[0].mounts[0].flags: unknown flag `MS_NEW`"),
        ("\"token\":\"v2\"", "\"token\":\"v3\"", "processes[0].imds[0].token: \"v3\" is not one of v1, v2"),
        ("\"sent\":20", "\"sent\":65", "processes[0].sockets[0].volume.sent: more than 64"),
        (
            "[\"delete\",",
            "[\"erase\",",
            "processes[0].files[1].changes: \"erase\" is not one of chmod, chown, create, delete, link, mkdir, rename, rmdir, symlink, truncate",
        ),
        ("\"access\":\"rw\"", "\"access\":\"x\"", "processes[0].files[2].access: \"x\" is not one of r, w, rw"),
        (
            "\"access\":\"rw\",",
            "\"access\":\"rw\",\"access\":\"r\",",
            "processes[0].files[2]: duplicate field `access`",
        ),
        ("\"proto\":\"udp\"", "\"proto\":\"sctp\"", "processes[0].sockets[3].proto: \"sctp\" is not one of tcp, udp"),
        (
            "\"op\":\"bind\"",
            "\"op\":\"\u{202e}\"",
            "processes[0].sockets[1].op: \"\\u{202e}\" is not one of accept, bind, connect",
        ),
        (
            "\"family\":\"inet6\"",
            "\"family\":\"inet7\"",
            "processes[0].sockets[3].family: \"inet7\" is not one of inet, inet6, unix",
        ),
        (
            "10.0.3.0/24",
            "10.0.3.0/33",
            "processes[0].sockets[2].addr: \"10.0.3.0/33\" is no address, network or `*` of family inet",
        ),
        (
            "2001:db8::35",
            "10.0.0.1",
            "processes[0].sockets[3].addr: \"10.0.0.1\" is no address, network or `*` of family inet6",
        ),
        (
            "\"port\":8080",
            "\"port\":65536",
            "processes[0].sockets[2].port: invalid value: integer `65536`, expected u16",
        ),
        (
            "\"nr\":425",
            "\"nr\":18446744073709551616",
            "processes[0].syscalls[1].nr: invalid type: floating point `18446744073709552000.0`, expected u32",
        ),
        (
            "\"nr\":425",
            "\"nr\":1e400",
            "processes[0].syscalls[1].nr: Float number must be finite, not be Infinity or NaN",
        ),
        (
            "\"seen\":{\"1.27.1\"",
            "\"seen\":{\"\\u001b\":[],\"1.27.1\"",
            "processes[0].files[1].seen[\"\\u{1b}\"]: invalid length 0, expected an array of length 2",
        ),
        (
            "[\"2024-06-01T10:00:00.000000000Z\",\"2024-06-01T11",
            "[\"yesterday\",\"2024-06-01T11",
            "processes[0].seen[\"1.27.1\"][0]: not a time such as 2024-05-01T10:00:00.000000000Z",
        ),
        (
            "[\"2024-06-01T10:00:00.000000000Z\",\"2024-06-01T11",
            "[\"2600-06-01T10:00:00Z\",\"2024-06-01T11",
            "processes[0].seen[\"1.27.1\"][0]: not between the years 1970 and 2554",
        ),
        (
            "[\"2024-06-01T10:00:00.000000000Z\",\"2024-06-01T11",
            "[7,\"2024-06-01T11",
            "processes[0].seen[\"1.27.1\"][0]: invalid type: integer `7`, expected a time",
        ),
        (
            "\"seen\":{\"1.27.1\":[\"2024-06-01T10:00:00.000000000Z\",\"2024-06-01T10:00:00.000000000Z\"]}",
            "\"seen\":{}",
            "processes[0].files[1].seen: no tag",
        ),
    ];
    let said: Vec<String> = table.iter().map(|(old, new, _)| refusal(old, new)).collect();
    let expected: Vec<&str> = table.iter().map(|(_, _, expected)| *expected).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_refusal_tells_the_offset() {
    let text = full_text().replacen("\"port\":8080", "\"port\":\"8080\"", 1);
    let error = decode(text.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "field `processes[0].sockets[2].port`, byte {}: invalid type: string \"8080\", expected u16",
            text.find(",\"pattern\":true,\"distinct\":31").unwrap() - 1
        )
    );
}
