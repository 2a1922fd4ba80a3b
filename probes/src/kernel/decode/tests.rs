//! Records by hand, and records of random bytes.

use proptest::prelude::*;

use grove::behaviour::ChangeOp;
use grove::event::{Capability, Change, Dns, Exec, Mount, Open, Syscalls};

use super::Fault::NoQuestion;
use super::*;
use crate::kernel::table::kind;

const OFFSET: i64 = 1_000_000;

/// A record as the kernel side writes it: texts, the kind's own part, the tail.
fn record(kind: u8, marks: u8, text: &[u8], own: &[u8], spare: u64) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.extend(own);
    bytes.extend(5_000_000_000u64.to_le_bytes());
    bytes.extend(77u64.to_le_bytes());
    bytes.extend(1_234_567_890u64.to_le_bytes());
    bytes.extend(42u32.to_le_bytes());
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend([kind, marks]);
    bytes.extend(spare.to_le_bytes());
    bytes
}

#[track_caller]
fn check(bytes: &[u8], expected: Body<&[u8]>) {
    let mut decoder = Decoder::new(OFFSET);
    let record = decoder.decode(bytes).unwrap();
    assert_eq!(record.cgroup, 77);
    // Rounded down to whole ticks.
    let (ts, start) = (5_001_000_000, Some(1_230_000_000));
    assert_eq!(record.what, What::Event(Event { ts, container: b"", pid: 42, start, body: expected }));
    // A byte more or less, at either end of what precedes the tail, is not what it says.
    let mut more = vec![0];
    more.extend(bytes);
    assert_eq!(Decoder::new(0).decode(&more), Err(Malformed));
    assert_eq!(Decoder::new(0).decode(&bytes[1..]), Err(Malformed));
}

#[test]
fn every_kind() {
    check(&record(kind::FORK, 0, b"", b"", 7), Body::Fork { ppid: 7 });
    check(&record(kind::EXIT, 0, b"", b"", 256), Body::Exit);
    let failed = (-2i64).to_le_bytes();
    check(&record(kind::OPEN, 0, b"/x", &failed, 1), Body::Open(Open { path: b"/x", flags: 1, ret: -2, map: false }));
    let mapped = record(kind::OPEN, mark::MAPPED, b"/x", &0i64.to_le_bytes(), 0);
    check(&mapped, Body::Open(Open { path: b"/x", flags: 0, ret: 0, map: true }));
    check(
        &record(kind::CAPABILITY, mark::REFUSED, b"", b"", 21),
        Body::Capability(Capability { cap: 21, used: false }),
    );
    let mut sets = [0u8; 64];
    (sets[0], sets[40]) = (0b101, 1);
    let nrs: Vec<u8> = [0u32, 2, 320].into_iter().flat_map(u32::to_le_bytes).collect();
    check(&record(kind::SYSCALLS, 0, b"", &sets, 0), Body::Syscalls(Syscalls { nrs: &nrs }));
}

#[test]
fn an_exec_has_its_texts_in_order() {
    let mut own = 9u64.to_le_bytes().to_vec();
    own.extend(77u64.to_le_bytes());
    for number in [1u32, 1000, 1001] {
        own.extend(number.to_le_bytes());
    }
    own.extend(4u16.to_le_bytes());
    own.extend(2u16.to_le_bytes());
    own.extend(4u32.to_le_bytes());
    own.extend(u32::from(mark::DETACHED).to_le_bytes());
    let mut exec = record(kind::EXEC, mark::ARGV_CUT | mark::FILELESS, b"/script", &own, 0);
    exec.splice(0..0, b"a\0b\0".iter().chain(b"sh").chain(b"/cwd").copied());
    let expected = Exec {
        ppid: 1,
        path: &b"/script"[..],
        argv: Some(b"a\0b\0"),
        argv_truncated: true,
        interpreter: Some(b"/(unreachable)/sh"),
        cwd: Some(b"/cwd"),
        uid: Some(1000),
        gid: Some(1001),
        fileless: true,
        upper_layer: false,
        runtime: None,
    };
    check(&exec, Body::Exec(expected));
    let mut decoder = Decoder::new(OFFSET);
    let facts = decoder.decode(&exec).unwrap().facts;
    assert_eq!((facts.inode, facts.entered), (9, 77));
    assert!(facts.interpreter.detached && !facts.path.detached);
}

