//! Which names never collapse into a pattern, because which one it was is what matters: credentials, keys,
//! configuration, and the sockets that hand out power.
//!
//! Not here: when names collapse.

use super::normal::normalise;
use super::text::{components, escape, first_token, is_pattern, unescape};

/// Protected in every configuration.
const ALWAYS: &[&str] = &[
    "/boot",
    "/etc",
    "/home/*/.aws",
    "/home/*/.docker",
    "/home/*/.gnupg",
    "/home/*/.kube",
    "/home/*/.ssh",
    "/root",
    "/run/*.sock",
    "/run/secrets",
];

/// The names that never collapse, as path patterns.
///
/// A pattern is an absolute path in escaped text, where `*` matches any run of characters within one
/// component. It protects the names on the way to it, except where it says a bare `*`, and everything below it:
///
/// | pattern | protects | leaves free |
/// |---|---|---|
/// | `/etc` | `/etc`, and everything below it | |
/// | `/data/user1/secret` | `data`, `user1` in `/data`, `secret`, everything below | `user2` in `/data` |
/// | `/home/*/.ssh` | `home`, `.ssh` in any home, everything below | the homes |
/// | `/run/*.sock` | `run`, `x.sock` in `/run` | `x.sock` in `/run/x` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protect {
    patterns: Vec<Vec<Piece>>,
    /// The first components of the patterns, each once; `None` if one of them has none and protects everything.
    tops: Option<Vec<Piece>>,
}

/// A component of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    text: Box<str>,
    /// It has a wildcard; most have none.
    wild: bool,
}

impl Piece {
    #[inline]
    fn matches(&self, text: &[u8]) -> bool {
        if self.wild {
            str::from_utf8(text).is_ok_and(|text| matches(&self.text, text))
        } else {
            self.text.as_bytes() == text
        }
    }
}

/// A pattern that cannot protect anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPattern {
    /// It does not begin with a slash.
    #[error("`{pattern}` is not an absolute path: begin it with `/`")]
    Relative {
        /// The pattern.
        pattern: String,
    },
    /// It has a backslash or a byte that is not written as Grove writes paths.
    #[error(
        "`{pattern}` is not written as profiles write paths: a backslash is `\\\\`, a literal star `\\*`, \
         a byte that is not UTF-8 as in `\\xff`, and everything else stands for itself"
    )]
    Escape {
        /// The pattern.
        pattern: String,
    },
    /// No path looks like that once it is normalised, so it would never match.
    #[error("`{pattern}` matches no normalised path: write `{normal}`")]
    NotNormal {
        /// The pattern.
        pattern: String,
        /// What it would have to be.
        normal: String,
    },
}

impl Default for Protect {
    /// Protects what is protected in every configuration.
    fn default() -> Self {
        Self::of(ALWAYS.iter().map(|pattern| split(pattern)).collect())
    }
}

impl Protect {
    /// Protects `extra` in addition to the default patterns. A trailing slash is allowed.
    ///
    /// # Errors
    /// The first pattern that is relative, wrongly escaped or not normalised.
    pub fn new<'a>(extra: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut patterns = Self::default().patterns;
        for pattern in extra {
            let pattern = match pattern.strip_suffix('/') {
                Some(trimmed) if !trimmed.is_empty() => trimmed,
                _ => pattern,
            };
            validate(pattern)?;
            patterns.push(split(pattern));
        }
        Ok(Self::of(patterns))
    }

    fn of(patterns: Vec<Vec<Piece>>) -> Self {
        let mut tops: Option<Vec<Piece>> = patterns.iter().map(|pattern| pattern.first().cloned()).collect();
        if let Some(tops) = &mut tops {
            tops.sort_unstable();
            tops.dedup();
        }
        Self { patterns, tops }
    }

    /// Whether anything at all is protected at or below `top`, the first component of a path. Most paths begin with one
    /// of which that is not so.
    pub(crate) fn reaches(&self, top: &[u8]) -> bool {
        top.starts_with(b"/") && self.tops.as_ref().is_none_or(|tops| tops.iter().any(|piece| piece.matches(top)))
    }

    /// From this many components on a directory is protected or not whatever the names in it, and so is all below it.
    pub fn depth(&self) -> usize {
        self.patterns.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Whether `name` in the directory with the components `dir` never collapses.
    ///
    /// Both are as [`components`] gives them, so the first component of an absolute path has its slash; they
    /// may be generalised text. Takes time linear in their length for given patterns.
    pub fn exempts<T: AsRef<[u8]>>(&self, dir: &[T], name: &str) -> bool {
        let top = dir.first().map_or(name.as_bytes(), AsRef::as_ref);
        top.starts_with(b"/") && self.patterns.iter().any(|p| pattern_exempts(p, dir, name))
    }
}

