//! What happened: one thing that one process of one container did.
//!
//! An [`Event`] is generic over how it holds its texts. Sources and the trees see [`EventRef`], whose texts
//! are borrowed byte slices; queues see the very same type inside an [`EventBuf`], whose texts are ranges of
//! one buffer. So an event crosses threads without an allocation of its own.
//!
//! Not here: what an event means for a tree (`tree`), or how it is written down (`trace`).
//!
//! What a source can tell, an event of each kind; times are nanoseconds since the Unix epoch, results of calls are those
//! of the kernel, so that a failed one is below 0:
//!
//! ```
//! use grove::event::{Body, Capability, Change, ChangeOp, Dns, EINPROGRESS, EventRef, Exec, Flow, Imds, Mount, Open};
//! use grove::event::{Peer, Proto, Socket, SocketOp, Syscalls, Token, syscall_numbers};
//! use grove::{Config, Engine, Overflow};
//!
//! let (server, tcp) = (Peer::Ip("10.0.0.7".parse()?), Some(Proto::Tcp));
//! let numbers = [0_u32, 1, 257].map(u32::to_le_bytes).concat();
//! assert_eq!(syscall_numbers(&numbers).collect::<Vec<_>>(), [0, 1, 257]);
//! let mut library = Open::new(b"/usr/lib/libssl.so.3".as_slice(), 0, 0);
//! library.map = true; // mapped to be executed
//! let mut volume = Flow::new(SocketOp::Connect, server, 443, tcp);
//! (volume.sent, volume.received) = (Some(1_500), Some(90_000)); // bytes so far
//! let done: [Body<&[u8]>; 17] = [
//!     Body::ContainerStart { image: b"shop", tag: b"1.0" },
//!     Body::Fork { ppid: 1, ns_pid: None },
//!     Body::Exec(Exec::new(1, b"/usr/bin/shop")),
//!     Body::Open(library),
//!     Body::Open(Open::new(b"/run/shop.pid", 0o1101, 3)),
//!     Body::Change(Change::new(ChangeOp::Rename, b"/srv/new", Some(b"/srv/.part"), 0)),
//!     Body::Mount(Mount::new(b"/mnt", b"tmpfs", None, 0, 0)),
//!     Body::Dns(Dns::new(b"db.internal", 1)), // 1 is A
//!     Body::Socket(Socket::new(SocketOp::Connect, server, 443, tcp, EINPROGRESS)),
//!     Body::Socket(Socket::new(SocketOp::Bind, Peer::Unix(b"/run/shop.sock"), 0, None, 0)),
//!     Body::Flow(volume),
//!     Body::Imds(Imds::new(b"/latest/meta-data/", Some(b"aws"), Some(Token::V2))),
//!     Body::Syscalls(Syscalls::new(&numbers)),
//!     Body::Capability(Capability::new(10, true)), // CAP_NET_BIND_SERVICE
//!     Body::Missed { cause: b"source", n: 3 },
//!     Body::Exit,
//!     Body::ContainerStop,
//! ];
//! let engine = Engine::start(&Config::default())?;
//! let mut sender = engine.sender(Overflow::Wait);
//! for (ts, body) in (1_700_000_000_000_000_000..).zip(done) {
//!     // Process 42, which was started at 1234 of whatever clock the source has.
//!     sender.send(EventRef::new(ts, b"c1", 42, body).with_start(1234));
//! }
//! sender.flush();
//! let snapshot = engine.shutdown();
//! let stats = snapshot.profiles.get("shop").unwrap().to_doc().stats();
//! assert_eq!((stats.file_nodes, stats.socket_nodes, stats.syscalls, stats.mounts, stats.imds), (4, 2, 3, 1, 1));
//! assert_eq!(snapshot.ledger.dropped_total(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::behaviour::{ChangeOp, EINPROGRESS, Peer, Proto, SocketOp, Token, syscall_numbers};

use crate::behaviour::{Behaviours, Bounded, By, Denial, Report, Texts, events};
use crate::ledger::{Fate, Ignored};

/// One thing that one process did. `B` is how texts are held: `&[u8]` in an [`EventRef`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<B> {
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// The container's id; empty for the host itself.
    pub container: B,
    /// Process id (thread-group id), in whatever pid namespace the source uses throughout. 0 for container events.
    pub pid: u32,
    /// The process's start time on any clock that stays the same within the recording. With it a process is
    /// `(pid, start)`; without it pid reuse has to be guessed from forks and parents.
    pub start: Option<u64>,
    /// The event itself.
    pub body: Body<B>,
}

