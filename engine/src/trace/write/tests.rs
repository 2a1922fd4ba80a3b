#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Cursor;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::behaviour::{ChangeOp, Token};
use crate::event::{
    Capability, Change, Dns, Event, EventBuf, Flow, Imds, Mount, Open, Peer, Proto, Socket, SocketOp, Syscalls,
};
use crate::trace::input::{Framing, RECORD_MAX, Records};
use crate::trace::native::NativeDecoder;
use crate::trace::{Decoder, Line};

type Owned = Event<Vec<u8>>;

/// The event with its texts borrowed; for as long as the test runs.
fn borrow(event: &Owned) -> EventRef<'static> {
    event.clone().map(|bytes| &*bytes.leak())
}

/// Bytes without NUL, often UTF-8.
fn raw() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[^\0]{1,20}".prop_map(String::into_bytes),
        prop::collection::vec(1u8..=255, 1..20),
        "/[a-z\"\\\\*\n/]{0,20}".prop_map(String::into_bytes),
    ]
}

fn utf8(pattern: &'static str) -> impl Strategy<Value = Vec<u8>> {
    pattern.prop_map(String::into_bytes)
}

fn argv() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![raw(), Just(Vec::new())], 0..4).prop_map(|args| {
        let mut argv = Vec::new();
        for arg in args {
            argv.extend(arg);
            argv.push(0);
        }
        argv
    })
}

fn any_exec() -> impl Strategy<Value = Exec<Vec<u8>>> {
    let options = (prop::option::of(argv()), prop::option::of(raw()), prop::option::of(raw()));
    (any::<(u32, [bool; 3], [Option<u32>; 3], Option<bool>)>(), raw(), options).prop_map(
        |((ppid, marks, [uid, gid, ns_pid], runtime), path, (argv, cwd, interpreter))| Exec {
            ppid,
            path,
            argv,
            argv_truncated: marks[0],
            interpreter,
            cwd,
            uid,
            gid,
            fileless: marks[1],
            upper_layer: marks[2],
            runtime,
            ns_pid,
        },
    )
}

fn any_socket() -> impl Strategy<Value = Body<Vec<u8>>> {
    let op = prop_oneof![Just(SocketOp::Bind), Just(SocketOp::Connect), Just(SocketOp::Accept)];
    let proto = prop::option::of(prop_oneof![Just(Proto::Tcp), Just(Proto::Udp)]);
    let peer = prop_oneof![
        any::<Ipv4Addr>().prop_map(|ip| Peer::Ip(ip.into())),
        any::<Ipv6Addr>().prop_map(|ip| Peer::Ip(ip.into())),
        raw().prop_map(Peer::Unix),
    ];
    (op, peer, any::<u16>(), proto, any::<i64>()).prop_map(|(op, peer, port, proto, ret)| match peer {
        Peer::Ip(_) => Body::Socket(Socket { op, peer, port, proto, ret }),
        Peer::Unix(_) => Body::Socket(Socket { op, peer, port: 0, proto: None, ret }),
    })
}

fn any_change() -> impl Strategy<Value = Body<Vec<u8>>> {
    let op = prop::sample::select(vec![ChangeOp::Create, ChangeOp::Rename, ChangeOp::Symlink, ChangeOp::Chmod]);
    (op, raw(), prop::option::of(raw()), any::<i64>())
        .prop_map(|(op, path, from, ret)| Body::Change(Change { op, path, from, ret }))
}

fn any_flow() -> impl Strategy<Value = Body<Vec<u8>>> {
    let op = prop_oneof![Just(SocketOp::Accept), Just(SocketOp::Connect)];
    (op, any::<Ipv6Addr>(), any::<u16>(), any::<[Option<u64>; 2]>()).prop_map(|(op, ip, port, [sent, received])| {
        Body::Flow(Flow { op, peer: Peer::Ip(ip.into()), port, proto: Some(Proto::Tcp), sent, received })
    })
}

