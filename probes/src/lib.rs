//! Live events for Grove: what the kernel tells, whose cgroup it was, and which image that container runs.
//!
//! Not here: what events mean (the `grove` crate), and the command line.

pub mod kernel;
