//! Names of numbers that the kernel and protocols give out: system calls, capabilities, DNS types, flags of opening and
//! mounting. Tables and look-ups, nothing else.

mod capability;
mod errno;
mod mount_flags;
pub(crate) mod open_flags;
mod qtype;
mod syscalls;

pub use capability::{CAPABILITY_MAX, capability_name, capability_number};
pub(crate) use errno::{DENIALS, errno};
pub use mount_flags::{mount_flag_bit, mount_flag_name};
pub(crate) use qtype::question_type;
pub use qtype::{qtype_name, qtype_number};
pub use syscalls::{Arch, syscall_name, syscall_number};
