//! What a decoder tells, as text: for the tests of several logs.
#![allow(clippy::panic)]

use super::{Decoder, Line};
use crate::event::{Body, Capability, Change, Dns, EventRef, Mount, Open, Peer, Sink, Socket};

/// Events as text, those that are implied in brackets.
#[derive(Default)]
pub(super) struct Reported {
    pub events: Vec<String>,
    /// How many of them are counted.
    counted: usize,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn said(event: EventRef<'_>) -> String {
    let what = match event.body {
        Body::ContainerStart { image, tag } => format!("start {}:{}", text(image), text(tag)),
        Body::Exec(e) => {
            let argv = e.argv.map_or("?".into(), text).replace("\\x00", "|");
            let by = e.interpreter.map_or(String::new(), |by| format!(" by {}", text(by)));
            let upper = if e.upper_layer { " upper" } else { "" };
            format!("exec {}{by} [{argv}] ppid {} uid {:?}{upper}", text(e.path), e.ppid, e.uid)
        }
        Body::Exit => "exit".into(),
        Body::Open(Open { path, flags, ret, map }) => {
            format!("{} {} {flags:o} {ret}", if map { "map" } else { "open" }, text(path))
        }
        Body::Change(Change { op, path, from, ret }) => {
            format!("{} {} {} {ret}", op.name(), from.map_or("?".into(), text), text(path))
        }
        Body::Socket(Socket { op, peer: Peer::Ip(ip), port, proto, ret }) => {
            format!("{} {ip} {port} {proto:?} {ret}", op.name())
        }
        Body::Dns(Dns { name, qtype }) => format!("dns {} {qtype}", text(name)),
        Body::Capability(Capability { cap, used }) => format!("capability {cap} {used}"),
        Body::Mount(Mount { path, fstype, flags, ret, .. }) => {
            format!("mount {} {} {flags} {ret}", text(path), text(fstype))
        }
        other => panic!("neither log tells {other:?}"),
    };
    format!("{}/{} {what}", text(event.container), event.pid)
}

impl Sink for Reported {
    fn event(&mut self, event: EventRef<'_>) {
        self.events.push(said(event));
        self.counted += 1;
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.events.push(format!("({})", said(event)));
    }
}

/// What records are told as. Each is an event if the decoder says so, and else none.
#[track_caller]
pub(super) fn reported(mut decoder: impl Decoder, records: &[String]) -> Vec<String> {
    let mut reported = Reported::default();
    for record in records {
        let before = reported.counted;
        let line = decoder.decode(record.as_bytes(), &mut reported).unwrap_or_else(|e| panic!("{e}: {record}"));
        assert_eq!(reported.counted - before, usize::from(line == Line::Event), "{record}");
    }
    reported.events
}
