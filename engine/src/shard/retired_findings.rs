//! Findings of containers that have stopped: what can be kept of them within bounds that are the process's.
//!
//! Which findings are kept follows from what there is to keep, and not from the order in which containers stop, or which
//! worker they fall to. All findings have one order: the first of each sort of each container, then the second of each,
//! and so on; within a round those first that are worth most ([`Sort`]), then the earliest. What is kept is the beginning
//! of that order, as far as it fits. So a container that has much to tell leaves room for the others. Containers that go
//! on do not note what is out by then ([`Cutoff`]).
//!
//! Findings that tell of programs that were run have room of their own.

use crate::config::Config;
use crate::hash::Set;
use crate::profile::drift::{Checker, Counted, Cutoff, Finding, Found, Sort};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

/// Findings of what programs did that are kept.
const OTHERS_MAX: usize = 262_144;

/// Findings that tell of programs.
const PROGRAMS_MAX: usize = 131_072;

/// Memory for all of them is no more than this, however large the bound; half of it is for those of programs.
const BYTES_MAX: usize = 256 << 20;

/// Text of either sort that is written: a lineage is held once and written with each of its findings.
const TEXT_BYTES_MAX: usize = 512 << 20;

/// What findings may take.
#[derive(Clone, Copy, Debug)]
struct Limit {
    findings: usize,
    bytes: usize,
    text_bytes: usize,
}

/// A finding and its place in the order of all.
#[derive(Debug)]
struct Entry {
    /// Which of its container's findings of its sort it is.
    round: u32,
    sort: Sort,
    finding: Box<Finding>,
    /// Which of the containers that were added it is of: nothing is decided by that but which of two is which that are
    /// the same in everything.
    of: u32,
    shard: u32,
    bytes: u32,
    text_bytes: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_worth = |e: &Self| (e.round, e.sort);
        by_worth(self)
            .cmp(&by_worth(other))
            .then_with(|| self.finding.cmp_order(&other.finding))
            .then_with(|| self.of.cmp(&other.of))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The beginning of an order, as far as it fits.
#[derive(Debug)]
struct LowestFindings {
    limit: Limit,
    entries: BTreeSet<Entry>,
    bytes: usize,
    text_bytes: usize,
    /// The first of those that did not fit. Nothing behind it is taken, though it would fit: then it would matter what
    /// came first.
    end: Option<Entry>,
}

impl LowestFindings {
    fn new(limit: Limit) -> Self {
        Self { limit, entries: BTreeSet::new(), bytes: 0, text_bytes: 0, end: None }
    }

    /// Takes one in; false if it is not among the first. `left_out` is told of each that is not any more, which may be it.
    fn take(&mut self, entry: Entry, mut left_out: impl FnMut(&Entry)) -> bool {
        if self.end.as_ref().is_some_and(|end| *end <= entry) {
            return false;
        }
        self.bytes += entry.bytes as usize;
        self.text_bytes += entry.text_bytes as usize;
        self.entries.insert(entry);
        while self.entries.len() > self.limit.findings
            || self.bytes > self.limit.bytes
            || self.text_bytes > self.limit.text_bytes
        {
            let Some(last) = self.entries.pop_last() else { break };
            self.bytes -= last.bytes as usize;
            self.text_bytes -= last.text_bytes as usize;
            left_out(&last);
            self.end = Some(last);
        }
        true
    }
}

#[derive(Debug)]
struct RetiredFindings {
    programs: LowestFindings,
    others: LowestFindings,
    /// What is not kept, by the worker whose containers it is of.
    left_out: Vec<Counted>,
    /// Containers that were added: of each something was found.
    containers: u32,
}

/// All that is kept, of all workers.
#[derive(Debug)]
pub(super) struct Findings {
    retired: Mutex<RetiredFindings>,
    /// What workers ask before they note what will not be kept.
    cutoff: Arc<Cutoff>,
    /// What it takes; read by whoever adds up what the engine holds.
    bytes: AtomicUsize,
}

/// All that was kept at the end, and what was not.
#[derive(Debug, Default)]
pub(super) struct ReportedFindings {
    /// In no order.
    pub findings: Vec<Finding>,
    pub left_out: Counted,
    /// Containers of which something was found and nothing is kept.
    pub containers_left_out: u64,
}

impl Findings {
    /// Bounds that follow from what the process may take.
    pub fn new(config: &Config) -> Self {
        let resident = if config.own_process { config.resident_max } else { usize::MAX };
        let bytes = BYTES_MAX.min(config.memory_max / 8 * 3).min(resident / 8) / 2;
        let limit = |findings| Limit { findings, bytes, text_bytes: TEXT_BYTES_MAX };
        Self::within(limit(PROGRAMS_MAX), limit(OTHERS_MAX), config.workers)
    }

