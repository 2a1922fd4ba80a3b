//! A guard in front of the JSON library: strict validation without recursion, and a bound on nesting.
//!
//! The library skips a value that nobody asked for by recursion, so a record of a million `[` would end the
//! process. [`bounded`] lets ordinary records through untouched and, from one that is nested too deeply,
//! makes a copy in which every container below [`DEPTH_MAX`] is empty, so that what lies above is still read.
//! Not here: what the record means.

use std::borrow::Cow;

/// How deeply a record handed to the JSON library may be nested.
pub const DEPTH_MAX: usize = 64;

/// Why bytes are not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {offset}: expected {expected}")]
pub struct NotJson {
    /// Offset of the first byte that does not belong.
    pub offset: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// `record` nested at most [`DEPTH_MAX`] deep. Linear in time, and one bit of memory per level.
///
/// # Errors
/// A record that is nested more deeply and is not JSON. One that is not is passed on unchecked: the library will look.
pub fn bounded(record: &str) -> Result<Cow<'_, str>, NotJson> {
    // `[` and `{` differ in one bit. There are at least as many of them as levels.
    let openers = |bytes: &[u8]| bytes.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>();
    let count: usize = record.as_bytes().chunks(u8::MAX as usize).map(|c| usize::from(openers(c))).sum();
    if count <= DEPTH_MAX {
        return Ok(Cow::Borrowed(record));
    }
    let mut shallow = String::new();
    let mut copied = 0;
    Scan::new(record.as_bytes()).run(|from, to| {
        shallow.push_str(record.get(copied..from).unwrap_or_default());
        copied = to;
    })?;
    if copied == 0 {
        return Ok(Cow::Borrowed(record));
    }
    shallow.push_str(record.get(copied..).unwrap_or_default());
    Ok(Cow::Owned(shallow))
}

/// Checks that `record` is one JSON value, to the letter of RFC 8259.
///
/// # Errors
/// The position of the first byte that is not JSON.
pub fn validate(record: &str) -> Result<(), NotJson> {
    Scan::new(record.as_bytes()).run(|_, _| {})
}

/// The containers that are open, innermost last, a bit each: set for an object.
#[derive(Default)]
struct Open {
    bits: Vec<u64>,
    depth: usize,
}

impl Open {
    fn push(&mut self, object: bool) {
        if self.depth.is_multiple_of(64) {
            self.bits.push(0);
        }
        if let Some(last) = self.bits.last_mut() {
            *last = *last << 1 | u64::from(object);
        }
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        if let Some(last) = self.bits.last_mut() {
            *last >>= 1;
        }
        if self.depth.is_multiple_of(64) {
            self.bits.pop();
        }
    }

