//! Where one record ends and the next begins.
//!
//! A [`Cutter`] looks at the bytes that have come and remembers how far it has looked, so that each byte is seen
//! once however the input arrives. It owns no bytes.

use memchr::{memchr, memchr3};

/// How an input is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A record a line. The line end is `\n` or `\r\n`; the last line may lack it; an empty line is a record.
    Lines,
    /// A record a JSON object, which may span lines or share one. A record ends where its braces balance, or where it
    /// cannot go on: at a line end inside a string, and before a `{` that begins a line but stands where no value can.
    /// Whatever else stands between objects is a record up to its line end; white space is none.
    JsonObjects,
}

/// What the bytes at hand begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A record in the first `len` bytes. Line ends are counted inside of it, and from there to `consumed`.
    Record { len: usize, consumed: usize, lines_inside: u64, lines_after: u64 },
    /// A record over the limit, with the line ends in what is to be consumed of it now.
    TooLong { len_so_far: usize, consumed: usize, lines: u64 },
    /// Nothing of interest, and perhaps something behind it.
    Skip { consumed: usize, lines: u64 },
    /// Not enough to tell.
    More,
}

pub(super) struct Cutter {
    framing: Framing,
    /// How much of the bytes at hand was looked at already.
    scanned: usize,
    /// The rest of a record that was reported as too long is being skipped.
    skipping: bool,
    /// What the bytes at hand belong to. `Lines` knows nothing but [`Within::Line`].
    within: Within,
}

enum Within {
    Nothing,
    Line,
    Object(Object),
}

/// An object that is open, as far as it was looked at.
struct Object {
    depth: u64,
    in_string: bool,
    /// Line ends since the bytes at hand begin.
    lines: u64,
    line_start: bool,
    /// The last byte outside strings that is not white space.
    last: u8,
}

impl Cutter {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, scanned: 0, skipping: false, within: Within::Nothing }
    }

    /// Cuts the first record off `bytes`, which begin where the last cut ended; `whole` if no more will come.
    pub(super) fn cut(&mut self, bytes: &[u8], whole: bool, max: usize) -> Cut {
        match (self.framing, &mut self.within) {
            (Framing::Lines, _) | (_, Within::Line) => self.line(bytes, whole, max),
            (Framing::JsonObjects, Within::Object(_)) => self.object(bytes, whole, max),
            (Framing::JsonObjects, Within::Nothing) => {
                let blank = bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
                if blank > 0 {
                    return Cut::Skip { consumed: blank, lines: line_ends(bytes.get(..blank).unwrap_or_default()) };
                }
                match bytes.first() {
                    None => return Cut::More,
                    Some(b'{') => self.within = Within::Object(Object::new()),
                    Some(_) => self.within = Within::Line,
                }
                Cut::Skip { consumed: 0, lines: 0 }
            }
        }
    }

    /// What was at hand is done with.
    fn done(&mut self, cut: Cut) -> Cut {
        *self = Self::new(self.framing);
        cut
    }

    fn line(&mut self, bytes: &[u8], whole: bool, max: usize) -> Cut {
        let found = memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()).map(|i| self.scanned + i);
        let (line, consumed, lines) = match found {
            Some(i) => (bytes.get(..i).unwrap_or_default(), i + 1, 1),
            None if self.skipping && !bytes.is_empty() => return Cut::Skip { consumed: bytes.len(), lines: 0 },
            // One byte more may be the `\r` of the line end.
            None if bytes.len() > max.saturating_add(1) => {
                self.scanned = 0;
                self.skipping = true;
                return Cut::TooLong { len_so_far: bytes.len(), consumed: bytes.len(), lines: 0 };
            }
            None if whole && !bytes.is_empty() => (bytes, bytes.len(), 0),
            None => {
                self.scanned = bytes.len();
                return Cut::More;
            }
        };
        let len = line.strip_suffix(b"\r").unwrap_or(line).len();
        let skipping = self.skipping;
        self.done(if skipping {
            Cut::Skip { consumed, lines }
        } else if len > max {
            Cut::TooLong { len_so_far: len, consumed, lines }
        } else {
            Cut::Record { len, consumed, lines_inside: 0, lines_after: lines }
        })
    }

    fn object(&mut self, bytes: &[u8], whole: bool, max: usize) -> Cut {
        let Within::Object(object) = &mut self.within else { return Cut::More };
        let end = object.scan(bytes, &mut self.scanned);
        let lines = object.lines;
        match end {
            None if bytes.is_empty() => Cut::More,
            None if !whole && bytes.len() <= max && !self.skipping => Cut::More,
            // More of it is to come, and it is too much already. What was not looked at is half an escape.
            None if !whole && self.scanned > 0 => {
                let consumed = std::mem::take(&mut self.scanned);
                object.lines = 0;
                if self.skipping {
                    return Cut::Skip { consumed, lines };
                }
                self.skipping = true;
                Cut::TooLong { len_so_far: bytes.len(), consumed, lines }
            }
            None if !whole => Cut::More,
            end => {
                let consumed = end.unwrap_or(bytes.len());
                let record = bytes.get(..consumed).unwrap_or_default().trim_ascii_end();
                let skipping = self.skipping;
                self.done(if skipping {
                    Cut::Skip { consumed, lines }
                } else if consumed > max {
                    Cut::TooLong { len_so_far: consumed, consumed, lines }
                } else {
                    let lines_inside = if lines == 0 { 0 } else { line_ends(record) };
                    Cut::Record { len: record.len(), consumed, lines_inside, lines_after: lines - lines_inside }
                })
            }
        }
    }
}