/// An event whose texts are borrowed from the source.
pub type EventRef<'a> = Event<&'a [u8]>;

/// The image of containers whose workload never became known, and their tag. A source that says so itself, by a
/// [`Body::ContainerStart`] of this image and tag, has what waits for the name learned at once; a name may still come.
pub const UNKNOWN_IMAGE: &str = "<unknown>";

macro_rules! body {
    ($(($Event:ident $(<$B:ident>)?, $file:ident, $($name:literal)|+)),* $(,)?) => {
        pub use crate::behaviour::{$($Event),*};

        /// What a process did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Body<B> {
            /// Binds the container's id to its workload. Both texts are UTF-8. See also [`UNKNOWN_IMAGE`].
            ContainerStart {
                /// Image name without tag.
                image: B,
                /// Image tag.
                tag: B,
            },
            /// The container is gone.
            ContainerStop,
            /// `pid` continues as the program of `ppid`.
            Fork {
                /// The parent's process id.
                ppid: u32,
                /// Its number in its own pid namespace, which is what its `/proc/N` means. Not told, it is the pid.
                ns_pid: Option<u32>,
            },
            /// `pid` now runs another program.
            Exec(Exec<B>),
            /// The process ended.
            Exit,
            /// Things that processes of the container did and that the source did not deliver.
            Missed {
                /// The ledger's name for why: a [`Dropped`](crate::ledger::Dropped) or an
                /// [`Ignored`](crate::ledger::Ignored).
                cause: B,
                /// How many. The ledger counts each of them as one received.
                n: u64,
            },
            $(#[doc = concat!("A behaviour: see [`", stringify!($Event), "`].")] $Event($Event$(<$B>)?),)*
        }

        impl<B> Body<B> {
            /// The same with every text passed through `f`.
            fn map<C>(self, mut f: impl FnMut(B) -> C) -> Body<C> {
                match self {
                    Self::ContainerStart { image, tag } => Body::ContainerStart { image: f(image), tag: f(tag) },
                    Self::ContainerStop => Body::ContainerStop,
                    Self::Fork { ppid, ns_pid } => Body::Fork { ppid, ns_pid },
                    Self::Exec(exec) => Body::Exec(exec.map(f)),
                    Self::Exit => Body::Exit,
                    Self::Missed { cause, n } => Body::Missed { cause: f(cause), n },
                    $(Self::$Event(event) => Body::$Event(event.map(f)),)*
                }
            }
        }

        impl<B> Body<B> {
            /// Whether it tells of a behaviour. All other events are of the life cycle: without one of them, those that
            /// come after it are taken for another program's or container's.
            #[doc(hidden)]
            pub const fn is_behaviour(&self) -> bool {
                match self {
                    $(Self::$Event(_) => true,)*
                    Self::ContainerStart { .. } | Self::ContainerStop | Self::Fork { .. } | Self::Exec(_) => false,
                    Self::Exit | Self::Missed { .. } => false,
                }
            }
        }

        impl Body<&[u8]> {
            /// The value of `type` in a native trace.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::ContainerStart { .. } => "container_start",
                    Self::ContainerStop => "container_stop",
                    Self::Fork { .. } => "fork",
                    Self::Exec(_) => "exec",
                    Self::Exit => "exit",
                    Self::Missed { .. } => "missed",
                    $(Self::$Event(event) => event.type_name(),)*
                }
            }

            /// The result, below 0, of an attempt that failed.
            fn failure(&self) -> Option<i64> {
                match self {
                    $(Self::$Event(event) => event.failure(),)*
                    Self::ContainerStart { .. } | Self::ContainerStop | Self::Fork { .. } | Self::Exec(_) => None,
                    Self::Exit | Self::Missed { .. } => None,
                }
            }

            /// The text that no shard would take if it were empty or longer, of an event that tells of a behaviour.
            pub(crate) fn bounded(&self) -> Option<Bounded<'_>> {
                match self {
                    $(Self::$Event(event) => event.bounded(),)*
                    Self::ContainerStart { .. } | Self::ContainerStop | Self::Fork { .. } | Self::Exec(_) => None,
                    Self::Exit | Self::Missed { .. } => None,
                }
            }
        }

        impl EventRef<'_> {
            /// What a process did; or what becomes of an event that tells of no behaviour.
            ///
            /// # Errors
            /// The event is of the life cycle, an attempt that failed, or its name is none.
            #[doc(hidden)]
            pub fn behaviours<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
            where
                Self: 't,
            {
                if self.body.failure().is_some() {
                    return Err(Fate::Ignored(Ignored::Failed));
                }
                self.done_or_tried(by, texts)
            }

            /// What a process tried to do and was refused, and how.
            pub(crate) fn attempted<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Option<(Behaviours<'t>, Denial)>
            where
                Self: 't,
            {
                let denial = Denial::of(self.body.failure()?)?;
                Some((self.done_or_tried(by, texts).ok()?, denial))
            }

            fn done_or_tried<'t>(&self, by: By<'_>, texts: &'t mut Texts) -> Result<Behaviours<'t>, Fate>
            where
                Self: 't,
            {
                match &self.body {
                    $(Body::$Event(event) => event.behaviours(by, texts),)*
                    Body::ContainerStart { .. } | Body::ContainerStop | Body::Fork { .. } => Err(Fate::Lifecycle),
                    Body::Exec(_) | Body::Exit => Err(Fate::Lifecycle),
                    Body::Missed { cause, .. } => Err(Fate::missed(cause)),
                }
            }
        }
    };
}
events!(body);

