//! `inspect`, `diff` and `merge`.

use crate::support::{EXEC, Lab, START, gzip, open, trace, zstd};

/// A lab with `a.json` and `b.json`, profiles of one image that overlap, and `other.json` of another.
fn lab() -> Lab {
    let lab = Lab::new();
    for (name, input) in [
        ("a", trace(&[START, EXEC, &open(3, "/both"), &open(4, "/only-a")])),
        ("b", trace(&[START, EXEC, &open(5, "/both"), &open(6, "/only-b")]).replace(r#""tag":"1""#, r#""tag":"2""#)),
        ("other", trace(&[START, EXEC]).replace(r#""web""#, r#""other""#)),
    ] {
        let dir = format!("dir-{name}");
        lab.feed(&["replay", "--output", &dir, "-"], input.as_bytes()).expect(0);
        let file = lab.names(&dir).remove(0);
        std::fs::rename(lab.path(&dir).join(file), lab.path(&format!("{name}.json"))).unwrap();
    }
    lab
}

#[test]
fn merging_is_commutative_associative_and_idempotent_to_the_byte() {
    let lab = lab();
    lab.feed(&["replay", "--output", "c", "-"], trace(&[START, EXEC, &open(1, "/c")]).as_bytes()).expect(0);
    std::fs::rename(lab.path("c/web.profile.json"), lab.path("c.json")).unwrap();
    let merge = |output: &str, inputs: &[&str]| {
        lab.run(&[&["merge", "--output", output], inputs].concat()).expect(0);
        lab.text(output)
    };
    let abc = merge("abc", &["a.json", "b.json", "c.json"]);
    merge("ab", &["a.json", "b.json"]);
    merge("bc", &["c.json", "b.json"]);
    for inputs in [
        &["c.json", "b.json", "a.json"] as &[_],
        &["b.json", "c.json", "a.json"],
        &["ab", "c.json"],
        &["a.json", "bc"],
        &["ab", "bc", "abc", "a.json", "a.json"],
        &["abc"],
    ] {
        assert_eq!(merge("out", inputs), abc, "{inputs:?}");
    }
    assert_eq!(merge("same", &["a.json"]), lab.text("a.json"));
    // The output may be one of the inputs.
    assert_eq!(merge("ab", &["ab", "c.json"]), abc);
    for part in ["/only-a", "/only-b", "/c", r#""1":{"#, r#""2":{"#] {
        assert!(abc.contains(part), "{part}");
    }
}

/// Learning from all at once or from parts that are merged: the profiles agree.
#[test]
fn merging_parts_is_as_learning_the_whole() {
    let lab = Lab::new();
    let header =
        |n: u32| format!("{{\"type\":\"header\",\"format\":\"grove-trace\",\"version\":1,\"recording\":\"r{n}\"}}\n");
    let part = |n: u64| {
        let mut lines = vec![START.to_owned(), EXEC.to_owned()];
        lines.extend((0..12).map(|i| open(3 + n, &format!("/tmp/sess-{}.tmp", n * 12 + i))));
        (lines.join("\n") + "\n").replace(r#""c""#, &format!(r#""c{n}""#))
    };
    for n in 0..3 {
        lab.file(&format!("t{n}"), header(n) + &part(n.into()));
        lab.run(&["replay", "--output", &format!("p{n}"), &format!("t{n}")]).expect(0);
    }
    lab.run(&["replay", "t0", "t1", "t2"]).expect(0);
    let parts = ["p2/web.profile.json", "p0/web.profile.json", "p1/web.profile.json"];
    lab.run(&[&["merge", "--output", "merged.json"], &parts[..]].concat()).expect(0);
    let whole = crate::support::json(&lab.profile_text("web"));
    let merged = crate::support::json(&lab.text("merged.json"));
    for part in ["image", "tags", "stats", "processes"] {
        assert_eq!(merged[part].to_string(), whole[part].to_string(), "{part}");
    }
}

#[test]
fn profiles_of_different_images_are_not_merged() {
    let lab = lab();
    lab.file("out.json", "old");
    let ended = lab.run(&["merge", "--output", "out.json", "a.json", "other.json"]);
    ended.expect(3).said(&["other.json", "`image`", "web"]);
    assert_eq!(lab.text("out.json"), "old");
    lab.run(&["merge", "--output", "out.json", "a.json", "absent.json"]).expect(1).said(&["absent.json"]);
    assert_eq!(lab.text("out.json"), "old");
    lab.run(&["merge", "--output", "nowhere/out.json", "a.json"]).expect(1).said(&["nowhere/out.json"]);
}

#[test]
fn differences_are_2_and_none_is_0() {
    let lab = lab();
    let same = lab.run(&["diff", "a.json", "a.json"]);
    assert_eq!(same.expect(0).stdout, "");
    let ended = lab.run(&["diff", "a.json", "b.json"]);
    ended.expect(2);
    assert!(ended.stdout.contains("/only-a") && ended.stdout.contains("/only-b"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("/both"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches(" file ").count(), 2, "{}", ended.stdout);
    let json = lab.run(&["diff", "--format", "json", "a.json", "b.json"]);
    json.expect(2);
    assert_eq!(json.stdout.lines().count(), 2);
    json.stdout.lines().for_each(|line| drop(crate::support::json(line)));
    lab.run(&["diff", "a.json", "absent.json"]).expect(1).said(&["absent.json"]);
}

#[test]
fn tags_of_one_profile_are_compared() {
    let lab = lab();
    lab.run(&["merge", "--output", "ab.json", "a.json", "b.json"]).expect(0);
    let ended = lab.run(&["diff", "ab.json", "--tags", "1..2"]);
    assert_eq!(ended.expect(2).stdout, lab.run(&["diff", "a.json", "b.json"]).stdout);
    lab.run(&["diff", "ab.json", "--tags", "1..1"]).expect(0);
    lab.run(&["diff", "ab.json", "--tags", "1..3"]).expect(3).said(&["--tags", "ab.json", "3", "1, 2"]);
    lab.run(&["diff", "ab.json", "a.json", "--tags", "1..2"]).expect(3);
}

#[test]
fn profiles_are_read_however_they_are_compressed() {
    let lab = lab();
    let text = lab.text("a.json");
    lab.file("a.json.gz", gzip(text.as_bytes()));
    lab.file("a.json.zst", zstd(text.as_bytes()));
    lab.file("plain.gz", &text);
    for name in ["a.json", "a.json.gz", "a.json.zst", "plain.gz"] {
        assert_eq!(lab.run(&["inspect", "--format", "json", name]).expect(0).stdout, text, "{name}");
        lab.run(&["diff", "a.json", name]).expect(0);
    }
}

/// A lineage as long as the limit allows, and a trace that wants a longer one.
#[test]
fn a_chain_of_execs_is_bounded_and_can_be_read_again() {
    let lab = Lab::new();
    let mut lines = vec![START.to_owned()];
    let exec =
        |n: u32| format!(r#"{{"ts":2,"type":"exec","container":"c","pid":{n},"ppid":{},"path":"/bin/p{n}"}}"#, n - 1);
    lines.extend((1..=20_000).map(exec));
    let ledger = lab.learn(&lines.join("\n"));
    assert_eq!(ledger.get("received"), 20_001);
    let profile = "profiles/web.profile.json";
    for args in [
        &["inspect", profile] as &[_],
        &["inspect", "--format", "dot", profile],
        &["diff", profile, profile],
        &["merge", "--output", "m.json", profile],
    ] {
        lab.run(args).expect(0);
    }
    assert_eq!(lab.text("m.json"), lab.text(profile));
    lab.feed(&["check", "--profile", profile, "-"], lines.join("\n").as_bytes()).expect(0);
}