#[test]
fn a_name_is_text_whatever_its_bytes() {
    let table: [(&[u8], Option<&[u8]>); 7] = [
        (b"\x03www\x07example\x03com\0\0\x01", Some(b"www.example.com")),
        (b"\0\0\x02", Some(b".")),
        (b"\x03a.b\x01\xff\0\0\x01", Some(b"a\\046b.\\255")),
        (b"\x03www", None),
        (b"\xc0\x0c\0\x01", None),
        (b"\x03www\0\x01", None),
        (b"", None),
    ];
    for (wire, name) in table {
        let mut own = vec![0u8; 24];
        own[..4].copy_from_slice(&[127, 0, 0, 53]);
        let bytes = record(kind::DNS, 0, wire, &own, 0);
        let mut decoder = Decoder::new(OFFSET);
        match (decoder.decode(&bytes), name) {
            (Ok(record), Some(expected)) => {
                let What::Event(Event { body: Body::Dns(Dns { name, .. }), .. }) = record.what else {
                    panic!("{record:?}")
                };
                assert_eq!(name, expected);
                assert_eq!(record.facts.server, [127, 0, 0, 53]);
            }
            (Err(fault), None) => assert_eq!(fault, NoQuestion),
            (got, _) => panic!("{wire:?}: {got:?}"),
        }
    }
}

#[test]
fn a_change_and_a_mount_have_two_paths() {
    let mut own = 0i64.to_le_bytes().to_vec();
    own.extend(2u16.to_le_bytes());
    own.extend([mark::CUT, 6, 0, 0, 0, 0]);
    let mut rename = record(kind::CHANGE, 0, b"/new", &own, 0);
    rename.splice(0..0, *b"od");
    let change = Change { op: ChangeOp::Rename, path: &b"/new"[..], from: Some(b"/(cut)/od"), ret: 0 };
    check(&rename, Body::Change(change));
    own[11] = 10;
    assert_eq!(Decoder::new(0).decode(&record(kind::CHANGE, 0, b"/new", &own, 0)), Err(Malformed));

    let mut own = 0i64.to_le_bytes().to_vec();
    own.extend(b"tmpfs");
    own.resize(8 + 64, 0);
    own.extend(4u16.to_le_bytes());
    own.extend([0; 6]);
    let mut mount = record(kind::MOUNT, 0, b"/tmp", &own, 6);
    mount.splice(0..0, *b"none");
    let expected = Mount { path: &b"/tmp"[..], fstype: b"tmpfs", source: Some(b"none"), flags: 6, ret: 0 };
    check(&mount, Body::Mount(expected));
}

#[test]
fn a_path_of_which_a_part_is_known_cannot_pass_for_another() {
    let table: [(u8, &[u8], &[u8]); 4] = [
        (0, b"/x", b"/x"),
        (mark::CUT, b"x/y", b"/(cut)/x/y"),
        (mark::DETACHED, b"/x", b"/(unreachable)/x"),
        (mark::CUT | mark::DETACHED, b"x", b"/(unreachable)/x"),
    ];
    for (marks, text, path) in table {
        let bytes = record(kind::OPEN, marks, text, &3i64.to_le_bytes(), 0);
        check(&bytes, Body::Open(Open { path, flags: 0, ret: 3, map: false }));
    }
}

#[test]
fn a_length_beyond_the_record_is_malformed() {
    let mut bytes = record(kind::OPEN, 0, b"/x", &3i64.to_le_bytes(), 0);
    let text_at = bytes.len() - 12;
    bytes[text_at..text_at + 2].copy_from_slice(&u16::MAX.to_le_bytes());
    assert_eq!(Decoder::new(0).decode(&bytes), Err(Malformed));
}

proptest! {
    /// Whatever the kernel side writes: a record or a fault, never a panic, and nothing that was not there.
    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..512), kind in 0..=kind::ALL.len() as u8 + 1, text in 0u16..600) {
        let len = bytes.len();
        if len >= TAIL {
            bytes[len - 10] = kind;
            bytes[len - 12..len - 10].copy_from_slice(&text.to_le_bytes());
        }
        let mut decoder = Decoder::new(i64::MIN);
        if let Ok(record) = decoder.decode(&bytes)
            && let What::Event(event) = record.what
        {
            let mut total = 0;
            event.map(|t| total += t.len());
            // Names and sets may be longer written out than on the wire.
            prop_assert!(total <= 4 * len + 512 * 4);
        }
    }

    /// The same records cut short or with one byte changed.
    #[test]
    fn damaged_records_never_panic(text in proptest::collection::vec(any::<u8>(), 0..64), at in any::<proptest::sample::Index>(), with in any::<u8>(), keep in any::<proptest::sample::Index>()) {
        let kinds = [
            (kind::EXEC, 40),
            (kind::OPEN, 8),
            (kind::SOCKET, 32),
            (kind::DNS, 24),
            (kind::SYSCALLS, 64),
            (kind::CGROUP_NEW, 32),
            (kind::CGROUP_GONE, 32),
            (kind::CHANGE, 16),
            (kind::MOUNT, 80),
        ];
        for (kind, own) in kinds {
            let mut bytes = record(kind, 0, &text, &vec![with; own], 0);
            let i = at.index(bytes.len());
            bytes[i] = with;
            let _ = Decoder::new(OFFSET).decode(&bytes);
            let from = keep.index(bytes.len());
            let _ = Decoder::new(OFFSET).decode(&bytes[from..]);
        }
    }
}
