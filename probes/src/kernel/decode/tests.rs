//! Records by hand, and records of random bytes.

use proptest::prelude::*;

use grove::behaviour::ChangeOp;
use grove::event::{Capability, Change, Dns, EventRef, Exec, Mount, Open, Syscalls};

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
    assert_eq!(record.what, RecordBody::Event(EventRef::new(ts, b"", 42, expected).with_start(start)));
    // A byte more or less, at either end of what precedes the tail, is not what it says.
    let mut more = vec![0];
    more.extend(bytes);
    assert_eq!(Decoder::new(0).decode(&more), Err(Malformed));
    assert_eq!(Decoder::new(0).decode(&bytes[1..]), Err(Malformed));
}

#[test]
fn every_kind() {
    check(&record(kind::FORK, 0, b"", b"", 7), Body::Fork { ppid: 7, ns_pid: None });
    check(&record(kind::FORK, 0, b"", b"", 7 | 5 << 32), Body::Fork { ppid: 7, ns_pid: Some(5) });
    // Of the initial namespace it is the same number.
    check(&record(kind::FORK, 0, b"", b"", 7 | 42 << 32), Body::Fork { ppid: 7, ns_pid: None });
    check(&record(kind::EXIT, 0, b"", b"", 256), Body::Exit);
    let failed = (-2i64).to_le_bytes();
    check(&record(kind::OPEN, 0, b"/x", &failed, 1), Body::Open(Open::new(b"/x", 1, -2)));
    let mapped = record(kind::OPEN, mark::MAPPED, b"/x", &0i64.to_le_bytes(), 0);
    let mut open = Open::new(b"/x".as_slice(), 0, 0);
    open.map = true;
    check(&mapped, Body::Open(open));
    // A file without a name is told by what was asked for; one that is called like that has a name.
    const UNNAMED: u32 = 0o20_200_002;
    for (flags, file, told) in [
        (UNNAMED, "/tmp/#1001", "/tmp"),
        (UNNAMED, "/#1", "/"),
        (UNNAMED, "/tmp/#1x", "/tmp/#1x"),
        (2, "/tmp/#1001", "/tmp/#1001"),
    ] {
        let unnamed = record(kind::OPEN, 0, file.as_bytes(), &3i64.to_le_bytes(), flags.into());
        check(&unnamed, Body::Open(Open::new(told.as_bytes(), flags, 3)));
    }
    check(&record(kind::CAPABILITY, mark::REFUSED, b"", b"", 21), Body::Capability(Capability::new(21, false)));
    let mut sets = [0u8; 64];
    (sets[0], sets[40]) = (0b101, 1);
    let nrs: Vec<u8> = [0u32, 2, 320].into_iter().flat_map(u32::to_le_bytes).collect();
    check(&record(kind::SYSCALLS, 0, b"", &sets, 0), Body::Syscalls(Syscalls::new(&nrs)));
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
    own.extend(5u32.to_le_bytes());
    own.extend(0u32.to_le_bytes());
    let mut exec = record(kind::EXEC, mark::ARGV_CUT | mark::FILELESS, b"/script", &own, 0);
    exec.splice(0..0, b"a\0b\0".iter().chain(b"sh").chain(b"/cwd").copied());
    let mut expected = Exec::new(1, &b"/script"[..]);
    expected.argv = Some(b"a\0b\0");
    expected.argv_truncated = true;
    expected.interpreter = Some(b"/(unreachable)/sh");
    expected.cwd = Some(b"/cwd");
    (expected.uid, expected.gid) = (Some(1000), Some(1001));
    expected.fileless = true;
    expected.ns_pid = Some(5);
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
                let RecordBody::Event(Event { body: Body::Dns(Dns { name, .. }), .. }) = record.what else {
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
    let change = Change::new(ChangeOp::Rename, &b"/new"[..], Some(b"/(cut)/od"), 0);
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
    let expected = Mount::new(&b"/tmp"[..], b"tmpfs", Some(b"none"), 6, 0);
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
        check(&bytes, Body::Open(Open::new(path, 0, 3)));
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
            && let RecordBody::Event(event) = record.what
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

/// The kind's own part of a socket's record.
fn socket_own(family: u8, proto: u8, op: u8, port: u16, address: [u8; 16]) -> Vec<u8> {
    let mut own = 0i64.to_le_bytes().to_vec();
    own.extend(address);
    own.extend([family, proto]);
    own.extend(port.to_le_bytes());
    own.extend([op, 0, 1, 0]);
    own
}

#[test]
fn who_was_let_in_has_the_own_port_and_an_ipv4_address_is_one_in_any_form() {
    use grove::event::{Peer, Proto, Socket, SocketOp};
    let mapped: [u8; 16] = std::net::Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped().octets();
    for (op, expected) in [(0, SocketOp::Bind), (1, SocketOp::Connect), (2, SocketOp::Accept)] {
        let peer = Peer::Ip("10.0.0.7".parse().unwrap());
        let socket = Socket::new(expected, peer, 80, Some(Proto::Tcp), 0);
        check(&record(kind::SOCKET, 0, b"", &socket_own(10, 6, op, 80, mapped), 0), Body::Socket(socket));
    }
    let unix = Socket::new(SocketOp::Accept, Peer::Unix(&b"/run/x"[..]), 0, None, 0);
    check(&record(kind::SOCKET, 0, b"/run/x", &socket_own(1, 0, 2, 0, [0; 16]), 6), Body::Socket(unix));
    let unreachable = Socket::new(SocketOp::Accept, Peer::Unix(&b"/(unreachable)/x"[..]), 0, None, 0);
    check(&record(kind::SOCKET, mark::DETACHED, b"x", &socket_own(1, 0, 2, 0, [0; 16]), 1), Body::Socket(unreachable));
    let neither = record(kind::SOCKET, 0, b"", &socket_own(2, 6, 3, 80, mapped), 0);
    assert_eq!(Decoder::new(0).decode(&neither), Err(Malformed));
}

#[test]
fn a_flow_has_both_directions() {
    use grove::event::{Flow, Peer, Proto, SocketOp};
    let own = |op: u8| {
        let mut own = 1000u64.to_le_bytes().to_vec();
        own.extend(7u64.to_le_bytes());
        own.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 6]);
        own.extend(443u16.to_le_bytes());
        own.extend([op, 0, 0, 0]);
        own
    };
    let peer = Peer::Ip("127.0.0.1".parse().unwrap());
    let (op, proto) = (SocketOp::Connect, Some(Proto::Tcp));
    let mut flow = Flow::new(op, peer, 443, proto);
    (flow.sent, flow.received) = (Some(1000), Some(7));
    check(&record(kind::FLOW, 0, b"", &own(1), 0), Body::Flow(flow));
    flow.op = SocketOp::Accept;
    check(&record(kind::FLOW, 0, b"", &own(2), 0), Body::Flow(flow));
    assert_eq!(Decoder::new(0).decode(&record(kind::FLOW, 0, b"", &own(0), 0)), Err(Malformed));
}

