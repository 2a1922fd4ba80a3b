//! How a kind of behaviour is written in a profile, told to people and compared.

use super::key::{Class, Marks};
use super::{Address, Behaviour, Kind, SocketKey};
use crate::time::Time;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// When each tag did something: first and last time, by tag, in order of the tags. A profile has one for every entry of its
/// lists, mostly of one tag, which needs no memory of its own: entries have the tag's text in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Times);

/// A tag and its times.
pub(crate) type Timed = (Arc<str>, [Time; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Times {
    One(Timed),
    /// None, or several.
    List(Box<[Timed]>),
}

impl Seen {
    fn new(mut list: Vec<Timed>) -> Self {
        match list.pop() {
            Some(one) if list.is_empty() => Self(Times::One(one)),
            last => {
                list.extend(last);
                Self(Times::List(list.into_boxed_slice()))
            }
        }
    }

    fn all(&self) -> &[Timed] {
        match &self.0 {
            Times::One(one) => std::slice::from_ref(one),
            Times::List(list) => list,
        }
    }

    /// Tags and times, in order of the tags.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, [Time; 2])> {
        self.all().iter().map(|(tag, times)| (&**tag, *times))
    }

    /// The tags, in order.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> {
        self.all().iter().map(|(tag, _)| &**tag)
    }

    /// Whether no tag has been seen.
    #[doc(hidden)]
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// First and last time that a tag was seen.
    pub fn get(&self, tag: &str) -> Option<[Time; 2]> {
        self.all().iter().find(|(known, _)| &**known == tag).map(|(_, times)| *times)
    }
}

impl Default for Seen {
    /// Of no tag.
    fn default() -> Self {
        Self(Times::List(Box::default()))
    }
}

impl<T: AsRef<str>> FromIterator<(T, [Time; 2])> for Seen {
    /// Of a tag that comes more than once the hull is taken.
    fn from_iter<I: IntoIterator<Item = (T, [Time; 2])>>(seen: I) -> Self {
        Self::of_shared(seen.into_iter().map(|(tag, times)| (shared_tag(tag.as_ref()), times)))
    }
}

impl Seen {
    /// Of tags and times in any order; of a tag that comes more than once the hull is taken.
    pub(crate) fn of_shared(mut seen: impl Iterator<Item = Timed>) -> Self {
        let Some(first) = seen.next() else { return Self::default() };
        let Some(second) = seen.next() else { return Self(Times::One(first)) };
        let Some(third) = seen.next() else {
            // Of an image's two versions, as nearly always.
            match first.0.cmp(&second.0) {
                Ordering::Less => return Self(Times::List(Box::new([first, second]))),
                Ordering::Greater => return Self(Times::List(Box::new([second, first]))),
                Ordering::Equal => return Self::of_many(vec![first, second]),
            }
        };
        let mut list = vec![first, second, third];
        list.extend(seen);
        Self::of_many(list)
    }

    fn of_many(mut list: Vec<Timed>) -> Self {
        list.sort();
        list.dedup_by(|(tag, [_, last]), (kept, [_, kept_last])| {
            let same = tag == kept;
            if same {
                *kept_last = (*kept_last).max(*last);
            }
            same
        });
        Self::new(list)
    }
}

impl Serialize for Seen {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Tags;

        impl<'de> Visitor<'de> for Tags {
            type Value = Seen;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Seen, A::Error> {
                let mut next = || Ok(entries.next_entry::<Tag, [Time; 2]>()?.map(|(Tag(tag), times)| (tag, times)));
                let Some(first) = next()? else { return Ok(Seen::default()) };
                let Some(second) = next()? else { return Ok(Seen(Times::One(first))) };
                let mut list = vec![first, second];
                while let Some(entry) = next()? {
                    list.push(entry);
                }
                let is_sorted = list.is_sorted_by(|(a, _), (b, _)| a < b);
                if !is_sorted {
                    list.sort_by(|(a, _), (b, _)| a.cmp(b));
                    if !list.is_sorted_by(|(a, _), (b, _)| a < b) {
                        return Err(A::Error::custom("the same tag twice"));
                    }
                }
                Ok(Seen::new(list))
            }
        }
        d.deserialize_map(Tags)
    }
}

