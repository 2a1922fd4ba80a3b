//! Normalising: the fixed rules that every path goes through before anything compares it.
//!
//! Not here: what is learned (`shape`, `sketch`).

use super::text::escape;

/// Hex digits in a row from which on they are an identifier and no word.
const HEX_RUN_MIN: usize = 32;

/// The groups of a UUID, in hex digits.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

const VAR: &str = "/var";
const VAR_RUN: &str = "/var/run";

/// A path that is relative while no absolute working directory is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relative path, and no absolute working directory to resolve it against")]
pub struct Relative;

/// Writes the normalised, escaped form of `raw` into `out`, which is cleared first.
///
/// `pid` is the process that names the path. The module's page has the rules as a table. Takes time linear
/// in the lengths of `raw` and `cwd`, and allocates only where `out` has to grow. A path that comes out with
/// neither wildcard nor escape is its own normal form.
///
/// # Errors
/// [`Relative`] if neither `raw` nor `cwd` begins with a slash; `out` is then empty.
pub fn normalise(raw: &[u8], cwd: Option<&[u8]>, pid: u32, out: &mut String) -> Result<(), Relative> {
    out.clear();
    if push_normal(raw, out) {
        return Ok(());
    }
    if !raw.starts_with(b"/") {
        let cwd = cwd.filter(|cwd| cwd.starts_with(b"/")).ok_or(Relative)?;
        if !push_normal(cwd, out) {
            resolve(cwd, pid, out);
        }
    }
    resolve(raw, pid, out);
    // Where `/var/run` is, `/run` is.
    if below_run(out) != out {
        out.drain(..VAR.len());
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(())
}

/// Writes the normalised, escaped form of the components of a relative path into `out`, which is cleared first. `.` and
/// `..` stay: where they lead nobody knows.
pub fn normalise_relative(raw: &[u8], out: &mut String) {
    out.clear();
    for component in raw.split(|b| *b == b'/').filter(|component| !component.is_empty()) {
        if !out.is_empty() {
            out.push('/');
        }
        push_without_identifiers(component, out);
    }
}

/// A normalised path as it is written since `/var/run` counts as `/run`: one from a profile may be older than that.
pub(crate) fn below_run(path: &str) -> &str {
    match path.strip_prefix(VAR_RUN) {
        Some(below) if below.is_empty() || below.starts_with('/') => path.get(VAR.len()..).unwrap_or(path),
        _ => path,
    }
}

/// Appends `raw` as it is, if that certainly is its normal form.
fn push_normal(raw: &[u8], out: &mut String) -> bool {
    let Some(text) = is_normal(raw).then(|| str::from_utf8(raw).ok()).flatten() else { return false };
    out.push_str(text);
    true
}

/// Whether `raw` certainly is its own normal form; false is no statement.
///
/// One pass without branches, for many bytes at once: nearly every path there is passes it.
fn is_normal(raw: &[u8]) -> bool {
    let Some((b'/', tail @ [.., last])) = raw.split_first() else { return false };
    if *last == b'/' || raw.starts_with(b"/proc/") || raw.starts_with(VAR_RUN.as_bytes()) {
        return false;
    }
    let rewrites = |(before, byte): (&u8, &u8)| {
        let begins_special = (*before == b'/') & ((*byte == b'/') | (*byte == b'.') | (*byte == b'#'));
        begins_special | (*byte == b'*') | (*byte == b'\\') | !byte.is_ascii()
    };
    !raw.iter().zip(tail).fold(false, |any, pair| any | rewrites(pair)) && !may_have_identifier(raw)
}

/// Whether so many bytes in a row may be part of an identifier that they may be one. Of every run that is long enough
/// one byte stands at a multiple of that length, and most paths have no more than one such place.
fn may_have_identifier(raw: &[u8]) -> bool {
    let part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
    (HEX_RUN_MIN..raw.len()).step_by(HEX_RUN_MIN).any(|at| {
        let Some((before, after)) = raw.split_at_checked(at) else { return false };
        let after = after.iter().take_while(|byte| part(byte)).count();
        after > 0 && before.iter().rev().take_while(|byte| part(byte)).count() + after >= HEX_RUN_MIN
    })
}

/// Follows `raw` from the directory `out`, where the empty text is the root.
///
/// A component's form depends on the directories above it alone, so it can be rewritten at once although a
/// later `..` may remove it again.
fn resolve(raw: &[u8], pid: u32, out: &mut String) {
    for component in raw.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => out.truncate(out.rfind('/').unwrap_or(0)),
            name => push(name, pid, out),
        }
    }
}

