//! One container's tree together with its process table: events go in, fates come out.

use super::arena::ROOT;
use super::behaviour::{Behaviour, access, behaviour, exec_flags};
use super::grow::{Dir, Plain, socket_level};
use super::lineage::{Decided, ExecPlace, Lineage, Pid, Place, Runs};
use super::merge::follow;
use super::node::{Kind, NodeId, Span};
use super::program::{Program, literal};
use super::socket::SocketKey;
use super::{Rules, Stats, Tree, TreeFull};
use crate::event::{Body, EventRef, Exec, syscall_numbers};
use crate::intern::TagRef;
use crate::ledger::{Dropped, Fate, Ignored};
use crate::path::labels;
use std::collections::HashMap;
use std::sync::Arc;

/// Its path.
const UNKNOWN: &str = "<unknown>";

impl Tree {
    /// The node of a behaviour below a process, and whether a learned pattern is part of its name.
    fn find_behaviour(&self, process: NodeId, what: &Behaviour<'_>) -> Option<(NodeId, bool)> {
        let group = |key: &SocketKey| self.arena.numbered_child(process, Kind::Sockets, key.pack());
        match what {
            Behaviour::File { path, .. } => self.find_path(process, Kind::FilePath, crate::path::components(path)),
            Behaviour::Dns { name, .. } => self.find_path(process, Kind::DnsLabel, labels(name)),
            Behaviour::Unix { key, path } => self.find_path(group(key)?, Kind::UnixPath, crate::path::components(path)),
            Behaviour::Internet { key, address } => {
                let group = group(key)?;
                let address = address.widen(socket_level(self.arena.node(group).flags()));
                Some((self.arena.first_child(group, Kind::Peer, address.to_bytes(&mut [0; 17]))?, false))
            }
            Behaviour::Capability(cap) => Some((self.arena.numbered_child(process, Kind::Capability, *cap)?, false)),
            Behaviour::Syscalls(_) => None,
        }
    }

    /// Whether a process of this tree is known to do `what`. Changes nothing.
    pub fn knows(&self, process: NodeId, what: &Behaviour<'_>) -> bool {
        if let Behaviour::Syscalls(nrs) = what {
            let seen = |nr| self.arena.numbered_child(process, Kind::Syscall, nr);
            return syscall_numbers(nrs).all(|nr| seen(nr).is_some_and(|id| self.arena.node(id).is_seen()));
        }
        let Some((id, _)) = self.find_behaviour(process, what) else { return false };
        let node = self.arena.node(id);
        node.is_seen()
            && match what {
                Behaviour::File { access, .. } => node.has(*access),
                Behaviour::Dns { qtype, .. } => self.arena.numbered_child(id, Kind::Qtype, u32::from(*qtype)).is_some(),
                _ => true,
            }
    }

    /// Records that a process did `what`. Returns whether the tree knows more than before, times apart.
    ///
    /// # Errors
    /// [`TreeFull`]; the tree is as it was.
    pub fn observe(&mut self, process: NodeId, what: &Behaviour<'_>, tag: u16, span: Span) -> Result<bool, TreeFull> {
        self.observe_below(process, None, what, tag, span)
    }

    /// As [`observe`](Self::observe), if it is known of a file in which directory it is.
    fn observe_below(
        &mut self,
        process: NodeId,
        dir: Option<Dir>,
        what: &Behaviour<'_>,
        tag: u16,
        span: Span,
    ) -> Result<bool, TreeFull> {
        if let Behaviour::Syscalls(nrs) = what {
            return self.observe_syscalls(process, nrs, tag, span);
        }
        let room = self.has_room();
        let (id, mut new, general) = match (what, dir) {
            (Behaviour::File { path, .. }, Some(dir)) => self.grow_file(process, dir, path, room)?,
            _ => self.grow_behaviour(process, what, room)?,
        };
        let name = match what {
            Behaviour::File { path, access } => {
                new |= self.arena.node_mut(id).set(*access);
                *path
            }
            Behaviour::Unix { path, .. } => *path,
            Behaviour::Dns { name, qtype } => {
                new |= self.arena.numbered_within(id, Kind::Qtype, u32::from(*qtype), room)?.1;
                name
            }
            _ => "",
        };
        new |= self.stamp_leaf(process, id, tag, span);
        // A sample of names is the first thing that a full tree does without.
        if general && room.is_ok() {
            self.sketch(id, name);
        }
        Ok(new)
    }

