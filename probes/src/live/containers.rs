//! The containers of a live observation: their cgroups, their workload, and the events that wait for it.
//!
//! A container is there from its first cgroup on and until its last one is gone; what it runs may be told later than
//! that, so one that is gone is remembered until it is. Not here: where any of this is learned from.

use std::collections::{HashMap, VecDeque};

use grove::event::{EventBuf, EventRef};

use crate::workload::{ContainerRef, Workload};

/// Cgroups that are told apart at a time. Of those beyond, the oldest is forgotten, and looked up again.
const CGROUPS_MAX: usize = 1 << 16;

/// Events of one container that are held until it is known whether it is wanted.
const HELD_MAX: usize = 16_384;

/// What is held of all of them together, in bytes.
const HELD_BYTES_MAX: usize = 32 << 20;

/// Containers that are gone and still remembered, in case their workload is told.
const GONE_MAX: usize = 4096;

/// So many are remembered once that is told or nobody will: for late events, as the paths of cgroups that are gone.
const GONE_ANSWERED_MAX: usize = 1024;

/// Which container of the table.
pub type Index = usize;

/// The owner of a cgroup: a container, the host, or not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The host's own.
    Host,
    /// A container's.
    Container(Index),
}

/// Whether a container is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The container is wanted.
    Yes,
    /// The container is not wanted.
    No,
    /// What it runs is not known yet, and that may decide it.
    Open,
}

/// What is known of one container.
#[derive(Debug)]
pub struct Container {
    /// As its events name it.
    pub id: Box<[u8]>,
    /// As its runtime knows it; `None` if only the number of its cgroup is known.
    pub who: Option<ContainerRef>,
    /// What it runs, once that is told.
    pub workload: Option<Workload>,
    /// Events of it so far.
    pub events: u64,
    /// Its cgroups that are there.
    cgroups: usize,
    /// Its only one, if that is gone and all that is known of it.
    lone_cgroup: Option<u64>,
    /// Its last cgroup is gone.
    pub gone: bool,
    /// Its runtime has answered, or nobody will.
    pub answered: bool,
    /// Whether its events are let through.
    pub wanted: Wanted,
    /// Its events, as long as that is open.
    held: EventBuf,
    /// How many of them found no room.
    unheld: u64,
    /// Its processes, as long as all of them are known.
    pub processes: Option<Processes>,
}

/// The processes of a container of which every fork and exec was seen. So one that is not among them, and does
/// something in the container, came in from outside: it is the runtime's.
#[derive(Debug, Default)]
pub struct Processes {
    /// When each started, by its id.
    known: HashMap<u32, u64>,
    /// The one that was looked at last, as most events come from the same process as the one before.
    last: (u32, u64),
}

/// Processes of one container that are told apart; with more running, none are.
const PROCESSES_MAX: usize = 1 << 16;

impl Processes {
    /// Whether a process is among them.
    pub fn contains(&mut self, process: (u32, u64)) -> bool {
        let known = self.last == process || self.known.get(&process.0) == Some(&process.1);
        if known {
            self.last = process;
        }
        known
    }

    /// Whether a process of this id is among them.
    pub fn has_pid(&self, pid: u32) -> bool {
        self.known.contains_key(&pid)
    }

    /// A process is there. False if there are too many.
    pub fn add(&mut self, (pid, start): (u32, u64)) -> bool {
        self.known.insert(pid, start);
        self.known.len() <= PROCESSES_MAX
    }

    /// A process is gone.
    pub fn remove(&mut self, process: (u32, u64)) {
        if self.known.get(&process.0) == Some(&process.1) {
            self.known.remove(&process.0);
        }
        self.last = (0, 0);
    }
}

/// The containers of a host, and their cgroups.
#[derive(Debug, Default)]
pub struct Containers {
    slots: Vec<Option<Container>>,
    free: Vec<Index>,
    by_id: HashMap<Box<[u8]>, Index>,
    owners: HashMap<u64, Owner>,
    /// The cgroups in `owners`, oldest first; some may be gone from there.
    order: VecDeque<u64>,
    gone: VecDeque<Box<[u8]>>,
    /// Memory of all that is held of containers.
    held_bytes: usize,
    seen: u64,
}

