//! A profile's way from its tree to a document and to text, and from text to a document and a tree: megabytes of the text
//! a second, and instructions for each of its bytes.
//!
//!     cargo bench -p grove-benches --bench profile_format                    a table
//!     cargo bench -p grove-benches --bench profile_format -- --json          the same as JSON
//!     cargo bench -p grove-benches --bench profile_format -- FILE...         of profiles that are there
//!
//! Instructions are counted by valgrind, if it is there; they do not depend on what else runs. Without files three profiles
//! are made, of two versions of an image each: one of a few programs and many files, one of many programs, and that of the
//! synthetic load.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "live/samples.rs"]
#[allow(dead_code)]
mod samples;

use grove::event::EventBuf;
use grove::intern::Interner;
use grove::profile::{Profile, decode, encode};
use grove::tree::{ActivityTree, Rules};
use grove_benches::counting::{instructions, measured};
use grove_benches::traffic;
use grove_benches::workload::Workload;
use samples::Samples;
use serde::Serialize;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often each step is timed.
const ROUNDS: usize = 15;

const STEPS: [&str; 5] = ["to_doc", "encode", "encode_doc", "decode", "from_doc"];

/// Profiles that are made: a name, and what a version did.
const MADE: [(&str, Version); 3] = [("files", files), ("processes", processes), ("load", load)];

/// What a version of an image did.
type Version = fn(usize) -> EventBuf;

/// Letters only: names of them do not generalise.
fn word(n: usize) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'k')).collect()
}

