//! Hashes: of tables, with a key that is this process's own, and one that is the same everywhere.
//!
//! What a workload does or a file says becomes a key of many tables. Whoever can foretell where keys fall can choose
//! them so that all fall to one place, and then each costs as much as all before it. So every such table hashes with a
//! key that nobody outside of the process knows, drawn when it is first needed:
//!
//! - [`Keyed`] is a `BuildHasher`, SipHash-1-3, for keys of any kind;
//! - [`Keyed::bytes`] and [`Run`], vector multiply-shift, are for tables that each event asks, and [`Numbers`] is the
//!   same for maps whose keys are one number, or one text;
//! - [`fingerprint`], SipHash-1-3 of 128 bits, is for a text that is told from others by its hash alone.
//!
//! *Multiply-shift* takes a text as 64-bit words, multiplies each by a random number of 128 bits of its own, adds
//! another, and keeps the upper half of the sum. Any two texts that were chosen without knowledge of those numbers are
//! as likely to collide, in any bits of the hash, as under a function that is drawn at random: that is a theorem
//! (Dietzfelbinger, "Universal hashing and k-wise independent random variables via integer arithmetic without primes",
//! 1996), so no choice of names is worse than another. Who saw which names collide could work out the key; nobody
//! outside sees that. SipHash hides its key even then, and costs several times as much.
//!
//! Nothing that Grove gives out may depend on the key: what is written is sorted, and limits are of a container or of
//! the process, never of the part that a hash dealt out.
//!
//! Samples and names of recordings must be the same wherever they are made, so they have no key: [`blake3_64`],
//! [`blake3_128`]. Anybody can compute those; what that allows is said where they are used.
//!
//! This is the only place that chooses a hash function (`clippy.toml` knows the others by name). `std`'s maps with
//! their own hasher are as good: it is SipHash-1-3 with keys of the process.

#[cfg(all(test, not(loom)))]
pub(crate) mod crafted;
#[cfg(all(test, not(loom)))]
mod tests;

use siphasher::sip::SipHasher13;
use siphasher::sip128;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// A map whose keys others choose.
pub type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;

/// A set whose members others choose.
pub type Set<K> = hashbrown::HashSet<K, Keyed>;

/// A map of numbers that others choose.
pub type NumberMap<K, V> = hashbrown::HashMap<K, V, Numbers>;

/// A set of numbers that others choose.
pub type NumberSet<K> = hashbrown::HashSet<K, Numbers>;

/// So many words of a text have factors at hand: as many as the longest path has. Those behind are made anew each time.
const WORDS: usize = 512;

/// What all hashes of this process are made with.
#[derive(Debug)]
struct Keys {
    sip: [u64; 2],
    addend: u128,
    /// The factors of what a text belongs to, and of its length.
    of: [u128; 2],
    /// The factors of its words.
    words: Box<[u128]>,
}

static KEYS: OnceLock<Keys> = OnceLock::new();

/// What [`Keyed::known`] is made from.
const KNOWN_SEED: [u64; 2] = [0, 0];

impl Keys {
    fn from_seed([k0, k1]: [u64; 2]) -> Self {
        let seeded = SipHasher13::new_with_keys(k0, k1);
        let mut drawn = 0_u64;
        let mut word = || {
            drawn += 1;
            seeded.hash(&drawn.to_le_bytes())
        };
        let sip = [word(), word()];
        let mut wide = || u128::from(word()) << 64 | u128::from(word());
        Self { sip, addend: wide(), of: [wide(), wide()], words: (0..WORDS).map(|_| wide()).collect() }
    }

    fn of_process() -> &'static Self {
        KEYS.get_or_init(|| {
            // So that tests can see what would become of a table if its hash were known.
            if cfg!(debug_assertions) && std::env::var_os("GROVE_TEST_KNOWN_KEY").is_some() {
                return Self::from_seed(KNOWN_SEED);
            }
            // `std` takes its keys from the system's random numbers; what they hash to tells nothing about them.
            let word = |n: u8| std::hash::RandomState::new().hash_one(n);
            Self::from_seed([word(0), word(1)])
        })
    }

    fn sip(&self) -> SipHasher13 {
        let [k0, k1] = self.sip;
        SipHasher13::new_with_keys(k0, k1)
    }

    /// The factor of a text's word.
    #[inline]
    fn factor(&self, at: usize) -> u128 {
        match self.words.get(at) {
            Some(factor) => *factor,
            None => self.far_factor(at),
        }
    }

    #[cold]
    fn far_factor(&self, at: usize) -> u128 {
        let [k0, k1] = self.sip;
        sip128::SipHasher13::new_with_keys(!k0, k1).hash(&at.to_le_bytes()).as_u128()
    }

    #[inline]
    fn begin(&self, of: u64) -> Run {
        let [factor, _] = self.of;
        Run::of(self.addend.wrapping_add(product(factor, of)), 0)
    }

    #[inline]
    fn append(&self, run: Run, bytes: &[u8]) -> Run {
        let (mut sum, shift) = (run.sum(), run.len % 8 * 8);
        let mut at = run.len as usize / 8;
        let mut add = |word: u64| {
            sum = sum.wrapping_add(product(self.factor(at), word << shift));
            at += 1;
            // What there is no room for in the word at hand is the beginning of the next.
            if shift > 0 {
                sum = sum.wrapping_add(product(self.factor(at), word >> (64 - shift)));
            }
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            add(part(bytes, rest));
        }
        Run::of(sum, run.len.wrapping_add(bytes.len() as u32))
    }

    #[inline]
    fn push(&self, run: Run, byte: u8) -> Run {
        let word = u64::from(byte) << (run.len % 8 * 8);
        let sum = run.sum().wrapping_add(product(self.factor(run.len as usize / 8), word));
        Run::of(sum, run.len.wrapping_add(1))
    }

    #[inline]
    fn finish(&self, run: Run) -> u64 {
        let [_, factor] = self.of;
        upper(run.sum().wrapping_add(product(factor, run.len.into())))
    }
}

