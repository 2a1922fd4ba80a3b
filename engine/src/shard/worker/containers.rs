//! The containers of a shard: found by id, made when they are first heard of, told what they run.
//!
//! Not here: what is held of one until it is told (`holding`), and what becomes of one that is gone (`retired`).

use super::super::conflicts::Conflicts;
use super::super::container::{Container, State, Subject, Workload};
use super::super::start::Mode;
use super::{Stopped, Worker};
use crate::behaviour::Reject;
use crate::event::{EventRef, UNKNOWN_IMAGE};
use crate::intern::{Full, Interner, TEXT_MAX};
use crate::ledger::{Dropped, Fate, Rejected};
use crate::profile::drift::{Checker, Cutoff};
use crate::tree::{ActivityTree, Rules};
use std::sync::Arc;

impl Worker {
    /// The container of an event, made if it is new.
    pub(super) fn container(&mut self, event: &EventRef<'_>) -> Option<usize> {
        if let Some(container) = self.containers.get(self.last)
            && *container.id == *event.container
        {
            return Some(self.last);
        }
        self.measure_last();
        self.turns += 1;
        if let Some(index) = self.find(event.container) {
            self.last = index;
            if let Some(container) = self.containers.get_mut(index) {
                container.turn = self.turns;
            }
            return Some(index);
        }
        if self.counts.containers.is_full() {
            self.evict_quietest();
        }
        self.counts.containers.add();
        let container = Container::waiting(event.container, event.ts, self.turns);
        let index = self.containers.insert(container);
        let hash = self.hasher.bytes(event.container);
        let Self { containers, by_id, hasher, .. } = self;
        by_id.insert_unique(hash, index, |i| containers.get(*i).map_or(0, |c| hasher.bytes(&c.id)));
        self.last = index;
        self.changed = true;
        self.seen += 1;
        if event.container.is_empty() {
            self.bind(index, Workload::host());
        } else if let Some(Stopped { workload, ended }) = self.stopped_by_id.get(event.container) {
            self.seen -= 1;
            if let Some(container) = self.containers.get_mut(index) {
                container.stopped = true;
            }
            let ended = ended.clone();
            self.bind(index, workload.clone());
            if let Some(Container { state: State::Bound { subject, .. }, .. }) = self.containers.get_mut(index) {
                subject.start_again(ended);
            }
            self.linger(index, event.container);
        }
        Some(index)
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<usize> {
        let is_it = |i: &usize| matches!(self.containers.get(*i), Some(c) if *c.id == *id);
        self.by_id.find(self.hasher.bytes(id), is_it).copied()
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Container> {
        let container = self.containers.try_remove(index)?;
        let hash = self.hasher.bytes(&container.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |i| *i == index) {
            entry.remove();
        }
        self.counts.containers.give_back();
        self.containers_bytes -= container.counted;
        self.lingering_bytes -= if container.lingers { container.counted } else { 0 };
        Some(container)
    }

    /// A container's workload is told, or that nobody knows it: then it waits for no name any more, and one may come
    /// all the same.
    pub(super) fn start(&mut self, index: usize, image: &[u8], tag: &[u8]) -> Fate {
        let (Ok(image), Ok(tag)) = (std::str::from_utf8(image), std::str::from_utf8(tag)) else {
            return Fate::Rejected(Rejected::InvalidValue);
        };
        if image.len().max(tag.len()) > TEXT_MAX {
            return Fate::Rejected(Rejected::InvalidValue);
        }
        let Some(container) = self.containers.get_mut(index) else { return Fate::Lifecycle };
        let reported = Workload { image: Arc::from(image), tag: Arc::from(tag), assumed: false };
        if (image, tag) == (UNKNOWN_IMAGE, UNKNOWN_IMAGE) {
            if matches!(container.state, State::Waiting { .. }) {
                let id = container.id.clone();
                self.give_up(index);
                self.measure(index);
                self.enforce_lingering(&id, false);
            }
            return Fate::Lifecycle;
        }
        match &mut container.state {
            State::Waiting { .. } => {
                if self.bind(index, reported) {
                    Fate::Lifecycle
                } else {
                    Fate::Dropped(Dropped::TagsFull)
                }
            }
            State::Bound { workload, subject } if workload.assumed => {
                let baseline = match &self.mode {
                    Mode::Learn => None,
                    Mode::Check(baselines) => baselines.tree(&reported.image).cloned(),
                };
                match std::mem::replace(subject, Subject::Nothing) {
                    Subject::Learning(mut tree) => {
                        let reference = self.interner.intern(tag);
                        if let Ok(reference) = &reference {
                            tree.rename_tag(reference);
                        }
                        *subject = Subject::Learning(tree);
                        if reference.is_err() {
                            return Fate::Dropped(Dropped::TagsFull);
                        }
                    }
                    Subject::Checking(checker) => {
                        if let Some(baseline) = baseline {
                            let checker = checker.rebind(baseline, &reported.image, &reported.tag);
                            *subject = Subject::Checking(Box::new(checker));
                        }
                    }
                    Subject::Nothing => {}
                }
                *workload = reported;
                self.has_found(index);
                Fate::Lifecycle
            }
            State::Bound { workload, .. } if workload.image == reported.image && workload.tag == reported.tag => {
                // Started again after it had stopped, or told twice.
                container.stopped = false;
                if std::mem::take(&mut container.lingers) {
                    self.lingering_bytes -= container.counted;
                }
                Fate::Lifecycle
            }
            State::Bound { .. } => Fate::Rejected(Rejected::ConflictingWorkload),
        }
    }

    /// Notes that a line tells another workload of a container than it has.
    pub(super) fn note_conflict(&mut self, index: usize, image: &[u8], line: u32) {
        let Some(Container { state: State::Bound { workload, .. }, .. }) = self.containers.get(index) else {
            return;
        };
        let field = if workload.image.as_bytes() == image { "tag" } else { "image" };
        let detail =
            format!("the container was told to be {}:{} before, and that stands", workload.image, workload.tag);
        self.conflicts.push((line, Reject { reason: Rejected::ConflictingWorkload, field: Some(field), detail }));
    }

    /// Tells the sender of a batch, if it asks, of the conflicts in it.
    pub fn tell_conflicts(&mut self, to: Option<&Conflicts>) {
        if self.conflicts.is_empty() {
            return;
        }
        let conflicts = self.conflicts.drain(..);
        if let Some(to) = to {
            to.add(conflicts);
        }
    }

    pub(super) fn subject(
        mode: &Mode,
        rules: &Arc<Rules>,
        interner: &Interner,
        id: &[u8],
        workload: &Workload,
        cutoff: &Arc<Cutoff>,
    ) -> Result<Subject, Full> {
        Ok(match mode {
            Mode::Learn => {
                let tag = interner.intern(&workload.tag)?;
                Subject::Learning(Box::new(ActivityTree::new(rules.clone(), &tag)))
            }
            Mode::Check(baselines) => {
                let Workload { image, tag, assumed } = workload;
                // Of the host nothing else will be told.
                match (baselines.tree(image), *assumed && !(id.is_empty() && baselines.tree(image).is_some())) {
                    (baseline, true) => {
                        let checker = Checker::provisional(baseline.cloned(), rules, id, image, tag);
                        Subject::Checking(Box::new(checker.among(cutoff)))
                    }
                    (Some(baseline), false) => {
                        let checker = Checker::new(baseline.clone(), rules, id, image, tag);
                        Subject::Checking(Box::new(checker.among(cutoff)))
                    }
                    (None, false) => Subject::Nothing,
                }
            }
        })
    }
}
