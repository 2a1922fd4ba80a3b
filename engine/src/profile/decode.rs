//! Reading a profile from JSON, trusting nothing.
//!
//! Processes are walked with an explicit stack and every other value is parsed by its type, so no nesting can
//! exhaust the stack and every byte is looked at a fixed number of times. Unknown fields are ignored, as the
//! format is open; known ones are checked. `stats` is not read: it is counted.
//!
//! Not here: files and compression (`store`); sorting and uniting what a foreign file has twice (the tree).

use std::collections::BTreeMap;
use std::mem::take;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::cursor::{Cursor, Fault, locate, push_index, push_key};
use super::doc::{
    CapabilityDoc, DnsDoc, FORMAT, FileDoc, MAX_DEPTH, PARTIAL, ProcessDoc, ProfileDoc, SocketDoc, SyscallDoc, TagDoc,
    VERSION, unique,
};
use super::seen::Seen;
use super::time::Time;
use crate::text::Visible;

/// Why bytes are no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It says it is something else, or nothing.
    #[error("not a Grove profile: `format` is {0}, expected \"grove-profile\"")]
    Format(String),
    /// A version this program does not know.
    #[error("profile version {0} is newer than this program, which reads version 1; use a newer grove")]
    Newer(u64),
    /// It would take more memory than it may.
    #[error("to read it may take {needed} bytes of memory, and no more than {limit} are allowed")]
    TooLarge {
        /// What it takes at most.
        needed: u64,
        /// What it may take.
        limit: u64,
    },
    /// Not JSON, or a field is not there or not what it should be.
    #[error("{}byte {offset}: {detail}", if .path.is_empty() { String::new() } else { format!("field `{path}`, ") })]
    Invalid {
        /// Which field, as in `processes[0].files[3].seen`; empty when none can be named.
        path: String,
        /// Where in the JSON text it was noticed, in bytes.
        offset: usize,
        /// What was found and what was expected.
        detail: String,
    },
}

/// Reads the profile that `bytes` is the JSON text of.
///
/// # Errors
/// Anything that is not a version 1 profile, with the field at fault.
pub fn decode(bytes: &[u8]) -> Result<ProfileDoc, DecodeError> {
    decode_within(bytes, usize::MAX)
}

/// As [`decode`], if the text and the document, and then the document and the tree that is made of it, take no more than
/// `memory_max` bytes together. That is judged by the text, before anything is made of it, so that many an honest profile would do with
/// half of what is reckoned.
///
/// # Errors
/// As [`decode`], or it may take more.
pub fn decode_within(bytes: &[u8], memory_max: usize) -> Result<ProfileDoc, DecodeError> {
    decode_weighed(bytes, memory_max).map(|(doc, _)| doc)
}

/// As [`decode_within`], and what the document takes at most.
pub(super) fn decode_weighed(bytes: &[u8], memory_max: usize) -> Result<(ProfileDoc, u64), DecodeError> {
    let mut reader = Reader { cursor: Cursor::new(bytes), open: Vec::new() };
    let [format, version, image, completeness, tags, ledgers, processes] = reader.top()?;
    reader.check_format(format)?;
    reader.check_version(version)?;
    let weight = reader.cursor.weight();
    let (needed, limit) = (weight.with_text(bytes.len()), memory_max as u64);
    if needed > limit {
        return Err(DecodeError::TooLarge { needed, limit });
    }
    let image = reader.required("image", image, typed)?;
    let partial = match completeness {
        None => false,
        some => reader.required::<String>("completeness", some, typed)? == PARTIAL,
    };
    let tags = reader.required("tags", tags, |text| typed::<Map<_>>(text).and_then(|Map(tags)| check_tags(tags)))?;
    let ledgers = reader.required("ledgers", ledgers, |text| typed::<Map<_>>(text).map(|Map(ledgers)| ledgers))?;
    let place = processes.ok_or_else(|| reader.missing("processes"))?;
    reader.cursor.seek(place.start);
    Ok((ProfileDoc { image, partial, tags, ledgers, processes: reader.processes()? }, weight.doc))
}

