//! Peers, which generalise by count: of connects the ports that nobody chose become any port; addresses become networks,
//! and networks become one.
//!
//! Each is confluent: whether it comes to it depends on the set of ports or addresses alone.

use super::Tree;
use super::arena::UNLIMITED;
use super::node::{Flags, NONE, NodeId, Role};
use crate::behaviour::{Address, SocketKey};

impl Tree {
    /// The group of a socket's peers below a process.
    pub(super) fn find_sockets(&self, process: NodeId, key: SocketKey) -> Option<NodeId> {
        let group = |key: SocketKey| self.arena.numbered_child(process, Role::Sockets, key.pack());
        key.at_any_port().and_then(group).or_else(|| group(key))
    }

    /// As [`find_sockets`](Self::find_sockets), made if need be and `budget` allows it, and whether it was, or its port is any
    /// from now on.
    pub(super) fn get_or_insert_sockets<E>(
        &mut self,
        process: NodeId,
        key: SocketKey,
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        if let Some(found) = self.find_sockets(process, key) {
            return Ok((found, false));
        }
        let (group, _) = self.arena.get_or_insert_numbered(process, Role::Sockets, key.pack(), budget)?;
        if key.is_at_any_port() {
            self.unite_ports(process, group, key);
        } else if let Some(any) = key.at_any_port()
            && self.chosen_ports(process, any).len() > self.rules.peer_fanout
        {
            let (group, _) = self.arena.numbered(process, Role::Sockets, any.pack());
            self.unite_ports(process, group, any);
            return Ok((group, true));
        }
        Ok((group, true))
    }

    /// The groups that are united when ports become any port. O(children of the process), as often as there are such groups.
    fn chosen_ports(&self, process: NodeId, any: SocketKey) -> Vec<NodeId> {
        let is_one = |id: &NodeId| {
            let node = self.arena.node(*id);
            node.role() == Role::Sockets
                && !node.has(Flags::DEAD)
                && SocketKey::unpack(node.name).at_any_port() == Some(any)
        };
        self.arena.children(process).filter(is_one).collect()
    }

    fn unite_ports(&mut self, process: NodeId, group: NodeId, any: SocketKey) {
        for from in self.chosen_ports(process, any) {
            self.widen_to(group, socket_level(self.arena.node(from).flags()));
            self.absorb_peers(self.arena.hashed(from), group);
        }
    }

    /// The node of a peer, made if need be and `budget` allows it, and whether it was.
    pub(super) fn get_or_insert_peer<E>(
        &mut self,
        group: NodeId,
        address: Address,
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        self.widen_to(group, address.level());
        let address = address.widen(socket_level(self.arena.node(group).flags()));
        let (id, made) = self.arena.get_or_insert_named(group, Role::Peer, address.to_bytes(&mut [0; 17]), budget)?;
        if !made || address.stays() {
            return Ok((id, made));
        }
        // A group is never seen itself, so its list of records is free to count what can still be widened.
        let node = self.arena.node_mut(group);
        let count = if node.more == NONE { 1 } else { node.more + 1 };
        node.more = count;
        let level = socket_level(node.flags());
        if level == 2 || count as usize <= self.rules.peer_fanout {
            return Ok((id, true));
        }
        self.widen_to(group, level + 1);
        let address = address.widen(socket_level(self.arena.node(group).flags()));
        let widened = self.arena.first_child(group, Role::Peer, address.to_bytes(&mut [0; 17]));
        Ok((widened.unwrap_or(id), true))
    }

    /// Makes a group's peers as wide as `level`, wider still if they are too many for that.
    pub(super) fn widen_to(&mut self, group: NodeId, level: u8) {
        let flags = match level {
            0 => return,
            1 => Flags::NETWORKS,
            _ => Flags::NETWORKS.or(Flags::ANYWHERE),
        };
        let before = socket_level(self.arena.node(group).flags());
        self.arena.node_mut(group).set(flags);
        if before >= level {
            return;
        }
        self.arena.node_mut(group).more = NONE;
        let peers: Vec<NodeId> = self.arena.children(group).collect();
        for peer in peers {
            // Widening one peer may have made the whole group wider still, and this peer part of that.
            if self.arena.node(peer).role() != Role::Peer || self.arena.node(peer).has(Flags::DEAD) {
                continue;
            }
            let address = Address::from_bytes(self.arena.names.get(self.arena.node(peer).name));
            if address.stays() {
                continue;
            }
            let Ok((wide, _)) = self.get_or_insert_peer(group, address, UNLIMITED);
            if wide != peer {
                self.absorb_leaf(self.arena.hashed(peer), wide);
            }
        }
    }
}

/// How wide a group's peers are; see [`Address::level`].
pub(super) fn socket_level(flags: Flags) -> u8 {
    if flags.has(Flags::ANYWHERE) { 2 } else { u8::from(flags.has(Flags::NETWORKS)) }
}
