//! The lines of one event, gathered until it is whole.
//!
//! Not here: what they tell together (`deed`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::denial::Denial;
use super::line::{self, Fields, Id};
use super::who::{Who, call_of, kept};
use crate::event::Peer;

/// How much is kept of the arguments of an exec.
const ARGV_BYTES: usize = 128 << 10;
/// How many names of files a call can have; the kernel tells of fewer.
const PATHS: usize = 16;
/// How many refusals are told with one event.
const DENIALS: usize = 16;

/// A system call, as a SYSCALL line tells it.
#[derive(Debug)]
pub(super) struct Call {
    /// Its name and its number on x86-64.
    pub(super) name: &'static str,
    pub(super) nr: u32,
    pub(super) ret: i64,
    pub(super) args: [u64; 4],
    pub(super) who: Who,
}

impl Call {
    pub(super) fn of(fields: Fields<'_>) -> Option<Self> {
        let (name, nr) = call_of(fields)?;
        let exit = fields.number("exit").unwrap_or_default();
        let failed = fields.get("success") == Some(b"no");
        let args = ["a0", "a1", "a2", "a3"].map(|arg| fields.hex(arg).unwrap_or_default());
        // Of an error without a number it is known that it was one.
        let ret = if failed && exit >= 0 { -1 } else { exit };
        Some(Self { name, nr, ret, args, who: Who::of(fields)? })
    }
}

/// The name of a file that a call was given or made.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: Box<[u8]>,
    pub(super) role: Role,
}

/// What a call did with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the directory of another.
    Parent,
    Made,
    Gone,
    /// It was there and still is, or nothing is said.
    Used,
}

/// An address as the kernel has it.
pub(super) type Address = (Peer<Box<[u8]>>, u16);

#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) id: Id,
    pub(super) call: Option<Call>,
    pub(super) denials: Vec<Denial>,
    pub(super) cwd: Option<Box<[u8]>>,
    pub(super) names: Vec<Name>,
    /// The arguments of an exec, each followed by a NUL byte.
    pub(super) argv: Vec<u8>,
    pub(super) argv_truncated: bool,
    pub(super) address: Option<Address>,
    /// Its last line was there.
    pub(super) is_whole: bool,
}

impl Gathered {
    pub(super) fn new(id: Id) -> Self {
        Self {
            id,
            call: None,
            denials: Vec::new(),
            cwd: None,
            names: Vec::new(),
            argv: Vec::new(),
            argv_truncated: false,
            address: None,
            is_whole: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.denials.len() >= DENIALS
    }

    pub(super) fn add_path(&mut self, fields: Fields<'_>) {
        let Some(path) = fields.text("name").and_then(kept).filter(|_| self.names.len() < PATHS) else { return };
        let role = match fields.get("nametype").or_else(|| fields.get("objtype")) {
            Some(b"PARENT") => Role::Parent,
            Some(b"CREATE") => Role::Made,
            Some(b"DELETE") => Role::Gone,
            _ => Role::Used,
        };
        self.names.push(Name { path, role });
    }

    /// Adds arguments: `a0="sh" a1=2D63`, and of a long one its pieces `a2[0]=… a2[1]=…`.
    pub(super) fn add_arguments(&mut self, fields: Fields<'_>) {
        let mut last: Option<&[u8]> = None;
        for (name, value) in fields {
            let Some(number) = name.strip_prefix(b"a") else { continue };
            let (number, is_piece) = match memchr::memchr(b'[', number) {
                Some(at) => (number.get(..at).unwrap_or_default(), true),
                None => (number, false),
            };
            if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
                continue;
            }
            let Some(text) = line::text(value) else { continue };
            if is_piece && (last == Some(number) || last.is_none() && !value_begins(name)) {
                // The NUL byte that ended the piece before.
                self.argv.pop();
            }
            last = Some(number);
            if self.argv.len() + text.len() > ARGV_BYTES {
                self.argv_truncated = true;
                return;
            }
            self.argv.extend_from_slice(&text);
            self.argv.push(0);
        }
    }

    pub(super) fn add_address(&mut self, fields: Fields<'_>) {
        self.address = fields.get("saddr").and_then(line::bytes).and_then(|bytes| address(&bytes));
    }

    pub(super) fn add_cwd(&mut self, fields: Fields<'_>) {
        self.cwd = fields.text("cwd").and_then(kept).filter(|cwd| cwd.starts_with(b"/"));
    }
}

/// Whether a piece's name says that it is its argument's first: `a2[0]`.
fn value_begins(name: &[u8]) -> bool {
    name.ends_with(b"[0]")
}

/// A `struct sockaddr` of a machine whose numbers begin with their lowest byte; ports begin with their highest.
fn address(bytes: &[u8]) -> Option<Address> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    match u16::from_le_bytes(*family) {
        1 => {
            let path = match rest.split_first()? {
                // An abstract name.
                (0, name) => [b"@", name.split(|b| *b == 0).next()?].concat(),
                _ => rest.split(|b| *b == 0).next()?.to_vec(),
            };
            (path != b"@").then(|| (Peer::Unix(path.into()), 0))
        }
        2 => {
            let (port, rest) = rest.split_first_chunk()?;
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some((Peer::Ip(ip.into()), u16::from_be_bytes(*port)))
        }
        10 => {
            let (port, rest) = rest.split_first_chunk()?;
            let ip = Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?);
            Some((Peer::Ip(IpAddr::V6(ip)), u16::from_be_bytes(*port)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_family() {
        let reported = |digits: &str| {
            address(&line::bytes(digits.as_bytes()).unwrap()).map(|(peer, port)| match peer {
                Peer::Ip(ip) => format!("{ip} {port}"),
                Peer::Unix(path) => path.escape_ascii().to_string(),
            })
        };
        for (digits, expected) in [
            ("0200005023ED10590000000000000000", Some("35.237.16.89 80")),
            ("0A00005000000000000000000000000000000000000000010000000000", Some("::1 80")),
            ("01002F72756E2F782E736F636B00", Some("/run/x.sock")),
            ("0100006162", Some("@ab")),
            ("0100", None),
            ("10000000000000000000000000", None),
            ("02", None),
            ("0200", None),
        ] {
            assert_eq!(reported(digits).as_deref(), expected, "{digits}");
        }
    }

    #[test]
    fn arguments_of_an_exec_and_their_pieces() {
        let mut gathered = Gathered::new(Id { ts: 0, serial: 0 });
        gathered.add_arguments(Fields(b" argc=3 a0=\"sh\" a1=2D63 a2_len=4 a2[0]=\"a b\""));
        gathered.add_arguments(Fields(b" a2[1]=\"c\" a3=\"\""));
        assert_eq!(gathered.argv.escape_ascii().to_string(), "sh\\x00-c\\x00a bc\\x00\\x00");
    }
}
