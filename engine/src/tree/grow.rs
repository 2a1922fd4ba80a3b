//! Finding and making the nodes of paths and names, and learning patterns (DESIGN §5).
//!
//! Generalising is confluent: which nodes there are in the end depends on the set of names alone. To that end a
//! directory counts its names per shape, and once one has more than `fanout` of them they are absorbed by one
//! pattern node (`absorb`), below which the same counting goes on over the union.

use super::Tree;
use super::arena::Hashed;
use super::node::{Flags, NONE, NodeId, Role};
use crate::path::{Sketch, components, shape_bytes, shape_into};

/// Whether everything in a directory and below it is protected, once that no longer depends on names.
pub(super) type Shelter = Option<bool>;

/// One component of a path or name, and whether it is a learned pattern.
pub type Component<'a> = (&'a str, bool);

/// The components of a path, none of them a learned pattern.
pub(super) fn literal(path: &str) -> impl Iterator<Item = Component<'_>> + Clone {
    components(path).map(|name| (name, false))
}

/// What is known of a path that was asked for just as the kernel gave it.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    /// Its node.
    Node(NodeId),
    /// It is not there, but its directory is.
    Below(Dir),
    /// Nothing.
    Unknown,
}

/// A directory that is known, and how long its path is.
#[derive(Clone, Copy)]
pub(super) struct Dir {
    at: Hashed,
    len: usize,
}

/// Directories with no more names that could generalise than this are not counted shape by shape.
const SHAPED_ABOVE: usize = 16;

/// Whether the directory with this first component holds programs that an image brings. They are as many as they are,
/// whatever their names look like, and one that is put there later must not pass for one of them.
fn is_of_an_image(top: &[u8]) -> bool {
    matches!(top, b"/usr" | b"/bin" | b"/sbin" | b"/opt") || top.starts_with(b"/lib")
}

impl Tree {
    /// Whether a name must never generalise where it is. `shelter` is what is known of the directories on the way from
    /// the scope down, so that a path costs no more than its length.
    pub(super) fn exempt(&self, parent: NodeId, role: Role, name: &str, shelter: &mut Shelter) -> bool {
        if role == Role::DnsLabel {
            return false;
        }
        if let Some(settled) = *shelter {
            return settled;
        }
        let above = |id: NodeId| Some(self.arena.node(id).parent);
        let dirs = std::iter::successors(Some(parent), |id| above(*id));
        let dirs = dirs.take_while(|id| self.arena.node(*id).role() == role);
        let top = dirs.clone().last().map_or(name.as_bytes(), |top| self.arena.bytes(top));
        if role == Role::ExecPath && is_of_an_image(top) {
            *shelter = dirs.clone().next().map(|_| true);
            return true;
        }
        if !self.rules.protect.reaches(top) {
            *shelter = dirs.clone().next().map(|_| false);
            return false;
        }
        let mut dir: Vec<&[u8]> = dirs.map(|id| self.arena.bytes(id)).collect();
        dir.reverse();
        let exempt = self.rules.protect.exempts(&dir, name);
        if dir.len() >= self.rules.protect.depth().max(1) {
            *shelter = Some(exempt);
        }
        exempt
    }

    /// The learned pattern that absorbs `name`, whose shape is `pattern`, if there is one.
    fn absorbing(
        &self,
        parent: Hashed,
        role: Role,
        name: &str,
        pattern: &[u8],
        shelter: &mut Shelter,
    ) -> Option<Hashed> {
        if pattern == name.as_bytes() {
            return None;
        }
        let run = self.arena.step(parent, role, pattern);
        let id = self.arena.child(parent.0, run, role, pattern)?;
        let absorbs = self.arena.node(id).has(Flags::LEARNED) && !self.exempt(parent.0, role, name, shelter);
        absorbs.then_some((id, run))
    }

    fn find_child(&self, at: Hashed, role: Role, name: &str, shelter: &mut Shelter) -> Option<Hashed> {
        let run = self.arena.step(at, role, name.as_bytes());
        if let Some(id) = self.arena.child(at.0, run, role, name.as_bytes()) {
            return Some((id, run));
        }
        self.absorbing(at, role, name, &shape_bytes(name.as_bytes())?, shelter)
    }