/// A container's id as its events have it. A user's own runtime may use any id: it must not pass for another's.
pub fn event_id(who: &ContainerRef) -> Box<[u8]> {
    match who.user {
        None => who.id.as_bytes().into(),
        Some(user) => format!("{}@{user}", who.id).into_bytes().into(),
    }
}

impl Containers {
    /// Whose a cgroup is, if that is known.
    pub fn owner(&self, cgroup: u64) -> Option<Owner> {
        self.owners.get(&cgroup).copied()
    }

    /// A cgroup is the host's.
    pub fn is_host(&mut self, cgroup: u64) {
        self.assign(cgroup, Owner::Host);
    }

    /// A cgroup is a container's. True if the container is new, or is back after it had gone.
    pub fn is_container(&mut self, cgroup: u64, who: ContainerRef) -> (Index, bool) {
        let id = event_id(&who);
        let (index, new) = self.container(&id, Some(who));
        if self.owner(cgroup) != Some(Owner::Container(index)) {
            self.assign(cgroup, Owner::Container(index));
            if let Some(container) = self.get_mut(index) {
                container.cgroups += 1;
            }
        }
        (index, new)
    }

    /// A cgroup that is gone before anybody could ask whose it was: its events stay apart from all others.
    pub fn is_unknown(&mut self, cgroup: u64) -> Index {
        let id = format!("cgroup:{cgroup}").into_bytes();
        let (index, new) = self.container(&id, None);
        self.assign(cgroup, Owner::Container(index));
        if let Some(container) = self.get_mut(index).filter(|_| new) {
            container.gone = true;
            container.lone_cgroup = Some(cgroup);
            self.forget_later(id.into());
        }
        index
    }

