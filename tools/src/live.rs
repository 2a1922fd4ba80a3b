//! What the commands that observe a live host share: whom to observe, from where, for how long, and the loop.
//!
//! Not here: what becomes of the events (`run` learns from them, `record` writes them down).

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::ControlFlow;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use grove::config::ConfigError;
use grove::config::table::{Settings, parse_duration};
use grove::event::{EventBuf, Sink};
use grove_probes::kernel::{Class, Classes, Options, Wants, require};
use grove_probes::live::{Live, LiveError, Origin, Select, Wanted, Whom};
use grove_probes::proc::Budget;
use grove_probes::workload::Workload;

use crate::config::Config;
use crate::exit::{Error, Exit};
use crate::feed::say;
use crate::interrupt;
use crate::launch::{self, Launched};
use grove::text::escape;

/// How long runtimes may still answer after the end.
const ANSWERS_AWAITED: Duration = Duration::from_secs(2);

/// Whom to observe, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Observing")]
pub(crate) struct LiveArgs {
    /// Only this container: an id (12 characters or more), a name, an image or image:tag; may be given again
    #[arg(long, value_name = "CONTAINER", conflicts_with = "command")]
    container: Vec<String>,

    /// Include the host itself, as the container with the empty name; overrides GROVE_HOST
    #[arg(long, conflicts_with = "command")]
    host: bool,

    /// Stop after this long (30s, 5m, 1h); else at the first interrupt, or when the command ends
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    limit: Option<Duration>,

    /// Where events come from: bpf, or proc (lossy, marks profiles as partial)
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t = Source::Bpf, hide_possible_values = true)]
    source: Source,

    /// Image name for the command [default: its own name]
    #[arg(long, value_name = "NAME", requires = "command", value_parser = NonEmptyStringValueParser::new())]
    image: Option<String>,

    /// Image tag for the command
    #[arg(long, default_value = "local", requires = "command", value_parser = NonEmptyStringValueParser::new())]
    tag: String,

    /// A command to run and to observe, with all its descendants, in place of containers
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Source {
    /// The kernel, by eBPF.
    Bpf,
    /// The proc connector and `/proc`.
    Proc,
}

impl LiveArgs {
    /// Puts the flags that were given in the variables' place.
    pub(crate) fn override_variables(&self, config: &mut Config) -> Result<(), ConfigError> {
        if self.host {
            config.engine.set_flag("--host", "GROVE_HOST", "true")?;
        }
        Ok(())
    }

    /// Whether what is asked for can be done at all. To be asked first: nothing is made or started for nothing.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Error> {
        if self.command.is_empty() && std::env::args_os().any(|argument| argument == "--") {
            // Else an empty variable of a script would have all containers observed in the command's place.
            return Err(Error::Message { exit: Exit::BadInput, text: "no command after `--`; give one".to_owned() });
        }
        let options = kernel_options(config);
        match self.source {
            Source::Proc => Ok(()),
            Source::Bpf if self.command.is_empty() => {
                require(Wants::of_containers(&options, config.live.snapshot_processes > 0))
            }
            Source::Bpf => require(Wants::of_command(&options)),
        }
        .map_err(|missing| unavailable(missing.into()))
    }

    /// Whether the source cannot see all that a container does.
    pub(crate) fn is_partial(&self) -> bool {
        self.source == Source::Proc
    }

    /// Where events come from, for the header of a trace.
    pub(crate) fn source_name(&self) -> &'static str {
        match self.source {
            Source::Bpf => "grove bpf",
            Source::Proc => "grove proc",
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a whole number with its unit: ms, s, m or h".to_owned())
}

/// A name for a recording that nobody else gives one.
pub(crate) fn random_name() -> String {
    // Each is seeded anew from the system's randomness.
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half())
}

/// An observation under way.
pub(crate) struct Observation {
    live: Live,
    command: Option<Launched>,
    program: OsString,
    stop: Arc<AtomicBool>,
    until: Option<Instant>,
    interval: Duration,
    /// Not all containers are observed.
    selects: bool,
}

/// What an observation came to.
pub(crate) struct Ended {
    /// How the command ended, if there was one and it did.
    status: Option<ExitStatus>,
    /// Why it never began.
    failure: Option<Error>,
}

