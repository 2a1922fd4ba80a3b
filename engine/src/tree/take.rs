//! Growing a tree from what is written: the same nodes as events make, with patterns and sketches as they are told.

use super::Tree;
use super::arena::ROOM;
use super::grow::Component;
use super::node::{Flags, Kind, NodeId};
use super::program::ProgramKey;
use super::socket::{Address, SocketKey};
use crate::path::Sketch;

impl Tree {
    pub(crate) fn take_process(
        &mut self,
        parent: NodeId,
        names: &[Component<'_>],
        key: &ProgramKey,
        sketch: Option<&Sketch>,
    ) -> NodeId {
        let Ok((leaf, _, general)) = self.grow_path(parent, Kind::ExecPath, names.iter().copied(), ROOM);
        let Ok((process, _)) = self.process_below(leaf, &key.encode(), ROOM);
        self.take_sketch(process, names, general, sketch);
        self.arena.moved.clear();
        process
    }

    pub(crate) fn take_path(
        &mut self,
        scope: NodeId,
        kind: Kind,
        names: &[Component<'_>],
        sketch: Option<&Sketch>,
    ) -> NodeId {
        let Ok((leaf, _, general)) = self.grow_path(scope, kind, names.iter().copied(), ROOM);
        self.take_sketch(leaf, names, general, sketch);
        leaf
    }

    pub(crate) fn take_unix(
        &mut self,
        process: NodeId,
        key: SocketKey,
        names: &[Component<'_>],
        sketch: Option<&Sketch>,
    ) -> NodeId {
        let group = self.grow_sockets(process, key, 0);
        self.take_path(group, Kind::UnixPath, names, sketch)
    }

    pub(crate) fn take_peer(&mut self, process: NodeId, key: SocketKey, address: Address) -> NodeId {
        let group = self.grow_sockets(process, key, 0);
        let Ok((id, _)) = self.grow_peer(group, address, ROOM);
        id
    }

    pub(crate) fn take_number(&mut self, parent: NodeId, kind: Kind, number: u32) -> NodeId {
        self.arena.numbered(parent, kind, number).0
    }

    pub(crate) fn take_flags(&mut self, id: NodeId, flags: impl IntoIterator<Item = (bool, Flags)>) {
        for (on, flag) in flags {
            if on {
                self.arena.node_mut(id).set(flag);
            }
        }
    }

    pub(crate) fn tag_named(&self, tag: &str) -> Option<u16> {
        self.arena.tags.find(tag)
    }

    pub(crate) fn tag_text(&self, local: u16) -> Option<&str> {
        self.arena.tags.get(local).map(crate::intern::TagRef::text)
    }

    /// A name below a pattern is one of those the pattern stands for; a pattern brings its own.
    fn take_sketch(&mut self, leaf: NodeId, names: &[Component<'_>], general: bool, sketch: Option<&Sketch>) {
        match sketch {
            Some(sketch) if general => self.merge_sketch(leaf, sketch),
            None if general => {
                let kind = self.arena.node(leaf).kind();
                let text = joined(kind, names);
                self.sketch(leaf, &text);
            }
            _ => {}
        }
    }
}

fn joined(kind: Kind, names: &[Component<'_>]) -> String {
    let mut text = String::new();
    for (name, _) in names {
        if kind == Kind::DnsLabel {
            crate::path::push_label(&mut text, name);
        } else {
            crate::path::push_component(&mut text, name);
        }
    }
    text
}