fn pattern_exempts<T: AsRef<[u8]>>(pattern: &[Piece], dir: &[T], name: &str) -> bool {
    let mut pieces = pattern.iter();
    for text in dir {
        match pieces.next() {
            Some(piece) if piece.matches(text.as_ref()) => {}
            Some(_) => return false,
            None => return true,
        }
    }
    match pieces.next() {
        None => true,
        Some(next) => !matches!(&*next.text, "*" | "/*") && next.matches(name.as_bytes()),
    }
}

/// The pattern's components; none for the root, which everything lies below.
fn split(pattern: &str) -> Vec<Piece> {
    let names = components(pattern).filter(|name| *name != "/");
    names.map(|name| Piece { text: name.into(), wild: is_pattern(name) }).collect()
}

fn validate(pattern: &str) -> Result<(), BadPattern> {
    if !pattern.starts_with('/') {
        return Err(BadPattern::Relative { pattern: pattern.to_owned() });
    }
    if !is_escaped_text(pattern) {
        return Err(BadPattern::Escape { pattern: pattern.to_owned() });
    }
    // As a raw path the pattern has literal stars for its wildcards, and normalising must change nothing else.
    let raw = unescape(pattern);
    let (mut verbatim, mut normal) = (String::new(), String::new());
    escape(&raw, &mut verbatim);
    if normalise(&raw, None, 0, &mut normal).is_err() || normal != verbatim {
        let wildcards_restored = if pattern.contains(r"\*") { normal } else { normal.replace(r"\*", "*") };
        return Err(BadPattern::NotNormal { pattern: pattern.to_owned(), normal: wildcards_restored });
    }
    Ok(())
}

/// Whether every piece between wildcards is what [`escape`] writes.
fn is_escaped_text(pattern: &str) -> bool {
    let mut canonical = String::new();
    let (mut rest, mut piece_start) = (pattern, pattern);
    loop {
        let next = first_token(rest);
        if matches!(next, None | Some(("*", _))) {
            let piece = piece_start.get(..piece_start.len() - rest.len()).unwrap_or_default();
            canonical.clear();
            escape(&unescape(piece), &mut canonical);
            if canonical != piece {
                return false;
            }
        }
        match next {
            None => return true,
            Some((token, tail)) => {
                rest = tail;
                if token == "*" {
                    piece_start = tail;
                }
            }
        }
    }
}

