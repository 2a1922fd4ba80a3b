//! A profile: all that is known of one image, mergeable with what else is known of it.

use super::convert::{Hulls, TakeError};
use super::doc::{Ledgers, ProfileDoc, TagDoc};
use super::states::States;
use super::store::{ReadError, WriteError, read_within};
use crate::config::Config;
use crate::intern::Interner;
use crate::ledger::Ledger;
use crate::time::Time;
use crate::tree::{Rules, Tree, TreeFull};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// All that is known of one image.
#[derive(Clone, Debug)]
pub struct Profile {
    image: String,
    partial: bool,
    tree: Arc<Tree>,
    ledgers: Ledgers,
    /// How far learning is with each tag.
    states: BTreeMap<String, States>,
}

impl AsRef<Self> for Profile {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Profile {
    /// The profile in a file, within `config.profile_read_bytes` of memory. Its tags are known to the process's interner.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or too large; that is no profile; or too many tags.
    pub fn read(path: impl AsRef<Path>, config: &Config) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let doc = read_within(path, config.profile_read_bytes)?;
        let invalid = |source| ReadError::Invalid { path: path.to_owned(), source };
        let rules = Rules::new(config).map_err(|source| ReadError::Protect { source })?;
        Self::from_doc(&doc, Arc::new(rules), &Interner::global_of(config.tags_max)).map_err(invalid)
    }

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written; what was there is as it was.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), WriteError> {
        super::store::write(path.as_ref(), self)
    }

    /// A profile of an image of which nothing is known.
    #[doc(hidden)]
    pub fn new(image: &str, rules: Arc<Rules>) -> Self {
        Self::of_tree(image, Tree::new(rules))
    }

    /// A profile of an image of which a tree is known.
    pub(crate) fn of_tree(image: &str, tree: Tree) -> Self {
        Self {
            image: image.to_owned(),
            partial: false,
            tree: Arc::new(tree),
            ledgers: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    /// Image name without tag.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Whether some of it was learned from a source that cannot see all that a container does.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// From now on it is, and nothing will make it whole.
    #[doc(hidden)]
    pub fn set_partial(&mut self) {
        self.partial = true;
    }

    /// What its processes did.
    #[doc(hidden)]
    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Where the events of each recording went.
    pub fn ledgers(&self) -> &Ledgers {
        &self.ledgers
    }

    /// Adds what one container's tree knows.
    ///
    /// # Errors
    /// More tags than one tree can bear; the profile is as it was.
    #[doc(hidden)]
    pub fn add_tree(&mut self, tree: &Tree) -> Result<(), TreeFull> {
        Arc::make_mut(&mut self.tree).merge(tree)
    }

    /// Adds what became of events of a recording.
    #[doc(hidden)]
    pub fn add_ledger(&mut self, recording: &str, ledger: &Ledger) {
        self.ledgers.entry(recording.to_owned()).or_default().add(ledger);
    }

    /// Adds another profile of the image: commutative, associative, idempotent. Both may know of one recording;
    /// then each counter is the larger of the two.
    ///
    /// # Errors
    /// More tags than one tree can bear; the profile is as it was.
    pub fn merge(&mut self, other: &Self) -> Result<(), TreeFull> {
        Arc::make_mut(&mut self.tree).merge(&other.tree)?;
        self.partial |= other.partial;
        for (recording, ledger) in &other.ledgers {
            self.ledgers.entry(recording.clone()).or_default().max(ledger);
        }
        for (tag, states) in &other.states {
            self.states.entry(tag.clone()).or_insert_with(|| states.clone()).merge(states);
        }
        Ok(())
    }

    /// As it is written, as a whole: some 1,000 bytes an entry. [`encode`](super::encode()) needs none of it.
    pub fn to_doc(&self) -> ProfileDoc {
        let hulls = self.tree.hulls();
        ProfileDoc {
            image: self.image.clone(),
            partial: self.partial,
            tags: self.tag_docs(&hulls),
            ledgers: self.ledgers.clone(),
            processes: self.tree.process_docs(&hulls),
        }
    }

    pub(super) fn tag_docs(&self, hulls: &Hulls) -> BTreeMap<String, TagDoc> {
        let tags = self.tree.tag_spans(hulls).into_iter().map(|(tag, span)| {
            let state = self.states.get(&tag).cloned().unwrap_or_else(States::learning);
            (tag, TagDoc { first_seen: Time(span.first), last_seen: Time(span.last), state })
        });
        tags.collect()
    }

    /// The profile that a document states, its tags known to `interner`.
    ///
    /// # Errors
    /// A value that no profile has, with its place in the document; or too many tags.
    #[doc(hidden)]
    pub fn from_doc(doc: &ProfileDoc, rules: Arc<Rules>, interner: &Interner) -> Result<Self, TakeError> {
        let mut tree = Tree::new(rules);
        tree.take_docs(&doc.processes, interner)?;
        let states = doc.tags.iter().map(|(tag, about)| (tag.clone(), about.state.clone())).collect();
        Ok(Self {
            image: doc.image.clone(),
            partial: doc.partial,
            tree: Arc::new(tree),
            ledgers: doc.ledgers.clone(),
            states,
        })
    }
}