    /// The node of a behaviour, made if need be and there is room; whether it was; and whether a learned pattern is part
    /// of its name. One walk for what is known and for what is not; an error comes before the first change.
    fn grow_behaviour(
        &mut self,
        process: NodeId,
        what: &Behaviour<'_>,
        room: Result<(), TreeFull>,
    ) -> Result<(NodeId, bool, bool), TreeFull> {
        let (id, new) = match what {
            Behaviour::File { path, .. } => return self.grow_path(process, Kind::FilePath, literal(path), room),
            Behaviour::Dns { name, .. } => {
                return self.grow_path(process, Kind::DnsLabel, labels(name).map(|label| (label, false)), room);
            }
            Behaviour::Unix { key, path } => {
                let (group, _) = self.arena.numbered_within(process, Kind::Sockets, key.pack(), room)?;
                return self.grow_path(group, Kind::UnixPath, literal(path), room);
            }
            Behaviour::Internet { key, address } => {
                let (group, _) = self.arena.numbered_within(process, Kind::Sockets, key.pack(), room)?;
                self.grow_peer(group, *address, room)?
            }
            Behaviour::Capability(cap) => self.arena.numbered_within(process, Kind::Capability, *cap, room)?,
            Behaviour::Syscalls(_) => (process, false),
        };
        Ok((id, new, false))
    }

    fn observe_syscalls(&mut self, process: NodeId, nrs: &[u8], tag: u16, span: Span) -> Result<bool, TreeFull> {
        if let Err(full) = self.has_room() {
            // All of them or none.
            let known = |nr| self.arena.numbered_child(process, Kind::Syscall, nr).is_some();
            if !syscall_numbers(nrs).all(known) {
                return Err(full);
            }
        }
        let mut new = false;
        for nr in syscall_numbers(nrs) {
            let (id, _) = self.arena.numbered(process, Kind::Syscall, nr);
            new |= self.stamp_leaf(process, id, tag, span);
        }
        Ok(new)
    }

    /// Stamps a leaf of a process; true if the tag had not been seen on it.
    pub(crate) fn stamp_leaf(&mut self, process: NodeId, leaf: NodeId, tag: u16, span: Span) -> bool {
        if !self.arena.stamp(leaf, tag, span) {
            return false;
        }
        self.arena.show(process);
        true
    }

    /// The process node of a program below another process (or [`ROOT`]).
    pub fn find_program(&self, parent: NodeId, program: &Program) -> Option<(NodeId, bool)> {
        let (leaf, general) = self.find_path(parent, Kind::ExecPath, crate::path::components(&program.path))?;
        Some((self.arena.first_child(leaf, Kind::Process, program.key.as_bytes())?, general))
    }

    fn grow_program(
        &mut self,
        parent: NodeId,
        program: &Program,
        room: Result<(), TreeFull>,
    ) -> Result<(NodeId, bool, bool), TreeFull> {
        // The name that makes a shape a pattern is new, although the pattern's program may be there by then.
        let (leaf, made, general) = self.grow_path(parent, Kind::ExecPath, literal(&program.path), room)?;
        let (id, new) = self.process_below(leaf, &program.key, room)?;
        Ok((id, made || new, general))
    }

    pub(super) fn process_below<E>(
        &mut self,
        leaf: NodeId,
        key: &str,
        room: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        self.arena.named_within(leaf, Kind::Process, key.as_bytes(), room)
    }

    /// The process above a process: [`ROOT`] for a root process.
    pub fn parent_process(&self, process: NodeId) -> NodeId {
        let mut at = self.arena.node(process).parent;
        while self.arena.node(at).kind() == Kind::ExecPath {
            at = self.arena.node(at).parent;
        }
        at
    }

