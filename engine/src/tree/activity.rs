//! One container's tree together with its process table: events go in, fates come out.

use super::arena::ROOT;
use super::ended::Ended;
use super::insert::{RawPath, literal};
use super::lineage::{ExecDecision, ExecPosition, Lineage, Pid, Position, Runs, by};
use super::merge::follow;
use super::node::{Flags, NodeId, Role, Span};
use super::program::{Program, exec_flags};
use super::{Rules, Stats, Tree, TreeFull};
use crate::behaviour::{BehaviourKey, Behaviours, Scope, Texts, syscall_numbers};
use crate::event::{Body, EventRef, Exec, Open};
use crate::intern::TagRef;
use crate::ledger::{Dropped, Fate, Ignored};
use std::collections::HashMap;
use std::sync::Arc;

/// The path of the program of a process whose exec was not seen.
const UNKNOWN: &str = "<unknown>";

impl Tree {
    /// The process node of a program below another process (or [`ROOT`]).
    pub fn find_program(&self, parent: NodeId, program: &Program) -> Option<(NodeId, bool)> {
        let (leaf, general) = self.find_path(parent, Role::ExecPath, crate::path::components(&program.path))?;
        Some((self.arena.first_child(leaf, Role::Process, program.key.as_bytes())?, general))
    }

    fn get_or_insert_program(
        &mut self,
        parent: NodeId,
        program: &Program,
        budget: Result<(), TreeFull>,
    ) -> Result<(NodeId, bool, bool), TreeFull> {
        // The name that makes a shape a pattern is new, although the pattern's program may be there by then.
        let (leaf, made, general) = self.get_or_insert_path(parent, Role::ExecPath, literal(&program.path), budget)?;
        let (id, new) = self.process_below(leaf, &program.key, budget)?;
        Ok((id, made || new, general))
    }

    pub(super) fn process_below<E>(
        &mut self,
        leaf: NodeId,
        key: &str,
        budget: Result<(), E>,
    ) -> Result<(NodeId, bool), E> {
        self.arena.get_or_insert_named(leaf, Role::Process, key.as_bytes(), budget)
    }

