//! The escaped text form: writing it, reading it, and cutting it into components.
//!
//! Not here: rewriting of any kind (`normal`, `shape`).

use memchr::{memchr, memchr2};

/// Appends the escaped text of `raw` to `out`. The result has no wildcard.
pub fn escape(raw: &[u8], out: &mut String) {
    if let Ok(text) = str::from_utf8(raw) {
        return escape_str(text, out);
    }
    for chunk in raw.utf8_chunks() {
        escape_str(chunk.valid(), out);
        for byte in chunk.invalid() {
            out.push_str("\\x");
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
    }
}

fn escape_str(mut text: &str, out: &mut String) {
    while let Some((plain, special)) = memchr2(b'*', b'\\', text.as_bytes()).and_then(|i| text.split_at_checked(i)) {
        out.push_str(plain);
        out.push('\\');
        let (token, rest) = special.split_at_checked(1).unwrap_or((special, ""));
        out.push_str(token);
        text = rest;
    }
    out.push_str(text);
}

/// The raw bytes of an escaped text; a wildcard stays `*`, and a backslash that begins no escape stands for itself.
///
/// `unescape` after [`escape`] gives back the bytes that went in.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut raw = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((token, tail)) = first_token(rest) {
        rest = tail;
        match token.as_bytes() {
            [b'\\', b'x', high, low] => raw.push(hex_value(*high) << 4 | hex_value(*low)),
            [b'\\', literal] => raw.push(*literal),
            other => raw.extend_from_slice(other),
        }
    }
    raw
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    }
}

/// Whether an escaped text has a wildcard, that is, an unescaped `*`.
pub fn is_pattern(text: &str) -> bool {
    let mut rest = text;
    while let Some(special) = memchr2(b'*', b'\\', rest.as_bytes()).and_then(|i| rest.get(i..)) {
        match first_token(special) {
            Some(("*", _)) => return true,
            Some((_, tail)) => rest = tail,
            None => return false,
        }
    }
    false
}

/// Splits off what an escaped text begins with: an escape sequence, a wildcard or one character.
pub(super) fn first_token(text: &str) -> Option<(&str, &str)> {
    let len = match text.as_bytes() {
        [b'\\', b'*' | b'\\', ..] => 2,
        [b'\\', b'x', b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f', ..] => 4,
        _ => text.chars().next()?.len_utf8(),
    };
    text.split_at_checked(len)
}

/// The components of a path, each escaped text.
///
/// The first component of an absolute path keeps its slash; a text that does not begin with a slash is no
/// path, and one component whatever it contains.
///
/// ```
/// # use grove::path::components;
/// assert_eq!(components("/usr/bin/x").collect::<Vec<_>>(), ["/usr", "bin", "x"]);
/// assert_eq!(components("@abstract/sock").collect::<Vec<_>>(), ["@abstract/sock"]);
/// ```
pub fn components(text: &str) -> Components<'_> {
    Components { rest: Some(text), begun: false }
}

/// The iterator that [`components`] returns.
#[derive(Clone, Debug)]
pub struct Components<'a> {
    rest: Option<&'a str>,
    begun: bool,
}

impl<'a> Iterator for Components<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        let body = if self.begun { Some(rest) } else { rest.strip_prefix('/') };
        self.begun = true;
        let slash = body.and_then(|body| memchr(b'/', body.as_bytes()).map(|at| rest.len() - body.len() + at));
        let Some(slash) = slash else { return Some(rest) };
        self.rest = rest.get(slash + 1..);
        rest.get(..slash)
    }
}

/// Appends a component: the inverse of [`components`], starting from an empty `path`.
pub fn push_component(path: &mut String, component: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(component);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(raw: &[u8]) -> String {
        let mut out = String::new();
        escape(raw, &mut out);
        out
    }

    #[test]
    fn escapes() {
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"plain", "plain"),
            (b"a*b", r"a\*b"),
            (br"a\b", r"a\\b"),
            (br"\xff", r"\\xff"),
            (b"a\xffb", r"a\xffb"),
            (b"\xc3", r"\xc3"),
            (b"\xe2\x82*", r"\xe2\x82\*"),
            ("é→".as_bytes(), "é→"),
            (b"\x00\x0f", "\0\x0f"),
            (b"\x80\x0a", "\\x80\n"),
        ];
        for (raw, text) in table {
            assert_eq!(escaped(raw), *text);
            assert_eq!(unescape(text), *raw, "{text}");
        }
    }

    #[test]
    fn unescape_takes_what_escape_never_writes() {
        for (text, raw) in [("*", &b"*"[..]), ("\\", b"\\"), (r"\q", br"\q"), (r"\xFF", br"\xFF"), (r"\x4", br"\x4")] {
            assert_eq!(unescape(text), raw, "{text}");
        }
    }

    #[test]
    fn wildcards_are_unescaped_stars() {
        for (text, expect) in
            [("", false), ("a", false), ("*", true), (r"\*", false), (r"\\*", true), (r"\\\*", false), (r"\xff*", true)]
        {
            assert_eq!(is_pattern(text), expect, "{text}");
        }
    }

    #[test]
    fn splits_into_components() {
        let table: &[(&str, &[&str])] = &[
            ("/usr/bin/x", &["/usr", "bin", "x"]),
            ("/x", &["/x"]),
            ("/", &["/"]),
            ("", &[""]),
            ("<unknown>", &["<unknown>"]),
            ("memfd:x", &["memfd:x"]),
            ("@abstract/sock", &["@abstract/sock"]),
            ("/a/é/*", &["/a", "é", "*"]),
        ];
        for (text, expect) in table {
            assert_eq!(components(text).collect::<Vec<_>>(), *expect);
        }
    }

    proptest! {
        #[test]
        fn unescape_undoes_escape(raw: Vec<u8>) {
            let text = escaped(&raw);
            prop_assert!(!is_pattern(&text));
            prop_assert_eq!(unescape(&text), raw);
        }

        #[test]
        fn unescape_undoes_escape_of_awkward_bytes(
            raw in prop::collection::vec(prop::sample::select(&b"\\*x0fF/\xc3\xa9\xff"[..]), 0..24),
        ) {
            prop_assert_eq!(unescape(&escaped(&raw)), raw);
        }

        #[test]
        fn push_component_undoes_components(text in "[/a*\\\\é.@]{0,12}") {
            let mut path = String::new();
            components(&text).for_each(|c| push_component(&mut path, c));
            prop_assert_eq!(path, text);
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = (unescape(&text), is_pattern(&text), components(&text).count());
        }
    }
}
