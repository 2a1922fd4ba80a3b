//! What is observed: loops of opens and closes, and a `grove run` beside them.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grove::ledger::Ledger;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file that is on every host.
const OPENED: &str = "/etc/passwd";

/// How long a `grove run` may take until it is attached.
const ATTACH_MAX: Duration = Duration::from_secs(20);

/// It is ready when it has kept its programs as they are for so long.
const SETTLE: Duration = Duration::from_millis(600);

/// The program of `loop.c`.
pub struct Loops {
    program: PathBuf,
}

/// What loops do.
#[derive(Clone, Copy)]
pub struct Work {
    pub loops: u64,
    /// Each.
    pub opens: u64,
    /// Programs that each starts meanwhile.
    pub spawns: u64,
    /// Nanoseconds from one open to the next, at least.
    pub pace_ns: u64,
}

/// What one loop did.
#[derive(Debug, Deserialize)]
pub struct Done {
    pub ns_per_pair: f64,
    pub ns: u64,
    pub opens: u64,
    pub spawns: u64,
}

/// Builds a C program in `dir`.
pub fn compile(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let (source, program) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&source, text)?;
    let status = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]).status();
    match status {
        Ok(status) if status.success() => Ok(program),
        other => Err(format!("cc cannot build {name}.c: {other:?}; install a C compiler and libc's archives").into()),
    }
}

impl Loops {
    pub fn compile(dir: &Path) -> Result<Self> {
        Ok(Self { program: compile(dir, "loop", include_str!("loop.c"))? })
    }

    /// The command line for `work`.
    pub fn command(&self, work: Work) -> Vec<String> {
        let numbers = [work.loops, work.opens, work.spawns, work.pace_ns].map(|n| n.to_string());
        let program = self.program.to_string_lossy().into_owned();
        [program].into_iter().chain(numbers).chain([OPENED.to_owned()]).collect()
    }

    pub fn start(&self, work: Work) -> Result<Child> {
        let command = self.command(work);
        Ok(Command::new(&command[0]).args(&command[1..]).stdout(Stdio::piped()).spawn()?)
    }
}

/// Waits for loops to end.
pub fn finish(child: Child) -> Result<Vec<Done>> {
    let out = child.wait_with_output()?;
    if !out.status.success() {
        return Err(format!("a loop failed: {}", out.status).into());
    }
    parse(&String::from_utf8(out.stdout)?)
}

/// What loops printed.
pub fn parse(text: &str) -> Result<Vec<Done>> {
    Ok(text.lines().map(sonic_rs::from_str).collect::<std::result::Result<_, _>>()?)
}

/// The command, as built by `cargo build --release -p grove-tools`. No variable of the caller's changes what it does.
pub fn grove<S: AsRef<OsStr>>(variables: &[(&str, &str)], args: impl IntoIterator<Item = S>) -> Result<Command> {
    // This program is in the `deps` of the directory that commands are in.
    let this = std::env::current_exe()?;
    let path = this.ancestors().nth(2).ok_or("no directory")?.join("grove");
    if !path.exists() {
        return Err(format!("{} is not there: cargo build --release -p grove-tools", path.display()).into());
    }
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GROVE_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(args);
    Ok(command)
}

/// A `grove run --host` that is attached.
pub struct Observer {
    child: Child,
    stats: PathBuf,
}

impl Observer {
    pub fn start(dir: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let (profiles, stats) = (dir.join("profiles"), dir.join("stats.json"));
        let args: [&OsStr; 6] = [
            "run".as_ref(),
            "--host".as_ref(),
            "--output".as_ref(),
            profiles.as_ref(),
            "--stats".as_ref(),
            stats.as_ref(),
        ];
        let stderr = File::create(dir.join("stderr"))?;
        let child = grove(variables, args)?.stderr(stderr).spawn()?;
        let mut observer = Self { child, stats };
        observer.wait_until_attached(dir)?;
        Ok(observer)
    }

    fn wait_until_attached(&mut self, dir: &Path) -> Result<()> {
        let began = Instant::now();
        let (mut links, mut since) = (0, Instant::now());
        while links == 0 || since.elapsed() < SETTLE {
            if self.child.try_wait()?.is_some() || began.elapsed() > ATTACH_MAX {
                return Err(format!("grove run: {}", fs::read_to_string(dir.join("stderr"))?.trim()).into());
            }
            let now = self.links()?;
            if now != links {
                (links, since) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Programs that it has attached.
    fn links(&self) -> Result<usize> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        Ok(targets.filter(|to| to.to_string_lossy().starts_with("anon_inode:bpf_link")).count())
    }

    /// Processor time that all its threads have had.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // What comes after the name: the third field is first.
        let fields = stat.rsplit(')').next().ok_or("no stat")?.split_whitespace();
        let ticks: Vec<u64> = fields.skip(11).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(ticks.iter().sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Interrupts it; where every event went.
    pub fn stop(mut self) -> Result<Ledger> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("grove run: {status}").into());
        }
        read_ledger(&self.stats)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // Only after an error is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn read_ledger(path: &Path) -> Result<Ledger> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let ledger: Ledger = sonic_rs::from_slice(&bytes)?;
    if ledger.balances() { Ok(ledger) } else { Err(format!("the ledger does not add up: {ledger:?}").into()) }
}
