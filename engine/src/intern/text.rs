//! The text of a tag, in place if it is short.
//!
//! Most tags are: a version, a date, the 40 digits of a commit. In place they lie in a slot beside its word, in the
//! index beside the id, and in what a thread remembers; and there is nothing to allocate for them.
//!
//! A longer one is its tag's, which drops it when it goes. The index, whose entries wait for a while after they were
//! removed, only points to it.

use std::sync::{Arc, Weak};

/// Bytes of the longest text that a tag may have. Container runtimes allow 128 for a tag; an image's digest has 71.
pub const TEXT_MAX: usize = 4096;

/// Bytes that are in place. With them a text takes 48 bytes, and an entry of the index, 64.
pub(super) const SHORT_MAX: usize = 46;

pub(super) enum Text<Long = Arc<Box<str>>> {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Long),
}

/// A text that is there as long as its tag's is.
pub(super) type Pointed = Text<Weak<Box<str>>>;

impl Text {
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { len: text.len() as u8, bytes }
            }
            None => Self::Long(Arc::new(Box::from(text))),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => in_place(*len, bytes),
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            // It is the whole of what was a text.
            Self::Short { .. } => std::str::from_utf8(self.bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    /// For the text's entry in the index.
    #[allow(dead_code)] // the index of the models keeps no texts
    pub fn pointed(&self) -> Pointed {
        match self {
            Self::Short { len, bytes } => Text::Short { len: *len, bytes: *bytes },
            Self::Long(text) => Text::Long(Arc::downgrade(text)),
        }
    }

    /// Bytes of heap: of a long text, and of what points to it, two counts and a pointer with its length.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(text) => 4 * size_of::<usize>() + text.len(),
        }
    }
}

impl Pointed {
    /// What `f` says of the text; none if it has gone.
    #[allow(dead_code)] // as above
    pub fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match self {
            Self::Short { len, bytes } => Some(f(in_place(*len, bytes))),
            Self::Long(text) => text.upgrade().map(|text| f(text.as_bytes())),
        }
    }
}

/// What a thread remembers of a text: a short one itself, of a long one that it was long.
#[derive(Clone)]
pub(super) struct Known {
    /// Above [`SHORT_MAX`] for a long one.
    len: u8,
    bytes: [u8; SHORT_MAX],
}

impl Known {
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                Self { len: text.len() as u8, bytes }
            }
            None => Self { len: u8::MAX, bytes },
        }
    }

    /// Whether it is this text; none where that is not known.
    pub fn is(&self, text: &[u8]) -> Option<bool> {
        self.bytes.get(..usize::from(self.len)).map(|bytes| bytes == text)
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { len: 0, bytes: [0; SHORT_MAX] }
    }
}

fn in_place(len: u8, bytes: &[u8; SHORT_MAX]) -> &[u8] {
    bytes.get(..usize::from(len)).unwrap_or_default()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_what_it_was(text in ".{0,60}", other in ".{0,3}") {
            let kept = Text::new(&text);
            prop_assert_eq!(kept.as_str(), &text);
            prop_assert_eq!(kept.bytes(), text.as_bytes());
            prop_assert_eq!(kept.bytes() == other.as_bytes(), text == other);
            prop_assert_eq!(kept.heap_bytes() == 0, text.len() <= SHORT_MAX);
            let pointed = kept.pointed();
            prop_assert_eq!(pointed.with(|bytes| bytes == text.as_bytes()), Some(true));
            drop(kept);
            prop_assert_eq!(pointed.with(|_| ()).is_some(), text.len() <= SHORT_MAX, "a long one goes with its tag");
        }
    }

    #[test]
    fn a_text_takes_no_more_than_it_should() {
        assert_eq!((size_of::<Text>(), size_of::<Option<Text>>(), size_of::<Pointed>()), (48, 48, 48));
    }
}
