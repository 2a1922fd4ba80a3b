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
    /// Adds what one container's comparison found, in whatever order: those that come first, as long as there is room in
    /// bytes, and by number.
    pub fn add(
        &mut self,
        findings: impl Iterator<Item = Finding>,
        suppressed: u64,
        bytes_max: BytesMax,
        counts: &Counts,
    ) {
        self.suppressed += suppressed;
        let mut execs = First::new(bytes_max.execs.saturating_sub(self.exec_bytes));
        let mut others = First::new(bytes_max.others.saturating_sub(self.other_bytes));
        for finding in findings {
            let of_its_sort = if finding.is_exec() { &mut execs } else { &mut others };
            of_its_sort.take(finding);
        }
        for (mut first, held, count) in
            [(execs, &mut self.exec_bytes, &counts.exec_findings), (others, &mut self.other_bytes, &counts.findings)]
        {
            first.cut();
            self.suppressed += first.left_out;
            for finding in first.findings {
                if !count.take() {
                    self.suppressed += 1;
                    continue;
                }
                *held += finding.bytes();
                self.findings.push(finding);
            }
        }
    }

    pub fn heap_bytes(&self) -> usize {
        let unused = (self.findings.capacity() - self.findings.len()) * size_of::<Finding>();
        self.exec_bytes + self.other_bytes + unused
    }
}

/// Of findings that come in any order those that are first in theirs, as many as fit: which ones is a matter of what
/// there is, and not of the order in which they come. At no time are there many more of them than fit.
struct First {
    bytes_max: usize,
    findings: Vec<Finding>,
    bytes: usize,
    left_out: u64,
}

impl First {
    /// Beyond twice what fits, and this, the last are left out.
    const SLACK: usize = 64 << 10;

    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, findings: Vec::new(), bytes: 0, left_out: 0 }
    }

    fn take(&mut self, finding: Finding) {
        self.bytes += finding.bytes();
        self.findings.push(finding);
        if self.bytes > 2 * self.bytes_max + Self::SLACK {
            self.cut();
        }
    }

    /// Leaves out what does not fit.
    fn cut(&mut self) {
        self.findings.sort_unstable_by(Finding::cmp_order);
        let (all, max) = (self.findings.len(), self.bytes_max);
        self.bytes = 0;
        let mut fits = 0;
        for bytes in self.findings.iter().map(Finding::bytes) {
            if self.bytes + bytes > max {
                break;
            }
            self.bytes += bytes;
            fits += 1;
        }
        self.findings.truncate(fits);
        self.left_out += (all - fits) as u64;
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
            detail: Detail::default(),
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
                kept.add(findings("open", each, subject_bytes).into_iter(), 3, BYTES_MAX, &counts);
            }
            let all = (containers * each) as u64 + containers as u64 * 3;
            assert_eq!(kept.findings.len() as u64 + kept.suppressed, all, "each is kept or counted");
            assert!(kept.suppressed > containers as u64 * 3 && !kept.findings.is_empty());
            assert!(kept.findings.len() <= KEPT_MAX && kept.other_bytes <= BYTES_MAX.others);
            let taken = kept.findings.iter().map(Finding::bytes).sum::<usize>();
            let unused = (kept.findings.capacity() - kept.findings.len()) * size_of::<Finding>();
            assert_eq!(kept.heap_bytes(), taken + unused);
            // None of them takes the room of programs that were run, of which there are only so many either.
            let before = kept.suppressed;
            kept.add(findings("exec", 1, 8).into_iter(), 0, BYTES_MAX, &counts);
            assert_eq!(kept.suppressed, before);
            kept.add(findings("exec", KEPT_EXECS_MAX, 8).into_iter(), 0, BYTES_MAX, &counts);
            assert_eq!(kept.suppressed, before + 1);
        }
    }

    #[test]
    fn which_findings_are_kept_is_a_matter_of_what_there_is_and_not_of_the_order_they_come_in() {
        const N: usize = 4000;
        let all = findings("open", N, 8);
        let each = all[0].bytes();
        let kept_of = |from: usize, step: usize| {
            let (mut kept, counts) = (Kept::default(), Counts::default());
            let max = BytesMax { execs: 0, others: 100 * each + 1 };
            let order = (0..N).map(|n| all[(from + n * step) % N].clone());
            kept.add(order, 0, max, &counts);
            assert_eq!(kept.suppressed, N as u64 - 100);
            kept.findings.iter().map(|f| f.ts).collect::<Vec<_>>()
        };
        let first: Vec<u64> = (0..100).collect();
        for (from, step) in [(0, 1), (N - 1, N - 1), (17, 7), (N / 2, 1)] {
            assert_eq!(kept_of(from, step), first);
        }
    }
}
