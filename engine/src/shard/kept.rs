//! Findings of containers that have stopped: kept up to a limit, and counted beyond it.

use crate::profile::drift::Finding;

/// Findings of stopped containers that one shard keeps: so many that tell of what programs did.
pub(super) const KEPT_MAX: usize = 262_144;

/// Memory for them, in bytes.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// As many that tell of programs that were run, in room of their own: nothing else displaces one.
const KEPT_PROGRAMS_MAX: usize = 65_536;

/// Memory for those, in bytes.
const KEPT_PROGRAMS_BYTES_MAX: usize = 32 << 20;

/// What findings of one sort take.
#[derive(Clone, Copy, Default)]
struct Room {
    findings: usize,
    bytes: usize,
}

impl Room {
    /// Takes in one more, if it fits.
    fn takes(&mut self, bytes: usize, findings_max: usize, bytes_max: usize) -> bool {
        let fits = self.findings < findings_max && self.bytes + bytes <= bytes_max;
        if fits {
            self.findings += 1;
            self.bytes += bytes;
        }
        fits
    }
}

/// Findings, and how many more there were.
#[derive(Default)]
pub(super) struct Kept {
    pub findings: Vec<Finding>,
    pub suppressed: u64,
    room: Room,
    programs_room: Room,
}

impl Kept {
    /// Adds what one container's comparison found.
    pub fn add(&mut self, findings: Vec<Finding>, suppressed: u64) {
        self.suppressed += suppressed;
        for finding in findings {
            let bytes = finding.bytes();
            let fits = if finding.is_of_program() {
                self.programs_room.takes(bytes, KEPT_PROGRAMS_MAX, KEPT_PROGRAMS_BYTES_MAX)
            } else {
                self.room.takes(bytes, KEPT_MAX, KEPT_BYTES_MAX)
            };
            if fits {
                self.findings.push(finding);
            } else {
                self.suppressed += 1;
            }
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.room.bytes + self.programs_room.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Lineage;
    use crate::profile::drift::{Detail, Reason};

    fn findings(kind: &'static str, n: usize, subject_bytes: usize) -> Vec<Finding> {
        let finding = |i: usize| Finding {
            ts: i as u64,
            container: "c".into(),
            image: "nginx".into(),
            tag: "1".into(),
            kind,
            reason: Reason::NewBehaviour,
            pid: 1,
            lineage: Lineage::default().with("/bin/app".into()),
            subject: "x".repeat(subject_bytes),
            detail: Detail::default(),
            count: 1,
        };
        (0..n).map(finding).collect()
    }

    #[test]
    fn stopped_containers_without_end_are_kept_up_to_a_number_and_a_size_and_counted_beyond() {
        // Many containers with a few findings each; fewer with long ones.
        for (containers, each, subject_bytes) in [(1100, 256, 8), (300, 1, 1 << 20)] {
            let mut kept = Kept::default();
            for _ in 0..containers {
                kept.add(findings("open", each, subject_bytes), 3);
            }
            let all = (containers * each) as u64 + containers as u64 * 3;
            assert_eq!(kept.findings.len() as u64 + kept.suppressed, all, "each is kept or counted");
            assert!(kept.suppressed > containers as u64 * 3 && !kept.findings.is_empty());
            assert!(kept.findings.len() <= KEPT_MAX && kept.heap_bytes() <= KEPT_BYTES_MAX);
            assert_eq!(kept.heap_bytes(), kept.findings.iter().map(Finding::bytes).sum::<usize>());
            // None of them takes the room of programs that were run, of which there are only so many either.
            let before = kept.suppressed;
            kept.add(findings("exec", 1, 8), 0);
            kept.add(findings("interpreter", 1, 8), 0);
            assert_eq!(kept.suppressed, before);
            kept.add(findings("exec", KEPT_PROGRAMS_MAX, 8), 0);
            assert_eq!(kept.suppressed, before + 2);
        }
    }
}
