//! Behaviours as nodes: where one stands below its process, what gathers on it, and whether it is known.
//!
//! A tree knows no kinds of behaviour, only the forms of their [`BehaviourKey`]s; so a kind that is added needs nothing here.

use super::arena::UNLIMITED;
use super::insert::{Component, KnownDir, literal};
use super::node::{Flags, NodeId, Role, Span};
use super::peers::socket_level;
use super::texts::TEXTS_MAX;
use super::{Tree, TreeFull};
use crate::behaviour::{
    Address, Behaviour, BehaviourKey, Class, Detail, Details, Kind, Leaf, Learned, Marks, NumberKind, Scope, Seen,
    SocketKey,
};
use crate::path::{components, labels};
use crate::time::Time;

/// The names that a path is made of.
#[derive(Clone, Debug)]
pub(crate) enum PathNames<'a> {
    /// All in one text, none of them a learned pattern.
    Text(&'a str),
    /// One by one.
    Components(Vec<Component<'a>>),
}

/// What of a behaviour is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehaviourDelta<'a> {
    /// Its place is known: only these details are new.
    pub known: bool,
    /// The details that the tree did not have.
    pub details: Details<&'a str>,
}

/// Where a behaviour stands, with its names one by one where they are known so.
#[derive(Clone, Debug)]
pub(crate) enum KeyParts<'a> {
    Name(Scope<&'a str>, PathNames<'a>),
    Address(SocketKey, Address),
    Number(NumberKind, u32),
}

impl<'a> From<BehaviourKey<&'a str>> for KeyParts<'a> {
    fn from(key: BehaviourKey<&'a str>) -> Self {
        match key {
            BehaviourKey::Name(scope, name) => Self::Name(scope, PathNames::Text(name)),
            BehaviourKey::Address(key, address) => Self::Address(key, address),
            BehaviourKey::Number(of, number) => Self::Number(of, number),
        }
    }
}

