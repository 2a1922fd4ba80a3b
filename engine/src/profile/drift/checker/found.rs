//! What a checker noted, as findings: what each is worth, in which order they come, which are let go of.
//!
//! Not here: following processes and judging what they do (`checker`).

use super::*;
use crate::hash::Keyed;
use std::hash::BuildHasher;

impl Checker {
    /// What was found, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.found().map(|found| found.finding).collect();
        findings.sort_unstable_by(Finding::cmp_order);
        findings
    }

    /// What was found, those first that are worth most. Each is made when it is asked for: it takes four times what is
    /// noted of it.
    pub(crate) fn found(&self) -> impl Iterator<Item = Found> {
        let mut found: Vec<_> =
            self.noted.iter().filter(|(_, noted)| self.compares && noted.reason.is_some()).collect();
        found.sort_by_cached_key(|((ran, what), noted)| (self.sort(*ran, what), noted.nth));
        let mut lineages = Map::default();
        found.into_iter().filter_map(move |((ran, what), noted)| {
            let finding = self.finding(*ran, what, noted, &mut lineages)?;
            Some(Found { sort: self.sort(*ran, what), bytes: what.finding_bytes(), finding })
        })
    }

    /// From now on somebody follows what is found.
    pub(crate) fn follow(&mut self) {
        self.followed = true;
    }

    /// What was found since this was asked last, in the order it was found. What is found of a workload that is assumed
    /// comes when the workload is told.
    pub(crate) fn take_fresh(&mut self) -> impl Iterator<Item = Finding> {
        let fresh = std::mem::take(&mut self.fresh);
        let mut lineages = Map::default();
        let checker = &*self;
        fresh.into_iter().filter_map(move |key| {
            let noted = checker.noted.get(&key)?;
            checker.finding(key.0, &key.1, noted, &mut lineages)
        })
    }

    /// The workload stays assumed: all that was found is to be told.
    pub(crate) fn is_over(&mut self) {
        if self.followed && self.provisional && self.compares {
            let mut found: Vec<_> = self.noted.iter().filter(|(_, noted)| noted.reason.is_some()).collect();
            found.sort_unstable_by_key(|(_, noted)| noted.nth);
            self.fresh = found.into_iter().map(|(key, _)| key.clone()).collect();
        }
    }

    fn finding(
        &self,
        ran: ProgramRef,
        what: &OwnedBehaviour,
        noted: &Noted,
        lineages: &mut Map<ProgramRef, profile::Lineage>,
    ) -> Option<Finding> {
        let FindingText { subject, details } = what.describe(&noted.details);
        let kind = what.kind();
        let by = if let OwnedBehaviour::Exec { .. } = what { self.parent(ran) } else { Some(ran) };
        let lineage = by.map(|by| self.lineage_of(by, lineages)).unwrap_or_default();
        let reason = noted.reason?;
        let names: Vec<&str> = lineage.from_within().collect();
        let id = Keyed::default().hash_one((&self.container, &self.image, &self.tag, names, reason, what));
        Some(Finding {
            ts: noted.ts,
            container: self.container.clone(),
            image: self.image.clone(),
            tag: self.tag.clone(),
            kind,
            reason,
            pid: noted.pid,
            lineage,
            subject,
            details: Detail(details),
            count: noted.count,
            id,
        })
    }

    /// What a finding is worth. As long as the workload is assumed, no program is below one that is told: its parent may
    /// be known.
    pub(super) fn sort(&self, ran: ProgramRef, what: &OwnedBehaviour) -> Sort {
        let below = !self.provisional && self.programs.is_below(ran);
        match what {
            OwnedBehaviour::Exec { reason, .. } => match (reason, below) {
                (Reason::FilelessExec | Reason::UpperLayerExec, false) => Sort::GraveExec,
                (Reason::FilelessExec | Reason::UpperLayerExec, true) => Sort::GraveBelow,
                (_, false) => Sort::Exec,
                (_, true) => Sort::Below,
            },
            OwnedBehaviour::Uid(_) | OwnedBehaviour::Interpreter(_) => Sort::Manner,
            OwnedBehaviour::Behaviour(..) | OwnedBehaviour::Denied(..) if self.node(ran).is_some() => Sort::Behaviour,
            OwnedBehaviour::Behaviour(..) | OwnedBehaviour::Denied(..) if below => Sort::BehaviourBelow,
            OwnedBehaviour::Behaviour(..) | OwnedBehaviour::Denied(..) => Sort::DidTopmost,
        }
    }

    /// Distinct findings that were not kept, because a container has only so many of each sort, or there was no memory
    /// for more; each time they were made.
    pub fn suppressed(&self) -> u64 {
        self.left_out().total()
    }

    /// As [`suppressed`](Self::suppressed), by what they tell.
    pub(crate) fn left_out(&self) -> Counted {
        if self.compares { self.suppressed } else { Counted::default() }
    }

    /// All that could not be noted.
    pub(super) fn counted(&self) -> Counted {
        let mut all = self.suppressed;
        all += self.unjudged;
        all
    }

    /// Lets go of what will not be told, and counts it.
    pub(crate) fn forget_unreported(&mut self) {
        let Some(cutoff) = self.cutoff.clone().filter(|_| !self.provisional) else { return };
        let mut noted = std::mem::take(&mut self.noted);
        let before = noted.len();
        noted.retain(|(ran, what), noted| {
            let sort = self.sort(*ran, what);
            let reported = cutoff.may_be_told(sort, noted.round);
            if !reported {
                self.suppressed.add(sort, noted.count);
                self.quotas.give_back(sort, what.text_bytes());
            }
            reported
        });
        if noted.len() < before {
            noted.shrink_to_fit();
        }
        self.noted = noted;
    }

    /// The programs that led to one, itself included; those that are `known` already are shared.
    fn lineage_of(&self, ran: ProgramRef, known: &mut Map<ProgramRef, profile::Lineage>) -> profile::Lineage {
        let text = |ran: ProgramRef| {
            let (path, key) = match (self.node(ran), ran) {
                (Some(node), _) => (self.baseline.leaf_text(node), self.baseline.program_key(node)),
                (None, ProgramRef::NewProgram(number)) => {
                    let program =
                        self.programs.get(number).map(|new_program| new_program.program.clone()).unwrap_or_default();
                    (program.path.clone(), program.key())
                }
                (None, ProgramRef::Known(_)) => return String::new(),
            };
            // A file that is many programs is named with the one that it was.
            key.argv0.map_or(path.clone(), |applet| format!("{path}[{applet}]"))
        };
        let above = std::iter::successors(Some(ran), |ran| self.parent(*ran));
        let unknown: Vec<ProgramRef> = above.take_while(|ran| !known.contains_key(ran)).collect();
        let outer = unknown.last().map_or(Some(ran), |last| self.parent(*last));
        let mut lineage = outer.and_then(|outer| known.get(&outer)).cloned().unwrap_or_default();
        for ran in unknown.into_iter().rev() {
            lineage = lineage.with(text(ran));
            known.insert(ran, lineage.clone());
        }
        lineage
    }
}
