//! What a runtime means by the image of a container: a name, or an id where there is none.
//!
//! Not here: splitting a name from its tag (`grove::trace::image`), and canonical names.

use grove::trace::image::split_image;

/// Name and tag of a reference. A bare id is the name of an image that has no other, and its tag is `latest`.
pub(super) fn split(reference: &str) -> (&str, &str) {
    if is_bare_id(reference) { (reference, "latest") } else { split_image(reference) }
}

/// Whether it is `sha256:…` and nothing else.
pub(super) fn is_bare_id(reference: &str) -> bool {
    reference.starts_with("sha256:") && !reference.contains(['/', '@'])
}

/// Whether a user gave the image by its id, or by the beginning of it. `id` is with or without `sha256:`.
pub(super) fn is_id_of(reference: &str, id: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (given, id) =
        (reference.strip_prefix("sha256:").unwrap_or(reference), id.strip_prefix("sha256:").unwrap_or(id));
    hex(given) && id.starts_with(given)
}

/// Whether there is a reference at all: runtimes write `<none>:<none>` for an image whose tag has moved on.
pub(super) fn is_named(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with("<none>")
}

/// An image's id as Docker writes it.
pub(super) fn with_algorithm(id: &str) -> String {
    if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_name_of_what_has_no_other() {
        for (reference, image, tag) in [
            ("nginx", "nginx", "latest"),
            ("localhost/bb:1", "localhost/bb", "1"),
            ("sha256:ab12", "sha256:ab12", "latest"),
            ("x@sha256:ab12", "x", "sha256:ab12"),
            ("sha256/x:1", "sha256/x", "1"),
        ] {
            assert_eq!(split(reference), (image, tag), "{reference}");
        }
    }

    #[test]
    fn an_image_given_by_its_id_is_told_from_a_name() {
        for (reference, id, is_id) in [
            ("ab12", "sha256:ab12cd", true),
            ("ab12", "ab12cd", true),
            ("sha256:ab12cd", "sha256:ab12cd", true),
            ("ab13", "sha256:ab12cd", false),
            ("nginx", "sha256:ab12cd", false),
            ("ab12:1", "sha256:ab12cd", false),
            ("", "sha256:ab12cd", false),
            ("sha256:", "sha256:ab12cd", false),
        ] {
            assert_eq!(is_id_of(reference, id), is_id, "{reference}");
        }
    }
}
