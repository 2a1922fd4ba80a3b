//! What a worker counts is what it holds, after any sequence of events; and what it holds stays within the bound.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::event::{EventRef, Exec, Open};
use crate::shard::memory::Memory;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(u8),
    Stop(u8),
    Exec(u8, u16),
    Open(u8, u16),
    Fork(u8),
    /// A batch ends, so long after the one before.
    Batch(u64),
}

/// A name that is like no other, as it has no digits.
fn word(n: u16) -> String {
    n.to_le_bytes().into_iter().flat_map(|b| [b / 16, b % 16]).map(|n| char::from(b'a' + n)).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => any::<u8>().prop_map(Step::Start),
        2 => any::<u8>().prop_map(Step::Stop),
        2 => any::<(u8, u16)>().prop_map(|(c, n)| Step::Exec(c, n)),
        8 => any::<(u8, u16)>().prop_map(|(c, n)| Step::Open(c, n)),
        1 => any::<u8>().prop_map(Step::Fork),
        2 => (0..20_u64).prop_map(Step::Batch),
    ];
    prop::collection::vec(step, 1..600)
}

fn worker(config: &Config) -> Worker {
    let memory = Arc::new(Memory::new(config));
    let rules = Rules { pressure: memory.pressure().clone(), ..Rules::new(config).unwrap() };
    Worker::new(config, Arc::new(rules), Mode::Learn, Interner::new(), Arc::default(), memory, 0)
}

/// Every count of bytes, and the same counted anew.
fn counts(worker: &Worker) -> [(usize, usize); 4] {
    let containers = || worker.containers.iter().map(|(_, container)| container);
    let lingering = containers().filter(|c| c.lingers).map(Container::own_bytes).sum();
    let held = |c: &Container| if let State::Waiting { held, .. } = &c.state { held.heap_bytes() } else { 0 };
    [
        (worker.containers_bytes, containers().map(Container::own_bytes).sum()),
        (worker.lingering_bytes, lingering),
        (worker.images.heap_bytes(), worker.images.recount_bytes()),
        (worker.waiting.bytes, containers().map(held).sum()),
    ]
}

fn run(config: &Config, steps: &[Step], mut after: impl FnMut(&Worker)) -> Worker {
    let mut worker = worker(config);
    let (mut batch, mut ts) = (EventBuf::new(), 1);
    for step in steps {
        let mut push = |c: u8, body: Body<&[u8]>| {
            let container = [b'c', c % 40];
            batch.push(EventRef { ts, container: &container, pid: u32::from(c % 3) + 5, start: None, body }, true);
        };
        match step {
            Step::Start(c) => {
                let image = format!("image {}", c % 5);
                push(*c, Body::ContainerStart { image: image.as_bytes(), tag: b"1" });
            }
            Step::Stop(c) => push(*c, Body::ContainerStop),
            Step::Exec(c, n) => {
                let path = format!("/bin/{}", word(*n));
                push(*c, Body::Exec(Exec { ppid: 1, path: path.as_bytes(), ..Exec::default() }));
            }
            Step::Open(c, n) => {
                let path = format!("/srv/{}/{}", word(*n), "name".repeat(usize::from(*n) % 20));
                push(*c, Body::Open(Open { path: path.as_bytes(), flags: 0, ret: 0, map: false }));
            }
            Step::Fork(c) => push(*c, Body::Fork { ppid: 5, ns_pid: None }),
            Step::Batch(seconds) => {
                ts += seconds * 1_000_000_000;
                assert_eq!(worker.apply(&batch), None);
                batch.clear();
                after(&worker);
            }
        }
    }
    assert_eq!(worker.apply(&batch), None);
    after(&worker);
    worker
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_held(steps in steps(), small: bool) {
        let memory_max = if small { 64 << 10 } else { 64 << 20 };
        let config = Config { memory_max, workers: 1, ..Config::default() };
        let worker = run(&config, &steps, |worker| {
            for (counted, anew) in counts(worker) {
                assert_eq!(counted, anew, "{:?}", counts(worker));
            }
            assert_eq!(worker.memory.total(), worker.held().total(), "and told to the others");
            assert!(worker.ledger.balances(), "{:?}", worker.ledger);
        });
        prop_assert!(small || worker.limits.memory_refused == 0, "{:?}", worker.limits);
    }
}

/// Containers that do much each, one after the other.
fn flood(containers: u8, opens: u16) -> Vec<Step> {
    let life = |c: u8| {
        let open = move |n: u16| Step::Open(c, n.wrapping_mul(257).wrapping_add(u16::from(c)));
        let opens = (0..opens).flat_map(move |n| [Some(open(n)), (n % 16 == 15).then_some(Step::Batch(0))]);
        [Step::Start(c), Step::Exec(c, u16::from(c))].into_iter().chain(opens.flatten())
    };
    (0..containers).flat_map(life).collect()
}

#[test]
fn at_the_bound_nothing_new_is_taken_and_that_is_told() {
    const MAX: usize = 256 << 10;
    let config = Config { memory_max: MAX, workers: 1, ..Config::default() };
    let mut most = 0;
    let worker = run(&config, &flood(40, 400), |worker| most = most.max(worker.held().total()));
    // A batch may go beyond, and what is merged before a container is gone.
    assert!(most > MAX / 2 && most < MAX + MAX / 4, "{most}");
    assert!(worker.limits.memory_refused > 1000 && worker.limits.containers_evicted > 0, "{:?}", worker.limits);
    assert_eq!(worker.ledger.dropped_total(), worker.limits.memory_refused, "each is in the ledger");
    assert!(worker.ledger.balances());
}

#[test]
fn programs_are_refused_last() {
    const MAX: usize = 256 << 10;
    let config = Config { memory_max: MAX, workers: 1, ..Config::default() };
    // One container, so that nothing can be let go, fills memory with names of files.
    let mut steps: Vec<Step> = Vec::from([Step::Start(1), Step::Exec(1, 1)]);
    for n in 0..4000 {
        steps.extend([Step::Open(1, n), Step::Batch(0)]);
    }
    let full = run(&config, &steps, |_| ());
    assert!(full.limits.memory_refused > 1000, "{:?}", full.limits);
    let known = full.ledger.applied_new;
    steps.extend([Step::Exec(1, 7), Step::Batch(0), Step::Open(1, 60_000), Step::Batch(0)]);
    let after = run(&config, &steps, |_| ());
    assert_eq!(after.ledger.applied_new, known + 1, "the program, and not the file");
}
