//! A directory to work in, the command run in it, and traces to give it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sonic_rs::{JsonContainerTrait, JsonValueTrait, Value};
use tempfile::TempDir;

use crate::skips::skipped;

/// The command, with nothing of Grove's in its environment.
pub(crate) fn grove() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grove"));
    command.env_clear();
    command
}

/// A directory that goes away with this, and in which commands run.
pub(crate) struct Lab {
    dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives its name back.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        name.to_owned()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = grove();
        command.args(args).current_dir(self.dir.path());
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the command with `input` on its standard input.
    #[track_caller]
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        Self::feed_to(self.command(args), input)
    }

    /// Runs a command with `input` on its standard input.
    #[track_caller]
    pub(crate) fn feed_to(mut command: Command, input: &[u8]) -> Ended {
        let mut child = piped(&mut command);
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that has read enough may leave before the end.
            scope.spawn(move || drop(stdin.write_all(input)));
            Ended::of(child.wait_with_output().unwrap())
        })
    }

    /// Starts the command with pipes on all sides.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        piped(&mut self.command(args))
    }

    /// Replays a trace into `profiles`, with the ledger in `stats.json`; it has to end well.
    #[track_caller]
    pub(crate) fn learn(&self, trace: &str) -> Ledger {
        let ended = self.feed(&["replay", "--stats", "stats.json", "-"], trace.as_bytes());
        ended.expect(0);
        self.stats()
    }

    /// The ledger that `--stats stats.json` wrote; it has to balance.
    #[track_caller]
    pub(crate) fn stats(&self) -> Ledger {
        Ledger::of(self.text("stats.json"))
    }

    #[track_caller]
    pub(crate) fn text(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The profile of an image in `profiles`.
    #[track_caller]
    pub(crate) fn profile(&self, image: &str) -> Value {
        json(&self.profile_text(image))
    }

    #[track_caller]
    pub(crate) fn profile_text(&self, image: &str) -> String {
        self.text(&format!("profiles/{image}.profile.json"))
    }

    /// The names in a directory, sorted, hidden ones included.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        names(&self.path(dir))
    }
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The names in a directory, sorted, hidden ones included; none if there is no such directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    sonic_rs::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// What the command said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let ended = Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Every one of `parts` was said on standard error.
    #[track_caller]
    pub(crate) fn said(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

/// Where every event went, as it is written.
#[derive(Debug, PartialEq)]
pub(crate) struct Ledger(pub(crate) String);

impl Ledger {
    #[track_caller]
    pub(crate) fn of(text: String) -> Self {
        let ledger = Self(text.trim_end().to_owned());
        let value = json(&ledger.0);
        let sum: u64 = value.as_object().unwrap().iter().filter(|(k, _)| *k != "received").map(|(_, v)| total(v)).sum();
        assert_eq!(ledger.get("received"), sum, "{}", ledger.0);
        ledger
    }

    /// The counter at `a` or `a.b`.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> u64 {
        let value = json(&self.0);
        let value = path.split('.').fold(value, |value, key| value[key].clone());
        value.as_u64().unwrap_or_else(|| panic!("no {path} in {}", self.0))
    }

    /// The counters that are not 0, as `name=count`.
    pub(crate) fn nonzero(&self) -> String {
        let value = json(&self.0);
        let mut counters = Vec::new();
        for (key, value) in value.as_object().unwrap().iter() {
            match value.as_object() {
                Some(group) => counters.extend(group.iter().map(|(k, v)| (format!("{key}.{k}"), total(v)))),
                None => counters.push((key.to_owned(), total(value))),
            }
        }
        let counters = counters.iter().filter(|(_, n)| *n > 0).map(|(k, n)| format!("{k}={n}"));
        counters.collect::<Vec<_>>().join(" ")
    }
}

fn total(value: &Value) -> u64 {
    match value.as_object() {
        Some(group) => group.iter().map(|(_, v)| total(v)).sum(),
        None => value.as_u64().unwrap(),
    }
}

/// A process of a profile, and where it is.
pub(crate) fn processes(profile: &Value) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = Vec::new();
    for process in list(profile, "processes") {
        let path = process["path"].as_str().unwrap();
        let place = match process["parent"].as_u64() {
            Some(parent) => format!("{}>{path}", all[parent as usize].0),
            None => path.to_owned(),
        };
        all.push((place, process));
    }
    all
}

/// The elements of the list in a field.
#[track_caller]
pub(crate) fn list(value: &Value, field: &str) -> Vec<Value> {
    value[field].as_array().unwrap_or_else(|| panic!("no list {field}")).iter().cloned().collect()
}

/// The texts in `field` of every element of the list in `of`.
#[track_caller]
pub(crate) fn texts(value: &Value, of: &str, field: &str) -> Vec<String> {
    list(value, of).iter().map(|v| v[field].as_str().unwrap().to_owned()).collect()
}

/// Line ends after each of `lines`.
pub(crate) fn trace(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A container `c` of `web:1` in which pid 10 runs `/bin/web`.
pub(crate) const START: &str = r#"{"ts":1,"type":"container_start","container":"c","image":"web","tag":"1"}"#;
pub(crate) const EXEC: &str = r#"{"ts":2,"type":"exec","container":"c","pid":10,"ppid":1,"path":"/bin/web"}"#;

/// Pid 10 of container `c` opens `path` for reading.
pub(crate) fn open(ts: u64, path: &str) -> String {
    format!(r#"{{"ts":{ts},"type":"open","container":"c","pid":10,"path":"{path}","flags":0}}"#)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Where the recordings of other tools are, or `None` after saying that they are absent.
pub(crate) fn capture(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("GROVE_CAPTURES").map_or_else(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path.canonicalize().unwrap());
    }
    skipped(&format!("no recording at {}", path.display()));
    None
}

/// What `sh -c SCRIPT FILE` prints, line by line, in the bytewise order that Rust sorts by.
pub(crate) fn shell(script: &str, file: &Path) -> Vec<String> {
    let output =
        Command::new("bash").arg("-c").arg(format!("set -o pipefail; {script}")).arg("-").arg(file).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}
