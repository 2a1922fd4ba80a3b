//! Inputs that are damaged, endless or bombs: what came before stands, and memory stays small.

use std::fmt::Write as _;
use std::io::Write;

use crate::support::{EXEC, Ended, Lab, START, gzip, open, processes, texts, trace, zstd};

/// A start, an exec, and `n` opens whose paths do not compress well.
fn opens(n: u64) -> String {
    let mut text = trace(&[START, EXEC]);
    for i in 0..n {
        let noise = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) & 0xffff;
        let _ = writeln!(text, "{}", open(3 + i, &format!("/etc/file{noise}/x{i}")));
    }
    text
}

#[test]
fn everything_before_a_cut_is_in_the_profile() {
    let text = opens(4000);
    for (name, bytes, word) in [("t.gz", gzip(text.as_bytes()), "gzip"), ("t.zst", zstd(text.as_bytes()), "zstd")] {
        let mut before = 0;
        // In the header, early, in the middle, and in the checksum at the end.
        for cut in [3, 11, bytes.len() / 2, bytes.len() - 200, bytes.len() - 1] {
            let lab = Lab::new();
            lab.file(name, &bytes[..cut]);
            let ended = lab.run(&["replay", "--stats", "stats.json", name]);
            if cut == 3 {
                // Too short to be anything but a line of rubbish, or cut off.
                assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
                continue;
            }
            ended.expect(3).said(&[name, word, "cut off after line", "incomplete", "what came before it stands"]);
            let received = lab.stats().get("received");
            ended.said(&[&format!("after line {received}")]);
            assert!(received >= before, "{name} {cut}");
            before = received;
            if received > 2 {
                let profile = lab.profile("web");
                let files = texts(&processes(&profile)[0].1, "files", "path").len() as u64;
                assert!(files > 0 && files <= received - 2, "{name} {cut}: {files} of {received}");
            }
        }
        assert!(before > 2500, "{name}: {before}");
    }
}

#[test]
fn a_damaged_archive_is_told_from_a_short_one() {
    let text = opens(4000);
    for (name, mut bytes, word) in [("t.gz", gzip(text.as_bytes()), "gzip"), ("t.zst", zstd(text.as_bytes()), "zstd")] {
        let at = bytes.len() * 3 / 4;
        bytes[at..at + 64].fill(0xff);
        let lab = Lab::new();
        lab.file(name, &bytes);
        lab.run(&["replay", "--stats", "stats.json", name]).expect(3).said(&[name, word, "after line"]);
        lab.stats();
    }
}

/// The other inputs are read all the same, and the code still says that one was not whole.
#[test]
fn a_cut_input_does_not_hide_the_next() {
    let lab = Lab::new();
    let bytes = gzip(opens(1000).as_bytes());
    lab.file("a.gz", &bytes[..bytes.len() - 9]);
    lab.file("b", trace(&[&open(9, "/from-b")]));
    lab.run(&["replay", "a.gz", "b"]).expect(3).said(&["a.gz"]);
    assert!(lab.profile_text("web").contains("/from-b"));
}

#[test]
fn binary_rubbish_is_counted_and_is_bad_input() {
    let mut state = 1_u64;
    let mut rubbish = Vec::with_capacity(1 << 20);
    while rubbish.len() < 1 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        rubbish.extend_from_slice(&state.to_be_bytes()[..4]);
    }
    let lab = Lab::new();
    for (bytes, why) in [
        (&rubbish[..], "it seems to be binary"),
        (&[0; 100_000], "it seems to be binary"),
        (b"\n\0\n\xff\n", "it seems to be binary"),
        (b"\n\x01\n\xff\n", "read as grove, not one of its 3 records is an event; is --from right?"),
        (b"\x7fELF\x02\x01\x01", "it seems to be a program"),
        (&[b'{'; 5000], "read as grove, not one of its 1 records is an event; is --from right?"),
        (b"\xef\xbb\xbf", "it is empty"),
    ] {
        let ended = lab.feed(&["replay", "--stats", "stats.json", "-"], bytes);
        ended.expect(3);
        let ledger = lab.stats();
        let rejected = ledger.get("rejected.malformed") + ledger.get("rejected.too_long");
        assert_eq!(ledger.get("received"), rejected, "{}", ledger.0);
        assert!(ended.stderr.len() < 20_000 && !ended.stderr.contains(['\0', '\u{1b}']));
        assert!(lab.names("profiles").is_empty());
        ended.said(&[why]);
    }
    for from in ["grove", "sysdig", "strace", "tetragon", "tracee", "audit", "inspektor-gadget", "kunai"] {
        lab.feed(&["replay", "--from", from, "--stats", "stats.json", "-"], &rubbish).expect(3);
        lab.stats();
    }
}

