//! Drift: what a container does that the profile of its image does not have.
//!
//! A [`Checker`] follows one container's processes by the very rules that learning uses, but its programs are those
//! of the profile; nothing is learned. Each distinct behaviour is one [`Finding`], counted.

use super::convert::syscall_text;
use crate::event::{Body, EventRef, Exec, syscall_numbers};
use crate::ledger::{Fate, Ignored};
use crate::trace::{capability_name, qtype_name};
use crate::tree::{
    Behaviour, ExecPlace, Flags, Kind, Lineage, NodeId, Pid, Place, Program, ROOT, Rules, Tree, behaviour,
    exec_program, unknown_program,
};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// The profiles to compare with, by image.
pub type Baselines = HashMap<String, Arc<Tree>>;

/// Findings kept for one container; beyond them only their number is.
const FINDINGS_MAX: usize = 65_536;

/// A behaviour that the profile does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When it was first done: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Container id.
    pub container: String,
    /// Image name.
    pub image: String,
    /// Image tag.
    pub tag: String,
    /// `exec`, `uid`, `open`, `connect`, `bind`, `dns`, `syscall` or `capability`.
    pub kind: &'static str,
    /// Why it is reported.
    pub reason: Reason,
    /// The first process that did it.
    pub pid: u32,
    /// The programs that led there, the one that did it last. For an exec: those above the new program.
    pub lineage: Vec<String>,
    /// Path, name, `address:port`, or the name of the system call or capability.
    pub subject: String,
    /// Of an open: `r`, `w` or `rw`. Of a connect or bind: the transport. Of a DNS question: its type.
    #[serde(flatten)]
    pub detail: Detail,
    /// How often.
    pub count: u64,
}

/// What a finding says beside its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Detail {
    /// How a file was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<&'static str>,
    /// Transport of a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<&'static str>,
    /// Type of a DNS question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtype: Option<String>,
    /// The name that a multi-call binary was called by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv0: Option<String>,
    /// The arguments, where they are identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
}

/// Why a behaviour is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A known process did a new thing.
    NewBehaviour,
    /// The process is of a lineage that is not known.
    NewProcess,
    /// A program without a file was run.
    FilelessExec,
    /// A program was run that was written after the image was built.
    UpperLayerExec,
}

impl Finding {
    /// By time; what happened at one time by container, kind and subject.
    pub fn cmp_order(&self, other: &Self) -> Ordering {
        let key =
            |f: &Self| (f.ts, f.container.clone(), f.kind, f.subject.clone(), f.detail.clone(), f.lineage.clone());
        key(self).cmp(&key(other))
    }
}

/// What stands for a program: one of the profile, or one that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ran {
    Known(NodeId),
    Novel(u32),
}

/// A program that the profile does not have.
#[derive(Clone, Debug)]
struct Novel {
    parent: Option<Ran>,
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    by: Option<Ran>,
    kind: &'static str,
    reason: Reason,
    subject: String,
    detail: Detail,
}

/// Compares one container's events with a profile.
pub struct Checker {
    baseline: Arc<Tree>,
    lineage: Lineage<Ran>,
    novel: Vec<Novel>,
    novel_by_identity: HashMap<(Option<Ran>, String), u32>,
    found: HashMap<Key, Finding>,
    suppressed: u64,
    container: String,
    image: Arc<str>,
    tag: Arc<str>,
    text: String,
}

impl Checker {
    /// A checker of one container against the profile of its image.
    pub fn new(baseline: Arc<Tree>, rules: &Rules, container: &[u8], image: &Arc<str>, tag: &Arc<str>) -> Self {
        Self {
            baseline,
            lineage: Lineage::new(rules.processes_max),
            novel: Vec::new(),
            novel_by_identity: HashMap::new(),
            found: HashMap::new(),
            suppressed: 0,
            container: String::from_utf8_lossy(container).into_owned(),
            image: image.clone(),
            tag: tag.clone(),
            text: String::new(),
        }
    }

