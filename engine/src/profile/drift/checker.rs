//! Following one container's processes through the tree of a profile, and noting what the profile does not have.
//!
//! Where the workload is not known for certain, everything distinct that the container does is noted, known or not;
//! so when the workload is told after all, all of it is judged by the right profile, as if that had been known from
//! the start.

use super::programs::{Novel, Programs, Ran};
use super::what::What;
use super::{Detail, Finding, Reason};
use crate::behaviour::{Behaviour, Details, Texts, Told};
use crate::event::{Body, EventRef, Exec};
use crate::hash::Map;
use crate::ledger::{Fate, Ignored};
use crate::profile;
use crate::tree::{
    Decided, ExecPlace, Flags, Lineage, News, NodeId, Pid, Place, Program, ROOT, Role, Room, Rules, Runs, Tree,
    unknown_program,
};
use std::sync::Arc;

/// Findings kept for one container; beyond them only their number is. So many that tell of programs, and as many that
/// tell of what programs did: the one sort takes no room from the other.
const FINDINGS_MAX: usize = 65_536;

/// Behaviours kept beside them, of each sort, that may turn out to be findings when the workload is told.
const CANDIDATES_MAX: usize = 16_384;

/// Bytes of text in both together, of each sort.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// So many findings of programs are kept of a container whatever else takes the memory there is.
const PROGRAMS_ALWAYS: usize = 256;

/// How much is noted of one sort.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    findings: usize,
    candidates: usize,
    text_bytes: usize,
}

impl Share {
    /// Takes in one more, if it fits.
    fn takes(&mut self, is_finding: bool, text_bytes: usize) -> bool {
        let (count, max) = match is_finding {
            true => (&mut self.findings, FINDINGS_MAX),
            false => (&mut self.candidates, CANDIDATES_MAX),
        };
        let fits = *count < max && self.text_bytes + text_bytes <= TEXT_BYTES_MAX;
        if fits {
            *count += 1;
            self.text_bytes += text_bytes;
        }
        fits
    }
}

/// A behaviour that was noted.
#[derive(Clone, Debug)]
struct Noted {
    /// When it was first done, and by which process.
    ts: u64,
    pid: u32,
    count: u64,
    /// Why it is a finding, if it is one.
    reason: Option<Reason>,
    /// How many were noted before it.
    nth: u32,
    /// What of it is new, if that is judged for good.
    details: Details<Box<str>>,
}

/// Compares one container's events with a profile.
pub struct Checker {
    baseline: Arc<Tree>,
    /// The workload is assumed: what is known is noted too, and programs are kept as they were.
    provisional: bool,
    /// There is a profile to compare with. Without, a provisional checker only keeps what may have to be judged.
    compares: bool,
    processes_max: usize,
    /// Whether there is memory for more findings.
    room: Room,
    lineage: Lineage<Ran>,
    programs: Programs,
    noted: Map<(Ran, What), Noted>,
    /// What is noted of programs that were run, and of what they did.
    programs_noted: Share,
    doings_noted: Share,
    suppressed: u64,
    /// Behaviours that could not be noted and were no findings so far.
    unjudged: u64,
    container: String,
    image: Arc<str>,
    tag: Arc<str>,
    texts: Texts,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker")
            .field("provisional", &self.provisional)
            .field("noted", &self.noted.len())
            .finish_non_exhaustive()
    }
}

impl Checker {
    /// A checker of one container against the profile of its image.
    pub fn new(baseline: Arc<Tree>, rules: &Rules, container: &[u8], image: &Arc<str>, tag: &Arc<str>) -> Self {
        Self {
            baseline,
            provisional: false,
            compares: true,
            processes_max: rules.processes_max,
            room: rules.room.clone(),
            lineage: Lineage::new(rules.processes_max),
            programs: Programs::default(),
            noted: Map::default(),
            programs_noted: Share::default(),
            doings_noted: Share::default(),
            suppressed: 0,
            unjudged: 0,
            container: String::from_utf8_lossy(container).into_owned(),
            image: image.clone(),
            tag: tag.clone(),
            texts: Texts::default(),
        }
    }

