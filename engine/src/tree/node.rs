//! One node of a tree: 40 bytes, linked by indices.
//!
//! What a node means depends on its [`Role`]; this file only packs and unpacks.

use crate::behaviour::Marks;

/// Index of a node in its tree's arena.
pub type NodeId = u32;

/// No node, and the end of every list.
pub const NONE: u32 = u32::MAX;

/// No tag: the node bears no seen record.
pub const NO_TAG: u16 = u16::MAX;

/// What a node stands for, as far as a tree has to know. A node's `name` is an index into the tree's names unless said
/// otherwise. Kinds of behaviour are made of these: see [`BehaviourKey`](crate::behaviour::BehaviourKey).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// The one parent of all root processes.
    Root,
    /// A program that ran. Its parent is the last component of its path; the name is its argv0 and argv, if they matter.
    Process,
    /// A component of the path of a program that the process above it ran.
    ExecPath,
    /// A component of the path of a file; with a seen record, a file.
    FilePath,
    /// A label of a DNS name, from the right; with a seen record, a name that was asked for.
    DnsLabel,
    /// The sockets of one operation, family, transport and port; name: [`SocketKey`](crate::behaviour::SocketKey) as a
    /// number.
    Sockets,
    /// An address or a network below [`Role::Sockets`]; the name's bytes are those of
    /// [`Address`](crate::behaviour::Address).
    Peer,
    /// Behaviours of one kind that something else than their name tells from others of the kind; the name is both.
    Group,
    /// A component of a path below [`Role::Sockets`] or [`Role::Group`].
    Component,
    /// A system call; name: its number.
    Syscall,
    /// A capability; name: twice its number, plus 1 if it was used.
    Capability,
    /// A user id that the process above ran under; name: the id. Lives as long as its process.
    Uid,
    /// A number that gathers on the node above; name: [`Detail`](crate::behaviour::Detail). Lives as long as that.
    Detail,
    /// A text that gathers on the node above: what ran a script, what was mounted. Lives as long as that.
    Text,
}

impl Role {
    const ALL: [Self; 14] = [
        Self::Root,
        Self::Process,
        Self::ExecPath,
        Self::FilePath,
        Self::DnsLabel,
        Self::Sockets,
        Self::Peer,
        Self::Group,
        Self::Component,
        Self::Syscall,
        Self::Capability,
        Self::Uid,
        Self::Detail,
        Self::Text,
    ];

    /// Whether the name is a number and not an index into the tree's names.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Sockets | Self::Syscall | Self::Capability | Self::Uid | Self::Detail)
    }

    /// Whether it is a component of a name that generalises.
    pub fn is_path(self) -> bool {
        matches!(self, Self::ExecPath | Self::FilePath | Self::DnsLabel | Self::Component)
    }

    /// Whether it gathers on the node above, and says nothing by itself.
    pub fn gathers(self) -> bool {
        matches!(self, Self::Uid | Self::Detail | Self::Text)
    }
}

/// Bits of a node beside its role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// A learned pattern: the names of its shape are absorbed by it.
    pub const LEARNED: Self = Self(1 << 4);
    /// Process: texts gather on it, so that none have to be looked for where there are none.
    pub const RUN_BY: Self = Self(1 << 4);
    /// Merged into another node; only waiting for the next rebuild.
    pub const DEAD: Self = Self(1 << 5);
    /// A process that is written: it or something below it was seen.
    pub const VISIBLE: Self = Self(1 << 6);
    /// The shapes of its children are counted in the tree's table of shapes.
    pub const SHAPED: Self = Self(1 << 7);
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

    /// The bits whose meaning depends on the role; they are merged by OR.
    pub const PAYLOAD: Self = Self(0b111 << 8);

    /// The bits of what gathers on a leaf.
    pub(crate) const fn of_marks(marks: Marks) -> Self {
        Self((marks.0 as u16) << 8 & Self::PAYLOAD.0)
    }

    /// What gathers on a leaf that has these bits.
    pub(crate) const fn marks(self) -> Marks {
        Marks(((self.0 & Self::PAYLOAD.0) >> 8) as u8)
    }

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
    /// See [`Role`].
    pub name: u32,
    /// The rest of the seen records.
    pub(super) more: u32,
    /// The first seen record's tag, as the tree numbers them.
    pub(super) tag: u16,
    meta: u16,
}

const _: () = assert!(size_of::<Node>() == 40);

impl Node {
    pub(super) fn new(role: Role, parent: NodeId, name: u32) -> Self {
        Self {
            span: Span { first: 0, last: 0 },
            parent,
            child: NONE,
            next: NONE,
            name,
            more: NONE,
            tag: NO_TAG,
            meta: role as u16,
        }
    }

    /// The role of the node: a path's component, a process, a socket and so on.
    pub fn role(&self) -> Role {
        Role::ALL.get((self.meta & 0xf) as usize).copied().unwrap_or(Role::Root)
    }

    /// Whether it stands for such a thing: as `role() == role`, which has to look up what it compares.
    #[inline]
    pub(super) fn is(&self, role: Role) -> bool {
        self.meta & 0xf == role as u16
    }

    /// The node's flags.
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
