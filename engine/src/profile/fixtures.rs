//! Profiles for tests: one made by hand that has everything, and arbitrary ones.
#![allow(clippy::unwrap_used)]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{
    CapabilityDoc, DeniedDoc, DnsDoc, FileDoc, ImdsDoc, MountDoc, ProcessDoc, ProfileDoc, Seen, SocketDoc, State,
    SyscallDoc, TagDoc, Time, decode,
};
use crate::behaviour::{ChangeOp, Volume};
use crate::ledger::{Dropped, Fate, Ignored, Ledger, Rejected};
use crate::names::{capability_name, mount_flag_name, qtype_name};

/// A profile in which every field, required and optional, has a value worth telling, as its file has it but for
/// line ends and indentation.
const FULL: &str = r#"
{"format":"grove-profile","version":2,"image":"docker.io/library/nginx",
"tags":{
  "1.27.0":{"first_seen":"2024-05-01T10:00:00.000000000Z","last_seen":"2024-05-02T10:00:00.000000001Z",
    "state":{"dns":{"state":"learning"},"exec":{"state":"stable"}}},
  "1.27.1":{"first_seen":"2024-06-01T10:00:00.000000000Z","last_seen":"2024-06-01T11:30:00.123456789Z","state":{}}},
"stats":{"process_nodes":3,"file_nodes":5,"dns_nodes":2,"socket_nodes":5,"syscalls":3,"capabilities":2,"mounts":1,"imds":1},
"ledgers":{
  "3f0c":{"received":1000,"applied_new":40,"applied_known":888,"lifecycle":50,
    "ignored":{"failed":6,"host":0,"runtime_setup":2,"no_profile":0,"unknown_type":0,"relative_path":0,"no_behaviour":0},
    "rejected":{"malformed":1,"missing_field":1,"wrong_type":0,"invalid_value":0,"duplicate_field":0,"too_long":0,
      "conflicting_workload":0},
    "dropped":{"queue_full":12,"tree_full":0,"containers":0,"tags_full":0,"shard_failed":0,"shutdown":0},"held":0}},
"processes":[
  {"parent":null,"path":"/usr/sbin/nginx","argv0":null,"argv":null,"exec_chain":false,"uids":[0,101],
    "seen":{
      "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-02T10:00:00.000000001Z"],
      "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T11:30:00.123456789Z"]},
    "files":[
      {"path":"/etc/nginx/nginx.conf","access":"r","mapped":true,"pattern":false,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"path":"/srv/gone","access":null,"changes":["delete","rename"],"pattern":false,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"path":"/tmp/odd \\x1b\\\\\u001b[31m\\*","access":"rw","pattern":false,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"path":"/var/cache/nginx/*/*.tmp","access":"w","pattern":true,"distinct":412,
        "exemplars":["0a/17.tmp","1b/3.tmp","3/9.tmp","7c/77.tmp"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "dns":[
      {"name":"*.backend.internal","qtypes":["A"],"pattern":true,"distinct":30,"exemplars":["w1.backend.internal"],
        "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]}},
      {"name":"example.com","qtypes":["A","AAAA"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "sockets":[
      {"op":"accept","family":"inet","proto":"tcp","addr":"10.0.3.4","port":80,"volume":{"sent":20,"received":14},
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"op":"bind","family":"inet","proto":"tcp","addr":"0.0.0.0","port":80,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"inet","proto":"tcp","addr":"10.0.3.0/24","port":8080,"pattern":true,"distinct":31,
        "exemplars":["10.0.3.4","10.0.3.9"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"inet6","proto":"udp","addr":"2001:db8::35","port":53,
        "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"unix","proto":null,"addr":"/run/php.sock","port":0,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "syscalls":[
      {"name":"epoll_wait","nr":232,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"io_uring_setup","nr":425,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"read","nr":0,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "capabilities":[
      {"name":"CAP_NET_BIND_SERVICE","used":true,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"CAP_SYS_ADMIN","used":false,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "mounts":[
      {"path":"/mnt/a","fstype":"tmpfs","flags":["MS_NODEV","MS_NOSUID"],"sources":["tmpfs"],
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "imds":[
      {"provider":"aws","token":"v2","path":"/latest/meta-data/*","pattern":true,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}]},
  {"parent":0,"path":"/bin/busybox","argv0":"sh","argv":["sh","-c","date > '/tmp/x y'"],"exec_chain":true,"interpreter":"/bin/env","uids":[101],
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]},
        "files":[
          {"path":"/tmp/x y","access":"w","pattern":false,
            "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
        "dns":[],"sockets":[],"syscalls":[],"capabilities":[],"mounts":[],"imds":[]},
  {"parent":null,"path":"/tmp/build-*/run","pattern":true,"distinct":19,"exemplars":["build-a1","build-b2"],"argv0":null,"argv":null,
    "exec_chain":false,"interpreter":["/bin/bash","/bin/sh"],"fileless":true,"upper_layer":true,"uids":[],
    "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]},
    "files":[],"dns":[],"sockets":[],"syscalls":[],"capabilities":[],"mounts":[],"imds":[]}]}
"#;

/// A profile of version 1, as the last release that wrote it did.
const VERSION_1: &str = r#"
{"format":"grove-profile","version":1,"image":"docker.io/library/nginx",
"tags":{
  "1.27.0":{"first_seen":"2024-05-01T10:00:00.000000000Z","last_seen":"2024-05-02T10:00:00.000000001Z",
    "state":{"dns":"learning","exec":"stable"}},
  "1.27.1":{"first_seen":"2024-06-01T10:00:00.000000000Z","last_seen":"2024-06-01T11:30:00.123456789Z","state":{}}},
"stats":{"process_nodes":3,"file_nodes":4,"dns_nodes":2,"socket_nodes":4,"syscalls":3,"capabilities":2},
"ledgers":{
  "3f0c":{"received":1000,"applied_new":40,"applied_known":888,"lifecycle":50,
    "ignored":{"failed":6,"host":0,"runtime_setup":2,"no_profile":0,"unknown_type":0,"relative_path":0,"no_behaviour":0},
    "rejected":{"malformed":1,"missing_field":1,"wrong_type":0,"invalid_value":0,"duplicate_field":0,"too_long":0,
      "conflicting_workload":0},
    "dropped":{"queue_full":12,"tree_full":0,"containers":0,"tags_full":0,"shard_failed":0,"shutdown":0},"held":0}},
"processes":[
  {"path":"/usr/sbin/nginx","argv0":null,"argv":null,"exec_chain":false,"uids":[0,101],
    "seen":{
      "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-02T10:00:00.000000001Z"],
      "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T11:30:00.123456789Z"]},
    "files":[
      {"path":"/etc/nginx/nginx.conf","access":"r","pattern":false,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"path":"/tmp/odd \\x1b\\\\\u001b[31m\\*","access":"rw","pattern":false,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"path":"/var/cache/nginx/*/*.tmp","access":"w","pattern":true,"distinct":412,
        "exemplars":["0a/17.tmp","1b/3.tmp","3/9.tmp","7c/77.tmp"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "dns":[
      {"name":"*.backend.internal","qtypes":["A"],"pattern":true,"distinct":30,"exemplars":["w1.backend.internal"],
        "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]}},
      {"name":"example.com","qtypes":["A","AAAA"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "sockets":[
      {"op":"bind","family":"inet","proto":"tcp","addr":"0.0.0.0","port":80,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"inet","proto":"tcp","addr":"10.0.3.0/24","port":8080,"pattern":true,"distinct":31,
        "exemplars":["10.0.3.4","10.0.3.9"],
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"inet6","proto":"udp","addr":"2001:db8::35","port":53,
        "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]}},
      {"op":"connect","family":"unix","proto":null,"addr":"/run/php.sock","port":0,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "syscalls":[
      {"name":"epoll_wait","nr":232,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"io_uring_setup","nr":425,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"read","nr":0,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "capabilities":[
      {"name":"CAP_NET_BIND_SERVICE","used":true,
        "seen":{
          "1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"],
          "1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}},
      {"name":"CAP_SYS_ADMIN","used":false,
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
    "children":[
      {"path":"/bin/busybox","argv0":"sh","argv":["sh","-c","date > '/tmp/x y'"],"exec_chain":true,"interpreter":"/bin/env","uids":[101],
        "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]},
        "files":[
          {"path":"/tmp/x y","access":"w","pattern":false,
            "seen":{"1.27.1":["2024-06-01T10:00:00.000000000Z","2024-06-01T10:00:00.000000000Z"]}}],
        "dns":[],"sockets":[],"syscalls":[],"capabilities":[],"children":[]}]},
  {"path":"/tmp/build-*/run","pattern":true,"distinct":19,"exemplars":["build-a1","build-b2"],"argv0":null,"argv":null,
    "exec_chain":false,"interpreter":["/bin/bash","/bin/sh"],"fileless":true,"upper_layer":true,"uids":[],
    "seen":{"1.27.0":["2024-05-01T10:00:00.000000000Z","2024-05-01T10:00:00.000000000Z"]},
    "files":[],"dns":[],"sockets":[],"syscalls":[],"capabilities":[],"children":[]}]}
"#;

/// The bytes of a profile that has everything, made by hand.
pub(crate) fn full_text() -> String {
    in_one_line(FULL)
}

/// The bytes of a profile of version 1 that has everything.
pub(crate) fn version_1_text() -> String {
    in_one_line(VERSION_1)
}

fn in_one_line(text: &str) -> String {
    let mut text: String = text.lines().map(str::trim_start).collect();
    text.push('\n');
    text
}

/// The same profile as a document.
pub(crate) fn full() -> ProfileDoc {
    decode(full_text().as_bytes()).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..8).prop_map(String::from_iter)
}

fn name() -> impl Strategy<Value = String> {
    (any::<char>(), text()).prop_map(|(first, rest)| format!("{first}{rest}"))
}

fn span() -> impl Strategy<Value = [Time; 2]> {
    (any::<u64>(), any::<u64>()).prop_map(|(a, b)| [Time(a.min(b)), Time(a.max(b))])
}

fn seen() -> impl Strategy<Value = Seen> {
    btree_map(name(), span(), 1..3).prop_map(Seen::from_iter)
}

/// Whether generalised, estimated number, exemplars, and what they do not show.
fn generalised() -> impl Strategy<Value = (bool, u64, Vec<String>, Vec<u32>)> {
    (any::<bool>(), prop_oneof![Just(0), any::<u64>()], vec(text(), 0..3), vec(any::<u32>(), 0..2))
}

fn file() -> impl Strategy<Value = FileDoc> {
    let access = prop::sample::select(vec![None, Some("r"), Some("w"), Some("rw")]);
    let changes = vec(prop::sample::select(vec![ChangeOp::Create, ChangeOp::Chown, ChangeOp::Rename]), 0..2);
    (text(), access, changes, any::<bool>(), generalised(), seen()).prop_map(
        |(path, access, changes, mapped, (pattern, distinct, exemplars, learned), seen)| FileDoc {
            path,
            access: access.map(Into::into),
            changes: changes.into_iter().map(|op| op.name().to_owned()).collect(),
            mapped,
            pattern,
            distinct,
            exemplars: exemplars.into(),
            learned: learned.into(),
            seen,
        },
    )
}

fn dns() -> impl Strategy<Value = DnsDoc> {
    let qtypes = vec(any::<u16>().prop_map(|n| qtype_name(n).into_owned()), 0..3);
    (text(), qtypes, generalised(), seen()).prop_map(|(name, qtypes, (pattern, distinct, exemplars, learned), seen)| {
        DnsDoc { name, qtypes, pattern, distinct, exemplars, learned, seen }
    })
}

fn socket() -> impl Strategy<Value = SocketDoc> {
    let peer = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| ("inet", std::net::Ipv4Addr::from(ip).to_string())),
        any::<[u8; 16]>()
            .prop_map(|ip| ("inet6", format!("{}", crate::path::network(std::net::Ipv6Addr::from(ip).into())))),
        Just(("inet", "*".to_owned())),
        text().prop_map(|path| ("unix", path)),
    ];
    let op = prop::sample::select(vec!["accept", "bind", "connect"]);
    let proto = prop::sample::select(vec![None, Some("tcp"), Some("udp")]);
    let volume = prop::option::of((prop::option::of(0_u8..64), 0_u8..64));
    (op, proto, peer, any::<u16>(), volume, generalised(), seen()).prop_map(
        |(op, proto, (family, addr), port, volume, (pattern, distinct, exemplars, learned), seen)| SocketDoc {
            op: op.into(),
            family: family.into(),
            proto: proto.map(Into::into),
            addr,
            port,
            volume: volume.map(|(sent, received)| Volume { sent, received: Some(received) }),
            pattern,
            distinct,
            exemplars,
            learned,
            seen,
        },
    )
}

fn mount() -> impl Strategy<Value = MountDoc> {
    let flags = vec((0_u32..32).prop_map(|bit| mount_flag_name(bit).into_owned()), 0..2);
    (text(), name(), flags, vec(text(), 0..2), generalised(), seen()).prop_map(
        |(path, fstype, flags, sources, (pattern, distinct, exemplars, learned), seen)| MountDoc {
            path,
            fstype,
            flags,
            sources,
            pattern,
            distinct,
            exemplars,
            learned,
            seen,
        },
    )
}

fn imds() -> impl Strategy<Value = ImdsDoc> {
    let provider = prop::option::of("[a-z]{1,8}");
    let token = prop::sample::select(vec![None, Some("v1"), Some("v2")]);
    (provider, token, text(), generalised(), seen()).prop_map(
        |(provider, token, path, (pattern, distinct, exemplars, learned), seen)| ImdsDoc {
            provider,
            token: token.map(str::to_owned),
            path,
            pattern,
            distinct,
            exemplars,
            learned,
            seen,
        },
    )
}

fn denied() -> impl Strategy<Value = DeniedDoc> {
    let kind = prop::sample::select(vec!["open", "change", "connect", "bind", "mount"]);
    let error = prop::sample::select(vec!["EACCES", "ECONNREFUSED", "EPERM"]);
    (kind, text(), error, generalised(), seen()).prop_map(
        |(kind, subject, error, (pattern, distinct, exemplars, learned), seen)| DeniedDoc {
            kind: kind.to_owned(),
            subject,
            error: error.to_owned(),
            pattern,
            distinct,
            exemplars,
            learned,
            seen,
        },
    )
}

/// A process without a parent.
fn process() -> impl Strategy<Value = ProcessDoc> {
    let own = (text(), generalised(), prop::option::of(text()), prop::option::of(vec(text(), 0..3)));
    let flags = (any::<[bool; 3]>(), vec(text(), 0..3), vec(any::<u32>(), 0..3), seen());
    let syscall =
        (text(), any::<u32>(), seen()).prop_map(|(name, nr, seen)| SyscallDoc { name: name.into(), nr, seen });
    let capability = (0_u8..64, any::<bool>(), seen()).prop_map(|(cap, used, seen)| CapabilityDoc {
        name: capability_name(cap).into_owned(),
        used,
        seen,
    });
    let lists = (vec(file(), 0..3), vec(dns(), 0..2), vec(socket(), 0..3), vec(syscall, 0..3), vec(capability, 0..2));
    let others = (vec(mount(), 0..2), vec(imds(), 0..2), vec(denied(), 0..2));
    (own, flags, lists, others).prop_map(|(own, flags, lists, (mounts, imds, denied))| {
        let (path, (pattern, distinct, exemplars, learned), argv0, argv) = own;
        let ([exec_chain, fileless, upper_layer], interpreters, uids, seen) = flags;
        let (files, dns, sockets, syscalls, capabilities) = lists;
        ProcessDoc {
            parent: None,
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
            mounts,
            imds,
            denied,
        }
    })
}

/// Processes, some below others.
fn processes() -> impl Strategy<Value = Vec<ProcessDoc>> {
    vec((process(), prop::option::of(any::<prop::sample::Index>())), 0..6).prop_map(|list| {
        let with_parents = list.into_iter().enumerate().map(|(index, (process, parent))| {
            let parent = parent.filter(|_| index > 0).map(|parent| parent.index(index) as u32);
            ProcessDoc { parent, ..process }
        });
        with_parents.collect()
    })
}

fn ledger() -> impl Strategy<Value = Ledger> {
    any::<[u64; 8]>().prop_map(|[received, applied_new, applied_known, lifecycle, held, ignored, rejected, dropped]| {
        let mut ledger = Ledger::default();
        ledger.received = received;
        ledger.held = held;
        ledger.settle(Fate::New, applied_new);
        ledger.settle(Fate::Known, applied_known);
        ledger.settle(Fate::Lifecycle, lifecycle);
        ledger.settle(Fate::Ignored(Ignored::Failed), ignored);
        ledger.settle(Fate::Rejected(Rejected::TooLong), rejected);
        ledger.settle(Fate::Dropped(Dropped::TreeFull), dropped);
        ledger
    })
}

/// Any profile that can be written, with any text that Unicode has.
pub(crate) fn arbitrary() -> impl Strategy<Value = ProfileDoc> {
    let state = prop::sample::select(vec![State::Learning, State::Stable]);
    let tag = (span(), btree_map(text(), state, 0..3)).prop_map(|([first_seen, last_seen], state)| TagDoc {
        first_seen,
        last_seen,
        state: state.into_iter().collect(),
    });
    let ledgers = btree_map(text(), ledger().prop_map(Box::new), 0..3);
    (text(), any::<bool>(), btree_map(name(), tag, 0..3), ledgers, processes())
        .prop_map(|(image, partial, tags, ledgers, processes)| ProfileDoc { image, partial, tags, ledgers, processes })
}

/// A profile of `depth` processes, each the only child of the one before.
pub(crate) fn chain(depth: usize) -> ProfileDoc {
    let link = |index: usize| {
        let seen = Seen::from_iter([("t", [Time(1), Time(2)])]);
        let file = FileDoc { path: "/f".into(), access: Some("r".into()), seen: seen.clone(), ..FileDoc::default() };
        let parent = index.checked_sub(1).map(|parent| parent as u32);
        ProcessDoc { parent, path: "/p".into(), seen, files: vec![file], ..ProcessDoc::default() }
    };
    ProfileDoc { image: "deep".into(), processes: (0..depth).map(link).collect(), ..ProfileDoc::default() }
}
