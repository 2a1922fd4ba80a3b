//! How much of the memory of all trees is left: for anything new, for programs only, or for nothing.
//!
//! One word that whoever counts the memory of all trees together writes now and then, and every tree reads before it
//! grows: an event that tells nothing new never does, and nobody contends for it.
//!
//! Not here: who counts, and against what (`shard/memory`); the budget of one tree (`Rules::tree_bytes`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// Everything.
    Open,
    /// Programs, and nothing else that is new: what a container runs is worth more than what it opens.
    Programs,
    /// Nothing that is new; trees may still be merged, which gives back about as much as it takes.
    Full,
    /// Nothing at all: what is merged only refreshes what is known.
    Over,
}

/// How much there is room for, shared by all trees that are counted together. By default there always is some.
#[derive(Clone, Debug, Default)]
pub struct MemoryPressure(Arc<AtomicU8>);

impl MemoryPressure {
    pub(crate) fn level(&self) -> Level {
        match self.0.load(Ordering::Relaxed) {
            0 => Level::Open,
            1 => Level::Programs,
            2 => Level::Full,
            _ => Level::Over,
        }
    }

    pub(crate) fn set(&self, level: Level) {
        // Read by many and changed by few: a write that changes nothing would take the line from all of them.
        if self.level() != level {
            self.0.store(level as u8, Ordering::Relaxed);
        }
    }

    /// Whether there is room for anything new.
    pub fn allows_new(&self) -> bool {
        self.level() == Level::Open
    }

    /// Whether there is room for new programs.
    pub fn allows_programs(&self) -> bool {
        self.level() <= Level::Programs
    }
}
