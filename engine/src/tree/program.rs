//! What makes two programs of one parent the same: the path, and what else tells programs of one path apart.

use super::Rules;
use super::cwds::usable_cwd;
use super::interpreters::ITSELF;
use super::node::Flags;
use crate::behaviour::{By, PATH_BYTES_MAX, normal_path};
use crate::event::Exec;
use crate::hash::fingerprint_of_all;
use crate::ledger::{Fate, Ignored, Rejected};
use crate::path::{escape, normalise, normalise_argument, normalise_relative};

/// A program as an exec names it: its normalised path, and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Program {
    /// Normalised path.
    pub path: String,
    /// What else is identity, encoded.
    pub key: String,
}

/// What tells programs of one path apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramKey {
    /// Which of its programs a multi-call binary was, by the name under which it was called or by its argument.
    pub argv0: Option<String>,
    /// The arguments, where they are part of identity: escaped, without identifiers.
    pub argv: Option<Vec<String>>,
}

/// Arguments beyond this many bytes are not part of identity.
const ARGV_BYTES_MAX: usize = 16 << 10;

/// What is longer is no file's name (`NAME_MAX`); of an argv0 no more is kept.
const NAME_BYTES_MAX: usize = 255;

/// Programs that are many, told apart by the name they are called by.
const MULTI_CALL: [&str; 3] = [BUSYBOX, "toybox", COREUTILS];

/// Takes any name that begins so for its own.
const BUSYBOX: &str = "busybox";

/// See [`CHOICES`].
const COREUTILS: &str = "coreutils";

/// How coreutils is told which of its programs it is to be, where neither its name nor an argument by itself says so.
const CHOICES: [&[u8]; 2] = [b"--coreutils-prog=", b"--coreutils-prog-shebang="];

/// Whether a file of this name is many programs: one of [`MULTI_CALL`], or a build of it such as `busybox.nosuid`.
fn is_multi_call(name: &str) -> bool {
    let is = |program: &&str| {
        name.strip_prefix(*program).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    };
    MULTI_CALL.iter().any(is)
}

/// The program that coreutils is told to be by an argument.
fn chosen(arg: &[u8]) -> Option<&[u8]> {
    CHOICES.iter().find_map(|choice| arg.strip_prefix(*choice))
}

/// Which of its programs a file of many, called `own`, is to be: what it is called by, unless that is its own name or
/// one that all such files have; then the argument that comes next, as the file itself decides. coreutils also asks that
/// argument where it does not know what it is called by. What it knows is not known here, so both decide then.
fn applet<'a>(own: &str, args: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut text = String::new();
    let mut args = args.enumerate().peekable();
    while let Some((at, arg)) = args.next() {
        let arg = chosen(arg).filter(|_| at > 0).unwrap_or(arg);
        let name = arg.rsplit(|b| *b == b'/').next().unwrap_or(arg);
        // How login programs call a shell.
        let name = name.strip_prefix(b"-").filter(|_| at == 0).unwrap_or(name);
        escape(name.get(..NAME_BYTES_MAX).unwrap_or(name), &mut text);
        let busybox = own.starts_with(BUSYBOX) && text.starts_with(BUSYBOX);
        if text != own && !is_multi_call(&text) && !busybox {
            let told = args.peek().filter(|_| at == 0 && own.starts_with(COREUTILS));
            if let Some(program) = told.and_then(|(_, arg)| chosen(arg)) {
                // A slash is in no name.
                text.push('/');
                escape(program.get(..NAME_BYTES_MAX).unwrap_or(program), &mut text);
            }
            break;
        }
        text.clear();
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Which of its programs an interpreter is that is many. The arguments tell, if they are those that the kernel gives to
/// the interpreter: `busybox sh /srv/job` for a script that begins with `#!/bin/busybox sh`. Those that the script was
/// executed with begin with the script's own name.
pub(super) fn interpreter_applet(interpreter: &str, exec: &Exec<&[u8]>) -> Option<String> {
    let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
    let own = interpreter.rsplit('/').next().filter(|name| is_multi_call(name))?;
    let argv = exec.argv?;
    let args = argv.strip_suffix(b"\0").unwrap_or(argv).split(|byte| *byte == 0);
    let given = args.clone().next().and_then(last);
    if given == last(exec.path) { None } else { applet(own, args) }
}

impl Program {
    /// The program of an exec whose path is already normalised.
    pub fn new(path: &str, exec: &Exec<&[u8]>, differentiate_args: bool) -> Self {
        let key = ProgramKey::of(path, exec.argv, differentiate_args).encode();
        Self { path: path.to_owned(), key }
    }

    /// What tells it apart from other programs of its path.
    pub fn key(&self) -> ProgramKey {
        ProgramKey::decode(&self.key)
    }

    /// What stands for path and key in a table of processes, for comparing.
    pub fn identity(&self) -> u64 {
        fingerprint_of_all([self.path.as_bytes(), b"\0", self.key.as_bytes()]) as u64
    }
}

impl ProgramKey {
    /// The key of a program with the given NUL-terminated arguments.
    pub fn of(path: &str, argv: Option<&[u8]>, differentiate_args: bool) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let multi_call = is_multi_call(name);
        let Some(argv) = argv.filter(|_| multi_call || differentiate_args) else { return Self::default() };
        let mut args = argv.strip_suffix(b"\0").unwrap_or(argv).split(|b| *b == 0);
        if argv.is_empty() {
            return Self::default();
        }
        let argv0 = multi_call.then(|| applet(name, args.clone())).flatten();
        let argv = differentiate_args.then(|| {
            let mut bytes = 0;
            let within = args.by_ref().take_while(|arg| {
                bytes += arg.len() + 1;
                bytes <= ARGV_BYTES_MAX
            });
            within
                .map(|arg| {
                    let mut text = String::new();
                    normalise_argument(arg, &mut text);
                    text
                })
                .collect()
        });
        Self { argv0, argv }
    }

    /// As the name of a node: `a` and argv0, `v` and the arguments, each ended by NUL.
    pub(super) fn encode(&self) -> String {
        let mut key = String::new();
        if let Some(argv0) = &self.argv0 {
            key.extend(["a", argv0, "\0"]);
        }
        if let Some(argv) = &self.argv {
            key.push('v');
            for arg in argv {
                key.extend([arg, "\0"]);
            }
        }
        key
    }

    pub(super) fn decode(key: &str) -> Self {
        let (argv0, rest) = match key.strip_prefix('a').and_then(|k| k.split_once('\0')) {
            Some((argv0, rest)) => (Some(argv0.to_owned()), rest),
            None => (None, key),
        };
        let argv = rest.strip_prefix('v').map(|args| {
            let args = args.strip_suffix('\0');
            args.map(|args| args.split('\0').map(str::to_owned).collect()).unwrap_or_default()
        });
        Self { argv0, argv }
    }
}

