//! What is wrong with a variable, said so that whoever set it can mend it.
//!
//! Names and values come from the environment and may be hostile: they are escaped and shortened here.

use std::ffi::OsStr;

/// A variable, flag or field that cannot be used as it was given. Its display is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such variable.
    #[error("unknown variable {name}; {}", .suggestion.map_or_else(
        || "`grove env` lists those there are".to_owned(), |s| format!("did you mean {s}?")))]
    Unknown {
        /// The name, escaped.
        name: String,
        /// The variable whose name is nearest, if one is near.
        suggestion: Option<&'static str>,
    },
    /// The value is not one that the variable takes.
    #[error("{name}: {given} {fault}; allowed: {allowed}")]
    Invalid {
        /// The variable, or the flag that stands for it.
        name: &'static str,
        /// What was given, quoted and escaped.
        given: String,
        /// What is wrong with the value.
        fault: &'static str,
        /// The values that are allowed.
        allowed: String,
    },
    /// The environment has the variable more than once, and which one counts is anybody's guess.
    #[error("{name} is set twice in the environment; set it once")]
    Twice {
        /// The name, quoted and escaped.
        name: String,
    },
}

/// Characters of hostile text that an error shows.
const SHOWN: usize = 80;

/// `text` in quotes, with everything that is not printable escaped, and shortened.
pub(super) fn quote(text: &OsStr) -> String {
    shorten(format!("{text:?}"))
}

/// As [`quote`], without the quotes.
fn plain(text: &OsStr) -> String {
    let quoted = format!("{text:?}");
    shorten(quoted.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(&quoted).to_owned())
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// That there is no variable `name`, the variables there are being `known`.
pub(super) fn unknown(name: &OsStr, known: impl Iterator<Item = &'static str>) -> ConfigError {
    ConfigError::Unknown { name: plain(name), suggestion: nearest(name, known) }
}

/// The candidate that `name` is most likely a misspelling of, unless it resembles none.
fn nearest(name: &OsStr, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.to_str().filter(|n| n.len() <= SHOWN)?.to_ascii_uppercase();
    // What all have in common says nothing, so a third of the rest may differ.
    let tolerance = (name.trim_start_matches("GROVE_").len() / 3).max(1);
    let near = candidates.map(|c| (distance(name.as_bytes(), c.as_bytes()), c)).filter(|(d, _)| *d <= tolerance);
    near.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Levenshtein distance: how many bytes have to be put in, taken out or replaced.
fn distance(a: &[u8], b: &[u8]) -> usize {
    // costs[j]: from the part of `a` seen so far to the first j bytes of `b`.
    let mut costs: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (cost, y) in costs.iter_mut().skip(1).zip(b) {
            let replaced = before + usize::from(x != y);
            before = *cost;
            left = replaced.min(before + 1).min(left + 1);
            *cost = left;
        }
        if let Some(first) = costs.first_mut() {
            *first = i + 1;
        }
    }
    costs.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let candidates = ["GROVE_LOG", "GROVE_HOST", "GROVE_LOG_FORMAT", "GROVE_HOLD_BYTES"];
        for (name, expected) in [
            ("GROVE_LOGS", Some("GROVE_LOG")),
            ("GROVE_Log", Some("GROVE_LOG")),
            ("GROVE_LOGFORMAT", Some("GROVE_LOG_FORMAT")),
            ("GROVE_HOLD_BITES", Some("GROVE_HOLD_BYTES")),
            ("GROVE_FROBNICATE", None),
            ("GROVE_", None),
        ] {
            assert_eq!(nearest(name.as_ref(), candidates.into_iter()), expected, "{name}");
        }
        let long = "GROVE_LOG".repeat(100_000);
        assert_eq!(nearest(long.as_ref(), candidates.into_iter()), None);
    }

    #[test]
    fn hostile_text_is_escaped_and_shortened() {
        assert_eq!(quote("a\x1b[31m\n\u{202e}b".as_ref()), r#""a\u{1b}[31m\n\u{202e}b""#);
        assert_eq!(plain("a\x1b".as_ref()), r"a\u{1b}");
        let long = quote("x".repeat(200_000).as_ref());
        assert_eq!(long.chars().count(), SHOWN + 1);
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &a), 0);
            prop_assert!(distance(&a, &b) <= a.len().max(b.len()));
            prop_assert!(distance(&a, &b) >= a.len().abs_diff(b.len()));
        }
    }
}
