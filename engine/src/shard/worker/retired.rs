//! Containers that are gone: what they did joins what is known of their image, and what they ran is remembered.

use super::super::container::{State, Subject};
use super::{Stopped, Worker};
use crate::hash::Map;
use crate::tree::Sizes;
use std::sync::Arc;

impl Worker {
    /// A container is gone: its tree joins those of its image's other stopped containers.
    pub(super) fn retire(&mut self, index: usize) {
        let Some(container) = self.remove(index) else { return };
        let State::Bound { workload, mut subject } = container.state else { return };
        let ended = subject.end_processes();
        self.limits.processes_forgotten += subject.processes_forgotten();
        match subject {
            Subject::Learning(tree) => {
                let dropped = self.ledger.dropped_total();
                self.images.retire(
                    &workload.image,
                    tree.into_tree(),
                    container.ledgers,
                    &mut self.ledger,
                    &self.counts,
                );
                if !self.rules.pressure.allows_new() {
                    self.limits.memory_refused += self.ledger.dropped_total() - dropped;
                }
            }
            mut subject => self.keep_findings(&mut subject),
        }
        self.remember(container.id, Stopped { workload, ended });
    }

    /// Everything is over: what each container did joins what is known of its image, one after the other, and each is
    /// gone then. On this thread, whose allocator can use again what they give back.
    pub fn fold(&mut self) {
        (self.stopped, self.stopped_by_id, self.lingering) = Default::default();
        let mut all: Map<Arc<str>, Sizes> = Map::default();
        for (_, container) in &self.containers {
            if let State::Bound { workload, subject: Subject::Learning(tree) } = &container.state {
                *all.entry(workload.image.clone()).or_default() += tree.tree().sizes();
            }
        }
        for index in 0..self.containers.capacity() {
            let Some(container) = self.remove(index) else { continue };
            let State::Bound { workload, subject } = container.state else { continue };
            self.limits.processes_forgotten += subject.processes_forgotten();
            match subject {
                Subject::Learning(tree) => {
                    let (image, sizes) = (&workload.image, all.remove(&workload.image));
                    self.images.fold(image, tree.tree(), container.ledgers, &mut self.ledger, sizes);
                }
                mut subject => self.keep_findings(&mut subject),
            }
        }
    }

    /// Remembers what a container ran that is gone, in case events of it are still on the way.
    pub(super) fn remember(&mut self, id: Box<[u8]>, stopped: Stopped) {
        if stopped.workload.assumed {
            // There is nothing to remember: a late event waits for a name as the first one did.
            return;
        }
        let id: Arc<[u8]> = id.into();
        self.remembered_bytes += remembered_bytes(&id, &stopped);
        let mut many = match self.stopped_by_id.insert(id.clone(), stopped) {
            Some(before) => {
                self.remembered_bytes -= remembered_bytes(&id, &before);
                false
            }
            None => {
                self.stopped.push_back(id);
                !self.counts.stopped.add()
            }
        };
        while (std::mem::take(&mut many) || self.remembered_bytes > self.remembered_bytes_max)
            && let Some(id) = self.stopped.pop_front()
        {
            self.counts.stopped.give_back();
            self.limits.containers_forgotten += 1;
            if let Some(stopped) = self.stopped_by_id.remove(&id) {
                self.remembered_bytes -= remembered_bytes(&id, &stopped);
            }
        }
    }
}

/// What it takes to remember a container that is gone: its id, its workload's texts, its processes, and a place in two
/// tables.
fn remembered_bytes(id: &[u8], stopped: &Stopped) -> usize {
    id.len() + 2 * size_of::<(Arc<[u8]>, Stopped)>() + 2 * size_of::<Arc<[u8]>>() + 96 + stopped.ended.heap_bytes()
}
