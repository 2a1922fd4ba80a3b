#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// Gives the bytes in pieces of `piece`, then the error if there is one.
struct Trickle {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    error: Option<ErrorKind>,
}

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let n = rest.len().min(self.piece).min(buf.len());
        if n == 0
            && let Some(error) = self.error
        {
            return Err(error.into());
        }
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

fn trickle(bytes: impl Into<Vec<u8>>, piece: usize) -> Box<Trickle> {
    Box::new(Trickle { bytes: bytes.into(), at: 0, piece, error: None })
}

/// The records as `line:text`, too long ones as `line:!`, and the error, if any.
fn read_all(source: Box<dyn Read + Send>, framing: Framing, max: usize) -> (Vec<String>, Option<InputError>) {
    let mut records = Records::new(source, framing, max);
    let mut seen = Vec::new();
    loop {
        match records.next() {
            Ok(Some(Record { line, bytes: Ok(b) })) => seen.push(format!("{line}:{}", b.escape_ascii())),
            Ok(Some(Record { line, bytes: Err(too_long) })) => {
                assert!(too_long.len_so_far > max as u64 && too_long.max == max);
                seen.push(format!("{line}:!"));
            }
            Ok(None) => return (seen, None),
            Err(error) => {
                assert!(matches!(records.next(), Ok(None)), "an error is the end");
                return (seen, Some(error));
            }
        }
    }
}

fn check(input: &[u8], framing: Framing, max: usize, expect: &[&str]) {
    for piece in [1, 2, 3, 7, 4096] {
        let (seen, error) = read_all(trickle(input, piece), framing, max);
        assert_eq!(seen, expect, "{} in pieces of {piece}", input.escape_ascii());
        assert!(error.is_none());
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    w.write_all(bytes).unwrap();
    w.finish().unwrap()
}

fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    let mut w = zstd::Encoder::new(Vec::new(), 1).unwrap();
    w.include_checksum(true).unwrap();
    w.write_all(bytes).unwrap();
    w.finish().unwrap()
}

#[test]
fn a_mark_of_utf_8_is_skipped_where_the_input_begins() {
    check(b"\xef\xbb\xbfa\nb", Framing::Lines, 16, &["1:a", "2:b"]);
    check(b"\xef\xbb\xbf", Framing::Lines, 16, &[]);
    check(b"\xef\xbba", Framing::Lines, 16, &["1:\\xef\\xbba"]);
    check(b"a\n\xef\xbb\xbfb", Framing::Lines, 16, &["1:a", "2:\\xef\\xbb\\xbfb"]);
    let mut records = Records::new(trickle("\u{feff}{\"evt.type\":1}\n", 1), Framing::Lines, 99);
    assert_eq!(records.head(), b"{\"evt.type\":1}\n");
}

#[test]
fn lines() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &[]),
        (b"a\nb\n", &["1:a", "2:b"]),
        (b"a\nb", &["1:a", "2:b"]),
        (b"a\r\n\r\n\nb\r", &["1:a", "2:", "3:", "4:b"]),
        (b"\n", &["1:"]),
        (b"a\rb\r\r\n", &["1:a\\rb\\r"]),
        (b"\x00\xff\n", &["1:\\x00\\xff"]),
    ];
    for (input, expect) in cases {
        check(input, Framing::Lines, 100, expect);
    }
}

#[test]
fn a_line_over_the_limit_is_reported_once_and_the_next_is_read() {
    check(
        b"12345\n123456\n12345\r\n1234567890123\nx\n",
        Framing::Lines,
        5,
        &["1:12345", "2:!", "3:12345", "4:!", "5:x"],
    );
    check(b"a\n1234567890", Framing::Lines, 5, &["1:a", "2:!"]);
    check(b"\n\na", Framing::Lines, 0, &["1:", "2:", "3:!"]);
}

