//! What is only looked at stays as it was: a dry run over a million events changes neither trees nor interner, and an
//! event that is rejected, on its way in or by the worker that knows more, leaves no tag behind.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/skips.rs"]
mod skips;
#[path = "common/workload.rs"]
mod workload;

use grove::behaviour::PATH_BYTES_MAX;
use grove::config::Config;
use grove::event::{Body, EventBuf, EventRef};
use grove::intern::{Interner, InternerStats};
use grove::ledger::Rejected;
use grove::trace::input::{Framing, Records};
use grove::trace::native::NativeDecoder;
use grove::trace::tracee::TraceeDecoder;
use grove::trace::{Decoder, Feed, LineHash};
use grove::tree::{ActivityTree, Rules};
use grove::{Engine, Overflow, RecordingId};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use workload::Workload;

/// Events that the dry runs see together.
const EVENTS: usize = 1_000_000;

/// Programs of the two tags that are learned, and as many that are not.
const PROGRAMS: usize = 120;

/// All that an interner can be asked: what it holds, how often, under which ids, in how many bytes; what it has done.
type Held = (Vec<(Arc<str>, u64, u64)>, usize, usize, usize, InternerStats);

fn held(interner: &Interner) -> Held {
    let tags = interner.dump().into_iter().map(|(text, id, references)| (text, id.get(), references)).collect();
    (tags, interner.len(), interner.bytes(), interner.slot_bytes(), interner.stats())
}

/// Asks `trees` about `events`, again and again, `count` times in all. Returns how many were known.
fn dry_run(trees: &[ActivityTree], events: &EventBuf, count: usize) -> usize {
    let asked = std::iter::repeat_with(|| events.iter()).flatten().take(count);
    asked.zip(trees.iter().cycle()).filter(|(stored, tree)| tree.contains(&stored.event)).count()
}

/// A dry run that must find some events known and others not, and change nothing.
fn check_dry_run(interner: &Interner, trees: &[ActivityTree], events: &EventBuf, count: usize) {
    let hashes = || trees.iter().map(|tree| tree.tree().structural_hash()).collect::<Vec<_>>();
    let sizes = || trees.iter().map(|tree| (tree.stats(), tree.heap_bytes(), tree.processes())).collect::<Vec<_>>();
    let before = (held(interner), hashes(), sizes());
    let known = dry_run(trees, events, count);
    assert!(known > count / 100 && known < count - count / 100, "{known} of {count} were known");
    assert_eq!(before, (held(interner), hashes(), sizes()));
    assert!(trees.iter().all(|tree| tree.tree().tags_add_up()));
}

fn grown(interner: &Interner, tag: &str, events: &EventBuf) -> ActivityTree {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &interner.intern(tag).unwrap());
    for stored in events.iter() {
        tree.insert(&stored.event);
    }
    tree
}

#[test]
fn a_dry_run_over_a_million_events_changes_nothing() {
    let interner = Interner::new();
    let trees = [
        grown(&interner, "1.27.0", &Workload::default().lives(0, PROGRAMS).events),
        grown(&interner, "1.27.1", &Workload::default().lives(0, PROGRAMS / 2).events),
    ];
    let traffic = Workload::default().lives(0, 2 * PROGRAMS).traffic(PROGRAMS, 100_000);
    check_dry_run(&interner, &trees, &traffic.events, EVENTS);

    // The check would see it if anything did change.
    let [mut first, _] = trees;
    let before = first.tree().structural_hash();
    for stored in Workload::default().lives(PROGRAMS, PROGRAMS + 1).events.iter() {
        first.insert(&stored.event);
    }
    assert_ne!(before, first.tree().structural_hash());
}

/// A recording's path, or `None` after saying that it is absent.
fn capture(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from).join(name);
    if !path.exists() {
        skips::skipped(&format!("no recording at {}", path.display()));
        return None;
    }
    Some(path)
}

#[test]
fn nor_does_one_over_what_was_really_recorded() {
    let Some(path) = capture("dns/tracee-net_packet_dns.jsonl.gz") else { return };
    let mut log = Vec::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut log).unwrap();
    let (mut decoder, mut events) = (TraceeDecoder::new(), EventBuf::new());
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        decoder.decode(line, &mut events).unwrap();
    }
    let interner = Interner::new();
    let mut some = EventBuf::new();
    events.iter().step_by(2).for_each(|stored| some.push_stored(stored));
    let trees = [grown(&interner, "3.14", &some)];
    check_dry_run(&interner, &trees, &events, 4 * events.len());
}

