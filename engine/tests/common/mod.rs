//! A small language for events and a small picture of trees, so that tests say what happens and what is known then.
//!
//! ```text
//! start nginx 1.27              fork 2<-1              exec 2<-1 /bin/ls ls -l
//! open 2 /etc/passwd rw         open 2 /x r fail       connect 2 10.0.0.1 443 tcp
//! bind 2 unix /run/x.sock       dns 2 example.com A    syscalls 2 0,1,59
//! capability 2 10               exit 2                 stop
//! ```
//!
//! A process is `PID` or `PID@START`; `c2: ` before a line names the container (default `c1`). Time goes up by one
//! nanosecond a line, from 1.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

pub mod script;

use grove::event::{Body, EventBuf, EventRef, Exec, Peer, Proto, Sink, SocketOp};
use grove::profile::{ProcessDoc, ProfileDoc};
use grove::trace::qtype_number;

/// The events of a text.
pub fn events(text: &str) -> EventBuf {
    let mut buf = EventBuf::new();
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    for (i, line) in lines.enumerate() {
        push_line(line, i as u64 + 1, &mut buf);
    }
    buf
}

fn push_line(line: &str, ts: u64, buf: &mut EventBuf) {
    let (container, rest) = match line.split_once(": ") {
        Some((c, rest)) if !c.contains(' ') => (if c == "host" { "" } else { c }, rest),
        _ => ("c1", line),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let mut argv = Vec::new();
    let mut nrs = Vec::new();
    let word = |i: usize| words.get(i).copied().unwrap_or_else(|| panic!("`{line}` lacks word {i}"));
    let (mut pid, mut start, mut ppid) = (0, None, 0);
    if !matches!(word(0), "start" | "stop") {
        let (process, parent) = word(1).split_once("<-").unwrap_or((word(1), "0"));
        let (p, s) = process.split_once('@').map_or((process, None), |(p, s)| (p, Some(s.parse().unwrap())));
        (pid, start, ppid) = (p.parse().unwrap(), s, parent.parse().unwrap());
    }
    let has = |w: &str| words.contains(&w);
    let ret = if has("fail") { -2 } else { 0 };
    let body = match word(0) {
        "start" => Body::ContainerStart { image: word(1).as_bytes(), tag: word(2).as_bytes() },
        "stop" => Body::ContainerStop,
        "fork" => Body::Fork { ppid },
        "exit" => Body::Exit,
        "exec" => {
            let option = |name: &str| words.iter().find_map(|w| w.strip_prefix(name));
            for arg in words[3..].iter().filter(|w| !w.starts_with("--")) {
                argv.extend_from_slice(arg.as_bytes());
                argv.push(0);
            }
            Body::Exec(Exec {
                ppid,
                path: word(2).as_bytes(),
                argv: (!argv.is_empty()).then_some(argv.as_slice()),
                cwd: option("--cwd=").map(str::as_bytes),
                uid: option("--uid=").map(|u| u.parse().unwrap()),
                fileless: has("--fileless"),
                upper_layer: has("--upper"),
            })
        }
        "open" => {
            let flags = if has("rw") { 2 } else { u32::from(has("w")) };
            Body::Open { path: word(2).as_bytes(), flags, ret }
        }
        op @ ("connect" | "bind") => {
            let op = if op == "bind" { SocketOp::Bind } else { SocketOp::Connect };
            let (peer, port) = match word(2) {
                "unix" => (Peer::Unix(word(3).as_bytes()), 0),
                addr => (Peer::Ip(addr.parse().unwrap()), word(3).parse().unwrap()),
            };
            let proto = if has("tcp") { Some(Proto::Tcp) } else { has("udp").then_some(Proto::Udp) };
            Body::Socket { op, peer, port, proto, ret }
        }
        "dns" => Body::Dns { name: word(2).as_bytes(), qtype: qtype_number(word(3)).unwrap() },
        "syscalls" => {
            nrs.extend(word(2).split(',').flat_map(|n| n.parse::<u32>().unwrap().to_le_bytes()));
            Body::Syscalls { nrs: nrs.as_slice() }
        }
        "capability" => Body::Capability { cap: word(2).parse().unwrap(), used: !has("refused") },
        other => panic!("unknown event `{other}`"),
    };
    buf.event(EventRef { ts, container: container.as_bytes(), pid, start, body });
}

/// A profile as a picture: one line an entry, indented by lineage.
pub fn picture(doc: &ProfileDoc) -> String {
    let mut out = String::new();
    doc.processes.iter().for_each(|p| draw(p, 0, &mut out));
    out
}

fn draw(p: &ProcessDoc, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    out.push_str(&format!("{pad}{}", p.path));
    let marks = [(p.exec_chain, " chain"), (p.fileless, " fileless"), (p.upper_layer, " upper")];
    marks.iter().filter(|(on, _)| *on).for_each(|(_, mark)| out.push_str(mark));
    if let Some(argv0) = &p.argv0 {
        out.push_str(&format!(" argv0={argv0}"));
    }
    if let Some(argv) = &p.argv {
        out.push_str(&format!(" argv={argv:?}"));
    }
    if !p.uids.is_empty() {
        out.push_str(&format!(" uids={:?}", p.uids));
    }
    out.push('\n');
    for f in &p.files {
        out.push_str(&format!("{pad}  - {} {}\n", f.access, f.path));
    }
    for d in &p.dns {
        out.push_str(&format!("{pad}  - dns {} {}\n", d.name, d.qtypes.join(",")));
    }
    for s in &p.sockets {
        let proto = s.proto.as_deref().unwrap_or("?");
        out.push_str(&format!("{pad}  - {} {} {proto} {} {}\n", s.op, s.family, s.addr, s.port));
    }
    for c in &p.syscalls {
        out.push_str(&format!("{pad}  - syscall {}\n", c.name));
    }
    for c in &p.capabilities {
        out.push_str(&format!("{pad}  - capability {}{}\n", c.name, if c.used { "" } else { " refused" }));
    }
    p.children.iter().for_each(|c| draw(c, depth + 1, out));
}