/// The normalised program of an exec. One whose path is relative while the working directory is not known is known by the
/// name that it was given.
///
/// # Errors
/// The path is empty, or too long.
pub fn exec_program(by: By<'_>, exec: &Exec<&[u8]>, rules: &Rules) -> Result<Program, Fate> {
    let mut path = String::new();
    if exec.path.len() > PATH_BYTES_MAX {
        return Err(Fate::Rejected(Rejected::TooLong));
    }
    if exec.fileless && exec.path.first() != Some(&b'/') && !exec.path.is_empty() {
        escape(exec.path, &mut path);
    } else {
        let cwd = exec.cwd.map_or(by.cwd, usable_cwd);
        match normal_path(exec.path, By { cwd, ..by }, &mut path) {
            Err(Fate::Ignored(Ignored::RelativePath)) => normalise_relative(exec.path, &mut path),
            normal => normal?,
        }
    }
    Ok(Program::new(&path, exec, rules.differentiate_args))
}

/// What runs the program of an exec: [`ITSELF`], or if it is a script its interpreter's path, normalised, or as it was
/// given if that cannot be resolved. Of one that is many programs, such as busybox, the applet follows behind `//`, which
/// no normalised path has. A path longer than the kernel takes is none.
pub(super) fn exec_interpreter(by: By<'_>, exec: &Exec<&[u8]>) -> String {
    let mut text = String::from(ITSELF);
    let Some(given) = exec.interpreter.filter(|path| !path.is_empty() && path.len() <= PATH_BYTES_MAX) else {
        return text;
    };
    if normalise(given, exec.cwd.map_or(by.cwd, usable_cwd), by.pid, &mut text).is_err() {
        text.clear();
        escape(given, &mut text);
    }
    if let Some(applet) = interpreter_applet(&text, exec) {
        text.extend(["//", &applet]);
    }
    text
}