    /// The container of this id, made if it is new.
    fn container(&mut self, id: &[u8], who: Option<ContainerRef>) -> (Index, bool) {
        if let Some(index) = self.by_id.get(id).copied()
            && let Some(container) = self.get_mut(index)
        {
            let back = std::mem::replace(&mut container.gone, false);
            return (index, back);
        }
        let container = Container {
            id: id.into(),
            answered: who.is_none(),
            who,
            workload: None,
            events: 0,
            cgroups: 0,
            lone_cgroup: None,
            gone: false,
            wanted: Wanted::Yes,
            held: EventBuf::new(),
            unheld: 0,
            processes: None,
        };
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(slot) => *slot = Some(container),
            None => self.slots.push(Some(container)),
        }
        self.by_id.insert(id.into(), index);
        self.seen += 1;
        (index, true)
    }

    fn assign(&mut self, cgroup: u64, owner: Owner) {
        if self.owners.insert(cgroup, owner).is_none() {
            self.order.push_back(cgroup);
        }
        if self.order.len() > 2 * self.owners.len() + CGROUPS_MAX / 16 {
            self.order.retain(|cgroup| self.owners.contains_key(cgroup));
        }
        while self.owners.len() > CGROUPS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.cgroup_gone(oldest);
        }
    }

    /// A cgroup is gone. The container of which it was the last one, if it was.
    pub fn cgroup_gone(&mut self, cgroup: u64) -> Option<Index> {
        let Owner::Container(index) = self.owners.remove(&cgroup)? else { return None };
        let container = self.get_mut(index)?;
        container.cgroups = container.cgroups.saturating_sub(1);
        if container.cgroups > 0 || container.who.is_none() {
            return None;
        }
        container.gone = true;
        // All of them are, though the end of some may be lost.
        container.processes = container.processes.take().map(|_| Processes::default());
        let id = container.id.clone();
        self.forget_later(id);
        Some(index)
    }

    fn forget_later(&mut self, id: Box<[u8]>) {
        self.gone.push_back(id);
        while self.has_too_many_gone()
            && let Some(oldest) = self.gone.pop_front()
        {
            self.forget(&oldest);
        }
    }

    /// Whether the one that has been gone for longest is one too many.
    fn has_too_many_gone(&self) -> bool {
        let Some(oldest) = self.gone.front().filter(|_| self.gone.len() > GONE_ANSWERED_MAX) else { return false };
        let container = self.by_id.get(oldest).and_then(|index| self.get(*index));
        self.gone.len() > GONE_MAX || container.is_none_or(|container| container.answered)
    }

    /// Lets a container go, unless it has come back.
    fn forget(&mut self, id: &[u8]) {
        let Some(index) = self.by_id.get(id).copied() else { return };
        if self.get(index).is_some_and(|container| container.gone) {
            self.by_id.remove(id);
            self.release_held(index);
            if let Some(cgroup) = self.slots.get_mut(index).and_then(Option::take).and_then(|one| one.lone_cgroup) {
                // Another container may get its place.
                self.owners.remove(&cgroup);
            }
            self.free.push(index);
        }
    }

    /// A container.
    pub fn get(&self, index: Index) -> Option<&Container> {
        self.slots.get(index)?.as_ref()
    }

    /// A container.
    pub fn get_mut(&mut self, index: Index) -> Option<&mut Container> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// The container that a runtime was asked about.
    pub fn find(&self, who: &ContainerRef) -> Option<Index> {
        self.by_id.get(&event_id(who)).copied()
    }

    /// The container whose events have this id.
    pub fn of_id(&self, id: &[u8]) -> Option<Index> {
        self.by_id.get(id).copied()
    }

    /// Holds an event of a container until it is known whether it is wanted, or counts it.
    pub(super) fn hold(&mut self, index: Index, event: EventRef<'_>, counted: bool) {
        let fits = self.held_bytes < HELD_BYTES_MAX;
        let Some(Container { id, held, unheld, .. }) = self.slots.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        if fits && held.len() < HELD_MAX {
            let before = held.heap_bytes();
            held.push(event.with_container(id), counted);
            self.held_bytes += held.heap_bytes() - before;
        } else {
            *unheld += u64::from(counted);
        }
    }

    /// What was held of a container, and how many events found no room.
    pub(super) fn release_held(&mut self, index: Index) -> (EventBuf, u64) {
        let Some(container) = self.get_mut(index) else { return Default::default() };
        let held = (std::mem::take(&mut container.held), std::mem::take(&mut container.unheld));
        self.held_bytes -= held.0.heap_bytes();
        held
    }

    /// From now on all processes of every container that is there are known.
    pub fn know_all(&mut self) {
        for container in self.slots.iter_mut().flatten().filter(|container| container.who.is_some()) {
            container.processes.get_or_insert_default();
        }
    }

    /// All containers that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Container> {
        self.slots.iter().flatten()
    }

    /// The cgroups that are somebody's.
    pub(super) fn cgroups(&self) -> impl Iterator<Item = u64> {
        self.owners.keys().copied()
    }

    /// Containers seen so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Runtime;
    use grove::event::{Body, Open};

    fn who(id: &str) -> ContainerRef {
        ContainerRef { runtime: Runtime::Docker, id: id.to_owned(), pod: None, user: None }
    }

    #[test]
    fn a_container_is_gone_with_its_last_cgroup() {
        let mut all = Containers::default();
        let (index, new) = all.is_container(1, who("a"));
        assert!(new);
        assert_eq!(all.is_container(2, who("a")), (index, false));
        // Told twice, counted once.
        assert_eq!(all.is_container(2, who("a")), (index, false));
        assert_eq!(all.cgroup_gone(1), None);
        assert_eq!(all.cgroup_gone(2), Some(index));
        assert!(all.get(index).is_some_and(|container| container.gone));
        // Started again under its id.
        assert_eq!(all.is_container(3, who("a")), (index, true));
        assert_eq!((all.seen(), all.iter().count()), (1, 1));
    }

    #[test]
    fn a_users_container_does_not_pass_for_another() {
        let mut all = Containers::default();
        let (root, _) = all.is_container(1, who("a"));
        let (user, new) = all.is_container(2, ContainerRef { user: Some(1000), ..who("a") });
        assert!(new && user != root);
        assert_eq!(all.find(&who("a")), Some(root));
    }

    #[test]
    fn what_is_gone_is_forgotten_in_its_turn_unless_it_came_back() {
        let mut all = Containers::default();
        for n in 0..=GONE_MAX as u64 + 1 {
            all.is_container(n, who(&n.to_string()));
            all.cgroup_gone(n);
            if n == 0 {
                all.is_container(1 << 32, who("0"));
            }
        }
        assert!(all.find(&who("0")).is_some() && all.find(&who("1")).is_none());
        assert_eq!(all.iter().count(), GONE_MAX + 1);
    }

    #[test]
    fn of_those_that_are_gone_and_answered_fewer_are_remembered() {
        let mut all = Containers::default();
        for n in 0..3 * GONE_ANSWERED_MAX as u64 {
            let (index, _) = all.is_container(n, who(&n.to_string()));
            all.get_mut(index).unwrap().answered = n != 7;
            all.cgroup_gone(n);
        }
        // The one that may still be told keeps those that went after it.
        assert_eq!(all.iter().count(), 3 * GONE_ANSWERED_MAX - 7);
        let index = all.find(&who("7")).unwrap();
        all.get_mut(index).unwrap().answered = true;
        all.is_container(1 << 32, who("x"));
        all.cgroup_gone(1 << 32);
        assert_eq!((all.iter().count(), all.gone.len()), (GONE_ANSWERED_MAX, GONE_ANSWERED_MAX));
    }

    #[test]
    fn a_hundred_thousand_containers_that_came_and_went_leave_room_for_the_last_few() {
        let mut all = Containers::default();
        for n in 0..100_000u64 {
            let (index, _) = all.is_container(n, who(&n.to_string()));
            let event = EventRef::new(n, b"", 1, Body::Exit);
            all.hold(index, event, true);
            if n % 3 == 0 {
                all.release_held(index);
            }
            all.get_mut(index).unwrap().processes = Some(Processes { known: HashMap::from([(1, n)]), last: (1, n) });
            all.cgroup_gone(n);
            all.is_unknown(1 << 40 | n);
        }
        let processes: usize = all.iter().filter_map(|one| one.processes.as_ref()).map(|of| of.known.len()).sum();
        assert_eq!((all.iter().count(), all.by_id.len(), all.gone.len(), processes), (GONE_MAX, GONE_MAX, GONE_MAX, 0));
        assert!(all.slots.len() <= GONE_MAX + 1 && all.owners.len() <= GONE_MAX, "{}", all.owners.len());
        assert!(all.order.len() <= 2 * GONE_MAX + CGROUPS_MAX / 16 + 1, "{}", all.order.len());
        let held: usize = all.iter().map(|one| one.held.heap_bytes()).sum();
        assert!(held > 0 && held == all.held_bytes, "{held}, {} counted", all.held_bytes);
    }

    #[test]
    fn what_is_held_of_all_containers_is_bounded_and_the_rest_counted() {
        let mut all = Containers::default();
        let path = [b'x'; 4000];
        for n in 0..2000u64 {
            let (index, _) = all.is_container(n, who(&n.to_string()));
            let body = Body::Open(Open::new(&path[..], 0, 0));
            for _ in 0..20 {
                all.hold(index, EventRef::new(n, b"", 1, body), true);
            }
        }
        assert!(all.held_bytes < HELD_BYTES_MAX + (1 << 20), "{}", all.held_bytes);
        let (mut held, mut unheld) = (0, 0);
        for index in 0..2000 {
            let (events, more) = all.release_held(index);
            (held, unheld) = (held + events.len() as u64, unheld + more);
        }
        assert_eq!((held + unheld, all.held_bytes), (40_000, 0));
        assert!(held > 4000 && unheld > 10_000, "{held} held, {unheld} not");
    }

    #[test]
    fn a_cgroup_of_which_nothing_is_known_leads_to_nobody_else() {
        let mut all = Containers::default();
        all.is_unknown(7);
        for n in 0..=GONE_MAX as u64 {
            all.is_container(100 + n, who(&n.to_string()));
            all.cgroup_gone(100 + n);
        }
        assert_eq!(all.owner(7), None, "its place may be another's");
    }

    #[test]
    fn cgroups_are_bounded() {
        let mut all = Containers::default();
        for n in 0..CGROUPS_MAX as u64 + 10 {
            all.is_host(n);
        }
        assert_eq!(all.owners.len(), CGROUPS_MAX);
        assert_eq!((all.owner(0), all.owner(10)), (None, Some(Owner::Host)));
    }
}
