//! The program that does one thing by its bare system call: `child.c` and what is behind it, compiled once by the C
//! compiler that Rust links with.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const SOURCE: &[u8] = concat!(include_str!("child.c"), include_str!("calls.c"), include_str!("peers.c")).as_bytes();

/// For this host.
pub fn child() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("child", &[]))
}

/// For a root file system without libraries.
pub fn static_child() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("static-child", &["-static"]))
}

fn build(name: &str, flags: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // One for each test crate, since another's may run at the same time; and whole, whoever else builds it.
    let out = dir.join(format!("{name}-{}", env!("CARGO_CRATE_NAME")));
    let made = dir.join(format!("{name}-{}", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-pthread", "-Wall", "-x", "c", "-"]).args(flags).arg("-o").arg(&made).stdin(Stdio::piped());
    let mut cc = cc.spawn().expect("a C compiler");
    cc.stdin.take().expect("a pipe").write_all(SOURCE).expect("the source is read");
    assert!(cc.wait().expect("its end").success(), "child.c does not compile with {flags:?}");
    std::fs::rename(&made, &out).expect("the program");
    out
}