fn any_body() -> impl Strategy<Value = Body<Vec<u8>>> {
    prop_oneof![
        (utf8("[^\0]{1,10}"), utf8("[^\0]{1,10}")).prop_map(|(image, tag)| Body::ContainerStart { image, tag }),
        Just(Body::ContainerStop),
        any::<(u32, Option<u32>)>().prop_map(|(ppid, ns_pid)| Body::Fork { ppid, ns_pid }),
        any_exec().prop_map(Body::Exec),
        Just(Body::Exit),
        (raw(), any::<u32>(), any::<i64>(), any::<bool>()).prop_map(|(path, flags, ret, map)| Body::Open(Open {
            path,
            flags,
            ret,
            map
        })),
        any_change(),
        any_socket(),
        any_flow(),
        (raw(), utf8("[^\0]{0,8}"), prop::option::of(raw()), any::<u32>(), any::<i64>())
            .prop_map(|(path, fstype, source, flags, ret)| Body::Mount(Mount { path, fstype, source, flags, ret })),
        (
            // What begins a query is written no more than the query.
            raw().prop_map(|path| path.into_iter().map(|b| if matches!(b, b'?' | b'#') { b'x' } else { b }).collect()),
            prop::option::of(utf8("[a-z]{1,8}")),
            prop_oneof![Just(None), Just(Some(Token::V1)), Just(Some(Token::V2))]
        )
            .prop_map(|(path, provider, token)| Body::Imds(Imds { path, provider, token })),
        (utf8("[^\0]{0,20}"), any::<u16>()).prop_map(|(name, qtype)| Body::Dns(Dns { name, qtype })),
        prop::collection::vec(any::<u32>(), 0..5)
            .prop_map(|nrs| Body::Syscalls(Syscalls { nrs: nrs.iter().flat_map(|n| n.to_le_bytes()).collect() })),
        (0u8..64, any::<bool>()).prop_map(|(cap, used)| Body::Capability(Capability { cap, used })),
        (utf8("[a-z_]{1,20}"), any::<u32>()).prop_map(|(cause, n)| Body::Missed { cause, n: n.into() }),
    ]
}

fn any_event() -> impl Strategy<Value = Owned> {
    (any::<(u64, u32, Option<u64>)>(), utf8("[^\0]{0,12}"), any_body()).prop_map(
        |((ts, pid, start), container, body)| {
            let of_container = matches!(body, Body::ContainerStart { .. } | Body::ContainerStop | Body::Missed { .. });
            Event { ts, container, pid: if of_container { 0 } else { pid }, start, body }
        },
    )
}

fn write_all(events: &[Owned], compression: Compression) -> Vec<u8> {
    let header = Header { source: Some("test"), recording: Some("r"), partial: false };
    let mut writer = Writer::new(Vec::new(), compression, header).unwrap();
    for event in events {
        writer.event(borrow(event)).unwrap();
    }
    writer.finish().unwrap()
}

fn read_all(trace: Vec<u8>) -> (EventBuf, Option<String>) {
    let mut records = Records::new(Box::new(Cursor::new(trace)), Framing::Lines, RECORD_MAX);
    let mut decoder = NativeDecoder::new();
    let mut events = EventBuf::new();
    let mut lines = 0;
    while let Some(record) = records.next().unwrap() {
        lines += 1;
        let line = decoder.decode(record.bytes.unwrap(), &mut events);
        assert_eq!(line, Ok(if lines == 1 { Line::Header } else { Line::Event }));
    }
    (events, decoder.recording().map(Into::into))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_reads_back_the_same(events in prop::collection::vec(any_event(), 0..8)) {
        let trace = write_all(&events, Compression::Plain);
        // One line each, in UTF-8, whatever the bytes.
        prop_assert_eq!(str::from_utf8(&trace).unwrap().lines().count(), events.len() + 1);
        let (read, recording) = read_all(trace);
        prop_assert_eq!(recording.as_deref(), Some("r"));
        prop_assert_eq!(read.len(), events.len());
        for (stored, event) in read.iter().zip(&events) {
            prop_assert_eq!(stored.event, borrow(event));
        }
    }
}

