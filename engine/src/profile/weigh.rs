//! How much memory JSON text may come to take when it is understood, and how deep it nests, from one look at its bytes:
//! before anything is made of it.
//!
//! Not here: whether it is JSON. Text that is not weighs something or other.

use std::ops::Range;

use super::doc::ProcessDoc;
use super::version_1;
use crate::behaviour::*;

/// What values take at most when they are understood, in bytes: as a document, and then as a tree. With the room of lists
/// that grow and of what is taken for a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub doc: u64,
    pub tree: u64,
    /// What the document takes while its largest list grows and is there twice, if that is more than what it takes at
    /// the end.
    pub growing: u64,
    /// How deep arrays and objects nest.
    pub depth: usize,
}

impl Weight {
    fn add(&mut self, doc: u64, tree: u64) {
        self.doc += doc;
        self.tree += tree;
    }

    /// What the document takes beside the text that it is made from, or beside the tree that is made of it, whichever
    /// is more.
    pub fn with_text(self, len: usize) -> u64 {
        let len = len as u64;
        (self.growing + len).max(self.doc + self.tree.max(len))
    }
}

// What parts of the text take. `tests/profile_memory.rs` compares it with what lists of the smallest entries take.

/// An entry of a list, by itself: what is in it is counted where it is written.
const PROCESS: u64 = size_of::<ProcessDoc>() as u64;

macro_rules! entries {
    ($(($Kind:ident, $file:ident, $Doc:ident, $list:ident, $count:ident)),* $(,)?) => {
        /// What an entry of the list with this key, in its quotes, takes by itself; of one that is not known the most.
        fn entry_bytes(key: &[u8]) -> u64 {
            const MOST: usize = {
                let mut most = 0;
                $(if size_of::<$Doc>() > most {
                    most = size_of::<$Doc>();
                })*
                most
            };
            match key.get(1..key.len().saturating_sub(1)).map(str::from_utf8) {
                Some(Ok("processes" | "children")) => PROCESS,
                $(Some(Ok(stringify!($list))) => size_of::<$Doc>() as u64,)*
                _ => MOST as u64,
            }
        }
    };
}
kinds!(entries);

/// A list has room for so many entries when it has one, and for twice as many each time it is full.
const FIRST_ENTRIES: u64 = 4;
const ARRAY: u64 = 48;
/// Times of a tag that is not the first of its entry: in a list that doubles; and a further record of a node.
const TIMES: u64 = 64;
const RECORD: u64 = 40;
/// A tag's text, beside its bytes, where an entry does not have it in common with others.
const TAG_TEXT: u64 = 32;
/// A tag that was not met before, which the process remembers.
const TAG: u64 = 320;
/// A text in a list.
const TEXT: u64 = 64;
/// A text that is a field: its place is counted with the element.
const FIELD: u64 = 24;
/// A component of a path or label of a name: a node of the tree.
const COMPONENT: u64 = 80;
/// A number in a list: a node of the tree.
const NUMBER: u64 = 16;
const NUMBER_NODE: u64 = 96;
/// A byte of the longest text: it is cut into components while it is at hand.
const LONGEST: u64 = 56;
/// A ledger: however little is written of one, it has all counters, in the document and in the profile.
const LEDGER: u64 = 1400;
/// What is said of a tag, likewise.
const TAG_ROW: u64 = 320;

/// How far learning is with a kind of behaviour that is not known here.
const STATE: u64 = 32;

/// So many tags are told from others. Further ones count as new each time.
const TAGS_KNOWN: usize = 8;

/// The longest text that can be a time, with its quotes.
const TIME_BYTES: usize = 32;