#[test]
fn json_objects() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &[]),
        (b" \n\n", &[]),
        (b"{}", &["1:{}"]),
        (b"{\"a\":1}\n{\"b\":{}}\n", &["1:{\"a\":1}", "2:{\"b\":{}}"]),
        (b"{}{} {}\n\n{}", &["1:{}", "1:{}", "1:{}", "3:{}"]),
        (b"{\n \"a\": {\n }\n}\n{}", &["1:{\\n \\\"a\\\": {\\n }\\n}", "5:{}"]),
        (b"{\"}{\\\"}\\\\\":\"{\"}{}", &["1:{\\\"}{\\\\\\\"}\\\\\\\\\\\":\\\"{\\\"}", "1:{}"]),
        (b"{\"a\":\n{\n}}{}", &["1:{\\\"a\\\":\\n{\\n}}", "3:{}"]),
        // Garbage between objects is a record up to the line end.
        (b"what is {this}\r\n{}\n} ] , {}\n{}", &["1:what is {this}", "2:{}", "3:} ] , {}", "4:{}"]),
        // An object that was cut off takes nothing with it.
        (b"{\"a\":\"cut\n{\"b\":1}\n", &["1:{\"a\":\"cut", "2:{\"b\":1}"]),
        (b"{\"a\":\"cut\\\n{}\n", &["1:{\"a\":\"cut\\\\", "2:{}"]),
        (b"{\"a\":{\"b\":1\n{\"c\":1}\n", &["1:{\"a\":{\"b\":1", "2:{\"c\":1}"]),
        (b"{\"a\":{\"b\":1\n\n", &["1:{\"a\":{\"b\":1"]),
        (b"{\"a\":\"\\", &["1:{\"a\":\"\\\\"]),
    ];
    for (input, expect) in cases {
        let expect: Vec<_> = expect.iter().map(|e| e.replace("\\\"", "\"").replace('"', "\\\"")).collect();
        let expect: Vec<_> = expect.iter().map(String::as_str).collect();
        check(input, Framing::JsonObjects, 1000, &expect);
    }
}

#[test]
fn an_object_over_the_limit_is_reported_once_and_the_next_is_read() {
    check(b"{\"a\":\"\\\"}{\\\"\"}\n{}", Framing::JsonObjects, 5, &["1:!", "2:{}"]);
    check(b"{\n\n\n\n\n\n\n\n}{}\n{\"\":0}\n{}", Framing::JsonObjects, 5, &["1:!", "9:{}", "10:!", "11:{}"]);
    check(b"garbage!\n{}", Framing::JsonObjects, 5, &["1:!", "2:{}"]);
    // The limit falls between a backslash and what it escapes.
    check(b"{\"a\\\"\":1}\n{}", Framing::JsonObjects, 3, &["1:!", "2:{}"]);
    // The blanks of an object that was cut off count, however they arrive.
    check(b"{\"a\":\n\n\n\n\n\n\n", Framing::JsonObjects, 8, &["1:!"]);
}

/// Counts what it gave out; gives one endless line.
struct Endless {
    left: u64,
    byte: u8,
}

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (buf.len() as u64).min(self.left) as usize;
        buf[..n].fill(self.byte);
        self.left -= n as u64;
        Ok(n)
    }
}

#[test]
fn a_gibibyte_line_costs_constant_memory() {
    for (framing, byte) in [(Framing::Lines, b'x'), (Framing::JsonObjects, b'x'), (Framing::JsonObjects, b'{')] {
        // Framing objects looks at each byte, which an unoptimised test should not do a thousand million times.
        let len = if byte == b'{' { 1 << 26 } else { 1 << 30 };
        let source = Endless { left: len, byte }.chain(&b"\n{}"[..]);
        let mut records = Records::new(Box::new(source), framing, RECORD_MAX);
        assert!(matches!(records.next(), Ok(Some(Record { line: 1, bytes: Err(_) }))));
        let next = records.next().unwrap();
        assert_eq!(next, Some(Record { line: 2, bytes: Ok(b"{}") }));
        assert!(records.buffer.len() <= 2 * RECORD_MAX);
        assert!(matches!(records.next(), Ok(None)));
    }
}

