//! Models of Grove's lock-free parts: the shipping source, tried in every interleaving of a few threads.
//!
//! `run.sh` runs them in both passes, `kill.sh` shows that they find every fault they are about, in each.
//!
//! A model is here only if there is something of ours to model. The interner is the one part with atomics that decide
//! anything. The shards have none: batches go through crossbeam's bounded channel, behind a gate whose one sending end
//! arc-swap hands out and takes away at shutdown (`shard/gate.rs`); they are recycled through crossbeam's `ArrayQueue`;
//! ledgers and snapshots are published through arc-swap.
//!
//! Not for: the map, which is papaya's own business, the counters, which only count, and anything that takes more than
//! four threads to go wrong.
#![cfg(all(loom, test))]

#[path = "../../engine/src/hash/mod.rs"]
pub mod hash;
#[path = "../../engine/src/intern/mod.rs"]
pub mod intern;
#[path = "../../engine/src/tree/tags.rs"]
pub mod tags;

mod atomics;
mod harness;
mod life;
mod slots;
mod trees;
