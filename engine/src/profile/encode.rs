//! Writing a profile as JSON: compact, keys in the format's order, one line end at the end.
//!
//! Characters that act on a terminal or on their neighbours' order are written as `\uXXXX`.
//!
//! The same document always gives the same bytes. Processes are written without recursion, so that no nesting
//! needs stack.
//!
//! Not here: files and compression (`store`).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::doc::{
    CapabilityDoc, DnsDoc, FORMAT, FileDoc, MAX_DEPTH, PARTIAL, ProcessDoc, ProfileDoc, Seen, SocketDoc, Stats,
    SyscallDoc, TagDoc, VERSION,
};
use crate::ledger::Ledger;
use crate::text::make_visible;

/// Everything of a profile that comes before its processes.
#[derive(Serialize)]
struct ProfileHead<'a> {
    format: &'static str,
    version: u32,
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
    tags: &'a BTreeMap<String, TagDoc>,
    stats: Stats,
    ledgers: &'a BTreeMap<String, Ledger>,
}

/// Everything of a process that comes before its children.
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
    seen: &'a Seen,
    files: &'a [FileDoc],
    dns: &'a [DnsDoc],
    sockets: &'a [SocketDoc],
    syscalls: &'a [SyscallDoc],
    capabilities: &'a [CapabilityDoc],
}

/// Writes `doc` to `out`.
///
/// # Errors
/// Those of `out`, and `InvalidInput` when processes nest deeper than [`MAX_DEPTH`]: what is written can be read.
pub fn encode(doc: &ProfileDoc, mut out: impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    let head = ProfileHead {
        format: FORMAT,
        version: VERSION,
        image: &doc.image,
        completeness: doc.partial.then_some(PARTIAL),
        tags: &doc.tags,
        stats: doc.stats(),
        ledgers: &doc.ledgers,
    };
    open_object(&mut text, &head, b"\"processes\":[")?;

    let mut open = vec![doc.processes.iter()];
    let mut first = true;
    while let Some(list) = open.last_mut() {
        if let Some(process) = list.next() {
            if !first {
                text.push(b',');
            }
            if open.len() > MAX_DEPTH {
                let detail = format!("processes nest deeper than {MAX_DEPTH}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
            }
            open_object(&mut text, &head_of(process), b"\"children\":[")?;
            open.push(process.children.iter());
            first = true;
        } else {
            open.pop();
            text.extend_from_slice(b"]}");
            first = false;
        }
        out.write_all(&text)?;
        text.clear();
    }
    out.write_all(b"\n")
}

/// Appends `head` as an object that is still open, up to its last field, `tail`.
fn open_object(text: &mut Vec<u8>, head: &impl Serialize, tail: &[u8]) -> io::Result<()> {
    let from = text.len();
    sonic_rs::to_writer(&mut *text, head)?;
    make_visible(text, from);
    text.pop();
    text.push(b',');
    text.extend_from_slice(tail);
    Ok(())
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
        seen,
        files,
        dns,
        sockets,
        syscalls,
        capabilities,
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
        seen,
        files,
        dns,
        sockets,
        syscalls,
        capabilities,
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
