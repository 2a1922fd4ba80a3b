//! The way of one event: from the cgroup it happened in to the container it is of, and out.
//!
//! Not here: who makes the events (`kernel`, `proc`), and asking runtimes (`workload`).

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use grove::event::{Body, EventRef, Exec, Sink, UNKNOWN_IMAGE};
use grove::ledger::{Dropped, Ignored};

use super::containers::{Containers, Index, Owner, Processes, Wanted};
use super::rate_limit::RateLimit;
use super::select::Select;
use crate::kernel::LossCounter;
use crate::proc::{Process, Snapshot};
use crate::workload::{Answer, Ask, ContainerRef, Resolver, RuntimeCall, Workload};

/// Containers that wait to be asked for. Of those beyond, the oldest is given up.
const UNASKED_MAX: usize = 4096;

/// The program of a process that came into a container from outside: named as a runtime names its own.
const JOINED: &[u8] = b"/runc:[joined]";

/// The container and process that an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// A process whose beginning was seen, or nobody can tell.
    Known,
    /// A process that came from outside.
    Joined,
    /// The event is a fork by such a process.
    ForkedByJoined,
}

/// Gives events to the containers they are of.
#[derive(Debug)]
pub struct Intake {
    containers: Containers,
    /// `None` where there is nobody to ask.
    resolver: Option<Resolver>,
    select: Select,
    host: bool,
    /// To be asked about as soon as the resolver takes more.
    unasked: VecDeque<Ask>,
    /// Ids of containers of which it has turned out that nobody will say what they run; not told yet.
    nameless: Vec<Box<[u8]>>,
    /// Of the host, which was not asked for; not told yet.
    host_events: u64,
    unnamed: RateLimit,
    lost: RateLimit,
    /// Where forks and execs may be lost.
    loss_counter: Option<LossCounter>,
    /// How many there were when they were told last.
    losses_counted: u32,
    clock: Clock,
}

/// The time of what no process did: never before what was handed on already, nor after what is still to come.
#[derive(Debug, Default)]
struct Clock {
    latest: u64,
}

impl Clock {
    fn pass(&mut self, ts: u64) {
        self.latest = self.latest.max(ts);
    }

    fn now(&self) -> u64 {
        if self.latest == 0 { now() } else { self.latest }
    }
}

impl Intake {
    /// An intake that asks `resolver`, lets the containers of `select` through, and the host if `host`.
    pub fn new(resolver: Option<Resolver>, select: Select, host: bool) -> Self {
        Self {
            containers: Containers::default(),
            resolver,
            select,
            host,
            unasked: VecDeque::new(),
            nameless: Vec::new(),
            host_events: 0,
            unnamed: RateLimit::default(),
            lost: RateLimit::default(),
            loss_counter: None,
            losses_counted: 0,
            clock: Clock::default(),
        }
    }

    /// From now on runtimes are asked.
    pub fn set_resolver(&mut self, resolver: Resolver) {
        self.resolver = Some(resolver);
    }

    /// Nothing that is still to come has happened before this.
    pub fn advance_clock(&mut self, ts: u64) {
        self.clock.pass(ts);
    }

    /// From now on forks and execs may be lost here.
    pub fn watch_losses(&mut self, loss_counter: Option<LossCounter>) {
        self.loss_counter = loss_counter;
    }

    /// Lost forks and execs until now are told next.
    pub fn losses_are_counted(&mut self) {
        self.losses_counted = self.loss_counter.as_ref().map_or(0, LossCounter::count);
    }

    /// The containers.
    pub fn containers(&self) -> &Containers {
        &self.containers
    }

    /// Whose a cgroup is, if that is known.
    pub fn owner(&self, cgroup: u64) -> Option<Owner> {
        self.containers.owner(cgroup)
    }

    /// A cgroup and its path. Whose it is now.
    pub fn cgroup(&mut self, cgroup: u64, who: Option<ContainerRef>) -> Owner {
        self.cgroup_of(cgroup, who.map(Ask::from))
    }

    fn cgroup_of(&mut self, cgroup: u64, of: Option<Ask>) -> Owner {
        let Some(ask) = of else {
            self.containers.is_host(cgroup);
            return Owner::Host;
        };
        let (index, new) = self.containers.is_container(cgroup, ask.container.clone());
        if new {
            self.decide(index);
            self.ask(ask);
        }
        Owner::Container(index)
    }

