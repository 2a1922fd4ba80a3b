//! Kinds of behaviour: all that Grove knows of each, in a file a kind.
//!
//! A kind's file says which events tell of it, with which fields; what makes two of its behaviours the same and what
//! gathers on one; how it is written in a profile, and what people are told. Everything else, that is trees, merging,
//! profiles, differences, findings, exports, goes through the two tables here, or through [`Entry`]; so a kind that lacks
//! a piece does not compile, and none is forgotten. `docs/add-an-event-kind.md` shows how one is added.
//!
//! Not here: programs and their processes, which all kinds are behaviours *of* (`tree::lineage`).

/// Gives `$then` one row a kind: its name, its file, its entry in a profile, the list of those, and their count in `stats`.
macro_rules! kinds {
    ($then:ident) => {
        $then! {
            (File, file, FileDoc, files, file_nodes),
            (Dns, dns, DnsDoc, dns, dns_nodes),
            (Socket, socket, SocketDoc, sockets, socket_nodes),
            (Syscall, syscall, SyscallDoc, syscalls, syscalls),
            (Capability, capability, CapabilityDoc, capabilities, capabilities),
            (Mount, mount, MountDoc, mounts, mounts),
            (Imds, imds, ImdsDoc, imds, imds),
            (Denied, denied, DeniedDoc, denied, denied),
        }
    };
}

/// Gives `$then` one row a form of event: its type (`B` is how texts are held), the file it is in, and its types in a trace.
macro_rules! events {
    ($then:ident) => {
        $then! {
            (Open<B>, file, "open"),
            (Change<B>, file, "change"),
            (Socket<B>, socket, "connect" | "bind" | "accept"),
            (Flow<B>, socket, "flow"),
            (Dns<B>, dns, "dns"),
            (Syscalls<B>, syscall, "syscalls"),
            (Capability, capability, "capability"),
            (Mount<B>, mount, "mount"),
            (Imds<B>, imds, "imds"),
        }
    };
}

pub(crate) use {events, kinds};

mod address;
mod capability;
mod denied;
mod dns;
mod entry;
mod file;
mod imds;
mod imds_request;
mod key;
mod mount;
pub(crate) mod record;
mod socket;
mod syscall;

pub use address::{Address, Family, Peer, Proto, SocketKey, SocketOp};
pub(crate) use denied::Denial;
pub use entry::{Edge, Entry, EntryView, FindingText, InvalidField, Leaf, Learned, Pattern, Seen, Value};
pub(crate) use entry::{TAGS_AT_HAND, is_default, joined, read_unique, tag_place};
pub use file::ChangeOp;
pub use imds::Token;
pub use imds_request::{imds_request, is_imds_address};
pub use key::{BehaviourKey, Class, Detail, Details, Marks, NumberKind, Numbers, Scope};
pub use record::Reject;
pub use socket::{EINPROGRESS, Volume};
pub use syscall::syscall_numbers;

use crate::ledger::{Fate, Ignored, Rejected};
use crate::path::normalise;
use record::{Buffers, Raw, Shape};
use serde::ser::SerializeMap;

macro_rules! define {
    ($(($Kind:ident, $file:ident, $Doc:ident, $list:ident, $count:ident)),* $(,)?) => {
        $(pub use $file::$Doc;)*

        /// A kind of behaviour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = concat!("What entries of `", stringify!($list), "` are.")] $Kind,)*
        }

        impl Kind {
            /// All kinds, in the order of a profile's lists.
            pub const ALL: &'static [Self] = &[$(Self::$Kind),*];

            /// The name of the kind in findings and differences.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Kind => <$Doc as Entry>::NAME),* }
            }

            /// What findings of it are called.
            pub const fn classes(self) -> &'static [&'static str] {
                match self { $(Self::$Kind => <$Doc as Entry>::CLASSES),* }
            }

            /// What one and several are called where they are counted.
            pub const fn counted(self) -> [&'static str; 2] {
                match self { $(Self::$Kind => <$Doc as Entry>::COUNTED),* }
            }
        }

        impl Behaviour<'_> {
            /// What a finding of it is called; `known` is whether its key is known.
            pub fn class(&self, known: bool) -> &'static str {
                match self.kind { $(Kind::$Kind => <$Doc as Entry>::class(self, known)),* }
            }

            /// What a finding of a class says of it.
            pub fn describe(&self, class: &'static str) -> FindingText {
                match self.kind { $(Kind::$Kind => <$Doc as Entry>::finding(self, class)),* }
            }
        }

        /// How many entries a profile's lists have.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
        #[non_exhaustive]
        pub struct Stats {
            /// Programs.
            pub process_nodes: u64,
            $(#[doc = concat!("Entries of `", stringify!($list), "`.")] #[serde(default)] pub $count: u64,)*
        }

        impl serde::Serialize for Stats {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut map = s.serialize_map(None)?;
                map.serialize_entry("process_nodes", &self.process_nodes)?;
                $(
                    if self.$count > 0 || !<$Doc as Entry>::OPTIONAL {
                        map.serialize_entry(stringify!($count), &self.$count)?;
                    }
                )*
                map.end()
            }
        }

        impl Stats {
            /// The count of a kind.
            #[doc(hidden)]
            pub fn of(&self, kind: Kind) -> u64 {
                match kind { $(Kind::$Kind => self.$count),* }
            }

            /// Whether there are entries of no kind: programs at most.
            #[doc(hidden)]
            pub fn is_idle(&self) -> bool {
                Kind::ALL.iter().all(|kind| self.of(*kind) == 0)
            }

            /// The count of a kind.
            #[doc(hidden)]
            pub fn of_mut(&mut self, kind: Kind) -> &mut u64 {
                match kind { $(Kind::$Kind => &mut self.$count),* }
            }
        }
    };
}
kinds!(define);

