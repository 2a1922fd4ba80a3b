//! Forks, execs and exits from the kernel's process connector, with what `/proc` adds.
//!
//! The connector tells ids and nothing else, so paths, arguments and cgroups are read after the fact. A process that
//! was gone by then is counted, and so is every message that the kernel could not deliver: the messages of each
//! processor are numbered, so a gap says how many.
//!
//! Not here: whose a cgroup is. Records have an empty container id and the cgroup's path beside them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use grove::event::{Body, Event, EventRef};
use netlink_sys::protocols::NETLINK_CONNECTOR;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::message::{self, LISTEN, Message, MessageBody, NO_CPU, PROC};
use super::task::{self, Process};

/// Why the connector cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The kernel has none.
    #[error("this kernel has no process connector (CONFIG_PROC_EVENTS)")]
    Unsupported,
    /// Not allowed. Kernels since 6.6 let anybody listen, but what `/proc` shows of others stays as it was.
    #[error("the process connector needs CAP_NET_ADMIN")]
    Denied,
    /// The kernel did not answer.
    #[error("the process connector does not answer: it does so only in the first pid and user namespace")]
    Silent,
    /// Something else.
    #[error("the process connector: {0}")]
    Io(#[from] io::Error),
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// A fork, an exec or an exit; its container is empty.
    pub event: EventRef<'a>,
    /// The path of the process's cgroup; empty if it is not known.
    pub cgroup: &'a [u8],
}

/// What was seen, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectorStats {
    /// Forks, execs and exits of processes that the kernel told of.
    pub reported: u64,
    /// Those that became records.
    pub records: u64,
    /// Execs whose process was gone before it could be looked at: these are not told further.
    pub execs_gone: u64,
    /// Forks whose process was gone before its start time could be read: these are told without it.
    pub forks_gone: u64,
    /// Processes that `/proc` would not show: `CAP_SYS_PTRACE` is missing.
    pub denied: u64,
    /// Messages that the kernel could not deliver, threads' and others included; for each processor, from its first
    /// message on.
    pub lost: u64,
    /// How often the kernel said that the socket's buffer was full.
    pub overruns: u64,
}

/// The process connector.
#[derive(Debug)]
pub struct Connector {
    socket: Socket,
    datagram: Vec<u8>,
    /// The next number to come, for each processor.
    expected: HashMap<u32, u32>,
    known: Known,
    stats: ConnectorStats,
}

/// How long the kernel may take to answer the request to listen.
const ACK_WAIT: Duration = Duration::from_secs(1);

/// Larger than any message of the connector.
const DATAGRAM_MAX: usize = 4096;

/// Processes that are remembered.
const KNOWN_MAX: usize = 65_536;

/// Datagrams read in one go, before the caller is asked again.
const BATCH_MAX: usize = 1024;

impl Connector {
    /// Begins to listen, with a receive buffer of about so many bytes.
    ///
    /// # Errors
    /// The kernel has no connector, does not allow it, or does not answer.
    pub fn open(receive_bytes: usize) -> Result<Self, ConnectorError> {
        let mut socket = Socket::new(NETLINK_CONNECTOR).map_err(|e| match e.raw_os_error() {
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => ConnectorError::Unsupported,
            _ => e.into(),
        })?;
        let denied = |e: io::Error| match e.kind() {
            io::ErrorKind::PermissionDenied => ConnectorError::Denied,
            io::ErrorKind::ConnectionRefused => ConnectorError::Unsupported,
            _ => e.into(),
        };
        socket.set_rx_buf_sz(receive_bytes.min(i32::MAX as usize) as i32)?;
        socket.bind(&SocketAddr::new(0, PROC)).map_err(denied)?;
        socket.set_non_blocking(true)?;
        let mut address = SocketAddr::new(0, 0);
        socket.get_address(&mut address)?;
        // The port is this socket's alone, so the answer to this request is told from those to others.
        let number = address.port_number();
        socket.send_to(&message::request(LISTEN, number), &SocketAddr::new(0, 0), 0).map_err(denied)?;
        let datagram = Vec::with_capacity(DATAGRAM_MAX);
        let mut connector = Self {
            socket,
            datagram,
            expected: HashMap::new(),
            known: Known::default(),
            stats: ConnectorStats::default(),
        };
        connector.wait_for_ack(number.wrapping_add(1))?;
        Ok(connector)
    }

    /// What was seen so far, and what was not.
    pub fn stats(&self) -> ConnectorStats {
        self.stats
    }

