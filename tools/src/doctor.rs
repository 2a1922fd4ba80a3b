//! `grove doctor`: what this host can do for a live observation, and what to do about the rest.

use std::io::Write;

use clap::Args;
use grove_probes::kernel::Wants;
use serde::Serialize;

use crate::config::Config;
use crate::exit::{Error, Exit};
use crate::help::teach;
use crate::live::kernel_options;
use crate::terminal;
use grove::text::escape;

/// The command line of `grove doctor`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "one line for each check: whether it is all right, what was found, and what to do if it is not.",
    &[
        ("grove doctor", "can this host be observed?"),
        ("grove doctor --format json", "the same for programs: name, ok, required, detail, remedy"),
    ],
    &[
        (Exit::Done, "`grove run` works here, with these settings; what the kernel has no hook for is `missing`"),
        (Exit::Failed, "it does not"),
    ],
))]
pub(crate) struct DoctorArgs {
    /// text, or json
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, hide_possible_values = true)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    ok: bool,
    required: bool,
    detail: String,
    remedy: String,
}

pub(crate) fn run(args: &DoctorArgs, config: &Config) -> Result<Exit, Error> {
    let rows = rows(config);
    match args.format {
        Format::Text => terminal::write(|out| rows.iter().try_for_each(|row| writeln!(out, "{}", line(row))))?,
        Format::Json => {
            let text = sonic_rs::to_string_pretty(&rows).map_err(|e| Error::failed(e, "please report it"))?;
            terminal::write_plain(|out| writeln!(out, "{text}"))?;
        }
    }
    let works = rows.iter().all(|row| row.ok || !row.required);
    Ok(if works { Exit::Done } else { Exit::Failed })
}

fn rows(config: &Config) -> Vec<Row> {
    let options = kernel_options(config);
    let wants = Wants::of_containers(&options, config.live.snapshot_processes > 0);
    let kernel = grove_probes::kernel::doctor::checks(&options, wants);
    let runtimes = grove_probes::workload::checks(&grove_probes::workload::Options::of(&config.live));
    let checks = kernel.into_iter().chain(runtimes);
    checks
        .map(|check| Row {
            name: check.name,
            ok: check.ok,
            required: check.required,
            detail: check.detail,
            remedy: check.remedy,
        })
        .collect()
}

fn line(row: &Row) -> String {
    let verdict = match (row.ok, row.required) {
        (true, _) => "ok     ",
        (false, false) => "missing",
        (false, true) => "FAILED ",
    };
    let mut line = format!("{verdict}  {:<28}  {}", escape(&row.name), escape(&row.detail));
    if !row.ok && !row.remedy.is_empty() {
        line.push_str(&format!("; {}", escape(&row.remedy)));
    }
    line
}
