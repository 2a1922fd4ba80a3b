//! Which workload a container runs: from a `container` event's JSON, or from an image reference.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::record::Value;

/// The tag of an image whose reference names neither a tag nor a digest, as every registry client takes it.
const DEFAULT_TAG: &str = "latest";

/// An image reference's name and tag: `host:5000/img:1.2@sha256:…` is `host:5000/img`, `1.2`. A reference by digest
/// alone has the digest for its tag: two digests of one image are not the same version, let alone `latest`.
pub(super) fn image_and_tag(reference: &str) -> (&str, &str) {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, digest),
        // A bare id (`sha256:…`) is an image without a name.
        None if reference.starts_with("sha256:") => return (reference, DEFAULT_TAG),
        None => (reference, ""),
    };
    let last_part = name.rfind('/').map_or(0, |slash| slash + 1);
    let colon = name.get(last_part..).and_then(|part| part.rfind(':')).map(|at| last_part + at);
    let (name, tag) = match colon {
        Some(at) => (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default()),
        None => (name, ""),
    };
    let tag = [tag, digest].into_iter().find(|t| !t.is_empty()).unwrap_or(DEFAULT_TAG);
    (name, tag)
}

/// What a `container` event tells.
#[derive(Default)]
pub(super) struct Container<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) image: Cow<'a, str>,
    pub(super) repo: Cow<'a, str>,
    pub(super) tag: Cow<'a, str>,
}

impl<'a> Container<'a> {
    /// From a `container` event's `evt.args`, `json={"container":{…}}`; `None` if it is not that.
    pub(super) fn parse(args: &'a str) -> Option<Self> {
        let json = args.strip_prefix("json=")?.trim_ascii_end();
        sonic_rs::from_str::<Envelope<'a>>(json).ok().map(|envelope| envelope.0)
    }

    /// Image name and tag; `None` if the image is not told.
    pub(super) fn workload(&self) -> Option<(&str, &str)> {
        let (image, tag) = image_and_tag(&self.image);
        let image = if self.repo.is_empty() { image } else { &self.repo };
        let tag = if self.tag.is_empty() { tag } else { &self.tag };
        (!image.is_empty()).then_some((image, tag))
    }
}

struct Envelope<'a>(Container<'a>);

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Outer;

        impl<'de> Visitor<'de> for Outer {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `container`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
                let mut container = Container::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "container" {
                        container = map.next_value()?;
                    } else {
                        map.next_value::<Value<'de>>()?;
                    }
                }
                Ok(Envelope(container))
            }
        }

        d.deserialize_any(Outer)
    }
}

impl<'de> Deserialize<'de> for Container<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Inner;

        impl<'de> Visitor<'de> for Inner {
            type Value = Container<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a container")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Container<'de>, A::Error> {
                let mut container = Container::default();
                while let Some((key, value)) = map.next_entry::<Cow<'de, str>, Value<'de>>()? {
                    let field = match key.as_ref() {
                        "id" => &mut container.id,
                        "image" => &mut container.image,
                        "imagerepo" => &mut container.repo,
                        "imagetag" => &mut container.tag,
                        _ => continue,
                    };
                    if let Value::Text(text) = value {
                        *field = text;
                    }
                }
                Ok(container)
            }
        }

        d.deserialize_any(Inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_image_reference_is_a_name_and_a_tag() {
        for (reference, name, tag) in [
            ("alpine:latest", "alpine", "latest"),
            ("minio/minio", "minio/minio", "latest"),
            ("host:5000/img", "host:5000/img", "latest"),
            ("host:5000/img:1.2", "host:5000/img", "1.2"),
            ("host:5000/img:1.2@sha256:ab", "host:5000/img", "1.2"),
            ("x@sha256:ab", "x", "sha256:ab"),
            ("sha256:ab", "sha256:ab", "latest"),
            ("x:", "x", "latest"),
            ("x@", "x", "latest"),
            ("@", "", "latest"),
            (":", "", "latest"),
            ("", "", "latest"),
            ("é/ü:ö", "é/ü", "ö"),
        ] {
            assert_eq!(image_and_tag(reference), (name, tag), "{reference}");
        }
    }

    #[test]
    fn a_container_event_tells_id_and_workload() {
        for (args, want) in [
            (r#"json={"container":{"id":"c1","imagerepo":"a/b","imagetag":"2"}} "#, Some(("c1", Some(("a/b", "2"))))),
            (
                r#"json={"container":{"id":"c1","image":"a/b:3","imagerepo":"","imagetag":""}}"#,
                Some(("c1", Some(("a/b", "3")))),
            ),
            (
                r#"json={"other":[1],"container":{"id":"c1","image":"a","Mounts":[{"x":{}}]}}"#,
                Some(("c1", Some(("a", "latest")))),
            ),
            (r#"json={"container":{"id":"c1","image":7}}"#, Some(("c1", None))),
            (r#"json={}"#, Some(("", None))),
            (r#"json={"container":7}"#, None),
            (r#"json={"container":"#, None),
            ("json=", None),
            ("", None),
        ] {
            let container = Container::parse(args);
            assert_eq!(container.as_ref().map(|c| (c.id.as_ref(), c.workload())), want, "{args}");
        }
    }

    #[test]
    fn a_nesting_bomb_inside_is_not_a_container() {
        let bomb = format!("json={{\"container\":{{\"Mounts\":{}", "[".repeat(1 << 20));
        assert!(Container::parse(&bomb).is_none());
    }
}
