//! Which tool wrote a log, told from how it begins.
//!
//! A guess from the shape of the first lines that have one; whether the rest holds to the format is the decoder's
//! business.

use std::fmt;
use std::str::FromStr;

use sonic_rs::{JsonValueTrait, LazyValue};

use super::input::{Framing, Records};
use super::{audit, strace};
use crate::nesting;

/// A format that events are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Grove's own trace.
    #[default]
    Grove,
    /// JSON lines of `sysdig -j`.
    Sysdig,
    /// The log of `strace -f -ttt`.
    Strace,
    /// Tetragon's JSON export.
    Tetragon,
    /// Tracee's JSON lines.
    Tracee,
    /// Linux' audit log.
    Audit,
    /// The JSON of Inspektor Gadget.
    Gadget,
    /// Kunai's JSON lines.
    Kunai,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::Grove,
        Self::Sysdig,
        Self::Strace,
        Self::Tetragon,
        Self::Tracee,
        Self::Audit,
        Self::Gadget,
        Self::Kunai,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grove => "grove",
            Self::Sysdig => "sysdig",
            Self::Strace => "strace",
            Self::Tetragon => "tetragon",
            Self::Tracee => "tracee",
            Self::Audit => "audit",
            Self::Gadget => "inspektor-gadget",
            Self::Kunai => "kunai",
        }
    }

    /// How its input is cut into records.
    #[doc(hidden)]
    pub const fn framing(self) -> Framing {
        match self {
            Self::Tetragon | Self::Gadget => Framing::JsonObjects,
            Self::Grove | Self::Sysdig | Self::Strace | Self::Tracee | Self::Audit | Self::Kunai => Framing::Lines,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no format's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown format {0:?}, expected one of grove, sysdig, strace, tetragon, tracee, audit, inspektor-gadget, kunai"
)]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.iter().copied().find(|f| f.name() == name).ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// The format of an input that begins with `head`; [`Format::Grove`] if nothing in it tells.
pub fn detect(head: &[u8]) -> Format {
    recognise(head).unwrap_or_default()
}

/// The format of `records`, which are read no further than needed to tell, and cut as it wants from now on.
pub fn detect_records(records: &mut Records) -> Format {
    let mut looked_at = 0;
    let format = detect(records.head_until(|head| {
        // The last line may go on, and be something else then.
        let whole = head.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        // Looking again only at an eighth more keeps it linear, however small the pieces that come.
        if whole <= looked_at + looked_at / 8 {
            return false;
        }
        looked_at = whole;
        recognise(head.get(..whole).unwrap_or_default()).is_some()
    }));
    records.set_framing(format.framing());
    format
}

/// The format that the first recognisable line is of.
pub(super) fn recognise(head: &[u8]) -> Option<Format> {
    // A pretty-printed object spreads over lines: the line that opens it says nothing, and the next has its first key.
    let mut opened = false;
    for line in head.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let found = if opened && line.starts_with('"') {
            first_key(line).filter(|key| is_tetragon(key)).map(|_| Format::Tetragon)
        } else if line.starts_with('{') {
            of_object(line)
        } else if audit::is_likely(line.as_bytes()) {
            Some(Format::Audit)
        } else {
            strace::is_likely(line.as_bytes()).then_some(Format::Strace)
        };
        if found.is_some() {
            return found;
        }
        opened = line == "{";
    }
    None
}

/// The text that `line` begins with.
fn first_key(line: &str) -> Option<&str> {
    line.strip_prefix('"')?.split_once('"').map(|(key, _)| key)
}

/// Tetragon names the one member of an event after its kind.
fn is_tetragon(key: &str) -> bool {
    const KINDS: [&str; 11] = [
        "process_exec",
        "process_exit",
        "process_kprobe",
        "process_tracepoint",
        "process_uprobe",
        "process_usdt",
        "process_lsm",
        "process_loader",
        "process_throttle",
        "process_connect",
        "process_close",
    ];
    KINDS.contains(&key) || matches!(key, "process_accept" | "process_listen" | "process_dns" | "rate_limit_info")
}

fn of_object(line: &str) -> Option<Format> {
    let Ok(object) = nesting::bounded(line) else {
        return of_cut_object(line);
    };
    let mut format = None;
    let mut seen = Seen::default();
    for member in sonic_rs::to_object_iter(&*object) {
        let Ok((key, value)) = member else {
            return of_cut_object(line);
        };
        format = format.or_else(|| seen.add(&key, Some(&value)));
    }
    format
}

/// As much as the first key tells: the object is cut off, or goes on in the next line.
fn of_cut_object(line: &str) -> Option<Format> {
    let key = first_key(line.strip_prefix('{')?.trim_start())?;
    is_tetragon(key).then_some(Format::Tetragon)
}

/// Keys that mean something only together.
#[derive(Default)]
struct Seen {
    event_name: bool,
    event_source: bool,
    kind: bool,
    ts: bool,
    runtime: bool,
    process: bool,
    info: bool,
    data: bool,
}

impl Seen {
    fn add(&mut self, key: &str, value: Option<&LazyValue<'_>>) -> Option<Format> {
        match key {
            "evt.type" => return Some(Format::Sysdig),
            "eventName" => self.event_name = true,
            "eventId" | "processorId" => self.event_source = true,
            "type" => {
                let kind = value.and_then(|v| v.as_str());
                if kind == Some("header") {
                    return Some(Format::Grove);
                }
                self.kind = kind.is_some();
            }
            "ts" => self.ts = true,
            "workload" => return Some(Format::Tracee),
            "mountnsid" => return Some(Format::Gadget),
            "runtime" => self.runtime = true,
            "k8s" | "proc" | "mntns_id" => self.process = true,
            "info" => self.info = true,
            "data" => self.data = true,
            _ if is_tetragon(key) => return Some(Format::Tetragon),
            _ => {}
        }
        if self.event_name && self.event_source {
            Some(Format::Tracee)
        } else if self.kind && self.ts {
            Some(Format::Grove)
        } else if self.runtime && self.process {
            Some(Format::Gadget)
        } else if self.info && self.data {
            Some(Format::Kunai)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
