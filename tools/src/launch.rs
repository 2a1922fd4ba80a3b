//! Running a command that is observed from its first system call on.
//!
//! The command is started as a copy of this program that stops itself; once somebody observes it, it is continued and
//! becomes the command. So nothing of what the command does is missed, and nothing else is taken for its doing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use clap::Args;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use crate::exit::{Error, Exit};

/// The subcommand that this program is started with; not for people.
pub(crate) const SUBCOMMAND: &str = "launch";

/// The command line of the stopped copy.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// The stopped copy: waits until it is continued, then becomes the command.
pub(crate) fn run(args: &LaunchArgs) -> Result<Exit, Error> {
    let Some((program, arguments)) = args.command.split_first() else { return Ok(Exit::BadInput) };
    kill_process(getpid(), Signal::STOP).map_err(|e| Error::failed(e, "start the command through grove record"))?;
    let error = Command::new(program).args(arguments).exec();
    Err(Error::failed(format_args!("cannot run {}: {error}", program.display()), "check its name and permissions"))
}

/// A command that has not begun yet, or runs.
pub(crate) struct Launched {
    child: Child,
    begun: bool,
}

impl Launched {
    /// Starts the stopped copy, and waits until it has stopped.
    ///
    /// # Errors
    /// There is no process to be had.
    pub(crate) fn start(command: &[OsString]) -> io::Result<Self> {
        if !command.first().is_some_and(|program| can_be_run(program)) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such program"));
        }
        let mut child = Command::new("/proc/self/exe").arg(SUBCOMMAND).arg("--").args(command).spawn()?;
        let stopped = match pid(&child) {
            Some(pid) => waitpid(Some(pid), WaitOptions::UNTRACED).map_err(io::Error::from),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match stopped {
            Ok(Some((_, status))) if status.stopped() => Ok(Self { child, begun: false }),
            Ok(_) => Err(io::Error::other("the command ended before it began")),
            Err(error) => {
                let _ = child.kill();
                Err(error)
            }
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)?;
        self.begun = true;
        Ok(())
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = pid(&self.child).ok_or(io::ErrorKind::NotFound)?;
        kill_process(pid, signal).map_err(io::Error::from)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // One that never began would stay stopped for ever, and must not run unobserved.
        if !self.begun {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether there is a program of this name, as a shell would look for it.
fn can_be_run(program: &OsStr) -> bool {
    let is_program =
        |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if program.as_encoded_bytes().contains(&b'/') {
        return is_program(Path::new(program));
    }
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| is_program(&dir.join(program))))
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_child(child).into()
}
