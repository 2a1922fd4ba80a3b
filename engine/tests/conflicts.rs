//! A container that is told to be two things: the first stands, and the line that says otherwise is told to whoever feeds
//! it, although the worker that finds out is far behind.
#![allow(clippy::unwrap_used)]

use grove::ledger::Rejected;
use grove::trace::input::{Framing, Records};
use grove::trace::native::NativeDecoder;
use grove::trace::{Feed, LineHash};
use grove::{Config, Engine, FeedError, FeedSummary, Overflow, RecordingId};
use std::io::Cursor;
use std::sync::atomic::AtomicBool;

const CONTAINERS: usize = 40;

fn start(container: usize, image: &str, tag: &str) -> String {
    format!(r#"{{"ts":1,"type":"container_start","container":"c{container}","image":"{image}","tag":"{tag}"}}"#)
}

/// A trace, and the lines of it that tell a second workload, each with what differs.
fn trace() -> (String, Vec<(u64, String)>) {
    let mut lines = Vec::new();
    let mut second = Vec::new();
    for container in 0..CONTAINERS {
        lines.push(start(container, "web", "1"));
        lines
            .push(format!(r#"{{"ts":2,"type":"exec","container":"c{container}","pid":1,"ppid":0,"path":"/bin/web"}}"#));
    }
    for container in 0..CONTAINERS {
        // Told again, which is no conflict; then otherwise, and then as it was.
        lines.push(start(container, "web", "1"));
        let (image, tag, field) = if container % 2 == 0 { ("db", "1", "image") } else { ("web", "2", "tag") };
        lines.push(start(container, image, tag));
        let told = format!("field `{field}`: the container was told to be web:1 before, and that stands");
        second.push((lines.len() as u64, told));
        lines.push(start(container, "web", "1"));
    }
    (lines.join("\n"), second)
}

/// Feeds a trace; what was rejected, by line, what came of it, and how many conflicts are in the ledger.
fn feed(workers: usize, strict: bool, text: &str) -> (Vec<(u64, String)>, Result<FeedSummary, FeedError>, u64) {
    let config = Config::default().with(|c| (c.workers, c.batch_events) = (workers, 3));
    let engine = Engine::start(&config).unwrap();
    let mut told = Vec::new();
    let mut sender = engine.sender(Overflow::Wait);
    let feed = Feed {
        decoder: &mut NativeDecoder::new(),
        sender: &mut sender,
        strict,
        eager: false,
        stop: &AtomicBool::new(false),
        on_reject: &mut |line, reject| told.push((line, reject.to_string())),
        on_recording: &mut |_, _| RecordingId::default(),
        hash: &mut LineHash::default(),
    };
    let source = Box::new(Cursor::new(text.as_bytes().to_vec()));
    let fed = feed.run(&mut Records::new(source, Framing::Lines, 1 << 16));
    let ledger = engine.shutdown().ledger;
    assert!(ledger.balances());
    (told, fed, ledger.rejected(Rejected::ConflictingWorkload))
}

#[test]
fn a_second_workload_is_told_with_its_line_however_many_workers_there_are() {
    let (text, expected) = trace();
    for workers in [1, 2, 3, 8] {
        let (told, fed, counted) = feed(workers, false, &text);
        assert_eq!(told, expected);
        assert_eq!(counted, CONTAINERS as u64);
        let fed = fed.unwrap();
        assert_eq!((fed.records, fed.accepted), (5 * CONTAINERS as u64, 4 * CONTAINERS as u64));
    }
}

#[test]
fn strict_feeding_ends_with_the_first_line_that_is_rejected_whoever_rejects_it() {
    let (text, expected) = trace();
    let (first, told_of_first) = &expected[0];
    for workers in [1, 8] {
        let (told, fed, _) = feed(workers, true, &text);
        assert_eq!(told, [(*first, told_of_first.clone())]);
        let Err(FeedError::Rejected { line, reject }) = fed else { unreachable!("{fed:?}") };
        assert_eq!((line, reject.reason), (*first, Rejected::ConflictingWorkload));

        // A record that is none, found at once, and further on than the conflict.
        let broken = format!("{text}\n{{");
        let (_, fed, _) = feed(workers, true, &broken);
        assert!(matches!(fed, Err(FeedError::Rejected { line, .. }) if line == *first), "{fed:?}");

        // And before it.
        let broken = format!("{{\n{text}");
        let (told, fed, counted) = feed(workers, true, &broken);
        assert!(matches!(fed, Err(FeedError::Rejected { line: 1, .. })), "{fed:?}");
        assert_eq!((told.len(), counted), (1, 0));
    }
}
