//! What two trees both know, refreshed from one in the other: for a tree that may not grow any more.

use super::Tree;
use super::arena::ROOT;
use super::grow::socket_level;
use super::interpreters::ITSELF;
use super::node::{Flags, Kind, NodeId};

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
                let leaf = self.find_path(into, Kind::ExecPath, names.iter().map(|(name, _)| *name));
                let found = leaf.and_then(|(leaf, _)| {
                    self.arena.first_child(leaf, Kind::Process, other.component(from).as_bytes())
                });
                let Some(process) = found else {
                    more = true;
                    continue;
                };
                more |= self.refresh_node(other, from, process);
                for leaf in other.leaves_of(from) {
                    more |= match self.find_leaf(other, leaf, process) {
                        Some(id) => self.refresh_node(other, leaf, id),
                        None => true,
                    };
                }
                stack.push((from, process));
            }
        }
        more
    }

    /// The node below a process that is the same behaviour as a leaf of another tree.
    fn find_leaf(&self, other: &Self, leaf: NodeId, process: NodeId) -> Option<NodeId> {
        let node = other.node(leaf);
        let names = || other.names_of(leaf);
        let path = |scope, kind| {
            let names = names();
            self.find_path(scope, kind, names.iter().map(|(name, _)| *name)).map(|(id, _)| id)
        };
        let group = || self.arena.numbered_child(process, Kind::Sockets, other.socket_key(leaf).pack());
        match node.kind() {
            kind @ (Kind::FilePath | Kind::DnsLabel) => path(process, kind),
            Kind::UnixPath => path(group()?, Kind::UnixPath),
            Kind::Peer => {
                let group = group()?;
                let address = other.address(leaf).widen(socket_level(self.node(group).flags()));
                self.arena.first_child(group, Kind::Peer, address.to_bytes(&mut [0; 17]))
            }
            kind => self.arena.numbered_child(process, kind, node.name),
        }
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
        let known = |id: NodeId| {
            let detail = other.node(id);
            match detail.kind() {
                Kind::Uid | Kind::Qtype => self.arena.numbered_child(into, detail.kind(), detail.name).is_some(),
                Kind::Interpreter => self.has_interpreter(into, other.component(id)),
                _ => true,
            }
        };
        let ran_itself = other.node(from).kind() == Kind::Process
            && other.node(from).is_seen()
            && other.interpreters(from).next().is_none();
        let known_to = !ran_itself || self.knows_interpreter(into, ITSELF);
        more | !known_to | !other.children(from).all(known)
    }
}
