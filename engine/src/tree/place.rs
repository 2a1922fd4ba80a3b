//! Behaviours as nodes: where one stands below its process, what gathers on it, and whether it is known.
//!
//! A tree knows no kinds of behaviour, only the forms of their [`Place`]s; so a kind that is added needs nothing here.

use super::arena::ROOM;
use super::grow::{Component, Dir, literal};
use super::node::{Flags, NodeId, Role, Span};
use super::peers::socket_level;
use super::texts::TEXTS_MAX;
use super::{Tree, TreeFull};
use crate::behaviour::{
    Address, Behaviour, Class, Detail, Details, Kind, Leaf, Learned, Marks, Numbered, Place, Scope, Seen, SocketKey,
};
use crate::path::{components, labels};
use crate::time::Time;

/// The names that a path is made of.
#[derive(Clone, Debug)]
pub(crate) enum Names<'a> {
    /// All in one text, none of them a learned pattern.
    Text(&'a str),
    /// One by one.
    Components(Vec<Component<'a>>),
}

/// What of a behaviour is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News<'a> {
    /// Its place is known: only these details are new.
    pub known: bool,
    /// What is new.
    pub details: Details<&'a str>,
}

/// Where a behaviour stands, with its names one by one where they are known so.
#[derive(Clone, Debug)]
pub(crate) enum Spot<'a> {
    Name(Scope<&'a str>, Names<'a>),
    Address(SocketKey, Address),
    Number(Numbered, u32),
}

impl<'a> From<Place<&'a str>> for Spot<'a> {
    fn from(place: Place<&'a str>) -> Self {
        match place {
            Place::Name(scope, name) => Self::Name(scope, Names::Text(name)),
            Place::Address(key, address) => Self::Address(key, address),
            Place::Number(of, number) => Self::Number(of, number),
        }
    }
}

/// The role of numbers directly below a process.
const fn number_role(of: Numbered) -> Role {
    match of {
        Numbered::Syscall => Role::Syscall,
        Numbered::Capability => Role::Capability,
    }
}

/// The name of a group's node: its kind, and what tells it from other groups of that kind.
fn group_name(kind: Kind, text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len() + 1);
    // Below 128, so that a name is text.
    name.push(kind as u8);
    name.extend_from_slice(text.as_bytes());
    name
}

fn group_of(name: &str) -> Option<(Kind, &str)> {
    let kind = Kind::ALL.get(usize::from(*name.as_bytes().first()?))?;
    Some((*kind, name.get(1..)?))
}

/// A node that a name grows below, and the role of the name's components.
type Below = (NodeId, Role);

impl Tree {
    fn find_scope(&self, process: NodeId, scope: Scope<&str>) -> Option<Below> {
        Some(match scope {
            Scope::Files => (process, Role::FilePath),
            Scope::Dns => (process, Role::DnsLabel),
            Scope::Sockets(key) => (self.arena.numbered_child(process, Role::Sockets, key.pack())?, Role::Component),
            Scope::Group(kind, text) => {
                (self.arena.first_child(process, Role::Group, &group_name(kind, text))?, Role::Component)
            }
        })
    }

    fn grow_scope<E>(&mut self, process: NodeId, scope: Scope<&str>, room: Result<(), E>) -> Result<Below, E> {
        Ok(match scope {
            Scope::Files => (process, Role::FilePath),
            Scope::Dns => (process, Role::DnsLabel),
            Scope::Sockets(key) => {
                (self.arena.numbered_within(process, Role::Sockets, key.pack(), room)?.0, Role::Component)
            }
            Scope::Group(kind, text) => {
                (self.arena.named_within(process, Role::Group, &group_name(kind, text), room)?.0, Role::Component)
            }
        })
    }

    /// The node of a place below a process.
    pub(super) fn find_spot(&self, process: NodeId, spot: &Spot<'_>) -> Option<NodeId> {
        match spot {
            Spot::Name(scope, names) => {
                let (below, role) = self.find_scope(process, *scope)?;
                let found = match names {
                    Names::Components(names) => self.find_path(below, role, names.iter().map(|(name, _)| *name)),
                    Names::Text(text) if role == Role::DnsLabel => self.find_path(below, role, labels(text)),
                    Names::Text(text) => self.find_path(below, role, components(text)),
                };
                found.map(|(id, _)| id)
            }
            Spot::Address(key, address) => self.find_address(process, *key, *address),
            Spot::Number(of, number) => self.arena.numbered_child(process, number_role(*of), *number),
        }
    }