/// The fields of a profile that are read, in the order in which [`Reader::top`] gives their places.
const TOP: [&str; 7] = ["format", "version", "image", "completeness", "tags", "ledgers", "processes"];

/// The fields of a process that are read. The first [`REQUIRED`] must be there.
const PROCESS: [&str; 19] = [
    "path",
    "exec_chain",
    "uids",
    "seen",
    "files",
    "dns",
    "sockets",
    "syscalls",
    "capabilities",
    "children",
    "argv0",
    "argv",
    "pattern",
    "distinct",
    "exemplars",
    "learned",
    "interpreter",
    "fileless",
    "upper_layer",
];
const REQUIRED: usize = 10;

/// How many exemplars one pattern may have. What is written has [16](crate::path::SKETCH_SIZE).
const EXEMPLARS_MAX: usize = 64;
/// How deep a value that holds no processes may nest.
const VALUE_DEPTH_MAX: usize = 64;
/// How deep the list of processes may nest: each is an object in an array.
const PROCESSES_DEPTH_MAX: usize = 2 * MAX_DEPTH + VALUE_DEPTH_MAX;

const TWICE: &str = "the same field twice";

/// Where a field's value is in the text.
type Place = Range<usize>;

/// What is wrong with a value: where in it, and what.
struct Flaw {
    path: String,
    offset: usize,
    detail: String,
}

/// A process whose closing brace is still to come.
#[derive(Default)]
struct Open {
    process: ProcessDoc,
    /// Which of [`PROCESS`] were read.
    found: [bool; PROCESS.len()],
    /// Whether no field was met yet, known or not.
    started: bool,
    /// The processes before it in its list.
    before: Vec<ProcessDoc>,
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The processes that the cursor is in, outermost first.
    open: Vec<Open>,
}

