//! The numbers of errors by the names that tools print.

/// Errors of Linux on all but old architectures.
const ERRORS: &[(&str, i64)] = &[
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ESRCH", 3),
    ("EINTR", 4),
    ("EIO", 5),
    ("ENXIO", 6),
    ("E2BIG", 7),
    ("ENOEXEC", 8),
    ("EBADF", 9),
    ("ECHILD", 10),
    ("EAGAIN", 11),
    ("EWOULDBLOCK", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("ENOTBLK", 15),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("EXDEV", 18),
    ("ENODEV", 19),
    ("ENOTDIR", 20),
    ("EISDIR", 21),
    ("EINVAL", 22),
    ("ENFILE", 23),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("ETXTBSY", 26),
    ("EFBIG", 27),
    ("ENOSPC", 28),
    ("ESPIPE", 29),
    ("EROFS", 30),
    ("EMLINK", 31),
    ("EPIPE", 32),
    ("ENAMETOOLONG", 36),
    ("ENOSYS", 38),
    ("ENOTEMPTY", 39),
    ("ELOOP", 40),
    ("EOVERFLOW", 75),
    ("ENOTSOCK", 88),
    ("EMSGSIZE", 90),
    ("EPROTOTYPE", 91),
    ("EPROTONOSUPPORT", 93),
    ("EOPNOTSUPP", 95),
    ("ENOTSUP", 95),
    ("EAFNOSUPPORT", 97),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
    ("EDQUOT", 122),
    ("EKEYREJECTED", 129),
];

/// Errors by which somebody or something refuses an attempt, by name. Not among them are those that say that something is not
/// there, is there already, or is not so now.
pub(crate) const DENIALS: [(&str, i64); 9] = [
    ("EACCES", 13),
    ("ECONNREFUSED", 111),
    ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("EPERM", 1),
    ("EROFS", 30),
    ("ETIMEDOUT", 110),
];

/// The number of an error, above 0; `None` of a name that is none of the usual ones.
pub(crate) fn errno(name: &[u8]) -> Option<i64> {
    ERRORS.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_name() {
        for (name, number) in [("ENOENT", Some(2)), ("EINPROGRESS", Some(115)), ("ERESTARTSYS", None), ("", None)] {
            assert_eq!(errno(name.as_bytes()), number, "{name}");
        }
        assert!(DENIALS.is_sorted() && DENIALS.iter().all(|(name, number)| errno(name.as_bytes()) == Some(*number)));
    }
}
