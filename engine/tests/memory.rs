//! What a tree costs, counted by the allocator and not estimated: bytes a node, whether the tree's own figure is the
//! allocator's, and whether letting a tag go gives every byte back.
//!
//! A test binary of its own, with one test: whatever else allocates would be counted too.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "common/workload.rs"]
mod workload;

use grove::intern::Interner;
use grove::tree::{ActivityTree, Rules, Tree};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use workload::Workload;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes allocated and not given back.
fn held() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

/// Programs of the one tag, and how many of them the other runs too.
const PROGRAMS: usize = 660;
const SHARED: usize = PROGRAMS / 5;

/// The nodes that the issue names.
const NODES_MIN: usize = 70_000;

/// Most bytes a node, names apart.
const NODE_BYTES_MAX: f64 = 64.0;

fn container(rules: &Arc<Rules>, interner: &Interner, tag: &str, programs: usize) -> Tree {
    let mut tree = ActivityTree::new(rules.clone(), &interner.intern(tag).unwrap());
    for stored in Workload::default().lives(0, programs).events.iter() {
        tree.insert(&stored.event);
    }
    tree.tree().clone()
}

#[test]
fn a_large_tree_is_small_and_gives_back_what_it_took() {
    let (rules, interner) = (Arc::new(Rules::default()), Interner::new());
    let first = container(&rules, &interner, "1.27.0", PROGRAMS);
    let second = container(&rules, &interner, "1.27.1", SHARED);

    let before = held();
    let mut tree = Tree::new(rules);
    tree.merge(&first).unwrap();
    tree.merge(&second).unwrap();
    let counted = held() - before;

    let nodes = tree.node_count();
    assert!(nodes >= NODES_MIN, "the workload makes only {nodes} nodes");
    let both = tree.tag_uses("1.27.1") as f64 / tree.tag_uses("1.27.0") as f64;
    assert!((0.18..0.22).contains(&both), "{both} of the records are of both tags");
    let per_node = (counted as f64 - tree.name_bytes() as f64) / nodes as f64;
    println!(
        "{nodes} nodes, {:.1} % of the seen ones by two tags: {counted} bytes counted by the allocator, {} by the tree, \
         {} of them names; {per_node:.1} bytes a node, names apart",
        both * 100.0,
        tree.heap_bytes(),
        tree.name_bytes(),
    );
    assert!(per_node <= NODE_BYTES_MAX, "{per_node:.1} bytes a node");
    let off = (tree.heap_bytes() as f64 - counted as f64).abs() / counted as f64;
    assert!(off < 0.02, "the tree says {} bytes, the allocator {counted}", tree.heap_bytes());

    // Compact, with one tag; then another one comes and goes. The table of moved processes and the like are gone too.
    tree.evict_tag("1.27.1");
    let (start, start_bytes) = (held(), tree.heap_bytes());
    tree.merge(&second).unwrap();
    assert!(held() > start);
    tree.evict_tag("1.27.1");
    assert_eq!((held(), tree.heap_bytes()), (start, start_bytes), "what eviction gives back");

    drop((tree, first, second));
    let rest = interner.len();
    assert_eq!(rest, 0, "tags are held by nobody");
}
