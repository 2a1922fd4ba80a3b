//! The `grove` command. Each subcommand is a file; this one only leads to it.
//!
//! What all share: `cli` (the command line), `exit` (errors and exit codes), `terminal` (colour and hostile text),
//! `logging`, `progress`. What Grove does is in the library, not here.

mod allocator;
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

fn main() -> ExitCode {
    exit::finish(run())
}

fn run() -> Result<Exit, Error> {
    let Cli { global, command } = Cli::try_parse()?;
    global.color.apply();
    let mut config = Config { own_process: true, ..Config::from_env()? };
    global.override_variables(&mut config)?;
    logging::start(&config);
    allocator::suit(&config);
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
