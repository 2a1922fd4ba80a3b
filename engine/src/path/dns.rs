//! DNS names: their one written form, and their labels as a path from the right.
//!
//! Not here: addresses (`network`).

use super::text::escape;

/// Longer names are none: four times what the protocol allows.
pub const DNS_NAME_BYTES_MAX: usize = 1024;

/// The written form of a DNS name: ASCII in lower case, without trailing dots, escaped as paths are; `.` for the root.
///
/// `None` if it is empty, not UTF-8, longer than [`DNS_NAME_BYTES_MAX`], or has a NUL byte.
pub fn dns_name(raw: &[u8]) -> Option<String> {
    let mut out = String::new();
    dns_name_into(raw, &mut out).then_some(out)
}

/// As [`dns_name`], in place of what is in `out`; false if there is none.
pub fn dns_name_into(raw: &[u8], out: &mut String) -> bool {
    out.clear();
    if raw.is_empty() || raw.len() > DNS_NAME_BYTES_MAX || raw.contains(&0) {
        return false;
    }
    let Ok(text) = str::from_utf8(raw) else { return false };
    let name = match text.trim_end_matches('.') {
        "" => ".",
        name => name,
    };
    escape(name.as_bytes(), out);
    out.make_ascii_lowercase();
    true
}

/// The labels of a name as [`dns_name`] writes it, from the right; the root is its own only label.
///
/// ```
/// # use grove::path::labels;
/// assert_eq!(labels("www.example.com").collect::<Vec<_>>(), ["com", "example", "www"]);
/// ```
pub fn labels(text: &str) -> impl Iterator<Item = &str> + Clone {
    let root = (text == ".").then_some(text);
    let inner = (text != ".").then(|| text.rsplit('.'));
    root.into_iter().chain(inner.into_iter().flatten())
}

/// Puts a label in front of a name: the inverse of [`labels`], starting from an empty `name`.
pub fn push_label(name: &mut String, label: &str) {
    if !name.is_empty() {
        name.insert(0, '.');
    }
    name.insert_str(0, label);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_have_one_written_form() {
        let long = "a".repeat(DNS_NAME_BYTES_MAX);
        let too_long = "a".repeat(DNS_NAME_BYTES_MAX + 1);
        let table: &[(&[u8], Option<&str>)] = &[
            (b"Example.COM", Some("example.com")),
            (b"example.com.", Some("example.com")),
            (b"example.com..", Some("example.com")),
            (b".", Some(".")),
            (b"a..b", Some("a..b")),
            (b".a", Some(".a")),
            (b"*.x", Some(r"\*.x")),
            (br"A\.b", Some(r"a\\.b")),
            ("É.x".as_bytes(), Some("É.x")),
            (long.as_bytes(), Some(&long)),
            (too_long.as_bytes(), None),
            (b"", None),
            (b"a\0b", None),
            (b"a\xffb", None),
        ];
        for (raw, expect) in table {
            assert_eq!(dns_name(raw).as_deref(), *expect, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn labels_come_from_the_right() {
        for (name, expect) in
            [("www.example.com", &["com", "example", "www"][..]), ("localhost", &["localhost"]), (".", &["."])]
        {
            assert_eq!(labels(name).collect::<Vec<_>>(), expect);
        }
    }

    proptest! {
        #[test]
        fn push_label_undoes_labels(raw in "[a-zA-Z0-9.*\\\\é]{1,12}") {
            let name = dns_name(raw.as_bytes()).unwrap();
            let mut joined = String::new();
            labels(&name).for_each(|label| push_label(&mut joined, label));
            prop_assert_eq!(joined, name);
        }

        #[test]
        fn a_written_name_is_its_own_form(raw in "[a-zA-Z0-9.-]{1,12}") {
            let name = dns_name(raw.as_bytes()).unwrap();
            prop_assert_eq!(dns_name(name.as_bytes()), Some(name));
        }
    }
}