/// The role of numbers directly below a process.
const fn number_role(of: NumberKind) -> Role {
    match of {
        NumberKind::Syscall => Role::Syscall,
        NumberKind::Capability => Role::Capability,
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

    fn get_or_insert_scope<E>(
        &mut self,
        process: NodeId,
        scope: Scope<&str>,
        budget: Result<(), E>,
    ) -> Result<Below, E> {
        Ok(match scope {
            Scope::Files => (process, Role::FilePath),
            Scope::Dns => (process, Role::DnsLabel),
            Scope::Sockets(key) => {
                (self.arena.get_or_insert_numbered(process, Role::Sockets, key.pack(), budget)?.0, Role::Component)
            }
            Scope::Group(kind, text) => (
                self.arena.get_or_insert_named(process, Role::Group, &group_name(kind, text), budget)?.0,
                Role::Component,
            ),
        })
    }

    /// The node of a key below a process.
    pub(super) fn find_leaf_at(&self, process: NodeId, key_parts: &KeyParts<'_>) -> Option<NodeId> {
        match key_parts {
            KeyParts::Name(scope, names) => {
                let (below, role) = self.find_scope(process, *scope)?;
                let found = match names {
                    PathNames::Components(names) => self.find_path(below, role, names.iter().map(|(name, _)| *name)),
                    PathNames::Text(text) if role == Role::DnsLabel => self.find_path(below, role, labels(text)),
                    PathNames::Text(text) => self.find_path(below, role, components(text)),
                };
                found.map(|(id, _)| id)
            }
            KeyParts::Address(key, address) => self.find_address(process, *key, *address),
            KeyParts::Number(of, number) => self.arena.numbered_child(process, number_role(*of), *number),
        }
    }

    /// The node of a key, made if need be and there is room; whether it was; and whether a learned pattern is part of
    /// its name. One walk for what is known and for what is not; an error comes before the first change.
    pub(super) fn get_or_insert_leaf<E: Copy>(
        &mut self,
        process: NodeId,
        key_parts: &KeyParts<'_>,
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool, bool), E> {
        let (id, new) = match key_parts {
            KeyParts::Name(scope, names) => {
                let (below, role) = self.get_or_insert_scope(process, *scope, budget)?;
                return match names {
                    PathNames::Components(names) => self.get_or_insert_path(below, role, names.iter().copied(), budget),
                    PathNames::Text(text) if role == Role::DnsLabel => {
                        self.get_or_insert_path(below, role, labels(text).map(|label| (label, false)), budget)
                    }
                    PathNames::Text(text) => self.get_or_insert_path(below, role, literal(text), budget),
                };
            }
            KeyParts::Address(key, address) => {
                let (group, new) = self.get_or_insert_sockets(process, *key, budget)?;
                let (id, made) = self.get_or_insert_peer(group, *address, budget)?;
                (id, new || made)
            }
            KeyParts::Number(of, number) => {
                self.arena.get_or_insert_numbered(process, number_role(*of), *number, budget)?
            }
        };
        Ok((id, new, false))
    }

    /// Where a leaf of this tree stands.
    pub(super) fn key_parts(&self, leaf: NodeId) -> KeyParts<'_> {
        let node = self.node(leaf);
        let names = || PathNames::Components(self.names_of(leaf));
        match node.role() {
            Role::FilePath => KeyParts::Name(Scope::Files, names()),
            Role::DnsLabel => KeyParts::Name(Scope::Dns, names()),
            Role::Component => KeyParts::Name(self.scope_of(leaf), names()),
            Role::Peer => KeyParts::Address(self.socket_key(leaf), self.address(leaf)),
            Role::Capability => KeyParts::Number(NumberKind::Capability, node.name),
            Role::Syscall
            | Role::Root
            | Role::Process
            | Role::ExecPath
            | Role::Sockets
            | Role::Group
            | Role::Uid
            | Role::Detail
            | Role::Text => KeyParts::Number(NumberKind::Syscall, node.name),
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
        let Some(id) = self.find_leaf_at(process, &what.key.into()) else { return false };
        let node = self.arena.node(id);
        node.is_seen()
            && node.has(Flags::of_marks(what.details.marks))
            && what.details.numbers.iter().all(|detail| self.has_detail(id, detail))
            && what.details.texts.iter().all(|text| self.has_text(id, text))
    }

    /// What of a behaviour a process of this tree is not known to do: all of it, or, of a key that is known, those details
    /// that are compared. Texts are not, nor is a largest number where there is none yet. Changes nothing.
    pub fn delta<'a>(&self, process: NodeId, what: &Behaviour<'a>) -> Option<BehaviourDelta<'a>> {
        let found = self.find_leaf_at(process, &what.key.into()).filter(|id| self.node(*id).is_seen());
        let Some(id) = found else { return Some(BehaviourDelta { known: false, details: what.details.clone() }) };
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
        (!details.is_empty()).then_some(BehaviourDelta { known: true, details })
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
        dir: Option<KnownDir>,
        what: &Behaviour<'_>,
        tag: u16,
        span: Span,
    ) -> Result<bool, TreeFull> {
        // An address or a number is found so quickly that it is worth asking first: of what is known, and told without
        // numbers and texts, nobody needs to know whether there is room.
        let Details { marks, numbers, texts } = &what.details;
        if let Some(id) = self.find_leaf(process, &what.key)
            && numbers.is_empty()
            && texts.is_empty()
        {
            let new = self.arena.node_mut(id).set(Flags::of_marks(*marks));
            return Ok(self.stamp_leaf(process, id, tag, span) | new);
        }
        let budget = self.check_budget();
        let (id, mut new, general) = match (what.key, dir) {
            (BehaviourKey::Name(Scope::Files, path), Some(dir)) => {
                self.get_or_insert_file(process, dir, path, budget)?
            }
            (key, _) => self.get_or_insert_leaf(process, &key.into(), budget)?,
        };
        new |= self.add_details(id, &what.details, budget)?;
        new |= self.stamp_leaf(process, id, tag, span);
        // A sample of names is the first thing that a full tree does without.
        if let (true, Ok(()), BehaviourKey::Name(_, name)) = (general, budget, what.key) {
            self.sketch(id, name);
        }
        Ok(new)
    }

    /// As [`observe`](Self::observe), of a number without details.
    pub(super) fn observe_number(
        &mut self,
        process: NodeId,
        of: NumberKind,
        number: u32,
        tag: u16,
        span: Span,
    ) -> Result<bool, TreeFull> {
        let role = number_role(of);
        let id = match self.arena.numbered_child(process, role, number) {
            Some(id) => id,
            None => self.arena.get_or_insert_numbered(process, role, number, self.check_budget())?.0,
        };
        Ok(self.stamp_leaf(process, id, tag, span))
    }

    /// The node of an address or a number.
    #[inline]
    fn find_leaf(&self, process: NodeId, key: &BehaviourKey<&str>) -> Option<NodeId> {
        match *key {
            BehaviourKey::Name(..) => None,
            BehaviourKey::Address(key, address) => self.find_address(process, key, address),
            BehaviourKey::Number(of, number) => self.arena.numbered_child(process, number_role(of), number),
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
        // What was only tried makes nothing that is written.
        if self.kind(leaf) != Some(Kind::Denied) {
            self.arena.mark_visible(process);
        }
        true
    }

    // Details.

    /// Adds what gathers on a node, and tells whether any of it was new. An error comes before the first change.
    fn add_details<E: Copy>(&mut self, id: NodeId, details: &Details<&str>, budget: Result<(), E>) -> Result<bool, E> {
        let mut new = false;
        for detail in details.numbers.iter() {
            new |= self.add_detail(id, detail, budget)?;
        }
        for text in &details.texts {
            if !self.has_text(id, text) {
                budget?;
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

    fn add_detail<E: Copy>(&mut self, id: NodeId, detail: Detail, budget: Result<(), E>) -> Result<bool, E> {
        if self.has_detail(id, detail) {
            return Ok(false);
        }
        budget?;
        if detail.class().keeps_largest() {
            let smaller: Vec<NodeId> =
                self.details(id).filter(|(_, known)| known.class() == detail.class()).map(|(child, _)| child).collect();
            for child in smaller {
                self.arena.remove_node(self.arena.hashed(child));
            }
        }
        Ok(self.arena.numbered(id, Role::Detail, detail.0).1)
    }

    /// Adds what gathers on a node of another tree, or on another one of this tree.
    pub(super) fn merge_detail(&mut self, into: NodeId, role: Role, number: u32, text: &str) {
        match role {
            Role::Detail => {
                let Ok(_) = self.add_detail(into, Detail(number), UNLIMITED);
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
    pub(super) fn merge_details(&mut self, other: &Self, from: NodeId, into: NodeId) {
        for child in other.children(from) {
            let node = other.node(child);
            let role = node.role();
            let text = if role == Role::Text { other.component(child) } else { "" };
            self.merge_detail(into, role, node.name, text);
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
    pub(crate) fn import_behaviour(
        &mut self,
        process: NodeId,
        what: &Behaviour<'_>,
        names: Option<Vec<Component<'_>>>,
        sketch: Option<&crate::path::Sketch>,
    ) -> NodeId {
        let key_parts = match (what.key, names) {
            (BehaviourKey::Name(scope, _), Some(names)) => KeyParts::Name(scope, PathNames::Components(names)),
            (key, _) => key.into(),
        };
        let Ok((leaf, _, general)) = self.get_or_insert_leaf(process, &key_parts, UNLIMITED);
        if let (KeyParts::Name(_, PathNames::Components(names)), true) = (&key_parts, general) {
            self.import_sketch(leaf, names, sketch);
        }
        let Ok(_) = self.add_details(leaf, &what.details, UNLIMITED);
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
        Seen::of_shared(self.tree.seen(self.id).map(|(tag, s)| (tag.shared_text(), [Time(s.first), Time(s.last)])))
    }
}

const _: () = assert!(Kind::ALL.len() < 128 && TEXTS_MAX > 0);