    /// A cgroup was made just now, perhaps by a runtime that was called to make a container. If it is the first of a
    /// container, all that the container does will be seen.
    pub fn new_cgroup(&mut self, cgroup: u64, who: Option<ContainerRef>, call: Option<RuntimeCall>) -> Owner {
        let known = who.as_ref().is_some_and(|who| self.containers.find(who).is_some());
        let of = who.map(|container| {
            let call = call.filter(|call| call.container.id == container.id);
            Ask { container, bundle: call.and_then(|call| call.bundle) }
        });
        let owner = self.cgroup_of(cgroup, of);
        if let (false, Owner::Container(index)) = (known, owner)
            && let Some(container) = self.containers.get_mut(index)
        {
            container.processes = Some(Processes::default());
        }
        owner
    }

    /// A cgroup of which nothing can be learned any more.
    pub fn lost_cgroup(&mut self, cgroup: u64, why: &dyn Display) -> Owner {
        if let Some(so_far) = self.lost.allow() {
            tracing::warn!(cgroup, %why, so_far, "a cgroup's events cannot be given to a container");
        }
        let index = self.containers.is_unknown(cgroup);
        self.decide(index);
        self.is_nameless(index);
        Owner::Container(index)
    }

    /// A cgroup is gone; with the last one of a container, the container is.
    pub fn cgroup_gone(&mut self, cgroup: u64, sink: &mut dyn Sink) {
        if let Some(index) = self.containers.cgroup_gone(cgroup) {
            self.emit(index, self.clock.now(), Body::ContainerStop, sink);
        }
    }

    /// An event of a process in a cgroup of `owner`.
    pub fn event(&mut self, owner: Owner, event: EventRef<'_>, sink: &mut dyn Sink) {
        let index = match owner {
            Owner::Host if !self.host => {
                self.host_events += 1;
                return;
            }
            Owner::Host => None,
            Owner::Container(index) => Some(index),
        };
        let event = if index.is_none() { no_runtime(event) } else { event };
        self.clock.pass(event.ts);
        match index {
            None => sink.event(event),
            Some(index) => {
                let mut joined = Exec::new(0, JOINED);
                joined.runtime = Some(true);
                let joined = event.with_body(Body::Exec(joined));
                match self.identify(index, &event) {
                    Actor::Known => self.forward(index, event, true, sink),
                    Actor::Joined => {
                        self.forward(index, joined, true, sink);
                        self.forward(index, event, true, sink);
                    }
                    Actor::ForkedByJoined => {
                        self.forward(index, event, true, sink);
                        self.forward(index, joined, true, sink);
                    }
                }
            }
        }
    }

    /// Processes that ran before anything was observed.
    pub fn running(
        &mut self,
        snapshot: &Snapshot,
        mut who: impl FnMut(&[u8]) -> Option<ContainerRef>,
        sink: &mut dyn Sink,
    ) {
        let owners: Vec<Option<Owner>> = snapshot
            .processes
            .iter()
            .map(|process| match who(&process.cgroup) {
                None => self.host.then_some(Owner::Host),
                Some(who) => self.containers.find(&who).map(Owner::Container),
            })
            .collect();
        let ids: HashMap<(u32, u64), Box<[u8]>> = snapshot
            .processes
            .iter()
            .zip(&owners)
            .filter_map(|(process, owner)| {
                let id = match owner.as_ref()? {
                    Owner::Host => Box::default(),
                    Owner::Container(index) => self.containers.get(*index)?.id.clone(),
                };
                Some(((process.pid, process.start), id))
            })
            .collect();
        let id_of = |process: &Process| ids.get(&(process.pid, process.start)).map(|id| &**id);
        let ts = self.clock.now();
        snapshot.emit(ts, id_of, &mut Implied { intake: self, sink });
    }

    /// So many events of a cgroup were not delivered. `cause` is the ledger's name for why.
    pub fn missed(&mut self, owner: Owner, cause: &str, n: u64, sink: &mut dyn Sink) {
        if n == 0 {
            return;
        }
        let body = Body::Missed { cause: cause.as_bytes(), n };
        let lineage = [Dropped::RingFullFork, Dropped::RingFullExec, Dropped::ProbeTable, Dropped::ProbeRecord];
        if let Owner::Container(index) = owner
            && lineage.iter().any(|lost| lost.name() == cause)
            && let Some(container) = self.containers.get_mut(index)
        {
            // Who was forked unseen must not pass for the runtime's.
            container.processes = None;
        }
        match owner {
            Owner::Host if !self.host => self.host_events += n,
            Owner::Host => sink.event(EventRef::new(self.clock.now(), b"", 0, body)),
            Owner::Container(index) => self.emit(index, self.clock.now(), body, sink),
        }
    }

