//! Events from the kernel: eBPF programs, their loader, and the decoder of what they send.
//!
//! [`Probes::attach`] loads the programs (`src/bpf`, one committed object) and attaches them. From then on the kernel
//! writes records into one ring without waking anybody, and [`Probes::drain`], called on a timer, hands over what is
//! there. What could not be delivered is counted in the kernel, and [`Probes::counts`] tells how much of what.
//!
//! ```no_run
//! use grove_probes::kernel::{Options, Probes, RecordBody};
//!
//! let mut probes = Probes::attach(&Options::default())?;
//! loop {
//!     probes.drain(&mut |record| {
//!         if let RecordBody::Event(event) = record.what {
//!             println!("cgroup {}: {event:?}", record.cgroup);
//!         }
//!     });
//!     probes.counts(&mut |count| println!("not delivered: {count:?}"));
//!     std::thread::sleep(std::time::Duration::from_millis(10));
//! }
//! # #[expect(unreachable_code)]
//! # Ok::<(), grove_probes::kernel::AttachError>(())
//! ```
//!
//! # What is promised
//!
//! - *Identity.* `pid` is the thread-group id in the initial pid namespace, `start` when the group's leader started,
//!   on the boot clock, in nanoseconds but rounded down to the clock ticks that `/proc/PID/stat` shows (10 ms), so that
//!   both sources agree. It is always there, but for a DNS question whose sender is not known (then `pid` is 0).
//! - *Time.* `ts` is the boot clock plus an offset to Unix time that is taken once, at attach: steps of the wall clock
//!   do not reorder events.
//! - *Order.* Records come in the order in which the kernel made room for them, across all CPUs. A fork comes before
//!   anything that the child does, an exit after all else.
//! - *Loss.* An event in scope is delivered, or counted once under its [`Class`] and a [`Cause`].
//!   [`Cause::Repeat`] is not a loss: the same program, with the same ancestors, has told the same thing within the
//!   window.
//! - *Paths* of opened files and programs are walked in the kernel from the open file to the process's root: what the
//!   container sees, free of races. Failed opens have only the string that the process gave
//!   ([`Facts::said`]), behind the directory that it begins at if it is relative: so have the paths of unix sockets. It
//!   stays relative if no path leads to that directory.
//! - *Peers* are as the process said them, read when the call returns; a send to an address is told as a connect, with
//!   result 0 however much was sent.
//! - *Nothing stays behind.* Programs live as long as [`Probes`], or as the process. Nothing is pinned.
//!
//! # What is not seen
//!
//! - The numbers of 32-bit system calls (`int 0x80` and compat processes). What they open, connect, bind and send to is.
//! - Datagrams after the 64th of one `sendmmsg`.
//! - The kernel checks capabilities on its own account too: asking is not always doing. The most frequent such check,
//!   for `CAP_SYS_ADMIN` whenever memory is reserved, is left out (and not counted); a program that really uses it in
//!   one of those calls (`mmap`, `mprotect`, `brk`, `mremap`, `fork`, `execve`, …) does not exist.
//! - Binds, and sends to an address, through io_uring before Linux 6.11, and the results of what is done through it
//!   where `io_uring_complete` cannot be attached to. A file opened with the result suppressed is told by the name that
//!   was asked for, made absolute as a failed open's is, and once more by where that led if it is found under the number
//!   that it was about to get. A file of a ring's own table that was taken from there, by a request that was handed to
//!   the kernel's own threads, before the ring told of it, has the name that was asked for.
//! - DNS questions after the first of a message. Over TCP, messages after the fourth of a segment, those that end in
//!   another segment than they begin in, and those behind the end of such a one.
//! - The path of a script whose own file cannot be found, which is then as given to `execve` and marked so. It is not
//!   found behind a million files that are closed by the same exec.
//! - What our own forks do before they execute a program: it is our doing.
//! - A directory that another cgroup moved within the window is not told about again for files that are opened below
//!   it. What a cgroup's own calls and requests move is.
//!
//! Not here: whose cgroup it is (`workload`), and joining both into events of containers (`live`).

mod capabilities;
mod decode;
pub mod doctor;
mod hooks;
mod load;
mod options;
mod probes;
mod record;
mod table;

pub use capabilities::{Missing, Requirements, drop_capabilities, require};
pub use hooks::HookState;
pub use load::AttachError;
pub use options::{Classes, Failures, Options, Scope};
pub use probes::{DrainStats, LossCounter, Probes};
pub use record::{Cause, CgroupMaker, Class, Count, Facts, PathFacts, Record, RecordBody};
