//! A shard's worker: the only writer of its containers.

use super::container::{Container, State, Subject, Workload};
use super::counts::Counts;
use super::images::Images;
use super::memory::Memory;
use super::waiting::{Turn, Waiting};
use super::{Limits, Mode, counted};
use crate::config::Config;
use crate::event::{Body, EventBuf, EventRef, Stored};
use crate::hash::{Keyed, Map};
use crate::intern::{Full, Interner, TEXT_MAX};
use crate::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use crate::profile::drift::{Checker, Cutoff};
use crate::tree::{ActivityTree, Rules, Sizes};
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

mod room;
#[cfg(test)]
mod tests;
mod view;
mod weigh;

use room::waits;
pub(super) use view::ShardView;

/// So many events that were held are replayed before what that took is counted.
const REPLAYED_AT_ONCE: usize = 256;

pub(super) struct Worker {
    containers: Vec<Option<Container>>,
    free: Vec<usize>,
    by_id: HashTable<usize>,
    last: usize,
    images: Images,
    stopped: VecDeque<Arc<[u8]>>,
    stopped_by_id: Map<Arc<[u8]>, Workload>,
    lingering: VecDeque<Box<[u8]>>,
    waiting: Waiting,
    limits: Limits,
    /// Goes up by one whenever the events go on with another container.
    turns: u64,
    /// The container at hand may take more or less memory than it is counted with.
    changed: bool,
    /// What all containers take, and those of them that linger.
    containers_bytes: usize,
    lingering_bytes: usize,
    remembered_bytes: usize,
    /// What is being replayed of events that were held.
    replaying_bytes: usize,
    seen: usize,
    ledger: Ledger,
    failed: bool,
    /// Events of the current batch that are done with.
    done: usize,
    /// The event at hand is in the ledger.
    accounted: bool,
    /// Held events that are being replayed and are not yet settled.
    replaying: u64,
    hasher: Keyed,
    counts: Arc<Counts>,
    rules: Arc<Rules>,
    mode: Mode,
    interner: Interner,
    host: bool,
    hold_events: usize,
    hold_bytes: usize,
    hold_time_ns: u64,
    lingering_bytes_max: usize,
    remembered_bytes_max: usize,
    /// The rounds of findings that were out when containers last let go of them.
    cutoff_ends: [u32; 2],
    /// What all workers hold, and this one's place in it.
    memory: Arc<Memory>,
    shard: usize,
}

