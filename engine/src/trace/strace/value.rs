//! The values in strace's notation: strings, descriptors, socket addresses.
//!
//! Not here: finding a value among the arguments (`scan`).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scan;
use crate::names::open_flags::c_number;

/// The bytes of a string literal. `None` for what is not one, and for one that strace cut short (`"abc"...`), since
/// half a path is another path.
pub(super) fn string(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (bytes, whole) = lossy_string(text)?;
    whole.then_some(bytes)
}

/// The bytes of a string literal, and whether that is all of it.
pub(super) fn lossy_string(text: &[u8]) -> Option<(Cow<'_, [u8]>, bool)> {
    if !text.starts_with(b"\"") {
        return None;
    }
    let end = scan::string_end(text);
    let inner = text.get(1..end)?.strip_suffix(b"\"")?;
    let whole = !text.get(end..)?.starts_with(b"...");
    Some((unescape(inner), whole))
}

/// Undoes C's escapes.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let Some((kind, after)) = rest.split_first() else { break };
        rest = after;
        out.push(match kind {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'a' => 0x07,
            b'b' => 0x08,
            b'e' => 0x1b,
            b'x' => digits(&mut rest, 0, 16, 2),
            b'0'..=b'7' => digits(&mut rest, u32::from(kind - b'0'), 8, 2),
            other => *other,
        });
    }
    Cow::Owned(out)
}

/// Takes up to `max` digits of base `radix` from `rest`, after those already in `value`.
fn digits(rest: &mut &[u8], value: u32, radix: u32, max: usize) -> u8 {
    let mut value = value;
    for _ in 0..max {
        let Some((digit, after)) =
            rest.split_first().and_then(|(b, after)| Some((char::from(*b).to_digit(radix)?, after)))
        else {
            break;
        };
        value = value * radix + digit;
        *rest = after;
    }
    (value & 0xff) as u8
}

/// An array of strings as `/proc/PID/cmdline` has it, each followed by a NUL byte. `None` if it is not an array.
pub(super) fn argv(text: &[u8]) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut argv = Vec::new();
    for (arg, _) in scan::parts(inner).filter_map(lossy_string) {
        argv.extend_from_slice(&arg);
        argv.push(0);
    }
    Some(argv)
}

/// A descriptor argument or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor<'a> {
    /// `None` is `AT_FDCWD`.
    pub(super) fd: Option<i32>,
    /// The path or socket that `-y` puts behind a descriptor, without its brackets.
    pub(super) note: Option<&'a [u8]>,
}

/// `3`, `3</etc>`, `AT_FDCWD`, `AT_FDCWD</tmp>`, and with `-X raw` or `verbose` `-100`, `-100 /* AT_FDCWD */`.
pub(super) fn descriptor(text: &[u8]) -> Option<Descriptor<'_>> {
    let directory = [b"AT_FDCWD".as_slice(), b"-100"].iter().find_map(|name| text.strip_prefix(*name));
    let (fd, rest) = match directory {
        Some(rest) => (None, rest),
        None => {
            let (fd, rest) = scan::leading_number(text)?;
            (Some(i32::try_from(fd).ok()?), rest)
        }
    };
    let ends = matches!(rest.first(), None | Some(b'<' | b' '));
    ends.then(|| Descriptor { fd, note: scan::annotation(rest) })
}

/// The bits of flags that are written by name, as a number, or both: `PROT_READ|PROT_EXEC`, `0x5`,
/// `0x5 /* PROT_READ|PROT_EXEC */`. Names that are not in `names` count as none.
pub(super) fn bits(text: &[u8], names: &[(&[u8], u64)]) -> u64 {
    scan::bare(text).split(|b| *b == b'|').fold(0, |bits, part| {
        let part = part.trim_ascii();
        let named = names.iter().find(|(name, _)| *name == part).map(|(_, bit)| *bit);
        bits | named.or_else(|| c_number(part)).unwrap_or(0)
    })
}

/// The path that `-y` says a descriptor was opened by.
pub(super) fn noted_path(note: &[u8]) -> Option<Cow<'_, [u8]>> {
    // A device's path is followed by its numbers: /dev/pts/0<char 136:0>.
    let end = memchr::memchr(b'<', note).unwrap_or(note.len());
    note.starts_with(b"/").then(|| unescape(note.get(..end).unwrap_or_default()))
}

/// Where a socket is connected or bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    Ip(IpAddr, u16),
    /// A path, or `@` and a name.
    Unix(Cow<'a, [u8]>),
}

