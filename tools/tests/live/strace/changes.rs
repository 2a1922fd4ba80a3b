//! What strace saw of names and files that were changed, of mounts, and of files that were mapped to be executed.
//!
//! Not here: files that were made. Of an open strace does not say whether they were there before.

use super::{Did, quoted};

/// The calls that are read here.
pub const CALLS: &str = "mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,\
                         truncate,ftruncate,chmod,fchmod,fchmodat,chown,lchown,fchown,fchownat,mount,mmap";

/// What a call did, if it is one of these; `None` if it did nothing that is to be seen.
pub fn read(name: &str, call: &str, result: &str, cwd: &str) -> Option<Option<Did>> {
    if !CALLS.split(',').any(|one| one == name) {
        return None;
    }
    let arguments = arguments(call);
    let fails = result.starts_with('-') || result.starts_with('?');
    let ret = if fails { number(result) } else { 0 };
    Some(match name {
        "mmap" if fails || !arguments[2].contains("PROT_EXEC") => None,
        "mmap" => of_descriptor(&arguments[4]).map(Did::Map),
        "mount" => {
            let fstype = if arguments[2].starts_with('"') { quoted(&arguments[2]) } else { "" };
            Some(Did::Mount { path: below(cwd, quoted(&arguments[1])), fstype: fstype.to_owned(), ret })
        }
        _ => change(name, &arguments, cwd, ret),
    })
}

fn change(name: &str, arguments: &[String], cwd: &str, ret: i64) -> Option<Did> {
    let op = match name.trim_end_matches("at2").trim_end_matches("at") {
        "unlink" if arguments.iter().any(|text| text.contains("AT_REMOVEDIR")) => "rmdir",
        "unlink" => "delete",
        "fchmod" => "chmod",
        "lchown" | "fchown" => "chown",
        "ftruncate" => "truncate",
        other => other,
    };
    // A descriptor alone, names alone, or a name behind where it begins.
    let name_at = |at: usize| below(cwd, quoted(&arguments[at]));
    let pair_at = |at: usize| below(of_directory(&arguments[at], cwd), quoted(&arguments[at + 1]));
    let (path, from) = match name {
        "fchmod" | "fchown" | "ftruncate" => (of_descriptor(&arguments[0])?, None),
        "rename" | "link" => (name_at(1), Some(name_at(0))),
        "symlink" => (name_at(1), Some(quoted(&arguments[0]).to_owned())),
        "symlinkat" => (pair_at(1), Some(quoted(&arguments[0]).to_owned())),
        "renameat" | "renameat2" | "linkat" => (pair_at(2), Some(pair_at(0))),
        _ if name.ends_with("at") => (pair_at(0), None),
        _ => (name_at(0), None),
    };
    // A descriptor is no name: such a file has had none.
    let from = from.filter(|from| !from.starts_with("/proc/self/fd/"));
    Some(Did::Change { op: op.to_owned(), path, from, ret })
}

/// Puts in what the kernel itself maps of a program that begins in an ELF interpreter: that one then opens a list.
pub fn with_interpreters(did: Vec<Did>) -> Vec<Did> {
    const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";
    let mut all = Vec::new();
    for (at, one) in did.iter().enumerate() {
        all.push(one.clone());
        let rest = &did[at + 1..];
        let program = rest.iter().take_while(|did| !matches!(did, Did::Exec { .. }));
        let is_list = |did: &Did| matches!(did, Did::Open(path) if path == "/etc/ld.so.cache");
        if matches!(one, Did::Exec { .. }) && program.clone().any(is_list) {
            all.push(Did::Map(crate::real(INTERPRETER)));
        }
    }
    all
}

/// What is between the brackets, cut at its commas.
fn arguments(call: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut quoted, mut depth, mut before) = (false, 0, ' ');
    for letter in call.split_once('(').unwrap().1.trim_end().trim_end_matches(')').chars() {
        match letter {
            '"' if before != '\\' => quoted = !quoted,
            '{' | '[' | '<' if !quoted => depth += 1,
            '}' | ']' | '>' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => (),
        }
        before = letter;
        all.last_mut().unwrap().push(letter);
    }
    all.iter().map(|text| text.trim().to_owned()).collect()
}

/// -1 ENOENT (No such file or directory)
fn number(result: &str) -> i64 {
    match result.split(' ').nth(1) {
        Some("EPERM") => -1,
        Some("ENOENT") => -2,
        Some("EBADF") => -9,
        Some("EACCES") => -13,
        Some("EEXIST") => -17,
        Some("ENOTDIR") => -20,
        Some("EISDIR") => -21,
        Some("EINVAL") => -22,
        Some("EROFS") => -30,
        Some("ENOTEMPTY") => -39,
        other => panic!("a number for {other:?}: {result}"),
    }
}

/// 3</some/file>; of what has a name.
fn of_descriptor(text: &str) -> Option<String> {
    let path = text.split_once('<')?.1;
    let path = path.strip_suffix('>').filter(|path| path.starts_with('/'))?;
    (!path.contains("(deleted)")).then(|| path.split_once("<char ").map_or(path, |(path, _)| path).to_owned())
}

fn of_directory<'a>(text: &'a str, cwd: &'a str) -> &'a str {
    text.split_once('<').map_or(cwd, |(_, path)| path.trim_end_matches('>'))
}

/// A name where it begins, without what is in it for nothing.
pub fn below(base: &str, name: &str) -> String {
    let whole = if name.starts_with('/') { name.to_owned() } else { format!("{base}/{name}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => (),
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
