#![allow(clippy::indexing_slicing)]
use super::*;
use std::cell::Cell;
use std::hash::Hash;

thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

/// A key that counts how often it is compared.
struct Counted<T>(T);

impl<T: Hash> Hash for Counted<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T: PartialEq> PartialEq for Counted<T> {
    fn eq(&self, other: &Self) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        self.0 == other.0
    }
}

impl<T: Eq> Eq for Counted<T> {}

/// How many comparisons it takes to look all keys up in a table that has them.
fn compared<T>(keys: &[u64], key: impl Fn(u64) -> T, mut put: impl FnMut(T) -> bool) -> usize {
    keys.iter().for_each(|n| assert!(put(key(*n))));
    COMPARED.set(0);
    keys.iter().for_each(|n| assert!(!put(key(*n))));
    COMPARED.get()
}

/// Each type of table that is keyed by what others choose, and the same with a hash that is known. Which tables
/// are of which type is in `tools/tests/crafted_names.rs`.
#[test]
fn keys_crafted_against_a_known_hash_cost_nothing_in_a_table_with_a_key() {
    let text = |n| Counted(crafted::name(n));
    let number = |n| Counted(n as u32);

    let keys = crafted::numbers(|n| Keyed::known().hash_one(crafted::name(n)));
    let mut map = Map::default();
    crafted::assert_compared(compared(&keys, text, |key| map.insert(key, ()).is_none()), false);
    let mut map = hashbrown::HashMap::with_hasher(crafted::Known);
    crafted::assert_compared(compared(&keys, text, |key| map.insert(key, ()).is_none()), true);
    let mut set = Set::default();
    crafted::assert_compared(compared(&keys, text, |key| set.insert(key)), false);

    let keys = crafted::numbers(|n| Keyed::known().pair(n as u32 as u64, 0));
    let mut map = NumberMap::default();
    crafted::assert_compared(compared(&keys, number, |key| map.insert(key, ()).is_none()), false);
    let mut set = NumberSet::default();
    crafted::assert_compared(compared(&keys, number, |key| set.insert(key)), false);
    let mut map = hashbrown::HashMap::with_hasher(crafted::KnownNumbers);
    crafted::assert_compared(compared(&keys, number, |key| map.insert(key, ()).is_none()), true);

    // `std`'s, as the probes and the command have them.
    let keys = crafted::numbers(|n| crafted::std_hash(crafted::name(n)));
    let mut map = std::collections::HashMap::new();
    crafted::assert_compared(compared(&keys, text, |key| map.insert(key, ()).is_none()), false);
    let mut set = std::collections::HashSet::new();
    crafted::assert_compared(compared(&keys, text, |key| set.insert(key)), false);
    #[allow(clippy::disallowed_types)] // the fault
    let mut map = std::collections::HashMap::<_, _, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>::default();
    crafted::assert_compared(compared(&keys, text, |key| map.insert(key, ()).is_none()), true);
}

#[test]
fn blake3_is_the_published_one() {
    // The first test vector of BLAKE3's authors: the empty input.
    assert_eq!(blake3_128(b"").to_le_bytes(), 0xaf13_49b9_f5f9_a1a6_a040_4dea_36dc_c949_u128.to_be_bytes());
    assert_eq!(blake3_64(b""), 0xaf13_49b9_f5f9_a1a6_u64.swap_bytes());
}

#[test]
fn another_key_is_another_hash_and_the_same_key_the_same() {
    let hashes = |seed| {
        let keys = Keys::from_seed(seed);
        let text = keys.finish(keys.append(keys.begin(0), b"name"));
        [keys.sip().hash(b"name"), text, keys.finish(keys.begin(7))]
    };
    assert_eq!(hashes([1, 2]), hashes([1, 2]));
    for other in [[1, 3], [2, 2]] {
        assert!(hashes([1, 2]).iter().zip(hashes(other)).all(|(one, other)| *one != other));
    }
}

fn text(keys: &Keys, text: &[u8]) -> u64 {
    keys.finish(keys.append(keys.begin(0), text))
}

#[test]
fn every_byte_of_a_text_and_its_length_count() {
    let keys = Keys::from_seed([3, 4]);
    let mut hashes = std::collections::HashMap::new();
    let mut see = |bytes: Vec<u8>| {
        let known = hashes.insert(text(&keys, &bytes), bytes.clone());
        assert!(known.as_ref().is_none_or(|known| *known == bytes), "{known:?} and {bytes:?}");
    };
    for len in (0..=40).chain([4095, 4096, 4097, 4120]) {
        for byte in [0, b'a'] {
            if len > 0 || byte == 0 {
                see(vec![byte; len]);
            }
            for at in (0..len).filter(|at| *at < 40 || *at > 4080) {
                for other in [1, 0x80, 0xff] {
                    let mut bytes = vec![byte; len];
                    bytes[at] = other;
                    see(bytes);
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn the_pieces_of_a_text_do_not_matter(pieces in proptest::collection::vec("[a-c]{0,20}", 0..300)) {
        let keys = Keys::from_seed([5, 6]);
        let joined = |run, piece: &String| keys.append(keys.push(run, b'/'), piece.as_bytes());
        let run = pieces.iter().fold(keys.begin(0), joined);
        let whole: String = pieces.iter().flat_map(|piece| ["/", piece]).collect();
        proptest::prop_assert_eq!(keys.finish(run), text(&keys, whole.as_bytes()));
    }
}

/// The most of `hashes` that fall to one of 1,024 places, by the bits that tables look at.
fn most(hashes: impl Iterator<Item = u64>) -> u32 {
    let (mut low, mut high) = (vec![0_u32; 1024], vec![0_u32; 1024]);
    for hash in hashes {
        low[hash as usize % 1024] += 1;
        high[(hash >> 54) as usize] += 1;
    }
    low.into_iter().chain(high).max().unwrap_or_default()
}

#[test]
fn keys_that_count_up_in_any_steps_spread_over_any_bits() {
    // Of 4,096 in 1,024 places at random, 18 fall together once in a thousand times.
    for seed in 0..8 {
        let keys = Keys::from_seed([seed, 7]);
        for step in [1, 2, 64, 4096, 1 << 20, 1 << 40, 0x9e37_79b9_7f4a_7c15] {
            let number = |n: u64| n.wrapping_mul(step);
            let worst = [
                most((0..4096).map(|n| keys.finish(keys.begin(number(n))))),
                most((0..4096).map(|n| text(&keys, format!("file-{}.tmp", number(n)).as_bytes()))),
                most((0..4096).map(|n| text(&keys, &number(n).to_be_bytes()))),
            ];
            assert!(worst.iter().all(|most| *most <= 20), "seed {seed}, step {step}: {worst:?}");
        }
    }
}
