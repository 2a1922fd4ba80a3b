//! Profiles of version 1, which nested processes in those that started them, had no mounts, requests to metadata services
//! and accepts, and wrote states as words.
//!
//! They are read into the same document, processes before those they started. Nesting needs stack, so what nests deep is
//! read on a thread that has enough.

use super::decode_error::{DecodeError, explain, invalid};
use super::doc::{Ledgers, PARTIAL, ProcessDoc, ProfileDoc, TagDoc};
use super::states::State;
use crate::behaviour::{CapabilityDoc, DnsDoc, FileDoc, Seen, SocketDoc, SyscallDoc, read_unique};
use crate::time::Time;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// How deep a profile of version 1 nests at most: 1,024 processes, each an object in an array, and what is in them.
pub(super) const DEPTH_MAX: usize = 2 * 1024 + 8;

/// Up to this depth any thread's stack is enough.
const SHALLOW: usize = 64;

/// Stack for the deepest, with a margin of three.
const STACK_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Profile {
    format: String,
    version: u64,
    image: String,
    #[serde(default)]
    completeness: Option<String>,
    #[serde(deserialize_with = "read_unique")]
    tags: BTreeMap<String, Tag>,
    #[serde(deserialize_with = "read_unique")]
    ledgers: Ledgers,
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Tag {
    first_seen: Time,
    last_seen: Time,
    #[serde(deserialize_with = "read_unique")]
    state: BTreeMap<String, State>,
}

#[derive(Deserialize)]
struct Process {
    path: String,
    #[serde(default)]
    pattern: bool,
    #[serde(default)]
    distinct: u64,
    #[serde(default)]
    exemplars: Vec<String>,
    #[serde(default)]
    learned: Vec<u32>,
    #[serde(default)]
    argv0: Option<String>,
    #[serde(default)]
    argv: Option<Vec<String>>,
    exec_chain: bool,
    #[serde(default, deserialize_with = "super::doc::read_one_or_more")]
    interpreter: Vec<String>,
    #[serde(default)]
    fileless: bool,
    #[serde(default)]
    upper_layer: bool,
    uids: Vec<u32>,
    seen: Seen,
    files: Vec<FileDoc>,
    dns: Vec<DnsDoc>,
    sockets: Vec<SocketDoc>,
    syscalls: Vec<SyscallDoc>,
    capabilities: Vec<CapabilityDoc>,
    children: Vec<Process>,
}

/// Reads a profile of version 1.
pub(super) fn read(bytes: &[u8], depth: usize) -> Result<ProfileDoc, DecodeError> {
    if depth <= SHALLOW {
        return read_here(bytes);
    }
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || read_here(bytes));
        let read = reader.map_err(|error| invalid("", &format!("nested too deep to be read here: {error}")))?;
        read.join().unwrap_or_else(|_| Err(invalid("", "nested too deep")))
    })
}

fn read_here(bytes: &[u8]) -> Result<ProfileDoc, DecodeError> {
    let deserializer = || {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        json.disable_recursion_limit();
        json
    };
    let mut json = deserializer();
    let read = Profile::deserialize(&mut json).and_then(|profile| json.end().map(|()| profile));
    let Profile { format, version, image, completeness, tags, ledgers, processes } = read.map_err(|error| {
        let offset = offset(bytes, error.line(), error.column());
        explain(&mut deserializer(), PhantomData::<Profile>, offset, &error.to_string())
    })?;
    if format != super::FORMAT {
        return Err(DecodeError::Format(crate::text::Visible(&format!("{format:?}")).to_string()));
    }
    if version != 1 {
        return Err(invalid("", "nested too deep"));
    }
    let tags = tags.into_iter().map(|(tag, Tag { first_seen, last_seen, state })| {
        (tag, TagDoc { first_seen, last_seen, state: state.into_iter().collect() })
    });
    Ok(ProfileDoc {
        image,
        partial: completeness.as_deref() == Some(PARTIAL),
        tags: tags.collect(),
        ledgers,
        processes: flat(processes),
    })
}

/// The processes in the order of a flat list.
fn flat(roots: Vec<Process>) -> Vec<ProcessDoc> {
    let mut list: Vec<ProcessDoc> = Vec::new();
    let mut open: Vec<(Option<u32>, std::vec::IntoIter<Process>)> = vec![(None, roots.into_iter())];
    while let Some((parent, rest)) = open.last_mut() {
        let (parent, Some(process)) = (*parent, rest.next()) else {
            open.pop();
            continue;
        };
        let index = list.len() as u32;
        let Process {
            path,
            pattern,
            distinct,
            exemplars,
            learned,
            argv0,
            argv,
            exec_chain,
            interpreter,
            fileless,
            upper_layer,
            uids,
            seen,
            files,
            dns,
            sockets,
            syscalls,
            capabilities,
            children,
        } = process;
        list.push(ProcessDoc {
            parent,
            path,
            pattern,
            distinct,
            exemplars,
            learned,
            argv0,
            argv,
            exec_chain,
            interpreters: interpreter,
            fileless,
            upper_layer,
            uids,
            seen,
            files,
            dns,
            sockets,
            syscalls,
            capabilities,
            ..ProcessDoc::default()
        });
        open.push((Some(index), children.into_iter()));
    }
    list
}

/// Where a line and column of text are, in bytes.
fn offset(bytes: &[u8], line: usize, column: usize) -> Option<usize> {
    let before: usize = bytes.split_inclusive(|b| *b == b'\n').take(line.checked_sub(1)?).map(<[u8]>::len).sum();
    Some(before + column)
}
