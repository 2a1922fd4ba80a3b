//! Hashes of nodes, which the index finds them by.
//!
//! That of a path is of its whole text, and of the node that it begins below; so it is known without visiting the nodes on
//! the way, and the text is hashed once. A path goes on as long as its nodes are of one role: what is of another role than
//! its parent begins anew. Names of one role have no separator in them, so no two nodes have one text.

use super::{Arena, Hashed, ROOT};
use crate::hash::Run;
use crate::tree::node::{NONE, NodeId, Role};

impl Arena {
    /// The path of nothing, of this role below `scope`, which is of another role.
    fn begin(&self, scope: NodeId, role: Role) -> Run {
        self.hasher.begin(u64::from(scope) | (role as u64) << 32)
    }

    /// The path of one name below a node of another role.
    pub(in crate::tree) fn first(&self, scope: NodeId, role: Role, name: &[u8]) -> Run {
        self.hasher.append(self.begin(scope, role), name)
    }

    /// The path of a number below a node of another role.
    pub(super) fn first_number(&self, scope: NodeId, role: Role, name: u32) -> Run {
        self.hasher.number(self.begin(scope, role), name.into())
    }

    /// The path of a child of a node.
    pub(in crate::tree) fn step(&self, (parent, run): Hashed, role: Role, name: &[u8]) -> Run {
        if !self.node(parent).is(role) {
            return self.first(parent, role, name);
        }
        let separator = if role == Role::DnsLabel { b'.' } else { b'/' };
        self.hasher.append(self.hasher.push(run, separator), name)
    }

    /// As [`step`](Self::step), of a name that is stored, or a number.
    pub(in crate::tree) fn step_stored(&self, parent: Hashed, role: Role, name: u32) -> Run {
        if role.is_numeric() {
            self.first_number(parent.0, role, name)
        } else {
            self.step(parent, role, self.names.get(name))
        }
    }

    /// A node that paths of another role begin below: of such a one only the number counts.
    pub(in crate::tree) fn scope(&self, id: NodeId) -> Hashed {
        (id, self.begin(id, Role::Root))
    }

    /// A node that others are looked for below, when nothing on the way to it is known: up to where its path begins,
    /// then down again. Not for use on every node of a path, which would be quadratic in its depth.
    pub(in crate::tree) fn hashed(&self, id: NodeId) -> Hashed {
        let mut chain = Vec::with_capacity(16);
        let mut at = id;
        while self.node(at).parent != NONE {
            chain.push(at);
            let parent = self.node(at).parent;
            let goes_on = self.node(parent).role() == self.node(at).role();
            at = parent;
            if !goes_on {
                break;
            }
        }
        chain.iter().rev().fold(self.scope(at), |above, id| {
            let node = self.node(*id);
            (*id, self.step_stored(above, node.role(), node.name))
        })
    }

    /// The hashes of all nodes, by id: O(nodes), however deep they are.
    pub(super) fn hashes(&self) -> Vec<u64> {
        let mut hashes = vec![0; self.nodes.len()];
        // Nodes whose children are being visited, and the child that is next. The dead may have children that live.
        let mut stack = vec![(self.scope(ROOT), self.root().child)];
        while let Some((above, next)) = stack.last_mut() {
            let (id, above) = (*next, *above);
            if id == NONE {
                stack.pop();
                continue;
            }
            let node = self.node(id);
            *next = node.next;
            let run = self.step_stored(above, node.role(), node.name);
            if let Some(hash) = hashes.get_mut(id as usize) {
                *hash = self.hasher.finish(run);
            }
            if node.child != NONE {
                stack.push(((id, run), node.child));
            }
        }
        hashes
    }
}
