//! What this thread found last: by a text where its tag was, as a guess.
//!
//! A slot and a generation are of one text for ever, so the text is compared with the thread's own copy, and all that a
//! guess leaves open is whether its tag is still there: the slot's word says that. Nothing here has to be kept up to
//! date, nothing is held alive by it, and a thread that finds the same tags again and again goes straight to their
//! slots, past the index.
//!
//! Not for: knowing that a text is *not* there. That only the index can say.

use super::slot::Address;
use super::sync::{self, GUESSES, GUESSES_MAX, OUTSIDE, STRIPES, fault};
use super::text::Known;
use std::cell::Cell;

/// The places where a guess may be.
const WAYS: usize = 4;
/// A table that is crowded is followed by one of so many times its guesses.
const GROWTH: usize = 4;

/// On a cache line of its own, so that a guess costs one.
#[derive(Clone, Default)]
#[repr(align(64))]
struct Guess {
    /// None where there is no guess.
    address: Option<Address>,
    /// The text's.
    sketch: u32,
    text: Known,
}

/// The guesses of one thread about one interner.
pub(super) struct Recent {
    /// The interner whose addresses these are, and no other's.
    of: usize,
    guesses: Box<[Guess]>,
    /// How many guesses about tags that were found in the index have had no room.
    outside: usize,
}

sync::thread_local! {
    static OWN: (usize, Cell<Option<Box<Recent>>>) =
        (sync::thread_number() % STRIPES, Cell::new(Some(Box::new(Recent::new(NOBODY, GUESSES)))));
}

/// The number of no interner.
const NOBODY: usize = 0;

/// This thread's stripe and its guesses, which the one who has them gives back. A thread that is ending has given up
/// both, and uses another's stripe.
pub(super) fn own() -> (usize, Option<Box<Recent>>) {
    OWN.try_with(|(stripe, recent)| (*stripe, recent.take())).unwrap_or((0, None))
}

/// For this thread's next.
pub(super) fn give_back(recent: Option<Box<Recent>>) {
    if recent.is_some() {
        let _ = OWN.try_with(|(_, own)| own.set(recent));
    }
}

/// Where a text's guess may be, from a few of its bytes: a hash of all of them takes longer than to find the tag.
/// Whoever wants to can choose texts that share one. They are then found in the index, as they would be without
/// guesses.
#[inline(always)]
fn sketch(text: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (a, b) = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            let middle = text.get(text.len() / 2 - 4..).and_then(|middle| middle.first_chunk());
            (word(first) ^ middle.map_or(0, word).rotate_left(29), word(last))
        }
        _ => (text.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0),
    };
    let product = u128::from(a ^ ODD) * u128::from(b ^ ODD.rotate_left(32) ^ text.len() as u64);
    (product as u64 ^ (product >> 64) as u64) as u32
}

impl Recent {
    fn new(of: usize, guesses: usize) -> Self {
        Self { of, guesses: vec![Guess::default(); guesses].into(), outside: 0 }
    }

    /// Where the tag of a text may be, if this is about interner `of`; and whether the text has been compared: if
    /// not, it is to be.
    #[inline(always)]
    pub fn find(&self, of: usize, text: &[u8]) -> Option<(Address, bool)> {
        if self.of != of && !fault::recent_of_any() {
            return None;
        }
        let sketch = sketch(text);
        for at in self.places(sketch) {
            let guess = self.guesses.get(at)?;
            let same = guess.text.is(text);
            if guess.sketch == sketch && same != Some(false) || fault::recent_unchecked() {
                return Some((guess.address?, same.is_some()));
            }
        }
        None
    }

    /// Whether it has too little room for what this thread finds.
    fn is_crowded(&self) -> bool {
        self.guesses.len() < GUESSES_MAX && self.outside > self.guesses.len() / 2
    }

    /// The tag of a text is at this address of interner `of`; it was found in the index, or is new. A thread that goes to
    /// another interner begins anew.
    pub fn note(&mut self, of: usize, text: &[u8], address: Address, found: bool) {
        if self.of != of {
            *self = Self::new(of, GUESSES);
        } else if self.is_crowded() {
            let mut more = Self::new(of, (GROWTH * self.guesses.len()).min(GUESSES_MAX));
            for guess in self.guesses.iter().filter(|guess| guess.address.is_some()) {
                more.put(guess.clone(), true);
            }
            *self = more;
        }
        self.put(Guess { address: Some(address), sketch: sketch(text), text: Known::new(text) }, found);
    }

    fn put(&mut self, guess: Guess, found: bool) {
        let first =
            |is: &dyn Fn(&Guess) -> bool| self.places(guess.sketch).find(|at| self.guesses.get(*at).is_some_and(is));
        let mut at = first(&|there| there.sketch == guess.sketch).or_else(|| first(&|there| there.address.is_none()));
        if at.is_none() && found {
            // Most stay outside, or those that come once would drive out those that come often; and all that are new,
            // or tags that come and go would make the table large.
            let often = self.outside.is_multiple_of(OUTSIDE);
            at = self.places(guess.sketch).nth(self.outside / OUTSIDE % WAYS).filter(|_| often);
            self.outside += 1;
        }
        if let Some(place) = at.and_then(|at| self.guesses.get_mut(at)) {
            *place = guess;
        }
    }

    fn places(&self, sketch: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.guesses.len() - 1;
        (0..WAYS).map(move |way| (sketch as usize ^ way) & mask)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Interner;
    use super::super::slot::TagRef;
    use super::*;

    #[test]
    fn a_crowded_table_is_followed_by_a_larger_one_that_knows_as_much() {
        // Of no interner.
        const OF: usize = usize::MAX;
        let interner = Interner::new();
        let texts: Vec<String> = (0..5_000).map(|n| format!("1.{n}")).collect();
        let tags: Vec<TagRef> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
        let mut recent = Recent::new(OF, GUESSES);
        let knows = |recent: &Recent| {
            let found = texts.iter().zip(&tags).filter_map(|(text, tag)| {
                let (address, compared) = recent.find(OF, text.as_bytes())?;
                assert!(compared && tag.is_at(address), "{text}");
                assert!(recent.find(OF - 1, text.as_bytes()).is_none());
                Some(())
            });
            found.count()
        };
        let mut grown = 0;
        for _ in 0..5 {
            for (text, tag) in texts.iter().zip(&tags) {
                let (size, known) = (recent.guesses.len(), if recent.is_crowded() { knows(&recent) } else { 0 });
                recent.note(OF, text.as_bytes(), tag.address(tag.id()), true);
                if recent.guesses.len() > size {
                    grown += 1;
                    assert_eq!(recent.guesses.len(), GROWTH * size);
                    assert!(knows(&recent) >= known, "{known} were known");
                }
            }
        }
        assert!(grown >= 3, "{grown}");
        // New ones have no part in that.
        let mut small = Recent::new(OF, GUESSES);
        texts.iter().zip(&tags).for_each(|(text, tag)| small.note(OF, text.as_bytes(), tag.address(tag.id()), false));
        assert_eq!((small.guesses.len(), small.outside), (GUESSES, 0));
        assert!(knows(&small) > 0);
        assert!(knows(&recent) > texts.len() * 9 / 10);
    }
}
