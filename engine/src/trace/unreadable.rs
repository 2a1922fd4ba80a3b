//! What an input seems to be that is none of the logs read here, and what to do with it.
//!
//! A guess from how it begins, for a message. Not here: recognising what is read (`detect`).

use memchr::memmem;

use super::detect::recognise;
use super::input::Records;

/// An input that seems to be something that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What it seems to be.
    pub what: &'static str,
    /// What to do to have its events read.
    pub remedy: &'static str,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it seems to be {}; {}", self.what, self.remedy)
    }
}

/// How far files of a kind are known by their bytes.
const MAGIC_BYTES: usize = 512;

const fn seems(what: &'static str, remedy: &'static str) -> Option<Unreadable> {
    Some(Unreadable { what, remedy })
}

const UNPACK: &str = "unpack it and give what is in it";
const AS_LINES: &str = "have the tool write JSON, an object a line";
const NO_BEHAVIOUR: &str =
    "it does not tell what processes did: record that with one of the tools in `grove help replay`";

/// What `records`, of which nothing was read yet, seem to be, if they begin with nothing that is read.
pub fn unreadable(records: &mut Records) -> Option<Unreadable> {
    // A stream that is recognised is not waited for; of all others as much was read as there is.
    let head = records.head_until(|head| head.len() >= MAGIC_BYTES || recognise(head).is_some());
    if recognise(head).is_some() { None } else { of_bytes(head).or_else(|| of_text(head)) }
}

/// By the bytes that files of a kind begin with.
fn of_bytes(head: &[u8]) -> Option<Unreadable> {
    const SCAP: &str = "have sysdig write it as JSON: sysdig -r FILE -j -p '*FIELDS' (the fields are in docs/guide.md)";
    let magic = |bytes: &[u8]| head.starts_with(bytes);
    if magic(b"\x0a\x0d\x0d\x0a") {
        seems("a capture of sysdig (.scap)", SCAP)
    } else if magic(b"Obj\x01") {
        seems("Avro", "convert it to JSON, an event a line")
    } else if magic(b"\xfd7zXZ\0") {
        seems("compressed with xz", "unpack it: xz -dc FILE | grove … -")
    } else if magic(b"BZh") {
        seems("compressed with bzip2", "unpack it: bzip2 -dc FILE | grove … -")
    } else if magic(b"\x04\x22\x4d\x18") {
        seems("compressed with lz4", "unpack it: lz4 -dc FILE | grove … -")
    } else if magic(b"PK\x03\x04") || magic(b"PK\x05\x06") {
        seems("a zip archive", UNPACK)
    } else if magic(b"7z\xbc\xaf\x27\x1c") {
        seems("a 7z archive", UNPACK)
    } else if head.get(257..262) == Some(&b"ustar"[..]) {
        seems("a tar archive", UNPACK)
    } else if magic(b"\xff\xfe") || magic(b"\xfe\xff") || is_wide(head) {
        seems("text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 FILE | grove … -")
    } else if magic(b"\x7fELF") {
        seems("a program", "record what it does: grove record -- PROGRAM")
    } else if magic(b"PERFILE2") {
        seems("a recording of perf (perf.data)", NO_BEHAVIOUR)
    } else if magic(b"\xd4\xc3\xb2\xa1") || magic(b"\xa1\xb2\xc3\xd4") {
        seems("captured packets (pcap)", NO_BEHAVIOUR)
    } else if head.contains(&0) {
        seems("binary", "give a log in text")
    } else {
        None
    }
}

/// Text in 16 bits without a mark: every other byte is 0.
fn is_wide(head: &[u8]) -> bool {
    let (pairs, _) = head.get(..head.len().min(64)).unwrap_or_default().as_chunks::<2>();
    let is_zero = |at: usize| pairs.iter().all(|pair| pair.get(at) == Some(&0));
    pairs.len() > 4 && is_zero(0) != is_zero(1)
}

/// By the first line that is not blank.
fn of_text(head: &[u8]) -> Option<Unreadable> {
    let line = head.split(|b| *b == b'\n').map(|line| line.trim_ascii()).find(|line| !line.is_empty())?;
    let has = |words: &[&str]| words.iter().all(|word| memmem::find(line, word.as_bytes()).is_some());
    if line.starts_with(b"{") {
        return of_object(&has);
    }
    let starts = |words: &[&str]| words.iter().any(|word| line.starts_with(word.as_bytes()));
    if line.starts_with(b"[{") || line == b"[" {
        seems("an array in JSON", "give an object a line: jq -c '.[]' FILE | grove … -")
    } else if has(&["% time", "seconds", "calls", "syscall"]) {
        seems("the summary of strace -c", "trace without -c: strace -f -ttt -o FILE COMMAND")
    } else if starts(&["Attaching ", "Attached "]) && has(&[" probe"]) {
        seems("what a script of bpftrace prints", "record with a tool that tells of processes and files")
    } else if has(&[" ms): ", "/"]) && has(&["("]) {
        seems("what perf trace prints", "trace with strace -f -ttt, or record with grove record")
    } else if starts(&["PID ", "PCOMM", "TIME", "UID "]) && has(&["PID"]) {
        seems("a table of bcc's tools", "record with grove record, or trace with strace -f -ttt")
    } else if is_of_sysdig(line) {
        seems("sysdig's text", "have it write JSON: add -j and the fields of docs/guide.md")
    } else if has(&["(", "image=", ")"]) && [" container ", " image "].iter().any(|kind| has(&[*kind])) {
        seems("what docker events prints", NO_BEHAVIOUR)
    } else if starts(&["----"]) && memmem::find(head, b"type=").is_some() {
        seems("what ausearch prints for people", "have it print the log itself: ausearch --raw")
    } else if is_table(line) {
        seems("a table (CSV)", AS_LINES)
    } else {
        None
    }
}

