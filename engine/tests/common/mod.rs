//! A small language for events and a small picture of trees, so that tests say what happens and what is known then.
//!
//! ```text
//! start nginx 1.27              fork 2<-1              exec 2<-1 /bin/ls ls -l
//! open 2 /etc/passwd rw         open 2 /x r fail       connect 2 10.0.0.1 443 tcp      open 2 /x --ret=-13
//! bind 2 unix /run/x.sock       dns 2 example.com A    syscalls 2 0,1,59
//! capability 2 10               exit 2                 stop
//! missed ring_full_open 7       mount 2 /mnt/a tmpfs --source=tmpfs --flags=2
//! change 2 rename /new /old     accept 2 10.0.0.1 80 tcp      imds 2 aws v2 /latest/meta-data
//! flow 2 connect 10.0.0.1 443 tcp --sent=100
//! ```
//!
//! A process is `PID` or `PID@START`; `c2: ` before a line names the container (default `c1`), `host: ` the host.
//! Time goes up by one nanosecond a line, from 1, unless `5s ` before all else says the second.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

pub mod script;

use grove::behaviour::{ChangeOp, Token};
use grove::event::{
    Body, Capability, Change, Dns, EventBuf, EventRef, Exec, Flow, Imds, Mount, Open, Peer, Proto, Sink, Socket,
    SocketOp, Syscalls,
};
use grove::intern::Interner;
use grove::ledger::{Fate, Ignored, Ledger};
use grove::names::qtype_number;
use grove::profile::{ProcessDoc, Profile, ProfileDoc};
use grove::tree::{ActivityTree, Rules, Tree};
use std::sync::Arc;

