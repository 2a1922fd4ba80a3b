//! What a terminal gets to see: when in colour, and hostile text made harmless.
//!
//! Colour is written always and taken out by `anstream` where it is not wanted, so that nobody else has to ask.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use anstream::ColorChoice;

use crate::exit::Error;

/// When output is in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On terminals, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes it the choice for all output from now on.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

/// Standard output, with the styles taken out where it takes none.
pub(crate) type Out = io::BufWriter<anstream::AutoStream<io::StdoutLock<'static>>>;

/// Lets `draw` write styled output to standard output, without the styles where it takes none.
pub(crate) fn write(draw: impl FnOnce(&mut Out) -> io::Result<()>) -> Result<(), Error> {
    let mut out = io::BufWriter::new(anstream::AutoStream::auto(io::stdout().lock()));
    draw(&mut out).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// Lets `draw` write to standard output what programs read. Nothing is taken out of it: it has no styles, and what
/// looks like one belongs to it.
pub(crate) fn write_plain(
    draw: impl FnOnce(&mut io::BufWriter<io::StdoutLock<'static>>) -> io::Result<()>,
) -> Result<(), Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    draw(&mut out).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// How wide lines for people may be.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// Writes styled text to standard output, whole.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::stdout)
}

/// `text` with every character escaped that a terminal obeys or that hides or reorders its neighbours: control
/// characters, and with them ANSI sequences and line breaks, bidirectional overrides, invisible characters, and
/// whatever else has no glyph.
///
/// Backslashes stay as they are: the texts of profiles have their own doubled already.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if is_harmless(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            // Writing into a String cannot fail.
            c => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(escaped)
}

fn is_harmless(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library's tables know what is printable, yet lend them out only through `escape_debug`. It would
    // escape a combining character at the beginning of a text, hence the letter before it.
    let mut pair = [b'a', 0, 0, 0, 0];
    let (_, rest) = pair.split_at_mut(1);
    let len = 1 + c.encode_utf8(rest).len();
    pair.get(..len).and_then(|p| std::str::from_utf8(p).ok()).is_some_and(|p| p.escape_debug().count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write_stays() {
        for text in ["", "/usr/bin/env", "naïve", "e\u{301}", "日本語", "क्षि", "🙂", r"a\b", "it's \"so\""]
        {
            assert!(matches!(escape(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
    }

    #[test]
    fn what_terminals_obey_is_escaped() {
        for (text, expected) in [
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("\x1b[31mred", r"\u{1b}[31mred"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\0\x08\x7f", r"\u{0}\u{8}\u{7f}"),
            ("gpj.\u{202e}exe", r"gpj.\u{202e}exe"),
            ("\u{2066}\u{2069}\u{200f}\u{61c}", r"\u{2066}\u{2069}\u{200f}\u{61c}"),
            ("a\u{200b}b\u{feff}", r"a\u{200b}b\u{feff}"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("a\u{a0}b", r"a\u{a0}b"),
        ] {
            assert_eq!(escape(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_and_twice_is_once(text: String) {
            let once = escape(&text);
            prop_assert!(!once.chars().any(char::is_control));
            prop_assert_eq!(escape(&once), once.clone());
        }
    }
}