/// A `struct sockaddr`; `None` for families other than IP and unix, and for unix sockets without a name.
pub(super) fn sockaddr(text: &[u8]) -> Option<Address<'_>> {
    let inner = scan::braced(text)?;
    match scan::bare(scan::member(text, b"sa_family")?) {
        b"AF_INET" | b"PF_INET" | b"0x2" => {
            let addr = quoted(scan::member(text, b"sin_addr")?, b"inet_addr(")?;
            Some(Address::Ip(IpAddr::V4(addr.parse::<Ipv4Addr>().ok()?), port(scan::member(text, b"sin_port")?)?))
        }
        b"AF_INET6" | b"PF_INET6" | b"0xa" => {
            let addr = scan::parts(inner).find_map(|part| {
                let part = part.strip_prefix(b"sin6_addr=").unwrap_or(part);
                scan::parts(part.strip_prefix(b"inet_pton(")?).nth(1)
            })?;
            let addr = quoted(addr, b"")?.parse::<Ipv6Addr>().ok()?;
            Some(Address::Ip(IpAddr::V6(addr), port(scan::member(text, b"sin6_port")?)?))
        }
        b"AF_UNIX" | b"AF_LOCAL" | b"AF_FILE" | b"PF_UNIX" | b"0x1" => {
            let path = scan::member(text, b"sun_path")?;
            match path.strip_prefix(b"@") {
                Some(name) => {
                    let mut abstract_name = vec![b'@'];
                    abstract_name.extend_from_slice(&string(name)?);
                    Some(Address::Unix(Cow::Owned(abstract_name)))
                }
                None => string(path).filter(|path| !path.is_empty()).map(Address::Unix),
            }
        }
        _ => None,
    }
}

/// `htons(443)`.
fn port(text: &[u8]) -> Option<u16> {
    scan::leading_number(text.strip_prefix(b"htons(")?)?.0.try_into().ok()
}

/// The text of the string that follows `before`.
fn quoted<'a>(text: &'a [u8], before: &[u8]) -> Option<&'a str> {
    let literal = text.strip_prefix(before)?.strip_prefix(b"\"")?;
    str::from_utf8(literal.get(..memchr::memchr(b'"', literal)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for (text, bytes) in [
            (r#""""#, Some(b"".as_slice())),
            (r#""/etc/passwd""#, Some(b"/etc/passwd")),
            (r#""a\"b\\c\n\t""#, Some(b"a\"b\\c\n\t")),
            (r#""\377\0001\18\x4a\x4""#, Some(b"\xff\x001\x018J\x04")),
            (r#""\303\251""#, Some("é".as_bytes())),
            (r#""cut"..."#, None),
            (r#""open"#, None),
            (r#""half\"#, None),
            ("0x7ffc", None),
            ("NULL", None),
        ] {
            assert_eq!(string(text.as_bytes()).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn argument_lists() {
        for (text, bytes) in [
            (r#"["sh", "-c", "a, b"]"#, Some(b"sh\0-c\0a, b\0".as_slice())),
            (r#"["a"..., "b", ...]"#, Some(b"a\0b\0")),
            ("[]", Some(b"")),
            ("0x7ffc /* 3 vars */", None),
        ] {
            assert_eq!(argv(text.as_bytes()).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn descriptors() {
        for (text, fd, note) in [
            ("3", Some(3), None),
            ("3</etc/a b>", Some(3), Some("/etc/a b")),
            ("4</tmp/x>(deleted)", Some(4), Some("/tmp/x")),
            ("5<TCP:[1.1.1.1:1->2.2.2.2:2]>", Some(5), Some("TCP:[1.1.1.1:1->2.2.2.2:2]")),
            ("AT_FDCWD", None, None),
            ("AT_FDCWD</tmp>", None, Some("/tmp")),
            ("-100", None, None),
            ("-100 /* AT_FDCWD */", None, None),
            ("AT_FDCWD [unconfined_t]", None, None),
        ] {
            let expected = Some(Descriptor { fd, note: note.map(str::as_bytes) });
            assert_eq!(descriptor(text.as_bytes()), expected, "{text}");
        }
        for text in ["-1", "0xffff", "NULL", ""] {
            assert_eq!(descriptor(text.as_bytes()).and_then(|d| d.fd), None, "{text}");
        }
        assert_eq!(noted_path(b"/dev/pts/0<char 136:0>").as_deref(), Some(b"/dev/pts/0".as_slice()));
        assert_eq!(noted_path(b"pipe:[123]"), None);
    }

    #[test]
    fn flags_are_read_in_all_of_strace_s_styles() {
        let names: &[(&[u8], u64)] = &[(b"PROT_READ", 1), (b"PROT_EXEC", 4)];
        for (text, expected) in [
            ("PROT_READ|PROT_EXEC", 5),
            ("0x5", 5),
            ("0x5 /* PROT_READ|PROT_EXEC */", 5),
            ("PROT_READ|0x8", 9),
            ("PROT_NONE", 0),
            ("", 0),
        ] {
            assert_eq!(bits(text.as_bytes(), names), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        let ip = |addr: &str, port| Some(Address::Ip(addr.parse().unwrap(), port));
        let unix = |path: &'static str| Some(Address::Unix(path.as_bytes().into()));
        for (text, address) in [
            (r#"{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("1.2.3.4")}"#, ip("1.2.3.4", 443)),
            (
                r#"{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}"#,
                ip("::1", 53),
            ),
            (r#"{sa_family=AF_UNIX, sun_path="/run/x"}"#, unix("/run/x")),
            (r#"{sa_family=AF_LOCAL, sun_path=@"abs"}"#, unix("@abs")),
            (r#"{sa_family=AF_UNIX}"#, None),
            (r#"{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}"#, None),
            (r#"{sa_family=AF_INET, sin_port=htons(70000), sin_addr=inet_addr("1.2.3.4")}"#, None),
            (r#"{sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("1.2.3")}"#, None),
            ("0x7ffc", None),
            ("NULL", None),
            ("{", None),
        ] {
            assert_eq!(sockaddr(text.as_bytes()), address, "{text}");
        }
    }
}
