//! What ran the scripts that are programs of a tree: a bounded set on each program, which is no part of its identity.
//!
//! A program that was never run by anything else has an empty set. One that was run both ways, because its file was
//! changed, has [`ITSELF`] among its interpreters.

use super::Tree;
use super::node::{Kind, NodeId};

/// Interpreters that are told apart of one program. More of them become `*`, and it does not matter in which order
/// they came, or how trees were merged.
pub const INTERPRETERS_MAX: usize = 16;

/// What stands for no interpreter: the program is not a script.
pub const ITSELF: &str = "";

/// What stands for any interpreter. A path that is an asterisk is written `\*`.
pub const ANY: &str = "*";

impl Tree {
    /// What ran a program, as far as that was told; in no particular order.
    pub fn interpreters(&self, process: NodeId) -> impl Iterator<Item = &str> {
        self.interpreter_nodes(process).map(|id| self.arena.text(id))
    }

    /// Whether a program is known to have been run by an interpreter, or by so many that this may be one of them.
    pub fn has_interpreter(&self, process: NodeId, interpreter: &str) -> bool {
        let has = |name: &str| {
            let run = self.arena.first(process, Kind::Interpreter, name.as_bytes());
            self.arena.child(process, run, Kind::Interpreter, name.as_bytes()).is_some()
        };
        has(interpreter) || has(ANY)
    }

    /// Whether a program that has run is known to run by an interpreter, or without one if it is [`ITSELF`].
    pub(crate) fn knows_interpreter(&self, process: NodeId, interpreter: &str) -> bool {
        let never_a_script = interpreter == ITSELF && self.interpreter_nodes(process).next().is_none();
        never_a_script || self.has_interpreter(process, interpreter)
    }

    /// Adds what ran a program to what is known to, all of the same program: none is it itself. `ran` and `runs` are
    /// whether it ever ran before and by these. Whether there was anything new.
    pub(super) fn run_by(&mut self, process: NodeId, ran: bool, interpreters: &[String], runs: bool) -> bool {
        let was_script = self.interpreter_nodes(process).next().is_some();
        let is_script = interpreters.iter().any(|by| by != ITSELF);
        let mut new = false;
        if ran && runs && was_script != is_script {
            // One of the two has interpreters, so the other ran without.
            new |= self.keep_interpreter(process, ITSELF);
        }
        for interpreter in interpreters.iter().filter(|_| is_script) {
            new |= self.keep_interpreter(process, interpreter);
        }
        new
    }

    /// Keeps an interpreter of a program. Whether it was not known.
    pub(crate) fn keep_interpreter(&mut self, process: NodeId, interpreter: &str) -> bool {
        if self.has_interpreter(process, interpreter) {
            return false;
        }
        let kept: Vec<NodeId> = self.interpreter_nodes(process).collect();
        let is_one_more = interpreter != ANY && kept.len() < INTERPRETERS_MAX;
        let name = if is_one_more { interpreter } else { ANY };
        for id in kept.into_iter().filter(|_| !is_one_more) {
            let run = self.arena.first(process, Kind::Interpreter, self.arena.text(id).as_bytes());
            self.arena.kill((id, run));
        }
        let run = self.arena.first(process, Kind::Interpreter, name.as_bytes());
        self.arena.add_named(process, run, Kind::Interpreter, name.as_bytes());
        true
    }

    fn interpreter_nodes(&self, process: NodeId) -> impl Iterator<Item = NodeId> {
        self.arena.children(process).filter(|id| self.arena.node(*id).kind() == Kind::Interpreter)
    }
}
