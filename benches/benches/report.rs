//! All contestants in all disciplines, in turn, and the medians of it: hits, churn, the tail beside churn, bytes per tag,
//! and the strings of recordings.

use crate::contestants::{grove::Grove, strings};
use crate::measure::{Contestant, Load, Sample, processors};
use grove::event::{Body, EventBuf, Open};
use grove_benches::traffic;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::process::Command;

/// Samples of a cell, and of one that is less steady.
const ROUNDS: usize = 7;
const ROUNDS_UNSTEADY: usize = 11;
/// A sample during which a thread waited for a processor for more than this share of its time is taken again, at most
/// so many times.
const WAITED_MAX: f64 = 0.02;
const TRIES: usize = 5;
const TAGS_OF_BYTES: usize = 100_000;
/// Strings of a recording are asked for again and again until it is so many times.
const STRINGS_MIN: usize = 64 * 1024;

type Row = BTreeMap<&'static str, f64>;

/// What was measured, in nanoseconds per operation unless it says bytes.
#[derive(Default, Serialize)]
pub struct Report {
    conditions: Conditions,
    /// What each contestant does.
    rows: BTreeMap<&'static str, &'static str>,
    /// By strings, threads, contestant.
    hits: BTreeMap<String, BTreeMap<String, Row>>,
    /// By threads, contestant: 1,000 strings.
    churn: BTreeMap<String, Row>,
    tail_p999: Row,
    bytes_per_tag: Row,
    /// By kind.
    strings: BTreeMap<&'static str, Strings>,
}

/// What the machine was like.
#[derive(Default, Serialize)]
struct Conditions {
    processors: usize,
    /// Over one minute, at the start and at the end; what is measured runs on up to four threads itself.
    load_average: Vec<f64>,
    /// Cells times contestants times rounds, and how many of them had to wait for a processor at every try.
    samples: usize,
    disturbed: usize,
}

/// The strings of one kind in the recordings.
#[derive(Serialize)]
struct Strings {
    different: usize,
    asked_for: usize,
    mean_bytes: f64,
    /// By threads, contestant.
    finds: BTreeMap<String, Row>,
    /// Bytes of heap for each different one.
    bytes: Row,
}

/// What is wanted, and what was seen on the way to it.
struct Bench {
    contestants: fn() -> Vec<Box<dyn Contestant>>,
    only: String,
    quick: bool,
    conditions: Conditions,
}

/// Image tags as registries have them, of 40 bytes.
fn tags(prefix: &str, n: usize) -> Load {
    let text = |i| format!("{prefix}-1.{}.{}-build.{:020}", i % 40, i % 7, i * 7919);
    Load { texts: (0..n).map(|i| format!("{:.<40}", text(i))).collect(), recorded: None }
}

