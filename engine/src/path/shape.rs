//! Which names are alike: a component's shape is what is left when its variable parts are taken out.
//!
//! Not here: when a directory has too many names of one shape (that is the tree's to say).

use super::text::first_token;

/// Writes the shape of a component into `out`, which is cleared first; returns whether it has a variable part.
///
/// A component is cut at everything but ASCII letters and digits, an escape sequence counting as one
/// separator. A part in letters of one case, or capitalised, is *fixed*; any other, and a wildcard, is
/// *variable* and written `*`, several that touch as one. The text is the shape's identity, and a shape is its
/// own shape.
///
/// ```
/// let mut out = String::new();
/// assert!(grove::path::shape("sess-4f2a.tmp", &mut out));
/// assert_eq!(out, "sess-*.tmp");
/// ```
pub fn shape(component: &str, out: &mut String) -> bool {
    out.clear();
    let mut variable = false;
    let mut wildcard_is_last = false;
    let mut rest = component;
    while !rest.is_empty() {
        let part_len = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let split = if part_len == 0 { first_token(rest) } else { rest.split_at_checked(part_len) };
        let Some((piece, tail)) = split else { break };
        rest = tail;
        if piece == "*" || (part_len > 0 && !is_fixed(piece.as_bytes())) {
            if !wildcard_is_last {
                out.push('*');
            }
            wildcard_is_last = true;
            variable = true;
        } else {
            // `escape` never writes a backslash that begins no escape; a star after one must not become literal.
            out.push_str(if piece == "\\" { r"\\" } else { piece });
            wildcard_is_last = false;
        }
    }
    variable
}

/// Letters of one case, or capitalised.
fn is_fixed(part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let lower = rest.iter().all(u8::is_ascii_lowercase);
    let upper = rest.iter().all(u8::is_ascii_uppercase);
    (first.is_ascii_alphabetic() && lower) || (first.is_ascii_uppercase() && upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape_of(component: &str) -> (String, bool) {
        let mut out = "left over".to_owned();
        let variable = shape(component, &mut out);
        (out, variable)
    }

    #[test]
    fn takes_variable_parts_out() {
        for (component, expect) in [
            ("", ""),
            ("sess-4f2a.tmp", "sess-*.tmp"),
            ("nginx.conf", "nginx.conf"),
            ("README.md", "README.md"),
            ("Makefile", "Makefile"),
            ("A", "A"),
            ("aB", "*"),
            ("ABc", "*"),
            ("fooBar_7", "*_*"),
            ("libssl.so.3", "libssl.so.*"),
            ("x86_64", "*_*"),
            ("1", "*"),
            ("/data1", "/*"),
            ("/usr", "/usr"),
            ("--", "--"),
            ("é1é", "é*é"),
            ("caféB2", "café*"),
            (r"a\xff1", r"a\xff*"),
            (r"\xffab", r"\xffab"),
            (r"\*9", r"\**"),
            (r"\\9", r"\\*"),
            (r"\9", r"\\*"),
            ("docker-*.scope", "docker-*.scope"),
            ("a1*b2", "*"),
            ("abc*def", "abc*def"),
            ("**", "*"),
            ("*.*", "*.*"),
        ] {
            let (text, variable) = shape_of(component);
            assert_eq!(text, expect, "{component}");
            assert_eq!(variable, super::super::is_pattern(expect), "{component}");
        }
    }

    proptest! {
        #[test]
        fn a_shape_is_its_own_shape(component: String) {
            let (once, variable) = shape_of(&component);
            prop_assert_eq!(shape_of(&once), (once, variable));
        }

        #[test]
        fn a_shape_is_its_own_shape_with_wildcards(component in r"([a-cA-C0-2*é._-]|\\\*|\\\\|\\xff|\\){0,12}") {
            let (once, variable) = shape_of(&component);
            prop_assert_eq!(variable, super::super::is_pattern(&once));
            prop_assert_eq!(shape_of(&once), (once, variable));
        }
    }
}
