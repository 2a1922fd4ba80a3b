//! Opening a file by its handle, which the standard library has no call for. The only unsafe code about containers.
//!
//! Not here: what the file is.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

/// `FILEID_KERNFS`: the handle of a kernfs file is its 64-bit id.
const KERNFS: libc::c_int = 0xfe;

/// The kernel's `struct file_handle`, with the room that a kernfs id needs.
#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

/// Opens the kernfs directory with this id, on the file system that `mount` is on, for looking only.
///
/// # Errors
/// `ESTALE` if it is gone, `EPERM` without `CAP_DAC_READ_SEARCH`.
pub(super) fn open_kernfs(mount: BorrowedFd<'_>, id: u64) -> io::Result<File> {
    let mut handle = Handle { bytes: 8, kind: KERNFS, id: id.to_ne_bytes() };
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: `Handle` begins as `struct file_handle` does and has the eight bytes behind it that `bytes` announces,
    // so the kernel reads within it; it writes nothing, and keeps no pointer after the call.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call gave this descriptor to us just now, so nobody else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
