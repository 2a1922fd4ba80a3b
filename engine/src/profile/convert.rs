//! Between what is known and what is written: tree to document, document to tree.
//!
//! Reading a document goes through the tree's own growing, so a profile that was written and read is the one that
//! was written, and merging two files is merging two trees.

use super::doc::{ProcessDoc, TreeProcess, VisitLists};
use crate::behaviour::{BehaviourKey, Entry, InvalidField, Kind, Pattern, Scope, Seen};
use crate::hash::NumberMap;
use crate::intern::{Full, Interner};
use crate::path::{Sketch, is_pattern};
use crate::time::Time;
use crate::tree::{Flags, NodeId, ProgramKey, ROOT, Role, Span, Tree, TreeFull, fixed_prefix, learned};
use std::collections::BTreeMap;

/// Why a document that is well formed cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// More tags than the process may know, or one that is too long.
    #[error(transparent)]
    Tags(#[from] Full),
    /// More tags than one tree can bear.
    #[error(transparent)]
    Tree(#[from] TreeFull),
    /// A value that no profile has.
    #[error("{place}: {what}")]
    Value {
        /// The path of the field in the document.
        place: String,
        /// What was found and what is allowed.
        what: String,
    },
}

/// What processes have seen, by the tree's own tags: see [`Tree::hulls`].
pub(super) type Hulls = NumberMap<NodeId, Vec<(u16, Span)>>;

impl Tree {
    /// The processes as they are written, each before those it started, with every list in the order the format says.
    pub fn to_docs(&self) -> Vec<ProcessDoc> {
        self.process_docs(&self.hulls())
    }

    /// As [`to_docs`](Self::to_docs), with the hulls at hand.
    pub(super) fn process_docs(&self, hulls: &Hulls) -> Vec<ProcessDoc> {
        let written = self.written_programs().into_iter();
        written.map(|(id, parent)| self.process_doc(id, parent, hulls).into_doc()).collect()
    }

    /// For every tag the hull of everything that bears it.
    pub(super) fn tag_spans(&self, hulls: &Hulls) -> BTreeMap<String, Span> {
        let all = hulls.get(&ROOT).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|(tag, span)| Some((self.tag_text(*tag)?.as_ref().to_owned(), *span))).collect()
    }

    /// A process as it is written.
    pub(super) fn process_doc(&self, id: NodeId, parent: Option<u32>, hulls: &Hulls) -> TreeProcess<'_> {
        let node = self.node(id);
        let hull = hulls.get(&id).map(Vec::as_slice).unwrap_or_default();
        let spans = hull.iter().filter_map(|(tag, s)| Some((self.tag_text(*tag)?, [Time(s.first), Time(s.last)])));
        let path = self.leaf_text(id);
        let ProgramKey { argv0, argv } = self.program_key(id);
        let pattern = self.pattern_of(id, &path);
        let mut interpreters: Vec<String> = self.texts(id).map(str::to_owned).collect();
        interpreters.sort_unstable();
        let uids = self.children(id).map(|child| self.node(child)).filter(|node| node.role() == Role::Uid);
        let mut uids: Vec<u32> = uids.map(|node| node.name).collect();
        uids.sort_unstable();
        TreeProcess {
            parent,
            pattern: is_pattern(&path),
            path,
            distinct: pattern.distinct,
            exemplars: pattern.exemplars,
            learned: pattern.learned,
            argv0,
            argv,
            exec_chain: node.has(Flags::EXEC_CHAIN),
            interpreters,
            fileless: node.has(Flags::FILELESS),
            upper_layer: node.has(Flags::UPPER_LAYER),
            uids,
            seen: Seen::of_shared(spans),
            ..TreeProcess::new(self, id)
        }
    }

    /// The leaves of a process by kind, files in the order of their paths.
    pub(super) fn leaves_by_kind(&self, process: NodeId) -> LeavesByKind {
        let mut leaves = LeavesByKind::default();
        *leaves.of(Kind::File) = self.sorted_files(process);
        let mut stack: Vec<NodeId> = self.children(process).collect();
        while let Some(id) = stack.pop() {
            let node = self.node(id);
            if matches!(node.role(), Role::Process | Role::ExecPath | Role::FilePath) || node.role().gathers() {
                continue;
            }
            if let (true, Some(kind)) = (node.is_seen(), self.kind(id)) {
                leaves.of(kind).push(id);
            }
            stack.extend(self.children(id));
        }
        leaves
    }

    /// The files of a process in the order of their paths, which are not spelled out for it: one directory after the
    /// other. A directory is sorted with the slash behind its name, since `a-b` comes before `a/b`.
    fn sorted_files(&self, process: NodeId) -> Vec<NodeId> {
        const DIRECTORY: NodeId = 1 << 31;
        let name = |entry: NodeId| (self.component_bytes(entry & !DIRECTORY), entry & DIRECTORY != 0);
        let in_order = |a: NodeId, b: NodeId| {
            let ((a, a_is_directory), (b, b_is_directory)) = (name(a), name(b));
            let both = a.len().min(b.len());
            // One of them has ended there. Should what follows be a slash in both, the longer name comes behind.
            let rest = |name: &[u8], is_directory: bool| {
                let next = name.get(both).copied();
                (next.or(is_directory.then_some(b'/')), next.is_some())
            };
            a.get(..both).cmp(&b.get(..both)).then_with(|| rest(a, a_is_directory).cmp(&rest(b, b_is_directory)))
        };
        let is_file = |id: &NodeId| self.node(*id).role() == Role::FilePath;
        let entries = |of: NodeId| {
            let mut entries = Vec::new();
            for id in self.children(of).filter(is_file) {
                entries.extend(self.node(id).is_seen().then_some(id));
                entries.extend(self.children(id).any(|id| is_file(&id)).then_some(id | DIRECTORY));
            }
            // The last one is done first.
            entries.sort_unstable_by(|a, b| in_order(*b, *a));
            entries
        };
        let mut sorted = Vec::new();
        let mut open = entries(process);
        while let Some(entry) = open.pop() {
            if entry & DIRECTORY == 0 {
                sorted.push(entry);
            } else {
                open.append(&mut entries(entry & !DIRECTORY));
            }
        }
        sorted
    }

    /// Adds the processes that a document states.
    ///
    /// # Errors
    /// Names the place in the document.
    pub fn import_docs(&mut self, docs: &[ProcessDoc], interner: &Interner) -> Result<(), ImportError> {
        // Processes are done one after the other with all that is below them, as in `Tree::merge`, if the list is in the
        // order in which it is written. In any other a process may be merged into a sibling before its children come.
        let mut taken: Vec<NodeId> = Vec::with_capacity(docs.len());
        for (index, doc) in docs.iter().enumerate() {
            let parent = match doc.parent {
                None => ROOT,
                Some(parent) => *taken.get(parent as usize).ok_or_else(|| ImportError::Value {
                    place: format!("processes[{index}].parent"),
                    what: format!("{parent} is no process before this one"),
                })?,
            };
            let process = self.import_process_doc(parent, doc, interner).map_err(|error| match error {
                ImportError::Value { place, what } => {
                    ImportError::Value { place: format!("processes[{index}].{place}"), what }
                }
                other => other,
            })?;
            taken.push(process);
            let moved = self.drain_moved();
            if !moved.is_empty() {
                taken.iter_mut().for_each(|id| {
                    while let Some(to) = moved.get(id) {
                        *id = *to;
                    }
                });
            }
        }
        Ok(())
    }

    /// Adds a process without those that it started. Errors have their place within it.
    fn import_process_doc(
        &mut self,
        parent: NodeId,
        doc: &ProcessDoc,
        interner: &Interner,
    ) -> Result<NodeId, ImportError> {
        let sketch = sketch_from(false, &doc.path, &doc.exemplars, doc.distinct);
        let names = learned(false, &doc.path, &doc.exemplars, &doc.learned);
        let key = ProgramKey { argv0: doc.argv0.clone(), argv: doc.argv.clone() };
        let process = self.import_process(parent, &names, &key, sketch.as_ref());
        let flags = [
            (doc.exec_chain, Flags::EXEC_CHAIN),
            (doc.fileless, Flags::FILELESS),
            (doc.upper_layer, Flags::UPPER_LAYER),
        ];
        self.import_flags(process, flags);
        self.stamp_doc(process, process, &doc.seen, interner)?;
        for uid in &doc.uids {
            self.import_uid(process, *uid);
        }
        for interpreter in &doc.interpreters {
            self.keep_text(process, interpreter);
        }
        doc.visit(&mut Importer { tree: self, process, interner })?;
        Ok(process)
    }

    fn stamp_doc(
        &mut self,
        process: NodeId,
        leaf: NodeId,
        seen: &Seen,
        interner: &Interner,
    ) -> Result<(), ImportError> {
        for (tag, [first, last]) in seen.iter() {
            if first > last {
                let what = format!("`{tag}` was last seen before it was first seen");
                return Err(ImportError::Value { place: "seen".to_owned(), what });
            }
            let local = match self.tag_named(tag) {
                Some(local) => local,
                None => self.local_tag(&interner.intern(tag)?)?,
            };
            self.stamp_leaf(process, leaf, local, Span { first: first.0, last: last.0 });
        }
        Ok(())
    }
}

