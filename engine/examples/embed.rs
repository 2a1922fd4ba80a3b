//! Grove inside another program: two threads that have events, a look while they run, and what was learned.
//!
//! `cargo run --example embed`

use grove::config::Config;
use grove::event::{Body, EventRef, Exec, Open};
use grove::profile::encode;
use grove::shard::{Engine, Overflow};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", learn()?);
    Ok(())
}

/// Two containers of one image, each observed by a thread of its own; returns the image's profile as JSON.
pub fn learn() -> Result<String, Box<dyn Error>> {
    let engine = Engine::start(&Config::from_env()?)?;
    let recording = engine.recording(Some("example"))?;
    thread::scope(|scope| {
        for container in ["web-1", "web-2"] {
            let mut sender = engine.sender(Overflow::Wait);
            sender.set_recording(recording);
            scope.spawn(move || {
                let path = b"/usr/sbin/nginx".as_slice();
                let nginx = Exec { path, uid: Some(0), ..Exec::default() };
                let bodies: [Body<&[u8]>; 3] = [
                    Body::ContainerStart { image: b"nginx", tag: b"1.27" },
                    Body::Exec(nginx),
                    Body::Open(Open { path: b"/etc/nginx/nginx.conf", flags: 0, ret: 3, map: false }),
                ];
                for (ts, body) in (1_700_000_000_000_000_000..).zip(bodies) {
                    sender.send(EventRef { ts, container: container.as_bytes(), pid: 1, start: None, body });
                }
            });
        }
    });
    eprintln!("so far: {} events", engine.snapshot().ledger.received);

    let end = engine.shutdown();
    eprintln!("in all: {} received, {} lost", end.ledger.received, end.ledger.dropped_total());
    let profile = end.profiles.get("nginx").ok_or("nothing was learned")?;
    let mut json = Vec::new();
    encode(&profile.to_doc(), &mut json)?;
    Ok(String::from_utf8(json)?)
}