/// A tag as a key of an object.
struct Tag(Arc<str>);

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Tag;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a tag")
            }

            fn visit_str<E>(self, text: &str) -> Result<Tag, E> {
                Ok(Tag(shared_tag(text)))
            }
        }
        d.deserialize_str(Text)
    }
}

/// So many tags a thread has at hand, none longer than this, so that what it keeps of them is little.
pub(crate) const TAGS_AT_HAND: usize = 64;
const TAG_BYTES_AT_HAND: usize = 64;

thread_local! {
    /// Tags that were met last, each in its [place](tag_place).
    static TAGS: RefCell<[Option<Arc<str>>; TAGS_AT_HAND]> = const { RefCell::new([const { None }; TAGS_AT_HAND]) };
}

/// The place of a tag among those at hand, by its last bytes; none of one that is too long.
pub(crate) fn tag_place(tag: &[u8]) -> Option<usize> {
    let key = match tag {
        [.., a, b] => usize::from(a.wrapping_mul(10).wrapping_add(*b)),
        _ => 0,
    };
    (tag.len() <= TAG_BYTES_AT_HAND).then_some(key % TAGS_AT_HAND)
}

/// The text of a tag; of one that was met shortly before, the same memory. A profile names its few tags in every entry.
fn shared_tag(tag: &str) -> Arc<str> {
    let Some(key) = tag_place(tag.as_bytes()) else { return tag.into() };
    TAGS.with_borrow_mut(|tags| match tags.get_mut(key) {
        Some(Some(known)) if **known == *tag => known.clone(),
        Some(known) => known.insert(tag.into()).clone(),
        None => tag.into(),
    })
}

/// An entry of a profile's list of one kind of behaviour. Whatever is done with all kinds is done through this, so a kind
/// that lacks any of it does not compile.
pub trait Entry: Clone + Debug + Default + PartialEq + Eq + Serialize + DeserializeOwned {
    /// The kind of behaviour that the entry describes.
    const KIND: Kind;
    /// What one is called where profiles are compared.
    const NAME: &'static str;
    /// What one and several are called where they are counted.
    const COUNTED: [&'static str; 2];
    /// What findings of this kind are called; learning is told apart by these.
    const CLASSES: &'static [&'static str];
    /// The groups that they are shown in, in order.
    const LABELS: &'static [&'static str];
    /// What is shown where none was seen although others were watched.
    const NONE_SEEN: Option<&'static str>;

    /// Whether a list without entries is left out, as one that says nothing.
    const OPTIONAL: bool = false;
    /// Whether a list is sorted by its entries' names alone, as paths: then a tree can do it without spelling them out.
    const SORTED_BY_PATH: bool;

    /// What makes two entries of one list the same, and what lists are sorted by.
    type Id<'a>: Ord
    where
        Self: 'a;
    /// [`Id`](Self::Id) of a leaf of a tree.
    type Order: Ord;

    /// What makes two entries of one list the same.
    fn id(&self) -> Self::Id<'_>;
    /// First and last time, by tag.
    fn seen(&self) -> &Seen;
    /// What is told of its name if that is a pattern; `None` if it has no name that could be.
    fn pattern(&self) -> Option<Pattern<'_>>;

    /// The order of a leaf among those of its kind: as that of the ids of the entries they are written as.
    fn order(leaf: &impl Leaf) -> Self::Order;
    /// What is written of a leaf.
    fn of(leaf: &impl Leaf) -> Self;
    /// The behaviour that it stands for. `text` is for a name that has to be put together.
    ///
    /// # Errors
    /// The field that has a value which none can have.
    fn behaviour<'a>(&'a self, text: &'a mut String) -> Result<Behaviour<'a>, InvalidField>;

    /// What a finding of such a behaviour is called: one of [`CLASSES`](Self::CLASSES), or a further name. `known` is
    /// whether its key is known, and so only something that gathers there is new.
    fn class(what: &Behaviour<'_>, known: bool) -> &'static str;
    /// What a finding of that class says of such a behaviour, of which the details are new.
    fn finding(what: &Behaviour<'_>, class: &'static str) -> FindingText;
    /// What a difference is about. Not escaped for terminals.
    fn subject(&self) -> String;
    /// What entries that are the same have that is not identity, in words.
    fn gathered(same: &[&Self]) -> String;
    /// How it is shown among others of its program.
    fn shown(&self) -> EntryView<'_>;
    /// Whom it ties the program to, if it is to be drawn.
    fn edge(&self) -> Option<Edge>;
}