impl Reader<'_> {
    /// Finds the places of the profile's own fields.
    fn top(&mut self) -> Result<[Option<Place>; TOP.len()], DecodeError> {
        let mut places = [const { None }; TOP.len()];
        let mut first = true;
        self.cursor.open_object().map_err(|f| self.fault("", f))?;
        while let Some(key) = self.cursor.field(first).map_err(|f| self.fault("", f))? {
            first = false;
            let name: String = self.parse("", &key, typed)?;
            let depth_max = if name == "processes" { PROCESSES_DEPTH_MAX } else { VALUE_DEPTH_MAX };
            let before = self.cursor.weight();
            let value = self.cursor.value(depth_max).map_err(|f| self.fault(&name, f))?;
            match name.as_str() {
                // Tags have maps of their own in the document and in the profile.
                "tags" => self.cursor.weigh_twice(before),
                // However little is written of one, a ledger has all counters, in both.
                "ledgers" => self.cursor.add_weight(8 * value.len() as u64),
                _ => {}
            }
            match TOP.iter().position(|known| *known == name).and_then(|i| places.get_mut(i)) {
                Some(Some(_)) => return Err(self.invalid(&name, key.start, TWICE.into())),
                Some(place) => *place = Some(value),
                None => drop(self.parse(&name, &value, typed::<IgnoredAny>)?),
            }
        }
        self.cursor.end().map_err(|f| self.fault("", f))?;
        Ok(places)
    }

    fn check_format(&self, place: Option<Place>) -> Result<(), DecodeError> {
        let Some(place) = place else { return Err(DecodeError::Format("missing".into())) };
        let text = self.cursor.text(&place);
        if typed::<String>(text).is_ok_and(|name| name == FORMAT) {
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(text).chars().take(80).collect();
        Err(DecodeError::Format(Visible(&shown).to_string()))
    }

    fn check_version(&self, place: Option<Place>) -> Result<(), DecodeError> {
        let start = place.as_ref().map_or(0, |p| p.start);
        match self.required("version", place, typed::<u64>)? {
            v if v == u64::from(VERSION) => Ok(()),
            v if v > u64::from(VERSION) => Err(DecodeError::Newer(v)),
            v => Err(self.invalid("version", start, format!("there is no version {v}, expected {VERSION}"))),
        }
    }

    /// Reads the list of processes that begins at the cursor.
    fn processes(&mut self) -> Result<Vec<ProcessDoc>, DecodeError> {
        // The processes so far of the list that the cursor is in.
        let mut list = Vec::new();
        self.cursor.open_array().map_err(|f| self.fault("processes", f))?;
        loop {
            let name = if self.open.is_empty() { "processes" } else { "children" };
            if self.cursor.element(list.is_empty()).map_err(|f| self.fault(name, f))? {
                if self.open.len() == MAX_DEPTH {
                    return Err(self.fault(name, Fault::TooDeep));
                }
                self.open.push(Open { before: take(&mut list), ..Open::default() });
                self.cursor.open_object().map_err(|f| self.fault("", f))?;
            } else {
                match self.open.last_mut() {
                    Some(parent) => parent.process.children = take(&mut list),
                    None => return Ok(list),
                }
            }
            if self.fields()? {
                self.cursor.open_array().map_err(|f| self.fault("children", f))?;
            } else {
                list = self.close()?;
            }
        }
    }

    /// Reads the fields of the innermost process, up to its children (true) or to its end (false).
    fn fields(&mut self) -> Result<bool, DecodeError> {
        loop {
            let first = self.open.last_mut().is_some_and(|open| !std::mem::replace(&mut open.started, true));
            let Some(key) = self.cursor.field(first).map_err(|f| self.fault("", f))? else { return Ok(false) };
            let name: String = self.parse("", &key, typed)?;
            let known = PROCESS.iter().position(|known| *known == name);
            if let Some(found) = known.and_then(|i| self.open.last_mut()?.found.get_mut(i))
                && std::mem::replace(found, true)
            {
                return Err(self.invalid(&name, key.start, TWICE.into()));
            }
            if name == "children" {
                return Ok(true);
            }
            let place = self.cursor.value(VALUE_DEPTH_MAX).map_err(|f| self.fault(&name, f))?;
            let text = self.cursor.text(&place);
            let read = self.open.last_mut().map_or(Ok(()), |open| read_field(&mut open.process, &name, text));
            read.map_err(|flaw| self.flawed(&name, &place, flaw))?;
        }
    }

    /// Closes the innermost process and returns the list that it is the last of so far.
    fn close(&mut self) -> Result<Vec<ProcessDoc>, DecodeError> {
        let missing = self.open.last().and_then(|open| {
            PROCESS.iter().zip(open.found).take(REQUIRED).find_map(|(name, found)| (!found).then_some(*name))
        });
        if let Some(name) = missing {
            return Err(self.missing(name));
        }
        Ok(self.open.pop().map_or_else(Vec::new, |open| {
            let mut list = open.before;
            list.push(open.process);
            list
        }))
    }

    /// Reads a field's value.
    fn parse<T>(&self, name: &str, place: &Place, read: fn(&[u8]) -> Result<T, Flaw>) -> Result<T, DecodeError> {
        read(self.cursor.text(place)).map_err(|flaw| self.flawed(name, place, flaw))
    }

    /// Reads the value of a field that must be there.
    fn required<T>(
        &self,
        name: &str,
        place: Option<Place>,
        read: fn(&[u8]) -> Result<T, Flaw>,
    ) -> Result<T, DecodeError> {
        self.parse(name, &place.ok_or_else(|| self.missing(name))?, read)
    }

    /// The path of a field of what the cursor is in.
    fn path(&self, name: &str) -> String {
        let mut path = String::new();
        for (depth, open) in self.open.iter().enumerate() {
            push_key(&mut path, if depth == 0 { "processes" } else { "children" });
            push_index(&mut path, open.before.len());
        }
        if !name.is_empty() {
            push_key(&mut path, name);
        }
        path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
    }

    fn invalid(&self, name: &str, offset: usize, detail: String) -> DecodeError {
        DecodeError::Invalid { path: self.path(name), offset, detail }
    }

    fn missing(&self, name: &str) -> DecodeError {
        self.invalid(name, self.cursor.offset(), "missing".into())
    }

    fn fault(&self, name: &str, fault: Fault) -> DecodeError {
        let detail = match fault {
            Fault::Expected(what) => format!("expected {what}"),
            Fault::TooDeep => "nested too deep".into(),
        };
        self.invalid(name, self.cursor.offset(), detail)
    }

    fn flawed(&self, name: &str, place: &Place, flaw: Flaw) -> DecodeError {
        let path = self.path(name) + &flaw.path;
        DecodeError::Invalid { path, offset: place.start + flaw.offset, detail: flaw.detail }
    }
}

