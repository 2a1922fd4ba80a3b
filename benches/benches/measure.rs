//! Runs contestants in turn and takes medians: hits, churn, the tail beside churn, and bytes per tag.

use serde::Serialize;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Operations between two looks at anything else: what a shard takes from its queue at once.
const BATCH: usize = 64;
const OPERATIONS: usize = 256 * 1024;
const TAGS_OF_BYTES: usize = 100_000;

/// Something that interns. `touch` is one intern and one release for each text; with it goes its index among all.
pub trait Interning: Sync {
    /// What one thread keeps between batches.
    type Local<'a>
    where
        Self: 'a;
    /// What holds one text.
    type Held: Send;
    fn name(&self) -> &'static str;
    fn local<'a>(&'a self, texts: &'a [String]) -> Self::Local<'a>;
    fn hold(&self, text: &str) -> Self::Held;
    fn touch<'a>(&'a self, local: &mut Self::Local<'a>, batch: impl Iterator<Item = (usize, &'a String)>);
    /// Whether it gives anything back, so that churn means something.
    fn frees(&self) -> bool {
        true
    }
    /// Whether threads share anything.
    fn shared(&self) -> bool {
        true
    }
}

/// An [`Interning`] whose inner loops are compiled for it.
pub trait Contestant: Sync {
    fn name(&self) -> &'static str;
    fn frees(&self) -> bool;
    fn shared(&self) -> bool;
    /// Nanoseconds per operation, `held` before or created and destroyed each time.
    fn operations(&self, texts: &[String], threads: usize, held: bool) -> f64;
    /// The 99.9th percentile of nanoseconds for one hit while another thread churns other texts.
    fn tail(&self, texts: &[String], others: &[String]) -> f64;
    /// Holds all texts until `then` has returned.
    fn hold_all(&self, texts: &[String], then: &mut dyn FnMut());
}

/// Indices of texts, most of them few: Zipf with exponent 1, by inversion.
fn order(texts: usize, seed: u64) -> Vec<usize> {
    let mut state = seed | 1;
    let ln = (texts as f64 + 1.0).ln();
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
        (((uniform * ln).exp() - 1.0) as usize).min(texts - 1)
    };
    (0..OPERATIONS).map(next).collect()
}

impl<I: Interning> Contestant for I {
    fn name(&self) -> &'static str {
        Interning::name(self)
    }

    fn frees(&self) -> bool {
        Interning::frees(self)
    }

    fn shared(&self) -> bool {
        Interning::shared(self)
    }

    fn operations(&self, texts: &[String], threads: usize, held: bool) -> f64 {
        let base: Vec<I::Held> = if held { texts.iter().map(|text| self.hold(text)).collect() } else { Vec::new() };
        let start = Barrier::new(threads);
        let elapsed = std::thread::scope(|scope| {
            let run = |thread: usize| {
                let order = order(texts.len(), 0x9e37_79b9 + thread as u64);
                let start = &start;
                scope.spawn(move || {
                    let mut local = self.local(texts);
                    let mut elapsed = 0.0;
                    // The first time is to warm up.
                    for _ in 0..2 {
                        start.wait();
                        let from = Instant::now();
                        for batch in order.chunks(BATCH) {
                            self.touch(&mut local, batch.iter().map(|at| (*at, &texts[*at])));
                        }
                        elapsed = from.elapsed().as_nanos() as f64;
                    }
                    elapsed
                })
            };
            let all: Vec<_> = (0..threads).map(run).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).fold(0.0, f64::max)
        });
        drop(base);
        // With more threads than processors each has only its share of one.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        elapsed / OPERATIONS as f64 / (threads as f64 / processors as f64).max(1.0)
    }

    fn tail(&self, texts: &[String], others: &[String]) -> f64 {
        let base: Vec<I::Held> = texts.iter().map(|text| self.hold(text)).collect();
        let done = AtomicBool::new(false);
        let mut times = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut local = self.local(others);
                while !done.load(Ordering::Relaxed) {
                    let mut all = others.iter().enumerate().peekable();
                    while all.peek().is_some() {
                        self.touch(&mut local, all.by_ref().take(BATCH));
                    }
                }
            });
            let mut local = self.local(texts);
            let times: Vec<u64> = order(texts.len(), 77)
                .iter()
                .map(|at| {
                    let from = Instant::now();
                    self.touch(&mut local, std::iter::once((*at, &texts[*at])));
                    from.elapsed().as_nanos() as u64
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            times
        });
        drop(base);
        times.sort_unstable();
        times[times.len() - times.len() / 1000] as f64
    }

    fn hold_all(&self, texts: &[String], then: &mut dyn FnMut()) {
        let held: Vec<I::Held> = texts.iter().map(|text| self.hold(text)).collect();
        then();
        drop(held);
    }
}

