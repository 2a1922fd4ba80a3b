//! The flags of open(2), from their names.

/// `O_DIRECTORY`.
#[cfg(test)]
pub(crate) const O_DIRECTORY: u32 = 0o200_000;
/// `O_CLOEXEC`.
pub(crate) const O_CLOEXEC: u32 = 0o2_000_000;
/// `O_CREAT|O_EXCL`: the file was not there before.
pub(crate) const CREATES: u32 = 0o300;
/// `__O_TMPFILE`: the file has no name.
pub(crate) const TMPFILE: u32 = 0o20_000_000;
/// What creat(2) opens with: `O_CREAT|O_WRONLY|O_TRUNC`.
pub(crate) const CREAT: u32 = 0o1101;

/// The flags' names and their numbers on x86-64.
const NAMES: &[(&[u8], u32)] = &[
    (b"O_RDONLY", 0),
    (b"O_WRONLY", 1),
    (b"O_RDWR", 2),
    (b"O_ACCMODE", 3),
    (b"O_CREAT", 0o100),
    (b"O_EXCL", 0o200),
    (b"O_NOCTTY", 0o400),
    (b"O_TRUNC", 0o1000),
    (b"O_APPEND", 0o2000),
    (b"O_NONBLOCK", 0o4000),
    (b"O_NDELAY", 0o4000),
    (b"O_DSYNC", 0o10000),
    (b"FASYNC", 0o20000),
    (b"O_ASYNC", 0o20000),
    (b"O_DIRECT", 0o40000),
    (b"O_LARGEFILE", 0o100_000),
    (b"O_DIRECTORY", 0o200_000),
    (b"O_NOFOLLOW", 0o400_000),
    (b"O_NOATIME", 0o1_000_000),
    (b"O_CLOEXEC", O_CLOEXEC),
    (b"O_SYNC", 0o4_010_000),
    (b"O_RSYNC", 0o4_010_000),
    (b"__O_SYNC", 0o4_000_000),
    (b"O_PATH", 0o10_000_000),
    (b"O_TMPFILE", 0o20_200_000),
    (b"__O_TMPFILE", 0o20_000_000),
];

/// The number of flags written as `O_WRONLY|O_CREAT|0x8000`, whatever stands in a comment behind it; names that are not
/// known count as 0.
pub(crate) fn parse(text: &[u8]) -> u32 {
    let end = memchr::memmem::find(text, b"/*").unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    text.split(|b| *b == b'|').fold(0, |flags, part| {
        let part = part.trim_ascii();
        flags
            | NAMES
                .iter()
                .find(|(name, _)| *name == part)
                .map_or_else(|| c_number(part).unwrap_or(0) as u32, |(_, n)| *n)
    })
}

/// A number in C's notation: decimal, `0x…` or `0…` octal.
pub(crate) fn c_number(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    if let Some(hex) = text.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u64::from_str_radix(text, 8).ok()
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_by_name_and_by_number() {
        for (text, flags) in [
            ("O_RDONLY", 0),
            ("O_RDONLY|O_CLOEXEC", O_CLOEXEC),
            ("O_WRONLY|O_CREAT|O_TRUNC", CREAT),
            ("O_RDWR|0x100000", 0x10_0002),
            ("O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY", 0o4000 | O_CLOEXEC | O_DIRECTORY),
            ("O_NEW", 0),
            ("577", 577),
            ("0101", 65),
            ("0x80001", O_CLOEXEC | 1),
            ("0x80001 /* O_WRONLY|O_CLOEXEC */", O_CLOEXEC | 1),
            ("", 0),
        ] {
            assert_eq!(parse(text.as_bytes()), flags, "{text}");
        }
    }
}
