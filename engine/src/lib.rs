//! Grove learns what each container image does on a Linux host and says when a container does something else.
//!
//! Its unit is the *activity tree*: which program started which, and under every program the files, sockets, DNS
//! names, system calls and capabilities it used, each stamped with the image tags that did it and when. This crate is
//! the whole of it but for making events: it takes [events](event), from the kernel, a recording or another tool's
//! log, and gives [profiles](profile), one for each image. It cannot tell where an event is from.
//!
//! - [Usage](#usage)
//! - [Guarantees](#guarantees)
//! - [Costs](#costs)
//! - [Modules](#modules)
//!
//! # Usage
//!
//! An [`Engine`] is started from a [`Config`]. Each thread that has events gets a [`Sender`] of its own. A [`Snapshot`]
//! is what is known at one moment.
//!
//! ```
//! use grove::event::{Body, EventRef, Exec, Open};
//! use grove::{Config, Engine, Overflow};
//!
//! // The defaults of this host; `Config::from_env` reads the GROVE_* variables.
//! let mut config = Config::default();
//! config.workers = 2;
//! let engine = Engine::start(&config)?;
//!
//! // `Wait` is for a recording. A live source cannot wait: see `Overflow::Shed`.
//! let mut sender = engine.sender(Overflow::Wait);
//! sender.set_recording(engine.recording(Some("tour"))?);
//! let mut ts = 1_700_000_000_000_000_000;
//! let mut send = |body| {
//!     ts += 1_000_000;
//!     sender.send(EventRef::new(ts, b"c1", 1, body));
//! };
//! send(Body::ContainerStart { image: b"shop", tag: b"1.0" });
//! let mut exec = Exec::new(0, b"/usr/sbin/nginx".as_slice());
//! exec.argv = Some(b"nginx\0-g\0daemon off;\0");
//! exec.uid = Some(0);
//! send(Body::Exec(exec));
//! send(Body::Open(Open::new(b"/etc/nginx/nginx.conf", 0, 3)));
//! send(Body::Open(Open::new(b"/etc/nginx/missing.conf", 0, -2)));
//! // Events travel in batches; this hands over what is in the open ones.
//! sender.flush();
//!
//! // What is known now. The engine goes on; whoever holds the snapshot stops nobody.
//! let snapshot = engine.snapshot();
//! assert_eq!(snapshot.profiles.get("shop").unwrap().to_doc().stats().file_nodes, 1);
//!
//! // Every event is in the ledger once: one attempt failed, so it was ignored.
//! let snapshot = engine.shutdown();
//! assert_eq!((snapshot.ledger.received, snapshot.ledger.ignored_total()), (4, 1));
//! assert!(snapshot.ledger.balances());
//!
//! // A profile as it is written; `Profile::write` makes a file of it.
//! let mut json = Vec::new();
//! grove::profile::encode(&snapshot.profiles.get("shop").unwrap().to_doc(), &mut json)?;
//! let json = String::from_utf8(json)?;
//! assert!(json.starts_with(r#"{"format":"grove-profile","version":2,"image":"shop","tags":{"1.0":"#));
//! assert!(json.contains(r#""files":[{"path":"/etc/nginx/nginx.conf","access":"r","pattern":false"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Shutting down drains the queues and gives the last snapshot. It takes the engine, so nothing can be asked of one
//! that is gone:
//!
//! ```compile_fail,E0382
//! # use grove::{Config, Engine};
//! let engine = Engine::start(&Config::default()).unwrap();
//! let last = engine.shutdown();
//! let later = engine.snapshot();
//! ```
//!
//! To compare instead of learning, [build](Engine::builder) an engine with the profiles to compare with: [`Baselines`].
//! What differs comes one by one through a cursor, [`Engine::findings`], while it runs; all of it, and how often each was
//! done, is in [`Snapshot::findings`]:
//!
//! ```
//! # use grove::event::{Body, EventRef, Open};
//! # use grove::{Baselines, Config, Engine, Overflow};
//! # let event = |body| EventRef::new(1, b"c1", 1, body);
//! # let start = event(Body::ContainerStart { image: b"shop", tag: b"1.0" });
//! # let engine = Engine::start(&Config::default())?;
//! # engine.sender(Overflow::Wait).send(start);
//! let learned = engine.shutdown();
//! // Or of files: `Profile::read`.
//! let baselines = Baselines::of(learned.profiles.values())?;
//!
//! let engine = Engine::builder().check(baselines).start()?;
//! let mut findings = engine.findings();
//! # let mut sender = engine.sender(Overflow::Wait);
//! # sender.send(start);
//! # sender.send(event(Body::Open(Open::new(b"/etc/shadow", 0, 3))));
//! # sender.flush();
//! # engine.snapshot();
//! // … send events …
//! for finding in &mut findings {
//!     println!("{} did {}: {}", finding.container, finding.kind, finding.subject);
//! #   assert_eq!((finding.kind, &*finding.subject), ("open", "/etc/shadow"));
//! }
//! # assert_eq!(engine.shutdown().findings.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A recording, or another tool's log, is fed as it is: [`Engine::feed`] sees from its contents what it is.
//!
//! Where nobody said what a container runs, its image is [`UNKNOWN_IMAGE`]; the host's own is [`HOST_IMAGE`], and a recording
//! without a name is [`UNNAMED_RECORDING`]. What a sender has lost is in its
//! [`losses`](Sender::losses), of which [`total`](Losses::total) is the sum.
//!
//! `engine/examples/` has four programs of one page each: `embed` (four threads that do not wait, snapshots, findings),
//! `check_live`, `feed_file` and `overload`.
//!
//! # Guarantees
//!
//! - **Every event is accounted for.** The [`Ledger`] counts each event as received and once more
//!   under what became of it, and the two agree at any moment. A profile has the ledgers of its containers in it, so
//!   one whose trees had no room for something says so; what was lost before its container was known is in the
//!   engine's ledger.
//! - **The same events give the same bytes**, whatever the number of workers, the order in which events of different
//!   containers came, and the order in which profiles were merged, as long as no event was dropped. Merging is
//!   commutative, associative and idempotent.
//! - **Overload is told.** A sender that does not wait says of each event whether it is lost. Behaviours are lost before
//!   forks, execs, exits and containers' starts and stops, and first those of the container that does most.
//! - **A profile file is the old one or the new one**, whole, whenever the process is killed: [`Profile::write`].
//! - **No [`Config`] panics.** [`Builder::start`] checks it, and says which setting is wrong and what is allowed.
//! - **Input cannot end the process.** Traced processes choose paths, arguments and names. Readers bound the size and
//!   nesting of a record, tables have limits, and a panic in a worker costs its shard, not the others.
//!
//! No async, no network, and no unsafe code but in three files of the interner. The only thing read from the environment is
//! the configuration, and only by [`Config::from_env`](config::Config::from_env). There is no clock: time is what events
//! say.
//!
//! # Costs
//!
//! | operation | cost |
//! |---|---|
//! | [`Sender::send`] | a copy of the event's texts into the open batch; one hand-over a batch |
//! | a file opened again | one pass over the path and one look-up; no allocation |
//! | any other known event | the same order, plus normalising the name |
//! | a node | 40 bytes and its place in an index; its name once per tree |
//! | [`Engine::latest`], [`Engine::ledger`] | no worker is asked |
//! | [`Engine::snapshot`] | the workers copy their trees between two batches: O(nodes) |
//! | [`Findings::next`](Findings) | a lock that workers take for each new finding |
//! | [`Baselines::add`], merging, eviction | O(nodes) |
//!
//! # Modules
//!
//! | module | what it is for |
//! |---|---|
//! | the root | the engine: building it, senders, snapshots, findings |
//! | [`event`] | what happened |
//! | [`profile`] | profiles: merging, documents, files, differences |
//! | [`export`] | a profile for people: tree, graph, differences |
//! | [`ledger`] | where every event went |
//! | [`config`] | every `GROVE_*` variable of the engine, in one table |
//!
//! What Grove's own programs need beside these is public but not shown here, and may change at any time. What is shown
//! changes as semantic versioning says; all of it is in `engine/public-api.txt`.
//!
//! How they fit together, and why, is in `ARCHITECTURE.md`; the formats are in `docs/formats.md`.

// What traced processes send must never stop the engine: its own code indexes and unwraps nothing.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

pub mod config;
pub mod event;
pub mod export;
pub mod ledger;
mod nesting;
pub mod profile;
mod shard;
mod time;

// For Grove's own crates, tests and benches, and no part of the API: it may change at any time.
#[doc(hidden)]
pub mod behaviour;
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod hash;
#[doc(hidden)]
pub mod intern;
#[doc(hidden)]
pub mod names;
#[doc(hidden)]
pub mod path;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod trace;
#[doc(hidden)]
pub mod tree;

pub use config::Config;
pub use event::{Event, EventRef, RecordingId, UNKNOWN_IMAGE};
pub use ledger::Ledger;
pub use profile::{Baselines, Finding, Profile};
pub use shard::{
    Builder, Engine, Findings, HOST_IMAGE, Limits, Losses, Overflow, Sender, Sent, Snapshot, StartError,
    TooManyRecordings, UNNAMED_RECORDING,
};
pub use trace::input::{Compression, InputError};
pub use trace::{FeedError, FeedSummary, Format, Reject, UnknownFormat};
