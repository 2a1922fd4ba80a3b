//! The programs at work: attaching them, draining the ring, reading the counters, changing whom they tell about.

use std::collections::HashMap as Table;
use std::fmt;
use std::io::{self, Read};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, PerCpuHashMap, RingBuf};
use aya::programs::Iter;

use super::decode::{Decoder, Fault};
use super::hooks::HookState;
use super::load::{self, AttachError, CAUSES, COUNTERS};
use super::options::{Options, Scope};
use super::record::{Cause, Class, Count, Record, RecordBody};
use super::table::{FLUSH, HOOKS};

const CONTROL_SCOPE: u32 = 0;
const CONTROL_FLUSH: u32 = 1;
const CONTROL_URING: u32 = 2;
const CGROUP_INCLUDED: u32 = 1;
const CGROUP_EXCLUDED: u32 = 2;
/// A record's own header in the ring.
const RING_HEADER: u64 = 8;

/// Attached programs. Dropping detaches everything; nothing is pinned, so the end of the process does the same.
pub struct Probes {
    ring: RingBuf<MapData>,
    ring_bytes: u64,
    decoder: Decoder,
    lost: PerCpuHashMap<MapData, u64, [u64; COUNTERS]>,
    reported: Table<u64, [u64; COUNTERS]>,
    gone: Vec<u64>,
    control: Array<MapData, u32>,
    loss_counter: Option<LossCounter>,
    cgroups: HashMap<MapData, u64, u32>,
    followed: HashMap<MapData, u32, u32>,
    hooks: Vec<HookState>,
    epochs: [u32; 2],
    bpf: Ebpf,
}

/// Tells whether forks or execs were not delivered, without asking of which cgroups.
pub struct LossCounter(Array<MapData, u32>);

impl fmt::Debug for LossCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LossCounter").field(&self.count()).finish()
    }
}

impl LossCounter {
    /// How many there were so far, modulo 2³². A loss is counted before anything that the process does after it is
    /// delivered.
    pub fn count(&self) -> u32 {
        self.0.get(&0, 0).unwrap_or(0)
    }
}

/// How much was taken from the ring in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainStats {
    /// Records handed over.
    pub records: u64,
    /// Records that did not add up, and were thrown away.
    pub malformed: u64,
    /// Packets to port 53 that looked like questions and were none.
    pub no_question: u64,
    /// Bytes of the ring they took.
    pub bytes: u64,
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("ring_bytes", &self.ring_bytes)
            .field("hooks", &self.hooks)
            .finish_non_exhaustive()
    }
}

impl Probes {
    /// Loads and attaches every program whose classes are wanted.
    ///
    /// # Errors
    ///
    /// One line on what is missing and what to do. An optional hook that cannot be attached is no error: see
    /// [`Probes::hooks`].
    pub fn attach(options: &Options) -> Result<Self, AttachError> {
        let load::Loaded { mut bpf, btf } = load::load(options)?;
        let ring = bpf.take_map("ring").ok_or_else(|| load::absent("ring"))?;
        let ring = RingBuf::try_from(ring).map_err(load::map_error)?;
        let lost = bpf.take_map("lost").ok_or_else(|| load::absent("lost"))?;
        let mut lost = PerCpuHashMap::try_from(lost).map_err(load::map_error)?;
        load::prepare_losses(&mut lost)?;
        let control = bpf.take_map("control").ok_or_else(|| load::absent("control"))?;
        let mut control: Array<MapData, u32> = Array::try_from(control).map_err(load::map_error)?;
        let loss_counter = bpf.take_map("strays").ok_or_else(|| load::absent("strays"))?;
        let loss_counter = Array::try_from(loss_counter).map_err(load::map_error)?;
        let cgroups = load::hash(&mut bpf, "cgroups")?;
        let mut followed = load::hash(&mut bpf, "followed")?;
        if let Scope::Descendants(pid) = options.scope {
            followed.insert(pid, 1u32, 0).map_err(load::map_error)?;
        }

        let mut hooks = Vec::with_capacity(HOOKS.len());
        for hook in HOOKS.iter().filter(|h| h.wanted(options.classes)) {
            let failure = hook.attach(&mut bpf, &btf).err();
            if let (true, Some(e)) = (hook.required, &failure) {
                return Err(load::hook_error(hook, e));
            }
            let failure = failure.map(|e| hook.why(&e));
            if hook.name == "io_uring_complete" && failure.is_none() {
                control.set(CONTROL_URING, 1, 0).map_err(load::map_error)?;
            }
            hooks.push(HookState { name: hook.name, required: hook.required, failure, lost: hook.lost });
        }
        Ok(Self {
            ring,
            ring_bytes: u64::from(options.ring_size()),
            decoder: Decoder::new(unix_minus_boot_ns()),
            lost,
            reported: Table::new(),
            gone: Vec::new(),
            control,
            loss_counter: Some(LossCounter(loss_counter)),
            cgroups,
            followed,
            hooks,
            epochs: [0; 2],
            bpf,
        })
    }

    /// A way to ask for lost forks and execs while the ring is drained; for one who asks.
    pub fn loss_counter(&mut self) -> Option<LossCounter> {
        self.loss_counter.take()
    }

    /// The time that an event would have if it happened now.
    pub fn now(&self) -> u64 {
        self.decoder.unix_ns(boot_ns())
    }

    /// Every hook that was tried, attached or not.
    pub fn hooks(&self) -> &[HookState] {
        &self.hooks
    }

