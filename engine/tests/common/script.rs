//! Generated events: lines of the test language (see the module above), drawn from pools so small that pids, paths and
//! names collide, parents exit before their children, starts come late, twice or never, and patterns are learned.
//!
//! A failing case is printed as the lines themselves, so it can be pasted into a table-driven test.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use super::events;
use grove::config::Config;
use grove::event::EventBuf;
use grove::path::Protect;
use grove::tree::Rules;
use proptest::prelude::*;
use std::fmt;
use std::sync::Arc;

/// A number of the pools: fewer of them than the default fan-out, more than the small one.
const NAMES: u32 = 7;

/// Lines of the test language, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Script(pub Vec<String>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n")?;
        self.0.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl Script {
    /// The events, each at the time of its line.
    pub fn events(&self) -> EventBuf {
        events(&self.0.join("\n"))
    }

    /// How many containers there can be.
    pub fn containers() -> [&'static [u8]; 5] {
        [b"c1", b"c2", b"c3", b"c4", b""]
    }
}

/// What decides identity: as configured by default, or generalising early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub path_fanout: usize,
    pub peer_fanout: usize,
    pub differentiate_args: bool,
}

/// A pattern of ours beside those that always protect.
const PROTECTED: &str = "/data/d2/keys";

impl Settings {
    pub fn rules(self) -> Arc<Rules> {
        Arc::new(Rules {
            path_fanout: self.path_fanout,
            peer_fanout: self.peer_fanout,
            differentiate_args: self.differentiate_args,
            protect: Protect::new([PROTECTED]).unwrap(),
            ..Rules::default()
        })
    }

    pub fn config(self, workers: usize) -> Config {
        let mut config = Config::from_vars::<&str, &str>([]).unwrap();
        config.workers = workers;
        config.path_fanout = self.path_fanout;
        config.peer_fanout = self.peer_fanout;
        config.differentiate_args = self.differentiate_args;
        config.path_protect = vec![PROTECTED.to_owned()];
        config
    }
}

/// Half of the cases learn patterns from the fourth name on.
pub fn settings() -> impl Strategy<Value = Settings> {
    let fanouts = prop_oneof![Just((16, 16)), Just((3, 3))];
    (fanouts, prop::bool::weighted(0.2)).prop_map(|((path_fanout, peer_fanout), differentiate_args)| Settings {
        path_fanout,
        peer_fanout,
        differentiate_args,
    })
}

/// What one container does.
pub fn container_script() -> impl Strategy<Value = Script> {
    prop::collection::vec(doing(), 0..=200).prop_map(Script)
}

/// What up to four containers and the host do.
pub fn script() -> impl Strategy<Value = Script> {
    let container = prop_oneof![10 => 1..=4_u32, 1 => Just(0)];
    let line = (container, prop_oneof![20 => doing(), 2 => start(), 1 => Just("stop".to_owned())]);
    let line = line.prop_map(|(c, line)| if c == 0 { format!("host: {line}") } else { format!("c{c}: {line}") });
    prop::collection::vec(line, 0..=200).prop_map(Script)
}

/// Two tags of one image mostly; other images make starts conflict.
fn start() -> impl Strategy<Value = String> {
    (prop_oneof![4 => Just(1), 1 => Just(2)], 1..=2_u32).prop_map(|(image, tag)| format!("start image{image} {tag}"))
}

fn pid() -> impl Strategy<Value = String> {
    (1..=6_u32, prop::option::weighted(0.15, 1..=2_u32)).prop_map(|(pid, start)| match start {
        Some(start) => format!("{pid}@{start}"),
        None => pid.to_string(),
    })
}

fn maybe(p: f64, word: &'static str) -> impl Strategy<Value = &'static str> {
    prop::bool::weighted(p).prop_map(move |on| if on { word } else { "" })
}

/// One event of a process.
fn doing() -> BoxedStrategy<String> {
    let exec = (pid(), 0..=6_u32, program(), exec_options());
    prop_oneof![
        10 => (pid(), file(), access(), maybe(0.1, " fail")).prop_map(|(p, f, a, fail)| format!("open {p} {f}{a}{fail}")),
        5 => exec.prop_map(|(p, pp, program, options)| format!("exec {p}<-{pp} {program}{options}")),
        3 => (pid(), 0..=6_u32).prop_map(|(p, pp)| format!("fork {p}<-{pp}")),
        2 => pid().prop_map(|p| format!("exit {p}")),
        3 => (pid(), peer(), maybe(0.1, " fail")).prop_map(|(p, peer, fail)| format!("connect {p} {peer}{fail}")),
        1 => (pid(), peer()).prop_map(|(p, peer)| format!("bind {p} {peer}")),
        2 => (pid(), name(), prop::sample::select(vec!["A", "AAAA", "TYPE65280"])).prop_map(|(p, n, q)| format!("dns {p} {n} {q}")),
        1 => (pid(), prop::collection::vec(0..4_u32, 1..4)).prop_map(|(p, nrs)| {
            let nrs: Vec<String> = nrs.iter().map(u32::to_string).collect();
            format!("syscalls {p} {}", nrs.join(","))
        }),
        1 => (pid(), 0..3_u32, maybe(0.3, " refused")).prop_map(|(p, cap, refused)| format!("capability {p} {cap}{refused}")),
    ]
    .boxed()
}

fn access() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", " w", " rw"])
}

