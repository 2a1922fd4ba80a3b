//! Tetragon's records as they are written: protobuf's JSON of its `GetEventsResponse`.
//!
//! Only what is used is read. Not here: what it means (`mod`).

use serde::Deserialize;
use sonic_rs::LazyValue;

use crate::trace::json::{Int, Text};

/// One record. Exactly one of the happenings is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    pub(super) time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) process_exec: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_exit: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_connect: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_kprobe: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_lsm: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_tracepoint: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_dns: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_listen: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_close: Option<ProcessEvent<'a>>,
    // Kinds that tell of nothing but their process.
    #[serde(borrow)]
    pub(super) process_accept: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_uprobe: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_usdt: Option<ProcessEvent<'a>>,
    #[serde(borrow)]
    pub(super) process_loader: Option<ProcessEvent<'a>>,
}

/// What happened, of any kind; the fields are those of all kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProcessEvent<'a> {
    #[serde(borrow)]
    pub(super) process: Option<Process<'a>>,
    #[serde(borrow)]
    pub(super) parent: Option<Process<'a>>,
    // process_connect
    #[serde(borrow)]
    pub(super) destination_ip: Option<Text<'a>>,
    pub(super) destination_port: Option<Int>,
    #[serde(borrow)]
    pub(super) protocol: Option<Text<'a>>,
    // process_connect, process_close
    #[serde(borrow)]
    pub(super) source_ip: Option<Text<'a>>,
    pub(super) source_port: Option<Int>,
    // process_close
    #[serde(borrow)]
    pub(super) stats: Option<LazyValue<'a>>,
    // process_listen
    #[serde(borrow)]
    pub(super) ip: Option<Text<'a>>,
    pub(super) port: Option<Int>,
    // process_kprobe, process_lsm, process_tracepoint
    #[serde(borrow)]
    pub(super) function_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) subsys: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) args: Option<Vec<Argument<'a>>>,
    #[serde(borrow, rename = "return")]
    pub(super) returned: Option<Argument<'a>>,
    // process_dns
    #[serde(borrow)]
    pub(super) dns: Option<Dns<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process<'a> {
    #[serde(borrow)]
    pub(super) exec_id: Option<Text<'a>>,
    pub(super) pid: Option<Int>,
    pub(super) uid: Option<Int>,
    #[serde(borrow)]
    pub(super) cwd: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) binary: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) flags: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) start_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) docker: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) pod: Option<Pod<'a>>,
    #[serde(borrow)]
    pub(super) binary_properties: Option<BinaryProperties<'a>>,
}

impl Process<'_> {
    /// Whether a flag is set. They are words: `execve clone`.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.flags.as_ref().is_some_and(|flags| flags.split_ascii_whitespace().any(|word| word == flag))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    pub(super) container: Option<Container<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) image: Option<Image<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Image<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BinaryProperties<'a> {
    #[serde(borrow)]
    pub(super) file: Option<File<'a>>,
}

/// An argument of a function: one of these is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Argument<'a> {
    pub(super) int_arg: Option<Int>,
    pub(super) uint_arg: Option<Int>,
    pub(super) capability_arg: Option<Capability>,
    #[serde(borrow)]
    pub(super) string_arg: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) file_arg: Option<File<'a>>,
    #[serde(borrow)]
    pub(super) path_arg: Option<File<'a>>,
    #[serde(borrow)]
    pub(super) sock_arg: Option<Socket<'a>>,
    #[serde(borrow)]
    pub(super) sockaddr_arg: Option<SocketAddress<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Capability {
    pub(super) value: Option<Int>,
}

/// How much went over a connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) bytes_sent: Option<Int>,
    pub(super) bytes_received: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct File<'a> {
    #[serde(borrow)]
    pub(super) path: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Socket<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) protocol: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) saddr: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) daddr: Option<Text<'a>>,
    pub(super) sport: Option<Int>,
    pub(super) dport: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SocketAddress<'a> {
    #[serde(borrow)]
    pub(super) family: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) addr: Option<Text<'a>>,
    pub(super) port: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dns<'a> {
    #[serde(borrow)]
    pub(super) query: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) names: Option<Vec<Text<'a>>>,
    #[serde(borrow, alias = "qtypes")]
    pub(super) question_types: Option<Vec<Text<'a>>>,
    pub(super) response: Option<bool>,
}
