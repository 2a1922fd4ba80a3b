//! Profiles: all that is known of one image, as data and as files.
//!
//! A [`Profile`] is a tree with ledgers; [`ProfileDoc`] is its written form field by field. [`encode()`] and
//! [`decode()`] turn that into bytes and back, [`read()`] and [`write()`] do so with files, [`file_name()`] says what an
//! image's file is called, [`diff()`] tells two apart, and [`Baselines`] are what an engine checks containers against.
//!
//! ```
//! use grove::export::{Palette, changes, json_line};
//! use grove::profile::{Profile, Side, diff, file_name};
//! # use grove::event::{Body, EventRef, Exec, Open};
//! # use grove::{Config, Engine, Overflow};
//! # let learn = |tag: &'static [u8], file: &'static [u8]| {
//! #     let engine = Engine::start(&Config::default()).unwrap();
//! #     let mut sender = engine.sender(Overflow::Wait);
//! #     sender.send(EventRef::new(1, b"c", 0, Body::ContainerStart { image: b"team/shop", tag }));
//! #     sender.send(EventRef::new(2, b"c", 1, Body::Exec(Exec::new(0, b"/bin/shop"))));
//! #     sender.send(EventRef::new(3, b"c", 1, Body::Open(Open::new(file, 0, 3))));
//! #     sender.flush();
//! #     Profile::clone(engine.shutdown().profiles.values().next().unwrap())
//! # };
//! # let (mut learned, today) = (learn(b"1", b"/etc/shop.conf"), learn(b"2", b"/etc/shadow"));
//! # let directory = tempfile::tempdir()?;
//! // Learned by an engine: `snapshot.profiles`. In a file, by the image's name:
//! let path = directory.path().join(file_name(learned.image()));
//! learned.write(&path)?;
//! let read = Profile::read(&path, &Config::default())?;
//! assert_eq!((read.image(), read.is_partial()), ("team/shop", false));
//!
//! // What is new, as data, for people, and as a line of JSON for programs.
//! let differences = diff(&read.to_doc(), &today.to_doc());
//! let new = differences.iter().find(|d| d.side == Side::OnlyB).unwrap();
//! assert_eq!((new.kind, &*new.subject), ("file", "/etc/shadow"));
//! changes(&differences, &Palette::colours(), &mut std::io::stdout())?;
//! json_line(new, &mut std::io::stdout())?;
//!
//! // Both together. What it was learned from is told by recording.
//! learned.merge(&today)?;
//! let doc = learned.to_doc();
//! assert_eq!((doc.tags.len(), doc.stats().file_nodes), (2, 2));
//! let file = &doc.processes[0].files[1];
//! assert_eq!((&*file.path, file.seen.tags().collect::<Vec<_>>()), ("/etc/shop.conf", vec!["1"]));
//! assert!(learned.ledgers().values().all(|ledger| ledger.balances()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod convert;
mod decode;
mod decode_error;
mod diff;
mod doc;
#[doc(hidden)]
pub mod drift;
mod encode;
mod estimate;
mod image;
mod lineage;
mod name;
mod states;
mod store;
mod version_1;

#[cfg(test)]
pub(crate) mod fixtures;

#[cfg(test)]
mod tests;

pub use convert::ImportError;
pub use decode::{decode, decode_within};
pub use decode_error::DecodeError;
pub use diff::{Difference, Side, diff, diff_tags};
pub use doc::*;
pub(crate) use doc::{VisitLists, interpreter_name};
pub use drift::{Baselines, Detail, Finding, Reason};
pub use encode::{Encode, encode};
pub use image::Profile;
pub use lineage::Lineage;
pub use name::file_name;
pub use states::{State, States};
#[doc(hidden)]
pub use store::{READ_BYTES_MAX, read_both, read_file, write_into};
pub use store::{ReadError, WriteError, read, read_within, write};

pub use crate::behaviour::{Seen, Stats, Value, Volume};
pub use crate::intern::Full as TagsFull;
pub use crate::time::{Time, TimeError};
pub use crate::tree::TreeFull;