#[test]
fn a_request_to_a_metadata_service_is_read_from_its_line_and_the_names_of_its_headers() {
    use grove::behaviour::Token;
    use grove::event::Imds;
    let own = |server: [u8; 16], v6: bool, headers: u8| {
        let mut own = server.to_vec();
        own.extend([u8::from(v6), headers, 0, 0, 0, 0, 0, 0]);
        own
    };
    let mut shared = [0; 16];
    shared[..4].copy_from_slice(&[169, 254, 169, 254]);
    let reported =
        |path: &'static [u8], provider: &'static [u8], token| Body::Imds(Imds::new(path, Some(provider), token));
    let line = b"GET /latest/meta-data/";
    for (headers, token) in [(0, None), (1 << 4, Some(Token::V1)), (1, Some(Token::V2)), (1 | 1 << 4, Some(Token::V2))]
    {
        let record = record(kind::IMDS, 0, line, &own(shared, false, headers), 0);
        check(&record, reported(b"/latest/meta-data/", b"aws", token));
    }
    let google = record(kind::IMDS, 0, b"GET /x", &own(shared, false, 1 << 1 | 1 << 4), 0);
    check(&google, reported(b"/x", b"gcp", Some(Token::V1)));
    let azure = record(kind::IMDS, 0, b"GET /x", &own(shared, false, 1 << 2 | 1 << 4), 0);
    check(&azure, reported(b"/x", b"azure", Some(Token::V1)));
    let six = "fd00:ec2::254".parse::<std::net::Ipv6Addr>().unwrap().octets();
    check(
        &record(kind::IMDS, 0, b"PUT /latest/api/token", &own(six, true, 0), 0),
        reported(b"/latest/api/token", b"aws", Some(Token::V2)),
    );
    // The name of a task's credentials is a credential.
    let mut task = [0; 16];
    task[..4].copy_from_slice(&[169, 254, 170, 2]);
    let credentials = record(kind::IMDS, 0, b"GET /v2/credentials/s3cret", &own(task, false, 1 << 4), 0);
    check(&credentials, reported(b"/v2/credentials/00000000-0000-0000-0000-000000000000", b"aws", Some(Token::V1)));
    // Neither what is no request, nor a header that there is no bit for.
    for (line, headers, fault) in [(&b"x"[..], 0, NoQuestion), (line, 1 << 5, Malformed)] {
        let record = record(kind::IMDS, 0, line, &own(shared, false, headers), 0);
        assert_eq!(Decoder::new(0).decode(&record), Err(fault));
    }
}

/// Whatever the kernel side takes for such a service, the library has to know.
#[test]
fn every_address_that_the_kernel_side_looks_for_is_one_of_a_metadata_service() {
    let source = include_str!("../../bpf/imds.h");
    let all: Vec<std::net::IpAddr> = source
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("case 0x")?.split_once(": // ")?.1))
        .filter_map(|comment| comment.split([',', ' ']).next()?.parse().ok())
        .collect();
    assert_eq!(all.len(), 7);
    for address in all {
        assert!(grove::behaviour::is_imds_address(address), "{address}");
    }
}