    fn within(programs: Limit, others: Limit, workers: usize) -> Self {
        let retired = RetiredFindings {
            programs: LowestFindings::new(programs),
            others: LowestFindings::new(others),
            left_out: vec![Counted::default(); workers.max(1)],
            containers: 0,
        };
        let cutoff = Arc::new(Cutoff::new(programs.bytes, others.bytes, ENTRY_BYTES));
        Self { retired: Mutex::new(retired), cutoff, bytes: AtomicUsize::new(0) }
    }

    /// Which findings will not be kept.
    pub fn cutoff(&self) -> &Arc<Cutoff> {
        &self.cutoff
    }

    /// Adds what was found of one container that a worker is done with.
    pub fn add(&self, shard: usize, checker: &Checker) {
        self.add_found(shard, checker.found(), checker.left_out());
    }

    /// `found` is in order of worth.
    fn add_found(&self, shard: usize, found: impl Iterator<Item = Found>, left_out: Counted) {
        let mut found = found.peekable();
        if found.peek().is_none() && left_out.total() == 0 {
            return;
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let RetiredFindings { programs, others, left_out: by_shard, containers } = &mut *retired;
        *containers += 1;
        if let Some(own) = by_shard.get_mut(shard) {
            *own += left_out;
        }
        let mut count = |shard: u32, sort: Sort, times: u64| {
            if let Some(counted) = by_shard.get_mut(shard as usize) {
                counted.add(sort, times);
            }
        };
        let shard = shard as u32;
        let (mut of, mut round, mut fits, mut named) = (None, 0, true, Set::default());
        for Found { sort, bytes, finding } in found {
            if of.replace(sort) != Some(sort) {
                // Each sort by itself: whether those of another fit is not to matter.
                (round, fits, named) = (0, true, Set::default());
            }
            let times = finding.count;
            if fits {
                let bytes = ENTRY_BYTES + finding.bytes(&mut named).max(bytes);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let text_bytes = u32::try_from(finding.text_bytes()).unwrap_or(u32::MAX);
                let finding = Box::new(finding);
                let entry = Entry { round, sort, finding, of: *containers, shard, bytes, text_bytes };
                let first = if sort.is_of_programs() { &mut *programs } else { &mut *others };
                // What comes behind one of its sort that does not fit is worth less.
                fits = first.take(entry, |last| count(last.shard, last.sort, last.finding.count));
                round += 1;
            }
            if !fits {
                count(shard, sort, times);
            }
        }
        let bytes = retired.programs.bytes + retired.others.bytes;
        self.bytes.store(bytes, atomic::Ordering::Relaxed);
    }

    /// Bytes that all of them take.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.load(atomic::Ordering::Relaxed)
    }

    /// A copy of what is kept of one worker's containers, and what is not.
    pub fn of_worker(&self, shard: usize) -> (Vec<Finding>, Counted) {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let all = retired.programs.entries.iter().chain(&retired.others.entries);
        let own = all.filter(|entry| entry.shard as usize == shard);
        let findings = own.map(|entry| Finding::clone(&entry.finding)).collect();
        (findings, retired.left_out.get(shard).copied().unwrap_or_default())
    }