#[test]
fn a_line_may_be_long_and_not_too_long() {
    let line = |len: usize| {
        let frame = open(3, "/long").len() + r#","x":"""#.len();
        open(3, "/long").replace('}', &format!(r#","x":"{}"}}"#, "a".repeat(len - frame)))
    };
    let after = open(4, "/after");
    for (len, nonzero) in [
        (4 << 20, "received=4 applied_new=3 lifecycle=1"),
        ((4 << 20) + 1, "received=4 applied_new=2 lifecycle=1 rejected.too_long=1"),
        (9 << 20, "received=4 applied_new=2 lifecycle=1 rejected.too_long=1"),
    ] {
        let lab = Lab::new();
        let input = trace(&[START, EXEC, &line(len), &after]);
        let ended = lab.feed(&["replay", "--stats", "stats.json", "-"], input.as_bytes());
        ended.expect(0);
        assert_eq!(lab.stats().nonzero(), nonzero, "{len}");
        assert!(lab.profile_text("web").contains("/after"));
        if nonzero.contains("too_long") {
            ended.said(&["standard input:3: rejected (too_long)", "4194304"]);
        }
        lab.feed(&["replay", "--strict", "-"], input.as_bytes()).expect(if nonzero.contains("too_long") {
            3
        } else {
            0
        });
    }
}

/// The most memory that the process had at any time, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_a_gibibyte_needs_no_memory() {
    for shape in ["text", "nesting", "blank"] {
        let lab = Lab::new();
        let mut child = lab.spawn(&["replay", "--stats", "stats.json", "-"]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(trace(&[START, EXEC]).as_bytes()).unwrap();
        let fill = match shape {
            "text" => {
                stdin.write_all(br#"{"ts":3,"type":"open","container":"c","pid":10,"path":"/"#).unwrap();
                b'a'
            }
            "nesting" => b'[',
            _ => b' ',
        };
        let block = vec![fill; 1 << 20];
        (0..1024).for_each(|_| stdin.write_all(&block).unwrap());
        let peak = peak_kib(child.id());
        stdin.write_all(format!("\n{}\n", open(4, "/after")).as_bytes()).unwrap();
        drop(stdin);
        Ended::of(child.wait_with_output().unwrap()).expect(0);
        assert_eq!(lab.stats().nonzero(), "received=4 applied_new=2 lifecycle=1 rejected.too_long=1", "{shape}");
        assert!(lab.profile_text("web").contains("/after"), "{shape}");
        assert!(peak < 128 << 10, "{shape}: {peak} KiB");
    }
}

/// A small archive that unpacks to a line of a gibibyte.
#[test]
fn an_archive_that_is_a_bomb_is_one_rejection() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let block = vec![b'a'; 1 << 20];
    for _ in 0..256 {
        gzip.write_all(&block).unwrap();
        zstd.write_all(&block).unwrap();
    }
    for bytes in [gzip.finish().unwrap(), zstd.finish().unwrap()] {
        let lab = Lab::new();
        lab.feed(&["replay", "--stats", "stats.json", "-"], &bytes).expect(3);
        assert_eq!(lab.stats().nonzero(), "received=1 rejected.too_long=1");
    }
}

#[test]
fn nesting_bombs_do_no_harm() {
    let n = 1_000_000;
    let [squares, curlies] =
        [("[", "]"), ("{\"a\":", "}")].map(|(o, c)| format!("{}0{}", o.repeat(n / 2), c.repeat(n / 2)));
    let with = |field: &str, bomb: &str| {
        format!(r#"{{"ts":3,"type":"open","container":"c","pid":10,"path":"/a","{field}":{bomb}}}"#)
    };
    for (line, fate) in [
        (with("novel", &squares), "applied_new=2 lifecycle=1"),
        (with("novel", &curlies), "applied_new=2 lifecycle=1"),
        (with("flags", &squares), "applied_new=1 lifecycle=1 rejected.wrong_type=1"),
        (with("ret", &curlies), "applied_new=1 lifecycle=1 rejected.wrong_type=1"),
        (with("path", &squares), "applied_new=1 lifecycle=1 rejected.duplicate_field=1"),
        (squares.clone(), "applied_new=1 lifecycle=1 rejected.malformed=1"),
        (curlies.clone(), "applied_new=1 lifecycle=1 rejected.missing_field=1"),
        ("[".repeat(n), "applied_new=1 lifecycle=1 rejected.malformed=1"),
        (with("novel", &"[".repeat(n)), "applied_new=1 lifecycle=1 rejected.malformed=1"),
        (r#"{"a":"#.repeat(n / 2), "applied_new=1 lifecycle=1 rejected.malformed=1"),
    ] {
        let lab = Lab::new();
        let ended = lab.feed(&["replay", "--stats", "stats.json", "-"], trace(&[START, EXEC, &line]).as_bytes());
        ended.expect(0);
        assert_eq!(lab.stats().nonzero(), format!("received=3 {fate}"), "{}", &line[..80]);
        for from in ["sysdig", "strace", "tetragon", "tracee", "audit", "inspektor-gadget", "kunai"] {
            lab.feed(&["replay", "--from", from, "--output", "other", "-"], line.as_bytes()).expect(3);
        }
        // As the first line it is what the format is guessed from.
        let code = if fate.contains("rejected") { 3 } else { 0 };
        lab.feed(&["replay", "--output", "guess", "-"], line.as_bytes()).expect(code);
    }
}

#[test]
fn a_profile_that_is_a_bomb_or_no_profile_is_3() {
    let lab = Lab::new();
    lab.learn(&trace(&[START, EXEC]));
    let whole = lab.profile_text("web");
    let n = 1_000_000;
    let nested = r#"{"path":"/a","children":["#.repeat(100_000);
    for (what, text) in [
        ("squares", "[".repeat(n)),
        (
            "an unknown field",
            whole.replacen("\"version\":2", &format!("\"version\":2,\"novel\":{}{}", "[".repeat(n), "]".repeat(n)), 1),
        ),
        ("processes of version 1", format!(r#"{{"format":"grove-profile","version":1,"processes":[{nested}"#)),
        ("processes", whole.replacen("\"processes\":[", &format!("\"processes\":[{nested}"), 1)),
        ("a parent that comes later", whole.replacen("\"parent\":null", "\"parent\":0", 1)),
        ("nothing", String::new()),
        ("an object", "{}".to_owned()),
        ("half", whole[..whole.len() / 2].to_owned()),
        ("two", format!("{whole}{whole}")),
        ("another version", whole.replacen("\"version\":2", "\"version\":3", 1)),
        ("another format", whole.replacen("grove-profile", "grove-trace", 1)),
        ("a bad time", whole.replacen("1970-01-01", "1970-13-01", 1)),
        ("a bad number", whole.replacen("\"received\":2", "\"received\":-2", 1)),
        ("a trace", trace(&[START, EXEC])),
    ] {
        lab.file("p.json", &text);
        for args in [
            &["inspect", "p.json"] as &[_],
            &["inspect", "--format", "json", "p.json"],
            &["diff", "p.json", "p.json"],
            &["merge", "--output", "out.json", "p.json"],
            &["check", "--profile", "p.json", "/dev/null"],
        ] {
            let ended = lab.run(args);
            if what == "an unknown field" && ended.code == Some(0) {
                continue;
            }
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{what} {args:?}: {}", ended.stderr);
            ended.said(&["p.json"]);
            assert!(ended.stderr.len() < 2000, "{what}: {}", ended.stderr);
        }
        assert!(!lab.path("out.json").exists() || what == "an unknown field", "{what}");
    }
    let zipped = gzip(whole.as_bytes());
    lab.file("p.json", &zipped[..zipped.len() / 2]);
    lab.run(&["inspect", "p.json"]).expect(3).said(&["p.json", "gzip"]);
    lab.run(&["inspect", "absent.json"]).expect(1).said(&["absent.json"]);
}
