//! The activity tree on one core: known and new events beside the naive model, merging, and a profile's way to bytes
//! and back. `cargo bench -p grove-benches --bench tree` takes less than a minute.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grove::event::EventBuf;
use grove::intern::{Interner, TagRef};
use grove::profile::{Profile, decode, encode};
use grove::tree::{ActivityTree, Rules};
use grove_benches::{naive, traffic};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn tag(text: &str) -> TagRef {
    Interner::global().intern(text).unwrap()
}

fn apply(tree: &mut ActivityTree, events: &EventBuf) {
    for stored in events.iter() {
        black_box(tree.insert(&stored.event));
    }
}

fn apply_naive(tree: &mut naive::Tree, events: &EventBuf) {
    for stored in events.iter() {
        black_box(tree.insert(&stored.event));
    }
}

fn learned(events: &[&EventBuf], text: &str) -> ActivityTree {
    let mut tree = ActivityTree::new(Arc::new(Rules::default()), &tag(text));
    events.iter().for_each(|events| apply(&mut tree, events));
    tree
}

/// Events that a tree knows nearly all of: the goal is 5 million a second and core.
fn known(c: &mut Criterion) {
    let mut loads = vec![("synthetic", traffic::lives(), traffic::steady())];
    match traffic::capture() {
        Some(events) => loads.push(("cargo-build", events.clone(), events)),
        None => eprintln!("no captures (GROVE_CAPTURES): only the synthetic load is measured"),
    }
    let mut group = c.benchmark_group("known");
    for (name, before, events) in &loads {
        group.throughput(Throughput::Elements(events.len() as u64));
        let mut tree = learned(&[before, events], "1");
        group.bench_function(format!("grove/{name}"), |b| b.iter(|| apply(&mut tree, events)));
        let mut tree = naive::Tree::new("1.27.1-bookworm");
        apply_naive(&mut tree, before);
        apply_naive(&mut tree, events);
        group.bench_function(format!("naive/{name}"), |b| b.iter(|| apply_naive(&mut tree, events)));
    }
    group.finish();
}

/// A tree from nothing: nearly every event makes nodes.
fn new(c: &mut Criterion) {
    let events = traffic::lives();
    let mut group = c.benchmark_group("new");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("grove", |b| b.iter_with_large_drop(|| learned(&[&events], "1")));
    group.bench_function("naive", |b| {
        b.iter_with_large_drop(|| {
            let mut tree = naive::Tree::new("1.27.1-bookworm");
            apply_naive(&mut tree, &events);
            tree
        });
    });
    group.finish();
}

/// Two trees of 10,000 nodes each, of two tags.
fn merge(c: &mut Criterion) {
    let (one, other) = (learned(&[&traffic::lives()], "1"), learned(&[&traffic::lives()], "2"));
    let mut group = c.benchmark_group("merge");
    group.throughput(Throughput::Elements(other.tree().node_count() as u64));
    let merge = |b: &mut criterion::Bencher<'_>| {
        b.iter_batched(
            || one.tree().clone(),
            |mut tree| {
                tree.merge(other.tree()).unwrap();
                tree
            },
            BatchSize::LargeInput,
        );
    };
    group.bench_function("10k-nodes", merge);
    group.finish();
}

/// To a document, to bytes, and back.
fn profile(c: &mut Criterion) {
    let rules = Arc::new(Rules::default());
    let mut profile = Profile::new("image", rules.clone());
    profile.add_tree(learned(&[&traffic::lives()], "1").tree()).unwrap();
    let doc = profile.to_doc();
    let mut bytes = Vec::new();
    encode(&doc, &mut bytes).unwrap();
    let mut group = c.benchmark_group("profile");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("to_doc", |b| b.iter_with_large_drop(|| profile.to_doc()));
    group.bench_function("encode", |b| {
        let mut out = Vec::with_capacity(bytes.len());
        b.iter(|| {
            out.clear();
            encode(&doc, &mut out).unwrap();
        });
    });
    group.bench_function("decode", |b| b.iter_with_large_drop(|| decode(&bytes).unwrap()));
    let interner = Interner::global();
    group.bench_function("from_doc", |b| {
        b.iter_with_large_drop(|| Profile::from_doc(&doc, rules.clone(), &interner).unwrap());
    });
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(2000))
}

criterion_group! { name = benches; config = quick(); targets = known, new, merge, profile }
criterion_main!(benches);
