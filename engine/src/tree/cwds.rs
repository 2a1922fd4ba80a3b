//! The working directories of a container's processes: each kept once, and in all of bounded size.
//!
//! A traced process chooses its directory, and paths are long; a table of many processes must not own one each. Not
//! here: what is resolved against them (`path`).

use crate::hash::Set;
use std::sync::Arc;

/// Bytes that the directories of one container's processes may take, with what it takes to keep them.
pub const CWD_BYTES_MAX: usize = 4 << 20;

/// Below this nobody looks for directories that no process is in any more.
const CWD_BYTES_MIN: usize = 64 << 10;

/// What keeping one takes beside its bytes: two counts, a pointer with its length, and its share of the table.
const OVERHEAD: usize = 48;

/// A working directory, unless nothing can be resolved against it: tables of processes keep no long texts.
pub(super) fn usable_cwd(cwd: &[u8]) -> Option<&[u8]> {
    (cwd.starts_with(b"/") && cwd.len() <= crate::behaviour::PATH_BYTES_MAX).then_some(cwd)
}

/// Directories that processes are in, and some that they were in.
#[derive(Clone, Debug)]
pub struct Cwds {
    known: Set<Arc<[u8]>>,
    /// What they take.
    bytes: usize,
    /// At this size those are let go that nobody is in.
    prune_at: usize,
    /// So many are refused without looking for room again: looking visits all of them.
    skip: usize,
    refused: u64,
}

impl Default for Cwds {
    fn default() -> Self {
        Self { known: Set::default(), bytes: 0, prune_at: CWD_BYTES_MIN, skip: 0, refused: 0 }
    }
}

impl Cwds {
    /// The directory as it is kept; `None` if there is no room, and its process is then in an unknown one.
    pub fn keep(&mut self, cwd: &[u8]) -> Option<Arc<[u8]>> {
        if let Some(known) = self.known.get(cwd) {
            return Some(known.clone());
        }
        let bytes = cwd.len() + OVERHEAD;
        if !self.has_room(bytes) {
            self.refused += 1;
            return None;
        }
        let kept: Arc<[u8]> = Arc::from(cwd);
        self.known.insert(kept.clone());
        self.bytes += bytes;
        Some(kept)
    }

    fn has_room(&mut self, more: usize) -> bool {
        if self.bytes + more <= self.prune_at {
            return true;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let bytes = &mut self.bytes;
        self.known.retain(|cwd| {
            let used = Arc::strong_count(cwd) > 1;
            if !used {
                *bytes -= cwd.len() + OVERHEAD;
            }
            used
        });
        self.prune_at = (self.bytes * 2).clamp(CWD_BYTES_MIN, CWD_BYTES_MAX);
        // With an eighth free the next look is far off; with less there would be one for every few directories.
        let reserve = if self.prune_at == CWD_BYTES_MAX { CWD_BYTES_MAX / 8 } else { 0 };
        if self.bytes + more + reserve <= self.prune_at {
            return true;
        }
        self.skip = self.known.len() / 8;
        false
    }

    /// How many were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_directory_is_kept_once() {
        let mut cwds = Cwds::default();
        let (a, b) = (cwds.keep(b"/srv").unwrap(), cwds.keep(b"/srv").unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(cwds.heap_bytes(), 4 + OVERHEAD);
    }

    #[test]
    fn directories_that_nobody_is_in_make_room_and_those_in_use_are_bounded() {
        let name = |n: usize| format!("/{n:0>1000}").into_bytes();
        let mut cwds = Cwds::default();
        for n in 0..100_000 {
            assert!(cwds.keep(&name(n)).is_some(), "nobody is in any of them");
            assert!(cwds.heap_bytes() <= CWD_BYTES_MIN);
        }
        let used: Vec<_> = (0..100_000).map_while(|n| cwds.keep(&name(n))).collect();
        assert!(used.len() > 3000 && cwds.heap_bytes() <= CWD_BYTES_MAX, "{}", used.len());
        assert!(cwds.keep(&name(0)).is_some(), "a known one takes no room");
        assert_eq!(cwds.refused(), 1);
        drop(used);
        let found = (0..1000).find(|n| cwds.keep(&name(200_000 + n)).is_some());
        assert!(found.is_some(), "room that was given back is found again");
    }
}
