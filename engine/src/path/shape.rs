//! Which names are alike: a component's shape is what is left when its variable parts are taken out.
//!
//! Not here: when a directory has too many names of one shape (that is the tree's to say).

/// The shape of a component that has a variable part, or `None`.
///
/// A component is cut at everything but ASCII letters and digits, an escape sequence counting as one
/// separator. A part in letters of one case, or capitalised, is *fixed*; any other, and a wildcard, is
/// *variable* and written `*`, several that touch as one. The text is the shape's identity, and a shape is its
/// own shape. Most components have no variable part, and for those nothing is written.
///
/// ```
/// use grove::path::shape;
/// assert_eq!(shape("sess-4f2a.tmp").as_deref(), Some("sess-*.tmp"));
/// assert_eq!(shape("nginx.conf"), None);
/// ```
pub fn shape(component: &str) -> Option<String> {
    // What is taken out is whole characters, and what is put in is ASCII.
    shape_bytes(component.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// As [`shape`], of text whose form as text is not asked for.
pub(crate) fn shape_bytes(component: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    shape_into(component, &mut out).then_some(out)
}

/// As [`shape_bytes`], into `out`, which is cleared first; false if there is none.
pub(crate) fn shape_into(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let (mut copied, mut at) = (0, 0);
    let mut wildcard_ends = None;
    while let Some(class) = bytes.get(at).map(class_of) {
        let start = at;
        at += 1;
        let written = match class {
            SEPARATOR => continue,
            SPECIAL if bytes.get(start) == Some(&b'*') => "*",
            SPECIAL => match escape_len(bytes.get(at..).unwrap_or_default()) {
                // `escape` never writes a backslash that begins no escape; a star after one must not become literal.
                0 => r"\\",
                len => {
                    at += len;
                    continue;
                }
            },
            first => {
                let mut rest = 0;
                while let Some(class) = bytes.get(at).map(class_of).filter(|class| class & ALPHANUMERIC != SEPARATOR) {
                    rest |= class;
                    at += 1;
                }
                if is_fixed(first, rest) {
                    continue;
                }
                "*"
            }
        };
        if out.is_empty() {
            out.reserve_exact(bytes.len());
        }
        out.extend_from_slice(bytes.get(copied..start).unwrap_or_default());
        if written != "*" || wildcard_ends != Some(start) {
            out.extend_from_slice(written.as_bytes());
        }
        copied = at;
        if written == "*" {
            wildcard_ends = Some(at);
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    wildcard_ends.is_some()
}

const SEPARATOR: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 4;
const ALPHANUMERIC: u8 = LOWER | UPPER | DIGIT;
const SPECIAL: u8 = 8;

/// What a byte may be part of.
#[allow(clippy::indexing_slicing)] // worked out by the compiler
const CLASSES: [u8; 256] = {
    let mut classes = [SEPARATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => DIGIT,
            b'*' | b'\\' => SPECIAL,
            _ => SEPARATOR,
        };
        byte += 1;
    }
    classes
};

#[allow(clippy::indexing_slicing)] // a table with an entry for every byte
fn class_of(byte: &u8) -> u8 {
    CLASSES[usize::from(*byte)]
}

/// Letters of one case, or capitalised: from the class of the first one, and those of the rest together.
fn is_fixed(first: u8, rest: u8) -> bool {
    match rest {
        0 | LOWER => first != DIGIT,
        UPPER => first == UPPER,
        _ => false,
    }
}

/// How much of an escape sequence stands after its backslash; 0 if none does.
fn escape_len(tail: &[u8]) -> usize {
    match tail {
        [b'*' | b'\\', ..] => 1,
        [b'x', b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_variable_parts_out() {
        for (component, expect) in [
            ("sess-4f2a.tmp", "sess-*.tmp"),
            ("aB", "*"),
            ("ABc", "*"),
            ("fooBar_7", "*_*"),
            ("libssl.so.3", "libssl.so.*"),
            ("x86_64", "*_*"),
            ("1", "*"),
            ("/data1", "/*"),
            ("é1é", "é*é"),
            ("caféB2", "café*"),
            (r"a\xff1", r"a\xff*"),
            (r"a1\xff*", r"*\xff*"),
            (r"\*9", r"\**"),
            (r"\\9", r"\\*"),
            (r"\9", r"\\*"),
            (r"1\q2", r"*\\*"),
            (r"1\", r"*\\"),
            ("docker-*.scope", "docker-*.scope"),
            ("a1*b2", "*"),
            ("abc*def", "abc*def"),
            ("**", "*"),
            ("*.*", "*.*"),
        ] {
            assert_eq!(shape(component).as_deref(), Some(expect), "{component}");
            assert!(super::super::is_pattern(expect), "{component}");
        }
    }

    #[test]
    fn what_has_no_variable_part_has_no_shape() {
        for component in
            ["", "nginx.conf", "README.md", "Makefile", "A", "/usr", "--", r"\xffab", r"\xff", r"\*", r"\\", r"\", "é"]
        {
            assert_eq!(shape(component), None, "{component}");
        }
    }

    proptest! {
        #[test]
        fn a_shape_is_its_own_shape(component: String) {
            if let Some(once) = shape(&component) {
                prop_assert_eq!(shape(&once), Some(once));
            }
        }

        #[test]
        fn a_shape_is_its_own_shape_with_wildcards(component in r"([a-cA-C0-2*é._-]|\\\*|\\\\|\\xff|\\){0,12}") {
            let once = shape(&component);
            prop_assert_eq!(once.is_some(), super::super::is_pattern(once.as_deref().unwrap_or(&component)));
            prop_assert_eq!(once.as_deref().and_then(shape), once);
        }
    }
}