macro_rules! reports {
    ($(($Event:ident $(<$B:ident>)?, $file:ident, $($name:literal)|+)),* $(,)?) => {
        $(pub use $file::$Event;)*
    };
}
events!(reports);

/// How many [`CLASSES`] there are: those of every kind, and `exec`.
const CLASSES_LEN: usize = {
    let mut len = 1;
    let mut rest = Kind::ALL;
    while let [kind, more @ ..] = rest {
        len += kind.classes().len();
        rest = more;
    }
    len
};

/// The kinds of findings that learning is told apart by: every kind's own, and that of programs being run. In the order of
/// the kinds, `exec` last.
#[allow(clippy::indexing_slicing)] // of a constant, and seen by the compiler
pub const CLASSES: [&str; CLASSES_LEN] = {
    let mut all = ["exec"; CLASSES_LEN];
    let mut at = 0;
    let mut rest = Kind::ALL;
    while let [kind, more @ ..] = rest {
        let mut classes = kind.classes();
        while let [class, others @ ..] = classes {
            all[at] = class;
            at += 1;
            classes = others;
        }
        rest = more;
    }
    all
};

/// What a program did, in the form that identity is decided on: normalised, apart from times and tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour<'a> {
    /// The kind of behaviour.
    pub kind: Kind,
    /// What makes two of them the same.
    pub key: BehaviourKey<&'a str>,
    /// The details that are collected on it.
    pub details: Details<&'a str>,
}

/// All that one event tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviours<'a> {
    /// One behaviour.
    One(Behaviour<'a>),
    /// One, and the same of another name. (Of two that are whole, every event would be moved about in as much memory.)
    Both(Behaviour<'a>, &'a str),
    /// One for each number, of four little-endian bytes.
    Numbers(Kind, NumberKind, &'a [u8]),
}

impl Behaviours<'_> {
    /// Whether `f` holds for all of them.
    #[inline]
    pub fn all(&self, mut f: impl FnMut(&Behaviour<'_>) -> bool) -> bool {
        match self {
            Self::One(one) => f(one),
            Self::Both(one, other) => {
                f(one)
                    && match one.key {
                        BehaviourKey::Name(scope, _) => {
                            f(&Behaviour { key: BehaviourKey::Name(scope, other), ..one.clone() })
                        }
                        BehaviourKey::Address(..) | BehaviourKey::Number(..) => true,
                    }
            }
            Self::Numbers(kind, of, numbers) => syscall_numbers(numbers).all(|number| {
                f(&Behaviour { kind: *kind, key: BehaviourKey::Number(*of, number), details: Details::none() })
            }),
        }
    }
}

/// The process that did something.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The process, by its number in its own pid namespace: what `/proc/N` means to it.
    pub pid: u32,
    /// Its working directory, if it is known.
    pub cwd: Option<&'a [u8]>,
}

/// Memory for the names of an event's behaviours, used again for every event.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub(crate) first: String,
    pub(crate) second: String,
}

impl Texts {
    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.first.capacity() + self.second.capacity()
    }
}

/// A text of an event that cannot be longer than `max` bytes, nor empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded<'a> {
    pub field: &'static str,
    pub bytes: &'a [u8],
    pub max: usize,
    pub reason: Rejected,
}

/// An event that tells of behaviours: how it is read, written and understood.
pub(crate) trait Report<'s>: Sized {
    /// The fields that it has in a trace.
    const SHAPE: Shape;

    /// Reads the fields of a record, which has been looked at for faults already.
    fn read(raw: &'s Raw<'_>, buffers: &'s mut Buffers) -> Result<Self, Reject>;
    /// The value of `type` in a native trace.
    fn type_name(&self) -> &'static str;
    /// Writes its fields.
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
    /// The text that no shard would take if it were longer, unless it is of an attempt that failed.
    fn bounded(&self) -> Option<Bounded<'s>>;
    /// The result, below 0, of an attempt that failed.
    fn failure(&self) -> Option<i64>;
    /// What it tells of, done or tried; or what becomes of an event that tells of none.
    fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
    where
        's: 't;
}

/// Longer paths are none: the kernel takes no longer ones (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;

/// The normalised form of a path, in `text`.
pub(crate) fn normal_path(path: &[u8], by: By<'_>, text: &mut String) -> Result<(), Fate> {
    if path.is_empty() {
        return Err(Fate::Rejected(Rejected::InvalidValue));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(Fate::Rejected(Rejected::TooLong));
    }
    normalise(path, by.cwd, by.pid, text).map_err(|_| Fate::Ignored(Ignored::RelativePath))
}

/// A path that has to be one, unless the attempt failed.
pub(crate) fn bounded_path<'a>(field: &'static str, bytes: &'a [u8], ret: i64) -> Option<Bounded<'a>> {
    (ret >= 0).then_some(Bounded { field, bytes, max: PATH_BYTES_MAX, reason: Rejected::TooLong })
}