/// The last bytes of a text, fewer than eight, as a word.
#[inline]
fn part(bytes: &[u8], rest: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (64 - 8 * rest.len());
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[inline]
fn product(factor: u128, word: u64) -> u128 {
    factor.wrapping_mul(word.into())
}

/// The upper half, and behind it a fixed bijection, which changes nothing about who collides with whom, and has names
/// that count up in steps not fall in steps.
#[inline]
fn upper(sum: u128) -> u64 {
    let hash = (sum >> 64) as u64;
    let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}

/// The hash of a text that is put together piece by piece, as a path is of its components: whatever the pieces, the
/// same text has the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    // Not one number of 128 bits, which would have the struct padded.
    lower: u64,
    upper: u64,
    len: u32,
}

impl Run {
    fn of(sum: u128, len: u32) -> Self {
        Self { lower: sum as u64, upper: (sum >> 64) as u64, len }
    }

    fn sum(self) -> u128 {
        u128::from(self.upper) << 64 | u128::from(self.lower)
    }
}

/// Hashes keys of any kind with the key of this process. As a [`BuildHasher`] it is SipHash-1-3.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(&'static Keys);

impl Default for Keyed {
    fn default() -> Self {
        Self(Keys::of_process())
    }
}

impl Keyed {
    /// Hashes that anybody can compute: what names are crafted against in tests. A program that was built with debug
    /// assertions uses them in place of its own if `GROVE_TEST_KNOWN_KEY` is set.
    #[doc(hidden)]
    pub fn known() -> Self {
        static KNOWN: OnceLock<Keys> = OnceLock::new();
        Self(KNOWN.get_or_init(|| Keys::from_seed(KNOWN_SEED)))
    }

    /// 128 bits that stand for a text: see [`fingerprint`].
    pub fn fingerprint(&self, bytes: &[u8]) -> u128 {
        let [k0, k1] = self.0.sip;
        sip128::SipHasher13::new_with_keys(k0, k1).hash(bytes).as_u128()
    }

    /// The hash of a text alone, by multiply-shift. O(bytes).
    #[inline]
    pub fn bytes(&self, bytes: &[u8]) -> u64 {
        self.0.finish(self.0.append(self.0.begin(0), bytes))
    }

    /// The hash of two numbers, by multiply-shift.
    #[inline]
    pub fn pair(&self, one: u64, other: u64) -> u64 {
        self.finish(self.number(self.begin(one), other))
    }

    /// A text that belongs to the number `of`, and is empty so far.
    #[inline]
    pub fn begin(&self, of: u64) -> Run {
        self.0.begin(of)
    }

    /// A text and `bytes` behind it.
    #[inline]
    pub fn append(&self, run: Run, bytes: &[u8]) -> Run {
        self.0.append(run, bytes)
    }

    /// A text and one byte behind it.
    #[inline]
    pub fn push(&self, run: Run, byte: u8) -> Run {
        self.0.push(run, byte)
    }

    /// A number in place of a text: `run` is empty, and no text belongs to what it belongs to.
    #[inline]
    pub fn number(&self, run: Run, number: u64) -> Run {
        Run::of(run.sum().wrapping_add(product(self.0.factor(0), number)), run.len)
    }

    /// The hash of the text so far.
    #[inline]
    pub fn finish(&self, run: Run) -> u64 {
        self.0.finish(run)
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    #[inline]
    fn build_hasher(&self) -> SipHasher13 {
        self.0.sip()
    }
}

/// Hashes keys that are one number of at most 64 bits, or one text, by multiply-shift: a tenth of what SipHash costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers(Keyed);

impl BuildHasher for Numbers {
    type Hasher = NumberHasher;

    #[inline]
    fn build_hasher(&self) -> NumberHasher {
        NumberHasher { keyed: self.0, hash: 0 }
    }
}

/// Hashes one number or text; of several, each with the hash of those before.
#[derive(Clone, Copy, Debug)]
pub struct NumberHasher {
    keyed: Keyed,
    hash: u64,
}

impl Hasher for NumberHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(self.keyed.bytes(bytes));
    }

    /// A text is followed by such a number.
    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.hash = self.keyed.pair(number, self.hash);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

/// The [`fingerprint`] of a text that is several, one behind the other.
pub fn fingerprint_of_all<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let [k0, k1] = Keyed::default().0.sip;
    let mut hasher = sip128::SipHasher13::new_with_keys(k0, k1);
    parts.iter().for_each(|part| hasher.write(part));
    sip128::Hasher128::finish128(&hasher).as_u128()
}

/// 128 bits that stand for a text in this process. Nobody can make two texts of one fingerprint, or foretell one.
pub fn fingerprint(bytes: &[u8]) -> u128 {
    Keyed::default().fingerprint(bytes)
}

/// The first 64 bits of BLAKE3, little-endian: the same everywhere, for ever.
pub fn blake3_64(bytes: &[u8]) -> u64 {
    blake3_128(bytes) as u64
}

/// The first 128 bits of BLAKE3, little-endian: the same everywhere, for ever.
#[allow(clippy::disallowed_methods)] // here it is chosen
pub fn blake3_128(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(blake3::hash(bytes).as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
    u128::from_le_bytes(first)
}
