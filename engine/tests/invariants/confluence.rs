//! Generalising depends on the set of names and on nothing else: not on their order, nor on how trees were split
//! and merged.

use crate::common::script::{Script, Settings, file, name, peer, program};
use crate::{cases, grow, profile_of, reread, tag, written_tree};
use grove::intern::Interner;
use grove::tree::Tree;
use proptest::prelude::*;

/// One behaviour of one program, with the part of the split it falls into and its rank in the shuffle.
#[derive(Clone, Debug)]
struct Named {
    line: String,
    part: usize,
    rank: u32,
}

/// A component from an alphabet rich in what makes shapes differ.
fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "([a-b0-2A]{1,3}[-_.]?){1,3}",
        2 => "[ab]{1,2}[0-9]",
        1 => "[a-c][0-9]\\.(tmp|log)",
        1 => "(x-)?[0-3]{8}-0000-1111-2222-333344445555",
        1 => "\\.\\.2024_0[1-3]_31_08_00_00\\.[0-9]{2}",
        1 => "[a*\\\\é]{1,3}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(component(), 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn dns() -> impl Strategy<Value = String> {
    prop::collection::vec(component(), 1..4).prop_map(|names| names.join(".").replace('é', "e"))
}

/// Behaviours of process 1, or programs that it runs with what those do.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => path().prop_map(|p| format!("open 1 {p}")),
        2 => file().prop_map(|p| format!("open 1 {p} w")),
        2 => dns().prop_map(|n| format!("dns 1 {n} A")),
        1 => name().prop_map(|n| format!("dns 1 {n} AAAA")),
        2 => peer().prop_map(|p| format!("connect 1 {p}")),
        1 => path().prop_map(|p| format!("connect 1 unix {p}")),
        2 => path().prop_map(|p| format!("exec 2<-1 {p}")),
        2 => (path(), path()).prop_map(|(p, f)| format!("exec 2<-1 {p}\nopen 2 {f}")),
        1 => (path(), path(), path()).prop_map(|(p, c, f)| format!("exec 2<-1 {p}\nfork 3<-2\nexec 3<-2 {c}\nopen 3 {f} w")),
        1 => program().prop_map(|p| format!("exec 2<-1 {p}")),
    ]
}

fn named() -> impl Strategy<Value = Vec<Named>> {
    let one = (line(), 0..4_usize, any::<u32>()).prop_map(|(line, part, rank)| Named { line, part, rank });
    prop::collection::vec(one, 0..60)
}

fn settings() -> impl Strategy<Value = Settings> {
    (prop_oneof![Just(1), Just(2), Just(3), Just(5)], 1..=4_usize).prop_map(|(path_fanout, peer_fanout)| Settings {
        path_fanout,
        peer_fanout,
        differentiate_args: false,
    })
}

/// The tree of a shell that does these things, each at the same instant and in a process of its own.
fn tree_of<'a>(lines: impl Iterator<Item = &'a Named>, settings: Settings, interner: &Interner) -> Tree {
    let mut script = vec!["exec 1<-0 /bin/sh".to_owned()];
    for named in lines {
        script.extend(named.line.lines().map(str::to_owned));
        script.extend(["exit 3".to_owned(), "exit 2".to_owned()]);
    }
    let mut events = grove::event::EventBuf::new();
    for stored in Script(script).events().iter() {
        let mut event = stored.event;
        event.ts = 7;
        events.push(event, true);
    }
    let mut tree = grove::tree::ActivityTree::new(settings.rules(), &tag(interner, "1"));
    for stored in events.iter() {
        tree.insert(&stored.event);
    }
    tree.tree().clone()
}

fn merge_all(trees: impl IntoIterator<Item = Tree>, settings: Settings) -> Tree {
    let mut all = Tree::new(settings.rules());
    trees.into_iter().for_each(|tree| all.merge(&tree).unwrap());
    all
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_order_and_any_split_make_the_same_tree(names in named(), settings in settings()) {
        let interner = Interner::new();
        let known = |tree: &Tree| (written_tree(tree), tree.structural_hash(), tree.stats());
        let whole = tree_of(names.iter(), settings, &interner);
        prop_assert_eq!(whole.stats(), whole.recount());

        let mut shuffled = names.clone();
        shuffled.sort_by_key(|n| n.rank);
        prop_assert_eq!(known(&tree_of(shuffled.iter(), settings, &interner)), known(&whole), "in another order");

        let part = |part: usize| tree_of(names.iter().filter(|n| n.part == part), settings, &interner);
        let parts = [part(0), part(1), part(2), part(3)];
        // The shell itself is in all of them, and in the whole tree if there is nothing else.
        let [a, b, c, d] = parts.clone();
        prop_assert_eq!(known(&merge_all([a, b, c, d], settings)), known(&whole), "split in four");
        let [a, b, c, d] = parts.clone();
        prop_assert_eq!(known(&merge_all([d, b, a, c], settings)), known(&whole), "in another order");
        let [a, b, c, d] = parts;
        let halves = [merge_all([b, d], settings), merge_all([c, a], settings)];
        prop_assert_eq!(known(&merge_all(halves, settings)), known(&whole), "pairwise");
    }

    #[test]
    fn what_is_written_generalises_on_like_what_was_not(names in named(), settings in settings()) {
        let interner = Interner::new();
        let part = |part: usize| tree_of(names.iter().filter(|n| n.part % 2 == part), settings, &interner);
        let (a, b) = (part(0), part(1));
        let whole = merge_all([a.clone(), b.clone()], settings);
        let mut both = reread(&profile_of(&b), settings, &interner);
        both.merge(&reread(&profile_of(&a), settings, &interner)).unwrap();
        prop_assert_eq!(written_tree(both.tree()), written_tree(&whole));
        prop_assert_eq!(both.tree().structural_hash(), whole.structural_hash());
    }
}

#[test]
fn get_or_insert_is_what_the_tests_above_compare_with() {
    let interner = Interner::new();
    let settings = Settings { path_fanout: 3, peer_fanout: 3, differentiate_args: false };
    let script = Script((0..5).map(|i| format!("open 1 /tmp/f{i}")).collect());
    assert!(written_tree(grow(&script, settings, &tag(&interner, "1")).tree()).contains("\"/tmp/*\""));
}
