//! Following one container's processes through the tree of a profile, and noting what the profile does not have.
//!
//! Where the workload is not known for certain, everything distinct that the container does is noted, known or not;
//! so when the workload is told after all, all of it is judged by the right profile, as if that had been known from
//! the start.

mod found;

use super::cutoff::Cutoff;
use super::owned_behaviour::OwnedBehaviour;
use super::programs::{ProgramRef, Programs};
use super::quotas::{Counted, Quotas, Sort};
use super::{Detail, Finding, Reason};
use crate::behaviour::{Behaviour, Denial, Details, FindingText, Texts};
use crate::event::{Body, EventRef, Exec};
use crate::hash::Map;
use crate::ledger::{Fate, Ignored};
use crate::profile;
use crate::tree::{
    BehaviourDelta, Ended, ExecDecision, ExecPosition, Flags, Lineage, MemoryPressure, NodeId, Pid, Position, Program,
    ROOT, Role, Rules, Runs, Tree, by, unknown_program,
};
use std::sync::Arc;

/// A behaviour that was noted.
#[derive(Clone, Debug)]
struct Noted {
    /// When it was first done, and by which process.
    ts: u64,
    pid: u32,
    count: u64,
    /// Why it is a finding, if it is one.
    reason: Option<Reason>,
    /// How many were noted before it, and how many findings of its sort.
    nth: u32,
    round: u32,
    /// What of it is new, if that is judged for good.
    details: Details<Box<str>>,
}

