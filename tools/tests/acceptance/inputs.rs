//! Where traces come from, what names a recording, and that the number of workers changes nothing.

use sonic_rs::{JsonContainerTrait, Value};

use crate::support::{EXEC, Lab, START, gzip, open, trace, zstd};

/// A trace of several containers of three images, interleaved, with a late start.
fn busy() -> String {
    let mut lines = Vec::new();
    for c in 0..12_u64 {
        let (image, tag) = (c % 3, c % 2);
        let start =
            format!(r#"{{"ts":1,"type":"container_start","container":"c{c}","image":"i{image}","tag":"{tag}"}}"#);
        let exec = format!(r#"{{"ts":2,"type":"exec","container":"c{c}","pid":{c},"ppid":0,"path":"/bin/p{image}"}}"#);
        lines.extend(if c == 7 { [exec, start] } else { [start, exec] });
    }
    for n in 0..3000_u64 {
        let (c, ts) = (n * 7 % 12, 3 + n);
        lines.push(match n % 5 {
            0 => format!(r#"{{"ts":{ts},"type":"fork","container":"c{c}","pid":{n},"ppid":{c}}}"#),
            1 => format!(r#"{{"ts":{ts},"type":"dns","container":"c{c}","pid":{c},"name":"h{}.example.com","qtype":"A"}}"#, n % 40),
            2 => format!(r#"{{"ts":{ts},"type":"connect","container":"c{c}","pid":{c},"family":"inet","addr":"10.0.{}.{}","port":443}}"#, n % 3, n % 50),
            _ => format!(r#"{{"ts":{ts},"type":"open","container":"c{c}","pid":{c},"path":"/tmp/sess-{n}.tmp","flags":{}}}"#, n % 3),
        });
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn all_profiles(lab: &Lab, dir: &str) -> Vec<(String, String)> {
    lab.names(dir).into_iter().map(|name| (name.clone(), lab.text(&format!("{dir}/{name}")))).collect()
}

#[test]
fn the_number_of_workers_does_not_change_a_byte() {
    let lab = Lab::new();
    lab.file("t.jsonl", busy());
    lab.run(&["replay", "--workers", "1", "--output", "w1", "--stats", "stats.json", "t.jsonl"]).expect(0);
    let (profiles, ledger) = (all_profiles(&lab, "w1"), lab.stats());
    assert_eq!(profiles.len(), 3);
    assert_eq!(ledger.get("received"), 3024);
    for workers in ["2", "3", "8"] {
        let dir = format!("w{workers}");
        lab.run(&["replay", "--workers", workers, "--output", &dir, "--stats", "stats.json", "t.jsonl"]).expect(0);
        assert!(all_profiles(&lab, &dir) == profiles, "{workers} workers");
        assert_eq!(lab.stats(), ledger, "{workers} workers");
    }
}

#[test]
fn plain_compressed_and_piped_traces_are_the_same() {
    let lab = Lab::new();
    let (text, half) = (busy(), busy().len() / 2);
    lab.file("t.jsonl", &text);
    lab.file("t.jsonl.gz", gzip(text.as_bytes()));
    lab.file("t.jsonl.zst", zstd(text.as_bytes()));
    // Compression is known by the first bytes, and there may be several members.
    lab.file("odd.txt", gzip(text.as_bytes()));
    lab.file("two.gz", [gzip(&text.as_bytes()[..half]), gzip(&text.as_bytes()[half..])].concat());
    lab.file("two.zst", [zstd(&text.as_bytes()[..half]), zstd(&text.as_bytes()[half..])].concat());
    lab.file("no-newline", text.trim_end());
    lab.file("crlf", text.replace('\n', "\r\n"));
    lab.run(&["replay", "--output", "plain", "t.jsonl"]).expect(0);
    let expected = all_profiles(&lab, "plain");
    for name in ["t.jsonl.gz", "t.jsonl.zst", "odd.txt", "two.gz", "two.zst", "no-newline", "crlf"] {
        let dir = format!("out-{name}");
        lab.run(&["replay", "--strict", "--output", &dir, name]).expect(0);
        assert!(all_profiles(&lab, &dir) == expected, "{name}");
    }
    for (name, bytes) in
        [("plain", text.clone().into_bytes()), ("gz", gzip(text.as_bytes())), ("zst", zstd(text.as_bytes()))]
    {
        let dir = format!("stdin-{name}");
        lab.feed(&["replay", "--strict", "--output", &dir, "-"], &bytes).expect(0);
        assert!(all_profiles(&lab, &dir) == expected, "- {name}");
    }
}

fn recordings(profile: &Value) -> Vec<String> {
    profile["ledgers"].as_object().unwrap().iter().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn a_recording_is_named_by_its_header_or_else_by_its_lines_in_any_order() {
    let name = |args: &[&str], files: &[(&str, String)]| {
        let lab = Lab::new();
        files.iter().for_each(|(name, text)| drop(lab.file(name, text)));
        lab.run(&[&["replay"], args].concat()).expect(0);
        recordings(&lab.profile("web"))
    };
    let header = |recording: &str| format!(r#"{{"type":"header","format":"grove-trace","version":1{recording}}}"#);
    let (a, b) = (open(3, "/a"), open(4, "/b"));
    let body = trace(&[START, EXEC, &a, &b]);

    let hash = name(&["t"], &[("t", body.clone())]);
    assert_eq!(hash.len(), 1);
    assert!(hash[0].len() == 32 && hash[0].bytes().all(|b| b.is_ascii_hexdigit()), "{hash:?}");
    for (what, files) in [
        ("another order", vec![("t", trace(&[START, EXEC, &b, &a]))]),
        ("no last line end", vec![("t", body.trim_end().to_owned())]),
        ("a header without a name", vec![("t", trace(&[&header(""), START, EXEC, &a, &b]))]),
        ("a header with an empty name", vec![("t", trace(&[&header(r#","recording":"""#), START, EXEC, &a, &b]))]),
    ] {
        assert_eq!(name(&["t"], &files), hash, "{what}");
    }
    let halves = [("t", trace(&[START, EXEC])), ("u", trace(&[&a, &b]))];
    assert_eq!(name(&["t", "u"], &halves), hash, "split in two");
    let halves = [("t", trace(&[START, EXEC, &b])), ("u", trace(&[&a]))];
    assert_eq!(name(&["t", "u"], &halves), hash, "split in two elsewhere");
    assert_ne!(name(&["t"], &[("t", trace(&[START, EXEC, &a]))]), hash, "fewer lines");
    assert_ne!(name(&["t"], &[("t", trace(&[START, EXEC, &a, &a, &b]))]), hash, "a line twice");

    let named = |recording: &str, rest: &[&str]| {
        trace(&[&[&*header(&format!(r#","recording":"{recording}""#))], rest].concat())
    };
    assert_eq!(name(&["t"], &[("t", named("mon/day é", &[START, EXEC]))]), ["mon/day é"]);
    let two = [("t", named("r1", &[START, EXEC])), ("u", named("r2", &[&a]))];
    assert_eq!(name(&["t", "u"], &two), ["r1", "r2"]);
    let same = [("t", named("r1", &[START, EXEC])), ("u", named("r1", &[&a]))];
    assert_eq!(name(&["t", "u"], &same), ["r1"]);
    let mixed = [("t", named("r1", &[START, EXEC])), ("u", trace(&[&a, &b]))];
    assert_eq!(name(&["t", "u"], &mixed).len(), 2);
}

#[test]
fn received_is_the_lines_less_the_header() {
    for (text, received) in [
        (trace(&[r#"{"type":"header","format":"grove-trace","version":1}"#, START, EXEC, "rubbish", "{}"]), 4),
        (trace(&[START, EXEC, "rubbish", r#"{"ts":1,"type":"later"}"#]), 4),
        // Only the first line can be a header.
        (trace(&[START, r#"{"type":"header","format":"grove-trace","version":1}"#]), 2),
        (trace(&["", "", "  ", START]), 4),
    ] {
        let lab = Lab::new();
        assert_eq!(lab.learn(&text).get("received"), received, "{text}");
    }
}

#[test]
fn an_empty_trace_teaches_nothing() {
    let lab = Lab::new();
    for empty in [&b""[..], &gzip(b""), &zstd(b"")] {
        lab.feed(&["replay", "--stats", "stats.json", "-"], empty).expect(3);
        assert_eq!(lab.stats().nonzero(), "");
        assert!(lab.names("profiles").is_empty());
    }
}

#[test]
fn a_header_of_another_format_or_version_is_not_read_on() {
    for (header, field) in [
        (r#"{"type":"header","format":"grove-trace","version":2}"#, "version"),
        (r#"{"type":"header","format":"other","version":1}"#, "format"),
        (r#"{"type":"header","format":"grove-trace"}"#, "version"),
    ] {
        let lab = Lab::new();
        lab.file("t.jsonl", trace(&[header, START, EXEC]));
        lab.run(&["replay", "t.jsonl"]).expect(3).said(&["t.jsonl", "line 1", &format!("`{field}`")]);
        assert!(lab.names("profiles").is_empty(), "{header}");
    }
}

#[test]
fn several_traces_are_one_stream() {
    let lab = Lab::new();
    lab.file("a", trace(&[START]));
    lab.file("b", gzip(trace(&[EXEC]).as_bytes()));
    let tail = trace(&[&open(3, "/x")]);
    lab.feed(&["replay", "--stats", "stats.json", "a", "b", "-"], tail.as_bytes()).expect(0);
    assert_eq!(lab.stats().nonzero(), "received=3 applied_new=2 lifecycle=1");
}

/// An input that cannot be read keeps none of the others from being read.
#[test]
fn an_input_that_is_not_there_does_not_hide_the_others() {
    let lab = Lab::new();
    lab.file("a", trace(&[START, EXEC]));
    lab.file("b", trace(&[&open(3, "/x")]));
    std::fs::create_dir(lab.path("directory")).unwrap();
    for (missing, code, why) in
        [("absent", 1, "cannot read"), ("directory", 3, "it is a directory"), ("a\u{1b}[31m", 1, "cannot read")]
    {
        let ended = lab.run(&["replay", "--stats", "stats.json", "a", missing, "b"]);
        ended.expect(code).said(&[why]);
        assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
        assert_eq!(lab.stats().get("received"), 3);
        assert_eq!(lab.names("profiles"), ["web.profile.json"]);
    }
}
