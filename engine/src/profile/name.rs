//! What the file of an image's profile is called: a function of the image's name alone, so that a profile is found
//! again whatever else is in a directory, and whoever looks.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::text::is_format;

/// How long a name may be before what tells it apart and the suffix are added, in bytes. File systems take 255.
const NAME_BYTES_MAX: usize = 200;

/// What comes behind the name of an image.
const SUFFIX: &str = ".profile.json";

/// The file of an image's profile: `IMAGE.profile.json`, with `_` for every `/` and `:`, and every character that
/// does not belong into a file's name (controls, formats, line and paragraph separators, `%`, a `.` at the start) as
/// the `%XX` of its bytes.
///
/// Where that alone could be the file of another image too, it is cut to 200 bytes and followed by `~` and the first 8
/// digits of the SHA-256 of the image's name: for a name that has a `_`, `:` or `~` itself, or is longer than that. Two
/// images of one file are so as rare as eight equal digits, but can be looked for (2³² tries for a given name): whoever
/// reads a profile compares its `image`.
///
/// ```
/// use grove::profile::file_name;
///
/// assert_eq!(file_name("docker.io/library/nginx"), "docker.io_library_nginx.profile.json");
/// assert_eq!(file_name("localhost:5000/web"), "localhost_5000_web~afe306cd.profile.json");
/// ```
pub fn file_name(image: &str) -> String {
    let mut name = String::with_capacity(image.len() + SUFFIX.len() + 9);
    for (at, c) in image.char_indices() {
        match c {
            '/' | ':' => name.push('_'),
            c if is_format(c) || c == '%' || (c == '.' && at == 0) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing into a String cannot fail.
                    let _ = write!(name, "%{byte:02X}");
                }
            }
            c => name.push(c),
        }
    }
    if name.len() > NAME_BYTES_MAX || image.contains(['_', ':', '~']) {
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        name.push('~');
        for byte in Sha256::digest(image.as_bytes()).iter().take(4) {
            let _ = write!(name, "{byte:02x}");
        }
    }
    name.push_str(SUFFIX);
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[track_caller]
    fn check(image: &str, expected: &str) {
        assert_eq!(file_name(image), format!("{expected}.profile.json"), "{image:?}");
    }

    #[test]
    fn what_people_call_images_stays_readable() {
        check("shop", "shop");
        check("docker.io/library/nginx", "docker.io_library_nginx");
        check("<unknown>", "<unknown>");
        check("ünïcode/日本", "ünïcode_日本");
        check("", "");
    }

    /// The digits are those of `printf %s NAME | sha256sum`.
    #[test]
    fn a_name_that_another_could_come_out_as_is_told_apart() {
        check("a_b", "a_b~648fa9b3");
        check("a/b", "a_b");
        check("a:b", "a_b~6783a31e");
        check("a/b~648fa9b3", "a_b~648fa9b3~8af1654d");
        check(&"n".repeat(200), &"n".repeat(200));
        check(&"n".repeat(201), &format!("{}~291c4194", "n".repeat(200)));
    }

    #[test]
    fn what_terminals_obey_or_hide_is_spelled_out() {
        check("..", "%2E.");
        check(".hidden/.x", "%2Ehidden_.x");
        check("100%", "100%25");
        check("a\0b\n\x1b[2J\x7f", "a%00b%0A%1B[2J%7F");
        check("\u{9b}31m", "%C2%9B31m");
        check("gpj.\u{202e}exe", "gpj.%E2%80%AEexe");
        check("a\u{2028}b\u{2029}c\u{feff}", "a%E2%80%A8b%E2%80%A9c%EF%BB%BF");
        check("\u{ad}\u{600}\u{110bd}\u{e0041}", "%C2%AD%D8%80%F0%91%82%BD%F3%A0%81%81");
    }

    #[test]
    fn separators_in_any_place_are_different_files() {
        let mut files = HashMap::new();
        for n in 0..3_u32.pow(7) {
            let image: String = (0..7).flat_map(|i| ['x', ['/', ':', '_'][(n / 3_u32.pow(i) % 3) as usize]]).collect();
            if let Some(other) = files.insert(file_name(&image), image.clone()) {
                panic!("{other} and {image} are one file");
            }
        }
    }

    proptest! {
        #[test]
        fn every_image_has_one_name_in_the_directory(image in "\\PC{0,80}|[a-c_:/~.%]{0,20}|\\p{C}{0,90}|.{0,400}") {
            let name = file_name(&image);
            prop_assert!(name.len() <= NAME_BYTES_MAX + 9 + SUFFIX.len());
            prop_assert!(!name.contains('/') && !name.chars().any(is_format));
            prop_assert!(!name.starts_with('.') || image.is_empty());
        }
    }
}
