//! Writing a profile as JSON: compact, keys in the format's order, one line end at the end.
//!
//! Characters that act on a terminal or on their neighbours' order are written as `\uXXXX`.
//!
//! The same document always gives the same bytes, and a profile those of its document. A profile is written straight from
//! its tree, element by element, so that no copy of all is made.
//!
//! Not here: files and compression (`store`).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::Profile;
use super::convert::Hulls;
use super::doc::{FORMAT, Ledgers, PARTIAL, ProcessDoc, ProfileDoc, TagDoc, VERSION};
use crate::behaviour::Stats;
use crate::text::{is_plain, make_visible};
use crate::tree::Tree;

/// A profile, its processes held as told.
#[derive(Serialize)]
struct Written<'a, P> {
    format: &'static str,
    version: u32,
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
    tags: &'a BTreeMap<String, TagDoc>,
    stats: Stats,
    ledgers: &'a Ledgers,
    processes: P,
}

/// The processes of a tree, each made when it is written.
struct Processes<'a> {
    tree: &'a Tree,
    hulls: Hulls,
}

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let written = self.tree.written_programs().into_iter();
        s.collect_seq(written.map(|(id, parent)| self.tree.process_doc(id, parent, &self.hulls)))
    }
}

/// What can be written as a profile: a document, or a [`Profile`] itself, of which no document is made.
pub trait Encode {
    /// Writes it to `out`; see [`encode`].
    ///
    /// # Errors
    /// As [`encode`].
    #[doc(hidden)]
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes a profile to `out`. Beside the profile that takes the memory of the names of one directory or one process,
/// whichever is larger, and not that of a document.
///
/// # Errors
/// Those of `out`.
pub fn encode(profile: &impl Encode, mut out: impl Write) -> io::Result<()> {
    profile.encode_to(&mut out)
}

impl Encode for ProfileDoc {
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let written: Written<'_, &[ProcessDoc]> = Written {
            format: FORMAT,
            version: VERSION,
            image: &self.image,
            completeness: self.partial.then_some(PARTIAL),
            tags: &self.tags,
            stats: self.stats(),
            ledgers: &self.ledgers,
            processes: &self.processes,
        };
        write_json(&written, out)
    }
}

impl Encode for Profile {
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let tree = &**self.tree();
        let hulls = tree.hulls();
        let written = Written {
            format: FORMAT,
            version: VERSION,
            image: self.image(),
            completeness: self.is_partial().then_some(PARTIAL),
            tags: &self.tag_docs(&hulls),
            stats: tree.stats(),
            ledgers: self.ledgers(),
            processes: Processes { tree, hulls },
        };
        write_json(&written, out)
    }
}

fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Text { text: Vec::with_capacity(TEXT_BYTES * 2), out, error: None };
    let written = sonic_rs::to_writer(sonic_rs::writer::BufferedWriter::new(&mut text), value);
    if let Err(error) = written {
        return Err(text.error.unwrap_or_else(|| io::Error::other(error)));
    }
    text.hand_on()?;
    text.out.write_all(b"\n")
}

/// Text on its way out.
struct Text<'a> {
    text: Vec<u8>,
    out: &'a mut dyn Write,
    /// Why it cannot be handed on: the JSON library keeps only the words.
    error: Option<io::Error>,
}

/// Text is handed on when there is so much of it.
const TEXT_BYTES: usize = 32 << 10;

impl Text<'_> {
    /// Hands on all that is there, but for the first bytes of a character that is not all there yet.
    fn hand_on(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        if !is_plain(&self.text) {
            let whole = match str::from_utf8(&self.text) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => self.text.len(),
            };
            rest = self.text.split_off(whole);
            make_visible(&mut self.text, 0);
        }
        self.out.write_all(&self.text)?;
        self.text.clear();
        self.text.append(&mut rest);
        Ok(())
    }

    #[cold]
    fn hand_on_or_fail(&mut self) -> io::Result<()> {
        self.hand_on().map_err(|error| {
            self.error = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

impl Write for Text<'_> {
    // Called for every comma, so it should become part of whoever does.
    #[inline(always)]
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(json);
        if self.text.len() > TEXT_BYTES {
            self.hand_on_or_fail()?;
        }
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
