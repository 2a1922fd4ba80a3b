//! The `grove` command. Each subcommand is a file; this one only leads to it.
//!
//! What all share: `cli` (the command line), `exit` (errors and exit codes), `terminal` (colour and hostile text),
//! `logging`, `progress`. What Grove does is in the library, not here.

mod cli;
mod completions;
mod env;
mod exit;
mod logging;
mod terminal;

// The command lines of the subcommands whose bodies are not here yet, as far as tests fix them.
#[cfg(test)]
mod check;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod input;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod replay;

use std::process::ExitCode;

use clap::Parser;
use grove::config::Config;

use cli::{Cli, Command};
use exit::{Error, Exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::finish(run())
}

fn run() -> Result<Exit, Error> {
    let Cli { global, command } = Cli::try_parse()?;
    global.color.apply();
    let mut config = Config::from_env()?;
    global.override_variables(&mut config)?;
    logging::start(&config);
    match command {
        Command::Env(args) => env::run(&args, &config),
        Command::Completions(args) => completions::run(&args),
    }
}