    /// All of it, handed over.
    pub fn take(&self) -> ReportedFindings {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let (programs, others) =
            (std::mem::take(&mut retired.programs.entries), std::mem::take(&mut retired.others.entries));
        self.bytes.store(0, atomic::Ordering::Relaxed);
        let mut reported = ReportedFindings {
            findings: Vec::with_capacity(programs.len() + others.len()),
            ..ReportedFindings::default()
        };
        let mut containers = Set::default();
        for entry in programs.into_iter().chain(others) {
            containers.insert(entry.of);
            reported.findings.push(*entry.finding);
        }
        retired.left_out.iter().for_each(|counted| reported.left_out += *counted);
        reported.containers_left_out = u64::from(retired.containers) - containers.len() as u64;
        reported
    }
}

/// What a finding takes beside itself: its place in the order, and what an allocator rounds up.
const ENTRY_BYTES: usize = size_of::<Entry>() / 2 * 3 + 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, EventRef, Exec, Open};
    use crate::profile::Lineage;
    use crate::profile::drift::{Detail, Reason};
    use crate::tree::{Rules, Tree};

    fn finding(container: &str, ts: u64, subject: String, lineage: &Lineage) -> Finding {
        Finding {
            ts,
            container: container.into(),
            image: "nginx".into(),
            tag: "1".into(),
            kind: "exec",
            reason: Reason::NewProcess,
            pid: 1,
            lineage: lineage.clone(),
            subject,
            details: Detail::default(),
            count: 1,
            id: 0,
        }
    }

    fn limit(findings: usize, bytes: usize, text_bytes: usize) -> Limit {
        Limit { findings, bytes, text_bytes }
    }

    /// Containers by name, each with what was found, in order of worth.
    type Containers = Vec<(String, Vec<(Sort, Finding)>)>;

    fn retired(limit: Limit, found: &Containers, order: impl Iterator<Item = usize>) -> ReportedFindings {
        let all = Findings::within(limit, limit, 3);
        for at in order {
            let (_, findings) = &found[at % found.len()];
            let found =
                findings.iter().map(|(sort, finding)| Found { sort: *sort, bytes: 0, finding: finding.clone() });
            all.add_found(at % 3, found, Counted::default());
        }
        let held = all.heap_bytes();
        assert!(held <= 2 * limit.bytes, "{held}");
        let mut reported = all.take();
        reported.findings.sort_unstable_by(Finding::cmp_order);
        reported
    }

    /// Containers with more and more to tell, of any size, some of it at one time.
    fn many() -> Containers {
        let container = |c: usize| {
            let id = format!("c{c}");
            let one = |n: usize| {
                let sort = [Sort::GraveExec, Sort::Exec, Sort::Below, Sort::Behaviour][n * 4 / (c + 1)];
                let subject = "x".repeat((c * 7919 + n * 104_729) % 3000);
                (sort, finding(&id, ((c + n) / 3) as u64, subject, &Lineage::default()))
            };
            (id.clone(), (0..=c).map(one).collect())
        };
        (0..60).map(container).collect()
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order_in_which_containers_stop_or_on_their_workers() {
        let found = many();
        let all: usize = found.iter().map(|(_, findings)| findings.len()).sum();
        for max in
            [limit(100, 1 << 30, 1 << 30), limit(1 << 20, 100 << 10, 1 << 30), limit(1 << 20, 1 << 30, 100 << 10)]
        {
            let first = retired(max, &found, 0..60);
            assert!(first.findings.len() > 20 && first.findings.len() < all / 2, "{}", first.findings.len());
            assert_eq!(first.findings.len() as u64 + first.left_out.total(), all as u64, "each is kept or counted");
            for (from, step) in [(59, 59), (17, 7), (30, 1), (4, 13)] {
                let again = retired(max, &found, (0..60).map(|n| (from + n * step) % 60));
                assert_eq!(again.findings, first.findings);
                assert_eq!((again.left_out, again.containers_left_out), (first.left_out, first.containers_left_out));
            }
        }
    }

    #[test]
    fn a_container_that_has_much_to_tell_leaves_room_for_the_others() {
        let of = |id: &str, from: u64, count: u64| {
            let one =
                |n| (Sort::Exec, finding(id, from + n, format!("/{n}/{}", "y".repeat(3600)), &Lineage::default()));
            (id.to_owned(), (0..count).map(one).collect())
        };
        let found: Containers = vec![of("flood", 0, 5000), of("a", 9000, 2), of("b", 9001, 2)];
        for order in [[0, 1, 2], [2, 1, 0]] {
            let reported = retired(limit(1000, 1 << 20, 1 << 30), &found, order.into_iter());
            let count = |id: &str| reported.findings.iter().filter(|f| &*f.container == id).count();
            assert_eq!((count("a"), count("b")), (2, 2));
            assert!(count("flood") > 200, "{}", count("flood"));
            assert_eq!(
                (reported.findings.len() as u64 + reported.left_out.programs, reported.containers_left_out),
                (5004, 0)
            );
        }
    }

    #[test]
    fn where_there_is_not_room_for_all_containers_the_grave_are_told_and_the_others_counted() {
        let of = |n: usize| {
            let (id, sort) = (format!("c{n}"), if n >= 298 { Sort::GraveExec } else { Sort::Exec });
            (id.clone(), vec![(sort, finding(&id, n as u64, "/evil".into(), &Lineage::default()))])
        };
        let found: Containers = (0..300).map(of).collect();
        let reported = retired(limit(100, 1 << 20, 1 << 30), &found, 0..300);
        let times: Vec<u64> = reported.findings.iter().map(|f| f.ts).collect();
        assert_eq!(times, (0..98).chain([298, 299]).collect::<Vec<_>>());
        assert_eq!((reported.left_out, reported.containers_left_out), (Counted { programs: 200, others: 0 }, 200));
    }

    /// Containers that go on while others do: what was found, and bytes that it took until it was kept.
    fn of_busy_containers(asks: impl Fn(usize, usize) -> bool) -> (ReportedFindings, usize) {
        let limit = limit(1 << 20, 100 << 10, 1 << 30);
        let all = Findings::within(limit, limit, 1);
        let baseline = Arc::new(Tree::new(Arc::default()));
        let (image, tag) = (Arc::from("nginx"), Arc::from("1"));
        let checker = |c: usize| {
            let id = format!("c{c}");
            Checker::new(baseline.clone(), &Rules::default(), id.as_bytes(), &image, &tag).among(all.cutoff())
        };
        let mut checkers: Vec<Checker> = (0..12).map(checker).collect();
        for n in 0..3000 {
            for (c, checker) in checkers.iter_mut().enumerate().filter(|(c, _)| n % (c + 1) == 0) {
                // Some of it again and again, and as a program of its own or below another.
                let again = n + 20 - n % 3 * 7;
                let path = format!("/x/{again:w<0$}", again % 40 + c);
                let pid = if n % 5 == 0 { 5 } else { 1000 + n as u32 };
                let exec = Exec { path: path.as_bytes(), ppid: 1, upper_layer: n % 11 == 0, ..Exec::default() };
                let open = Open { path: path.as_bytes(), flags: 0, ret: 3, map: false };
                for body in [Body::Exec(exec), Body::Open(open), Body::Exit] {
                    if pid != 5 || !matches!(body, Body::Exit) {
                        checker.check(&EventRef { ts: (3000 - n) as u64, container: b"", pid, start: None, body });
                    }
                }
                if asks(n, c) {
                    checker.forget_unreported();
                }
            }
        }
        let bytes = checkers.iter().map(Checker::heap_bytes).sum();
        checkers.iter().for_each(|checker| all.add(0, checker));
        let mut reported = all.take();
        reported.findings.sort_unstable_by(Finding::cmp_order);
        (reported, bytes)
    }

    #[test]
    fn what_is_not_noted_would_not_be_kept_either() {
        let (expected, all) = of_busy_containers(|_, _| false);
        assert!(expected.left_out.programs > 1000 && expected.left_out.others > 1000, "{:?}", expected.left_out);
        for every in [1, 7, 500] {
            let (reported, bytes) = of_busy_containers(|n, c| (n + c) % every == 0);
            assert_eq!(reported.findings, expected.findings);
            assert_eq!(
                (reported.left_out, reported.containers_left_out),
                (expected.left_out, expected.containers_left_out)
            );
            assert!(bytes < all, "{bytes} of {all}");
        }
    }

    #[test]
    fn a_lineage_that_many_findings_share_counts_once() {
        const N: usize = 250;
        let mut lineage = Lineage::default();
        let chain: Vec<_> = (0..N)
            .map(|n| {
                let path = format!("/{}/{n}", "d".repeat(3400));
                let found = finding("c", n as u64, path.clone(), &lineage);
                lineage = lineage.with(path);
                (Sort::GraveBelow, found)
            })
            .collect();
        let whole: usize = chain.iter().map(|(_, finding)| finding.text_bytes()).sum();
        assert!(whole > 100 << 20, "{whole}");
        let reported = retired(limit(1000, 2 << 20, 1 << 30), &vec![("c".into(), chain.clone())], 0..1);
        assert_eq!((reported.findings.len(), reported.left_out.total()), (N, 0));
        // But each time it is written it is text.
        let reported = retired(limit(1000, 2 << 20, 50 << 20), &vec![("c".into(), chain)], 0..1);
        let times: Vec<u64> = reported.findings.iter().map(|f| f.ts).collect();
        assert!(times.len() > 150 && times.len() < N);
        assert_eq!(times, (0..times.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn programs_and_what_they_did_take_no_room_from_each_other() {
        let of = |sort: Sort, n: usize| {
            let id = format!("c{n}");
            (id.clone(), vec![(sort, finding(&id, n as u64, "/x".into(), &Lineage::default()))])
        };
        let found: Containers = (0..400).map(|n| of(if n < 300 { Sort::Behaviour } else { Sort::Exec }, n)).collect();
        let reported = retired(limit(120, 1 << 20, 1 << 30), &found, 0..400);
        assert_eq!(reported.left_out, Counted { programs: 0, others: 180 });
    }
}
