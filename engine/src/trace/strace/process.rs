//! What has to be remembered of a process and of a thread to understand their next lines.
//!
//! Not here: which process a thread belongs to, and when either comes and goes (`table`).

use std::borrow::Cow;
use std::sync::Arc;

use crate::hash::NumberSet;

use super::value::{self, Descriptor};

/// The longest path that is remembered, the kernel's PATH_MAX; a longer one is none.
const PATH_BYTES: usize = 4096;
/// How many descriptors of a process are remembered.
const DESCRIPTORS: usize = 64;

/// A process: threads that share a thread-group id.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) ppid: u32,
    pub(super) cwd: Option<Arc<[u8]>>,
    /// It went to another directory since its last exec: what is learned from now on does not say where it was then.
    pub(super) moved: bool,
    /// Oldest first.
    descriptors: Vec<Open>,
    /// The threads that have not ended, itself among them.
    pub(super) threads: NumberSet<u32>,
    /// Whether its program is known, by its own exec or as its parent's.
    pub(super) has_program: bool,
    /// One of its threads called exit_group, others are still to end.
    pub(super) dying: bool,
    /// Path and arguments of its last exec, kept only while its parent is a guess.
    pub(super) exec: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// The system calls of its program that were told already.
    reported: [u64; 8],
}

/// An open descriptor.
#[derive(Clone, Debug)]
struct Open {
    fd: i32,
    close_on_exec: bool,
    file: File,
}

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub(super) enum File {
    /// A file, by its absolute path.
    Path(Arc<[u8]>),
    /// A socket, by its number among all of the log.
    Socket(u64),
    /// A file system that is not mounted yet: its type, and the `MS_*` flags that mounting it will have.
    Unmounted(Arc<[u8]>, u32),
}

impl Process {
    /// The child that fork makes of it.
    pub(super) fn fork(&self, ppid: u32) -> Self {
        Self {
            ppid,
            cwd: self.cwd.clone(),
            descriptors: self.descriptors.clone(),
            has_program: self.has_program,
            ..Self::default()
        }
    }

    /// Becomes another program, with one thread left.
    pub(super) fn exec(&mut self, pid: u32) {
        self.descriptors.retain(|open| !open.close_on_exec);
        self.threads.clear();
        self.threads.insert(pid);
        self.has_program = true;
        self.dying = false;
        self.moved = false;
        self.reported = [0; 8];
    }

    /// Whether this is the first time that the program makes this call.
    pub(super) fn note_call(&mut self, number: u32) -> bool {
        let Some(word) = self.reported.get_mut(number as usize / 64) else { return true };
        let bit = 1 << (number % 64);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }

    /// Remembers what a descriptor now stands for, in place of what it stood for before. Returns the bytes it takes.
    pub(super) fn open(&mut self, fd: i32, file: Option<File>, close_on_exec: bool) -> usize {
        self.descriptors.retain(|open| open.fd != fd);
        let Some(file) = file else { return 0 };
        let bytes = match &file {
            File::Path(path) if path.len() > PATH_BYTES => return 0,
            File::Path(path) | File::Unmounted(path, _) => path.len(),
            File::Socket(_) => 0,
        };
        if self.descriptors.len() >= DESCRIPTORS {
            self.descriptors.remove(0);
        }
        self.descriptors.push(Open { fd, close_on_exec, file });
        bytes
    }

    pub(super) fn file(&self, fd: i32) -> Option<&File> {
        self.descriptors.iter().find(|open| open.fd == fd).map(|open| &open.file)
    }

    /// Bytes of the paths of its descriptors.
    pub(super) fn path_bytes(&self) -> usize {
        let len = |open: &Open| match &open.file {
            File::Path(path) | File::Unmounted(path, _) => path.len(),
            File::Socket(_) => 0,
        };
        self.descriptors.iter().map(len).sum()
    }

    /// Its sockets, by their numbers.
    pub(super) fn sockets(&self) -> impl Iterator<Item = u64> {
        self.descriptors.iter().filter_map(|open| if let File::Socket(id) = open.file { Some(id) } else { None })
    }

    pub(super) fn forget_descriptors(&mut self) {
        self.descriptors = Vec::new();
    }

    /// Goes to another directory; to one that is not known if `path` is `None` or cannot be resolved.
    pub(super) fn change_dir(&mut self, path: Option<&[u8]>) {
        self.moved = true;
        self.learn_dir(path);
    }

