//! Grove inside another program: four threads learn an image, four more are checked against what was learned.
//!
//! `cargo run --example embed`

use grove::event::{Body, EventRef, Exec, Open};
use grove::{Baselines, Config, Engine, Overflow, Sent};
use std::{error::Error, io::Write, thread};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout())
}

/// Does it, and tells `out` what came of it.
pub fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // Learn: one profile an image.
    let mut config = Config::from_env()?;
    config.workers = 2;
    let engine = Engine::start(&config)?;
    let lost = observe(&engine, &["/etc/nginx/nginx.conf", "/var/www/index.html"])?;
    writeln!(out, "while it runs: {} images", engine.snapshot().profiles.len())?;
    let learned = engine.shutdown();
    let nginx = learned.profiles.get("nginx").ok_or("nothing was learned")?;
    writeln!(out, "learned: {:?}, {lost} events lost", nginx.to_doc().stats())?;

    // Check: findings as they are made, and all of them in the end.
    let engine = Engine::builder().config(&config).check(Baselines::of(learned.profiles.values())?).start()?;
    let mut findings = engine.findings();
    observe(&engine, &["/var/www/index.html", "/etc/shadow"])?;
    engine.snapshot(); // what was sent before it is checked by then
    for finding in &mut findings {
        writeln!(out, "{} {}: {} {}", finding.image, finding.container, finding.kind, finding.subject)?;
    }
    writeln!(out, "{} findings, {} not read in time", engine.shutdown().findings.len(), findings.missed())?;
    Ok(())
}

/// Four containers of one image, each observed by a thread of its own that never waits; how many events it lost.
fn observe(engine: &Engine, files: &[&str]) -> Result<u64, Box<dyn Error>> {
    let recording = engine.recording(Some("example"))?;
    let lost = thread::scope(|scope| {
        let observers: Vec<_> = (1..=4)
            .map(|n| {
                let mut sender = engine.sender(Overflow::Shed);
                sender.set_recording(recording);
                scope.spawn(move || {
                    let container = format!("web-{n}");
                    let mut send =
                        |ts, body: Body<&[u8]>| sender.send(EventRef::new(ts, container.as_bytes(), 1, body));
                    send(1, Body::ContainerStart { image: b"nginx", tag: b"1.27" });
                    send(2, Body::Exec(Exec::new(0, b"/usr/sbin/nginx".as_slice())));
                    let open = |path| Body::Open(Open::new(path, 0, 3));
                    let sent = (3..).zip(files).map(|(ts, file)| send(ts, open(file.as_bytes())));
                    sent.filter(|sent| *sent == Sent::Lost).count() as u64
                })
            })
            .collect();
        observers.into_iter().map(|observer| observer.join().unwrap_or(0)).sum()
    });
    Ok(lost)
}
