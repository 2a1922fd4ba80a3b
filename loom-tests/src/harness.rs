//! Runs one model exhaustively, counts its executions and keeps what it witnessed.

use crate::atomics::rmw_loads;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What a model has witnessed in any of its executions. These atomics are `std`'s: no part of the model.
pub struct Seen(Vec<(&'static str, AtomicBool)>);

impl Seen {
    /// One of the outcomes that the model is about has come to pass, if so.
    pub fn note(&self, so: bool, outcome: &str) {
        let (_, seen) = self.0.iter().find(|(name, _)| *name == outcome).expect("an outcome the model names");
        if so {
            seen.store(true, Relaxed);
        }
    }
}

/// Tries `model` in every interleaving, without a bound on preemptions. In the pass whose loads are
/// read-modify-writes, every one of `outcomes` must have been witnessed: a model that never saw the race
/// proves nothing.
pub fn check(name: &str, outcomes: &[&'static str], model: impl Fn(&Seen) + Send + Sync + 'static) {
    assert!(!outcomes.is_empty(), "{name} is about nothing");
    let seen = Arc::new(Seen(outcomes.iter().map(|outcome| (*outcome, AtomicBool::new(false))).collect()));
    let executions = Arc::new(AtomicU64::new(0));

    // All that the environment could bound is set here.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = None;
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.checkpoint_file = None;
    builder.max_branches = 2_000;
    let (inner_seen, inner_executions) = (seen.clone(), executions.clone());
    builder.check(move || {
        inner_executions.fetch_add(1, Relaxed);
        model(&inner_seen);
    });

    let missing: Vec<_> = seen.0.iter().filter(|(_, seen)| !seen.load(Relaxed)).map(|(name, _)| *name).collect();
    let executions = executions.load(Relaxed);
    println!("\nmodel {name} executions {executions} unseen {missing:?}");
    assert!(executions > 1 || !rmw_loads(), "{name} has one thread");
    assert!(missing.is_empty() || !rmw_loads(), "{name} never witnessed {missing:?}");
}
