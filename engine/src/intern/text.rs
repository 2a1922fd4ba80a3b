//! The text of a tag, in place if it is short.
//!
//! Most tags are: a version, a date, the 40 digits of a commit. In place they lie on the cache line that is looked at
//! anyway, in a slot beside its word and in the index beside the id; and there is nothing to allocate for them.

use std::sync::Arc;

/// Bytes that are in place. With them a text takes 48 bytes, and an entry of the index, 64.
pub(super) const SHORT_MAX: usize = 46;

#[derive(Clone)]
pub(super) enum Text {
    Short { len: u8, bytes: [u8; SHORT_MAX] },
    Long(Arc<str>),
}

impl Text {
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { len: text.len() as u8, bytes }
            }
            None => Self::Long(Arc::from(text)),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    pub fn is(&self, text: &str) -> bool {
        self.bytes() == text.as_bytes()
    }

    pub fn as_str(&self) -> &str {
        match self {
            // It is the whole of what was a text.
            Self::Short { .. } => std::str::from_utf8(self.bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    pub fn shared(&self) -> Arc<str> {
        match self {
            Self::Short { .. } => Arc::from(self.as_str()),
            Self::Long(text) => text.clone(),
        }
    }

    /// Bytes of heap: the text behind the two counts of an [`Arc`].
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(text) => (2 * size_of::<usize>() + text.len()).next_multiple_of(align_of::<usize>()),
        }
    }
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
            prop_assert_eq!(&*kept.shared(), &text);
            prop_assert!(kept.clone().is(&text));
            prop_assert!(kept.is(&text));
            prop_assert_eq!(kept.is(&other), text == other);
            prop_assert_eq!(kept.heap_bytes() == 0, text.len() <= SHORT_MAX);
        }
    }

    #[test]
    fn a_text_takes_no_more_than_it_should() {
        assert_eq!((size_of::<Text>(), size_of::<Option<Text>>()), (48, 48));
    }
}