impl Object {
    fn new() -> Self {
        Self { depth: 0, in_string: false, lines: 0, line_start: false, last: 0 }
    }

    /// Looks on from `at` for the end of the object. An end at a line end includes it.
    fn scan(&mut self, bytes: &[u8], at: &mut usize) -> Option<usize> {
        while let Some(rest) = bytes.get(*at..).filter(|rest| !rest.is_empty()) {
            if self.in_string {
                let Some(i) = memchr3(b'"', b'\\', b'\n', rest) else {
                    *at = bytes.len();
                    return None;
                };
                match (rest.get(i), rest.get(i + 1)) {
                    (Some(b'"'), _) => {
                        self.in_string = false;
                        *at += i + 1;
                    }
                    (Some(b'\n'), _) => {
                        self.lines += 1;
                        return Some(*at + i + 1);
                    }
                    // What is escaped has not come yet.
                    (_, None) => {
                        *at += i;
                        return None;
                    }
                    (_, Some(b'\n')) => *at += i + 1,
                    _ => *at += i + 2,
                }
            } else if let Some(end) = self.outside(rest, at) {
                return Some(end);
            }
        }
        None
    }

    /// Looks on through `rest`, which begins at `at`, up to where a string begins.
    fn outside(&mut self, rest: &[u8], at: &mut usize) -> Option<usize> {
        let from = *at;
        *at += rest.len();
        for (i, byte) in rest.iter().enumerate() {
            match byte {
                b'\n' => {
                    self.lines += 1;
                    self.line_start = true;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {}
                b'"' => {
                    self.in_string = true;
                    self.last = b'"';
                    self.line_start = false;
                    *at = from + i + 1;
                    return None;
                }
                b'{' if self.depth > 0 && self.line_start && !matches!(self.last, b':' | b',' | b'[') => {
                    return Some(from + i);
                }
                b'}' if self.depth <= 1 => return Some(from + i + 1),
                _ => {
                    match byte {
                        b'{' => self.depth += 1,
                        b'}' => self.depth -= 1,
                        _ => {}
                    }
                    self.last = *byte;
                }
            }
            self.line_start = false;
        }
        None
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
