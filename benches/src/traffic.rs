//! Events to apply: a real capture when it is there, a synthetic load always, and a trace of many containers to replay.

use crate::workload::{CONTAINER, Workload};
use grove::event::{Body, EventBuf, EventRef};
use grove::trace::input::{Compression, Framing, Records, open};
use grove::trace::native::NativeDecoder;
use grove::trace::write::{Header, Writer};
use grove::trace::{Decoder, Line, detect_records};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Programs of the synthetic load: their tree has about 10,000 nodes.
pub const PROGRAMS: usize = 95;

/// Longest line of a log.
const RECORD_BYTES: usize = 4 << 20;

/// The folder of captures: `GROVE_CAPTURES`, by default `../shared/data` beside the workspace.
fn captures() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from)
}

/// The events of one capture, whatever its format.
fn events(path: &Path) -> Option<EventBuf> {
    let source = open(path).ok()?;
    let mut records = Records::new(source.reader, Framing::Lines, RECORD_BYTES);
    let mut decoder = detect_records(&mut records).decoder(None, "local");
    let mut events = EventBuf::new();
    while let Ok(Some(record)) = records.next() {
        if let Ok(line) = record.bytes {
            // A line that tells nothing, or is none, is for the reader's own tests.
            let _ = decoder.decode(line, &mut events);
        }
    }
    decoder.finish(&mut events);
    (!events.is_empty()).then_some(events)
}

/// The events of the `cargo build` that was recorded with strace, or `None` when the captures are not there.
pub fn capture() -> Option<EventBuf> {
    events(&captures().join("strace/cargo-build-ripgrep.strace.zst"))
}

/// The events of the `cargo build` and of all recordings of containers by sysdig, or `None` when there are none.
pub fn all_captures() -> Option<Vec<EventBuf>> {
    let sysdig = std::fs::read_dir(captures().join("sysdig")).ok()?;
    let mut paths: Vec<PathBuf> = sysdig.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let all: Vec<EventBuf> = capture().into_iter().chain(paths.iter().filter_map(|path| events(path))).collect();
    (!all.is_empty()).then_some(all)
}

/// Reads native traces.
pub fn decoder() -> impl Decoder {
    NativeDecoder::new()
}

/// The events of a native trace's lines, or `None` if one of them is of a kind that this version does not know.
pub fn decoded(text: &str) -> Option<EventBuf> {
    let mut events = EventBuf::new();
    let mut decoder = decoder();
    let known = text.lines().all(|line| matches!(decoder.decode(line.as_bytes(), &mut events), Ok(Line::Event)));
    known.then_some(events)
}

/// The container of the synthetic load.
pub fn container() -> &'static str {
    str::from_utf8(CONTAINER).unwrap_or_default()
}

/// Everything that the programs of the synthetic load do, once.
pub fn lives() -> EventBuf {
    Workload::default().lives(0, PROGRAMS).events
}

/// What they go on doing: known events in the mix of a container under load.
pub fn steady() -> EventBuf {
    Workload::default().traffic(PROGRAMS, 50_000).events
}

/// Writes a native trace of the container's start and its [`lives`].
///
/// # Errors
/// Those of `out`.
pub fn write_lives(out: impl Write) -> io::Result<()> {
    let mut writer = Writer::new(out, Compression::Plain, Header::default())?;
    let body = Body::ContainerStart { image: b"app".as_slice(), tag: b"1".as_slice() };
    writer.event(EventRef::new(0, CONTAINER, 0, body))?;
    lives().iter().try_for_each(|stored| writer.event(stored.event))?;
    writer.finish().map(drop)
}

/// Containers of [`trace`].
pub const CONTAINERS: usize = 64;

/// Lines of [`trace`], its header apart: a container's start, what its programs do in their lives, and then what they
/// go on doing.
pub const LINES: usize = CONTAINERS * 18_750;

/// Images that the containers of [`trace`] are of, in turn.
const IMAGES: usize = 8;

/// Writes a native trace of [`CONTAINERS`] containers that all do the same, their events interleaved one by one.
///
/// # Errors
/// Those of `out`.
pub fn trace(out: impl Write) -> io::Result<()> {
    let header = Header { source: Some("grove-benches"), recording: Some("synthetic"), partial: false };
    let mut writer = Writer::new(out, Compression::Plain, header)?;
    let lives = Workload::default().lives(0, PROGRAMS);
    let each = LINES / CONTAINERS - 1;
    let further = each - lives.events.len();
    let events = lives.traffic(PROGRAMS, further).events;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("{n:064x}")).collect();
    let mut ts = 0;
    let mut write = |container: &str, event: EventRef<'_>| {
        ts = event.ts.max(ts + 1);
        let mut event = event.with_container(container.as_bytes());
        event.ts = ts;
        writer.event(event)
    };
    for (n, name) in names.iter().enumerate() {
        let image = format!("registry.example/app-{}", n % IMAGES);
        let body = Body::ContainerStart { image: image.as_bytes(), tag: b"1.27.1-bookworm" };
        write(name, EventRef::new(0, b"", 0, body))?;
    }
    for stored in events.iter().take(each) {
        names.iter().try_for_each(|name| write(name, stored.event))?;
    }
    writer.finish().map(drop)
}
