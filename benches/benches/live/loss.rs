//! Whether every event is accounted for where the ring is far too small: what was made, beside what a trace has and
//! what the ledger says was lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use grove::ledger::{Dropped, Ledger};
use serde::{Deserialize, Serialize};

use super::workload::{Loops, Result, Work, grove, parse, read_ledger};

/// What these do not do is not counted beforehand: system calls and capabilities are told as sets.
const VARIABLES: [(&str, &str); 5] = [
    ("GROVE_DEDUP_WINDOW", "0s"),
    ("GROVE_PROBE_SYSCALLS", "false"),
    ("GROVE_PROBE_CAPABILITY", "false"),
    ("GROVE_PROBE_DNS", "false"),
    ("GROVE_PROBE_SOCKET", "false"),
];

const WORK: Work = Work { loops: 2, opens: 1_000_000, spawns: 1_000, pace_ns: 0 };

/// One ring.
#[derive(Serialize)]
pub struct Loss {
    ring: &'static str,
    /// By class.
    classes: BTreeMap<&'static str, Class>,
    /// In each class, all that was made was delivered or is counted as lost.
    exact: bool,
    /// No fork, exec or exit was lost.
    life_cycle_whole: bool,
    /// The profile of the command has the same ledger as the run.
    profile_agrees: bool,
}

#[derive(Default, Serialize)]
struct Class {
    produced: u64,
    delivered: u64,
    lost: u64,
}

/// A profile's ledgers, by recording.
#[derive(Deserialize)]
struct Profile {
    ledgers: BTreeMap<String, Ledger>,
}

pub fn loss(loops: &Loops, dir: &Path, ring: &'static str) -> Result<Loss> {
    let (trace, stats, profiles) = (dir.join("trace.jsonl"), dir.join("loss.json"), dir.join("loss"));
    let mut variables = VARIABLES.to_vec();
    variables.push(("GROVE_RING_BYTES", ring));
    let mut command = grove(&variables, ["run"])?;
    command.arg("--output").arg(&profiles).arg("--record").arg(&trace).arg("--stats").arg(&stats);
    let out = command.arg("--").args(loops.command(WORK)).stdin(Stdio::null()).output()?;
    if !out.status.success() {
        return Err(format!("grove run: {}", String::from_utf8_lossy(&out.stderr).trim()).into());
    }
    let done = parse(&String::from_utf8(out.stdout)?)?;
    let (ledger, delivered) = (read_ledger(&stats)?, count(&trace)?);
    let profile: Profile = sonic_rs::from_slice(&fs::read(profiles.join("loop.profile.json"))?)?;

    let spawns: u64 = done.iter().map(|one| one.spawns).sum();
    let children = done.len() as u64 + spawns;
    let produced = [
        // The command is executed once, by what was forked before it was observed.
        ("fork", children, Dropped::RingFullFork, None),
        ("exec", 1 + spawns, Dropped::RingFullExec, None),
        ("exit", 1 + children, Dropped::RingFullExit, None),
        ("open", done.iter().map(|one| one.opens).sum(), Dropped::RingFullOpen, Some(Dropped::ShedOpen)),
    ];
    let classes: BTreeMap<_, _> = produced
        .map(|(name, produced, full, shed)| {
            let lost = ledger.dropped(full) + shed.map_or(0, |shed| ledger.dropped(shed));
            (name, Class { produced, delivered: delivered.get(name).copied().unwrap_or(0), lost })
        })
        .into();
    let lost: u64 = classes.values().map(|class| class.lost).sum();
    let result = Loss {
        ring,
        exact: lost == ledger.dropped_total() && classes.values().all(|c| c.produced == c.delivered + c.lost),
        life_cycle_whole: ["fork", "exec", "exit"].iter().all(|name| classes[name].lost == 0),
        profile_agrees: profile.ledgers.values().eq([&ledger]),
        classes,
    };
    fs::remove_dir_all(profiles)?;
    fs::remove_file(trace)?;
    Ok(result)
}

/// Events of a trace by their types, those left out that processes of the launcher made.
fn count(trace: &Path) -> Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Event {
        r#type: Option<String>,
        path: Option<String>,
    }
    let mut counts = BTreeMap::new();
    for line in BufReader::new(File::open(trace)?).lines() {
        let event: Event = sonic_rs::from_str(&line?)?;
        let ours = event.path.is_none_or(|path| !path.starts_with("/runc:["));
        if let Some(name) = event.r#type.filter(|_| ours) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    Ok(counts)
}
