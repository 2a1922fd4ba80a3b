//! Writing a profile as JSON: compact, keys in the format's order, one line end at the end.
//!
//! Characters that act on a terminal or on their neighbours' order are written as `\uXXXX`.
//!
//! The same document always gives the same bytes, and a profile those of its document. Processes are written without
//! recursion, so that no nesting needs stack, and element by element, so that no copy of all is made.
//!
//! Not here: files and compression (`store`).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::Profile;
use super::convert::Leaves;
use super::doc::{FORMAT, Ledgers, MAX_DEPTH, PARTIAL, ProcessDoc, ProfileDoc, Stats, TagDoc, VERSION};
use crate::text::make_visible;
use crate::tree::{Flags, NodeId, ROOT, Span, Tree};

/// Everything of a profile that comes before its tags.
#[derive(Serialize)]
struct ProfileHead<'a> {
    format: &'static str,
    version: u32,
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
}

/// Everything of a profile that comes before its processes.
struct Top<'a> {
    head: ProfileHead<'a>,
    tags: &'a BTreeMap<String, TagDoc>,
    stats: Stats,
    ledgers: &'a Ledgers,
}

/// Everything of a process that comes before when it was seen, and what it did.
#[derive(Serialize)]
struct ProcessHead<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    pattern: bool,
    #[serde(skip_serializing_if = "is_zero")]
    distinct: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exemplars: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    learned: &'a [u32],
    argv0: Option<&'a str>,
    argv: Option<&'a [String]>,
    exec_chain: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "one_or_more")]
    interpreter: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    fileless: bool,
    #[serde(skip_serializing_if = "is_false")]
    upper_layer: bool,
    uids: &'a [u32],
}

/// What can be written as a profile: a document, or a [`Profile`] itself, of which no document is made.
pub trait Encode {
    /// Writes it to `out`; see [`encode`].
    ///
    /// # Errors
    /// As [`encode`].
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes a profile to `out`. Beside the profile that takes the memory of the names of one directory or one process,
/// whichever is larger, and not that of a document.
///
/// # Errors
/// Those of `out`, and `InvalidInput` when processes nest deeper than [`MAX_DEPTH`]: what is written can be read.
pub fn encode(profile: &impl Encode, mut out: impl Write) -> io::Result<()> {
    profile.encode_to(&mut out)
}

impl Encode for ProfileDoc {
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = ProfileHead::of(&self.image, self.partial);
        let top = Top { head, tags: &self.tags, stats: self.stats(), ledgers: &self.ledgers };
        write_all(&top, self.processes.iter().collect(), out)
    }
}

impl Encode for Profile {
    fn encode_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let tree = &**self.tree();
        let hulls = tree.hulls();
        let root = Learned { tree, hulls: &hulls, id: ROOT };
        let head = ProfileHead::of(self.image(), self.is_partial());
        let top = Top { head, tags: &self.tag_docs(), stats: stats_of(tree), ledgers: self.ledgers() };
        write_all(&top, root.children(), out)
    }
}

impl<'a> ProfileHead<'a> {
    fn of(image: &'a str, partial: bool) -> Self {
        Self { format: FORMAT, version: VERSION, image, completeness: partial.then_some(PARTIAL) }
    }
}

fn stats_of(tree: &Tree) -> Stats {
    let counted = tree.stats();
    Stats {
        process_nodes: counted.process_nodes,
        file_nodes: counted.file_nodes,
        dns_nodes: counted.dns_nodes,
        socket_nodes: counted.socket_nodes,
        syscalls: counted.syscalls,
        capabilities: counted.capabilities,
    }
}

/// A process that is being written.
trait Process: Sized {
    /// It, and perhaps not what is below it.
    fn head(&self) -> Cow<'_, ProcessDoc>;
    /// What it did, list by list.
    fn lists(&self, out: &mut Text<'_>) -> io::Result<()>;
    /// The processes below it, in order.
    fn children(&self) -> Vec<Self>;
}

impl Process for &ProcessDoc {
    fn head(&self) -> Cow<'_, ProcessDoc> {
        Cow::Borrowed(self)
    }

    fn lists(&self, out: &mut Text<'_>) -> io::Result<()> {
        out.list("files", self.files.iter())?;
        out.list("dns", self.dns.iter())?;
        out.list("sockets", self.sockets.iter())?;
        out.list("syscalls", self.syscalls.iter())?;
        out.list("capabilities", self.capabilities.iter())
    }

    fn children(&self) -> Vec<Self> {
        self.children.iter().collect()
    }
}

/// A process of a tree.
struct Learned<'a> {
    tree: &'a Tree,
    hulls: &'a HashMap<NodeId, Vec<(u16, Span)>>,
    id: NodeId,
}

