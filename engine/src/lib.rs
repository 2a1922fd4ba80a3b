//! Grove learns what each container image does on a Linux host and says when a container does something else.
pub mod config;
pub mod event;
pub mod export;
pub mod intern;
pub mod ledger;
pub mod path;
pub mod profile;
pub mod shard;
mod text;
pub mod trace;
pub mod tree;
