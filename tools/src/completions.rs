//! `grove completions`: what makes a shell complete Grove's command line.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::{Error, Exit};
use crate::help::teach;
use crate::terminal;

/// The command line of `grove completions`.
#[derive(Debug, Args)]
#[command(after_help = teach(
    "the script, on standard output.",
    &[
        ("source <(grove completions bash)", "for this bash; put it into ~/.bashrc for every one"),
        ("grove completions zsh > ~/.zfunc/_grove", "zsh, with ~/.zfunc in fpath"),
        ("grove completions fish > ~/.config/fish/completions/grove.fish", "fish"),
    ],
    &[(Exit::Done, "printed"), (Exit::BadInput, "no such shell")],
))]
pub(crate) struct CompletionsArgs {
    /// The shell to complete in
    shell: Shell,
}

/// Prints the script for the command line `cli`.
pub(crate) fn run(args: &CompletionsArgs, cli: &mut Command) -> Result<Exit, Error> {
    // Into memory first: the generator panics where its output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, cli, "grove", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