fn one_of(names: &[&'static str]) -> BoxedStrategy<String> {
    prop::sample::select(names.to_vec()).prop_map(str::to_owned).boxed()
}

/// Paths: fixed ones, several shapes in several directories, normalised ones, protected ones, relative ones.
pub fn file() -> BoxedStrategy<String> {
    let n = || 0..NAMES;
    prop_oneof![
        4 => one_of(&["/etc/passwd", "/lib/libc.so.6", "/tmp", "/", "/tmp/fixed", "/tmp/../tmp//fixed/"]),
        3 => n().prop_map(|n| format!("/tmp/sess-{n}.tmp")),
        3 => (n(), n()).prop_map(|(d, f)| format!("/data/d{d}/f{f}")),
        1 => (n(), n()).prop_map(|(d, f)| format!("/data/d{d}/sub/k{f}x")),
        1 => (n(), n()).prop_map(|(d, f)| format!("/data/d{d}/keys/k{f}")),
        1 => (n(), n()).prop_map(|(d, f)| format!("/data{d}/f{f}")),
        1 => (n(), 0..3_u32).prop_map(|(d, f)| format!("/proc/{d}/task/{f}/stat")),
        1 => (n(), 0..3_u32).prop_map(|(d, f)| format!("/data/{d}1234567-89ab-cdef-0123-456789abcdef/f{f}")),
        1 => n().prop_map(|n| format!("/data/{n}*x")),
        1 => n().prop_map(|n| format!("/etc/c{n}.conf")),
        1 => (n(), n()).prop_map(|(u, n)| format!("/home/u{u}/.ssh/id{n}")),
        1 => n().prop_map(|n| format!("rel/r{n}")),
    ]
    .boxed()
}

/// Programs: fixed, multi-call, the container runtime's, without a file, and names that generalise.
pub fn program() -> BoxedStrategy<String> {
    let n = || 0..NAMES;
    prop_oneof![
        5 => one_of(&["/bin/sh", "/bin/ls", "/bin/busybox sh", "/bin/busybox ls -l", "bin/tool", "/usr/bin/runc", "runc:[2:INIT]"]),
        2 => n().prop_map(|n| format!("/tmp/run-{n}")),
        1 => n().prop_map(|n| format!("/data{n}/tool")),
        1 => n().prop_map(|n| format!("memfd{n} --fileless")),
        2 => one_of(&["/bin/sh --runtime", "/usr/bin/runc --workload", "/tmp/runc", "/bin/busybox busybox sh"]),
    ]
    .boxed()
}

fn exec_options() -> impl Strategy<Value = String> {
    let uid = prop::option::weighted(0.3, 0..3_u32).prop_map(|u| u.map(|u| format!(" --uid={u}")).unwrap_or_default());
    let cwd =
        prop::option::weighted(0.3, 0..NAMES).prop_map(|n| n.map(|n| format!(" --cwd=/data/d{n}")).unwrap_or_default());
    // More than are told apart, now and then.
    let by =
        prop::option::weighted(0.3, 0..20_u32).prop_map(|n| n.map(|n| format!(" --by=/bin/i{n}")).unwrap_or_default());
    (uid, cwd, by, maybe(0.1, " --upper")).prop_map(|(uid, cwd, by, upper)| format!("{uid}{cwd}{by}{upper}"))
}

/// The rest of a connect or bind: addresses of few networks, of many, of loopback, and unix paths.
pub fn peer() -> BoxedStrategy<String> {
    let n = || 0..NAMES;
    let port = || {
        prop::sample::select(vec![
            "443 tcp",
            "80 tcp",
            "53 udp",
            "40000 tcp",
            "40001 tcp",
            "40002 tcp",
            "60999 tcp",
            "40000 udp",
        ])
    };
    prop_oneof![
        3 => (n(), n(), port()).prop_map(|(a, b, port)| format!("10.0.{a}.{b} {port}")),
        2 => (n(), n(), port()).prop_map(|(a, b, port)| format!("2001:db8:0:{a}::{b} {port}")),
        1 => (n(), port()).prop_map(|(n, port)| format!("127.0.0.{n} {port}")),
        1 => n().prop_map(|n| format!("unix /run/s{n}.sock")),
        1 => (n(), n()).prop_map(|(d, n)| format!("unix /data/d{d}/s{n}")),
        1 => n().prop_map(|n| format!("unix @abstract/a{n}")),
    ]
    .boxed()
}

/// DNS names, some in several spellings.
pub fn name() -> BoxedStrategy<String> {
    let n = || 0..NAMES;
    prop_oneof![
        2 => one_of(&["example.com", "Example.COM.", "memfd0", ".", ".a", "a", "a..b"]),
        2 => n().prop_map(|n| format!("h{n}.example.com")),
        2 => (n(), n()).prop_map(|(a, b)| format!("api-{a}.svc{b}.local")),
        1 => n().prop_map(|n| format!("memfd{n}")),
    ]
    .boxed()
}