fn push(name: &[u8], pid: u32, out: &mut String) {
    let in_proc = out == "/proc";
    let names_process = in_proc && is_number(name);
    let names_thread = (in_proc || out.starts_with("/proc/")) && out.ends_with("/task") && is_number(name);
    out.push('/');
    if names_process && is_decimal_of(name, pid) {
        out.push_str("self");
    } else if names_process || names_thread || is_volume_time_stamp(name) {
        out.push('*');
    } else if name.strip_prefix(b"#").is_some_and(is_number) {
        // How the kernel writes a file that never had a name (`O_TMPFILE`): by its inode.
        out.push_str("#*");
    } else {
        push_without_identifiers(name, out);
    }
}

/// Appends an argument of a program as it is compared: escaped, and its UUIDs and long hex numbers replaced as those of
/// paths are. O(its length).
pub fn normalise_argument(arg: &[u8], out: &mut String) {
    push_without_identifiers(arg, out);
}

fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// Whether `digits` is how `/proc` writes `pid`: without leading zeros.
fn is_decimal_of(digits: &[u8], pid: u32) -> bool {
    let canonical = digits.len() == 1 || !digits.starts_with(b"0");
    canonical && str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(pid))
}

/// `..YYYY_MM_DD_` and anything: the directory that a Kubernetes volume's `..data` points to.
fn is_volume_time_stamp(name: &[u8]) -> bool {
    let Some(stamp) = name.strip_prefix(b"..").and_then(|rest| rest.first_chunk::<11>()) else { return false };
    stamp
        .iter()
        .zip(b"dddd_dd_dd_")
        .all(|(byte, kind)| if *kind == b'd' { byte.is_ascii_digit() } else { byte == kind })
}

/// Appends a component with its UUIDs and long hex numbers replaced, the leftmost first.
fn push_without_identifiers(name: &[u8], out: &mut String) {
    // Neither fits into less. Most names are shorter.
    if name.len() < HEX_RUN_MIN {
        return escape(name, out);
    }
    let (mut literal, mut rest) = (0, name);
    let mut wildcard_is_last = false;
    let position = |rest: &[u8]| name.len() - rest.len();
    while !rest.is_empty() {
        let run = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        // A UUID can begin in this run only eight digits before its end.
        let (start, len) = match run.checked_sub(UUID_GROUPS[0]) {
            Some(_) if run >= HEX_RUN_MIN => (0, run),
            Some(start) => (start, rest.get(start..).map_or(0, uuid_len)),
            None => (0, 0),
        };
        if len == 0 {
            rest = rest.get(run.max(1)..).unwrap_or_default();
            continue;
        }
        let before = name.get(literal..position(rest) + start).unwrap_or_default();
        escape(before, out);
        if !(wildcard_is_last && before.is_empty()) {
            out.push('*');
        }
        wildcard_is_last = true;
        rest = rest.get(start + len..).unwrap_or_default();
        literal = position(rest);
    }
    escape(name.get(literal..).unwrap_or_default(), out);
}

