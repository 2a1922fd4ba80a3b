//! Between what is known and what is written: tree to document, document to tree.
//!
//! Reading a document goes through the tree's own growing, so a profile that was written and read is the one that
//! was written, and merging two files is merging two trees.

use super::doc::{CapabilityDoc, DnsDoc, FileDoc, ProcessDoc, SocketDoc, SyscallDoc};
use super::seen::Seen;
use super::time::Time;
use crate::event::{Proto, SocketOp};
use crate::intern::{Full, Interner};
use crate::path::{Sketch, components, is_pattern, labels};
use crate::profile::drift::access_name;
use crate::trace::{capability_name, capability_number, qtype_name, qtype_number, syscall_name};
use crate::tree::{Address, Family, Flags, Kind, NodeId, ProgramKey, ROOT, SocketKey, Span, Tree, TreeFull};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Why a document that is well formed cannot be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// More tags than the process may know, or one that is too long.
    #[error(transparent)]
    Tags(#[from] Full),
    /// More tags than one tree can bear.
    #[error(transparent)]
    Tree(#[from] TreeFull),
    /// A value that no profile has.
    #[error("{place}: {what}")]
    Value {
        /// Where in the document.
        place: String,
        /// What was found and what is allowed.
        what: String,
    },
}

/// The leaves of one process by their kinds.
#[derive(Default)]
pub(super) struct Leaves {
    pub files: Vec<NodeId>,
    pub dns: Vec<NodeId>,
    pub sockets: Vec<NodeId>,
    pub syscalls: Vec<NodeId>,
    pub capabilities: Vec<NodeId>,
}

/// What is written of a pattern beside its text.
#[derive(Default)]
struct PatternDoc {
    distinct: u64,
    exemplars: Vec<String>,
    learned: Vec<u32>,
}

impl TakeError {
    /// The same, of a document that is at `place` in another.
    fn within(self, place: &str) -> Self {
        match self {
            Self::Value { place: inner, what } => Self::Value { place: format!("{place}{inner}"), what },
            other => other,
        }
    }
}

impl Tree {
    /// The processes as they are written: every list in the order the format says.
    pub fn to_docs(&self) -> Vec<ProcessDoc> {
        let hulls = self.hulls();
        // From the leaves up: a process is complete when its children are.
        let mut order = Vec::new();
        let mut stack = self.programs_of(ROOT);
        while let Some(id) = stack.pop() {
            if self.node(id).has(Flags::VISIBLE) {
                order.push(id);
                stack.extend(self.programs_of(id));
            }
        }
        let mut children: HashMap<NodeId, Vec<ProcessDoc>> = HashMap::new();
        for id in order.into_iter().rev() {
            let mut below = children.remove(&id).unwrap_or_default();
            sort_processes(&mut below);
            let hull = hulls.get(&id).map(Vec::as_slice).unwrap_or_default();
            let doc = self.process_doc(id, self.seen_doc(hull.iter().copied()), below);
            children.entry(self.parent_process(id)).or_default().push(doc);
        }
        let mut roots = children.remove(&ROOT).unwrap_or_default();
        sort_processes(&mut roots);
        roots
    }

    /// For every tag the hull of everything that bears it.
    pub fn tag_spans(&self) -> BTreeMap<String, Span> {
        let mut spans: BTreeMap<String, Span> = BTreeMap::new();
        for (tag, span) in self.hulls().get(&ROOT).map(Vec::as_slice).unwrap_or_default() {
            if let Some(text) = self.tag_text(*tag) {
                spans.insert(text.to_owned(), *span);
            }
        }
        spans
    }

    pub(super) fn seen_doc(&self, records: impl Iterator<Item = (u16, Span)>) -> Seen {
        records
            .filter_map(|(tag, span)| Some((self.tag_text(tag)?.to_owned(), [Time(span.first), Time(span.last)])))
            .collect()
    }

    fn leaf_seen(&self, id: NodeId) -> Seen {
        self.seen(id).map(|(tag, s)| (tag.text().to_owned(), [Time(s.first), Time(s.last)])).collect()
    }

    fn process_doc(&self, id: NodeId, seen: Seen, children: Vec<ProcessDoc>) -> ProcessDoc {
        let leaves = self.sorted_leaves(id);
        ProcessDoc {
            files: leaves.files.iter().map(|leaf| self.file_doc(*leaf)).collect(),
            dns: leaves.dns.iter().map(|leaf| self.dns_doc(*leaf)).collect(),
            sockets: leaves.sockets.iter().map(|leaf| self.socket_doc(*leaf)).collect(),
            syscalls: leaves.syscalls.iter().map(|leaf| self.syscall_doc(*leaf)).collect(),
            capabilities: leaves.capabilities.iter().map(|leaf| self.capability_doc(*leaf)).collect(),
            children,
            ..self.process_head(id, seen)
        }
    }

    /// A process without what is below it.
    pub(super) fn process_head(&self, id: NodeId, seen: Seen) -> ProcessDoc {
        let node = self.node(id);
        let path = self.leaf_text(id);
        let ProgramKey { argv0, argv } = self.program_key(id);
        let PatternDoc { distinct, exemplars, learned } = self.pattern_doc(id, &path);
        let mut interpreters: Vec<String> = self.interpreters(id).map(str::to_owned).collect();
        interpreters.sort_unstable();
        let mut uids: Vec<u32> = self.numbers(id, Kind::Uid).collect();
        uids.sort_unstable();
        ProcessDoc {
            pattern: is_pattern(&path),
            path,
            distinct,
            exemplars,
            learned,
            argv0,
            argv,
            exec_chain: node.has(Flags::EXEC_CHAIN),
            interpreters,
            fileless: node.has(Flags::FILELESS),
            upper_layer: node.has(Flags::UPPER_LAYER),
            uids,
            seen,
            ..ProcessDoc::default()
        }
    }

    /// What processes are sorted by.
    pub(super) fn process_order(&self, id: NodeId) -> impl Ord + use<> {
        let ProgramKey { argv0, argv } = self.program_key(id);
        (self.leaf_text(id), argv0, argv)
    }

    /// The leaves of a process, each kind in the order in which it is written.
    pub(super) fn sorted_leaves(&self, process: NodeId) -> Leaves {
        let mut leaves = Leaves { files: self.sorted_files(process), ..Leaves::default() };
        let mut stack: Vec<NodeId> = self.children(process).collect();
        while let Some(id) = stack.pop() {
            let node = self.node(id);
            let list = match node.kind() {
                Kind::Process | Kind::ExecPath | Kind::FilePath => continue,
                Kind::DnsLabel => &mut leaves.dns,
                Kind::UnixPath | Kind::Peer => &mut leaves.sockets,
                Kind::Syscall => &mut leaves.syscalls,
                Kind::Capability => &mut leaves.capabilities,
                Kind::Root | Kind::Sockets | Kind::Uid | Kind::Qtype | Kind::Interpreter => {
                    stack.extend(self.children(id));
                    continue;
                }
            };
            if node.is_seen() {
                list.push(id);
            }
            stack.extend(self.children(id));
        }
        leaves.dns.sort_by_cached_key(|leaf| self.leaf_text(*leaf));
        leaves.sockets.sort_by_cached_key(|leaf| {
            let SocketKey { op, family, proto, port, .. } = self.socket_key(*leaf);
            (op.name(), family.name(), proto.map(Proto::name), self.leaf_text(*leaf), port)
        });
        leaves.syscalls.sort_by_cached_key(|leaf| (syscall_text(self.node(*leaf).name), self.node(*leaf).name));
        let capability = |leaf: &NodeId| self.node(*leaf).name;
        leaves.capabilities.sort_by_cached_key(|leaf| {
            (capability_name((capability(leaf) / 2) as u8).into_owned(), capability(leaf) % 2 == 1)
        });
        leaves
    }

    /// The files of a process in the order of their paths, which are not spelled out for it: one directory after the
    /// other. A directory is sorted with the slash behind its name, since `a-b` comes before `a/b`.
    fn sorted_files(&self, process: NodeId) -> Vec<NodeId> {
        const DIRECTORY: NodeId = 1 << 31;
        let bytes = |entry: NodeId| {
            let slash = (entry & DIRECTORY != 0).then_some(b'/');
            self.component(entry & !DIRECTORY).bytes().chain(slash)
        };
        let entries = |of: NodeId| {
            let mut entries = Vec::new();
            for id in self.children(of).filter(|id| self.node(*id).kind() == Kind::FilePath) {
                entries.extend(self.node(id).is_seen().then_some(id));
                entries.extend(
                    self.children(id).any(|id| self.node(id).kind() == Kind::FilePath).then_some(id | DIRECTORY),
                );
            }
            // The last one is done first.
            entries.sort_unstable_by(|a, b| bytes(*b).cmp(bytes(*a)));
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

    pub(super) fn file_doc(&self, leaf: NodeId) -> FileDoc {
        let path = self.leaf_text(leaf);
        let PatternDoc { distinct, exemplars, learned } = self.pattern_doc(leaf, &path);
        let (pattern, access) = (is_pattern(&path), access_name(self.node(leaf).flags()).to_owned());
        FileDoc { path, access, pattern, distinct, exemplars, learned, seen: self.leaf_seen(leaf) }
    }

    pub(super) fn dns_doc(&self, leaf: NodeId) -> DnsDoc {
        let name = self.leaf_text(leaf);
        let PatternDoc { distinct, exemplars, learned } = self.pattern_doc(leaf, &name);
        let mut qtypes: Vec<String> =
            self.numbers(leaf, Kind::Qtype).map(|n| qtype_name(n as u16).into_owned()).collect();
        qtypes.sort_unstable();
        let pattern = is_pattern(&name);
        DnsDoc { name, qtypes, pattern, distinct, exemplars, learned, seen: self.leaf_seen(leaf) }
    }

    pub(super) fn socket_doc(&self, leaf: NodeId) -> SocketDoc {
        let kind = self.node(leaf).kind();
        let key = self.socket_key(leaf);
        let addr = self.leaf_text(leaf);
        let PatternDoc { distinct, exemplars, learned } = self.pattern_doc(leaf, &addr);
        let wide = kind == Kind::Peer && !matches!(self.address(leaf), Address::Host(_));
        SocketDoc {
            op: key.op.name().to_owned(),
            family: key.family.name().to_owned(),
            proto: key.proto.map(|p| p.name().to_owned()),
            pattern: wide || (kind == Kind::UnixPath && is_pattern(&addr)),
            addr,
            port: key.port,
            distinct,
            exemplars,
            learned,
            seen: self.leaf_seen(leaf),
        }
    }

    pub(super) fn syscall_doc(&self, leaf: NodeId) -> SyscallDoc {
        let nr = self.node(leaf).name;
        SyscallDoc { name: syscall_text(nr), nr, seen: self.leaf_seen(leaf) }
    }

    pub(super) fn capability_doc(&self, leaf: NodeId) -> CapabilityDoc {
        let number = self.node(leaf).name;
        let name = capability_name((number / 2) as u8).into_owned();
        CapabilityDoc { name, used: number % 2 == 1, seen: self.leaf_seen(leaf) }
    }

    fn numbers(&self, id: NodeId, kind: Kind) -> impl Iterator<Item = u32> {
        self.children(id).map(|child| self.node(child)).filter(move |n| n.kind() == kind).map(|n| n.name)
    }

    /// How many names a pattern stands for, and some of them: what comes below the directory where it begins.
    fn pattern_doc(&self, id: NodeId, path: &str) -> PatternDoc {
        let mut doc = PatternDoc::default();
        let kind = match self.node(id).kind() {
            Kind::Process => Kind::ExecPath,
            kind => kind,
        };
        if !kind.is_path() || !is_pattern(path) {
            return doc;
        }
        if let Some(sketch) = self.sketch_of(id) {
            let prefix = fixed_prefix(kind, path);
            let names = sketch.exemplars().into_iter();
            doc.distinct = sketch.distinct();
            doc.exemplars = names.map(|name| name.strip_prefix(prefix).unwrap_or(name).to_owned()).collect();
        }
        let leaf = if kind == Kind::ExecPath { self.node(id).parent } else { id };
        let told = learned(kind, path, &doc.exemplars, &[]);
        let names = self.names_of(leaf).into_iter().zip(told).enumerate();
        doc.learned = names.filter(|(_, ((_, own), (_, told)))| *own && !told).map(|(i, _)| i as u32).collect();
        doc
    }

    /// Adds a process as a document states it, and all below it.
    ///
    /// # Errors
    /// Names the place in the document, `place` being that of `doc` itself.
    pub fn take_doc(&mut self, doc: &ProcessDoc, place: &str, interner: &Interner) -> Result<(), TakeError> {
        let taken = self.take_one(ROOT, doc, interner);
        let process = taken.map_err(|error| error.within(place))?;
        // Processes are done one after the other with all that is below them: see `Tree::merge`. Where each is in the
        // document is put together only when one is at fault: a deep one has a long way, and there may be millions.
        let mut open = vec![(process, doc.children.iter().enumerate())];
        let mut indices = Vec::new();
        while let Some((parent, rest)) = open.last_mut() {
            let Some((i, child)) = rest.next() else {
                open.pop();
                indices.pop();
                continue;
            };
            indices.push(i);
            let process = self.take_one(*parent, child, interner).map_err(|error| {
                let below: String = indices.iter().map(|i| format!(".children[{i}]")).collect();
                error.within(&format!("{place}{below}"))
            })?;
            open.push((process, child.children.iter().enumerate()));
        }
        Ok(())
    }

    /// Adds a process without those below it. Errors have their place within it.
    fn take_one(&mut self, parent: NodeId, doc: &ProcessDoc, interner: &Interner) -> Result<NodeId, TakeError> {
        let sketch = sketch_from(Kind::ExecPath, &doc.path, &doc.exemplars, doc.distinct);
        let names = learned(Kind::ExecPath, &doc.path, &doc.exemplars, &doc.learned);
        let key = ProgramKey { argv0: doc.argv0.clone(), argv: doc.argv.clone() };
        let process = self.take_process(parent, &names, &key, sketch.as_ref());
        let flags = [
            (doc.exec_chain, Flags::EXEC_CHAIN),
            (doc.fileless, Flags::FILELESS),
            (doc.upper_layer, Flags::UPPER_LAYER),
        ];
        self.take_flags(process, flags);
        self.stamp_doc(process, process, &doc.seen, interner)?;
        for uid in &doc.uids {
            self.take_number(process, Kind::Uid, *uid);
        }
        for interpreter in &doc.interpreters {
            self.keep_interpreter(process, interpreter);
        }
        self.take_leaf_docs(process, doc, interner)?;
        Ok(process)
    }

    fn take_leaf_docs(&mut self, process: NodeId, doc: &ProcessDoc, interner: &Interner) -> Result<(), TakeError> {
        for (i, file) in doc.files.iter().enumerate() {
            let names = learned(Kind::FilePath, &file.path, &file.exemplars, &file.learned);
            let sketch = sketch_from(Kind::FilePath, &file.path, &file.exemplars, file.distinct);
            let leaf = self.take_path(process, Kind::FilePath, &names, sketch.as_ref());
            let (read, write) = match file.access.as_str() {
                "r" => (true, false),
                "w" => (false, true),
                "rw" => (true, true),
                other => {
                    return Err(value(format!(".files[{i}].access"), format!("`{other}`, expected r, w or rw")));
                }
            };
            self.take_flags(leaf, [(read, Flags::READ), (write, Flags::WRITE)]);
            self.stamp_doc(process, leaf, &file.seen, interner)?;
        }
        for (i, dns) in doc.dns.iter().enumerate() {
            let names = learned(Kind::DnsLabel, &dns.name, &dns.exemplars, &dns.learned);
            let sketch = sketch_from(Kind::DnsLabel, &dns.name, &dns.exemplars, dns.distinct);
            let leaf = self.take_path(process, Kind::DnsLabel, &names, sketch.as_ref());
            for qtype in &dns.qtypes {
                let number = qtype_number(qtype)
                    .ok_or_else(|| value(format!(".dns[{i}].qtypes"), format!("unknown type `{qtype}`")))?;
                self.take_number(leaf, Kind::Qtype, u32::from(number));
            }
            self.stamp_doc(process, leaf, &dns.seen, interner)?;
        }
        for (i, socket) in doc.sockets.iter().enumerate() {
            let leaf = self.take_socket(process, socket, &format!(".sockets[{i}]"))?;
            self.stamp_doc(process, leaf, &socket.seen, interner)?;
        }
        for call in &doc.syscalls {
            let leaf = self.take_number(process, Kind::Syscall, call.nr);
            self.stamp_doc(process, leaf, &call.seen, interner)?;
        }
        for (i, cap) in doc.capabilities.iter().enumerate() {
            let number = capability_number(&cap.name).ok_or_else(|| {
                value(format!(".capabilities[{i}].name"), format!("unknown capability `{}`", cap.name))
            })?;
            let leaf = self.take_number(process, Kind::Capability, u32::from(number) * 2 + u32::from(cap.used));
            self.stamp_doc(process, leaf, &cap.seen, interner)?;
        }
        Ok(())
    }

    fn take_socket(&mut self, process: NodeId, doc: &SocketDoc, place: &str) -> Result<NodeId, TakeError> {
        let bad =
            |field: &str, given: &str| value(format!("{place}.{field}"), format!("`{given}` is not one that is known"));
        let op = match doc.op.as_str() {
            "bind" => SocketOp::Bind,
            "connect" => SocketOp::Connect,
            other => return Err(bad("op", other)),
        };
        let family = match doc.family.as_str() {
            "inet" => Family::Inet,
            "inet6" => Family::Inet6,
            "unix" => Family::Unix,
            other => return Err(bad("family", other)),
        };
        let proto = match doc.proto.as_deref() {
            None => None,
            Some("tcp") => Some(Proto::Tcp),
            Some("udp") => Some(Proto::Udp),
            Some(other) => return Err(bad("proto", other)),
        };
        let key = SocketKey::new(op, family, proto, doc.port);
        if family == Family::Unix {
            let names = learned(Kind::UnixPath, &doc.addr, &doc.exemplars, &doc.learned);
            let sketch = sketch_from(Kind::UnixPath, &doc.addr, &doc.exemplars, doc.distinct);
            return Ok(self.take_unix(process, key, &names, sketch.as_ref()));
        }
        let address = if doc.addr == "*" {
            Address::Any
        } else if let Ok(ip) = doc.addr.parse() {
            Address::Host(ip)
        } else {
            Address::Network(doc.addr.parse().map_err(|_| bad("addr", &doc.addr))?)
        };
        if address.is_ipv6() != (family == Family::Inet6) && address != Address::Any {
            return Err(value(format!("{place}.addr"), format!("`{}` is not of family {}", doc.addr, doc.family)));
        }
        Ok(self.take_peer(process, key, address))
    }

    fn stamp_doc(&mut self, process: NodeId, leaf: NodeId, seen: &Seen, interner: &Interner) -> Result<(), TakeError> {
        for (tag, [first, last]) in seen {
            if first > last {
                return Err(value(".seen".to_owned(), format!("`{tag}` was last seen before it was first seen")));
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

/// The name of a system call; of one that has none here, its number says all there is.
pub(super) fn syscall_text(nr: u32) -> String {
    syscall_name(nr).map_or_else(|| format!("syscall_{nr}"), str::to_owned)
}

fn value(place: String, what: String) -> TakeError {
    TakeError::Value { place, what }
}

fn sort_processes(list: &mut [ProcessDoc]) {
    list.sort_by(|a, b| (&a.path, &a.argv0, &a.argv).cmp(&(&b.path, &b.argv0, &b.argv)));
}

/// What a path and all its exemplars have in common: up to the directory in which generalising begins.
fn fixed_prefix(kind: Kind, path: &str) -> &str {
    if kind == Kind::DnsLabel {
        return "";
    }
    let mut end = 0;
    for part in path.split_inclusive('/') {
        if is_pattern(part) {
            break;
        }
        end += part.len();
    }
    path.get(..end).unwrap_or_default()
}

/// The sample that was written, taken again: what a profile says that was written before samples were taken as they are
/// now is a sample of a sample, and only `distinct` says of how many.
fn sketch_from(kind: Kind, path: &str, exemplars: &[String], distinct: u64) -> Option<Sketch> {
    if exemplars.is_empty() {
        return None;
    }
    let prefix = fixed_prefix(kind, path);
    let mut sketch = Sketch::default();
    for name in exemplars {
        sketch.insert(&format!("{prefix}{name}"));
    }
    sketch.tell(distinct);
    Some(sketch)
}

/// The components of a written path, and which of them are learned patterns: those that an exemplar spells out, and
/// those that are `told`. A wildcard that all exemplars have as it is was put there by normalising, unless it is told:
/// a pattern that stands for `*` and for other names is a learned one, and its exemplars may all be of the former.
fn learned<'a>(kind: Kind, path: &'a str, exemplars: &[String], told: &[u32]) -> Vec<(&'a str, bool)> {
    let prefix = fixed_prefix(kind, path);
    let told: HashSet<u32> = told.iter().copied().collect();
    let is_told = |i: usize| u32::try_from(i).is_ok_and(|i| told.contains(&i));
    let mut names: Vec<_> =
        split(kind, path).enumerate().map(|(i, name)| (name, is_pattern(name) && is_told(i))).collect();
    // One after the other: a long path may have many.
    for exemplar in exemplars {
        let full = format!("{prefix}{exemplar}");
        for ((name, is_learned), part) in names.iter_mut().zip(split(kind, &full)) {
            *is_learned |= is_pattern(name) && part != *name;
        }
    }
    names
}

fn split(kind: Kind, text: &str) -> Box<dyn Iterator<Item = &str> + '_> {
    if kind == Kind::DnsLabel { Box::new(labels(text)) } else { Box::new(components(text)) }
}