impl Observation {
    /// Attaches, gives up the privileges that are not needed any more, and lets the command begin if there is one.
    /// Also the events of what runs already. To be called before there are other threads: those that come later have
    /// the fewer privileges too. What the command writes goes to standard error if standard output is `taken`.
    ///
    /// # Errors
    /// One line on what is missing and what to do.
    pub(crate) fn start(args: &LiveArgs, config: &Config, taken: bool) -> Result<(Self, EventBuf), Error> {
        let stop = interrupt::flag();
        let origin = match args.source {
            Source::Bpf => Origin::Kernel(Box::new(kernel_options(config))),
            Source::Proc => Origin::Proc { receive_bytes: config.live.ring_bytes },
        };
        let mut command = None;
        let whom = match args.command.first() {
            None => Whom::Containers {
                select: Select::new(args.container.clone()),
                host: config.engine.host,
                resolver: Box::new(grove_probes::workload::Options::of(&config.live)),
                budget: Budget {
                    processes_max: config.live.snapshot_processes,
                    per_second: u32::try_from(config.live.snapshot_rate).unwrap_or(u32::MAX),
                },
            },
            Some(program) => {
                let stdout = if taken { Stdio::from(io::stderr()) } else { Stdio::inherit() };
                let launched = Launched::start(&args.command, stdout).map_err(|e| launch::cannot_run(program, &e))?;
                let pid = launched.pid();
                command = Some(launched);
                let name = std::path::Path::new(program).file_name().unwrap_or(program);
                let image = args.image.clone().unwrap_or_else(|| name.to_string_lossy().into_owned());
                let workload = Box::new(Workload { image, tag: args.tag.clone(), ..Workload::default() });
                Whom::Command { pid, container: "command".to_owned(), workload }
            }
        };
        let mut before = EventBuf::new();
        let attached = Live::attach(&origin, whom, give_up_privileges, &mut before);
        let live = attached.map_err(|error| match stop.load(Ordering::Relaxed) {
            // A signal breaks off what the kernel is asked for, and that is no fault of the kernel's.
            true => Error::failed("interrupted before anything was observed", "start it again"),
            false => unavailable(error),
        })?;
        for hook in live.hooks().iter().filter(|hook| !hook.attached()) {
            let why = hook.failure.as_deref().unwrap_or_default();
            say(&format!("note: not seen: {}; {} is not to be had: {}", hook.lost, hook.name, escape(why)));
        }
        let until = args.limit.and_then(|limit| Instant::now().checked_add(limit));
        if let Some(command) = &mut command {
            command.begin().map_err(|e| Error::failed(format_args!("the command cannot begin: {e}"), "try again"))?;
        }
        let selects = !args.container.is_empty();
        let program = args.command.first().cloned().unwrap_or_default();
        Ok((Self { live, command, program, stop, until, interval: config.live.drain_interval, selects }, before))
    }

    /// Hands on what has happened until it is over, or `each`, which is called after every step, breaks it off.
    ///
    /// # Errors
    /// The command cannot be waited for.
    pub(crate) fn run<S: Sink>(
        mut self,
        sink: &mut S,
        mut each: impl FnMut(&Live, &mut S) -> ControlFlow<()>,
    ) -> Result<Ended, Error> {
        let mut status = None;
        let mut next = Instant::now();
        loop {
            let over = self.stop.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until);
            if let Some(command) = &mut self.command {
                status = command.ended().map_err(|e| Error::failed(e, "the command's end is not known"))?;
                if over && status.is_none() {
                    // It is asked once, and observed until it has heeded.
                    let _ = command.end();
                    self.until = None;
                    self.stop = Arc::default();
                }
            }
            self.live.step(sink).map_err(gone)?;
            let broken = each(&self.live, sink).is_break();
            if broken || status.is_some() || over && self.command.is_none() {
                break;
            }
            next = (next + self.interval).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        self.live.finish(sink).map_err(gone)?;
        let awaited = Instant::now() + ANSWERS_AWAITED;
        while self.live.waits() && Instant::now() < awaited {
            std::thread::sleep(self.interval);
            self.live.settle(sink);
        }
        if self.selects && !self.live.containers().iter().any(|container| container.wanted == Wanted::Yes) {
            say("note: no container was there that --container names");
        }
        self.live.end();
        let failure = self.command.as_mut().filter(|_| status.is_some()).and_then(Launched::failure);
        Ok(Ended { status, failure: failure.map(|why| launch::cannot_run(&self.program, &why)) })
    }
}

impl Ended {
    /// Says how the command ended, if that was not as it should.
    ///
    /// # Errors
    /// It could not be run.
    pub(crate) fn tell(self) -> Result<Exit, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if let Some(status) = self.status.filter(|status| !status.success()) {
            say(&format!("note: the command ended with {status}"));
        }
        Ok(Exit::Done)
    }
}

fn give_up_privileges() {
    match grove_probes::kernel::drop_capabilities() {
        Ok(kept) => tracing::debug!(?kept, "other capabilities are given up"),
        Err(error) => tracing::warn!(%error, "capabilities that are not needed cannot be given up"),
    }
}

fn gone(error: io::Error) -> Error {
    Error::failed(format_args!("no more events: {error}"), "start it again")
}

fn unavailable(error: LiveError) -> Error {
    Error::Message { exit: Exit::Failed, text: format!("{error}; `grove doctor` says more") }
}

/// What the programs in the kernel are asked to do.
pub(crate) fn kernel_options(config: &Config) -> Options {
    let classes = [
        (config.live.probe_open, Class::Open),
        (config.live.probe_change, Class::Change),
        (config.live.probe_mount, Class::Mount),
        (config.live.probe_socket, Class::Socket),
        (config.live.probe_dns, Class::Dns),
        (config.live.probe_socket && config.live.probe_flow, Class::Flow),
        (config.live.probe_imds, Class::Imds),
        (config.live.probe_syscalls, Class::Syscalls),
        (config.live.probe_capability, Class::Capability),
    ];
    Options {
        ring_bytes: config.live.ring_bytes,
        dedup: Some(config.live.dedup_window).filter(|window| !window.is_zero()),
        classes: classes.iter().filter(|(on, _)| !on).fold(Classes::ALL, |all, (_, class)| all.without(*class)),
        arguments: config.engine.differentiate_args,
        failed: config.live.probe_failed,
        syscall_flush: config.live.syscall_interval,
        shed_percent: config.live.shed_percent as u8,
        ..Options::default()
    }
}