#[test]
fn compression_is_recognised_by_content() {
    let text = b"one\ntwo\nthree\n";
    let split = 6;
    let mut members = gzip(&text[..split]);
    members.extend(gzip(&text[split..]));
    let mut frames = zstd_frame(&text[..split]);
    frames.extend(zstd_frame(&text[split..]));
    let mut skippable = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    skippable.extend(zstd_frame(text));
    for (input, compression) in [
        (text.to_vec(), Compression::Plain),
        (gzip(text), Compression::Gzip),
        (members, Compression::Gzip),
        (zstd_frame(text), Compression::Zstd),
        (frames, Compression::Zstd),
        (skippable, Compression::Zstd),
    ] {
        check(&input, Framing::Lines, 100, &["1:one", "2:two", "3:three"]);
        let mut records = Records::new(trickle(input.clone(), 3), Framing::Lines, 100);
        let position = records.position();
        while records.next().unwrap().is_some() {}
        assert_eq!(records.compression(), compression);
        assert_eq!(position.load(Ordering::Relaxed), input.len() as u64);
    }
    // Nearly magic is plain.
    check(b"\x1f\n", Framing::Lines, 100, &["1:\\x1f"]);
    check(b"(\xb5", Framing::Lines, 100, &["1:(\\xb5"]);
    check(b"Path\n", Framing::Lines, 100, &["1:Path"]);
}

