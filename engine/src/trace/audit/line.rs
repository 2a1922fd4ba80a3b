//! One line of an audit log: its kind, the event that it is part of, and its fields.
//!
//! Everything is linear in the line. What a process chose is in quotes, in which no quote can be, or in hexadecimal
//! digits. Not here: what fields mean.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::ledger::Rejected;
use crate::trace::{Reject, json};

/// The event that lines are part of: its time in nanoseconds since the epoch, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) ts: u64,
    pub(super) serial: u64,
}

/// What a line can be that tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Syscall,
    Path,
    Cwd,
    Execve,
    Sockaddr,
    Seccomp,
    Avc,
    /// The last line of an event.
    End,
    Other,
}

impl Kind {
    /// By the name that auditd writes, or the number that the kernel does.
    fn of(name: &[u8]) -> Self {
        match name {
            b"SYSCALL" | b"1300" => Self::Syscall,
            b"PATH" | b"1302" => Self::Path,
            b"CWD" | b"1307" => Self::Cwd,
            b"EXECVE" | b"1309" => Self::Execve,
            b"SOCKADDR" | b"1306" => Self::Sockaddr,
            b"SECCOMP" | b"1326" => Self::Seccomp,
            b"AVC" | b"1400" | b"1107" | b"USER_AVC" => Self::Avc,
            b"PROCTITLE" | b"1327" | b"EOE" | b"1320" => Self::End,
            _ => Self::Other,
        }
    }
}

/// A line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) kind: Kind,
    pub(super) id: Id,
    pub(super) fields: Fields<'a>,
}

/// Reads a line: of auditd, as `type=SYSCALL msg=audit(1700000000.123:45): …`, or of the kernel's own log, as
/// `audit: type=1300 audit(1700000000.123:45): …`.
///
/// # Errors
/// It is neither.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, Reject> {
    let malformed = || Reject {
        reason: Rejected::Malformed,
        field: None,
        detail: "not a line of audit.log: expected `type=NAME msg=audit(SECONDS:SERIAL): …`".into(),
    };
    let (name, rest) = head(line).ok_or_else(malformed)?;
    let (id, rest) = rest.split_at_checked(memchr(b')', rest).ok_or_else(malformed)?).ok_or_else(malformed)?;
    let id = Id::of(id).ok_or_else(|| json::invalid("msg", "SECONDS:SERIAL in numbers (ausearch needs --raw)"))?;
    let fields = rest.strip_prefix(b"):").or_else(|| rest.strip_prefix(b") :")).unwrap_or_default();
    // What auditd adds in its enriched format says the same once more, in words.
    let fields = fields.get(..memchr(0x1d, fields).unwrap_or(fields.len())).unwrap_or_default();
    Ok(Line { kind: Kind::of(name), id, fields: Fields(fields) })
}

/// Whether a line, or the beginning of one, looks like one of an audit log.
pub(super) fn is_likely(line: &[u8]) -> bool {
    head(line).is_some()
}

/// The name of the kind, and what follows `audit(`.
fn head(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = match line.strip_prefix(b"type=") {
        Some(rest) => rest,
        None => {
            let at = memmem::find(line, b" type=")?;
            // `node=NAME `, or what a log puts before its lines.
            let before = line.get(..at)?;
            let known = before.starts_with(b"node=") || before.ends_with(b"audit:");
            line.get(at + b" type=".len()..).filter(|_| known)?
        }
    };
    let (name, rest) = rest.split_at_checked(memchr(b' ', rest)?)?;
    let rest = rest.trim_ascii_start();
    Some((name, rest.strip_prefix(b"msg=").unwrap_or(rest).strip_prefix(b"audit(")?))
}

impl Id {
    /// Of `1700000000.123:45`.
    fn of(text: &[u8]) -> Option<Self> {
        let (time, serial) = str::from_utf8(text).ok()?.split_once(':')?;
        let (seconds, millis) = time.split_once('.').unwrap_or((time, "0"));
        let millis: u64 = format!("{millis:0<3}").get(..3)?.parse().ok()?;
        let ts = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(millis * 1_000_000)?;
        Some(Self { ts, serial: serial.parse().ok()? })
    }
}

