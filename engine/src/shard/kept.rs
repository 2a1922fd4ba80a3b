//! Findings of containers that have stopped: kept up to a limit, and counted beyond it.

use crate::profile::drift::Finding;

/// Findings of stopped containers that one shard keeps.
pub(super) const KEPT_MAX: usize = 262_144;

/// Memory for them, in bytes.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// Findings, and how many more there were.
#[derive(Default)]
pub(super) struct Kept {
    pub findings: Vec<Finding>,
    pub suppressed: u64,
    bytes: usize,
}

impl Kept {
    /// Adds what one container's comparison found.
    pub fn add(&mut self, findings: Vec<Finding>, suppressed: u64) {
        self.suppressed += suppressed;
        for finding in findings {
            let bytes = finding.bytes();
            if self.findings.len() >= KEPT_MAX || self.bytes + bytes > KEPT_BYTES_MAX {
                self.suppressed += 1;
                continue;
            }
            self.bytes += bytes;
            self.findings.push(finding);
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }
}