/// Weighs JSON text, as far as it nests no deeper than a profile of version 1 may. O(its length).
pub(super) fn weigh(json: &[u8]) -> Weight {
    let mut scales = Scales {
        json,
        weight: Weight::default(),
        longest: 0,
        last: 0..0,
        tags: Vec::new(),
        counted: 0,
        of_tags: false,
        of_seen: false,
        shared: [const { 0..0 }; TAGS_AT_HAND],
        lists: Vec::new(),
    };
    let (mut depth, mut at) = (0_usize, 0);
    while depth <= version_1::DEPTH_MAX
        && let Some(byte) = json.get(at)
    {
        at += 1;
        match byte {
            b'"' => {
                let end = string_end(json, at);
                let is_key = json.get(end) == Some(&b':');
                scales.text(at - 1..end, is_key);
                at = end;
                if is_key {
                    at += 1;
                    match depth {
                        1 => scales.of_tags = scales.bytes(&scales.last) == b"\"tags\"",
                        4 if scales.of_tags => scales.state(),
                        _ => {}
                    }
                }
            }
            b'{' => {
                depth += 1;
                scales.weight.depth = scales.weight.depth.max(depth);
                // What is a field itself is counted with what is in it.
                let is_field = at > 1 && json.get(at - 2) == Some(&b':');
                match (is_field, depth) {
                    (true, 3) if scales.of_tags => scales.weight.doc += TAG_ROW,
                    (true, 3) => scales.weight.doc += LEDGER,
                    (true, _) => {}
                    (false, _) => scales.entry(depth),
                }
                scales.of_seen = is_field && scales.bytes(&scales.last) == b"\"seen\"";
            }
            b'[' => {
                depth += 1;
                scales.weight.depth = scales.weight.depth.max(depth);
                scales.counted = 0;
                match json.get(at) {
                    Some(b'"') => scales.texts(),
                    Some(b']') => {}
                    _ => scales.list(at, depth),
                }
            }
            b'}' => {
                depth = depth.saturating_sub(1);
                scales.of_seen = false;
            }
            b']' => depth = depth.saturating_sub(1),
            b',' if at > 1 && json.get(at - 2).is_some_and(u8::is_ascii_digit) => {
                scales.weight.add(NUMBER, NUMBER_NODE);
            }
            _ => {}
        }
    }
    scales.end_lists(0);
    scales.weight.tree += LONGEST * scales.longest as u64;
    scales.weight
}

/// Text that is being weighed.
struct Scales<'a> {
    json: &'a [u8],
    weight: Weight,
    /// The length of the longest text so far.
    longest: usize,
    /// Where the last key or text is.
    last: Range<usize>,
    /// The first tags that were met, each once.
    tags: Vec<Range<usize>>,
    /// Texts that are counted with the list that they are in.
    counted: u8,
    /// What is being weighed is said of tags.
    of_tags: bool,
    /// It is an object of tags and times.
    of_seen: bool,
    /// The tags that entries have in common; see [`tag_place`].
    shared: [Range<usize>; TAGS_AT_HAND],
    /// The lists that are not at their end, each with how deep it is.
    lists: Vec<(usize, List)>,
}

/// A list of objects, so far.
struct List {
    /// What each takes by itself.
    entry: u64,
    entries: u64,
    /// For how many there is room.
    room: u64,
    /// What those before the last entry take once more while they are moved to where there is room for it.
    moved: u64,
}

impl Scales<'_> {
    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.json.get(range.clone()).unwrap_or_default()
    }

    /// The byte in front of one.
    fn before(&self, at: usize) -> Option<u8> {
        self.json.get(at.checked_sub(1)?).copied()
    }

    /// Begins the list whose bracket is in front of `at`, and not a text behind.
    fn list(&mut self, at: usize, depth: usize) {
        let is_field = self.json.get(self.last.end..at) == Some(b":[");
        self.weight.doc += ARRAY;
        let entry = entry_bytes(if is_field { self.bytes(&self.last) } else { b"" });
        self.end_lists(depth);
        self.lists.push((depth, List { entry, entries: 0, room: 0, moved: 0 }));
    }

    /// Ends the lists that are as deep as `depth`, or deeper.
    fn end_lists(&mut self, depth: usize) {
        while let Some((_, list)) = self.lists.pop_if(|(other, _)| *other >= depth) {
            self.weight.growing = self.weight.growing.max(self.weight.doc + list.moved);
        }
    }

    /// Counts an object that is no field, and is so deep: an entry of the list around it.
    fn entry(&mut self, depth: usize) {
        self.end_lists(depth);
        let Some((_, list)) = self.lists.last_mut().filter(|(around, _)| around + 1 == depth) else {
            self.weight.doc += entry_bytes(b"");
            return;
        };
        // An entry is put into its list once all of it is there: what is in the one before counts by now.
        self.weight.growing = self.weight.growing.max(self.weight.doc + std::mem::take(&mut list.moved));
        if list.entries == list.room {
            let more = list.room.max(FIRST_ENTRIES);
            self.weight.doc += list.entry * more;
            list.moved = list.entry * list.room;
            list.room += more;
        }
        list.entries += 1;
    }

    /// Counts a text unless it is a key.
    fn text(&mut self, text: Range<usize>, is_key: bool) {
        self.last = text.clone();
        if is_key {
            return;
        }
        self.longest = self.longest.max(text.len());
        if self.counted > 0 && text.len() <= TIME_BYTES {
            self.counted -= 1;
            return;
        }
        let own = if self.before(text.start) == Some(b':') { FIELD } else { TEXT };
        let (len, components) = (text.len() as u64, components(self.bytes(&text)));
        self.weight.add(len + own, len + COMPONENT * components);
    }

    /// Counts how far learning is with the kind of behaviour that was named last: of one that is known it takes a byte of
    /// what a tag has.
    fn state(&mut self) {
        let class = self.last.start + 1..self.last.end - 1;
        if CLASSES.iter().any(|known| known.as_bytes() == self.bytes(&class)) {
            self.counted = 1;
        } else {
            self.weight.doc += STATE;
        }
    }

    /// Counts a list of texts: the times of the tag whose name came last, or any others. Two of its texts are counted with
    /// it.
    fn texts(&mut self) {
        self.counted = 2;
        if !self.of_seen {
            self.weight.add(ARRAY + 2 * TEXT, 2 * NUMBER_NODE);
            return;
        }
        let name = self.last.len() as u64;
        // The first record of a node is in the node, and so are the first times of an entry.
        if self.before(self.last.start) != Some(b'{') {
            self.weight.add(TIMES, RECORD);
        }
        if !self.shares_tag() {
            self.weight.doc += TAG_TEXT + name;
        }
        if self.tags.iter().any(|known| self.bytes(known) == self.bytes(&self.last)) {
            return;
        }
        self.weight.add(0, TAG + name);
        if self.tags.len() < TAGS_KNOWN {
            self.tags.push(self.last.clone());
        }
    }

    /// Whether the tag that was named last has its text in common with an entry before.
    fn shares_tag(&mut self) -> bool {
        let text = self.last.start + 1..self.last.end - 1;
        let bytes = self.bytes(&text);
        // An escape may stand for what another tag has as it is.
        let Some(place) = tag_place(bytes).filter(|_| !bytes.contains(&b'\\')) else { return false };
        let known = self.shared.get(place).is_some_and(|known| self.bytes(known) == bytes);
        if let Some(shared) = self.shared.get_mut(place) {
            *shared = text;
        }
        known
    }
}

