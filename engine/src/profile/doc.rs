//! A profile as it is written: plain data, field by field what the profile format says.
//!
//! Texts are in their written form (invalid UTF-8, literal `\` and `*` escaped). Lists may be in any order and
//! hold duplicates when a file came from elsewhere; uniting them is the activity tree's business.
//!
//! Not here: turning it into bytes and back (`encode`, `decode`), files (`store`), learning and merging; what the entries of
//! lists are (`behaviour`).

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::states::States;
use crate::behaviour::{Entry, Kind, Seen, Stats, is_default, kinds};
use crate::ledger::Ledger;
use crate::text::Words;
use crate::time::Time;
use crate::tree::{NodeId, Tree};

/// The first field of every profile.
#[doc(hidden)]
pub const FORMAT: &str = "grove-profile";
/// The version of the format that is written. Version 1 is read as well.
#[doc(hidden)]
pub const VERSION: u32 = 2;
/// The value of `completeness` of a profile that is [partial](ProfileDoc::partial).
#[doc(hidden)]
pub const PARTIAL: &str = "partial";

/// Where the events of each recording went, by its name. A map has room for eleven, and a ledger is large.
pub type Ledgers = BTreeMap<String, Box<Ledger>>;

/// All that is known of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileDoc {
    /// Image name without tag.
    pub image: String,
    /// Some of it was learned from a source that cannot see all that a container does.
    pub partial: bool,
    /// The image's versions.
    pub tags: BTreeMap<String, TagDoc>,
    /// Where the events of each recording went.
    pub ledgers: Ledgers,
    /// All programs that ran, each before those it started.
    pub processes: Vec<ProcessDoc>,
}

/// One version of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagDoc {
    /// Earliest time of anything it did.
    pub first_seen: Time,
    /// Latest time of anything it did.
    pub last_seen: Time,
    /// How far learning is, by kind of behaviour.
    pub state: States,
}

/// A process of a profile: its own fields, and a list of each kind of behaviour, held as told.
macro_rules! process {
    ($(#[$meta:meta])* $vis:vis struct $Process:ident $(<$life:lifetime>)? { $($list:ident: $List:ty),* }) => {
        $(#[$meta])*
        $vis struct $Process $(<$life>)? {
            /// The index of the process that started it, which comes before it; none of a root.
            pub parent: Option<u32>,
            /// Path of the program.
            pub path: String,
            /// The path stands for more than one.
            #[serde(default, skip_serializing_if = "is_default")]
            pub pattern: bool,
            /// Estimated number of paths it stands for; 0 where that is not told.
            #[serde(default, skip_serializing_if = "is_default")]
            pub distinct: u64,
            /// Some of them.
            #[serde(default, skip_serializing_if = "is_default")]
            pub exemplars: Vec<String>,
            /// Components that are learned patterns although no exemplar shows it, numbered from 0.
            #[serde(default, skip_serializing_if = "is_default")]
            pub learned: Vec<u32>,
            /// Which of a multi-call binary's programs it is.
            #[serde(default)]
            pub argv0: Option<String>,
            /// The arguments, where they are part of identity.
            #[serde(default)]
            pub argv: Option<Vec<String>>,
            /// Entered by an exec from a process that had itself exec'd.
            pub exec_chain: bool,
            /// What ran it, if it is a script.
            #[serde(
                rename = "interpreter",
                default,
                skip_serializing_if = "is_default",
                serialize_with = "one_or_more",
                deserialize_with = "read_one_or_more"
            )]
            pub interpreters: Vec<String>,
            /// The program had no file.
            #[serde(default, skip_serializing_if = "is_default")]
            pub fileless: bool,
            /// The program was written after the image was built.
            #[serde(default, skip_serializing_if = "is_default")]
            pub upper_layer: bool,
            /// Effective user ids it ran as.
            pub uids: Vec<u32>,
            /// Hull of its execs and of everything below.
            pub seen: Seen,
            $(
                #[doc = concat!("Its ", stringify!($list), ".")]
                #[serde(default, skip_serializing_if = "is_left_out")]
                pub $list: $List,
            )*
        }
    };
}

