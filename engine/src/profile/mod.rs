//! Profiles: all that is known of one image, as data and as files.
//!
//! [`ProfileDoc`] is the written form field by field. [`encode()`] and [`decode()`] turn it into bytes and back,
//! [`read`] and [`write`] do so with files, and [`diff()`] tells two apart.

mod cursor;
mod decode;
mod diff;
mod doc;
mod encode;
mod store;
mod time;

#[cfg(test)]
pub(crate) mod fixtures;

#[cfg(test)]
mod tests;

pub use decode::{DecodeError, decode};
pub use diff::{Difference, Kind, Lineage, Side, diff, diff_tags};
pub use doc::{
    CapabilityDoc, DnsDoc, FORMAT, FileDoc, MAX_DEPTH, ProcessDoc, ProfileDoc, Seen, SocketDoc, State, Stats,
    SyscallDoc, TagDoc, VERSION,
};
pub use encode::encode;
pub use store::{DECODED_BYTES_MAX, ReadError, WriteError, read, write};
pub use time::{Time, TimeError};
