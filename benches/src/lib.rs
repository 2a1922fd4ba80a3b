//! What the benchmarks have in common: the events they apply and the model they compare with.
//!
//! `cargo bench -p grove-benches` runs them. Nothing here is part of Grove.

pub mod counting;
pub mod naive;
pub mod traffic;

#[path = "../../engine/tests/common/workload.rs"]
pub mod workload;
