//! What a recording says that an image does: fed from a file, shown as a tree, written as a profile.
//!
//! `cargo run --example feed_file -- TRACE [DIRECTORY]`

use grove::export::{Palette, tree};
use grove::profile::file_name;
use grove::{Config, Engine};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let trace = arguments.next().ok_or("which trace? feed_file TRACE [DIRECTORY]")?;
    run(&trace, arguments.next().as_deref(), &mut std::io::stdout())
}

/// Learns from `trace`, shows `out` what it learned, and writes profiles into `directory`.
pub fn run(trace: &Path, directory: Option<&Path>, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = Engine::start(&Config::from_env()?)?;
    let fed = engine.feed(trace)?;
    let end = engine.shutdown();
    writeln!(out, "{} records, {} of them events; {} lost", fed.records, fed.accepted, end.ledger.dropped_total())?;
    for (image, profile) in &end.profiles {
        tree(&profile.to_doc(), &Palette::plain(), 120, out)?;
        if let Some(directory) = directory {
            profile.write(directory.join(file_name(image)))?;
        }
    }
    Ok(())
}