/// Image tags as registries have them, of 40 bytes.
fn texts(prefix: &str, n: usize) -> Vec<String> {
    (0..n)
        .map(|i| format!("{prefix}-1.{}.{}-build.{:020}", i % 40, i % 7, i * 7919))
        .map(|t| format!("{t:.<40}"))
        .collect()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// In a process of its own: resident bytes that the tags of a contestant take, the strings given to it apart.
pub fn print_bytes(contestants: &[Box<dyn Contestant>], name: &str) {
    let contestant = contestants.iter().find(|c| c.name() == name).unwrap();
    let texts = texts("bytes", TAGS_OF_BYTES);
    let before = resident_bytes();
    let mut after = 0;
    contestant.hold_all(&texts, &mut || after = resident_bytes());
    println!("{}", (after - before) as f64 / TAGS_OF_BYTES as f64);
}

type Row = BTreeMap<&'static str, f64>;

/// What was measured, in nanoseconds per operation unless it says bytes.
#[derive(Serialize)]
pub struct Report {
    /// By strings, threads, contestant.
    hits: BTreeMap<String, BTreeMap<String, Row>>,
    /// By threads, contestant: 1,000 strings.
    churn: BTreeMap<String, Row>,
    tail_p999: Row,
    bytes_per_tag: Row,
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2] * 10.0).round() / 10.0
}

/// `rounds` of one measurement, the contestants taking turns.
fn in_turn<'a>(
    all: impl Iterator<Item = &'a Box<dyn Contestant>>,
    rounds: usize,
    measure: impl Fn(&dyn Contestant) -> f64,
) -> Row {
    let all: Vec<_> = all.collect();
    let mut samples: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        // Another one begins each time.
        let (last, first) = all.split_at(round % all.len().max(1));
        for contestant in first.iter().chain(last) {
            samples.entry(contestant.name()).or_default().push(measure(contestant.as_ref()));
        }
    }
    samples.into_iter().map(|(name, samples)| (name, median(samples))).collect()
}

impl Report {
    /// All of it, or what `only` names: `hits/100000/2`, `churn`, `tail`, `bytes`.
    /// Each part has contestants of its own, so that none begins with what another part has left in it.
    pub fn measure(contestants: fn() -> Vec<Box<dyn Contestant>>, rounds: usize, only: &str) -> Self {
        let wanted = |part: &str| part.starts_with(only);
        let mut hits: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
        for n in [16, 1_000, 100_000] {
            let texts = texts("hit", n);
            for threads in [1, 2, 4].into_iter().filter(|threads| wanted(&format!("hits/{n}/{threads}"))) {
                let row = in_turn(contestants().iter(), rounds, |c| c.operations(&texts, threads, true));
                hits.entry(n.to_string()).or_default().insert(threads.to_string(), row);
            }
        }
        let texts_1000 = texts("churn", 1_000);
        let churning = [1, 2].into_iter().filter(|threads| wanted(&format!("churn/{threads}")));
        let churn = churning.map(|threads| {
            let all = contestants();
            let freeing = all.iter().filter(|c| c.frees());
            let row = in_turn(freeing, rounds, |c| c.operations(&texts_1000, threads, false));
            (threads.to_string(), row)
        });
        let churn = churn.collect();
        let others = texts("other", 1_000);
        let all = contestants();
        let sharing = all.iter().filter(|c| c.frees() && c.shared() && wanted("tail"));
        let tail_p999 = in_turn(sharing, rounds, |c| c.tail(&texts_1000, &others));
        let sharing = all.iter().filter(|c| c.shared() && wanted("bytes"));
        let bytes_per_tag = sharing.map(|c| (c.name(), bytes(c.name()))).collect();
        Self { hits, churn, tail_p999, bytes_per_tag }
    }

    pub fn print(&self) {
        for (strings, by_threads) in &self.hits {
            for (threads, row) in by_threads {
                print_row(&format!("hits, {strings} strings, {threads} threads, ns"), row);
            }
        }
        for (threads, row) in &self.churn {
            print_row(&format!("churn, 1000 strings, {threads} threads, ns"), row);
        }
        print_row("p99.9 of a hit beside a thread that churns, ns", &self.tail_p999);
        print_row("resident bytes per tag", &self.bytes_per_tag);
    }
}

fn print_row(title: &str, row: &Row) {
    println!("{title}");
    for (name, value) in row {
        println!("  {name:<16} {value:>9.1}");
    }
}

fn bytes(name: &str) -> f64 {
    let this = std::env::current_exe().unwrap();
    let out = Command::new(this).args(["--bytes", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}