#[test]
fn truncated_compression_delivers_what_came_and_says_so() {
    // Incompressible enough that half of the file holds some of the lines.
    let text: String = (0..50_000u64).map(|i| format!("{:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for whole in [gzip(text.as_bytes()), zstd_frame(text.as_bytes())] {
        let (lines, error) = read_all(trickle(&whole[..], 5000), Framing::Lines, 100);
        assert!(error.is_none() && lines.len() == 50_000);
        for cut in [whole.len() / 2, whole.len() - 1] {
            let (some, error) = read_all(trickle(&whole[..cut], 5000), Framing::Lines, 100);
            assert!(some.len() > 1000 && some == lines[..some.len()]);
            let error = error.unwrap();
            assert!(
                matches!(&error, InputError::Truncated { after_line, .. } if *after_line == some.len() as u64),
                "{error:?}"
            );
            assert!(error.to_string().contains(&format!("after line {}", some.len())));
        }
    }
}

#[test]
fn damaged_compression_delivers_what_came_and_says_so() {
    let text: String = (0..50_000u64).map(|i| format!("{:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let mut trailing = gzip(b"one\n");
    trailing.extend(b"this is no gzip member");
    let (lines, error) = read_all(trickle(trailing, 100), Framing::Lines, 100);
    assert_eq!(lines, ["1:one"]);
    assert!(
        matches!(error, Some(InputError::Corrupt { compression: Compression::Gzip, after_line: 1, .. })),
        "{error:?}"
    );

    for mut whole in [gzip(text.as_bytes()), zstd_frame(text.as_bytes())] {
        let middle = whole.len() / 2;
        let (before, _) = read_all(trickle(&whole[..middle], 5000), Framing::Lines, 100);
        whole[middle..middle + 64].fill(0xff);
        // Damage may make other lines before the checksum tells; what came before it is all there.
        let (some, error) = read_all(trickle(whole, 5000), Framing::Lines, 100);
        let sure = before.len() - UNPACK_SIZE / 10;
        assert!(some.len() >= sure && some[..sure] == before[..sure]);
        assert!(matches!(error, Some(InputError::Corrupt { .. } | InputError::Truncated { .. })), "{error:?}");
    }
    for garbage in [&[0x1f, 0x8b, 0xff, 0xff, 1, 2, 3][..], &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff]] {
        let (some, error) = read_all(trickle(garbage, 100), Framing::Lines, 100);
        assert!(some.is_empty() && error.is_some());
    }
}

#[test]
fn a_read_error_is_told_from_damage() {
    let text: String = (0..50_000u64).map(|i| format!("{i}\n")).collect();
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes()), zstd_frame(text.as_bytes())] {
        let half = bytes[..bytes.len() / 2].to_vec();
        let source = Trickle { bytes: half, at: 0, piece: 100, error: Some(ErrorKind::ConnectionReset) };
        let (_, error) = read_all(Box::new(source), Framing::Lines, 100);
        assert!(matches!(&error, Some(InputError::Read { source, .. }) if source.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_bomb_costs_constant_memory() {
    let zeros = Endless { left: 1 << 28, byte: 0 };
    let mut bomb = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut { zeros }, &mut bomb).unwrap();
    let bomb = bomb.finish().unwrap();
    let mut records = Records::new(trickle(bomb, 4096), Framing::Lines, 1000);
    assert!(matches!(records.next(), Ok(Some(Record { bytes: Err(_), .. }))));
    assert!(matches!(records.next(), Ok(None)));
    assert!(records.buffer.len() <= 2 * READ_SIZE);
}

#[test]
fn the_head_is_shown_and_not_consumed() {
    let text: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    let mut records = Records::new(trickle(gzip(text.as_bytes()), 100), Framing::JsonObjects, 100);
    assert_eq!(records.head(), &text.as_bytes()[..HEAD_MAX]);
    records.set_framing(Framing::Lines);
    assert_eq!(records.next().unwrap(), Some(Record { line: 1, bytes: Ok(b"0") }));
    assert_eq!(records.head()[..4], *b"1\n2\n");

    // A slow stream is read no further than needed.
    let mut records = Records::new(trickle("ab\ncd\n", 1), Framing::Lines, 100);
    assert_eq!(records.head_until(|head| head.contains(&b'\n')), b"ab\n");
    assert_eq!(records.position().load(Ordering::Relaxed), 3);

    // An error in the head does not hide what came before it.
    let whole = gzip(text.as_bytes());
    let mut records = Records::new(trickle(&whole[..whole.len() - 4], 100), Framing::Lines, 100);
    assert_eq!(records.head().len(), HEAD_MAX);
    assert!(records.next().unwrap().is_some());
}

#[test]
fn files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("misleading.gz");
    std::fs::write(&path, "plain\n").unwrap();
    let source = open(&path).unwrap();
    assert_eq!(source.len, Some(6));
    assert_eq!(read_all(source.reader, Framing::Lines, 100).0, ["1:plain"]);
    assert!(open(dir.path()).is_err());
    assert!(open(&dir.path().join("absent")).is_err());
    assert_eq!(open(Path::new("-")).unwrap().len, None);
}

proptest! {
    #[test]
    fn lines_are_those_of_the_standard_library(
        bytes in prop::collection::vec(prop_oneof![3 => Just(b'\n'), 2 => Just(b'\r'), 8 => any::<u8>()], 1..300),
        piece in 1usize..50,
        max in 0usize..20,
    ) {
        // A byte in front keeps random magic out of the way.
        let bytes = [b"x", &bytes[..]].concat();
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let expect: Vec<_> = body.split(|b| *b == b'\n').zip(1..).map(|(l, n)| {
            let l = l.strip_suffix(b"\r").unwrap_or(l);
            if l.len() > max { format!("{n}:!") } else { format!("{n}:{}", l.escape_ascii()) }
        }).collect();
        prop_assert_eq!(read_all(trickle(bytes.clone(), piece), Framing::Lines, max).0, expect);
    }

    #[test]
    fn objects_do_not_depend_on_how_they_arrive(
        text in "[{}\",:\\\\\n a\\[\\]]{0,200}", piece in 1usize..50, max in 0usize..50,
    ) {
        let (whole, _) = read_all(trickle(text.clone(), 1 << 20), Framing::JsonObjects, RECORD_MAX);
        let (pieces, _) = read_all(trickle(text.clone(), piece), Framing::JsonObjects, RECORD_MAX);
        prop_assert_eq!(&whole, &pieces);
        // Under a limit the short records are the same, and the long ones are still told of.
        let (limited, _) = read_all(trickle(text, piece), Framing::JsonObjects, max);
        prop_assert_eq!(whole.len(), limited.len());
        for (a, b) in whole.iter().zip(&limited) {
            prop_assert!(a == b || b.ends_with(":!") && a.split(':').next() == b.split(':').next(), "{} {}", a, b);
        }
    }
}
