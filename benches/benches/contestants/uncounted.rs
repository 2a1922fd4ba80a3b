//! Contestants that bound the field: nothing shared, and nothing given back.

use crate::measure::Interning;
use std::hint::black_box;

/// The limit by text: a map and plain counts of one thread.
#[derive(Default)]
pub struct ThreadLocal;

impl Interning for ThreadLocal {
    type Local<'a> = hashbrown::HashMap<Box<str>, u32, foldhash::fast::RandomState>;
    type Held = ();

    fn name(&self) -> &'static str {
        "thread_local"
    }

    fn what(&self) -> &'static str {
        "the limit by text: a map of one thread, and a plain count up and down"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Self::Local<'a> {
        texts.iter().map(|text| (Box::from(text.as_str()), 0)).collect()
    }

    fn hold(&self, _: &str) {}

    fn touch<'a>(&'a self, local: &mut Self::Local<'a>, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            let uses = local.get_mut(text.as_str()).unwrap();
            *black_box(&mut *uses) += 1;
            *black_box(uses) -= 1;
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}

/// The limit by number: texts and plain counts of one thread, and for each container the number of its text.
#[derive(Default)]
pub struct ThreadLocalNumbers;

/// The texts of one thread with their counts, and for each container the number of its text.
pub struct Numbers {
    texts: Vec<(Box<str>, u32)>,
    containers: Vec<u32>,
}

impl Interning for ThreadLocalNumbers {
    type Local<'a> = Numbers;
    type Held = ();

    fn name(&self) -> &'static str {
        "thread_local_numbers"
    }

    fn what(&self) -> &'static str {
        "the limit by number: from a container's number to that of the text, which is compared, and a plain count up and down"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Numbers {
        let containers = (0..texts.len() as u32).collect();
        Numbers { texts: texts.iter().map(|text| (Box::from(text.as_str()), 0)).collect(), containers }
    }

    fn hold(&self, _: &str) {}

    fn touch<'a>(&'a self, own: &mut Numbers, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (container, text) in batch {
            let (known, uses) = &mut own.texts[own.containers[container] as usize];
            assert!(**known == **text);
            *black_box(&mut *uses) += 1;
            *black_box(uses) -= 1;
        }
    }

    fn frees(&self) -> bool {
        false
    }

    fn shared(&self) -> bool {
        false
    }
}

/// lasso: shared, and never gives anything back.
#[derive(Default)]
pub struct Lasso(lasso::ThreadedRodeo);

impl Interning for Lasso {
    type Local<'a> = ();
    type Held = lasso::Spur;

    fn name(&self) -> &'static str {
        "lasso"
    }

    fn what(&self) -> &'static str {
        "the crate: shared, never gives anything back"
    }

    fn local<'a>(&'a self, _: &'a [String]) {}

    fn hold(&self, text: &str) -> lasso::Spur {
        self.0.get_or_intern(text)
    }

    fn touch<'a>(&'a self, (): &mut (), batch: impl Iterator<Item = (usize, &'a String)>) {
        for (_, text) in batch {
            black_box(self.0.get_or_intern(text));
        }
    }

    fn frees(&self) -> bool {
        false
    }
}
