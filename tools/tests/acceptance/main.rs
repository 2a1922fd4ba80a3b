//! The built `grove` command as a user meets it: files in, profiles, findings, messages and exit codes out.
//!
//! Each module is one side of the public contract. What the library does inside is tested beside the library.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../engine/tests/common/skips.rs"]
mod skips;
mod support;

mod bad_files;
mod bad_lines;
mod captures;
mod check;
mod containers;
mod convert;
mod ending;
mod floods;
mod foreign;
mod hostile_directory;
mod hostile_names;
mod inputs;
mod keys;
mod kinds;
mod memory;
mod nothing;
mod output;
mod profile_bombs;
mod profiles;
mod shapes;
mod streams;
