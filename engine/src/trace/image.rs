//! Splitting an image reference into its name and its tag.
//!
//! Not here: canonical names. `nginx` stays `nginx`, since a profile is named as its source names the image.

/// The name and the tag of an image reference.
///
/// A colon begins a tag only after the last slash: before it, it is a registry's port. A reference that has no tag
/// but a digest has the digest as its tag, one that has neither has `latest`. Where there are both, the tag counts.
pub fn split_image(reference: &str) -> (&str, &str) {
    let (tagged, digest) = match reference.split_once('@') {
        Some((tagged, digest)) => (tagged, (!digest.is_empty()).then_some(digest)),
        None => (reference, None),
    };
    let base = tagged.rfind('/').map_or(0, |slash| slash + 1);
    let split =
        tagged.get(base..).and_then(|last| last.rfind(':')).and_then(|colon| tagged.split_at_checked(base + colon));
    match split {
        Some((name, tag)) if tag.len() > 1 => (name, tag.trim_start_matches(':')),
        Some((name, _)) => (name, digest.unwrap_or(LATEST)),
        None => (tagged, digest.unwrap_or(LATEST)),
    }
}

/// The tag of a reference that names none.
const LATEST: &str = "latest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_split_into_name_and_tag() {
        for (reference, name, tag) in [
            ("nginx", "nginx", "latest"),
            ("nginx:1.27", "nginx", "1.27"),
            ("a:5000/b/c:1", "a:5000/b/c", "1"),
            ("a:5000/b/c", "a:5000/b/c", "latest"),
            ("docker.io/library/nginx:1.27.1", "docker.io/library/nginx", "1.27.1"),
            ("x@sha256:abcd", "x", "sha256:abcd"),
            ("a:5000/x@sha256:abcd", "a:5000/x", "sha256:abcd"),
            ("x:1@sha256:abcd", "x", "1"),
            ("x:", "x", "latest"),
            ("x@", "x", "latest"),
            ("x:@sha256:abcd", "x", "sha256:abcd"),
            ("", "", "latest"),
            ("é:ü", "é", "ü"),
        ] {
            assert_eq!(split_image(reference), (name, tag), "{reference}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_tag(reference in ".{0,40}") {
            let (name, tag) = split_image(&reference);
            proptest::prop_assert!(!tag.is_empty());
            proptest::prop_assert!(reference.starts_with(name));
        }
    }
}
