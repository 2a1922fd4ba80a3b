//! Making text that a traced process chose safe to show.
//!
//! Paths, arguments and names may hold terminal escape sequences, line ends and characters that reorder or hide
//! their neighbours. [`Visible`] and [`escape`] show all of those as `\u{…}`. In a profile a literal backslash is `\\`,
//! so what comes out stays unambiguous. `make_visible` does the same to JSON by JSON's own escapes, so that it means
//! what it meant.
//!
//! Not here: the quoting that one output language asks for (see `export`).

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Shows a text with every control, bidirectional and invisible character written as `\u{…}`.
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (shown, tail) = rest.split_at(at);
            f.write_str(shown)?;
            write!(f, "\\u{{{:x}}}", u32::from(hidden))?;
            rest = tail.get(hidden.len_utf8()..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// As [`Visible`] shows it.
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hidden) { Cow::Owned(Visible(text).to_string()) } else { Cow::Borrowed(text) }
}

/// Rewrites every hidden character of the JSON that begins at `from` as JSON's `\uXXXX`, which means the same: whoever
/// looks at the text is as safe as whoever parses it. `json` must be one value as a serialiser writes it, so that
/// control characters are in its strings only, escaped already.
pub(crate) fn make_visible(json: &mut Vec<u8>, from: usize) {
    let written = json.get(from..).unwrap_or_default();
    if is_plain(written) {
        return;
    }
    let Ok(text) = str::from_utf8(written) else { return };
    if !text.chars().any(is_hidden) {
        return;
    }
    let mut visible = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a String cannot fail.
                let _ = write!(visible, "\\u{unit:04x}");
            }
        } else {
            visible.push(c);
        }
    }
    json.truncate(from);
    json.extend_from_slice(visible.as_bytes());
}

/// Whether a text of JSON is ASCII without anything hidden. Looked at in pieces, each without a branch.
pub fn is_plain(json: &[u8]) -> bool {
    json.chunks(64).all(|piece| piece.iter().fold(true, |plain, byte| plain & (*byte < 0x7f)))
}

/// Joins texts as words of one command line: one that is empty or has blanks or quotes in it is put in double quotes.
/// Not safe to show by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a>(pub(crate) &'a [String]);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_char(' ')?;
            }
            if word.is_empty() || word.contains([' ', '"', '\'']) {
                write!(f, "\"{}\"", word.replace('"', "\\\""))?;
            } else {
                f.write_str(word)?;
            }
        }
        Ok(())
    }
}

/// Whether a character acts on a terminal, on its neighbours' order, or is not to be seen at all.
fn is_hidden(c: char) -> bool {
    is_format(c)
        || matches!(c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2065}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether Unicode has a character for control (Cc), formatting (Cf) or separating lines and paragraphs (Zl, Zp).
pub(crate) fn is_format(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_characters_are_spelled_out() {
        for (text, shown) in [
            ("/etc/nginx", "/etc/nginx"),
            ("a\\\\b\\x1b", "a\\\\b\\x1b"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\nb\0\x7f", "a\\u{a}b\\u{0}\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("evil\u{202e}gpj.sh", "evil\\u{202e}gpj.sh"),
            ("\u{2028}\u{feff}é漢", "\\u{2028}\\u{feff}é漢"),
            // Formats of single scripts, of music and of hieroglyphs.
            ("\u{600}\u{6dd}\u{70f}\u{110bd}\u{13430}\u{1d173}", r"\u{600}\u{6dd}\u{70f}\u{110bd}\u{13430}\u{1d173}"),
            ("", ""),
        ] {
            assert_eq!(Visible(text).to_string(), shown);
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["", "/usr/bin/env", "naïve", "e\u{301}", "日本語", "क्षि", "🙂", r"a\b", "it's \"so\""]
        {
            assert!(matches!(escape(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left_and_twice_is_once(text: String) {
            let once = escape(&text);
            prop_assert!(!once.chars().any(char::is_control));
            prop_assert_eq!(&once, &Visible(&text).to_string());
            prop_assert_eq!(escape(&once), once.clone());
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        for (json, visible) in [
            (r#"{"a":"é漢🙂"}"#, r#"{"a":"é漢🙂"}"#),
            ("\"evil\u{202e}gpj\u{7f}\"", r#""evil\u202egpj\u007f""#),
            ("[\"\u{9b}2J\",\"\u{e0041}\"]", r#"["\u009b2J","\udb40\udc41"]"#),
        ] {
            let mut text = format!("before\u{7f}{json}").into_bytes();
            make_visible(&mut text, 7);
            assert_eq!(String::from_utf8(text).unwrap(), format!("before\u{7f}{visible}"));
            let value = |json| sonic_rs::from_str::<sonic_rs::Value>(json).unwrap();
            assert_eq!(value(json), value(visible));
        }
    }

    #[test]
    fn words_with_blanks_are_quoted() {
        let words = ["sh".into(), "-c".into(), "echo \"hi\"".into(), String::new()];
        assert_eq!(Words(&words).to_string(), r#"sh -c "echo \"hi\"" """#);
    }
}