    /// Events that were lost, nobody knows whose: they count for the run, and for no image.
    pub fn missed_unattributed(&mut self, cause: &str, n: u64, sink: &mut dyn Sink) {
        if n > 0 {
            let body = Body::Missed { cause: cause.as_bytes(), n };
            sink.event(EventRef::new(self.clock.now(), b"", 0, body));
        }
    }

    /// Takes what runtimes have answered since, asks again where it could not, and tells who has no name and of the
    /// host's events.
    pub fn settle(&mut self, sink: &mut dyn Sink) {
        while let Some(answer) = self.resolver.as_ref().and_then(|resolver| resolver.answers().try_recv().ok()) {
            self.answer(answer, sink);
        }
        while let (Some(resolver), Some(ask)) = (&self.resolver, self.unasked.front()) {
            if !resolver.ask(ask.clone()) {
                break;
            }
            self.unasked.pop_front();
        }
        for id in std::mem::take(&mut self.nameless) {
            if let Some(index) = self.containers.of_id(&id) {
                let body = Body::ContainerStart { image: UNKNOWN_IMAGE.as_bytes(), tag: UNKNOWN_IMAGE.as_bytes() };
                self.emit(index, self.clock.now(), body, sink);
            }
        }
        let n = std::mem::take(&mut self.host_events);
        if n > 0 {
            let body = Body::Missed { cause: Ignored::Host.name().as_bytes(), n };
            sink.event(EventRef::new(self.clock.now(), b"", 0, body));
        }
    }

    /// Says what warnings were kept back.
    pub fn report_suppressed(&mut self) {
        if let Some(containers) = self.unnamed.suppressed() {
            tracing::warn!(containers, "image unknown of more containers");
        }
        if let Some(cgroups) = self.lost.suppressed() {
            tracing::warn!(cgroups, "events of more cgroups cannot be given to a container");
        }
    }

    /// Whether a runtime is still expected to answer.
    pub fn waits(&self) -> bool {
        let open = |container: &super::Container| container.who.is_some() && !container.answered;
        self.resolver.is_some() && self.containers.iter().any(open)
    }

    /// What a container runs, from whoever knows.
    pub fn name_container(&mut self, who: &ContainerRef, workload: Workload, sink: &mut dyn Sink) {
        let Some(index) = self.containers.find(who) else { return };
        let Some(container) = self.containers.get_mut(index) else { return };
        container.workload = Some(workload.clone());
        container.answered = true;
        self.decide(index);
        let body = Body::ContainerStart { image: workload.image.as_bytes(), tag: workload.tag.as_bytes() };
        self.emit(index, self.clock.now(), body, sink);
        self.release(index, sink);
    }

    fn answer(&mut self, answer: Answer, sink: &mut dyn Sink) {
        let Answer { container: who, result } = answer;
        match result {
            Ok(workload) => self.name_container(&who, workload, sink),
            Err(unresolved) => self.is_unnamed(&who, &unresolved),
        }
    }

    /// Nobody will say what a container runs.
    fn is_unnamed(&mut self, who: &ContainerRef, why: &dyn Display) {
        if let Some(so_far) = self.unnamed.allow() {
            tracing::warn!(container = who.id, runtime = %who.runtime, unresolved = %why, so_far, "image unknown");
        }
        let Some(index) = self.containers.find(who) else { return };
        if let Some(container) = self.containers.get_mut(index) {
            container.answered = true;
            if container.wanted == Wanted::Open {
                // Nobody can tell any more that it is one that was asked for.
                container.wanted = Wanted::No;
            }
        }
        self.containers.release_held(index);
        self.is_nameless(index);
    }

    /// What waits for the container's name has nothing to wait for.
    fn is_nameless(&mut self, index: Index) {
        if let Some(container) = self.containers.get(index) {
            self.nameless.push(container.id.clone());
        }
    }

    /// Whether nothing of this owner is wanted, nor will be.
    pub fn excludes(&self, owner: Owner) -> bool {
        match owner {
            Owner::Host => false,
            Owner::Container(index) => self.containers.get(index).is_some_and(|one| one.wanted == Wanted::No),
        }
    }

    /// Takes all processes of the containers that there are for known: those of a whole look at them, or of two.
    pub fn mark_all_known(&mut self, looks: [&Snapshot; 2], mut who: impl FnMut(&[u8]) -> Option<ContainerRef>) {
        if looks.iter().any(|look| look.left_out.over_budget + look.left_out.denied > 0) {
            return;
        }
        self.containers.know_all();
        for process in looks.into_iter().flat_map(|look| &look.processes) {
            let index = who(&process.cgroup).and_then(|who| self.containers.find(&who));
            let container = index.and_then(|index| self.containers.get_mut(index));
            if let Some(processes) = container.and_then(|container| container.processes.as_mut()) {
                processes.add((process.pid, process.start));
            }
        }
    }