/// A record for every reason to reject one, each naming a tag that must not be learned of.
const REJECTED: [(&str, Rejected); 5] = [
    (r#"{"ts":9,"type":"container_start","container":"c9","image":"i","tag":"bad-1""#, Rejected::Malformed),
    (r#"{"ts":9,"type":"container_start","container":"c9","tag":"bad-2"}"#, Rejected::MissingField),
    (r#"{"ts":9,"type":"container_start","container":"c9","image":7,"tag":"bad-3"}"#, Rejected::WrongType),
    (r#"{"ts":-9,"type":"container_start","container":"c9","image":"i","tag":"bad-4"}"#, Rejected::InvalidValue),
    (
        r#"{"ts":9,"type":"container_start","container":"c9","image":"i","tag":"bad-5","ts":9}"#,
        Rejected::DuplicateField,
    ),
];

#[test]
fn a_rejected_event_leaves_no_tag() {
    let interner = Interner::new();
    let config = Config::default().with(|c| (c.workers, c.batch_events) = (2, 1));
    let engine = Engine::builder().config(&config).interner(interner.clone()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    let start = |container: &'static str, image: &'static str, tag: &'static [u8]| {
        EventRef::new(1, container.as_bytes(), 0, Body::ContainerStart { image: image.as_bytes(), tag })
    };
    sender.send(start("c1", "shop", b"1.0"));
    sender.send(start("c2", "shop", b"2.0"));
    sender.flush();
    engine.snapshot();
    let before = held(&interner);
    assert_eq!(before.0.len(), 2);

    let mut decoder = NativeDecoder::new();
    for (record, reason) in REJECTED {
        let reject = decoder.decode(record.as_bytes(), &mut sender).unwrap_err();
        assert_eq!(reject.reason, reason, "{record}");
        sender.reject(reject.reason);
    }
    // Late: only the worker knows that the container has a workload, or what a tag may be.
    sender.send(start("c1", "shop", b"late-1"));
    sender.send(start("c2", "other", b"late-2"));
    sender.send(start("c3", "shop", b"late-\xff"));
    sender.flush();
    let ledger = engine.snapshot().ledger;
    assert_eq!(ledger.rejected(Rejected::ConflictingWorkload), 2, "{ledger:?}");
    assert!(ledger.rejected(Rejected::InvalidValue) >= 2, "{ledger:?}");
    assert_eq!(held(&interner), before);
    for tag in ["bad-1", "bad-2", "bad-3", "bad-4", "bad-5", "late-1", "late-2"] {
        assert_eq!(interner.lookup(tag), None, "{tag}");
    }
    drop(sender);
    drop(engine.shutdown());
    assert_eq!((interner.len(), interner.bytes()), (0, 0), "nothing is held once engine and snapshots have gone");
}

/// Longest record that is read, in the test that follows: a path may be longer than a path can be.
const RECORD_BYTES_MAX: usize = 2 * PATH_BYTES_MAX;

/// Feeds lines as the commands do. Returns the reasons for which records were rejected.
fn feed(engine: &Engine, lines: &str) -> Vec<Rejected> {
    let mut sender = engine.sender(Overflow::Wait);
    let mut reasons = Vec::new();
    let feed = Feed {
        decoder: &mut NativeDecoder::new(),
        sender: &mut sender,
        strict: false,
        eager: false,
        stop: &AtomicBool::new(false),
        on_reject: &mut |_, reject| reasons.push(reject.reason),
        on_recording: &mut |_, _| RecordingId::default(),
        hash: &mut LineHash::default(),
    };
    let source = Box::new(Cursor::new(lines.as_bytes().to_vec()));
    feed.run(&mut Records::new(source, Framing::Lines, RECORD_BYTES_MAX)).unwrap();
    reasons
}

#[test]
fn a_record_that_is_too_long_leaves_tags_and_trees_as_they_were() {
    let interner = Interner::new();
    let config = Config::default().with(|c| (c.workers, c.batch_events) = (2, 1));
    let engine = Engine::builder().config(&config).interner(interner.clone()).start().unwrap();
    let trees = || {
        let snapshot = engine.snapshot();
        let hash = |(image, profile): (&Arc<str>, &Arc<grove::profile::Profile>)| {
            (image.clone(), profile.tree().structural_hash(), profile.tree().heap_bytes())
        };
        (snapshot.profiles.iter().map(hash).collect::<Vec<_>>(), snapshot.ledger)
    };
    let start = |container: &str, tag: &str| {
        format!(r#"{{"ts":1,"type":"container_start","container":"{container}","image":"shop","tag":"{tag}"}}"#)
    };
    let exec = r#"{"ts":2,"type":"exec","container":"c1","pid":7,"ppid":0,"path":"/bin/shop","argv":["shop"]}"#;
    let open =
        |path: &str| format!(r#"{{"ts":3,"type":"open","container":"c1","pid":7,"path":"{path}","flags":0,"ret":3}}"#);
    let header = r#"{"type":"header","format":"grove-trace","version":1,"source":"test","clock":"unix_ns"}"#;
    let learned = [header, &start("c1", "1.0"), exec, &open("/etc/shop.conf")].join("\n");
    assert_eq!(feed(&engine, &learned), []);
    // A snapshot waits for what was fed.
    let (hashes, ledger) = trees();
    let before = held(&interner);
    assert_eq!((before.0.len(), hashes.len()), (1, 1));

    let long = [
        // Of a new container, and of a known one: cut off by the reader.
        &start("c2", &format!("bad-7-{}", "x".repeat(RECORD_BYTES_MAX))),
        &open(&format!("/{}", "x".repeat(RECORD_BYTES_MAX))),
        // Read, but its path is longer than any can be.
        &open(&format!("/{}", "y".repeat(PATH_BYTES_MAX))),
    ];
    let lines = [header, long[0], long[1], long[2]].join("\n");
    assert_eq!(feed(&engine, &lines), [Rejected::TooLong; 3]);
    let (after, counted) = trees();
    assert_eq!(counted.rejected(Rejected::TooLong), 3, "{counted:?}");
    assert_eq!(counted.rejected(Rejected::TooLong) - ledger.rejected(Rejected::TooLong), 3);
    assert_eq!((held(&interner), after), (before.clone(), hashes.clone()));

    // What is short enough is learned: the comparison would see it.
    let short = [header, &start("c2", "2.0"), &open("/etc/other.conf")].join("\n");
    assert_eq!(feed(&engine, &short), []);
    assert_ne!(trees().0, hashes);
    assert_eq!(held(&interner).0.len(), before.0.len() + 1);
    drop(engine.shutdown());
}