/// The details of an exec.
///
/// ```
/// use grove::event::Exec;
///
/// let mut exec = Exec::new(1, b"/usr/sbin/nginx".as_slice());
/// exec.argv = Some(b"nginx\0-g\0daemon off;\0");
/// exec.uid = Some(33);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exec<B> {
    /// The parent's process id.
    pub ppid: u32,
    /// The program's path as the process sees it.
    pub path: B,
    /// The arguments, each followed by a NUL byte, as in `/proc/PID/cmdline`.
    pub argv: Option<B>,
    /// There were more arguments than the source could take.
    pub argv_truncated: bool,
    /// What runs the program if that is a script (`#!`). All else that is told here is the script's own.
    pub interpreter: Option<B>,
    /// The working directory, against which relative paths of this process are resolved.
    pub cwd: Option<B>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Effective group id.
    pub gid: Option<u32>,
    /// The program has no file (memfd and the like).
    pub fileless: bool,
    /// The file was written after the image was built.
    pub upper_layer: bool,
    /// Whether this is the container runtime at work and not the workload, where the source knows: then it decides.
    /// Where it does not, the program's name and place do.
    pub runtime: Option<bool>,
    /// The process's number in its own pid namespace. Not told, it is what its fork told, else the pid.
    pub ns_pid: Option<u32>,
}

impl<B> Exec<B> {
    /// An exec of which nothing else is known. `ppid` is 0 where the parent is not known.
    pub const fn new(ppid: u32, path: B) -> Self {
        Self {
            ppid,
            path,
            argv: None,
            argv_truncated: false,
            interpreter: None,
            cwd: None,
            uid: None,
            gid: None,
            fileless: false,
            upper_layer: false,
            runtime: None,
            ns_pid: None,
        }
    }

    fn map<C>(self, mut f: impl FnMut(B) -> C) -> Exec<C> {
        Exec {
            ppid: self.ppid,
            path: f(self.path),
            argv: self.argv.map(&mut f),
            argv_truncated: self.argv_truncated,
            interpreter: self.interpreter.map(&mut f),
            cwd: self.cwd.map(&mut f),
            uid: self.uid,
            gid: self.gid,
            fileless: self.fileless,
            upper_layer: self.upper_layer,
            runtime: self.runtime,
            ns_pid: self.ns_pid,
        }
    }
}

impl<B> Event<B> {
    /// What process `pid` of `container` did at `ts`. When the process was started is not known.
    pub const fn new(ts: u64, container: B, pid: u32, body: Body<B>) -> Self {
        Self { ts, container, pid, start: None, body }
    }

    /// The same of a process that was started then: see [`start`](Self::start).
    pub fn with_start(self, start: impl Into<Option<u64>>) -> Self {
        Self { start: start.into(), ..self }
    }

    /// The same in another container.
    #[doc(hidden)]
    pub fn with_container(self, container: B) -> Self {
        Self { container, ..self }
    }

    /// The same process doing something else.
    #[doc(hidden)]
    pub fn with_body(self, body: Body<B>) -> Self {
        Self { body, ..self }
    }