fn open(path: &[u8]) -> Owned {
    let body = Body::Open(Open { path: path.to_vec(), flags: 0, ret: 3, map: false });
    Event { ts: 5, container: b"c".to_vec(), pid: 7, start: None, body }
}

#[test]
fn compression_makes_no_difference_to_a_reader() {
    let events: Vec<_> = (0..1000).map(|i| open(format!("/{i}").as_bytes())).collect();
    let plain = write_all(&events, Compression::Plain);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let packed = write_all(&events, compression);
        assert!(packed.len() < plain.len() / 4);
        assert_eq!(read_all(packed).0.len(), 1000);
    }
}

#[test]
fn the_lines_are_those_of_the_format() {
    let lines = String::from_utf8(write_all(&[open(b"/a"), open(b"/\xff")], Compression::Plain)).unwrap();
    assert_eq!(
        lines,
        concat!(
            r#"{"type":"header","format":"grove-trace","version":1,"source":"test","recording":"r","clock":"unix_ns"}"#,
            "\n",
            r#"{"ts":5,"type":"open","container":"c","pid":7,"path":"/a","flags":0,"ret":3}"#,
            "\n",
            r#"{"ts":5,"type":"open","container":"c","pid":7,"path_b64":"L/8=","flags":0,"ret":3}"#,
            "\n",
        )
    );
}

#[test]
fn an_event_without_words_is_refused_and_the_trace_stays_whole() {
    let mut writer = Writer::new(Vec::new(), Compression::Plain, Header::default()).unwrap();
    let dns = Event { body: Body::Dns(Dns { name: b"\xff".to_vec(), qtype: 1 }), ..open(b"/a") };
    let elsewhere = Event { container: b"\xff".to_vec(), ..open(b"/a") };
    for event in [dns, elsewhere] {
        let error = writer.event(borrow(&event)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        writer.event(borrow(&open(b"/a"))).unwrap();
    }
    assert_eq!(read_all(writer.finish().unwrap()).0.len(), 2);
}

/// As a recorder leaves it that is killed, or whose disk is full, while it writes a block.
#[test]
fn a_trace_cut_anywhere_reads_up_to_its_last_whole_block() {
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        let mut writer = Writer::new(Vec::new(), compression, Header::default()).unwrap();
        // How long the trace is with so many lines.
        let mut blocks = Vec::new();
        for block in 0..6 {
            (0..3 * block).for_each(|i| writer.event(borrow(&open(format!("/{block}/{i}").as_bytes()))).unwrap());
            writer.flush().unwrap();
            assert!(!writer.is_behind());
            blocks.push((writer.output().len(), 1 + (0..=block).map(|b| 3 * b).sum::<usize>()));
        }
        let trace = writer.finish().unwrap();
        for cut in 0..=trace.len() {
            let mut records = Records::new(Box::new(Cursor::new(trace[..cut].to_vec())), Framing::Lines, RECORD_MAX);
            let mut lines = 0;
            let ended = loop {
                match records.next() {
                    Ok(Some(_)) => lines += 1,
                    Ok(None) => break true,
                    Err(error) => {
                        let reported = error.to_string();
                        assert!(reported.contains(&format!("cut off after line {lines}, at byte {cut}")), "{reported}");
                        break false;
                    }
                }
            };
            let whole = blocks.iter().rev().find(|(len, _)| *len <= cut).map_or(0, |(_, lines)| *lines);
            assert!(lines >= whole, "{compression:?} cut at {cut}: {lines} lines, {whole} in whole blocks");
            // Where a block ends the trace might have ended. Up to three bytes of another are no sign of compression.
            let at_end = cut == 0 || blocks.iter().any(|(len, _)| *len == cut);
            assert!(compression == Compression::Plain || ended == at_end || cut < 4, "{compression:?} cut at {cut}");
        }
    }
}