/// The length of the UUID that `text` begins with, or 0.
fn uuid_len(text: &[u8]) -> usize {
    let Some(&joiner @ (b'-' | b'_')) = text.get(UUID_GROUPS[0]) else { return 0 };
    let mut at = 0;
    for (i, digits) in UUID_GROUPS.into_iter().enumerate() {
        if i > 0 {
            if text.get(at) != Some(&joiner) {
                return 0;
            }
            at += 1;
        }
        if !text.get(at..at + digits).is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit)) {
            return 0;
        }
        at += digits;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::is_pattern;
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "01234567-89ab-cdef-0123-456789ABCDEF";
    const UUID_: &str = "01234567_89ab_cdef_0123_456789abcdef";
    const HEX32: &str = "0123456789abcdef0123456789abcdef";

    fn normal(raw: &[u8]) -> String {
        let mut out = "left over".to_owned();
        normalise(raw, None, 42, &mut out).unwrap();
        out
    }

    fn check(table: &[(&str, &str)]) {
        for (raw, expect) in table {
            assert_eq!(normal(raw.as_bytes()), *expect, "{raw}");
        }
    }

    #[test]
    fn resolves_lexically() {
        check(&[
            ("/usr/bin/x", "/usr/bin/x"),
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/usr//bin/", "/usr/bin"),
            ("/usr/./bin/.", "/usr/bin"),
            ("/usr/lib/../bin", "/usr/bin"),
            ("/a/b/c/../../d/..", "/a"),
            ("/a/..", "/"),
            ("/home/u/.ssh", "/home/u/.ssh"),
            ("/a/...", "/a/..."),
            ("/a/..x", "/a/..x"),
            ("/vol/..data/token", "/vol/..data/token"),
        ]);
    }

    #[test]
    fn resolves_against_the_working_directory() {
        let table: &[(&str, Option<&str>, Result<&str, Relative>)] = &[
            ("x", Some("/a/b"), Ok("/a/b/x")),
            ("../x", Some("/a/b/"), Ok("/a/x")),
            ("../../../x", Some("/a"), Ok("/x")),
            ("", Some("/a"), Ok("/a")),
            ("..", Some("/a"), Ok("/")),
            ("/x", Some("/a"), Ok("/x")),
            ("/x", Some("a"), Ok("/x")),
            ("maps", Some("/proc/42"), Ok("/proc/self/maps")),
            ("42", Some("/proc"), Ok("/proc/self")),
            ("x", Some("a"), Err(Relative)),
            ("x", Some(""), Err(Relative)),
            ("x", None, Err(Relative)),
            ("", None, Err(Relative)),
        ];
        for (raw, cwd, expect) in table {
            let mut out = "left over".to_owned();
            let got = normalise(raw.as_bytes(), cwd.map(str::as_bytes), 42, &mut out);
            assert_eq!(got.map(|()| out.as_str()), *expect, "{raw} in {cwd:?}");
            assert!(got.is_ok() || out.is_empty());
        }
    }

    #[test]
    fn names_processes_and_threads_by_role() {
        check(&[
            ("/proc/42/maps", "/proc/self/maps"),
            ("/proc/42", "/proc/self"),
            ("/proc/042", "/proc/*"),
            ("/proc/43/maps", "/proc/*/maps"),
            ("/proc/99999999999999999999", "/proc/*"),
            ("/proc/self/task/42/stat", "/proc/self/task/*/stat"),
            ("/proc/42/task/43/stat", "/proc/self/task/*/stat"),
            ("/proc/7/root/proc/8/task/9", "/proc/*/root/proc/8/task/*"),
            ("/proc/4x", "/proc/4x"),
            ("/proc/sys/42", "/proc/sys/42"),
            ("/proc/multitask/42", "/proc/multitask/42"),
            ("/x/../proc/./42", "/proc/self"),
            ("/proc/7/../42/task/x/../9", "/proc/self/task/*"),
            ("/process/42", "/process/42"),
            ("/a/proc/42/task/43", "/a/proc/42/task/43"),
            ("/task/42", "/task/42"),
        ]);
    }

    #[test]
    fn replaces_identifiers() {
        let long = HEX32.repeat(3);
        for (raw, expect) in [
            (UUID, "*"),
            (UUID_, "*"),
            (&UUID.replacen('-', "_", 1), "01234567_89ab-cdef-0123-456789ABCDEF"),
            (&UUID[1..], &UUID[1..]),
            (&UUID[..35], &UUID[..35]),
            (&format!("kubepods-pod{UUID_}.slice"), "kubepods-pod*.slice"),
            (&format!("abcd{UUID}ef"), "abcd*ef"),
            (&format!("{UUID}{UUID}"), "*"),
            (&format!("{UUID}-{UUID_}"), "*-*"),
            (&format!("{UUID}{HEX32}"), "*"),
            (&format!("{HEX32}{UUID}"), "*-89ab-cdef-0123-456789ABCDEF"),
            (HEX32, "*"),
            (&HEX32[1..], &HEX32[1..]),
            (&format!("docker-{long}.scope"), "docker-*.scope"),
            (&format!("g{HEX32}g"), "g*g"),
            (&format!("{HEX32}*{HEX32}"), r"*\**"),
            (&format!("{HEX32}.{HEX32}"), "*.*"),
            (&format!("é{HEX32}é"), "é*é"),
        ] {
            assert_eq!(normal(format!("/{raw}").as_bytes()), format!("/{expect}"));
            assert_eq!(normal(format!("/a/{raw}/b").as_bytes()), format!("/a/{expect}/b"));
        }
    }

    #[test]
    fn a_file_that_never_had_a_name_is_named_by_no_inode() {
        check(&[
            ("/tmp/#10010679", "/tmp/#*"),
            ("/#1/x", "/#*/x"),
            ("/tmp/#", "/tmp/#"),
            ("/tmp/#1a", "/tmp/#1a"),
            ("/tmp/a#1", "/tmp/a#1"),
            ("/tmp/##1", "/tmp/##1"),
        ]);
    }

    #[test]
    fn var_run_is_run() {
        check(&[
            ("/var/run/docker.sock", "/run/docker.sock"),
            ("/var/run", "/run"),
            ("/var//./run/x/", "/run/x"),
            ("/var/running", "/var/running"),
            ("/var/run/../lib/x", "/var/lib/x"),
            ("/x/../var/run/x", "/run/x"),
            ("/srv/var/run/x", "/srv/var/run/x"),
        ]);
    }

    #[test]
    fn arguments_have_no_identifiers() {
        for (raw, expect) in [
            (format!("--id={UUID}"), "--id=*"),
            (format!("/srv/{HEX32}/x*"), r"/srv/*/x\*"),
            ("-c".to_owned(), "-c"),
            ("1234".to_owned(), "1234"),
            (String::new(), ""),
        ] {
            let mut out = String::new();
            normalise_argument(raw.as_bytes(), &mut out);
            assert_eq!(out, expect);
        }
    }

    #[test]
    fn replaces_volume_time_stamps() {
        check(&[
            ("/vol/..2024_01_31_08_00_00.123456789/token", "/vol/*/token"),
            ("/vol/..2024_01_31_", "/vol/*"),
            ("/vol/..2024_01_31", "/vol/..2024_01_31"),
            ("/vol/..2024_1_31_x", "/vol/..2024_1_31_x"),
            ("/vol/.2024_01_31_x", "/vol/.2024_01_31_x"),
            ("/vol/x..2024_01_31_x", "/vol/x..2024_01_31_x"),
        ]);
    }

    #[test]
    fn escapes_what_is_not_plain_text() {
        check(&[("/a*b", r"/a\*b"), (r"/a\b", r"/a\\b"), ("/é", "/é")]);
        assert_eq!(normal(b"/a\xff/b"), r"/a\xff/b");
        assert_eq!(normal(b"/\xff/../b"), "/b");
        assert_eq!(normal(b"/proc/\xff"), r"/proc/\xff");
    }

    #[test]
    fn a_relative_path_of_no_directory_keeps_its_components() {
        for (raw, expect) in [
            ("./start-web", "./start-web"),
            ("nginx", "nginx"),
            ("../bin//x/", "../bin/x"),
            (&format!("./{HEX32}/x*"), r"./*/x\*"),
        ] {
            let mut out = "left over".to_owned();
            normalise_relative(raw.as_bytes(), &mut out);
            assert_eq!(out, expect);
        }
    }

    fn raw_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b"/".to_vec()),
            8 => prop::sample::select(vec![
                &b"."[..], b"..", b"/proc", b"task", b"42", b"7", b"*", b"\\", b"\xff", b"-", b"_", b"usr", b"g",
                "é".as_bytes(), UUID.as_bytes(), UUID_.as_bytes(), HEX32.as_bytes(), b"deadbeef", b"/..2024_01_31_x",
                b"#", b"/#17", b"/var/run", b"run", b"var",
            ]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..16).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
    }

    proptest! {
        #[test]
        fn is_idempotent(raw in raw_path()) {
            let once = normal(&raw);
            if !is_pattern(&once) && !once.contains('\\') {
                prop_assert_eq!(normal(once.as_bytes()), once);
            }
        }

        #[test]
        fn is_absolute_resolved_and_folded(raw in raw_path()) {
            let text = normal(&raw);
            prop_assert!(text.starts_with('/'));
            prop_assert!(text == "/" || text[1..].split('/').all(|c| !matches!(c, "" | "." | "..")), "{}", text);
            prop_assert!(!text.replace(r"\\", "x").replace(r"\*", "x").contains("**"), "{}", text);
        }

        #[test]
        fn the_fast_path_changes_nothing(raw in raw_path()) {
            if is_normal(&raw) {
                let mut slow = String::new();
                resolve(&raw, 42, &mut slow);
                prop_assert_eq!(slow.as_bytes(), raw);
            }
        }

        #[test]
        fn a_relative_path_is_its_join(cwd in raw_path(), raw in raw_path()) {
            let relative = raw.trim_ascii_start().iter().copied().skip_while(|b| *b == b'/').collect::<Vec<_>>();
            let mut out = String::new();
            normalise(&relative, Some(&cwd), 42, &mut out).unwrap();
            prop_assert_eq!(out, normal(&[&cwd[..], b"/", &relative].concat()));
        }
    }
}
