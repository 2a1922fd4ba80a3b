//! The kernel side on the kernel that this runs on: something is done by a child process, and has to be told.

mod accepts;
mod calls;
mod changes;
mod denied;
mod files;
mod flows;
mod groups;
mod loss;
mod metadata;
mod mounts;
mod object;
mod overflow;
mod processes;
mod sockets;
mod support;