/// The events of a text.
pub fn events(text: &str) -> EventBuf {
    let mut buf = EventBuf::new();
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    for (i, line) in lines.enumerate() {
        let (ts, line) = match line.split_once("s ").map(|(s, rest)| (s.parse::<u64>(), rest)) {
            Some((Ok(seconds), rest)) => (seconds * 1_000_000_000, rest),
            _ => (i as u64 + 1, line),
        };
        push_line(line, ts, &mut buf);
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
    if !matches!(word(0), "start" | "stop" | "missed") {
        let (process, parent) = word(1).split_once("<-").unwrap_or((word(1), "0"));
        let (p, s) = process.split_once('@').map_or((process, None), |(p, s)| (p, Some(s.parse().unwrap())));
        (pid, start, ppid) = (p.parse().unwrap(), s, parent.parse().unwrap());
    }
    let has = |w: &str| words.contains(&w);
    let option = |name: &str| words.iter().find_map(|w| w.strip_prefix(name));
    let ret = if has("fail") {
        -2
    } else if has("inprogress") {
        -115
    } else {
        option("--ret=").map_or(0, |ret| ret.parse().unwrap())
    };
    let proto = if has("tcp") { Some(Proto::Tcp) } else { has("udp").then_some(Proto::Udp) };
    let peer = |at: usize| match word(at) {
        "unix" => (Peer::Unix(word(at + 1).as_bytes()), 0),
        addr => (Peer::Ip(addr.parse().unwrap()), word(at + 1).parse().unwrap()),
    };
    let socket_op = |op: &str| match op {
        "bind" => SocketOp::Bind,
        "accept" => SocketOp::Accept,
        _ => SocketOp::Connect,
    };
    let body = match word(0) {
        "start" => Body::ContainerStart { image: word(1).as_bytes(), tag: word(2).as_bytes() },
        "stop" => Body::ContainerStop,
        "missed" => Body::Missed { cause: word(1).as_bytes(), n: word(2).parse().unwrap() },
        "fork" => Body::Fork { ppid, ns_pid: option("--ns=").map(|n| n.parse().unwrap()) },
        "exit" => Body::Exit,
        "exec" => {
            for arg in words[3..].iter().filter(|w| !w.starts_with("--")) {
                argv.extend_from_slice(arg.as_bytes());
                argv.push(0);
            }
            let mut exec = Exec::new(ppid, word(2).as_bytes());
            exec.argv = (!argv.is_empty()).then_some(argv.as_slice());
            exec.cwd = option("--cwd=").map(str::as_bytes);
            exec.uid = option("--uid=").map(|u| u.parse().unwrap());
            exec.fileless = has("--fileless");
            exec.upper_layer = has("--upper");
            exec.interpreter = option("--by=").map(str::as_bytes);
            exec.ns_pid = option("--ns=").map(|n| n.parse().unwrap());
            exec.runtime = has("--runtime").then_some(true).or_else(|| has("--workload").then_some(false));
            Body::Exec(exec)
        }
        "open" => {
            let flags = if has("rw") { 2 } else { u32::from(has("w")) };
            Body::Open(Open::new(word(2).as_bytes(), flags, ret))
        }
        op @ ("connect" | "bind" | "accept") => {
            let (peer, port) = peer(2);
            Body::Socket(Socket::new(socket_op(op), peer, port, proto, ret))
        }
        "flow" => {
            let (peer, port) = peer(3);
            let bytes = |name| option(name).map(|n| n.parse().unwrap());
            let mut flow = Flow::new(socket_op(word(2)), peer, port, proto);
            (flow.sent, flow.received) = (bytes("--sent="), bytes("--received="));
            Body::Flow(flow)
        }
        "change" => {
            let from = words.get(4).filter(|word| !word.starts_with("--") && **word != "fail");
            let from = from.map(|word| word.as_bytes());
            Body::Change(Change::new(ChangeOp::from_name(word(2)).unwrap(), word(3).as_bytes(), from, ret))
        }
        "mount" => Body::Mount(Mount::new(
            word(2).as_bytes(),
            word(3).as_bytes(),
            option("--source=").map(str::as_bytes),
            option("--flags=").map_or(0, |n| n.parse().unwrap()),
            ret,
        )),
        "imds" => Body::Imds(Imds::new(
            word(4).as_bytes(),
            Some(word(2).as_bytes()),
            Some(if word(3) == "v1" { Token::V1 } else { Token::V2 }),
        )),
        "dns" => Body::Dns(Dns::new(word(2).as_bytes(), qtype_number(word(3)).unwrap())),
        "syscalls" => {
            nrs.extend(word(2).split(',').flat_map(|n| n.parse::<u32>().unwrap().to_le_bytes()));
            Body::Syscalls(Syscalls::new(nrs.as_slice()))
        }
        "capability" => Body::Capability(Capability::new(word(2).parse().unwrap(), !has("refused"))),
        other => panic!("unknown event `{other}`"),
    };
    buf.event(EventRef::new(ts, container.as_bytes(), pid, body).with_start(start));
}

/// One container's tree after the events, with every invariant that holds at any moment checked on the way.
pub fn grow(text: &str, rules: &Rules) -> (ActivityTree, Ledger) {
    get_or_insert_tagged(text, rules, "1", &Interner::new())
}

/// As [`grow`], with a tag of the caller's.
pub fn get_or_insert_tagged(text: &str, rules: &Rules, tag: &str, interner: &Interner) -> (ActivityTree, Ledger) {
    let mut tree = ActivityTree::new(Arc::new(rules.clone()), &interner.intern(tag).unwrap());
    let mut ledger = Ledger::default();
    for stored in events(text).iter() {
        let before = tree.tree().structural_hash();
        let known = tree.contains(&stored.event);
        assert_eq!(tree.tree().structural_hash(), before, "a dry run changed the tree");
        let fate = tree.insert(&stored.event);
        assert!(!known || fate != Fate::New, "a dry run knew what then was new: {:?}", stored.event);
        assert!(known || fate != Fate::Known, "a dry run did not know what then was known: {:?}", stored.event);
        // What was tried in vain is kept apart, and counts for nothing else.
        if matches!(fate, Fate::Ignored(_) | Fate::Rejected(_) | Fate::Dropped(_))
            && fate != Fate::Ignored(Ignored::Failed)
        {
            assert_eq!(tree.tree().structural_hash(), before, "{fate:?} changed the tree");
        }
        ledger.count(fate);
        assert!(ledger.balances());
        assert_eq!(tree.tree().stats(), tree.tree().recount(), "after {:?}", stored.event);
        assert_eq!(tree.tree().heap_bytes(), tree.tree().recount_bytes());
    }
    (tree, ledger)
}

/// The picture of a tree.
pub fn picture_of(tree: &Tree) -> String {
    let mut profile = Profile::new("image", tree.rules().clone());
    profile.add_tree(tree).unwrap();
    picture(&profile.to_doc())
}

/// Applies the events to one container's tree and compares the picture; returns the ledger.
#[track_caller]
pub fn check_with(rules: &Rules, text: &str, expected: &str) -> Ledger {
    let (tree, ledger) = grow(text, rules);
    let picture = picture_of(tree.tree());
    assert_eq!(picture, unindent(expected), "after\n{text}");
    ledger
}

/// As [`check_with`], with the rules that are in force unless told otherwise.
#[track_caller]
pub fn check(text: &str, expected: &str) -> Ledger {
    check_with(&Rules::default(), text, expected)
}

/// Expected pictures are written indented by eight, with a line before and after.
pub fn unindent(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).filter(|l| !l.trim().is_empty());
    lines.map(|line| format!("{}\n", line.strip_prefix("        ").unwrap_or(line))).collect()
}

