//! Findings of containers that have stopped: kept up to a limit, and counted beyond it.

use super::counts::Counts;
use crate::profile::drift::Finding;

/// Findings, and how many more there were.
#[derive(Default)]
pub(super) struct Kept {
    pub findings: Vec<Finding>,
    pub suppressed: u64,
    exec_bytes: usize,
    other_bytes: usize,
}

/// What findings of stopped containers may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BytesMax {
    /// Those of programs that were run, in room of their own.
    pub execs: usize,
    /// All others.
    pub others: usize,
}

impl Kept {
    /// Adds what one container's comparison found, as long as there is room in bytes, and by number.
    pub fn add(&mut self, findings: Vec<Finding>, suppressed: u64, bytes_max: BytesMax, counts: &Counts) {
        self.suppressed += suppressed;
        for finding in findings {
            let bytes = finding.bytes();
            let (held, max, count) = match finding.is_exec() {
                true => (&mut self.exec_bytes, bytes_max.execs, &counts.exec_findings),
                false => (&mut self.other_bytes, bytes_max.others, &counts.findings),
            };
            if *held + bytes > max || !count.take() {
                self.suppressed += 1;
                continue;
            }
            *held += bytes;
            self.findings.push(finding);
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.exec_bytes + self.other_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Lineage;
    use crate::profile::drift::{Detail, Reason};
    use crate::shard::counts::{KEPT_EXECS_MAX, KEPT_MAX};

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
            details: Detail::default(),
            count: 1,
        };
        (0..n).map(finding).collect()
    }

    #[test]
    fn stopped_containers_without_end_are_kept_up_to_a_number_and_a_size_and_counted_beyond() {
        const BYTES_MAX: BytesMax = BytesMax { execs: 32 << 20, others: 96 << 20 };
        // Many containers with a few findings each; fewer with long ones.
        for (containers, each, subject_bytes) in [(1100, 256, 8), (300, 1, 1 << 20)] {
            let (mut kept, counts) = (Kept::default(), Counts::default());
            for _ in 0..containers {
                kept.add(findings("open", each, subject_bytes), 3, BYTES_MAX, &counts);
            }
            let all = (containers * each) as u64 + containers as u64 * 3;
            assert_eq!(kept.findings.len() as u64 + kept.suppressed, all, "each is kept or counted");
            assert!(kept.suppressed > containers as u64 * 3 && !kept.findings.is_empty());
            assert!(kept.findings.len() <= KEPT_MAX && kept.heap_bytes() <= BYTES_MAX.others);
            assert_eq!(kept.heap_bytes(), kept.findings.iter().map(Finding::bytes).sum::<usize>());
            // None of them takes the room of programs that were run, of which there are only so many either.
            let before = kept.suppressed;
            kept.add(findings("exec", 1, 8), 0, BYTES_MAX, &counts);
            assert_eq!(kept.suppressed, before);
            kept.add(findings("exec", KEPT_EXECS_MAX, 8), 0, BYTES_MAX, &counts);
            assert_eq!(kept.suppressed, before + 1);
        }
    }
}