/// By the members of an object.
fn of_object(has: &dyn Fn(&[&str]) -> bool) -> Option<Unreadable> {
    if has(&["\"format\"", "grove-profile"]) {
        seems("a profile of Grove", "look at it with grove inspect, or check against it with --profile")
    } else if has(&["\"output_fields\"", "\"rule\""]) {
        seems(
            "alerts of Falco, which tell of rules and not of all that happened",
            "record with sysdig -j, or with grove record",
        )
    } else if has(&["\"Type\"", "\"Action\"", "\"Actor\""]) {
        seems("what docker events prints", NO_BEHAVIOUR)
    } else if has(&["audit.k8s.io"]) {
        seems("the audit log of Kubernetes' API server", NO_BEHAVIOUR)
    } else if has(&["\"__REALTIME_TIMESTAMP\""]) {
        seems("the journal in JSON", "of audit records take /var/log/audit/audit.log")
    } else {
        None
    }
}

/// As `1 10:00:00.123456789 0 bash (123) > open …`.
fn is_of_sysdig(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let number = words.next().is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    let time = words.next().is_some_and(|word| word.contains(&b':') && word.contains(&b'.'));
    number && time && words.any(|word| word == b">" || word == b"<")
}

/// Names of columns with commas, or tabs, between.
fn is_table(line: &[u8]) -> bool {
    [b',', b'\t'].into_iter().any(|comma| {
        let columns: Vec<_> = line.split(|b| *b == comma).collect();
        let is_name = |name: &&[u8]| {
            let name = name.trim_ascii();
            let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
            !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b' ' | b'-'))
        };
        columns.len() > 2 && columns.iter().all(is_name)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::trace::input::{Framing, RECORD_MAX};

    fn reported(bytes: &[u8]) -> Option<&'static str> {
        let mut records = Records::new(Box::new(Cursor::new(bytes.to_vec())), Framing::Lines, RECORD_MAX);
        unreadable(&mut records).map(|found| found.what)
    }

    #[test]
    fn what_is_not_read_is_called_by_its_name() {
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let wide: Vec<u8> = "{\"ts\":1}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, what) in [
            (&b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"[..], "a capture of sysdig (.scap)"),
            (b"Obj\x01\x04\x14avro.codec", "Avro"),
            (b"\xfd7zXZ\0\0", "compressed with xz"),
            (b"BZh91AY", "compressed with bzip2"),
            (b"PK\x03\x04", "a zip archive"),
            (&tar, "a tar archive"),
            (b"\xff\xfea\0", "text in UTF-16"),
            (&wide, "text in UTF-16"),
            (b"\x7fELF\x02\x01", "a program"),
            (b"a\0b", "binary"),
            (&[0; 99], "binary"),
            (
                b"{\"output\":\"x\",\"output_fields\":{},\"priority\":\"Notice\",\"rule\":\"r\"}",
                "alerts of Falco, which tell of rules and not of all that happened",
            ),
            (
                b"{\"status\":\"start\",\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{}}",
                "what docker events prints",
            ),
            (b"2026-07-01T10:00:00.0Z container start 0123 (image=alpine, name=x)", "what docker events prints"),
            (b"% time     seconds  usecs/call     calls    errors syscall\n", "the summary of strace -c"),
            (b"     0.000 ( 0.002 ms): sleep/1234 brk()  = 0x55", "what perf trace prints"),
            (b"Attaching 1 probe...\n", "what a script of bpftrace prints"),
            (b"PID    COMM               FD ERR PATH\n", "a table of bcc's tools"),
            (b"PCOMM            PID     PPID    RET ARGS\n", "a table of bcc's tools"),
            (b"1 10:00:00.123456789 0 bash (12) > open \n", "sysdig's text"),
            (b"time,pid,path\n1,2,/a\n", "a table (CSV)"),
            (b"[{\"a\":1}]", "an array in JSON"),
            (b"{\"format\":\"grove-profile\",\"version\":2}", "a profile of Grove"),
        ] {
            assert_eq!(reported(bytes), Some(what), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn of_what_is_read_or_unknown_nothing_is_said() {
        for bytes in [
            &b""[..],
            b"\n",
            b"rubbish\nmore\n",
            b"{}",
            b"{\"ts\":1,\"type\":\"open\",\"path\":\"a,b,c\"}",
            b"7 execve(\"/bin/sh\", [\"sh\"], 0x7ff /* 3 vars */) = 0",
            b"type=SYSCALL msg=audit(1.0:1): arch=c000003e",
            b"a sentence, with commas, and more: of them",
        ] {
            assert_eq!(reported(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