    /// Takes note of the directory that it is in.
    pub(super) fn learn_dir(&mut self, path: Option<&[u8]>) {
        let path = path.map(|path| self.resolve(None, path));
        self.cwd = path.filter(|path| path.starts_with(b"/")).and_then(|path| {
            let path = tidy(&path);
            (path.len() <= PATH_BYTES).then(|| path.into())
        });
    }

    /// The file that a path names: as given, or that of the descriptor by which it is given.
    pub(super) fn named<'a>(&self, dir: Option<Descriptor<'_>>, path: &'a [u8]) -> Cow<'a, [u8]> {
        let by_fd = [b"/proc/self/fd/".as_slice(), b"/dev/fd/"].iter().find_map(|dir| path.strip_prefix(*dir));
        match by_fd.and_then(value::descriptor).and_then(|dir| self.file(dir.fd?)) {
            Some(File::Path(path)) => Cow::Owned(path.to_vec()),
            _ => self.resolve(dir, path),
        }
    }

    /// The directory that a `dirfd` argument stands for, if known.
    pub(super) fn directory<'a>(&'a self, dir: Option<Descriptor<'a>>) -> Option<Cow<'a, [u8]>> {
        if let Some(path) = dir.and_then(|dir| dir.note).and_then(value::noted_path) {
            return Some(path);
        }
        match dir.and_then(|dir| dir.fd) {
            None => self.cwd.as_deref().map(Cow::Borrowed),
            Some(fd) => match self.file(fd)? {
                File::Path(path) => Some(Cow::Borrowed(path)),
                File::Socket(_) | File::Unmounted(..) => None,
            },
        }
    }

    /// `path` made absolute, if what it is relative to is known; else as it is.
    pub(super) fn resolve<'a>(&self, dir: Option<Descriptor<'_>>, path: &'a [u8]) -> Cow<'a, [u8]> {
        if path.starts_with(b"/") {
            return Cow::Borrowed(path);
        }
        match self.directory(dir) {
            Some(dir) if path.is_empty() => Cow::Owned(dir.into_owned()),
            Some(dir) => Cow::Owned([&dir, b"/".as_slice(), path].concat()),
            None => Cow::Borrowed(path),
        }
    }
}

/// An absolute path without `//`, `/.` and `/..`: directories that are changed to step by step stay short.
fn tidy(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => out.truncate(memchr::memrchr(b'/', &out).unwrap_or(0)),
            part => {
                out.push(b'/');
                out.extend_from_slice(part);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// A thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// The process it belongs to.
    pub(super) pid: u32,
    /// It ended; a line of this number that is not about that end is from another thread.
    pub(super) gone: bool,
    /// The call it is in.
    pub(super) pending: Option<Pending>,
    /// The thread whose unfinished call made this one, as long as that is a guess.
    pub(super) guess: Option<u32>,
}

/// A call that has not returned.
#[derive(Debug)]
pub(super) struct Pending {
    /// The line up to `<unfinished ...>`.
    pub(super) head: Vec<u8>,
    /// Where it stands among the calls that await the first line of their child.
    pub(super) order: u64,
    /// For a clone: the child that was seen before the call returned.
    pub(super) child: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_followed() {
        for (steps, cwd) in [
            (vec![Some("/a")], Some("/a")),
            (vec![Some("/a"), Some("b/./c//")], Some("/a/b/c")),
            (vec![Some("/a"), Some("../../..")], Some("/")),
            (vec![Some("a")], None),
            (vec![Some("/a"), None, Some("b")], None),
            (vec![Some("/a"), None, Some("/b")], Some("/b")),
        ] {
            let mut process = Process::default();
            for step in &steps {
                process.change_dir(step.map(str::as_bytes));
            }
            assert_eq!(process.cwd.as_deref(), cwd.map(str::as_bytes), "{steps:?}");
        }
    }

    #[test]
    fn descriptors_are_bounded_and_closed_by_exec() {
        let path = |text: &str| Some(File::Path(text.as_bytes().into()));
        let mut process = Process::default();
        for fd in 0..100 {
            process.open(fd, path("/d"), fd % 2 == 0);
        }
        assert_eq!(process.descriptors.len(), DESCRIPTORS);
        let dir = |fd| Some(Descriptor { fd: Some(fd), note: None });
        assert_eq!(process.resolve(dir(98), b"x").as_ref(), b"/d/x");
        assert_eq!(process.resolve(dir(3), b"x").as_ref(), b"x");
        process.exec(1);
        assert_eq!(process.resolve(dir(98), b"x").as_ref(), b"x");
        assert_eq!(process.resolve(dir(99), b"x").as_ref(), b"/d/x");
        process.open(99, None, false);
        assert_eq!(process.resolve(dir(99), b"x").as_ref(), b"x");
    }
}
