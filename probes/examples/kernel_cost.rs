//! What the kernel side costs: nanoseconds for a pair of open and close under several settings, and how many events a
//! second are delivered from two busy loops with how much of a core. One JSON object a line. Needs root.
//!
//!     cargo run --release -p grove-probes --example kernel_cost [PAIRS [PATH]]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use grove_probes::kernel::{Cause, Class, Classes, Options, Probes, Scope};
use rustix::time::{ClockId, clock_gettime};

/// What a loop runs: as lean as it gets, so that the calls' own cost shows.
const LOOP: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    long n = atol(argv[1]), best = 0;
    for (int round = 0; round < 5; round++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (long i = 0; i < n / 5; i++)
            close(open(argv[2], O_RDONLY));
        clock_gettime(CLOCK_MONOTONIC, &b);
        long ns = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
        if (!best || ns < best)
            best = ns;
    }
    printf("%.1f", best / (n / 5.0));
    return argc != 3;
}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let pairs = args.next().unwrap_or_else(|| "1000000".into());
    let path = args.next().unwrap_or_else(|| "/usr/share/doc/base-files/README".into());
    let dir = std::env::temp_dir().join(format!("grove-kernel-cost-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let program = dir.join("loop");
    std::fs::write(dir.join("loop.c"), LOOP)?;
    if !Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(dir.join("loop.c")).status()?.success() {
        return Err("cc failed".into());
    }
    let start = || Command::new(&program).args([&pairs, &path]).stdout(Stdio::piped()).spawn();

    let bare = run(None, 1, &start)?;
    println!(r#"{{"setting":"nothing attached","ns_per_pair":{:.0}}}"#, bare.ns);
    let full = Options { dedup: None, ..Options::default() };
    let settings = [
        ("attached, nobody in scope", Options { scope: Scope::Cgroups, ..full.clone() }),
        ("every repeat left out", Options::default()),
        ("every event, all classes", full.clone()),
        ("every event, no system calls", Options { classes: Classes::ALL.without(Class::Syscalls), ..full.clone() }),
    ];
    for (setting, options) in settings {
        let got = run(Some(&options), 1, &start)?;
        println!(
            r#"{{"setting":"{setting}","ns_per_pair":{:.0},"ns_added":{:.0},"delivered":{},"lost":{},"repeats":{}}}"#,
            got.ns,
            got.ns - bare.ns,
            got.delivered,
            got.lost,
            got.repeats
        );
    }
    let got = run(Some(&full), 2, &start)?;
    println!(
        r#"{{"setting":"two loops, every event","delivered_per_s":{:.0},"lost":{},"consumer_core_percent":{:.1},"consumer_ns_per_event":{:.0}}}"#,
        got.delivered as f64 / got.seconds,
        got.lost,
        got.consumer_seconds / got.seconds * 100.0,
        got.consumer_seconds * 1e9 / got.delivered.max(1) as f64,
    );
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

#[derive(Default)]
struct Got {
    ns: f64,
    delivered: u64,
    lost: u64,
    repeats: u64,
    seconds: f64,
    consumer_seconds: f64,
}

/// Runs so many loops to their end, draining every 10 ms meanwhile.
fn run(
    options: Option<&Options>,
    loops: usize,
    start: &dyn Fn() -> std::io::Result<Child>,
) -> Result<Got, Box<dyn std::error::Error>> {
    let mut got = Got::default();
    let mut probes = options.map(Probes::attach).transpose()?;
    let mut loops = (0..loops).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let (began, cpu) = (seconds(ClockId::Monotonic), seconds(ClockId::ThreadCPUTime));
    let mut running = true;
    while running {
        running = false;
        for child in &mut loops {
            running |= child.try_wait()?.is_none();
        }
        if let Some(p) = &mut probes {
            got.delivered += p
                .drain(&mut |r| {
                    std::hint::black_box(&r);
                })
                .records;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    got.seconds = seconds(ClockId::Monotonic) - began;
    got.consumer_seconds = seconds(ClockId::ThreadCPUTime) - cpu;
    if let Some(p) = &mut probes {
        got.delivered += p.drain(&mut |_| {}).records;
        p.counts(&mut |c| if c.cause == Cause::Repeat { got.repeats += c.n } else { got.lost += c.n });
    }
    for mut child in loops {
        let mut text = String::new();
        child.stdout.take().ok_or("no output")?.read_to_string(&mut text)?;
        got.ns = got.ns.max(text.trim().parse()?);
    }
    Ok(got)
}

fn seconds(clock: ClockId) -> f64 {
    let t = clock_gettime(clock);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
