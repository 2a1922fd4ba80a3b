//! A source that cannot wait and is faster than the workers: what it loses, and who says so.
//!
//! `cargo run --release --example overload`

use grove::event::{Body, EventRef, Exec, Open};
use grove::ledger::Dropped;
use grove::{Config, Engine, Overflow, Sent};
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    run(1_000_000, &mut std::io::stdout())
}

/// Sends so many opens of one container and few of another, and tells `out` what was lost.
pub fn run(opens: u64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut config = Config::from_env()?;
    (config.workers, config.queue_batches, config.batch_events) = (1, 2, 32);
    let engine = Engine::start(&config)?;
    let recording = engine.recording(Some("overload"))?;
    let mut sender = engine.sender(Overflow::Shed);
    sender.set_recording(recording);
    let mut send =
        |ts, container: &str, body: Body<&[u8]>| sender.send(EventRef::new(ts, container.as_bytes(), 1, body));

    let mut lost = 0;
    for container in ["busy", "quiet"] {
        // Never lost while there is a behaviour that could be.
        send(1, container, Body::ContainerStart { image: container.as_bytes(), tag: b"1" });
        send(2, container, Body::Exec(Exec::new(0, b"/bin/app".as_slice())));
    }
    for n in 0..opens {
        let path = format!("/data/{}", n % 10_000);
        let open = |path| Body::Open(Open::new(path, 0, 3));
        lost += u64::from(send(3 + n, "busy", open(path.as_bytes())) == Sent::Lost);
        if n % 10_000 == 0 {
            let sent = send(3 + n, "quiet", open(path.as_bytes()));
            assert_eq!(sent, Sent::Taken, "what one container does costs another one nothing");
        }
    }
    writeln!(out, "the sender says: {lost} lost: {:?}", sender.losses().iter().collect::<Vec<_>>())?;
    drop(sender); // waits until what it has kept is taken
    for (image, profile) in &engine.shutdown().profiles {
        let ledger = profile.to_doc().ledger();
        writeln!(out, "{image}: {} received, {} lost", ledger.received, ledger.dropped(Dropped::QueueFull))?;
    }
    Ok(())
}
