//! The `grove` command. Each subcommand is a file; this one only leads to it.
//!
//! What all share: `cli` (the command line), `exit` (errors and exit codes), `terminal` (colour and hostile text),
//! `logging`, `progress`. What Grove does is in the library, not here.

mod allocator;
mod check;
mod cli;
mod completions;
mod config;
mod convert;
mod diff;
mod directory;
mod doctor;
mod env;
mod exit;
mod feed;
mod findings;
mod help;
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

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use config::Config;
use exit::{Error, Exit};

fn main() -> ExitCode {
    exit::finish(run())
}

fn run() -> Result<Exit, Error> {
    let Cli { global, command } = Cli::try_parse()?;
    global.color.apply();
    let mut config = Config::from_env()?;
    global.override_variables(&mut config)?;
    logging::start(&config);
    allocator::configure(&config.engine, matches!(command, Command::Run(_) | Command::Record(_)));
    interrupt::survive_file_size_limit();
    match command {
        Command::Run(args) => run::run(&args, &mut config),
        Command::Record(args) => record::run(&args, &mut config),
        Command::Doctor(args) => doctor::run(&args, &config),
        Command::Launch(args) => launch::run(&args),
        Command::Replay(args) => replay::run(&args, &mut config.engine),
        Command::Check(args) => check::run(&args, &mut config.engine),
        Command::Inspect(args) => inspect::run(&args, &config.engine),
        Command::Diff(args) => diff::run(&args, &config.engine),
        Command::Merge(args) => merge::run(&args, &config.engine),
        Command::Convert(args) => convert::run(&args, &config.engine),
        Command::Env(args) => env::run(&args, &config),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    }
}
