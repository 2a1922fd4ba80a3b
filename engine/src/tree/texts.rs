//! Texts that gather on a node and are no part of its identity: what ran a script, what was mounted. Of each node a
//! bounded set, since whoever chooses them may choose without end.

use super::Tree;
use super::node::{Flags, NodeId, Role};

/// Texts that are told apart of one node. More of them become `*`, and it does not matter in which order they came, or
/// how trees were merged.
pub const TEXTS_MAX: usize = 16;

/// What stands for any text. One that is an asterisk is written `\*`.
const ANY: &str = "*";

impl Tree {
    /// The texts of a node: of a process what ran it. In no particular order.
    pub fn texts(&self, id: NodeId) -> impl Iterator<Item = &str> {
        self.text_nodes(id).map(|text| self.arena.text(text))
    }

    /// Whether a node has a text, or so many that this may be one of them.
    pub fn has_text(&self, id: NodeId, text: &str) -> bool {
        let has = |name: &str| {
            let run = self.arena.first(id, Role::Text, name.as_bytes());
            self.arena.child(id, run, Role::Text, name.as_bytes()).is_some()
        };
        has(text) || has(ANY)
    }

    /// Keeps a text of a node. Whether it was not known.
    pub(crate) fn keep_text(&mut self, id: NodeId, text: &str) -> bool {
        if self.has_text(id, text) {
            return false;
        }
        let kept: Vec<NodeId> = self.text_nodes(id).collect();
        let is_one_more = text != ANY && kept.len() < TEXTS_MAX;
        let name = if is_one_more { text } else { ANY };
        for text in kept.into_iter().filter(|_| !is_one_more) {
            let run = self.arena.first(id, Role::Text, self.arena.text(text).as_bytes());
            self.arena.remove_node((text, run));
        }
        let run = self.arena.first(id, Role::Text, name.as_bytes());
        self.arena.add_named(id, run, Role::Text, name.as_bytes());
        if self.node(id).role() == Role::Process {
            self.arena.node_mut(id).set(Flags::RUN_BY);
        }
        true
    }

    fn text_nodes(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.arena.children(id).filter(|id| self.arena.node(*id).role() == Role::Text)
    }
}
