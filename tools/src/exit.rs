//! How the command ends: exit codes, and the one kind of error that all subcommands end with.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use grove::config::ConfigError;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, nothing to report.
    Done = 0,
    /// The operation failed.
    Failed = 1,
    /// Drift, a difference or a violation was found.
    Found = 2,
    /// The input or the usage is wrong.
    BadInput = 3,
}

impl Exit {
    /// Every code.
    pub(crate) const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Found, Self::BadInput];

    /// What it means, for the help.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, nothing to report",
            Self::Failed => "the operation failed (I/O, kernel, permission)",
            Self::Found => "drift, a difference or a policy violation was found",
            Self::BadInput => "bad input or usage, a bad GROVE_* variable included",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the command ends early.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line: an error in it, or the help that was asked for.
    Usage(clap::Error),
    /// Nobody reads standard output any more, as after `| head`. That is no failure.
    ReaderGone,
    /// Anything else, in one line that says what, and what to do.
    Message {
        /// The code to exit with.
        exit: Exit,
        /// The line.
        text: String,
    },
}

impl Error {
    /// The operation failed. `what` names the thing and the cause, `remedy` what to do about it.
    pub(crate) fn failed(what: impl Display, remedy: impl Display) -> Self {
        Self::Message { exit: Exit::Failed, text: format!("{what}; {remedy}") }
    }

    /// Standard output does not take what was written.
    pub(crate) fn stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::failed(format_args!("cannot write to standard output: {error}"), "check where it is redirected to")
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(usage) => usage.fmt(f),
            Self::ReaderGone => f.write_str("nobody reads standard output any more"),
            Self::Message { text, .. } => f.write_str(text),
        }
    }
}

/// Goes on where a reader that left standard output is no reason to stop: what was found still decides the code.
pub(crate) fn reader_may_leave(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::ReaderGone) => Ok(()),
        other => other,
    }
}

impl From<clap::Error> for Error {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Message { exit: Exit::BadInput, text: error.to_string() }
    }
}

/// Says what is to be said and gives the code to exit with.
pub(crate) fn finish(result: Result<Exit, Error>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(Error::ReaderGone) => Exit::Done.into(),
        Err(Error::Message { exit, text }) => report(exit, &text),
        Err(Error::Usage(usage)) => match usage.print() {
            // Clap's own code for usage errors is 2, which here says that drift was found.
            _ if usage.use_stderr() => Exit::BadInput.into(),
            Ok(()) => Exit::Done.into(),
            Err(error) => finish(Err(Error::stdout(error))),
        },
    }
}

fn report(exit: Exit, text: &str) -> ExitCode {
    // Where standard error cannot be written either, the code has to say it alone.
    let _ = writeln!(io::stderr(), "grove: {}", grove::text::escape(text));
    exit.into()
}