/// A profile as a picture: one line an entry, indented by lineage.
pub fn picture(doc: &ProfileDoc) -> String {
    let mut out = String::new();
    let mut depths: Vec<usize> = Vec::new();
    for process in &doc.processes {
        let depth = process.parent.map_or(0, |parent| depths[parent as usize] + 1);
        draw(process, depth, &mut out);
        depths.push(depth);
    }
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
    if !p.interpreters.is_empty() {
        out.push_str(&format!(" by={}", p.interpreters.join(",")));
    }
    if !p.uids.is_empty() {
        out.push_str(&format!(" uids={:?}", p.uids));
    }
    out.push('\n');
    for f in &p.files {
        let changes = f.changes.iter().map(String::as_str);
        let marks = f.access.as_deref().into_iter().chain(changes).chain(f.mapped.then_some("mapped"));
        out.push_str(&format!("{pad}  - {} {}\n", marks.collect::<Vec<_>>().join(","), f.path));
    }
    for d in &p.dns {
        out.push_str(&format!("{pad}  - dns {} {}\n", d.name, d.qtypes.join(",")));
    }
    for s in &p.sockets {
        let proto = s.proto.as_deref().unwrap_or("?");
        let volume = s.volume.map(|v| format!(" {:?}/{:?}", v.sent, v.received)).unwrap_or_default();
        out.push_str(&format!("{pad}  - {} {} {proto} {} {}{volume}\n", s.op, s.family, s.addr, s.port));
    }
    for c in &p.syscalls {
        out.push_str(&format!("{pad}  - syscall {}\n", c.name));
    }
    for c in &p.capabilities {
        out.push_str(&format!("{pad}  - capability {}{}\n", c.name, if c.used { "" } else { " refused" }));
    }
    for m in &p.mounts {
        out.push_str(&format!(
            "{pad}  - mount {} {} {} {}\n",
            m.path,
            m.fstype,
            m.flags.join("|"),
            m.sources.join(",")
        ));
    }
    for d in &p.denied {
        out.push_str(&format!("{pad}  - denied {} {} {}\n", d.kind, d.subject, d.error));
    }
    for i in &p.imds {
        let [provider, token] = [&i.provider, &i.token].map(|text| text.as_deref().unwrap_or("?"));
        out.push_str(&format!("{pad}  - imds {provider} {token} {}\n", i.path));
    }
}
