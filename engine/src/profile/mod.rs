//! Profiles: all that is known of one image, as data and as files.
//!
//! A [`Profile`] is a tree with ledgers; [`ProfileDoc`] is its written form field by field. [`encode()`] and
//! [`decode()`] turn that into bytes and back, [`read()`] and [`write()`] do so with files, [`file_name()`] says what an
//! image's file is called, [`diff()`] tells two apart, and [`drift`] compares what a container does now.

mod convert;
mod cursor;
mod decode;
mod diff;
mod doc;
pub mod drift;
mod encode;
mod image;
mod lineage;
mod name;
mod seen;
mod states;
mod store;
mod time;

#[cfg(test)]
pub(crate) mod fixtures;

#[cfg(test)]
mod tests;

pub use convert::TakeError;
pub use decode::{DecodeError, decode, decode_within};
pub use diff::{Difference, Kind, Side, diff, diff_tags};
pub(crate) use doc::interpreter_name;
pub use doc::{
    CapabilityDoc, DnsDoc, FORMAT, FileDoc, Ledgers, MAX_DEPTH, ProcessDoc, ProfileDoc, SocketDoc, State, Stats,
    SyscallDoc, TagDoc, VERSION,
};
pub use encode::{Encode, encode};
pub use image::{CLASSES, Profile};
pub use lineage::Lineage;
pub use name::file_name;
pub use seen::Seen;
pub use states::States;
pub use store::{READ_BYTES_MAX, ReadError, WriteError, read, read_both, read_file, read_within, write, write_into};
pub use time::{Time, TimeError};
