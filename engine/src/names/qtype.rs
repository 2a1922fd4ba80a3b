//! Types of DNS questions: names and numbers, as IANA registers them.

use std::borrow::Cow;

const TYPES: [(u16, &str); 47] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

/// The name of a question's type; one without a name here is written `TYPE<n>` (RFC 3597).
pub fn qtype_name(qtype: u16) -> Cow<'static, str> {
    let named = TYPES.binary_search_by_key(&qtype, |(n, _)| *n).ok().and_then(|i| TYPES.get(i));
    match named {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("TYPE{qtype}")),
    }
}

/// The number of a question's type given by name or as `TYPE<n>`. Case does not matter.
pub fn qtype_number(name: &str) -> Option<u16> {
    if let Some((n, _)) = TYPES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)) {
        return Some(*n);
    }
    let (prefix, digits) = name.split_at_checked(4)?;
    let plain = prefix.eq_ignore_ascii_case("TYPE") && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// As [`qtype_number`]; other tools also write plain numbers.
pub(crate) fn question_type(text: &str) -> Option<u16> {
    qtype_number(text).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (name, number) in [
            ("A", Some(1)),
            ("aaaa", Some(28)),
            ("HTTPS", Some(65)),
            ("CAA", Some(257)),
            ("TYPE65534", Some(65534)),
            ("type1", Some(1)),
            ("TYPE65536", None),
            ("TYPE+5", None),
            ("TYPE", None),
            ("TYP€5", None),
            ("", None),
        ] {
            assert_eq!(qtype_number(name), number, "{name}");
        }
        for n in 0..=u16::MAX {
            assert_eq!(qtype_number(&qtype_name(n)), Some(n));
        }
    }
}
