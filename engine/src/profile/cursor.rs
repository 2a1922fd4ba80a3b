//! Finding one's way in JSON text without building anything: where values begin and end, and which field an
//! offset is in, and how much memory they may come to take. One pass, no recursion, whatever the bytes.
//!
//! Not here: what values mean. Text inside a value found here is checked by whoever parses it.

use std::fmt::Write;
use std::ops::Range;

use memchr::{memchr2, memchr2_iter};

use crate::text::Visible;

/// What is wrong with the text at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something else was expected.
    Expected(&'static str),
    /// A value nests too deep.
    TooDeep,
}

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// What the values that were stepped over take at most.
    weight: Weight,
    /// The length of the longest text among them.
    longest: usize,
    /// Where the key or text that was stepped over last is.
    last: Range<usize>,
    /// The first tags that were met, each once.
    tags: Vec<Range<usize>>,
    /// Texts that are counted with the list that they are in.
    counted: u8,
}

/// So many tags are told from others. Further ones count as new each time.
const TAGS_KNOWN: usize = 8;

/// The longest text that can be a time, with its quotes.
const TIME_BYTES: usize = 32;

/// What values take at most when they are understood, in bytes: as a document, and then as a tree. With the room of lists
/// that grow and of what is taken for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub doc: u64,
    pub tree: u64,
}

impl Weight {
    fn add(&mut self, doc: u64, tree: u64) {
        self.doc += doc;
        self.tree += tree;
    }

    /// What the document takes beside the text that it is made from, or beside the tree that is made of it, whichever
    /// is more.
    pub fn with_text(self, len: usize) -> u64 {
        self.doc + self.tree.max(len as u64)
    }
}

/// What parts of the text take. `tests/profile_memory.rs` compares it with what lists of the smallest entries take.
mod weight {
    /// An element of a list: a process, a file.
    pub(super) const ELEMENT: u64 = 160;
    pub(super) const ARRAY: u64 = 48;
    /// Times of a tag: an entry of a list, beside the tag's name; and a further record of a node.
    pub(super) const TIMES: u64 = 56;
    pub(super) const RECORD: u64 = 40;
    /// A tag that was not met before, which the process remembers.
    pub(super) const TAG: u64 = 320;
    /// A text in a list.
    pub(super) const TEXT: u64 = 64;
    /// A text that is a field: its place is counted with the element.
    pub(super) const FIELD: u64 = 24;
    /// A component of a path or label of a name: a node of the tree.
    pub(super) const COMPONENT: u64 = 80;
    /// A number in a list: a node of the tree.
    pub(super) const NUMBER: u64 = 16;
    pub(super) const NUMBER_NODE: u64 = 96;
    /// A byte of the longest text: it is cut into components while it is at hand.
    pub(super) const LONGEST: u64 = 56;
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, weight: Weight::default(), longest: 0, last: 0..0, tags: Vec::new(), counted: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.pos
    }

    /// What all values that [`value`](Self::value) stepped over take at most.
    pub(super) fn weight(&self) -> Weight {
        Weight { tree: self.weight.tree + weight::LONGEST * self.longest as u64, ..self.weight }
    }

    /// Counts what has come since there was only `before` once more: for what is kept twice.
    pub(super) fn weigh_twice(&mut self, before: Weight) {
        let Weight { doc, tree } = self.weight();
        self.weight.add(doc - before.doc, tree - before.tree);
    }

    /// Counts `bytes` more.
    pub(super) fn add_weight(&mut self, bytes: u64) {
        self.weight.doc += bytes;
    }

    pub(super) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// The text of a range that this cursor gave out.
    pub(super) fn text(&self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.pos), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
        self.bytes.get(self.pos).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.pos += usize::from(there);
        there
    }

    /// Steps into an object.
    pub(super) fn open_object(&mut self) -> Result<(), Fault> {
        if self.take(b'{') { Ok(()) } else { Err(Fault::Expected("an object")) }
    }

    /// Steps into an array.
    pub(super) fn open_array(&mut self) -> Result<(), Fault> {
        if self.take(b'[') { Ok(()) } else { Err(Fault::Expected("an array")) }
    }

    /// Steps to the next element of an array, or over its end (false).
    pub(super) fn element(&mut self, first: bool) -> Result<bool, Fault> {
        if self.take(b']') {
            return Ok(false);
        }
        if !first && !self.take(b',') {
            return Err(Fault::Expected("`,` or `]`"));
        }
        Ok(true)
    }

    /// Steps to the next field of an object and past its key, which is returned with its quotes, or over the
    /// object's end.
    pub(super) fn field(&mut self, first: bool) -> Result<Option<Range<usize>>, Fault> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !first && !self.take(b',') {
            return Err(Fault::Expected("`,` or `}`"));
        }
        if self.peek() != Some(b'"') {
            return Err(Fault::Expected("a field's name"));
        }
        let key = self.string()?;
        if self.take(b':') { Ok(Some(key)) } else { Err(Fault::Expected("`:`")) }
    }

    /// Steps over one value, which may nest `depth_max` deep. Its brackets are balanced; what is between them is
    /// not looked at.
    pub(super) fn value(&mut self, depth_max: usize) -> Result<Range<usize>, Fault> {
        let first = self.peek().ok_or(Fault::Expected("a value"))?;
        let start = self.pos;
        match first {
            b'"' => {
                let text = self.string()?;
                self.weigh(&text);
                return Ok(text);
            }
            b'{' | b'[' => self.brackets(depth_max)?,
            _ => {
                let rest = self.bytes.get(start..).unwrap_or_default();
                let end = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.pos += rest.iter().position(end).unwrap_or(rest.len());
            }
        }
        if self.pos == start {
            return Err(Fault::Expected("a value"));
        }
        Ok(start..self.pos)
    }

    /// Counts a text unless it is a key.
    fn weigh(&mut self, text: &Range<usize>) {
        self.last = text.clone();
        if self.bytes.get(self.pos) == Some(&b':') {
            return;
        }
        self.longest = self.longest.max(text.len());
        if self.counted > 0 && text.len() <= TIME_BYTES {
            self.counted -= 1;
            return;
        }
        self.weight.add(text.len() as u64, text.len() as u64);
        let components = memchr2_iter(b'/', b'.', self.text(text)).count() as u64;
        let is_field = text.start.checked_sub(1).and_then(|before| self.bytes.get(before)) == Some(&b':');
        let own = if is_field { weight::FIELD } else { weight::TEXT };
        self.weight.add(own, weight::COMPONENT * components);
    }

    /// Counts a list of texts that has just begun: the times of the tag whose name came last, or any others. Two of its
    /// texts are counted with it.
    fn weigh_texts(&mut self) {
        self.counted = 2;
        let name = self.last.len() as u64;
        if self.bytes.get(self.last.end..self.pos) != Some(b":[") {
            self.weight.add(weight::ARRAY + 2 * weight::TEXT + name, weight::TAG);
            return;
        }
        // The first record of a node is in the node.
        let is_first = self.last.start.checked_sub(1).and_then(|before| self.bytes.get(before)) == Some(&b'{');
        self.weight.add(weight::TIMES + name, if is_first { 0 } else { weight::RECORD });
        if self.tags.iter().any(|known| self.text(known) == self.text(&self.last)) {
            return;
        }
        self.weight.add(0, weight::TAG + name);
        if self.tags.len() < TAGS_KNOWN {
            self.tags.push(self.last.clone());
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(Fault::Expected("nothing more")) }
    }

    fn brackets(&mut self, depth_max: usize) -> Result<(), Fault> {
        let mut depth = 0;
        loop {
            match self.bytes.get(self.pos) {
                None => return Err(Fault::Expected("the end of the value")),
                Some(b'"') => {
                    let text = self.string()?;
                    self.weigh(&text);
                }
                Some(byte) => {
                    self.pos += 1;
                    match byte {
                        b'{' => {
                            depth += 1;
                            // What is a field itself is counted with what is in it.
                            let is_field = self.pos > 1 && self.bytes.get(self.pos - 2) == Some(&b':');
                            self.weight.doc += if is_field { 0 } else { weight::ELEMENT };
                        }
                        b'[' => {
                            depth += 1;
                            self.counted = 0;
                            match self.bytes.get(self.pos) {
                                Some(b'"') => self.weigh_texts(),
                                _ => self.weight.doc += weight::ARRAY,
                            }
                        }
                        b'}' | b']' => depth -= 1,
                        b',' if self.pos > 1 && self.bytes.get(self.pos - 2).is_some_and(u8::is_ascii_digit) => {
                            self.weight.add(weight::NUMBER, weight::NUMBER_NODE);
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        return Ok(());
                    }
                    if depth > depth_max {
                        return Err(Fault::TooDeep);
                    }
                }
            }
        }
    }

    /// Steps over the string that begins here.
    fn string(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.pos;
        self.pos += 1;
        loop {
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            let at = memchr2(b'"', b'\\', rest).ok_or(Fault::Expected("the end of the string"))?;
            self.pos += at + 1;
            if rest.get(at) == Some(&b'"') {
                return Ok(start..self.pos);
            }
            self.pos += 1;
        }
    }
}