/// The lines of a trace, from what follows time and container in each.
fn events(lines: impl Iterator<Item = String>) -> EventBuf {
    let mut text = String::new();
    for (n, line) in lines.enumerate() {
        let (ts, container) = (1_700_000_000_000_000_000 + n * 1_234_567, traffic::container());
        writeln!(text, r#"{{"ts":{ts},"container":"{container}",{line}}}"#).unwrap();
    }
    traffic::decoded(&text).unwrap()
}

fn exec(pid: usize, ppid: usize, path: &str) -> String {
    format!(r#""type":"exec","pid":{pid},"ppid":{ppid},"path":"{path}","uid":{}"#, pid % 3)
}

fn open(pid: usize, path: &str, flags: u32) -> String {
    format!(r#""type":"open","pid":{pid},"path":"{path}","flags":{flags},"ret":3"#)
}

/// 20 programs with 1,000 files each, of which the second version has two thirds, and a directory of temporary ones.
fn files(version: usize) -> EventBuf {
    events((0..20).flat_map(move |program| {
        let pid = 100 + program;
        let names = (0..1000).filter(move |n| version == 0 || n % 3 != 0);
        let modules = names.map(move |n| {
            let path = format!("/usr/lib/python3/dist-packages/{}/{}.py", word(n / 40), word(n + 1000 * program));
            open(pid, &path, if n % 9 == 0 { 2 } else { 0 })
        });
        let temporary = (0..40).map(move |n| open(pid, &format!("/tmp/{}-{:06x}", word(program), n * 7919), 2));
        [exec(pid, 1, &format!("/usr/bin/{}", word(program)))].into_iter().chain(modules).chain(temporary)
    }))
}

/// 6,000 programs that run one another, with a file, a peer and three system calls each.
fn processes(version: usize) -> EventBuf {
    events((0..6000).flat_map(move |program| {
        let (pid, ppid) = (100 + program, if program < 80 { 1 } else { 100 + program / 80 });
        let own = [
            open(pid, "/etc/ld.so.cache", 0),
            format!(r#""type":"syscalls","pid":{pid},"nrs":[0,1,257]"#),
            format!(
                r#""type":"connect","pid":{pid},"family":"inet","addr":"10.1.0.{}","port":443,"proto":"tcp","ret":0"#,
                program % 250
            ),
        ];
        let own = own.into_iter().filter(move |_| version == 0 || program % 3 != 0);
        let exec = exec(pid, ppid, &format!("/usr/bin/{}", word(program)));
        [format!(r#""type":"fork","pid":{pid},"ppid":{ppid}"#), exec].into_iter().chain(own)
    }))
}

fn load(_: usize) -> EventBuf {
    Workload::default().lives(0, 400).events
}

/// A profile of two versions.
fn made(lives: Version) -> Profile {
    let rules = Arc::new(Rules::default());
    let mut profile = Profile::new("app", rules.clone());
    for (version, tag) in ["1.27.0-bookworm", "1.27.1-bookworm"].into_iter().enumerate() {
        let mut tree = ActivityTree::new(rules.clone(), &Interner::global().intern(tag).unwrap());
        for stored in lives(version).iter() {
            tree.insert(&stored.event);
        }
        profile.add_tree(tree.tree()).unwrap();
    }
    profile
}

/// One of those that are made, by its name, or the profile in a file.
fn profile(name: &str) -> Result<Profile, Box<dyn Error>> {
    if let Some((_, lives)) = MADE.iter().find(|(known, _)| *known == name) {
        return Ok(made(*lives));
    }
    let doc = grove::profile::read(Path::new(name))?;
    Ok(Profile::from_doc(&doc, Arc::new(Rules::default()), &Interner::global())?)
}

/// Everything that is measured, with what it starts from.
struct Steps {
    profile: Profile,
    doc: grove::profile::ProfileDoc,
    text: Vec<u8>,
    rules: Arc<Rules>,
}

impl Steps {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let profile = profile(name)?;
        let doc = profile.to_doc();
        let mut text = Vec::new();
        encode(&profile, &mut text)?;
        Ok(Self { profile, doc, text, rules: Arc::new(Rules::default()) })
    }

    /// Runs a step; `around` does what it is given. What comes out is dropped outside of it.
    fn run(&self, step: &str, around: &mut dyn FnMut(&mut dyn FnMut())) {
        let mut out = Vec::with_capacity(self.text.len() + 1);
        match step {
            "to_doc" => {
                let mut doc = None;
                around(&mut || doc = Some(self.profile.to_doc()));
                black_box(doc);
            }
            "encode" => around(&mut || encode(&self.profile, &mut out).unwrap()),
            "encode_doc" => around(&mut || encode(&self.doc, &mut out).unwrap()),
            "decode" => {
                let mut doc = None;
                around(&mut || doc = Some(decode(&self.text).unwrap()));
                black_box(doc);
            }
            _ => {
                let mut profile = None;
                let interner = Interner::global();
                around(&mut || profile = Some(Profile::from_doc(&self.doc, self.rules.clone(), &interner).unwrap()));
                black_box(profile);
            }
        }
        black_box(out);
    }
}

#[derive(Serialize)]
struct Row {
    profile: String,
    megabytes: f64,
    step: &'static str,
    megabytes_per_second: Samples,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions_per_byte: Option<f64>,
}

fn measure(name: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let steps = Steps::new(name)?;
    let bytes = steps.text.len() as f64;
    let mut rates = STEPS.map(|_| Vec::new());
    // Steps take turns, so that each has its share of whatever the machine does.
    for round in 0..=ROUNDS {
        for (step, rates) in STEPS.iter().zip(&mut rates) {
            steps.run(step, &mut |work| {
                let start = Instant::now();
                work();
                let took = start.elapsed().as_secs_f64();
                // The first round warms up.
                rates.extend((round > 0).then_some(bytes / 1e6 / took));
            });
        }
    }
    let counted = |step: &&str| instructions(&["count", name, step]).ok().map(|n| samples::round(n as f64 / bytes));
    let rows = STEPS.iter().zip(rates).map(|(step, rates)| Row {
        profile: name.to_owned(),
        megabytes: samples::round(bytes / 1e6),
        step,
        megabytes_per_second: Samples::of(rates),
        instructions_per_byte: counted(step),
    });
    Ok(rows.collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [count, name, step] = args.as_slice()
        && count == "count"
    {
        Steps::new(name)?.run(step, &mut |work| measured(work));
        return Ok(());
    }
    let json = args.iter().any(|arg| arg == "--json");
    let mut names: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    if names.is_empty() {
        names = MADE.iter().map(|(name, _)| *name).collect();
    }
    let mut all = Vec::new();
    for name in names {
        let rows = measure(name)?;
        for row in rows.iter().filter(|_| !json) {
            let Row { profile, megabytes, step, megabytes_per_second: rate, instructions_per_byte: counted } = row;
            let counted = counted.map_or("-".to_owned(), |n| format!("{n:.1}"));
            println!(
                "{profile:12} {megabytes:>6.2} MB  {step:10} {:>7.0} MB/s ({:.0} to {:.0})  {counted:>7} instructions a byte",
                rate.median, rate.min, rate.max
            );
        }
        all.extend(rows);
    }
    if json {
        println!("{}", sonic_rs::to_string_pretty(&all)?);
    }
    Ok(())
}
