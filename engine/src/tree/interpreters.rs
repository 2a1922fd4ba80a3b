//! What ran the scripts that are programs of a tree: the [texts](super::texts) of a process, no part of its identity.
//!
//! A program that was never run by anything else has none. One that was run both ways, because its file was changed, has
//! [`ITSELF`] among its interpreters.

use super::Tree;
use super::node::{Flags, NodeId};

/// What stands for no interpreter: the program is not a script.
pub const ITSELF: &str = "";

impl Tree {
    /// Whether a program that has run is known to run by an interpreter, or without one if it is [`ITSELF`].
    pub(crate) fn knows_interpreter(&self, process: NodeId, interpreter: &str) -> bool {
        let never_a_script = interpreter == ITSELF && !self.is_run_by_others(process);
        never_a_script || self.has_text(process, interpreter)
    }

    /// Whether a program was ever run by anything else. Constant time: a process may have any number of nodes below it.
    fn is_run_by_others(&self, process: NodeId) -> bool {
        self.node(process).has(Flags::RUN_BY)
    }

    /// Adds what ran a program to what is known to, all of the same program: none is it itself. `ran` and `runs` are
    /// whether it ever ran before and by these. Whether there was anything new.
    pub(super) fn run_by(&mut self, process: NodeId, ran: bool, interpreters: &[String], runs: bool) -> bool {
        let was_script = self.is_run_by_others(process);
        let is_script = interpreters.iter().any(|by| by != ITSELF);
        let mut new = false;
        if ran && runs && was_script != is_script {
            // One of the two has interpreters, so the other ran without.
            new |= self.keep_text(process, ITSELF);
        }
        for interpreter in interpreters.iter().filter(|_| is_script) {
            new |= self.keep_text(process, interpreter);
        }
        new
    }

    /// Adds what ran a program of another tree, or another program of this one, to what ran one.
    pub(super) fn run_as(&mut self, process: NodeId, other: &[String], runs: bool) {
        let ran = self.node(process).is_seen();
        self.run_by(process, ran, other, runs);
    }
}