    /// Hands over what is in the ring: at most one ring full, so that it comes to an end whatever the kernel adds
    /// meanwhile. Never blocks.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Record<'_>)) -> DrainStats {
        let mut stats = DrainStats::default();
        while stats.bytes < self.ring_bytes {
            let Some(item) = self.ring.next() else { break };
            stats.bytes += (item.len() as u64).next_multiple_of(8) + RING_HEADER;
            match self.decoder.decode(&item) {
                Ok(record) => {
                    stats.records += 1;
                    if record.what == RecordBody::CgroupGone {
                        self.gone.push(record.cgroup);
                    }
                    sink(record);
                }
                Err(Fault::NoQuestion) => stats.no_question += 1,
                Err(Fault::Malformed) => stats.malformed += 1,
            }
        }
        stats
    }

    /// Tells what was not delivered since the last call.
    pub fn counts(&mut self, sink: &mut dyn FnMut(Count)) {
        for entry in self.lost.iter() {
            // A key that went away while iterating is met again or was told already.
            let Ok((cgroup, per_cpu)) = entry else { continue };
            let mut now = [0u64; COUNTERS];
            for cpu in per_cpu.iter() {
                for (sum, n) in now.iter_mut().zip(cpu) {
                    *sum = sum.wrapping_add(*n);
                }
            }
            let before = self.reported.entry(cgroup).or_insert([0; COUNTERS]);
            let counters = now.chunks_exact(CAUSES).zip(before.chunks_exact(CAUSES));
            for (&class, (now, before)) in Class::ALL.iter().zip(counters) {
                for (cause, (now, before)) in Cause::ALL.into_iter().zip(now.iter().zip(before)) {
                    let n = now.wrapping_sub(*before);
                    if n != 0 {
                        sink(Count { cgroup, class, cause, n });
                    }
                }
            }
            *before = now;
        }
        for cgroup in self.gone.drain(..) {
            // Either may be absent: a cgroup that lost nothing, or that nobody asked about.
            let _absent = self.lost.remove(&cgroup);
            let _absent = self.cgroups.remove(&cgroup);
            self.reported.remove(&cgroup);
        }
    }

    /// Tells about this cgroup and those that are made below it from now on.
    ///
    /// # Errors
    ///
    /// The map is full (65,536 cgroups).
    pub fn include_cgroup(&mut self, id: u64) -> io::Result<()> {
        self.mark_cgroup(id, CGROUP_INCLUDED)
    }

    /// Does not tell about this cgroup any more.
    ///
    /// # Errors
    ///
    /// The map is full (65,536 cgroups).
    pub fn exclude_cgroup(&mut self, id: u64) -> io::Result<()> {
        self.mark_cgroup(id, CGROUP_EXCLUDED)
    }

    /// Tells about this process and its descendants too, with [`Scope::Descendants`].
    ///
    /// # Errors
    ///
    /// The map is full (65,536 processes, with those that descend from them).
    pub fn follow(&mut self, pid: u32) -> io::Result<()> {
        self.followed.insert(pid, 1, 0).map_err(io::Error::other)?;
        self.raise(CONTROL_SCOPE)
    }

    /// Has every process's set of system calls told: of those that run, at their next call; of the others, now.
    ///
    /// # Errors
    ///
    /// The kernel refused to go through the tasks; the first half is done all the same.
    pub fn flush_syscalls(&mut self) -> io::Result<()> {
        // What threads are in is noted of all of them before any process's set is told.
        let noted = self.visit_tasks();
        self.raise(CONTROL_FLUSH)?;
        noted.and_then(|()| self.visit_tasks())
    }

    fn visit_tasks(&mut self) -> io::Result<()> {
        if !self.hooks.iter().any(|h| h.name == "iter/task" && h.attached()) {
            return Ok(());
        }
        let program = self.bpf.program_mut(FLUSH).ok_or(io::ErrorKind::NotFound)?;
        let program: &mut Iter = program.try_into().map_err(io::Error::other)?;
        let id = program.attach().map_err(io::Error::other)?;
        let link = program.take_link(id).map_err(io::Error::other)?;
        let mut tasks = link.into_file().map_err(io::Error::other)?;
        // Reading makes it run; it writes nothing but records into the ring.
        let mut nothing = [0u8; 64];
        while tasks.read(&mut nothing)? != 0 {}
        Ok(())
    }

    fn mark_cgroup(&mut self, id: u64, mark: u32) -> io::Result<()> {
        self.cgroups.insert(id, mark, 0).map_err(io::Error::other)?;
        self.raise(CONTROL_SCOPE)
    }

    fn raise(&mut self, control: u32) -> io::Result<()> {
        let Some(epoch) = self.epochs.get_mut(control as usize) else { return Ok(()) };
        *epoch = epoch.wrapping_add(1);
        self.control.set(control, *epoch, 0).map_err(io::Error::other)
    }
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap_or_default()
}

/// How far Unix time is ahead of the boot clock. Taken between two looks at the latter, the closest of a few.
fn unix_minus_boot_ns() -> i64 {
    use rustix::time::{ClockId, clock_gettime};
    let ns = |clock| {
        let t = clock_gettime(clock);
        t.tv_sec * 1_000_000_000 + t.tv_nsec
    };
    (0..8)
        .map(|_| {
            let before = ns(ClockId::Boottime);
            let unix = ns(ClockId::Realtime);
            let after = ns(ClockId::Boottime);
            (after - before, unix - (before + (after - before) / 2))
        })
        .min()
        .map_or(0, |(_, offset)| offset)
}