    /// A checker of a container whose workload is assumed and may yet be [told](Self::rebind). There need not be a
    /// profile of the assumed image; then nothing is found as long as it is assumed.
    pub fn provisional(
        baseline: Option<Arc<Tree>>,
        rules: &Arc<Rules>,
        container: &[u8],
        image: &Arc<str>,
        tag: &Arc<str>,
    ) -> Self {
        let compares = baseline.is_some();
        let baseline = baseline.unwrap_or_else(|| Arc::new(Tree::new(rules.clone())));
        Self { provisional: true, compares, ..Self::new(baseline, rules, container, image, tag) }
    }

    /// The workload is told: a checker against its profile that has seen all that this one has.
    #[must_use]
    pub fn rebind(self, baseline: Arc<Tree>, image: &Arc<str>, tag: &Arc<str>) -> Self {
        let mut new = Self {
            baseline,
            provisional: false,
            compares: true,
            processes_max: self.processes_max,
            room: self.room,
            lineage: Lineage::new(self.processes_max),
            programs: Programs::default(),
            noted: Map::default(),
            programs_noted: Share::default(),
            doings_noted: Share::default(),
            suppressed: self.suppressed + self.unjudged,
            unjudged: 0,
            container: self.container,
            image: image.clone(),
            tag: tag.clone(),
            texts: self.texts,
        };
        // Parents come before their children.
        let mut went: Vec<Ran> = Vec::new();
        let follow = |went: &[Ran], ran: Ran| match ran {
            Ran::Novel(number) => went.get(number as usize).copied().unwrap_or(ran),
            Ran::Known(_) => ran,
        };
        for novel in self.programs.iter() {
            let parent = novel.parent.map(|parent| follow(&went, parent));
            went.push(match novel.parent {
                None if novel.program == unknown_program() => new.unknown(),
                _ => new.below(parent, &novel.program),
            });
        }
        new.lineage = self.lineage;
        new.lineage.move_places(|ran| follow(&went, ran));
        let mut noted: Vec<_> = self.noted.into_iter().collect();
        // Where not all can be kept, the earliest are; what happened at one time stays in the order of its events.
        noted.sort_unstable_by_key(|(_, noted)| (noted.ts, noted.nth));
        for ((ran, what), noted) in noted {
            let ran = follow(&went, ran);
            if let Some((reason, what, details)) = new.judged(ran, what) {
                new.note(ran, what, Noted { reason: Some(reason), details, ..noted });
            }
        }
        new
    }

