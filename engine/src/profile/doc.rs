//! A profile as it is written: plain data, field by field what the profile format says.
//!
//! Texts are in their written form (invalid UTF-8, literal `\` and `*` escaped). Lists may be in any order and
//! hold duplicates when a file came from elsewhere; uniting them is the activity tree's business.
//!
//! Not here: turning it into bytes and back (`encode`, `decode`), files (`store`), learning and merging.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use super::states::States;
use super::time::Time;
use crate::ledger::Ledger;
use crate::text::Words;

/// The first field of every profile.
pub const FORMAT: &str = "grove-profile";
/// The version of the format that is written.
pub const VERSION: u32 = 1;
/// The value of `completeness` of a profile that is [partial](ProfileDoc::partial).
pub const PARTIAL: &str = "partial";
/// How deep processes may nest. No profile deeper than this is written or read.
pub const MAX_DEPTH: usize = 1024;

/// Where the events of each recording went, by its name. A map has room for eleven, and a ledger is large.
pub type Ledgers = BTreeMap<String, Box<Ledger>>;

/// All that is known of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileDoc {
    /// Image name without tag.
    pub image: String,
    /// Some of it was learned from a source that cannot see all that a container does.
    pub partial: bool,
    /// The image's versions.
    pub tags: BTreeMap<String, TagDoc>,
    /// Where the events of each recording went.
    pub ledgers: Ledgers,
    /// The processes that no other profiled process started.
    pub processes: Vec<ProcessDoc>,
}

/// One version of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagDoc {
    /// Earliest time of anything it did.
    pub first_seen: Time,
    /// Latest time of anything it did.
    pub last_seen: Time,
    /// How far learning is, by kind of behaviour.
    pub state: States,
}

/// Whether new behaviour is still learned or already drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// How many entries the lists of a profile have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Processes at any depth.
    pub process_nodes: u64,
    /// Files.
    pub file_nodes: u64,
    /// DNS names.
    pub dns_nodes: u64,
    /// Sockets.
    pub socket_nodes: u64,
    /// System calls.
    pub syscalls: u64,
    /// Capabilities.
    pub capabilities: u64,
}

/// A program that ran, what it did, and the programs it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessDoc {
    /// Path of the program.
    pub path: String,
    /// The path stands for more than one.
    pub pattern: bool,
    /// Estimated number of paths it stands for; 0 where that is not told.
    pub distinct: u64,
    /// Some of them.
    pub exemplars: Vec<String>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    pub learned: Vec<u32>,
    /// Which of a multi-call binary's programs it is.
    pub argv0: Option<String>,
    /// The arguments, where they are part of identity.
    pub argv: Option<Vec<String>>,
    /// Entered by an exec from a process that had itself exec'd.
    pub exec_chain: bool,
    /// What ran it, if it is a script.
    pub interpreters: Vec<String>,
    /// The program had no file.
    pub fileless: bool,
    /// The program was written after the image was built.
    pub upper_layer: bool,
    /// Effective user ids it ran as.
    pub uids: Vec<u32>,
    /// Hull of its execs and of everything below.
    pub seen: Seen,
    /// Files it opened.
    pub files: Vec<FileDoc>,
    /// Names it asked for.
    pub dns: Vec<DnsDoc>,
    /// Sockets it bound and connected.
    pub sockets: Vec<SocketDoc>,
    /// System calls it made.
    pub syscalls: Vec<SyscallDoc>,
    /// Capabilities that were checked for it.
    pub capabilities: Vec<CapabilityDoc>,
    /// Programs it started.
    pub children: Vec<ProcessDoc>,
}

/// A file that was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDoc {
    /// Its path.
    pub path: String,
    /// `r`, `w` or `rw`.
    pub access: String,
    /// The path stands for more than one.
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
    /// When.
    pub seen: Seen,
}

/// A name that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsDoc {
    /// The name, in lower case and without the trailing dot.
    pub name: String,
    /// Types of the questions, as mnemonics or numbers.
    pub qtypes: Vec<String>,
    /// The name stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of names it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Vec<String>,
    /// Labels that are learned patterns although no exemplar shows it, numbered from 0 at the right.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Vec<u32>,
    /// When.
    pub seen: Seen,
}

/// A socket that was bound or connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketDoc {
    /// `bind` or `connect`.
    pub op: String,
    /// `inet`, `inet6` or `unix`.
    pub family: String,
    /// `tcp` or `udp`, where it is known.
    pub proto: Option<String>,
    /// Address, network (`10.0.3.0/24`), `*`, or path.
    pub addr: String,
    /// Port; 0 for unix sockets and for a bind to any ephemeral port.
    pub port: u16,
    /// The address stands for more than one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pattern: bool,
    /// Estimated number of addresses it stands for; 0 where that is not told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exemplars: Vec<String>,
    /// Components that are learned patterns although no exemplar shows it, numbered from 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned: Vec<u32>,
    /// When.
    pub seen: Seen,
}

/// A system call that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallDoc {
    /// Its name.
    pub name: String,
    /// Its x86-64 number.
    pub nr: u32,
    /// When.
    pub seen: Seen,
}

/// A capability that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityDoc {
    /// Its name (`CAP_…`).
    pub name: String,
    /// Whether the process had it.
    pub used: bool,
    /// When.
    pub seen: Seen,
}

impl ProfileDoc {
    /// Every process, parents before children, in the order of the lists. Needs no stack, however deep they nest.
    pub fn walk(&self) -> impl Iterator<Item = &ProcessDoc> {
        let mut rest = vec![self.processes.iter()];
        std::iter::from_fn(move || {
            while let Some(list) = rest.last_mut() {
                match list.next() {
                    Some(process) => {
                        rest.push(process.children.iter());
                        return Some(process);
                    }
                    None => drop(rest.pop()),
                }
            }
            None
        })
    }

    /// Counts the lists' entries.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for process in self.walk() {
            stats.process_nodes += 1;
            stats.file_nodes += process.files.len() as u64;
            stats.dns_nodes += process.dns.len() as u64;
            stats.socket_nodes += process.sockets.len() as u64;
            stats.syscalls += process.syscalls.len() as u64;
            stats.capabilities += process.capabilities.len() as u64;
        }
        stats
    }

    /// All recordings' ledgers added up.
    pub fn ledger(&self) -> Ledger {
        self.ledgers.values().fold(Ledger::default(), |mut sum, ledger| {
            sum.add(ledger);
            sum
        })
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

impl SocketDoc {
    /// What tells the socket from others, as in `connect tcp 10.0.3.0/24:443`. Not escaped for terminals.
    pub fn name(&self) -> String {
        let Self { op, family, addr, port, .. } = self;
        let proto = self.proto.as_ref().unwrap_or(family);
        match family.as_str() {
            "unix" => format!("{op} unix {addr}"),
            "inet6" => format!("{op} {proto} [{addr}]:{port}"),
            _ => format!("{op} {proto} {addr}:{port}"),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a map, refusing the same key twice.
pub(super) fn unique<'de, D: Deserializer<'de>, V: Deserialize<'de>>(d: D) -> Result<BTreeMap<String, V>, D::Error> {
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

/// An interpreter of a program as it is shown: an empty one stands for none.
pub(crate) fn interpreter_name(interpreter: &str) -> &str {
    if interpreter.is_empty() { "(none)" } else { interpreter }
}
