//! Which script a running process is: `/proc/PID/exe` is what interprets it.
//!
//! The kernel puts into the arguments of a script what its first line says and then its path, and calls the process by
//! the path's last component. So does nobody by accident who runs the interpreter with a script for its argument: then
//! the process is called as the interpreter is. A process may have changed both since; then it is what `exe` says.
//!
//! The file is looked at where it lies in the image. What is mounted there is left alone: to look into it may mean to wait
//! for whoever made the file system.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};

use super::task::{below, read_file};

/// As much as the kernel looks at of a file's first line.
const LINE_MAX: usize = 256;

/// A process's name is cut to so many bytes.
const NAME_MAX: usize = 15;

/// Arguments that are looked at: of scripts that run scripts there are more.
const ARGUMENTS: usize = 6;

/// Lines of `mountinfo` are read up to so many bytes.
const MOUNTS_MAX: usize = 256 << 10;

/// The path of the script that a process runs, as the process sees it, if it is one. `argv` has a NUL byte behind each.
pub(super) fn of(pid: u32, argv: &[u8], cwd: Option<&[u8]>, root: &[u8]) -> Option<Vec<u8>> {
    let name = read_file(pid, "comm", NAME_MAX + 1).ok()?;
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    let arguments: Vec<&[u8]> = argv.split(|byte| *byte == 0).take(ARGUMENTS).collect();
    let at = (1..arguments.len()).find(|at| arguments.get(*at).is_some_and(|path| called(path, name)))?;
    let (before, path) = (arguments.get(..at)?, *arguments.get(at)?);
    if on_fuse(&read_file(pid, "mountinfo", MOUNTS_MAX).ok()?) {
        return None;
    }
    let in_root = match (path.strip_prefix(b"/"), cwd) {
        (Some(rest), _) => rest.to_vec(),
        (None, Some(cwd)) => [cwd.strip_prefix(b"/").unwrap_or(cwd), b"/", path].concat(),
        (None, None) => return None,
    };
    let directory = openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(directory, in_root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let (interpreter, option) = first_line(&file)?;
    let expected: Vec<&[u8]> = [interpreter.as_slice()].into_iter().chain(option.as_deref()).collect();
    if !before.ends_with(&expected) {
        return None;
    }
    let resolved = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    Some(below(root, resolved.into_os_string().into_vec()))
}

/// Whether the kernel calls a process so that runs this file.
fn called(path: &[u8], name: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !last.is_empty() && last.get(..NAME_MAX).unwrap_or(last) == name
}

/// Whether what lies at `/` is served by another process, which may never answer.
fn on_fuse(mountinfo: &[u8]) -> bool {
    // Of several mounts in one place the last one is seen.
    let of_root = mountinfo.split(|byte| *byte == b'\n').rfind(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        fields.nth(4) == Some(b"/")
    });
    let Some(line) = of_root else { return true };
    let kind = line.windows(3).position(|part| part == b" - ").and_then(|at| line.get(at + 3..)).unwrap_or_default();
    kind.starts_with(b"fuse")
}

/// The interpreter that a script names, and the one argument for it, if there is one.
fn first_line(file: &OwnedFd) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let readable = openat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), flags, Mode::empty()).ok()?;
    let mut head = Vec::new();
    File::from(readable).take(LINE_MAX as u64).read_to_end(&mut head).ok()?;
    parse(&head)
}

fn parse(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = line.get(line.iter().position(|byte| !blank(byte))?..)?;
    let (interpreter, rest) = line.split_at(line.iter().position(blank).unwrap_or(line.len()));
    let rest = rest.trim_ascii();
    Some((interpreter.trim_ascii_end().to_vec(), (!rest.is_empty()).then(|| rest.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_as_the_kernel_reads_them() {
        for (head, interpreter, option) in [
            ("#!/bin/sh\nx", "/bin/sh", None),
            ("#! /bin/sh -e \nx", "/bin/sh", Some("-e")),
            ("#!/usr/bin/env -S a b\n", "/usr/bin/env", Some("-S a b")),
            ("#!\t/bin/awk -f", "/bin/awk", Some("-f")),
        ] {
            let expected = Some((interpreter.into(), option.map(Into::into)));
            assert_eq!(parse(head.as_bytes()), expected, "{head}");
        }
        for none in ["", "#!", "#!\n/bin/sh", "# !/bin/sh", "\u{7f}ELF"] {
            assert_eq!(parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_process_is_called_by_the_last_component_of_its_script() {
        assert!(called(b"/docker-entrypoint.sh", b"docker-entrypoi") && called(b"go", b"go"));
        assert!(!called(b"/bin/", b"") && !called(b"/bin/sh", b"entry") && !called(b"/entry.sh", b"entry"));
    }

    #[test]
    fn what_another_process_serves_is_left_alone() {
        let mount = |root: &str, kind: &str| format!("30 1 0:25 / {root} rw,relatime shared:1 - {kind} x rw\n");
        for (mounts, fuse) in [
            (mount("/", "overlay") + &mount("/proc", "fuse.lxcfs"), false),
            (mount("/", "overlay") + &mount("/", "fuse.overlayfs"), true),
            (mount("/", "fuse.overlayfs") + &mount("/", "ext4"), false),
            (String::new(), true),
        ] {
            assert_eq!(on_fuse(mounts.as_bytes()), fuse, "{mounts}");
        }
    }
}