/// What is known of a leaf of a tree.
pub trait Leaf {
    /// Its full path, name or address.
    fn text(&self) -> String;
    /// The text of the [`Group`](super::Scope::Group) that it is in, if it is in one.
    fn group(&self) -> &str;
    /// All of its socket but the address.
    fn socket(&self) -> SocketKey;
    /// Its address, where it is one.
    fn address(&self) -> Option<Address>;
    /// The number of the system call or capability; 0 for other kinds.
    fn number(&self) -> u32;
    /// The flags, such as how a file was opened.
    fn marks(&self) -> Marks;
    /// Its numbers of one class, sorted.
    fn numbers(&self, class: Class) -> Vec<u32>;
    /// The texts that gathered on it, such as the sources of a mount, sorted.
    fn texts(&self) -> Vec<String>;
    /// What is told of its name, `text`, if that is a pattern.
    fn learned(&self, text: &str) -> Learned;
    /// First and last time, by tag.
    fn seen(&self) -> Seen;
}

/// What is told of a name that is a pattern, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Estimated number of names it stands for; 0 where that is not told.
    pub distinct: u64,
    /// Some of them.
    pub exemplars: Vec<String>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    pub learned: Vec<u32>,
}

/// What is told of a name that is a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a> {
    /// The name stands for more than one.
    pub pattern: bool,
    /// Estimated number of names it stands for; 0 where that is not told.
    pub distinct: u64,
    /// Some of them.
    pub exemplars: &'a [String],
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    pub learned: &'a [u32],
}

/// What is wrong with an entry: in which field, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// The field.
    pub field: &'static str,
    /// What was found and what is allowed.
    pub detail: String,
}

impl InvalidField {
    pub(crate) fn new(field: &'static str, detail: impl Into<String>) -> Self {
        Self { field, detail: detail.into() }
    }

    /// A value that is none of those there are.
    pub(crate) fn none_of(field: &'static str, value: &str, known: &[&str]) -> Self {
        let value = crate::text::Visible(value);
        Self::new(field, format!("\"{value}\" is not one of {}", known.join(", ")))
    }
}

/// What a finding says: its subject, and what it says beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingText {
    /// Path, name, `address:port`, or the name of the system call or capability.
    pub subject: String,
    /// What else, by its name in the finding.
    pub details: Vec<(&'static str, Value)>,
}

/// A value of a finding's detail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A truth value.
    Flag(bool),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// Bytes of memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Flag(_) => 0,
            Self::List(list) => list.iter().map(|text| size_of::<String>() + text.len()).sum(),
        };
        size_of::<(&str, Self)>() + texts
    }
}

/// An entry as the tree view shows it.
#[derive(Clone, Debug)]
pub struct EntryView<'a> {
    /// One of [`LABELS`](Entry::LABELS).
    pub label: &'static str,
    /// The name of the entry.
    pub name: String,
    /// What is told beside it; empty if nothing is.
    pub note: String,
    /// What the name stands for, if it is a pattern.
    pub pattern: Option<Pattern<'a>>,
    /// It is a word among words, many of which stand in one line.
    pub is_word: bool,
}

/// Whom a program is tied to, where profiles are drawn.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The shape of the other one.
    pub shape: &'static str,
    /// The name of the node at the other end.
    pub name: String,
    /// The label of the line between them, such as `connects`.
    pub label: String,
}

/// Joins words for people.
pub(crate) fn joined<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(word.as_ref());
    }
    out
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a map, refusing the same key twice.
pub(crate) fn read_unique<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    d: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct Unique<V>(std::marker::PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<String, V>()? {
                if map.insert(key, value).is_some() {
                    return Err(A::Error::custom("the same key twice"));
                }
            }
            Ok(map)
        }
    }
    d.deserialize_map(Unique(std::marker::PhantomData))
}