/// Whether `*` in `pattern`, standing for any run of characters, makes it `text`. Escape sequences are not torn.
///
/// Only the last `*` met is ever tried again, so this takes time in the product of the lengths at worst.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('*') {
            pattern = rest;
            retry = Some((rest, text));
            continue;
        }
        match (first_token(pattern), first_token(text)) {
            (None, None) => return true,
            (Some((expected, pattern_rest)), Some((found, text_rest))) if expected == found => {
                (pattern, text) = (pattern_rest, text_rest);
            }
            _ => {
                let Some((after_star, run_end)) = retry else { return false };
                let Some((_, run_end)) = first_token(run_end) else { return false };
                (pattern, text) = (after_star, run_end);
                retry = Some((after_star, run_end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exempts(protect: &Protect, dir: &str, name: &str) -> bool {
        let dir: Vec<&str> = if dir.is_empty() { vec![] } else { components(dir).collect() };
        protect.exempts(&dir, name)
    }

    #[test]
    fn protects_what_its_patterns_say() {
        let protect = Protect::new(["/data/user1/secret", "/srv/db*/keys/", "/*/top", r"/odd/a\*b", "/one/*"]).unwrap();
        for (dir, name, expect) in [
            ("", "/etc", true),
            ("/etc", "rc1", true),
            ("/etc/ssl/certs", "a1.pem", true),
            ("/usr/etc", "a1", false),
            ("/etc2", "a1", false),
            ("/root", "x1", true),
            ("/home", "user1", false),
            ("/home/user1", ".ssh", true),
            ("/home/*", ".ssh", true),
            ("/home/user*", ".ssh", true),
            ("/home/user1", "x1", false),
            ("/home/user1/.ssh", "id_1", true),
            ("/home/*/.ssh/keys", "id_1", true),
            ("/home/user1/.ssh2", "id_1", false),
            ("/run", "d1.sock", true),
            ("/run", "*.sock", true),
            ("/run", "d1.socket", false),
            ("/run/d1", "d1.sock", false),
            ("/run/secrets", "s1", true),
            ("/run/secrets/kubernetes.io", "t1", true),
            ("/data", "user1", true),
            ("/data", "user2", false),
            ("/data", "user*", false),
            ("/data/user1", "secret", true),
            ("/data/user1", "x1", false),
            ("/data/user1/secret", "x1", true),
            ("/data/user2/secret", "x1", false),
            ("/data/user*/secret", "x1", false),
            ("/srv", "db1", true),
            ("/srv", "web1", false),
            ("/srv/db1/keys", "k1", true),
            ("", "/x1", false),
            ("/x1", "top", true),
            ("/x1/top", "y1", true),
            ("/odd", r"a\*b", true),
            ("/odd", "a*b", false),
            ("/one", "x1", false),
            ("/one/x1", "y1", true),
            ("", "@/etc", false),
            ("", "memfd:1", false),
            ("@/etc", "x1", false),
        ] {
            assert_eq!(exempts(&protect, dir, name), expect, "{name} in {dir}");
        }
    }

    #[test]
    fn the_root_protects_every_path() {
        let protect = Protect::new(["/"]).unwrap();
        assert!(exempts(&protect, "", "/x1") && exempts(&protect, "/x1", "y1"));
        assert!(!exempts(&protect, "", "memfd:1"));
    }

    #[test]
    fn the_default_patterns_are_good_ones() {
        assert_eq!(Protect::new(ALWAYS.iter().copied()).unwrap().patterns.len(), 2 * ALWAYS.len());
        assert_eq!(Protect::new([]), Ok(Protect::default()));
    }

    #[test]
    fn says_what_is_wrong_with_a_pattern() {
        let uuid = "/x/01234567-89ab-cdef-0123-456789abcdef";
        for (pattern, expect) in [
            ("", "`` is not an absolute path: begin it with `/`"),
            ("etc", "`etc` is not an absolute path: begin it with `/`"),
            ("/a/../b", "`/a/../b` matches no normalised path: write `/b`"),
            ("//*.x", "`//*.x` matches no normalised path: write `/*.x`"),
            ("/proc/1/*", "`/proc/1/*` matches no normalised path: write `/proc/*/*`"),
            (uuid, &format!("`{uuid}` matches no normalised path: write `/x/*`")),
        ] {
            assert_eq!(Protect::new([pattern]).unwrap_err().to_string(), expect);
        }
        assert_eq!(
            Protect::new([r"/a\b"]).unwrap_err().to_string(),
            r"`/a\b` is not written as profiles write paths: a backslash is `\\`, a literal star `\*`, ".to_owned()
                + r"a byte that is not UTF-8 as in `\xff`, and everything else stands for itself",
        );
        for pattern in [r"/a\", r"/a\x41", r"/a\xc3\xa9", r"/*\xFF"] {
            assert_eq!(Protect::new([pattern]), Err(BadPattern::Escape { pattern: pattern.to_owned() }));
        }
        for pattern in [r"/a\\b*", r"/a\xff*\*", "/é/*/*"] {
            assert!(Protect::new([pattern]).is_ok(), "{pattern}");
        }
    }

    #[test]
    fn stars_match_runs() {
        for (pattern, text, expect) in [
            ("", "", true),
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("*a*b", "xaab", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("a*", "a*", true),
            (r"*\*", r"a\*", true),
            (r"*\*", r"a\\*", false),
            ("*ff", r"\xff", false),
            ("é*", "éx", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} on {text}");
        }
    }

    /// The definition, in exponential time.
    fn matches_by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', pattern @ ..], _) => (0..=text.len()).any(|i| matches_by_definition(pattern, &text[i..])),
            ([p, pattern @ ..], [t, text @ ..]) => p == t && matches_by_definition(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            prop_assert_eq!(matches(&pattern, &text), matches_by_definition(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_pattern_is_judged_without_panic(pattern: String, tail in r"/[a*\\x./0-9f]{0,12}") {
            let _ = (Protect::new([&*pattern]), Protect::new([&*tail]));
        }

        #[test]
        fn everything_below_a_protected_directory_is_protected(below in prop::collection::vec("[a-z0-9*]{1,4}", 1..5)) {
            let mut dir = vec!["/home", "x1", ".ssh"];
            let (name, inner) = below.split_last().unwrap();
            dir.extend(inner.iter().map(String::as_str));
            prop_assert!(Protect::default().exempts(&dir, name));
        }
    }
}
