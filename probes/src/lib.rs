//! Live events for Grove: what the kernel tells, whose cgroup it was, and which image that container runs.
//!
//! Not here: what events mean (the `grove` crate), and the command line.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

// The programs in the kernel read the registers of this architecture and are compiled for it; names of system calls
// are its own.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("grove-probes watches Linux on x86-64 only; elsewhere use the `grove` crate, which reads recordings");

pub mod check;
pub mod config;
pub mod kernel;
pub mod live;
pub mod proc;
pub mod workload;
