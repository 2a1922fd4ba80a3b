//! Profiles: all that is known of one image, as data and as files.
//!
//! A [`Profile`] is a tree with ledgers; [`ProfileDoc`] is its written form field by field. [`encode()`] and
//! [`decode()`] turn that into bytes and back, [`read()`] and [`write()`] do so with files, [`file_name()`] says what an
//! image's file is called, [`diff()`] tells two apart, and [`drift`] compares what a container does now.

mod convert;
mod decode;
mod decode_error;
mod diff;
mod doc;
#[doc(hidden)]
pub mod drift;
mod encode;
mod image;
mod lineage;
mod name;
mod states;
mod store;
mod version_1;
mod weigh;

#[cfg(test)]
pub(crate) mod fixtures;

#[cfg(test)]
mod tests;

pub use convert::TakeError;
pub use decode::{decode, decode_within};
pub use decode_error::DecodeError;
pub use diff::{Difference, Side, diff, diff_tags};
pub use doc::*;
pub(crate) use doc::{Look, interpreter_name};
pub use drift::{Baselines, Detail, Finding, Reason};
pub use encode::{Encode, encode};
pub use image::Profile;
pub use lineage::Lineage;
pub use name::file_name;
pub use states::{State, States};
pub use store::{READ_BYTES_MAX, ReadError, WriteError, read, read_both, read_file, read_within, write, write_into};

pub use crate::behaviour::{Seen, Stats};
pub use crate::time::{Time, TimeError};
pub use crate::tree::TreeFull;
