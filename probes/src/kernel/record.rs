//! What the kernel side tells, as callers see it. Not here: how it is written in the ring (`decode`), and the classes
//! (`table`).

use grove::event::EventRef;

pub use super::table::Class;

/// One thing that happened in one cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The cgroup's id in the v2 hierarchy: the inode of its directory.
    pub cgroup: u64,
    /// The content of the record.
    pub what: RecordBody<'a>,
    /// What an event has no place for.
    pub facts: Facts<'a>,
}

/// The content of a record, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordBody<'a> {
    /// A process did something. The event's `container` is empty: whose cgroup it is, the caller knows.
    Event(EventRef<'a>),
    /// The cgroup was made.
    CgroupNew {
        /// The process that made the cgroup.
        by: CgroupMaker<'a>,
        /// Its path within the hierarchy, beginning with `/`.
        path: &'a [u8],
    },
    /// The cgroup was removed. Its id is not used again.
    CgroupGone,
}

/// The process that made a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupMaker<'a> {
    /// The name of the thread, which any process may choose for itself.
    pub name: &'a [u8],
    /// The effective user id of the process.
    pub uid: u32,
    /// The arguments of its process, each with a zero behind it; empty if there are more than 8 KiB of them.
    pub argv: &'a [u8],
    /// Its working directory; empty if that has no path.
    pub cwd: &'a [u8],
}

/// What is known of a path beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathFacts {
    /// Its beginning is missing: it had more than 256 components or 4 KiB. It begins with `/(cut)/` instead.
    pub cut: bool,
    /// It does not lead to the process's root: it is a name only (memfd, pipe), or begins at a mount that was taken away.
    /// It begins with `/(unreachable)/`, but of a program that has no file.
    pub detached: bool,
}

/// What an event has no place for. All false and empty for most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Of the path.
    pub path: PathFacts,
    /// The path is what the process said, not what it led to: unresolved, and of an open behind the directory it begins
    /// at if it is relative. Of an exec: of a script whose own file could not be found.
    pub said: bool,
    /// Done through io_uring.
    pub io_uring: bool,
    /// Of an exec: inode of the file that is executed.
    pub inode: u64,
    /// Of an exec: of the path of the script's interpreter.
    pub interpreter: PathFacts,
    /// Of an exec: the cgroup in which the process, or one that it comes from, came below the root directory that it
    /// has, as into a container; 0 if that is where the host's programs are.
    pub entered: u64,
    /// Of an exit: the status as `wait(2)` has it.
    pub status: u32,
    /// Of a DNS question: the address it was sent to, 4 or 16 bytes.
    pub server: &'a [u8],
}

/// Why an event was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The ring had no room.
    RingFull,
    /// Left out so that the ring keeps room for what matters more.
    Shed,
    /// Told already within the window: not a loss.
    Repeat,
    /// The kernel side had no room to keep what the event needs.
    MapFull,
    /// Memory that should hold the facts could not be read.
    Unreadable,
}

impl Cause {
    /// All of them, in the order of their numbers in the kernel programs.
    pub const ALL: [Self; 5] = [Self::RingFull, Self::Shed, Self::Repeat, Self::MapFull, Self::Unreadable];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Shed => "shed",
            Self::Repeat => "repeat",
            Self::MapFull => "map_full",
            Self::Unreadable => "unreadable",
        }
    }
}

/// So many events were not delivered since the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Of which cgroup; 0 if that is not known.
    pub cgroup: u64,
    /// Of which class.
    pub class: Class,
    /// The cause of the loss.
    pub cause: Cause,
    /// The number of events lost.
    pub n: u64,
}
