#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::trace::input::{RECORD_MAX, open};

#[path = "../../../tests/common/skips.rs"]
mod skips;

#[test]
fn the_first_recognisable_line_decides() {
    use Format::{Audit, Gadget, Grove, Kunai, Strace, Sysdig, Tetragon, Tracee};
    for (head, format) in [
        ("", Grove),
        ("nothing of interest\n", Grove),
        ("{}\n[]\n", Grove),
        (r#"{"type":"header","format":"grove-trace","version":1}"#, Grove),
        (r#"{"container":"c","ts":1,"type":"exit","pid":1}"#, Grove),
        (r#"{"evt.num":1,"evt.type":"open","proc.name":"x"}"#, Sysdig),
        (r#"{"timestamp":1,"processorId":1,"eventId":"257","eventName":"openat"}"#, Tracee),
        (r#"{"eventName":"net_packet_dns","x":1,"eventId":1}"#, Tracee),
        (r#"{"timestamp":"2026-07-01T10:00:00.1Z","id":728,"name":"openat","workload":{},"data":[]}"#, Tracee),
        ("type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e", Audit),
        ("node=web type=CWD msg=audit(1364481363.243:24287):  cwd=\"/\"", Audit),
        ("[ 1.5] audit: type=1326 audit(1364481363.243:24287): pid=7", Audit),
        (r#"{"comm":"cat","mntns_id":4,"pid":7,"runtime":{"containerId":"c"}}"#, Gadget),
        (r#"{"k8s":{},"proc":{"pid":7},"runtime":{},"timestamp":"x"}"#, Gadget),
        (r#"{"mountnsid":4,"pid":7,"timestamp":5,"type":"normal"}"#, Gadget),
        (r#"{"data":{"exe":{}},"info":{"event":{"name":"execve"}}}"#, Kunai),
        (r#"{"process_exec":{"process":{}},"node_name":"n"}"#, Tetragon),
        (r#"{"node_name":"n","process_kprobe":{"process":{}}}"#, Tetragon),
        ("{\n  \"process_exit\":{\n", Tetragon),
        ("{ \"process_connect\": {\n", Tetragon),
        ("\n\n{\n\n  \"process_exec\"", Tetragon),
        ("1234 1700000000.123456 execve(\"/bin/sh\", [\"sh\"], 0x7f) = 0", Strace),
        ("[pid  1234] 12:34:56 openat(AT_FDCWD, \"x\", O_RDONLY) = 3", Strace),
        ("12:34:56.789 --- SIGCHLD {si_signo=SIGCHLD} ---", Strace),
        ("1234 +++ exited with 0 +++", Strace),
        ("[pid 7] <... wait4 resumed>) = 0", Strace),
        ("execve(\"/bin/ls\", [\"ls\"], 0x7ffd /* 20 vars */) = 0", Strace),
        ("7<sh> execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("7  [00007f3f0e5ddad7] execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("[00007f3f0e5ddad7] execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("7  [  59] execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("7  12:00:00.100000 (+     0.000000) execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("     0.000000 execve(\"/bin/sh\", [\"sh\"], 0x7fff /* 1 var */) = 0", Strace),
        ("7  openat(-100, \"/etc/group\", 0x80001) = 3", Strace),
        ("[INFO] main(x)", Grove),
        ("  0.00    0.000000           0         7           read", Grove),
        // Lines that do not tell are passed over, and one that was cut off misleads nobody.
        ("\"half\":1}\n\u{feff}\n{\"evt.type\":\"open\"}\n{\"ts\":1,\"type\":\"x\"}", Sysdig),
        ("strace: Process 7 attached\n7 1.5 close(3) = 0", Strace),
        ("{\"type\":\"x\"}\n{\"ts\":1,\"type\":\"x\"}", Grove),
        ("{\"broken\n{\"eventName\":\"x\",\"eventId\":\"1\"}", Tracee),
        // The words of one format as texts of another.
        (r#"{"ts":1,"type":"open","path":"evt.type process_exec eventName"}"#, Grove),
        (r#"{"a":{"evt.type":1,"process_exec":{}}}"#, Grove),
        ("Some (prose) = 1\n", Grove),
    ] {
        assert_eq!(detect(head.as_bytes()), format, "{head}");
    }
}

#[test]
fn a_nesting_bomb_is_passed_over() {
    let mut head = format!("{{\"a\":{}\n", "[".repeat(1 << 20)).into_bytes();
    head.extend(b"{\"evt.type\":\"open\"}\n");
    assert_eq!(detect(&head), Format::Sysdig);
    let head = format!("{{\"a\":{}{},\"evt.type\":1}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert_eq!(detect(head.as_bytes()), Format::Sysdig);
}

#[test]
fn a_stream_is_read_no_further_than_needed() {
    let log = "{\n\"process_exec\": {}\n}\n".to_owned() + &"{}\n".repeat(100_000);
    let len = log.len() as u64;
    struct Slow(std::io::Cursor<String>);
    impl std::io::Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = buf.len().min(16);
            self.0.read(buf.get_mut(..n).unwrap())
        }
    }
    let source = Slow(std::io::Cursor::new(log));
    let mut records = Records::new(Box::new(source), Framing::Lines, RECORD_MAX);
    assert_eq!(detect_records(&mut records), Format::Tetragon);
    assert!(records.position().load(std::sync::atomic::Ordering::Relaxed) < len / 1000);
    let record = records.next().unwrap().unwrap();
    assert_eq!(record.bytes, Ok(&b"{\n\"process_exec\": {}\n}"[..]));
}

#[test]
fn names_lead_back_to_formats() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(*format));
    }
    let error = "ftrace".parse::<Format>().unwrap_err();
    assert!(error.to_string().contains("ftrace") && error.to_string().contains("tetragon"));
}

#[test]
fn real_captures() {
    let dir = std::env::var_os("GROVE_CAPTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        |dir| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(dir),
    );
    if !dir.is_dir() {
        skips::skipped(&format!("no captures in {}", dir.display()));
        return;
    }
    for (folder, format) in [
        ("sysdig", Format::Sysdig),
        ("strace", Format::Strace),
        ("tetragon", Format::Tetragon),
        ("dns", Format::Tracee),
    ] {
        let mut files = 0;
        for entry in std::fs::read_dir(dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let source = open(&path).unwrap();
            let mut records = Records::new(source.reader, Framing::Lines, RECORD_MAX);
            assert_eq!(detect_records(&mut records), format, "{}", path.display());
            let mut whole = 0;
            while let Some(record) = records.next().unwrap() {
                let text = str::from_utf8(record.bytes.unwrap()).unwrap();
                if format != Format::Strace {
                    nesting::validate(text).unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), record.line));
                }
                whole += 1;
            }
            assert!(whole > 0, "{}", path.display());
            files += 1;
        }
        assert!(files > 0, "{folder}");
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_format(bytes: Vec<u8>, text in "[{}\\[\\]\":a-z0-9 .(\n]{0,100}") {
        detect(&bytes);
        detect(text.as_bytes());
    }
}