    /// The node that stands for a path below `scope`, and whether a learned pattern is part of it.
    pub(super) fn find_path<'a>(
        &self,
        scope: NodeId,
        role: Role,
        names: impl Iterator<Item = &'a str>,
    ) -> Option<(NodeId, bool)> {
        let mut at = self.arena.scope(scope);
        let mut general = false;
        let mut shelter = None;
        for name in names {
            at = self.find_child(at, role, name, &mut shelter)?;
            general |= self.arena.node(at.0).has(Flags::LEARNED);
        }
        Some((at.0, general))
    }

    /// As [`find_path`](Self::find_path), for a path as the kernel gives it: no allocation, one probe, and another one
    /// for the directory if that finds nothing. It finds only what is stored just as it was given; so no wildcard and
    /// no escape can stand for anything else.
    pub(super) fn find_plain(&self, scope: NodeId, role: Role, raw: &[u8]) -> Plain {
        self.probe_plain(scope, role, raw).unwrap_or(Plain::Unknown)
    }

    fn probe_plain(&self, scope: NodeId, role: Role, raw: &[u8]) -> Option<Plain> {
        if raw.first() != Some(&b'/') || raw.len() < 2 {
            return None;
        }
        if memchr::memchr2(b'*', b'\\', raw).is_some() {
            return None;
        }
        let find = |path: &[u8]| {
            let run = self.arena.first(scope, role, path);
            self.arena.find(run, |id, _| self.is_path(id, scope, role, path)).map(|id| (id, run))
        };
        if let Some((id, _)) = find(raw) {
            return Some(Plain::Node(id));
        }
        // The first component keeps its slash, so there is no directory above it.
        let dir = raw.get(..memchr::memrchr(b'/', raw).filter(|at| *at > 0)?)?;
        Some(Plain::Below(Dir { at: find(dir)?, len: dir.len() }))
    }

    /// Whether the names from `scope` down to `id`, joined by slashes, are `raw`.
    fn is_path(&self, id: NodeId, scope: NodeId, role: Role, raw: &[u8]) -> bool {
        let mut rest = raw;
        let mut at = id;
        loop {
            let node = self.arena.node(at);
            if !node.is(role) {
                return false;
            }
            let Some(head) = rest.strip_suffix(self.arena.names.get(node.name)) else { return false };
            at = node.parent;
            if at == scope {
                return head.is_empty();
            }
            match head.strip_suffix(b"/") {
                Some(head) => rest = head,
                None => return false,
            }
        }
    }

    /// The node that stands for a path below `scope`, made if need be and `room` allows it. Returns it, whether
    /// anything was made, and whether a learned pattern is part of it. An error comes before the first change.
    pub(super) fn grow_path<'a, E: Copy>(
        &mut self,
        scope: NodeId,
        role: Role,
        names: impl Iterator<Item = Component<'a>> + Clone,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool, bool), E> {
        let start = self.arena.scope(scope);
        self.grow_from(start, names.clone(), scope, role, names, room)
    }

    /// As [`grow_path`](Self::grow_path) of a file whose directory is known, and is no pattern's doing.
    pub(super) fn grow_file<E: Copy>(
        &mut self,
        process: NodeId,
        dir: Dir,
        path: &str,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool, bool), E> {
        let name = path.get(dir.len + 1..).unwrap_or(path);
        self.grow_from(dir.at, std::iter::once((name, false)), process, Role::FilePath, literal(path), room)
    }

    /// Grows `rest`, the end of the path `names` below `scope`, from `start` on.
    fn grow_from<'a, E: Copy>(
        &mut self,
        start: Hashed,
        rest: impl Iterator<Item = Component<'a>>,
        scope: NodeId,
        role: Role,
        names: impl Iterator<Item = Component<'a>>,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool, bool), E> {
        let mut at = start;
        let (mut general, mut made) = (false, false);
        let mut shelter = None;
        for name in rest {
            let (child, new) = self.grow_child(at, role, name, made, &mut shelter, room)?;
            at = child;
            made |= new;
            general |= self.arena.node(at.0).has(Flags::LEARNED);
        }
        if self.pending.is_empty() {
            return Ok((at.0, made, general));
        }
        self.absorb_pending();
        let found = self.find_path(scope, role, names.map(|(name, _)| name));
        let (id, general) = found.unwrap_or((at.0, general));
        Ok((id, made, general))
    }

    /// The child that has this name or absorbs it, made if need be and `room` allows it, and whether it was. Nothing is
    /// below a `fresh` parent.
    pub(super) fn grow_child<E>(
        &mut self,
        parent: Hashed,
        role: Role,
        (name, learned): Component<'_>,
        fresh: bool,
        shelter: &mut Shelter,
        room: Result<(), E>,
    ) -> Result<(Hashed, bool), E> {
        let run = self.arena.step(parent, role, name.as_bytes());
        let found = if fresh { None } else { self.arena.child(parent.0, run, role, name.as_bytes()) };
        if learned {
            let id = match found {
                Some(id) => id,
                None => room.map(|()| self.arena.add_named(parent.0, run, role, name.as_bytes()))?,
            };
            // A pattern at once, so that sketches moved below it are kept; what it absorbs has to wait.
            if self.learn(id) {
                self.pending.push((parent.0, role, self.arena.node(id).name));
            }
            return Ok(((id, run), found.is_none()));
        }
        if let Some(id) = found {
            return Ok(((id, run), false));
        }
        let pattern = shape_bytes(name.as_bytes());
        if let (Some(pattern), false) = (&pattern, fresh)
            && let Some(absorbing) = self.absorbing(parent, role, name, pattern, shelter)
        {
            return Ok((absorbing, false));
        }
        room?;
        let id = self.arena.add_named(parent.0, run, role, name.as_bytes());
        if let Some(pattern) = pattern
            && !self.exempt(parent.0, role, name, shelter)
        {
            self.count_shape(parent.0, id, &pattern);
        }
        Ok(((id, run), true))
    }

    /// Counts a new name among those of its shape, and notes the shape as pending when they are too many.
    fn count_shape(&mut self, parent: NodeId, id: NodeId, pattern: &[u8]) {
        self.arena.node_mut(parent).count_variable_child();
        let node = self.arena.node(parent);
        let fanout = self.rules.path_fanout;
        if usize::from(node.variable_children()) <= fanout.min(SHAPED_ABOVE) {
            return;
        }
        if node.has(Flags::SHAPED) {
            self.join_shape(id, pattern);
            return;
        }
        self.arena.node_mut(parent).set(Flags::SHAPED);
        let children: Vec<NodeId> = self.arena.children(parent).collect();
        let (mut shelter, mut pattern) = (None, Vec::new());
        for child in children {
            let role = self.arena.node(child).role();
            let learned = self.arena.node(child).has(Flags::LEARNED);
            if !role.is_path() || learned || !shape_into(self.arena.bytes(child), &mut pattern) {
                continue;
            }
            if !shelter.unwrap_or_else(|| self.exempt(parent, role, self.arena.text(child), &mut shelter)) {
                self.join_shape(child, &pattern);
            }
        }
    }

    fn join_shape(&mut self, id: NodeId, pattern: &[u8]) {
        // Noted once: until the shape is absorbed more names only join it.
        if self.arena.join_shape(id, pattern) == self.rules.path_fanout + 1 {
            let (parent, role) = (self.arena.node(id).parent, self.arena.node(id).role());
            let pattern = self.arena.names.intern(pattern);
            self.pending.push((parent, role, pattern));
        }
    }

    /// Adds one name to the sketch of a leaf that a pattern is part of.
    pub(super) fn sketch(&mut self, id: NodeId, text: &str) {
        self.change_sketch(id, |sketch| {
            sketch.insert(text);
        });
    }

    pub(super) fn merge_sketch(&mut self, id: NodeId, other: &Sketch) {
        self.change_sketch(id, |sketch| sketch.merge(other));
    }

    fn change_sketch(&mut self, id: NodeId, change: impl FnOnce(&mut Sketch)) {
        let sketch = self.arena.sketches.entry(id).or_default();
        let before = sketch.heap_bytes();
        change(sketch);
        self.arena.sketch_bytes = self.arena.sketch_bytes + sketch.heap_bytes() - before;
    }

    /// The path, name or address that a leaf stands for, from its scope down.
    pub(super) fn path_text(&self, leaf: NodeId) -> String {
        let leaf = if self.arena.node(leaf).role() == Role::Process { self.arena.node(leaf).parent } else { leaf };
        let role = self.arena.node(leaf).role();
        if !role.is_path() {
            return String::new();
        }
        let nodes = std::iter::successors(Some(leaf), |at| Some(self.arena.node(*at).parent));
        let names = nodes.take_while(|at| *at != NONE && self.arena.node(*at).is(role)).map(|at| self.arena.bytes(at));
        let len = names.clone().map(|name| name.len() + 1).sum::<usize>() - 1;
        let is_dns = role == Role::DnsLabel;
        let mut text = vec![if is_dns { b'.' } else { b'/' }; len];
        // From the leaf upwards is how a domain name is written; a path is filled from its end.
        let mut done = 0;
        for name in names {
            let from = if is_dns { done } else { len - done - name.len() };
            if let Some(place) = text.get_mut(from..from + name.len()) {
                place.copy_from_slice(name);
            }
            done += name.len() + 1;
        }
        // Names are text, so what is made of them is.
        String::from_utf8(text).unwrap_or_default()
    }
}