/// The fields of a line: `name=value` one after the other, between them words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0.trim_ascii_start();
            let end = memchr::memchr2(b'=', b' ', rest)?;
            let (name, after) = rest.split_at_checked(end)?;
            if after.first() != Some(&b'=') {
                self.0 = after;
                continue;
            }
            let value = after.get(1..)?;
            let end = match value.first() {
                Some(quote @ (b'"' | b'\'')) => memchr(*quote, value.get(1..)?).map_or(value.len(), |end| end + 2),
                _ => memchr(b' ', value).unwrap_or(value.len()),
            };
            let (value, rest) = value.split_at_checked(end)?;
            self.0 = rest;
            return Some((name, value));
        }
    }
}

impl<'a> Fields<'a> {
    pub(super) fn get(mut self, name: &str) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }

    /// A decimal number.
    pub(super) fn number<T: std::str::FromStr>(self, name: &str) -> Option<T> {
        str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }

    /// A number in hexadecimal digits.
    pub(super) fn hex(self, name: &str) -> Option<u64> {
        u64::from_str_radix(str::from_utf8(self.get(name)?).ok()?, 16).ok()
    }

    /// What a process may have chosen; `None` if it is not told.
    pub(super) fn text(self, name: &str) -> Option<Cow<'a, [u8]>> {
        text(self.get(name)?)
    }
}

/// A value that is quoted, or in hexadecimal digits.
pub(super) fn text(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(inner) = value.strip_prefix(b"\"") {
        return Some(inner.strip_suffix(b"\"").unwrap_or(inner).into());
    }
    match value {
        b"(null)" | b"(none)" | b"?" | b"" => None,
        _ => Some(bytes(value).map_or(Cow::Borrowed(value), Cow::Owned)),
    }
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_auditd_and_of_the_kernel() {
        let id = Some((1_364_481_363_243_000_000, 24287));
        for (line, kind, expected) in [
            ("type=SYSCALL msg=audit(1364481363.243:24287): a=1", Kind::Syscall, id),
            ("node=web type=CWD msg=audit(1364481363.243:24287):  cwd=\"/\"", Kind::Cwd, id),
            ("[  1.5] audit: type=1326 audit(1364481363.243:24287): a=1", Kind::Seccomp, id),
            ("Jul 1 10:00:00 h kernel: audit: type=1400 audit(1364481363.243:24287): a=1", Kind::Avc, id),
            ("type=LOGIN msg=audit(1364481363.243:24287): a=1", Kind::Other, id),
        ] {
            let parsed = parse(line.as_bytes()).unwrap();
            assert_eq!((parsed.kind, Some((parsed.id.ts, parsed.id.serial))), (kind, expected), "{line}");
            assert!(is_likely(line.as_bytes()));
        }
        for (line, reason) in [
            ("", Rejected::Malformed),
            ("type=SYSCALL", Rejected::Malformed),
            ("type=SYSCALL msg=audit(1364481363.243:24287", Rejected::Malformed),
            ("a type=SYSCALL msg=audit(1364481363.243:24287): a=1", Rejected::Malformed),
            ("type=SYSCALL msg=audit(03/28/2013 10:22:43.243:24287) : a=1", Rejected::InvalidValue),
            ("type=SYSCALL msg=audit(99999999999999999999.0:1): a=1", Rejected::InvalidValue),
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap_err().reason, reason, "{line}");
        }
    }

    #[test]
    fn fields_and_their_values() {
        let fields = Fields(b" avc:  denied  { read } for  pid=7 comm=\"a b=c\" name=2F6120 x=(null) last=1");
        let found: Vec<_> =
            fields.map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii())).collect();
        assert_eq!(found, ["pid=7", "comm=\\\"a b=c\\\"", "name=2F6120", "x=(null)", "last=1"]);
        assert_eq!(fields.text("comm").as_deref(), Some(&b"a b=c"[..]));
        assert_eq!(fields.text("name").as_deref(), Some(&b"/a "[..]));
        assert_eq!(fields.text("x"), None);
        assert_eq!(fields.number::<u32>("pid"), Some(7));
        assert_eq!(bytes(b"2f6"), None);
    }
}