    /// The parent that a new program below `parent` gets: `parent`, unless the lineage is as deep as it may be.
    pub(crate) fn within_depth(&self, parent: NodeId) -> NodeId {
        let mut depth = 1;
        let mut at = parent;
        while at != ROOT {
            depth += 1;
            at = self.parent_process(at);
        }
        if depth > self.rules.lineage_depth { self.parent_process(parent) } else { parent }
    }
}

/// What the processes of one container do, as far as is known.
#[derive(Clone, Debug)]
pub struct ActivityTree {
    tree: Tree,
    lineage: Lineage<NodeId>,
    tag: u16,
    text: String,
}

impl ActivityTree {
    /// An empty tree of a container whose workload has this tag.
    pub fn new(rules: Arc<Rules>, tag: &TagRef) -> Self {
        let lineage = Lineage::new(rules.processes_max);
        let mut tree = Tree::new(rules);
        // The first tag of a new tree always fits.
        let tag = tree.local_tag(tag).unwrap_or_default();
        Self { tree, lineage, tag, text: String::new() }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The tree alone: nothing more will happen.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Entries.
    pub fn stats(&self) -> Stats {
        self.tree.stats()
    }

    /// Bytes of heap owned by tree and process table.
    pub fn heap_bytes(&self) -> usize {
        self.tree.heap_bytes() + self.lineage.heap_bytes() + self.text.capacity()
    }

    /// How many processes were forgotten because the table was full, or which directory they were in.
    pub fn processes_forgotten(&self) -> u64 {
        self.lineage.forgotten()
    }

    /// Processes in the table.
    pub fn processes(&self) -> usize {
        self.lineage.len()
    }

    /// The workload is known at last: what was learned so far was this tag's.
    pub fn rename_tag(&mut self, tag: &TagRef) {
        self.tree.rename_tag(self.tag, tag);
    }

    /// The container is gone, and its processes with it. What is left takes no more memory than it has to.
    pub fn forget_processes(&mut self) {
        self.lineage.clear();
        self.tree.shrink();
        self.text = String::new();
    }

    /// Applies one event of this container. Container events are not for here and count as life cycle.
    pub fn insert(&mut self, event: &EventRef<'_>) -> Fate {
        let id = Pid { pid: event.pid, start: event.start };
        match &event.body {
            Body::ContainerStart { .. } | Body::ContainerStop => Fate::Lifecycle,
            Body::Missed { cause, .. } => Fate::missed(cause),
            Body::Fork { ppid } => setup_or_lifecycle(self.lineage.fork(id, *ppid)),
            Body::Exit => setup_or_lifecycle(self.lineage.exit(id)),
            Body::Exec(exec) => {
                let fate = self.exec(event, id, exec);
                self.settle();
                fate
            }
            _ => self.behave(event, id),
        }
    }

    fn behave(&mut self, event: &EventRef<'_>, id: Pid) -> Fate {
        let span = Span::at(event.ts);
        let process = self.lineage.touch(id);
        let place = process.map(|p| p.place);
        let mut dir = None;
        match place {
            Some(Place::Setup) => return Fate::Ignored(Ignored::RuntimeSetup),
            // Most events are files that are known: they need neither normalising nor any other table.
            Some(Place::At(node)) => {
                if let Body::Open { path, flags, ret: 0.. } = event.body {
                    match self.tree.find_plain(node, Kind::FilePath, path) {
                        Plain::Node(leaf) => {
                            let new = self.tree.arena.node_mut(leaf).set(access(flags));
                            let new = self.tree.stamp_leaf(node, leaf, self.tag, span) || new;
                            return if new { Fate::New } else { Fate::Known };
                        }
                        Plain::Below(found) => dir = Some((found, path)),
                        Plain::Unknown => {}
                    }
                }
            }
            _ => {}
        }
        let cwd = process.and_then(|p| p.cwd.as_deref());
        let what = match behaviour(event, cwd, &mut self.text) {
            Ok(what) => what,
            Err(fate) => return fate,
        };
        let node = match place {
            Some(Place::Lost) => return Fate::Dropped(Dropped::TreeFull),
            Some(Place::At(node)) => node,
            _ => {
                let Some(unknown) = self.tree.unknown_if_room() else { return Fate::Dropped(Dropped::TreeFull) };
                self.lineage.meet(id, unknown);
                unknown
            }
        };
        // A directory of the path as it was given is one of the path as it is normalised only if that is the same.
        let dir = match (&what, dir) {
            (Behaviour::File { path, .. }, Some((dir, raw))) if path.as_bytes() == raw => Some(dir),
            _ => None,
        };
        let fate = match self.tree.observe_below(node, dir, &what, self.tag, span) {
            Ok(true) => Fate::New,
            Ok(false) => Fate::Known,
            Err(TreeFull) => Fate::Dropped(Dropped::TreeFull),
        };
        self.settle();
        fate
    }

    fn exec(&mut self, event: &EventRef<'_>, id: Pid, exec: &Exec<&[u8]>) -> Fate {
        let Decided { place, program, interpreter } = match self.lineage.place(event, exec, self.tree.rules()) {
            Ok(found) => found,
            Err(fate) => {
                // It does run something else now, and what it does is not its parent program's doing.
                if fate == Fate::Ignored(Ignored::RelativePath) {
                    self.lineage.exec(id, exec, Place::Unknown, Runs::Unknown);
                }
                return fate;
            }
        };
        let (parent, chain, same) = match place {
            ExecPlace::Setup => {
                self.lineage.exec(id, exec, Place::Setup, Runs::Runtime);
                return Fate::Ignored(Ignored::RuntimeSetup);
            }
            ExecPlace::Root => (Place::At(ROOT), false, false),
            ExecPlace::Child { parent, chain } => (parent, chain, false),
            ExecPlace::Same(place) => (place, false, true),
        };
        let identity = program.identity();
        let parent = match parent {
            Place::Unknown => self.tree.unknown_if_room().map_or(Place::Lost, Place::At),
            known => known,
        };
        let Place::At(parent) = parent else {
            self.lineage.exec(id, exec, Place::Lost, Runs::Program(&identity));
            return Fate::Dropped(Dropped::TreeFull);
        };
        let tree = &mut self.tree;
        let room = tree.has_room().is_ok();
        let room_for_programs = tree.has_room_for_programs();
        let grown = if same {
            Ok((parent, false, false))
        } else {
            let parent = tree.within_depth(parent);
            tree.grow_program(parent, &program, room_for_programs)
        };
        let Ok((node, mut new, general)) = grown else {
            self.lineage.exec(id, exec, Place::Lost, Runs::Program(&identity));
            return Fate::Dropped(Dropped::TreeFull);
        };
        let new_uid = exec.uid.filter(|uid| tree.arena.numbered_child(node, Kind::Uid, *uid).is_none());
        let ran = tree.node(node).is_seen();
        let new_interpreter = Some(interpreter).filter(|by| !tree.knows_interpreter(node, by));
        let no_room = new_uid.is_some() && !room || new_interpreter.is_some() && room_for_programs.is_err();
        if !new && no_room {
            // The program is known, so its process can be followed; as which user, or by what, it ran is not kept.
            self.lineage.exec(id, exec, Place::At(node), Runs::Program(&identity));
            return Fate::Dropped(Dropped::TreeFull);
        }
        new |= tree.stamp_leaf(node, node, self.tag, Span::at(event.ts));
        new |= tree.arena.node_mut(node).set(exec_flags(exec, chain));
        if let Some(uid) = new_uid {
            new |= tree.arena.numbered(node, Kind::Uid, uid).1;
        }
        if let Some(interpreter) = new_interpreter {
            new |= tree.run_by(node, ran, &[interpreter], true);
        }
        if general && room {
            tree.sketch(node, &program.path);
        }
        self.lineage.exec(id, exec, Place::At(node), Runs::Program(&identity));
        if new { Fate::New } else { Fate::Known }
    }

    /// Whether the event would tell nothing but the time: a dry run. Changes nothing.
    pub fn contains(&self, event: &EventRef<'_>) -> bool {
        let id = Pid { pid: event.pid, start: event.start };
        if let Body::Exec(exec) = &event.body {
            let Ok(decided) = self.lineage.place(event, exec, self.tree.rules()) else { return true };
            let Decided { place, program, interpreter } = decided;
            let (found, chain) = match place {
                ExecPlace::Setup => return true,
                ExecPlace::Root => (self.tree.find_program(ROOT, &program), false),
                ExecPlace::Same(Place::At(node)) => (Some((node, false)), false),
                ExecPlace::Child { parent: Place::At(parent), chain } => {
                    (self.tree.find_program(self.tree.within_depth(parent), &program), chain)
                }
                ExecPlace::Child { parent: Place::Unknown, chain } => {
                    let unknown = self.tree.find_program(ROOT, &unknown_program());
                    let below = |(parent, _)| self.tree.find_program(self.tree.within_depth(parent), &program);
                    (unknown.and_then(below), chain)
                }
                ExecPlace::Same(_) | ExecPlace::Child { .. } => return false,
            };
            let uid_known =
                |node| exec.uid.is_none_or(|uid| self.tree.arena.numbered_child(node, Kind::Uid, uid).is_some());
            let interpreter_known = |node| self.tree.knows_interpreter(node, &interpreter);
            return found.is_some_and(|(node, _)| {
                self.tree.node(node).is_seen()
                    && self.tree.node(node).has(exec_flags(exec, chain))
                    && uid_known(node)
                    && interpreter_known(node)
            });
        }
        let process = self.lineage.find(id);
        let mut text = String::new();
        let cwd = process.and_then(|p| p.cwd.as_deref());
        let Ok(what) = behaviour(event, cwd, &mut text) else { return true };
        match process.map(|p| p.place) {
            Some(Place::Setup) => true,
            Some(Place::Lost) => false,
            Some(Place::At(node)) => self.tree.knows(node, &what),
            Some(Place::Unknown) | None => {
                let unknown = self.tree.find_program(ROOT, &unknown_program());
                unknown.is_some_and(|(node, _)| self.tree.knows(node, &what))
            }
        }
    }

    /// Removes everything that only `tag` did. See [`Tree::evict_tag`].
    pub fn evict_tag(&mut self, tag: &str) {
        self.rebuild(|t, _| t != tag);
    }

    /// Removes what was not seen since `ts`. See [`Tree::evict_before`].
    pub fn evict_before(&mut self, ts: u64) {
        self.rebuild(|_, span| span.last >= ts);
    }

    fn rebuild(&mut self, keep: impl Fn(&str, Span) -> bool) {
        let held = self.lineage.places_mut().filter_map(|p| if let Place::At(node) = p { Some(*node) } else { None });
        let pins = held.collect();
        let own = self.tree.arena.tags.get(self.tag).cloned();
        let (tree, went) = self.tree.rebuilt(keep, &pins);
        self.tree = tree;
        // The container itself goes on under its tag, even if no node bears it now.
        if let Some(own) = own {
            self.tag = self.tree.local_tag(&own).unwrap_or_default();
        }
        for place in self.lineage.places_mut() {
            if let Place::At(node) = place {
                *node = went.get(node).copied().unwrap_or(ROOT);
            }
        }
    }

    /// After growth: processes that were merged into others are followed, and the dead are buried now and then.
    fn settle(&mut self) {
        if !self.tree.arena.moved.is_empty() {
            let moved: HashMap<NodeId, NodeId> = self.tree.arena.moved.drain(..).collect();
            for place in self.lineage.places_mut() {
                if let Place::At(node) = place {
                    follow(&moved, node);
                }
            }
        }
        if self.tree.arena.wants_rebuild() {
            self.rebuild(|_, _| true);
        }
    }
}

fn setup_or_lifecycle(setup: bool) -> Fate {
    if setup { Fate::Ignored(Ignored::RuntimeSetup) } else { Fate::Lifecycle }
}

/// The program of processes whose own is not known.
pub fn unknown_program() -> Program {
    Program { path: UNKNOWN.to_owned(), key: String::new() }
}

impl Tree {
    /// The root under which the doings of processes with an unknown program are kept, unless it would have to be made
    /// and there is no room for it.
    fn unknown_if_room(&mut self) -> Option<NodeId> {
        let room = self.has_room_for_programs();
        self.grow_program(ROOT, &unknown_program(), room).ok().map(|(id, _, _)| id)
    }
}