    /// How many events the ledger counts for it; `counted` is false for one that was [implied](Sink::implied).
    pub(crate) fn weight(&self, counted: bool) -> u64 {
        match self.body {
            Body::Missed { n, .. } => n,
            _ => u64::from(counted),
        }
    }

    /// The same event with every text passed through `f`.
    #[doc(hidden)]
    pub fn map<C>(self, mut f: impl FnMut(B) -> C) -> Event<C> {
        let Event { ts, container, pid, start, body } = self;
        let container = f(container);
        let body = body.map(f);
        Event { ts, container, pid, start, body }
    }
}

/// Where sources put the events they make.
pub trait Sink {
    /// An event that the ledger counts as one received.
    fn event(&mut self, event: EventRef<'_>);

    /// An event that the source knows of beside the one counted, such as the program of a process that was
    /// running before the recording began. The ledger does not count it.
    fn implied(&mut self, event: EventRef<'_>);
}

/// A range of an [`EventBuf`]'s text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    offset: u32,
    len: u32,
}

/// Which recording events are from: the engine gives them out ([`Engine::recording`](crate::Engine::recording)).
///
/// The default is the recording that nobody named. Its events count under `<unnamed>` in profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(u16);

impl Default for RecordingId {
    fn default() -> Self {
        Self(u16::MAX)
    }
}

impl RecordingId {
    /// The `index`-th that was given out, if there can be so many.
    pub(crate) fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self).filter(|id| *id != Self::default())
    }

    /// How many were given out before it.
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

#[derive(Clone, Debug)]
struct Record {
    event: Event<Span>,
    line: u32,
    recording: RecordingId,
    counted: bool,
}

/// Many owned events in order, their texts in one buffer: the unit that crosses threads.
///
/// Clearing keeps the memory, so a recycled buffer allocates nothing.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct EventBuf {
    records: Vec<Record>,
    text: Vec<u8>,
}

/// An event of an [`EventBuf`] with what its source said about it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The event.
    pub event: EventRef<'a>,
    /// Which recording it is from.
    pub recording: RecordingId,
    /// The line of its source that its record begins in, from 1; 0 where there is none or nobody asks.
    pub line: u32,
    /// False for one that was [implied](Sink::implied).
    pub counted: bool,
}

impl Stored<'_> {
    /// How many events the ledger counts for it.
    pub fn weight(&self) -> u64 {
        self.event.weight(self.counted)
    }
}

impl EventBuf {
    /// An empty buffer that owns no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no events in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of text held.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes of heap owned.
    pub fn heap_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>() + self.text.capacity()
    }

    /// Bytes that one more event takes.
    pub(crate) fn bytes_of(event: &EventRef<'_>) -> usize {
        let mut bytes = size_of::<Record>();
        event.map(|text| bytes += text.len());
        bytes
    }

    /// Empties it, keeping its memory for the next use, up to 1 MiB of text.
    pub fn clear(&mut self) {
        self.records.clear();
        self.text.clear();
        self.text.shrink_to(1 << 20);
    }

    /// Appends a copy of an event of the recording that nobody named, and of no line.
    pub fn push(&mut self, event: EventRef<'_>, counted: bool) {
        self.push_stored(Stored { event, recording: RecordingId::default(), line: 0, counted });
    }

    /// Appends a copy of an event with what its source said about it.
    #[inline]
    pub fn push_stored(&mut self, stored: Stored<'_>) {
        let Stored { event, recording, line, counted } = stored;
        let text = &mut self.text;
        // A buffer is flushed long before 4 GiB: readers bound a record's size, queues and holds a buffer's.
        let event = event.map(|bytes| {
            let span = Span { offset: text.len() as u32, len: bytes.len() as u32 };
            text.extend_from_slice(bytes);
            span
        });
        self.records.push(Record { event, line, recording, counted });
    }

    /// The events in the order they were pushed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Stored<'_>> {
        self.records.iter().map(|r| Stored {
            event: r.event.map(|s| self.text.get(s.offset as usize..(s.offset + s.len) as usize).unwrap_or_default()),
            recording: r.recording,
            line: r.line,
            counted: r.counted,
        })
    }
}

impl Sink for EventBuf {
    fn event(&mut self, event: EventRef<'_>) {
        self.push(event, true);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        self.push(event, false);
    }
}
