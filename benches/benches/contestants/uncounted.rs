//! Contestants that bound the field: nothing shared, and nothing given back.

#![allow(clippy::disallowed_types)] // as in `counted`

use super::grove::TAGS_OF_TREE;
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

/// The limit by number: plain counts of one thread, in as many tables as there are trees, and for each container
/// where its count is.
#[derive(Default)]
pub struct ThreadLocalNumbers;

/// The counts of one thread, and for each container its table and its number there.
pub struct Numbers {
    tables: Vec<Vec<u32>>,
    containers: Vec<(u16, u16)>,
}

impl Interning for ThreadLocalNumbers {
    type Local<'a> = Numbers;
    type Held = ();

    fn name(&self) -> &'static str {
        "thread_local_numbers"
    }

    fn what(&self) -> &'static str {
        "the limit by number: from its container's number to a table and the number in it, and a plain count up and down"
    }

    fn local<'a>(&'a self, texts: &'a [String]) -> Numbers {
        let place = |n: usize| ((n / TAGS_OF_TREE) as u16, (n % TAGS_OF_TREE) as u16);
        Numbers {
            tables: texts.chunks(TAGS_OF_TREE).map(|some| vec![0; some.len()]).collect(),
            containers: (0..texts.len()).map(place).collect(),
        }
    }

    fn hold(&self, _: &str) {}

    fn touch<'a>(&'a self, own: &mut Numbers, batch: impl Iterator<Item = (usize, &'a String)>) {
        for (container, _) in batch {
            let (table, number) = own.containers[container];
            let uses = &mut own.tables[usize::from(table)];
            black_box(&mut *uses)[usize::from(number)] += 1;
            black_box(uses)[usize::from(number)] -= 1;
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