    /// The process above a process: [`ROOT`] for a root process.
    pub fn parent_process(&self, process: NodeId) -> NodeId {
        let mut at = self.arena.node(process).parent;
        while self.arena.node(at).role() == Role::ExecPath {
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
    texts: Texts,
}

impl ActivityTree {
    /// An empty tree of a container whose workload has this tag.
    pub fn new(rules: Arc<Rules>, tag: &TagRef) -> Self {
        let lineage = Lineage::new(rules.processes_max);
        let mut tree = Tree::new(rules);
        // The first tag of a new tree always fits.
        let tag = tree.local_tag(tag).unwrap_or_default();
        Self { tree, lineage, tag, texts: Texts::default() }
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
        self.tree.heap_bytes() + self.lineage.heap_bytes() + self.texts.heap_bytes()
    }

    /// How many processes were forgotten because the table was full, or which directory they were in.
    pub fn processes_forgotten(&self) -> u64 {
        self.lineage.forgotten()
    }

    /// Changes with what may grow although nothing new is learned: the table of processes, and room for a path.
    pub(crate) fn moving(&self) -> usize {
        self.lineage.len() + self.texts.heap_bytes()
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
        self.texts = Texts::default();
    }

    /// Forgets every process; who of them came from the workload.
    pub(crate) fn end_processes(&mut self) -> Ended {
        self.lineage.clear();
        self.lineage.take_ended()
    }

    /// The container starts again: these came from its workload before.
    pub(crate) fn start_again(&mut self, ended: Ended) {
        self.lineage.set_ended(ended);
    }

    /// Applies one event of this container. Container events are not for here and count as life cycle.
    pub fn insert(&mut self, event: &EventRef<'_>) -> Fate {
        let id = Pid { pid: event.pid, start: event.start };
        match &event.body {
            Body::ContainerStart { .. } | Body::ContainerStop => Fate::Lifecycle,
            Body::Missed { cause, .. } => Fate::missed(cause),
            Body::Fork { ppid, ns_pid } => setup_or_lifecycle(self.lineage.fork(id, *ppid, *ns_pid)),
            Body::Exit => setup_or_lifecycle(self.lineage.exit(id)),
            Body::Exec(exec) => {
                let fate = self.exec(event, id, exec);
                self.settle();
                fate
            }
            _ => self.apply_behaviour(event, id),
        }
    }

    fn apply_behaviour(&mut self, event: &EventRef<'_>, id: Pid) -> Fate {
        let span = Span::at(event.ts);
        let process = self.lineage.touch(id);
        let position = process.map(|p| p.position);
        let mut dir = None;
        match position {
            Some(Position::Setup) => return Fate::Ignored(Ignored::RuntimeSetup),
            // Most events are files that are known: they need neither normalising nor any other table.
            Some(Position::At(node)) => {
                if let Body::Open(open @ Open { path, ret: 0.., .. }) = event.body
                    && open.has_name()
                {
                    match self.tree.find_raw_path(node, Role::FilePath, path) {
                        RawPath::Node(leaf) => {
                            let new = self.tree.arena.node_mut(leaf).set(Flags::of_marks(open.marks()));
                            let new = self.tree.stamp_leaf(node, leaf, self.tag, span) || new;
                            return if new { Fate::New } else { Fate::Known };
                        }
                        RawPath::Below(found) => dir = Some((found, path)),
                        RawPath::Unknown => {}
                    }
                }
            }
            _ => {}
        }
        // Not moved out of the result: it is large.
        let told = event.behaviours(by(process, id), &mut self.texts);
        let what = match &told {
            Ok(what) => what,
            Err(fate) => {
                let fate = *fate;
                if let Some(Position::At(node)) = position {
                    self.learn_attempt(event, id, node);
                }
                return fate;
            }
        };
        let node = match position {
            Some(Position::Lost) => return Fate::Dropped(Dropped::TreeFull),
            Some(Position::At(node)) => node,
            _ => {
                let Some(unknown) = self.tree.unknown_within_budget() else { return Fate::Dropped(Dropped::TreeFull) };
                self.lineage.assume_program(id, unknown);
                unknown
            }
        };
        // A directory of the path as it was given is one of the path as it is normalised only if that is the same.
        let dir = match (what, dir) {
            (Behaviours::One(one), Some((dir, raw))) => match one.key {
                BehaviourKey::Name(Scope::Files, path) if path.as_bytes() == raw => Some(dir),
                _ => None,
            },
            _ => None,
        };
        let tree = &mut self.tree;
        // Of an event that tells of several behaviours all are kept, or none.
        let several = !matches!(what, Behaviours::One(_));
        if several && tree.check_budget().is_err() && !what.all(|one| tree.knows(node, one)) {
            return Fate::Dropped(Dropped::TreeFull);
        }
        let mut new = false;
        let mut keep = |kept: Result<bool, TreeFull>| {
            new |= kept == Ok(true);
            kept.is_ok()
        };
        let tag = self.tag;
        let kept = match what {
            Behaviours::Numbers(_, of, numbers) => {
                syscall_numbers(numbers).all(|number| keep(tree.observe_number(node, *of, number, tag, span)))
            }
            what => what.all(|one| keep(tree.observe_below(node, dir, one, tag, span))),
        };
        self.settle();
        match (kept, new) {
            (false, _) => Fate::Dropped(Dropped::TreeFull),
            (true, true) => Fate::New,
            (true, false) => Fate::Known,
        }
    }

    /// What a program tried in vain is kept beside what it does, if there is room.
    fn learn_attempt(&mut self, event: &EventRef<'_>, id: Pid, node: NodeId) {
        let Some((tried, denial)) = event.attempted(by(self.lineage.find(id), id), &mut self.texts) else { return };
        let (tree, tag) = (&mut self.tree, self.tag);
        tried.all(|one| {
            let denied = one.denied(denial);
            denied.is_none_or(|denied| tree.observe(node, &denied, tag, Span::at(event.ts)).is_ok())
        });
        self.settle();
    }

    fn exec(&mut self, event: &EventRef<'_>, id: Pid, exec: &Exec<&[u8]>) -> Fate {
        let ExecDecision { position, program, interpreter } = match self.lineage.decide(event, exec, self.tree.rules())
        {
            Ok(found) => found,
            Err(fate) => return fate,
        };
        let (parent, chain, same) = match position {
            ExecPosition::Setup => {
                self.lineage.exec(id, exec, Position::Setup, Runs::Runtime);
                return Fate::Ignored(Ignored::RuntimeSetup);
            }
            ExecPosition::Root => (Position::At(ROOT), false, false),
            ExecPosition::Child { parent, chain } => (parent, chain, false),
            ExecPosition::Same(position) => (position, false, true),
        };
        let identity = program.identity();
        let parent = match parent {
            Position::Unknown => self.tree.unknown_within_budget().map_or(Position::Lost, Position::At),
            known => known,
        };
        let Position::At(parent) = parent else {
            self.lineage.exec(id, exec, Position::Lost, Runs::Program(identity));
            return Fate::Dropped(Dropped::TreeFull);
        };
        let tree = &mut self.tree;
        let fits = tree.check_budget().is_ok();
        let programs_fit = tree.check_program_budget();
        let grown = if same {
            Ok((parent, false, false))
        } else {
            let parent = tree.within_depth(parent);
            tree.get_or_insert_program(parent, &program, programs_fit)
        };
        let Ok((node, mut new, general)) = grown else {
            self.lineage.exec(id, exec, Position::Lost, Runs::Program(identity));
            return Fate::Dropped(Dropped::TreeFull);
        };
        let new_uid = exec.uid.filter(|uid| tree.arena.numbered_child(node, Role::Uid, *uid).is_none());
        let ran = tree.node(node).is_seen();
        let new_interpreter = Some(interpreter).filter(|by| !tree.knows_interpreter(node, by));
        let over_budget = new_uid.is_some() && !fits || new_interpreter.is_some() && programs_fit.is_err();
        if !new && over_budget {
            // The program is known, so its process can be followed; as which user, or by what, it ran is not kept.
            self.lineage.exec(id, exec, Position::At(node), Runs::Program(identity));
            return Fate::Dropped(Dropped::TreeFull);
        }
        new |= tree.stamp_leaf(node, node, self.tag, Span::at(event.ts));
        new |= tree.arena.node_mut(node).set(exec_flags(exec, chain));
        if let Some(uid) = new_uid {
            new |= tree.arena.numbered(node, Role::Uid, uid).1;
        }
        if let Some(interpreter) = new_interpreter {
            new |= tree.run_by(node, ran, &[interpreter], true);
        }
        if general && fits {
            tree.sketch(node, &program.path);
        }
        self.lineage.exec(id, exec, Position::At(node), Runs::Program(identity));
        if new { Fate::New } else { Fate::Known }
    }

    /// Whether the event would tell nothing but the time: a dry run. Changes nothing.
    pub fn contains(&self, event: &EventRef<'_>) -> bool {
        let id = Pid { pid: event.pid, start: event.start };
        if let Body::Exec(exec) = &event.body {
            let Ok(decided) = self.lineage.decide(event, exec, self.tree.rules()) else { return true };
            let ExecDecision { position, program, interpreter } = decided;
            let (found, chain) = match position {
                ExecPosition::Setup => return true,
                ExecPosition::Root => (self.tree.find_program(ROOT, &program), false),
                ExecPosition::Same(Position::At(node)) => (Some((node, false)), false),
                ExecPosition::Child { parent: Position::At(parent), chain } => {
                    (self.tree.find_program(self.tree.within_depth(parent), &program), chain)
                }
                ExecPosition::Child { parent: Position::Unknown, chain } => {
                    let unknown = self.tree.find_program(ROOT, &unknown_program());
                    let below = |(parent, _)| self.tree.find_program(self.tree.within_depth(parent), &program);
                    (unknown.and_then(below), chain)
                }
                ExecPosition::Same(_) | ExecPosition::Child { .. } => return false,
            };
            let uid_known =
                |node| exec.uid.is_none_or(|uid| self.tree.arena.numbered_child(node, Role::Uid, uid).is_some());
            let interpreter_known = |node| self.tree.knows_interpreter(node, &interpreter);
            return found.is_some_and(|(node, _)| {
                self.tree.node(node).is_seen()
                    && self.tree.node(node).has(exec_flags(exec, chain))
                    && uid_known(node)
                    && interpreter_known(node)
            });
        }
        let process = self.lineage.find(id);
        let mut texts = Texts::default();
        if let Some((tried, denial)) = event.attempted(by(process, id), &mut texts) {
            let Some(Position::At(node)) = process.map(|p| p.position) else { return true };
            return tried.all(|one| one.denied(denial).is_none_or(|denied| self.tree.knows(node, &denied)));
        }
        let Ok(what) = event.behaviours(by(process, id), &mut texts) else { return true };
        match process.map(|p| p.position) {
            Some(Position::Setup) => true,
            Some(Position::Lost) => false,
            Some(Position::At(node)) => what.all(|one| self.tree.knows(node, one)),
            Some(Position::Unknown) | None => {
                let unknown = self.tree.find_program(ROOT, &unknown_program());
                unknown.is_some_and(|(node, _)| what.all(|one| self.tree.knows(node, one)))
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
        let pins = self.lineage.places().collect();
        let own = self.tree.arena.tags.get(self.tag).cloned();
        let (tree, went) = self.tree.rebuilt(keep, &pins);
        self.tree = tree;
        // The container itself goes on under its tag, even if no node bears it now.
        if let Some(own) = own {
            self.tag = self.tree.local_tag(&own).unwrap_or_default();
        }
        self.lineage.move_places(|node| went.get(&node).copied().unwrap_or(ROOT));
    }

    /// After growth: processes that were merged into others are followed, and the dead are buried now and then.
    fn settle(&mut self) {
        if !self.tree.arena.moved.is_empty() {
            let moved: HashMap<NodeId, NodeId> = self.tree.arena.moved.drain(..).collect();
            self.lineage.move_places(|node| follow(&moved, node));
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
    fn unknown_within_budget(&mut self) -> Option<NodeId> {
        let budget = self.check_program_budget();
        self.get_or_insert_program(ROOT, &unknown_program(), budget).ok().map(|(id, _, _)| id)
    }
}
