//! Finding one's way through strace's notation: strings, brackets, what `-y` says of descriptors, numbers.
//!
//! Every function is linear in what it is given. Not here: what a value means (`value`).

/// Where the parenthesis is that closes a list of arguments.
pub(super) fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b')' if depth == 0 => return Some(at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = after(text, at);
    }
    None
}

/// The parts of a list between its commas, trimmed; commas within strings and brackets separate nothing.
pub(super) fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text).filter(|text| !text.trim_ascii().is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = comma(text);
        rest = text.get(end + 1..);
        Some(text.get(..end).unwrap_or_default().trim_ascii())
    })
}

fn comma(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b',' if depth == 0 => return at,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = after(text, at);
    }
    text.len()
}

/// The member of a `{name=value, …}` whose name is `name`.
pub(super) fn member<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    parts(braced(text)?).find_map(|part| part.strip_prefix(name)?.strip_prefix(b"="))
}

/// What stands between the braces that `text` begins with.
pub(super) fn braced(text: &[u8]) -> Option<&[u8]> {
    let end = memchr::memrchr(b'}', text)?;
    text.get(..end)?.strip_prefix(b"{")
}

/// The number that `text` begins with, and what follows it.
pub(super) fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// A value without what `-X verbose` adds to it: `0x2 /* AF_INET */` is `0x2`.
pub(super) fn bare(text: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(text, b" /*").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().trim_ascii()
}

/// What `-y` says of a descriptor: the text in the angle brackets that `text` begins with.
pub(super) fn annotation(text: &[u8]) -> Option<&[u8]> {
    let end = annotation_end(text)?;
    text.get(..end - 1)?.strip_prefix(b"<")
}

/// The index after the token that begins at `at`: a string, an annotation, or a single byte.
fn after(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let described = || at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(u8::is_ascii_alphanumeric);
    match rest {
        [b'"', ..] => at + string_end(rest),
        // A shift, as in 1<<CAP_CHOWN.
        [b'<', b'<', ..] => at + 2,
        // What never closes takes the rest with it: looking on from here again and again would be quadratic.
        [b'<', ..] if described() => annotation_end(rest).map_or(text.len(), |end| at + end),
        _ => at + 1,
    }
}

/// The length of the string literal that `text` begins with.
pub(super) fn string_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += next;
        if text.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// The length of the annotation that `text` begins with. strace writes angle brackets in paths as escapes.
fn annotation_end(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"<")?;
    // A socket's has an arrow in it: <TCP:[127.0.0.1:1234->127.0.0.1:80]>.
    let kind = inner.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    if inner.get(kind..).is_some_and(|rest| rest.starts_with(b":[")) {
        return memchr::memmem::find(inner, b"]>").map(|end| end + 3);
    }
    let mut depth = 0usize;
    for at in memchr::memchr2_iter(b'<', b'>', text) {
        if text.get(at) == Some(&b'<') {
            depth += 1;
        } else {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}
