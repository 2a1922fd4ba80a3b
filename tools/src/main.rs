//! The `grove` command. Each subcommand is a file; this one only leads to it.
//!
//! What all share: `cli` (the command line), `exit` (errors and exit codes), `terminal` (colour and hostile text),
//! `logging`, `progress`. What Grove does is in the library, not here.

mod check;
mod cli;
mod completions;
mod convert;
mod diff;
mod directory;
mod doctor;
mod env;
mod exit;
mod feed;
mod input;
mod inspect;
mod interrupt;
mod launch;
mod live;
mod logging;
mod merge;
mod output;
mod profiles;
mod progress;
mod record;
mod replay;
mod run;
mod table;
mod terminal;
mod trace_file;

use std::process::ExitCode;

use clap::Parser;
use grove::config::Config;

use cli::{Cli, Command};
use exit::{Error, Exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With less memory than this, huge pages take more of it than they are worth.
const SMALL: usize = 256 << 20;

fn main() -> ExitCode {
    exit::finish(run())
}

fn run() -> Result<Exit, Error> {
    let Cli { global, command } = Cli::try_parse()?;
    global.color.apply();
    let mut config = Config::from_env()?;
    global.override_variables(&mut config)?;
    logging::start(&config);
    if config.memory_max < SMALL {
        // They may be had a few kilobytes at a time, and take two megabytes each. Where it cannot be said, they stay.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    interrupt::survive_file_size_limit();
    match command {
        Command::Run(args) => run::run(&args, &mut config),
        Command::Record(args) => record::run(&args, &mut config),
        Command::Doctor(args) => doctor::run(&args, &config),
        Command::Launch(args) => launch::run(&args),
        Command::Replay(args) => replay::run(&args, &mut config),
        Command::Check(args) => check::run(&args, &mut config),
        Command::Inspect(args) => inspect::run(&args, &config),
        Command::Diff(args) => diff::run(&args, &config),
        Command::Merge(args) => merge::run(&args, &config),
        Command::Convert(args) => convert::run(&args, &config),
        Command::Env(args) => env::run(&args, &config),
        Command::Completions(args) => completions::run(&args),
    }
}