macro_rules! define {
    ($(($Kind:ident, $file:ident, $Doc:ident, $list:ident, $count:ident)),* $(,)?) => {
        $(pub use crate::behaviour::$Doc;)*

        process! {
            /// A program that ran, and what it did.
            #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
            #[non_exhaustive]
            pub struct ProcessDoc { $($list: Vec<$Doc>),* }
        }

        process! {
            /// As [`ProcessDoc`], its lists still in a tree.
            #[derive(Serialize)]
            pub(super) struct TreeProcess<'a> { $($list: Leaves<'a, $Doc>),* }
        }

        impl ProcessDoc {
            /// Adds its lists to a count.
            fn count(&self, stats: &mut Stats) {
                $(stats.$count += self.$list.len() as u64;)*
            }

            /// Whether nothing is known to have been done by it.
            pub(crate) fn is_idle(&self) -> bool {
                $(self.$list.is_empty() &&)* true
            }

            /// Shows each of its lists to `visit`, until that fails.
            pub(crate) fn visit<L: VisitLists>(&self, visit: &mut L) -> Result<(), L::Error> {
                $(visit.list(stringify!($list), &self.$list)?;)*
                Ok(())
            }
        }

        impl<'a> TreeProcess<'a> {
            /// A process of a tree without any field of its own.
            pub(super) fn new(tree: &'a Tree, process: NodeId) -> Self {
                let mut leaves = tree.leaves_by_kind(process);
                Self {
                    parent: None,
                    path: String::new(),
                    pattern: false,
                    distinct: 0,
                    exemplars: Vec::new(),
                    learned: Vec::new(),
                    argv0: None,
                    argv: None,
                    exec_chain: false,
                    interpreters: Vec::new(),
                    fileless: false,
                    upper_layer: false,
                    uids: Vec::new(),
                    seen: Seen::default(),
                    $($list: Leaves::new(tree, std::mem::take(leaves.of(Kind::$Kind))),)*
                }
            }

            /// The same with its lists made.
            pub(super) fn into_doc(self) -> ProcessDoc {
                let Self {
                    parent, path, pattern, distinct, exemplars, learned, argv0, argv, exec_chain, interpreters, fileless,
                    upper_layer, uids, seen, $($list),*
                } = self;
                ProcessDoc {
                    parent, path, pattern, distinct, exemplars, learned, argv0, argv, exec_chain, interpreters, fileless,
                    upper_layer, uids, seen, $($list: $list.iter().collect()),*
                }
            }
        }

        /// Shows the lists of the same process in two profiles, kind by kind.
        pub(crate) fn visit_pairs<L: VisitPairs>(pair: [&[&ProcessDoc]; 2], visit: &mut L) {
            $(visit.list(pair.map(|same| same.iter().flat_map(|process| &process.$list)));)*
        }
    };
}
kinds!(define);

/// A list of entries of one kind.
trait List {
    /// Whether it is not written.
    fn is_left_out(&self) -> bool;
}

impl<E: Entry> List for Vec<E> {
    fn is_left_out(&self) -> bool {
        E::OPTIONAL && self.is_empty()
    }
}

impl<E: Entry> List for Leaves<'_, E> {
    fn is_left_out(&self) -> bool {
        E::OPTIONAL && self.ids.is_empty()
    }
}

fn is_left_out(list: &impl List) -> bool {
    list.is_left_out()
}

/// What is done with each of a process's lists.
pub(crate) trait VisitLists {
    /// The error of a visit.
    type Error;

    /// Looks at one list.
    fn list<E: Entry>(&mut self, name: &'static str, list: &[E]) -> Result<(), Self::Error>;
}

/// What is done with the lists of two processes that are the same.
pub(crate) trait VisitPairs {
    /// Looks at both lists of one kind.
    fn list<'a, E: Entry + 'a>(&mut self, lists: [impl Iterator<Item = &'a E>; 2]);
}

/// Behaviours of one kind in a tree, in the order in which they are written. What is written of each is made when it is.
pub(super) struct Leaves<'a, E> {
    tree: &'a Tree,
    ids: Vec<NodeId>,
    entry: PhantomData<E>,
}

impl<'a, E: Entry> Leaves<'a, E> {
    fn new(tree: &'a Tree, mut ids: Vec<NodeId>) -> Self {
        // Files are, by the tree.
        if !E::SORTED_BY_PATH {
            ids.sort_by_cached_key(|id| E::order(&tree.leaf(*id)));
        }
        Self { tree, ids, entry: PhantomData }
    }

    fn iter(&self) -> impl Iterator<Item = E> {
        self.ids.iter().map(|id| E::of(&self.tree.leaf(*id)))
    }
}

impl<E: Entry> Serialize for Leaves<'_, E> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

impl ProfileDoc {
    /// Counts the lists' entries.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { process_nodes: self.processes.len() as u64, ..Stats::default() };
        self.processes.iter().for_each(|process| process.count(&mut stats));
        stats
    }

    /// All recordings' ledgers added up.
    pub fn ledger(&self) -> Ledger {
        self.ledgers.values().fold(Ledger::default(), |mut sum, ledger| {
            sum.add(ledger);
            sum
        })
    }

    /// For each process those that it started; in front of them all the roots.
    pub(crate) fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.processes.len() + 1];
        for (index, process) in self.processes.iter().enumerate() {
            // One that names no earlier process is shown as a root.
            let parent = process.parent.map(|parent| parent as usize).filter(|parent| *parent < index);
            if let Some(list) = children.get_mut(parent.map_or(0, |parent| parent + 1)) {
                list.push(index);
            }
        }
        children
    }
}

impl ProcessDoc {
    /// What tells the process from its siblings: its path, with the program's name or the arguments where they are part
    /// of identity. Not escaped for terminals.
    pub fn name(&self) -> String {
        match (&self.argv, &self.argv0) {
            (Some(argv), _) => format!("{} ({})", self.path, Words(argv)),
            (None, Some(argv0)) => format!("{} ({argv0})", self.path),
            (None, None) => self.path.clone(),
        }
    }
}

/// An interpreter of a program as it is shown: an empty one stands for none.
pub(crate) fn interpreter_name(interpreter: &str) -> &str {
    if interpreter.is_empty() { "(none)" } else { interpreter }
}

/// A list, or the one text in it.
fn one_or_more<S: Serializer>(texts: &[String], s: S) -> Result<S::Ok, S::Error> {
    match texts {
        [one] => one.serialize(s),
        more => more.serialize(s),
    }
}

pub(super) fn read_one_or_more<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMore;

    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string or a list of them")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(text) = seq.next_element()? {
                list.push(text);
            }
            Ok(list)
        }
    }
    d.deserialize_any(OneOrMore)
}
