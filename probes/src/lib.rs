//! Live events for Grove: what the kernel tells, whose cgroup it was, and which image that container runs.
//!
//! Not here: what events mean (the `grove` crate), and the command line.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

pub mod check;
pub mod kernel;
pub mod live;
pub mod proc;
pub mod workload;
