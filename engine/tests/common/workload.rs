//! What a busy container does, at any size and always the same: many programs below a shell, that share libraries and
//! configuration, each with files of its own, a few temporary ones, some names and peers, and its system calls.
//!
//! For measuring. What tests of behaviour need is better said in the test language.
#![allow(dead_code)]

use grove::event::{
    Body, Capability, Dns, EventBuf, EventRef, Exec, Open, Peer, Proto, Sink, Socket, SocketOp, Syscalls,
};
use std::net::{IpAddr, Ipv4Addr};

/// The one container.
pub const CONTAINER: &[u8] = b"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Process ids of programs start here; the shell's is 1.
const FIRST_PID: u32 = 100;

/// System calls that one program makes.
const SYSCALLS: u32 = 24;

/// Words of letters only, so that names made of them do not generalise.
const SYLLABLES: [&str; 24] = [
    "al", "bor", "cu", "dan", "el", "fre", "gas", "hin", "ix", "jor", "ka", "lim", "mor", "nu", "ost", "per", "quin",
    "ras", "sol", "tur", "ul", "ven", "wy", "zet",
];

/// The `n`-th word.
fn word(mut n: usize) -> String {
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES.get(n % SYLLABLES.len()).copied().unwrap_or_default());
        n /= SYLLABLES.len();
        if n == 0 {
            return word;
        }
    }
}

/// Numbers that look chosen at random: xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

/// Events as they come, a microsecond apart.
#[derive(Debug)]
pub struct Workload {
    /// In order.
    pub events: EventBuf,
    ts: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self { events: EventBuf::new(), ts: 1_700_000_000_000_000_000 }
    }
}

impl Workload {
    fn push(&mut self, pid: u32, body: Body<&[u8]>) {
        self.ts += 1000;
        self.events.event(EventRef::new(self.ts, CONTAINER, pid, body));
    }

    fn exec(&mut self, pid: u32, ppid: u32, path: &str) {
        let mut exec = Exec::new(ppid, path.as_bytes());
        exec.uid = Some(0);
        self.push(pid, Body::Exec(exec));
    }

    fn open(&mut self, pid: u32, path: &str, flags: u32) {
        self.push(pid, Body::Open(Open::new(path.as_bytes(), flags, 3)));
    }

    /// Everything that the programs `from..to` do in their lives; none of them exits.
    pub fn lives(mut self, from: usize, to: usize) -> Self {
        self.exec(1, 0, "/bin/sh");
        for program in from..to {
            let pid = FIRST_PID + program as u32;
            let name = word(program);
            self.push(pid, Body::Fork { ppid: 1, ns_pid: None });
            self.exec(pid, 1, &format!("/usr/bin/{name}"));
            for path in files(program) {
                self.open(pid, &path, 0);
            }
            self.open(pid, &format!("/var/log/{name}.log"), 1);
            for n in 0..3 {
                self.open(pid, &format!("/tmp/{name}-{:06x}", program * 7 + n), 2);
            }
            for n in 0..2 {
                let name = format!("{}.internal.example", word(program + n));
                self.push(pid, Body::Dns(Dns::new(name.as_bytes(), 1)));
                let peer = Peer::Ip(IpAddr::V4(Ipv4Addr::new(10, 1, n as u8, program as u8)));
                let op = SocketOp::Connect;
                self.push(pid, Body::Socket(Socket::new(op, peer, 443, Some(Proto::Tcp), 0)));
            }
            let nrs: Vec<u8> = (0..SYSCALLS).flat_map(|nr| (nr * 7 % 330).to_le_bytes()).collect();
            self.push(pid, Body::Syscalls(Syscalls::new(&nrs)));
            self.push(pid, Body::Capability(Capability::new(10, true)));
        }
        self
    }

    /// `count` events of the programs `0..programs` in the mix of a build or a server under load: nearly all opens,
    /// a tenth of them failing, and now and then a worker that is forked, does something and exits.
    pub fn traffic(mut self, programs: usize, count: usize) -> Self {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let all_files: Vec<Vec<String>> = (0..programs).map(files).collect();
        let end = self.events.len() + count;
        while self.events.len() < end {
            let program = numbers.below(programs);
            let pid = FIRST_PID + program as u32;
            match numbers.below(100) {
                0 => {
                    let worker = FIRST_PID + (programs + numbers.below(64)) as u32;
                    self.push(worker, Body::Fork { ppid: pid, ns_pid: None });
                    self.exec(worker, pid, &format!("/usr/bin/{}", word(program)));
                    self.open(worker, "/etc/passwd", 0);
                    self.push(worker, Body::Exit);
                }
                1 => {
                    let name = format!("{}.internal.example", word(program));
                    self.push(pid, Body::Dns(Dns::new(name.as_bytes(), 1)));
                }
                2 => {
                    let peer = Peer::Ip(IpAddr::V4(Ipv4Addr::new(10, 1, 0, program as u8)));
                    let (op, proto) = (SocketOp::Connect, Some(Proto::Tcp));
                    self.push(pid, Body::Socket(Socket::new(op, peer, 443, proto, 0)));
                }
                3 => {
                    let nrs: Vec<u8> = (0..4_u32).flat_map(|nr| (nr * 7).to_le_bytes()).collect();
                    self.push(pid, Body::Syscalls(Syscalls::new(&nrs)));
                }
                4..12 => {
                    self.push(pid, Body::Open(Open::new(b"/usr/lib/absent.so", 0, -2)));
                }
                // A tenth of the names is most of the traffic.
                n => {
                    let files = all_files.get(program).map(Vec::as_slice).unwrap_or_default();
                    let file = if n % 3 == 0 { numbers.below(files.len()) } else { numbers.below(files.len() / 8) };
                    if let Some(path) = files.get(file) {
                        self.open(pid, path, 0);
                    }
                }
            }
        }
        self
    }
}

/// What one program reads: the loader's files, libraries of a pool shared by all, and its own.
fn files(program: usize) -> Vec<String> {
    let mut numbers = Numbers((program as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
    let name = word(program);
    let mut files: Vec<String> = [
        "/etc/ld.so.cache",
        "/etc/passwd",
        "/etc/nsswitch.conf",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/proc/self/status",
    ]
    .map(str::to_owned)
    .into();
    for _ in 0..28 {
        let library = numbers.below(300);
        files.push(format!("/usr/lib/x86_64-linux-gnu/lib{}.so.{}", word(library), library % 4));
    }
    for n in 0..12 {
        files.push(format!("/usr/share/{name}/modules/{}.py", word(n)));
    }
    for n in 0..4 {
        files.push(format!("/var/lib/{name}/{}.db", word(n)));
    }
    files.push(format!("/etc/{name}/{name}.conf"));
    files
}
