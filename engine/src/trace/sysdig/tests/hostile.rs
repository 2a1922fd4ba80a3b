//! Lines that nobody wrote in good faith: rejected with a reason, never a panic, never slow.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::ledger::Rejected;

#[test]
fn a_bad_line_is_rejected_with_its_field() {
    use Rejected::*;
    let bomb = format!("{{\"x\":{}", "[".repeat(1 << 20));
    let object_bomb = format!("{{\"x\":{}", "{\"y\":".repeat(1 << 18));
    let doubled = line(&[]).replace("\"proc.pid\":10", "\"proc.pid\":10,\"proc.pid\":11");
    let resolved = exit_line("connect", "res=0 tuple=host:http->www:http ", &[("fd.type", "\"ipv4\"")]);
    for (line, reason, field) in [
        (String::new(), Malformed, None),
        ("[]".into(), Malformed, None),
        ("7".into(), Malformed, None),
        ("{\"evt.type\":".into(), Malformed, None),
        (line(&[]) + "{}", Malformed, None),
        (bomb, Malformed, None),
        (object_bomb, Malformed, None),
        ("{}".into(), MissingField, Some("evt.dir")),
        (line(&[("evt.dir", "")]), MissingField, Some("evt.dir")),
        (line(&[("evt.dir", "null")]), MissingField, Some("evt.dir")),
        (line(&[("evt.type", "")]), MissingField, Some("evt.type")),
        (line(&[("evt.rawtime", "")]), MissingField, Some("evt.rawtime")),
        (line(&[("container.id", "")]), MissingField, Some("container.id")),
        (line(&[("proc.pid", "")]), MissingField, Some("proc.pid")),
        (line(&[("thread.tid", "")]), MissingField, Some("thread.tid")),
        (line(&[("evt.dir", "\"=\"")]), InvalidValue, Some("evt.dir")),
        (line(&[("evt.rawtime", "-1")]), InvalidValue, Some("evt.rawtime")),
        (line(&[("evt.rawtime", "18446744073709551616")]), InvalidValue, Some("evt.rawtime")),
        (line(&[("evt.rawtime", "1.5")]), InvalidValue, Some("evt.rawtime")),
        (line(&[("evt.rawtime", "\"1\"")]), WrongType, Some("evt.rawtime")),
        (line(&[("proc.pid", "-2")]), InvalidValue, Some("proc.pid")),
        (line(&[("proc.pid", "4294967296")]), InvalidValue, Some("proc.pid")),
        (line(&[("proc.ppid", "[]")]), WrongType, Some("proc.ppid")),
        (line(&[("user.uid", "true")]), WrongType, Some("user.uid")),
        (line(&[("proc.exepath", "{\"a\":[1]}")]), WrongType, Some("proc.exepath")),
        (line(&[("fd.name", "\"/a\\u0000b\"")]), InvalidValue, Some("fd.name")),
        (doubled, DuplicateField, Some("proc.pid")),
        (resolved, InvalidValue, Some("evt.args")),
    ] {
        let mut sink = Reported::default();
        let shown = line.get(..80).unwrap_or(&line);
        let reject = SysdigDecoder::new().decode(line.as_bytes(), &mut sink).expect_err(shown);
        assert_eq!((reject.reason, reject.field), (reason, field), "{shown}: {reject}");
        assert!(!sink.0.iter().any(|e| e.starts_with("event")), "{shown}");
    }
    let not_utf8 = line(&[]).replace("/bin/app", "/bin/\u{1}").into_bytes();
    let not_utf8: Vec<u8> = not_utf8.into_iter().map(|b| if b == 1 { 0xff } else { b }).collect();
    assert_eq!(SysdigDecoder::new().decode(&not_utf8, &mut Reported::default()).unwrap_err().reason, Malformed);
}

/// Megabytes of sysdig's own separators take about as long as megabytes of anything.
#[test]
fn no_text_makes_it_quadratic() {
    const SIZE: usize = 4 << 20;
    for (kind, piece) in [
        ("open", " name=x flags=1("),
        ("open", "(/"),
        ("openat", " dirfd=-100 name=("),
        ("execve", " flags=("),
        ("execve", " exe= args= tid="),
        ("execve", ". "),
        ("connect", " tuple=0->"),
        ("connect", ":"),
        ("bind", " addr=:"),
        ("clone", "res=0"),
        ("container", "json={\\\"container\\\":"),
    ] {
        let prefix = if kind == "container" { "" } else { "res=0 fd=3" };
        let args = format!("\"{prefix}{}\"", piece.repeat(SIZE / piece.len()));
        let kind = format!("{kind:?}");
        let text = format!("\"{}\"", "a ".repeat(SIZE / 2));
        let fields = [
            ("evt.type", kind.as_str()),
            ("evt.dir", "\"<\""),
            ("evt.args", &args),
            ("proc.cmdline", &text),
            ("fd.name", "null"),
        ];
        let line = line(&fields);
        let begun = Instant::now();
        let _outcome = SysdigDecoder::new().decode(line.as_bytes(), &mut Reported::default());
        assert!(begun.elapsed() < Duration::from_secs(5), "{kind} {piece}: {:?}", begun.elapsed());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = SysdigDecoder::new().decode(&bytes, &mut Reported::default());
    }

    /// Whatever is inside the fields, a line is counted once, as its outcome says.
    #[test]
    fn any_field_is_counted_once(
        kind in prop::sample::select(vec!["open", "openat", "creat", "execve", "execveat", "connect", "bind", "clone", "container", "procexit", "accept"]),
        dir in prop::sample::select(vec!["<", ">"]),
        args in "(res=|fd=|json=|filename=)?(-?[0-9]{1,20}|NULL)?(( name=| flags=| tuple=| addr=| exe=| args=|->|:|/|\\(|\\)|\\.| |é|[a-f0-9]){0,12})",
        texts in prop::collection::vec("[a-z/ .:é<>-]{0,12}", 5),
        numbers in prop::collection::vec(-1i64..5, 4),
    ) {
        let json = |t: &str| format!("{t:?}");
        let (kind, dir, args) = (json(kind), json(dir), json(&args));
        let texts: Vec<_> = texts.iter().map(|t| json(t)).collect();
        let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
        let line = line(&[
            ("evt.type", &kind), ("evt.dir", &dir), ("evt.args", &args),
            ("fd.name", &texts[0]), ("proc.cmdline", &texts[1]), ("proc.name", &texts[2]),
            ("proc.exepath", &texts[3]), ("container.image", &texts[4]),
            ("proc.pid", &numbers[0]), ("thread.tid", &numbers[1]), ("proc.ppid", &numbers[2]), ("fd.num", &numbers[3]),
        ]);
        let mut sink = Reported::default();
        let outcome = SysdigDecoder::new().decode(line.as_bytes(), &mut sink);
        let counted = sink.0.iter().filter(|e| e.starts_with("event")).count();
        prop_assert_eq!(counted, usize::from(matches!(outcome, Ok(Line::Event))), "{}", line);
    }
}
