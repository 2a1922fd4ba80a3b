//! When each tag did something. A profile has one for every entry of its lists, mostly of one tag, so it takes what its
//! entries take and no more: a tree of maps took ten times that.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::ops::Index;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::time::Time;

/// First and last time, by tag, in order of the tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Box<[(String, [Time; 2])]>);

impl Seen {
    /// How many tags there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last time of a tag. O(log tags).
    pub fn get(&self, tag: &str) -> Option<&[Time; 2]> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(tag)).ok()?;
        self.0.get(at).map(|(_, span)| span)
    }

    /// Whether a tag is there.
    pub fn contains_key(&self, tag: &str) -> bool {
        self.get(tag).is_some()
    }

    /// Tags with their times, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &[Time; 2])> {
        self.0.iter().map(|(tag, span)| (tag, span))
    }

    /// Tags, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &String> {
        self.iter().map(|(tag, _)| tag)
    }

    /// Times, in order of their tags.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &[Time; 2]> {
        self.iter().map(|(_, span)| span)
    }
}

impl Index<&str> for Seen {
    type Output = [Time; 2];

    /// # Panics
    /// If the tag is not there.
    #[allow(clippy::expect_used)] // as every map's
    fn index(&self, tag: &str) -> &Self::Output {
        self.get(tag).expect("no such tag")
    }
}

/// Of a tag that comes twice the last counts.
impl FromIterator<(String, [Time; 2])> for Seen {
    fn from_iter<I: IntoIterator<Item = (String, [Time; 2])>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            entries = entries.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
        }
        Self(entries.into_boxed_slice())
    }
}

impl<const N: usize> From<[(String, [Time; 2]); N]> for Seen {
    fn from(entries: [(String, [Time; 2]); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Seen {
    type Item = (&'a String, &'a [Time; 2]);
    type IntoIter =
        std::iter::Map<std::slice::Iter<'a, (String, [Time; 2])>, fn(&'a (String, [Time; 2])) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(tag, span)| (tag, span))
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self)
    }
}

/// Refuses the same tag twice.
impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Seen;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
                let twice = || A::Error::custom("the same key twice");
                // Most have one, and a list that grows begins with four.
                let mut entries: Vec<(String, [Time; 2])> = Vec::with_capacity(1);
                while let Some((tag, span)) = map.next_entry::<String, _>()? {
                    if entries.last().is_some_and(|(last, _)| *last == tag) {
                        return Err(twice());
                    }
                    entries.push((tag, span));
                }
                let (all, seen) = (entries.len(), entries.into_iter().collect::<Seen>());
                if seen.len() == all { Ok(seen) } else { Err(twice()) }
            }
        }
        d.deserialize_map(Entries)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_in_order_each_once() {
        let span = |n: u64| [Time(n), Time(n + 1)];
        let seen = Seen::from([("b".to_owned(), span(1)), ("a".to_owned(), span(2)), ("b".to_owned(), span(3))]);
        assert_eq!((seen.len(), seen.keys().collect::<Vec<_>>()), (2, vec![&"a".to_owned(), &"b".to_owned()]));
        assert_eq!((seen["b"], seen.get("c"), seen.contains_key("a")), (span(3), None, true));
        let text = sonic_rs::to_string(&seen).unwrap();
        assert_eq!(sonic_rs::from_str::<Seen>(&text).unwrap(), seen);
        let entry = |tag: &str| format!(r#""{tag}":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]"#);
        for (tags, twice) in [(vec!["b", "a"], false), (vec!["a", "a"], true), (vec!["a", "b", "a"], true)] {
            let text = format!("{{{}}}", tags.into_iter().map(entry).collect::<Vec<_>>().join(","));
            match sonic_rs::from_str::<Seen>(&text) {
                Ok(seen) => assert!(!twice && seen.len() == 2),
                Err(e) => assert!(twice && e.to_string().contains("the same key twice"), "{e}"),
            }
        }
    }
}
