//! The kernel side on the kernel that this runs on: something is done by a child process, and has to be told.

mod calls;
mod changes;
mod files;
mod groups;
mod loss;
mod mounts;
mod object;
mod processes;
mod sockets;
mod support;
