//! What a worker knows: a copy of it for whoever asks, or all of it at the end.

use super::Worker;
use crate::ledger::Ledger;
use crate::profile::drift::{Counted, Finding};
use crate::shard::Limits;
use crate::shard::container::{State, Subject};
use crate::shard::images::Part;
use std::sync::Arc;

/// What a shard knows, as a copy for whoever asked.
pub(in crate::shard) struct ShardView {
    pub images: Vec<(Arc<str>, Vec<Part>)>,
    pub findings: Vec<Finding>,
    pub ledger: Ledger,
    pub left_out: Counted,
    pub containers: usize,
    pub heap_bytes: usize,
    pub limits: Limits,
}

impl Worker {
    /// A copy of what is known.
    pub fn view(&self) -> ShardView {
        let mut images = self.images.view();
        let (mut findings, mut left_out) = self.memory.findings().of_worker(self.shard);
        for (_, container) in &self.containers {
            if let State::Bound { workload, subject } = &container.state {
                match subject {
                    Subject::Learning(tree) => {
                        let part = Part { tree: tree.tree().clone(), ledgers: container.ledgers.clone() };
                        images.entry(workload.image.clone()).or_default().push(part);
                    }
                    Subject::Checking(checker) => {
                        findings.extend(checker.findings());
                        left_out += checker.left_out();
                    }
                    Subject::Nothing => {}
                }
            }
        }
        ShardView { images: images.into_iter().collect(), findings, left_out, ..self.figures() }
    }

    /// What is known, handed over once it is [folded](Self::fold): nothing is copied. What was found is with what all
    /// workers have found.
    pub fn into_view(mut self) -> ShardView {
        let figures = self.figures();
        let images = std::mem::take(&mut self.images).into_view().into_iter().collect();
        ShardView { images, ..figures }
    }

    /// What there is to count, without what is known.
    fn figures(&self) -> ShardView {
        let mut limits = self.limits;
        for (_, container) in &self.containers {
            if let State::Bound { subject, .. } = &container.state {
                limits.processes_forgotten += subject.processes_forgotten();
            }
        }
        ShardView {
            images: Vec::new(),
            findings: Vec::new(),
            ledger: self.ledger,
            left_out: Counted::default(),
            containers: self.seen,
            heap_bytes: self.held().total(),
            limits,
        }
    }
}
