//! Senders that do not wait, with a queue that nobody empties: what they keep and lose does not depend on who is faster.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::images::Part;
use super::*;
use crate::event::{Body, EventRef, Exec, Open, RecordingId};

/// Senders, a queue, and a worker that has not begun.
struct Stalled {
    config: Config,
    shared: Arc<Shared>,
    inbox: Receiver<Message>,
}

impl Stalled {
    fn new(config: Config) -> Self {
        let memory = Arc::new(Memory::new(&config));
        let (shared, mut inboxes) = Shared::new(&config, memory);
        Self { config, shared: Arc::new(shared), inbox: inboxes.remove(0) }
    }

    fn sender(&self) -> Sender {
        Sender::new(self.shared.clone(), Overflow::Shed)
    }

    /// Lets the worker begin, and gives what became of each image's events. The senders go meanwhile.
    fn ledgers(self, senders: Vec<Sender>) -> BTreeMap<String, Ledger> {
        let Self { config, shared, inbox } = self;
        let rules = Arc::new(Rules { pressure: shared.memory.pressure().clone(), ..Rules::new(&config).unwrap() });
        let (counts, memory) = (shared.counts.clone(), shared.memory.clone());
        let worker = Worker::new(&config, rules, Mode::Learn, Interner::new(), counts, memory, 0);
        let view = std::thread::scope(|scope| {
            scope.spawn(|| run(worker, &inbox, &shared, 0));
            drop(senders);
            let (reply, view) = bounded(1);
            assert!(shared.gates[0].send(Message::Finish(reply), true).is_ok());
            view.recv().unwrap()
        });
        assert_eq!(shared.memory.kept_left(false), config.memory_max / 16, "all that was kept is accounted for");
        let sum = |parts: Vec<Part>| {
            let mut sum = Ledger::default();
            parts.iter().flat_map(|part| &part.ledgers).for_each(|(_, ledger)| sum.add(ledger));
            sum
        };
        view.images.into_iter().map(|(image, parts)| (image.to_string(), sum(parts))).collect()
    }
}

fn config() -> Config {
    Config { workers: 1, queue_batches: 2, batch_events: 32, ..Config::default() }
}

fn send(sender: &mut Sender, container: &str, body: Body<&[u8]>) -> Sent {
    sender.send(EventRef { ts: 1, container: container.as_bytes(), pid: 1, start: None, body })
}

fn open(path: &str) -> Body<&[u8]> {
    Body::Open(Open { path: path.as_bytes(), flags: 0, ret: 0, map: false })
}

fn start(image: &str) -> Body<&[u8]> {
    Body::ContainerStart { image: image.as_bytes(), tag: b"1" }
}

fn exec(path: &str) -> Body<&[u8]> {
    Body::Exec(Exec { path: path.as_bytes(), ..Exec::default() })
}

#[test]
fn a_container_that_does_much_costs_the_others_of_its_shard_nothing() {
    let stalled = Stalled::new(config());
    let mut sender = stalled.sender();
    let quiet: Vec<String> = (0..8).map(|n| format!("quiet{n}")).collect();
    for container in quiet.iter().map(String::as_str).chain(["busy"]) {
        send(&mut sender, container, start(container));
    }
    let (mut lost, mut sent) = (0, 1);
    for n in 0..100_000 {
        lost += u64::from(send(&mut sender, "busy", open(&format!("/f{}", n % 7))) == Sent::Lost);
        sent += 1;
        if n % 50_000 == 49_999 {
            for container in &quiet {
                assert_eq!(send(&mut sender, container, open("/x")), Sent::Taken, "{n}");
            }
        }
    }
    assert!(lost > 90_000, "{lost}");
    assert_eq!((sender.losses().total(), sender.losses().of("open")), (lost, lost));
    let ledgers = stalled.ledgers(vec![sender]);
    for container in &quiet {
        let ledger = ledgers[container];
        assert_eq!((ledger.received, ledger.dropped_total()), (3, 0), "{container}");
    }
    let busy = ledgers["busy"];
    assert_eq!((busy.received, busy.dropped(Dropped::QueueFull), busy.dropped_total()), (sent, lost, lost));
}

#[test]
fn a_sender_that_sends_much_leaves_places_in_the_queue_to_others() {
    let stalled = Stalled::new(Config { queue_batches: 8, ..config() });
    let (mut busy, mut quiet) = (stalled.sender(), stalled.sender());
    send(&mut busy, "busy", start("busy"));
    for _ in 0..10_000 {
        send(&mut busy, "busy", open("/x"));
    }
    assert!(busy.losses().total() > 0 && !busy.flush());
    send(&mut quiet, "quiet", start("quiet"));
    (0..40).for_each(|_| assert_eq!(send(&mut quiet, "quiet", open("/x")), Sent::Taken));
    assert!(quiet.flush(), "there are places left for it");
    let ledgers = stalled.ledgers(vec![busy, quiet]);
    assert_eq!((ledgers["quiet"].received, ledgers["quiet"].dropped_total()), (41, 0));
    assert_eq!(ledgers["busy"].received, 10_001);
}

