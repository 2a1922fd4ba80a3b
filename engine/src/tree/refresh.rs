//! What two trees both know, refreshed from one in the other: for a tree that may not grow any more.

use super::Tree;
use super::arena::ROOT;
use super::interpreters::ITSELF;
use super::node::{Flags, NodeId, Role};

impl Tree {
    /// Widens the seen records that `other` has too. Takes no node, no name and no record; returns whether `other`
    /// had anything that this would have taken. O(nodes of `other`).
    pub fn refresh(&mut self, other: &Self) -> bool {
        let mut more = false;
        let mut stack = vec![(ROOT, ROOT)];
        while let Some((above, into)) = stack.pop() {
            for from in other.programs_of(above) {
                if !other.node(from).has(Flags::VISIBLE) {
                    continue;
                }
                let names = other.names_of(other.node(from).parent);
                let leaf = self.find_path(into, Role::ExecPath, names.iter().map(|(name, _)| *name));
                let found = leaf.and_then(|(leaf, _)| {
                    self.arena.first_child(leaf, Role::Process, other.component(from).as_bytes())
                });
                let Some(process) = found else {
                    more = true;
                    continue;
                };
                more |= self.refresh_node(other, from, process);
                for leaf in other.leaves_of(from) {
                    more |= match self.find_leaf_at(process, &other.key_parts(leaf)) {
                        Some(id) => self.refresh_node(other, leaf, id),
                        None => true,
                    };
                }
                stack.push((from, process));
            }
        }
        more
    }

    fn refresh_node(&mut self, other: &Self, from: NodeId, into: NodeId) -> bool {
        let bits = other.node(from).flags().and(Flags::PAYLOAD);
        let mut more = self.arena.node_mut(into).set(bits);
        for (tag, span) in other.seen(from) {
            let local = self.tag_named(tag.text()).filter(|local| self.arena.seen(into).any(|(t, _)| t == *local));
            match local {
                Some(local) => more |= self.arena.stamp(into, local, span),
                None => more = true,
            }
        }
        let ran_itself = other.node(from).role() == Role::Process
            && other.node(from).is_seen()
            && other.texts(from).next().is_none();
        let known_to = !ran_itself || self.knows_interpreter(into, ITSELF);
        more | !known_to | !self.has_details(other, from, into)
    }
}
