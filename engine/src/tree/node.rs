//! One node of a tree: 40 bytes, linked by indices.
//!
//! What a node means depends on its [`Kind`]; this file only packs and unpacks.

/// Index of a node in its tree's arena.
pub type NodeId = u32;

/// No node, and the end of every list.
pub const NONE: u32 = u32::MAX;

/// No tag: the node bears no seen record.
pub const NO_TAG: u16 = u16::MAX;

/// What a node stands for. A node's `name` is an index into the tree's names unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The one parent of all root processes.
    Root,
    /// A program that ran. Its parent is the last component of its path; the name is its argv0 and argv, if they matter.
    Process,
    /// A component of the path of a program that the process above it ran.
    ExecPath,
    /// A component of the path of a file; with a seen record, a file that was opened.
    FilePath,
    /// A label of a DNS name, from the right; with a seen record, a name that was asked for.
    DnsLabel,
    /// The sockets of one operation, family, transport and port; name: [`SocketKey`](super::socket::SocketKey) as a number.
    Sockets,
    /// An address or a network below [`Kind::Sockets`]; the name's bytes are those of [`Address`](super::socket::Address).
    Peer,
    /// A component of a unix socket's path below [`Kind::Sockets`].
    UnixPath,
    /// A system call; name: its number.
    Syscall,
    /// A capability; name: twice its number, plus 1 if it was used.
    Capability,
    /// A user id that the process above ran under; name: the id. Lives as long as its process.
    Uid,
    /// A query type of the DNS name above; name: its number. Lives as long as its name.
    Qtype,
    /// What ran the program above, which is a script; the name is its path. Lives as long as its process.
    Interpreter,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Root,
        Self::Process,
        Self::ExecPath,
        Self::FilePath,
        Self::DnsLabel,
        Self::Sockets,
        Self::Peer,
        Self::UnixPath,
        Self::Syscall,
        Self::Capability,
        Self::Uid,
        Self::Qtype,
        Self::Interpreter,
    ];

    /// Whether the name is a number and not an index into the tree's names.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Sockets | Self::Syscall | Self::Capability | Self::Uid | Self::Qtype)
    }

    /// Whether it is a component of a name that generalises.
    pub fn is_path(self) -> bool {
        matches!(self, Self::ExecPath | Self::FilePath | Self::DnsLabel | Self::UnixPath)
    }
}

/// Bits of a node beside its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// A learned pattern: the names of its shape are absorbed by it.
    pub const LEARNED: Self = Self(1 << 4);
    /// Merged into another node; only waiting for the next rebuild.
    pub const DEAD: Self = Self(1 << 5);
    /// A process that is written: it or something below it was seen.
    pub const VISIBLE: Self = Self(1 << 6);
    /// The shapes of its children are counted in the tree's table of shapes.
    pub const SHAPED: Self = Self(1 << 7);
    /// File: opened for reading.
    pub const READ: Self = Self(1 << 8);
    /// File: opened for writing.
    pub const WRITE: Self = Self(1 << 9);
    /// Process: entered by an exec without a fork before it.
    pub const EXEC_CHAIN: Self = Self(1 << 8);
    /// Process: a program without a file.
    pub const FILELESS: Self = Self(1 << 9);
    /// Process: a program written after the image was built.
    pub const UPPER_LAYER: Self = Self(1 << 10);
    /// Sockets: addresses have become networks.
    pub const NETWORKS: Self = Self(1 << 8);
    /// Sockets: networks have become one.
    pub const ANYWHERE: Self = Self(1 << 9);

    const VARIABLE_SHIFT: u16 = 11;

    /// The bits whose meaning depends on the kind; they are merged by OR.
    pub const PAYLOAD: Self = Self(0b111 << 8);

    /// No bits.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether all of `bits` are set.
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// The bits that both have.
    pub const fn and(self, bits: Self) -> Self {
        Self(self.0 & bits.0)
    }

    /// The bits that either has.
    pub const fn or(self, bits: Self) -> Self {
        Self(self.0 | bits.0)
    }
}

/// When a tag did what a node stands for: nanoseconds since the Unix epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first time.
    pub first: u64,
    /// The last time.
    pub last: u64,
}

impl Span {
    /// A single instant.
    pub const fn at(ts: u64) -> Self {
        Self { first: ts, last: ts }
    }

    /// The shortest span that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// A node. The first seen record is in place; the rest are a list in the tree's arena of records.
#[derive(Clone, Debug)]
pub struct Node {
    /// The first seen record's times, if there is one.
    pub span: Span,
    /// The node above.
    pub parent: NodeId,
    /// The first of the nodes below.
    pub child: NodeId,
    /// The next node below the same parent.
    pub next: NodeId,
    /// See [`Kind`].
    pub name: u32,
    /// The rest of the seen records.
    pub(super) more: u32,
    /// The first seen record's tag, as the tree numbers them.
    pub(super) tag: u16,
    meta: u16,
}

const _: () = assert!(size_of::<Node>() == 40);

impl Node {
    pub(super) fn new(kind: Kind, parent: NodeId, name: u32) -> Self {
        Self {
            span: Span { first: 0, last: 0 },
            parent,
            child: NONE,
            next: NONE,
            name,
            more: NONE,
            tag: NO_TAG,
            meta: kind as u16,
        }
    }

    /// What it stands for.
    pub fn kind(&self) -> Kind {
        Kind::ALL.get((self.meta & 0xf) as usize).copied().unwrap_or(Kind::Root)
    }

    /// Its bits.
    pub fn flags(&self) -> Flags {
        Flags(self.meta & 0x7f0)
    }

    /// Whether all of these bits are set.
    pub fn has(&self, flags: Flags) -> bool {
        self.flags().has(flags)
    }

    /// Sets bits and tells whether one of them was not set.
    pub(super) fn set(&mut self, flags: Flags) -> bool {
        let before = self.meta;
        self.meta |= flags.0 & 0x7f0;
        self.meta != before
    }

    /// How many children have a name with a variable part, counted up to 31.
    pub(super) fn variable_children(&self) -> u16 {
        self.meta >> Flags::VARIABLE_SHIFT
    }

    pub(super) fn count_variable_child(&mut self) {
        if self.variable_children() < 31 {
            self.meta += 1 << Flags::VARIABLE_SHIFT;
        }
    }

    /// Whether it bears a seen record.
    pub fn is_seen(&self) -> bool {
        self.tag != NO_TAG
    }
}