    /// What was found, in order.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.found().collect();
        findings.sort_unstable_by(Finding::cmp_order);
        findings
    }

    /// What was found, in no order. Each is made when it is asked for: it takes four times what is noted of it.
    pub(crate) fn found(&self) -> impl Iterator<Item = Finding> {
        let mut lineages = Map::default();
        self.noted.iter().filter(|_| self.compares).filter_map(move |((ran, what), noted)| {
            let Told { subject, details } = what.told(&noted.details);
            let kind = what.kind();
            let by = if let What::Exec { .. } = what { self.parent(*ran) } else { Some(*ran) };
            Some(Finding {
                ts: noted.ts,
                container: self.container.clone(),
                image: self.image.to_string(),
                tag: self.tag.to_string(),
                kind,
                reason: noted.reason?,
                pid: noted.pid,
                lineage: by.map(|by| self.lineage_of(by, &mut lineages)).unwrap_or_default(),
                subject,
                details: Detail(details),
                count: noted.count,
            })
        })
    }

    /// Distinct findings that were not kept, because a container has 65,536 of each sort at most, or there was no memory
    /// for more; each time they were made.
    pub fn suppressed(&self) -> u64 {
        if self.compares { self.suppressed } else { 0 }
    }

    /// How many processes were forgotten because the table was full, or which directory they were in.
    pub fn processes_forgotten(&self) -> u64 {
        self.lineage.forgotten()
    }

    /// Changes with what may grow although nothing is found: the table of processes.
    pub(crate) fn moving(&self) -> usize {
        self.lineage.len()
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        let noted = self.noted.capacity() * size_of::<((Ran, What), Noted)>();
        let texts = self.programs_noted.text_bytes + self.doings_noted.text_bytes;
        self.lineage.heap_bytes() + self.programs.heap_bytes() + noted + texts
    }

    /// The container is gone, and its processes with it.
    pub fn forget_processes(&mut self) {
        self.lineage.clear();
        self.noted.shrink_to_fit();
        self.texts = Texts::default();
    }

    /// Compares one event. [`Fate::New`] is drift, [`Fate::Known`] none.
    pub fn check(&mut self, event: &EventRef<'_>) -> Fate {
        let id = Pid { pid: event.pid, start: event.start };
        let fate = match &event.body {
            Body::ContainerStart { .. } | Body::ContainerStop => Fate::Lifecycle,
            // What was lost is lost, whatever there is to compare with.
            Body::Missed { cause, .. } => return Fate::missed(cause),
            Body::Fork { ppid } => setup_or_lifecycle(self.lineage.fork(id, *ppid)),
            Body::Exit => setup_or_lifecycle(self.lineage.exit(id)),
            Body::Exec(exec) => self.exec(event, id, exec),
            _ => self.behave(event, id),
        };
        if self.compares { fate } else { Fate::Ignored(Ignored::NoProfile) }
    }

    /// The program of the profile that a program is, if it is one.
    fn node(&self, ran: Ran) -> Option<NodeId> {
        match ran {
            Ran::Known(node) => Some(node),
            Ran::Novel(number) => self.programs.get(number)?.node,
        }
    }

    fn unknown(&mut self) -> Ran {
        let program = unknown_program();
        let node = self.baseline.find_program(ROOT, &program).map(|(node, _)| node);
        match node {
            Some(node) if !self.provisional => Ran::Known(node),
            node => self.novel(None, &program, node),
        }
    }

    fn novel(&mut self, parent: Option<Ran>, program: &Program, node: Option<NodeId>) -> Ran {
        if let Some(number) = self.programs.find(parent, program) {
            return Ran::Novel(number);
        }
        let depth = parent.map_or(0, |parent| self.depth(parent)) + 1;
        Ran::Novel(self.programs.add(Novel { parent, program: program.clone(), depth, node }))
    }

    fn behave(&mut self, event: &EventRef<'_>, id: Pid) -> Fate {
        let process = self.lineage.touch(id);
        let place = process.map(|p| p.place);
        if place == Some(Place::Setup) {
            return Fate::Ignored(Ignored::RuntimeSetup);
        }
        let cwd = process.and_then(|p| p.cwd.as_deref());
        let mut texts = std::mem::take(&mut self.texts);
        let fate = match event.behaviours(cwd, &mut texts) {
            Ok(what) => {
                let ran = match place {
                    Some(Place::At(ran)) => ran,
                    _ => {
                        let unknown = self.unknown();
                        self.lineage.meet(id, unknown);
                        unknown
                    }
                };
                let mut known = true;
                what.all(|what| {
                    known &= self.compare(event, ran, what);
                    true
                });
                if known { Fate::Known } else { Fate::New }
            }
            Err(fate) => fate,
        };
        self.texts = texts;
        fate
    }

    /// Whether the profile has a behaviour; one that it has not is noted.
    fn compare(&mut self, event: &EventRef<'_>, ran: Ran, what: &Behaviour<'_>) -> bool {
        let (reason, news) = match self.node(ran) {
            None => (Reason::NewProcess, Some(News { known: false, details: what.details.clone() })),
            Some(node) => (Reason::NewBehaviour, self.baseline.news(node, what)),
        };
        let reason = news.as_ref().map(|_| reason);
        let (ts, pid, count, nth) = (event.ts, event.pid, 1, 0);
        match &news {
            _ if self.provisional => {
                self.note(ran, What::of(what), Noted { ts, pid, count, reason, nth, details: Details::none() });
            }
            Some(News { known, details }) => {
                let what = Behaviour { details: details.clone(), ..*what };
                let details = details.clone().map(Into::into);
                self.note(ran, What::new(&what, *known), Noted { ts, pid, count, reason, nth, details });
            }
            None => {}
        }
        news.is_none()
    }

    fn exec(&mut self, event: &EventRef<'_>, id: Pid, exec: &Exec<&[u8]>) -> Fate {
        let Decided { place, program, interpreter } = match self.lineage.place(event, exec, self.baseline.rules()) {
            Ok(found) => found,
            Err(fate) => return fate,
        };
        let identity = program.identity();
        let ran = match place {
            ExecPlace::Setup => {
                self.lineage.exec(id, exec, Place::Setup, Runs::Runtime);
                return Fate::Ignored(Ignored::RuntimeSetup);
            }
            ExecPlace::Same(Place::At(ran)) => ran,
            ExecPlace::Child { parent: Place::At(parent), .. } => self.below(Some(parent), &program),
            ExecPlace::Child { parent: Place::Unknown, .. } => {
                let unknown = self.unknown();
                self.below(Some(unknown), &program)
            }
            _ => self.below(None, &program),
        };
        self.lineage.exec(id, exec, Place::At(ran), Runs::Program(identity));

        let told = [(exec.fileless, Reason::FilelessExec), (exec.upper_layer, Reason::UpperLayerExec)];
        let plain = !exec.fileless && !exec.upper_layer;
        let mut drift = false;
        for (_, reason) in told.into_iter().chain([(plain, Reason::NewProcess)]).filter(|(is, _)| *is) {
            if self.provisional || self.judge_exec(ran, reason).is_some() {
                drift |= self.judge_exec(ran, reason).is_some();
                self.tell(event, ran, What::Exec { reason, program: program.clone() });
            }
        }
        if let Some(uid) = exec.uid {
            let what = What::Uid(uid);
            let reason = self.judge(ran, &what);
            drift |= reason.is_some();
            if self.provisional || reason.is_some() {
                self.tell(event, ran, what);
            }
        }
        let what = What::Interpreter(interpreter.into());
        drift |= self.judge(ran, &what).is_some();
        self.tell(event, ran, what);
        if drift { Fate::New } else { Fate::Known }
    }

    /// Why something that a program did is a finding, if it is one.
    fn judge(&self, ran: Ran, what: &What) -> Option<Reason> {
        let node = self.node(ran);
        match what {
            What::Exec { reason, .. } => self.judge_exec(ran, *reason),
            What::Uid(uid) => node.filter(|node| !self.runs_as(*node, *uid)).map(|_| Reason::NewBehaviour),
            What::Interpreter(by) => {
                node.filter(|node| !self.baseline.knows_interpreter(*node, by)).map(|_| Reason::NewBehaviour)
            }
            What::Did(..) => match node {
                None => Some(Reason::NewProcess),
                Some(node) => {
                    let news = what.behaviour(|what| self.baseline.news(node, what).is_some()).unwrap_or(false);
                    news.then_some(Reason::NewBehaviour)
                }
            },
        }
    }

    /// Something that a program did, as it is noted when it is judged for good, and why it is a finding, if it is one.
    fn judged(&self, ran: Ran, what: What) -> Option<(Reason, What, Details<Box<str>>)> {
        let reason = self.judge(ran, &what)?;
        let new = what.behaviour(|what| {
            let news = self.node(ran).and_then(|node| self.baseline.news(node, what));
            let News { known, details } = news.unwrap_or(News { known: false, details: what.details.clone() });
            let what = Behaviour { details, ..what.clone() };
            (What::new(&what, known), what.details.map(Into::into))
        });
        Some(match new {
            Some((what, details)) => (reason, what, details),
            None => (reason, what, Details::none()),
        })
    }

    fn judge_exec(&self, ran: Ran, reason: Reason) -> Option<Reason> {
        let has = |flag| self.node(ran).is_some_and(|node| self.baseline.node(node).has(flag));
        let known = match reason {
            Reason::FilelessExec => has(Flags::FILELESS),
            Reason::UpperLayerExec => has(Flags::UPPER_LAYER),
            Reason::NewProcess | Reason::NewBehaviour => self.node(ran).is_some(),
        };
        (!known).then_some(reason)
    }

    /// Whether a program of the profile ran under a user id. Where no ids were learned, any is as good.
    fn runs_as(&self, node: NodeId, uid: u32) -> bool {
        let is_uid = |id| self.baseline.node(id).role() == Role::Uid;
        self.baseline.has_uid(node, uid) || !self.baseline.children(node).any(is_uid)
    }

    fn below(&mut self, parent: Option<Ran>, program: &Program) -> Ran {
        let above = match parent {
            None => Some(ROOT),
            Some(parent) => self.node(parent).map(|node| self.baseline.within_depth(node)),
        };
        let found = above.and_then(|node| self.baseline.find_program(node, program)).map(|(node, _)| node);
        let node = found.filter(|node| self.baseline.node(*node).has(Flags::VISIBLE));
        match node {
            Some(node) if !self.provisional => Ran::Known(node),
            node => {
                // As in trees: from a certain depth on, a program stands beside the one that ran it.
                let deep = parent.is_some_and(|parent| self.depth(parent) >= self.baseline.rules().lineage_depth);
                let parent = if deep { parent.and_then(|parent| self.parent(parent)) } else { parent };
                self.novel(parent, program, node)
            }
        }
    }

    fn parent(&self, ran: Ran) -> Option<Ran> {
        match ran {
            Ran::Known(node) => Some(self.baseline.parent_process(node)).filter(|id| *id != ROOT).map(Ran::Known),
            Ran::Novel(number) => self.programs.get(number).and_then(|novel| novel.parent),
        }
    }

    /// Programs from the root down to this one.
    fn depth(&self, ran: Ran) -> usize {
        match ran {
            Ran::Novel(number) => self.programs.get(number).map_or(0, |novel| novel.depth),
            known => std::iter::successors(Some(known), |ran| self.parent(*ran)).count(),
        }
    }

    /// The programs that led to one, itself included; those that are `known` already are shared.
    fn lineage_of(&self, ran: Ran, known: &mut Map<Ran, profile::Lineage>) -> profile::Lineage {
        let text = |ran: Ran| {
            let (path, key) = match (self.node(ran), ran) {
                (Some(node), _) => (self.baseline.leaf_text(node), self.baseline.program_key(node)),
                (None, Ran::Novel(number)) => {
                    let program = self.programs.get(number).map(|novel| novel.program.clone()).unwrap_or_default();
                    (program.path.clone(), program.key())
                }
                (None, Ran::Known(_)) => return String::new(),
            };
            // A file that is many programs is named with the one that it was.
            key.argv0.map_or(path.clone(), |applet| format!("{path}[{applet}]"))
        };
        let above = std::iter::successors(Some(ran), |ran| self.parent(*ran));
        let news: Vec<Ran> = above.take_while(|ran| !known.contains_key(ran)).collect();
        let outer = news.last().map_or(Some(ran), |last| self.parent(*last));
        let mut lineage = outer.and_then(|outer| known.get(&outer)).cloned().unwrap_or_default();
        for ran in news.into_iter().rev() {
            lineage = lineage.with(text(ran));
            known.insert(ran, lineage.clone());
        }
        lineage
    }

    /// Notes what a program did, if it is a finding or may become one.
    fn tell(&mut self, event: &EventRef<'_>, ran: Ran, what: What) {
        let reason = self.judge(ran, &what);
        if reason.is_some() || self.provisional {
            self.note(
                ran,
                what,
                Noted { ts: event.ts, pid: event.pid, count: 1, reason, nth: 0, details: Details::none() },
            );
        }
    }

    fn note(&mut self, ran: Ran, what: What, new: Noted) {
        let key = (ran, what);
        if let Some(noted) = self.noted.get_mut(&key) {
            noted.count += new.count;
            noted.details.unite(new.details);
            if new.ts < noted.ts {
                (noted.ts, noted.pid) = (new.ts, new.pid);
            }
            return;
        }
        let is_finding = new.reason.is_some();
        let (share, room) = match key.1.is_exec() {
            true => {
                let few = self.programs_noted.findings < PROGRAMS_ALWAYS;
                (&mut self.programs_noted, few || self.room.is_left_for_programs())
            }
            false => (&mut self.doings_noted, self.room.is_left()),
        };
        if room && share.takes(is_finding, key.1.text_bytes()) {
            let nth = self.noted.len() as u32;
            self.noted.insert(key, Noted { nth, ..new });
        } else {
            *if is_finding { &mut self.suppressed } else { &mut self.unjudged } += new.count;
        }
    }
}

fn setup_or_lifecycle(setup: bool) -> Fate {
    if setup { Fate::Ignored(Ignored::RuntimeSetup) } else { Fate::Lifecycle }
}
