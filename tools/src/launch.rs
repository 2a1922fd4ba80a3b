//! Running a command that is observed from its first system call on.
//!
//! The command is started as a copy of this program that stops itself; once somebody observes it, it is continued and
//! becomes the command. So nothing of what the command does is missed, and nothing else is taken for its doing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use clap::Args;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_parent_process_death_signal, waitpid,
};

use crate::exit::{Error, Exit};

/// The subcommand that this program is started with; not for people.
pub(crate) const SUBCOMMAND: &str = "launch";

/// The command line of the stopped copy.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// Who started it
    parent: i32,

    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// The stopped copy: waits until it is continued, then becomes the command.
pub(crate) fn run(args: &LaunchArgs) -> Result<Exit, Error> {
    let Some((program, arguments)) = args.command.split_first() else { return Ok(Exit::BadInput) };
    let failed = |e: rustix::io::Errno| Error::failed(e, "start the command through grove record");
    // Whoever observes may be killed before that begins: nobody else would continue this.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    if getppid().map(Pid::as_raw_pid) != Some(args.parent) {
        return Err(Error::failed("nobody observes the command any more", "start it again"));
    }
    kill_process(getpid(), Signal::STOP).map_err(failed)?;
    set_parent_process_death_signal(None).map_err(failed)?;
    let error = Command::new(program).args(arguments).exec();
    Err(Error::failed(format_args!("cannot run {}: {error}", program.display()), "check its name and permissions"))
}

/// A command that has not begun yet, or runs.
pub(crate) struct Launched {
    child: Child,
    begun: bool,
}

impl Launched {
    /// Starts the stopped copy, and waits until it has stopped. The command will write to `stdout`.
    ///
    /// # Errors
    /// There is no such program, or no process to be had.
    pub(crate) fn start(command: &[OsString], stdout: Stdio) -> io::Result<Self> {
        can_be_run(command.first().map_or(OsStr::new(""), OsString::as_os_str))?;
        let own = std::process::id().to_string();
        let mut copy = Command::new("/proc/self/exe");
        let mut child = copy.args([SUBCOMMAND, &own, "--"]).args(command).stdout(stdout).spawn()?;
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
fn can_be_run(program: &OsStr) -> io::Result<()> {
    let is_program = |path: &Path| -> io::Result<()> {
        let meta = path.metadata()?;
        if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no file that may be executed"))
    };
    if program.as_encoded_bytes().contains(&b'/') {
        return is_program(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| is_program(&dir.join(program)).is_ok()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is no such program in PATH"))
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_child(child).into()
}
