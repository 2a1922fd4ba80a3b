//! Keys that are chosen against [`Keyed::known`], for the tests of all kinds of tables.

use super::{BuildHasher, Hasher, Keyed};

/// The number of crafted keys.
pub const KEYS: usize = 128;

/// Numbers whose `hash` a table of so many cannot tell apart: it looks at the lowest bits of one, which say where
/// to begin, and at the highest seven, which say what is worth a comparison.
pub fn numbers(hash: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..).filter(|n| hash(*n) & (255 | 127 << 57) == 0).take(KEYS).collect()
}

/// A name of a number: letters only, which no pattern takes in.
pub fn name(mut n: u64) -> String {
    let mut letter = || {
        let letter = b'a' + (n % 26) as u8;
        n /= 26;
        char::from(letter)
    };
    (0..11).map(|_| letter()).collect()
}

/// Asserts that so many comparisons for all keys are what a table takes whose hash is known, or is not.
#[track_caller]
pub fn assert_compared(compared: usize, known: bool) {
    let each = compared as f64 / KEYS as f64;
    assert!(if known { each > KEYS as f64 / 3.0 } else { each <= 2.0 }, "{each} for each; the hash is known: {known}");
}

/// As [`Keyed`], with the known key: what a table must not have.
#[derive(Clone, Copy, Default)]
pub struct Known;

impl BuildHasher for Known {
    type Hasher = siphasher::sip::SipHasher13;

    fn build_hasher(&self) -> Self::Hasher {
        Keyed::known().build_hasher()
    }
}

/// As [`super::Numbers`], with the known key.
#[derive(Clone, Copy, Default)]
pub struct KnownNumbers;

impl BuildHasher for KnownNumbers {
    type Hasher = super::NumberHasher;

    fn build_hasher(&self) -> Self::Hasher {
        super::NumberHasher { keyed: Keyed::known(), hash: 0 }
    }
}

/// A hash without any key, `std`'s.
pub fn std_hash(key: impl std::hash::Hash) -> u64 {
    #[allow(clippy::disallowed_types)] // the fault that is looked for
    let mut hasher = std::hash::DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
