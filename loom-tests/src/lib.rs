//! Models of Grove's lock-free parts: the shipping source, tried in every interleaving of a few threads.
//!
//! `run.sh` runs them in both passes, `kill.sh` shows that they find every fault they are about. A model is here
//! only if there is something to model: the shards hand events over through crossbeam's channel and queue and
//! publish snapshots through arc-swap, and have no atomics of their own.
//!
//! Not for: the map, which is papaya's own business, and anything that takes more than three threads to go wrong.
#![cfg(all(loom, test))]

#[path = "../../engine/src/intern/mod.rs"]
pub mod intern;
#[path = "../../engine/src/tree/tags.rs"]
pub mod tags;

mod harness;
mod life;
mod slots;
mod trees;
