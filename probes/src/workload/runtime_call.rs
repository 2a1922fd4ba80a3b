//! Which container a call of runc or crun makes, and from which bundle: `runc run --bundle DIR ID`. That is known as the
//! container's cgroup is made, when its runtime has no record of it yet; and a container that lives for a few
//! milliseconds may be gone before any record can be read.
//!
//! Not here: whose call it is, and what the bundle says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::cgroup::{ContainerRef, Runtime, is_id};

/// A container that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeCall {
    /// By the name that plain runc knows it by.
    pub container: ContainerRef,
    /// The directory of its bundle; `None` if its maker is not root, who may say anything there.
    pub bundle: Option<PathBuf>,
}

/// The container that a process makes that was called with these arguments (each with a zero behind it) in this working
/// directory, as this user. `None` if they make none.
pub fn parse_runtime_call(argv: &[u8], cwd: &[u8], uid: u32) -> Option<RuntimeCall> {
    let arguments: Vec<&[u8]> = argv.strip_suffix(&[0]).unwrap_or(argv).split(|b| *b == 0).collect();
    let (id, before) = arguments.get(1..)?.split_last()?;
    let makes = before.iter().position(|argument| matches!(*argument, b"run" | b"create" | b"restore"))?;
    let id = str::from_utf8(id).ok().filter(|id| is_id(id) && !id.starts_with('-'))?;
    let mut bundle: &[u8] = b"";
    let mut options = before.get(makes + 1..)?.iter();
    while let Some(option) = options.next() {
        match *option {
            b"--bundle" | b"-bundle" | b"-b" => bundle = options.next()?,
            _ => {
                let said = [b"--bundle=".as_slice(), b"-bundle=", b"-b="].iter().find_map(|o| option.strip_prefix(*o));
                bundle = said.unwrap_or(bundle);
            }
        }
    }
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    // Neither is known where the working directory has no path.
    let bundle = if bundle.is_empty() { path(cwd).to_owned() } else { path(cwd).join(path(bundle)) };
    let bundle = (uid == 0 && bundle.is_absolute()).then_some(bundle);
    let user = (uid != 0).then_some(uid);
    Some(RuntimeCall { container: ContainerRef { runtime: Runtime::Runc, id: id.to_owned(), pod: None, user }, bundle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_which_container_it_makes_and_from_which_bundle() {
        for (call, cwd, made) in [
            ("runc run c1", "/b", Some(("c1", "/b"))),
            ("runc --root /r --log-format json run --bundle /x c1", "/b", Some(("c1", "/x"))),
            ("runc create --bundle rel --pid-file /p c1", "/b", Some(("c1", "/b/rel"))),
            ("/usr/bin/crun --systemd-cgroup create --bundle=/x -d c1", "/b", Some(("c1", "/x"))),
            ("runc run -b /x --keep c1", "/b", Some(("c1", "/x"))),
            ("runc restore --image-path /i c1", "/b", Some(("c1", "/b"))),
            ("runc run --bundle /x --bundle /y c1", "", Some(("c1", "/y"))),
            ("runc run c1", "", Some(("c1", ""))),
            ("runc run --bundle", "/b", None),
            ("runc run --bundle /x", "/b", None),
            ("runc run ../c1", "/b", None),
            ("runc exec c1 true", "/b", None),
            ("runc init", "/b", None),
            ("runc run", "/b", None),
            ("runc", "/b", None),
            ("", "/b", None),
        ] {
            let argv: String = call.split(' ').map(|argument| format!("{argument}\0")).collect();
            let reported = parse_runtime_call(argv.as_bytes(), cwd.as_bytes(), 0);
            let reported = reported.map(|m| (m.container.id, m.bundle.unwrap_or_default().display().to_string()));
            assert_eq!(reported, made.map(|(id, bundle)| (id.to_owned(), bundle.to_owned())), "{call}");
        }
        let users = parse_runtime_call(b"runc\0run\0c1\0", b"/b", 1000).unwrap();
        assert_eq!((users.container.user, users.bundle), (Some(1000), None), "who may say anything");
    }
}
