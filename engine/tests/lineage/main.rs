//! The rules of identity, one test each: which process is which, what makes two programs one node, and what two
//! behaviours.
//!
//! Not here: what generalises (`generalise`), and what must hold whatever happens (`invariants`).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod behaviours;
mod processes;
mod programs;