/// Path components, arguments and image names in the order in which they came.
fn recorded(captures: &[EventBuf]) -> [(&'static str, Load); 3] {
    let (mut components, mut arguments, mut images) = (Vec::new(), Vec::new(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = |bytes: &[u8], by: u8, all: &mut Vec<String>| {
        all.extend(bytes.split(|b| *b == by).filter(|word| !word.is_empty()).map(text));
    };
    for stored in captures.iter().flat_map(EventBuf::iter) {
        match stored.event.body {
            Body::Open(Open { path, .. }) => words(path, b'/', &mut components),
            Body::Exec(exec) => {
                words(exec.path, b'/', &mut components);
                words(exec.argv.unwrap_or_default(), 0, &mut arguments);
            }
            Body::ContainerStart { image, .. } => images.push(text(image)),
            _ => {}
        }
    }
    [("path_components", load(components)), ("arguments", load(arguments)), ("image_names", load(images))]
}

fn load(sequence: Vec<String>) -> Load {
    let (mut texts, mut numbers) = (Vec::new(), HashMap::new());
    let number = |text: String| {
        *numbers.entry(text).or_insert_with_key(|text| {
            texts.push(text.clone());
            texts.len() - 1
        })
    };
    let mut order: Vec<usize> = sequence.into_iter().map(number).collect();
    while !order.is_empty() && order.len() < STRINGS_MIN {
        order.extend_from_within(..);
    }
    Load { texts, recorded: Some(order) }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn load_average() -> f64 {
    let all = std::fs::read_to_string("/proc/loadavg").unwrap();
    all.split(' ').next().unwrap().parse().unwrap()
}

impl Bench {
    fn wants(&self, part: &str) -> bool {
        part.starts_with(&self.only)
    }

    /// `rounds` of one measurement, the contestants taking turns.
    fn in_turn(
        &mut self,
        all: &[Box<dyn Contestant>],
        rounds: usize,
        takes_part: impl Fn(&dyn Contestant) -> bool,
        measure: impl Fn(&dyn Contestant) -> Sample,
    ) -> Row {
        let all: Vec<&dyn Contestant> = all.iter().map(AsRef::as_ref).filter(|c| takes_part(*c)).collect();
        let mut samples: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
        for round in 0..if self.quick { 1 } else { rounds } {
            // Another one begins each time.
            let (last, first) = all.split_at(round % all.len().max(1));
            for contestant in first.iter().chain(last) {
                let sample = self.undisturbed(|| measure(*contestant));
                samples.entry(contestant.name()).or_default().push(sample);
            }
        }
        samples.into_iter().map(|(name, samples)| (name, median(samples))).collect()
    }

    /// A sample without waiting, or of several the one that waited least.
    fn undisturbed(&mut self, measure: impl Fn() -> Sample) -> Sample {
        let mut best = measure();
        for _ in 1..TRIES {
            if best.waited <= WAITED_MAX {
                break;
            }
            let again = measure();
            if again.waited < best.waited {
                best = again;
            }
        }
        self.conditions.samples += 1;
        self.conditions.disturbed += usize::from(best.waited > WAITED_MAX);
        best
    }

    fn hits(&mut self) -> BTreeMap<String, BTreeMap<String, Row>> {
        let mut hits: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
        for n in [16, 1_000, 100_000] {
            let load = tags("hit", n);
            for threads in [1, 2, 4] {
                if self.wants(&format!("hits/{n}/{threads}")) {
                    let all = (self.contestants)();
                    let row = self.in_turn(&all, ROUNDS, |_| true, |c| c.operations(&load, threads, true));
                    hits.entry(n.to_string()).or_default().insert(threads.to_string(), row);
                }
            }
        }
        hits
    }

    fn churn(&mut self) -> BTreeMap<String, Row> {
        let load = tags("churn", 1_000);
        let mut churn = BTreeMap::new();
        for threads in [1, 2] {
            if self.wants(&format!("churn/{threads}")) {
                let all = (self.contestants)();
                let measure = |c: &dyn Contestant| c.operations(&load, threads, false);
                churn.insert(threads.to_string(), self.in_turn(&all, ROUNDS_UNSTEADY, |c| c.frees(), measure));
            }
        }
        churn
    }

    fn tail(&mut self) -> Row {
        if !self.wants("tail") {
            return Row::new();
        }
        let (load, others) = (tags("tail", 1_000), tags("other", 1_000).texts);
        let all = (self.contestants)();
        self.in_turn(&all, ROUNDS_UNSTEADY, |c| c.frees() && c.shared(), |c| c.tail(&load, &others))
    }

    fn bytes(&self) -> Row {
        let all = (self.contestants)();
        let sharing = all.iter().filter(|c| c.shared() && self.wants("bytes"));
        sharing.map(|c| (c.name(), round(bytes(c.name())))).collect()
    }

    fn strings(&mut self) -> BTreeMap<&'static str, Strings> {
        let mut strings = BTreeMap::new();
        if !self.wants("strings") {
            return strings;
        }
        let Some(captures) = traffic::all_captures() else {
            eprintln!("no captures (GROVE_CAPTURES): the strings of recordings are left out");
            return strings;
        };
        for (kind, load) in recorded(&captures) {
            let finds = [1, 2].map(|threads| {
                let all = strings_contestants();
                let row = self.in_turn(&all, ROUNDS_UNSTEADY, |_| true, |c| c.operations(&load, threads, true));
                (threads.to_string(), row)
            });
            let each = |bytes: usize| round(bytes as f64 / load.texts.len() as f64);
            let texts = &load.texts;
            strings.insert(
                kind,
                Strings {
                    different: texts.len(),
                    asked_for: load.recorded.as_ref().map_or(0, Vec::len),
                    mean_bytes: each(texts.iter().map(String::len).sum()),
                    finds: finds.into(),
                    bytes: Row::from([
                        ("grove", each(Grove::bytes(texts))),
                        ("tree_names", each(strings::TreeNames::bytes(texts))),
                    ]),
                },
            );
        }
        strings
    }
}

/// What the strings of recordings could be kept in.
fn strings_contestants() -> Vec<Box<dyn Contestant>> {
    vec![Box::new(strings::TreeNames), Box::new(strings::ShardMap), Box::new(Grove::default())]
}

/// Of the samples that did not wait, if there are enough of them.
fn median(samples: Vec<Sample>) -> f64 {
    let quiet = samples.iter().filter(|sample| sample.waited <= WAITED_MAX).count();
    let all = samples.iter().filter(|sample| quiet * 2 < samples.len() || sample.waited <= WAITED_MAX);
    let mut all: Vec<f64> = all.map(|sample| sample.nanoseconds).collect();
    all.sort_by(f64::total_cmp);
    round(all[all.len() / 2])
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// In a process of its own: resident bytes that the tags of a contestant take, the strings given to it apart.
pub fn print_bytes(contestants: &[Box<dyn Contestant>], name: &str) {
    let contestant = contestants.iter().find(|c| c.name() == name).unwrap();
    let texts = tags("bytes", TAGS_OF_BYTES).texts;
    let before = resident_bytes();
    let mut after = 0;
    contestant.hold_all(&texts, &mut || after = resident_bytes());
    println!("{}", (after - before) as f64 / TAGS_OF_BYTES as f64);
}

fn bytes(name: &str) -> f64 {
    let this = std::env::current_exe().unwrap();
    let out = Command::new(this).args(["--bytes", name]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

impl Report {
    /// All of it, or what `only` names: `hits/100000/2`, `churn`, `tail`, `bytes`, `strings`.
    /// Each part has contestants of its own, so that none begins with what another part has left in it.
    pub fn measure(contestants: fn() -> Vec<Box<dyn Contestant>>, quick: bool, only: String) -> Self {
        let mut bench = Bench { contestants, only, quick, conditions: Conditions::default() };
        bench.conditions.processors = processors();
        bench.conditions.load_average.push(load_average());
        let names = contestants().into_iter().chain(strings_contestants());
        let mut report = Self {
            rows: names.map(|c| (c.name(), c.what())).collect(),
            hits: bench.hits(),
            churn: bench.churn(),
            tail_p999: bench.tail(),
            bytes_per_tag: bench.bytes(),
            strings: bench.strings(),
            ..Self::default()
        };
        bench.conditions.load_average.push(load_average());
        report.conditions = bench.conditions;
        report
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
        for (kind, strings) in &self.strings {
            let Strings { different, asked_for, mean_bytes, .. } = strings;
            println!("{kind}: {different} different ones of {mean_bytes} bytes, asked for {asked_for} times");
            for (threads, row) in &strings.finds {
                print_row(&format!("{kind}, {threads} threads, ns"), row);
            }
            print_row(&format!("{kind}, bytes of heap for each"), &strings.bytes);
        }
        let Conditions { samples, disturbed, load_average, .. } = &self.conditions;
        println!("{disturbed} of {samples} samples had to wait for a processor; load average {load_average:?}");
    }
}

fn print_row(title: &str, row: &Row) {
    if !row.is_empty() {
        println!("{title}");
    }
    for (name, value) in row {
        println!("  {name:<20} {value:>9.1}");
    }
}
