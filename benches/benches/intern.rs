//! The tag interner beside its peers, all in one run: what it costs to count a tag up and down.
//!
//!     cargo bench -p grove-benches --bench intern             a table
//!     cargo bench -p grove-benches --bench intern -- --json   the same as JSON
//!     ... -- --only hits/100000                               a part of it: also churn, tail, bytes, strings
//!
//! Every cell is the median of rounds in which the contestants take turns, so that what else the machine does falls on
//! all of them; a sample whose threads had to wait for a processor is taken again. Limits, of one thread and shared with
//! nobody: `thread_local` for what finds a tag by its text, `thread_local_numbers` for what has its number, as an event
//! has. The JSON says what each row does.
//!
//! Not criterion: it times one closure on one thread, and here threads start together and contestants alternate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod contestants {
    pub mod counted;
    pub mod grove;
    pub mod strings;
    pub mod uncounted;
}
mod measure;
mod report;

// The engine's own `names.rs`, which is one of the contestants, finds it at the root of its crate.
use ::grove::hash;
use contestants::{counted, grove, uncounted};
use measure::Contestant;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn contestants() -> Vec<Box<dyn Contestant>> {
    vec![
        Box::new(uncounted::ThreadLocal),
        Box::new(grove::TreeLocalByText::default()),
        Box::new(uncounted::ThreadLocalNumbers),
        Box::new(grove::TreeLocal::default()),
        Box::new(grove::Grove::default()),
        Box::new(counted::PapayaOne::default()),
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
        return report::print_bytes(&contestants(), &name);
    }
    let report = Report::measure(contestants, quick, after("--only").unwrap_or_default());
    if json {
        println!("{}", sonic_rs::to_string_pretty(&report).unwrap());
    } else {
        report.print();
    }
}