impl Process for Learned<'_> {
    fn head(&self) -> Cow<'_, ProcessDoc> {
        let hull = self.hulls.get(&self.id).map(Vec::as_slice).unwrap_or_default();
        Cow::Owned(self.tree.process_head(self.id, self.tree.seen_doc(hull.iter().copied())))
    }

    fn lists(&self, out: &mut Text<'_>) -> io::Result<()> {
        let tree = self.tree;
        let Leaves { files, dns, sockets, syscalls, capabilities } = tree.sorted_leaves(self.id);
        out.list("files", files.into_iter().map(|leaf| tree.file_doc(leaf)))?;
        out.list("dns", dns.into_iter().map(|leaf| tree.dns_doc(leaf)))?;
        out.list("sockets", sockets.into_iter().map(|leaf| tree.socket_doc(leaf)))?;
        out.list("syscalls", syscalls.into_iter().map(|leaf| tree.syscall_doc(leaf)))?;
        out.list("capabilities", capabilities.into_iter().map(|leaf| tree.capability_doc(leaf)))
    }

    fn children(&self) -> Vec<Self> {
        let Self { tree, hulls, .. } = *self;
        let mut ids = tree.programs_of(self.id);
        ids.retain(|id| tree.node(*id).has(Flags::VISIBLE));
        ids.sort_by_cached_key(|id| tree.process_order(*id));
        ids.into_iter().map(|id| Self { tree, hulls, id }).collect()
    }
}

fn write_all<P: Process>(top: &Top<'_>, roots: Vec<P>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Text { text: Vec::new(), out };
    text.open(&top.head)?;
    text.map("tags", top.tags)?;
    text.push(b",\"stats\":");
    text.value(&top.stats)?;
    text.map("ledgers", top.ledgers)?;
    text.push(b",\"processes\":[");
    let mut open = vec![roots.into_iter()];
    let mut first = true;
    while let Some(list) = open.last_mut() {
        if let Some(process) = list.next() {
            if !first {
                text.push(b",");
            }
            if open.len() > MAX_DEPTH {
                let detail = format!("processes nest deeper than {MAX_DEPTH}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
            }
            let head = process.head();
            text.open(&head_of(&head))?;
            text.map("seen", &head.seen)?;
            process.lists(&mut text)?;
            text.push(b",\"children\":[");
            open.push(process.children().into_iter());
            first = true;
        } else {
            open.pop();
            text.push(b"]}");
            first = false;
        }
    }
    text.push(b"\n");
    text.flush()
}

/// Text on its way out.
struct Text<'a> {
    text: Vec<u8>,
    out: &'a mut dyn Write,
}

/// Text is handed on when there is so much of it.
const TEXT_BYTES: usize = 32 << 10;

impl Text<'_> {
    fn push(&mut self, json: &[u8]) {
        self.text.extend_from_slice(json);
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        let from = self.text.len();
        sonic_rs::to_writer(&mut self.text, value)?;
        make_visible(&mut self.text, from);
        Ok(())
    }

    /// An object that is still open.
    fn open(&mut self, head: &impl Serialize) -> io::Result<()> {
        self.value(head)?;
        self.text.pop();
        Ok(())
    }

    /// A further field of the object that is open, one element after the other.
    fn list(&mut self, name: &str, values: impl Iterator<Item = impl Serialize>) -> io::Result<()> {
        self.push(b",\"");
        self.push(name.as_bytes());
        self.push(b"\":[");
        for (n, value) in values.enumerate() {
            if n > 0 {
                self.push(b",");
            }
            self.value(&value)?;
            if self.text.len() > TEXT_BYTES {
                self.flush()?;
            }
        }
        self.push(b"]");
        Ok(())
    }

    /// A further field of the object that is open: an object itself, one entry after the other.
    fn map<'m, V: Serialize + 'm>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (&'m String, &'m V)>,
    ) -> io::Result<()> {
        self.push(b",\"");
        self.push(name.as_bytes());
        self.push(b"\":{");
        for (n, (key, value)) in entries.into_iter().enumerate() {
            if n > 0 {
                self.push(b",");
            }
            self.value(key)?;
            self.push(b":");
            self.value(value)?;
            if self.text.len() > TEXT_BYTES {
                self.flush()?;
            }
        }
        self.push(b"}");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

fn head_of(process: &ProcessDoc) -> ProcessHead<'_> {
    // Without `..`: a field that is added must be written.
    let ProcessDoc {
        path,
        pattern,
        distinct,
        exemplars,
        learned,
        argv0,
        argv,
        exec_chain,
        interpreters,
        fileless,
        upper_layer,
        uids,
        // Written one by one.
        seen: _,
        // Below it: see `Process`.
        files: _,
        dns: _,
        sockets: _,
        syscalls: _,
        capabilities: _,
        children: _,
    } = process;
    ProcessHead {
        path,
        pattern: *pattern,
        distinct: *distinct,
        exemplars,
        learned,
        argv0: argv0.as_deref(),
        argv: argv.as_deref(),
        exec_chain: *exec_chain,
        interpreter: interpreters,
        fileless: *fileless,
        upper_layer: *upper_layer,
        uids,
    }
}

/// A list, or the one text in it.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for references
fn one_or_more<S: Serializer>(texts: &&[String], s: S) -> Result<S::Ok, S::Error> {
    match texts {
        [one] => one.serialize(s),
        more => more.serialize(s),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for references
fn is_false(flag: &bool) -> bool {
    !flag
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
