//! Names that a traced process chose to attack whoever looks: none is ever shown raw, and none is lost.

use crate::support::{EXEC, Ended, Lab, START, open, trace};

/// As JSON writes them.
const NAMES: &[&str] = &[
    "\\u001b[2Jclear",
    "\\u001b]0;title\\u0007",
    "\\u009b31m",
    "new\\nline",
    "return\\rover",
    "tab\\t",
    "\\u202egpj.exe",
    "\\u2066iso\\u2069",
    "zero\\u200bwidth\\ufeff",
    "\\u2028sep",
    "quote\\\"end",
    "back\\\\slash",
    "back\\\\n",
    "<script>&amp;",
    "label=\\\"x\\\"];evil[",
    "star*",
    "del\\u007f",
    "é日本🙂",
];

/// What no output may hold as it is.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}' | '\u{2028}')
}

fn events() -> Vec<String> {
    let mut lines = vec![START.to_owned(), EXEC.to_owned()];
    for (n, name) in NAMES.iter().enumerate() {
        let pid = 100 + n;
        lines.push(open(3, &format!("/tmp/{name}")));
        lines.push(format!(r#"{{"ts":4,"type":"exec","container":"c","pid":{pid},"ppid":10,"path":"/bin/{name}","argv":["{name}"],"uid":{n}}}"#));
        lines.push(format!(
            r#"{{"ts":4,"type":"exec","container":"c","pid":{pid},"ppid":10,"path":"/bin/busybox","argv":["{name}"]}}"#
        ));
        lines.push(format!(r#"{{"ts":5,"type":"dns","container":"c","pid":10,"name":"{name}.example","qtype":"A"}}"#));
        lines.push(format!(
            r#"{{"ts":6,"type":"connect","container":"c","pid":10,"family":"unix","addr":"/run/{name}","port":0}}"#
        ));
    }
    lines.push(r#"{"ts":7,"type":"open","container":"c","pid":10,"path_b64":"L3RtcC//GwD+"}"#.replace("GwD+", "G/4="));
    lines
}

fn shown(lab: &Lab, args: &[&str], code: i32) -> String {
    let ended = lab.run(args);
    ended.expect(code);
    let bad = |text: &str| text.chars().find(|c| is_harmful(*c));
    assert_eq!((bad(&ended.stdout), bad(&ended.stderr)), (None, None), "{args:?}");
    ended.stdout
}

#[test]
fn nothing_is_shown_raw() {
    let lab = Lab::new();
    lab.file("t", events().join("\n"));
    lab.file("little", trace(&[START, EXEC]));
    shown(&lab, &["replay", "t"], 0);
    shown(&lab, &["replay", "--show", "t"], 0);
    shown(&lab, &["replay", "--output", "little-profiles", "little"], 0);
    let (profile, little) = ("profiles/web.profile.json", "little-profiles/web.profile.json");
    let tree = shown(&lab, &["inspect", profile], 0);
    for part in [r"\u{1b}[2Jclear", r"new\u{a}line", r"\u{202e}gpj.exe", "é日本🙂"] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    let dot = shown(&lab, &["inspect", "--format", "dot", profile], 0);
    // Every quote inside a label is escaped, so quotes come in pairs on every line.
    for line in dot.lines() {
        let unescaped = line.replace("\\\\", "").replace("\\\"", "");
        assert!(unescaped.matches('"').count().is_multiple_of(2), "{line}");
        assert!(!unescaped.split('"').step_by(2).any(|outside| outside.contains("evil")), "{line}");
    }
    shown(&lab, &["diff", little, profile], 2);
    shown(&lab, &["diff", "--color", "never", profile, little], 2);
    shown(&lab, &["check", "--profile", little, "t"], 2);
    shown(&lab, &["diff", "--format", "json", little, profile], 2);
}

#[test]
fn colour_is_the_only_escape_sequence_there_is() {
    let lab = Lab::new();
    lab.file("t", events().join("\n"));
    lab.run(&["replay", "t"]).expect(0);
    let ended = lab.run(&["--color", "always", "inspect", "profiles/web.profile.json"]);
    ended.expect(0);
    assert!(ended.stdout.contains("\u{1b}["));
    for sequence in ended.stdout.split('\u{1b}').skip(1) {
        let style = sequence.strip_prefix('[').and_then(|s| s.split_once('m'));
        assert!(style.is_some_and(|(codes, _)| codes.bytes().all(|b| b.is_ascii_digit() || b == b';')), "{sequence:?}");
    }
}

#[test]
fn nothing_is_lost_on_a_round_trip() {
    let lab = Lab::new();
    lab.file("t", events().join("\n"));
    lab.run(&["replay", "t"]).expect(0);
    let profile = "profiles/web.profile.json";
    let ended = lab.run(&["inspect", "--format", "json", profile]);
    assert_eq!(ended.expect(0).stdout, lab.text(profile));
    lab.file("again.json", &ended.stdout);
    for output in ["merged.json", "merged.json.gz", "merged.json.zst"] {
        lab.run(&["merge", "--output", output, "again.json"]).expect(0);
        assert_eq!(lab.run(&["inspect", "--format", "json", output]).expect(0).stdout, lab.text(profile), "{output}");
    }
    lab.run(&["diff", profile, "merged.json"]).expect(0);
    lab.run(&["check", "--profile", profile, "t"]).expect(0);
    let piped = lab.feed(&["inspect", "--format", "json", "-"], lab.text(profile).as_bytes());
    assert_eq!(piped.expect(0).stdout, lab.text(profile));
}

#[test]
fn hostile_images_tags_and_containers_are_shown_harmless_too() {
    let lab = Lab::new();
    for name in NAMES {
        let start =
            format!(r#"{{"ts":1,"type":"container_start","container":"{name}","image":"i{name}","tag":"t{name}"}}"#);
        let exec = format!(r#"{{"ts":2,"type":"exec","container":"{name}","pid":10,"ppid":1,"path":"/bin/web"}}"#);
        let _ = std::fs::remove_dir_all(lab.path("profiles"));
        lab.file("t", trace(&[&start, &exec]));
        shown(&lab, &["replay", "--show", "t"], 0);
        let files = lab.names("profiles");
        assert_eq!(files.len(), 1, "{name}");
        std::fs::rename(lab.path("profiles").join(&files[0]), lab.path("p.json")).unwrap();
        shown(&lab, &["inspect", "p.json"], 0);
        shown(&lab, &["inspect", "--format", "dot", "p.json"], 0);
        shown(&lab, &["diff", "p.json", "--tags", "a..b"], 3);
        lab.file("u", trace(&[&start, &exec, &exec.replace("/bin/web", "/bin/other")]));
        shown(&lab, &["check", "--profile", "p.json", "u"], 2);
    }
}

/// File names on the command line are hostile as well: a script may pass what it found in a directory.
#[test]
fn file_names_in_messages_are_escaped() {
    let lab = Lab::new();
    let name = "x\u{1b}[2J\ny";
    lab.file(name, "rubbish");
    for args in [
        &["replay", name] as &[_],
        &["replay", "--strict", name],
        &["replay", "--output", "x\u{1b}[2J\ny/below", name],
        &["replay", "absent\u{1b}[2J"],
        &["inspect", name],
        &["inspect", "absent\u{1b}[2J"],
        &["diff", name, name],
        &["merge", "--output", "out", name],
        &["check", "--profile", name, name],
        &["convert", name],
        &["convert", "--strict", name],
        &["gr\u{1b}[2Jaft"],
    ] {
        let ended = Ended::of(lab.command(args).output().unwrap());
        assert!(!ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'), "{args:?}: {:?}", ended.stderr);
    }
}
