//! What is found in containers, for those who follow it, and for the end.
//!
//! Not here: how findings get to whoever follows them (`cursor`), and which are kept (`retired_findings`).

use super::super::container::{State, Subject};
use super::super::start::Mode;
use super::Worker;
use crate::shard::cursor::Log;
use std::sync::Arc;

impl Worker {
    /// From now on somebody follows what is found, in this log.
    pub fn follow(&mut self, log: &Arc<Log>) {
        if self.log.is_some() {
            return;
        }
        self.log = Some(log.clone());
        for (_, container) in &mut self.containers {
            if let State::Bound { subject: Subject::Checking(checker), .. } = &mut container.state {
                checker.follow();
            }
        }
    }

    /// Something may have been found in a container.
    pub(super) fn has_found(&mut self, index: usize) {
        if self.log.is_some() && matches!(self.mode, Mode::Check(_)) && self.fresh.last() != Some(&index) {
            self.fresh.push(index);
        }
    }

    /// Tells those who follow what was found since this was called last.
    pub fn tell_found(&mut self) {
        let Some(log) = &self.log else { return };
        for index in std::mem::take(&mut self.fresh) {
            if let Some(container) = self.containers.get_mut(index)
                && let State::Bound { subject: Subject::Checking(checker), .. } = &mut container.state
            {
                log.add(checker.take_fresh());
            }
        }
    }

    /// What was found in a container that is gone.
    pub(super) fn keep_findings(&mut self, subject: &mut Subject) {
        if let Subject::Checking(checker) = subject {
            if let Some(log) = &self.log {
                checker.is_over();
                log.add(checker.take_fresh());
            }
            self.memory.findings().add(self.shard, checker);
        }
    }
}
