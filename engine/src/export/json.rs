//! JSON Lines: whatever can be serialised, one value a line, harmless to look at.
//!
//! Not here: profiles, which have a format of their own (`profile::encode`).

use std::io::{self, Write};

use serde::Serialize;

use crate::text::make_visible;

/// Writes `value` as one line. Characters that act on a terminal or on their neighbours' order are written as `\uXXXX`,
/// which means the same to whoever parses it.
///
/// # Errors
/// Those of `out`.
pub fn json_line(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    sonic_rs::to_writer(&mut line, value).map_err(io::Error::other)?;
    make_visible(&mut line, 0);
    line.push(b'\n');
    out.write_all(&line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_value_and_shows_nothing_raw() {
        let mut out = Vec::new();
        json_line(&["a\nb", "\u{202e}\u{9b}é"], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[\"a\\nb\",\"\\u202e\\u009bé\"]\n");
    }
}
