//! A running host as a source of events: what its kernel tells, each event given to the container it belongs to.
//!
//! [`Live`] joins three things that know nothing of each other: [`kernel`](crate::kernel) tells what was done in which
//! cgroup, [`workload`](crate::workload) whose cgroup that is and what the container runs, and
//! [`proc`](crate::proc) what was running before all this began. Whoever owns a `Live` calls [`step`](Live::step) on a
//! timer; it never waits. Events of one container come out in the order in which the kernel made them.
//!
//! What was not delivered comes out too, as [`Missed`](grove::event::Body::Missed) of its container, so that a ledger
//! that counts what comes out of here balances with what the kernel saw.
//!
//! Not here: what becomes of the events, and for how long.

mod by_kernel;
mod by_proc;
mod containers;
mod few;
mod intake;
mod places;
mod select;
mod source;

pub use containers::{Container, Containers, Index, Owner, Wanted};
pub use intake::Intake;
pub use select::Select;
pub use source::{Live, LiveError, Origin, Whom};