    /// The node of a place, made if need be and there is room; whether it was; and whether a learned pattern is part of
    /// its name. One walk for what is known and for what is not; an error comes before the first change.
    pub(super) fn grow_spot<E: Copy>(
        &mut self,
        process: NodeId,
        spot: &Spot<'_>,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool, bool), E> {
        let (id, new) = match spot {
            Spot::Name(scope, names) => {
                let (below, role) = self.grow_scope(process, *scope, room)?;
                return match names {
                    Names::Components(names) => self.grow_path(below, role, names.iter().copied(), room),
                    Names::Text(text) if role == Role::DnsLabel => {
                        self.grow_path(below, role, labels(text).map(|label| (label, false)), room)
                    }
                    Names::Text(text) => self.grow_path(below, role, literal(text), room),
                };
            }
            Spot::Address(key, address) => {
                let (group, new) = self.grow_sockets(process, *key, room)?;
                let (id, made) = self.grow_peer(group, *address, room)?;
                (id, new || made)
            }
            Spot::Number(of, number) => self.arena.numbered_within(process, number_role(*of), *number, room)?,
        };
        Ok((id, new, false))
    }

    /// Where a leaf of this tree stands.
    pub(super) fn spot(&self, leaf: NodeId) -> Spot<'_> {
        let node = self.node(leaf);
        let names = || Names::Components(self.names_of(leaf));
        match node.role() {
            Role::FilePath => Spot::Name(Scope::Files, names()),
            Role::DnsLabel => Spot::Name(Scope::Dns, names()),
            Role::Component => Spot::Name(self.scope_of(leaf), names()),
            Role::Peer => Spot::Address(self.socket_key(leaf), self.address(leaf)),
            Role::Capability => Spot::Number(Numbered::Capability, node.name),
            Role::Syscall
            | Role::Root
            | Role::Process
            | Role::ExecPath
            | Role::Sockets
            | Role::Group
            | Role::Uid
            | Role::Detail
            | Role::Text => Spot::Number(Numbered::Syscall, node.name),
        }
    }

    /// The node that a leaf's name grows below, by its role.
    fn scope_of(&self, leaf: NodeId) -> Scope<&str> {
        let above = self.above(leaf);
        match self.node(above).role() {
            Role::Group => {
                let (kind, text) = group_of(self.arena.text(above)).unwrap_or((Kind::File, ""));
                Scope::Group(kind, text)
            }
            _ => Scope::Sockets(SocketKey::unpack(self.node(above).name)),
        }
    }

    /// The node above a leaf's name.
    fn above(&self, leaf: NodeId) -> NodeId {
        let role = self.node(leaf).role();
        let mut at = self.node(leaf).parent;
        while self.node(at).role() == role {
            at = self.node(at).parent;
        }
        at
    }

    /// The kind of a leaf.
    pub fn kind(&self, leaf: NodeId) -> Option<Kind> {
        self.arena.kind_of(leaf)
    }

    /// All of a socket but its address.
    pub fn socket_key(&self, leaf: NodeId) -> SocketKey {
        SocketKey::unpack(self.node(self.above(leaf)).name)
    }

    /// Whether a process of this tree is known to do `what`. Changes nothing.
    pub fn knows(&self, process: NodeId, what: &Behaviour<'_>) -> bool {
        let Some(id) = self.find_spot(process, &what.place.into()) else { return false };
        let node = self.arena.node(id);
        node.is_seen()
            && node.has(Flags::of_marks(what.details.marks))
            && what.details.numbers.iter().all(|detail| self.has_detail(id, detail))
            && what.details.texts.iter().all(|text| self.has_text(id, text))
    }

    /// What of a behaviour a process of this tree is not known to do: all of it, or, of a place that is known, those details
    /// that are compared. Texts are not, nor is a largest number where there is none yet. Changes nothing.
    pub fn news<'a>(&self, process: NodeId, what: &Behaviour<'a>) -> Option<News<'a>> {
        let found = self.find_spot(process, &what.place.into()).filter(|id| self.node(*id).is_seen());
        let Some(id) = found else { return Some(News { known: false, details: what.details.clone() }) };
        let is_new = |detail: &Detail| {
            let class = detail.class();
            let has_some = || self.details(id).any(|(_, known)| known.class() == class);
            class.is_compared() && !self.has_detail(id, *detail) && (!class.keeps_largest() || has_some())
        };
        let details = Details {
            marks: what.details.marks.without(self.node(id).flags().marks()),
            numbers: what.details.numbers.iter().filter(is_new).collect(),
            texts: Vec::new(),
        };
        (!details.is_empty()).then_some(News { known: true, details })
    }

    /// Records that a process did `what`. Returns whether the tree knows more than before, times apart.
    ///
    /// # Errors
    /// [`TreeFull`]; the tree is as it was.
    pub fn observe(&mut self, process: NodeId, what: &Behaviour<'_>, tag: u16, span: Span) -> Result<bool, TreeFull> {
        self.observe_below(process, None, what, tag, span)
    }

    /// As [`observe`](Self::observe), if it is known of a file in which directory it is.
    pub(super) fn observe_below(
        &mut self,
        process: NodeId,
        dir: Option<Dir>,
        what: &Behaviour<'_>,
        tag: u16,
        span: Span,
    ) -> Result<bool, TreeFull> {
        // An address or a number is found so quickly that it is worth asking first: of what is known, and told without
        // numbers and texts, nobody needs to know whether there is room.
        let Details { marks, numbers, texts } = &what.details;
        if let Some(id) = self.find_leaf(process, &what.place)
            && numbers.is_empty()
            && texts.is_empty()
        {
            let new = self.arena.node_mut(id).set(Flags::of_marks(*marks));
            return Ok(self.stamp_leaf(process, id, tag, span) | new);
        }
        let room = self.has_room();
        let (id, mut new, general) = match (what.place, dir) {
            (Place::Name(Scope::Files, path), Some(dir)) => self.grow_file(process, dir, path, room)?,
            (place, _) => self.grow_spot(process, &place.into(), room)?,
        };
        new |= self.add_details(id, &what.details, room)?;
        new |= self.stamp_leaf(process, id, tag, span);
        // A sample of names is the first thing that a full tree does without.
        if let (true, Ok(()), Place::Name(_, name)) = (general, room, what.place) {
            self.sketch(id, name);
        }
        Ok(new)
    }

    /// As [`observe`](Self::observe), of a number without details.
    pub(super) fn observe_number(
        &mut self,
        process: NodeId,
        of: Numbered,
        number: u32,
        tag: u16,
        span: Span,
    ) -> Result<bool, TreeFull> {
        let role = number_role(of);
        let id = match self.arena.numbered_child(process, role, number) {
            Some(id) => id,
            None => self.arena.numbered_within(process, role, number, self.has_room())?.0,
        };
        Ok(self.stamp_leaf(process, id, tag, span))
    }

    /// The node of an address or a number.
    #[inline]
    fn find_leaf(&self, process: NodeId, place: &Place<&str>) -> Option<NodeId> {
        match *place {
            Place::Name(..) => None,
            Place::Address(key, address) => self.find_address(process, key, address),
            Place::Number(of, number) => self.arena.numbered_child(process, number_role(of), number),
        }
    }

    fn find_address(&self, process: NodeId, key: SocketKey, address: Address) -> Option<NodeId> {
        let group = self.find_sockets(process, key)?;
        let address = address.widen(socket_level(self.arena.node(group).flags()));
        self.arena.first_child(group, Role::Peer, address.to_bytes(&mut [0; 17]))
    }

    /// Stamps a leaf of a process; true if the tag had not been seen on it.
    pub(crate) fn stamp_leaf(&mut self, process: NodeId, leaf: NodeId, tag: u16, span: Span) -> bool {
        if !self.arena.stamp(leaf, tag, span) {
            return false;
        }
        self.arena.show(process);
        true
    }

    // Details.

    /// Adds what gathers on a node, and tells whether any of it was new. An error comes before the first change.
    fn add_details<E: Copy>(&mut self, id: NodeId, details: &Details<&str>, room: Result<(), E>) -> Result<bool, E> {
        let mut new = false;
        for detail in details.numbers.iter() {
            new |= self.add_detail(id, detail, room)?;
        }
        for text in &details.texts {
            if !self.has_text(id, text) {
                room?;
                new |= self.keep_text(id, text);
            }
        }
        Ok(new | self.arena.node_mut(id).set(Flags::of_marks(details.marks)))
    }

    fn details(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Detail)> {
        let is_detail = |child: &NodeId| self.node(*child).role() == Role::Detail;
        self.arena.children(id).filter(is_detail).map(|child| (child, Detail(self.node(child).name)))
    }

    /// Whether a node has a detail, or a larger one where only the largest counts.
    pub(super) fn has_detail(&self, id: NodeId, detail: Detail) -> bool {
        if !detail.class().keeps_largest() {
            return self.arena.numbered_child(id, Role::Detail, detail.0).is_some();
        }
        self.details(id).any(|(_, known)| known.class() == detail.class() && known >= detail)
    }

    fn add_detail<E: Copy>(&mut self, id: NodeId, detail: Detail, room: Result<(), E>) -> Result<bool, E> {
        if self.has_detail(id, detail) {
            return Ok(false);
        }
        room?;
        if detail.class().keeps_largest() {
            let smaller: Vec<NodeId> =
                self.details(id).filter(|(_, known)| known.class() == detail.class()).map(|(child, _)| child).collect();
            for child in smaller {
                self.arena.kill(self.arena.hashed(child));
            }
        }
        Ok(self.arena.numbered(id, Role::Detail, detail.0).1)
    }

    /// Adds what gathers on a node of another tree, or on another one of this tree.
    pub(super) fn take_detail(&mut self, into: NodeId, role: Role, number: u32, text: &str) {
        match role {
            Role::Detail => {
                let Ok(_) = self.add_detail(into, Detail(number), ROOM);
            }
            Role::Uid => drop(self.arena.numbered(into, Role::Uid, number)),
            Role::Text => drop(self.keep_text(into, text)),
            Role::Root
            | Role::Process
            | Role::ExecPath
            | Role::FilePath
            | Role::DnsLabel
            | Role::Sockets
            | Role::Peer
            | Role::Group
            | Role::Component
            | Role::Syscall
            | Role::Capability => {}
        }
    }

    /// Takes over from another tree what gathers on a node.
    pub(super) fn take_details(&mut self, other: &Self, from: NodeId, into: NodeId) {
        for child in other.children(from) {
            let node = other.node(child);
            let role = node.role();
            let text = if role == Role::Text { other.component(child) } else { "" };
            self.take_detail(into, role, node.name, text);
        }
    }

    /// Whether all that gathers on a node of another tree is known of one of this tree.
    pub(super) fn has_details(&self, other: &Self, from: NodeId, of: NodeId) -> bool {
        other.children(from).all(|child| {
            let node = other.node(child);
            match node.role() {
                Role::Uid => self.arena.numbered_child(of, Role::Uid, node.name).is_some(),
                Role::Detail => self.has_detail(of, Detail(node.name)),
                Role::Text => self.has_text(of, other.component(child)),
                Role::Root
                | Role::Process
                | Role::ExecPath
                | Role::FilePath
                | Role::DnsLabel
                | Role::Sockets
                | Role::Peer
                | Role::Group
                | Role::Component
                | Role::Syscall
                | Role::Capability => true,
            }
        })
    }

    /// Adds a behaviour that a document states, with the names of its pattern; `when` is by the tree's own tags.
    pub(crate) fn take_behaviour(
        &mut self,
        process: NodeId,
        what: &Behaviour<'_>,
        names: Option<Vec<Component<'_>>>,
        sketch: Option<&crate::path::Sketch>,
    ) -> NodeId {
        let spot = match (what.place, names) {
            (Place::Name(scope, _), Some(names)) => Spot::Name(scope, Names::Components(names)),
            (place, _) => place.into(),
        };
        let Ok((leaf, _, general)) = self.grow_spot(process, &spot, ROOM);
        if let (Spot::Name(_, Names::Components(names)), true) = (&spot, general) {
            self.take_sketch(leaf, names, sketch);
        }
        let Ok(_) = self.add_details(leaf, &what.details, ROOM);
        leaf
    }

    /// A leaf, to be written down.
    pub(crate) fn leaf(&self, id: NodeId) -> TreeLeaf<'_> {
        TreeLeaf { tree: self, id }
    }
}

