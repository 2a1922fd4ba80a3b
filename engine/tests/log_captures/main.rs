//! Other tools' logs, as they were really recorded: what the decoders make of them is what an independent look at
//! the same file finds.
//!
//! The recordings are looked for in `GROVE_CAPTURES`, by default `../shared/data` beside the workspace. A test whose
//! recording (or whose `jq`) is absent says that it is skipped.

#[path = "../common/skips.rs"]
mod skips;
mod strace;
mod tetragon;
mod tracee;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use grove::event::{EventBuf, Stored};
use grove::ledger::Ignored;
use grove::trace::{Decoder, Line};

/// What a decoder made of a recording.
#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) events: EventBuf,
    pub(crate) records: usize,
    pub(crate) counted: usize,
    pub(crate) no_behaviour: usize,
}

impl Decoded {
    /// Feeds records to a decoder. No record may be rejected, and each has to keep the promise of [`Decoder`].
    pub(crate) fn of<'a>(decoder: &mut dyn Decoder, records: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut decoded = Self::default();
        for record in records {
            let mut events = EventBuf::new();
            let line = decoder.decode(record, &mut events);
            let counted = events.iter().filter(|stored| stored.counted).count();
            match line {
                Ok(Line::Event) => assert_eq!(counted, 1, "{}", record.escape_ascii()),
                Ok(Line::Ignored(Ignored::NoBehaviour)) => {
                    assert_eq!(counted, 0, "{}", record.escape_ascii());
                    decoded.no_behaviour += 1;
                }
                other => panic!("{other:?}: {}", record.escape_ascii()),
            }
            decoded.counted += counted;
            decoded.records += 1;
            events.iter().for_each(|stored| decoded.events.push_stored(stored));
        }
        decoder.finish(&mut decoded.events);
        assert_eq!(decoded.counted + decoded.no_behaviour, decoded.records);
        decoded
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Stored<'_>> {
        self.events.iter()
    }
}

/// A recording's path, or `None` after saying that it is absent.
pub(crate) fn capture(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("no recording at {}", path.display()))
}

/// Says what a test goes without.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    skips::skipped(why);
    None
}

/// A recording's bytes, decompressed.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => zstd::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap(),
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        _ => { file }.read_to_end(&mut bytes).unwrap(),
    };
    bytes
}

/// The lines that `jq -r FILTER` prints for some JSON, or `None` after saying that there is no jq.
pub(crate) fn jq(filter: &str, json: &[u8]) -> Option<Vec<String>> {
    let mut command = std::process::Command::new("jq");
    command.args(["-r", filter]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return skip("jq is not installed") };
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(json).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}