    /// Looks at who makes an event. A process that came into the container from outside, and has run no program in
    /// it, is the runtime's, and so is one that it forks: it is told as such before it does anything.
    fn identify(&mut self, index: Index, event: &EventRef<'_>) -> Actor {
        let Some(container) = self.containers.get_mut(index) else { return Actor::Known };
        let (Some(processes), Some(start)) = (&mut container.processes, event.start) else { return Actor::Known };
        let process = (event.pid, start);
        let (actor, whole) = match event.body {
            Body::Fork { ppid, .. } => {
                let actor = if processes.has_pid(ppid) { Actor::Known } else { Actor::ForkedByJoined };
                (actor, processes.add(process))
            }
            Body::Exec(_) => (Actor::Known, processes.add(process)),
            _ if processes.contains(process) => {
                if matches!(event.body, Body::Exit) {
                    processes.remove(process);
                }
                return Actor::Known;
            }
            // It is among them no longer than this event takes.
            Body::Exit => (Actor::Joined, true),
            _ => (Actor::Joined, processes.add(process)),
        };
        // Who was forked unseen must not pass for the runtime's: a loss is counted before anything that follows it.
        let stray = actor != Actor::Known
            && self.loss_counter.as_ref().is_some_and(|loss_counter| loss_counter.count() != self.losses_counted);
        if !whole || stray {
            container.processes = None;
        }
        if stray { Actor::Known } else { actor }
    }

    fn ask(&mut self, ask: Ask) {
        if self.resolver.as_ref().is_some_and(|resolver| !resolver.ask(ask.clone())) {
            self.unasked.push_back(ask);
        }
        while self.unasked.len() > UNASKED_MAX
            && let Some(oldest) = self.unasked.pop_front()
        {
            self.is_unnamed(&oldest.container, &"too many containers are being asked for");
        }
    }

    fn decide(&mut self, index: Index) {
        if let Some(container) = self.containers.get_mut(index) {
            container.wanted = self.select.wants(container);
        }
    }

    /// Something of a container that no process did.
    fn emit(&mut self, index: Index, ts: u64, body: Body<&[u8]>, sink: &mut dyn Sink) {
        let event = EventRef::new(ts, b"", 0, body);
        self.forward(index, event, true, sink);
    }

    /// Hands an event of a container on, if the container is wanted.
    fn forward(&mut self, index: Index, event: EventRef<'_>, counted: bool, sink: &mut dyn Sink) {
        let Some(container) = self.containers.get_mut(index) else { return };
        container.events += 1;
        match container.wanted {
            Wanted::Yes => hand_on(event.with_container(&container.id), counted, sink),
            Wanted::No => {}
            Wanted::Open => self.containers.hold(index, event, counted),
        }
    }

    /// Lets go of what was kept of a container until it was known whether it is wanted.
    fn release(&mut self, index: Index, sink: &mut dyn Sink) {
        let Some(container) = self.containers.get_mut(index) else { return };
        if container.wanted == Wanted::Open {
            return;
        }
        let wanted = container.wanted;
        let (held, unheld) = self.containers.release_held(index);
        if wanted == Wanted::Yes {
            held.iter().for_each(|stored| hand_on(stored.event, stored.counted, sink));
            self.missed(Owner::Container(index), Dropped::QueueFull.name(), unheld, sink);
        }
    }
}

fn hand_on(event: EventRef<'_>, counted: bool, sink: &mut dyn Sink) {
    if counted { sink.event(event) } else { sink.implied(event) }
}

/// Takes what is told of processes that run already, on its way to their containers.
struct Implied<'a> {
    intake: &'a mut Intake,
    sink: &'a mut dyn Sink,
}

impl Sink for Implied<'_> {
    fn event(&mut self, event: EventRef<'_>) {
        self.implied(event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        match self.intake.containers.of_id(event.container) {
            Some(index) => self.intake.forward(index, event, false, self.sink),
            None => self.sink.implied(no_runtime(event)),
        }
    }
}

/// The same event of the host, or of a command: whatever runs there, nothing is left out as a container's set-up.
pub(super) fn no_runtime(event: EventRef<'_>) -> EventRef<'_> {
    with_runtime(event, false)
}

/// The same event; if it is an exec, the runtime's or not.
pub(super) fn with_runtime(event: EventRef<'_>, runtime: bool) -> EventRef<'_> {
    match event.body {
        Body::Exec(mut exec) => {
            exec.runtime = Some(runtime);
            event.with_body(Body::Exec(exec))
        }
        _ => event,
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