impl Worker {
    pub fn new(
        config: &Config,
        rules: Arc<Rules>,
        mode: Mode,
        interner: Interner,
        counts: Arc<Counts>,
        memory: Arc<Memory>,
        shard: usize,
    ) -> Self {
        Self {
            containers: Vec::new(),
            free: Vec::new(),
            by_id: HashTable::new(),
            last: usize::MAX,
            images: Images::default(),
            stopped: VecDeque::new(),
            stopped_by_id: Map::default(),
            lingering: VecDeque::new(),
            waiting: Waiting::default(),
            limits: Limits::default(),
            turns: 0,
            changed: false,
            containers_bytes: 0,
            lingering_bytes: 0,
            remembered_bytes: 0,
            replaying_bytes: 0,
            seen: 0,
            ledger: Ledger::default(),
            failed: false,
            done: 0,
            accounted: false,
            replaying: 0,
            hasher: Keyed::default(),
            counts,
            rules,
            mode,
            interner,
            host: config.host,
            hold_events: config.hold_events,
            hold_bytes: config.hold_bytes,
            hold_time_ns: u64::try_from(config.hold_time.as_nanos()).unwrap_or(u64::MAX),
            lingering_bytes_max: room::lingering_bytes_max(config),
            remembered_bytes_max: room::remembered_bytes_max(config),
            cutoff_ends: [u32::MAX; 2],
            memory,
            shard,
        }
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Applies a batch. A panic on the way ends the shard's work, is told, and costs the container it happened in:
    /// its tree may be half changed.
    pub fn apply(&mut self, batch: &EventBuf) -> Option<String> {
        if self.failed {
            self.lose(batch, 0);
            return None;
        }
        self.done = 0;
        let failure = self.guarded(|worker| {
            let mut now = 0;
            for stored in batch.iter() {
                worker.accounted = false;
                now = now.max(stored.event.ts);
                worker.event(stored);
                worker.done += 1;
            }
            worker.give_up_on_the_old(now);
            worker.within_bounds();
        })?;
        self.lose(batch, self.done + usize::from(self.accounted));
        Some(failure)
    }

    /// Does a piece of work; what a panic in it said, if there was one.
    pub fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> Option<String> {
        let panic = catch_unwind(AssertUnwindSafe(|| work(self))).err()?;
        let text =
            panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
        self.failed = true;
        let replaying = std::mem::take(&mut self.replaying);
        self.ledger.held -= replaying;
        self.ledger.settle(Fate::Dropped(Dropped::ShardFailed), replaying);
        self.replaying_bytes = 0;
        self.discard(self.last);
        Some(text.unwrap_or_else(|| "panicked without a message".to_owned()))
    }

    /// Counts the events of a batch from the `from`-th on as lost, also for those containers that are still there.
    fn lose(&mut self, batch: &EventBuf, from: usize) {
        const LOST: Fate = Fate::Dropped(Dropped::ShardFailed);
        for stored in batch.iter().skip(from) {
            self.ledger.count_many(LOST, stored.weight());
            if let Some(index) = self.find(stored.event.container)
                && let Some(Some(container)) = self.containers.get_mut(index)
            {
                container.count(&stored, LOST);
            }
        }
    }

    /// Lets a container go whose state cannot be trusted; what it held is lost.
    fn discard(&mut self, index: usize) {
        self.drop_held(index, Dropped::ShardFailed);
        self.remove(index);
    }

    /// Lets go of what a container holds, if it does.
    fn drop_held(&mut self, index: usize, cause: Dropped) {
        let Some(Some(container)) = self.containers.get_mut(index) else { return };
        let State::Waiting { held, .. } = &mut container.state else { return };
        let held = std::mem::take(held);
        self.end_waiting(&held);
        let Some(Some(container)) = self.containers.get_mut(index) else { return };
        for stored in held.iter() {
            self.ledger.held -= stored.weight();
            self.ledger.settle(Fate::Dropped(cause), stored.weight());
            container.count(&stored, Fate::Dropped(cause));
        }
    }

    fn event(&mut self, stored: Stored<'_>) {
        let event = &stored.event;
        if event.container.is_empty() && !self.host {
            // What nobody knows whose it was is lost all the same.
            let fate = match event.body {
                Body::Missed { cause, .. } => Fate::missed(cause),
                _ => Fate::Ignored(Ignored::Host),
            };
            self.settle(stored, fate);
            return;
        }
        let Some(index) = self.container(event) else {
            self.settle(stored, Fate::Dropped(Dropped::Containers));
            return;
        };
        if let Body::ContainerStart { image, tag } = event.body {
            let fate = self.start(index, image, tag);
            self.count(index, stored, fate);
            return;
        }
        let Some(Some(container)) = self.containers.get_mut(index) else { return };
        match &mut container.state {
            State::Bound { subject, workload } => {
                if !matches!(event.body, Body::ContainerStop) {
                    let before = subject.moving();
                    let fate = subject.apply(event);
                    let moved = subject.moving() != before || matches!(event.body, Body::Exec(_));
                    self.count(index, stored, fate);
                    if moved {
                        self.has_changed(index);
                    }
                    return;
                }
                // What it is may still be told, and then all of it is that workload's.
                let lingers = workload.assumed && !event.container.is_empty();
                if lingers {
                    subject.forget_processes();
                }
                let again = std::mem::replace(&mut container.over, true);
                self.count(index, stored, Fate::Lifecycle);
                match (lingers, again) {
                    (true, false) => self.linger(index, event.container),
                    (true, true) => {}
                    (false, _) => self.retire(index),
                }
            }
            State::Waiting { held, .. } => {
                let (first, before) = (held.is_empty(), held.heap_bytes());
                held.push_stored(stored);
                self.waiting.bytes += held.heap_bytes() - before;
                if first {
                    let turn = Turn { index, serial: container.serial };
                    let containers = &self.containers;
                    self.waiting.begin(turn, |turn| waits(containers, turn).is_some());
                }
                let Some(Some(container)) = self.containers.get_mut(index) else { return };
                let State::Waiting { held, since_ts } = &mut container.state else { return };
                self.ledger.received += stored.weight();
                self.ledger.held += stored.weight();
                self.accounted = true;
                let full = held.len() > self.hold_events || held.text_bytes() > self.hold_bytes;
                let stop = matches!(event.body, Body::ContainerStop) && !std::mem::replace(&mut container.over, true);
                if full || event.ts.saturating_sub(*since_ts) > self.hold_time_ns {
                    self.give_up(index);
                }
                self.hold_within_bounds();
                if stop {
                    self.linger(index, event.container);
                }
            }
        }
    }

    /// Events that were held are not any more.
    fn end_waiting(&mut self, held: &EventBuf) {
        if !held.is_empty() {
            self.waiting.end(held.heap_bytes());
        }
    }

    fn settle(&mut self, stored: Stored<'_>, fate: Fate) {
        self.accounted = true;
        self.limits.memory_refused += self.refused(fate) * stored.weight();
        self.ledger.count_many(fate, stored.weight());
    }

    /// 1 for an event that there was no memory for, in all trees together.
    fn refused(&self, fate: Fate) -> u64 {
        u64::from(fate == Fate::Dropped(Dropped::TreeFull) && !self.rules.room.is_left())
    }

    fn count(&mut self, index: usize, stored: Stored<'_>, fate: Fate) {
        self.settle(stored, fate);
        // What is known already takes no more memory.
        if fate != Fate::Known {
            self.has_changed(index);
        }
        if let Some(Some(container)) = self.containers.get_mut(index) {
            container.count(&stored, fate);
        }
    }

    /// The container of an event, made if it is new.
    fn container(&mut self, event: &EventRef<'_>) -> Option<usize> {
        if let Some(Some(container)) = self.containers.get(self.last)
            && *container.id == *event.container
        {
            return Some(self.last);
        }
        self.weigh_last();
        self.turns += 1;
        if let Some(index) = self.find(event.container) {
            self.last = index;
            if let Some(Some(container)) = self.containers.get_mut(index) {
                container.turn = self.turns;
            }
            return Some(index);
        }
        if self.counts.containers.is_full() {
            self.make_room();
        }
        self.counts.containers.add();
        let container = Container::waiting(event.container, event.ts, self.turns);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.containers.push(None);
                self.containers.len() - 1
            }
        };
        if let Some(slot) = self.containers.get_mut(index) {
            *slot = Some(container);
        }
        let hash = self.hasher.bytes(event.container);
        let Self { containers, by_id, hasher, .. } = self;
        by_id.insert_unique(hash, index, |i| {
            containers.get(*i).and_then(Option::as_ref).map_or(0, |c| hasher.bytes(&c.id))
        });
        self.last = index;
        self.changed = true;
        self.seen += 1;
        if event.container.is_empty() {
            self.bind(index, Workload::host());
        } else if let Some(workload) = self.stopped_by_id.get(event.container).cloned() {
            self.seen -= 1;
            if let Some(Some(container)) = self.containers.get_mut(index) {
                container.over = true;
            }
            self.bind(index, workload);
            self.linger(index, event.container);
        }
        Some(index)
    }

    fn find(&self, id: &[u8]) -> Option<usize> {
        let is_it = |i: &usize| matches!(self.containers.get(*i), Some(Some(c)) if *c.id == *id);
        self.by_id.find(self.hasher.bytes(id), is_it).copied()
    }

    fn remove(&mut self, index: usize) -> Option<Container> {
        let container = self.containers.get_mut(index)?.take()?;
        let hash = self.hasher.bytes(&container.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |i| *i == index) {
            entry.remove();
        }
        self.counts.containers.give_back();
        self.free.push(index);
        self.containers_bytes -= container.counted;
        self.lingering_bytes -= if container.lingers { container.counted } else { 0 };
        Some(container)
    }

    /// A container's workload is told.
    fn start(&mut self, index: usize, image: &[u8], tag: &[u8]) -> Fate {
        let (Ok(image), Ok(tag)) = (std::str::from_utf8(image), std::str::from_utf8(tag)) else {
            return Fate::Rejected(Rejected::InvalidValue);
        };
        if image.len().max(tag.len()) > TEXT_MAX {
            return Fate::Rejected(Rejected::InvalidValue);
        }
        let Some(Some(container)) = self.containers.get_mut(index) else { return Fate::Lifecycle };
        let told = Workload { image: Arc::from(image), tag: Arc::from(tag), assumed: false };
        match &mut container.state {
            State::Waiting { .. } => {
                if self.bind(index, told) {
                    Fate::Lifecycle
                } else {
                    Fate::Dropped(Dropped::TagsFull)
                }
            }
            State::Bound { workload, subject } if workload.assumed => {
                let baseline = match &self.mode {
                    Mode::Learn => None,
                    Mode::Check(baselines) => baselines.get(&*told.image).cloned(),
                };
                match std::mem::replace(subject, Subject::Nothing) {
                    Subject::Learning(mut tree) => {
                        let reference = self.interner.intern(tag);
                        if let Ok(reference) = &reference {
                            tree.rename_tag(reference);
                        }
                        *subject = Subject::Learning(tree);
                        if reference.is_err() {
                            return Fate::Dropped(Dropped::TagsFull);
                        }
                    }
                    Subject::Checking(checker) => {
                        if let Some(baseline) = baseline {
                            let checker = checker.rebind(baseline, &told.image, &told.tag);
                            *subject = Subject::Checking(Box::new(checker));
                        }
                    }
                    Subject::Nothing => {}
                }
                *workload = told;
                Fate::Lifecycle
            }
            State::Bound { workload, .. } if workload.image == told.image && workload.tag == told.tag => {
                // Started again after it had stopped, or told twice.
                container.over = false;
                Fate::Lifecycle
            }
            State::Bound { .. } => Fate::Rejected(Rejected::ConflictingWorkload),
        }
    }

    fn subject(
        mode: &Mode,
        rules: &Arc<Rules>,
        interner: &Interner,
        id: &[u8],
        workload: &Workload,
        cutoff: &Arc<Cutoff>,
    ) -> Result<Subject, Full> {
        Ok(match mode {
            Mode::Learn => {
                let tag = interner.intern(&workload.tag)?;
                Subject::Learning(Box::new(ActivityTree::new(rules.clone(), &tag)))
            }
            Mode::Check(baselines) => {
                let Workload { image, tag, assumed } = workload;
                match (baselines.get(&**image), assumed) {
                    (baseline, true) => {
                        let checker = Checker::provisional(baseline.cloned(), rules, id, image, tag);
                        Subject::Checking(Box::new(checker.among(cutoff)))
                    }
                    (Some(baseline), false) => {
                        let checker = Checker::new(baseline.clone(), rules, id, image, tag);
                        Subject::Checking(Box::new(checker.among(cutoff)))
                    }
                    (None, false) => Subject::Nothing,
                }
            }
        })
    }

    /// Binds a container to its workload and replays what was held. False if there is no room for its tag.
    fn bind(&mut self, index: usize, workload: Workload) -> bool {
        let Some(Some(container)) = self.containers.get_mut(index) else { return true };
        let cutoff = self.memory.findings().cutoff();
        let Ok(subject) = Self::subject(&self.mode, &self.rules, &self.interner, &container.id, &workload, cutoff)
        else {
            return false;
        };
        let bound = State::Bound { workload, subject };
        let State::Waiting { held, .. } = std::mem::replace(&mut container.state, bound) else { return true };
        self.end_waiting(&held);
        self.has_changed(index);
        self.replaying = counted(&held);
        self.replaying_bytes = held.heap_bytes();
        for (n, stored) in held.iter().enumerate() {
            if n % REPLAYED_AT_ONCE == REPLAYED_AT_ONCE - 1 {
                self.publish();
                self.changed = true;
            }
            let Some(Some(container)) = self.containers.get_mut(index) else { return true };
            let State::Bound { subject, .. } = &mut container.state else { return true };
            let stop = matches!(stored.event.body, Body::ContainerStop);
            let fate = if stop {
                subject.forget_processes();
                Fate::Lifecycle
            } else {
                subject.apply(&stored.event)
            };
            self.replaying -= stored.weight();
            self.ledger.held -= stored.weight();
            self.ledger.settle(fate, stored.weight());
            container.count(&stored, fate);
            self.limits.memory_refused += self.refused(fate) * stored.weight();
        }
        self.replaying_bytes = 0;
        true
    }

    /// A container is gone: its tree joins those of its image's other stopped containers.
    fn retire(&mut self, index: usize) {
        let Some(container) = self.remove(index) else { return };
        let State::Bound { workload, subject } = container.state else { return };
        self.limits.processes_forgotten += subject.processes_forgotten();
        match subject {
            Subject::Learning(tree) => {
                let dropped = self.ledger.dropped_total();
                self.images.retire(
                    &workload.image,
                    tree.into_tree(),
                    container.ledgers,
                    &mut self.ledger,
                    &self.counts,
                );
                if !self.rules.room.is_left() {
                    self.limits.memory_refused += self.ledger.dropped_total() - dropped;
                }
            }
            subject => self.keep_findings(&subject),
        }
        self.remember(container.id, workload);
    }

    fn keep_findings(&mut self, subject: &Subject) {
        if let Subject::Checking(checker) = subject {
            self.memory.findings().add(self.shard, checker);
        }
    }

    /// Everything is over: what each container did joins what is known of its image, one after the other, and each is
    /// gone then. On this thread, whose allocator can use again what they give back.
    pub fn fold(&mut self) {
        (self.stopped, self.stopped_by_id, self.lingering) = Default::default();
        let mut all: Map<Arc<str>, Sizes> = Map::default();
        for container in self.containers.iter().flatten() {
            if let State::Bound { workload, subject: Subject::Learning(tree) } = &container.state {
                *all.entry(workload.image.clone()).or_default() += tree.tree().sizes();
            }
        }
        for index in 0..self.containers.len() {
            let Some(container) = self.remove(index) else { continue };
            let State::Bound { workload, subject } = container.state else { continue };
            self.limits.processes_forgotten += subject.processes_forgotten();
            match subject {
                Subject::Learning(tree) => {
                    let (image, sizes) = (&workload.image, all.remove(&workload.image));
                    self.images.fold(image, tree.tree(), container.ledgers, &mut self.ledger, sizes);
                }
                subject => self.keep_findings(&subject),
            }
        }
    }

    /// Remembers what a container ran that is gone, in case events of it are still on the way.
    fn remember(&mut self, id: Box<[u8]>, workload: Workload) {
        if workload.assumed {
            // There is nothing to remember: a late event waits for a name as the first one did.
            return;
        }
        let id: Arc<[u8]> = id.into();
        let bytes = remembered_bytes(&id);
        if self.stopped_by_id.insert(id.clone(), workload).is_some() {
            return;
        }
        self.remembered_bytes += bytes;
        self.stopped.push_back(id);
        let mut many = !self.counts.stopped.add();
        while (std::mem::take(&mut many) || self.remembered_bytes > self.remembered_bytes_max)
            && let Some(id) = self.stopped.pop_front()
        {
            self.counts.stopped.give_back();
            self.limits.containers_forgotten += 1;
            self.stopped_by_id.remove(&id);
            self.remembered_bytes -= remembered_bytes(&id);
        }
    }

    /// Learns what a container holds under the unknown workload. Without room for its tag, that is lost.
    fn give_up(&mut self, index: usize) {
        if self.bind(index, Workload::unknown()) {
            return;
        }
        self.drop_held(index, Dropped::TagsFull);
    }

    /// Learns what is still held under the unknown workload. What a panic said, if there was one.
    pub fn give_up_waiting(&mut self) -> Option<String> {
        let mut failure = None;
        for index in 0..self.containers.len() {
            let container = self.containers.get(index).and_then(Option::as_ref);
            if container.is_some_and(|c| matches!(&c.state, State::Waiting { held, .. } if !held.is_empty())) {
                failure = self.guarded(|worker| worker.give_up(index)).or(failure);
            }
        }
        failure
    }
}

/// What it takes to remember a container that is gone: its id, its workload's texts, and a place in two tables.
fn remembered_bytes(id: &[u8]) -> usize {
    id.len() + 2 * size_of::<(Arc<[u8]>, Workload)>() + 2 * size_of::<Arc<[u8]>>() + 96
}