/// Which part of `value`, the text of one JSON value, the byte at `offset` is in: `[3].seen["1.27"]`. With `around`,
/// which array or object it is in.
pub(super) fn locate(value: &[u8], offset: usize, around: bool) -> String {
    enum Frame {
        Object(Option<Range<usize>>),
        Array(usize),
    }
    let mut cursor = Cursor::new(value);
    let mut frames = Vec::new();
    while cursor.pos < offset {
        let Some(byte) = cursor.peek() else { break };
        let start = cursor.pos;
        if start >= offset {
            break;
        }
        match (byte, frames.last_mut()) {
            (b'"', frame) => {
                let Ok(text) = cursor.string() else { break };
                if let Some(Frame::Object(key @ None)) = frame {
                    *key = Some(text);
                }
                continue;
            }
            (b'{', _) => frames.push(Frame::Object(None)),
            (b'[', _) => frames.push(Frame::Array(0)),
            (b'}' | b']', _) => drop(frames.pop()),
            (b',', Some(Frame::Object(key))) => *key = None,
            (b',', Some(Frame::Array(index))) => *index += 1,
            _ => {}
        }
        cursor.pos += 1;
    }
    if around {
        frames.pop();
    }
    let mut path = String::new();
    for frame in &frames {
        match frame {
            Frame::Object(Some(key)) => {
                let text = String::from_utf8_lossy(cursor.text(key));
                push_key(&mut path, text.trim_matches('"'));
            }
            Frame::Object(None) => {}
            Frame::Array(index) => push_index(&mut path, *index),
        }
    }
    path
}

/// Appends an array's index to a path.
pub(super) fn push_index(path: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(path, "[{index}]");
}

/// Appends an object's key to a path: `.key`, or `["key"]` when it is no plain word.
pub(super) fn push_key(path: &mut String, key: &str) {
    let plain = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let _ = if plain { write!(path, ".{key}") } else { write!(path, "[\"{}\"]", Visible(key)) };
}