/// Behind the quote that ends the string whose text begins at `from`. Texts are short, so eight bytes at a time are looked
/// at, which costs less than to begin a search.
fn string_end(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(rest) = json.get(at..) {
        let Some(word) = rest.first_chunk::<8>() else {
            return match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                Some(found) if rest.get(found) == Some(&b'"') => at + found + 1,
                Some(found) => string_end(json, at + found + 2),
                None => json.len(),
            };
        };
        let word = u64::from_le_bytes(*word);
        let ends = zero_bytes(word ^ repeated(b'"')) | zero_bytes(word ^ repeated(b'\\'));
        if ends == 0 {
            at += 8;
            continue;
        }
        at += ends.trailing_zeros() as usize / 8 + 1;
        if json.get(at - 1) == Some(&b'"') {
            return at;
        }
        at += 1;
    }
    json.len()
}

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Has a bit of the first byte that is zero set, and none below it.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeated(1)) & !word & repeated(0x80)
}

/// How many slashes and dots there are.
fn components(text: &[u8]) -> u64 {
    // They differ in the lowest bit. So many at a time that one byte can count them.
    let count = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte | 1 == b'/')).sum::<u8>();
    text.chunks(u8::MAX as usize).map(|bytes| u64::from(count(bytes))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_of_texts() {
        for (json, depth) in
            [("", 0), ("7", 0), ("[]", 1), (r#"{"a":[{"]]":"[[\"[["}]}"#, 3), ("[[[", 3), ("]]][", 1), (r#""["#, 0)]
        {
            assert_eq!(weigh(json.as_bytes()).depth, depth, "{json}");
        }
    }

    /// What [`string_end`] gives, byte for byte.
    fn end_of(json: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(byte) = json.get(at) {
            at += 1;
            match byte {
                b'"' => return at,
                b'\\' => at += 1,
                _ => {}
            }
        }
        json.len()
    }

    proptest! {
        #[test]
        fn a_text_ends_at_its_quote_wherever_that_is(
            json in "[-a#\"\\\\]\u{ae}\u{af}!~é]{0,40}",
            from in 0..12_usize,
        ) {
            prop_assert_eq!(string_end(json.as_bytes(), from), end_of(json.as_bytes(), from));
        }
    }

    #[test]
    fn slashes_and_dots_of_any_text_are_counted() {
        assert_eq!(components(b"/usr/lib/libc.so.6"), 5);
        assert_eq!(components(&b"/-".repeat(1000)), 1000);
        assert_eq!(components(b""), 0);
    }
}