    /// Waits until something happens, at most so long, and tells all there is. Returns whether there may be more.
    ///
    /// # Errors
    /// The socket failed.
    pub fn read(&mut self, wait: Duration, mut report: impl FnMut(Record<'_>)) -> io::Result<bool> {
        if !self.is_readable(wait)? {
            return Ok(false);
        }
        let clock = Clock::now();
        for _ in 0..BATCH_MAX {
            if !self.receive()? {
                return Ok(false);
            }
            let datagram = std::mem::take(&mut self.datagram);
            for message in message::decode(&datagram) {
                self.count_gap(&message);
                self.take(&message, clock, &mut report);
            }
            self.datagram = datagram;
        }
        Ok(true)
    }

    fn wait_for_ack(&mut self, mine: u32) -> Result<(), ConnectorError> {
        let until = Instant::now() + ACK_WAIT;
        while self.is_readable(until.saturating_duration_since(Instant::now()))? {
            while self.receive()? {
                let datagram = std::mem::take(&mut self.datagram);
                for message in message::decode(&datagram) {
                    // What happens meanwhile is not told, but counted from.
                    self.count_gap(&message);
                    let MessageBody::Ack { error, number } = message.what else { continue };
                    match error as i32 {
                        _ if number != mine => {}
                        0 => return Ok(()),
                        libc::EPERM | libc::EACCES => return Err(ConnectorError::Denied),
                        error => return Err(io::Error::from_raw_os_error(error).into()),
                    }
                }
                self.datagram = datagram;
            }
        }
        Err(ConnectorError::Silent)
    }

    fn is_readable(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let mut sockets = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        match poll(&mut sockets, Some(&wait)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next datagram; false if there is none.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM_MAX);
            match self.socket.recv_from(&mut self.datagram, 0) {
                // Only the kernel has port 0: a process may send to this socket too.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => self.stats.overruns += 1,
                Err(e) => return Err(e),
            }
        }
    }

    fn count_gap(&mut self, message: &Message) {
        if message.cpu == NO_CPU {
            return;
        }
        let next = message.seq.wrapping_add(1);
        if let Some(expected) = self.expected.insert(message.cpu, next) {
            let missed = message.seq.wrapping_sub(expected);
            // A number from before is none that is missing.
            self.stats.lost += u64::from(if missed < u32::MAX / 2 { missed } else { 0 });
        }
    }

    fn take(&mut self, message: &Message, clock: Clock, report: &mut impl FnMut(Record<'_>)) {
        let ts = clock.unix_ns(message.monotonic_ns);
        match message.what {
            MessageBody::Fork { parent, child, child_thread } if child == child_thread => {
                self.stats.reported += 1;
                self.fork(ts, parent, child, report);
            }
            MessageBody::Exec { process } => {
                self.stats.reported += 1;
                self.exec(ts, process, report);
            }
            MessageBody::Exit { process, thread } if process == thread => {
                self.stats.reported += 1;
                self.exit(ts, process, report);
            }
            _ => {}
        }
    }

    fn fork(&mut self, ts: u64, parent: u32, child: u32, report: &mut impl FnMut(Record<'_>)) {
        let (start, cgroup) = match (task::stat(child), task::cgroup(child)) {
            (Ok(stat), Ok(cgroup)) => (Some(stat.start), cgroup.into()),
            // It was made where its parent is.
            (stat, _) => {
                self.stats.forks_gone += 1;
                (stat.ok().map(|stat| stat.start), self.known.cgroup(parent))
            }
        };
        let event = Event::new(ts, b"".as_slice(), child, Body::Fork { ppid: parent, ns_pid: None }).with_start(start);
        self.stats.records += 1;
        report(Record { event, cgroup: &cgroup });
        self.known.insert(child, start, cgroup);
    }

    fn exec(&mut self, ts: u64, pid: u32, report: &mut impl FnMut(Record<'_>)) {
        let read = || Process::read(pid, task::cgroup(pid)?, task::stat(pid)?);
        match read() {
            Ok(process) => {
                self.stats.records += 1;
                report(Record { event: process.exec_event(ts, b""), cgroup: &process.cgroup });
                self.known.insert(pid, Some(process.start), process.cgroup.into());
            }
            Err(task::Missed::Denied) => self.stats.denied += 1,
            Err(_) => self.stats.execs_gone += 1,
        }
    }

    fn exit(&mut self, ts: u64, pid: u32, report: &mut impl FnMut(Record<'_>)) {
        let (start, cgroup) = self.known.remove(pid);
        let event = Event::new(ts, b"".as_slice(), pid, Body::Exit).with_start(start);
        self.stats.records += 1;
        report(Record { event, cgroup: &cgroup });
    }
}

/// What is remembered of processes, for when they can be asked no more.
#[derive(Debug, Default)]
struct Known {
    processes: HashMap<u32, (Option<u64>, Arc<[u8]>)>,
    /// The keys, oldest first; those of processes that ended are still among them.
    order: VecDeque<u32>,
}

impl Known {
    fn insert(&mut self, pid: u32, start: Option<u64>, cgroup: Arc<[u8]>) {
        if self.processes.insert(pid, (start, cgroup)).is_none() {
            self.order.push_back(pid);
        }
        while self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.processes.remove(&oldest);
        }
    }

    fn cgroup(&self, pid: u32) -> Arc<[u8]> {
        self.processes.get(&pid).map(|(_, cgroup)| Arc::clone(cgroup)).unwrap_or_default()
    }

    fn remove(&mut self, pid: u32) -> (Option<u64>, Arc<[u8]>) {
        self.processes.remove(&pid).unwrap_or_default()
    }
}

/// Turns the monotonic clock into the time of day.
#[derive(Clone, Copy)]
struct Clock {
    /// What the time of day is ahead by, in nanoseconds.
    ahead: u64,
}

impl Clock {
    fn now() -> Self {
        let monotonic = clock_gettime(ClockId::Monotonic);
        let monotonic = monotonic.tv_sec as u64 * 1_000_000_000 + monotonic.tv_nsec as u64;
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { ahead: (unix.as_nanos() as u64).saturating_sub(monotonic) }
    }

    fn unix_ns(self, monotonic_ns: u64) -> u64 {
        self.ahead.saturating_add(monotonic_ns)
    }
}
