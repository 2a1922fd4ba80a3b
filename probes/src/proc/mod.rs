//! What `/proc` and the process connector tell, without any program in the kernel.
//!
//! - [`Snapshot`] is the processes that already run when watching begins.
//! - [`Connector`] reports forks, execs and exits where the kernel allows nothing better. It is a degraded source: it
//!   sees no files, sockets or names, and a process may be gone before it can be looked at. It counts those.
//!
//! Not here: whose a cgroup is (`workload`), and what the engine makes of events.

mod connector;
mod message;
mod script;
mod snapshot;
mod task;

pub use connector::{Connector, ConnectorError, ConnectorStats, Record};
pub use snapshot::{Budget, Snapshot, SnapshotOmissions};
pub use task::{ARGV_MAX, Process, TICK_NS, start_in_ticks, start_of};
