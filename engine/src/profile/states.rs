//! How far learning is with one tag. There are as many of these as tags, and nearly all of them say the same of the same
//! kinds of behaviour: those take a byte each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use crate::behaviour::{CLASSES, read_unique};

/// Whether new behaviour is still learned or already drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// New behaviour is expected and learned.
    Learning,
    /// New behaviour is drift.
    Stable,
}

impl State {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Stable => "stable",
        }
    }
}

/// Whether new behaviour is still learned, by kind of behaviour, in order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Of [`CLASSES`].
    known: [Option<State>; CLASSES.len()],
    /// Of kinds that this version does not know; a document and its profile have them in common.
    others: Option<Arc<BTreeMap<String, State>>>,
}

/// As it is written of one kind.
#[derive(Serialize, Deserialize)]
struct Written {
    state: State,
}

impl States {
    /// Everything is being learned.
    #[doc(hidden)]
    pub fn learning() -> Self {
        Self { known: [Some(State::Learning); CLASSES.len()], others: None }
    }

    /// What is said of a kind of behaviour.
    pub fn get(&self, class: &str) -> Option<State> {
        match CLASSES.iter().position(|known| *known == class) {
            Some(at) => self.known.get(at).copied().flatten(),
            None => self.others.as_ref()?.get(class).copied(),
        }
    }

    /// Says it of a kind of behaviour.
    #[doc(hidden)]
    pub fn insert(&mut self, class: &str, state: State) {
        match CLASSES.iter().position(|known| *known == class).and_then(|at| self.known.get_mut(at)) {
            Some(known) => *known = Some(state),
            None => drop(Arc::make_mut(self.others.get_or_insert_default()).insert(class.to_owned(), state)),
        }
    }

    /// The states that are set, by kind, in the order of the format.
    pub fn iter(&self) -> impl Iterator<Item = (&str, State)> {
        let known = CLASSES.iter().zip(self.known).filter_map(|(class, state)| Some((*class, state?)));
        let others = self.others.iter().flat_map(|others| others.iter());
        let mut all: Vec<_> = known.chain(others.map(|(class, state)| (class.as_str(), *state))).collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// What both say: as long as one still learns, both do.
    #[doc(hidden)]
    pub fn merge(&mut self, other: &Self) {
        for (class, state) in other.iter() {
            let state = self.get(class).map_or(state, |own| own.min(state));
            self.insert(class, state);
        }
    }
}

impl FromIterator<(String, State)> for States {
    fn from_iter<I: IntoIterator<Item = (String, State)>>(entries: I) -> Self {
        let mut states = Self::default();
        entries.into_iter().for_each(|(class, state)| states.insert(&class, state));
        states
    }
}

impl Serialize for States {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter().map(|(class, state)| (class, Written { state })))
    }
}

/// Refuses the same kind twice.
impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        read_unique::<_, Written>(d)
            .map(|states| states.into_iter().map(|(class, about)| (class, about.state)).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_not_known_are_kept_in_their_place() {
        let text = r#"{"bind":{"state":"stable"},"exec":{"state":"learning"},"fly":{"state":"stable"},"zzz":{"state":"learning"}}"#;
        let mut states: States = sonic_rs::from_str(text).unwrap();
        assert_eq!(sonic_rs::to_string(&states).unwrap(), text);
        let other =
            sonic_rs::from_str(r#"{"aaa":{"state":"stable"},"bind":{"state":"learning"},"exec":{"state":"stable"}}"#)
                .unwrap();
        states.merge(&other);
        let expected = r#"{"aaa":{"state":"stable"},"bind":{"state":"learning"},"exec":{"state":"learning"},"fly":{"state":"stable"},"zzz":{"state":"learning"}}"#;
        assert_eq!(sonic_rs::to_string(&states).unwrap(), expected);
        assert_eq!((states.get("fly"), states.get("dns")), (Some(State::Stable), None));
        assert!(sonic_rs::from_str::<States>(r#"{"exec":{"state":"stable"},"exec":{"state":"stable"}}"#).is_err());
        assert_eq!(States::learning().iter().count(), CLASSES.len());
    }
}
