//! The types of DNS questions, by the names that tools write them with.

/// Names and numbers as IANA assigns them.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("TLSA", 52),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// The number of a type given by name in any case, as `TYPE65`, or as a number.
pub(super) fn parse(text: &str) -> Option<u16> {
    let by_name = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    by_name.or_else(|| text.strip_prefix("TYPE").unwrap_or(text).parse().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn types_by_name_and_by_number() {
        for (text, number) in [
            ("A", Some(1)),
            ("aaaa", Some(28)),
            ("HTTPS", Some(65)),
            ("TYPE64", Some(64)),
            ("255", Some(255)),
            ("Unknown", None),
            ("", None),
            ("65536", None),
        ] {
            assert_eq!(super::parse(text), number, "{text}");
        }
    }
}