pub(super) fn exec_flags(exec: &Exec<&[u8]>, chain: bool) -> Flags {
    let bits = [(chain, Flags::EXEC_CHAIN), (exec.fileless, Flags::FILELESS), (exec.upper_layer, Flags::UPPER_LAYER)];
    bits.iter().filter(|(on, _)| *on).fold(Flags::empty(), |all, (_, bit)| all.or(*bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applet_is_named_by_argv0_and_where_that_is_the_file_s_own_name_by_the_next_argument() {
        let long = "x".repeat(300);
        let cases: [(&str, &[&str], Option<&str>); 40] = [
            ("busybox", &["ls", "-l"], Some("ls")),
            ("busybox", &["/bin/sh"], Some("sh")),
            ("busybox", &["-sh"], Some("sh")),
            ("busybox", &["-/bin/sh"], Some("sh")),
            ("busybox", &["--sh"], Some("-sh")),
            ("busybox", &["busybox", "nc", "203.0.113.5"], Some("nc")),
            ("busybox", &["/bin/busybox", "/bin/nc"], Some("nc")),
            ("busybox", &["-busybox", "nc"], Some("nc")),
            ("busybox", &["toybox", "nc"], Some("nc")),
            // As such files do: its own name chooses again.
            ("busybox", &["busybox", "busybox", "nc"], Some("nc")),
            ("busybox", &["busybox"], None),
            ("busybox", &["busybox", "--list"], Some("--list")),
            ("busybox", &["busybox", "-c"], Some("-c")),
            ("busybox.nosuid", &["nc"], Some("nc")),
            ("busybox.nosuid", &["busybox.nosuid", "nc"], Some("nc")),
            ("busybox", &["busybox.nosuid", "nc"], Some("nc")),
            ("busybox-x86_64", &["busybox", "nc"], Some("nc")),
            ("toybox", &["toybox", "cat"], Some("cat")),
            ("coreutils", &["coreutils", "--coreutils-prog=ls", "/x"], Some("ls")),
            ("coreutils", &["coreutils", "--coreutils-prog-shebang=ls", "/usr/bin/ls"], Some("ls")),
            ("coreutils", &["--coreutils-prog=ls"], Some("-coreutils-prog=ls")),
            ("coreutils.real", &["cat"], Some("cat")),
            // A name that coreutils may not know: then the argument decides, else the name.
            ("coreutils", &["xyz", "--coreutils-prog=rm"], Some("xyz/rm")),
            ("coreutils", &["", "--coreutils-prog-shebang=rm", "/x"], Some("/rm")),
            ("coreutils", &["ls", "--coreutils-prog=../bin/rm"], Some("ls/../bin/rm")),
            ("coreutils", &["xyz", "rm"], Some("xyz")),
            ("coreutils", &["xyz", "rm", "--coreutils-prog=rm"], Some("xyz")),
            ("busybox", &["xyz", "--coreutils-prog=rm"], Some("xyz")),
            // Whatever begins with its name is its name, for busybox.
            ("busybox", &["busyboxes", "nc"], Some("nc")),
            ("busybox.static", &["-busybox_", "busybox2", "nc"], Some("nc")),
            ("toybox", &["busyboxes", "nc"], Some("busyboxes")),
            // Nothing to go by.
            ("busybox", &[""], None),
            ("busybox", &["-"], None),
            ("busybox", &["/"], None),
            ("busybox", &["busybox", ""], None),
            ("busybox", &["busybox", "/"], None),
            ("coreutils", &["coreutils", "--coreutils-prog="], None),
            ("busybox", &[&long], Some(&long[..NAME_BYTES_MAX])),
            // Not such files.
            ("busyboxes", &["nc"], None),
            ("mybusybox", &["nc"], None),
        ];
        for (file, args, applet) in cases {
            let argv: Vec<u8> = args.iter().flat_map(|arg| arg.bytes().chain([0])).collect();
            let key = ProgramKey::of(&format!("/bin/{file}"), Some(&argv), false);
            assert_eq!(key.argv0.as_deref(), applet, "{file} {args:?}");
        }
    }

    #[test]
    fn arguments_of_any_bytes_name_an_applet_or_none() {
        for (argv, applet) in [
            (&b""[..], None),
            (b"\0", None),
            (b"\0\0\0", None),
            (b"--\0", Some("-")),
            (b"---\0--\0", Some("--")),
            (b"busybox\0\xff\0", Some("\\xff")),
            (b"a\xff", Some("a\\xff")),
            (b"*\0", Some("\\*")),
        ] {
            assert_eq!(ProgramKey::of("/bin/busybox", Some(argv), false).argv0.as_deref(), applet, "{argv:?}");
        }
        // A name that had to be escaped is still the file's own.
        let key = ProgramKey::of("/bin/busybox.\\xff", Some(b"busybox.\xff\0sh\0"), false);
        assert_eq!(key.argv0.as_deref(), Some("sh"));
        let endless: Vec<u8> = b"busybox\0".repeat(100_000);
        assert_eq!(ProgramKey::of("/bin/busybox", Some(&endless), false).argv0, None);
    }

    #[test]
    #[allow(clippy::type_complexity)] // a table
    fn keys_are_kept_only_where_they_tell_programs_apart() {
        let cases: [(&str, Option<&[u8]>, bool, Option<&str>, Option<&[&str]>); 7] = [
            ("/bin/ls", Some(b"ls\0-l\0"), false, None, None),
            ("/bin/ls", Some(b"ls\0-l\0"), true, None, Some(&["ls", "-l"])),
            ("/bin/busybox", Some(b"ls\0-l\0"), false, Some("ls"), None),
            ("/bin/busybox", Some(b"/bin/sh\0"), false, Some("sh"), None),
            ("/bin/busybox", None, false, None, None),
            ("/usr/bin/coreutils", Some(b"cat\0\0x\0"), true, Some("cat"), Some(&["cat", "", "x"])),
            ("/bin/toybox", Some(b"a\xff\0"), false, Some("a\\xff"), None),
        ];
        for (path, argv, differentiate, argv0, args) in cases {
            let key = ProgramKey::of(path, argv, differentiate);
            assert_eq!(key.argv0.as_deref(), argv0, "{path}");
            let args = args.map(|a| a.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(key.argv, args, "{path}");
            assert_eq!(ProgramKey::decode(&key.encode()), key);
        }
    }
}
