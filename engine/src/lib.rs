//! Grove learns what each container image does on a Linux host and says when a container does something else.
pub mod event;
pub mod export;
pub mod ledger;
pub mod profile;
pub mod text;
pub mod trace;
