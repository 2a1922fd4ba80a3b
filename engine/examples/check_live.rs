//! Events compared with profiles as they come, findings printed as they are made.
//!
//! `some-source | cargo run --example check_live -- PROFILE...`, where the source writes a trace of Grove's format, or
//! any other that is read, such as `sysdig -j`.

use grove::{Baselines, Config, Engine, Profile};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let profiles: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    // Standard input.
    run(&profiles, Path::new("-"), &mut std::io::stdout())
}

/// Checks what `source` says until it ends, and tells `out` what is found.
pub fn run(profiles: &[PathBuf], source: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let config = Config::from_env()?;
    let mut baselines = Baselines::default();
    for path in profiles {
        baselines.add(&Profile::read(path, &config)?)?;
    }
    let engine = Engine::builder().config(&config).check(baselines).start()?;
    let mut findings = engine.findings();
    let mut tell = || {
        findings
            .by_ref()
            .try_for_each(|f| writeln!(out, "{} {}: {} {} {:?}", f.ts, f.container, f.kind, f.subject, f.reason))
    };
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let feeding = scope.spawn(|| engine.feed(source));
        while !feeding.is_finished() {
            tell()?;
            thread::sleep(Duration::from_millis(100));
        }
        feeding.join().map_err(|_| "the source's thread panicked")??;
        Ok(())
    })?;
    let end = engine.shutdown();
    tell()?;
    writeln!(
        out,
        "{} events, {} findings, {} lost",
        end.ledger.received,
        end.findings.len(),
        end.ledger.dropped_total()
    )?;
    Ok(())
}