    /// Whether the innermost is an object; `None` outside of all.
    fn innermost(&self) -> Option<bool> {
        self.bits.last().map(|b| b & 1 == 1)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads one value to the end of the bytes, and calls `deep` with the range inside each outermost container
    /// that is beyond [`DEPTH_MAX`].
    fn run(mut self, mut deep: impl FnMut(usize, usize)) -> Result<(), NotJson> {
        let mut open = Open::default();
        let mut deep_from = 0;
        loop {
            // A value begins here.
            let opened = match self.next() {
                Some(c @ (b'{' | b'[')) => {
                    open.push(c == b'{');
                    if open.depth == DEPTH_MAX + 1 {
                        deep_from = self.at;
                    }
                    true
                }
                Some(b'"') => self.string().map(|()| false)?,
                Some(b't') => self.literal(b"rue").map(|()| false)?,
                Some(b'f') => self.literal(b"alse").map(|()| false)?,
                Some(b'n') => self.literal(b"ull").map(|()| false)?,
                Some(b'-' | b'0'..=b'9') => self.number().map(|()| false)?,
                _ => return self.expected_here("a value"),
            };
            // Everything up to where the next value begins.
            let mut first = opened;
            loop {
                let Some(object) = open.innermost() else {
                    return match self.next() {
                        None => Ok(()),
                        Some(_) => self.expected_here("the end of the record"),
                    };
                };
                match (self.next(), object) {
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        if open.depth == DEPTH_MAX + 1 {
                            deep(deep_from, self.at - 1);
                        }
                        open.pop();
                        first = false;
                        continue;
                    }
                    (Some(b'"'), true) if first => self.key()?,
                    (Some(b','), true) if !first => match self.next() {
                        Some(b'"') => self.key()?,
                        _ => return self.expected_here("a key"),
                    },
                    (Some(b','), false) if !first => {}
                    (Some(_), false) if first => self.at -= 1,
                    _ => return self.expected_here("a comma or the end of the container"),
                }
                break;
            }
        }
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.bytes.get(self.at).copied();
            self.at += 1;
            if !matches!(byte, Some(b' ' | b'\t' | b'\n' | b'\r')) {
                return byte;
            }
        }
    }

    /// An error at the byte read last.
    fn expected_here<T>(&self, expected: &'static str) -> Result<T, NotJson> {
        Err(NotJson { offset: self.at - 1, expected })
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn literal(&mut self, rest: &[u8]) -> Result<(), NotJson> {
        for c in rest {
            if self.byte() != Some(*c) {
                return self.expected_here("`true`, `false` or `null`");
            }
        }
        Ok(())
    }

    fn key(&mut self) -> Result<(), NotJson> {
        self.string()?;
        if self.next() == Some(b':') { Ok(()) } else { self.expected_here("a colon") }
    }

    /// The rest of a string after its opening quote.
    fn string(&mut self) -> Result<(), NotJson> {
        // Whether the last thing was an escaped high surrogate, which a low one has to follow.
        let mut high = false;
        loop {
            match self.byte() {
                Some(b'"') if !high => return Ok(()),
                Some(b'\\') => match self.byte() {
                    Some(b'u') => {
                        let unit = self.hex()?;
                        match (high, unit) {
                            (false, 0xD800..=0xDBFF) => high = true,
                            (true, 0xDC00..=0xDFFF) => high = false,
                            (false, 0xDC00..=0xDFFF) | (true, _) => return self.expected_here("a surrogate pair"),
                            (false, _) => {}
                        }
                    }
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') if !high => {}
                    _ => return self.expected_here("an escape"),
                },
                Some(0x20..) if !high => {}
                _ => return self.expected_here("the rest of a string"),
            }
        }
    }

    fn hex(&mut self) -> Result<u32, NotJson> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.byte().and_then(|b| char::from(b).to_digit(16)) {
                Some(digit) => unit = unit << 4 | digit,
                None => return self.expected_here("four hex digits"),
            }
        }
        Ok(unit)
    }

    /// The rest of a number after its first byte.
    fn number(&mut self) -> Result<(), NotJson> {
        self.at -= 1;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > from {
            return Ok(());
        }
        self.at += 1;
        self.expected_here("a digit")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_and_what_is_nearly_json() {
        for (text, valid) in [
            (r#"{}"#, true),
            (r#" [ ] "#, true),
            (r#"{"a":[1,{"b":null}],"c":{"d":[[]]}}"#, true),
            (r#""é \" \\ \/ \b\f\n\r\t é 😀""#, true),
            (r#"-0"#, true),
            (r#"[0.5e+3,1E-2,-12]"#, true),
            (r#""#, false),
            (r#"{"#, false),
            (r#"{"a"}"#, false),
            (r#"{"a":}"#, false),
            (r#"{"a":1,}"#, false),
            (r#"{,"a":1}"#, false),
            (r#"{a:1}"#, false),
            (r#"[1,]"#, false),
            (r#"[,1]"#, false),
            (r#"[1 2]"#, false),
            (r#"[1}"#, false),
            (r#"{} {}"#, false),
            (r#"01"#, false),
            (r#"1."#, false),
            (r#".5"#, false),
            (r#"-"#, false),
            (r#"1e"#, false),
            (r#"+1"#, false),
            (r#"nul"#, false),
            (r#""\x""#, false),
            (r#""\u12""#, false),
            (r#""\ud800""#, false),
            (r#""\ud800\n""#, false),
            (r#""\udc00""#, false),
            ("\"\t\"", false),
            ("\"", false),
        ] {
            assert_eq!(validate(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn a_bomb_is_emptied_and_the_rest_stays() {
        let n = 1_000_000;
        let bomb = format!(r#"{{"a":{}{},"b":[1]}}"#, "[".repeat(n), "]".repeat(n));
        let kept = DEPTH_MAX - 1 + 1;
        assert_eq!(bounded(&bomb).unwrap(), format!(r#"{{"a":{}{},"b":[1]}}"#, "[".repeat(kept), "]".repeat(kept)));
        assert!(bounded(&"[".repeat(n)).is_err());
        assert!(bounded(&"{\"a\":".repeat(n)).is_err());
        // Many containers that are not deep are not touched.
        let wide = format!("[{}[]]", "[],".repeat(1000));
        assert!(matches!(bounded(&wide), Ok(Cow::Borrowed(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}:,\"\\\\utrue0-9eE.+ -]{0,200}") {
            let deep = format!("{}{text}", "[".repeat(70));
            let _ = validate(&text);
            if let Ok(shallow) = bounded(&deep) {
                validate(&shallow).unwrap();
            }
        }
    }
}
