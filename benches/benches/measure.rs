//! What a contestant is, and how one sample of it is taken: of hits, of churn, of the tail beside churn.
//!
//! With each sample goes how long its threads waited for a processor, so that what others do on the machine is seen.
//!
//! Not for: how many samples, of what, and what is made of them; that is `report`.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Operations between two looks at anything else: what a shard takes from its queue at once.
const BATCH: usize = 64;
const OPERATIONS: usize = 256 * 1024;

/// Something that interns. `touch` is one intern and one release for each text; with it goes its index among all.
pub trait Interning: Sync {
    /// What one thread keeps between batches.
    type Local<'a>
    where
        Self: 'a;
    /// What holds one text.
    type Held: Send;
    fn name(&self) -> &'static str;
    /// What it does, for whoever reads the numbers.
    fn what(&self) -> &'static str;
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
    fn what(&self) -> &'static str;
    fn frees(&self) -> bool;
    fn shared(&self) -> bool;
    /// Nanoseconds per operation, `held` before or created and destroyed each time.
    fn operations(&self, load: &Load, threads: usize, held: bool) -> Sample;
    /// The 99.9th percentile of nanoseconds for one hit while another thread churns other texts.
    fn tail(&self, load: &Load, others: &[String]) -> Sample;
    /// Holds all texts until `then` has returned.
    fn hold_all(&self, texts: &[String], then: &mut dyn FnMut());
}

/// One measurement.
#[derive(Clone, Copy)]
pub struct Sample {
    /// For one operation.
    pub nanoseconds: f64,
    /// The share of its time that a thread waited for a processor, the most of all threads.
    pub waited: f64,
}

/// Texts, and the order in which they are asked for.
pub struct Load {
    pub texts: Vec<String>,
    /// Of a recording, the same on every thread; otherwise most of them are few.
    pub recorded: Option<Vec<usize>>,
}

impl Load {
    fn order(&self, thread: usize) -> Vec<usize> {
        self.recorded.clone().unwrap_or_else(|| zipf(self.texts.len(), 0x9e37_79b9 + thread as u64))
    }
}

/// Indices of texts, most of them few: Zipf with exponent 1, by inversion.
fn zipf(texts: usize, seed: u64) -> Vec<usize> {
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

/// Since when this thread runs, and for how long it has waited for a processor so far, in nanoseconds.
struct Watch(Instant, u64);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), Self::waited())
    }

    /// As the scheduler counts it.
    fn waited() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        stat.split(' ').nth(1).map_or(0, |waited| waited.parse().unwrap())
    }

    /// Nanoseconds since then, and the share of them that were spent waiting.
    fn stop(self) -> (f64, f64) {
        let elapsed = self.0.elapsed().as_nanos() as f64;
        (elapsed, (Self::waited() - self.1) as f64 / elapsed)
    }
}

/// That this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl<I: Interning> Contestant for I {
    fn name(&self) -> &'static str {
        Interning::name(self)
    }

    fn what(&self) -> &'static str {
        Interning::what(self)
    }

    fn frees(&self) -> bool {
        Interning::frees(self)
    }

    fn shared(&self) -> bool {
        Interning::shared(self)
    }

    fn operations(&self, load: &Load, threads: usize, held: bool) -> Sample {
        let texts = &*load.texts;
        let base: Vec<I::Held> = if held { texts.iter().map(|text| self.hold(text)).collect() } else { Vec::new() };
        let start = Barrier::new(threads);
        let (elapsed, waited, operations) = std::thread::scope(|scope| {
            let run = |thread: usize| {
                let order = load.order(thread);
                let start = &start;
                scope.spawn(move || {
                    let mut local = self.local(texts);
                    let mut work = || {
                        for batch in order.chunks(BATCH) {
                            self.touch(&mut local, batch.iter().map(|at| (*at, &texts[*at])));
                        }
                    };
                    // To warm up.
                    start.wait();
                    work();
                    start.wait();
                    let watch = Watch::start();
                    work();
                    (watch.0, Instant::now(), watch.stop().1, order.len())
                })
            };
            let all: Vec<_> = (0..threads).map(run).collect();
            let all: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
            // From when the first began until the last was through: they may have had to take turns.
            let began = all.iter().map(|(began, ..)| *began).min().unwrap();
            let over = all.iter().map(|(_, over, ..)| *over).max().unwrap();
            let waited = all.iter().map(|(_, _, waited, _)| *waited).fold(0.0, f64::max);
            ((over - began).as_nanos() as f64, waited, all[0].3)
        });
        drop(base);
        // With more threads than processors each has only its share of one, and waiting is to be expected.
        let share = (threads as f64 / processors() as f64).max(1.0);
        let waited = if threads > processors() { 0.0 } else { waited };
        Sample { nanoseconds: elapsed / operations as f64 / share, waited }
    }

    fn tail(&self, load: &Load, others: &[String]) -> Sample {
        let texts = &*load.texts;
        let base: Vec<I::Held> = texts.iter().map(|text| self.hold(text)).collect();
        let done = AtomicBool::new(false);
        let (mut times, waited) = std::thread::scope(|scope| {
            let churning = scope.spawn(|| {
                let mut local = self.local(others);
                let watch = Watch::start();
                while !done.load(Ordering::Relaxed) {
                    let mut all = others.iter().enumerate().peekable();
                    while all.peek().is_some() {
                        self.touch(&mut local, all.by_ref().take(BATCH));
                    }
                }
                watch.stop().1
            });
            let mut local = self.local(texts);
            let order = load.order(0);
            let watch = Watch::start();
            let time = |at: &usize| {
                let from = Instant::now();
                self.touch(&mut local, std::iter::once((*at, &texts[*at])));
                from.elapsed().as_nanos() as u64
            };
            let times: Vec<u64> = order.iter().map(time).collect();
            let (_, waited) = watch.stop();
            done.store(true, Ordering::Relaxed);
            (times, waited.max(churning.join().unwrap()))
        });
        drop(base);
        times.sort_unstable();
        Sample { nanoseconds: times[times.len() - times.len() / 1000] as f64, waited }
    }

    fn hold_all(&self, texts: &[String], then: &mut dyn FnMut()) {
        let held: Vec<I::Held> = texts.iter().map(|text| self.hold(text)).collect();
        then();
        drop(held);
    }
}