/// A leaf of a tree.
#[derive(Clone, Copy)]
pub(crate) struct TreeLeaf<'a> {
    tree: &'a Tree,
    id: NodeId,
}

impl Leaf for TreeLeaf<'_> {
    fn text(&self) -> String {
        self.tree.leaf_text(self.id)
    }

    fn group(&self) -> &str {
        match self.tree.scope_of(self.id) {
            Scope::Group(_, text) => text,
            Scope::Files | Scope::Dns | Scope::Sockets(_) => "",
        }
    }

    fn socket(&self) -> SocketKey {
        self.tree.socket_key(self.id)
    }

    fn address(&self) -> Option<Address> {
        (self.tree.node(self.id).role() == Role::Peer).then(|| self.tree.address(self.id))
    }

    fn number(&self) -> u32 {
        self.tree.node(self.id).name
    }

    fn marks(&self) -> Marks {
        self.tree.node(self.id).flags().marks()
    }

    fn numbers(&self, class: Class) -> Vec<u32> {
        let details = self.tree.details(self.id).map(|(_, detail)| detail);
        let mut numbers: Vec<u32> = details.filter(|d| d.class() == class).map(Detail::number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.tree.texts(self.id).map(str::to_owned).collect();
        texts.sort_unstable();
        texts
    }

    fn learned(&self, text: &str) -> Learned {
        self.tree.pattern_of(self.id, text)
    }

    fn seen(&self) -> Seen {
        self.tree.seen(self.id).map(|(tag, s)| (tag.text(), [Time(s.first), Time(s.last)])).collect()
    }
}

const _: () = assert!(Kind::ALL.len() < 128 && TEXTS_MAX > 0);