#[test]
fn what_begins_and_ends_is_kept_while_behaviours_are_lost() {
    let stalled = Stalled::new(config());
    let mut sender = stalled.sender();
    let (mut lost, mut sent) = (0, 0);
    for n in 0..500 {
        let container = format!("c{n}");
        let mut put = |body: Body<&[u8]>| {
            sent += 1;
            send(&mut sender, &container, body) == Sent::Lost
        };
        assert!(!put(start("app")) && !put(exec("/bin/app")));
        lost += (0..100).filter(|n| put(open(&format!("/f{n}")))).count() as u64;
        assert!(
            !put(Body::Fork { ppid: 1, ns_pid: None })
                && !put(exec("/bin/child"))
                && !put(Body::Exit)
                && !put(Body::ContainerStop)
        );
    }
    let losses = sender.losses();
    assert_eq!(losses.iter().collect::<Vec<_>>(), [("open", lost)]);
    assert!(lost > 40_000, "{lost}");
    let app = stalled.ledgers(vec![sender])["app"];
    assert!(app.balances());
    assert_eq!((app.received, app.dropped(Dropped::QueueFull), app.dropped_total()), (sent, lost, lost));
    // Each container's start, stop, fork and exit.
    assert_eq!(app.lifecycle, 4 * 500);
}

#[test]
fn what_is_kept_is_bounded_and_behaviours_are_given_up_before_a_fork_is_lost() {
    let config = Config { memory_max: 4 << 20, ..config() };
    let max = config.memory_max / 16;
    let stalled = Stalled::new(config);
    let mut sender = stalled.sender();
    let (mut lost, mut sent) = (0, 3);
    send(&mut sender, "bomb", start("bomb"));
    send(&mut sender, "quiet", start("quiet"));
    while sender.losses().total() == 0 {
        send(&mut sender, "bomb", open("/x"));
        sent += 1;
    }
    for n in 0..50_000 {
        lost += u64::from(send(&mut sender, "bomb", Body::Fork { ppid: n, ns_pid: None }) == Sent::Lost);
        sent += 1;
        if n % 10_000 == 0 {
            assert!(stalled.shared.memory.kept_left(false) > 0, "never full for others");
            assert_eq!(send(&mut sender, "quiet", exec("/bin/quiet")), Sent::Taken);
        }
    }
    assert!(lost > 40_000, "{lost}");
    assert_eq!(sender.losses().of("fork"), lost);
    assert!(max - stalled.shared.memory.kept_left(false) > max / 4, "it was filled");
    // While forks are lost nothing else gets through.
    assert_eq!(send(&mut sender, "bomb", open("/y")), Sent::Lost);
    let losses = sender.losses();
    let ledgers = stalled.ledgers(vec![sender]);
    let bomb = ledgers["bomb"];
    assert_eq!(bomb.dropped(Dropped::QueueFullLifecycle), lost);
    assert_eq!(bomb.dropped(Dropped::QueueFull), losses.of("open"));
    assert_eq!((bomb.received, bomb.balances()), (sent - 1, true));
    assert_eq!((ledgers["quiet"].received, ledgers["quiet"].dropped_total()), (6, 0));
    assert!(bomb.applied_new + bomb.applied_known + bomb.ignored_total() <= 64, "of those in the queue: {bomb:?}");
}

#[test]
fn losses_are_of_the_recording_that_was_lost() {
    let stalled = Stalled::new(config());
    let mut sender = stalled.sender();
    let mut lost = [0, 0];
    send(&mut sender, "c", start("app"));
    for recording in [0, 1, 0, 1] {
        sender.set_recording(RecordingId::at(recording).unwrap());
        for _ in 0..1000 {
            lost[recording] += u64::from(send(&mut sender, "c", open("/x")) == Sent::Lost);
        }
    }
    let rules = Arc::new(Rules::new(&stalled.config).unwrap());
    let (counts, memory) = (stalled.shared.counts.clone(), stalled.shared.memory.clone());
    let mut worker = Worker::new(&stalled.config, rules, Mode::Learn, Interner::new(), counts, memory, 0);
    let ledgers = std::thread::scope(|scope| {
        let (shared, inbox) = (&stalled.shared, &stalled.inbox);
        let sending = scope.spawn(move || drop(sender));
        while !sending.is_finished() || !inbox.is_empty() {
            if let Ok(Message::Batch(batch, slot, _)) = inbox.try_recv() {
                drop(slot);
                shared.memory.unqueue(batch.heap_bytes());
                worker.apply(&batch);
            }
        }
        worker.view().images.remove(0).1.remove(0).ledgers
    });
    for (recording, ledger) in ledgers.iter().filter(|(recording, _)| recording.index() < 2) {
        let lost = lost[recording.index()];
        assert_eq!((ledger.received, ledger.dropped(Dropped::QueueFull)), (2000, lost), "{recording:?}");
    }
    assert!(lost.iter().all(|n| *n > 500), "{lost:?}");
}
