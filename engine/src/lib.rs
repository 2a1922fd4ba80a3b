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
//! An [`Engine`](shard::Engine) is started from a [`Config`](config::Config). Each thread that has events gets a
//! [`Sender`](shard::Sender) of its own. A [`Snapshot`](shard::Snapshot) is what is known at one moment.
//!
//! ```
//! use grove::config::Config;
//! use grove::event::{Body, EventRef, Exec, Open};
//! use grove::shard::{Engine, Overflow};
//!
//! // The defaults of this host; `Config::from_env` reads the GROVE_* variables.
//! let mut config = Config::default();
//! config.workers = 2;
//! config.validate()?;
//! let engine = Engine::start(&config)?;
//!
//! // `Wait` is for a recording. The kernel does not wait: `Drop` loses whole batches, and counts what was in them.
//! let mut sender = engine.sender(Overflow::Wait);
//! sender.set_recording(engine.recording(Some("tour"))?);
//! let mut ts = 1_700_000_000_000_000_000;
//! let mut send = |body| {
//!     ts += 1_000_000;
//!     sender.send(EventRef { ts, container: b"c1", pid: 1, start: None, body });
//! };
//! send(Body::ContainerStart { image: b"shop", tag: b"1.0" });
//! send(Body::Exec(Exec {
//!     ppid: 0,
//!     path: b"/usr/sbin/nginx",
//!     argv: Some(b"nginx\0-g\0daemon off;\0"),
//!     uid: Some(0),
//!     ..Exec::default()
//! }));
//! send(Body::Open(Open { path: b"/etc/nginx/nginx.conf", flags: 0, ret: 3, map: false }));
//! send(Body::Open(Open { path: b"/etc/nginx/missing.conf", flags: 0, ret: -2, map: false }));
//! // Events travel in batches; this hands over what is in the open ones.
//! sender.flush();
//!
//! // What is known now. The engine goes on; whoever holds the snapshot stops nobody.
//! let snapshot = engine.snapshot();
//! assert_eq!(snapshot.profiles.get("shop").unwrap().tree().stats().file_nodes, 1);
//!
//! // Every event is in the ledger once: one attempt failed, so it was ignored.
//! let snapshot = engine.shutdown();
//! assert_eq!((snapshot.ledger.received, snapshot.ledger.ignored_total()), (4, 1));
//! assert!(snapshot.ledger.balances());
//!
//! // A profile as it is written: see `profile::write` for files.
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
//! # use grove::{config::Config, shard::Engine};
//! let engine = Engine::start(&Config::default()).unwrap();
//! let last = engine.shutdown();
//! let later = engine.snapshot();
//! ```
//!
//! To compare instead of learning, start with [`Mode::Check`](shard::Mode::Check) and the trees of the profiles, by
//! image. What differs is in [`Snapshot::findings`](shard::Snapshot::findings):
//!
//! ```
//! # use grove::{config::Config, intern::Interner, profile::Profile, tree::Rules};
//! # use grove::shard::{Engine, Mode, Overflow};
//! # use grove::event::{Body, EventRef, Open};
//! # use std::sync::Arc;
//! # let config = Config::default();
//! # let learned = Profile::new("shop", Arc::new(Rules::new(&config)?));
//! let baselines = [("shop".to_owned(), learned.tree().clone())].into_iter().collect();
//! let engine = Engine::start_with(&config, Mode::Check(Arc::new(baselines)), Interner::global())?;
//! # let mut sender = engine.sender(Overflow::Wait);
//! # let event = |body| EventRef { ts: 1, container: b"c1".as_slice(), pid: 1, start: None, body };
//! # sender.send(event(Body::ContainerStart { image: b"shop", tag: b"1.0" }));
//! # sender.send(event(Body::Open(Open { path: b"/etc/shadow", flags: 0, ret: 3, map: false })));
//! # sender.flush();
//! // … send events …
//! for finding in &engine.shutdown().findings {
//!     println!("{} did {}: {}", finding.container, finding.kind, finding.subject);
//! #   assert_eq!((finding.kind, &*finding.subject), ("open", "/etc/shadow"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Recordings and other tools' logs become events through [`trace`]: [`trace::input`] cuts a file into records,
//! [`trace::detect_records`] tells its format, and [`trace::Feed`] decodes it into a sender.
//!
//! # Guarantees
//!
//! - **Every event is accounted for.** The [`Ledger`](ledger::Ledger) counts each event as received and once more
//!   under what became of it, and the two agree at any moment. A profile has the ledgers of its containers in it, so
//!   one whose trees had no room for something says so; what was lost before its container was known is in the
//!   engine's ledger.
//! - **The same events give the same bytes**, whatever the number of workers, the order in which events of different
//!   containers came, and the order in which profiles were merged, as long as no event was dropped. Merging is
//!   commutative, associative and idempotent.
//! - **An id stays what it was.** A [`TagId`](intern::TagId) is never handed out again in the life of the process, and
//!   a tag that a tree holds resolves.
//! - **A dry run changes nothing**: [`ActivityTree::contains`](tree::ActivityTree::contains) takes `&self`.
//! - **A profile file is the old one or the new one**, whole, whenever the process is killed:
//!   [`profile::write`], [`files`].
//! - **Input cannot end the process.** Traced processes choose paths, arguments and names. Readers bound the size and
//!   nesting of a record, tables have limits, and a panic in a worker costs its shard, not the others.
//!
//! No async, no network, and no unsafe code but in two files of the interner. The only thing read from the environment is
//! the configuration, and only by [`Config::from_env`](config::Config::from_env). There is no clock: time is what events
//! say.
//!
//! # Costs
//!
//! | operation | cost |
//! |---|---|
//! | [`Sender::send`](shard::Sender::send) | a copy of the event's texts into the open batch; one hand-over a batch |
//! | a file opened again | one pass over the path and one look-up; no allocation |
//! | any other known event | the same order, plus normalising the name |
//! | a node | 40 bytes and its place in an index; its name once per tree |
//! | [`Engine::latest`](shard::Engine::latest), [`Engine::ledger`](shard::Engine::ledger) | no worker is asked |
//! | [`Engine::snapshot`](shard::Engine::snapshot) | the workers copy their trees between two batches: O(nodes) |
//! | merge, eviction | O(nodes) |
//!
//! # Modules
//!
//! | module | what it is for |
//! |---|---|
//! | [`event`] | what happened, and buffers of it that cross threads |
//! | [`trace`] | reading native traces and other tools' logs, writing native traces |
//! | [`shard`] | the engine: senders, queues, workers, snapshots |
//! | [`tree`] | one container's activity tree, and the process table that feeds it |
//! | [`path`] | how names are written, normalised and generalised |
//! | [`intern`] | tags: one counted id for each, found without a lock |
//! | [`profile`] | profiles: merging, documents, files, differences, drift |
//! | [`export`] | a profile for people: tree, graph, differences |
//! | [`files`] | files that are whole or not there, in directories that others look into |
//! | [`ledger`] | where every event went |
//! | [`text`] | text that a traced process chose, made safe to show |
//! | [`config`] | every `GROVE_*` variable, in one table |
//!
//! How they fit together, and why, is in `ARCHITECTURE.md`; the formats are in `docs/formats.md`.

// What traced processes send must never stop the engine: its own code indexes and unwraps nothing.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

pub mod behaviour;
pub mod config;
pub mod event;
pub mod export;
pub mod files;
pub mod hash;
pub mod intern;
pub mod ledger;
pub mod names;
mod nesting;
pub mod path;
pub mod profile;
pub mod shard;
pub mod text;
mod time;
pub mod trace;
pub mod tree;