/// A map that refuses the same key twice.
#[derive(Deserialize)]
#[serde(transparent, bound = "V: Deserialize<'de>")]
struct Map<V>(#[serde(deserialize_with = "unique")] BTreeMap<String, V>);

/// Parses the text of one value.
fn typed<T: DeserializeOwned>(text: &[u8]) -> Result<T, Flaw> {
    sonic_rs::from_slice(text).map_err(|error| {
        let message = error.to_string();
        // What follows the position is an excerpt of the text.
        let position = format!(" at line {} column {}", error.line(), error.column());
        let detail = message.rsplit_once(&position).map_or(message.as_str(), |(detail, _)| detail);
        // What is said of an object or array is found at its last entry.
        let around = detail.starts_with("missing field") || detail.starts_with("invalid length");
        let offset = error.offset();
        Flaw { path: locate(text, offset, around), offset, detail: Visible(detail).to_string() }
    })
}

fn read_field(process: &mut ProcessDoc, name: &str, text: &[u8]) -> Result<(), Flaw> {
    match name {
        "path" => process.path = typed(text)?,
        "pattern" => process.pattern = typed(text)?,
        "distinct" => process.distinct = typed(text)?,
        "exemplars" => {
            process.exemplars = typed(text)?;
            check_exemplars("", &process.exemplars)?;
        }
        "learned" => process.learned = typed(text)?,
        "argv0" => process.argv0 = typed(text)?,
        "argv" => process.argv = typed(text)?,
        "exec_chain" => process.exec_chain = typed(text)?,
        "interpreter" => {
            let several = text.trim_ascii_start().starts_with(b"[");
            process.interpreters = if several { typed(text)? } else { vec![typed(text)?] };
        }
        "fileless" => process.fileless = typed(text)?,
        "upper_layer" => process.upper_layer = typed(text)?,
        "uids" => process.uids = typed(text)?,
        "seen" => {
            process.seen = typed(text)?;
            check_seen("", &process.seen)?;
        }
        "files" => {
            process.files =
                list(text, |file: &FileDoc| check_file(file).and_then(|()| check_seen(".seen", &file.seen)))?
        }
        "dns" => {
            process.dns = list(text, |dns: &DnsDoc| {
                check_exemplars(".exemplars", &dns.exemplars).and_then(|()| check_seen(".seen", &dns.seen))
            })?
        }
        "sockets" => {
            process.sockets =
                list(text, |socket: &SocketDoc| check_socket(socket).and_then(|()| check_seen(".seen", &socket.seen)))?;
        }
        "syscalls" => process.syscalls = list(text, |call: &SyscallDoc| check_seen(".seen", &call.seen))?,
        "capabilities" => process.capabilities = list(text, |cap: &CapabilityDoc| check_seen(".seen", &cap.seen))?,
        _ => drop(typed::<IgnoredAny>(text)?),
    }
    Ok(())
}

/// Reads a list and checks each entry.
fn list<T: DeserializeOwned>(text: &[u8], check: impl Fn(&T) -> Result<(), Flaw>) -> Result<Vec<T>, Flaw> {
    let list: Vec<T> = typed(text)?;
    for (index, entry) in list.iter().enumerate() {
        check(entry).map_err(|flaw| {
            let mut path = String::new();
            push_index(&mut path, index);
            Flaw { path: path + &flaw.path, ..flaw }
        })?;
    }
    Ok(list)
}

fn check_tags(tags: BTreeMap<String, TagDoc>) -> Result<BTreeMap<String, TagDoc>, Flaw> {
    tags.iter().try_for_each(|(tag, doc)| check_span(tag, "", [doc.first_seen, doc.last_seen]))?;
    Ok(tags)
}

fn check_seen(field: &str, seen: &Seen) -> Result<(), Flaw> {
    if seen.is_empty() {
        return Err(Flaw::new(field, "no tag"));
    }
    seen.iter().try_for_each(|(tag, span)| check_span(tag, field, *span))
}

fn check_span(tag: &str, field: &str, [first, last]: [Time; 2]) -> Result<(), Flaw> {
    let mut path = field.to_owned();
    push_key(&mut path, tag);
    if tag.is_empty() {
        return Err(Flaw::new(field, "a tag without a name"));
    }
    if first > last { Err(Flaw::new(&path, &format!("first seen {first}, after last seen {last}"))) } else { Ok(()) }
}

/// Each is put together with the directory of its pattern, which may be long.
fn check_exemplars(field: &str, exemplars: &[String]) -> Result<(), Flaw> {
    if exemplars.len() > EXEMPLARS_MAX {
        return Err(Flaw::new(
            field,
            &format!("{} of them, and no profile has more than {EXEMPLARS_MAX}", exemplars.len()),
        ));
    }
    Ok(())
}

fn check_file(file: &FileDoc) -> Result<(), Flaw> {
    check_exemplars(".exemplars", &file.exemplars)?;
    one_of(".access", &file.access, &["r", "w", "rw"])
}

fn check_socket(socket: &SocketDoc) -> Result<(), Flaw> {
    check_exemplars(".exemplars", &socket.exemplars)?;
    one_of(".op", &socket.op, &["bind", "connect"])?;
    one_of(".family", &socket.family, &["inet", "inet6", "unix"])?;
    if let Some(proto) = &socket.proto {
        one_of(".proto", proto, &["tcp", "udp"])?;
    }
    let known = match socket.family.as_str() {
        "inet" => is_network::<Ipv4Addr>(&socket.addr, 32),
        "inet6" => is_network::<Ipv6Addr>(&socket.addr, 128),
        _ => true,
    };
    if known {
        return Ok(());
    }
    let detail = format!("\"{}\" is no address, network or `*` of family {}", Visible(&socket.addr), socket.family);
    Err(Flaw::new(".addr", &detail))
}

fn one_of(field: &str, value: &str, known: &[&str]) -> Result<(), Flaw> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(Flaw::new(field, &format!("\"{}\" is not one of {}", Visible(value), known.join(", "))))
}

/// Whether `text` is an address, a network in prefix notation, or `*`.
fn is_network<A: FromStr>(text: &str, prefix_max: u8) -> bool {
    let (addr, prefix) = text.split_once('/').map_or((text, None), |(addr, prefix)| (addr, Some(prefix)));
    let prefix_fits = prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|bits| bits <= prefix_max));
    text == "*" || (addr.parse::<A>().is_ok() && prefix_fits)
}

impl Flaw {
    fn new(path: &str, detail: &str) -> Self {
        Self { path: path.to_owned(), offset: 0, detail: detail.to_owned() }
    }
}