    /// What was found, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.found.values().cloned().collect();
        findings.sort_by(Finding::cmp_order);
        findings
    }

    /// Distinct findings that were not kept, because a container has 65,536 at most.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        self.lineage.heap_bytes()
            + self.novel.iter().map(|n| size_of::<Novel>() + n.path.len()).sum::<usize>()
            + self.found.len() * (size_of::<Key>() + size_of::<Finding>())
    }

    /// The container is gone, and its processes with it.
    pub fn forget_processes(&mut self) {
        self.lineage.clear();
    }

    /// Compares one event. [`Fate::New`] is drift, [`Fate::Known`] none.
    pub fn check(&mut self, event: &EventRef<'_>) -> Fate {
        let id = Pid { pid: event.pid, start: event.start };
        match &event.body {
            Body::ContainerStart { .. } | Body::ContainerStop => Fate::Lifecycle,
            Body::Missed { cause, .. } => Fate::missed(cause),
            Body::Fork { ppid } => {
                let unknown = self.unknown();
                if self.lineage.fork(id, *ppid, || unknown) {
                    Fate::Ignored(Ignored::RuntimeSetup)
                } else {
                    Fate::Lifecycle
                }
            }
            Body::Exit => {
                if self.lineage.exit(id) {
                    Fate::Ignored(Ignored::RuntimeSetup)
                } else {
                    Fate::Lifecycle
                }
            }
            Body::Exec(exec) => self.exec(event, id, exec),
            _ => self.behave(event, id),
        }
    }

    fn unknown(&mut self) -> Ran {
        let program = unknown_program();
        match self.baseline.find_program(ROOT, &program) {
            Some((node, _)) => Ran::Known(node),
            None => self.novel(None, &program),
        }
    }

    fn novel(&mut self, parent: Option<Ran>, program: &Program) -> Ran {
        let key = (parent, program.identity());
        if let Some(index) = self.novel_by_identity.get(&key) {
            return Ran::Novel(*index);
        }
        // Lineages of unknown programs are bounded like all else: past the bound the last one stands for the rest.
        if self.novel.len() >= FINDINGS_MAX {
            return Ran::Novel(FINDINGS_MAX as u32 - 1);
        }
        let index = self.novel.len() as u32;
        self.novel.push(Novel { parent, path: program.path.clone() });
        self.novel_by_identity.insert(key, index);
        Ran::Novel(index)
    }

    fn behave(&mut self, event: &EventRef<'_>, id: Pid) -> Fate {
        let process = self.lineage.touch(id);
        let place = process.map(|p| p.place);
        if place == Some(Place::Setup) {
            return Fate::Ignored(Ignored::RuntimeSetup);
        }
        let cwd = process.and_then(|p| p.cwd.as_deref());
        let mut text = std::mem::take(&mut self.text);
        let fate = match behaviour(event, cwd, &mut text) {
            Ok(what) => {
                let ran = match place {
                    Some(Place::At(ran)) => ran,
                    _ => {
                        let unknown = self.unknown();
                        self.lineage.meet(id, unknown);
                        unknown
                    }
                };
                self.compare(event, ran, &what)
            }
            Err(fate) => fate,
        };
        self.text = text;
        fate
    }

    fn compare(&mut self, event: &EventRef<'_>, ran: Ran, what: &Behaviour<'_>) -> Fate {
        let reason = match ran {
            Ran::Known(node) if self.baseline.knows(node, what) => return Fate::Known,
            Ran::Known(_) => Reason::NewBehaviour,
            Ran::Novel(_) => Reason::NewProcess,
        };
        let mut detail = Detail::default();
        let (kind, subject) = match what {
            Behaviour::File { path, access } => {
                detail.access = Some(access_name(*access));
                ("open", (*path).to_owned())
            }
            Behaviour::Dns { name, qtype } => {
                detail.qtype = Some(qtype_name(*qtype).into_owned());
                ("dns", name.clone())
            }
            Behaviour::Internet { key, address } => {
                detail.proto = key.proto.map(crate::event::Proto::name);
                let subject = if address.is_ipv6() {
                    format!("[{address}]:{}", key.port)
                } else {
                    format!("{address}:{}", key.port)
                };
                (key.op.name(), subject)
            }
            Behaviour::Unix { key, path } => (key.op.name(), (*path).to_owned()),
            Behaviour::Capability(cap) => ("capability", capability_name((cap / 2) as u8).into_owned()),
            Behaviour::Syscalls(nrs) => {
                for nr in syscall_numbers(nrs) {
                    let known = matches!(ran, Ran::Known(node) if self.baseline.knows(node, &Behaviour::Syscalls(&nr.to_le_bytes())));
                    if !known {
                        self.report(event, Some(ran), "syscall", reason, syscall_text(nr), Detail::default());
                    }
                }
                return Fate::New;
            }
        };
        self.report(event, Some(ran), kind, reason, subject, detail);
        Fate::New
    }

    fn exec(&mut self, event: &EventRef<'_>, id: Pid, exec: &Exec<&[u8]>) -> Fate {
        if crate::tree::is_runtime(exec.path) {
            self.lineage.exec(id, exec.ppid, Place::Setup, "", exec.cwd);
            return Fate::Ignored(Ignored::RuntimeSetup);
        }
        let cwd = self.lineage.cwd_of_exec(id, exec.ppid).map(|cwd| &**cwd);
        let program = match exec_program(event, exec, cwd, self.baseline.rules()) {
            Ok(program) => program,
            Err(fate) => return fate,
        };
        let identity = program.identity();
        let (parent, ran) = match self.lineage.place_exec(id, exec.ppid, exec.path, &identity) {
            ExecPlace::Same(Place::At(ran)) => (self.parent(ran), ran),
            ExecPlace::Child { parent: Place::At(parent), .. } => (Some(parent), self.below(Some(parent), &program)),
            _ => (None, self.below(None, &program)),
        };
        self.lineage.exec(id, exec.ppid, Place::At(ran), &identity, exec.cwd);

        let mut reasons = Vec::new();
        let flags = match ran {
            Ran::Known(node) => self.baseline.node(node).flags(),
            Ran::Novel(_) => Flags::empty(),
        };
        if exec.fileless && !flags.has(Flags::FILELESS) {
            reasons.push(Reason::FilelessExec);
        }
        if exec.upper_layer && !flags.has(Flags::UPPER_LAYER) {
            reasons.push(Reason::UpperLayerExec);
        }
        if matches!(ran, Ran::Novel(_)) && reasons.is_empty() {
            reasons.push(Reason::NewProcess);
        }
        let key = program.key();
        let detail = Detail { argv0: key.argv0, argv: key.argv, ..Detail::default() };
        for reason in &reasons {
            self.report(event, parent, "exec", *reason, program.path.clone(), detail.clone());
        }
        let new_uid = match (ran, exec.uid) {
            (Ran::Known(node), Some(uid)) if !self.runs_as(node, uid) => Some(uid),
            _ => None,
        };
        if let Some(uid) = new_uid {
            self.report(event, Some(ran), "uid", Reason::NewBehaviour, uid.to_string(), Detail::default());
        }
        if reasons.is_empty() && new_uid.is_none() { Fate::Known } else { Fate::New }
    }

    /// Whether a program of the profile ran under a user id. Where no ids were learned, any is as good.
    fn runs_as(&self, node: NodeId, uid: u32) -> bool {
        let mut uids =
            self.baseline.children(node).map(|id| self.baseline.node(id)).filter(|n| n.kind() == Kind::Uid).peekable();
        uids.peek().is_none() || uids.any(|n| n.name == uid)
    }

    fn below(&mut self, parent: Option<Ran>, program: &Program) -> Ran {
        let known = match parent {
            None => Some(ROOT),
            Some(Ran::Known(node)) => Some(self.baseline.within_depth(node)),
            Some(Ran::Novel(_)) => None,
        };
        match known.and_then(|node| self.baseline.find_program(node, program)) {
            Some((node, _)) if self.baseline.node(node).has(Flags::VISIBLE) => Ran::Known(node),
            _ => self.novel(parent, program),
        }
    }

    fn parent(&self, ran: Ran) -> Option<Ran> {
        match ran {
            Ran::Known(node) => Some(self.baseline.parent_process(node)).filter(|id| *id != ROOT).map(Ran::Known),
            Ran::Novel(index) => self.novel.get(index as usize).and_then(|n| n.parent),
        }
    }

    fn lineage_of(&self, ran: Option<Ran>) -> Vec<String> {
        let mut paths = Vec::new();
        let mut at = ran;
        while let Some(ran) = at {
            paths.push(match ran {
                Ran::Known(node) => self.baseline.leaf_text(node),
                Ran::Novel(index) => self.novel.get(index as usize).map(|n| n.path.clone()).unwrap_or_default(),
            });
            at = self.parent(ran);
        }
        paths.reverse();
        paths
    }

    fn report(
        &mut self,
        event: &EventRef<'_>,
        by: Option<Ran>,
        kind: &'static str,
        reason: Reason,
        subject: String,
        detail: Detail,
    ) {
        let key = Key { by, kind, reason, subject, detail };
        if let Some(finding) = self.found.get_mut(&key) {
            finding.count += 1;
            if event.ts < finding.ts {
                (finding.ts, finding.pid) = (event.ts, event.pid);
            }
            return;
        }
        if self.found.len() >= FINDINGS_MAX {
            self.suppressed += 1;
            return;
        }
        let finding = Finding {
            ts: event.ts,
            container: self.container.clone(),
            image: self.image.to_string(),
            tag: self.tag.to_string(),
            kind,
            reason,
            pid: event.pid,
            lineage: self.lineage_of(by),
            subject: key.subject.clone(),
            detail: key.detail.clone(),
            count: 1,
        };
        self.found.insert(key, finding);
    }
}

/// As profiles write how a file was opened.
pub fn access_name(access: Flags) -> &'static str {
    match (access.has(Flags::READ), access.has(Flags::WRITE)) {
        (true, true) => "rw",
        (false, true) => "w",
        _ => "r",
    }
}
