//! The tag interner beside its peers, all in one run: what it costs to count a tag up and down.
//!
//!     cargo bench -p grove-benches --bench intern             a table
//!     cargo bench -p grove-benches --bench intern -- --json   the same as JSON
//!     ... -- --only hits/100000                               a part of it: also churn, tail, bytes
//!
//! Every cell is the median of rounds in which the contestants take turns, so that what else the machine does
//! falls on all of them. `thread_local` is the limit: a map and plain counts of one thread, shared with nobody.
//!
//! Not criterion: it times one closure on one thread, and here threads start together and contestants alternate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod contestants {
    pub mod counted;
    pub mod grove;
    pub mod uncounted;
}
mod measure;

use contestants::{counted, grove, uncounted};
use measure::{Contestant, Report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn contestants() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(uncounted::ThreadLocal),
        Box::new(grove::TreeLocal::default()),
        Box::new(grove::Grove::default()),
        Box::new(grove::GroveSingle::default()),
        Box::new(counted::PapayaArc::default()),
        Box::new(counted::DashmapArc::default()),
        Box::new(counted::Mutexed::default()),
        Box::new(counted::ArcIntern),
        Box::new(counted::StringCache),
        Box::new(uncounted::Lasso::default()),
    ]
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    let quick = std::env::args().any(|arg| arg == "--quick");
    let after = |option: &str| std::env::args().skip_while(|arg| arg != option).nth(1);
    if let Some(name) = after("--bytes") {
        return measure::print_bytes(&contestants(), &name);
    }
    let report = Report::measure(contestants, if quick { 1 } else { 7 }, &after("--only").unwrap_or_default());
    if json {
        println!("{}", sonic_rs::to_string_pretty(&report).unwrap());
    } else {
        report.print();
    }
}