/// The leaves of a process by kind.
#[derive(Default)]
pub(super) struct LeavesByKind([Vec<NodeId>; Kind::ALL.len()]);

impl LeavesByKind {
    #[allow(clippy::indexing_slicing)] // there is one for each
    pub(super) fn of(&mut self, kind: Kind) -> &mut Vec<NodeId> {
        &mut self.0[kind as usize]
    }
}

/// Takes in a process's lists.
struct Importer<'a> {
    tree: &'a mut Tree,
    process: NodeId,
    interner: &'a Interner,
}

impl VisitLists for Importer<'_> {
    type Error = ImportError;

    fn list<E: Entry>(&mut self, name: &'static str, list: &[E]) -> Result<(), ImportError> {
        let mut text = String::new();
        for (index, entry) in list.iter().enumerate() {
            let flawed = |InvalidField { field, detail }| ImportError::Value {
                place: format!("{name}[{index}].{field}"),
                what: detail,
            };
            let what = entry.behaviour(&mut text).map_err(flawed)?;
            let (names, sketch) = match (what.key, entry.pattern()) {
                (BehaviourKey::Name(scope, name), Some(Pattern { exemplars, learned: reported, distinct, .. })) => {
                    let dns = matches!(scope, Scope::Dns);
                    (Some(learned(dns, name, exemplars, reported)), sketch_from(dns, name, exemplars, distinct))
                }
                _ => (None, None),
            };
            let leaf = self.tree.import_behaviour(self.process, &what, names, sketch.as_ref());
            self.tree.stamp_doc(self.process, leaf, entry.seen(), self.interner)?;
        }
        Ok(())
    }
}

/// The sample that was written, taken again: what a profile says that was written before samples were taken as they are
/// now is a sample of a sample, and only `distinct` says of how many.
fn sketch_from(dns: bool, path: &str, exemplars: &[String], distinct: u64) -> Option<Sketch> {
    if exemplars.is_empty() {
        return None;
    }
    let prefix = fixed_prefix(dns, path);
    let mut sketch = Sketch::default();
    for name in exemplars {
        sketch.insert(&format!("{prefix}{name}"));
    }
    sketch.raise_to(distinct);
    Some(sketch)
}
