//! Names that are crafted against a known key cost nothing in a tree's tables.
//!
//! What counts is how many entries a look-up compares a name with: those on its way that have the same seven bits.
#![allow(clippy::unwrap_used)]

use super::Tree;
use super::arena::ROOT;
use super::node::Role;
use crate::hash::Keyed;
use crate::hash::crafted::{assert_compared, name, numbers};
use crate::intern::Interner;
use hashbrown::HashTable;
use std::sync::Arc;

/// A tree whose tables hash with a key of the process, or with the one that is known.
fn tree(known: bool) -> Tree {
    let mut tree = Tree::new(Arc::default());
    if known {
        let key = Keyed::known();
        (tree.arena.hasher, tree.arena.names.hasher, tree.arena.tags.hasher) = (key, key, key);
    }
    tree
}

fn compared<T>(table: &HashTable<T>, hashes: impl Iterator<Item = u64>) -> usize {
    hashes.map(|hash| table.iter_hash(hash).count()).sum()
}

#[test]
fn nodes_with_names_crafted_against_a_known_key_are_found_at_once() {
    let attacked = tree(true);
    let kinds = [Role::FilePath, Role::DnsLabel, Role::ExecPath];
    for kind in kinds {
        let hash = |tree: &Tree, name: &str| tree.arena.hasher.finish(tree.arena.first(ROOT, kind, name.as_bytes()));
        let names: Vec<String> = numbers(|n| hash(&attacked, &name(n))).into_iter().map(name).collect();
        for known in [false, true] {
            let mut tree = tree(known);
            for name in &names {
                let added = tree.arena.get_or_insert_named(ROOT, kind, name.as_bytes(), Ok::<(), ()>(()));
                assert!(added.is_ok_and(|(_, added)| added));
            }
            assert_compared(compared(&tree.arena.index, names.iter().map(|name| hash(&tree, name))), known);
        }
    }
}

#[test]
fn names_crafted_against_a_known_key_are_found_at_once() {
    let names: Vec<String> = numbers(|n| Keyed::known().bytes(name(n).as_bytes())).into_iter().map(name).collect();
    let interner = Interner::new();
    for known in [false, true] {
        let mut tree = tree(known);
        for name in &names {
            tree.arena.names.intern(name.as_bytes());
            tree.arena.tags.own(&interner.intern(name).unwrap()).unwrap();
        }
        let names_table = &tree.arena.names;
        let hashes = |hasher: Keyed| names.iter().map(move |name| hasher.bytes(name.as_bytes()));
        assert_compared(compared(&names_table.index, hashes(names_table.hasher)), known);
        assert_compared(compared(&tree.arena.tags.index, hashes(tree.arena.tags.hasher)), known);
    }
}