/// A finding, and what it is worth.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub sort: Sort,
    /// It takes no less than this when it is kept.
    pub bytes: usize,
    pub finding: Finding,
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
    pressure: MemoryPressure,
    /// Which will not be told, where they are told together with those of other containers.
    cutoff: Option<Arc<Cutoff>>,
    lineage: Lineage<ProgramRef>,
    programs: Programs,
    noted: Map<(ProgramRef, OwnedBehaviour), Noted>,
    /// How many were ever noted.
    nth: u32,
    /// Whether somebody follows what is found; then the findings among what is noted that were not told yet, unless the
    /// workload is assumed: of that none was.
    followed: bool,
    fresh: Vec<(ProgramRef, OwnedBehaviour)>,
    quotas: Quotas,
    /// Findings that there was no room for.
    suppressed: Counted,
    /// Behaviours that could not be noted and were no findings so far.
    unjudged: Counted,
    container: Arc<str>,
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
            pressure: rules.pressure.clone(),
            cutoff: None,
            lineage: Lineage::new(rules.processes_max),
            programs: Programs::default(),
            noted: Map::default(),
            nth: 0,
            followed: false,
            fresh: Vec::new(),
            quotas: Quotas::default(),
            suppressed: Counted::default(),
            unjudged: Counted::default(),
            container: Arc::from(String::from_utf8_lossy(container)),
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

    /// What is found is told together with what others find.
    #[must_use]
    pub(crate) fn among(self, cutoff: &Arc<Cutoff>) -> Self {
        Self { cutoff: Some(cutoff.clone()), ..self }
    }

    /// The workload is told: a checker against its profile that has seen all that this one has.
    #[must_use]
    pub fn rebind(self, baseline: Arc<Tree>, image: &Arc<str>, tag: &Arc<str>) -> Self {
        let suppressed = self.counted();
        let mut new = Self {
            baseline,
            provisional: false,
            compares: true,
            processes_max: self.processes_max,
            pressure: self.pressure,
            cutoff: self.cutoff,
            lineage: Lineage::new(self.processes_max),
            programs: Programs::default(),
            noted: Map::default(),
            nth: 0,
            followed: self.followed,
            fresh: Vec::new(),
            quotas: Quotas::default(),
            suppressed,
            unjudged: Counted::default(),
            container: self.container,
            image: image.clone(),
            tag: tag.clone(),
            texts: self.texts,
        };
        // Parents come before their children.
        let mut went: Vec<ProgramRef> = Vec::new();
        let follow = |went: &[ProgramRef], ran: ProgramRef| match ran {
            ProgramRef::NewProgram(number) => went.get(number as usize).copied().unwrap_or(ran),
            ProgramRef::Known(_) => ran,
        };
        for new_program in self.programs.iter() {
            let parent = new_program.parent.map(|parent| follow(&went, parent));
            went.push(match new_program.parent {
                None if new_program.program == unknown_program() => new.unknown(),
                _ => new.below(parent, &new_program.program),
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

    /// How many processes were forgotten because the table was full, or which directory they were in.
    pub fn processes_forgotten(&self) -> u64 {
        self.lineage.forgotten()
    }

    /// Changes with what may grow although nothing is found: the table of processes.
    pub(crate) fn moving(&self) -> usize {
        self.lineage.len()
    }

    /// Whether anything was noted.
    pub(crate) fn has_found(&self) -> bool {
        !self.noted.is_empty()
    }

    /// Bytes of heap owned, about.
    pub fn heap_bytes(&self) -> usize {
        let noted = self.noted.capacity() * size_of::<((ProgramRef, OwnedBehaviour), Noted)>();
        self.lineage.heap_bytes() + self.programs.heap_bytes() + noted + self.quotas.text_bytes()
    }

    /// The container is gone, and its processes with it.
    pub fn forget_processes(&mut self) {
        self.lineage.clear();
        self.noted.shrink_to_fit();
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

    /// Compares one event. [`Fate::New`] is drift, [`Fate::Known`] none.
    pub fn check(&mut self, event: &EventRef<'_>) -> Fate {
        let id = Pid { pid: event.pid, start: event.start };
        let fate = match &event.body {
            Body::ContainerStart { .. } | Body::ContainerStop => Fate::Lifecycle,
            // What was lost is lost, whatever there is to compare with.
            Body::Missed { cause, .. } => return Fate::missed(cause),
            Body::Fork { ppid, ns_pid } => setup_or_lifecycle(self.lineage.fork(id, *ppid, *ns_pid)),
            Body::Exit => setup_or_lifecycle(self.lineage.exit(id)),
            Body::Exec(exec) => self.exec(event, id, exec),
            _ => self.apply_behaviour(event, id),
        };
        if self.compares { fate } else { Fate::Ignored(Ignored::NoProfile) }
    }

    /// The program of the profile that a program is, if it is one.
    fn node(&self, ran: ProgramRef) -> Option<NodeId> {
        match ran {
            ProgramRef::Known(node) => Some(node),
            ProgramRef::NewProgram(number) => self.programs.get(number)?.node,
        }
    }

    fn unknown(&mut self) -> ProgramRef {
        let program = unknown_program();
        let node = self.baseline.find_program(ROOT, &program).map(|(node, _)| node);
        match node {
            Some(node) if !self.provisional => ProgramRef::Known(node),
            node => self.new_program(None, &program, node),
        }
    }

    fn new_program(&mut self, parent: Option<ProgramRef>, program: &Program, node: Option<NodeId>) -> ProgramRef {
        if let Some(number) = self.programs.find(parent, program) {
            return ProgramRef::NewProgram(number);
        }
        let depth = parent.map_or(0, |parent| self.depth(parent)) + 1;
        ProgramRef::NewProgram(self.programs.add(parent, program, depth, node, !self.provisional))
    }

    fn apply_behaviour(&mut self, event: &EventRef<'_>, id: Pid) -> Fate {
        let process = self.lineage.touch(id);
        let position = process.map(|p| p.position);
        if position == Some(Position::Setup) {
            return Fate::Ignored(Ignored::RuntimeSetup);
        }
        let mut texts = std::mem::take(&mut self.texts);
        let fate = match event.behaviours(by(process, id), &mut texts) {
            Ok(what) => {
                let ran = match position {
                    Some(Position::At(ran)) => ran,
                    _ => {
                        let unknown = self.unknown();
                        self.lineage.assume_program(id, unknown);
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
            Err(fate) => {
                if let Some(Position::At(ran)) = position {
                    let process = self.lineage.find(id);
                    if let Some((tried, denial)) = event.attempted(by(process, id), &mut texts) {
                        tried.all(|one| {
                            self.compare_attempt(event, ran, one, denial);
                            true
                        });
                    }
                }
                fate
            }
        };
        self.texts = texts;
        fate
    }

    /// An attempt is noted if the profile has neither it nor what was tried.
    fn compare_attempt(&mut self, event: &EventRef<'_>, ran: ProgramRef, tried: &Behaviour<'_>, denial: Denial) {
        let new = self.new_of_attempt(ran, tried);
        let reason = new.as_ref().map(|_| Reason::DeniedAttempt);
        let kept = if self.provisional { Some(&tried.details) } else { new.as_ref() };
        let Some(kept) = kept else { return };
        let mut details: Details<Box<str>> = kept.clone().map(Into::into);
        details.numbers.insert(denial.detail());
        let (what, details) = if self.provisional {
            (OwnedBehaviour::denied(tried, details), Details::none())
        } else {
            (OwnedBehaviour::denied(tried, Details::none()), details)
        };
        let (ts, pid, count, nth, round) = (event.ts, event.pid, 1, 0, 0);
        self.note(ran, what, Noted { ts, pid, count, reason, nth, round, details });
    }

    /// What of an attempt is new: nothing of one that was made before, or that is at what was done before.
    fn new_of_attempt<'a>(&self, ran: ProgramRef, tried: &Behaviour<'a>) -> Option<Details<&'a str>> {
        let Some(node) = self.node(ran) else { return Some(tried.details.clone()) };
        let denied = tried.denied(Denial::ANY)?;
        self.baseline.delta(node, &Behaviour { details: Details::none(), ..denied })?;
        self.baseline.delta(node, tried).map(|delta| delta.details)
    }

    /// Whether the profile has a behaviour; one that it has not is noted.
    fn compare(&mut self, event: &EventRef<'_>, ran: ProgramRef, what: &Behaviour<'_>) -> bool {
        let (reason, delta) = match self.node(ran) {
            None => (Reason::NewProcess, Some(BehaviourDelta { known: false, details: what.details.clone() })),
            Some(node) => (Reason::NewBehaviour, self.baseline.delta(node, what)),
        };
        let reason = delta.as_ref().map(|_| reason);
        let (ts, pid, count, nth, round) = (event.ts, event.pid, 1, 0, 0);
        match &delta {
            _ if self.provisional => {
                self.note(
                    ran,
                    OwnedBehaviour::of(what),
                    Noted { ts, pid, count, reason, nth, round, details: Details::none() },
                );
            }
            Some(BehaviourDelta { known, details }) => {
                let what = Behaviour { details: details.clone(), ..*what };
                let details = details.clone().map(Into::into);
                self.note(
                    ran,
                    OwnedBehaviour::new(&what, *known),
                    Noted { ts, pid, count, reason, nth, round, details },
                );
            }
            None => {}
        }
        delta.is_none()
    }

    fn exec(&mut self, event: &EventRef<'_>, id: Pid, exec: &Exec<&[u8]>) -> Fate {
        let ExecDecision { position, program, interpreter } =
            match self.lineage.decide(event, exec, self.baseline.rules()) {
                Ok(found) => found,
                Err(fate) => return fate,
            };
        let identity = program.identity();
        let ran = match position {
            ExecPosition::Setup => {
                self.lineage.exec(id, exec, Position::Setup, Runs::Runtime);
                return Fate::Ignored(Ignored::RuntimeSetup);
            }
            ExecPosition::Same(Position::At(ran)) => ran,
            ExecPosition::Child { parent: Position::At(parent), .. } => self.below(Some(parent), &program),
            ExecPosition::Child { parent: Position::Unknown, .. } => {
                let unknown = self.unknown();
                self.below(Some(unknown), &program)
            }
            _ => self.below(None, &program),
        };
        self.lineage.exec(id, exec, Position::At(ran), Runs::Program(identity));

        let reported = [(exec.fileless, Reason::FilelessExec), (exec.upper_layer, Reason::UpperLayerExec)];
        let plain = !exec.fileless && !exec.upper_layer;
        let mut drift = false;
        for (_, reason) in reported.into_iter().chain([(plain, Reason::NewProcess)]).filter(|(is, _)| *is) {
            if self.provisional || self.judge_exec(ran, reason).is_some() {
                drift |= self.judge_exec(ran, reason).is_some();
                self.report(event, ran, OwnedBehaviour::Exec { reason, program: program.clone() });
            }
        }
        if let Some(uid) = exec.uid {
            let what = OwnedBehaviour::Uid(uid);
            let reason = self.judge(ran, &what);
            drift |= reason.is_some();
            if self.provisional || reason.is_some() {
                self.report(event, ran, what);
            }
        }
        let what = OwnedBehaviour::Interpreter(interpreter.into());
        drift |= self.judge(ran, &what).is_some();
        self.report(event, ran, what);
        if drift { Fate::New } else { Fate::Known }
    }

    /// Why something that a program did is a finding, if it is one.
    fn judge(&self, ran: ProgramRef, what: &OwnedBehaviour) -> Option<Reason> {
        let node = self.node(ran);
        match what {
            OwnedBehaviour::Exec { reason, .. } => self.judge_exec(ran, *reason),
            OwnedBehaviour::Uid(uid) => node.filter(|node| !self.runs_as(*node, *uid)).map(|_| Reason::NewBehaviour),
            OwnedBehaviour::Interpreter(by) => {
                node.filter(|node| !self.baseline.knows_interpreter(*node, by)).map(|_| Reason::NewBehaviour)
            }
            OwnedBehaviour::Denied(..) => {
                let new = what.behaviour(|tried| self.new_of_attempt(ran, tried).is_some()).unwrap_or(false);
                new.then_some(Reason::DeniedAttempt)
            }
            OwnedBehaviour::Behaviour(..) => match node {
                None => Some(Reason::NewProcess),
                Some(node) => {
                    let delta = what.behaviour(|what| self.baseline.delta(node, what).is_some()).unwrap_or(false);
                    delta.then_some(Reason::NewBehaviour)
                }
            },
        }
    }

    /// Something that a program did, as it is noted when it is judged for good, and why it is a finding, if it is one.
    fn judged(&self, ran: ProgramRef, what: OwnedBehaviour) -> Option<(Reason, OwnedBehaviour, Details<Box<str>>)> {
        let reason = self.judge(ran, &what)?;
        if let OwnedBehaviour::Denied(_, _, _, details) = &what {
            let error = details.numbers.iter().filter(|detail| Denial::is_one(*detail));
            let noted = what.behaviour(|tried| {
                let mut new: Details<Box<str>> = self.new_of_attempt(ran, tried).unwrap_or_default().map(Into::into);
                new.numbers.extend(error);
                (reason, OwnedBehaviour::denied(tried, Details::none()), new)
            });
            return noted;
        }
        let new = what.behaviour(|what| {
            let delta = self.node(ran).and_then(|node| self.baseline.delta(node, what));
            let BehaviourDelta { known, details } =
                delta.unwrap_or(BehaviourDelta { known: false, details: what.details.clone() });
            let what = Behaviour { details, ..what.clone() };
            (OwnedBehaviour::new(&what, known), what.details.map(Into::into))
        });
        Some(match new {
            Some((what, details)) => (reason, what, details),
            None => (reason, what, Details::none()),
        })
    }

    fn judge_exec(&self, ran: ProgramRef, reason: Reason) -> Option<Reason> {
        let has = |flag| self.node(ran).is_some_and(|node| self.baseline.node(node).has(flag));
        let known = match reason {
            Reason::FilelessExec => has(Flags::FILELESS),
            Reason::UpperLayerExec => has(Flags::UPPER_LAYER),
            Reason::NewProcess | Reason::NewBehaviour | Reason::DeniedAttempt => self.node(ran).is_some(),
        };
        (!known).then_some(reason)
    }

    /// Whether a program of the profile ran under a user id. Where no ids were learned, any is as good.
    fn runs_as(&self, node: NodeId, uid: u32) -> bool {
        let is_uid = |id| self.baseline.node(id).role() == Role::Uid;
        self.baseline.has_uid(node, uid) || !self.baseline.children(node).any(is_uid)
    }

    fn below(&mut self, parent: Option<ProgramRef>, program: &Program) -> ProgramRef {
        // As in trees: from a certain depth on, a program stands beside the one that ran it.
        let deep = parent.is_some_and(|parent| self.depth(parent) >= self.baseline.rules().lineage_depth);
        let parent = if deep { parent.and_then(|parent| self.parent(parent)) } else { parent };
        let above = match parent {
            None => Some(ROOT),
            Some(parent) => self.node(parent),
        };
        let found = above.and_then(|node| self.baseline.find_program(node, program)).map(|(node, _)| node);
        let node = found.filter(|node| self.baseline.node(*node).has(Flags::VISIBLE));
        match node {
            Some(node) if !self.provisional => ProgramRef::Known(node),
            node => self.new_program(parent, program, node),
        }
    }

    fn parent(&self, ran: ProgramRef) -> Option<ProgramRef> {
        match ran {
            ProgramRef::Known(node) => {
                Some(self.baseline.parent_process(node)).filter(|id| *id != ROOT).map(ProgramRef::Known)
            }
            ProgramRef::NewProgram(number) => self.programs.get(number).and_then(|new_program| new_program.parent),
        }
    }

    /// Programs from the root down to this one.
    fn depth(&self, ran: ProgramRef) -> usize {
        match ran {
            ProgramRef::NewProgram(number) => self.programs.get(number).map_or(0, |new_program| new_program.depth),
            known => std::iter::successors(Some(known), |ran| self.parent(*ran)).count(),
        }
    }

    /// Notes what a program did, if it is a finding or may become one.
    fn report(&mut self, event: &EventRef<'_>, ran: ProgramRef, what: OwnedBehaviour) {
        let reason = self.judge(ran, &what);
        if reason.is_some() || self.provisional {
            self.note(
                ran,
                what,
                Noted { ts: event.ts, pid: event.pid, count: 1, reason, nth: 0, round: 0, details: Details::none() },
            );
        }
    }

    fn note(&mut self, ran: ProgramRef, what: OwnedBehaviour, new: Noted) {
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
        let sort = self.sort(key.0, &key.1);
        let told_below = sort == Sort::GraveBelow || sort == Sort::Below;
        let round = self.quotas.round(sort);
        // Of what is assumed it is not certain yet which of its findings it will be.
        let cutoff = self.cutoff.as_ref().filter(|_| is_finding && !self.provisional);
        if cutoff.is_none_or(|cutoff| cutoff.may_be_told(sort, round))
            && (!told_below || self.programs.may_tell_below(key.0, sort == Sort::GraveBelow))
            && self.quotas.take(sort, is_finding, key.1.text_bytes(), &self.pressure)
        {
            if told_below {
                self.programs.told_below(key.0, sort == Sort::GraveBelow);
            }
            if let Some(cutoff) = cutoff {
                cutoff.note(sort, round, key.1.finding_bytes());
            }
            if is_finding && self.followed && !self.provisional {
                self.fresh.push(key.clone());
            }
            let nth = self.nth;
            self.nth += 1;
            self.noted.insert(key, Noted { nth, round, ..new });
        } else {
            let counted = if is_finding { &mut self.suppressed } else { &mut self.unjudged };
            counted.add(sort, new.count);
        }
    }
}

fn setup_or_lifecycle(setup: bool) -> Fate {
    if setup { Fate::Ignored(Ignored::RuntimeSetup) } else { Fate::Lifecycle }
}
