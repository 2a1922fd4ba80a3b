//! Running a command that is observed from its first system call on.
//!
//! The command is started as a copy of this program that stops itself; once somebody observes it, it is continued and
//! becomes the command. So nothing of what the command does is missed, and nothing else is taken for its doing.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
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

    /// The starter's file that is told why the command cannot be run
    failure: i32,

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
    // Opened here, it is closed when this becomes the command.
    let mut failure = File::options().write(true).open(format!("/proc/{}/fd/{}", args.parent, args.failure)).ok();
    kill_process(getpid(), Signal::STOP).map_err(failed)?;
    set_parent_process_death_signal(None).map_err(failed)?;
    let error = Command::new(program).args(arguments).exec();
    match failure.as_mut().map(|failure| failure.write_all(error.to_string().as_bytes())) {
        Some(Ok(())) => Ok(Exit::Failed),
        _ => Err(cannot_run(program, &error)),
    }
}

/// It is there, perhaps, but it is no program.
pub(crate) fn cannot_run(program: &OsStr, why: &dyn Display) -> Error {
    Error::failed(format_args!("cannot run {}: {why}", program.display()), "check its name and permissions")
}

/// A command that has not begun yet, or runs.
pub(crate) struct Launched {
    child: Child,
    begun: bool,
    /// At its end once the copy has become the command.
    failure: PipeReader,
}

impl Launched {
    /// Starts the stopped copy, and waits until it has stopped. The command will write to `stdout`.
    ///
    /// # Errors
    /// There is no such program, or no process to be had.
    pub(crate) fn start(command: &[OsString], stdout: Stdio) -> io::Result<Self> {
        can_be_run(command.first().map_or(OsStr::new(""), OsString::as_os_str))?;
        let (failure, tells) = io::pipe()?;
        let (own, fd) = (std::process::id().to_string(), tells.as_raw_fd().to_string());
        let mut copy = Command::new("/proc/self/exe");
        let mut child = copy.args([SUBCOMMAND, &own, &fd, "--"]).args(command).stdout(stdout).spawn()?;
        let stopped = match pid(&child) {
            Some(pid) => waitpid(Some(pid), WaitOptions::UNTRACED).map_err(io::Error::from),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match stopped {
            Ok(Some((_, status))) if status.stopped() => Ok(Self { child, begun: false, failure }),
            Ok(_) => Err(io::Error::other("the command ended before it began")),
            Err(error) => {
                let _ = child.kill();
                Err(error)
            }
        }
    }

    /// The process id of the command.
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

    /// Why the copy, which has ended, could not become the command, if so.
    pub(crate) fn failure(&mut self) -> Option<String> {
        let mut why = String::new();
        let reported = self.failure.read_to_string(&mut why);
        (reported.is_ok() && !why.is_empty()).then_some(why)
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
